//! The durable facts of a run: what was intended, answered and done.
//!
//! One folder per run; an append-only file of one JSON record a line, each with its number and the
//! hash of the line before it. Knows nothing of scheduling. Invariants: an intent is on disk before
//! the first byte of its change leaves; nothing secret is in it in clear; a failed fsync ends the
//! run.

mod record;

pub use record::{Instance, Record, UndoRecord};
