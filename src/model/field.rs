//! Values with their places.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::diag::Span;
use crate::value::{Map, Value};

/// A value as the user wrote it, with its place; it may hold templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
}

/// One condition of `when`, `changed_when`, `failed_when`, `until` or `that`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cond {
    /// A YAML boolean.
    Literal(bool),
    /// A template expression without braces.
    Expr {
        /// Its text.
        text: String,
        /// Where it stands.
        span: Span,
    },
}

/// The arguments of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Args {
    /// By name; free-form text stands under `_raw_params`. `args:` is already merged in.
    pub fields: Map,
    /// Where each value stands; the key's own place is under `KEY:key`.
    pub spans: IndexMap<String, Span>,
    /// `args: "{{ mapping }}"` or `module: "{{ mapping }}"`: rendered first, then overridden by
    /// `fields`.
    pub whole: Option<Field>,
}

impl Args {
    /// The place of an argument's value.
    pub fn span(&self, name: &str) -> Span {
        self.spans.get(name).copied().unwrap_or(Span::NONE)
    }
}
