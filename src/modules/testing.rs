//! Plays the engine on a temporary directory with the real shells, for the tests of modules.
//!
//! [`World::cycle`] is the promise of every module: looking writes nothing, a second run changes
//! nothing, and the undo (run twice) gives the first tree back.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{
    Act, Change, Decision, Failure, Foretell, Outcome, Prepared, Resolved, Source, TreeEntry, Undo,
    find,
};
use crate::script::{PRELUDE, Reply, Script};
use crate::value::Value;

/// Names that break careless scripts.
pub(super) const HOSTILE: &[&str] = &[
    "plain",
    "a b",
    "it's \"x\"",
    "-n",
    "new\nline",
    "ü$(id)`id`*?[a]\\",
    " lead and trail ",
];

/// A shell with the programs it is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shell {
    /// dash and coreutils.
    Dash,
    /// bash and coreutils.
    Bash,
    /// busybox for the shell and for all programs.
    Busybox,
}

/// A temporary directory that stands for a host.
pub(super) struct World {
    dir: tempfile::TempDir,
    /// The shell.
    pub(super) shell: Shell,
}

/// What a whole cycle gave.
pub(super) struct Cycle {
    /// What was decided.
    pub(super) change: Change,
    /// The result of the change.
    pub(super) outcome: Outcome,
    /// The tree after the change.
    pub(super) after: BTreeMap<String, String>,
    /// The result of the second run.
    pub(super) second: Outcome,
}

/// Runs `test` in a fresh world for each shell.
pub(super) fn in_each_shell(test: impl Fn(&World)) {
    for shell in [Shell::Dash, Shell::Busybox, Shell::Bash] {
        let world = World {
            dir: tempfile::tempdir().unwrap(),
            shell,
        };
        std::fs::create_dir(world.root()).unwrap();
        test(&world);
    }
}

impl World {
    /// The directory that is compared.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// An absolute path below the root, as text.
    pub(super) fn at(&self, relative: &str) -> String {
        self.root().join(relative).to_str().unwrap().to_owned()
    }

    /// A file.
    pub(super) fn file(&self, relative: &str, content: impl AsRef<[u8]>, mode: u32) {
        let path = self.root().join(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
        std::fs::File::open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
    }

    /// A directory.
    pub(super) fn dir(&self, relative: &str, mode: u32) {
        let path = self.root().join(relative);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A symbolic link.
    pub(super) fn link(&self, relative: &str, target: &str) {
        let path = self.root().join(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// The text of a file.
    pub(super) fn text(&self, relative: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.root().join(relative)).unwrap()).into_owned()
    }

    /// A file of the controller, small enough to be read by the engine.
    pub(super) fn input(&self, name: &str, content: &[u8], mode: u32) -> Resolved {
        let path = self.dir.path().join("controller").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        Resolved {
            path,
            bytes: content.to_vec(),
            sha1: super::put::sha1_hex(content),
            size: content.len() as u64,
            mode,
            tree: None,
            secret_of: None,
        }
    }

    /// The same input as the engine gives a file that is too big to be read.
    pub(super) fn unread(mut input: Resolved) -> Resolved {
        input.bytes.clear();
        input
    }

    /// A folder of the controller: names with contents; a name that ends with `/` is a folder, a
    /// content that begins with `-> ` a link.
    pub(super) fn folder(&self, entries: &[(&str, &str)]) -> Resolved {
        let base = self.dir.path().join("controller/folder");
        std::fs::create_dir_all(&base).unwrap();
        let tree = entries
            .iter()
            .map(|(name, content)| {
                let relative = name.trim_end_matches('/').to_owned();
                let path = base.join(&relative);
                if name.ends_with('/') {
                    std::fs::create_dir_all(&path).unwrap();
                    return TreeEntry {
                        relative,
                        path,
                        is_dir: true,
                        mode: 0o755,
                        ..TreeEntry::default()
                    };
                }
                let link = content.strip_prefix("-> ").map(str::to_owned);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, content).unwrap();
                TreeEntry {
                    relative,
                    path,
                    sha1: super::put::sha1_hex(content.as_bytes()),
                    size: content.len() as u64,
                    mode: 0o640,
                    bytes: content.as_bytes().to_vec(),
                    link,
                    is_dir: false,
                }
            })
            .collect();
        Resolved {
            path: base,
            tree: Some(tree),
            mode: 0o755,
            ..Resolved::default()
        }
    }

    /// Runs a script as a session does: after the prelude, in a subshell.
    pub(super) fn run(&self, script: &Script, input: Option<&Source>, keep: &str) -> Reply {
        let sh = format!("{PRELUDE}\n(\n{}\n)\n", script.sh);
        let file = self.dir.path().join("script");
        std::fs::write(&file, sh).unwrap();
        let mut command = match self.shell {
            Shell::Dash => Command::new("dash"),
            Shell::Bash => Command::new("bash"),
            Shell::Busybox => {
                // Its programs are found as `busybox sh` finds all: by PATH.
                let mut command = Command::new(busybox_programs().join("busybox"));
                command.arg("sh").env("PATH", busybox_programs());
                command
            }
        };
        let mut child = command
            .arg(&file)
            .current_dir(self.root())
            .env("SB_KEEP", self.dir.path().join("keep").join(keep))
            .env("HOME", self.root())
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if let Some(source) = input {
            let bytes = match source {
                Source::File(path) => std::fs::read(path).unwrap(),
                Source::Bytes(bytes) => bytes.clone(),
            };
            let mut stdin = child.stdin.take().unwrap();
            // A script that refuses before it reads closes the pipe.
            drop(stdin.write_all(&bytes));
        }
        let output = child.wait_with_output().unwrap();
        Reply {
            rc: output.status.code().unwrap_or(128),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }

    fn prepare(module: &str, args: &serde_json::Value) -> Box<dyn Prepared> {
        find(module)
            .unwrap_or_else(|| panic!("no module {module}"))
            .prepare(&Value::from_json(args.clone()))
            .unwrap_or_else(|error| panic!("{module} {args}: {error}"))
    }

    /// Probe and decide. Nothing may have been written by it.
    pub(super) fn decide(
        &self,
        module: &str,
        args: &serde_json::Value,
        inputs: &[Resolved],
    ) -> Result<(Decision, Vec<Reply>), Failure> {
        let prepared = Self::prepare(module, args);
        let before = self.snapshot();
        let mut seen = Vec::new();
        if let Some(script) = prepared.probe(inputs) {
            seen.push(self.run(&script, None, "probe"));
        }
        let decision = loop {
            match prepared.decide(inputs, &seen)? {
                Decision::Ask(script) => seen.push(self.run(&script, None, "probe")),
                decision => break decision,
            }
        };
        assert_eq!(
            self.snapshot(),
            before,
            "{module} {args} wrote while it looked"
        );
        assert!(
            !self.dir.path().join("keep/probe").exists(),
            "a probe made a keep directory"
        );
        Ok((decision, seen))
    }

    /// The failure that this task ends in before anything is done.
    pub(super) fn refuses(&self, module: &str, args: &serde_json::Value) -> Failure {
        match self.decide(module, args, &[]) {
            Err(failure) => failure,
            Ok(other) => panic!("{module} {args} was not refused: {other:?}"),
        }
    }

    /// A task that finds all as wanted.
    pub(super) fn unchanged(
        &self,
        module: &str,
        args: &serde_json::Value,
        inputs: &[Resolved],
    ) -> Outcome {
        match self.decide(module, args, inputs) {
            Ok((Decision::Unchanged(outcome), _)) => outcome,
            other => panic!("{:?} {module} {args}: {other:?}", self.shell),
        }
    }

    /// Runs acts as the engine does: in order, up to the first that fails.
    pub(super) fn act(&self, acts: &[Act], seen: &[Reply], keep: &str) -> Vec<Reply> {
        let mut replies = Vec::new();
        for act in acts {
            match act {
                Act::Script { script, .. } => replies.push(self.run(script, None, keep)),
                Act::Stream { script, source } => {
                    replies.push(self.run(script, Some(source), keep));
                }
                Act::Save { path, reply } => {
                    let body = seen.iter().chain(&replies).nth(*reply).unwrap().body();
                    std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
                    std::fs::write(path, body).unwrap();
                }
                Act::Reconnect { .. } => panic!("a file module does not reconnect"),
            }
            if replies.last().is_some_and(|reply| reply.rc != 0) {
                break;
            }
        }
        replies
    }

    /// Changes once, and gives what `finish` made of it.
    pub(super) fn change(
        &self,
        module: &str,
        args: &serde_json::Value,
        inputs: &[Resolved],
    ) -> (Change, Result<Outcome, Failure>) {
        let (decision, seen) = self
            .decide(module, args, inputs)
            .unwrap_or_else(|failure| panic!("{:?} {module} {args}: {failure:?}", self.shell));
        let Decision::Change(change) = decision else {
            panic!(
                "{:?} {module} {args} changes nothing: {decision:?}",
                self.shell
            );
        };
        self.begin_attempt();
        let replies = self.act(&change.acts, &seen, "attempt");
        let outcome = Self::prepare(module, args).finish(inputs, &seen, &change, &replies);
        (change, outcome)
    }

    /// Each attempt has a keep directory of its own.
    fn begin_attempt(&self) {
        std::fs::remove_dir_all(self.dir.path().join("keep")).ok();
    }

    /// Takes a change back.
    pub(super) fn undo(&self, change: &Change) {
        let Undo::Acts { acts, .. } = &change.undo else {
            panic!("no undo: {:?}", change.undo);
        };
        for reply in self.act(acts, &[], "attempt") {
            assert_eq!(
                reply.rc,
                0,
                "{:?} undo: {}\n{acts:?}",
                self.shell,
                reply.stderr_text()
            );
        }
    }

    /// The promise of every module: undoing what never began does nothing, the change happens, a
    /// second run changes nothing, and the undo, run twice, gives the first tree back.
    pub(super) fn cycle(
        &self,
        module: &str,
        args: &serde_json::Value,
        inputs: &[Resolved],
    ) -> Cycle {
        self.begin_attempt();
        let before = self.snapshot();
        let what = format!("{:?} {module} {args}", self.shell);
        let decided = self.decide(module, args, inputs);
        let (Decision::Change(planned), _) =
            decided.unwrap_or_else(|failure| panic!("{what}: {failure:?}"))
        else {
            panic!("{what} changes nothing");
        };
        assert!(
            matches!(planned.foretell, Foretell::Changed(_)),
            "{what}: {planned:?}"
        );
        self.undo(&planned);
        assert_eq!(
            self.snapshot(),
            before,
            "{what}: undoing what never began did something"
        );
        let (change, outcome) = self.change(module, args, inputs);
        let outcome = outcome.unwrap_or_else(|failure| panic!("{what}: {failure:?}\n{change:?}"));
        assert!(outcome.is_changed, "{what}");
        let after = self.snapshot();
        assert_ne!(after, before, "{what} said it changed and did not");
        let second = self.unchanged(module, args, inputs);
        self.undo(&change);
        assert_eq!(
            self.snapshot(),
            before,
            "{what}: the undo gave something else back"
        );
        self.undo(&change);
        assert_eq!(
            self.snapshot(),
            before,
            "{what}: the second undo did something"
        );
        Cycle {
            change,
            outcome,
            after,
            second,
        }
    }

    /// Every path below the root with all that a module can change of it.
    pub(super) fn snapshot(&self) -> BTreeMap<String, String> {
        let mut paths = BTreeMap::new();
        let root = self.root();
        let mut pending = vec![root.clone()];
        while let Some(path) = pending.pop() {
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap().display())
            } else if meta.is_dir() {
                for entry in std::fs::read_dir(&path).unwrap() {
                    pending.push(entry.unwrap().path());
                }
                "dir".to_owned()
            } else {
                let content = std::fs::read(&path).unwrap();
                let shown = String::from_utf8_lossy(&content[..content.len().min(80)]).into_owned();
                let sum = super::put::sha1_hex(&content);
                format!("{shown:?} {sum} {}", meta.mtime())
            };
            let relative = path
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let mode = if meta.is_symlink() {
                0
            } else {
                meta.mode() & 0o7777
            };
            paths.insert(
                relative,
                format!("{mode:04o} {}:{} {what}", meta.uid(), meta.gid()),
            );
        }
        paths
    }
}

/// A directory with nothing but busybox programs, made once.
fn busybox_programs() -> &'static Path {
    static PROGRAMS: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    PROGRAMS
        .get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let status = Command::new("busybox")
                .args(["--install", "-s"])
                .arg(dir.path())
                .status()
                .expect("busybox is needed by these tests");
            assert!(status.success());
            let sh = std::fs::read_link(dir.path().join("sh")).unwrap();
            drop(std::fs::remove_file(dir.path().join("busybox")));
            symlink(sh, dir.path().join("busybox")).unwrap();
            // What busybox does not have and a module is about.
            for name in ["rsync", "script"] {
                let program = dir.path().join(name);
                if !program.exists() {
                    symlink(Path::new("/usr/bin").join(name), program).unwrap();
                }
            }
            dir
        })
        .path()
}
