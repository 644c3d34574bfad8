//! `is version`: comparison of versions.
//!
//! Source: ansible-core 2.19, `plugins/test/core.py` and `module_utils/compat/version.py`.

use std::cmp::Ordering;

use super::{Test, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val};

pub(super) const TESTS: &[Test] = &[
    row("version", version_test),
    row("version_compare", version_test),
];

fn version_test(eval: &Eval<'_>, value: &Val, args: &Args) -> Result<bool> {
    let left = eval.text(value)?;
    let Some(right) = args.get(0, "version") else {
        return Err(Problem::other("missing required argument: 'version'"));
    };
    let right = eval.text(right)?;
    if left.is_empty() {
        return Err(Problem::other("Input version value cannot be empty"));
    }
    if right.is_empty() {
        return Err(Problem::other(
            "Version parameter to compare against cannot be empty",
        ));
    }
    let operator = args.text(1, "operator", "eq")?;
    let strict = match args.get(2, "strict") {
        Some(Val::Null) | None => false,
        Some(value) => eval.truth(value)?,
    };
    let kind = match args.get(3, "version_type") {
        Some(Val::Null) | None => if strict { "strict" } else { "loose" }.to_owned(),
        Some(_)
            if args
                .get(2, "strict")
                .is_some_and(|v| !matches!(v, Val::Null)) =>
        {
            return Err(Problem::other(
                "Cannot specify both 'strict' and 'version_type'",
            ));
        }
        Some(value) => eval.text(value)?,
    };
    let order = match kind.as_str() {
        "loose" => loose(&left, &right)?,
        "strict" => strict_order(&left, &right)?,
        "semver" | "semantic" => semantic(&left, &right)?,
        "pep440" => pep440(&left, &right)?,
        other => return Err(Problem::other(format!("Invalid version type ({other})."))),
    };
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        other => return Err(Problem::other(format!("Invalid operator type ({other})."))),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Number(u128),
    Word(String),
}

/// Runs of digits, runs of lower-case letters, and single other characters but dots.
fn parts(version: &str) -> Vec<Part> {
    let mut out = Vec::new();
    let mut rest = version;
    while let Some(c) = rest.chars().next() {
        let end = |test: fn(char) -> bool| rest.find(|c| !test(c)).unwrap_or(rest.len());
        if c == '.' {
            rest = &rest[1..];
        } else if c.is_ascii_digit() {
            let (digits, tail) = rest.split_at(end(|c| c.is_ascii_digit()));
            out.push(Part::Number(digits.parse().unwrap_or(u128::MAX)));
            rest = tail;
        } else if c.is_ascii_lowercase() {
            let (word, tail) = rest.split_at(end(|c| c.is_ascii_lowercase()));
            out.push(Part::Word(word.to_owned()));
            rest = tail;
        } else {
            let word_end =
                rest.find(|c: char| c == '.' || c.is_ascii_digit() || c.is_ascii_lowercase());
            let (word, tail) = rest.split_at(word_end.unwrap_or(rest.len()));
            out.push(Part::Word(word.to_owned()));
            rest = tail;
        }
    }
    out
}

/// Compares as distutils' `LooseVersion`; a number beside a word has no order.
pub(crate) fn loose(a: &str, b: &str) -> Result<Ordering> {
    let (left, right) = (parts(a), parts(b));
    for (x, y) in left.iter().zip(&right) {
        let order = match (x, y) {
            (Part::Number(x), Part::Number(y)) => x.cmp(y),
            (Part::Word(x), Part::Word(y)) => x.cmp(y),
            (Part::Number(_), Part::Word(_)) | (Part::Word(_), Part::Number(_)) => {
                return Err(Problem::other(
                    "Version comparison failed: '<' not supported between instances of 'int' and \
                     'str'",
                ));
            }
        };
        if order != Ordering::Equal {
            return Ok(order);
        }
    }
    Ok(left.len().cmp(&right.len()))
}

type Strict = (u64, u64, u64, Option<(char, u64)>);

fn strict_version(text: &str) -> Option<Strict> {
    let (numbers, pre) = match text.find(['a', 'b']) {
        Some(at) => {
            let kind = text[at..].chars().next()?;
            (&text[..at], Some((kind, text[at + 1..].parse().ok()?)))
        }
        None => (text, None),
    };
    let numbers: Vec<u64> = numbers
        .split('.')
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    match numbers.as_slice() {
        [major, minor] => Some((*major, *minor, 0, pre)),
        [major, minor, patch] => Some((*major, *minor, *patch, pre)),
        _ => None,
    }
}

fn strict_order(a: &str, b: &str) -> Result<Ordering> {
    let read = |text: &str| {
        strict_version(text).ok_or_else(|| {
            Problem::other(format!(
                "Version comparison failed: invalid version number '{text}'"
            ))
        })
    };
    let (x, y) = (read(a)?, read(b)?);
    Ok((x.0, x.1, x.2)
        .cmp(&(y.0, y.1, y.2))
        .then_with(|| match (x.3, y.3) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(x), Some(y)) => x.cmp(&y),
        }))
}

struct Semantic {
    core: [u64; 3],
    pre: Vec<String>,
}

fn semantic_version(text: &str) -> Option<Semantic> {
    let text = text.split_once('+').map_or(text, |(core, _)| core);
    let (core, pre) = match text.split_once('-') {
        Some((core, pre)) => (core, pre.split('.').map(str::to_owned).collect()),
        None => (text, Vec::new()),
    };
    let numbers: Vec<u64> = core
        .split('.')
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    Some(Semantic {
        core: numbers.try_into().ok()?,
        pre,
    })
}

fn semantic(a: &str, b: &str) -> Result<Ordering> {
    let read = |text: &str| {
        semantic_version(text).ok_or_else(|| {
            Problem::other(format!(
                "Version comparison failed: invalid semantic version '{text}'"
            ))
        })
    };
    let (x, y) = (read(a)?, read(b)?);
    let pre = |x: &str, y: &str| match (x.parse::<u64>(), y.parse::<u64>()) {
        (Ok(x), Ok(y)) => x.cmp(&y),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => x.cmp(y),
    };
    Ok(x.core
        .cmp(&y.core)
        .then_with(|| match (x.pre.is_empty(), y.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => x
                .pre
                .iter()
                .zip(&y.pre)
                .map(|(x, y)| pre(x, y))
                .find(|o| *o != Ordering::Equal)
                .unwrap_or_else(|| x.pre.len().cmp(&y.pre.len())),
        }))
}

/// Epoch, release, then dev < a < b < rc < final < post, as PEP 440 orders them.
fn pep440_key(text: &str) -> Option<(u64, Vec<u64>, i64, u64, u64)> {
    let text = text.trim().to_lowercase();
    let text = text.strip_prefix('v').unwrap_or(&text);
    let text = text.split_once('+').map_or(text, |(public, _)| public);
    let (epoch, text) = match text.split_once('!') {
        Some((epoch, rest)) => (epoch.parse().ok()?, rest),
        None => (0, text),
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (release, tail) = text.split_at(end);
    let mut release: Vec<u64> = release
        .trim_end_matches('.')
        .split('.')
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    while release.len() > 1 && release.last() == Some(&0) {
        release.pop();
    }
    let (mut rank, mut number, mut dev) = (3, 0, u64::MAX);
    let mut rest = tail.trim_start_matches(['-', '_', '.']);
    while !rest.is_empty() {
        let word_end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let after = after.trim_start_matches(['-', '_', '.']);
        let digits_end = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        let (digits, after) = after.split_at(digits_end);
        let value = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
        match word {
            "a" | "alpha" => (rank, number) = (0, value),
            "b" | "beta" => (rank, number) = (1, value),
            "rc" | "c" | "pre" | "preview" => (rank, number) = (2, value),
            "post" | "rev" | "r" | "" => (rank, number) = (4, value),
            "dev" => {
                dev = value;
                if rank == 3 {
                    rank = -1;
                }
            }
            _ => return None,
        }
        rest = after.trim_start_matches(['-', '_', '.']);
    }
    Some((epoch, release, rank, number, dev))
}

fn pep440(a: &str, b: &str) -> Result<Ordering> {
    let read = |text: &str| {
        pep440_key(text).ok_or_else(|| {
            Problem::other(format!(
                "Version comparison failed: Invalid version: '{text}'"
            ))
        })
    };
    Ok(read(a)?.cmp(&read(b)?))
}
