//! The undo stack, computed from what really ran.
//!
//! Source: ARCHITECTURE.md, "Ways back". An entry lives from its intent until its attempt provably
//! never started or ended without a change; failed and lost attempts stay, as they may have
//! changed something.

use super::record::{Instance, Record, UndoRecord};
use crate::event::Status;
use crate::model::{Seal, StepId};

/// One change that may be taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoEntry {
    /// The attempt that made it.
    pub attempt: u64,
    /// What that was an execution of.
    pub instance: Instance,
    /// The task's name.
    pub name: String,
    /// The module.
    pub module: String,
    /// The host it acted on, where the undo acts too.
    pub acts_on: String,
    /// The user to become there.
    pub become_user: Option<String>,
    /// By which method.
    pub become_method: Option<String>,
    /// What was changed, in one line.
    pub summary: String,
    /// Tags of the task.
    pub tags: Vec<String>,
    /// Handlers that it notified, which its undo notifies again.
    pub notifies: Vec<String>,
    /// The block whose undo this is: one undo takes back all of its entries on the host.
    pub block: Option<StepId>,
    /// How it is taken back.
    pub undo: UndoRecord,
    /// Whether nothing of it may be shown.
    pub is_hidden: bool,
    /// How the attempt ended; none: not known.
    pub status: Option<Status>,
    /// Whether it can be taken back.
    pub state: EntryState,
    /// Whether a point of no return was passed after it.
    pub is_behind_point: bool,
}

/// Whether an entry can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// It can.
    Stands,
    /// A point of no return sealed it.
    Sealed {
        /// The point's attempt.
        by: u64,
        /// The point's task.
        name: String,
    },
    /// It was taken back.
    Undone,
    /// It was tried and failed; it can be tried again.
    UndoFailed {
        /// Why.
        message: String,
    },
    /// It stays on purpose (`undo: keep`).
    Kept,
    /// A named way back ended, which leaves nothing to undo.
    Closed {
        /// The way.
        way: String,
    },
}

/// A point of no return that was passed.
struct Point {
    attempt: u64,
    name: String,
    host: String,
    acts_on: String,
    seals: Vec<Seal>,
}

/// Entries and points while records are folded, oldest first.
#[derive(Default)]
pub(super) struct Stack {
    entries: Vec<UndoEntry>,
    points: Vec<Point>,
    /// Between a rollback's start and its end: what is done on a way back is not undone again.
    is_going_back: bool,
}

impl Stack {
    pub(super) fn add(&mut self, record: &Record) {
        match record {
            Record::Intent { .. } if self.is_going_back => {}
            Record::Intent { .. } => self.add_intent(record),
            Record::NeverStarted { attempt } => {
                self.entries.retain(|e| e.attempt != *attempt);
                self.points.retain(|p| p.attempt != *attempt);
            }
            Record::Done {
                attempt: Some(attempt),
                status,
                module_changed,
                ..
            } => self.add_done(*attempt, *status, *module_changed),
            Record::Undone {
                attempt,
                is_done,
                message,
            } => {
                if let Some(entry) = self.entries.iter_mut().find(|e| e.attempt == *attempt) {
                    entry.state = if *is_done {
                        EntryState::Undone
                    } else {
                        EntryState::UndoFailed {
                            message: message.clone(),
                        }
                    };
                }
            }
            Record::RollbackStarted { .. } => self.is_going_back = true,
            Record::RollbackEnded { way, is_complete } => {
                self.is_going_back = false;
                self.end_way(way, *is_complete);
            }
            Record::Opened { .. }
            | Record::Resumed { .. }
            | Record::Locking { .. }
            | Record::HostReady { .. }
            | Record::Issued(_)
            | Record::Seen { .. }
            | Record::JobEnded { .. }
            | Record::Cancelled { .. }
            | Record::TakenOver { .. }
            | Record::Answered { .. }
            | Record::Done { .. }
            | Record::Sources { .. }
            | Record::Passed { .. }
            | Record::Released { .. }
            | Record::Closed { .. } => {}
        }
    }

    /// A named way leaves nothing for the stack; the stack's own end leaves what it could not undo.
    fn end_way(&mut self, way: &str, is_complete: bool) {
        if !is_complete || way == "undo" {
            return;
        }
        for entry in self.entries.iter_mut().filter(|e| e.state.is_open()) {
            entry.state = EntryState::Closed {
                way: way.to_owned(),
            };
        }
    }

    fn add_intent(&mut self, record: &Record) {
        let Record::Intent {
            attempt,
            instance,
            name,
            module,
            acts_on,
            become_user,
            become_method,
            summary,
            tags,
            is_point,
            seals,
            notifies,
            block,
            undo,
            is_hidden,
            ..
        } = record
        else {
            return;
        };
        if *is_point || !seals.is_empty() {
            self.points.push(Point {
                attempt: *attempt,
                name: name.clone(),
                host: instance.host.clone(),
                acts_on: acts_on.clone(),
                seals: seals.clone(),
            });
        }
        let state = match undo {
            UndoRecord::NotNeeded => return,
            UndoRecord::Keep => EntryState::Kept,
            UndoRecord::Acts { .. }
            | UndoRecord::Tasks { .. }
            | UndoRecord::Sealed { .. }
            | UndoRecord::Unknown { .. } => EntryState::Stands,
        };
        self.entries.push(UndoEntry {
            attempt: *attempt,
            instance: instance.clone(),
            name: name.clone(),
            module: module.clone(),
            acts_on: acts_on.clone(),
            become_user: become_user.clone(),
            become_method: become_method.clone(),
            summary: summary.clone(),
            tags: tags.clone(),
            notifies: notifies.clone(),
            block: block.clone(),
            undo: undo.clone(),
            is_hidden: *is_hidden,
            status: None,
            state,
            is_behind_point: false,
        });
    }

    fn add_done(&mut self, attempt: u64, status: Status, module_changed: bool) {
        match status {
            // Nothing was changed. The seals of a point stay: its attempt did start.
            Status::Ok | Status::Skipped if !module_changed => {
                self.entries.retain(|e| e.attempt != attempt);
            }
            Status::Ok
            | Status::Skipped
            | Status::Changed
            | Status::Failed
            | Status::Unreachable
            | Status::Lost
            | Status::Unknown => {
                for entry in self.entries.iter_mut().filter(|e| e.attempt == attempt) {
                    entry.status = Some(status);
                }
            }
        }
    }

    /// The stack, newest first, and the newest point of no return that stands.
    pub(super) fn finish(mut self) -> (Vec<UndoEntry>, Option<u64>) {
        let newest = self.points.iter().map(|p| p.attempt).max();
        for entry in &mut self.entries {
            // A point on one of several hosts is as final for the others' earlier steps.
            entry.is_behind_point = newest.is_some_and(|point| entry.attempt < point);
            if entry.state.is_open()
                && let Some(point) = self.points.iter().find(|p| p.seals_entry(entry))
            {
                entry.state = EntryState::Sealed {
                    by: point.attempt,
                    name: point.name.clone(),
                };
            }
        }
        self.entries.sort_by_key(|e| std::cmp::Reverse(e.attempt));
        (self.entries, newest)
    }
}

impl Point {
    /// A host counts as the same when either the task's host or the host acted on is: sealing too
    /// much asks a person, sealing too little destroys data.
    fn seals_entry(&self, entry: &UndoEntry) -> bool {
        entry.attempt < self.attempt
            && self.seals.iter().any(|seal| {
                entry.tags.contains(&seal.tag)
                    && (seal.is_everywhere
                        || entry.acts_on == self.acts_on
                        || entry.instance.host == self.host)
            })
    }
}
