//! Makes machines: of a playbook, or of a rollback.

use std::collections::HashMap;
use std::rc::Rc;

use super::cancel::Cancel;
use super::controller::Controller;
use super::effect::Port;
use super::machine::Machine;
use super::rollback::Wanted;
use super::run::Run;
use super::state::{Open, Replay, Settings, State};
use crate::event::Status;
use crate::inventory::Inventory;
use crate::journal::{Answered, EntryState, Instance, Outcome, Record, RunState, Sealed};
use crate::model::{Item, Playbook, Steps};

/// A machine that runs a playbook; `replay` holds what an earlier process of the run did.
pub fn start(
    controller: Rc<dyn Controller>,
    settings: Settings,
    inventory: Inventory,
    playbook: Playbook,
    replay: Replay,
) -> Machine {
    let port = Port::default();
    know(&port, &replay.secrets);
    let state = State {
        inventory,
        out: replay.without.iter().cloned().collect(),
        replay,
        total: steps(&playbook),
        ..State::default()
    };
    let run = Run::new(port.clone(), controller, settings, state);
    Machine::new(port, run.run_root(playbook))
}

/// A machine that rolls a run back.
pub fn start_rollback(
    controller: Rc<dyn Controller>,
    settings: Settings,
    inventory: Inventory,
    journal: RunState,
    playbook: Playbook,
    wanted: Wanted,
) -> Machine {
    let port = Port::default();
    let mut replay = replay_of(&journal);
    know(&port, &replay.secrets);
    // What is done on the way back is new, even where the same task ran before.
    replay.done.clear();
    if !wanted.goes_on {
        replay.open.clear();
    } else if has_steps(&playbook, wanted.way.as_deref()) {
        // A named way goes on where it was; an undo that did not end simply runs again.
        replay.done = ended(&journal.back_done);
    }
    let state = State {
        inventory,
        replay,
        // The way back is walked to its end, however late it is.
        is_past_window: true,
        ..State::default()
    };
    let run = Run::new(port.clone(), controller, settings, state);
    Machine::new(port, run.roll_back_root(journal, playbook, wanted))
}

/// A machine that takes the locks of a run's hosts over, but for those that are left out of it.
pub fn start_takeover(
    controller: Rc<dyn Controller>,
    settings: Settings,
    inventory: Inventory,
    journal: RunState,
    without: Vec<String>,
) -> Machine {
    let port = Port::default();
    let state = State {
        inventory,
        replay: replay_of(&journal),
        ..State::default()
    };
    let run = Run::new(port.clone(), controller, settings, state);
    Machine::new(port, run.take_over_root(journal, without))
}

/// A machine that ends what runs of a run on its hosts.
pub fn start_cancel(
    controller: Rc<dyn Controller>,
    settings: Settings,
    inventory: Inventory,
    journal: RunState,
    wanted: Cancel,
) -> Machine {
    let port = Port::default();
    let state = State {
        inventory,
        replay: replay_of(&journal),
        ..State::default()
    };
    let run = Run::new(port.clone(), controller, settings, state);
    Machine::new(port, run.cancel_root(journal, wanted))
}

/// Masks what earlier processes of the run have learnt to be secret.
fn know(port: &Port, secrets: &[String]) {
    port.with_redactor(|redactor| {
        for secret in secrets {
            redactor.add_known(secret);
        }
    });
}

/// What a resumed run need not do again. A step that failed is done again, unless the run goes on
/// past it on that host: rescued, ignored, or let go by the operator. What was undone is done again.
pub fn replay_of(journal: &RunState) -> Replay {
    let mut done = ended(&journal.done);
    for entry in journal
        .undo
        .iter()
        .filter(|e| e.state == EntryState::Undone)
    {
        let outcome = journal.done.get(&entry.instance);
        if outcome.is_some_and(|outcome| outcome.attempt == Some(entry.attempt)) {
            done.remove(&entry.instance);
        }
    }
    Replay {
        done,
        open: journal
            .open
            .values()
            .map(|a| {
                let open = Open {
                    converges: a.converges,
                    attempt: Some(a.attempt),
                    is_unsent: a.is_unsent(),
                    issued: a.issued.clone(),
                    shown: a.shown,
                };
                (a.instance.clone(), open)
            })
            .chain(lost_without_intent(journal))
            .collect(),
        jobs: (journal.jobs.values())
            .filter_map(|job| Some((job.attempt, (job.issued.clone()?, job.ended.is_some()))))
            .collect(),
        delegated: (journal.open.values())
            .filter(|open| open.acts_on != open.instance.host)
            .cloned()
            .collect(),
        locks: journal.locks.clone(),
        without: journal.without.clone(),
        lock_count: journal.locks.len(),
        next_attempt: journal.next_attempt.saturating_sub(1),
        released: journal.released.keys().cloned().collect(),
        answers: journal.answers.iter().map(answer).collect(),
        secrets: journal.secrets.clone(),
    }
}

/// A question with its answer in full.
fn answer(answered: &Answered) -> (String, String) {
    let secret = answered.sealed.as_ref().and_then(Sealed::read::<String>);
    let answer = secret.unwrap_or_else(|| answered.answer.clone());
    (answered.question.clone(), answer)
}

/// Whether a way back has steps of its own, which a rollback that was cut off need not do again.
fn has_steps(playbook: &Playbook, way: Option<&str>) -> bool {
    let ways = playbook.change.iter().flat_map(|c| &c.ways_back);
    ways.filter(|found| Some(found.name.as_str()) == way)
        .any(|found| !matches!(found.steps, Steps::UndoOf(_)))
}

fn ended(outcomes: &HashMap<Instance, Outcome>) -> HashMap<Instance, Record> {
    outcomes
        .iter()
        .filter(|(_, outcome)| {
            matches!(
                outcome.status,
                Status::Ok | Status::Changed | Status::Skipped
            ) || outcome.is_ignored
                || outcome.was_passed
        })
        .map(|(instance, outcome)| {
            let record = Record::Done {
                attempt: outcome.attempt,
                instance: instance.clone(),
                status: outcome.status,
                module_changed: outcome.module_changed,
                is_ignored: outcome.is_ignored,
                result: outcome.result.clone(),
                facts: outcome.facts.clone(),
                sealed: None,
                duration_ms: outcome.duration_ms,
            };
            (instance.clone(), record)
        })
        .collect()
}

/// Commands without an intent (a literal `changed_when: false`) whose reply was lost.
fn lost_without_intent(journal: &RunState) -> impl Iterator<Item = (Instance, Open)> {
    let lost = journal.done.iter().filter(|(_, outcome)| {
        outcome.status == Status::Lost && outcome.attempt.is_none() && !outcome.was_passed
    });
    lost.map(|(instance, _)| (instance.clone(), Open::default()))
}

/// The number of tasks that are known before the run.
fn steps(playbook: &Playbook) -> usize {
    playbook
        .entries
        .iter()
        .map(|entry| {
            let play = &entry.play;
            count(&play.pre_tasks)
                + count(&play.roles)
                + count(&play.tasks)
                + count(&play.post_tasks)
        })
        .sum()
}

fn count(items: &[Item]) -> usize {
    items
        .iter()
        .map(|item| match item {
            Item::Task(_) => 1,
            Item::Block(block) => count(&block.block) + count(&block.always),
        })
        .sum()
}
