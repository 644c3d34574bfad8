//! The command line's promises: for each kind of bad input the exit code of the table and a message
//! that says where.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Place {
    folder: tempfile::TempDir,
}

/// What a command gave.
#[derive(Debug)]
struct Given {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new(playbook: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("site.yml", playbook);
        place.write(
            "hosts.ini",
            "a ansible_connection=local\nb ansible_connection=local\n\
             gone ansible_host=127.0.0.1 ansible_port=1 ansible_timeout=5\n",
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let text = text.replace("$T", &self.folder.path().display().to_string());
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
        command
            .args(words)
            .current_dir(self.folder.path())
            .env("SWITCHBACK_RUNS", self.path("runs"))
            .env("SWITCHBACK_ROOT", self.path("place"))
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn given(&self, words: &[&str]) -> Given {
        given(self.command(words).output().unwrap())
    }

    fn run(&self, words: &[&str]) -> Given {
        let mut all = vec!["run", "-i", "hosts.ini", "site.yml"];
        all.extend(words);
        self.given(&all)
    }
}

fn given(output: Output) -> Given {
    Given {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn play(tasks: &str) -> String {
    format!("- hosts: a\n  gather_facts: false\n  tasks:\n{tasks}")
}

const COUNT: &str = "    - name: count\n      shell: echo ran >> $T/count\n";

/// Exit code, and what the output must mention.
fn fails(playbook: &str, words: &[&str], code: i32, told: &[&str]) {
    let place = Place::new(playbook);
    let given = place.run(words);
    let all = format!("{}{}", given.out, given.err);
    assert_eq!(given.code, code, "{playbook}\n{all}");
    for text in told {
        assert!(all.contains(text), "`{text}` is not in:\n{all}");
    }
    assert!(!place.path("count").exists(), "something ran\n{all}");
}

#[test]
fn bad_input_is_told_with_its_place() {
    fails("- hosts: a\n  tasks: [\n", &[], 3, &["site.yml:"]);
    fails(
        &play("    - nosuchmodule: {}\n"),
        &[],
        3,
        &["site.yml:4:7", "nosuchmodule"],
    );
    fails(
        &play("    - copy: {content: x, dst: /x}\n"),
        &[],
        3,
        &["site.yml:4:", "dst", "dest"],
    );
    fails(
        &play("    - shell: echo {{ nothing }} > $T/count\n"),
        &[],
        2,
        &["nothing", "site.yml:4:7"],
    );
    fails(
        &play("    - debug: msg=x\n      async: 5\n"),
        &[],
        3,
        &["async", "site.yml:5:"],
    );
    fails(
        "- hosts: '~('\n  tasks: []\n",
        &[],
        3,
        &["~(", "site.yml:1:"],
    );
    fails(&play(COUNT), &["--limit", "nobody"], 5, &["nobody"]);
    fails(&play(COUNT), &["--tags", "nosuchtag"], 5, &["nosuchtag"]);
    fails(&play(COUNT), &["--no-such-flag"], 5, &["--no-such-flag"]);
    fails(&play(COUNT), &["-e", "{broken"], 3, &["{broken"]);
    fails(
        "- hosts: gone\n  gather_facts: false\n  tasks:\n    - ping:\n",
        &[],
        4,
        &["gone"],
    );
}

#[test]
fn a_missing_playbook_or_inventory_is_a_load_error() {
    let place = Place::new(&play(COUNT));
    let given = place.given(&["run", "-i", "hosts.ini", "missing.yml"]);
    assert_eq!(given.code, 3, "{given:?}");
    assert!(given.err.contains("missing.yml"), "{given:?}");
    let given = place.given(&["run", "-i", "missing.ini", "site.yml"]);
    assert_eq!(given.code, 3, "{given:?}");
    assert!(given.err.contains("missing.ini"), "{given:?}");
}

#[test]
fn listing_runs_nothing() {
    let place = Place::new(&play(COUNT));
    for (flag, told) in [
        ("--list-tasks", "count"),
        ("--list-hosts", "a"),
        ("--syntax-check", "site.yml"),
    ] {
        let given = place.run(&[flag]);
        assert_eq!(given.code, 0, "{given:?}");
        let all = format!("{}{}", given.out, given.err);
        assert!(all.contains(told), "{flag}: {given:?}");
    }
    assert!(!place.path("count").exists() && !place.path("runs").exists());
}

#[test]
fn an_answer_that_nobody_gives_ends_the_run() {
    let text = "- hosts: a\n  gather_facts: false\n  vars_prompt:\n    - {name: word, prompt: The word}\n  tasks:\n    - shell: echo {{ word }} > $T/count\n";
    let place = Place::new(text);
    let given = place.run(&["-y"]);
    assert_eq!(given.code, 15, "{given:?}");
    assert!(
        format!("{}{}", given.out, given.err).contains("The word"),
        "{given:?}"
    );
    assert!(!place.path("count").exists());
    assert_eq!(place.run(&["-y", "-e", "word=x"]).code, 0);
    assert_eq!(std::fs::read_to_string(place.path("count")).unwrap(), "x\n");
}

#[test]
fn events_and_junit_are_written() {
    let place = Place::new(&play(COUNT));
    let given = place.run(&["-y", "--events", "events", "--junit", "junit.xml"]);
    assert_eq!(given.code, 0, "{given:?}");
    let events = std::fs::read_to_string(place.path("events")).unwrap();
    let kinds: Vec<String> = events
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["event"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.first().map(String::as_str), Some("run_started"));
    assert_eq!(kinds.last().map(String::as_str), Some("run_finished"));
    let junit = std::fs::read_to_string(place.path("junit.xml")).unwrap();
    assert!(junit.contains("count"), "{junit}");
}

#[test]
fn runs_are_listed_shown_and_verified() {
    let place = Place::new(&play(COUNT));
    assert_eq!(place.run(&["-y"]).code, 0);
    let list = place.given(&["runs", "list"]);
    assert!(list.code == 0 && list.out.contains("site.yml"), "{list:?}");
    let show = place.given(&["runs", "show"]);
    assert!(show.code == 0 && show.out.contains("count"), "{show:?}");
    assert_eq!(place.given(&["runs", "verify"]).code, 0);
    let journal = journal(&place.path("runs"));
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replace("count", "COUNT")).unwrap();
    let verify = place.given(&["runs", "verify"]);
    assert_ne!(verify.code, 0, "{verify:?}");
}

fn journal(runs: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir(runs)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("journal.ndjson"))
        .filter(|path| path.exists())
        .collect();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn a_resume_refuses_drift() {
    let place = Place::new(&play(&format!("{COUNT}    - command: test -e $T/go\n")));
    let given = place.run(&["-y", "--on-failure", "stop"]);
    assert_eq!(given.code, 10, "{given:?}");
    std::fs::write(place.path("go"), "").unwrap();
    let text = std::fs::read_to_string(place.path("site.yml")).unwrap();
    place.write("site.yml", &format!("{text}    - debug: {{msg: more}}\n"));
    let given = place.given(&["resume", "-y"]);
    assert_eq!(given.code, 7, "{given:?}");
    let given = place.given(&["resume", "-y", "--accept-drift"]);
    assert_eq!(given.code, 0, "{given:?}");
    let count = std::fs::read_to_string(place.path("count")).unwrap();
    assert_eq!(count, "ran\n", "the first task ran again");
}

#[test]
fn a_run_at_work_is_locked() {
    let place = Place::new(&play("    - shell: touch $T/started; sleep 3\n"));
    let mut child = place
        .command(&["run", "-y", "-i", "hosts.ini", "site.yml"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    while !place.path("started").exists() && began.elapsed().as_secs() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let given = place.given(&["resume", "-y"]);
    child.wait().unwrap();
    assert_eq!(given.code, 6, "{given:?}");
}

#[test]
fn start_at_task_passes_over_what_is_before() {
    let place = Place::new(&play(&format!(
        "{COUNT}    - name: second\n      shell: touch $T/second\n"
    )));
    assert_eq!(place.run(&["-y", "--start-at-task", "second"]).code, 0);
    assert!(place.path("second").exists() && !place.path("count").exists());
}
