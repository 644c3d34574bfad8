//! A host that is only a shell: what runs there runs here, with a place and a home of its own.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use switchback::script::attempt::{Fate, Footing, Meet, Met, Seen, Spot, Start, meet, met, seen};
use switchback::script::{PRELUDE, Reply, Script, quote};

/// The shells that a target may have as `/bin/sh`.
pub(crate) const SHELLS: [&str; 3] = ["/usr/bin/dash", "/usr/bin/busybox", "/usr/bin/bash"];

/// The line that names who holds a lock.
pub(crate) const OWNER: &str = "alice from bastion since noon";

pub(crate) struct Target {
    pub(crate) dir: tempfile::TempDir,
    shell: &'static str,
    /// What is done in the namespace before the shell starts.
    pub(crate) setup: String,
}

impl Target {
    pub(crate) fn new(shell: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self {
            dir,
            shell,
            setup: String::new(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What lies in a file of an attempt.
    pub(crate) fn file(&self, spot: &Spot, end: &str) -> PathBuf {
        let name = format!("{}.{end}", spot.id);
        if spot.is_home {
            return self.path("home/.switchback/a").join(name);
        }
        let uid = std::fs::metadata(self.dir.path()).unwrap();
        let uid = std::os::unix::fs::MetadataExt::uid(&uid);
        self.path(&format!("place/u/{uid}/a")).join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// How often the program of the tests ran.
    pub(crate) fn runs(&self) -> usize {
        self.text("ran").lines().count()
    }

    /// A shell in namespaces of its own, where `/bin/sh` is the one under test.
    pub(crate) fn spawn(&self, text: &str) -> Child {
        let sh = std::fs::canonicalize("/bin/sh").unwrap();
        let setup = format!(
            "mount --bind {} {} && {{ {} :; }} && exec /bin/sh -s",
            self.shell,
            sh.display(),
            self.setup
        );
        let mut child = Command::new("unshare")
            .args(["-m", "sh", "-c", &setup])
            .env("SWITCHBACK_ROOT", self.path("place"))
            .env("HOME", self.path("home"))
            .env("T", self.dir.path())
            .current_dir(self.path("home"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        child
    }

    /// A script as a session of ours runs it.
    pub(crate) fn request(script: &Script) -> String {
        format!(
            "{{ ( eval {} ) </dev/null; exit $?; }}\n",
            quote(&format!(" {}", script.sh))
        )
    }

    pub(crate) fn begin(&self, script: &Script) -> Child {
        self.spawn(&format!("{PRELUDE}\n{}", Self::request(script)))
    }

    pub(crate) fn run(&self, script: &Script) -> Reply {
        reply(self.begin(script))
    }

    pub(crate) fn seen(&self, script: &Script) -> Seen {
        let reply = self.run(script);
        seen(&reply).unwrap_or_else(|| panic!("{}: {reply:?}", self.shell))
    }

    pub(crate) fn fate(&self, script: &Script) -> Fate {
        self.seen(script).fate
    }

    /// Meets the host and takes its lock as `token` of `run`.
    pub(crate) fn meet(&self, run: &str, token: &str) -> Met {
        let reply = self.run(&meet(
            Meet::Root("0"),
            run,
            &[token.to_owned()],
            OWNER,
            None,
        ));
        met(&reply).unwrap_or_else(|| panic!("{}: {reply:?}", self.shell))
    }

    pub(crate) fn ready(&self) -> Footing {
        match self.meet("run", "L1") {
            Met::Ready(footing) => *footing,
            other => panic!("{}: {other:?}", self.shell),
        }
    }
}

pub(crate) fn reply(child: Child) -> Reply {
    let output = child.wait_with_output().unwrap();
    Reply {
        rc: output.status.code().unwrap_or(255),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

pub(crate) fn spot(footing: &Footing, id: &str) -> Spot {
    Spot {
        id: id.to_owned(),
        spool: footing.spool.clone(),
        is_home: false,
    }
}

pub(crate) fn start<'a>(footing: &'a Footing, spot: &'a Spot, program: &'a str) -> Start<'a> {
    Start {
        spot,
        boot: &footing.boot,
        up_max: footing.up + 600,
        epoch: footing.epoch,
        limit_s: None,
        scope: "",
        waits: true,
        gone: &[],
        program,
    }
}
