//! Before and after as a unified diff.

use similar::TextDiff;

use super::contract::Diff;

impl Diff {
    /// The unified diff with three lines of context; empty where both sides are equal.
    pub fn unified(&self) -> String {
        if self.before == self.after {
            return String::new();
        }
        TextDiff::from_lines(&self.before, &self.after)
            .unified_diff()
            .context_radius(3)
            .header(&self.before_header, &self.after_header)
            .to_string()
    }
}
