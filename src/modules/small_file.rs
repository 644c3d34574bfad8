//! Small text files of a host that a module reads whole and writes whole: SSH keys, settings.
//!
//! Pure. The file is replaced in one step, and its content before is in the undo.

use super::{Act, Change, Diff, Foretell, Undo};
use crate::script::quote;
use crate::value::Map;

/// A file, and how a new one is made.
pub(super) struct SmallFile<'a> {
    /// Its path on the host.
    pub(super) path: &'a str,
    /// Its content; `None` where it is not there.
    pub(super) before: Option<&'a str>,
    /// `user:group` of a new file; empty: of who makes it.
    pub(super) owner: &'a str,
    /// Mode of a new file.
    pub(super) mode: &'a str,
}

impl SmallFile<'_> {
    /// sh that gives the file this content; `None` removes it. Owner and mode stay.
    fn writing(&self, content: Option<&str>) -> String {
        let path = quote(self.path);
        let Some(content) = content else {
            return format!("rm -f -- {path} || exit\n");
        };
        let owner = if self.owner.is_empty() {
            String::new()
        } else {
            format!("chown {} \"$SB_new\" || exit\n", quote(self.owner))
        };
        format!(
            "SB_path={path} SB_new={path}.switchback.$$\ntrap 'rm -f -- \"$SB_new\"' EXIT\n\
             if [ -L \"$SB_path\" ]; then SB_path=$(readlink -f -- \"$SB_path\") || exit; fi\n\
             if [ -e \"$SB_path\" ]; then cp -p -- \"$SB_path\" \"$SB_new\" || exit\n\
             else : >\"$SB_new\" && chmod {} \"$SB_new\" || exit\n{owner}fi\n\
             printf %s {} >\"$SB_new\" && mv -f -- \"$SB_new\" \"$SB_path\" || exit\n",
            self.mode,
            quote(content)
        )
    }

    /// The change to this content, with more sh before and after the file is written, and after it
    /// is taken back.
    pub(super) fn change(
        &self,
        after: &str,
        summary: String,
        around: [&str; 3],
        result: Map,
    ) -> Change {
        let [first, then, back] = around;
        Change {
            summary,
            diff: vec![Diff {
                before_header: self.path.to_owned(),
                after_header: self.path.to_owned(),
                before: self.before.unwrap_or_default().to_owned(),
                after: after.to_owned(),
            }],
            acts: vec![Act::script(format!(
                "{first}{}{then}",
                self.writing(Some(after))
            ))],
            undo: Undo::Acts {
                summary: format!("restore {}", self.path),
                acts: vec![Act::script(format!("{}{back}", self.writing(self.before)))],
            },
            foretell: Foretell::Changed(result),
        }
    }
}

/// Lines as the text of a file.
pub(super) fn text(lines: &[String]) -> String {
    lines.iter().map(|line| line.clone() + "\n").collect()
}
