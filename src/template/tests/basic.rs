//! Jinja's tests, sets, regular expressions and truth.

use std::sync::Arc;

use super::{Test, lenient, row};
use crate::template::ast::Comparison;
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::regex::{self, Flags};
use crate::template::val::{Args, Val};

pub(super) const TESTS: &[Test] = &[
    lenient("defined", |_, v, _| {
        Ok(!matches!(v, Val::Marker(_) | Val::Blank))
    }),
    lenient("undefined", |_, v, _| {
        Ok(matches!(v, Val::Marker(_) | Val::Blank))
    }),
    row("none", |_, v, _| Ok(matches!(v, Val::Null))),
    row("boolean", |_, v, _| Ok(matches!(v, Val::Bool(_)))),
    row("true", |_, v, _| Ok(matches!(v, Val::Bool(true)))),
    row("false", |_, v, _| Ok(matches!(v, Val::Bool(false)))),
    row("integer", |_, v, _| Ok(matches!(v, Val::Int(_)))),
    row("float", |_, v, _| Ok(matches!(v, Val::Float(_)))),
    row("number", |_, v, _| {
        Ok(matches!(v, Val::Int(_) | Val::Float(_) | Val::Bool(_)))
    }),
    row("string", |_, v, _| Ok(matches!(v, Val::Str(_)))),
    row("mapping", |_, v, _| Ok(v.is_mapping())),
    row("sequence", |_, v, _| {
        Ok(v.is_sequence() || v.is_mapping() || matches!(v, Val::Str(_)))
    }),
    row("iterable", |_, v, _| {
        Ok(v.is_sequence() || v.is_mapping() || matches!(v, Val::Str(_)))
    }),
    row("callable", |_, v, _| {
        Ok(matches!(
            v,
            Val::Function(_) | Val::Method(_) | Val::Macro(_)
        ))
    }),
    row("lower", |e, v, _| {
        Ok(text_case(
            &e.text(v)?,
            char::is_lowercase,
            char::is_uppercase,
        ))
    }),
    row("upper", |e, v, _| {
        Ok(text_case(
            &e.text(v)?,
            char::is_uppercase,
            char::is_lowercase,
        ))
    }),
    row("escaped", |_, _, _| Ok(false)),
    row("ansible._protomatter.tagged_with", tagged_with),
    row("even", |_, v, _| Ok(int(v)? % 2 == 0)),
    row("odd", |_, v, _| Ok(int(v)? % 2 != 0)),
    row("divisibleby", |_, v, a| match a.int(0, "num", 0)? {
        0 => Err(Problem::other("integer modulo by zero")),
        by => Ok(int(v)? % by == 0),
    }),
    row("sameas", |e, v, a| same(e, v, arg(a)?)),
    row("eq", |e, v, a| e.compare(Comparison::Eq, v, arg(a)?)),
    row("equalto", |e, v, a| e.compare(Comparison::Eq, v, arg(a)?)),
    row("==", |e, v, a| e.compare(Comparison::Eq, v, arg(a)?)),
    row("ne", |e, v, a| e.compare(Comparison::Ne, v, arg(a)?)),
    row("!=", |e, v, a| e.compare(Comparison::Ne, v, arg(a)?)),
    row("lt", |e, v, a| e.compare(Comparison::Lt, v, arg(a)?)),
    row("lessthan", |e, v, a| e.compare(Comparison::Lt, v, arg(a)?)),
    row("<", |e, v, a| e.compare(Comparison::Lt, v, arg(a)?)),
    row("le", |e, v, a| e.compare(Comparison::Le, v, arg(a)?)),
    row("<=", |e, v, a| e.compare(Comparison::Le, v, arg(a)?)),
    row("gt", |e, v, a| e.compare(Comparison::Gt, v, arg(a)?)),
    row("greaterthan", |e, v, a| {
        e.compare(Comparison::Gt, v, arg(a)?)
    }),
    row(">", |e, v, a| e.compare(Comparison::Gt, v, arg(a)?)),
    row("ge", |e, v, a| e.compare(Comparison::Ge, v, arg(a)?)),
    row(">=", |e, v, a| e.compare(Comparison::Ge, v, arg(a)?)),
    row("in", |e, v, a| e.contains(arg(a)?, v)),
    row("contains", |e, v, a| e.contains(v, arg(a)?)),
    row("subset", |e, v, a| subset(e, v, arg(a)?)),
    row("issubset", |e, v, a| subset(e, v, arg(a)?)),
    row("superset", |e, v, a| subset(e, arg(a)?, v)),
    row("issuperset", |e, v, a| subset(e, arg(a)?, v)),
    row("any", |e, v, _| any(e, v)),
    row("all", |e, v, _| all(e, v)),
    row("nan", |_, v, _| {
        Ok(matches!(v, Val::Float(f) if f.is_nan()))
    }),
    row("isnan", |_, v, _| {
        Ok(matches!(v, Val::Float(f) if f.is_nan()))
    }),
    row("truthy", truthy),
    row("falsy", |e, v, a| truthy(e, v, a).map(|b| !b)),
    row("match", |e, v, a| matches_regex(e, v, a, "match")),
    row("search", |e, v, a| matches_regex(e, v, a, "search")),
    row("regex", |e, v, a| {
        matches_regex(e, v, a, &a.text(3, "match_type", "search")?)
    }),
    row("filter", |_, v, _| {
        Ok(v.as_str().is_some_and(|n| {
            crate::template::filters::find(&crate::template::parse::plugin_name(n)).is_some()
        }))
    }),
    row("test", |_, v, _| {
        Ok(v.as_str()
            .is_some_and(|n| super::find(&crate::template::parse::plugin_name(n)).is_some()))
    }),
    row("vault_encrypted", |_, v, _| {
        Ok(v.as_str().is_some_and(|t| t.starts_with("$ANSIBLE_VAULT;")))
    }),
    row("uri", |e, v, a| uri(e, v, a, &[])),
    row("url", url),
    row("urn", |e, v, _| Ok(urn(&e.text(v)?))),
];

fn arg(args: &Args) -> Result<&Val> {
    args.list
        .first()
        .or_else(|| args.named.first().map(|(_, v)| v))
        .ok_or_else(|| Problem::other("the test needs an argument"))
}

fn int(value: &Val) -> Result<i64> {
    match value {
        Val::Int(i) => Ok(*i),
        Val::Bool(b) => Ok(i64::from(*b)),
        other => Err(Problem::other(format!(
            "the test needs an integer, not '{}'",
            other.type_name()
        ))),
    }
}

/// What ansible-core's own tests ask: whether a text stands in the user's files, so that it may be a
/// template.
fn tagged_with(eval: &Eval<'_>, value: &Val, args: &Args) -> Result<bool> {
    match eval.text(arg(args)?)?.as_str() {
        "TrustedAsTemplate" => Ok(matches!(value, Val::Str(text) if text.is_from_user())),
        "VaultedValue" => Ok(matches!(value, Val::Str(text) if text.is_secret())),
        other => Err(Problem::other(format!("unknown tag name '{other}'"))),
    }
}

fn text_case(text: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    text.chars().any(wanted) && !text.chars().any(other)
}

/// Identity: of the same type and equal, since equal data cannot be told apart here.
fn same(eval: &Eval<'_>, a: &Val, b: &Val) -> Result<bool> {
    Ok(a.type_name() == b.type_name() && eval.equal(a, b)?)
}

fn subset(eval: &Eval<'_>, small: &Val, large: &Val) -> Result<bool> {
    let large = Val::list(eval.items(large)?);
    for item in eval.items(small)? {
        if !eval.contains(&large, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any(eval: &Eval<'_>, value: &Val) -> Result<bool> {
    for item in eval.items(value)? {
        if eval.truth(&item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn all(eval: &Eval<'_>, value: &Val) -> Result<bool> {
    for item in eval.items(value)? {
        if !eval.truth(&item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn truthy(eval: &Eval<'_>, value: &Val, args: &Args) -> Result<bool> {
    if args.flag(eval, 0, "convert_bool")?
        && let Some(b) = match value {
            Val::Str(text) => crate::value::Value::from(text.as_str().trim()).to_bool(),
            Val::Int(i) => crate::value::Value::Int(*i).to_bool(),
            Val::Float(f) => crate::value::Value::Float(*f).to_bool(),
            _ => None,
        }
    {
        return Ok(b);
    }
    eval.truth(value)
}

fn matches_regex(eval: &Eval<'_>, value: &Val, args: &Args, how: &str) -> Result<bool> {
    let text = eval.text(value)?;
    let pattern = args.text(0, "pattern", "")?;
    let flags = Flags {
        ignore_case: args.flag(eval, 1, "ignorecase")?,
        multiline: args.flag(eval, 2, "multiline")?,
    };
    let pattern = match how {
        "match" => format!("\\A(?:{pattern})"),
        "fullmatch" => format!("\\A(?:{pattern})\\Z"),
        _ => pattern,
    };
    Ok(regex::search(&*regex::compile(&pattern, flags)?, &text)?.is_some())
}

/// The parts that Python's `urlparse` finds: scheme, netloc, path.
fn url_parts(text: &str) -> (&str, &str, &str) {
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest))
            if !scheme.is_empty()
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) =>
        {
            (scheme, rest)
        }
        _ => ("", text),
    };
    match rest.strip_prefix("//") {
        Some(tail) => {
            let end = tail.find(['/', '?', '#']).unwrap_or(tail.len());
            (scheme, &tail[..end], &tail[end..])
        }
        None => (scheme, "", rest),
    }
}

fn uri(eval: &Eval<'_>, value: &Val, args: &Args, _: &[&str]) -> Result<bool> {
    let text = eval.text(value)?;
    let (scheme, netloc, path) = url_parts(&text);
    let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    let allowed = match args.get(0, "schemes") {
        Some(Val::Null) | None => true,
        Some(schemes) => eval.contains(schemes, &Val::str(scheme))?,
    };
    Ok(!scheme.is_empty() && (!netloc.is_empty() || !path.is_empty()) && allowed)
}

fn url(eval: &Eval<'_>, value: &Val, args: &Args) -> Result<bool> {
    let text = eval.text(value)?;
    let (_, netloc, _) = url_parts(&text);
    Ok(uri(eval, value, args, &[])? && !netloc.is_empty())
}

fn urn(text: &str) -> bool {
    let lower: Arc<str> = Arc::from(text.to_lowercase());
    let Some(rest) = lower.strip_prefix("urn:") else {
        return false;
    };
    let mut parts = rest.splitn(2, ':');
    let (name, specific) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    !name.is_empty() && !specific.is_empty()
}
