//! Faults 25, 61, 62, 79 and 85: what hosts say and how some of many fail.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, given, run_words};

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
