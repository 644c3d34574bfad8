//! Lookups in INI and CSV files.

use super::{Lookup, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::regex::{self, Flags};
use crate::template::val::{Args, Val};

pub(super) const LOOKUPS: &[Lookup] = &[row("ini", ini), row("csvfile", csvfile)];

/// A term such as `key section=a file=b`: the bare words, quotes and all, and the options.
fn parse_term(term: &str) -> (String, Vec<(String, String)>) {
    let mut bare = Vec::new();
    let mut options = Vec::new();
    for word in quoted_words(term) {
        match word.split_once('=') {
            Some((key, value)) => {
                let plain = shlex::split(value).map(|words| words.join(" "));
                options.push((key.to_owned(), plain.unwrap_or_else(|| value.to_owned())));
            }
            None => bare.push(word),
        }
    }
    (bare.join(" "), options)
}

/// Words, of which quotes are a part and may hold blanks.
fn quoted_words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                words.push(String::new());
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Options of a call, with those inside the term on top.
struct Options<'e, 'a> {
    eval: &'e Eval<'a>,
    args: &'e Args,
    inline: Vec<(String, String)>,
}

impl Options<'_, '_> {
    fn text(&self, name: &str, default: &str) -> Result<String> {
        match self.inline.iter().find(|(n, _)| n == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.args.option_text(self.eval, name, default),
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.inline.iter().find(|(n, _)| n == name) {
            Some((_, value)) => {
                Ok(crate::value::Value::from(value.as_str()).to_bool() == Some(true))
            }
            None => self.args.option_flag(self.eval, name, false),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.inline.iter().any(|(n, _)| n == name) || self.args.option(name).is_some()
    }
}

type Section = (String, Vec<(String, String)>);

/// Reads an INI file as Python's `ConfigParser` does; keys in lower case unless case matters.
fn sections(text: &str, keep_case: bool, allow_none: bool) -> Result<Vec<Section>> {
    let mut out: Vec<Section> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            // A continuation of the value above.
            if let Some((_, value)) = out.last_mut().and_then(|(_, entries)| entries.last_mut()) {
                value.push('\n');
                value.push_str(trimmed);
                continue;
            }
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|t| t.split_once(']')) {
            out.push((name.0.to_owned(), Vec::new()));
            continue;
        }
        let (key, value) = match trimmed.split_once(['=', ':']) {
            Some((key, value)) => (key.trim(), value.trim()),
            None if allow_none => (trimmed, ""),
            None => {
                return Err(Problem::other(format!(
                    "line {} has no value: '{trimmed}'",
                    number + 1
                )));
            }
        };
        let key = if keep_case {
            key.to_owned()
        } else {
            key.to_lowercase()
        };
        match out.last_mut() {
            Some((_, entries)) => entries.push((key, value.to_owned())),
            None => {
                return Err(Problem::other(format!(
                    "line {} stands before any section",
                    number + 1
                )));
            }
        }
    }
    Ok(out)
}

fn ini(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for term in args.strings(eval)? {
        let (key, inline) = parse_term(&term);
        let options = Options { eval, args, inline };
        let file = options.text("file", "ansible.ini")?;
        let mut text = super::file::read(eval, "files", &file)?;
        let is_properties = options.text("type", "ini")? == "properties";
        let mut section = options.text("section", "global")?;
        if is_properties {
            text = format!("[java_properties]\n{text}");
            "java_properties".clone_into(&mut section);
        }
        let keep_case = options.flag("case_sensitive")?;
        let sections = sections(&text, keep_case, options.flag("allow_none")?)?;
        let wanted = if keep_case { key } else { key.to_lowercase() };
        let entries: Vec<_> = sections
            .iter()
            .filter(|(name, _)| *name == section || name == "DEFAULT")
            .flat_map(|(_, entries)| entries)
            .collect();
        if options.flag("re")? {
            let pattern = regex::compile(&format!("\\A(?:{wanted})"), Flags::default())?;
            for (name, value) in entries {
                if regex::search(&pattern, name)?.is_some() {
                    out.push(Val::str(value.as_str()));
                }
            }
            continue;
        }
        match entries.iter().rev().find(|(name, _)| *name == wanted) {
            Some((_, value)) => out.push(Val::str(value.as_str())),
            None if options.has("default") => out.push(Val::str(options.text("default", "")?)),
            None if !sections.iter().any(|(name, _)| *name == section) => {
                return Err(Problem::other(format!("No section: '{section}'")));
            }
            None => out.push(Val::str("")),
        }
    }
    Ok(out)
}

/// The rows of a CSV text, with quotes.
fn rows(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            c if c == delimiter && !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

fn csvfile(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    const OPTIONS: &[&str] = &["col", "default", "delimiter", "encoding", "file", "keycol"];
    let mut out = Vec::new();
    let terms = args.strings(eval)?;
    if terms.is_empty() {
        return Err(Problem::other("Search key is required but was not found"));
    }
    for term in terms {
        let (key, inline) = parse_term(&term);
        let given = inline.iter().map(|(name, _)| name.as_str());
        if let Some(unknown) = given.clone().find(|name| !OPTIONS.contains(name)) {
            return Err(Problem::other(format!("{unknown} is not a valid option")));
        }
        let options = Options { eval, args, inline };
        let delimiter = match options.text("delimiter", "TAB")?.as_str() {
            "TAB" | "\\t" => '\t',
            other => other.chars().next().unwrap_or('\t'),
        };
        let column = |name: &str, default: &str| {
            let text = options.text(name, default)?;
            text.parse::<usize>().map_err(|_| {
                Problem::other(format!(
                    "`{name}` has an invalid value: '{text}' is no number"
                ))
            })
        };
        let (column, key_column) = (column("col", "1")?, column("keycol", "0")?);
        if key.is_empty() {
            return Err(Problem::other("Search key is required but was not found"));
        }
        let text = super::file::read(eval, "files", &options.text("file", "ansible.csv")?)?;
        let rows = rows(&text, delimiter);
        let found = rows
            .iter()
            .find(|row| row.get(key_column).is_some_and(|cell| *cell == key));
        match found {
            Some(row) => match row.get(column) {
                Some(cell) => out.push(Val::str(cell.as_str())),
                None => return Err(Problem::other("list index out of range")),
            },
            None if args.option("default").is_some_and(Val::is_sequence) => {
                if let Some(default) = args.option("default") {
                    out.extend(eval.items(default)?);
                }
            }
            None if options.has("default") => out.push(Val::str(options.text("default", "")?)),
            None => {}
        }
    }
    Ok(out)
}
