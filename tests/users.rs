//! Attempts of users other than root: where they are kept, whoever may become whom, and that they
//! are found again. The real program against this machine; needs root, which becomes `nobody`.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

#[path = "support/world.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod world;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use world::{World, said};

const NOBODY: u32 = 65534;
const PLAY: &str = "\
- hosts: one
  gather_facts: false
BECOME
  tasks:
    - shell: echo began >> TARGET/log; touch TARGET/at; while [ ! -e TARGET/go ]; do sleep 0.1; done; id -u >> TARGET/log
    - shell: echo after >> TARGET/log
";

/// A world that `nobody` can use.
fn world(play: &str) -> World {
    let world = World::with_playbook(play);
    // Of its own in the temporary folder, which is closed to others at first.
    fs::set_permissions(world.path("."), PermissionsExt::from_mode(0o711)).unwrap();
    fs::set_permissions(world.target(), PermissionsExt::from_mode(0o777)).unwrap();
    world
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills a run amid its first task, and lets the task end.
fn killed(world: &World, mut command: Command) {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    until("the command begins", || world.target().join("at").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(world.target().join("go"), "").unwrap();
}

const RUN: &[&str] = &["run", "playbook.yml", "-i", "hosts.ini", "--yes"];
const WHOLE: &str = "began\n65534\nafter\n";

/// Whichever way a user is become, the attempts are in that user's spool of root's place, and a later
/// process finds them there.
#[test]
fn whoever_is_become_has_a_spool_of_its_own() {
    for (method, flags) in [
        ("sudo", "-H --preserve-env=SWITCHBACK_ROOT"),
        ("su", "-s /bin/sh"),
        ("doas", ""),
    ] {
        let keywords = format!(
            "  become: true\n  become_user: nobody\n  become_method: {method}\n  become_flags: {flags}"
        );
        let world = world(&PLAY.replace("BECOME", keywords.trim_end_matches("  become_flags: ")));
        fs::create_dir(world.path("bin")).unwrap();
        // Few machines have this one; it takes the same words.
        world.write(
            "bin/doas",
            "#!/bin/sh\nwhile [ \"$1\" != -u ]; do shift; done\nuser=$2\nshift 3\n\
             exec setpriv --reuid=\"$user\" --regid=nogroup --clear-groups \"$@\"\n",
        );
        fs::set_permissions(world.path("bin/doas"), PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!(
            "{}:{}",
            world.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let command = |words: &[&str]| {
            let mut command = world.command(words);
            command.env("PATH", &path);
            command
        };
        killed(&world, command(RUN));
        let spool = world.path("place/u/65534");
        let meta = fs::metadata(&spool).unwrap();
        assert_eq!(
            (meta.uid(), meta.mode() & 0o777),
            (NOBODY, 0o700),
            "{method}"
        );
        assert!(spool.join("a").is_dir(), "{method}");
        let (code, told) = said(&command(&["resume", "--yes"]).output().unwrap());
        assert_eq!(
            (code, world.made("log").as_str()),
            (0, WHOLE),
            "{method}: {told}"
        );
        // The next attempt takes the files of the one before away, after its own end.
        until("the files are gone", || {
            fs::read_dir(spool.join("a")).unwrap().next().is_none()
        });
        // The lock is root's, and it was given back.
        let (code, told) = said(&command(RUN).output().unwrap());
        assert_eq!(code, 0, "{method}: {told}");
    }
}

/// A user who cannot become root keeps attempts and the lock at home, is told so, and is kept from
/// running into another run of the same user.
#[test]
fn without_root_all_is_kept_at_home() {
    let world = world(&PLAY.replace("BECOME\n", ""));
    let program = world.path("switchback");
    fs::copy(env!("CARGO_BIN_EXE_switchback"), &program).unwrap();
    for name in ["home", "alice", "bob", "keys"] {
        fs::create_dir(world.path(name)).unwrap();
        fs::set_permissions(world.path(name), PermissionsExt::from_mode(0o700)).unwrap();
        chown(world.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let command = |runs: &str, words: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(words)
            .current_dir(world.path("."))
            .env("HOME", world.path("home"))
            .env("SWITCHBACK_ROOT", world.path("place"))
            .env("SWITCHBACK_RUNS", world.path(runs))
            .env("SWITCHBACK_KEYS", world.path("keys"))
            .stdin(Stdio::null());
        command
    };
    killed(&world, command("alice", RUN));
    let place = world.path("home/.switchback");
    assert!(place.join("a").is_dir() && !world.path("place").exists());
    let (code, told) = said(&command("bob", RUN).output().unwrap());
    assert_eq!(code, 6, "{told}");
    let (code, told) = said(&command("alice", &["resume", "--yes"]).output().unwrap());
    assert_eq!((code, world.made("log").as_str()), (0, WHOLE), "{told}");
    assert!(told.contains("there is no root"), "{told}");
    let (code, told) = said(&command("bob", RUN).output().unwrap());
    assert_eq!(code, 0, "{told}");
}
