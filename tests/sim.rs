//! The core under every fault that a seed or an enumeration can think of, in one thread and without
//! a clock: crashes at every boundary, lost and reordered replies, a disk that fails.
//!
//! What is checked: a step that may run once runs once; nothing is sent before its intent is on
//! disk; nothing is shown as done before its result is; no step begins on a host where an earlier
//! one is at work or lost; and the run ends as if nothing had happened.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]
#![expect(clippy::print_stdout, reason = "the number of points is printed")]

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

use crash::{End, Steady, enumerate};
use playbooks::site;
use world::{Death, Wish};

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

#[test]
fn a_run_killed_at_every_point_ends_as_if_nothing_had_happened() {
    let mut world = site();
    let mut steady = Steady::noting();
    let death = world.process(Wish::Forward, &mut steady);
    assert_eq!(death, Death::Ended(0), "{:#?}", world.checker.failures);
    is_clean(&world.checker.violations);
    let whole = End::of(&world, 0);
    let found = enumerate(&mut world, &steady.points, Wish::Forward, &|_, end| {
        (*end != whole).then(|| difference(&whole, end))
    });
    println!(
        "{} crash points, {} distinct, asked after {}",
        found.points, found.distinct, found.asked
    );
    is_clean(&found.violations);
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
        told.push(format!("the undo stack has also {more:?} and lacks {less:?}"));
    }
    told.join(", ")
}
