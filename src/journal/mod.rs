//! The durable facts of a run: what was intended, answered and done.
//!
//! One folder per run; an append-only file of one JSON record a line, each with its number and the
//! hash of the line before it. Knows nothing of scheduling. Invariants: an intent is on disk before
//! the first byte of its change leaves; nothing secret is in it in clear ([`Sealed`]); a failed
//! fsync ends the run.

mod blob;
mod error;
mod line;
mod reader;
mod record;
mod seal;
mod signature;
mod state;
mod storage;
mod store;
mod undo;
mod volume;
mod writer;

#[cfg(test)]
mod crash_tests;

pub use error::{Error, Result};
pub use reader::{Entry, Recovered, read};
pub use record::{FORMAT, Instance, Issued, Record, UndoRecord};
pub use seal::{KeyFolder, RunKey, Sealed};
pub use signature::{Signed, Signer, check_signatures};
pub use state::{Answered, Attempt, Outcome, RunState, fold};
pub use storage::{Disk, Storage};
pub use store::{LATEST, Run, RunStatus, RunStore, RunSummary};
pub use undo::{EntryState, UndoEntry};
pub use writer::{Clock, Writer};
