//! Runs a plan: the dispatcher that owns all state of a run, and the thin driver around it.

pub mod ask;
