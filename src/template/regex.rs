//! Python's regular expressions on fancy-regex, which has look-around and back references and a
//! limit on backtracking.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use fancy_regex::{Captures, Regex, RegexBuilder};

use super::error::{Problem, Result};

const CACHE_MAX: usize = 500;
const BACKTRACK_MAX: usize = 5_000_000;

/// Flags as the filters take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multiline: bool,
}

type Key = (String, Flags);

thread_local! {
    static CACHE: RefCell<HashMap<Key, Rc<Regex>>> = RefCell::default();
}

/// Compiles a Python pattern.
pub(crate) fn compile(pattern: &str, flags: Flags) -> Result<Rc<Regex>> {
    let key = (pattern.to_owned(), flags);
    if let Some(found) = CACHE.with_borrow(|cache| cache.get(&key).cloned()) {
        return Ok(found);
    }
    let regex = RegexBuilder::new(&translate(pattern))
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.multiline)
        .backtrack_limit(BACKTRACK_MAX)
        .build()
        .map_err(|e| Problem::other(format!("invalid regular expression '{pattern}': {e}")))?;
    let regex = Rc::new(regex);
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(key, Rc::clone(&regex));
    });
    Ok(regex)
}

/// Where Python's syntax differs: `\Z` is the very end, `$` also matches before a last newline,
/// `[` inside a class and `&&`, `--`, `~~` are literal.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut class_length: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, class_length) {
            ('\\', _) => {
                let next = chars.next();
                match next {
                    Some('Z') if class_length.is_none() => out.push_str("\\z"),
                    // Python takes any escaped punctuation and a few letters literally.
                    Some(n) if n.is_ascii_punctuation() && !"<>".contains(n) => {
                        out.push('\\');
                        out.push(n);
                    }
                    Some(n) if "<>".contains(n) || !n.is_ascii() => out.push(n),
                    Some(n) => {
                        out.push('\\');
                        out.push(n);
                    }
                    None => out.push('\\'),
                }
                class_length = class_length.map(|n| n + 1);
            }
            ('[', None) => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                class_length = Some(0);
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                    class_length = Some(1);
                }
            }
            (']', Some(_)) => {
                out.push(']');
                class_length = None;
            }
            ('[' | '&' | '~', Some(n)) => {
                out.push('\\');
                out.push(c);
                class_length = Some(n + 1);
            }
            (c, Some(n)) => {
                out.push(c);
                class_length = Some(n + 1);
            }
            ('$', None) => out.push_str("(?:$|(?=\\n\\z))"),
            (c, None) => out.push(c),
        }
    }
    out
}

fn matching(error: &fancy_regex::Error) -> Box<Problem> {
    Problem::other(format!("the regular expression cannot be matched: {error}"))
}

/// The first match.
pub(crate) fn search<'t>(regex: &Regex, text: &'t str) -> Result<Option<Captures<'t, str>>> {
    regex.captures(text).map_err(|e| matching(&e))
}

/// All matches that do not overlap.
pub(crate) fn find_all<'t>(regex: &Regex, text: &'t str) -> Result<Vec<Captures<'t, str>>> {
    regex
        .captures_iter(text)
        .map(|c| c.map_err(|e| matching(&e)))
        .collect()
}

/// Replaces up to `limit` matches (0 = all) and says how many there were.
pub(crate) fn replace(
    regex: &Regex,
    text: &str,
    replacement: &str,
    limit: usize,
) -> Result<(String, usize)> {
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    let mut times = 0;
    for captures in regex.captures_iter(text) {
        let captures = captures.map_err(|e| matching(&e))?;
        let Some(whole) = captures.get(0) else {
            continue;
        };
        out.push_str(&text[last..whole.start()]);
        expand(replacement, &captures, &mut out)?;
        last = whole.end();
        times += 1;
        if limit != 0 && times >= limit {
            break;
        }
    }
    out.push_str(&text[last..]);
    Ok((out, times))
}

/// Writes a replacement with `\1`, `\g<1>` and `\g<name>` filled in.
fn expand(replacement: &str, captures: &Captures<'_, str>, out: &mut String) -> Result<()> {
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('0') => out.push('\0'),
            Some('g') if chars.next_if_eq(&'<').is_some() => {
                let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                out.push_str(group(captures, &name)?);
            }
            Some(d) if d.is_ascii_digit() => {
                let mut number = String::from(d);
                if let Some(second) = chars.next_if(char::is_ascii_digit) {
                    number.push(second);
                }
                out.push_str(group(captures, &number)?);
            }
            Some(c) if c.is_ascii_alphabetic() => {
                return Err(Problem::other(format!(
                    "bad escape \\{c} in the replacement"
                )));
            }
            Some('\\') | None => out.push('\\'),
            Some(c) => {
                let _ = write!(out, "\\{c}");
            }
        }
    }
    Ok(())
}

/// A group by number or name; empty if it took no part in the match.
pub(crate) fn group<'t>(captures: &Captures<'t, str>, name: &str) -> Result<&'t str> {
    let found = match name.parse::<usize>() {
        Ok(index) if index >= captures.len() => {
            return Err(Problem::other(format!("invalid group reference {index}")));
        }
        Ok(index) => captures.get(index),
        Err(_) => captures.name(name),
    };
    Ok(found.map_or("", |m| m.as_str()))
}

/// `re.escape`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
