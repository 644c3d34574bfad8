//! The value itself: its kinds, how it is read and how it is made.

use std::sync::Arc;

use super::{Map, Text};

/// Any value of a variable, an argument or a result. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, `~`, `None`.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string, with its trust and secrecy.
    Str(Text),
    /// A list.
    List(Arc<Vec<Value>>),
    /// A mapping with string keys.
    Map(Arc<Map>),
}

impl Value {
    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The items of a list value.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a mapping value.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The integer value, if this is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// The value under `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// What the value is, in a word a user knows.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Str(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// Whether any string in it is a template that has not been rendered.
    pub fn has_template(&self) -> bool {
        match self {
            Self::Str(text) => text.is_template(),
            Self::List(items) => items.iter().any(Self::has_template),
            Self::Map(map) => map.values().any(Self::has_template),
            _ => false,
        }
    }

    /// Whether any string in it is secret.
    pub fn has_secret(&self) -> bool {
        match self {
            Self::Str(text) => text.is_secret(),
            Self::List(items) => items.iter().any(Self::has_secret),
            Self::Map(map) => map.values().any(Self::has_secret),
            _ => false,
        }
    }

    /// The same value with every string in it marked secret.
    #[must_use]
    pub fn into_secret(self) -> Self {
        match self {
            Self::Str(text) => Self::Str(text.into_secret()),
            Self::List(items) => Self::List(Arc::new(
                items.iter().cloned().map(Self::into_secret).collect(),
            )),
            Self::Map(map) => Self::Map(Arc::new(
                map.iter()
                    .map(|(k, v)| (k.clone(), v.clone().into_secret()))
                    .collect(),
            )),
            other => other,
        }
    }

    /// Ansible's idea of a boolean in an argument: `yes`, `true`, `on`, `1`, `y`, `t` and their
    /// opposites in any case (ansible-core 2.19, `module_utils/parsing/convert_bool.py`).
    pub fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Int(1) => Some(true),
            Self::Int(0) => Some(false),
            Self::Float(f) if (*f - 1.0).abs() < f64::EPSILON => Some(true),
            Self::Float(f) if f.abs() < f64::EPSILON => Some(false),
            Self::Str(text) => match text.as_str().to_ascii_lowercase().as_str() {
                "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
                "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(Text::data(text))
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(Text::data(text))
    }
}
impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}
impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Self::Int(i)
    }
}
impl From<i32> for Value {
    fn from(i: i32) -> Self {
        Self::Int(i.into())
    }
}
impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(Arc::new(items))
    }
}
impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}
