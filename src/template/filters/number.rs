//! Filters that give numbers and booleans, sizes.

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val};

pub(super) const FILTERS: &[Filter] = &[
    row("int", int),
    row("float", |_, v, a| Ok(float(v, a))),
    row("bool", |e, v, _| Ok(Val::Bool(bool_filter(e, v)))),
    row("abs", abs),
    row("round", round),
    row("log", log),
    row("pow", |e, v, a| {
        Ok(Val::Float(
            number(e, v, "pow")?.powf(number_arg(e, a, 0, "y", 2.0)?),
        ))
    }),
    row("root", root),
    row("human_readable", human_readable),
    row("human_to_bytes", human_to_bytes),
    row("filesizeformat", filesizeformat),
];

/// Python's `int()` of text, underscores included.
fn parse_int(text: &str, base: u32) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let digits = match base {
        16 => lower.strip_prefix("0x").unwrap_or(&lower),
        8 => lower.strip_prefix("0o").unwrap_or(&lower),
        2 => lower.strip_prefix("0b").unwrap_or(&lower),
        _ => &lower,
    };
    let malformed =
        digits.starts_with(['_', '-', '+']) || digits.ends_with('_') || digits.contains("__");
    if malformed {
        return None;
    }
    let value = i64::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -value } else { value })
}

fn parse_float(text: &str) -> Option<f64> {
    text.trim().replace('_', "").parse().ok()
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
#[expect(clippy::cast_precision_loss, reason = "only the bounds are compared")]
fn truncated(f: f64) -> Option<i64> {
    (f.is_finite() && f.abs() < i64::MAX as f64).then_some(f.trunc() as i64)
}

fn int(_: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let base = u32::try_from(args.int(1, "base", 10)?)
        .unwrap_or(10)
        .clamp(2, 36);
    let value = match input {
        Val::Int(i) => Some(*i),
        Val::Bool(b) => Some(i64::from(*b)),
        Val::Float(f) => truncated(*f),
        Val::Str(text) => parse_int(text.as_str(), base)
            .or_else(|| parse_float(text.as_str()).and_then(truncated)),
        _ => None,
    };
    Ok(match value {
        Some(i) => Val::Int(i),
        None => args.get(0, "default").cloned().unwrap_or(Val::Int(0)),
    })
}

#[expect(clippy::cast_precision_loss, reason = "as Python's float() does")]
fn float(input: &Val, args: &Args) -> Val {
    let value = match input {
        Val::Int(i) => Some(*i as f64),
        Val::Bool(b) => Some(f64::from(u8::from(*b))),
        Val::Float(f) => Some(*f),
        Val::Str(text) => parse_float(text.as_str()),
        _ => None,
    };
    match value {
        Some(f) => Val::Float(f),
        None => args.get(0, "default").cloned().unwrap_or(Val::Float(0.0)),
    }
}

#[expect(
    clippy::float_cmp,
    reason = "1.0 is true as in ansible-core, nothing near it"
)]
fn bool_filter(eval: &Eval<'_>, input: &Val) -> bool {
    let known = match input {
        Val::Bool(b) => Some(*b),
        Val::Int(1) => Some(true),
        Val::Int(0) => Some(false),
        Val::Str(text) => match text.as_str().to_lowercase().as_str() {
            "yes" | "on" | "true" | "1" => Some(true),
            "no" | "off" | "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    if let Some(known) = known {
        return known;
    }
    eval.world
        .warn("the `bool` filter was given a value that is no boolean");
    matches!(input, Val::Float(f) if *f == 1.0)
}

#[expect(clippy::cast_precision_loss, reason = "as Python's float() does")]
fn number(_: &Eval<'_>, value: &Val, what: &str) -> Result<f64> {
    match value {
        Val::Int(i) => Ok(*i as f64),
        Val::Bool(b) => Ok(f64::from(u8::from(*b))),
        Val::Float(f) => Ok(*f),
        _ => Err(Problem::other(format!(
            "{what}() can only be used on numbers"
        ))),
    }
}

fn number_arg(eval: &Eval<'_>, args: &Args, i: usize, name: &str, default: f64) -> Result<f64> {
    args.get(i, name)
        .map_or(Ok(default), |v| number(eval, v, name))
}

fn abs(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    match input {
        Val::Int(i) => Ok(Val::Int(i.saturating_abs())),
        other => Ok(Val::Float(number(eval, other, "abs")?.abs())),
    }
}

fn round(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let digits = i32::try_from(args.int(0, "precision", 0)?).unwrap_or(0);
    let value = number(eval, input, "round")?;
    let factor = 10f64.powi(digits);
    Ok(match args.text(1, "method", "common")?.as_str() {
        "ceil" => Val::Float((value * factor).ceil() / factor),
        "floor" => Val::Float((value * factor).floor() / factor),
        "common" => match (input, usize::try_from(digits)) {
            (Val::Int(_), Ok(_)) => input.clone(),
            // The decimal expansion is exact, ties go to even, as in Python.
            (_, Ok(digits)) => Val::Float(format!("{value:.digits$}").parse().unwrap_or(value)),
            (Val::Int(_), Err(_)) => {
                Val::Int(truncated((value * factor).round_ties_even() / factor).unwrap_or(0))
            }
            _ => Val::Float((value * factor).round_ties_even() / factor),
        },
        _ => return Err(Problem::other("method must be common, ceil or floor")),
    })
}

#[expect(clippy::float_cmp, reason = "the bases with exact functions")]
fn log(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let value = number(eval, input, "log")?;
    if value <= 0.0 {
        return Err(Problem::other("math domain error"));
    }
    let base = number_arg(eval, args, 0, "base", std::f64::consts::E)?;
    Ok(Val::Float(if base == 10.0 {
        value.log10()
    } else {
        value.ln() / base.ln()
    }))
}

#[expect(clippy::float_cmp, reason = "the square root is exact")]
fn root(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let value = number(eval, input, "root")?;
    let base = number_arg(eval, args, 0, "base", 2.0)?;
    if value < 0.0 {
        return Err(Problem::other("math domain error"));
    }
    Ok(Val::Float(if base == 2.0 {
        value.sqrt()
    } else {
        value.powf(1.0 / base)
    }))
}

/// Units, largest first (ansible-core 2.19, `module_utils/common/text/formatters.py`).
const UNITS: &[(&str, f64)] = &[
    ("Y", 1_208_925_819_614_629_174_706_176.0),
    ("Z", 1_180_591_620_717_411_303_424.0),
    ("E", 1_152_921_504_606_846_976.0),
    ("P", 1_125_899_906_842_624.0),
    ("T", 1_099_511_627_776.0),
    ("G", 1_073_741_824.0),
    ("M", 1_048_576.0),
    ("K", 1024.0),
    ("B", 1.0),
];

fn human_readable(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let size = number(eval, input, "human_readable")
        .map_err(|_| Problem::other("human_readable() failed on bad input"))?;
    let is_bits = args.flag(eval, 0, "isbits")?;
    let unit = match args.get(1, "unit") {
        Some(Val::Null) | None => None,
        Some(unit) => Some(eval.text(unit)?),
    };
    let base = if is_bits { "bits" } else { "Bytes" };
    let chosen = UNITS.iter().find(|(suffix, limit)| match &unit {
        None => size >= *limit,
        Some(unit) => unit.to_uppercase().starts_with(suffix),
    });
    let (suffix, limit) = chosen.copied().unwrap_or(("B", 1.0));
    let suffix = if limit <= 1.0 {
        base.to_owned()
    } else {
        format!("{suffix}{}", if is_bits { "b" } else { "B" })
    };
    Ok(Val::str(format!("{:.2} {suffix}", size / limit)))
}

fn human_to_bytes(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let refuse = || Problem::other("human_to_bytes() can't interpret the input");
    let text = eval.text(input)?;
    let is_bits = args.flag(eval, 1, "isbits")?;
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let value: f64 = text[..digits].parse().map_err(|_| refuse())?;
    let rest = text[digits..].trim();
    let unit = if rest.is_empty() {
        match args.get(0, "default_unit") {
            Some(Val::Null) | None => String::new(),
            Some(unit) => eval.text(unit)?,
        }
    } else {
        rest.to_owned()
    };
    let Some(first) = unit.chars().next() else {
        return truncated(value.round_ties_even())
            .map(Val::Int)
            .ok_or_else(refuse);
    };
    let key = first.to_uppercase().to_string();
    let (_, limit) = UNITS
        .iter()
        .find(|(suffix, _)| **suffix == key)
        .ok_or_else(refuse)?;
    let (class, word) = if is_bits { ("b", "bit") } else { ("B", "byte") };
    let is_valid = unit.len() == 1 && (key != "B" || unit == class || is_bits)
        || unit.eq_ignore_ascii_case(word)
        || unit.eq_ignore_ascii_case(&format!("{word}s"))
        || (unit.len() == 2 && unit.ends_with(class))
        || matches!(&unit.to_lowercase()[1..], tail if WORDS.iter().any(|w| {
            w.starts_with(&key.to_lowercase()) && w[1..] == format!("{}{word}", &tail[..tail.len().saturating_sub(word.len())])
                && *w == unit.to_lowercase()
        }));
    if !is_valid {
        return Err(refuse());
    }
    truncated((value * limit).round_ties_even())
        .map(Val::Int)
        .ok_or_else(refuse)
}

const WORDS: &[&str] = &[
    "kilobyte",
    "megabyte",
    "gigabyte",
    "terabyte",
    "petabyte",
    "exabyte",
    "zettabyte",
    "yottabyte",
    "kilobit",
    "megabit",
    "gigabit",
    "terabit",
    "petabit",
    "exabit",
    "zettabit",
    "yottabit",
];

fn filesizeformat(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let bytes = match input {
        Val::Str(text) => parse_float(text.as_str()).unwrap_or(0.0),
        other => number(eval, other, "filesizeformat")?,
    };
    let binary = args.flag(eval, 0, "binary")?;
    let (base, infix): (f64, _) = if binary { (1024.0, "i") } else { (1000.0, "") };
    let prefixes = if binary { "KMGTPEZY" } else { "kMGTPEZY" };
    if (bytes - 1.0).abs() < f64::EPSILON {
        return Ok(Val::str("1 Byte"));
    }
    if bytes < base {
        return Ok(Val::str(format!("{bytes:.0} Bytes")));
    }
    let mut unit = base;
    let mut chosen = String::new();
    for prefix in prefixes.chars() {
        chosen = format!("{:.1} {prefix}{infix}B", bytes / unit);
        unit *= base;
        if bytes < unit {
            break;
        }
    }
    Ok(Val::str(chosen))
}
