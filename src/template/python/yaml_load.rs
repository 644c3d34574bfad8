//! A YAML reader whose scalars mean what they mean to `PyYAML`: YAML 1.1.
//!
//! The events come from the parser under serde-saphyr, because only they tell a plain `yes` from a
//! quoted one, and because `PyYAML` knows `y` and `n` as strings.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::value::{Map, Value};

/// Nested collections.
const DEPTH_MAX: usize = 200;

/// Reads all documents of a stream.
pub(crate) fn load_all(text: &str) -> Result<Vec<Value>, String> {
    let mut loader = Loader::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|e| e.to_string())?;
        loader.event(event)?;
    }
    Ok(loader.documents)
}

enum Open {
    List(Vec<Value>),
    Map(Map, Option<String>),
}

#[derive(Default)]
struct Loader {
    documents: Vec<Value>,
    open: Vec<(Open, usize)>,
    anchors: HashMap<usize, Value>,
}

impl Loader {
    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                self.anchored(value, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.start(Open::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.start(Open::Map(Map::new(), None), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::List(items), anchor)) => self.anchored(Value::from(items), anchor),
                Some((Open::Map(map, _), anchor)) => self.anchored(Value::from(map), anchor),
                None => Err("a collection ends that did not start".to_owned()),
            },
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                self.add(value.ok_or("an alias refers to itself")?)
            }
            Event::UnresolvedAlias(name) => Err(format!("there is no anchor `{name}`")),
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        if self.open.len() >= DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} nested collections"));
        }
        self.open.push((open, anchor));
        Ok(())
    }

    fn anchored(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        self.add(value)
    }

    fn add(&mut self, value: Value) -> Result<(), String> {
        match self.open.last_mut() {
            None => self.documents.push(value),
            Some((Open::List(items), _)) => items.push(value),
            Some((Open::Map(map, key), _)) => match key.take() {
                None => *key = Some(key_text(&value)?),
                Some(name) if name == "<<" => merge(map, &value)?,
                Some(name) => {
                    map.insert(name, value);
                }
            },
        }
        Ok(())
    }
}

/// Entries of a merge key do not replace those that are there.
fn merge(map: &mut Map, value: &Value) -> Result<(), String> {
    match value {
        Value::Map(other) => {
            for (key, item) in other.iter() {
                map.entry(key.clone()).or_insert_with(|| item.clone());
            }
            Ok(())
        }
        Value::List(items) => items.iter().try_for_each(|item| merge(map, item)),
        _ => Err("a merge key needs a mapping".to_owned()),
    }
}

fn key_text(value: &Value) -> Result<String, String> {
    match value {
        Value::Str(text) => Ok(text.as_str().to_owned()),
        Value::List(_) | Value::Map(_) => Err("a mapping key is not a scalar".to_owned()),
        other => {
            let mut shown = String::new();
            super::repr::write(other, &mut shown);
            Ok(shown)
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_string = tag.is_some_and(|tag| tag.suffix() == "str") || style != ScalarStyle::Plain;
    if is_string {
        Value::from(text)
    } else {
        resolve(text)
    }
}

/// What a plain scalar means in YAML 1.1.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    if let Some(i) = int(text) {
        return Value::Int(i);
    }
    if let Some(f) = float_of(text) {
        return Value::Float(f);
    }
    Value::from(text)
}

fn int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let plain = digits.replace('_', "");
    let value = if let Some(hex) = plain.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if let Some(binary) = plain.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()?
    } else if plain.len() > 1 && plain.starts_with('0') {
        i64::from_str_radix(&plain[1..], 8).ok()?
    } else {
        plain.parse().ok()?
    };
    Some(if negative { -value } else { value })
}

fn float_of(text: &str) -> Option<f64> {
    match text.trim_start_matches(['-', '+']) {
        ".inf" | ".Inf" | ".INF" => {
            let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
            return Some(sign * f64::INFINITY);
        }
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // YAML 1.1 floats have a dot, and a sign in the exponent.
    let shape = text.trim_start_matches(['-', '+']);
    let is_float = text.contains('.')
        && shape.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && shape.chars().any(|c| c.is_ascii_digit())
        && shape
            .chars()
            .all(|c| c.is_ascii_digit() || "._eE+-".contains(c))
        && shape
            .split_once(['e', 'E'])
            .is_none_or(|(_, e)| e.starts_with(['+', '-']));
    if is_float {
        text.replace('_', "").parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::load_all;

    #[test]
    fn scalars_mean_what_they_mean_to_pyyaml() {
        let text = "a: y\nyes: 'yes'\nb: [no, 010, 0x1F, 1_000, ~, 1.5, 1e3, -3]\n";
        let documents = load_all(text).unwrap();
        assert_eq!(
            documents[0].to_exposed_json(),
            serde_json::json!({
                "a": "y", "True": "yes",
                "b": [false, 8, 31, 1000, null, 1.5, "1e3", -3]
            })
        );
    }

    #[test]
    fn anchors_and_merge_keys_work_and_self_reference_does_not() {
        let documents = load_all("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\nc: *x\n").unwrap();
        assert_eq!(
            documents[0].to_exposed_json(),
            serde_json::json!({
                "a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}, "c": {"k": 1, "l": 2}
            })
        );
        assert!(load_all("a: &x [*x]").is_err());
    }
}
