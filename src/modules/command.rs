//! `command`: runs a program without a shell; and what `shell` shares with it.
//!
//! The program is executed in place of the script's own subshell, so a task costs one fork. Source:
//! ansible-core 2.19, `modules/command.py` and `module_utils/basic.py` (`run_command`).

use super::result::{fields, of_command, strings, with_output};
use super::words::{self, Expand};
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Runs a program with its arguments, without a shell.
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
/// - command: /usr/bin/pg_dump --version
///   register: version
///   changed_when: false
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Command;

/// Arguments of `command` and `shell`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandArgs {
    /// The command line, where it is written as the task's value.
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    /// The command line.
    cmd: Option<String>,
    /// The command as a list of words.
    argv: Option<Vec<String>>,
    /// The folder to run it in.
    chdir: Option<String>,
    /// A path or pattern; if it exists, the command does not run.
    pub(super) creates: Option<String>,
    /// A path or pattern; if it does not exist, the command does not run.
    pub(super) removes: Option<String>,
    /// The shell to use (`shell` only; `command` ignores it, as Ansible does). Default `/bin/sh`.
    executable: Option<String>,
    /// What the command reads.
    stdin: Option<String>,
    /// Whether a line end is added to `stdin`. Default true.
    stdin_add_newline: Option<bool>,
    /// Whether line ends at the end of the output are taken off. Default true.
    strip_empty_ends: Option<bool>,
    /// Whether `$NAME` and `~` in the words are replaced (`command` only). Default true.
    expand_argument_vars: Option<bool>,
}

/// What the task runs.
enum Line<'a> {
    Words(Vec<String>),
    Text(&'a str),
}

/// What the script writes to its standard error, alone, where the command could not be started.
const NOT_STARTED: &str = "switchback: not started: ";
const NO_CHDIR: &str = "Unable to change directory before execution.";

impl CommandArgs {
    pub(super) fn check(&self) -> Result<(), String> {
        let given = [
            self.raw_params.is_some(),
            self.cmd.is_some(),
            self.argv.is_some(),
        ];
        match given.iter().filter(|is| **is).count() {
            0 => Err("one of the following is required: _raw_params, cmd, argv".into()),
            1 => Ok(()),
            _ => Err("parameters are mutually exclusive: _raw_params|cmd|argv".into()),
        }
    }

    fn text(&self) -> Option<&str> {
        self.raw_params.as_deref().or(self.cmd.as_deref())
    }

    fn words(&self) -> Result<Vec<String>, String> {
        let words = match self.text() {
            Some(text) => words::split(text)?,
            None => self.argv.clone().unwrap_or_default(),
        };
        if words.is_empty() {
            return Err("no command given".into());
        }
        Ok(words)
    }

    fn probe(&self) -> Option<Script> {
        probe_paths(
            self.chdir.as_deref(),
            self.creates.as_deref(),
            self.removes.as_deref(),
        )
    }

    fn script(&self, line: &Line<'_>) -> String {
        let mut sh = String::new();
        if let Some(dir) = &self.chdir {
            sh.push_str(&enter(dir));
        }
        let start = match line {
            Line::Words(words) => {
                let expands = self.expand_argument_vars.unwrap_or(true);
                let words: Vec<String> = words
                    .iter()
                    .map(|word| {
                        if expands {
                            words::expanding(word, Expand::Variables)
                        } else {
                            quote(word)
                        }
                    })
                    .collect();
                sh.push_str(&format!("set -- {}\n{FIND_PROGRAM}", words.join(" ")));
                "exec \"$@\"".to_owned()
            }
            Line::Text(text) => format!(
                "exec {} -c {}",
                quote(self.executable.as_deref().unwrap_or("/bin/sh")),
                quote(text)
            ),
        };
        match &self.stdin {
            Some(text) => {
                let end = if self.stdin_add_newline.unwrap_or(true) {
                    "\\n"
                } else {
                    ""
                };
                sh.push_str(&format!(
                    "printf '%s{end}' {} 2>/dev/null | {{ {start}; }}\n",
                    quote(text)
                ));
            }
            None => sh.push_str(&format!("{start}\n")),
        }
        sh
    }

    fn shown(line: &Line<'_>) -> (Value, String) {
        match line {
            Line::Text(text) => ((*text).into(), (*text).to_owned()),
            Line::Words(words) => (strings(words.iter().cloned()), joined(words)),
        }
    }

    fn decide(&self, line: &Line<'_>, seen: &[Reply]) -> Result<Decision, Failure> {
        let (cmd, text) = Self::shown(line);
        if let Some(reply) = seen.first() {
            let seen = reply.fields();
            if seen.contains_key("no_chdir") {
                return Err(no_chdir(cmd));
            }
            if let Some(skipped) = self.skipped(&seen) {
                return Ok(Decision::Unchanged(Outcome::ok(with_cmd(cmd, skipped))));
            }
        }
        let foretold = "Command would have run if not in check mode";
        let foretell = if self.creates.is_none() && self.removes.is_none() {
            Foretell::Skipped(foretold.into())
        } else {
            let mut result = with_cmd(cmd, with_output(Value::Int(0), "", ""));
            result.insert("msg".into(), foretold.into());
            Foretell::Changed(result)
        };
        Ok(Decision::Change(Change {
            summary: text,
            diff: Vec::new(),
            acts: vec![Act::script(self.script(line))],
            undo: Undo::Unknown("a command does not say what it changes"),
            foretell,
        }))
    }

    /// The result, where `creates` or `removes` says that there is nothing to run.
    fn skipped(&self, seen: &std::collections::BTreeMap<String, String>) -> Option<Map> {
        let (path, why) = match (&self.creates, &self.removes) {
            (Some(path), _) if seen.get("creates").is_some_and(|v| v == "yes") => (path, "exists"),
            (_, Some(path)) if seen.get("removes").is_some_and(|v| v == "no") => {
                (path, "does not exist")
            }
            _ => return None,
        };
        let mut result = with_output(Value::Int(0), &format!("skipped, since {path} {why}"), "");
        result.insert(
            "msg".into(),
            format!("Did not run command since '{path}' {why}").into(),
        );
        Some(result)
    }

    fn finish(&self, line: &Line<'_>, replies: &[Reply]) -> Result<Outcome, Failure> {
        let (cmd, text) = Self::shown(line);
        let reply = last(replies)?;
        if let Some(why) = not_started(reply) {
            if why == NO_CHDIR {
                return Err(no_chdir(cmd));
            }
            let mut result = with_cmd(text.into(), with_output(reply.rc.into(), "", ""));
            result.insert("exception".into(), why.into());
            return Err(Failure {
                msg: "Error executing command.".into(),
                is_changed: false,
                result,
                ..Failure::default()
            });
        }
        finished(
            with_cmd(
                cmd,
                of_command(reply, self.strip_empty_ends.unwrap_or(true)),
            ),
            reply.rc,
        )
    }
}

/// Fails the script, as no program could be started, where `$1` is not to be found: like
/// `execvp`, and with builtins only.
const FIND_PROGRAM: &str = r#"SB_found= SB_errno='2] No such file or directory'
case $1 in
*/*)
  if [ -d "$1" ]; then SB_errno='13] Permission denied'
  elif [ -x "$1" ]; then SB_found=1
  elif [ -e "$1" ]; then SB_errno='13] Permission denied'
  fi ;;
?*)
  SB_ifs=$IFS IFS=:
  set -f
  for SB_dir in $PATH; do
    [ -f "${SB_dir:-.}/$1" ] || continue
    [ -x "${SB_dir:-.}/$1" ] && SB_found=1 && break
    SB_errno='13] Permission denied'
  done
  set +f
  IFS=$SB_ifs ;;
esac
if [ -z "$SB_found" ]; then
  printf '%s[Errno %s: %s\n' 'switchback: not started: ' "$SB_errno" "b'$1'" >&2
  exit "${SB_errno%%]*}"
fi
unset SB_found SB_errno SB_ifs SB_dir
"#;

/// Changes to a folder or fails the script as not started.
pub(super) fn enter(dir: &str) -> String {
    format!(
        "cd -P -- {} 2>/dev/null || {{ printf '%s\\n' {} >&2; exit 2; }}\n",
        words::expanding(dir, Expand::Variables),
        quote(&format!("{NOT_STARTED}{NO_CHDIR}"))
    )
}

/// Asks whether the patterns `creates` and `removes` match; `None` where neither is given.
pub(super) fn probe_paths(
    chdir: Option<&str>,
    creates: Option<&str>,
    removes: Option<&str>,
) -> Option<Script> {
    if creates.is_none() && removes.is_none() {
        return None;
    }
    let mut sh = String::new();
    if let Some(dir) = chdir {
        sh.push_str(&format!(
            "cd -P -- {} 2>/dev/null || {{ sb_kv no_chdir yes; exit 0; }}\n",
            words::expanding(dir, Expand::Variables)
        ));
    }
    for (name, pattern) in [("creates", creates), ("removes", removes)] {
        if let Some(pattern) = pattern {
            sh.push_str(&format!(
                "set -- {}\nif [ -e \"$1\" ] || [ -L \"$1\" ]; then sb_kv {name} yes; else sb_kv {name} no; fi\n",
                words::expanding(pattern, Expand::VariablesAndGlobs)
            ));
        }
    }
    Some(Script::new(sh))
}

/// Why the script could not start the program, where that is what its reply says.
fn not_started(reply: &Reply) -> Option<String> {
    if !reply.stdout.is_empty() {
        return None;
    }
    let stderr = reply.stderr_text();
    let why = stderr.strip_prefix(NOT_STARTED)?.strip_suffix('\n')?;
    Some(why.to_owned())
}

fn no_chdir(cmd: Value) -> Failure {
    Failure {
        msg: NO_CHDIR.into(),
        is_changed: false,
        result: with_cmd(cmd, with_output(Value::Null, "", "")),
        ..Failure::default()
    }
}

fn with_cmd(cmd: Value, mut result: Map) -> Map {
    result.insert("cmd".into(), cmd);
    result
}

/// The reply of the last act that ran.
pub(super) fn last(replies: &[Reply]) -> Result<&Reply, Failure> {
    replies
        .last()
        .ok_or_else(|| Failure::new("the host gave no answer"))
}

/// The outcome of a command that ran: changed, and failed if its status is not 0.
pub(super) fn finished(mut result: Map, rc: i32) -> Result<Outcome, Failure> {
    if rc == 0 {
        result.extend(fields([("msg", "".into())]));
        return Ok(Outcome::changed(result));
    }
    Err(Failure {
        msg: "non-zero return code".into(),
        is_changed: true,
        result,
        ..Failure::default()
    })
}

/// Words as one line, quoted where they need it.
pub(super) fn joined(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

impl Module for Command {
    const NAME: &'static str = "command";
    const EFFECT: Effect = Effect::Once;
    type Args = CommandArgs;

    fn check(args: &CommandArgs) -> Result<(), String> {
        args.check()?;
        args.words().map(drop)
    }

    fn probe(args: &CommandArgs, _: &[Resolved]) -> Option<Script> {
        args.probe()
    }

    fn decide(args: &CommandArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let words = args.words().map_err(Failure::new)?;
        args.decide(&Line::Words(words), seen)
    }

    fn finish(
        args: &CommandArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let words = args.words().map_err(Failure::new)?;
        let warning = args.executable.as_deref().map(no_executable);
        match (args.finish(&Line::Words(words), replies), warning) {
            (Ok(mut outcome), Some(warning)) => {
                outcome.result.insert("warnings".into(), strings([warning]));
                Ok(outcome)
            }
            (Err(mut failure), Some(warning)) => {
                failure.result.insert("warnings".into(), strings([warning]));
                Err(failure)
            }
            (result, None) => result,
        }
    }
}

/// The warning of a `command` with a shell.
fn no_executable(shell: &str) -> String {
    format!(
        "As of Ansible 2.4, the parameter 'executable' is no longer supported with the 'command' \
         module. Not using '{shell}'."
    )
}

/// Runs a command line with a shell.
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
/// - shell: ls /var/log | wc -l
///   args: {chdir: /var}
///   register: logs
///   changed_when: false
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Shell;

impl CommandArgs {
    fn shell_line(&self) -> Result<String, Failure> {
        match (self.text(), &self.argv) {
            (Some(text), _) => Ok(text.to_owned()),
            (None, Some(words)) => Ok(joined(words)),
            (None, None) => Err(Failure::new("no command given")),
        }
    }
}

impl Module for Shell {
    const NAME: &'static str = "shell";
    const EFFECT: Effect = Effect::Once;
    type Args = CommandArgs;

    fn check(args: &CommandArgs) -> Result<(), String> {
        if args.expand_argument_vars.is_some() {
            return Err("Unsupported parameters for (shell) module: expand_argument_vars".into());
        }
        args.check()
    }

    fn probe(args: &CommandArgs, _: &[Resolved]) -> Option<Script> {
        args.probe()
    }

    fn decide(args: &CommandArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        args.decide(&Line::Text(&args.shell_line()?), seen)
    }

    fn finish(
        args: &CommandArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        args.finish(&Line::Text(&args.shell_line()?), replies)
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;

    #[test]
    fn a_command_gives_what_ansible_gives() {
        for shell in SHELLS {
            let ran = Trial::new(shell).run::<Command>(
                serde_json::json!({"_raw_params": "printf '%s|' \"a b\" $HOME '$UNSET' '*'"}),
            );
            assert_eq!(ran.trips, 1);
            let outcome = ran.result.unwrap();
            assert!(outcome.is_changed);
            let home = std::env::var("HOME").unwrap();
            assert_eq!(
                outcome.result["stdout"],
                format!("a b|{home}|$UNSET|*|").into(),
                "{shell:?}"
            );
            assert_eq!(outcome.result["rc"], Value::Int(0));
            assert_eq!(
                outcome.result["cmd"],
                strings(["printf", "%s|", "a b", "$HOME", "$UNSET", "*"])
            );
        }
    }

    #[test]
    fn a_failing_command_keeps_its_status_and_output() {
        for shell in SHELLS {
            let ran = Trial::new(shell)
                .run::<Shell>(serde_json::json!({"cmd": "echo out; echo err >&2; exit 3"}));
            let failure = ran.result.unwrap_err();
            assert_eq!(failure.msg, "non-zero return code");
            assert!(failure.is_changed);
            assert_eq!(failure.result["rc"], Value::Int(3));
            assert_eq!(failure.result["stdout_lines"], strings(["out"]));
            assert_eq!(failure.result["stderr"], "err".into());
        }
    }

    #[test]
    fn a_program_that_is_not_there_gives_pythons_errno() {
        for shell in SHELLS {
            for (line, rc, why) in [
                (
                    "no-such a b",
                    2,
                    "[Errno 2] No such file or directory: b'no-such'",
                ),
                ("cd /", 2, "[Errno 2] No such file or directory: b'cd'"),
                ("./no", 2, "[Errno 2] No such file or directory: b'./no'"),
                (
                    "/etc/passwd",
                    13,
                    "[Errno 13] Permission denied: b'/etc/passwd'",
                ),
                ("/etc", 13, "[Errno 13] Permission denied: b'/etc'"),
            ] {
                let ran = Trial::new(shell).run::<Command>(serde_json::json!({"cmd": line}));
                let failure = ran.result.unwrap_err();
                assert_eq!(failure.msg, "Error executing command.", "{shell:?} {line}");
                assert!(!failure.is_changed);
                assert_eq!(failure.result["rc"], Value::Int(rc), "{shell:?} {line}");
                assert_eq!(failure.result["exception"], why.into());
                assert_eq!(failure.result["cmd"], line.into());
            }
        }
    }

    #[test]
    fn stdin_reaches_the_command_as_written() {
        for shell in SHELLS {
            for (add, expected) in [(true, "a'b\n\\n $x\n"), (false, "a'b\n\\n $x")] {
                let ran = Trial::new(shell).run::<Command>(serde_json::json!({
                    "argv": ["cat"], "stdin": "a'b\n\\n $x", "stdin_add_newline": add,
                    "strip_empty_ends": false,
                }));
                assert_eq!(ran.result.unwrap().result["stdout"], expected.into());
            }
            let unread = Trial::new(shell)
                .run::<Command>(serde_json::json!({"cmd": "true", "stdin": "x".repeat(200_000)}));
            assert_eq!(unread.result.unwrap().result["stderr"], "".into());
        }
    }

    #[test]
    fn creates_and_removes_decide_before_anything_runs() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a b.txt"), "").unwrap();
        let at = dir.path().to_str().unwrap();
        for shell in SHELLS {
            let run = |args: serde_json::Value| Trial::new(shell).run::<Command>(args);
            let ran = run(serde_json::json!(
                {"cmd": "false", "creates": "a *.txt", "chdir": at}
            ));
            assert_eq!(ran.trips, 1);
            let outcome = ran.result.unwrap();
            assert!(!outcome.is_changed);
            assert_eq!(
                outcome.result["stdout"],
                "skipped, since a *.txt exists".into()
            );
            assert_eq!(
                outcome.result["msg"],
                "Did not run command since 'a *.txt' exists".into()
            );
            let ran = run(serde_json::json!({"cmd": "false", "removes": "none*", "chdir": at}));
            assert_eq!(
                ran.result.unwrap().result["stdout"],
                "skipped, since none* does not exist".into()
            );
            let ran = run(serde_json::json!(
                {"cmd": "true", "removes": "a [a-c].txt", "creates": "x", "chdir": at}
            ));
            assert_eq!(ran.trips, 2);
            assert!(ran.result.unwrap().is_changed);
            let ran = run(serde_json::json!({"cmd": "pwd", "chdir": "/no such"}));
            let failure = ran.result.unwrap_err();
            assert_eq!(failure.msg, NO_CHDIR);
            assert_eq!(failure.result["rc"], Value::Null);
        }
    }

    #[test]
    fn a_shell_line_runs_in_its_own_shell() {
        for shell in SHELLS {
            let ran = Trial::new(shell).run::<Shell>(
                serde_json::json!({"_raw_params": "x=1; echo \"$0 $x\" | cat; echo ~", "chdir": "/"}),
            );
            let home = std::env::var("HOME").unwrap();
            assert_eq!(
                ran.result.unwrap().result["stdout_lines"],
                strings(["/bin/sh 1".to_owned(), home])
            );
            let ran = Trial::new(shell)
                .run::<Shell>(serde_json::json!({"cmd": "echo $BASH", "executable": "/bin/bash"}));
            assert_eq!(ran.result.unwrap().result["stdout"], "/bin/bash".into());
        }
    }

    #[test]
    fn check_mode_skips_unless_creates_decides() {
        let trial = Trial::new(SHELLS[0]);
        let change = trial
            .decide::<Command>(serde_json::json!({"cmd": "ls"}))
            .unwrap();
        assert_eq!(
            change.foretell,
            Foretell::Skipped("Command would have run if not in check mode".into())
        );
        let change = trial
            .decide::<Command>(serde_json::json!({"cmd": "ls", "creates": "/no/such"}))
            .unwrap();
        assert!(matches!(change.foretell, Foretell::Changed(_)));
    }

    #[test]
    fn arguments_are_checked() {
        for (args, message) in [
            (
                serde_json::json!({}),
                "one of the following is required: _raw_params, cmd, argv",
            ),
            (
                serde_json::json!({"cmd": "a", "argv": ["b"]}),
                "parameters are mutually exclusive: _raw_params|cmd|argv",
            ),
            (serde_json::json!({"cmd": "a 'b"}), "No closing quotation"),
            (serde_json::json!({"cmd": " "}), "no command given"),
        ] {
            assert_eq!(Trial::refusal::<Command>(args), message);
        }
    }
}
