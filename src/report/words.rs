//! Words, durations and plurals, the same in every report.

use crate::event::Status;

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
