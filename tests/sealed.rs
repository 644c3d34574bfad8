//! What is secret is in the journal for a resume and a rollback, and nobody without the run's key
//! can read it there.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "support/world.rs"]
#[expect(dead_code, reason = "each test uses a part of it")]
mod world;

use std::fs;

use world::{World, said};

const SECRET: &str = "correct-horse-battery";

/// Fails the first time, so that a second process goes on with what the first one knew.
const TASKS: &str = "\
- command: echo correct-horse-battery
  register: hidden
  no_log: true
- set_fact: {kept: 'fact-{{ hidden.stdout }}'}
- shell: cat >/dev/null; echo from-{{ given }}
  register: shown
- shell: 'printf made > TARGET/changed'
  no_log: true
  undo:
    - shell: printf '%s' '{{ hidden.stdout }} {{ given }}' > TARGET/undone
- command: test -e TARGET/ready
- copy: {content: '{{ hidden.stdout }} {{ kept }} {{ shown.stdout }}', dest: TARGET/all}
";

fn failed_run() -> World {
    let world = World::new(TASKS);
    let (code, text) = said(&world.run(&["-vvv", "--diff", "-e", "given=given-away-word"]));
    assert_eq!(code, 2, "{text}");
    assert!(!text.contains(SECRET), "{text}");
    world
}

fn assert_nothing_readable(world: &World) {
    let files = world.files("runs");
    assert!(files.len() > 1, "the run has left no journal");
    for (name, bytes) in files {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The value of `-e` may be secret, and a task that prints it makes it no less so.
        for secret in [SECRET, "=given-away-word"] {
            assert!(!text.contains(secret), "{}: {text}", name.display());
        }
    }
}

#[test]
fn a_resume_knows_the_true_values_and_the_run_folder_does_not_tell_them() {
    let world = failed_run();
    assert_nothing_readable(&world);
    fs::write(world.target().join("ready"), "").unwrap();
    let (code, text) = said(&world.switchback(&["resume", "--yes"]));
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains(SECRET), "{text}");
    let expected = format!("{SECRET} fact-{SECRET} from-given-away-word");
    assert_eq!(world.made("all"), expected);
    assert_nothing_readable(&world);
}

#[test]
fn an_undo_task_knows_the_true_values() {
    let world = failed_run();
    let (_, text) = said(&world.switchback(&["rollback", "--yes", "--way", "undo"]));
    assert!(!text.contains(SECRET), "{text}");
    // The later commands have no undo, so it is the first of what ran that is taken back last.
    let (_, shown) = said(&world.switchback(&["runs", "show"]));
    assert!(!shown.contains(SECRET), "{shown}");
    assert_eq!(
        world.made("undone"),
        format!("{SECRET} given-away-word"),
        "{text}"
    );
    assert_nothing_readable(&world);
}

#[test]
fn on_another_machine_the_key_is_asked_for_and_a_copy_of_it_opens_the_run() {
    let world = failed_run();
    fs::write(world.target().join("ready"), "").unwrap();
    let id = world.run_id();
    let key = world.switchback(&["runs", "key", &id]);
    assert!(key.status.success());
    fs::remove_dir_all(world.path("keys")).unwrap();
    for command in ["resume", "rollback"] {
        let (code, text) = said(&world.switchback(&[command, "--yes"]));
        assert_eq!(code, 1, "{text}");
        assert!(
            text.contains("SB0811") && text.contains("runs key"),
            "{text}"
        );
    }
    assert_eq!(world.made("all"), "");
    fs::write(world.path("another.key"), "not a key").unwrap();
    let (code, text) = said(&world.switchback(&["resume", "--yes", "--run-key", "another.key"]));
    assert_eq!((code, text.contains("SB0810")), (1, true), "{text}");
    fs::write(world.path("run.key"), key.stdout).unwrap();
    let (code, text) = said(&world.switchback(&["resume", "--yes", "--run-key", "run.key"]));
    assert_eq!(code, 0, "{text}");
    assert!(world.made("all").starts_with(SECRET));
}

#[test]
fn the_key_of_a_run_lies_outside_of_its_folder() {
    let world = World::new("- command: echo plain\n");
    assert_eq!(said(&world.run(&[])).0, 0);
    let id = world.run_id();
    let key = fs::read_to_string(world.path("keys").join(&id)).unwrap();
    let secret = key.split_whitespace().last().unwrap();
    let journal = fs::read_to_string(world.path("runs").join(&id).join("journal.ndjson")).unwrap();
    assert!(secret.len() > 40 && !journal.contains(secret));
    // The playbook is kept for the sight of a drift, and may hold what nobody called a secret.
    assert!(!journal.contains("gather_facts"), "{journal}");
}

#[test]
fn an_answer_to_a_private_prompt_is_not_asked_for_again() {
    let world = World::with_playbook(
        "\
- hosts: all
  gather_facts: false
  vars_prompt:
    - {name: pw, prompt: word of the day}
  tasks:
    - command: test -e TARGET/ready
    - copy: {content: '{{ pw }}', dest: TARGET/all}
      no_log: true
",
    );
    let answer = format!("word of the day={SECRET}");
    assert_eq!(said(&world.run(&["--answer", &answer])).0, 2);
    assert_nothing_readable(&world);
    fs::write(world.target().join("ready"), "").unwrap();
    let (code, text) = said(&world.switchback(&["resume", "--yes"]));
    assert_eq!(code, 0, "{text}");
    assert_eq!(world.made("all"), SECRET);
}

#[test]
fn the_password_of_becoming_is_asked_for_and_kept_nowhere() {
    let world = World::new("- command: id -un\n  become: true\n");
    fs::create_dir(world.path("bin")).unwrap();
    world.write(
        "bin/sudo",
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do [ \"$1\" = -p ] && prompt=$2; shift; done; shift\n\
         printf %s \"$prompt\" >&2; IFS= read -r word; echo \"$word\" >>TARGET/words; exec \"$@\"\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(world.path("bin/sudo"), mode).unwrap();
    let path = format!("{}:/usr/bin:/bin", world.path("bin").display());
    let answer = format!("BECOME password={SECRET}");
    let args = [
        "run",
        "playbook.yml",
        "-i",
        "hosts.ini",
        "--yes",
        "-vvv",
        "-K",
    ];
    let run = |more: &[&str]| {
        let mut command = world.command(&[&args[..], more].concat());
        said(&command.env("PATH", &path).output().unwrap())
    };
    // Without an answer nothing is done, rather than without the password.
    let (code, text) = run(&[]);
    assert!(code == 15 && text.contains("BECOME password"), "{text}");
    assert_eq!(world.made("words"), "");
    let (code, text) = run(&["--answer", &answer]);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains(SECRET), "{text}");
    assert!(world.made("words").lines().all(|word| word == SECRET));
    assert!(!world.made("words").is_empty());
    assert_nothing_readable(&world);
}

/// What a template makes of a password that it looks up itself is in no diff, no result and no
/// record, and the password is known from then on.
#[test]
fn a_secret_that_a_template_makes_is_in_no_diff() {
    let look = "lookup('password', 'TARGET/pw length=24')";
    let tasks = "\
- template: {src: conf.j2, dest: TARGET/conf}
  register: made
- debug: {var: made}
- copy: {content: \"a = {{ LOOK[:9] }}\\nb = 2\\n\", dest: TARGET/copy}
- shell: grep whole TARGET/conf
";
    let world = World::new(&tasks.replace("LOOK", look));
    let template = "# by hand\nuser = app\nwhole = {{ LOOK }}\nhash = {{ LOOK | hash('md5') }}\nport = {{ port }}\n";
    world.write("conf.j2", &template.replace("LOOK", look));
    let mut said_all = String::new();
    for port in ["1111", "2222"] {
        let port = format!("port={port}");
        let (code, text) = said(&world.run(&["-vvv", "--diff", "-e", &port]));
        assert_eq!(code, 0, "{text}");
        said_all.push_str(&text);
    }
    let password = world.made("pw").trim_end().to_owned();
    let conf = world.made("conf");
    let hash = conf.lines().find_map(|line| line.strip_prefix("hash = "));
    assert!(conf.contains(&password), "{conf}");
    let secrets = [&password, &password[..9], hash.unwrap()];
    for secret in secrets {
        assert!(!said_all.contains(secret), "{said_all}");
        for (name, bytes) in world.files("runs") {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(secret), "{}: {text}", name.display());
        }
    }
    // What its author wrote shows, and that another line has changed.
    assert!(said_all.contains("user = app"), "{said_all}");
    assert!(said_all.contains("(as it was)"), "{said_all}");
}
