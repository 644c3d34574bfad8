//! Tests on paths of the controller.

use std::path::Path;

use super::{Test, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::scope::{PathKind, PathStat};
use crate::template::val::{Args, Val};

pub(super) const TESTS: &[Test] = &[
    row("directory", |e, v, _| {
        is(e, v, true, |s| s.kind == PathKind::Directory)
    }),
    row("is_dir", |e, v, _| {
        is(e, v, true, |s| s.kind == PathKind::Directory)
    }),
    row("file", |e, v, _| {
        is(e, v, true, |s| s.kind == PathKind::File)
    }),
    row("is_file", |e, v, _| {
        is(e, v, true, |s| s.kind == PathKind::File)
    }),
    row("link", |e, v, _| {
        is(e, v, false, |s| s.kind == PathKind::Link)
    }),
    row("is_link", |e, v, _| {
        is(e, v, false, |s| s.kind == PathKind::Link)
    }),
    row("exists", |e, v, _| is(e, v, true, |_| true)),
    row("link_exists", |e, v, _| is(e, v, false, |_| true)),
    row("abs", |e, v, _| Ok(e.text(v)?.starts_with('/'))),
    row("is_abs", |e, v, _| Ok(e.text(v)?.starts_with('/'))),
    row("same_file", same_file),
    row("is_same_file", same_file),
    row("mount", mount),
    row("is_mount", mount),
    row("vaulted_file", vaulted_file),
];

fn is(eval: &Eval<'_>, value: &Val, follow: bool, test: fn(PathStat) -> bool) -> Result<bool> {
    Ok(eval
        .world
        .stat(Path::new(&eval.text(value)?), follow)
        .is_some_and(test))
}

fn same_file(eval: &Eval<'_>, value: &Val, args: &Args) -> Result<bool> {
    let stat = |path: String| {
        eval.world
            .stat(Path::new(&path), true)
            .ok_or_else(|| Problem::other(format!("No such file or directory: '{path}'")))
    };
    let (a, b) = (stat(eval.text(value)?)?, stat(args.required(0, "path")?)?);
    Ok(a.device == b.device && a.inode == b.inode)
}

fn mount(eval: &Eval<'_>, value: &Val, _: &Args) -> Result<bool> {
    let path = eval.text(value)?;
    let path = Path::new(&path);
    let Some(stat) = eval.world.stat(path, false) else {
        return Ok(false);
    };
    if stat.kind == PathKind::Link {
        return Ok(false);
    }
    let Some(parent) = eval.world.stat(&path.join(".."), false) else {
        return Ok(false);
    };
    Ok(stat.device != parent.device || stat.inode == parent.inode)
}

fn vaulted_file(eval: &Eval<'_>, value: &Val, _: &Args) -> Result<bool> {
    let path = eval.text(value)?;
    let bytes = eval
        .world
        .read_raw(Path::new(&path))
        .map_err(Problem::other)?;
    Ok(bytes.starts_with(b"$ANSIBLE_VAULT;"))
}
