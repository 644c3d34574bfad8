//! The core under every fault that a seed or an enumeration can think of, in one thread and without
//! a clock: crashes at every boundary, lost and reordered replies, a disk that fails.
//!
//! What is checked: a step that may run once runs once; nothing is sent before its intent is on
//! disk; nothing is shown as done before its result is; no step begins on a host where an earlier
//! one is at work or lost; and the run ends as if nothing had happened.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]
#![expect(clippy::print_stdout, reason = "the number of points is printed")]

#[path = "sim/chance.rs"]
mod chance;
#[path = "sim/checker.rs"]
mod checker;
#[path = "sim/crash.rs"]
mod crash;
#[path = "sim/hosts.rs"]
mod hosts;
#[path = "sim/playbooks.rs"]
mod playbooks;
#[path = "sim/storage.rs"]
mod storage;
#[path = "sim/world.rs"]
mod world;

use chance::{Chance, Odds};
use crash::{End, Steady, enumerate};
use playbooks::site;
use storage::Operation;
use world::{Death, Wish, World};

/// At most so many violations are printed.
const SHOWN_MAX: usize = 20;

fn is_clean(violations: &[String]) {
    let shown = &violations[..violations.len().min(SHOWN_MAX)];
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        shown.join("\n")
    );
}

/// A run that nothing happened to, with all its moments.
fn uninterrupted(world: &mut World) -> (End, Steady) {
    let mut steady = Steady::noting();
    let death = world.process(Wish::Forward, &mut steady);
    assert_eq!(death, Death::Ended(0), "{:#?}", world.checker.failures);
    is_clean(&world.checker.violations);
    (End::of(world, 0), steady)
}

/// The least numbers of points that an enumeration must find to be worth its name.
const POINTS_MIN: usize = 1000;
const DISTINCT_MIN: usize = 100;
/// How often somebody may be asked after the death of a run's process alone: what the journal and
/// the hosts know decides.
const ASKED_MAX: usize = 0;

#[test]
fn a_run_killed_at_every_point_ends_as_if_nothing_had_happened() {
    let mut world = site();
    let (whole, steady) = uninterrupted(&mut world);
    let found = enumerate(&mut world, &steady.points, Wish::Forward, &|_, end| {
        (*end != whole).then(|| difference(&whole, end))
    });
    println!("run: {}", found.told());
    is_clean(&found.violations);
    assert!(found.points > POINTS_MIN && found.distinct > DISTINCT_MIN);
    assert_eq!(found.asked, ASKED_MAX);
}

#[test]
fn a_rollback_killed_at_every_point_comes_to_its_end() {
    let mut world = site();
    uninterrupted(&mut world);
    let mut steady = Steady::noting();
    let death = world.process(Wish::Back, &mut steady);
    assert_eq!(death, Death::Ended(12), "{:#?}", world.checker.failures);
    is_clean(&world.checker.violations);
    let whole = End::of(&world, 12);
    assert_eq!(whole.undo.len(), 0);
    let left: Vec<_> = whole
        .files
        .values()
        .flat_map(|files| files.keys())
        .collect();
    assert!(!left.iter().any(|path| path.starts_with("etc")), "{left:?}");
    let found = enumerate(&mut world, &steady.points, Wish::Back, &|_, end| {
        is_back(&whole, end)
    });
    println!("rollback: {}", found.told());
    is_clean(&found.violations);
    assert!(found.points > POINTS_MIN && found.distinct > DISTINCT_MIN);
}

/// What is wrong with the end of a rollback that was interrupted. Undoing may be repeated, and so
/// may the handlers after it, which a log shows; everything else is as after a rollback in one go.
fn is_back(whole: &End, end: &End) -> Option<String> {
    let steps = |end: &End| -> End {
        let mut end = end.clone();
        for text in end.files.values_mut().flat_map(|files| files.values_mut()) {
            let mut lines: Vec<&str> = text.lines().collect();
            let mut seen = std::collections::BTreeSet::new();
            let mut is_back = false;
            lines.retain(|line| {
                is_back |= line.starts_with("undo");
                !is_back || seen.insert(*line)
            });
            *text = lines.join("\n");
        }
        end.stats = None;
        end
    };
    let (whole, end) = (steps(whole), steps(end));
    // Where the rollback had ended already, there is nothing left to do.
    let is_over = end.code == 13 && end.files == whole.files;
    (end != whole && !is_over).then(|| difference(&whole, &end))
}

#[test]
fn a_disk_that_fails_once_stops_the_run_at_once() {
    let mut world = site();
    let (whole, _) = uninterrupted(&mut world);
    let operations = world.disk.operations();
    let mut violations = Vec::new();
    for number in 1..=operations {
        world.restart(Some(number));
        let death = world.process(Wish::Forward, &mut Steady::default());
        let what = format!("operation {number} of {operations}");
        violations.extend(world.complaints(&what));
        match world.disk.after_failure() {
            None => violations.push(format!("{what} did not happen")),
            // The disk is full: what already runs may still end, and nothing more begins.
            Some((Operation::Reserve, more)) if !more.contains(&Operation::Reserve) => {}
            Some((_, more)) if more.is_empty() => {}
            Some((failed, more)) => {
                violations.push(format!("{what}: {failed:?} failed, then came {more:?}"));
            }
        }
        let is_stopped = death == Death::Ended(1) || number <= 3 && death == Death::Killed;
        if !is_stopped {
            violations.push(format!("{what}: it ended with {death:?}"));
        }
        // What was not synced is gone with the process; the disk works again.
        world.disk.fail_at(None);
        let left = world.disk.content().cut(0);
        let image = world.hosts.image.clone();
        world.restore(left, &image);
        let death = world.process(Wish::Forward, &mut Steady::default());
        violations.extend(world.complaints(&what));
        let Death::Ended(code) = death else {
            violations.push(format!("{what}: it cannot be resumed"));
            continue;
        };
        let end = End::of(&world, code);
        if end != whole {
            violations.push(format!("{what}: {}", difference(&whole, &end)));
        }
    }
    println!("disk: {operations} operations failed, each in a run of its own");
    is_clean(&violations);
    assert!(operations > 100);
}

/// Deaths after which a seed's run is let come to its end.
const DEATHS_MAX: usize = 6;

/// Runs a seed to the end, process after process, and says what went wrong.
fn play(world: &mut World, whole: &End, seed: u64, odds: Odds) -> Vec<String> {
    let mut chance = Chance::new(seed, odds);
    world.restart(None);
    let mut wrong = Vec::new();
    for number in 0.. {
        if number == DEATHS_MAX {
            chance.calm();
        }
        let death = world.process(Wish::Forward, &mut chance);
        wrong.extend(world.complaints(&format!("process {number}")));
        match death {
            Death::Killed => {
                for flight in std::mem::take(&mut world.flights) {
                    if chance.below(2) == 0 {
                        world.arrives_late(&flight);
                    }
                }
                let content = world.disk.content();
                let left = content.cut(chance.below(content.volatile.len() + 1));
                let image = world.hosts.image.clone();
                world.restore(left, &image);
            }
            // Stopped for the operator to look at hosts one by one.
            Death::Ended(10) if number <= DEATHS_MAX => {}
            Death::Ended(code) => {
                let end = End::of(world, code);
                if end != *whole {
                    wrong.push(difference(whole, &end));
                }
                return wrong;
            }
        }
    }
    wrong
}

/// Seeds that are played; `SEEDS` in the environment is another number, `SEED` only that one.
fn seeds(name: &str, odds: Odds) {
    let number = |variable| std::env::var(variable).ok()?.parse::<u64>().ok();
    let all = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("SEEDS").unwrap_or(20) + 1,
    };
    let mut world = site();
    let (whole, _) = uninterrupted(&mut world);
    let mut wrong = Vec::new();
    let count = all.end - all.start;
    for seed in all {
        let found = play(&mut world, &whole, seed, odds);
        wrong.extend(
            found
                .into_iter()
                .map(|w| format!("SEED={seed} {name}: {w}")),
        );
    }
    println!("{name}: {count} seeds");
    is_clean(&wrong);
}

#[test]
fn replies_in_any_order_make_no_difference() {
    let odds = Odds {
        death: 0,
        lost: 0,
        unreachable: 0,
        restart: 0,
    };
    seeds("order", odds);
}

#[test]
fn lost_replies_are_decided_by_who_looks() {
    let odds = Odds {
        death: 0,
        lost: 12,
        unreachable: 20,
        restart: 12,
    };
    seeds("lost", odds);
}

#[test]
fn deaths_and_lost_replies_in_any_order_make_no_difference() {
    let odds = Odds {
        death: 150,
        lost: 30,
        unreachable: 0,
        restart: 30,
    };
    seeds("all", odds);
}

/// What two ends do not have in common, in one line.
fn difference(whole: &End, end: &End) -> String {
    let mut told = Vec::new();
    if whole.code != end.code {
        told.push(format!("exit code {}, not {}", end.code, whole.code));
    }
    for (host, files) in &whole.files {
        for (path, text) in files {
            let other = end.files[host].get(path);
            if other != Some(text) {
                told.push(format!("{host}:{path} is {other:?}, not {text:?}"));
            }
        }
    }
    let totals = |end: &End| format!("{:?}", end.stats);
    if totals(whole) != totals(end) {
        told.push(format!("recap {}, not {}", totals(end), totals(whole)));
    }
    if whole.open != end.open {
        told.push(format!("{} attempts are open", end.open));
    }
    let more: Vec<_> = end.undo.difference(&whole.undo).collect();
    let less: Vec<_> = whole.undo.difference(&end.undo).collect();
    if !more.is_empty() || !less.is_empty() {
        told.push(format!(
            "the undo stack has also {more:?} and lacks {less:?}"
        ));
    }
    told.join(", ")
}
