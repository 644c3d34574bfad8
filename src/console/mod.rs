//! The terminal and its sole owner: shows events, asks the engine's questions, reads keys.
//!
//! Knows questions and events and nothing of how a run works. Invariants: Enter alone never runs,
//! skips or aborts anything; what was typed before a prompt is not an answer to it; the terminal is
//! given back as it was found, whatever happens.

#![expect(
    clippy::format_push_string,
    reason = "writing to a string cannot fail, and a result to discard would hide that"
)]

mod actor;
mod keys;
mod live;
mod password;
mod policy;
mod prompt;
#[cfg(test)]
mod prompt_tests;
mod screen;
mod tty;

pub use actor::{Console, Handle, Options, Request};
pub use password::ask_password;
pub use policy::{Gate, OnFailure, Policy};
pub use tty::{is_interactive, restore_terminal};
