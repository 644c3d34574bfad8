//! The connection, or the controller, is lost while `pg_upgrade` runs: it runs once, to its end.

use std::process::Command;
use std::thread::{park_timeout, spawn};
use std::time::{Duration, Instant};

use crate::cases::assert_serves;
use crate::hosts::{UPGRADE, end_of, lab, on, play, reset, run, run_and_meddle, switchback};

/// The task that must not run twice: a second time `pg_upgrade` would refuse, as the new cluster is
/// no longer empty.
const TASK: &str = "Link the data files into the new cluster with pg_upgrade";

/// Runs the change and does this when `pg_upgrade` has just begun.
fn upgrade(log: &str, meddle: impl Fn(u32)) -> (Option<i32>, String) {
    reset();
    let options = ["--accept-point-of-no-return", "--on-failure", "stop"];
    run_and_meddle(&mut play(UPGRADE, &options), log, TASK, |pid| {
        has_begun();
        meddle(pid);
    })
}

/// Waits until `pg_upgrade` has left its note on the leader.
fn has_begun() {
    let end = Instant::now() + Duration::from_secs(20);
    let script = "ls /var/lib/postgresql/upgrade-15-17/pg_upgrade.began && pgrep -x pg_upgrade";
    while on(11, script).lines().count() < 2 {
        assert!(Instant::now() < end, "pg_upgrade does not begin");
    }
}

pub(crate) fn controller_killed() {
    let (code, text) = upgrade("killed", |pid| {
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.unwrap().success());
    });
    assert_eq!(code, None, "{}", end_of(&text));
    let (code, text) = run(&mut switchback(&["resume", "--yes"]), "resumed");
    assert_eq!(code, 0, "{}", end_of(&text));
    // What it had said before and after the kill is all there.
    for part in ["looking for", "Upgrade Complete"] {
        assert!(text.contains(part), "{part} in:\n{}", end_of(&text));
    }
    assert_serves(17);
}

pub(crate) fn link_cut() {
    let (code, text) = upgrade("link", |_| {
        lab("link", &["pg1", "down"]);
        spawn(|| {
            wait(Duration::from_secs(8));
            lab("link", &["pg1", "up"]);
        });
    });
    assert_eq!(code, Some(0), "{}", end_of(&text));
    assert!(text.contains("Upgrade Complete"), "{}", end_of(&text));
    assert_serves(17);
}

pub(crate) fn sshd_killed() {
    let (code, text) = upgrade("sshd", |_| {
        // This session dies with the others.
        on(11, "pkill -KILL -f ^sshd:");
    });
    assert_eq!(code, Some(0), "{}", end_of(&text));
    assert!(text.contains("Upgrade Complete"), "{}", end_of(&text));
    assert_serves(17);
}

fn wait(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        park_timeout(left);
    }
}
