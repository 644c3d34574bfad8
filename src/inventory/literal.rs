//! Values of INI inventories: Python literals, and text for everything else.
//!
//! Source: ansible-core 2.19, `plugins/inventory/ini.py:_parse_value`, and Python's
//! `ast.literal_eval`: numbers, strings, `True`, `False`, `None`, lists, tuples, sets, dicts.

use crate::value::{Map, Text, Value};

/// Deepest nesting of a literal.
const DEPTH_MAX: usize = 64;

/// The value of a text; what is no Python literal is a string and may be a template.
pub fn literal_eval(text: &str) -> Value {
    let mut reader = Reader {
        rest: text.trim_start_matches([' ', '\t']),
        depth: 0,
    };
    match reader.top() {
        Some(value) => value,
        None => Value::Str(Text::from_user(text)),
    }
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl Reader<'_> {
    /// A whole text: one value, or several with commas (a tuple).
    fn top(&mut self) -> Option<Value> {
        let first = self.value()?;
        self.blanks();
        if self.rest.is_empty() {
            return Some(first);
        }
        let mut items = vec![first];
        while self.take(',') {
            self.blanks();
            if self.rest.is_empty() {
                break;
            }
            items.push(self.value()?);
            self.blanks();
        }
        self.rest.is_empty().then(|| Value::from(items))
    }

    fn blanks(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        if self.rest.starts_with('#') {
            self.rest = self.rest.find('\n').map_or("", |at| &self.rest[at..]);
            if !self.rest.is_empty() {
                self.blanks();
            }
        }
    }

    fn take(&mut self, c: char) -> bool {
        self.blanks();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.blanks();
        let value = match self.rest.chars().next()? {
            '[' => self.items('[', ']').map(|(items, _)| Value::from(items)),
            '(' => self
                .items('(', ')')
                .and_then(|(items, has_comma)| match items.len() {
                    1 if !has_comma => items.into_iter().next(),
                    _ => Some(Value::from(items)),
                }),
            '{' => self.braces(),
            '\'' | '"' => self.strings(),
            '0'..='9' | '.' | '-' | '+' => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    /// Items with commas between brackets, and whether there was a comma.
    fn items(&mut self, open: char, close: char) -> Option<(Vec<Value>, bool)> {
        self.take(open);
        let mut items = Vec::new();
        let mut has_comma = false;
        loop {
            if self.take(close) {
                return Some((items, has_comma));
            }
            items.push(self.value()?);
            if self.take(',') {
                has_comma = true;
            } else {
                return self.take(close).then_some((items, has_comma));
            }
        }
    }

    /// A dict or a set.
    fn braces(&mut self) -> Option<Value> {
        self.take('{');
        if self.take('}') {
            return Some(Value::from(Map::new()));
        }
        let first = self.value()?;
        if !self.take(':') {
            let mut items = vec![first];
            while self.take(',') {
                if self.take('}') {
                    return Some(Value::from(items));
                }
                items.push(self.value()?);
            }
            return self.take('}').then(|| Value::from(items));
        }
        let mut map = Map::new();
        let mut key = first;
        loop {
            map.insert(key_text(&key)?, self.value()?);
            if self.take(',') {
                if self.take('}') {
                    return Some(Value::from(map));
                }
            } else {
                return self.take('}').then(|| Value::from(map));
            }
            key = self.value()?;
            if !self.take(':') {
                return None;
            }
        }
    }

    fn word(&mut self) -> Option<Value> {
        let end = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if rest.starts_with(['\'', '"']) {
            let prefix = word.to_ascii_lowercase();
            if matches!(prefix.as_str(), "b" | "r" | "u" | "br" | "rb") {
                self.rest = rest;
                let string = self.string(prefix.contains('r'))?;
                // Ansible does not trust bytes as templates.
                return Some(match string {
                    Value::Str(text) if prefix.contains('b') => Value::Str(text.into_data()),
                    string => string,
                });
            }
        }
        // The one call that Python takes for a literal.
        if word == "set" && rest.trim_start().starts_with('(') {
            self.rest = rest.trim_start();
            let (items, _) = self.items('(', ')')?;
            return items.is_empty().then(|| Value::from(items));
        }
        let value = match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            _ => return None,
        };
        self.rest = rest;
        Some(value)
    }

    /// Strings that stand beside each other are one.
    fn strings(&mut self) -> Option<Value> {
        let mut all = String::new();
        while self.rest.starts_with(['\'', '"']) {
            all.push_str(self.string(false)?.as_str()?);
            self.blanks();
        }
        Some(Value::Str(Text::from_user(all)))
    }

    fn string(&mut self, is_raw: bool) -> Option<Value> {
        let quote = self.rest.chars().next()?;
        let triple = [quote; 3].iter().collect::<String>();
        let close = if self.rest.starts_with(&triple) {
            triple
        } else {
            quote.to_string()
        };
        self.rest = &self.rest[close.len()..];
        let mut all = String::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(close.as_str()) {
                self.rest = rest;
                return Some(Value::Str(Text::from_user(all)));
            }
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '\n' if close.len() == 1 => return None,
                '\\' if is_raw => {
                    all.push('\\');
                    let next = self.rest.chars().next()?;
                    all.push(next);
                    self.rest = &self.rest[next.len_utf8()..];
                }
                '\\' => self.escape(&mut all)?,
                c => all.push(c),
            }
        }
    }

    fn escape(&mut self, all: &mut String) -> Option<()> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        let mut code = |digits: usize, radix: u32| {
            let code = u32::from_str_radix(self.rest.get(..digits)?, radix).ok()?;
            self.rest = &self.rest[digits..];
            char::from_u32(code)
        };
        let decoded = match c {
            '\n' => return Some(()),
            '\\' | '\'' | '"' => c,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => code(2, 16)?,
            'u' => code(4, 16)?,
            'U' => code(8, 16)?,
            '0'..='7' => {
                let more = self
                    .rest
                    .chars()
                    .take(2)
                    .take_while(|c| c.is_digit(8))
                    .count();
                let digits = format!("{c}{}", &self.rest[..more]);
                self.rest = &self.rest[more..];
                char::from_u32(u32::from_str_radix(&digits, 8).ok()?)?
            }
            other => {
                all.push('\\');
                other
            }
        };
        all.push(decoded);
        Some(())
    }

    fn number(&mut self) -> Option<Value> {
        let mut is_negative = false;
        if let Some(sign) = self.rest.chars().next().filter(|c| matches!(c, '-' | '+')) {
            is_negative = sign == '-';
            self.rest = self.rest[1..].trim_start_matches([' ', '\t']);
        }
        if self.rest.starts_with("...") {
            self.rest = &self.rest[3..];
            return Some(Value::Str(Text::data("...")));
        }
        let bytes = self.rest.as_bytes();
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            let is_exponent_sign = matches!(byte, b'+' | b'-')
                && matches!(bytes[end - usize::from(end > 0)], b'e' | b'E')
                && !self.rest.starts_with("0x");
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || is_exponent_sign) {
                break;
            }
            end += 1;
        }
        let (token, rest) = self.rest.split_at(end);
        let value = number(token, is_negative)?;
        self.rest = rest;
        Some(value)
    }
}

fn key_text(key: &Value) -> Option<String> {
    Some(match key {
        Value::Str(text) => text.as_str().to_owned(),
        Value::Int(i) => i.to_string(),
        Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
        Value::Float(f) => format!("{f:?}"),
        Value::Null => "None".to_owned(),
        Value::List(_) | Value::Map(_) => return None,
    })
}

fn number(token: &str, is_negative: bool) -> Option<Value> {
    // An underscore stands between two digits.
    if token.contains("__") || token.ends_with('_') || token.starts_with('_') {
        return None;
    }
    let plain = token.replace('_', "");
    let lower = plain.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            let n = i64::from_str_radix(digits, radix).ok()?;
            return Some(Value::Int(if is_negative { -n } else { n }));
        }
    }
    if plain.bytes().all(|b| b.is_ascii_digit()) {
        // Python refuses `010`, whereas `00` is zero.
        if plain.len() > 1 && plain.starts_with('0') && plain.bytes().any(|b| b != b'0') {
            return None;
        }
        let n: i64 = plain.parse().ok()?;
        return Some(Value::Int(if is_negative { -n } else { n }));
    }
    // A complex number, which becomes its text.
    if let Some(real) = lower.strip_suffix('j') {
        return number(real, false).map(|_| {
            let sign = if is_negative { "-" } else { "" };
            Value::Str(Text::data(format!("{sign}{real}j")))
        });
    }
    let is_float = plain
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let n: f64 = if is_float {
        plain.parse().ok()?
    } else {
        return None;
    };
    Some(Value::Float(if is_negative { -n } else { n }))
}

#[cfg(test)]
mod tests {
    use super::literal_eval;

    /// Each expectation was given by Python 3.11 and ansible-core 2.19.14.
    #[test]
    fn python_literals_are_read_and_all_else_is_text() {
        for (text, json) in [
            ("5", "5"),
            ("0x10", "16"),
            ("010", "\"010\""),
            ("1_000", "1000"),
            ("-1.5e3", "-1500.0"),
            ("True", "true"),
            ("true", "\"true\""),
            ("yes", "\"yes\""),
            ("None", "null"),
            ("'a b'", "\"a b\""),
            ("\"a\\nb\"", "\"a\\nb\""),
            ("'a' 'b'", "\"ab\""),
            ("[1, 'x', [2]]", "[1,\"x\",[2]]"),
            ("{'a': 1, 'b': {'c': None}}", "{\"a\":1,\"b\":{\"c\":null}}"),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            ("1,2", "[1,2]"),
            ("1.2.3", "\"1.2.3\""),
            ("10.0.0.1", "\"10.0.0.1\""),
            ("a b", "\"a b\""),
            ("5 # five", "5"),
            ("[1, 2", "\"[1, 2\""),
            ("{{ x }}", "\"{{ x }}\""),
            ("", "\"\""),
            ("1.", "1.0"),
            ("1e3", "1000.0"),
            ("2001:db8::1", "\"2001:db8::1\""),
        ] {
            assert_eq!(
                literal_eval(text).to_exposed_json().to_string(),
                json,
                "{text}"
            );
        }
        assert!(literal_eval("{{ x }}").has_template());
    }
}
