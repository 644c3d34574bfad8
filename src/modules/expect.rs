//! `expect`: runs a command on a terminal of its own and answers what it asks.
//!
//! The terminal is made by `script` of the host, the output is matched there with awk, whose
//! expressions are made here of Python's. Answers travel in the script's text and go to the
//! terminal by a builtin, so that none shows in a process list. Source: ansible-core 2.19,
//! `modules/expect.py`, and pexpect 4.9, `run.py`.

use indexmap::IndexMap;

use super::command::last;
use super::path_state::word;
use super::result::{fields, lines, strings};
use super::{
    Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo, awk_regex,
    words,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Runs a command and answers what it asks.
///
/// # Returns
/// * `cmd`: the command, as a list or as a line.
/// * `rc`: its exit status.
/// * `stdout`: its output, without line ends at the end.
/// * `stdout_lines`: the same as a list of lines.
/// * `stderr`: its error output, likewise.
/// * `stderr_lines`: the same as a list of lines.
/// * `start`: when it began.
/// * `end`: when it ended.
/// * `delta`: how long it took.
///
/// # Example
/// ```yaml
/// - expect:
///     command: passwd alice
///     responses:
///       "(?i)new password": "{{ new_password }}"
///   no_log: true
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Expect;

/// Arguments of `expect`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectArgs {
    /// The command line. There is no shell.
    command: String,
    /// Expressions with what to answer when the output matches: each time the same, or the items
    /// of a list one after the other.
    responses: IndexMap<String, Answer>,
    /// A path; if it exists, the command does not run.
    creates: Option<String>,
    /// A path; if it does not exist, the command does not run.
    removes: Option<String>,
    /// The folder to run it in.
    chdir: Option<String>,
    /// Seconds to wait for the next match or the end at most; null: forever. Default 30.
    #[serde(default = "default_timeout")]
    timeout: Option<u32>,
    /// Whether the terminal shows the answers. Default false.
    #[serde(default)]
    echo: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "null stands for no limit")]
fn default_timeout() -> Option<u32> {
    Some(30)
}

/// What is answered.
#[derive(Clone, Debug, schemars::JsonSchema)]
#[schemars(untagged)]
enum Answer {
    Same(String),
    Each(Vec<String>),
}

impl<'de> serde::Deserialize<'de> for Answer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Bool(true) => "True".to_owned(),
            serde_json::Value::Bool(false) => "False".to_owned(),
            serde_json::Value::Null => "None".to_owned(),
            other => other.to_string(),
        };
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Array(items) => Self::Each(items.iter().map(text).collect()),
            other => Self::Same(text(&other)),
        })
    }
}

/// Marks that the script alone writes to its standard error.
const NOT_FOUND: &str = "switchback: not found";
const NO_SCRIPT: &str = "switchback: no script";
const TIMED_OUT: &str = "switchback: timed out";
const NO_ANSWER: &str = "switchback: no answer ";

impl ExpectArgs {
    fn words(&self) -> Result<Vec<String>, String> {
        let words = words::split(&self.command)?;
        if words.is_empty() {
            return Err("no command given".into());
        }
        Ok(words)
    }

    /// The expressions as awk reads them.
    fn patterns(&self) -> Result<Vec<String>, String> {
        self.responses
            .keys()
            .map(|pattern| awk_regex::of_python(pattern))
            .collect()
    }

    /// Lines of a `case` that put the answer to pattern `SB_at` into `SB_say`.
    fn answers(&self) -> String {
        let one = |text: &str| quote(text.trim_end_matches('\n'));
        let mut sh = String::from("case $SB_at in\n");
        for (i, answer) in self.responses.values().enumerate() {
            let n = i + 1;
            match answer {
                Answer::Same(text) => sh.push_str(&format!("{n}) SB_say={} ;;\n", one(text))),
                Answer::Each(texts) => {
                    sh.push_str(&format!(
                        "{n}) SB_turn{n}=$((${{SB_turn{n}-0}} + 1))\ncase $SB_turn{n} in\n"
                    ));
                    for (turn, text) in texts.iter().enumerate() {
                        sh.push_str(&format!("{}) SB_say={} ;;\n", turn + 1, one(text)));
                    }
                    sh.push_str(&format!("*) SB_end='{NO_ANSWER}{n}' ;;\nesac ;;\n"));
                }
            }
        }
        sh.push_str("esac\n");
        sh
    }

    fn script(&self) -> Result<String, String> {
        let words: Vec<String> = self.words()?.iter().map(|word| quote(word)).collect();
        let mut sh = String::new();
        if let Some(dir) = &self.chdir {
            sh.push_str(&format!("cd -- {} || exit 1\n", word(dir)));
        }
        sh.push_str(&format!("set -- {}\n", words.join(" ")));
        for (i, pattern) in self.patterns()?.iter().enumerate() {
            sh.push_str(&format!("export SB_re{}={}\n", i + 1, quote(pattern)));
        }
        sh.push_str(&format!(
            "export SB_count={}\nSB_limit={}\nSB_echo={}\n",
            self.responses.len(),
            self.timeout.map_or(String::new(), |s| s.to_string()),
            if self.echo { "echo" } else { "-echo" },
        ));
        let (before, after) = TALK.split_once("ANSWERS\n").unwrap_or((TALK, ""));
        sh.push_str(before);
        sh.push_str(&self.answers());
        sh.push_str(after);
        Ok(sh)
    }

    /// The result, where `creates` or `removes` says that there is nothing to run.
    fn skipped(&self, reply: &Reply) -> Option<Map> {
        let seen = reply.fields();
        let is_there = |name: &str| seen.get(name).is_some_and(|v| v == "yes");
        let stdout = match (&self.creates, &self.removes) {
            (Some(path), _) if is_there("creates") => format!("skipped, since {path} exists"),
            (_, Some(path)) if !is_there("removes") => {
                format!("skipped, since {path} does not exist")
            }
            _ => return None,
        };
        Some(fields([
            ("cmd", self.command.as_str().into()),
            ("stdout_lines", strings([stdout.clone()])),
            ("stdout", stdout.into()),
            ("rc", Value::Int(0)),
        ]))
    }

    fn result(&self, rc: Value, reply: &Reply) -> Map {
        let stdout = reply.stdout_text();
        let stdout = stdout.trim_end_matches(['\r', '\n']);
        fields([
            ("cmd", self.command.as_str().into()),
            ("stdout", stdout.into()),
            ("stdout_lines", lines(stdout)),
            ("rc", rc),
        ])
    }
}

/// Bytes as Python shows them.
fn python_bytes(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        '"'
    } else {
        '\''
    };
    let mut out = format!("b{quote}");
    for byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            byte if char::from(*byte) == quote => out.extend(['\\', quote]),
            0x20..=0x7e => out.push(char::from(*byte)),
            byte => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
    out
}

/// The conversation. `$@` is the command.
const TALK: &str = include_str!("expect.sh");

impl Module for Expect {
    const NAME: &'static str = "expect";
    const EFFECT: Effect = Effect::Once;
    const LONG: bool = true;
    type Args = ExpectArgs;

    fn check(args: &ExpectArgs) -> Result<(), String> {
        args.script().map(drop)
    }

    fn probe(args: &ExpectArgs, _: &[Resolved]) -> Option<Script> {
        let paths = [("creates", &args.creates), ("removes", &args.removes)];
        if paths.iter().all(|(_, path)| path.is_none()) {
            return None;
        }
        let mut sh = String::new();
        if let Some(dir) = &args.chdir {
            sh.push_str(&format!("cd -- {} || exit 1\n", word(dir)));
        }
        for (name, path) in paths {
            if let Some(path) = path {
                sh.push_str(&format!(
                    "if [ -e {} ]; then sb_kv {name} yes; else sb_kv {name} no; fi\n",
                    word(path)
                ));
            }
        }
        Some(Script::new(sh))
    }

    fn decide(args: &ExpectArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        if let Some(reply) = seen.first() {
            if reply.rc != 0 {
                return Err(Failure::of_reply("the folder cannot be entered", reply));
            }
            if let Some(result) = args.skipped(reply) {
                return Ok(Decision::Unchanged(Outcome::ok(result)));
            }
        }
        Ok(Decision::Change(Change {
            summary: args.command.clone(),
            diff: Vec::new(),
            acts: vec![Act::script(args.script().map_err(Failure::new)?)],
            undo: Undo::Unknown("a command does not say what it changes"),
            foretell: Foretell::Skipped(
                "remote module (expect) does not support check mode".into(),
            ),
        }))
    }

    fn finish(
        args: &ExpectArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        let stderr = reply.stderr_text();
        let stderr = stderr.trim();
        let failed = |msg: String, is_changed: bool, result: Map| Failure {
            msg,
            is_changed,
            result,
            ..Failure::default()
        };
        if stderr == NOT_FOUND {
            let program = args.words().map(|words| words[0].clone());
            return Err(Failure::new(format!(
                "The command was not found or was not executable: {}.",
                program.unwrap_or_default()
            )));
        }
        if stderr == NO_SCRIPT {
            return Err(Failure::new(
                "the host has no `script` (of util-linux) or no `awk`, which `expect` needs to \
                 give the command a terminal",
            ));
        }
        if let Some(n) = stderr.strip_prefix(NO_ANSWER) {
            let question = n.parse().ok().and_then(|n: usize| {
                let (question, _) = args.responses.get_index(n.checked_sub(1)?)?;
                Some(question.as_str())
            });
            return Err(failed(
                format!(
                    "No remaining responses for '{}', output was '{}'",
                    question.unwrap_or_default(),
                    python_bytes(&reply.stdout)
                ),
                // As in Ansible, which gives up before it says so.
                false,
                Map::new(),
            ));
        }
        if stderr == TIMED_OUT {
            return Err(failed(
                "command exceeded timeout".into(),
                true,
                args.result(Value::Null, reply),
            ));
        }
        let result = args.result(reply.rc.into(), reply);
        if reply.rc != 0 {
            return Err(failed("non-zero return code".into(), true, result));
        }
        Ok(Outcome::changed(result))
    }
}

#[cfg(test)]
mod tests;
