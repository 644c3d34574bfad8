//! What a run finds again when it is resumed, and what somebody must have who goes on with it
//! elsewhere. The real program; needs root, for a machine that has another name.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

#[path = "support/sshd.rs"]
#[expect(dead_code, reason = "the transport's tests use the rest")]
mod sshd;
#[path = "support/world.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use sshd::Sshd;
use world::{World, said};

const BATCHES: &str = "\
- hosts: all
  serial: 1
  gather_facts: false
  vars_prompt:
    - {name: color, prompt: which color, private: false}
    - {name: pin, prompt: the pin, private: true}
  tasks:
    - shell: echo {{ inventory_hostname }} of {{ ansible_play_batch | join('+') }} {{ x }} {{ color }} {{ pin }} >> TARGET/log
      register: said
    - command: test -e TARGET/go.{{ inventory_hostname }}
    - copy: {content: \"{{ said.cmd | regex_replace(' >>.*') }} {{ x }} {{ color }} {{ pin }}\", dest: \"TARGET/{{ inventory_hostname }}\"}
";

/// A run of [`BATCHES`] that was stopped in its second batch, with its locks.
fn failed_in_batch() -> World {
    let world = World::with_playbook(BATCHES);
    let hosts = ["one", "two", "three"].map(|host| format!("{host} ansible_connection=local\n"));
    world.write("hosts.ini", &hosts.concat());
    fs::write(world.target().join("go.one"), "").unwrap();
    let (code, told) = said(&world.run(&[
        "-e",
        "x=extra",
        "--limit",
        "one,two",
        "--answer",
        "which color=red",
        "--answer",
        "the pin=4711-pin",
        "--on-failure",
        "stop",
    ]));
    assert_eq!(code, 10, "{told}");
    fs::write(world.target().join("go.two"), "").unwrap();
    world
}

fn is_whole(world: &World) {
    let line = |host: &str| format!("{host} of {host} extra red 4711-pin\n");
    assert_eq!(world.made("log"), line("one") + &line("two"));
    for host in ["one", "two"] {
        let made = format!("echo {host} of {host} extra red 4711-pin extra red 4711-pin");
        assert_eq!(world.made(host), made);
    }
    assert!(!world.target().join("three").exists());
}

/// The serial batch, the limit, extra vars, answers and registered values are those of the run; no
/// answer is given again.
#[test]
fn a_resume_finds_batch_limit_variables_and_answers_again() {
    let world = failed_in_batch();
    let (code, told) = said(&world.switchback(&["resume", "--yes"]));
    assert_eq!(code, 0, "{told}");
    is_whole(&world);
    assert!(!told.contains("4711-pin"), "{told}");
    for (path, bytes) in world.files("runs") {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("4711-pin"), "{}", path.display());
    }
}

/// The program on a machine of another name and id, with keys of its own.
fn elsewhere(world: &World, words: &[&str]) -> Output {
    let id = world.path("machine-id");
    fs::write(&id, "0123456789abcdef0123456789abcdef\n").unwrap();
    let setup = format!(
        "hostname elsewhere && mount --bind {} /etc/machine-id && exec \"$@\"",
        id.display()
    );
    let plain = world.command(words);
    let mut command = Command::new("unshare");
    command.args(["-m", "-u", "sh", "-c", &setup, "sh"]);
    command.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("SWITCHBACK_KEYS", world.path("other-keys"));
    command.current_dir(world.path("."));
    command.output().unwrap()
}

/// fault 14: on another machine a copy of the run folder goes on with the key of the run, after it
/// was taken over; without either it does nothing.
#[test]
fn a_copy_of_a_run_goes_on_elsewhere_with_its_key() {
    let world = failed_in_batch();
    let run = world.run_id();
    let (code, told) = said(&world.switchback(&["runs", "key", &run]));
    assert_eq!(code, 0, "{told}");
    let output = world.switchback(&["runs", "key", &run]);
    fs::write(world.path("key"), output.stdout).unwrap();
    fs::set_permissions(world.path("key"), PermissionsExt::from_mode(0o600)).unwrap();
    let key = world.path("key").display().to_string();
    let (code, told) = said(&elsewhere(&world, &["resume", "--yes", &run]));
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("key"), "{told}");
    let resume = ["resume", "--yes", &run, "--run-key", &key];
    let (code, told) = said(&elsewhere(&world, &resume));
    assert_eq!(code, 6, "{told}");
    assert!(told.contains("switchback takeover"), "{told}");
    assert!(!world.target().join("two").exists());
    let takeover = ["takeover", &run, "--yes", "--run-key", &key];
    let (code, told) = said(&elsewhere(&world, &takeover));
    assert_eq!(code, 0, "{told}");
    // Now it is the first machine that may not.
    let (code, told) = said(&world.switchback(&["resume", "--yes", &run]));
    assert_eq!(code, 6, "{told}");
    let (code, told) = said(&elsewhere(&world, &resume));
    assert_eq!(code, 0, "{told}");
    is_whole(&world);
}

/// Whoever has no key can still keep the old controller from acting.
#[test]
fn a_takeover_needs_no_key() {
    let world = failed_in_batch();
    let run = world.run_id();
    let (code, told) = said(&elsewhere(&world, &["takeover", &run, "--yes"]));
    assert_eq!(code, 0, "{told}");
    let (code, told) = said(&world.switchback(&["resume", "--yes", &run]));
    assert_eq!(code, 6, "{told}");
    assert!(!world.target().join("two").exists());
}

/// fault 71: a file of variables that a vault holds is looked at like any other; what it holds is not
/// shown.
#[test]
fn a_changed_vault_file_is_drift() {
    let tasks =
        "- shell: echo ran >> TARGET/log\n- command: test -e TARGET/go.{{ token | length }}\n";
    let world = World::new(tasks);
    fs::create_dir(world.path("group_vars")).unwrap();
    world.write("password", "vault-pass\n");
    let seal = |text: &str| {
        world.write("group_vars/all.yml", text);
        let words = ["vault", "encrypt", "--vault-password-file", "password"];
        let output = world.switchback(&[&words[..], &["group_vars/all.yml"]].concat());
        assert!(output.status.success(), "{}", said(&output).1);
    };
    seal("token: first-s3cret\n");
    let (code, told) = said(&world.run(&["--vault-password-file", "password"]));
    assert_eq!(code, 2, "{told}");
    fs::write(world.target().join("go.12"), "").unwrap();
    let sealed = fs::read(world.path("group_vars/all.yml")).unwrap();
    seal("token: other-s3cret\n");
    let (code, told) = said(&world.switchback(&["resume", "--yes"]));
    assert_eq!(code, 7, "{told}");
    assert!(told.contains("group_vars/all.yml"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
    fs::write(world.path("group_vars/all.yml"), sealed).unwrap();
    let (code, told) = said(&world.switchback(&["resume", "--yes"]));
    assert_eq!((code, world.made("log").as_str()), (0, "ran\n"), "{told}");
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A host that cannot be reached is not taken over in silence: either nothing is, or that host is
/// named, and is then out of the run.
#[test]
fn a_host_that_is_away_is_left_out_by_name() {
    let mut sshd = Sshd::start("");
    let world = World::new(
        "- shell: echo ran >> TARGET/log.{{ inventory_hostname }}\n- shell: touch TARGET/at; while [ ! -e TARGET/go ]; do sleep 0.1; done\n  delegate_to: one\n  run_once: true\n- shell: echo ran >> TARGET/log.{{ inventory_hostname }}\n",
    );
    let (dir, words) = (
        sshd.dir.path().display().to_string(),
        sshd.words().join(" "),
    );
    let hosts = format!(
        "one ansible_connection=local\naway ansible_host=127.0.0.1 ansible_port={} \
         ansible_ssh_private_key_file={dir}/key ansible_ssh_common_args='{words}'\n",
        sshd.port
    );
    world.write("hosts.ini", &hosts);
    let command = ["run", "playbook.yml", "-i", "hosts.ini", "--yes"];
    let mut child = world.command(&command).spawn().unwrap();
    until("it begins", || world.target().join("at").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let run = world.run_id();
    sshd.stop();
    fs::write(world.target().join("go"), "").unwrap();
    let (code, told) = said(&world.switchback(&["takeover", &run, "--yes"]));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("--without away"), "{told}");
    let without = ["takeover", &run, "--yes", "--without", "away"];
    let (code, told) = said(&world.switchback(&without));
    assert_eq!(code, 0, "{told}");
    let (code, told) = said(&world.switchback(&["resume", "--yes", &run]));
    assert_eq!(code, 0, "{told}");
    assert_eq!(world.made("log.one"), "ran\nran\n", "{told}");
    assert_eq!(world.made("log.away"), "ran\n", "{told}");
}

/// fault 57: a host that is a copy of another one is not changed, as the two would take each other's
/// attempts for their own. Two names of one host are no copy.
#[test]
fn a_copy_of_a_host_is_not_changed() {
    let sshd = Sshd::start("");
    let world = World::new("- shell: echo ran >> TARGET/log.{{ inventory_hostname }}\n");
    let (dir, words) = (
        sshd.dir.path().display().to_string(),
        sshd.words().join(" "),
    );
    let first = "one ansible_connection=local\nagain ansible_connection=local\n";
    world.write("hosts.ini", first);
    let (code, told) = said(&world.run(&[]));
    assert_eq!(code, 0, "{told}");
    let (from, to) = (world.path("place"), sshd.path("place"));
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
    let copy = format!(
        "copy ansible_host=127.0.0.1 ansible_port={} ansible_ssh_private_key_file={dir}/key \
         ansible_ssh_common_args='{words}'\n",
        sshd.port
    );
    world.write("hosts.ini", &format!("{first}{copy}"));
    let (code, told) = said(&world.run(&["--forks", "1"]));
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("is a copy of the other"), "{told}");
    for host in ["one", "again"] {
        assert_eq!(world.made(&format!("log.{host}")), "ran\nran\n", "{told}");
    }
    assert_eq!(world.made("log.copy"), "", "{told}");
}
