//! Filters on paths. Only text is looked at, except where the name says otherwise.

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val};

pub(super) const FILTERS: &[Filter] = &[
    row("basename", |e, v, _| Ok(Val::str(split(&e.text(v)?).1))),
    row("dirname", |e, v, _| Ok(Val::str(split(&e.text(v)?).0))),
    row("splitext", splitext),
    row("expanduser", |e, v, _| {
        Ok(Val::str(expand_user(e, &e.text(v)?)))
    }),
    row("expandvars", |e, v, _| {
        Ok(Val::str(expand_vars(e, &e.text(v)?)))
    }),
    row("realpath", |e, v, _| {
        let path = e.world.real_path(std::path::Path::new(&e.text(v)?));
        Ok(Val::str(path.to_string_lossy().into_owned()))
    }),
    row("normpath", |e, v, _| Ok(Val::str(normal(&e.text(v)?)))),
    row("relpath", relpath),
    row("path_join", path_join),
    row("commonpath", commonpath),
    row("win_basename", |e, v, _| {
        Ok(Val::str(split(&e.text(v)?.replace('\\', "/")).1))
    }),
    row("fileglob", |e, v, _| {
        let found = e.world.glob(&e.text(v)?);
        Ok(Val::strings(
            found.iter().map(|p| p.to_string_lossy().into_owned()),
        ))
    }),
];

/// Python's `os.path.split`.
pub(crate) fn split(path: &str) -> (String, String) {
    let at = path.rfind('/').map_or(0, |i| i + 1);
    let (head, tail) = path.split_at(at);
    let stripped = head.trim_end_matches('/');
    let head = if stripped.is_empty() { head } else { stripped };
    (head.to_owned(), tail.to_owned())
}

fn splitext(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    let path = eval.text(input)?;
    let name_at = path.rfind('/').map_or(0, |i| i + 1);
    let name = &path[name_at..];
    let leading = name.len() - name.trim_start_matches('.').len();
    let at = name[leading..]
        .rfind('.')
        .map_or(path.len(), |i| name_at + leading + i);
    Ok(Val::tuple(vec![
        Val::str(&path[..at]),
        Val::str(&path[at..]),
    ]))
}

/// `~` and `~user` at the start.
pub(crate) fn expand_user(eval: &Eval<'_>, path: &str) -> String {
    let Some(rest) = path.strip_prefix('~') else {
        return path.to_owned();
    };
    let (user, tail) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let home = eval.world.home((!user.is_empty()).then_some(user));
    home.map_or_else(
        || path.to_owned(),
        |home| format!("{}{tail}", home.trim_end_matches('/')),
    )
}

/// `$NAME` and `${NAME}` of the controller's environment; unknown names stay.
pub(crate) fn expand_vars(eval: &Eval<'_>, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.strip_prefix('{').and_then(|r| r.split_once('}'));
        let (name, length) = if let Some((name, _)) = braced {
            (name, name.len() + 2)
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            (&rest[..end], end)
        };
        if let Some(value) = eval.world.env(name).filter(|_| !name.is_empty()) {
            out.push_str(&value);
        } else {
            out.push('$');
            out.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// Python's `os.path.normpath`.
pub(crate) fn normal(path: &str) -> String {
    let slashes = match path.len() - path.trim_start_matches('/').len() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." && parts.last().is_some_and(|p| *p != "..") {
            parts.pop();
        } else if part != ".." || slashes.is_empty() {
            parts.push(part);
        }
    }
    let joined = format!("{slashes}{}", parts.join("/"));
    if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

fn absolute(eval: &Eval<'_>, path: &str) -> String {
    if path.starts_with('/') {
        return normal(path);
    }
    let here = eval.world.real_path(std::path::Path::new("."));
    normal(&format!("{}/{path}", here.to_string_lossy()))
}

fn relpath(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let path = absolute(eval, &eval.text(input)?);
    let start = absolute(eval, &args.text(0, "start", ".")?);
    let parts = |p: &str| {
        p.split('/')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (path, start): (Vec<String>, Vec<String>) = (parts(&path), parts(&start));
    let common = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let mut out = vec!["..".to_owned(); start.len() - common];
    out.extend_from_slice(&path[common..]);
    Ok(Val::str(if out.is_empty() {
        ".".to_owned()
    } else {
        out.join("/")
    }))
}

fn path_join(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    if let Val::Str(_) = input {
        return Ok(input.clone());
    }
    if !input.is_sequence() {
        return Err(Problem::other(format!(
            "|path_join expects string or sequence, got <class '{}'> instead.",
            input.type_name()
        )));
    }
    let mut out = String::new();
    for part in eval.items(input)? {
        let Some(part) = part.as_str() else {
            return Err(Problem::other(format!(
                "join() argument must be str, bytes, or os.PathLike object, not '{}'",
                part.type_name()
            )));
        };
        if part.starts_with('/') || out.is_empty() {
            part.clone_into(&mut out);
        } else if out.ends_with('/') {
            out.push_str(part);
        } else {
            out.push('/');
            out.push_str(part);
        }
    }
    Ok(Val::str(out))
}

fn commonpath(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    if !input.is_sequence() {
        return Err(Problem::other(format!(
            "|commonpath expects sequence, got <class '{}'> instead.",
            input.type_name()
        )));
    }
    let mut common: Option<Vec<String>> = None;
    let mut is_absolute = None;
    for path in eval.items(input)? {
        let path = eval.text(&path)?;
        if is_absolute.is_some_and(|a| a != path.starts_with('/')) {
            return Err(Problem::other("Can't mix absolute and relative paths"));
        }
        is_absolute = Some(path.starts_with('/'));
        let parts = path
            .split('/')
            .filter(|p| !p.is_empty() && *p != ".")
            .map(str::to_owned);
        common = Some(match common {
            None => parts.collect(),
            Some(old) => old
                .into_iter()
                .zip(parts)
                .take_while(|(a, b)| a == b)
                .map(|p| p.0)
                .collect(),
        });
    }
    let Some(common) = common else {
        return Err(Problem::other("commonpath() arg is an empty sequence"));
    };
    let slash = if is_absolute == Some(true) { "/" } else { "" };
    Ok(Val::str(format!("{slash}{}", common.join("/"))))
}
