//! What a run has come to, folded from its records.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use indexmap::IndexMap;

use super::record::{Instance, Issued, Record};
use super::seal::Sealed;
use super::undo::{self, EntryState, UndoEntry};
use crate::event::Status;
use crate::model::StepId;
use crate::value::{Map, Value};

/// How a step ended on a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The attempt, where there was an intent.
    pub attempt: Option<u64>,
    /// In a word.
    pub status: Status,
    /// Whether the module itself says that something was changed.
    pub module_changed: bool,
    /// Whether the failure was ignored.
    pub is_ignored: bool,
    /// The result as `register` sees it, redacted.
    pub result: Value,
    /// Facts it set.
    pub facts: Map,
    /// Milliseconds.
    pub duration_ms: u64,
    /// Whether the operator let the host go on past it.
    pub was_passed: bool,
}

/// An intent of which nothing is known yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its id.
    pub attempt: u64,
    /// What it is an execution of.
    pub instance: Instance,
    /// The task's name.
    pub name: String,
    /// The module.
    pub module: String,
    /// The host it acts on.
    pub acts_on: String,
    /// The user to become there.
    pub become_user: Option<String>,
    /// By which method.
    pub become_method: Option<String>,
    /// Whether it may simply run again.
    pub converges: bool,
    /// Whether what it sends first is a durable attempt.
    pub is_durable: bool,
    /// One line for a person.
    pub summary: String,
    /// How it was sent, where it is durable; of several tries the last.
    pub issued: Option<Issued>,
    /// How far its output was shown: bytes of standard output and of standard error.
    pub shown: (u64, u64),
    /// How it ended, where it is a job and was seen to be over.
    pub ended: Option<String>,
}

/// A question that was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// What was asked.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// The answer where it is secret.
    pub sealed: Option<Sealed>,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    /// The first record ([`Record::Opened`]); none in a journal whose first write was lost.
    pub opened: Option<Record>,
    /// The files it was loaded from: path and text; empty where the key is missing.
    pub sources: Vec<(String, String)>,
    /// How often it was resumed.
    pub resumed: u32,
    /// How each instance ended; of several ends the last.
    pub done: HashMap<Instance, Outcome>,
    /// Intents without an end, by attempt.
    pub open: BTreeMap<u64, Attempt>,
    /// Jobs that were begun and are not awaited, by attempt, as long as their files are kept.
    pub jobs: BTreeMap<u64, Attempt>,
    /// The undo stack, newest first.
    pub undo: Vec<UndoEntry>,
    /// The newest point of no return that stands: its attempt. No rollback of the stack goes to
    /// entries older than it ([`UndoEntry::is_behind_point`]).
    pub point_of_no_return: Option<u64>,
    /// Released protected hosts, with who released them.
    pub released: IndexMap<String, String>,
    /// Answers, in order.
    pub answers: Vec<Answered>,
    /// The id for the next attempt; never used before in this run.
    pub next_attempt: u64,
    /// A way back that was begun and did not end.
    pub rollback: Option<String>,
    /// The step at which that one ends, where it is not the stack's first.
    pub rollback_to: Option<String>,
    /// How each instance of that way back ended.
    pub back_done: HashMap<Instance, Outcome>,
    /// The first attempt on the way back that has not come to its end.
    rollback_from: Option<u64>,
    /// Ways back that ended, with whether all of each was done.
    pub rolled_back: Vec<(String, bool)>,
    /// Locks that were taken or about to be: host, token, and the machine that did it.
    pub locks: Vec<(String, String, String)>,
    /// Hosts whose locks were taken: host, user there, where things are kept; each host once.
    pub places: Vec<(String, String, String)>,
    /// Hosts that a takeover left out of the run.
    pub without: Vec<String>,
    /// The exit code, when the last process ended in an orderly way.
    pub closed: Option<u8>,
    /// From when the change's window counts: the first start, or the resume after the last
    /// orderly end. A resume after a crash goes on in the same window.
    pub window_from: Option<DateTime<Utc>>,
    /// What was learnt to be secret.
    pub secrets: Vec<String>,
}

impl RunState {
    /// Entries that a rollback of the stack may undo now, newest first: those behind no point of
    /// no return, neither sealed, undone, closed nor kept. An attempt that is still open is among
    /// them; the caller must know that it does not run.
    pub fn undoable(&self) -> impl Iterator<Item = &UndoEntry> {
        self.undo
            .iter()
            .filter(|e| !e.is_behind_point && e.state.is_open())
    }

    /// Unsealed entries of a tag, newest first, for `undo_of: TAG` of a named way back; points of
    /// no return that did not seal the tag do not matter to it.
    pub fn undoable_of<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a UndoEntry> {
        self.undo
            .iter()
            .filter(move |e| e.state.is_open() && e.tags.iter().any(|t| t == tag))
    }
}

/// Folds records into what the run has come to.
pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> RunState {
    let mut state = RunState {
        next_attempt: 1,
        ..RunState::default()
    };
    let mut stack = undo::Stack::default();
    for record in records {
        state.secrets.extend(record.learnt());
        let record = record.in_full();
        stack.add(&record);
        state.add(&record);
    }
    (state.undo, state.point_of_no_return) = stack.finish();
    state
}

impl RunState {
    fn add(&mut self, record: &Record) {
        // Whatever follows an orderly end means that a process took the run up again.
        let was_closed = self.closed.take().is_some();
        match record {
            Record::Opened { at, .. } => {
                self.opened = Some(record.clone());
                self.window_from = Some(*at);
            }
            Record::Resumed { at, .. } => self.resume(was_closed.then_some(*at)),
            Record::Answered {
                question,
                answer,
                sealed,
                by,
                at,
                ..
            } => self.answers.push(Answered {
                question: question.clone(),
                answer: answer.clone(),
                sealed: sealed.clone(),
                by: by.clone(),
                at: *at,
            }),
            Record::Intent { attempt, .. } => {
                self.next_attempt = self.next_attempt.max(attempt + 1);
                if let Some(open) = Attempt::of(record) {
                    self.open.insert(*attempt, open);
                }
            }
            Record::NeverStarted { attempt } => {
                self.open.remove(attempt);
            }
            Record::Done { .. } => self.add_done(record),
            Record::Passed { step, host } => self.pass(step, host),
            Record::Sources { sealed } => self.keep(sealed),
            Record::Locking { .. }
            | Record::HostReady { .. }
            | Record::Issued(_)
            | Record::Seen { .. }
            | Record::JobEnded { .. }
            | Record::Undone { .. }
            | Record::TakenOver { .. } => self.add_of_hosts(record),
            Record::Released { host, by, .. } => self.release(host, by),
            Record::RollbackStarted { way, to, .. } => {
                self.rollback = Some(way.clone());
                self.rollback_to.clone_from(to);
                self.back_done.clear();
                self.rollback_from.get_or_insert(self.next_attempt);
            }
            Record::RollbackEnded { way, is_complete } => {
                self.rollback = None;
                if let Some(from) = self.rollback_from.take_if(|_| *is_complete) {
                    // What an interrupted process began on the way back was done again.
                    self.open.retain(|attempt, _| *attempt < from);
                }
                self.rolled_back.push((way.clone(), *is_complete));
            }
            Record::Cancelled { .. } => {}
            Record::Closed { exit_code, .. } => self.closed = Some(*exit_code),
        }
    }

    /// A later process took the run up; the window begins anew where the run had been closed.
    fn resume(&mut self, window_from: Option<DateTime<Utc>>) {
        self.resumed += 1;
        self.window_from = window_from.or(self.window_from);
    }

    /// The run went on past a step on a host, as the operator said.
    fn pass(&mut self, step: &StepId, host: &str) {
        for (instance, outcome) in &mut self.done {
            if instance.step == *step && instance.host == *host {
                outcome.was_passed |= is_bad(outcome.status);
            }
        }
    }

    fn release(&mut self, host: &str, by: &str) {
        self.released.insert(host.to_owned(), by.to_owned());
    }

    fn keep(&mut self, sealed: &Sealed) {
        self.sources = sealed.read().unwrap_or_default();
    }

    /// Locks of hosts, and what is known of attempts there.
    fn add_of_hosts(&mut self, record: &Record) {
        match record {
            Record::Locking { host, token, from } => {
                let lock = (host.clone(), token.clone(), from.clone());
                self.locks.push(lock);
            }
            Record::Issued(issued) => {
                if let Some(open) = self.open.get_mut(&issued.attempt) {
                    open.issued = Some((**issued).clone());
                    open.shown = (0, 0);
                }
            }
            Record::Seen { attempt, out, err } => {
                if let Some(open) = self.open.get_mut(attempt) {
                    open.shown = (*out, *err);
                }
            }
            Record::JobEnded {
                attempt,
                how,
                is_kept,
            } => self.end_job(*attempt, how, *is_kept),
            Record::TakenOver { without, .. } => self.without.extend(without.iter().cloned()),
            Record::HostReady {
                host,
                user,
                place,
                epoch: Some(_),
                ..
            } if self.places.iter().all(|(known, ..)| known != host) => {
                let place = (host.clone(), user.clone(), place.clone());
                self.places.push(place);
            }
            _ => {}
        }
    }

    fn end_job(&mut self, attempt: u64, how: &str, is_kept: bool) {
        if !is_kept {
            self.jobs.remove(&attempt);
        } else if let Some(job) = self.jobs.get_mut(&attempt) {
            job.ended = Some(how.to_owned());
        }
    }

    fn add_done(&mut self, record: &Record) {
        let Record::Done {
            attempt,
            instance,
            status,
            module_changed,
            is_ignored,
            result,
            facts,
            duration_ms,
            sealed: _,
        } = record
        else {
            return;
        };
        if let Some(attempt) = attempt {
            let is_job = |open: &Attempt| open.issued.as_ref().is_some_and(|i| i.is_job);
            if let Some(job) = self.open.get(attempt).filter(|open| is_job(open)) {
                self.jobs.insert(*attempt, job.clone());
            }
            // Its earlier attempts (`until`, an interruption) are settled with it.
            self.open.retain(|_, open| open.instance != *instance);
        }
        let outcome = Outcome {
            attempt: *attempt,
            status: *status,
            module_changed: *module_changed,
            is_ignored: *is_ignored,
            result: result.clone(),
            facts: facts.clone(),
            duration_ms: *duration_ms,
            was_passed: false,
        };
        // What ends on a way back says nothing about the run itself.
        if self.rollback.is_some() {
            self.back_done.insert(instance.clone(), outcome);
            return;
        }
        self.done.insert(instance.clone(), outcome);
    }
}

fn is_bad(status: Status) -> bool {
    !matches!(status, Status::Ok | Status::Changed | Status::Skipped)
}

impl Attempt {
    /// Whether it was provably never sent: the record of how it is sent did not come to the disk,
    /// and nothing leaves before that.
    pub fn is_unsent(&self) -> bool {
        self.is_durable && self.issued.is_none()
    }

    /// The task's name, or where it stands.
    pub fn title(&self) -> String {
        if self.name.is_empty() {
            self.instance.step.0.clone()
        } else {
            self.name.clone()
        }
    }

    fn of(record: &Record) -> Option<Self> {
        let Record::Intent {
            attempt,
            instance,
            name,
            module,
            acts_on,
            become_user,
            become_method,
            converges,
            is_durable,
            summary,
            ..
        } = record
        else {
            return None;
        };
        Some(Self {
            attempt: *attempt,
            instance: instance.clone(),
            name: name.clone(),
            module: module.clone(),
            acts_on: acts_on.clone(),
            become_user: become_user.clone(),
            become_method: become_method.clone(),
            converges: *converges,
            is_durable: *is_durable,
            summary: summary.clone(),
            issued: None,
            shown: (0, 0),
            ended: None,
        })
    }
}

impl EntryState {
    /// Whether it can still be undone: it stands, or an earlier try to undo it failed.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Stands | Self::UndoFailed { .. })
    }
}
