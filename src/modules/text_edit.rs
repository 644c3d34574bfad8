//! A text file of the host changed in place: what `lineinfile`, `blockinfile` and `replace` have
//! in common.
//!
//! The probe brings the whole file, the edit is computed here, and the file is written as a whole.
//! Source: ansible-core 2.19, `modules/lineinfile.py`, `write_changes` and `check_file_attrs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::file_args::{AttrChange, Settled, Wanted};
use super::file_tree::{make_directories, missing};
use super::path_state::{Kind, Node, failure, word};
use super::put::{Landed, Put, Side, attribute_diff, check_replies, content_diff, refused};
use super::{Act, Change, Decision, Diff, Failure, Foretell, Outcome, Undo};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// A file as the probe saw it.
pub(super) struct Text<'a> {
    /// The path, expanded.
    pub(super) path: String,
    /// What is there; a link is not followed.
    node: Option<Node>,
    /// What a link there leads to.
    real: Option<(String, Node)>,
    /// The content; `None` when there is no file.
    pub(super) content: Option<&'a [u8]>,
    fields: BTreeMap<String, String>,
}

/// What an edit came to.
pub(super) struct Edit<'a> {
    /// The new content; `None` when it stays.
    pub(super) content: Option<Vec<u8>>,
    /// Ansible's `msg` about the content.
    pub(super) msg: String,
    /// Other fields of the result.
    pub(super) result: Map,
    /// Owner, group and mode.
    pub(super) wanted: Wanted<'a>,
    /// `backup`.
    pub(super) backup: bool,
    /// `validate`.
    pub(super) validate: Option<&'a str>,
    /// What is added to the path in the headings of the content's diff.
    pub(super) heading: &'static str,
    /// Whether a link at the path stays and the file it leads to changes; else the link is replaced.
    pub(super) follows: bool,
    /// Whether `msg` also tells that attributes change.
    pub(super) tells_attributes: bool,
}

/// What is to be done, as it is collected.
#[derive(Default)]
struct Steps {
    diff: Vec<Diff>,
    /// Lines before the act's own.
    apply: String,
    act: Option<Act>,
    undo: String,
    words: Vec<String>,
}

/// The probe: fields `path`, `f.*`, `t.*`, `real`, `missing.*`, and the file as the body.
pub(super) fn probe(path: &str, wanted: &Wanted<'_>) -> Script {
    Script::new(format!(
        "SB_p={}\nsb_kv path \"$SB_p\"\nsb_see f \"$SB_p\"\n\
         if [ -d \"$SB_p\" ]; then sb_kv is_dir 1; fi\n\
         if [ -L \"$SB_p\" ]; then\n\
         SB_x=$(readlink -f \"$SB_p\" && printf x); sb_kv real \"${{SB_x%?x}}\"\n\
         [ ! -e \"$SB_p\" ] || sb_stat t \"$SB_p\" -L\nfi\n\
         case $SB_p in */*) [ -e \"$SB_p\" ] || sb_missing \"${{SB_p%/*}}\" ;; esac\n\
         {}\
         if [ -f \"$SB_p\" ]; then\n\
         [ -r \"$SB_p\" ] || sb_fail \"\\`$SB_p\\` is not readable\"\n\
         sb_body\ncat \"$SB_p\"\nfi\nexit 0\n",
        word(path),
        wanted.probe()
    ))
}

impl<'a> Text<'a> {
    /// Reads the probe's reply.
    ///
    /// # Errors
    /// The path cannot be read, or is a directory.
    pub(super) fn read(reply: &'a Reply) -> Result<Self, Failure> {
        let fields = reply.fields();
        let Some(path) = fields.get("path").filter(|_| reply.rc == 0).cloned() else {
            return Err(failure("cannot read the file", reply));
        };
        if fields.contains_key("is_dir") {
            let mut failed = Failure::new(format!("Path {path} is a directory !"));
            failed.result.insert("rc".into(), Value::Int(256));
            return Err(failed);
        }
        let node = Node::read("f", &fields);
        let target = Node::read("t", &fields);
        let is_there = match node.as_ref().map(Node::kind) {
            Some(Kind::Link) => target.is_some(),
            other => other.is_some(),
        };
        let real = fields.get("real").cloned().zip(target);
        Ok(Self {
            content: is_there.then(|| reply.body()),
            path,
            node,
            real,
            fields,
        })
    }

    /// Decides what the edit comes to, attributes included.
    ///
    /// # Errors
    /// The owner or group is not known, or the validation command is none.
    pub(super) fn decide(&self, edit: &Edit<'_>) -> Result<Decision, Failure> {
        let settled = edit.wanted.settle(&self.fields)?;
        let attributes = match &self.node {
            Some(node) => settled.changes(node)?,
            None => AttrChange::default(),
        };
        let mut result = edit.result.clone();
        let mut msg = edit.msg.clone();
        if !attributes.is_empty() && edit.tells_attributes {
            if edit.content.is_some() {
                msg.push_str(" and ");
            }
            msg.push_str("ownership, perms or SE linux context changed");
        }
        result.insert("msg".into(), msg.into());
        if edit.content.is_none() && attributes.is_empty() {
            return Ok(Decision::Unchanged(Outcome::ok(result)));
        }
        let mut steps = Steps::default();
        if let Some(content) = &edit.content {
            self.replace(edit, content, settled, &mut steps)?;
        }
        if let (false, Some(node)) = (attributes.is_empty(), &self.node) {
            self.attributes(attributes, node, &mut steps);
        }
        Ok(Decision::Change(Change {
            summary: format!("`{}`: {}", self.path, steps.words.join(", ")),
            diff: steps.diff,
            acts: vec![joined(steps.apply, steps.act)],
            undo: Undo::Acts {
                summary: format!("give `{}` back as it was", self.path),
                acts: vec![Act::script(steps.undo)],
            },
            foretell: Foretell::Changed(result),
        }))
    }

    fn replace(
        &self,
        edit: &Edit<'_>,
        content: &[u8],
        settled: Settled<'_>,
        steps: &mut Steps,
    ) -> Result<(), Failure> {
        let header = format!("{}{}", self.path, edit.heading);
        let before = self.content.map_or(Side::Absent, Side::Bytes);
        let after = (header.as_str(), Side::Bytes(content));
        steps.diff.push(content_diff((&header, before), after));
        let (target, node, owner) = if edit.follows {
            self.target(settled)
        } else {
            (self.path.clone(), self.node.as_ref(), settled)
        };
        // A link that is replaced hands the mode of its file on.
        let linked = self.real.as_ref().filter(|_| !edit.follows);
        let put = Put {
            mode: linked.map(|(_, target)| target.mode()),
            validate: edit.validate,
            is_backed_up: edit.backup,
            ..Put::new(&target, content.to_vec(), node, owner)
        };
        let bare = Settled {
            umask: settled.umask,
            ..Settled::default()
        };
        steps.undo.push_str(&put.undo());
        make_directories(
            bare,
            &missing(&self.fields),
            &mut steps.apply,
            &mut steps.undo,
            2,
            &mut steps.words,
        );
        steps.words.push(put.summary());
        steps.act = Some(put.act()?);
        Ok(())
    }

    fn attributes(&self, change: AttrChange, node: &Node, steps: &mut Steps) {
        steps.undo.push_str(&change.undo(&self.path, node));
        steps.words.push(change.summary());
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        change.add_to_diff(&mut before, &mut after);
        let header = format!("{} (file attributes)", self.path);
        steps.diff.push(attribute_diff(&header, &before, &after));
        // A file that is replaced gets them with its content; a link keeps its own.
        if steps.act.is_none() || self.real.is_some() {
            steps.apply.push_str(&change.apply(&self.path));
        }
    }

    /// Where the content goes: a link is always followed, so that the real file changes.
    fn target<'b>(&'b self, settled: Settled<'b>) -> (String, Option<&'b Node>, Settled<'b>) {
        match (&self.node, &self.real) {
            (Some(node), Some((real, target))) if node.kind() == Kind::Link => {
                let bare = Settled {
                    umask: settled.umask,
                    ..Settled::default()
                };
                (real.clone(), Some(target), bare)
            }
            (Some(node), None) if node.kind() == Kind::Link => {
                let real = self.fields.get("real").filter(|real| !real.is_empty());
                (real.unwrap_or(&self.path).clone(), None, settled)
            }
            (node, _) => (self.path.clone(), node.as_ref(), settled),
        }
    }
}

/// The lines before an act's own script, in one trip with it.
fn joined(before: String, act: Option<Act>) -> Act {
    match act {
        None => Act::script(before),
        Some(Act::Script { script, on }) => Act::Script {
            script: Script::new(before + &script.sh),
            on,
        },
        Some(Act::Stream { script, source }) => Act::Stream {
            script: Script::new(before + &script.sh),
            source,
        },
        Some(other) => other,
    }
}

/// The result after the acts; `backup` is the name of the field for a backup's name.
///
/// # Errors
/// The acts failed, or the validation command refused.
pub(super) fn finish(change: &Change, replies: &[Reply], backup: &str) -> Result<Outcome, Failure> {
    if let Some((rc, out)) = replies.last().and_then(refused) {
        let stderr = replies.last().map(Reply::stderr_text).unwrap_or_default();
        let mut msg = format!("failed to validate: rc:{rc} error:{stderr}");
        if stderr.is_empty() && !out.is_empty() {
            let _ = write!(msg, "{out}");
        }
        return Err(Failure::new(msg));
    }
    check_replies("cannot write the file", replies)?;
    let Foretell::Changed(foretold) = &change.foretell else {
        return Ok(Outcome::changed(Map::new()));
    };
    let mut result = foretold.clone();
    if let Some(name) = Landed::read(replies).fields.get("backup_file") {
        result.insert(backup.into(), name.clone().into());
    }
    Ok(Outcome::changed(result))
}
