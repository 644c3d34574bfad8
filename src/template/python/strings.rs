//! The methods of Python's strings.

use super::format;
use super::methods::{arg, int, text};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val, count};

/// A method of a string.
pub(super) fn str_method(eval: &Eval<'_>, s: &str, name: &str, args: &Args) -> Result<Val> {
    if let Some(verdict) = predicate(s, name) {
        return Ok(Val::Bool(verdict));
    }
    match name {
        "startswith" | "endswith" => edge(eval, s, name, args),
        "find" | "rfind" | "index" | "rindex" | "count" => search(s, name, args),
        "split" | "rsplit" => Ok(Val::strings(split(s, name == "rsplit", args)?)),
        "splitlines" => Ok(Val::strings(split_lines(s, !args.list.is_empty()))),
        "partition" | "rpartition" => partition(s, name, args),
        "join" => join(eval, s, args),
        "format" => format::str_format(eval, s, args).map(Val::str),
        "ljust" | "rjust" | "center" | "zfill" => padded(s, name, args),
        _ => changed(s, name, args),
    }
}

fn changed(s: &str, name: &str, args: &Args) -> Result<Val> {
    let swap = |c: char| {
        if c.is_uppercase() {
            c.to_lowercase().to_string()
        } else {
            c.to_uppercase().to_string()
        }
    };
    Ok(match name {
        "upper" => Val::str(s.to_uppercase()),
        "lower" | "casefold" => Val::str(s.to_lowercase()),
        "capitalize" => Val::str(capitalize(s)),
        "title" => Val::str(title(s)),
        "swapcase" => Val::str(s.chars().map(swap).collect::<String>()),
        "encode" => Val::str(s),
        "strip" => Val::str(strip_set(args).map_or(s.trim(), |set| s.trim_matches(&set[..]))),
        "lstrip" => {
            Val::str(strip_set(args).map_or(s.trim_start(), |set| s.trim_start_matches(&set[..])))
        }
        "rstrip" => {
            Val::str(strip_set(args).map_or(s.trim_end(), |set| s.trim_end_matches(&set[..])))
        }
        "replace" => {
            let (old, new) = (text(args, 0, name)?, text(args, 1, name)?);
            let times = int(args.get(2, "count"), -1)?;
            Val::str(match usize::try_from(times) {
                Ok(times) => s.replacen(old, new, times),
                Err(_) => s.replace(old, new),
            })
        }
        "removeprefix" => Val::str(s.strip_prefix(text(args, 0, name)?).unwrap_or(s)),
        "removesuffix" => Val::str(s.strip_suffix(text(args, 0, name)?).unwrap_or(s)),
        "expandtabs" => Val::str(s.replace('\t', "        ")),
        other => {
            return Err(Problem::other(format!(
                "the method `{other}` is not supported"
            )));
        }
    })
}

/// The methods that ask about all characters.
fn predicate(s: &str, name: &str) -> Option<bool> {
    let all = |test: fn(char) -> bool| !s.is_empty() && s.chars().all(test);
    let any = |test: fn(char) -> bool| s.chars().any(test);
    Some(match name {
        "isdigit" | "isdecimal" => all(|c| c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric())),
        "isnumeric" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isascii" => s.is_ascii(),
        "isidentifier" => {
            all(|c| c.is_alphanumeric() || c == '_')
                && !s.starts_with(|c: char| !c.is_alphabetic() && c != '_')
        }
        "islower" => any(char::is_lowercase) && !any(char::is_uppercase),
        "isupper" => any(char::is_uppercase) && !any(char::is_lowercase),
        "istitle" => !s.is_empty() && title(s) == s,
        _ => return None,
    })
}

fn edge(eval: &Eval<'_>, s: &str, name: &str, args: &Args) -> Result<Val> {
    let wanted = arg(args, 0, name)?;
    let list = if wanted.is_sequence() {
        eval.items(wanted)?
    } else {
        vec![wanted.clone()]
    };
    let mut found = false;
    for part in &list {
        let Some(part) = part.as_str() else {
            return Err(Problem::other(format!(
                "{name} first arg must be str or a tuple of str, not {}",
                part.type_name()
            )));
        };
        found |= if name == "startswith" {
            s.starts_with(part)
        } else {
            s.ends_with(part)
        };
    }
    Ok(Val::Bool(found))
}

fn search(s: &str, name: &str, args: &Args) -> Result<Val> {
    let part = text(args, 0, name)?;
    if name == "count" {
        return Ok(count(if part.is_empty() {
            s.chars().count() + 1
        } else {
            s.matches(part).count()
        }));
    }
    let found = if name.starts_with('r') {
        s.rfind(part)
    } else {
        s.find(part)
    };
    match found {
        Some(byte) => Ok(count(s[..byte].chars().count())),
        None if name.ends_with("index") => Err(Problem::other("substring not found")),
        None => Ok(Val::Int(-1)),
    }
}

fn join(eval: &Eval<'_>, s: &str, args: &Args) -> Result<Val> {
    let items = eval.items(arg(args, 0, "join")?)?;
    let mut parts = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        parts.push(item.as_str().map(str::to_owned).ok_or_else(|| {
            Problem::other(format!(
                "sequence item {i}: expected str instance, {} found",
                item.type_name()
            ))
        })?);
    }
    Ok(Val::str(parts.join(s)))
}

fn partition(s: &str, name: &str, args: &Args) -> Result<Val> {
    let sep = text(args, 0, name)?;
    let from_left = name == "partition";
    let parts = if from_left {
        s.split_once(sep)
    } else {
        s.rsplit_once(sep)
    };
    let parts = match parts {
        Some((a, b)) => [a, sep, b],
        None if from_left => [s, "", ""],
        None => ["", "", s],
    };
    Ok(Val::tuple(parts.into_iter().map(Val::str).collect()))
}

/// Characters as `strip()` takes them; without an argument white space.
fn strip_set(args: &Args) -> Option<Vec<char>> {
    args.list
        .first()
        .and_then(Val::as_str)
        .map(|s| s.chars().collect())
}

fn padded(s: &str, name: &str, args: &Args) -> Result<Val> {
    let width = usize::try_from(int(args.list.first(), 0)?)
        .unwrap_or(0)
        .min(1 << 20);
    let fill = args
        .list
        .get(1)
        .and_then(Val::as_str)
        .and_then(|f| f.chars().next())
        .unwrap_or(' ');
    let missing = width.saturating_sub(s.chars().count());
    let pad = |n: usize| std::iter::repeat_n(fill, n).collect::<String>();
    Ok(Val::str(match name {
        "ljust" => format!("{s}{}", pad(missing)),
        "rjust" => format!("{}{s}", pad(missing)),
        "center" => {
            let left = missing / 2 + (missing & width & 1);
            format!("{}{s}{}", pad(left), pad(missing - left))
        }
        "zfill" => {
            let (sign, digits) = match s.strip_prefix(['-', '+']) {
                Some(rest) => (&s[..1], rest),
                None => ("", s),
            };
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        other => {
            return Err(Problem::other(format!(
                "the method `{other}` is not supported"
            )));
        }
    }))
}

/// Lines without (or with) their ends; `\r\n` and `\r` end lines too.
pub(crate) fn split_lines(s: &str, keep_ends: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = s;
    while !rest.is_empty() {
        let Some(at) = rest.find([
            '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
        ]) else {
            lines.push(rest.to_owned());
            break;
        };
        let mut end = at + rest[at..].chars().next().map_or(1, char::len_utf8);
        if rest[at..].starts_with("\r\n") {
            end = at + 2;
        }
        lines.push(rest[..if keep_ends { end } else { at }].to_owned());
        rest = &rest[end..];
    }
    lines
}

fn split(s: &str, from_right: bool, args: &Args) -> Result<Vec<String>> {
    let limit = usize::try_from(int(args.get(1, "maxsplit"), -1)?).ok();
    let own = |parts: Vec<&str>| parts.into_iter().map(str::to_owned).collect::<Vec<_>>();
    match args.get(0, "sep") {
        None | Some(Val::Null) => Ok(split_spaces(s, limit, from_right)),
        Some(Val::Str(sep)) if sep.as_str().is_empty() => Err(Problem::other("empty separator")),
        Some(Val::Str(sep)) => {
            let sep = sep.as_str();
            Ok(own(match (limit, from_right) {
                (None, _) => s.split(sep).collect(),
                (Some(n), false) => s.splitn(n + 1, sep).collect(),
                (Some(n), true) => {
                    let mut parts: Vec<&str> = s.rsplitn(n + 1, sep).collect();
                    parts.reverse();
                    parts
                }
            }))
        }
        Some(other) => Err(Problem::other(format!(
            "must be str or None, not {}",
            other.type_name()
        ))),
    }
}

/// Splits at runs of white space, at most `limit` times.
pub(crate) fn split_spaces(s: &str, limit: Option<usize>, from_right: bool) -> Vec<String> {
    let Some(limit) = limit else {
        return s.split_whitespace().map(str::to_owned).collect();
    };
    let mut parts = Vec::new();
    let mut rest = s.trim();
    while parts.len() < limit {
        let at = if from_right {
            rest.rfind(char::is_whitespace)
        } else {
            rest.find(char::is_whitespace)
        };
        let Some(at) = at else { break };
        let (left, right) = rest.split_at(at);
        if from_right {
            parts.push(right.trim().to_owned());
            rest = left.trim_end();
        } else {
            parts.push(left.to_owned());
            rest = right.trim_start();
        }
    }
    if !rest.is_empty() {
        parts.push(rest.to_owned());
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// First letter upper case, the rest lower.
pub(crate) fn capitalize(s: &str) -> String {
    let mut chars = s.chars();
    chars.next().map_or_else(String::new, |first| {
        first
            .to_uppercase()
            .chain(chars.as_str().to_lowercase().chars())
            .collect()
    })
}

/// Python's `str.title`: a letter after a non-letter is upper case.
fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut inside = false;
    for c in s.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}
