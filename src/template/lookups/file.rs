//! Lookups that read files or run commands on the controller.

use std::path::{Path, PathBuf};

use super::{Lookup, lenient, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::filters::path::expand_user;
use crate::template::val::{Args, Val};

pub(super) const LOOKUPS: &[Lookup] = &[
    row("file", file),
    row("unvault", unvault),
    row("template", template),
    row("fileglob", fileglob),
    lenient("first_found", first_found),
    row("pipe", pipe),
    row("lines", lines),
    row("url", |_, _| {
        Err(Problem::other("the url lookup is not supported"))
    }),
];

fn find(eval: &Eval<'_>, kind: &str, name: &str) -> Option<PathBuf> {
    let name = expand_user(eval, name);
    if name.starts_with('/') {
        let path = PathBuf::from(name);
        return eval.world.stat(&path, true).map(|_| path);
    }
    eval.world.search_path(kind, &name)
}

/// The text of a file on the search path.
pub(super) fn read(eval: &Eval<'_>, kind: &str, name: &str) -> Result<String> {
    let path = find(eval, kind, name).ok_or_else(|| {
        Problem::other(format!(
            "the file `{name}` was not found on the search path: No such file or directory"
        ))
    })?;
    read_path(eval, &path)
}

fn read_path(eval: &Eval<'_>, path: &Path) -> Result<String> {
    // What someone encrypted stays secret once it is decrypted.
    if eval
        .world
        .read_raw(path)
        .is_ok_and(|bytes| bytes.starts_with(b"$ANSIBLE_VAULT;"))
    {
        eval.note_secret();
    }
    let bytes = eval.world.read_file(path).map_err(Problem::other)?;
    String::from_utf8(bytes)
        .map_err(|_| Problem::other(format!("the file `{}` is not UTF-8", path.display())))
}

fn file(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let left = args.option_flag(eval, "lstrip", false)?;
    let right = args.option_flag(eval, "rstrip", true)?;
    let mut out = Vec::new();
    for name in args.strings(eval)? {
        let text = read(eval, "files", &name)?;
        let text = if left { text.trim_start() } else { &text };
        let text = if right { text.trim_end() } else { text };
        out.push(Val::str(text));
    }
    Ok(out)
}

fn unvault(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    eval.note_secret();
    let names = args.strings(eval)?;
    names
        .iter()
        .map(|name| read(eval, "files", name).map(Val::str))
        .collect()
}

fn template(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for name in args.strings(eval)? {
        let text = read(eval, "templates", &name)?;
        out.push(eval.template_lookup(&text, args)?);
    }
    Ok(out)
}

fn fileglob(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for pattern in args.strings(eval)? {
        let found = eval.world.glob(&expand_user(eval, &pattern));
        out.extend(
            found
                .iter()
                .map(|p| Val::str(p.to_string_lossy().into_owned())),
        );
    }
    Ok(out)
}

fn pipe(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for command in args.strings(eval)? {
        let text = eval.world.pipe(&command).map_err(Problem::other)?;
        out.push(Val::str(text.trim_end()));
    }
    Ok(out)
}

fn lines(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for command in args.strings(eval)? {
        let text = eval.world.pipe(&command).map_err(Problem::other)?;
        out.extend(text.lines().map(Val::str));
    }
    Ok(out)
}

/// The names to try, with `files` and `paths` combined.
fn candidates(eval: &Eval<'_>, term: &Val, skip: &mut bool, out: &mut Vec<String>) -> Result<()> {
    if term.is_mapping() {
        let part = |name: &str| -> Result<Vec<String>> {
            match eval.item(term, &Val::str(name))? {
                Val::Marker(_) | Val::Null => Ok(Vec::new()),
                Val::Str(text) => Ok(text
                    .as_str()
                    .split([',', ';'])
                    .flat_map(|p| {
                        if name == "paths" {
                            p.split(':').collect()
                        } else {
                            vec![p]
                        }
                    })
                    .map(|p| p.trim().to_owned())
                    .collect()),
                list => eval.items(&list)?.iter().map(|v| eval.text(v)).collect(),
            }
        };
        let (files, paths) = (part("files")?, part("paths")?);
        if let Some(flag) = match eval.item(term, &Val::str("skip"))? {
            Val::Marker(_) => None,
            flag => Some(flag),
        } {
            *skip = eval.truth(&flag)?;
        }
        if paths.is_empty() {
            out.extend(files);
        } else if files.is_empty() {
            out.extend(paths);
        } else {
            for path in &paths {
                out.extend(
                    files
                        .iter()
                        .map(|f| format!("{}/{f}", path.trim_end_matches('/'))),
                );
            }
        }
        return Ok(());
    }
    if term.is_sequence() {
        for item in eval.items(term)? {
            if !matches!(item, Val::Marker(_)) {
                candidates(eval, &item, skip, out)?;
            }
        }
        return Ok(());
    }
    out.push(eval.text(term)?);
    Ok(())
}

fn first_found(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut names = Vec::new();
    let mut skip = false;
    // A name that cannot be rendered, say without a fact, is one that is not found.
    for term in args.list.iter().filter(|t| !matches!(t, Val::Marker(_))) {
        candidates(eval, term, &mut skip, &mut names)?;
    }
    if args.option("files").is_some() || args.option("paths").is_some() {
        let options = args
            .named
            .iter()
            .map(|(n, v)| (n.to_string(), v.clone()))
            .collect();
        candidates(eval, &Val::dict(options), &mut skip, &mut names)?;
    }
    skip |= args.option_flag(eval, "skip", false)?;
    for name in &names {
        for kind in ["files", "templates", "vars"] {
            if let Some(path) = find(eval, kind, name) {
                return Ok(vec![Val::str(path.to_string_lossy().into_owned())]);
            }
        }
    }
    if skip {
        return Ok(Vec::new());
    }
    Err(Problem::other("No file was found when using first_found."))
}
