//! One file brought to a destination: what `copy`, `template` and `assemble` have in common.
//!
//! Source: ansible-core 2.19, `plugins/action/copy.py` and `modules/copy.py`.

use std::collections::BTreeMap;

use super::file_args::{Wanted, word_of_seen};
use super::file_tree::{make_directories, missing};
use super::mode::Mode;
use super::path_state::{Kind, Node, failure, word};
use super::put::{
    Content, DIFF_BYTES_MAX, Landed, Put, Side, attribute_diff, check_replies, content_diff,
    refused,
};
use super::{Act, Change, Decision, Failure, Foretell, Outcome, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// A file and where it is to go.
pub(super) struct OneFile<'a> {
    /// `dest` as the user wrote it.
    pub(super) dest: &'a str,
    /// Name of the source, for a destination that is a directory; empty for `content`.
    pub(super) name: &'a str,
    /// How results and diffs name the source.
    pub(super) src: &'a str,
    /// The bytes, where they come from the controller.
    pub(super) content: Content,
    /// The bytes once more where they are at hand, for the diff.
    pub(super) shown: Option<&'a [u8]>,
    /// Number of bytes.
    pub(super) size: u64,
    /// SHA-1 of the bytes.
    pub(super) sha1: &'a str,
    /// Mode of the source, for `mode: preserve`.
    pub(super) source_mode: u32,
    /// Owner, group and mode.
    pub(super) wanted: Wanted<'a>,
    /// Mode of directories that have to be made.
    pub(super) directory_mode: Option<&'a Mode>,
    /// Whether a file that is there already is replaced.
    pub(super) force: bool,
    /// `backup`.
    pub(super) backup: bool,
    /// `validate`.
    pub(super) validate: Option<&'a str>,
    /// Whether the file lies on the host, which makes the copy carry the source's mode and the
    /// writer's owner.
    pub(super) is_remote: bool,
}

/// The probe: fields `path`, `d.*` and `missing.*`, and the old bytes where they differ. `sha1` is
/// a word of sh.
pub(super) fn probe(
    dest: &str,
    name: &str,
    follow: bool,
    sha1: &str,
    wanted: &Wanted<'_>,
) -> Script {
    Script::new(probe_text(dest, name, follow, sha1, wanted))
}

/// As [`probe`], as text to be appended to other lines.
pub(super) fn probe_text(
    dest: &str,
    name: &str,
    follow: bool,
    sha1: &str,
    wanted: &Wanted<'_>,
) -> String {
    let path = if dest.ends_with('/') && !name.is_empty() {
        word(&format!("{dest}{name}"))
    } else {
        word(dest)
    };
    let follow = if follow { "1" } else { "''" };
    format!(
        "sb_dest {path} {} {follow} {sha1}\n{}sb_old\nexit 0\n",
        quote(name),
        wanted.probe()
    )
}

impl OneFile<'_> {
    /// Compares and decides.
    pub(super) fn decide(&self, reply: &Reply) -> Result<Decision, Failure> {
        let fields = reply.fields();
        let Some(path) = fields.get("path").filter(|_| reply.rc == 0) else {
            return Err(failure("cannot look at the destination", reply));
        };
        if self.name.is_empty() && fields.contains_key("is_dir") {
            return Err(Failure::new("can not use content with a dir as dest"));
        }
        let mode = match self.wanted.mode {
            Some(Mode::Preserve) => Some(Mode::Bits(self.source_mode)),
            other => other.cloned(),
        };
        let wanted = Wanted {
            mode: mode.as_ref(),
            ..self.wanted
        };
        let settled = wanted.settle(&fields)?;
        let node = Node::read("d", &fields);
        match &node {
            Some(node) if node.kind() == Kind::Directory => {
                return Err(Failure::new(format!(
                    "`{path}` is a directory, which a file cannot replace"
                )));
            }
            Some(_) if !self.force => {
                return Ok(Decision::Unchanged(Outcome::ok(self.result(path))));
            }
            Some(node) if node.kind() == Kind::File && node.sha1.as_deref() == Some(self.sha1) => {
                return self.attributes(path, node, settled);
            }
            _ => {}
        }
        let mut put = Put {
            content: self.content.clone(),
            size: self.size,
            validate: self.validate,
            is_backed_up: self.backup,
            keeps_owner: !self.is_remote,
            ..Put::new(path, Vec::new(), node.as_ref(), settled)
        };
        if self.is_remote && settled.wanted.mode.is_none() && node.is_some() {
            put.mode = Some(self.source_mode);
        }
        self.change(&put, &fields, settled, reply.body())
    }

    fn change(
        &self,
        put: &Put<'_>,
        fields: &BTreeMap<String, String>,
        settled: super::file_args::Settled<'_>,
        old: &[u8],
    ) -> Result<Decision, Failure> {
        let (mut apply, mut undo, mut words) = (String::new(), put.undo(), Vec::new());
        let parents = missing(fields);
        if !parents.is_empty() {
            if !self.dest.ends_with('/') {
                let parent = put.dest.rsplit_once('/').map_or(".", |(parent, _)| parent);
                return Err(Failure {
                    misses: Some(parent.into()),
                    ..Failure::new(format!("Destination directory {parent} does not exist"))
                });
            }
            let settled = super::file_args::Settled {
                wanted: Wanted {
                    mode: self.directory_mode,
                    ..settled.wanted
                },
                ..settled
            };
            make_directories(settled, &parents, &mut apply, &mut undo, 2, &mut words);
        }
        let mut acts = Vec::new();
        match put.act()? {
            Act::Script { script, on } => acts.push(Act::Script {
                script: Script::new(format!("{apply}{}", script.sh)),
                on,
            }),
            Act::Stream { script, source } => acts.push(Act::Stream {
                script: Script::new(format!("{apply}{}", script.sh)),
                source,
            }),
            other => acts.push(other),
        }
        words.push(put.summary());
        let before = match put.old {
            None => ("", Side::Absent),
            Some(node) if node.kind() != Kind::File => ("", Side::Absent),
            Some(node) if node.size > DIFF_BYTES_MAX as u64 => ("", Side::Unread(node.size)),
            Some(_) => (put.dest, Side::Bytes(old)),
        };
        let after = self.shown.map_or(Side::Unread(self.size), Side::Bytes);
        let after_name = if self.name.is_empty() {
            put.dest
        } else {
            self.src
        };
        Ok(Decision::Change(Change {
            summary: words.join(", "),
            diff: vec![content_diff(before, (after_name, after))],
            acts,
            undo: Undo::Acts {
                summary: put.undo_summary(),
                acts: vec![Act::script(undo)],
            },
            foretell: Foretell::Changed(Map::new()),
        }))
    }

    fn attributes(
        &self,
        path: &str,
        node: &Node,
        settled: super::file_args::Settled<'_>,
    ) -> Result<Decision, Failure> {
        let change = settled.changes(node)?;
        let mut result = Map::new();
        result.insert("path".into(), path.into());
        node.add_path_info(&mut result);
        result.insert("checksum".into(), self.sha1.into());
        result.insert("dest".into(), path.into());
        if change.is_empty() {
            return Ok(Decision::Unchanged(Outcome::ok(result)));
        }
        let mut before = BTreeMap::from([("path", path.into())]);
        let mut after = before.clone();
        change.add_to_diff(&mut before, &mut after);
        Ok(Decision::Change(Change {
            summary: format!("`{path}`: {}", change.summary()),
            diff: vec![attribute_diff("", &before, &after)],
            acts: vec![Act::script(format!(
                "{}sb_see r {}\n",
                change.apply(path),
                word_of_seen(path)
            ))],
            undo: Undo::Acts {
                summary: format!("give `{path}` its owner, group and mode back"),
                acts: vec![Act::script(change.undo(path, node))],
            },
            foretell: Foretell::Changed(result),
        }))
    }

    fn result(&self, path: &str) -> Map {
        Map::from([
            ("dest".into(), path.into()),
            ("src".into(), self.src.into()),
        ])
    }

    /// The result after the acts.
    pub(super) fn finish(
        &self,
        seen: &Reply,
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        if let Some((rc, out)) = replies.last().and_then(refused) {
            let mut failed = Failure::new("failed to validate");
            failed.result.insert("exit_status".into(), Value::Int(rc));
            failed.result.insert("stdout".into(), out.into());
            let stderr = replies.last().map(Reply::stderr_text).unwrap_or_default();
            failed.result.insert("stderr".into(), stderr.into());
            return Err(failed);
        }
        check_replies("cannot bring the file to its destination", replies)?;
        let landed = Landed::read(replies);
        let path = seen.fields().get("path").cloned().unwrap_or_default();
        let mut result = match &change.foretell {
            Foretell::Changed(result) if !result.is_empty() => result.clone(),
            _ => {
                let mut result = self.result(&path);
                result.insert("md5sum".into(), landed.md5sum());
                result.insert("checksum".into(), self.sha1.into());
                landed.add_backup(&mut result);
                landed.add_path_info(&mut result, Some(self.size));
                return Ok(Outcome::changed(result));
            }
        };
        landed.add_path_info(&mut result, None);
        Ok(Outcome::changed(result))
    }
}
