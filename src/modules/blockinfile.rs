//! `blockinfile`: brings about that a block of lines between two markers is in a file, or is not.
//!
//! Source: ansible-core 2.19, `modules/blockinfile.py`, `main`.

use super::file_args::file_args;
use super::lineinfile::Presence;
use super::python_regex::{Flags, Pattern, from_bytes, to_bytes};
use super::text_edit::{Edit, Text, finish, probe};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// Brings about that a block of lines between two markers is in a file, or is not.
///
/// # Returns
/// * `msg`: what was done: `Block inserted`, `Block removed`, ….
/// * `backup_file`: the copy of the old file, with `backup`.
///
/// # Example
/// ```yaml
/// - blockinfile:
///     path: /etc/hosts
///     block: |
///       10.0.0.1 db1
///       10.0.0.2 db2
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Blockinfile;

file_args! {
    /// Arguments of `blockinfile`.
    struct BlockinfileArgs {
        /// The file.
        #[serde(alias = "dest", alias = "destfile", alias = "name")]
        path: String,
        /// Whether the block is to be there. Default `present`.
        state: Option<Presence>,
        /// The marker line, with `{mark}` for the two words. Default `# {mark} ANSIBLE MANAGED BLOCK`.
        marker: Option<String>,
        /// The text between the markers; empty removes the block.
        #[serde(default, alias = "content")]
        block: String,
        /// A new block goes after the last match of this expression, or `EOF`.
        insertafter: Option<String>,
        /// A new block goes before the last match of this expression, or `BOF`.
        insertbefore: Option<String>,
        /// Whether a file that is not there is made.
        #[serde(default)]
        create: bool,
        /// Whether a copy of the old file is left beside it.
        #[serde(default)]
        backup: bool,
        /// The word in the opening marker. Default `BEGIN`.
        marker_begin: Option<String>,
        /// The word in the closing marker. Default `END`.
        marker_end: Option<String>,
        /// Whether a blank line follows the block, unless it ends the file.
        #[serde(default)]
        append_newline: bool,
        /// Whether a blank line precedes the block, unless it begins the file.
        #[serde(default)]
        prepend_newline: bool,
        /// A command that must accept the new file first; `%s` in it stands for the file.
        validate: Option<String>,
    }
}

/// Lines with their ends, as Python's `bytes.splitlines(True)`: `\n`, `\r` and `\r\n` end one.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        line.push(c);
        if c == '\n' || (c == '\r' && chars.peek() != Some(&'\n')) {
            lines.push(std::mem::take(&mut line));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

impl BlockinfileArgs {
    fn is_present(&self) -> bool {
        self.state.unwrap_or_default() == Presence::Present
    }

    fn markers(&self) -> [String; 2] {
        let marker = self
            .marker
            .as_deref()
            .unwrap_or("# {mark} ANSIBLE MANAGED BLOCK");
        [
            self.marker_begin.as_deref().unwrap_or("BEGIN"),
            self.marker_end.as_deref().unwrap_or("END"),
        ]
        .map(|word| from_bytes(format!("{}\n", marker.replace("{mark}", word)).as_bytes()))
    }

    /// The block with its markers; empty when it is to go.
    fn block_lines(&self, [begin, end]: [String; 2]) -> Vec<String> {
        if !self.is_present() || self.block.is_empty() {
            return Vec::new();
        }
        let mut block = from_bytes(self.block.as_bytes());
        if !block.ends_with('\n') {
            block.push('\n');
        }
        let mut all = vec![begin];
        all.extend(lines(&block));
        all.push(end);
        all
    }

    /// Where a block that is not there yet goes.
    fn place(&self, original: &str, lines: &[String]) -> Result<usize, Failure> {
        let after = match (&self.insertafter, &self.insertbefore) {
            (None, None) => Some("EOF"),
            (after, _) => after.as_deref(),
        };
        let pattern = match (after, self.insertbefore.as_deref()) {
            (Some(after), _) if after != "EOF" => after,
            (_, Some(before)) if before != "BOF" => before,
            (_, Some(_)) => return Ok(0),
            _ => return Ok(lines.len()),
        };
        let flags = Flags {
            bytes: true,
            ..Flags::default()
        };
        let pattern = Pattern::new(pattern, flags).map_err(Failure::new)?;
        let mut found = None;
        if pattern.is_multiline {
            let span = pattern.search(original).map_err(Failure::new)?;
            if let Some(span) =
                span.and_then(|found| found.get(0).map(|all| (all.start(), all.end())))
            {
                let end = if after.is_some() { span.1 } else { span.0 };
                found = Some(original[..end].matches('\n').count());
            }
        } else {
            for (i, line) in lines.iter().enumerate() {
                if pattern.search(line).map_err(Failure::new)?.is_some() {
                    found = Some(i);
                }
            }
        }
        Ok(match found {
            None => lines.len(),
            Some(at) if after.is_some() => (at + 1).min(lines.len()),
            Some(at) => at,
        })
    }

    /// The new content.
    fn edited(&self, original: &str) -> Result<String, Failure> {
        let mut lines = lines(original);
        let [begin, end] = self.markers();
        let first = lines.iter().rposition(|line| *line == begin);
        let last = lines.iter().rposition(|line| *line == end);
        let block = self.block_lines([begin, end]);
        let mut at = match (first, last) {
            (Some(first), Some(last)) => {
                lines.drain(first.min(last)..=first.max(last));
                first.min(last)
            }
            _ => self.place(original, &lines)?,
        };
        if let Some(before) = at.checked_sub(1).and_then(|i| lines.get_mut(i))
            && !before.ends_with('\n')
        {
            before.push('\n');
        }
        if self.prepend_newline && self.is_present() && at != 0 && lines[at - 1] != "\n" {
            lines.insert(at, "\n".to_owned());
            at += 1;
        }
        let after = at + block.len();
        lines.splice(at..at, block);
        if self.append_newline
            && self.is_present()
            && lines.get(after).is_some_and(|line| line != "\n")
        {
            lines.insert(after, "\n".to_owned());
        }
        Ok(lines.concat())
    }
}

impl Module for Blockinfile {
    const NAME: &'static str = "blockinfile";
    const EFFECT: Effect = Effect::Converges;
    type Args = BlockinfileArgs;

    fn check(args: &BlockinfileArgs) -> Result<(), String> {
        args.wanted().check()?;
        if args.insertbefore.is_some() && args.insertafter.is_some() {
            return Err("parameters are mutually exclusive: insertbefore|insertafter".to_owned());
        }
        Ok(())
    }

    fn probe(args: &BlockinfileArgs, _: &[Resolved]) -> Option<Script> {
        Some(probe(&args.path, &args.wanted()))
    }

    fn decide(args: &BlockinfileArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let text = Text::read(&seen[0])?;
        if text.content.is_none() {
            if !args.create {
                let mut failed = Failure::new(format!("Path {} does not exist !", text.path));
                failed.result.insert("rc".into(), Value::Int(257));
                return Err(failed);
            }
            if !args.is_present() {
                let msg = format!("File {} not present", text.path);
                return Ok(Decision::Unchanged(Outcome::ok(Map::from([(
                    "msg".into(),
                    msg.into(),
                )]))));
            }
        }
        let original = text.content.map(from_bytes);
        let new = args.edited(original.as_deref().unwrap_or_default())?;
        let msg = match &original {
            Some(original) if *original == new => "",
            None => "File created",
            Some(_) if !args.is_present() || args.block.is_empty() => "Block removed",
            Some(_) => "Block inserted",
        };
        text.decide(&Edit {
            content: (!msg.is_empty()).then(|| to_bytes(&new)),
            msg: msg.to_owned(),
            result: Map::new(),
            wanted: args.wanted(),
            backup: args.backup,
            validate: args.validate.as_deref(),
            heading: " (content)",
            follows: true,
            tells_attributes: true,
        })
    }

    fn finish(
        _: &BlockinfileArgs,
        _: &[Resolved],
        _: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        finish(change, replies, "backup_file")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, in_each_shell};
    use super::BlockinfileArgs;
    use crate::value::{Value, from_value};

    /// The expected texts are what ansible-core 2.19's module wrote.
    #[test]
    fn blocks_end_up_where_ansible_puts_them() {
        const B: &str = "# BEGIN ANSIBLE MANAGED BLOCK\n";
        const E: &str = "# END ANSIBLE MANAGED BLOCK\n";
        for (args, content, expected) in [
            (json!({"block": "x"}), "a\n", format!("a\n{B}x\n{E}")),
            (json!({"block": "x"}), "a", format!("a\n{B}x\n{E}")),
            (json!({"block": "x\ny\n"}), "", format!("{B}x\ny\n{E}")),
            (
                json!({"block": "y"}),
                &format!("a\n{B}x\n{E}b\n"),
                format!("a\n{B}y\n{E}b\n"),
            ),
            (
                json!({"block": ""}),
                &format!("a\n{B}x\n{E}b\n"),
                "a\nb\n".to_owned(),
            ),
            (
                json!({"state": "absent", "block": "z"}),
                &format!("{B}x\n{E}"),
                String::new(),
            ),
            (
                json!({"block": "x", "insertbefore": "BOF"}),
                "a\n",
                format!("{B}x\n{E}a\n"),
            ),
            (
                json!({"block": "x", "insertafter": "^a"}),
                "a\nb\n",
                format!("a\n{B}x\n{E}b\n"),
            ),
            (
                json!({"block": "x", "insertbefore": "^b"}),
                "a\nb\n",
                format!("a\n{B}x\n{E}b\n"),
            ),
            (
                json!({"block": "x", "insertafter": "^q"}),
                "a\n",
                format!("a\n{B}x\n{E}"),
            ),
            (
                json!({"block": "x", "insertafter": "(?m)^a\nb$"}),
                "a\nb\nc\n",
                format!("a\nb\n{B}x\n{E}c\n"),
            ),
            (
                json!({"block": "x", "insertafter": "^a", "prepend_newline": true, "append_newline": true}),
                "a\nb\n",
                format!("a\n\n{B}x\n{E}\nb\n"),
            ),
            (
                json!({"block": "x", "marker": "<!-- {mark} -->", "marker_begin": "<", "marker_end": ">"}),
                "",
                "<!-- < -->\nx\n<!-- > -->\n".to_owned(),
            ),
        ] {
            let mut args = args;
            args["path"] = json!("/x");
            let parsed: BlockinfileArgs = from_value(&Value::from_json(args.clone())).unwrap();
            assert_eq!(
                parsed.edited(content).unwrap(),
                expected,
                "{args} on {content:?}"
            );
        }
    }

    #[test]
    fn files_of_all_names_are_edited_and_given_back() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(name, b"caf\xe9\n", 0o640);
                let args = json!({"path": world.at(name), "block": "ü 'x'\n$(id)", "validate": "grep -q x %s", "mode": "0600"});
                let cycle = world.cycle("blockinfile", &args, &[]);
                assert!(cycle.after[*name].starts_with("0600"));
                assert_eq!(
                    cycle.outcome.result["msg"],
                    Value::from("Block inserted and ownership, perms or SE linux context changed")
                );
                std::fs::remove_file(world.root().join(name)).unwrap();
                let args = json!({"path": world.at(name), "block": "x", "create": true});
                world.cycle("blockinfile", &args, &[]);
            }
        });
    }
}
