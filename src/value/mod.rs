//! Data a playbook can hold: JSON-like values whose strings know whether they are templates and
//! whether they are secret.
//!
//! Knows nothing of YAML or of templating. Invariant: only text from the user's own files is ever
//! marked [`Trust::Template`]; text from hosts, lookups and rendered templates is
//! [`Trust::Data`] and is never rendered again (ansible-core 2.19, "trusted as template").

mod data;
mod de;
mod json;
mod redact;
mod text;

pub use data::Value;
pub use de::{field_aliases, field_names, from_value};
pub use json::{MASK, exposed};
pub use redact::Redactor;
pub use text::{Text, Trust};

/// A mapping in the order in which it was written.
pub type Map = indexmap::IndexMap<String, Value>;
