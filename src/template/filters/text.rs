//! Filters on strings: regular expressions, quoting, comments.

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::regex::{self, Flags};
use crate::template::val::{Args, Val};

pub(super) const FILTERS: &[Filter] = &[
    row("regex_replace", regex_replace),
    row("regex_search", regex_search),
    row("regex_findall", regex_findall),
    row("regex_escape", regex_escape),
    row("quote", quote),
    row("comment", comment),
];

fn flags(eval: &Eval<'_>, args: &Args, ignore_case: usize, multiline: usize) -> Result<Flags> {
    Ok(Flags {
        ignore_case: args.flag(eval, ignore_case, "ignorecase")?,
        multiline: args.flag(eval, multiline, "multiline")?,
    })
}

fn regex_replace(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    let pattern = args.text(0, "pattern", "")?;
    let replacement = args.text(1, "replacement", "")?;
    let regex = regex::compile(&pattern, flags(eval, args, 2, 3)?)?;
    let limit = usize::try_from(args.int(4, "count", 0)?).unwrap_or(0);
    let mandatory = usize::try_from(args.int(5, "mandatory_count", 0)?).unwrap_or(0);
    let (out, times) = regex::replace(&regex, &text, &replacement, limit)?;
    if mandatory != 0 && mandatory != times {
        return Err(Problem::other(format!(
            "'{pattern}' should match {mandatory} times, but matches {times} times in '{text}'"
        )));
    }
    eval.produce(out.len())?;
    Ok(Val::str(out))
}

fn regex_search(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    let pattern = args.required(0, "regex")?;
    let named = |name: &str| {
        args.named
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, v)| v)
    };
    let flag = |name: &str| named(name).map_or(Ok(false), |v| eval.truth(v));
    let flags = Flags {
        ignore_case: flag("ignorecase")?,
        multiline: flag("multiline")?,
    };
    let regex = regex::compile(&pattern, flags)?;
    let mut groups = Vec::new();
    for arg in args.list.iter().skip(1) {
        let arg = eval.text(arg)?;
        let group = match arg.strip_prefix("\\g<").and_then(|g| g.strip_suffix('>')) {
            Some(group) => Some(group),
            None => arg
                .strip_prefix('\\')
                .filter(|g| g.parse::<usize>().is_ok()),
        };
        groups.push(
            group
                .ok_or_else(|| Problem::other("Unknown argument"))?
                .to_owned(),
        );
    }
    let Some(found) = regex::search(&regex, &text)? else {
        return Ok(Val::Null);
    };
    if groups.is_empty() {
        return Ok(Val::str(found.get(0).map_or("", |m| m.as_str())));
    }
    let mut items = Vec::new();
    for group in groups {
        let index = group.parse::<usize>();
        let taken = match index {
            Ok(index) if index >= found.len() => return Err(Problem::other("no such group")),
            Ok(index) => found.get(index),
            Err(_) => found.name(&group),
        };
        items.push(taken.map_or(Val::Null, |m| Val::str(m.as_str())));
    }
    Ok(Val::list(items))
}

fn regex_findall(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    let regex = regex::compile(&args.required(0, "regex")?, flags(eval, args, 2, 1)?)?;
    let mut out = Vec::new();
    for found in regex::find_all(&regex, &text)? {
        let part = |i: usize| Val::str(found.get(i).map_or("", |m| m.as_str()));
        out.push(match found.len() {
            1 => part(0),
            2 => part(1),
            n => Val::tuple((1..n).map(part).collect()),
        });
    }
    Ok(Val::list(out))
}

fn regex_escape(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    match args.text(0, "re_type", "python")?.as_str() {
        "python" => Ok(Val::str(regex::escape(&text))),
        "posix_basic" => {
            let mut out = String::new();
            for c in text.chars() {
                if "].[^$*\\".contains(c) {
                    out.push('\\');
                }
                out.push(c);
            }
            Ok(Val::str(out))
        }
        "posix_extended" => Err(Problem::other(
            "Regex type (posix_extended) not yet implemented",
        )),
        other => Err(Problem::other(format!("Invalid regex type ({other})"))),
    }
}

fn quote(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    let text = if let Val::Null = input {
        String::new()
    } else {
        eval.text(input)?
    };
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    Ok(Val::str(if !text.is_empty() && text.chars().all(is_safe) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }))
}

fn comment(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    let style = args.text(0, "style", "plain")?;
    let (beginning, decoration, end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(Problem::other(format!("Invalid style '{other}'."))),
    };
    let newline = args.text(9, "newline", "\n")?;
    let decoration = args.text(9, "decoration", decoration)?;
    let bare = decoration.trim_end();
    let beginning = args.text(9, "beginning", beginning)?;
    let prefix = args.text(9, "prefix", bare)?;
    let postfix = args.text(9, "postfix", bare)?;
    let end = args.text(9, "end", end)?;
    let times = |name| -> Result<usize> {
        Ok(usize::try_from(args.int(9, name, 1)?)
            .unwrap_or(0)
            .min(1000))
    };
    let (before, after) = (times("prefix_count")?, times("postfix_count")?);
    let mut out = String::new();
    if !beginning.is_empty() {
        out.push_str(&beginning);
        out.push_str(&newline);
    }
    if !prefix.is_empty() {
        let line = if prefix == newline {
            newline.clone()
        } else {
            format!("{prefix}{newline}")
        };
        out.push_str(&line.repeat(before));
    }
    let body = format!(
        "{decoration}{}",
        text.replace(&newline, &format!("{newline}{decoration}"))
    );
    out.push_str(&body.replace(
        &format!("{decoration}{newline}"),
        &format!("{bare}{newline}"),
    ));
    for _ in 0..after {
        out.push_str(&newline);
        out.push_str(&postfix);
    }
    if !end.is_empty() {
        out.push_str(&newline);
        out.push_str(&end);
    }
    Ok(Val::str(out))
}
