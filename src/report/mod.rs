//! Listeners to the events of a run: events in, bytes out.
//!
//! Knows the events and nothing of who emits them. Invariants: a reporter cannot fail or stop a
//! run (a broken pipe silences it), and nothing that came from a host reaches a terminal unescaped.

#![expect(
    clippy::format_push_string,
    reason = "writing to a string cannot fail, and a result to discard would hide that"
)]

mod ansible;
mod ansible_text;
mod details;
mod human;
mod json;
mod junit;
mod look;
mod minimal;
mod ndjson;
mod plain;
mod recap;
mod relay;
mod reporter;
pub mod sanitize;
mod sink;
mod words;

pub use ansible::{Ansible, AnsibleOptions};
pub use human::Human;
pub use junit::Junit;
pub use look::{Look, Tone};
pub use minimal::Minimal;
pub use ndjson::Ndjson;
pub use plain::Plain;
pub use recap::recap;
pub use relay::{Relay, RelayEnd};
pub use reporter::Reporter;
pub use sink::Sink;
pub use words::{count, duration, word};

use chrono::{DateTime, Utc};

/// Tells the wall clock.
pub type Clock = Box<dyn Fn() -> DateTime<Utc> + Send>;
