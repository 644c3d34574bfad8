//! The variables of hosts and tasks: what is known of a host during a run, and who wins.
//!
//! Knows nothing of rendering. Invariant: precedence is the order of layers in
//! [`TaskScope::new`], and nothing else decides who wins.

mod host_vars;
mod task_scope;

pub use host_vars::HostVars;
pub use task_scope::{Layers, TaskScope, merged};
