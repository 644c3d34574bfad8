//! `copy` of a folder of the controller.
//!
//! Source: ansible-core 2.19, `plugins/action/copy.py`, `run` with a directory as source.

use std::fmt::Write as _;

use super::file_args::{Settled, Wanted, word_of_seen};
use super::file_tree::make_directories;
use super::mode::Mode;
use super::path_state::{Kind, Node, basename, failure, word};
use super::put::{Content, Put, Side, check_replies, content_diff, refused};
use super::{Act, Change, Decision, Diff, Failure, Foretell, Outcome, TreeEntry, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::Map;

/// A folder and where it is to go.
pub(super) struct Task<'a> {
    /// `src` as the user wrote it; a `/` at its end leaves the folder's own name out.
    pub(super) src: &'a str,
    /// `dest` as the user wrote it.
    pub(super) dest: &'a str,
    /// Owner, group and mode of files.
    pub(super) wanted: Wanted<'a>,
    /// Mode of directories.
    pub(super) directory_mode: Option<&'a Mode>,
    /// Whether files that are there already are replaced.
    pub(super) force: bool,
    /// `backup`.
    pub(super) backup: bool,
    /// `validate`.
    pub(super) validate: Option<&'a str>,
    /// Whether links in the folder are followed.
    pub(super) local_follow: bool,
}

/// What is collected while the entries are gone through.
#[derive(Default)]
struct Plan {
    acts: Vec<Act>,
    /// One line for each path, in the order of the acts.
    undo: Vec<String>,
    diff: Vec<Diff>,
    files: usize,
    others: usize,
}

impl Task<'_> {
    /// Fields `path` (the root at the destination), `missing.*` and `eN.*` for each entry.
    pub(super) fn probe(&self, entries: &[TreeEntry]) -> Script {
        let name = if self.src.ends_with('/') {
            ""
        } else {
            basename(self.src)
        };
        let mut sh = format!("SB_root={}\nSB_root=${{SB_root%/}}\n", word(self.dest));
        if !name.is_empty() {
            let _ = writeln!(sh, "SB_root=$SB_root/{}", quote(name));
        }
        sh.push_str("sb_kv path \"$SB_root\"\nsb_missing \"$SB_root\"\n");
        sh.push_str(&self.wanted.probe());
        for (i, entry) in entries.iter().enumerate() {
            let path = format!("\"$SB_root\"/{}", quote(&entry.relative));
            let _ = writeln!(sh, "sb_see e{i} {path}");
            if !entry.is_dir {
                let _ = writeln!(sh, "[ -L {path} ] || [ ! -e {path} ] || sb_sum e{i} {path}");
            }
        }
        sh.push_str("exit 0\n");
        Script::new(sh)
    }

    /// Compares each entry and collects what is to be done.
    pub(super) fn decide(&self, entries: &[TreeEntry], reply: &Reply) -> Result<Decision, Failure> {
        let fields = reply.fields();
        let Some(root) = fields.get("path").filter(|_| reply.rc == 0) else {
            return Err(failure("cannot look at the destination", reply));
        };
        let settled = self.wanted.settle(&fields)?;
        let mut plan = Plan::default();
        // The root is made only for something to be in it.
        let missing = super::file_tree::missing(&fields);
        if !entries.is_empty() && !missing.is_empty() {
            plan.make(self.directories(settled), &missing, entries.len() + 1);
        }
        for (i, entry) in entries.iter().enumerate() {
            let path = format!("{root}/{}", entry.relative);
            let node = Node::read(&format!("e{i}"), &fields);
            match &entry.link {
                Some(target) if !self.local_follow => {
                    plan.link(&path, target, node.as_ref(), i + 1)?;
                }
                _ if entry.is_dir => {
                    plan.directory(self.directories(settled), &path, node.as_ref(), i + 1)?;
                }
                _ => self.file(&mut plan, entry, &path, node.as_ref(), settled, i + 1)?,
            }
        }
        Ok(plan.decision(root, self))
    }

    fn directories<'b>(&'b self, settled: Settled<'b>) -> Settled<'b> {
        Settled {
            wanted: Wanted {
                mode: self.directory_mode,
                ..settled.wanted
            },
            ..settled
        }
    }

    fn file(
        &self,
        plan: &mut Plan,
        entry: &TreeEntry,
        path: &str,
        node: Option<&Node>,
        settled: Settled<'_>,
        keep: usize,
    ) -> Result<(), Failure> {
        let mode = match settled.wanted.mode {
            Some(Mode::Preserve) => Some(Mode::Bits(entry.mode & 0o7777)),
            other => other.cloned(),
        };
        let settled = Settled {
            wanted: Wanted {
                mode: mode.as_ref(),
                ..settled.wanted
            },
            ..settled
        };
        match node {
            Some(node) if node.kind() == Kind::Directory => {
                return Err(Failure::new(format!(
                    "`{path}` is a directory, which a file cannot replace"
                )));
            }
            Some(_) if !self.force => return Ok(()),
            Some(node)
                if node.kind() == Kind::File && node.sha1.as_deref() == Some(&entry.sha1) =>
            {
                let change = settled.changes(node)?;
                if !change.is_empty() {
                    plan.acts.push(Act::script(change.apply(path)));
                    plan.undo.push(change.undo(path, node));
                    plan.others += 1;
                }
                return Ok(());
            }
            _ => {}
        }
        let is_read = entry.bytes.len() as u64 == entry.size;
        let put = Put {
            content: if is_read {
                Content::Bytes(entry.bytes.clone())
            } else {
                Content::Local {
                    path: entry.path.clone(),
                    sha1: entry.sha1.clone(),
                }
            },
            size: entry.size,
            validate: self.validate,
            is_backed_up: self.backup,
            keep,
            ..Put::new(path, Vec::new(), node, settled)
        };
        plan.acts.push(put.act()?);
        plan.undo.push(put.undo());
        plan.files += 1;
        let before = node.map_or(Side::Absent, |node| Side::Unread(node.size));
        let after = if is_read {
            Side::Bytes(&entry.bytes)
        } else {
            Side::Unread(entry.size)
        };
        plan.diff.push(content_diff(
            (path, before),
            (&entry.path.to_string_lossy(), after),
        ));
        Ok(())
    }

    /// The result after the acts.
    pub(super) fn finish(
        &self,
        src: &str,
        seen: &Reply,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        if let Some((rc, out)) = replies.last().and_then(refused) {
            let mut failed = Failure::new("failed to validate");
            failed.is_changed = replies.len() > 1;
            failed
                .result
                .insert("exit_status".into(), crate::value::Value::Int(rc));
            failed.result.insert("stdout".into(), out.into());
            return Err(failed);
        }
        check_replies("cannot bring the folder to its destination", replies)?;
        let root = seen.fields().get("path").cloned().unwrap_or_default();
        Ok(Outcome::changed(self.result(&root, src)))
    }

    fn result(&self, root: &str, src: &str) -> Map {
        let dest = if self.src.ends_with('/') {
            format!("{root}/")
        } else {
            format!(
                "{}/",
                root.rsplit_once('/').map_or("", |(parent, _)| parent)
            )
        };
        Map::from([("dest".into(), dest.into()), ("src".into(), src.into())])
    }
}

impl Plan {
    fn make(&mut self, settled: Settled<'_>, paths: &[String], keep: usize) {
        let (mut apply, mut undo) = (String::new(), String::new());
        self.others += paths.len();
        make_directories(settled, paths, &mut apply, &mut undo, keep, &mut Vec::new());
        self.acts.push(Act::script(apply));
        self.undo.push(undo);
    }

    fn directory(
        &mut self,
        settled: Settled<'_>,
        path: &str,
        node: Option<&Node>,
        keep: usize,
    ) -> Result<(), Failure> {
        match node {
            None => self.make(settled, &[path.to_owned()], keep),
            Some(node) if node.kind() == Kind::Directory => {
                let change = settled.changes(node)?;
                if !change.is_empty() {
                    self.acts.push(Act::script(change.apply(path)));
                    self.undo.push(change.undo(path, node));
                    self.others += 1;
                }
            }
            Some(node) => {
                return Err(Failure::new(format!(
                    "{path} already exists as a {}",
                    node.state()
                )));
            }
        }
        Ok(())
    }

    fn link(
        &mut self,
        path: &str,
        target: &str,
        node: Option<&Node>,
        keep: usize,
    ) -> Result<(), Failure> {
        if node.and_then(|node| node.link.as_deref()) == Some(target) {
            return Ok(());
        }
        if node.is_some_and(|node| node.kind() == Kind::Directory) {
            return Err(Failure::new(format!(
                "the directory {path} is in the way of a link, refusing to convert it"
            )));
        }
        let word = word_of_seen(path);
        self.acts.push(Act::script(format!(
            "sb_keep {keep} {word}\nsb_beside {word}\nln -s -- {} \"$SB_tmp\" || sb_fail 'cannot make the link'\nsb_land {word}\n",
            quote(target)
        )));
        self.undo.push(format!("sb_back {keep} {word}\n"));
        self.others += 1;
        Ok(())
    }

    fn decision(self, root: &str, task: &Task<'_>) -> Decision {
        let result = task.result(root, task.src);
        if self.acts.is_empty() {
            return Decision::Unchanged(Outcome::ok(result));
        }
        let undo: String = self.undo.iter().rev().map(String::as_str).collect();
        Decision::Change(Change {
            summary: format!(
                "below `{root}`: {} files to write, {} directories, links or attributes to set",
                self.files, self.others
            ),
            diff: self.diff,
            acts: merge(self.acts),
            undo: Undo::Acts {
                summary: format!("give everything below `{root}` back as it was"),
                acts: vec![Act::script(undo)],
            },
            foretell: Foretell::Changed(result),
        })
    }
}

/// Neighbouring scripts become one, each in a subshell of its own, so that they take one trip.
fn merge(acts: Vec<Act>) -> Vec<Act> {
    const SCRIPT_BYTES_MAX: usize = 256 * 1024;
    let mut merged: Vec<Act> = Vec::new();
    for act in acts {
        let Act::Script { script, on: None } = act else {
            merged.push(act);
            continue;
        };
        let part = format!("(\n{}) || exit 1\n", script.sh);
        match merged.last_mut() {
            Some(Act::Script { script: last, .. }) if last.sh.len() < SCRIPT_BYTES_MAX => {
                last.sh.push_str(&part);
            }
            _ => merged.push(Act::script(part)),
        }
    }
    merged
}
