//! switchback runs Ansible-style playbooks over plain SSH, one confirmed step at a time, and
//! always knows the way back.
//!
//! The layers, lowest first; a layer uses only layers above it in this list (held by
//! `tests/architecture.rs`). `ARCHITECTURE.md` says what each may know.

pub mod diag;
pub mod modules;
pub mod script;
pub mod template;
pub mod transport;
pub mod value;
