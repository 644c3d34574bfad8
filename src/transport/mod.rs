//! The only IO with hosts: framed `sh` sessions over SSH masters, or a local `sh`.
//!
//! Knows nothing of playbooks or modules. Invariants: one request is sent at most once, there is
//! no retry in here after the first byte of a script left; [`Failed::Unreachable`] means that no
//! whole request was sent, so that nothing ran, [`Failed::Lost`] that it may have run.

mod askpass;
mod become_user;
mod frame;
mod host;
mod local;
mod master;
mod nonce;
mod pool;
mod session;
mod shelf;
mod ssh;
mod target;
#[cfg(test)]
mod tests;

pub use pool::{Pool, Settings};
pub use target::{
    Become, BecomeMethod, Chunk, Connection, Failed, Job, SecretText, Stream, Target,
};
