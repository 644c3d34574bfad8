//! JSON as Python's `json.dumps` writes it: sorted keys, its spaces, nothing escaped that need not
//! be.

use super::sanitize;
use crate::value::Value;

/// How many lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One.
    Line,
    /// One for each entry, indented by four.
    Lines,
    /// One for each entry, indented by so many.
    Indented(usize),
}

/// Writes a value; secrets as masks.
pub(super) fn dump(value: &Value, shape: Shape) -> String {
    let mut out = String::new();
    let indent = match shape {
        Shape::Line => None,
        Shape::Lines => Some(4),
        Shape::Indented(n) => Some(n),
    };
    write(&value.to_masked_json(), indent, 0, &mut out);
    harmless(&out)
}

/// What could steer a terminal as JSON's own escapes.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || sanitize::is_harmless(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// Writes a value as indented YAML below a line.
pub(super) fn yaml(value: &Value) -> String {
    let text = serde_yaml::to_string(&value.to_masked_json()).unwrap_or_default();
    let text = sanitize::text(&text);
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    format!("\n{}", lines.join("\n"))
}

fn write(value: &serde_json::Value, indent: Option<usize>, depth: usize, out: &mut String) {
    use serde_json::Value as Json;
    match value {
        Json::Array(items) if items.is_empty() => out.push_str("[]"),
        Json::Object(map) if map.is_empty() => out.push_str("{}"),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(index, indent, depth + 1, out);
                write(item, indent, depth + 1, out);
            }
            end(indent, depth, out);
            out.push(']');
        }
        Json::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                separate(index, indent, depth + 1, out);
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push_str(": ");
                write(&map[key.as_str()], indent, depth + 1, out);
            }
            end(indent, depth, out);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn separate(index: usize, indent: Option<usize>, depth: usize, out: &mut String) {
    match indent {
        None if index > 0 => out.push_str(", "),
        None => {}
        Some(width) => {
            if index > 0 {
                out.push(',');
            }
            end(Some(width), depth, out);
        }
    }
}

fn end(indent: Option<usize>, depth: usize, out: &mut String) {
    if let Some(width) = indent {
        out.push('\n');
        out.push_str(&" ".repeat(width * depth));
    }
}
