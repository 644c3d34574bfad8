//! The methods of Python's strings, lists, mappings and dates that templates call.

use std::sync::Arc;

use super::{date, format};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val, count};
use crate::value::Value;

const STR: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];
const LIST: &[&str] = &[
    "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse",
    "sort",
];
const DICT: &[&str] = &[
    "clear",
    "copy",
    "get",
    "items",
    "keys",
    "pop",
    "setdefault",
    "update",
    "values",
];
const DATE: &[&str] = &[
    "date",
    "isoformat",
    "strftime",
    "time",
    "timestamp",
    "weekday",
];

/// Whether calling `name` on the value is one of these methods.
pub(crate) fn is_method(value: &Val, name: &str) -> bool {
    let known = match value {
        Val::Str(_) => STR,
        Val::List(_) | Val::Raw(Value::List(_), _) => LIST,
        Val::Tuple(_) => &["count", "index"],
        Val::Raw(..) | Val::Dict(_) | Val::Vars(_) | Val::Hosts => DICT,
        Val::Date(_) => DATE,
        Val::Delta(_) => &["total_seconds"],
        Val::Int(_) => &[
            "bit_length",
            "__and__",
            "__or__",
            "__xor__",
            "__lshift__",
            "__rshift__",
        ],
        Val::Float(_) => &["is_integer"],
        Val::Loop(_) => &["cycle", "changed"],
        _ => &[],
    };
    known.contains(&name)
}

/// Calls a method that [`is_method`] knows.
pub(crate) fn call_method(
    eval: &Eval<'_>,
    base: &Val,
    name: &Arc<str>,
    args: &Args,
) -> Result<Val> {
    match base {
        Val::Str(text) => str_method(eval, text.as_str(), name, args),
        Val::List(_) | Val::Raw(Value::List(_), _) | Val::Tuple(_) => {
            list_method(eval, base, name, args)
        }
        Val::Date(moment) => date::method(eval, moment, name, args),
        #[expect(clippy::cast_precision_loss, reason = "seconds as Python gives them")]
        Val::Delta(delta) => Ok(Val::Float(
            delta.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6,
        )),
        Val::Int(i) => int_method(*i, name, args),
        Val::Float(f) => Ok(Val::Bool(f.fract() == 0.0)),
        Val::Loop(state) if &**name == "cycle" => {
            if args.list.is_empty() {
                return Err(Problem::other("no items for cycling given"));
            }
            Ok(args.list[state.index % args.list.len()].clone())
        }
        Val::Loop(state) => {
            let mut last = state.last_changed.borrow_mut();
            let same = match &*last {
                Some(old) => eval.equal(&Val::list(old.clone()), &Val::list(args.list.clone()))?,
                None => false,
            };
            *last = Some(args.list.clone());
            Ok(Val::Bool(!same))
        }
        _ => dict_method(eval, base, name, args),
    }
}

fn arg<'a>(args: &'a Args, index: usize, method: &str) -> Result<&'a Val> {
    args.list.get(index).ok_or_else(|| {
        Problem::other(format!(
            "{method}() needs at least {} argument(s)",
            index + 1
        ))
    })
}

fn text<'a>(args: &'a Args, index: usize, method: &str) -> Result<&'a str> {
    let value = arg(args, index, method)?;
    value.as_str().ok_or_else(|| {
        Problem::other(format!(
            "{method}() argument must be str, not {}",
            value.type_name()
        ))
    })
}

fn int(value: Option<&Val>, default: i64) -> Result<i64> {
    match value {
        None | Some(Val::Null) => Ok(default),
        Some(Val::Int(i)) => Ok(*i),
        Some(Val::Bool(b)) => Ok(i64::from(*b)),
        Some(other) => Err(Problem::other(format!(
            "'{}' object cannot be interpreted as an integer",
            other.type_name()
        ))),
    }
}

fn int_method(i: i64, name: &str, args: &Args) -> Result<Val> {
    if name == "bit_length" {
        return Ok(Val::Int(i64::from(64 - i.unsigned_abs().leading_zeros())));
    }
    let other = int(args.list.first(), 0)?;
    let shift = u32::try_from(other).unwrap_or(u32::MAX);
    Ok(Val::Int(match name {
        "__and__" => i & other,
        "__or__" => i | other,
        "__xor__" => i ^ other,
        "__lshift__" => i.checked_shl(shift).unwrap_or(0),
        _ => i.checked_shr(shift).unwrap_or(0),
    }))
}

/// Characters as `strip()` takes them; without an argument white space.
fn strip_set(args: &Args) -> Option<Vec<char>> {
    args.list
        .first()
        .and_then(Val::as_str)
        .map(|s| s.chars().collect())
}

fn str_method(eval: &Eval<'_>, s: &str, name: &str, args: &Args) -> Result<Val> {
    let all = |test: fn(char) -> bool| Val::Bool(!s.is_empty() && s.chars().all(test));
    let position = |found: Option<usize>| match found {
        Some(byte) => count(s[..byte].chars().count()),
        None => Val::Int(-1),
    };
    Ok(match name {
        "upper" => Val::str(s.to_uppercase()),
        "lower" | "casefold" => Val::str(s.to_lowercase()),
        "capitalize" => Val::str(capitalize(s)),
        "title" => Val::str(title(s)),
        "swapcase" => Val::str(
            s.chars()
                .map(|c| {
                    if c.is_uppercase() {
                        c.to_lowercase().to_string()
                    } else {
                        c.to_uppercase().to_string()
                    }
                })
                .collect::<String>(),
        ),
        "encode" => Val::str(s),
        "strip" => Val::str(strip_set(args).map_or(s.trim(), |set| s.trim_matches(&set[..]))),
        "lstrip" => {
            Val::str(strip_set(args).map_or(s.trim_start(), |set| s.trim_start_matches(&set[..])))
        }
        "rstrip" => {
            Val::str(strip_set(args).map_or(s.trim_end(), |set| s.trim_end_matches(&set[..])))
        }
        "startswith" | "endswith" => {
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
            Val::Bool(found)
        }
        "find" => position(s.find(text(args, 0, name)?)),
        "rfind" => position(s.rfind(text(args, 0, name)?)),
        "index" | "rindex" => {
            let part = text(args, 0, name)?;
            let found = if name == "index" {
                s.find(part)
            } else {
                s.rfind(part)
            };
            if found.is_none() {
                return Err(Problem::other("substring not found"));
            }
            position(found)
        }
        "count" => {
            let part = text(args, 0, name)?;
            count(if part.is_empty() {
                s.chars().count() + 1
            } else {
                s.matches(part).count()
            })
        }
        "replace" => {
            let (old, new) = (text(args, 0, name)?, text(args, 1, name)?);
            let times = int(args.get(2, "count"), -1)?;
            Val::str(match usize::try_from(times) {
                Ok(times) => s.replacen(old, new, times),
                Err(_) => s.replace(old, new),
            })
        }
        "removeprefix" => {
            let part = text(args, 0, name)?;
            Val::str(s.strip_prefix(part).unwrap_or(s))
        }
        "removesuffix" => {
            let part = text(args, 0, name)?;
            Val::str(s.strip_suffix(part).unwrap_or(s))
        }
        "isdigit" | "isdecimal" => all(|c| c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric())),
        "isnumeric" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isascii" => Val::Bool(s.is_ascii()),
        "isidentifier" => Val::Bool(
            s.chars()
                .next()
                .is_some_and(|c| c.is_alphabetic() || c == '_')
                && s.chars().all(|c| c.is_alphanumeric() || c == '_'),
        ),
        "islower" => {
            Val::Bool(s.chars().any(char::is_lowercase) && !s.chars().any(char::is_uppercase))
        }
        "isupper" => {
            Val::Bool(s.chars().any(char::is_uppercase) && !s.chars().any(char::is_lowercase))
        }
        "istitle" => Val::Bool(!s.is_empty() && title(s) == s),
        "join" => {
            let items = eval.items(arg(args, 0, name)?)?;
            let mut parts = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                parts.push(item.as_str().map(str::to_owned).ok_or_else(|| {
                    Problem::other(format!(
                        "sequence item {i}: expected str instance, {} found",
                        item.type_name()
                    ))
                })?);
            }
            Val::str(parts.join(s))
        }
        "format" => Val::str(format::str_format(eval, s, args)?),
        "splitlines" => Val::strings(split_lines(s, args.list.first().is_some())),
        "split" | "rsplit" => Val::strings(split(s, name == "rsplit", args)?),
        "partition" | "rpartition" => {
            let sep = text(args, 0, name)?;
            let parts = if name == "partition" {
                s.split_once(sep)
            } else {
                s.rsplit_once(sep)
            };
            let parts = match parts {
                Some((a, b)) => [a, sep, b],
                None if name == "partition" => [s, "", ""],
                None => ["", "", s],
            };
            Val::tuple(parts.into_iter().map(Val::str).collect())
        }
        "expandtabs" => Val::str(s.replace('\t', "        ")),
        _ => return padded(s, name, args),
    })
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

fn list_method(eval: &Eval<'_>, base: &Val, name: &str, args: &Args) -> Result<Val> {
    match name {
        "copy" => return Ok(Val::list(eval.items(base)?)),
        "count" | "index" => {
            let wanted = arg(args, 0, name)?;
            let mut found = 0;
            for (i, item) in eval.items(base)?.iter().enumerate() {
                if eval.equal(item, wanted)? {
                    if name == "index" {
                        return Ok(count(i));
                    }
                    found += 1;
                }
            }
            if name == "index" {
                return Err(Problem::other(format!(
                    "{} is not in list",
                    eval.text(wanted)?
                )));
            }
            return Ok(count(found));
        }
        _ => {}
    }
    let Val::List(items) = base else {
        // A variable's list is shared by everything that reads it; Ansible lets a template change
        // its own lazy copy, which no later rendering sees.
        return list_method(eval, &Val::list(eval.items(base)?), name, args);
    };
    match name {
        "append" => items.borrow_mut().push(arg(args, 0, name)?.clone()),
        "extend" => {
            let more = eval.items(arg(args, 0, name)?)?;
            items.borrow_mut().extend(more);
        }
        "insert" => {
            let length = items.borrow().len();
            let at = int(args.list.first(), 0)?;
            let at = super::index(at, length + 1).unwrap_or(if at < 0 { 0 } else { length });
            items.borrow_mut().insert(at, arg(args, 1, name)?.clone());
        }
        "pop" => {
            let length = items.borrow().len();
            let at = super::index(int(args.list.first(), -1)?, length)
                .ok_or_else(|| Problem::other("pop index out of range"))?;
            return Ok(items.borrow_mut().remove(at));
        }
        "remove" => {
            let wanted = arg(args, 0, name)?;
            let copy = items.borrow().clone();
            for (i, item) in copy.iter().enumerate() {
                if eval.equal(item, wanted)? {
                    items.borrow_mut().remove(i);
                    return Ok(Val::Null);
                }
            }
            return Err(Problem::other("list.remove(x): x not in list"));
        }
        "reverse" => items.borrow_mut().reverse(),
        "clear" => items.borrow_mut().clear(),
        _ => {
            let mut copy = items.borrow().clone();
            crate::template::filters::sort_values(eval, &mut copy, false)?;
            *items.borrow_mut() = copy;
        }
    }
    eval.step(1)?;
    Ok(Val::Null)
}

fn dict_method(eval: &Eval<'_>, base: &Val, name: &str, args: &Args) -> Result<Val> {
    match name {
        "items" => {
            let pair = |(k, v): (String, Val)| Val::tuple(vec![Val::str(k), v]);
            return Ok(Val::list(
                eval.entries(base)?.into_iter().map(pair).collect(),
            ));
        }
        "keys" => return Ok(Val::list(eval.items(base)?)),
        "values" => {
            return Ok(Val::list(
                eval.entries(base)?.into_iter().map(|(_, v)| v).collect(),
            ));
        }
        "copy" => return Ok(Val::dict(eval.dict_of(base)?)),
        "get" => {
            let found = eval.item(base, arg(args, 0, name)?)?;
            return Ok(match found {
                Val::Marker(problem)
                    if problem.kind == crate::template::ErrorKind::Undefined
                        && problem.text.is_none() =>
                {
                    args.list.get(1).cloned().unwrap_or(Val::Null)
                }
                other => other,
            });
        }
        _ => {}
    }
    let Val::Dict(dict) = base else {
        return dict_method(eval, &Val::dict(eval.dict_of(base)?), name, args);
    };
    match name {
        "update" => {
            if let Some(other) = args.list.first() {
                let more = if other.is_sequence() {
                    eval.dict_from_pairs(other)?
                } else {
                    eval.dict_of(other)?
                };
                dict.borrow_mut().extend(more);
            }
            let named = args.named.iter().map(|(n, v)| (n.to_string(), v.clone()));
            dict.borrow_mut().extend(named);
        }
        "setdefault" => {
            let key = eval.key(arg(args, 0, name)?)?;
            let default = args.list.get(1).cloned().unwrap_or(Val::Null);
            return Ok(dict.borrow_mut().entry(key).or_insert(default).clone());
        }
        "pop" => {
            let key = eval.key(arg(args, 0, name)?)?;
            let removed = dict.borrow_mut().shift_remove(&key);
            return removed
                .or_else(|| args.list.get(1).cloned())
                .ok_or_else(|| Problem::other(format!("there is no key '{key}' to pop")));
        }
        _ => dict.borrow_mut().clear(),
    }
    eval.step(1)?;
    Ok(Val::Null)
}
