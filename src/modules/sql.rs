//! SQL as `psql` must be told it: statements apart, parameters in place, nothing that `psql` takes
//! for itself.
//!
//! Pure. Invariant: what leaves here holds no command of `psql` and no variable of it; values are
//! literals.

use serde_json::Value as Json;

/// Splits a text into statements, without the semicolons between them.
///
/// # Errors
/// A backslash outside of a literal, which is no SQL and a command to `psql`.
pub(super) fn statements(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut now = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let literal = literal_len(rest, &now);
        if literal > 0 {
            now.push_str(&rest[..literal]);
            rest = &rest[literal..];
            continue;
        }
        match c {
            ';' => all.push(std::mem::take(&mut now)),
            '\\' => {
                return Err("a backslash outside of a literal is no SQL".into());
            }
            // `a[1:n]` would name a variable of psql; `::` is a cast, and `:=` names an argument.
            ':' => {
                let next = rest[1..].chars().next();
                now.push(':');
                if matches!(next, Some(':' | '=')) {
                    now.extend(next);
                    rest = &rest[2..];
                    continue;
                }
                now.push(' ');
            }
            c => now.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    all.push(now);
    all.retain(|statement| !is_blank(statement));
    Ok(all)
}

/// Whether there is nothing but blanks and remarks.
fn is_blank(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        if rest.is_empty() {
            return true;
        }
        let is_remark = rest.starts_with("--") || rest.starts_with("/*");
        let len = literal_len(rest, "");
        if !is_remark || len == 0 {
            return false;
        }
        rest = rest[len..].trim_start();
    }
}

/// How long the literal, quoted name or remark at the start of `rest` is; 0 where there is none.
fn literal_len(rest: &str, before: &str) -> usize {
    let bytes = rest.as_bytes();
    let whole = rest.len();
    match bytes[0] {
        b'\'' => {
            let is_escaped = before.ends_with(['e', 'E'])
                && !before[..before.len() - 1].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let mut at = 1;
            while at < whole {
                match bytes[at] {
                    b'\\' if is_escaped => at += 2,
                    b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
                    b'\'' => return at + 1,
                    _ => at += 1,
                }
            }
            whole
        }
        b'"' => rest[1..].find('"').map_or(whole, |end| end + 2),
        b'-' if rest.starts_with("--") => rest.find('\n').map_or(whole, |end| end + 1),
        b'/' if rest.starts_with("/*") => {
            let (mut depth, mut at) = (1, 2);
            while at < whole && depth > 0 {
                if rest.is_char_boundary(at) && rest[at..].starts_with("/*") {
                    (depth, at) = (depth + 1, at + 2);
                } else if rest.is_char_boundary(at) && rest[at..].starts_with("*/") {
                    (depth, at) = (depth - 1, at + 2);
                } else {
                    at += 1;
                }
            }
            at.min(whole)
        }
        b'$' if !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') => {
            let Some(end) = rest[1..].find('$') else {
                return 0;
            };
            let tag = &rest[..end + 2];
            let is_tag = tag[1..tag.len() - 1]
                .chars()
                .enumerate()
                .all(|(i, c)| c == '_' || c.is_alphabetic() || i > 0 && c.is_numeric());
            if !is_tag {
                return 0;
            }
            rest[tag.len()..]
                .find(tag)
                .map_or(whole, |at| tag.len() + at + tag.len())
        }
        _ => 0,
    }
}

/// What is put into a query.
pub(super) enum Parameters<'a> {
    /// Nothing: a `%` is itself.
    None,
    /// For each `%s` in turn.
    Positional(&'a [Json]),
    /// For `%(name)s`.
    Named(&'a serde_json::Map<String, Json>),
}

/// The query with its parameters as literals, as `psycopg` does it.
///
/// # Errors
/// A parameter that is not given, or a `%` that stands for none.
pub(super) fn filled(query: &str, parameters: &Parameters<'_>) -> Result<String, String> {
    if matches!(parameters, Parameters::None) {
        return Ok(query.to_owned());
    }
    let mut out = String::new();
    let mut rest = query;
    let mut turn = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('s') {
            let Parameters::Positional(values) = parameters else {
                return Err("positional and named placeholders cannot be mixed".into());
            };
            let value = values.get(turn).ok_or_else(|| {
                format!(
                    "the query has more placeholders than the {} parameters",
                    values.len()
                )
            })?;
            turn += 1;
            out.push_str(&literal(value)?);
            rest = after;
        } else if let Some((name, after)) = rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(")s"))
        {
            let Parameters::Named(values) = parameters else {
                return Err("positional and named placeholders cannot be mixed".into());
            };
            let value = values
                .get(name)
                .ok_or_else(|| format!("query parameter missing: {name}"))?;
            out.push_str(&literal(value)?);
            rest = after;
        } else {
            return Err("incomplete placeholder: '%'; if you want to use '%' as an operator you can double it up, i.e. use '%%'".into());
        }
    }
    out.push_str(rest);
    match parameters {
        Parameters::Positional(values) if values.len() > turn => Err(format!(
            "the query has {turn} placeholders but {} parameters were passed",
            values.len()
        )),
        _ => Ok(out),
    }
}

/// A text as a literal.
pub(super) fn quoted(text: &str) -> String {
    let text = text.replace('\'', "''");
    if text.contains('\\') {
        // A blank before it, so that it never runs into a name.
        format!(" E'{}'", text.replace('\\', "\\\\"))
    } else {
        format!("'{text}'")
    }
}

/// A name, such as a role's.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn literal(value: &Json) -> Result<String, String> {
    Ok(match value {
        Json::Null => "NULL".into(),
        Json::Bool(is) => is.to_string(),
        Json::Number(number) => {
            let text = number.to_string();
            // `1 - -1` and not a remark.
            if text.starts_with('-') {
                format!(" {text}")
            } else {
                text
            }
        }
        Json::String(text) => quoted(text),
        // As community.postgresql writes Python's lists: `{1, 'a'}`.
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(python).collect();
            quoted(&format!(
                "{{{}}}",
                items.join(", ").trim_matches(['[', ']'])
            ))
        }
        Json::Object(_) => return Err("a mapping cannot be a parameter".into()),
    })
}

fn python(value: &Json) -> String {
    match value {
        Json::Null => "None".into(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        Json::String(text) if text.contains('\'') && !text.contains('"') => format!("\"{text}\""),
        Json::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(python).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statements_are_told_apart_and_hold_nothing_of_psql() {
        for (text, expected) in [
            ("SELECT 1;", vec!["SELECT 1"]),
            ("a; ;b -- ;\n;/* ; /* ; */ ; */", vec!["a", "b -- ;\n"]),
            (
                "SELECT ';\\x' || E'\\';' || \";\"; x",
                vec!["SELECT ';\\x' || E'\\';' || \";\"", " x"],
            ),
            (
                "DO $$ BEGIN; \\ END $$; $a$ $$ ; $a$",
                vec!["DO $$ BEGIN; \\ END $$", " $a$ $$ ; $a$"],
            ),
            ("a[1:n]::int, f(x := 1)", vec!["a[1: n]::int, f(x := 1)"]),
            ("x:'q' :\"HOST\" :{?a}", vec!["x: 'q' : \"HOST\" : {?a}"]),
            ("SELECT type'it''s;'", vec!["SELECT type'it''s;'"]),
            ("", vec![]),
        ] {
            assert_eq!(statements(text).unwrap(), expected, "{text}");
        }
        for text in ["\\! id", "SELECT 1 \\g |id", "SELECT 'a'\\gexec"] {
            assert!(statements(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parameters_become_literals() {
        let list = [
            json!("it's \\"),
            json!(-5),
            json!(null),
            json!(true),
            json!([1, "a"]),
        ];
        assert_eq!(
            filled(
                "a=%s b=%s c=%s d=%s e=%s 100%%",
                &Parameters::Positional(&list)
            )
            .unwrap(),
            "a= E'it''s \\\\' b= -5 c=NULL d=true e='{1, ''a''}' 100%"
        );
        let map = json!({"x": "v"});
        let named = Parameters::Named(map.as_object().unwrap());
        assert_eq!(filled("%(x)s", &named).unwrap(), "'v'");
        assert_eq!(
            filled("%(y)s", &named).unwrap_err(),
            "query parameter missing: y"
        );
        assert_eq!(filled("50%", &Parameters::None).unwrap(), "50%");
        assert!(filled("50%", &named).is_err());
        assert!(filled("%s", &Parameters::Positional(&list)).is_err());
    }
}
