//! `lineinfile`: brings about that one line is in a file, or is not.
//!
//! Source: ansible-core 2.19, `modules/lineinfile.py`, `present` and `absent`.

use super::file_args::file_args;
use super::python_regex::{Flags, Pattern, expand, from_bytes, to_bytes};
use super::text_edit::{Edit, Text, finish, probe};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// Brings about that one line is in a file, or is not.
///
/// # Returns
/// * `msg`: what was done: `line added`, `line replaced`, `2 line(s) removed`, ….
/// * `found`: how many lines were removed.
/// * `backup`: the copy of the old file, with `backup`.
///
/// # Example
/// ```yaml
/// - lineinfile:
///     path: /etc/ssh/sshd_config
///     regexp: "^#?PermitRootLogin"
///     line: PermitRootLogin no
///     validate: sshd -t -f %s
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Lineinfile;

file_args! {
    /// Arguments of `lineinfile`.
    struct LineinfileArgs {
        /// The file.
        #[serde(alias = "dest", alias = "destfile", alias = "name")]
        path: String,
        /// Whether the line is to be there. Default `present`.
        state: Option<Presence>,
        /// Finds the line to replace (the last match) or the lines to remove.
        #[serde(alias = "regex")]
        regexp: Option<String>,
        /// As `regexp`, but a literal text.
        search_string: Option<String>,
        /// The line.
        #[serde(alias = "value")]
        line: Option<String>,
        /// Whether `line` has back-references to groups of `regexp`; then nothing is added.
        #[serde(default)]
        backrefs: bool,
        /// A new line goes after the last match of this expression, or `EOF`.
        insertafter: Option<String>,
        /// A new line goes before the last match of this expression, or `BOF`.
        insertbefore: Option<String>,
        /// Whether a file that is not there is made.
        #[serde(default)]
        create: bool,
        /// Whether a copy of the old file is left beside it.
        #[serde(default)]
        backup: bool,
        /// Whether the first match counts instead of the last.
        #[serde(default)]
        firstmatch: bool,
        /// A command that must accept the new file first; `%s` in it stands for the file.
        validate: Option<String>,
    }
}

/// Whether something is to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Presence {
    /// Not there.
    Absent,
    /// There.
    #[default]
    Present,
}

/// Lines with their ends, as Python's `readlines` on a binary file.
fn lines(content: &[u8]) -> Vec<String> {
    content
        .split_inclusive(|byte| *byte == b'\n')
        .map(from_bytes)
        .collect()
}

fn trimmed(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn compile(pattern: &str) -> Result<Pattern, Failure> {
    let flags = Flags {
        bytes: true,
        ..Flags::default()
    };
    Pattern::new(pattern, flags).map_err(Failure::new)
}

/// Whether a line of the file is the one that is meant.
enum Finder {
    Regexp(Pattern),
    Literal(String),
    Nothing,
}

impl Finder {
    fn new(args: &LineinfileArgs) -> Result<Self, Failure> {
        Ok(match (&args.regexp, &args.search_string) {
            (Some(regexp), _) => Self::Regexp(compile(regexp)?),
            (None, Some(text)) => Self::Literal(from_bytes(text.as_bytes())),
            (None, None) => Self::Nothing,
        })
    }

    fn finds(&self, line: &str) -> Result<bool, Failure> {
        match self {
            Self::Regexp(pattern) => Ok(pattern.search(line).map_err(Failure::new)?.is_some()),
            Self::Literal(text) => Ok(line.contains(text.as_str())),
            Self::Nothing => Ok(false),
        }
    }
}

/// Where the lines of interest are.
#[derive(Default)]
struct Places {
    matched: Option<usize>,
    exact: Option<usize>,
    insert: Option<usize>,
}

impl LineinfileArgs {
    fn insertafter(&self) -> Option<&str> {
        match (&self.insertafter, &self.insertbefore) {
            (None, None) => Some("EOF"),
            (after, _) => after.as_deref(),
        }
    }

    fn places(&self, lines: &[String], finder: &Finder, line: &str) -> Result<Places, Failure> {
        let mut places = Places::default();
        for (i, current) in lines.iter().enumerate() {
            if finder.finds(current)? {
                places.matched = Some(i);
                if self.firstmatch {
                    break;
                }
            }
        }
        if places.matched.is_some() {
            return Ok(places);
        }
        let after = self.insertafter();
        let near = match (after, self.insertbefore.as_deref()) {
            (Some(after), _) if !matches!(after, "BOF" | "EOF") => Some(compile(after)?),
            (_, Some(before)) if before != "BOF" => Some(compile(before)?),
            _ => None,
        };
        let is_after = after.is_some_and(|after| !after.is_empty());
        for (i, current) in lines.iter().enumerate() {
            if trimmed(current) == line {
                places.exact = Some(i);
            } else if let Some(near) = &near
                && near.search(current).map_err(Failure::new)?.is_some()
            {
                places.insert = Some(if is_after { i + 1 } else { i });
                if self.firstmatch {
                    break;
                }
            }
        }
        Ok(places)
    }

    /// The new lines and what was done, or `None` when all is as wanted.
    fn present(
        &self,
        mut lines: Vec<String>,
    ) -> Result<Option<(Vec<String>, &'static str)>, Failure> {
        let line = from_bytes(self.line.as_deref().unwrap_or_default().as_bytes());
        let finder = Finder::new(self)?;
        let places = self.places(&lines, &finder, &line)?;
        if let Some(i) = places.matched.or(places.exact) {
            let mut new = line.clone();
            if let (Finder::Regexp(pattern), true, true) =
                (&finder, self.backrefs, places.matched.is_some())
                && let Some(found) = pattern.search(&lines[i]).map_err(Failure::new)?
            {
                new = expand(&line, &found).map_err(Failure::new)?;
            }
            if !new.ends_with('\n') {
                new.push('\n');
            }
            if lines[i] == new {
                return Ok(None);
            }
            lines[i] = new;
            return Ok(Some((lines, "line replaced")));
        }
        if self.backrefs {
            return Ok(None);
        }
        let whole = format!("{line}\n");
        let (after, before) = (self.insertafter(), self.insertbefore.as_deref());
        match places.insert {
            _ if before == Some("BOF") || after == Some("BOF") => lines.insert(0, whole),
            Some(at) if after != Some("EOF") => {
                let is_after = after.is_some_and(|after| !after.is_empty());
                let neighbour = if at == lines.len() {
                    at.checked_sub(1)
                } else {
                    Some(at)
                };
                let is_there = neighbour.is_some_and(|i| trimmed(&lines[i]) == line);
                if is_after && is_there {
                    return Ok(None);
                }
                // Ansible runs the new line into a last line that has no end; here it gets one.
                if let (true, Some(last)) = (at == lines.len(), lines.last_mut())
                    && !last.ends_with(['\n', '\r'])
                {
                    last.push('\n');
                }
                lines.insert(at, whole);
            }
            _ => {
                if lines
                    .last()
                    .is_some_and(|last| !last.ends_with(['\n', '\r']))
                {
                    lines.push("\n".to_owned());
                }
                lines.push(whole);
            }
        }
        Ok(Some((lines, "line added")))
    }

    /// The lines that stay, and how many go.
    fn absent(&self, lines: Vec<String>) -> Result<(Vec<String>, usize), Failure> {
        let finder = Finder::new(self)?;
        let line = from_bytes(self.line.as_deref().unwrap_or_default().as_bytes());
        let all = lines.len();
        let mut kept = Vec::new();
        for current in lines {
            let goes = match &finder {
                Finder::Nothing => trimmed(&current) == line,
                finder => finder.finds(&current)?,
            };
            if !goes {
                kept.push(current);
            }
        }
        let gone = all - kept.len();
        Ok((kept, gone))
    }

    fn edit(&self, content: Option<Vec<String>>, msg: String, result: Map) -> Edit<'_> {
        Edit {
            content: content.map(|lines| to_bytes(&lines.concat())),
            msg,
            result,
            wanted: self.wanted(),
            backup: self.backup,
            validate: self.validate.as_deref(),
            heading: " (content)",
            follows: true,
            tells_attributes: true,
        }
    }
}

impl Module for Lineinfile {
    const NAME: &'static str = "lineinfile";
    const EFFECT: Effect = Effect::Converges;
    type Args = LineinfileArgs;

    fn check(args: &LineinfileArgs) -> Result<(), String> {
        args.wanted().check()?;
        for (a, b, names) in [
            (
                args.insertbefore.is_some(),
                args.insertafter.is_some(),
                "insertbefore|insertafter",
            ),
            (
                args.regexp.is_some(),
                args.search_string.is_some(),
                "regexp|search_string",
            ),
            (
                args.backrefs,
                args.search_string.is_some(),
                "backrefs|search_string",
            ),
        ] {
            if a && b {
                return Err(format!("parameters are mutually exclusive: {names}"));
            }
        }
        if args.state.unwrap_or_default() == Presence::Present {
            if args.backrefs && args.regexp.is_none() {
                return Err("regexp is required with backrefs=true".to_owned());
            }
            if args.line.is_none() {
                return Err("line is required with state=present".to_owned());
            }
        } else if args.regexp.is_none() && args.search_string.is_none() && args.line.is_none() {
            return Err(
                "one of line, search_string, or regexp is required with state=absent".to_owned(),
            );
        }
        Ok(())
    }

    fn probe(args: &LineinfileArgs, _: &[Resolved]) -> Option<Script> {
        Some(probe(&args.path, &args.wanted()))
    }

    fn decide(args: &LineinfileArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let text = Text::read(&seen[0])?;
        if args.state.unwrap_or_default() == Presence::Absent {
            let Some(content) = text.content else {
                return Ok(Decision::Unchanged(Outcome::ok(Map::from([(
                    "msg".into(),
                    "file not present".into(),
                )]))));
            };
            let (kept, gone) = args.absent(lines(content))?;
            let result = Map::from([
                (
                    "found".into(),
                    Value::Int(i64::try_from(gone).unwrap_or(i64::MAX)),
                ),
                ("backup".into(), "".into()),
            ]);
            let msg = if gone > 0 {
                format!("{gone} line(s) removed")
            } else {
                String::new()
            };
            return text.decide(&args.edit((gone > 0).then_some(kept), msg, result));
        }
        if text.content.is_none() && !args.create {
            let mut failed = Failure::new(format!("Destination {} does not exist !", text.path));
            failed.result.insert("rc".into(), Value::Int(257));
            return Err(failed);
        }
        let new = args.present(lines(text.content.unwrap_or_default()))?;
        let msg = new.as_ref().map_or("", |(_, msg)| msg).to_owned();
        let result = Map::from([("backup".into(), "".into())]);
        text.decide(&args.edit(new.map(|(lines, _)| lines), msg, result))
    }

    fn finish(
        _: &LineinfileArgs,
        _: &[Resolved],
        _: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        finish(change, replies, "backup")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, in_each_shell};
    use crate::value::{Value, from_value};

    use super::{LineinfileArgs, lines};

    fn edited(args: serde_json::Value, content: &str) -> String {
        let mut args = args;
        args["path"] = json!("/x");
        let is_absent = args["state"] == "absent";
        let args: LineinfileArgs = from_value(&Value::from_json(args)).unwrap();
        let lines = lines(content.as_bytes());
        if is_absent {
            return args.absent(lines).unwrap().0.concat();
        }
        args.present(lines)
            .unwrap()
            .map_or("unchanged".into(), |(lines, _)| lines.concat())
    }

    /// The expected texts are what ansible-core 2.19's module wrote.
    #[test]
    fn lines_end_up_where_ansible_puts_them() {
        for (args, content, expected) in [
            (json!({"line": "c"}), "a\nb\n", "a\nb\nc\n"),
            (json!({"line": "c"}), "a\nb", "a\nb\nc\n"),
            (json!({"line": "a"}), "a\nb\n", "unchanged"),
            (json!({"line": "a"}), "b\na", "b\na\n"),
            (json!({"line": "c"}), "", "c\n"),
            (
                json!({"line": "x=2", "regexp": "^x="}),
                "x=1\ny\nx=0\n",
                "x=1\ny\nx=2\n",
            ),
            (
                json!({"line": "x=2", "regexp": "^x=", "firstmatch": true}),
                "x=1\ny\nx=0\n",
                "x=2\ny\nx=0\n",
            ),
            (
                json!({"line": "x=2", "regexp": "^x=", "insertafter": "^b"}),
                "a\nb\nc\n",
                "a\nb\nx=2\nc\n",
            ),
            (
                json!({"line": "x=2", "regexp": "^x=", "insertbefore": "^b"}),
                "a\nb\nc\n",
                "a\nx=2\nb\nc\n",
            ),
            (json!({"line": "x", "insertbefore": "BOF"}), "a\n", "x\na\n"),
            (
                json!({"line": "x", "insertafter": "nothing"}),
                "a\n",
                "a\nx\n",
            ),
            (
                json!({"line": "x", "insertafter": "^a", "firstmatch": true}),
                "a\na\nb\n",
                "a\nx\na\nb\n",
            ),
            (
                json!({"line": "x", "insertafter": "^c"}),
                "a\nc\n",
                "a\nc\nx\n",
            ),
            (
                json!({"line": "\\1Xms${xms}m\\3", "regexp": "^(.*)Xms(\\d+)m(.*)$", "backrefs": true}),
                "-Xms1m -a\n",
                "-Xms${xms}m -a\n",
            ),
            (
                json!({"line": "\\1", "regexp": "^(q)", "backrefs": true}),
                "a\n",
                "unchanged",
            ),
            (
                json!({"line": "new", "search_string": "a.b"}),
                "axb\na.b\n",
                "axb\nnew\n",
            ),
            (
                json!({"state": "absent", "regexp": "^#"}),
                "#a\nb\n#c\n",
                "b\n",
            ),
            (
                json!({"state": "absent", "line": "b"}),
                "a\nb\r\nbb\n",
                "a\nbb\n",
            ),
            (
                json!({"state": "absent", "search_string": "."}),
                "a.\nb\n",
                "b\n",
            ),
            (
                json!({"line": "x", "regexp": "^(?!#)Listen"}),
                "#Listen\nListen 1\n",
                "#Listen\nx\n",
            ),
        ] {
            assert_eq!(
                edited(args.clone(), content),
                expected,
                "{args} on {content:?}"
            );
        }
    }

    #[test]
    fn files_of_all_names_are_edited_and_given_back() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(name, b"caf\xe9\nport=1\n", 0o640);
                let args = json!({"path": world.at(name), "regexp": "^port=", "line": "port='2'", "backup": true});
                let cycle = world.cycle("lineinfile", &args, &[]);
                assert!(cycle.after[*name].starts_with("0640"));
                assert_eq!(cycle.outcome.result["msg"], Value::from("line replaced"));
                assert!(!cycle.outcome.result["backup"].as_str().unwrap().is_empty());
                std::fs::remove_file(world.root().join(name)).unwrap();
                let args = json!({"path": format!("{}/sub/f", world.at(name)), "line": "x", "create": true, "mode": "0600"});
                let cycle = world.cycle("lineinfile", &args, &[]);
                assert!(
                    cycle.after[&format!("{name}/sub/f")].starts_with("0600"),
                    "{:?}",
                    cycle.after
                );
            }
        });
    }

    #[test]
    fn a_link_leads_to_the_file_that_changes() {
        in_each_shell(|world| {
            world.file("real", "a\n", 0o640);
            world.link("link", "real");
            let cycle = world.cycle(
                "lineinfile",
                &json!({"path": world.at("link"), "line": "b"}),
                &[],
            );
            assert!(
                cycle.after["link"].contains("-> real") && cycle.after["real"].contains("a\\nb")
            );
        });
    }

    #[test]
    fn attributes_alone_are_a_change_too() {
        in_each_shell(|world| {
            world.file("f", "a\n", 0o640);
            let cycle = world.cycle(
                "lineinfile",
                &json!({"path": world.at("f"), "line": "a", "mode": "0600"}),
                &[],
            );
            let msg = "ownership, perms or SE linux context changed";
            assert_eq!(cycle.outcome.result["msg"], Value::from(msg));
            let failure =
                world.refuses("lineinfile", &json!({"path": world.at("no"), "line": "a"}));
            assert_eq!(failure.result["rc"], Value::Int(257));
            let failure = world.refuses("lineinfile", &json!({"path": world.at(""), "line": "a"}));
            assert_eq!(failure.result["rc"], Value::Int(256));
        });
    }
}
