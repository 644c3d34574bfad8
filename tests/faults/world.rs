//! A folder with a playbook, an inventory of this machine under several names, and a store of runs.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a test waits for what must come; no test is about how long it takes.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    folder: tempfile::TempDir,
}

/// What a command gave.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) code: i32,
    pub(crate) out: String,
}

impl World {
    /// `tasks` are those of one play on `hosts`; `$T` in them is the folder.
    pub(crate) fn new(hosts: &[&str], tasks: &str) -> Self {
        Self::with(hosts, "", tasks)
    }

    /// The same with lines before the play, and between its hosts and its tasks after a `|`.
    pub(crate) fn with(hosts: &[&str], header: &str, tasks: &str) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let (before, keywords) = header.split_once('|').unwrap_or((header, ""));
        let mut text = format!("{before}- hosts: all\n  gather_facts: false\n{keywords}  tasks:\n");
        for line in tasks.lines() {
            text.extend(["    ", line, "\n"]);
        }
        world.write("site.yml", &text);
        let lines = hosts.iter().map(|host| match host.split_once(' ') {
            Some(_) => (*host).to_owned(),
            None => format!("{host} ansible_connection=local"),
        });
        world.write("hosts.ini", &(lines.collect::<Vec<_>>().join("\n") + "\n"));
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let text = text.replace("$T", &self.folder.path().display().to_string());
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn lines(&self, name: &str) -> usize {
        self.text(name).lines().count()
    }

    /// A command that runs the program, behind `before` where that is not empty.
    pub(crate) fn command(&self, before: &[&str], words: &[&str]) -> Command {
        let mut all = before.to_vec();
        all.push(env!("CARGO_BIN_EXE_switchback"));
        all.extend(words);
        let mut command = Command::new(all[0]);
        command
            .args(&all[1..])
            .current_dir(self.folder.path())
            .env("SWITCHBACK_RUNS", self.path("runs"))
            .env("SWITCHBACK_ROOT", self.path("place"))
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn given(&self, words: &[&str]) -> Given {
        given(&self.command(&[], words).output().unwrap())
    }

    pub(crate) fn run(&self, more: &[&str]) -> Given {
        self.given(&run_words(more))
    }

    pub(crate) fn resume(&self) -> Given {
        self.given(&["resume", "--yes"])
    }

    /// Starts a run and leaves it alone.
    pub(crate) fn start(&self, more: &[&str]) -> Child {
        let mut command = self.command(&[], &run_words(more));
        let log = fs::File::create(self.path("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    }

    /// Waits for a file.
    pub(crate) fn wait_for(&self, name: &str) {
        wait(|| self.path(name).exists(), &|| {
            format!("no `{name}`:\n{}", self.text("log"))
        });
    }
}

pub(crate) fn run_words<'w>(more: &[&'w str]) -> Vec<&'w str> {
    let mut words = vec!["run", "site.yml", "-i", "hosts.ini", "--yes"];
    words.extend(more);
    words
}

/// Waits until something holds; `why` tells what is missing.
pub(crate) fn wait(holds: impl Fn() -> bool, why: &dyn Fn() -> String) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{}", why());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for the end of a process and returns its exit code; -1 is a signal.
pub(crate) fn end(child: &mut Child) -> i32 {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > limit {
            child.kill().unwrap();
            panic!("the process does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal to a process of this test.
pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

pub(crate) fn given(output: &Output) -> Given {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    Given {
        code: output.status.code().unwrap_or(-1),
        out: out + &String::from_utf8_lossy(&output.stderr),
    }
}
