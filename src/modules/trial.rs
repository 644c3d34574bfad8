//! Runs a module on this machine under a given shell, as the engine would, for tests.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Act, Change, Decision, Failure, Module, Outcome, Resolved, Source, Undo};
use crate::script::{PRELUDE, Reply};
use crate::value::{Value, from_value};

/// The shells that every script must run under.
pub(super) const SHELLS: &[&[&str]] = &[&["dash"], &["busybox", "sh"], &["bash", "--posix"]];

/// One target: a shell with its environment.
pub(super) struct Trial {
    shell: &'static [&'static str],
    path: Option<String>,
    inputs: Vec<Resolved>,
    keep: tempfile::TempDir,
}

/// What a whole step gave.
pub(super) struct Ran {
    /// Round trips to the host.
    pub(super) trips: usize,
    /// What the engine would report.
    pub(super) result: Result<Outcome, Failure>,
    /// The change, where one was decided.
    pub(super) change: Option<Change>,
}

impl Trial {
    pub(super) fn new(shell: &'static [&'static str]) -> Self {
        Self {
            shell,
            path: None,
            inputs: Vec::new(),
            keep: tempfile::tempdir().unwrap(),
        }
    }

    /// With this `PATH` on the host.
    pub(super) fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// With this file of the controller.
    pub(super) fn with_input(mut self, name: &str, bytes: &[u8]) -> Self {
        self.inputs.push(Resolved {
            path: PathBuf::from(name),
            bytes: bytes.to_vec(),
            size: bytes.len() as u64,
            mode: 0o644,
            ..Resolved::default()
        });
        self
    }

    /// The arguments, or why they are refused.
    fn args<M: Module>(args: serde_json::Value) -> Result<M::Args, String> {
        let args: M::Args = from_value(&Value::from_json(args))?;
        M::check(&args)?;
        Ok(args)
    }

    /// Why the arguments are refused.
    pub(super) fn refusal<M: Module>(args: serde_json::Value) -> String {
        match Self::args::<M>(args) {
            Ok(_) => panic!("the arguments were not refused"),
            Err(message) => message,
        }
    }

    /// The change that is decided; fails the test where none is.
    pub(super) fn decide<M: Module>(&self, args: serde_json::Value) -> Result<Change, Failure> {
        let args = Self::args::<M>(args).unwrap();
        match self.look::<M>(&args)?.0 {
            Decision::Change(change) => Ok(change),
            other => panic!("no change was decided: {other:?}"),
        }
    }

    fn look<M: Module>(&self, args: &M::Args) -> Result<(Decision, Vec<Reply>), Failure> {
        let mut seen: Vec<Reply> = M::probe(args, &self.inputs)
            .map(|script| self.sh(&script.sh, b""))
            .into_iter()
            .collect();
        loop {
            match M::decide(args, &self.inputs, &seen)? {
                Decision::Ask(script) => seen.push(self.sh(&script.sh, b"")),
                other => return Ok((other, seen)),
            }
        }
    }

    /// Probes, decides, acts and finishes.
    pub(super) fn run<M: Module>(&self, args: serde_json::Value) -> Ran {
        let args = Self::args::<M>(args).unwrap();
        let (decision, seen) = match self.look::<M>(&args) {
            Ok(found) => found,
            Err(failure) => {
                return Ran {
                    trips: 1,
                    result: Err(failure),
                    change: None,
                };
            }
        };
        let change = match decision {
            Decision::Change(change) => change,
            Decision::Unchanged(outcome) => {
                return Ran {
                    trips: seen.len(),
                    result: Ok(outcome),
                    change: None,
                };
            }
            Decision::Ask(_) => unreachable!(),
        };
        let replies = self.act(&change.acts);
        Ran {
            trips: seen.len() + replies.len(),
            result: M::finish(&args, &self.inputs, &seen, &change, &replies),
            change: Some(change),
        }
    }

    /// Runs acts in order up to the first that fails.
    fn act(&self, acts: &[Act]) -> Vec<Reply> {
        let mut replies = Vec::new();
        for act in acts {
            let reply = match act {
                Act::Script { script, .. } => self.sh(&script.sh, b""),
                Act::Stream {
                    script,
                    source: Source::Bytes(bytes),
                } => self.sh(&script.sh, bytes),
                other => panic!("not for a trial: {other:?}"),
            };
            let failed = reply.rc != 0;
            replies.push(reply);
            if failed {
                break;
            }
        }
        replies
    }

    /// Takes a change back.
    pub(super) fn undo(&self, change: &Change) {
        let Undo::Acts { acts, .. } = &change.undo else {
            panic!("no undo: {:?}", change.undo);
        };
        for reply in self.act(acts) {
            assert_eq!(reply.rc, 0, "{}", reply.stderr_text());
        }
    }

    /// Runs a script as a session does.
    pub(super) fn sh(&self, sh: &str, stdin: &[u8]) -> Reply {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        // The test finds the shell in its own `PATH`.
        if let Some(path) = &self.path {
            writeln!(file, "PATH={}; export PATH", crate::script::quote(path)).unwrap();
        }
        write!(
            file,
            "{PRELUDE}\nsb_keep_dir() {{ /bin/mkdir -p \"$SB_KEEP\"; }}\n(\n{sh}\n)\n"
        )
        .unwrap();
        let mut command = Command::new(self.shell[0]);
        command
            .args(&self.shell[1..])
            .arg(file.path())
            .env("SB_KEEP", self.keep.path())
            .env("SB_TMP", self.keep.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        // A script that does not read its input closes it.
        let writer = std::thread::spawn(move || pipe.write_all(&stdin).is_ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Reply {
            rc: output.status.code().unwrap_or(255),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }
}
