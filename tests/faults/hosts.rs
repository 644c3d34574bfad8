//! Faults 25, 49, 55, 61, 62, 79 and 85: what hosts say and how some of many fail.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::world::{World, end, given, run_words, wait};

#[test]
fn a_host_with_a_wrong_clock_is_served() {
    let world = World::new(&["h1"], "- shell: date >> $T/ran\n");
    fs::create_dir(world.path("bin")).unwrap();
    world.write("bin/date", "#!/bin/sh\necho Thu Jan 1 00:00:00 UTC 1970\n");
    let program = fs::Permissions::from_mode(0o755);
    fs::set_permissions(world.path("bin/date"), program).unwrap();
    let path = format!(
        "{}:{}",
        world.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = world.command(&[], &run_words(&[]));
    let told = given(&command.env("PATH", path).output().unwrap());
    assert_eq!(told.code, 0, "{}", told.out);
    assert_eq!(world.text("ran"), "Thu Jan 1 00:00:00 UTC 1970\n");
}

#[test]
fn bytes_of_any_kind_are_kept_and_never_reach_the_terminal() {
    let world = World::new(
        &["h1"],
        "- shell: printf '\\033]0;title\\007\\033[2J\\377\\302\\233 kept\\r\\n'\n  register: said\n\
         - debug: {msg: '{{ said.stdout }}'}\n\
         - copy: {content: '{{ said.stdout }}', dest: $T/copy}\n",
    );
    let told = world.run(&["-vvv"]);
    assert_eq!(told.code, 0, "{}", told.out);
    assert!(told.out.contains("kept"), "{}", told.out);
    let is_plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    assert!(told.out.chars().all(is_plain), "{:?}", told.out);
    let copy = fs::read(world.path("copy")).unwrap();
    assert!(copy.starts_with(b"\x1b]0;title\x07\x1b[2J"), "{copy:?}");
}

/// fault 55: a host whose uptime went back under the same boot was put back to a snapshot with all its
/// memory. What had begun is lost, and is not run again.
#[test]
fn a_host_that_went_back_in_time_has_lost_what_ran() {
    let tasks = "- shell: echo ran >> $T/ran; touch $T/at; while [ ! -e $T/go ]; do sleep 0.1; done\n- shell: touch $T/next\n";
    let world = World::new(&["h1"], tasks);
    let mut child = world.start(&[]);
    world.wait_for("at");
    child.kill().unwrap();
    end(&mut child);
    fs::write(world.path("go"), "").unwrap();
    world.write("uptime", "1.00 1.00\n");
    let script = format!(
        "mount --bind '{}' /proc/uptime && exec \"$@\"",
        world.path("uptime").display()
    );
    let young = ["unshare", "-m", "sh", "-c", script.as_str(), "sh"];
    let mut command = world.command(&young, &["resume", "--yes"]);
    let told = given(&command.output().unwrap());
    assert_eq!(told.code, 9, "{}", told.out);
    assert!(told.out.contains("gone back in time"), "{}", told.out);
    assert_eq!(world.lines("ran"), 1);
    assert!(!world.path("next").exists());
}

/// fault 49: a process that somebody has stopped is shown as such, and the next task waits.
#[test]
fn a_stopped_process_is_shown() {
    let world = World::new(
        &["h1"],
        "- shell: touch $T/at; while [ ! -e $T/go ]; do sleep 0.1; done\n- shell: touch $T/next\n",
    );
    let mut child = world.start(&[]);
    world.wait_for("at");
    let spool = world.path("place/u/0/a");
    let command = || {
        let files = fs::read_dir(&spool)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut files = files.filter(|path| path.extension().is_some_and(|end| end == "pid"));
        let line = fs::read_to_string(files.next()?).ok()?;
        line.ends_with(".\n")
            .then(|| line.split(' ').next().unwrap_or_default().to_owned())
    };
    wait(|| command().is_some(), &|| {
        "it has no process id".to_owned()
    });
    let pid = command().unwrap();
    let send = |name: &str| Command::new("kill").args(["-s", name, &pid]).status();
    assert!(send("STOP").unwrap().success());
    let said = format!("(process {pid}) is stopped");
    wait(|| world.text("log").contains(&said), &|| world.text("log"));
    fs::write(world.path("go"), "").unwrap();
    assert!(!world.path("next").exists());
    assert!(send("CONT").unwrap().success());
    assert_eq!(end(&mut child), 0, "{}", world.text("log"));
    assert_eq!(world.text("log").matches("is stopped").count(), 1);
    assert!(world.path("next").exists());
}

#[test]
fn a_line_without_end_is_taken_in() {
    let world = World::new(
        &["h1"],
        "- shell: head -c 2000000 /dev/zero | tr '\\0' x\n  register: said\n\
         - assert: {that: said.stdout | length == 2000000}\n",
    );
    let told = world.run(&[]);
    assert_eq!(told.code, 0, "{}", &told.out[..told.out.len().min(2000)]);
}

#[test]
fn one_of_several_fails_and_the_others_end() {
    let hosts = ["h1", "h2", "h3"];
    let world = World::new(
        &hosts,
        "- shell: test {{ inventory_hostname }} != h2\n- shell: echo ran >> $T/ran.{{ inventory_hostname }}\n",
    );
    let told = world.run(&[]);
    assert_eq!(told.code, 2, "{}", told.out);
    assert!(world.path("ran.h1").exists() && world.path("ran.h3").exists());
    assert!(!world.path("ran.h2").exists());
}

#[test]
fn a_host_that_cannot_be_reached_is_not_one_that_failed() {
    let hosts = [
        "gone ansible_host=127.0.0.1 ansible_port=1 ansible_timeout=5",
        "h1",
        "h2",
    ];
    let header = "|  serial: 1\n  any_errors_fatal: true\n";
    let tasks = "- shell: echo ran >> $T/ran.{{ inventory_hostname }}\n";
    let world = World::with(&hosts, header, tasks);
    let told = world.run(&[]);
    assert_eq!(told.code, 4, "{}", told.out);
    assert!(told.out.contains("gone") && !world.path("ran.gone").exists());
}
