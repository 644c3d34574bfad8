//! The promises of the README, kept by the program as it is started: `switchback` on this machine
//! over `connection: local`, with a run store and a target folder of its own.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is shown only where a test fails"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with a playbook, a run store and something that the playbook changes.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// `tasks` are the tasks of the one play; `TARGET` in them is the folder to change.
    fn new(header: &str, tasks: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder };
        fs::create_dir(world.target()).unwrap();
        fs::write(world.target().join("kept"), "as it was\n").unwrap();
        let mut text = header.to_owned();
        text.push_str("- hosts: one\n  gather_facts: false\n  tasks:\n");
        for line in tasks.lines() {
            text.extend(["    ", line, "\n"]);
        }
        let text = text.replace("TARGET", world.target().to_str().unwrap());
        fs::write(world.path("playbook.yml"), text).unwrap();
        let inventory = "[all]\none ansible_connection=local\n";
        fs::write(world.path("hosts.ini"), inventory).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("target")
    }

    fn switchback(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_switchback"))
            .args(args)
            .current_dir(self.folder.path())
            .env("SWITCHBACK_RUNS", self.path("runs"))
            .env("SWITCHBACK_ROOT", self.path("place"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs the playbook without a person and returns the exit code.
    fn run(&self, more: &[&str]) -> i32 {
        let mut args = vec!["run", "playbook.yml", "-i", "hosts.ini", "--yes"];
        args.extend(more);
        code(&self.switchback(&args))
    }

    /// All files below the target, with what is in them.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        read_tree(&self.target(), &mut found);
        found
    }
}

fn read_tree(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_tree(&path, found);
            found.insert(path, Vec::new());
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
}

fn code(output: &Output) -> i32 {
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.code().unwrap()
}

const CHANGES: &str = "\
- copy: {content: \"new\\n\", dest: TARGET/made}
- copy: {content: \"changed\\n\", dest: TARGET/kept}
- lineinfile: {path: TARGET/kept, line: one more}
- file: {path: TARGET/folder/below, state: directory}
- shell: echo written > TARGET/by_a_command
  undo:
    - file: {path: TARGET/by_a_command, state: absent}
";

/// The command looks for its own intent and for its undo in the journal: they are there before it
/// runs, or it fails.
#[test]
fn the_intent_and_the_undo_are_on_disk_before_the_change() {
    let world = World::new(
        "",
        "\
- name: look at the journal
  shell: grep '\"intent\"' TARGET/../runs/*/journal.ndjson | grep -q undo_of_this_very_task
  undo:
    - command: echo undo_of_this_very_task
",
    );
    assert_eq!(world.run(&[]), 0);
}

#[test]
fn check_mode_changes_nothing_and_says_what_would_change() {
    let world = World::new("", CHANGES);
    let before = world.files();
    let output = world.switchback(&["check", "playbook.yml", "-i", "hosts.ini"]);
    assert_eq!(code(&output), 0);
    assert_eq!(world.files(), before);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("+changed") && said.contains("one ok=4 changed=4"));
    assert!(!world.path("runs").exists());
}

#[test]
fn a_rollback_gives_back_what_was_there() {
    let world = World::new("", CHANGES);
    let before = world.files();
    assert_eq!(world.run(&[]), 0);
    assert_ne!(world.files(), before);
    assert_eq!(
        code(&world.switchback(&["rollback", "--yes", "--way", "undo"])),
        12
    );
    assert_eq!(world.files(), before);
}

/// Only what ran is undone: the second task failed the run before the third.
#[test]
fn a_rollback_undoes_what_ran_and_nothing_else() {
    let world = World::new(
        "",
        "\
- copy: {content: \"new\\n\", dest: TARGET/made}
- command: 'false'
- copy: {content: \"never\\n\", dest: TARGET/kept}
",
    );
    let before = world.files();
    assert_eq!(world.run(&[]), 2);
    fs::write(world.target().join("kept"), "meanwhile\n").unwrap();
    let mut expected = before;
    expected.insert(world.target().join("kept"), b"meanwhile\n".to_vec());
    // The failed command has no undo, so the way back is not complete, and that is said.
    assert_eq!(
        code(&world.switchback(&["rollback", "--yes", "--way", "undo"])),
        13
    );
    assert_eq!(world.files(), expected);
}

#[test]
fn a_protected_host_refuses_what_cannot_be_undone() {
    let header = "- change: a change\n  protect: one\n";
    let world = World::new(header, "- shell: echo written > TARGET/by_a_command\n");
    let before = world.files();
    assert_eq!(world.run(&[]), 8);
    assert_eq!(world.files(), before);
    assert_eq!(code(&world.switchback(&["release", "latest", "one"])), 0);
    assert_eq!(code(&world.switchback(&["resume", "--yes"])), 0);
    assert_ne!(world.files(), before);
}

#[test]
fn a_point_of_no_return_is_not_passed_by_yes_alone() {
    let world = World::new(
        "",
        "\
- shell: echo written > TARGET/by_a_command
  point_of_no_return: {reason: nothing can undo it}
",
    );
    let before = world.files();
    assert_eq!(world.run(&[]), 15);
    assert_eq!(world.files(), before);
    assert_eq!(world.run(&["--accept-point-of-no-return"]), 0);
    assert_ne!(world.files(), before);
}

#[test]
fn what_no_log_hides_is_in_no_output_and_in_no_file_of_the_run() {
    let world = World::new(
        "",
        "\
- shell: echo the-hidden-word
  no_log: true
- copy: {content: the-hidden-word, dest: TARGET/made}
  no_log: true
",
    );
    let args = [
        "run",
        "playbook.yml",
        "-i",
        "hosts.ini",
        "--yes",
        "--diff",
        "-vvv",
    ];
    let output = world.switchback(&args);
    assert_eq!(code(&output), 0);
    let mut all = BTreeMap::new();
    read_tree(&world.path("runs"), &mut all);
    assert!(all.len() > 1, "the run has left no journal");
    all.insert("stdout".into(), output.stdout);
    all.insert("stderr".into(), output.stderr);
    for (name, bytes) in all {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            !text.contains("the-hidden-word"),
            "{}: {text}",
            name.display()
        );
    }
}

#[test]
fn output_of_a_host_is_no_template() {
    let world = World::new(
        "",
        "\
- command: cat TARGET/braces
  register: said
- copy: {content: '{{ said.stdout }}', dest: TARGET/made}
",
    );
    fs::write(world.target().join("braces"), "{{ 1 + 1 }}\n").unwrap();
    assert_eq!(world.run(&[]), 0);
    let made = fs::read_to_string(world.target().join("made")).unwrap();
    assert_eq!(made, "{{ 1 + 1 }}");
}
