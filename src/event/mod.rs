//! What happened, as data: the one stream that every listener hears.
//!
//! Whoever emits an event has redacted it: no event holds a secret in clear. Listeners receive
//! `&Event`, return nothing and cannot fail the run.

mod kinds;
mod redact;
mod stats;

pub use kinds::{Event, Report, Status};
pub use stats::{HostStats, Stats};
