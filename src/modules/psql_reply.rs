//! What `psql` answered: rows with values in the types that Ansible registers.
//!
//! Pure. Fields and records end with NUL; a line that begins with [`MARK`] tells what follows.

use crate::value::{Map, Value};

/// Begins a line that tells what follows.
pub(super) const MARK: &str = "@switchback@";
/// How NULL is written.
pub(super) const NULL: &str = "\u{1}";

/// What one statement gave.
#[derive(Default)]
pub(super) struct Ran {
    pub(super) rows: Vec<Map>,
    pub(super) status: String,
    pub(super) count: i64,
    pub(super) ms: f64,
}

/// The answers to all statements with the number of the query that each is of.
pub(super) fn read(stdout: &str) -> Vec<(usize, Ran)> {
    let mut all: Vec<(usize, Ran)> = Vec::new();
    let mut columns: Vec<(String, String)> = Vec::new();
    for part in stdout.split(&format!("{MARK} ")).skip(1) {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        let mut words = head.split(' ');
        let query = words
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        match words.next() {
            Some("types") => {
                columns = body
                    .split('\0')
                    .map(|text| text.trim_matches('\n').to_owned())
                    .collect::<Vec<_>>()
                    .chunks_exact(2)
                    .map(|pair| (pair[0].clone(), pair[1].clone()))
                    .collect();
                all.push((query, Ran::default()));
            }
            Some("rows") => {
                if let Some((_, ran)) = all.last_mut() {
                    *ran = rows(body, &columns);
                }
            }
            Some("count") => {
                let count = words
                    .next()
                    .and_then(|n| n.parse().ok())
                    .unwrap_or_default();
                if let Some((_, ran)) = all.last_mut() {
                    ran.count = count;
                    if ran.status.is_empty() {
                        ran.status = format!("SELECT {count}");
                    }
                }
            }
            _ => {}
        }
    }
    all
}

/// Rows, then the command's status where it has one, then the time it took.
fn rows(body: &str, columns: &[(String, String)]) -> Ran {
    let mut ran = Ran::default();
    let (values, tail) = body
        .rsplit_once('\0')
        .map_or(("", body), |(values, tail)| (values, tail));
    for line in tail.lines().filter(|line| !line.is_empty()) {
        match line
            .strip_prefix("Time: ")
            .and_then(|rest| rest.split_once(" ms"))
        {
            Some((ms, _)) => ran.ms = ms.trim().replace(',', ".").parse().unwrap_or_default(),
            None => line.clone_into(&mut ran.status),
        }
    }
    if columns.is_empty() || !body.contains('\0') {
        return ran;
    }
    let values: Vec<&str> = values.split('\0').collect();
    ran.rows = values
        .chunks_exact(columns.len())
        .map(|row| {
            columns
                .iter()
                .zip(row)
                .map(|((name, kind), text)| (name.clone(), typed(text, kind)))
                .collect()
        })
        .collect();
    ran
}

/// A value as Python's driver hands it to Ansible.
pub(super) fn typed(text: &str, kind: &str) -> Value {
    if text == NULL {
        return Value::Null;
    }
    if let Some(kind) = kind.strip_suffix("[]")
        && let Some(items) = array(text, kind)
    {
        return items;
    }
    let name = kind.split('(').next().unwrap_or(kind);
    match name {
        "smallint" | "integer" | "bigint" | "oid" => text.parse().map_or(text.into(), Value::Int),
        "real" | "double precision" | "numeric" => text.parse().map_or(text.into(), Value::Float),
        "boolean" => Value::Bool(text == "t"),
        "json" | "jsonb" => serde_json::from_str(text).map_or(text.into(), Value::from_json),
        _ if name.starts_with("timestamp") => {
            let text = text.replacen(' ', "T", 1);
            let has_short_zone = kind.ends_with("with time zone")
                && text.len() > 3
                && text[text.len() - 3..].starts_with(['+', '-']);
            Value::from(if has_short_zone { text + ":00" } else { text })
        }
        _ => text.into(),
    }
}

/// `{1,"a b",NULL}`; `None` for one of more dimensions, which stays a text.
fn array(text: &str, kind: &str) -> Option<Value> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    if inner.is_empty() {
        return Some(Value::from(items));
    }
    let mut chars = inner.chars().peekable();
    loop {
        let mut item = String::new();
        if chars.peek() == Some(&'{') {
            return None;
        }
        let is_quoted = chars.next_if_eq(&'"').is_some();
        if is_quoted {
            loop {
                match chars.next()? {
                    '\\' => item.push(chars.next()?),
                    '"' => break,
                    c => item.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                item.push(c);
            }
        }
        items.push(if !is_quoted && item == "NULL" {
            Value::Null
        } else {
            typed(&item, kind)
        });
        match chars.next() {
            Some(',') => {}
            _ => return Some(Value::from(items)),
        }
    }
}
