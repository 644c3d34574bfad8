//! Faults 19 to 23: the disk that the journal is on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, given, run_words};

const COUNT: &str = "- shell: echo ran >> $T/ran\n";

/// Runs with a store on a small file system of its own, in a mount namespace that ends with it.
fn on_small_disk(world: &World, size: &str, before: &str) -> crate::world::Given {
    let runs = world.path("runs");
    fs::create_dir_all(&runs).unwrap();
    fs::set_permissions(&runs, fs::Permissions::from_mode(0o700)).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size},mode=0700 none '{0}' && {{ {before}; }} && \"$@\"; rc=$?; \
         cp -a '{0}' '{1}'; exit $rc",
        runs.display(),
        world.path("kept").display()
    );
    let command = ["unshare", "-m", "sh", "-c", script.as_str(), "sh"];
    let output = world.command(&command, &run_words(&[])).output().unwrap();
    given(&output)
}

#[test]
fn a_full_disk_starts_nothing() {
    let world = World::new(&["h1"], COUNT);
    let told = on_small_disk(&world, "256k", ":");
    assert_eq!(told.code, 1, "{}", told.out);
    assert!(
        told.out.contains("space") || told.out.contains("room"),
        "{}",
        told.out
    );
    assert!(!world.path("ran").exists());
    let told = world.run(&[]);
    assert_eq!(told.code, 0, "with space again it runs: {}", told.out);
}

#[test]
fn a_result_has_its_room_on_a_disk_that_fills_up() {
    let fill = "- command: dd if=/dev/zero of=$T/runs/fill bs=4k\n  failed_when: false\n";
    let world = World::new(&["h1"], &format!("{fill}{COUNT}"));
    // 4 MiB, of which 2 are set aside for results before anything starts.
    let told = on_small_disk(&world, "4m", ":");
    assert_eq!(world.lines("ran"), 1, "{}", told.out);
    assert_eq!(told.code, 0, "{}", told.out);
    let kept = fs::read_dir(world.path("kept")).unwrap();
    let journal = kept
        .map(|entry| entry.unwrap().path().join("journal.ndjson"))
        .find(|path| path.exists())
        .unwrap();
    let text = fs::read_to_string(journal).unwrap();
    assert!(
        text.ends_with('\n') && text.contains("\"closed\""),
        "{text}"
    );
}

#[test]
fn a_store_that_is_not_ours_alone_is_refused_before_anything_runs() {
    for (mode, why) in [(0o755, "mode 0755"), (0o777, "mode 0777")] {
        let world = World::new(&["h1"], COUNT);
        fs::create_dir(world.path("runs")).unwrap();
        fs::set_permissions(world.path("runs"), fs::Permissions::from_mode(mode)).unwrap();
        let told = world.run(&[]);
        assert!(told.code != 0 && told.out.contains(why), "{}", told.out);
        assert!(!world.path("ran").exists());
    }
    let world = World::new(&["h1"], COUNT);
    fs::create_dir(world.path("runs")).unwrap();
    std::os::unix::fs::chown(world.path("runs"), Some(1), None).unwrap();
    let told = world.run(&[]);
    assert!(
        told.code != 0 && told.out.contains("belongs to uid 1"),
        "{}",
        told.out
    );
    assert!(!world.path("ran").exists());
}
