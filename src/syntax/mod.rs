//! Text to a tree with places. Knows YAML, knows nothing of Ansible.
//!
//! Invariant: every node, key and value alike, has a [`crate::diag::Span`]; reading never panics and
//! reports every problem that it can tell apart.

mod cursor;
mod document;
mod node;
mod scalar;
mod yaml;

pub use cursor::{Cursor, Problems};
pub use document::read_document;
pub use node::{Entry, Kind, Node, Tag};
pub use scalar::resolve_plain;
pub use yaml::{Parsed, read_yaml};
