//! switchback runs Ansible-style playbooks over plain SSH, one confirmed step at a time, and
//! always knows the way back.
//!
//! The layers, lowest first; a layer uses only layers above it in this list (held by
//! `tests/architecture.rs`). `ARCHITECTURE.md` says what each may know.

pub mod diag;
pub mod value;

pub mod vault;

pub mod syntax;

pub mod model;

pub mod inventory;

pub mod vars;

pub mod template;

pub mod script;

pub mod modules;

pub mod plan;

pub mod transport;

pub mod event;

pub mod journal;

pub mod exec;

pub mod report;

pub mod console;

pub mod cli;
