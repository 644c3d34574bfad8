//! `replace`: replaces all matches of an expression in a file.
//!
//! Source: ansible-core 2.19, `modules/replace.py`, `main`.

use super::file_args::file_args;
use super::python_regex::{Flags, Pattern, from_bytes, to_bytes};
use super::text_edit::{Edit, Text, finish, probe};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// Replaces all matches of an expression in a file.
///
/// # Returns
/// * `msg`: how many matches were replaced.
/// * `rc`: 0.
/// * `backup_file`: the copy of the old file, with `backup`.
///
/// # Example
/// ```yaml
/// - replace:
///     path: /etc/app.conf
///     regexp: 'old\.example\.org'
///     replace: new.example.org
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Replace;

file_args! {
    /// Arguments of `replace`.
    struct ReplaceArgs {
        /// The file.
        #[serde(alias = "dest", alias = "destfile", alias = "name")]
        path: String,
        /// What to look for; `^` and `$` match at each line.
        regexp: String,
        /// What to put there, with back-references; empty removes.
        #[serde(default)]
        replace: String,
        /// Only what comes after this expression is looked at.
        after: Option<String>,
        /// Only what comes before this expression is looked at.
        before: Option<String>,
        /// Whether a copy of the old file is left beside it.
        #[serde(default)]
        backup: bool,
        /// A command that must accept the new file first; `%s` in it stands for the file.
        validate: Option<String>,
        /// How the file is encoded; only `utf-8` can be had (other bytes stay as they are).
        encoding: Option<String>,
    }
}

/// What came of looking at a text.
enum Found {
    /// `before` and `after` do not match; the expression they make.
    NoSection(String),
    /// The new text and the number of replacements.
    Replaced(String, usize),
}

impl ReplaceArgs {
    fn run(&self, text: &str, bytes: bool) -> Result<Found, String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let section = match (given(&self.after), given(&self.before)) {
            (Some(after), Some(before)) => Some(format!("{after}(?P<subsection>.*?){before}")),
            (Some(after), None) => Some(format!("{after}(?P<subsection>.*)")),
            (None, Some(before)) => Some(format!("(?P<subsection>.*){before}")),
            (None, None) => None,
        };
        let mut span = (0, text.len());
        if let Some(section) = section {
            let flags = Flags {
                dotall: true,
                bytes,
                ..Flags::default()
            };
            let found = Pattern::new(&section, flags)?.search(text)?;
            match found.and_then(|found| found.name("subsection").map(|s| (s.start(), s.end()))) {
                Some(found) => span = found,
                None => return Ok(Found::NoSection(section)),
            }
        }
        let flags = Flags {
            multiline: true,
            bytes,
            ..Flags::default()
        };
        let template = if bytes {
            from_bytes(self.replace.as_bytes())
        } else {
            self.replace.clone()
        };
        let (middle, count) = Pattern::new(&self.regexp, flags)?
            .subn(&template, &text[span.0..span.1])
            .map_err(|why| format!("Unable to process replace due to error: {why}"))?;
        let new = format!("{}{middle}{}", &text[..span.0], &text[span.1..]);
        Ok(Found::Replaced(new, count))
    }
}

impl Module for Replace {
    const NAME: &'static str = "replace";
    const EFFECT: Effect = Effect::Converges;
    type Args = ReplaceArgs;

    fn check(args: &ReplaceArgs) -> Result<(), String> {
        args.wanted().check()?;
        let encoding = args
            .encoding
            .as_deref()
            .unwrap_or("utf-8")
            .to_ascii_lowercase();
        if !matches!(encoding.as_str(), "utf-8" | "utf8" | "utf_8" | "ascii") {
            return Err(format!(
                "`encoding: {encoding}` is not supported, only utf-8 is"
            ));
        }
        Ok(())
    }

    fn probe(args: &ReplaceArgs, _: &[Resolved]) -> Option<Script> {
        Some(probe(&args.path, &args.wanted()))
    }

    fn decide(args: &ReplaceArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let text = Text::read(&seen[0])?;
        let Some(content) = text.content else {
            let mut failed = Failure::new(format!("Path {} does not exist !", text.path));
            failed.result.insert("rc".into(), Value::Int(257));
            return Err(failed);
        };
        let rc = Map::from([("rc".into(), Value::Int(0))]);
        // What is not UTF-8 is matched byte by byte, so that all other bytes stay as they are.
        let (old, bytes) = match std::str::from_utf8(content) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (from_bytes(content), true),
        };
        let (new, count) = match args.run(&old, bytes).map_err(Failure::new)? {
            Found::Replaced(new, count) => (new, count),
            Found::NoSection(section) => {
                let msg = format!(
                    "Pattern for before/after params did not match the given file: {section}"
                );
                let mut result = rc;
                result.insert("msg".into(), msg.into());
                return Ok(Decision::Unchanged(Outcome::ok(result)));
            }
        };
        let is_changed = count > 0 && new != old;
        text.decide(&Edit {
            msg: if is_changed {
                format!("{count} replacements made")
            } else {
                String::new()
            },
            content: is_changed.then(|| {
                if bytes {
                    to_bytes(&new)
                } else {
                    new.into_bytes()
                }
            }),
            result: rc,
            wanted: args.wanted(),
            backup: args.backup,
            validate: args.validate.as_deref(),
            heading: "",
            follows: true,
            tells_attributes: true,
        })
    }

    fn finish(
        _: &ReplaceArgs,
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
    use super::{Found, ReplaceArgs};
    use crate::value::{Value, from_value};

    /// The expected texts are what ansible-core 2.19's module wrote.
    #[test]
    fn matches_are_replaced_as_in_ansible() {
        for (args, content, expected) in [
            (
                json!({"regexp": "(\\s+)old(\\s+.*)?$", "replace": "\\1new\\2"}),
                "a old b\nc old\n",
                "a new b\nc new\n",
            ),
            (
                json!({"regexp": "^(.+)$", "replace": "# \\1", "after": "two"}),
                "one\ntwo\nthree\nfour\n",
                "one\ntwo\n# three\n# four\n",
            ),
            (
                json!({"regexp": "^(.+)$", "replace": "# \\1", "before": "two"}),
                "one\ntwo\nthree\n",
                "# one\ntwo\nthree\n",
            ),
            (
                json!({"regexp": "^(.+)$", "replace": "# \\g<1>", "after": "(?m)^<V>", "before": "</V>"}),
                "x\n<V>\na\n</V>\nz\n",
                "x\n<V>\n# a\n</V>\nz\n",
            ),
            (
                json!({"regexp": "\\b(localhost)(\\d*)\\b", "replace": "\\1\\2.d\\2"}),
                "localhost2 x\n",
                "localhost2.d2 x\n",
            ),
            (json!({"regexp": "^#.*\n"}), "#a\nb\n#c\n", "b\n"),
            (json!({"regexp": "x", "replace": "y"}), "abc\n", "abc\n"),
        ] {
            let mut args = args;
            args["path"] = json!("/x");
            let parsed: ReplaceArgs = from_value(&Value::from_json(args.clone())).unwrap();
            let Found::Replaced(new, _) = parsed.run(content, false).unwrap() else {
                panic!("{args} found no section");
            };
            assert_eq!(new, expected, "{args} on {content:?}");
        }
    }

    #[test]
    fn files_of_all_names_are_edited_and_given_back() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(name, b"caf\xe9 1\nport 1\n", 0o640);
                let args =
                    json!({"path": world.at(name), "regexp": "^port \\d", "replace": "port '2'"});
                let cycle = world.cycle("replace", &args, &[]);
                assert_eq!(
                    cycle.outcome.result["msg"],
                    Value::from("1 replacements made")
                );
                let args = json!({"path": world.at(name), "regexp": "x", "after": "nowhere"});
                let msg = world.unchanged("replace", &args, &[]).result["msg"].clone();
                assert!(
                    msg.as_str()
                        .unwrap()
                        .starts_with("Pattern for before/after"),
                    "{msg:?}"
                );
            }
        });
    }
}
