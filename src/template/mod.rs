//! Templates as ansible-core 2.19 understands them: native types, lazy variables, and only text
//! from the user's own files is ever a template.
//!
//! minijinja provides the grammar (`parse`); the evaluation is ours, because Ansible's semantics
//! (mutable lists, printf on strings, undefined values that travel, variables rendered at access
//! with the scope of their host) live in the evaluation. Must not know of modules, hosts or files:
//! everything impure is behind [`World`].
//!
//! Invariants: the result of a rendering is data and never a template again; if anything secret was
//! read, every string of the result is secret; an evaluation ends (steps, depth and output have
//! limits).

#![expect(
    clippy::unnecessary_box_returns,
    reason = "errors are boxed where they arise, so that every result stays small"
)]

mod ast;
mod engine;
mod error;
mod eval;
mod filters;
mod lookups;
mod memory;
mod parse;
mod python;
mod references;
mod regex;
mod scope;
mod tests;
mod val;

pub use engine::{Engine, Rendered};
pub use error::{ErrorKind, TemplateError};
pub use memory::MemoryWorld;
pub use parse::Syntax;
pub use python::write_repr;
pub use scope::{PathKind, PathStat, Scope, World};

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod world_tests;
