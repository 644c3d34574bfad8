//! switchback runs Ansible-style playbooks over plain SSH, one confirmed step at a time, and
//! always knows the way back.
//!
//! The layers, lowest first; a layer uses only layers above it in this list (held by
//! `tests/architecture.rs`). `ARCHITECTURE.md` says what each may know.

pub mod console;
pub mod diag;
pub mod event;
pub mod exec;
pub mod journal;
pub mod model;
pub mod modules;
pub mod report;
pub mod script;
pub mod transport;
pub mod value;
