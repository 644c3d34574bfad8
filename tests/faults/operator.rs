//! Faults 71 to 75 and 81: what an operator or a cluster does to a plan.

use crate::world::World;

const COUNT: &str = "- shell: echo ran >> $T/ran\n";

#[test]
fn changed_variables_and_inventories_are_drift() {
    for (file, text) in [
        ("group_vars/all.yml", "x: 2\n"),
        (
            "hosts.ini",
            "h1 ansible_connection=local\nh2 ansible_connection=local\n",
        ),
    ] {
        let world = World::new(&["h1"], &format!("{COUNT}- command: test -e $T/go\n"));
        std::fs::create_dir(world.path("group_vars")).unwrap();
        world.write("group_vars/all.yml", "x: 1\n");
        assert_eq!(world.run(&[]).code, 2);
        world.write("go", "");
        world.write(file, text);
        let told = world.resume();
        assert_eq!(told.code, 7, "{file}: {}", told.out);
        assert_eq!(world.lines("ran"), 1);
    }
}

/// A guard is asked before the first change and after each task: a cluster that is another one, has
/// another leader, is not paused or lags behind stops the run, and nothing more is changed.
#[test]
fn a_guard_that_does_not_hold_stops_the_run() {
    let header = "- change: upgrade\n  guards:\n    - {name: it is the cluster we mean, hosts: h1, command: test -e $T/ours, reads: true}\n";
    let world = World::with(
        &["h1"],
        header,
        "- shell: echo ran >> $T/ran; rm $T/ours\n- shell: echo never >> $T/never\n",
    );
    world.write("ours", "");
    let told = world.run(&[]);
    assert_eq!(told.code, 10, "{}", told.out);
    assert!(
        told.out.contains("it is the cluster we mean"),
        "{}",
        told.out
    );
    assert!(!world.path("never").exists());
}

#[test]
fn a_point_of_no_return_requires_what_must_hold_live() {
    let tasks = "- shell: echo ran >> $T/ran\n  point_of_no_return:\n    reason: the old cluster goes\n    require:\n      - {name: two reserves are there, hosts: h1, command: test -e $T/reserves, reads: true}\n";
    let world = World::new(&["h1"], tasks);
    let told = world.run(&["--accept-point-of-no-return"]);
    assert_eq!(told.code, 2, "{}", told.out);
    assert!(told.out.contains("two reserves are there"), "{}", told.out);
    assert!(!world.path("ran").exists());
    world.write("reserves", "");
    assert_eq!(world.run(&["--accept-point-of-no-return"]).code, 0);
}
