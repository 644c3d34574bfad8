//! A YAML emitter with `PyYAML`'s layout.
//!
//! Source of the layout rules: `PyYAML` 6.0 as ansible-core 2.19 uses it, seen through its output.

use super::yaml_load::resolve;
use crate::value::{Map, Value};

/// Options of `yaml.dump`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) indent: usize,
    pub(crate) width: usize,
    /// `None`: flow for collections that hold only scalars.
    pub(crate) flow: Option<bool>,
    pub(crate) sort_keys: bool,
    /// How all scalars are written: in quotes or as literal blocks.
    pub(crate) scalars: Option<Scalars>,
}

/// A style for all scalars (`default_style`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalars {
    /// `"`.
    Double,
    /// `'`.
    Single,
    /// `|`.
    Literal,
}

/// Writes a value as one document in canonical form: every node with its tag.
pub(crate) fn canonical(value: &Value, sort_keys: bool) -> String {
    let style = Style {
        indent: 2,
        width: usize::MAX,
        flow: None,
        sort_keys,
        scalars: Some(Scalars::Double),
    };
    let mut emitter = Emitter {
        out: "---\n".to_owned(),
        column: 0,
        style: &style,
    };
    emitter.tagged(value, 0);
    emitter.out.push('\n');
    emitter.out
}

/// Writes a value as one document.
pub(crate) fn dump(value: &Value, style: &Style) -> String {
    let mut emitter = Emitter {
        out: String::new(),
        column: 0,
        style,
    };
    emitter.node(value, 0, false);
    if !emitter.out.ends_with('\n') {
        emitter.out.push('\n');
    }
    emitter.out
}

struct Emitter<'s> {
    out: String,
    column: usize,
    style: &'s Style,
}

/// Where a scalar stands: what is plain in one place needs quotes in another.
#[derive(Clone, Copy)]
enum Place {
    Block,
    BlockKey,
    Flow,
    FlowKey,
}

fn is_key(place: Place) -> bool {
    matches!(place, Place::BlockKey | Place::FlowKey)
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::List(_) | Value::Map(_))
}

/// The tag and the text of a scalar.
fn told(value: &Value) -> (&'static str, String) {
    match value {
        Value::Null => ("!!null", "null".to_owned()),
        Value::Bool(b) => ("!!bool", b.to_string()),
        Value::Int(i) => ("!!int", i.to_string()),
        Value::Float(f) => ("!!float", float(*f)),
        Value::Str(text) => ("!!str", text.as_str().to_owned()),
        Value::List(_) | Value::Map(_) => ("", String::new()),
    }
}

impl Emitter<'_> {
    /// A node of the canonical form.
    fn tagged(&mut self, value: &Value, indent: usize) {
        let deeper = indent + self.style.indent;
        match value {
            Value::List(items) => {
                self.write("!!seq [");
                for item in items.iter() {
                    self.line(deeper);
                    self.tagged(item, deeper);
                    self.write(",");
                }
                if !items.is_empty() {
                    self.line(indent);
                }
                self.write("]");
            }
            Value::Map(map) => {
                self.write("!!map {");
                for (key, item) in self.entries(map) {
                    self.line(deeper);
                    self.write("? ");
                    self.tagged(&Value::from(key.as_str()), deeper);
                    self.line(deeper);
                    self.write(": ");
                    self.tagged(item, deeper);
                    self.write(",");
                }
                if !map.is_empty() {
                    self.line(indent);
                }
                self.write("}");
            }
            scalar => {
                let (tag, text) = told(scalar);
                self.write(&format!("{tag} "));
                self.double_quoted(&text, indent);
            }
        }
    }

    /// A scalar in a style that was asked for.
    fn styled(&mut self, value: &Value, indent: usize, place: Place, style: Scalars) {
        let (tag, text) = told(value);
        if !matches!(value, Value::Str(_)) {
            self.write(&format!("{tag} "));
        }
        let has_odd = text.chars().any(|c| c.is_control() && c != '\n');
        match style {
            Scalars::Literal if matches!(place, Place::Block) && !has_odd => {
                let chomping = match text.len() - text.trim_end_matches('\n').len() {
                    0 => "-",
                    1 => "",
                    _ => "+",
                };
                let hint = if text.starts_with([' ', '\n']) {
                    "2"
                } else {
                    ""
                };
                self.write(&format!("|{hint}{chomping}"));
                let lines = text.strip_suffix('\n').unwrap_or(&text);
                for line in lines.split('\n') {
                    self.line(if line.is_empty() {
                        0
                    } else {
                        indent.max(self.style.indent)
                    });
                    self.write(line);
                }
            }
            Scalars::Single if !(has_odd || text.contains('\n') && is_key(place)) => {
                self.write("'");
                self.folded(&text.replace('\'', "''"), indent, true, !is_key(place));
                self.write("'");
            }
            Scalars::Single | Scalars::Double | Scalars::Literal => {
                self.double_quoted(&text, indent);
            }
        }
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.column = match text.rfind('\n') {
            Some(at) => text[at + 1..].chars().count(),
            None => self.column + text.chars().count(),
        };
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    fn is_flow(&self, value: &Value) -> bool {
        match value {
            Value::List(items) if items.is_empty() => true,
            Value::Map(map) if map.is_empty() => true,
            Value::List(items) => self
                .style
                .flow
                .unwrap_or_else(|| self.style.scalars.is_none() && items.iter().all(is_scalar)),
            Value::Map(map) => self
                .style
                .flow
                .unwrap_or_else(|| self.style.scalars.is_none() && map.values().all(is_scalar)),
            _ => false,
        }
    }

    fn entries<'v>(&self, map: &'v Map) -> Vec<(&'v String, &'v Value)> {
        let mut entries: Vec<_> = map.iter().collect();
        if self.style.sort_keys {
            entries.sort_by_key(|(key, _)| *key);
        }
        entries
    }

    fn node(&mut self, value: &Value, indent: usize, in_map: bool) {
        if self.is_flow(value) {
            return self.flow(value, indent);
        }
        match value {
            Value::List(items) => {
                // A list in a block mapping is not indented further.
                for (i, item) in items.iter().enumerate() {
                    if i > 0 || in_map {
                        self.line(indent);
                    }
                    self.write("-");
                    self.out.push_str(&" ".repeat(self.style.indent - 1));
                    self.column += self.style.indent - 1;
                    if is_scalar(item) || self.is_flow(item) {
                        let extra = self.style.indent - 2;
                        self.out.truncate(self.out.len() - extra);
                        self.column -= extra;
                    }
                    self.node(item, indent + self.style.indent, false);
                }
            }
            Value::Map(map) => {
                for (i, (key, item)) in self.entries(map).into_iter().enumerate() {
                    if i > 0 || in_map {
                        self.line(indent);
                    }
                    self.scalar(&Value::from(key.as_str()), indent, Place::BlockKey);
                    self.write(":");
                    if is_scalar(item) || self.is_flow(item) {
                        self.write(" ");
                        self.node(item, indent + self.style.indent, true);
                    } else {
                        let deeper = match item {
                            Value::List(_) => indent,
                            _ => indent + self.style.indent,
                        };
                        self.node(item, deeper, true);
                    }
                }
            }
            scalar => self.scalar(scalar, indent, Place::Block),
        }
    }

    fn flow(&mut self, value: &Value, indent: usize) {
        let deeper = indent + self.style.indent;
        match value {
            Value::List(items) => {
                self.write("[");
                for (i, item) in items.iter().enumerate() {
                    self.flow_separator(i, deeper);
                    self.flow(item, deeper);
                }
                self.write("]");
            }
            Value::Map(map) => {
                self.write("{");
                for (i, (key, item)) in self.entries(map).into_iter().enumerate() {
                    self.flow_separator(i, deeper);
                    self.scalar(&Value::from(key.as_str()), deeper, Place::FlowKey);
                    self.write(": ");
                    self.flow(item, deeper);
                }
                self.write("}");
            }
            scalar => self.scalar(scalar, indent, Place::Flow),
        }
    }

    fn flow_separator(&mut self, index: usize, indent: usize) {
        if index == 0 {
            return;
        }
        self.write(",");
        if self.column > self.style.width {
            self.line(indent);
        } else {
            self.write(" ");
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, place: Place) {
        if let Some(style) = self.style.scalars.filter(|_| is_scalar(value)) {
            return self.styled(value, indent, place, style);
        }
        match value {
            Value::Null => self.write("null"),
            Value::Bool(b) => self.write(if *b { "true" } else { "false" }),
            Value::Int(i) => self.write(&i.to_string()),
            Value::Float(f) => self.write(&float(*f)),
            Value::Str(text) => self.string(text.as_str(), indent, place),
            Value::List(_) | Value::Map(_) => self.flow(value, indent),
        }
    }

    fn string(&mut self, text: &str, indent: usize, place: Place) {
        let is_key = is_key(place);
        let special = text.chars().any(|c| {
            let code = u32::from(c);
            (code < 0x20 && c != '\n') || (0x7f..0xa0).contains(&code) || c == '\u{feff}'
        });
        // `PyYAML` folds no single-quoted text with a space beside a line break.
        let odd_break = text.contains(" \n")
            || text.contains("\n ")
            || (text.contains('\n') && (text.starts_with(' ') || text.ends_with(' ')));
        if special || (text.contains('\n') && odd_break) {
            return self.double_quoted(text, indent);
        }
        if !needs_quotes(text, place) {
            return self.folded(text, indent, false, !is_key);
        }
        if is_key && text.contains('\n') {
            return self.double_quoted(text, indent);
        }
        self.write("'");
        self.folded(&text.replace('\'', "''"), indent, true, !is_key);
        self.write("'");
    }

    /// Writes words, breaking lines after the width as `PyYAML` does.
    fn folded(&mut self, text: &str, indent: usize, is_quoted: bool, split: bool) {
        let chars: Vec<char> = text.chars().collect();
        let mut i = 0;
        while i < chars.len() {
            if chars[i] == '\n' {
                let run = chars[i..].iter().take_while(|c| **c == '\n').count();
                for _ in 0..=run.min(chars.len()) {
                    self.out.push('\n');
                }
                self.out.extend(std::iter::repeat_n(' ', indent));
                self.column = indent;
                i += run;
                continue;
            }
            if chars[i] == ' ' {
                let run = chars[i..].iter().take_while(|c| **c == ' ').count();
                let at_edge = is_quoted && (i == 0 || i + run == chars.len());
                if run == 1 && split && self.column > self.style.width && !at_edge {
                    self.line(indent);
                } else {
                    let spaces: String = chars[i..i + run].iter().collect();
                    self.write(&spaces);
                }
                i += run;
                continue;
            }
            let run = chars[i..]
                .iter()
                .take_while(|c| !matches!(c, ' ' | '\n'))
                .count();
            let word: String = chars[i..i + run].iter().collect();
            self.write(&word);
            i += run;
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize) {
        use std::fmt::Write as _;
        self.write("\"");
        let chars: Vec<char> = text.chars().collect();
        for (i, &c) in chars.iter().enumerate() {
            let mut piece = String::new();
            match c {
                '"' => piece.push_str("\\\""),
                '\\' => piece.push_str("\\\\"),
                '\n' => piece.push_str("\\n"),
                '\t' => piece.push_str("\\t"),
                '\r' => piece.push_str("\\r"),
                '\0' => piece.push_str("\\0"),
                '\u{7}' => piece.push_str("\\a"),
                '\u{8}' => piece.push_str("\\b"),
                '\u{b}' => piece.push_str("\\v"),
                '\u{c}' => piece.push_str("\\f"),
                '\u{1b}' => piece.push_str("\\e"),
                '\u{85}' => piece.push_str("\\N"),
                '\u{a0}' => piece.push_str("\\_"),
                '\u{2028}' => piece.push_str("\\L"),
                '\u{2029}' => piece.push_str("\\P"),
                c if (' '..='~').contains(&c) || u32::from(c) > 0xa0 => piece.push(c),
                // Writing to a string cannot fail.
                c if u32::from(c) <= 0xff => {
                    let _ = write!(piece, "\\x{:02X}", u32::from(c));
                }
                c if u32::from(c) <= 0xffff => {
                    let _ = write!(piece, "\\u{:04X}", u32::from(c));
                }
                c => {
                    let _ = write!(piece, "\\U{:08X}", u32::from(c));
                }
            }
            if c == ' ' && self.column > self.style.width && i > 0 && i + 1 < chars.len() {
                self.out.push('\\');
                self.line(indent);
                if chars[i + 1] == ' ' {
                    self.write("\\");
                } else {
                    continue;
                }
            }
            self.write(&piece);
        }
        self.write("\"");
    }
}

fn float(f: f64) -> String {
    if f.is_nan() {
        return ".nan".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = super::repr::float(f);
    match text.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => text,
    }
}

/// Whether a string would read as something else, or not at all, without quotes.
fn needs_quotes(text: &str, place: Place) -> bool {
    let in_flow = matches!(place, Place::Flow | Place::FlowKey);
    let first = text.chars().next();
    let indicator = |c: char| "#,[]{}&*!|>'\"%@`".contains(c);
    let Some(first) = first else { return true };
    !matches!(resolve(text), Value::Str(_))
        || is_sexagesimal(text)
        || is_date(text)
        || indicator(first)
        || text.starts_with([' ', '\n'])
        || text.ends_with([' ', '\n'])
        || text.contains('\n')
        || text.contains(": ")
        || text.contains(" #")
        || text.ends_with(':')
        || (in_flow && text.contains([',', '?', '[', ']', '{', '}', ':']))
        || (matches!(first, '-' | '?' | ':') && text[1..].chars().next().is_none_or(|c| c == ' '))
        || text.starts_with("---")
        || text.starts_with("...")
        || text == "="
        || text == "<<"
}

/// `12:30` is a number in YAML 1.1.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.trim_start_matches(['-', '+']);
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && !rest.is_empty()
        && rest.iter().all(|part| {
            let part = part.split('.').next().unwrap_or_default();
            matches!(part.len(), 1 | 2)
                && part.bytes().all(|b| b.is_ascii_digit())
                && part.parse::<u8>().is_ok_and(|n| n < 60)
        })
}

/// `2024-01-02`, with or without a time, is a date in YAML 1.1.
fn is_date(text: &str) -> bool {
    let digits = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    let (date, time) = text.split_at(text.find(['T', 't', ' ', '\t']).unwrap_or(text.len()));
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let is_plain = digits(month, 2..=2) && digits(day, 2..=2) && time.is_empty();
    let is_timed = digits(month, 1..=2) && digits(day, 1..=2) && time.matches(':').count() >= 2;
    digits(year, 4..=4) && (is_plain || is_timed)
}
