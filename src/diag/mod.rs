//! Places in the user's files and how to speak of them.
//!
//! Knows nothing of YAML, playbooks or hosts. Invariant: a [`Diagnostic`] without a place says why
//! it has none by having no label.

pub mod codes;
mod diagnostic;
mod render;
mod source;
mod suggest;

pub use diagnostic::{Diagnostic, Severity};
pub use render::render;
pub use source::{FileId, Opener, Place, SourceMap, Span};
pub use suggest::suggest;

/// Result of everything that can fail with a [`Diagnostic`].
pub type Result<T> = std::result::Result<T, Box<Diagnostic>>;
