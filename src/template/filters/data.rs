//! JSON with Python's formatting.

use std::fmt::Write as _;

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::python::repr;
use crate::template::val::{Args, Val};
use crate::value::Value;

pub(super) const FILTERS: &[Filter] = &[
    row("to_json", |e, v, a| to_json(e, v, a, None, false)),
    row("to_nice_json", |e, v, a| to_json(e, v, a, Some(4), true)),
    row("from_json", from_json),
];

/// How `json.dumps` is asked to write.
struct Style {
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
    ascii: bool,
}

fn to_json(
    eval: &Eval<'_>,
    input: &Val,
    args: &Args,
    indent: Option<i64>,
    sort_keys: bool,
) -> Result<Val> {
    let named = |name: &str| {
        args.named
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, v)| v)
    };
    let is_nice = indent.is_some();
    let positional = |i: usize| args.list.get(i).filter(|_| is_nice);
    let indent = match named("indent").or_else(|| positional(0)) {
        Some(Val::Int(n)) => Some(" ".repeat(usize::try_from(*n).unwrap_or(0).min(100))),
        Some(Val::Str(text)) => Some(text.as_str().to_owned()),
        Some(_) => None,
        None => indent.map(|n| " ".repeat(usize::try_from(n).unwrap_or(0))),
    };
    let flag = |name: &str, default| named(name).map_or(Ok(default), |v| eval.truth(v));
    let mut item = if indent.is_some() { "," } else { ", " }.to_owned();
    let mut key = ": ".to_owned();
    if let Some(separators) = named("separators").filter(|_| !is_nice) {
        let parts = eval.items(separators)?;
        if let [first, second] = parts.as_slice() {
            (item, key) = (eval.text(first)?, eval.text(second)?);
        }
    }
    let sort_keys = match positional(1) {
        Some(value) => eval.truth(value)?,
        None => flag("sort_keys", sort_keys)?,
    };
    let style = Style {
        indent,
        item,
        key,
        sort_keys,
        ascii: flag("ensure_ascii", true)?,
    };
    let mut out = String::new();
    dump(&eval.finalize(input)?, &style, 0, &mut out);
    eval.produce(out.len())?;
    Ok(Val::str(out))
}

/// JSON as `json.dumps` writes it by default.
pub(crate) fn dump_compact(value: &Value) -> String {
    let style = Style {
        indent: None,
        item: ", ".to_owned(),
        key: ": ".to_owned(),
        sort_keys: false,
        ascii: true,
    };
    let mut out = String::new();
    dump(value, &style, 0, &mut out);
    out
}

fn dump(value: &Value, style: &Style, level: usize, out: &mut String) {
    let newline = |out: &mut String, level: usize| {
        if let Some(indent) = &style.indent {
            out.push('\n');
            out.push_str(&indent.repeat(level));
        }
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(i) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{i}");
        }
        Value::Float(f) if f.is_nan() => out.push_str("NaN"),
        Value::Float(f) if f.is_infinite() => {
            out.push_str(if *f > 0.0 { "Infinity" } else { "-Infinity" });
        }
        Value::Float(f) => out.push_str(&repr::float(*f)),
        Value::Str(text) => string(text.as_str(), style.ascii, out),
        Value::List(items) if items.is_empty() => out.push_str("[]"),
        Value::Map(map) if map.is_empty() => out.push_str("{}"),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(&style.item);
                }
                newline(out, level + 1);
                dump(item, style, level + 1, out);
            }
            newline(out, level);
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            if style.sort_keys {
                entries.sort_by_key(|(key, _)| *key);
            }
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push_str(&style.item);
                }
                newline(out, level + 1);
                string(key, style.ascii, out);
                out.push_str(&style.key);
                dump(item, style, level + 1, out);
            }
            newline(out, level);
            out.push('}');
        }
    }
}

fn string(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || (ascii && !c.is_ascii()) || (ascii && c == '\u{7f}') => {
                if c == '\u{7f}' {
                    out.push(c);
                    continue;
                }
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn from_json(_: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    let Some(text) = input.as_str() else {
        return Err(Problem::other(format!(
            "the JSON object must be str, bytes or bytearray, not {}",
            input.type_name()
        )));
    };
    let json: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| Problem::other(format!("the text is not JSON: {e}")))?;
    Ok(Val::data(Value::from_json(json)))
}
