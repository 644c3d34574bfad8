//! `script`: runs a file of the controller on the host.
//!
//! The file travels inside the act's script, not as a stream: a stream may be cut anywhere, and a
//! durable attempt starts only from a whole script. Source: ansible-core 2.19,
//! `plugins/action/script.py`.

use super::command::{finished, last};
use super::result::of_command;
use super::words::{self, Expand};
use super::{
    Act, Change, Decision, Effect, Failure, Foretell, Input, InputKind, Module, Outcome, Resolved,
    Undo,
};
use crate::script::{Reply, Script, quote};
use crate::value::Map;

/// Runs a file of the controller on the host.
///
/// # Returns
/// * `rc`: its exit status.
/// * `stdout`: its output, without line ends at the end.
/// * `stdout_lines`: the same as a list of lines.
/// * `stderr`: its error output, likewise.
/// * `stderr_lines`: the same as a list of lines.
///
/// # Example
/// ```yaml
/// - script: files/prepare.sh --fast
///   args: {creates: /var/lib/prepared}
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct RunScript;

/// Arguments of `script`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptArgs {
    /// The file and its arguments, where they are written as the task's value.
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    /// The file and its arguments, as a line for the host's shell.
    cmd: Option<String>,
    /// The folder to run it in; absolute.
    chdir: Option<String>,
    /// A path; if it exists, the script does not run.
    creates: Option<String>,
    /// A path; if it does not exist, the script does not run.
    removes: Option<String>,
    /// The program that reads the script, with its options. Default: the one its first line names.
    executable: Option<String>,
}

impl ScriptArgs {
    fn line(&self) -> &str {
        let line = self.raw_params.as_deref().or(self.cmd.as_deref());
        line.unwrap_or_default().trim()
    }

    fn file(&self) -> Result<String, String> {
        let words = words::split(self.line())?;
        words
            .into_iter()
            .next()
            .ok_or_else(|| "no file to run is given".to_owned())
    }
}

impl Module for RunScript {
    const NAME: &'static str = "script";
    const EFFECT: Effect = Effect::Once;
    type Args = ScriptArgs;

    fn check(args: &ScriptArgs) -> Result<(), String> {
        match (&args.raw_params, &args.cmd) {
            (None, None) => return Err("one of the following is required: _raw_params, cmd".into()),
            (Some(_), Some(_)) => {
                return Err("parameters are mutually exclusive: _raw_params|cmd".into());
            }
            _ => {}
        }
        if let Some(dir) = args.chdir.as_deref().filter(|dir| !dir.starts_with('/')) {
            return Err(format!(
                "chdir {dir} must be an absolute path for a Unix-aware remote node"
            ));
        }
        args.file().map(drop)
    }

    fn inputs(args: &ScriptArgs) -> Vec<Input> {
        args.file()
            .map(|path| Input {
                path,
                folder: "files",
                kind: InputKind::Content,
            })
            .into_iter()
            .collect()
    }

    fn probe(args: &ScriptArgs, _: &[Resolved]) -> Option<Script> {
        let mut sh = String::new();
        for (name, path) in [("creates", &args.creates), ("removes", &args.removes)] {
            if let Some(path) = path {
                sh.push_str(&format!(
                    "if [ -e {0} ] || [ -L {0} ]; then sb_kv {name} yes; else sb_kv {name} no; fi\n",
                    words::expanding(path, Expand::Variables)
                ));
            }
        }
        (!sh.is_empty()).then(|| Script::new(sh))
    }

    fn decide(args: &ScriptArgs, inputs: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        if let Some(reply) = seen.first() {
            let seen = reply.fields();
            let says = |name: &str, value: &str| seen.get(name).is_some_and(|v| v == value);
            let why = match (&args.creates, &args.removes) {
                (Some(path), _) if says("creates", "yes") => {
                    Some(format!("{path} exists, matching creates option"))
                }
                (_, Some(path)) if says("removes", "no") => {
                    Some(format!("{path} does not exist, matching removes option"))
                }
                _ => None,
            };
            if why.is_some() {
                return Ok(Decision::Unchanged(Outcome {
                    skipped: why,
                    ..Outcome::default()
                }));
            }
        }
        let file = args.file().map_err(Failure::new)?;
        let input = inputs
            .first()
            .ok_or_else(|| Failure::new(format!("could not find `{file}` on the controller")))?;
        let foretell = if args.creates.is_some() || args.removes.is_some() {
            Foretell::Changed(Map::new())
        } else {
            Foretell::Skipped("Check mode is not supported for this task.".into())
        };
        Ok(Decision::Change(Change {
            summary: args.line().to_owned(),
            diff: Vec::new(),
            acts: vec![Act::script(sh(args, &file, input))],
            undo: Undo::Unknown("a script does not say what it changes"),
            foretell,
        }))
    }

    fn finish(
        _: &ScriptArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        finished(of_command(reply, false), reply.rc).map(|mut outcome| {
            outcome.result.shift_remove("msg");
            outcome
        })
    }
}

/// Writes the file to a folder of its own, runs it there under its own name, and removes it.
fn sh(args: &ScriptArgs, file: &str, input: &Resolved) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    let mut sh = format!(
        "SB_dir=$(sb_tmp_dir script) || exit 125\n\
         SB_file=$SB_dir/{}\n\
         trap 'rm -rf \"$SB_dir\"' EXIT\n\
         trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM\n\
         {{\n{}}} >\"$SB_file\" || exit 125\n",
        quote(name),
        printing(&input.bytes)
    );
    if let Some(dir) = &args.chdir {
        sh.push_str(&format!("cd -- {} || exit\n", quote(dir)));
    }
    let starter = match (&args.executable, shebang(&input.bytes)) {
        (Some(program), _) => format!("{program} "),
        (None, Some(words)) => words
            .iter()
            .map(|word| quote(word) + " ")
            .collect::<String>(),
        (None, None) if input.bytes.starts_with(b"\x7fELF") => {
            sh.push_str("chmod 700 \"$SB_file\" || exit 125\n");
            String::new()
        }
        (None, None) => "/bin/sh ".to_owned(),
    };
    sh.push_str(&format!("{starter}\"$SB_file\" {}\n", rest(args.line())));
    sh
}

/// The line after its first word, still as the user wrote it: it is for the host's shell.
fn rest(line: &str) -> &str {
    let mut quoted_by = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quoted_by, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quoted_by = Some(c),
            (Some(q), c) if q == c => quoted_by = None,
            (None, c) if c.is_ascii_whitespace() => return line[at..].trim_start(),
            _ => {}
        }
    }
    ""
}

/// The interpreter and its one argument, as the kernel reads the first line.
fn shebang(bytes: &[u8]) -> Option<Vec<String>> {
    let line = bytes.strip_prefix(b"#!")?;
    let line = line.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    let (program, argument) = match line.split_once([' ', '\t']) {
        Some((program, argument)) => (program, Some(argument.trim())),
        None => (line, None),
    };
    if program.is_empty() {
        return None;
    }
    Some(
        [Some(program), argument]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect(),
    )
}

/// sh that prints exactly these bytes, with a builtin.
fn printing(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => format!("printf %s {}\n", quote(text)),
        _ => bytes
            .chunks(1024)
            .map(|chunk| {
                let octal: String = chunk.iter().map(|b| format!("\\{b:03o}")).collect();
                format!("printf '{octal}'\n")
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::result::strings;
    use super::super::trial::{SHELLS, Trial};
    use super::*;
    use crate::value::Value;

    #[test]
    fn the_file_runs_under_its_own_name_and_is_removed() {
        for shell in SHELLS {
            for (bytes, first) in [
                (&b"#!/bin/bash\necho \"bash ${0##*/} [$1] [$2]\"; ls -ld ${0%/*} | cut -c-10; exit 4\n"[..], "bash"),
                (b"echo \"${BASH:-sh} ${0##*/} [$1] [$2]\"; ls -ld ${0%/*} | cut -c-10; exit 4\n", "sh"),
                (b"#!/bin/bash\necho \"bash ${0##*/} [$1] [$2]\"; ls -ld ${0%/*} | cut -c-10; exit 4\n#\xff\0", "bash"),
            ] {
                let trial = Trial::new(shell).with_input("a b.sh", bytes);
                let ran = trial.run::<RunScript>(serde_json::json!(
                    {"_raw_params": "'a b.sh' \"c d\" $((1+1))"}
                ));
                let failure = ran.result.unwrap_err();
                assert_eq!(failure.result["rc"], Value::Int(4), "{failure:?}");
                assert_eq!(
                    failure.result["stdout_lines"],
                    strings([format!("{first} a b.sh [c d] [2]"), "drwx------".to_owned()])
                );
                let left = trial.sh("ls \"$SB_TMP\"", b"");
                assert_eq!(left.stdout_text(), "");
            }
        }
    }

    #[test]
    fn executable_chdir_and_creates_are_honoured() {
        for shell in SHELLS {
            let trial = Trial::new(shell).with_input("x", b"echo \"$BASH $PWD\"");
            let ran = trial.run::<RunScript>(serde_json::json!(
                {"cmd": "x", "executable": "/bin/bash -u", "chdir": "/usr"}
            ));
            assert_eq!(ran.trips, 1);
            assert_eq!(
                ran.result.unwrap().result["stdout"],
                "/bin/bash /usr\n".into()
            );
            let ran = trial.run::<RunScript>(serde_json::json!({"cmd": "x", "creates": "/etc"}));
            let outcome = ran.result.unwrap();
            assert_eq!(
                outcome.skipped.as_deref(),
                Some("/etc exists, matching creates option")
            );
        }
    }

    #[test]
    fn a_binary_file_is_executed() {
        let bytes = std::fs::read("/usr/bin/dash").unwrap();
        for shell in SHELLS {
            let ran = Trial::new(shell)
                .with_input("prog", &bytes)
                .run::<RunScript>(serde_json::json!({"cmd": "prog -c 'echo \"$0\"' hello"}));
            assert_eq!(ran.result.unwrap().result["stdout"], "hello\n".into());
        }
    }
}
