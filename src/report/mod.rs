//! Listeners to the events of a run: events in, bytes out.
//!
//! Knows the events and nothing of who emits them. Invariants: a reporter cannot fail or stop a
//! run (a broken pipe silences it), and nothing that came from a host reaches a terminal unescaped.

#![expect(
    clippy::format_push_string,
    reason = "writing to a string cannot fail, and a result to discard would hide that"
)]

mod details;
mod human;
mod junit;
mod look;
mod ndjson;
mod plain;
mod recap;
pub mod sanitize;
mod sink;

pub use human::Human;
pub use junit::Junit;
pub use look::{Look, Tone};
pub use ndjson::Ndjson;
pub use plain::Plain;
pub use recap::recap;
pub use sink::Sink;

use chrono::{DateTime, Utc};

use crate::event::{Event, Status};

/// Hears every event of a run.
pub trait Reporter: Send {
    /// Hears one event.
    fn on(&mut self, event: &Event);

    /// Why what was heard could not be written, if it could not; asked once, at the end.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// Tells the wall clock.
pub type Clock = Box<dyn Fn() -> DateTime<Utc> + Send>;

/// The word for how a task ended on a host, at most 11 letters.
pub fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "OK",
        Status::Changed => "CHANGED",
        Status::Skipped => "SKIPPED",
        Status::Failed => "FAILED",
        Status::Unreachable => "UNREACHABLE",
        Status::Lost => "LOST",
        Status::Unknown => "UNKNOWN",
    }
}

/// A duration as a person reads it: `0.4s`, `12s`, `3m12s`, `2h05m`.
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..10 => format!("{}.{}s", s, ms % 1000 / 100),
        10..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
    }
}

/// `n thing` or `n things`.
pub fn count(n: usize, thing: &str) -> String {
    if n == 1 {
        format!("1 {thing}")
    } else {
        format!("{n} {thing}s")
    }
}
