//! Filters on strings: Jinja's own.

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::python;
use crate::template::val::{Args, Val};

pub(super) const FILTERS: &[Filter] = &[
    row("string", |e, v, _| e.shown(v).map(Val::str)),
    row("lower", |e, v, _| Ok(Val::str(e.text(v)?.to_lowercase()))),
    row("upper", |e, v, _| Ok(Val::str(e.text(v)?.to_uppercase()))),
    row("trim", trim),
    row("capitalize", capitalize),
    row("title", title),
    row("replace", replace),
    row("split", split),
    row("splitlines", |e, v, _| {
        Ok(Val::strings(python::split_lines(&e.text(v)?, false)))
    }),
    row("indent", indent),
    row("center", center),
    row("format", format),
    row("truncate", truncate),
    row("wordcount", |e, v, _| {
        Ok(crate::template::val::count(
            e.text(v)?.split_whitespace().count(),
        ))
    }),
    row("wordwrap", wordwrap),
    row("escape", escape),
    row("e", escape),
    row("forceescape", escape),
    row("safe", |_, v, _| Ok(v.clone())),
    row("striptags", striptags),
    row("urlencode", urlencode),
    row("urldecode", urldecode),
    row("urlsplit", urlsplit),
    row("pprint", |e, v, _| python::printf::repr(e, v).map(Val::str)),
];

fn trim(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    let chars: Vec<char> = args.text(0, "chars", "")?.chars().collect();
    Ok(Val::str(if chars.is_empty() {
        text.trim()
    } else {
        text.trim_matches(&chars[..])
    }))
}

fn capitalize(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    Ok(Val::str(python::capitalize(&eval.text(input)?)))
}

/// Jinja's title: words end at white space, `-`, `(`, `{`, `[`, `<`.
fn title(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    let mut out = String::new();
    let mut at_start = true;
    for c in eval.text(input)?.chars() {
        if at_start {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        at_start = c.is_whitespace() || "-({[<".contains(c);
    }
    Ok(Val::str(out))
}

fn replace(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    let old = args
        .get(0, "old")
        .map_or(Ok(String::new()), |v| eval.text(v))?;
    let new = args
        .get(1, "new")
        .map_or(Ok(String::new()), |v| eval.text(v))?;
    Ok(Val::str(match usize::try_from(args.int(2, "count", -1)?) {
        Ok(limit) => text.replacen(&old, &new, limit),
        Err(_) => text.replace(&old, &new),
    }))
}

fn split(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    if input.as_str().is_none() {
        return Err(Problem::other(format!(
            "'{}' object has no attribute 'split'",
            input.type_name()
        )));
    }
    python::call_method(eval, input, &std::sync::Arc::from("split"), args)
}

fn indent(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    let width = match args.get(0, "width") {
        Some(Val::Str(text)) => text.as_str().to_owned(),
        _ => " ".repeat(
            usize::try_from(args.int(0, "width", 4)?)
                .unwrap_or(0)
                .min(1000),
        ),
    };
    let first = args.flag(eval, 1, "first")?;
    let blank = args.flag(eval, 2, "blank")?;
    let mut out = String::new();
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if (i > 0 || first) && (blank || !line.is_empty()) {
            out.push_str(&width);
        }
        out.push_str(line);
    }
    eval.produce(out.len())?;
    Ok(Val::str(out))
}

fn center(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let width = Val::Int(args.int(0, "width", 80)?);
    let text = Val::str(eval.text(input)?);
    let args = Args {
        list: vec![width],
        named: Vec::new(),
    };
    python::call_method(eval, &text, &std::sync::Arc::from("center"), &args)
}

fn format(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let values = if args.named.is_empty() {
        Val::tuple(args.list.clone())
    } else {
        Val::dict(
            args.named
                .iter()
                .map(|(n, v)| (n.to_string(), v.clone()))
                .collect(),
        )
    };
    python::printf::format(eval, &eval.text(input)?, &values).map(Val::str)
}

fn truncate(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let chars: Vec<char> = eval.text(input)?.chars().collect();
    let length = usize::try_from(args.int(0, "length", 255)?).unwrap_or(0);
    let kill_words = args.flag(eval, 1, "killwords")?;
    let end = args.text(2, "end", "...")?;
    let leeway = usize::try_from(args.int(3, "leeway", 5)?).unwrap_or(0);
    if chars.len() <= length + leeway {
        return Ok(Val::str(chars.into_iter().collect::<String>()));
    }
    let kept = length.saturating_sub(end.chars().count());
    let cut: String = chars[..kept].iter().collect();
    let cut = if kill_words {
        cut.as_str()
    } else {
        cut.rsplit_once(' ').map_or(&*cut, |p| p.0)
    };
    Ok(Val::str(format!("{cut}{end}")))
}

fn wordwrap(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let width = usize::try_from(args.int(0, "width", 79)?)
        .unwrap_or(79)
        .max(1);
    let wrap = args.text(2, "wrapstring", "\n")?;
    let mut lines = Vec::new();
    for line in python::split_lines(&eval.text(input)?, false) {
        let mut current = String::new();
        for word in line.split(' ') {
            let mut word = word;
            let fits = current.chars().count() + 1 + word.chars().count() <= width;
            if !current.is_empty() && !fits {
                lines.push(std::mem::take(&mut current));
            } else if !current.is_empty() {
                current.push(' ');
            }
            while word.chars().count() > width {
                let at = word
                    .char_indices()
                    .nth(width)
                    .map_or(word.len(), |(i, _)| i);
                lines.push(word[..at].to_owned());
                word = &word[at..];
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    Ok(Val::str(lines.join(&wrap)))
}

fn escape(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    let mut out = String::new();
    for c in eval.text(input)?.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Ok(Val::str(out))
}

fn striptags(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    let mut out = String::new();
    let mut inside = false;
    for c in eval.text(input)?.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    Ok(Val::str(
        out.split_whitespace().collect::<Vec<_>>().join(" "),
    ))
}

fn percent(text: &str, keep: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || b"_.-~".contains(&byte)
            || keep.as_bytes().contains(&byte)
        {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Python's `quote_plus`.
fn plus(text: &str) -> String {
    percent(text, " ").replace(' ', "+")
}

fn urlencode(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    if input.as_str().is_none() && (input.is_mapping() || input.is_sequence()) {
        let pairs = if input.is_mapping() {
            eval.entries(input)?
        } else {
            eval.dict_from_pairs(input)?.into_iter().collect()
        };
        let mut parts = Vec::new();
        for (key, value) in pairs {
            parts.push(format!("{}={}", plus(&key), plus(&eval.text(&value)?)));
        }
        return Ok(Val::str(parts.join("&")));
    }
    Ok(Val::str(percent(&eval.text(input)?, "/")))
}

fn urldecode(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    let text = eval.text(input)?.replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    Ok(Val::str(String::from_utf8_lossy(&bytes).into_owned()))
}

fn urlsplit(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let url = eval.text(input)?;
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, tail))
            if scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) =>
        {
            (scheme.to_lowercase(), tail)
        }
        _ => (String::new(), rest),
    };
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(tail) => tail.split_at(tail.find('/').unwrap_or(tail.len())),
        None => ("", rest),
    };
    let (user, host) = match netloc.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, netloc),
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<i64>().ok()),
        _ => (host, None),
    };
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_lowercase();
    let (username, password) =
        match user.map(|u| u.split_once(':').map_or((u, None), |(u, p)| (u, Some(p)))) {
            Some((u, p)) => (Some(u), p),
            None => (None, None),
        };
    let optional = |text: Option<&str>| text.map_or(Val::Null, Val::str);
    let parts = [
        ("fragment", Val::str(fragment)),
        (
            "hostname",
            if host.is_empty() {
                Val::Null
            } else {
                Val::str(host)
            },
        ),
        ("netloc", Val::str(netloc)),
        ("password", optional(password)),
        ("path", Val::str(path)),
        ("port", port.map_or(Val::Null, Val::Int)),
        ("query", Val::str(query)),
        ("scheme", Val::str(scheme)),
        ("username", optional(username)),
    ];
    match args.text(0, "query", "")?.as_str() {
        "" => Ok(Val::dict(
            parts.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        )),
        wanted => parts
            .into_iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
            .ok_or_else(|| Problem::other(format!("urlsplit: unknown URL component: {wanted}"))),
    }
}
