//! Values as JSON, and as serde data for the journal.
//!
//! Serialised form: a template is `{"$template": TEXT}`, a secret string `{"$secret": null}` (its
//! text is written only within [`exposed`]), everything else plain JSON. A mapping of data that looks like one of
//! these gets one more `$`, so that no text from a host comes back as a template.

use std::borrow::Cow;
use std::cell::Cell;
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

thread_local! {
    static EXPOSES: Cell<bool> = const { Cell::new(false) };
}

/// Runs `serialize` with the texts of secrets written out, as `{"$secret": TEXT}`: only for what
/// is encrypted at once. What it writes is read back as the same secrets.
pub fn exposed<T>(serialize: impl FnOnce() -> T) -> T {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            EXPOSES.set(self.0);
        }
    }
    // Values sit deep in types that derive their form, which has no room for a parameter.
    let _reset = Reset(EXPOSES.replace(true));
    serialize()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Str(text) if text.is_secret() && EXPOSES.get() => {
                let key = if text.is_template() {
                    "$secret_template"
                } else {
                    "$secret"
                };
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(key, text.as_str())?;
                map.end()
            }
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

impl schemars::JsonSchema for Value {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        serde_json::Value::json_schema(generator)
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
    word.len() < key.len() && matches!(word, "template" | "secret" | "secret_template")
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
            let text = map["$secret"].as_str().unwrap_or(MASK);
            Value::Str(Text::data(text).into_secret())
        }
        serde_json::Value::Object(map)
            if map.len() == 1 && map.contains_key("$secret_template") =>
        {
            let text = map["$secret_template"].as_str().unwrap_or(MASK);
            Value::Str(Text::from_user(text).into_secret())
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
    fn secrets_are_written_out_only_where_it_is_asked_for() {
        let value = Value::from(vec![
            Value::Str(Text::data("hunter2").into_secret()),
            Value::Str(Text::from_user("{{ x }}").into_secret()),
            Value::from(Map::from_iter([("$secret".to_owned(), "plain".into())])),
        ]);
        let json = exposed(|| serde_json::to_string(&value)).unwrap();
        let back: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back, value, "{json}");
        let items = back.as_list().unwrap();
        assert!(matches!(&items[0], Value::Str(t) if t.is_secret() && !t.is_template()));
        assert!(matches!(&items[1], Value::Str(t) if t.is_secret() && t.is_template()));
        assert!(!items[2].has_secret());
        let after = serde_json::to_string(&value).unwrap();
        assert!(!after.contains("hunter2"), "{after}");
    }

    #[test]
    fn data_never_comes_back_as_a_template_or_secret() {
        for key in [
            "$template",
            "$secret",
            "$secret_template",
            "$$template",
            "template",
        ] {
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
