//! Faults 2 to 15: what happens to the process that runs a playbook.

use std::fs;
use std::process::{Command, Stdio};

use crate::world::{World, end, run_words, signal, wait};

/// Runs long enough to be disturbed, and says how often it ran.
const LONG: &str = "- shell: echo began >> $T/log.{{ inventory_hostname }}; touch $T/at.{{ inventory_hostname }}; sleep 2; echo ended >> $T/log.{{ inventory_hostname }}\n- shell: echo after >> $T/log.{{ inventory_hostname }}\n";
const WHOLE: &str = "began\nended\nafter\n";

#[test]
fn a_killed_controller_finds_five_hosts_again() {
    let hosts = ["h1", "h2", "h3", "h4", "h5"];
    let world = World::new(&hosts, LONG);
    let mut child = world.start(&["--forks", "5"]);
    for host in hosts {
        world.wait_for(&format!("at.{host}"));
    }
    signal(&child, "KILL");
    end(&mut child);
    let given = world.resume();
    assert_eq!(given.code, 0, "{}", given.out);
    for host in hosts {
        assert_eq!(world.text(&format!("log.{host}")), WHOLE, "{host}");
    }
}

/// fault 9: there is no memory for what a command says. A death like any other: the command is found
/// again by a process that has some.
#[test]
fn a_controller_without_memory_is_resumed() {
    let tasks = "- shell: echo began >> $T/log.h1; touch $T/at; while [ ! -e $T/go ]; do sleep 0.1; done; head -c 6000000 /dev/zero | tr '\\0' x; echo ended >> $T/log.h1\n  register: said\n- assert: {that: said.stdout | length == 6000000}\n- shell: echo after >> $T/log.h1\n";
    let world = World::new(&["h1"], tasks);
    let mut child = world.start(&[]);
    world.wait_for("at");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize:"));
    let kilobytes: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let limit = format!("--as={}", (kilobytes + 1024) * 1024);
    let pid = child.id().to_string();
    let mut set = Command::new("prlimit");
    assert!(
        set.args(["--pid", &pid, &limit])
            .status()
            .unwrap()
            .success()
    );
    world.write("go", "");
    assert_eq!(end(&mut child), -1, "it did not die: {}", world.text("log"));
    let given = world.resume();
    assert_eq!(given.code, 0, "{}", &given.out[..given.out.len().min(2000)]);
    assert_eq!(world.text("log.h1"), WHOLE);
}

#[test]
fn an_interrupt_stops_after_the_task_and_kills_nothing() {
    let world = World::new(&["h1"], LONG);
    let mut child = world.start(&[]);
    world.wait_for("at.h1");
    signal(&child, "INT");
    assert_eq!(end(&mut child), 10, "{}", world.text("log"));
    assert!(!world.text("log.h1").contains("after"));
    let given = world.resume();
    assert_eq!(given.code, 0, "{}", given.out);
    assert_eq!(world.text("log.h1"), WHOLE);
}

#[test]
fn a_controller_that_sleeps_goes_on() {
    let world = World::new(&["h1"], LONG);
    let mut child = world.start(&[]);
    world.wait_for("at.h1");
    signal(&child, "STOP");
    // The command does not wait for whoever started it.
    wait(|| world.text("log.h1").contains("ended"), &|| {
        world.text("log.h1")
    });
    signal(&child, "CONT");
    assert_eq!(end(&mut child), 0, "{}", world.text("log"));
    assert_eq!(world.text("log.h1"), WHOLE);
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let world = World::new(&["h1"], LONG);
    let mut command = world.command(&[], &run_words(&[]));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(end(&mut child), 0);
    assert_eq!(world.text("log.h1"), WHOLE);
}

#[test]
fn a_reader_that_is_blocked_stops_nothing() {
    let world = World::new(
        &["h1"],
        "- debug: msg={{ 'x' * 100000 }}\n- debug: msg={{ 'x' * 100000 }}\n- shell: echo after >> $T/log.h1; touch $T/after\n",
    );
    let mut command = world.command(&[], &run_words(&["-v"]));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A pipe holds 64 kB, and nobody reads.
    world.wait_for("after");
    let closed = || {
        let runs = fs::read_dir(world.path("runs")).unwrap();
        let journals = runs.map(|entry| entry.unwrap().path().join("journal.ndjson"));
        let mut texts = journals.map(|path| fs::read_to_string(path).unwrap_or_default());
        texts.any(|text| text.contains("\"closed\""))
    };
    wait(closed, &|| "the run does not end".to_owned());
    let mut out = String::new();
    let mut stdout = child.stdout.take().unwrap();
    std::io::Read::read_to_string(&mut stdout, &mut out).unwrap();
    assert_eq!(end(&mut child), 0);
    assert!(out.len() > 200_000 && out.trim_end().ends_with("exit=0"));
}

/// The `sh` of a host that is not at work is ended where another host needs its files.
#[test]
fn few_open_files_are_enough() {
    let bare = "  changed_when: false\n";
    let shell = "- shell: echo ran >> $T/ran.{{ inventory_hostname }}\n";
    for (count, times, tasks) in [
        (200, 1, [shell, bare].concat()),
        (20, 2, [shell, bare, shell, bare].concat()),
        (12, 2, shell.repeat(2)),
    ] {
        let hosts: Vec<String> = (0..count).map(|n| format!("h{n}")).collect();
        let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let world = World::new(&names, &tasks);
        let output = world
            .command(&["prlimit", "--nofile=64"], &run_words(&[]))
            .output()
            .unwrap();
        let given = crate::world::given(&output);
        assert_eq!(given.code, 0, "{}", given.out);
        for host in names {
            assert_eq!(world.lines(&format!("ran.{host}")), times, "{host}");
        }
    }
}

#[test]
fn a_copy_of_the_run_is_resumed_where_the_first_machine_is_lost() {
    let world = World::new(
        &["h1"],
        "- shell: echo ran >> $T/ran\n- command: test -e $T/go\n",
    );
    assert_eq!(world.run(&[]).code, 2);
    fs::rename(world.path("runs"), world.path("elsewhere")).unwrap();
    world.write("go", "");
    let mut command = world.command(&[], &["resume", "--yes"]);
    let output = command
        .env("SWITCHBACK_RUNS", world.path("elsewhere"))
        .output()
        .unwrap();
    let given = crate::world::given(&output);
    assert_eq!(given.code, 0, "{}", given.out);
    assert_eq!(world.lines("ran"), 1);
}
