//! Going back, with the program as it is started: what is undone, what is refused before anything is
//! touched, and what a rollback that was killed comes to.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is shown only where a test fails"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder with a playbook, a run store and a log of what tasks and undo did.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// `header` is the rest of the change's header, `play` what stands in the one play; `$T` is the
    /// folder.
    fn new(header: &str, play: &str) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        world.playbook(header, play);
        let inventory =
            "one ansible_connection=local\ntwo ansible_connection=local\n[pair]\none\ntwo\n";
        fs::write(world.path("hosts.ini"), inventory).unwrap();
        world
    }

    fn playbook(&self, header: &str, play: &str) {
        let text = format!(
            "- change: trial\n{header}\n- hosts: pair\n  gather_facts: false\n{}",
            play.trim_start_matches('\n')
        );
        let text = text.replace("$T", self.folder.path().to_str().unwrap());
        fs::write(self.path("site.yml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The log's lines.
    fn log(&self) -> Vec<String> {
        self.text("log").lines().map(str::to_owned).collect()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("SWITCHBACK_RUNS", self.path("runs"))
            .env("SWITCHBACK_ROOT", self.path("place"))
            .env("SWITCHBACK_KEYS", self.path("keys"))
            .env("SWITCHBACK_RUNS", self.path("runs"))
            .env("SWITCHBACK_ROOT", self.path("place"))
            .env("SWITCHBACK_KEYS", self.path("keys"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self) -> i32 {
        let args = ["run", "site.yml", "-i", "hosts.ini", "--yes"];
        let more = ["--accept-point-of-no-return", "-l", "one"];
        code(
            &self
                .command(&[&args[..], &more[..]].concat())
                .output()
                .unwrap(),
        )
        .0
    }

    /// Goes back; the exit code and all that was said.
    fn back(&self, args: &[&str]) -> (i32, String) {
        let args = [&["rollback", "--yes"], args].concat();
        code(&self.command(&args).output().unwrap())
    }

    fn resume(&self) -> (i32, String) {
        code(&self.command(&["resume", "--yes"]).output().unwrap())
    }

    /// Goes back and is killed by one of the steps, which waits for `pid`.
    fn back_killed(&self, args: &[&str]) {
        let args = [&["rollback", "--yes"], args].concat();
        let mut child = self.command(&args).stdout(Stdio::null()).spawn().unwrap();
        fs::write(self.path("pid"), child.id().to_string()).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), None, "it was to be killed");
        fs::remove_file(self.path("pid")).unwrap();
    }
}

fn code(output: &Output) -> (i32, String) {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{text}");
    eprintln!("-- {}", output.status);
    (output.status.code().unwrap(), text)
}

/// A step that writes its name into the log, and whose undo writes it there too.
fn step(name: &str) -> String {
    format!(
        "    - name: {name}\n      shell: echo {name} >> $T/log\n      undo:\n        \
         - shell: echo undo {name} >> $T/log\n"
    )
}

/// A command that kills the controller the first time it runs.
const KILL: &str = "if [ ! -e $T/killed ]; then touch $T/killed; \
                    until [ -s $T/pid ]; do sleep 0.05; done; kill -9 $(cat $T/pid); sleep 5; fi";

#[test]
fn to_a_step_leaves_that_step_and_what_is_before_it() {
    let tasks = format!("  tasks:\n{}{}{}", step("a"), step("b"), step("c"));
    let world = World::new("", &tasks);
    assert_eq!(world.run(), 0);
    assert_eq!(world.back(&["--to", "nowhere"]).0, 13);
    assert_eq!(world.log(), ["a", "b", "c"]);
    assert_eq!(world.back(&["--to", "b"]).0, 12);
    assert_eq!(world.log(), ["a", "b", "c", "undo c"]);
    // What was undone is done again, and nothing else.
    assert_eq!(world.resume().0, 0);
    assert_eq!(world.log(), ["a", "b", "c", "undo c", "c"]);
    assert_eq!(world.back(&["--way", "undo"]).0, 12);
    assert_eq!(world.log()[5..], ["undo c", "undo b", "undo a"]);
}

#[test]
fn a_run_that_was_rolled_back_is_not_gone_on_with() {
    let world = World::new("", &format!("  tasks:\n{}", step("a")));
    assert_eq!(world.run(), 0);
    assert_eq!(world.back(&["--way", "undo"]).0, 12);
    let (code, text) = world.resume();
    assert_eq!(code, 12);
    assert!(text.contains("was rolled back by `undo`"), "{text}");
    assert_eq!(world.log(), ["a", "undo a"]);
}

#[test]
fn undo_does_not_cross_a_point_of_no_return() {
    let point = "    - name: final\n      shell: echo final >> $T/log\n      undo: keep\n      \
                 point_of_no_return: {reason: it is final}\n";
    let tasks = format!("  tasks:\n{}{point}{}", step("a"), step("b"));
    let world = World::new("", &tasks);
    assert_eq!(world.run(), 0);
    let (code, text) = world.back(&["--way", "undo"]);
    assert_eq!(code, 13);
    assert!(text.contains("`final` was passed"), "{text}");
    let (code, text) = world.back(&["--to", "a"]);
    assert_eq!(code, 13);
    assert!(text.contains("behind the point of no return"), "{text}");
    assert_eq!(world.log(), ["a", "final", "b"]);
    assert_eq!(world.back(&["--to", "final"]).0, 12);
    assert_eq!(world.log(), ["a", "final", "b", "undo b"]);
}

#[test]
fn a_named_way_undoes_what_is_unsealed_across_a_point() {
    let header = "  ways_back:\n    - {name: traffic, loses: nothing, undo_of: traffic}\n";
    let tagged = |name: &str, tag: &str| format!("{}      tags: [{tag}]\n", step(name));
    let point = "    - name: final\n      shell: echo final >> $T/log\n      undo: keep\n      \
                 point_of_no_return: {reason: it is final, seals: [data]}\n";
    let tasks = format!(
        "  tasks:\n{}{}{point}",
        tagged("a", "traffic"),
        tagged("b", "data")
    );
    let world = World::new(header, &tasks);
    assert_eq!(world.run(), 0);
    assert_eq!(world.back(&["--way", "traffic"]).0, 12);
    assert_eq!(world.log(), ["a", "b", "final", "undo a"]);
}

#[test]
fn undoing_what_notified_notifies_again() {
    let play = "
  tasks:
    - {name: a, copy: {content: new, dest: $T/a}, notify: restart}
    - {name: b, copy: {content: new, dest: $T/b}, notify: restart}
    - {name: quiet, copy: {content: new, dest: $T/c}, notify: nobody}
  handlers:
    - {name: restart, shell: 'echo restart $(ls $T | grep -c ^[abc]$) >> $T/log', undo: keep}
    - {name: nobody, shell: echo nobody >> $T/log, undo: keep}
";
    let world = World::new("", play);
    fs::write(world.path("c"), "new").unwrap();
    assert_eq!(world.run(), 0);
    assert_eq!(world.log(), ["restart 3"]);
    assert_eq!(world.back(&["--way", "undo"]).0, 12);
    // Once, after the last undo; what changed nothing notifies nobody.
    assert_eq!(world.log(), ["restart 3", "restart 1"]);
}

#[test]
fn the_undo_of_a_block_stands_for_those_of_its_tasks() {
    let play = "
  tasks:
    - name: both
      block:
        - shell: echo a >> $T/log
        - copy: {content: new, dest: $T/b}
        - shell: echo c >> $T/log
      undo:
        - shell: echo undo block >> $T/log
";
    let world = World::new("", play);
    assert_eq!(world.run(), 0);
    assert_eq!(world.back(&["--way", "undo"]).0, 12);
    assert_eq!(world.log(), ["a", "c", "undo block"]);
    assert_eq!(world.text("b"), "new", "the block's undo is in place of it");
}

#[test]
fn what_stays_is_said_before_anything_is_undone() {
    let play = format!(
        "  tasks:\n    - name: guess\n      shell: echo x >> $T/log\n    - name: stays\n      \
         shell: echo y >> $T/log\n      undo: keep\n{}",
        step("a")
    );
    let world = World::new("", &play);
    assert_eq!(world.run(), 0);
    let (code, text) = world.back(&["--way", "undo"]);
    assert_eq!(code, 13, "not all of it could be brought back");
    assert_eq!(world.log(), ["x", "y", "a", "undo a"]);
    let at = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part} is not in:\n{text}"))
    };
    let first = at("undo a");
    assert!(
        at("cannot be brought back: a command does not say") < first,
        "{text}"
    );
    assert!(
        at("`stays`") < first && at("stays on purpose") < first,
        "{text}"
    );
}

#[test]
fn what_somebody_changed_since_is_not_thrown_away() {
    let play = "
  tasks:
    - {name: first, copy: {content: new, dest: $T/first}}
    - {name: made, copy: {content: new, dest: $T/made}}
";
    let world = World::new("", play);
    fs::write(world.path("made"), "old").unwrap();
    assert_eq!(world.run(), 0);
    fs::write(world.path("made"), "somebody else's").unwrap();
    let (code, text) = world.back(&["--way", "undo"]);
    assert_eq!(code, 13);
    assert!(text.contains("has been changed since"), "{text}");
    assert_eq!(world.text("made"), "somebody else's");
    assert_eq!(world.text("first"), "new", "what is before it waits");
    // Once it is as the change left it again, the rest is undone.
    fs::write(world.path("made"), "new").unwrap();
    assert_eq!(world.back(&["--way", "undo"]).0, 12);
    assert_eq!(world.text("made"), "old");
    assert!(!world.path("first").exists());
}

#[test]
fn an_undo_that_fails_stops_and_can_be_tried_again() {
    let fails = "    - name: b\n      shell: echo b >> $T/log\n      undo:\n        \
                 - shell: test -e $T/go && echo undo b >> $T/log\n";
    let tasks = format!("  tasks:\n{}{fails}{}", step("a"), step("c"));
    let world = World::new("", &tasks);
    assert_eq!(world.run(), 0);
    assert_eq!(world.back(&["--way", "undo"]).0, 13);
    assert_eq!(world.log(), ["a", "b", "c", "undo c"]);
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(world.back(&["--way", "undo"]).0, 12);
    assert_eq!(world.log()[4..], ["undo b", "undo a"]);
}

#[test]
fn a_killed_rollback_goes_on_and_is_never_rolled_back() {
    let killer = format!(
        "    - name: b\n      shell: echo b >> $T/log\n      undo:\n        \
         - shell: |\n            {KILL}\n            echo undo b >> $T/log\n"
    );
    let tasks = format!("  tasks:\n{}{killer}{}", step("a"), step("c"));
    let world = World::new("", &tasks);
    assert_eq!(world.run(), 0);
    world.back_killed(&["--way", "undo"]);
    assert_eq!(world.log(), ["a", "b", "c", "undo c"]);
    let (code, text) = world.resume();
    assert_eq!(code, 12);
    assert!(text.contains("going on with the way back `undo`"), "{text}");
    assert_eq!(world.log()[4..], ["undo b", "undo a"]);
}

#[test]
fn a_killed_named_way_goes_on_where_it_was() {
    let header = format!(
        "  ways_back:\n    - name: restore\n      loses: nothing\n      hosts: one\n      legal:\n        \
         - {{name: nothing is restored, hosts: one, command: test ! -e $T/restored, reads: true}}\n      tasks:\n        \
         - shell: touch $T/restored; echo one >> $T/log\n        \
         - shell: |\n            {KILL}\n            echo two >> $T/log\n          verify: {{name: look, command: test -e $T/two, reads: true}}\n        \
         - shell: echo three >> $T/log\n"
    );
    let world = World::new(&header, &format!("  tasks:\n{}", step("a")));
    assert_eq!(world.run(), 0);
    world.back_killed(&["--way", "restore"]);
    assert_eq!(world.log(), ["a", "one"]);
    let (code, text) = world.resume();
    assert_eq!(code, 12, "{text}");
    assert_eq!(world.log(), ["a", "one", "two", "three"]);
    // Nothing of the way, and nothing of what it led back from, is undone after it.
    assert_eq!(world.back(&["--way", "undo"]).0, 13);
    assert_eq!(world.log(), ["a", "one", "two", "three"]);
}

#[test]
fn a_way_may_need_only_one_of_several_hosts() {
    let header = "  ways_back:\n    - name: restore\n      loses: nothing\n      hosts: one\n      legal:\n        \
                  - {name: a copy is there, hosts: pair, at_least: 1, command: 'test -e $T/copy_{{ inventory_hostname }}', reads: true}\n      tasks:\n        \
                  - shell: echo restored >> $T/log\n";
    let world = World::new(header, &format!("  tasks:\n{}", step("a")));
    assert_eq!(world.run(), 0);
    let (code, text) = world.back(&["--way", "restore"]);
    assert_eq!(code, 13);
    assert!(text.contains("on none of one, two"), "{text}");
    assert_eq!(world.log(), ["a"]);
    fs::write(world.path("copy_two"), "").unwrap();
    assert_eq!(world.back(&["--way", "restore"]).0, 12);
    assert_eq!(world.log(), ["a", "restored"]);
}

#[test]
fn what_a_way_back_did_is_not_undone() {
    let header = "  ways_back:\n    - name: restore\n      loses: nothing\n      hosts: one\n      tasks:\n        \
                  - shell: echo way >> $T/log\n          undo:\n            - shell: echo undo way >> $T/log\n        \
                  - command: test -e $T/go\n";
    let world = World::new(header, &format!("  tasks:\n{}", step("a")));
    assert_eq!(world.run(), 0);
    assert_ne!(world.back(&["--way", "restore"]).0, 12);
    assert_eq!(world.log(), ["a", "way"]);
    assert_eq!(world.back(&["--way", "undo"]).0, 12);
    assert_eq!(world.log(), ["a", "way", "undo a"]);
}

#[test]
fn a_run_with_roles_is_resumed_where_it_was() {
    let world = World::new("", "  roles: [made]\n");
    let tasks = "- shell: echo a >> $T/log\n- command: test -e $T/go\n";
    let tasks = tasks.replace("$T", world.folder.path().to_str().unwrap());
    let project = world.path("project");
    fs::create_dir_all(project.join("roles/made/tasks")).unwrap();
    fs::create_dir_all(project.join("playbooks")).unwrap();
    fs::write(project.join("roles/made/tasks/main.yml"), tasks).unwrap();
    fs::rename(world.path("site.yml"), project.join("playbooks/site.yml")).unwrap();
    let run = [
        "run",
        "project/playbooks/site.yml",
        "-i",
        "hosts.ini",
        "--yes",
        "-l",
        "one",
    ];
    assert_eq!(code(&world.command(&run).output().unwrap()).0, 2);
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(world.resume().0, 0);
    assert_eq!(world.log(), ["a"], "what was done is not done again");
}

#[test]
fn a_playbook_that_changed_is_shown_and_asked_about() {
    let world = World::new(
        "",
        &format!("  tasks:\n{}    - command: test -e $T/go\n", step("a")),
    );
    assert_eq!(world.run(), 2);
    let changed = format!("  tasks:\n{}    - command: test -d $T\n", step("a"));
    world.playbook("", &changed);
    let (code_then, text) = world.resume();
    assert_eq!(code_then, 7);
    let folder = world.folder.path().display();
    for line in [
        format!("-    - command: test -e {folder}/go"),
        format!("+    - command: test -d {folder}"),
    ] {
        assert!(text.contains(&line), "{line} in:\n{text}");
    }
    assert_eq!(world.log(), ["a"]);
    let accepted = ["resume", "--yes", "--accept-drift"];
    assert_eq!(code(&world.command(&accepted).output().unwrap()).0, 0);
    assert_eq!(world.log(), ["a"]);
    let journal = code(&world.command(&["runs", "show"]).output().unwrap()).1;
    assert!(journal.contains("has changed: +1 -1 lines"), "{journal}");
}
