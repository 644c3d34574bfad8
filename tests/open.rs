//! Attempts that still run: `switchback cancel` ends them and nothing else, a rollback is refused
//! beside them, and a resume lets no step of their host begin.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

#[path = "faults/world.rs"]
mod world;

use world::{World, end, signal, wait};

/// A command that runs until `$T/go` is there.
const SLOW: &str = "- name: the change\n  shell: |\n    echo begun >> $T/begun\n    until [ -e $T/go ]; do sleep 0.05; done\n    echo ended >> $T/ended\n  undo:\n    - shell: echo undone >> $T/undone\n- shell: echo later >> $T/later\n";

/// The same, and it does not end by TERM.
const STUBBORN: &str = "- name: the change\n  shell: |\n    trap '' TERM\n    echo begun >> $T/begun\n    until [ -e $T/go ]; do sleep 0.05; done\n";

fn cancel(world: &World, more: &[&str]) -> world::Given {
    let mut words = vec!["cancel", "latest"];
    words.extend(more);
    world.given(&words)
}

/// The task ends as failed with who did it, is not tried again, and the run ends.
#[test]
fn what_runs_is_cancelled_while_the_run_lives() {
    let tried_again = SLOW.replace(
        "  undo:",
        "  until: r is success\n  retries: 3\n  delay: 0\n  register: r\n  undo:",
    );
    let world = World::new(&["h1"], &tried_again);
    let mut run = world.start(&[]);
    world.wait_for("begun");
    let told = cancel(&world, &[]);
    assert_eq!(told.code, 15, "{}", told.out);
    let told = cancel(&world, &["--yes"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(
        told.out.contains("h1: `the change` runs (process "),
        "{}",
        told.out
    );
    assert!(told.out.contains("has ended"), "{}", told.out);
    assert_eq!(end(&mut run), 2, "{}", world.text("log"));
    assert!(
        world.text("log").contains("cancelled by "),
        "{}",
        world.text("log")
    );
    assert_eq!(world.lines("begun"), 1);
    assert!(!world.path("ended").exists() && !world.path("later").exists());
    let told = cancel(&world, &["--yes"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(told.out.contains("nothing of the run"), "{}", told.out);
}

/// The journal has who did it; a resume tells the task's end and does not run it again by itself.
#[test]
fn what_runs_is_cancelled_after_the_controller_is_gone() {
    let world = World::new(&["h1"], SLOW);
    let mut run = world.start(&[]);
    world.wait_for("begun");
    signal(&run, "KILL");
    end(&mut run);
    let told = cancel(&world, &["--yes"]);
    assert_eq!(told.code, 0, "{}", told.out);
    let shown = world.given(&["runs", "show", "latest"]).out;
    assert!(shown.contains("cancelled h1 the change"), "{shown}");
    let resumed = world.resume();
    assert_eq!(resumed.code, 2, "{}", resumed.out);
    assert!(resumed.out.contains("cancelled by "), "{}", resumed.out);
    assert_eq!(world.lines("begun"), 1);
    assert!(!world.path("later").exists());
}

/// fault 48: KILL is sent on a word of its own only.
#[test]
fn what_does_not_end_is_said_and_ended_by_kill() {
    let world = World::new(&["h1"], STUBBORN);
    let mut run = world.start(&[]);
    world.wait_for("begun");
    let told = cancel(&world, &["--yes"]);
    assert_eq!(told.code, 2, "{}", told.out);
    assert!(told.out.contains("s after TERM still"), "{}", told.out);
    assert!(told.out.contains("`--kill`"), "{}", told.out);
    assert!(run.try_wait().unwrap().is_none(), "{}", world.text("log"));
    let told = cancel(&world, &["--yes", "--kill"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert_eq!(end(&mut run), 2, "{}", world.text("log"));
    assert!(
        world.text("log").contains("exit code: 137"),
        "{}",
        world.text("log")
    );
}

/// Who has lost the lock of a host ends nothing there.
#[test]
fn a_cancel_yields_to_who_has_the_lock() {
    let world = World::new(&["h1"], SLOW);
    let mut run = world.start(&[]);
    world.wait_for("begun");
    std::fs::write(
        world.path("place/e/99"),
        "another-run L1 bob@there since noon\n",
    )
    .unwrap();
    let told = cancel(&world, &["--yes"]);
    assert_eq!(told.code, 6, "{}", told.out);
    assert!(told.out.contains("bob@there"), "{}", told.out);
    world.write("go", "");
    end(&mut run);
    assert_eq!(world.lines("ended"), 1);
}

#[test]
fn only_the_hosts_that_were_named_are_meant() {
    let by_host = SLOW
        .replace("$T/begun", "$T/begun-{{ inventory_hostname }}")
        .replace("$T/ended", "$T/ended-{{ inventory_hostname }}");
    let world = World::new(&["h1", "h2"], &by_host);
    let mut run = world.start(&[]);
    world.wait_for("begun-h1");
    world.wait_for("begun-h2");
    let told = cancel(&world, &["--yes", "--host", "h1"]);
    assert_eq!(told.code, 0, "{}", told.out);
    world.write("go", "");
    end(&mut run);
    assert!(!world.path("ended-h1").exists() && world.path("ended-h2").exists());
}

const JOB: &str = "- name: the job\n  shell: |\n    echo begun >> $T/begun\n    until [ -e $T/go ]; do sleep 0.05; done\n    echo ended >> $T/ended\n  async: 600\n  poll: 0\n  undo:\n    - shell: echo undone >> $T/undone\n";

/// A job that nobody awaited is ended too, although its run is over.
#[test]
fn a_job_is_cancelled_after_its_run() {
    let world = World::new(&["h1"], JOB);
    let told = world.run(&[]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(told.out.contains("still runs"), "{}", told.out);
    world.wait_for("begun");
    let told = cancel(&world, &["--yes"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(!world.path("ended").exists());
    assert!(
        cancel(&world, &["--yes"])
            .out
            .contains("nothing of the run")
    );
}

/// A rollback beside something that runs is refused before anything is touched.
#[test]
fn a_rollback_is_refused_while_an_attempt_runs() {
    for (tasks, is_job) in [(SLOW, false), (JOB, true)] {
        let world = World::new(&["h1"], tasks);
        let mut run = world.start(&[]);
        world.wait_for("begun");
        if !is_job {
            signal(&run, "KILL");
        }
        end(&mut run);
        let before = journal(&world);
        let told = world.given(&["rollback", "latest", "--way", "undo", "--yes"]);
        assert_eq!(told.code, 13, "{}", told.out);
        assert!(
            told.out.contains("no attempt of the run still runs"),
            "{}",
            told.out
        );
        assert!(told.out.contains("switchback cancel"), "{}", told.out);
        assert!(!world.path("undone").exists());
        assert!(!journal(&world)[before.len()..].contains("rollback_started"));
        world.write("go", "");
        wait(|| world.path("ended").exists(), &|| {
            "it does not end".to_owned()
        });
        wait(
            || {
                world
                    .given(&["rollback", "latest", "--way", "undo", "--yes"])
                    .code
                    == 12
            },
            &|| "it is not rolled back".to_owned(),
        );
        assert_eq!(world.lines("undone"), 1, "{is_job}");
    }
}

fn journal(world: &World) -> String {
    let mut runs = std::fs::read_dir(world.path("runs")).unwrap();
    let folder = runs.find_map(|run| {
        let path = run.unwrap().path().join("journal.ndjson");
        path.exists().then_some(path)
    });
    std::fs::read_to_string(folder.unwrap()).unwrap()
}

/// A delegate's own steps do not begin beside what was begun there for another host.
#[test]
fn a_resume_waits_for_what_runs_on_a_delegate() {
    let tasks = "\
- name: own
  shell: if [ -e $T/ended ]; then echo after; else echo beside; fi >> $T/own; test -e $T/ok
  when: inventory_hostname == 'h2'
- name: delegated
  shell: |
    echo begun >> $T/begun
    until [ -e $T/go ]; do sleep 0.05; done
    echo ended >> $T/ended
  delegate_to: h2
";
    let world = World::new(&["h1", "h2"], tasks);
    let mut run = world.start(&[]);
    world.wait_for("begun");
    signal(&run, "KILL");
    end(&mut run);
    world.write("ok", "");
    let mut command = world.command(&[], &["resume", "--yes"]);
    let log = std::fs::File::create(world.path("log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let mut resumed = command.spawn().unwrap();
    wait(|| world.text("log").contains("begun for h1"), &|| {
        world.text("log")
    });
    world.write("go", "");
    assert_eq!(end(&mut resumed), 0, "{}", world.text("log"));
    assert_eq!(world.text("own"), "beside\nafter\n");
    assert_eq!(world.lines("begun"), 2, "{}", world.text("log"));
}
