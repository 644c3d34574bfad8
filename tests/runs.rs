//! Earlier runs as a product: their story, their output, whether they are as they were written,
//! by whom they are signed, and which of them may go.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "support/world.rs"]
#[expect(dead_code, reason = "each test uses a part of it")]
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use world::{World, said};

const TASKS: &str = "\
- name: say something
  command: printf 'one\\033[31m\\ntwo'
- name: write a file
  copy: {content: new, dest: TARGET/made}
- name: a secret one
  command: echo hidden-word
  no_log: true
- name: a large output
  shell: seq 1 2000
";

fn ended() -> World {
    let world = World::new(TASKS);
    let (code, text) = said(&world.run(&["-e", "a=b"]));
    assert_eq!(code, 0, "{text}");
    world
}

fn journal(world: &World) -> PathBuf {
    world
        .path("runs")
        .join(world.run_id())
        .join("journal.ndjson")
}

#[test]
fn the_story_of_a_run_says_who_what_where_and_what_can_be_undone() {
    let world = ended();
    let (code, text) = said(&world.switchback(&["runs", "show"]));
    assert_eq!(code, 0, "{text}");
    let order = [
        "began",
        "extra vars: a",
        "say something",
        "write a file",
        "a secret one",
    ];
    let places: Vec<_> = order.iter().map(|part| text.find(part)).collect();
    assert!(
        places.is_sorted() && places[0].is_some(),
        "{places:?}\n{text}"
    );
    assert!(
        text.contains("CHANGED") && text.contains("ended with 0"),
        "{text}"
    );
    assert!(
        text.contains("undo stack") && text.contains("[stands]"),
        "{text}"
    );
    assert!(
        !text.contains("hidden-word") && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[test]
fn output_comes_back_as_it_was_and_hidden_output_does_not() {
    let world = ended();
    let output = world.switchback(&["runs", "output", "latest", "say something"]);
    // Into a pipe, as here, nothing is changed.
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "one\u{1b}[31m\ntwo\n"
    );
    let output = world.switchback(&["runs", "output", "latest", "one"]);
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        all.ends_with("1999\n2000\n") && !all.contains("hidden-word"),
        "{all}"
    );
    let (code, text) = said(&world.switchback(&["runs", "output", "latest", "nobody"]));
    assert_eq!(code, 1, "{text}");
}

/// A record that is gone, twice there, or elsewhere, and a blob that is another: each is found,
/// with its line.
#[test]
fn verify_finds_every_changed_record_and_blob() {
    let world = ended();
    let path = journal(&world);
    let whole = fs::read_to_string(&path).unwrap();
    let (code, text) = said(&world.switchback(&["runs", "verify"]));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("not signed") && text.contains("can be decrypted"),
        "{text}"
    );
    let lines: Vec<&str> = whole.lines().collect();
    let mut wrong = Vec::new();
    for at in 0..lines.len() - 1 {
        let mut without = lines.clone();
        without.remove(at);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        for changed in [without, twice, swapped] {
            fs::write(&path, changed.join("\n") + "\n").unwrap();
            let error = switchback::journal::read(&path).unwrap_err().to_string();
            if !error.contains(".ndjson:") {
                wrong.push(error);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let (code, text) = said(&world.switchback(&["runs", "verify"]));
    assert!(code == 1 && text.contains("journal.ndjson:"), "{text}");
    fs::write(&path, &whole).unwrap();
    let blobs = fs::read_dir(path.with_file_name("blobs")).unwrap();
    for blob in blobs {
        let blob = blob.unwrap().path();
        let bytes = fs::read(&blob).unwrap();
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        fs::write(&blob, changed).unwrap();
        let (code, text) = said(&world.switchback(&["runs", "verify"]));
        assert!(code == 1 && text.contains("blob"), "{text}");
        fs::write(&blob, bytes).unwrap();
    }
    assert_eq!(said(&world.switchback(&["runs", "verify"])).0, 0);
}

/// Every byte and every prefix of a journal that a real run wrote.
#[test]
fn every_flipped_byte_is_found_and_every_prefix_is_recovered() {
    let world = World::new("- command: echo hidden-word\n  no_log: true\n");
    assert_eq!(said(&world.run(&[])).0, 0);
    let path = journal(&world);
    let whole = fs::read(&path).unwrap();
    let records = switchback::journal::read(&path).unwrap().records;
    let copy = path.with_file_name("copy.ndjson");
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&copy, changed).unwrap();
        match switchback::journal::read(&copy) {
            Err(_) => {}
            // Without its newline the last line is one that was not written to its end.
            Ok(found) => assert!(found.torn_tail && at + 1 == whole.len(), "byte {at}"),
        }
    }
    for len in 0..whole.len() {
        fs::write(&copy, &whole[..len]).unwrap();
        let found = switchback::journal::read(&copy).unwrap();
        assert_eq!(found.records, records[..found.records.len()]);
        assert_eq!(
            found.torn_tail,
            whole[..len].last().is_some_and(|b| *b != b'\n')
        );
    }
}

fn keygen(world: &World, name: &str) -> String {
    let path = world.path(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status()
        .expect("ssh-keygen is needed");
    assert!(made.success());
    fs::read_to_string(path.with_extension("pub")).unwrap()
}

fn verify(world: &World, allowed: &str) -> (i32, String) {
    said(&world.switchback(&["runs", "verify", "--allowed-signers", allowed]))
}

#[test]
fn a_signed_run_says_by_whom_and_a_changed_or_cut_one_is_refused() {
    let world = World::new("- command: echo one\n");
    let public = keygen(&world, "anna");
    let other = keygen(&world, "ben");
    world.write("allowed", &format!("anna@example.org {public}"));
    world.write("others", &format!("ben@example.org {other}"));
    let (code, text) = said(&world.run(&["--sign-with", "anna"]));
    assert_eq!(code, 0, "{text}");
    let path = journal(&world);
    let total = fs::read_to_string(&path).unwrap().lines().count();

    let (code, text) = said(&world.switchback(&["runs", "verify"]));
    assert!(code == 0 && text.contains("SHA256:"), "{text}");
    let (code, text) = verify(&world, "allowed");
    let covers_all = format!("records 1 to {total} are signed by anna@example.org");
    assert!(code == 0 && text.contains(&covers_all), "{text}");
    assert!(
        text.contains("records 1 to 1 are signed by anna@example.org"),
        "{text}"
    );
    let (code, text) = verify(&world, "others");
    assert!(code == 1 && text.contains("none of the allowed"), "{text}");

    // The last record cut off: the chain is whole, the signature knows better.
    let whole = fs::read_to_string(&path).unwrap();
    let cut: Vec<&str> = whole.lines().take(total - 1).collect();
    fs::write(&path, cut.join("\n") + "\n").unwrap();
    let (code, text) = said(&world.switchback(&["runs", "verify"]));
    assert!(code == 1 && text.contains("covers"), "{text}");
    fs::write(&path, &whole).unwrap();

    // Signatures of another run do not fit.
    let second = World::new("- command: echo two\n");
    assert_eq!(said(&second.run(&[])).0, 0);
    let signatures = |path: &Path| path.with_file_name("signatures.ndjson");
    fs::copy(signatures(&path), signatures(&journal(&second))).unwrap();
    fs::copy(world.path("allowed"), second.path("allowed")).unwrap();
    let (code, text) = verify(&second, "allowed");
    assert!(code == 1 && text.contains("bad"), "{text}");
    fs::remove_file(signatures(&journal(&second))).unwrap();
    let (code, text) = verify(&second, "allowed");
    assert!(code == 1 && text.contains("not signed"), "{text}");
}

#[test]
fn a_key_that_cannot_sign_stops_the_run_before_anything_is_done() {
    let world = World::new("- command: touch TARGET/ran\n");
    let (code, text) = said(&world.run(&["--sign-with", "nothing"]));
    assert!(code == 1 && text.contains("sign"), "{text}");
    assert!(!world.target().join("ran").exists());
}

#[test]
fn only_runs_that_have_ended_are_removed() {
    let world = World::new("- command: test -e TARGET/ready\n");
    fs::write(world.target().join("ready"), "").unwrap();
    for _ in 0..3 {
        assert_eq!(said(&world.run(&["-e", "a=b"])).0, 0);
    }
    // One that was interrupted: its last record is gone.
    let mut ids: Vec<String> = fs::read_dir(world.path("runs"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    ids.sort();
    let path = world.path("runs").join(&ids[0]).join("journal.ndjson");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&path, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    // One that somebody works on.
    let lock = fs::File::open(world.path("runs").join(&ids[1]).join("lock")).unwrap();
    lock.lock().unwrap();

    assert_eq!(said(&world.switchback(&["runs", "prune"])).0, 5);
    let prune = |more: &[&str]| said(&world.switchback(&[&["runs", "prune"], more].concat()));
    let (code, text) = prune(&["--older-than", "1d"]);
    assert_eq!((code, text.contains("removed")), (0, false), "{text}");
    let (_, text) = prune(&["--older-than", "0s", "--dry-run"]);
    assert!(text.contains("would remove"), "{text}");
    let (_, text) = prune(&["--keep", "1"]);
    assert!(!text.contains("removed"), "{text}");
    let (code, text) = prune(&["--older-than", "0s"]);
    assert!(code == 0 && text.contains("removed"), "{text}");
    let left = |folder: &str| fs::read_dir(world.path(folder)).unwrap().count();
    assert_eq!((left("runs"), left("keys")), (2, 2));
}
