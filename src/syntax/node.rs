//! The tree of a YAML document.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::diag::Span;
use crate::value::{Map, Text, Value};

/// What an explicit tag says of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tag {
    /// No tag of interest.
    #[default]
    None,
    /// `!unsafe`: its strings are data, never templates.
    Unsafe,
    /// `!vault`: its text is encrypted.
    Vault,
}

/// A node with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
    /// Its tag.
    pub tag: Tag,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Str(Arc<str>),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order in which it was written, keys unique.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as written (`on` stays `on`).
    pub key: Arc<str>,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A null at a place.
    pub fn null(span: Span) -> Self {
        Self {
            kind: Kind::Null,
            span,
            tag: Tag::None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&Arc<str>> {
        match &self.kind {
            Kind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entry under `key` of a mapping.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.as_map()?.iter().find(|entry| &*entry.key == key)
    }

    /// What it is, in a word a user knows.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) => "an integer",
            Kind::Float(_) => "a number",
            Kind::Str(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The value; strings may be templates unless they stand below `!unsafe`.
    pub fn to_value(&self) -> Value {
        self.value_with(false)
    }

    /// The mapping as a map of values; empty for anything else.
    pub fn to_map(&self) -> Map {
        match self.to_value() {
            Value::Map(map) => Arc::unwrap_or_clone(map),
            _ => Map::new(),
        }
    }

    fn value_with(&self, is_unsafe: bool) -> Value {
        let is_unsafe = is_unsafe || self.tag == Tag::Unsafe;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Int(i) => Value::Int(*i),
            Kind::Float(f) => Value::Float(*f),
            Kind::Str(text) if is_unsafe => Value::Str(Text::data(text.clone())),
            Kind::Str(text) if self.tag == Tag::Vault => {
                Value::Str(Text::from_user(text.clone()).into_secret())
            }
            Kind::Str(text) => Value::Str(Text::from_user(text.clone())),
            Kind::List(items) => Value::from(
                items
                    .iter()
                    .map(|n| n.value_with(is_unsafe))
                    .collect::<Vec<_>>(),
            ),
            Kind::Map(entries) => Value::from(
                entries
                    .iter()
                    .map(|e| (e.key.to_string(), e.value.value_with(is_unsafe)))
                    .collect::<Map>(),
            ),
        }
    }

    /// SHA-256 in hex of what the node says: comments, quoting and layout do not count.
    pub fn content_hash(&self) -> String {
        use std::fmt::Write as _;
        let mut hasher = Sha256::new();
        self.feed(&mut hasher);
        hasher
            .finalize()
            .iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }

    fn feed(&self, hasher: &mut Sha256) {
        match &self.kind {
            Kind::Null => hasher.update(b"n"),
            Kind::Bool(b) => hasher.update(if *b { b"t" } else { b"f" }),
            Kind::Int(i) => {
                hasher.update(b"i");
                hasher.update(i.to_le_bytes());
            }
            Kind::Float(f) => {
                hasher.update(b"d");
                hasher.update(f.to_le_bytes());
            }
            Kind::Str(text) => {
                hasher.update(if self.tag == Tag::Unsafe { b"u" } else { b"s" });
                feed_text(hasher, text);
            }
            Kind::List(items) => {
                hasher.update(b"l");
                hasher.update((items.len() as u64).to_le_bytes());
                for item in items {
                    item.feed(hasher);
                }
            }
            Kind::Map(entries) => {
                hasher.update(b"m");
                hasher.update((entries.len() as u64).to_le_bytes());
                for entry in entries {
                    feed_text(hasher, &entry.key);
                    entry.value.feed(hasher);
                }
            }
        }
    }
}

fn feed_text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text);
}
