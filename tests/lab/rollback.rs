//! Rollback from each task of the change: stop after it, go back, and see the old cluster serve with
//! the data it had; or see the way refused before anything is touched.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::hosts::{UPGRADE, end_of, on, play, reset, run, succeed, switchback};
use crate::say;

/// A task that changed something, and before which task a run is stopped to have it as the last.
#[derive(Clone, Debug)]
struct Stop {
    play: String,
    name: String,
    /// None: it is the last task of all.
    before: Option<String>,
    /// Whether the new cluster has been started by then: no undo leads back any longer.
    is_started: bool,
    /// Whether clients have been let in by then.
    is_open: bool,
}

impl Stop {
    /// Which ways back there are by then.
    fn stage(&self) -> (bool, bool) {
        (self.is_started, self.is_open)
    }
}

/// Every phase of the change: its last task that changes something.
///
/// Behind the point of no return each way back costs a new lab. There the steps of
/// `docs/pg_upgrade.md` count: the new leader verified, the first replicas there, clients let in,
/// all done.
pub(crate) fn from_each_phase() {
    let stops = learn();
    let ends = |i: &usize| {
        stops
            .get(i + 1)
            .is_none_or(|next| next.play != stops[*i].play)
    };
    let phases: Vec<&Stop> = (0..stops.len()).filter(ends).map(|i| &stops[i]).collect();
    let is_chosen = |i: &usize| {
        let (before, next) = (i.checked_sub(1).map(|i| phases[i]), phases.get(i + 1));
        let enters = before.is_none_or(|before| before.stage() != phases[*i].stage());
        let leaves = next.is_none_or(|next| next.stage() != phases[*i].stage());
        !phases[*i].is_started || enters || leaves
    };
    let chosen: Vec<Stop> = (0..phases.len())
        .filter(is_chosen)
        .map(|i| phases[i].clone())
        .collect();
    assert!(
        chosen.iter().filter(|stop| stop.is_started).count() >= 4,
        "{chosen:?}"
    );
    go_back_from(&chosen);
}

/// Every task that changes something; `--from=N` leaves out the first ones.
pub(crate) fn from_each_task() {
    let given = std::env::args().find_map(|arg| arg.strip_prefix("--from=")?.parse().ok());
    let first: usize = given.unwrap_or(1);
    let stops = learn();
    go_back_from(&stops[first - 1..]);
}

/// Runs the whole change and notes which tasks changed something.
fn learn() -> Vec<Stop> {
    reset();
    let mut upgrade = play(UPGRADE, &["--accept-point-of-no-return", "--events", "-"]);
    let text = succeed(&mut upgrade, "learn");
    let mut stops: Vec<Stop> = Vec::new();
    let (mut play, mut task) = (String::new(), (String::new(), String::new()));
    let (mut is_started, mut is_open) = (false, false);
    let mut is_noted = false;
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str() {
            Some("play_started") => play = word("name"),
            Some("task_started") => {
                if let Some(stop) = stops.last_mut().filter(|stop| stop.before.is_none()) {
                    stop.before = Some(word("step"));
                }
                task = (word("step"), word("name"));
                is_noted = false;
            }
            Some("host_finished") if event["report"]["status"] == "changed" && !is_noted => {
                is_noted = true;
                is_started |= task
                    .1
                    .ends_with("Start the new cluster on the leader alone");
                is_open |= task
                    .1
                    .ends_with("Note that clients write to the new cluster from here on");
                stops.push(Stop {
                    play: play.clone(),
                    name: task.1.clone(),
                    before: None,
                    is_started,
                    is_open,
                });
            }
            _ => {}
        }
    }
    assert!(stops.len() > 20, "{stops:?}");
    stops
}

fn go_back_from(stops: &[Stop]) {
    reset();
    // Every new lab has other data.
    let mut before = fingerprints();
    let mut ways = ["late_replica", "reserve", "snapshot"].iter().cycle();
    for (number, stop) in stops.iter().enumerate() {
        say(&format!(
            "  {}/{} back from `{}`",
            number + 1,
            stops.len(),
            stop.name
        ));
        let began = seconds();
        let mut upgrade = play(
            UPGRADE,
            &["--accept-point-of-no-return", "--on-failure", "stop"],
        );
        if let Some(before) = &stop.before {
            upgrade.args(["--stop-before", before]);
        }
        let expected = if stop.before.is_some() { 10 } else { 0 };
        let (code, text) = run(&mut upgrade, "stopped");
        assert_eq!(code, expected, "{stop:?}\n{}", end_of(&text));
        if stop.is_started {
            refused("undo", stop);
            refused("repair_in_place", stop);
            let way = ways
                .find(|way| **way != "late_replica" || !stop.is_open)
                .unwrap();
            back(way, stop);
            serves(way, began, stop);
            assert_eq!(
                data(way),
                before[usize::from(is_of_a_replica(way))],
                "{stop:?}"
            );
            reset();
            before = fingerprints();
        } else {
            back("undo", stop);
            whole(stop);
            serves("undo", began, stop);
            assert_eq!(data("undo"), before[0], "{stop:?}");
        }
    }
}

fn back(way: &str, stop: &Stop) {
    let (code, text) = run(&mut rollback(way), "back");
    assert_eq!(code, 12, "{way} from {stop:?}\n{}", end_of(&text));
}

/// The way is refused with its reason, and no host is touched.
fn refused(way: &str, stop: &Stop) {
    let before = touched();
    let (code, text) = run(&mut rollback(way), "refused");
    assert_eq!(code, 13, "{way} from {stop:?}\n{}", end_of(&text));
    assert!(text.contains("is not legal now"), "{}", end_of(&text));
    assert_eq!(touched(), before, "{way} from {stop:?}");
}

fn rollback(way: &str) -> std::process::Command {
    switchback(&["rollback", "--yes", "--way", way])
}

/// What a step of a way back would change first: units, and which servers run.
fn touched() -> Vec<String> {
    let script = "systemctl show -p ActiveState,UnitFileState,ActiveEnterTimestamp \
                  patroni@15-main patroni@17-main; ls -i /etc/patroni; \
                  cat /var/lib/postgresql/15/main/postmaster.pid";
    (11..=14).map(|address| on(address, script)).collect()
}

/// The old cluster has all its members, streaming, and nobody paused it.
fn whole(stop: &Stop) {
    let script = "for i in $(seq 60); do curl -s 10.77.0.11:8008/cluster | \
                  jq -e \".pause != true and ([.members[] | select(.state == \\\"running\\\" or .state == \\\"streaming\\\")] | length) == 4\" \
                  >/dev/null && echo whole && exit; sleep 0.5; done; curl -s 10.77.0.11:8008/cluster";
    assert_eq!(on(11, script), "whole", "{stop:?}");
}

/// The report of the lab: the old major serves, its data is whole, and no row is lost where none
/// may be.
fn serves(way: &str, began: u64, stop: &Stop) {
    let mut report = play("playbooks/lab_report.yml", &[]);
    report.args(["-e", &format!("rehearsal_began={began}")]);
    report.args(["-e", &format!("rehearsal_way={way}")]);
    report.args(["-e", &format!("rehearsal_may_lose={}", stop.is_open)]);
    let (code, text) = run(&mut report, "report");
    assert_eq!(code, 0, "{stop:?}\n{}", end_of(&text));
}

/// What the data is before: all of it, and all that a replica has.
fn fingerprints() -> [String; 2] {
    ["undo", "reserve"].map(data)
}

/// A fingerprint of all data but the application's own rows, read through the proxy's leader. A way
/// back onto a replica says that it loses the rows of unlogged tables, so they do not count then.
fn data(way: &str) -> String {
    let unlogged = if is_of_a_replica(way) {
        "--no-unlogged-table-data"
    } else {
        ""
    };
    let script = "for i in 11 12 13 14; do \
                  [ $(curl -s -o /dev/null -w %{http_code} 10.77.0.$i:8008/primary) = 200 ] && echo $i; done";
    let leader: u8 = on(11, script).parse().unwrap();
    let dump = format!(
        "cd / && runuser -u postgres -- /usr/lib/postgresql/17/bin/pg_dump --data-only {unlogged} -d app \
         -T lab_writer -N upgrade_marker | grep -v -e ^-- -e ^.restrict -e ^.unrestrict | sha256sum"
    );
    let found = on(leader, &dump);
    assert!(found.len() > 60, "{found}");
    found
}

/// Whether the way leads to a server that was a replica.
fn is_of_a_replica(way: &str) -> bool {
    ["late_replica", "reserve"].contains(&way)
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
