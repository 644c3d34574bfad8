//! Directories made with their parents, and attributes set on everything below one.
//!
//! Source: ansible-core 2.19, `modules/file.py`, `ensure_directory` and `recursive_set_attributes`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Failure;
use super::file_args::{AttrChange, Settled, word_of_seen};
use super::file_states::{Sight, Steps, Task};
use super::path_state::{Kind, Node, octal};
use crate::script::quote;

/// The directories that are not there, parents first, as `sb_missing` reported them.
pub(super) fn missing(fields: &BTreeMap<String, String>) -> Vec<String> {
    let mut paths: Vec<String> = (1..)
        .map_while(|i| fields.get(&format!("missing.{i}")).cloned())
        .collect();
    paths.reverse();
    paths
}

/// Appends the lines that make `paths` (parents first) and that remove them again; each takes the
/// next number in the keep from `keep` on.
pub(super) fn make_directories(
    settled: Settled<'_>,
    paths: &[String],
    apply: &mut String,
    undo: &mut String,
    keep: usize,
    words: &mut Vec<String>,
) {
    let (uid, gid) = settled.new_owner();
    let owner = match (uid.as_str(), gid.as_str()) {
        ("", "") => String::new(),
        (uid, "") => uid.to_owned(),
        (uid, gid) => format!("{uid}:{gid}"),
    };
    let mode = settled
        .wanted
        .mode
        .map(|_| octal(settled.new_mode(0o777, true)));
    let mut undo_lines = Vec::new();
    for (i, path) in paths.iter().enumerate() {
        let word = word_of_seen(path);
        let number = keep + i;
        let umask = if mode.is_some() { "umask 077; " } else { "" };
        let _ = writeln!(
            apply,
            "sb_keep {number} {word}\n[ -d {word} ] || ({umask}mkdir {word}) || [ -d {word} ] || sb_fail 'cannot make a directory'"
        );
        if !owner.is_empty() {
            let _ = writeln!(
                apply,
                "chown -h {} {word} || sb_fail 'chown failed'",
                quote(&owner)
            );
        }
        if let Some(mode) = &mode {
            let _ = writeln!(apply, "chmod 0{mode} {word} || sb_fail 'chmod failed'");
        }
        undo_lines.push(format!("sb_back {number} {word}\n"));
        words.push(format!("make the directory `{path}`"));
    }
    undo.extend(undo_lines.into_iter().rev());
}

/// Each record of `sb_tree`.
pub(super) fn tree(body: &[u8]) -> Vec<(String, Node)> {
    let text = String::from_utf8_lossy(body);
    text.split("\n//\n")
        .filter_map(|record| {
            let mut words = record.splitn(4, ' ');
            let st_mode = u32::from_str_radix(words.next()?, 16).ok()?;
            let uid = words.next()?.parse().ok()?;
            let gid = words.next()?.parse().ok()?;
            let node = Node {
                st_mode,
                uid,
                gid,
                ..Node::default()
            };
            Some((words.next()?.to_owned(), node))
        })
        .collect()
}

/// As many paths go in one command.
const PATHS_MAX: usize = 200;

/// Sets owner, group and mode of everything below a directory. Source: `recursive_set_attributes`. Equal changes go in one command.
pub(super) fn recurse(
    task: &Task<'_>,
    sight: &Sight<'_>,
    steps: &mut Steps,
) -> Result<(), Failure> {
    if std::str::from_utf8(sight.body).is_err() {
        return Err(sight.refuse(
            "a name below the directory is not UTF-8: `recurse` cannot name it".to_owned(),
        ));
    }
    let (own, followed) = halves(sight.body);
    let own = tree(own);
    let has_links = own.iter().any(|(_, node)| node.kind() == Kind::Link);
    let mut changes = Changes::new();
    let mut undos = Undos::new();
    let mut note = |path: String, node: &Node, follows: bool| -> Result<(), Failure> {
        let change = task.settled.changes(node)?;
        if !change.is_empty() {
            undos
                .entry((node.uid, node.gid, node.mode(), follows))
                .or_default()
                .push(path.clone());
            changes
                .entry((key(change), follows))
                .or_default()
                .push(path);
        }
        Ok(())
    };
    for (path, node) in &own {
        note(path.clone(), node, false)?;
    }
    let known: std::collections::BTreeSet<&String> = own
        .iter()
        .filter(|(_, node)| node.kind() != Kind::Link)
        .map(|(path, _)| path)
        .collect();
    if has_links {
        for (path, node) in tree(followed) {
            if !known.contains(&path) {
                note(path, &node, true)?;
            }
        }
    }
    let count: usize = changes.values().map(Vec::len).sum();
    if count > 0 {
        steps
            .words
            .push(format!("attributes of {count} entries below it"));
    }
    write(steps, &changes, &undos);
    Ok(())
}

/// What is below the directory, and what is there when links are followed.
fn halves(body: &[u8]) -> (&[u8], &[u8]) {
    if let Some(followed) = body.strip_prefix(b"/\n") {
        return (&[], followed);
    }
    let at = body.windows(6).position(|bytes| bytes == b"\n//\n/\n");
    let split = at.map_or(body.len(), |at| at + 4);
    (&body[..split], body.get(split + 2..).unwrap_or(&[]))
}

/// Paths by what is to be done to them; the last part tells whether a link is followed.
type Changes = BTreeMap<(AttrKey, bool), Vec<String>>;
/// Paths by owner, group and mode as they were, and whether a link is followed.
type Undos = BTreeMap<(u32, u32, u32, bool), Vec<String>>;

fn write(steps: &mut Steps, changes: &Changes, undos: &Undos) {
    for (((owner, mode), follows), paths) in changes {
        for chunk in paths.chunks(PATHS_MAX) {
            let paths = join(chunk);
            if !owner.is_empty() {
                let flag = if *follows { "" } else { "-h " };
                let _ = writeln!(
                    steps.apply,
                    "chown {flag}{owner} {paths} || sb_fail 'chown failed'"
                );
            }
            if let Some(mode) = mode {
                let _ = writeln!(
                    steps.apply,
                    "chmod 0{} {paths} || sb_fail 'chmod failed'",
                    octal(*mode)
                );
            }
        }
    }
    for ((uid, gid, mode, follows), paths) in undos {
        for chunk in paths.chunks(PATHS_MAX) {
            let followed = if *follows { "_followed" } else { "" };
            let _ = writeln!(
                steps.undo,
                "sb_reset{followed} {uid} {gid} 0{} {}",
                octal(*mode),
                join(chunk)
            );
        }
    }
}

/// Owner for `chown` and mode for `chmod`.
type AttrKey = (String, Option<u32>);

fn key(change: AttrChange) -> AttrKey {
    (change.owner(), change.mode.map(|(_, new)| new))
}

fn join(paths: &[String]) -> String {
    paths
        .iter()
        .map(|path| word_of_seen(path))
        .collect::<Vec<_>>()
        .join(" ")
}
