//! What `file` does for each state, given what was seen.
//!
//! Source: ansible-core 2.19, `modules/file.py`, `ensure_*` and `execute_touch`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::file::{State, When};
use super::file_args::{Settled, word_of_seen};
use super::file_tree::{make_directories, missing, recurse, tree};
use super::path_state::{Kind, Node, Time, octal};
use super::put::attribute_diff;
use super::{Act, Change, Decision, Failure, Foretell, Outcome, Undo};
use crate::script::quote;
use crate::value::Map;

/// The task with its defaults filled in.
#[expect(
    clippy::struct_excessive_bools,
    reason = "Ansible's arguments are switches"
)]
pub(super) struct Task<'a> {
    /// What is to be there.
    pub(super) state: State,
    /// `force`.
    pub(super) force: bool,
    /// `follow`.
    pub(super) follow: bool,
    /// `recurse`.
    pub(super) recurse: bool,
    /// Whether `src` is given.
    pub(super) has_src: bool,
    /// Wanted time of change.
    pub(super) mtime: When,
    /// Wanted time of access.
    pub(super) atime: When,
    /// Owner, group and mode.
    pub(super) settled: Settled<'a>,
}

/// What the probe saw.
pub(super) struct Sight<'a> {
    /// The path, expanded.
    pub(super) path: String,
    /// What is there; a link is not followed.
    pub(super) node: Option<Node>,
    /// All fields of the reply.
    pub(super) fields: BTreeMap<String, String>,
    /// What is below a directory, as `sb_tree` writes it.
    pub(super) body: &'a [u8],
}

/// Scripts and words of a change as they are collected.
#[derive(Default)]
pub(super) struct Steps {
    /// Lines that make the change.
    pub(super) apply: String,
    /// Lines that take it back, in the order in which they run.
    pub(super) undo: String,
    /// What a person reads.
    pub(super) words: Vec<String>,
    before: BTreeMap<&'static str, serde_json::Value>,
    after: BTreeMap<&'static str, serde_json::Value>,
}

/// Decides for the state that the task wants.
pub(super) fn decide(task: &Task<'_>, sight: &Sight<'_>) -> Result<Decision, Failure> {
    match task.state {
        State::Absent => Ok(absent(sight)),
        State::Directory => directory(task, sight),
        State::File => file(task, sight),
        State::Touch => touch(task, sight),
        State::Link => link(task, sight),
        State::Hard => hard(task, sight),
    }
}

impl Sight<'_> {
    fn state(&self) -> &'static str {
        self.node.as_ref().map_or("absent", Node::state)
    }

    /// What attributes go to: the path, or with `follow` what a link there leads to.
    fn subject(&self, follow: bool) -> (&str, Option<Node>) {
        match (&self.node, self.fields.get("real")) {
            (Some(node), Some(real)) if follow && node.kind() == Kind::Link => {
                (real, Node::read("t", &self.fields))
            }
            (node, _) => (&self.path, node.clone()),
        }
    }

    fn steps(path: &str, state: &str, previous: &str) -> Steps {
        let mut steps = Steps::default();
        for side in [&mut steps.before, &mut steps.after] {
            side.insert("path", path.into());
        }
        if state != previous {
            steps.before.insert("state", previous.into());
            steps.after.insert("state", state.into());
        }
        steps
    }

    /// A failure with what is there.
    pub(super) fn refuse(&self, msg: String) -> Failure {
        let mut failure = Failure::new(msg);
        failure
            .result
            .insert("path".into(), self.path.clone().into());
        failure.result.insert("state".into(), self.state().into());
        if let Some(node) = &self.node {
            node.add_path_info(&mut failure.result);
        }
        failure
    }
}

impl Steps {
    fn attributes(&mut self, task: &Task<'_>, path: &str, node: &Node) -> Result<(), Failure> {
        let change = task.settled.changes(node)?;
        if !change.is_empty() {
            self.apply.push_str(&change.apply(path));
            self.undo.push_str(&change.undo(path, node));
            self.words.push(change.summary());
            change.add_to_diff(&mut self.before, &mut self.after);
        }
        self.times(task, path, node);
        Ok(())
    }

    /// Source: `update_timestamp_for_file`; two times of `now` always change.
    fn times(&mut self, task: &Task<'_>, path: &str, node: &Node) {
        let at = |when: &When, old: Time| match when {
            When::Preserve => None,
            When::Now => Some("now".to_owned()),
            When::At(time) => (Time {
                s: time.and_utc().timestamp(),
                ns: 0,
            } != old)
                .then(|| time.format("%Y%m%d%H%M.%S").to_string()),
        };
        let wanted = [
            ("-m", "mtime", at(&task.mtime, node.mtime), node.mtime),
            ("-a", "atime", at(&task.atime, node.atime), node.atime),
        ];
        if wanted.iter().all(|(_, _, time, _)| time.is_none()) {
            return;
        }
        let path = word_of_seen(path);
        let _ = writeln!(self.apply, "sb_keep_times 1 {path}");
        // Both at once to the present may also do who only may write to the file.
        let is_now = |time: &Option<String>| time.as_deref() == Some("now");
        let is_touch = wanted.iter().all(|(_, _, time, _)| is_now(time));
        if is_touch {
            let _ = writeln!(
                self.apply,
                "touch -c {path} || sb_fail 'cannot set the times'"
            );
        }
        for (flag, name, time, old) in &wanted {
            let Some(time) = time else { continue };
            let stamp = if time == "now" {
                String::new()
            } else {
                format!(" -t {time}")
            };
            if !is_touch {
                let _ = writeln!(
                    self.apply,
                    "touch -c {flag}{stamp} {path} || sb_fail 'cannot set the {name}'"
                );
            }
            self.words.push(format!("{name} {time}"));
            self.before.insert(name, old.as_f64().into());
            self.after.insert(name, time.as_str().into());
        }
        let _ = writeln!(self.undo, "sb_back_times 1 {path}");
    }

    fn decision(mut self, path: &str, key: &str, sight: &Sight<'_>, result: Map) -> Decision {
        let mut result = result;
        result.insert(key.into(), path.into());
        if let Some(node) = &sight.subject_of(path) {
            node.add_path_info(&mut result);
        }
        if self.apply.is_empty() {
            return Decision::Unchanged(Outcome::ok(result));
        }
        let _ = writeln!(self.apply, "sb_see r {}", word_of_seen(path));
        Decision::Change(Change {
            summary: format!("`{path}`: {}", self.words.join(", ")),
            diff: vec![attribute_diff("", &self.before, &self.after)],
            acts: vec![Act::script(self.apply)],
            undo: Undo::Acts {
                summary: format!("give `{path}` back as it was"),
                acts: vec![Act::script(self.undo)],
            },
            foretell: Foretell::Changed(result),
        })
    }
}

impl Sight<'_> {
    fn subject_of(&self, path: &str) -> Option<Node> {
        if path == self.path {
            self.node.clone()
        } else {
            Node::read("t", &self.fields)
        }
    }
}

fn absent(sight: &Sight<'_>) -> Decision {
    let Some(node) = &sight.node else {
        return Decision::Unchanged(Outcome::ok(Map::from([
            ("path".into(), sight.path.as_str().into()),
            ("state".into(), "absent".into()),
        ])));
    };
    let mut steps = Sight::steps(&sight.path, "absent", sight.state());
    let path = word_of_seen(&sight.path);
    let _ = writeln!(steps.apply, "sb_take 1 {path}");
    let _ = writeln!(steps.undo, "sb_back 1 {path}");
    if node.kind() == Kind::Directory {
        let entries = tree(sight.body);
        let kib = sight.fields.get("kib").map_or("?", String::as_str);
        steps.words.push(format!(
            "remove the directory with {} entries, {kib} KiB, which are kept for going back",
            entries.len()
        ));
        let (directories, files): (Vec<_>, Vec<_>) = entries
            .iter()
            .partition(|(_, node)| node.kind() == Kind::Directory);
        let names = |list: Vec<&(String, Node)>| -> Vec<String> {
            list.into_iter().map(|(path, _)| path.clone()).collect()
        };
        steps.before.insert(
            "path_content",
            serde_json::json!({"directories": names(directories), "files": names(files)}),
        );
    } else {
        steps.words.push(format!("remove the {}", sight.state()));
    }
    let result = Map::from([("state".into(), "absent".into())]);
    steps.decision(&sight.path, "path", sight, result)
}

fn file(task: &Task<'_>, sight: &Sight<'_>) -> Result<Decision, Failure> {
    let (path, node) = sight.subject(task.follow);
    let state = node.as_ref().map_or("absent", Node::state);
    let Some(node) = node.filter(|_| matches!(state, "file" | "hard")) else {
        return Err(sight.refuse(format!("file ({path}) is {state}, cannot continue")));
    };
    let mut steps = Sight::steps(path, "file", state);
    steps.attributes(task, path, &node)?;
    Ok(steps.decision(path, "path", sight, Map::new()))
}

fn touch(task: &Task<'_>, sight: &Sight<'_>) -> Result<Decision, Failure> {
    let (path, node) = sight.subject(task.follow);
    let mut steps = Sight::steps(&sight.path, "touch", sight.state());
    match node {
        Some(node) => steps.attributes(task, path, &node)?,
        None => create_empty(task, path, &mut steps),
    }
    Ok(steps.decision(&sight.path, "dest", sight, Map::new()))
}

fn create_empty(task: &Task<'_>, path: &str, steps: &mut Steps) {
    let word = word_of_seen(path);
    let mode = task
        .settled
        .wanted
        .mode
        .map(|_| task.settled.new_mode(0o666, false));
    if let Some(mode) = mode {
        let _ = writeln!(steps.apply, "umask {:04o}", !mode & 0o777);
    }
    let (uid, gid) = task.settled.new_owner();
    let mode = mode.map_or("''".to_owned(), |mode| format!("0{}", octal(mode)));
    let _ = writeln!(
        steps.apply,
        "sb_keep 1 {word}\nsb_new {word}\nsb_shape {} {} {mode} must\nsb_seal\nsb_land {word}",
        quote(&uid),
        quote(&gid)
    );
    for (flag, when) in [("-m", &task.mtime), ("-a", &task.atime)] {
        if let When::At(time) = when {
            let _ = writeln!(
                steps.apply,
                "touch -c {flag} -t {} {word} || sb_fail 'cannot set a time'",
                time.format("%Y%m%d%H%M.%S")
            );
        }
    }
    let _ = writeln!(steps.undo, "sb_back 1 {word}");
    steps.words.push("create an empty file".to_owned());
}

fn directory(task: &Task<'_>, sight: &Sight<'_>) -> Result<Decision, Failure> {
    let (path, node) = sight.subject(task.follow);
    let state = node.as_ref().map_or("absent", Node::state);
    let mut steps = Sight::steps(path, "directory", state);
    match node {
        None => make_directories(
            task.settled,
            &missing(&sight.fields),
            &mut steps.apply,
            &mut steps.undo,
            1,
            &mut steps.words,
        ),
        Some(node) if node.kind() == Kind::Directory => {
            steps.attributes(task, path, &node)?;
            if task.recurse {
                recurse(task, sight, &mut steps)?;
            }
        }
        Some(_) => return Err(sight.refuse(format!("{path} already exists as a {state}"))),
    }
    Ok(steps.decision(path, "path", sight, Map::new()))
}

fn link(task: &Task<'_>, sight: &Sight<'_>) -> Result<Decision, Failure> {
    let previous = sight.state();
    let src = sight.fields.get("src").filter(|_| task.has_src);
    let old = sight.node.as_ref().and_then(|node| node.link.as_ref());
    let mut steps = Sight::steps(&sight.path, "link", previous);
    if let (Some(src), false, None) = (src, task.force, Node::read("s", &sight.fields)) {
        let absolute = sight.fields.get("absrc").unwrap_or(src);
        return Err(sight.refuse(format!(
            "src file does not exist, use 'force=yes' if you really want to create the link: {absolute}"
        )));
    }
    match previous {
        "directory" if !task.force => {
            return Err(sight.refuse(format!(
                "refusing to convert from directory to symlink for {}",
                sight.path
            )));
        }
        "directory" if !sight.fields.contains_key("is_empty") => {
            return Err(sight.refuse(format!(
                "the directory {} is not empty, refusing to convert it",
                sight.path
            )));
        }
        "file" | "hard" if !task.force => {
            return Err(sight.refuse(format!(
                "refusing to convert from {previous} to symlink for {}",
                sight.path
            )));
        }
        _ => {}
    }
    let is_new = match (previous, src, old) {
        ("link", Some(src), Some(old)) if old != src => {
            steps.before.insert("src", old.as_str().into());
            steps.after.insert("src", src.as_str().into());
            true
        }
        ("link", ..) => false,
        (_, None, _) => {
            return Err(sight.refuse("src is required for creating new symlinks".to_owned()));
        }
        _ => true,
    };
    if let (true, Some(src)) = (is_new, src) {
        make_link(
            &sight.path,
            &format!("ln -s -- {}", quote(src)),
            previous,
            &mut steps,
        );
        steps.words.push(format!("link to `{src}`"));
        attributes_of_link(task, sight, src, &mut steps)?;
    } else if let (path, Some(node)) = sight.subject(task.follow) {
        // A followed link that leads nowhere has no attributes; Ansible warns and goes on.
        if !task.follow || node.kind() != Kind::Link {
            steps.attributes(task, path, &node)?;
        }
    }
    let shown = src
        .or(old)
        .map_or(crate::value::Value::Null, |src| src.as_str().into());
    Ok(steps.decision(
        &sight.path,
        "dest",
        sight,
        Map::from([("src".into(), shown)]),
    ))
}

/// The lines that put a link in place and that give back what was there.
fn make_link(path: &str, command: &str, previous: &str, steps: &mut Steps) {
    let word = word_of_seen(path);
    let _ = writeln!(steps.apply, "sb_keep 1 {word}");
    if previous == "absent" {
        let _ = writeln!(
            steps.apply,
            "{command} {word} || sb_fail 'cannot make the link'"
        );
    } else {
        let _ = writeln!(
            steps.apply,
            "sb_beside {word}\n{command} \"$SB_tmp\" || sb_fail 'cannot make the link'"
        );
        if previous == "directory" {
            let _ = writeln!(
                steps.apply,
                "rmdir {word} || sb_fail 'cannot remove the directory'"
            );
        }
        let _ = writeln!(steps.apply, "sb_land {word}");
    }
    let _ = writeln!(steps.undo, "sb_back 1 {word}");
}

fn attributes_of_link(
    task: &Task<'_>,
    sight: &Sight<'_>,
    src: &str,
    steps: &mut Steps,
) -> Result<(), Failure> {
    if task.follow {
        if let (Some(node), Some(real)) = (
            Node::read("s", &sight.fields),
            sight.fields.get("real_src").or(sight.fields.get("absrc")),
        ) {
            steps.attributes(task, real, &node)?;
        }
        return Ok(());
    }
    debug_assert!(!src.is_empty());
    let (uid, gid) = task.settled.new_owner();
    if !uid.is_empty() || !gid.is_empty() {
        let owner = if gid.is_empty() {
            uid
        } else {
            format!("{uid}:{gid}")
        };
        let _ = writeln!(
            steps.apply,
            "chown -h {} {} || sb_fail 'chown failed'",
            quote(&owner),
            word_of_seen(&sight.path)
        );
    }
    Ok(())
}

fn hard(task: &Task<'_>, sight: &Sight<'_>) -> Result<Decision, Failure> {
    let previous = sight.state();
    let src = sight.fields.get("src").filter(|_| task.has_src);
    let source = Node::read("s", &sight.fields);
    if previous != "hard" && src.is_none() {
        return Err(sight.refuse("src is required for creating new hardlinks".to_owned()));
    }
    if src.is_some() && source.is_none() {
        let mut failure = sight.refuse("src does not exist".to_owned());
        failure
            .result
            .insert("dest".into(), sight.path.clone().into());
        if let Some(src) = src {
            failure.result.insert("src".into(), src.as_str().into());
        }
        return Err(failure);
    }
    let mut steps = Sight::steps(&sight.path, "hard", previous);
    let same = |a: &Node, b: &Node| a.inode == b.inode && a.dev == b.dev;
    let is_new = match (previous, &sight.node, &source) {
        ("link", Some(node), _) => node.link.as_ref() != src,
        ("hard", Some(node), Some(source)) => !same(node, source),
        ("hard", ..) => false,
        _ => true,
    };
    if is_new && !task.force && !matches!(previous, "absent" | "link") {
        let what = if previous == "file" {
            "file exists"
        } else {
            "different hard link exists"
        };
        return Err(sight.refuse(format!("Cannot link, {what} at destination")));
    }
    if is_new && previous == "directory" {
        return Err(sight.refuse(format!(
            "cannot replace the directory {} by a hard link",
            sight.path
        )));
    }
    if let (true, Some(real)) = (is_new, sight.fields.get("real_src")) {
        make_link(
            &sight.path,
            &format!("ln {}", word_of_seen(real)),
            previous,
            &mut steps,
        );
        steps.words.push(format!("hard link to `{real}`"));
        if let Some(node) = &source {
            steps.attributes(task, real, node)?;
        }
    } else if let (path, Some(node)) = sight.subject(task.follow) {
        steps.attributes(task, path, &node)?;
    }
    let shown = src.map_or(crate::value::Value::Null, |src| src.as_str().into());
    Ok(steps.decision(
        &sight.path,
        "dest",
        sight,
        Map::from([("src".into(), shown)]),
    ))
}
