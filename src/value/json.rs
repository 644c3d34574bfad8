//! Values as JSON, and as serde data for the journal.
//!
//! Serialised form: a template is `{"$template": TEXT}`, a secret string `{"$secret": null}` (the
//! text is never written), everything else plain JSON. A mapping of data that looks like one of
//! these gets one more `$`, so that no text from a host comes back as a template.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Map, Text, Value};

/// What stands in place of a secret wherever one would be shown or stored.
pub const MASK: &str = "********";

impl Value {
    /// Plain data from JSON: no string in it is a template or secret.
    pub fn from_json(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(b),
            serde_json::Value::Number(n) => n
                .as_i64()
                .map_or_else(|| Self::Float(n.as_f64().unwrap_or(f64::NAN)), Self::Int),
            serde_json::Value::String(s) => Self::Str(Text::data(s)),
            serde_json::Value::Array(items) => {
                Self::List(Arc::new(items.into_iter().map(Self::from_json).collect()))
            }
            serde_json::Value::Object(map) => Self::Map(Arc::new(
                map.into_iter()
                    .map(|(k, v)| (k, Self::from_json(v)))
                    .collect(),
            )),
        }
    }

    /// JSON for a screen, log or report: secrets are masked.
    pub fn to_masked_json(&self) -> serde_json::Value {
        self.to_json_with(&|text| {
            if text.is_secret() {
                MASK.to_owned()
            } else {
                text.as_str().to_owned()
            }
        })
    }

    /// JSON with everything in clear, for what a host or a filter needs.
    pub fn to_exposed_json(&self) -> serde_json::Value {
        self.to_json_with(&|text| text.as_str().to_owned())
    }

    fn to_json_with(&self, show: &dyn Fn(&Text) -> String) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(i) => (*i).into(),
            Self::Float(f) => (*f).into(),
            Self::Str(text) => show(text).into(),
            Self::List(items) => items.iter().map(|v| v.to_json_with(show)).collect(),
            Self::Map(map) => serde_json::Value::Object(
                map.iter()
                    .map(|(k, v)| (k.clone(), v.to_json_with(show)))
                    .collect(),
            ),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::Float(f) => serializer.serialize_f64(*f),
            Self::Str(text) if text.is_secret() => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$secret", &())?;
                map.end()
            }
            Self::Str(text) if text.is_template() => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$template", text.as_str())?;
                map.end()
            }
            Self::Str(text) => serializer.serialize_str(text.as_str()),
            Self::List(items) => serializer.collect_seq(items.iter()),
            Self::Map(map) if map.len() == 1 => {
                serializer.collect_map(map.iter().map(|(key, value)| (escaped(key), value)))
            }
            Self::Map(map) => serializer.collect_map(map.iter()),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(restore(serde_json::Value::deserialize(deserializer)?))
    }
}

/// Whether the only key of a mapping is a mark of this form, or an escaped one.
fn is_mark(key: &str) -> bool {
    let word = key.trim_start_matches('$');
    word.len() < key.len() && (word == "template" || word == "secret")
}

fn escaped(key: &str) -> Cow<'_, str> {
    if is_mark(key) {
        Cow::Owned(format!("${key}"))
    } else {
        Cow::Borrowed(key)
    }
}

fn unescaped(key: String) -> String {
    if is_mark(&key) {
        key[1..].to_owned()
    } else {
        key
    }
}

fn restore(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Object(map) if map.len() == 1 && map.contains_key("$template") => {
            Value::Str(Text::from_user(
                map["$template"].as_str().unwrap_or_default(),
            ))
        }
        serde_json::Value::Object(map) if map.len() == 1 && map.contains_key("$secret") => {
            Value::Str(Text::data(MASK).into_secret())
        }
        serde_json::Value::Object(map) => {
            let is_single = map.len() == 1;
            let key = |k| if is_single { unescaped(k) } else { k };
            let entries = map.into_iter().map(|(k, v)| (key(k), restore(v)));
            Value::from(entries.collect::<Map>())
        }
        serde_json::Value::Array(items) => {
            Value::from(items.into_iter().map(restore).collect::<Vec<_>>())
        }
        other => Value::from_json(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_serialised_and_a_template_survives() {
        let value = Value::from(vec![
            Value::Str(Text::data("hunter2").into_secret()),
            Value::Str(Text::from_user("{{ x }}")),
            Value::from("{{ data }}"),
        ]);
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(
            json,
            r#"[{"$secret":null},{"$template":"{{ x }}"},"{{ data }}"]"#
        );
        let back: Value = serde_json::from_str(&json).unwrap();
        let items = back.as_list().unwrap();
        assert!(matches!(&items[1], Value::Str(t) if t.is_template()));
        assert!(matches!(&items[2], Value::Str(t) if !t.is_template()));
    }

    #[test]
    fn data_never_comes_back_as_a_template_or_secret() {
        for key in ["$template", "$secret", "$$template", "template"] {
            let inner = Map::from_iter([(key.to_owned(), "{{ pwned }}".into())]);
            let outer = Map::from_iter([(key.to_owned(), Value::from(inner))]);
            let value = Value::from(vec![Value::from(outer)]);
            let json = serde_json::to_string(&value).unwrap();
            let back: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(back, value, "{json}");
            assert!(!back.has_template() && !back.has_secret(), "{json}");
        }
    }
}
