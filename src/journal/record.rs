//! The records of a journal. Their JSON form is versioned by [`FORMAT`].

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::seal::Sealed;
use crate::event::Status;
use crate::model::{Item, Seal, StepId};
use crate::modules::Act;
use crate::script::attempt::Spot;
use crate::value::{Map, Value};

/// Version of the records; a reader refuses one it does not know.
pub const FORMAT: u32 = 1;

/// One execution of a step: on one host, in one batch, for one item of a loop, for the n-th time
/// (a handler may be flushed twice, a role included twice).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instance {
    /// The step.
    pub step: StepId,
    /// The host it is for (not the delegate).
    pub host: String,
    /// Index of the batch of `serial`.
    pub batch: u32,
    /// Index of the item, in a loop.
    pub item: Option<u32>,
    /// How many times the same step ran before on the host in this run.
    pub occurrence: u32,
}

/// One durable fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The first record.
    Opened {
        /// [`FORMAT`].
        format: u32,
        /// Id of the run.
        run: String,
        /// Version of switchback.
        version: String,
        /// The playbook, absolute.
        playbook: String,
        /// Name of the change.
        change: Option<String>,
        /// Inventory sources, absolute where they are files.
        inventory: Vec<String>,
        /// SHA-256 over the playbook and all files it loads.
        playbook_hash: String,
        /// SHA-256 over the inventory.
        inventory_hash: String,
        /// Extra vars: their names. Nobody can know which of the values are secret.
        extra_vars: Map,
        /// The command line's other options that a resume needs.
        options: Value,
        /// Extra vars and options in full.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<Sealed>,
        /// Who.
        operator: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// The files that the run was loaded from, for the difference when it is resumed.
    Sources {
        /// Path and text of each.
        sealed: Sealed,
    },
    /// A later process took the run up again.
    Resumed {
        /// Who.
        operator: String,
        /// What differed from the first start, one line each.
        drift: Vec<String>,
        /// When.
        at: DateTime<Utc>,
    },
    /// A question and its answer.
    Answered {
        /// What was asked, in one line.
        question: String,
        /// The answer.
        answer: String,
        /// Whether it decided about something that cannot be taken back: such an answer is signed.
        #[serde(default)]
        is_gate: bool,
        /// The answer where it is secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<Sealed>,
        /// Who: an operator or `policy`.
        by: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// A change is about to be sent. Synced before its first byte leaves.
    Intent {
        /// Id of the attempt, unique in the run.
        attempt: u64,
        /// What it is an execution of.
        instance: Instance,
        /// The task's name.
        name: String,
        /// The module.
        module: String,
        /// The host it acts on.
        acts_on: String,
        /// The user to become there.
        become_user: Option<String>,
        /// By which method (`sudo`, `su`, `doas`).
        become_method: Option<String>,
        /// Whether it may simply run again.
        converges: bool,
        /// Whether what it sends first is a durable attempt, whose [`Record::Issued`] follows and is
        /// synced with it: without that record nothing was sent.
        #[serde(default)]
        is_durable: bool,
        /// One line for a person.
        summary: String,
        /// Tags of the task, for seals.
        tags: Vec<String>,
        /// Whether it is a point of no return.
        #[serde(default)]
        is_point: bool,
        /// Entries that it seals.
        seals: Vec<Seal>,
        /// Handlers that it notifies, which its undo notifies again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notifies: Vec<String>,
        /// The block whose undo stands for those of all tasks in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block: Option<StepId>,
        /// How it is taken back.
        undo: UndoRecord,
        /// Whether nothing of what it did may be shown (`no_log`, or its undo holds a secret).
        #[serde(default)]
        is_hidden: bool,
        /// When.
        at: DateTime<Utc>,
    },
    /// A lock of this run is about to be taken on a host. Synced before.
    Locking {
        /// The host.
        host: String,
        /// The token that will name it there.
        token: String,
        /// The machine that takes it: a copy of this journal elsewhere does not have the lock.
        from: String,
    },
    /// A host was met: what its attempts are held against.
    HostReady {
        /// The host.
        host: String,
        /// The user there.
        user: String,
        /// The id of the place that attempts are kept in.
        spool: String,
        /// Where that is.
        place: String,
        /// The boot of the host.
        boot: String,
        /// Its uptime in seconds.
        up: u64,
        /// The lock of the host, where it was taken.
        epoch: Option<u64>,
        /// When.
        at: DateTime<Utc>,
    },
    /// A durable attempt is about to be sent. Synced before its first byte leaves.
    Issued(Box<Issued>),
    /// Output of a durable attempt was shown up to here. Need not be synced.
    Seen {
        /// The attempt.
        attempt: u64,
        /// Bytes of standard output.
        out: u64,
        /// Bytes of standard error.
        err: u64,
    },
    /// A job that is not awaited (`poll: 0`) was seen to be over. Synced.
    JobEnded {
        /// The attempt.
        attempt: u64,
        /// How, in a few words.
        how: String,
        /// Whether its files stay on the host, so that it can be asked about again.
        is_kept: bool,
    },
    /// Somebody ends attempts that run. Synced before the first signal.
    Cancelled {
        /// The attempts.
        attempts: Vec<u64>,
        /// Who.
        by: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// The locks of hosts were taken over for this run. Synced.
    TakenOver {
        /// Who did it.
        by: String,
        /// The hosts.
        hosts: Vec<String>,
        /// Hosts that could not be reached and are out of the run.
        without: Vec<String>,
        /// When.
        at: DateTime<Utc>,
    },
    /// An intent led to nothing: its attempt provably never started and never will. It takes the
    /// intent's undo entry and seals with it.
    NeverStarted {
        /// The attempt.
        attempt: u64,
    },
    /// A step ended on a host. Synced before anything that depends on it starts.
    Done {
        /// The attempt, where there was an intent.
        attempt: Option<u64>,
        /// What it was an execution of.
        instance: Instance,
        /// How it ended.
        status: Status,
        /// Whether the module itself says that something was changed, whatever `changed_when` and
        /// `failed_when` make of it: the undo depends on this alone.
        #[serde(default)]
        module_changed: bool,
        /// Whether the failure was ignored.
        is_ignored: bool,
        /// The result as `register` sees it, redacted.
        result: Value,
        /// Facts it set, redacted.
        facts: Map,
        /// Result and facts in full, where they are not so already, and the secrets that are masked
        /// from here on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<Sealed>,
        /// Milliseconds.
        duration_ms: u64,
    },
    /// The operator let a host go on past a step that had failed there.
    Passed {
        /// The step.
        step: StepId,
        /// The host.
        host: String,
    },
    /// The undo of an attempt ended.
    Undone {
        /// The attempt whose change was taken back.
        attempt: u64,
        /// Whether it was taken back.
        is_done: bool,
        /// Why not, or what was done.
        message: String,
    },
    /// A protected host was released.
    Released {
        /// The host.
        host: String,
        /// Who or which way back.
        by: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// A rollback began.
    RollbackStarted {
        /// The way's name; `undo` is the stack.
        way: String,
        /// The step down to which the stack is undone, and which stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// When.
        at: DateTime<Utc>,
    },
    /// A rollback ended.
    RollbackEnded {
        /// The way's name.
        way: String,
        /// Whether all of it was done.
        is_complete: bool,
    },
    /// The process ended in an orderly way.
    Closed {
        /// Its exit code.
        exit_code: u8,
        /// When.
        at: DateTime<Utc>,
    },
}

/// A durable attempt as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The attempt.
    pub attempt: u64,
    /// Where it is found again.
    pub spot: Spot,
    /// The boot of the host that it was meant for.
    pub boot: String,
    /// The uptime of the host when it was met, in seconds.
    pub up: u64,
    /// What the probe saw, as status and text, where that is short: the result needs it.
    pub probed: Option<Vec<(i32, String)>>,
    /// Whether it is not awaited (`poll: 0`).
    #[serde(default)]
    pub is_job: bool,
    /// Where the host keeps its files; empty in a journal that did not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
}

impl Record {
    /// Its part that only the run's key opens.
    pub fn sealed(&self) -> Option<&Sealed> {
        match self {
            Self::Opened { sealed, .. }
            | Self::Answered { sealed, .. }
            | Self::Done { sealed, .. } => sealed.as_ref(),
            Self::Sources { sealed }
            | Self::Intent {
                undo: UndoRecord::Sealed { sealed, .. },
                ..
            } => Some(sealed),
            _ => None,
        }
    }

    /// As [`Self::sealed`].
    pub(super) fn sealed_mut(&mut self) -> Option<&mut Sealed> {
        match self {
            Self::Opened { sealed, .. }
            | Self::Answered { sealed, .. }
            | Self::Done { sealed, .. } => sealed.as_mut(),
            Self::Sources { sealed }
            | Self::Intent {
                undo: UndoRecord::Sealed { sealed, .. },
                ..
            } => Some(sealed),
            _ => None,
        }
    }

    /// Whether the journal's head is signed after it, where it is signed at all.
    pub(super) fn is_signed(&self) -> bool {
        matches!(
            self,
            Self::Opened { .. }
                | Self::Resumed { .. }
                | Self::Answered { is_gate: true, .. }
                | Self::Released { .. }
                | Self::RollbackStarted { .. }
                | Self::RollbackEnded { .. }
                | Self::Closed { .. }
        )
    }

    /// Whether a part of it must be encrypted before it is written.
    pub(super) fn has_open(&self) -> bool {
        self.sealed().is_some_and(|sealed| !sealed.is_closed())
    }

    /// Whether a part of it needs the run's key to be read.
    pub(super) fn has_closed(&self) -> bool {
        self.sealed().is_some_and(Sealed::is_closed)
    }

    /// The record with what is sealed in it where it belongs, as far as that is open.
    pub(super) fn in_full(&self) -> Cow<'_, Self> {
        if !self.has_open() {
            return Cow::Borrowed(self);
        }
        let mut full = self.clone();
        full.take_in();
        Cow::Owned(full)
    }

    /// The secrets that were learnt up to this end, as far as they are open.
    pub(super) fn learnt(&self) -> Vec<String> {
        match self {
            Self::Done {
                sealed: Some(sealed),
                ..
            } => sealed
                .read::<(Value, Map, Vec<String>)>()
                .map_or_else(Vec::new, |(_, _, learnt)| learnt),
            _ => Vec::new(),
        }
    }

    fn take_in(&mut self) {
        match self {
            Self::Opened {
                extra_vars,
                options,
                sealed: Some(sealed),
                ..
            } => {
                if let Some(full) = sealed.read() {
                    (*extra_vars, *options) = full;
                }
            }
            Self::Done {
                result,
                facts,
                sealed: Some(sealed),
                ..
            } => {
                if let Some(full) = sealed.read::<(Value, Map, Vec<String>)>() {
                    (*result, *facts, _) = full;
                }
            }
            Self::Intent { undo, .. } => {
                if let UndoRecord::Sealed { sealed, .. } = undo
                    && let Some(full) = sealed.read()
                {
                    *undo = full;
                }
            }
            _ => {}
        }
    }
}

/// How an attempt is taken back, as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum UndoRecord {
    /// By acts that the module derived.
    Acts {
        /// One line for a person.
        summary: String,
        /// What is to be done.
        acts: Vec<Act>,
    },
    /// By the task's own `undo:`, with the variables it used.
    Tasks {
        /// One line for a person.
        summary: String,
        /// The tasks.
        items: Vec<Item>,
        /// The variables, as at the intent.
        vars: Map,
    },
    /// By acts or tasks that hold secrets: another of these records, sealed.
    Sealed {
        /// One line for a person.
        summary: String,
        /// The record.
        sealed: Sealed,
    },
    /// It stays on purpose (`undo: keep`).
    Keep,
    /// Nobody knows how.
    Unknown {
        /// Why.
        why: String,
    },
    /// Nothing lasting was changed.
    NotNeeded,
}
