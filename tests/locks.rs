//! The locks of hosts: of two runs one acts, and who was taken over acts no more. The real program
//! against this machine; as root its locks are kept in a place of the test.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs with different journals against one host.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(tasks: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tasks = tasks.replace("DIR", &dir.path().display().to_string());
        let text = format!("- hosts: one\n  gather_facts: false\n  tasks:\n{tasks}");
        std::fs::write(dir.path().join("site.yml"), text).unwrap();
        std::fs::write(
            dir.path().join("hosts.ini"),
            "one ansible_connection=local\n",
        )
        .unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A command of the controller whose runs are kept in `runs`.
    fn command(&self, runs: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
        command
            .args(words)
            .current_dir(self.dir.path())
            .env("SWITCHBACK_ROOT", self.path("place"))
            .env("SWITCHBACK_RUNS", self.path(runs))
            .env("SWITCHBACK_KEYS", self.path("keys"))
            .env("SWITCHBACK_OPERATOR", runs)
            .env("HOME", self.path("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self, runs: &str) -> Child {
        let words = [
            "run",
            "-y",
            "-i",
            "hosts.ini",
            "-e",
            &format!("who={runs}"),
            "site.yml",
        ];
        self.command(runs, &words).spawn().unwrap()
    }

    fn until(&self, file: &str) {
        let limit = Instant::now() + Duration::from_mins(1);
        while !self.path(file).exists() {
            assert!(Instant::now() < limit, "never: {file}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Copies a folder of runs, as to another machine.
    fn copy(&self, from: &str, to: &str) {
        let copied = Command::new("cp")
            .arg("-a")
            .args([self.path(from), self.path(to)])
            .status();
        assert!(copied.unwrap().success());
    }
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn run_of(runs: &Path) -> String {
    let names = std::fs::read_dir(runs).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains('-')).max().unwrap()
}

/// fault 68: two controllers against one host, at all offsets: never do both act. Whoever comes
/// second is told who is there and changes nothing.
#[test]
fn of_two_controllers_one_acts() {
    const ROUNDS: u64 = 200;
    let tasks =
        "    - shell: echo {{ who }} begin >> DIR/log; sleep 0.1; echo {{ who }} end >> DIR/log
    - shell: echo {{ who }} begin >> DIR/log; echo {{ who }} end >> DIR/log\n";
    let bench = Bench::new(tasks);
    let mut refused = 0;
    for round in 0..ROUNDS {
        let first = bench.start("alice");
        // No clock decides the outcome, it only spreads the starts.
        std::thread::sleep(Duration::from_millis(round * 37 % 300));
        let second = bench.start("bob");
        let (mut acted, mut log) = (0, Vec::new());
        for (who, child) in [("alice", first), ("bob", second)] {
            let output = child.wait_with_output().unwrap();
            match output.status.code() {
                Some(0) => acted += 1,
                Some(6) => {
                    refused += 1;
                    log.push(who);
                    let other = if who == "alice" { "bob" } else { "alice" };
                    let told = told(&output);
                    assert!(
                        told.contains("is locked by run") && told.contains(other),
                        "{told}"
                    );
                }
                code => panic!("{round}: {code:?} {}", told(&output)),
            }
        }
        assert!(acted > 0, "{round}: nobody acted");
        let text = bench.text("log");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), acted * 4, "{round}: {lines:?}");
        for pair in lines.chunks(2) {
            let who = pair[0].strip_suffix(" begin").unwrap();
            assert_eq!(
                pair[1],
                format!("{who} end"),
                "{round}: both acted: {lines:?}"
            );
            assert!(!log.contains(&who), "{round}: {who} was refused and acted");
        }
        for four in lines.chunks(4) {
            assert_eq!(four[1], four[3], "{round}: both acted: {lines:?}");
        }
        std::fs::remove_file(bench.path("log")).unwrap();
    }
    assert!(refused > 0, "the two never met");
}

const WAITS: &str = "    - shell: echo {{ who }} >> DIR/log; touch DIR/begun; while [ ! -e DIR/go ]; do sleep 0.1; done
    - shell: echo next by {{ who }} >> DIR/log\n";

/// fault 8, fault 14, fault 69: a colleague with a copy of the run takes it over and goes on. The
/// copy alone is not enough; the old controller does nothing more and says who took over.
#[test]
fn a_run_is_taken_over() {
    let bench = Bench::new(WAITS);
    let old = bench.start("alice");
    bench.until("begun");
    bench.copy("alice", "bob");
    let id = run_of(&bench.path("bob"));
    let refused = bench
        .command("bob", &["resume", "-y", &id])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(6), "{}", told(&refused));
    let untyped = bench.command("bob", &["takeover", &id]).output().unwrap();
    assert_eq!(untyped.status.code(), Some(15), "{}", told(&untyped));
    let taken = bench
        .command("bob", &["takeover", &id, "--yes"])
        .output()
        .unwrap();
    assert_eq!(taken.status.code(), Some(0), "{}", told(&taken));
    assert!(told(&taken).contains("runs there"), "{}", told(&taken));
    std::fs::write(bench.path("go"), "").unwrap();
    let fenced = old.wait_with_output().unwrap();
    assert_eq!(fenced.status.code(), Some(6), "{}", told(&fenced));
    assert!(
        told(&fenced).contains("taken over by bob"),
        "{}",
        told(&fenced)
    );
    assert_eq!(bench.text("log"), "alice\n", "the old controller acted");
    let resumed = bench
        .command("bob", &["resume", "-y", &id])
        .output()
        .unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", told(&resumed));
    assert_eq!(bench.text("log"), "alice\nnext by alice\n");
    let shown = bench
        .command("bob", &["runs", "show", &id])
        .output()
        .unwrap();
    assert!(told(&shown).contains("bob@"), "{}", told(&shown));
    let story = told(&shown);
    assert!(story.contains("took over one"), "{story}");
    // The run is over, and its lock with it.
    let next = bench.start("carol").wait_with_output().unwrap();
    assert_eq!(next.status.code(), Some(0), "{}", told(&next));
}

/// A run that was killed keeps its hosts until somebody goes on with it.
#[test]
fn a_killed_run_keeps_its_hosts() {
    let bench = Bench::new(WAITS);
    let mut old = bench.start("alice");
    bench.until("begun");
    old.kill().unwrap();
    old.wait().unwrap();
    std::fs::write(bench.path("go"), "").unwrap();
    let other = bench.start("bob").wait_with_output().unwrap();
    assert_eq!(other.status.code(), Some(6), "{}", told(&other));
    assert!(told(&other).contains("alice@"), "{}", told(&other));
    let status = bench.command("alice", &["runs", "show"]).output().unwrap();
    assert_eq!(status.status.code(), Some(0), "{}", told(&status));
    let resumed = bench.command("alice", &["resume", "-y"]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", told(&resumed));
    assert_eq!(bench.text("log"), "alice\nnext by alice\n");
    let other = bench.start("bob").wait_with_output().unwrap();
    assert_eq!(other.status.code(), Some(0), "{}", told(&other));
}

/// A host that was away when its run ended still has that run's lock: a later run of the same store
/// takes it, one of another store does not, as it cannot know that the run is over.
#[test]
fn the_lock_of_an_ended_run_gives_way() {
    let bench = Bench::new("    - shell: echo {{ who }} >> DIR/log\n");
    let done = bench.start("alice").wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", told(&done));
    // As if the host had not heard that the lock is free.
    let keep = || std::fs::remove_file(bench.path("place/e/1.free")).unwrap();
    keep();
    let other = bench.start("bob").wait_with_output().unwrap();
    assert_eq!(other.status.code(), Some(6), "{}", told(&other));
    let copied = bench.path("bob").join(run_of(&bench.path("alice")));
    let from = bench.path("alice").join(run_of(&bench.path("alice")));
    let copy = Command::new("cp").arg("-a").args([&from, &copied]).status();
    assert!(copy.unwrap().success());
    let other = bench.start("bob").wait_with_output().unwrap();
    assert_eq!(other.status.code(), Some(6), "a copy: {}", told(&other));
    assert_eq!(bench.text("log"), "alice\n");
    let next = bench.start("alice").wait_with_output().unwrap();
    assert_eq!(next.status.code(), Some(0), "{}", told(&next));
    assert!(told(&next).contains("which is over"), "{}", told(&next));
    assert_eq!(bench.text("log"), "alice\nalice\n");
}

/// Check mode and the localhost that no inventory names take no lock and meet none.
#[test]
fn check_mode_and_the_implicit_localhost_take_no_lock() {
    let bench = Bench::new(WAITS);
    let mut old = bench.start("alice");
    bench.until("begun");
    let words = ["check", "-i", "hosts.ini", "-e", "who=bob", "site.yml"];
    let checked = bench.command("bob", &words).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", told(&checked));
    let text = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - command: echo hi\n";
    std::fs::write(bench.path("here.yml"), text).unwrap();
    let words = ["run", "-y", "-i", "hosts.ini", "here.yml"];
    let run = bench.command("bob", &words).output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", told(&run));
    std::fs::write(bench.path("go"), "").unwrap();
    assert_eq!(old.wait().unwrap().code(), Some(0));
}
