//! Before and after as a unified diff.

use std::collections::HashSet;

use similar::TextDiff;

use super::contract::Diff;
use crate::value::MASK;

impl Diff {
    /// Masks all lines but those of `written`; that a line has changed still shows.
    pub fn hide(&mut self, written: &str) {
        let clear: HashSet<&str> = written.lines().collect();
        let (before, after) = (self.before.clone(), self.after.clone());
        let after_lines: HashSet<&str> = after.lines().collect();
        let masked = |text: &str, of_line: &dyn Fn(&str) -> String| {
            let lines = text.split_inclusive('\n').map(|line| {
                let (line, end) = match line.strip_suffix('\n') {
                    Some(line) => (line, "\n"),
                    None => (line, ""),
                };
                let shown = if clear.contains(line) {
                    line.to_owned()
                } else {
                    of_line(line)
                };
                shown + end
            });
            lines.collect::<String>()
        };
        self.after = masked(&after, &|_| MASK.to_owned());
        self.before = masked(&before, &|line| {
            let is_there_still = after_lines.contains(line);
            let was = if is_there_still { "" } else { " (as it was)" };
            format!("{MASK}{was}")
        });
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_diff_shows_what_its_author_wrote_and_where_it_changed() {
        let written = "# conf\nuser = app\npw = {{ pw }}\nport = {{ port }}\n";
        let mut diff = Diff {
            before: "# conf\nuser = app\npw = old-one\nport = 1\n".into(),
            after: "# conf\nuser = app\npw = new-one\nport = 1\n".into(),
            ..Diff::default()
        };
        diff.hide(written);
        assert_eq!(
            diff.before,
            format!("# conf\nuser = app\n{MASK} (as it was)\n{MASK}\n")
        );
        assert_eq!(diff.after, format!("# conf\nuser = app\n{MASK}\n{MASK}\n"));
    }
}
