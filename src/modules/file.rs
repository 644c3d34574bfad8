//! `file`: brings about that a path is a file, directory, link, hard link, touched or absent.
//!
//! The states themselves are in `file_states`. Source: ansible-core 2.19, `modules/file.py`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::file_args::file_args;
use super::file_states::{Sight, Task, decide};
use super::path_state::{Node, basename, failure, word};
use super::put::{Landed, attribute_diff, check_replies};
use super::{
    CHECK_WARNINGS, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved,
};
use crate::script::{Reply, Script, quote};
use crate::value::Value;

/// Brings about that a path is a file, directory, link, hard link, touched or absent.
///
/// # Returns
/// * `path`: the path.
/// * `dest`: the path, of links.
/// * `mode`: its permission bits, such as `0644`.
/// * `owner`: the name of its owner.
/// * `group`: the name of its group.
/// * `uid`: the number of its owner.
/// * `gid`: the number of its group.
/// * `size`: its size in bytes.
/// * `state`: what it is: `file`, `directory`, `link`, `hard` or `absent`.
///
/// # Example
/// ```yaml
/// - file:
///     path: /srv/app
///     state: directory
///     owner: root
///     mode: "0750"
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct File;

file_args! {
    /// Arguments of `file`.
    struct FileArgs {
        /// The path.
        #[serde(alias = "dest", alias = "name")]
        path: String,
        /// Asked by other modules of Ansible for a look before a diff; no effect here.
        #[serde(rename = "_diff_peek")]
        _diff_peek: Option<serde_json::Value>,
        /// What is to be there. By default what is there, or `directory` with `recurse`, or `file`.
        state: Option<State>,
        /// What a link is to point at; needs `state: link` or `hard`.
        src: Option<String>,
        /// Whether owner, group and mode go to everything below a directory.
        #[serde(default)]
        recurse: bool,
        /// Whether a link may point at nothing and may replace what is there.
        #[serde(default)]
        force: bool,
        /// Whether attributes go to what a link leads to. Default true.
        follow: Option<bool>,
        /// Time of the last change: `preserve`, `now` or a time. By default `now` for `touch`.
        modification_time: Option<String>,
        /// How `modification_time` is written. Default `%Y%m%d%H%M.%S`.
        modification_time_format: Option<String>,
        /// Time of the last access, as `modification_time`.
        access_time: Option<String>,
        /// How `access_time` is written.
        access_time_format: Option<String>,
    }
}

/// What is to be at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Nothing.
    Absent,
    /// A directory; made with its parents.
    Directory,
    /// A file that must be there already.
    File,
    /// A hard link to `src`.
    Hard,
    /// A symbolic link to `src`.
    Link,
    /// A file, made empty if need be, with new times.
    Touch,
}

/// What one of the two times is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// As it is.
    Preserve,
    /// The time of the change.
    Now,
    /// A local time of the host.
    At(chrono::NaiveDateTime),
}

impl When {
    fn parse(text: Option<&str>, format: Option<&str>) -> Result<Option<Self>, String> {
        let format = format.unwrap_or("%Y%m%d%H%M.%S");
        Ok(Some(match text {
            None => return Ok(None),
            Some("preserve") => Self::Preserve,
            Some("now") => Self::Now,
            Some(text) => {
                let time = chrono::NaiveDateTime::parse_from_str(text, format).or_else(|error| {
                    chrono::NaiveDate::parse_from_str(text, format)
                        .map(|day| day.and_time(chrono::NaiveTime::MIN))
                        .map_err(|_| error)
                });
                Self::At(time.map_err(|error| {
                    format!("cannot read the time `{text}` with the format `{format}`: {error}")
                })?)
            }
        }))
    }
}

impl FileArgs {
    fn times(&self) -> Result<[Option<When>; 2], String> {
        Ok([
            When::parse(
                self.modification_time.as_deref(),
                self.modification_time_format.as_deref(),
            )?,
            When::parse(
                self.access_time.as_deref(),
                self.access_time_format.as_deref(),
            )?,
        ])
    }

    fn src(&self) -> Option<&str> {
        self.src.as_deref().filter(|src| !src.is_empty())
    }

    fn script(&self) -> String {
        let mut sh = format!("SB_p={}\n", word(&self.path));
        let name = self.src().map(basename).filter(|name| !name.is_empty());
        if let (Some(name), false) = (
            name,
            matches!(self.state, Some(State::Link | State::Absent)),
        ) {
            let _ = writeln!(
                sh,
                "if [ -d \"$SB_p\" ]; then SB_p=${{SB_p%/}}/{}; fi",
                crate::script::quote(name)
            );
        }
        sh.push_str(
            "sb_kv path \"$SB_p\"\nsb_see f \"$SB_p\"\n\
             if [ -L \"$SB_p\" ] && [ -e \"$SB_p\" ]; then\n\
             SB_x=$(readlink -f \"$SB_p\" && printf x); sb_kv real \"${SB_x%?x}\"; sb_stat t \"$SB_p\" -L\nfi\n",
        );
        match self.state {
            Some(State::Absent) => sh.push_str(
                "if [ -d \"$SB_p\" ] && [ ! -L \"$SB_p\" ]; then\n\
                 SB_x=$(du -sk \"$SB_p\"); sb_kv kib \"${SB_x%%[!0-9]*}\"; sb_body; sb_tree \"$SB_p\"\nfi\n",
            ),
            Some(State::Directory) | None => {
                sh.push_str("[ -L \"$SB_p\" ] || sb_missing \"$SB_p\"\n");
                sh.push_str(&self.wanted().probe());
                sh.push_str(&self.probe_times());
                if self.recurse {
                    sh.push_str("if [ -d \"$SB_p\" ]; then sb_body; sb_tree \"$SB_p/\"");
                    if self.follow.unwrap_or(true) {
                        sh.push_str("; printf '/\\n'; sb_tree -L \"$SB_p/\"");
                    }
                    sh.push_str("; fi\n");
                }
            }
            Some(State::Link | State::Hard) => {
                sh.push_str(&self.probe_source());
                sh.push_str(&self.wanted().probe());
                sh.push_str(&self.probe_times());
            }
            Some(State::File | State::Touch) => {
                sh.push_str(&self.wanted().probe());
                sh.push_str(&self.probe_times());
            }
        }
        for (kind, name) in [("user", &self.owner), ("group", &self.group)] {
            if let Some(name) = name {
                // What is there already has its owner; names were looked up before.
                let _ = writeln!(sh, "[ -e \"$SB_p\" ] || sb_id {kind} {}", quote(name));
            }
        }
        sh.push_str("exit 0\n");
        sh
    }

    /// What check mode warns of: another task may be meant to make the owner or the group.
    fn unknown_owners(&self, fields: &BTreeMap<String, String>) -> Vec<Value> {
        let mut warnings = Vec::new();
        for (kind, id, name) in [("user", "uid", &self.owner), ("group", "gid", &self.group)] {
            let Some(name) = name else { continue };
            let is_number = name.parse::<u32>().is_ok();
            // A number is looked up only where nothing is there yet.
            if fields.contains_key(&format!("{kind}.{name}"))
                || is_number && fields.contains_key("f.stat")
            {
                continue;
            }
            let with = if is_number {
                format!("{kind} with {id}")
            } else {
                kind.to_owned()
            };
            let warning = format!(
                "failed to look up {with} {name}. Create {kind} up to this point in real play"
            );
            warnings.push(warning.into());
        }
        warnings
    }

    fn probe_source(&self) -> String {
        let Some(src) = self.src() else {
            return String::new();
        };
        let mut sh = format!("SB_s={}\nsb_kv src \"$SB_s\"\n", word(src));
        if self.state == Some(State::Link) {
            sh.push_str(
                "case $SB_s in\n/*) ;;\n*)\n\
                 if [ -d \"$SB_p\" ] && [ ! -L \"$SB_p\" ]; then SB_s=$SB_p/$SB_s\n\
                 else case $SB_p in */*) SB_s=${SB_p%/*}/$SB_s ;; esac\nfi ;;\nesac\n\
                 sb_kv absrc \"$SB_s\"\n\
                 if [ -d \"$SB_p\" ] && [ ! -L \"$SB_p\" ]; then\n\
                 SB_x=$(ls -A \"$SB_p\"); [ -n \"$SB_x\" ] || sb_kv is_empty 1\nfi\n",
            );
        }
        sh.push_str(
            "if [ -e \"$SB_s\" ]; then sb_stat s \"$SB_s\" -L\n\
             SB_x=$(readlink -f \"$SB_s\" && printf x); sb_kv real_src \"${SB_x%?x}\"\nfi\n",
        );
        sh
    }

    /// A wanted time becomes seconds on the host, whose zone it is in.
    fn probe_times(&self) -> String {
        let mut sh = String::new();
        let times = self.times().unwrap_or_default();
        for (name, when) in ["mtime", "atime"].iter().zip(&times) {
            if let Some(When::At(time)) = when {
                let _ = writeln!(
                    sh,
                    "printf '{name}='; date -d '{}' +%s",
                    time.format("%Y-%m-%d %H:%M:%S")
                );
            }
        }
        sh
    }
}

impl Module for File {
    const NAME: &'static str = "file";
    const EFFECT: Effect = Effect::Converges;
    type Args = FileArgs;

    fn check(args: &FileArgs) -> Result<(), String> {
        args.wanted().check()?;
        if matches!(args.mode, Some(super::mode::Mode::Preserve)) {
            return Err("`mode: preserve` has no meaning for `file`".to_owned());
        }
        if args.path.is_empty() {
            return Err("`path` is empty".to_owned());
        }
        if args.recurse && !matches!(args.state, None | Some(State::Directory)) {
            return Err("recurse option requires state to be 'directory'".to_owned());
        }
        if args.src().is_some()
            && matches!(
                args.state,
                Some(State::File | State::Directory | State::Absent | State::Touch)
            )
        {
            return Err("src option requires state to be 'link' or 'hard'".to_owned());
        }
        args.times().map(|_| ())
    }

    fn probe(args: &FileArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(args.script()))
    }

    fn decide(args: &FileArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        let fields = reply.fields();
        if reply.rc != 0 || !fields.contains_key("path") {
            return Err(failure("cannot look at the path", reply));
        }
        let node = Node::read("f", &fields);
        let state = args.state.unwrap_or(match node.as_ref().map(Node::state) {
            Some("link") => State::Link,
            Some("directory") => State::Directory,
            Some("hard") => State::Hard,
            None if args.recurse => State::Directory,
            Some(_) | None => State::File,
        });
        if args.recurse && state != State::Directory {
            return Err(Failure::new(
                "recurse option requires state to be 'directory'",
            ));
        }
        if args.src().is_some() && !matches!(state, State::Link | State::Hard) {
            return Err(Failure::new(
                "src option requires state to be 'link' or 'hard'",
            ));
        }
        let [mtime, atime] = args.times().map_err(Failure::new)?;
        let default = if state == State::Touch {
            When::Now
        } else {
            When::Preserve
        };
        let task = Task {
            state,
            force: args.force,
            follow: args.follow.unwrap_or(true),
            recurse: args.recurse,
            has_src: args.src().is_some(),
            mtime: mtime.unwrap_or_else(|| default.clone()),
            atime: atime.unwrap_or(default),
            settled: args.wanted().settle(&fields)?,
        };
        let sight = Sight {
            path: fields["path"].clone(),
            node,
            body: reply.body(),
            fields,
        };
        let warnings = args.unknown_owners(&sight.fields);
        let mut decision = decide(&task, &sight);
        let result = match &mut decision {
            Ok(Decision::Unchanged(outcome)) => Some(&mut outcome.result),
            Ok(Decision::Change(change)) => match &mut change.foretell {
                Foretell::Changed(result) => Some(result),
                Foretell::Skipped(_) => None,
            },
            Ok(Decision::Ask(_)) => None,
            Err(failure) => Some(&mut failure.result),
        };
        if let Some(result) = result.filter(|_| !warnings.is_empty()) {
            result.insert(CHECK_WARNINGS.into(), warnings.into());
        }
        if let Ok(Decision::Unchanged(outcome)) = &mut decision {
            let path = BTreeMap::from([("path", sight.path.as_str().into())]);
            outcome.same = Some(attribute_diff("", &path, &path));
        }
        decision
    }

    fn finish(
        _: &FileArgs,
        _: &[Resolved],
        _: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        check_replies("cannot change the path", replies)?;
        let Foretell::Changed(foretold) = &change.foretell else {
            return Ok(Outcome::changed(crate::value::Map::new()));
        };
        let mut result = foretold.clone();
        result.shift_remove(CHECK_WARNINGS);
        for name in ["uid", "gid", "owner", "group", "mode", "size"] {
            result.shift_remove(name);
        }
        let landed = Landed::read(replies);
        if landed.node.is_some() {
            landed.add_path_info(&mut result, None);
        } else if result.get("dest").is_none() {
            result.insert("state".into(), "absent".into());
        } else {
            result.shift_remove("state");
        }
        Ok(Outcome::changed(result))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, in_each_shell};
    use crate::value::Value;

    #[test]
    fn directories_are_made_with_their_parents() {
        in_each_shell(|world| {
            for name in HOSTILE {
                let path = format!("{}/in ner", world.at(name));
                let args = json!({"path": path, "state": "directory", "mode": "1751"});
                let cycle = world.cycle("file", &args, &[]);
                assert!(cycle.after[*name].starts_with("1751"), "{:?}", cycle.after);
                assert!(cycle.after[&format!("{name}/in ner")].starts_with("1751"));
                assert_eq!(cycle.outcome.result["state"], Value::from("directory"));
                assert_eq!(cycle.outcome.result["mode"], Value::from("01751"));
                assert_eq!(cycle.second.result["path"], Value::from(path.as_str()));
            }
        });
    }

    #[test]
    fn whatever_is_there_is_removed_and_given_back() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(&format!("{name}/deep/f"), "x", 0o601);
                world.link(&format!("{name}/l"), "nowhere");
                world.dir(name, 0o711);
                let args = json!({"path": world.at(name), "state": "absent"});
                let cycle = world.cycle("file", &args, &[]);
                assert!(!cycle.after.contains_key(*name));
                assert!(
                    cycle.change.summary.contains("3 entries"),
                    "{}",
                    cycle.change.summary
                );
                assert_eq!(cycle.outcome.result["state"], Value::from("absent"));
                std::fs::remove_dir_all(world.root().join(name)).unwrap();
                world.file(name, "x", 0o640);
                world.cycle("file", &args, &[]);
                std::fs::remove_file(world.root().join(name)).unwrap();
                world.link(name, "nowhere");
                world.cycle("file", &args, &[]);
                std::fs::remove_file(world.root().join(name)).unwrap();
                world.unchanged("file", &args, &[]);
            }
        });
    }

    #[test]
    fn links_are_made_changed_and_forced() {
        in_each_shell(|world| {
            world.file("target", "x", 0o640);
            for name in HOSTILE {
                let mut args = json!({"path": world.at(name), "state": "link", "src": "target"});
                let cycle = world.cycle("file", &args, &[]);
                assert!(cycle.after[*name].contains("-> target"));
                assert_eq!(cycle.outcome.result["dest"], Value::from(world.at(name)));
                world.link(name, "elsewhere");
                world.cycle("file", &args, &[]);
                std::fs::remove_file(world.root().join(name)).unwrap();
                world.file(name, "old", 0o600);
                assert!(
                    world
                        .refuses("file", &args)
                        .msg
                        .starts_with("refusing to convert from file")
                );
                args["force"] = json!(true);
                world.cycle("file", &args, &[]);
                std::fs::remove_file(world.root().join(name)).unwrap();
                world.dir(name, 0o700);
                world.cycle("file", &args, &[]);
                world.file(&format!("{name}/f"), "", 0o600);
                assert!(world.refuses("file", &args).msg.contains("not empty"));
                std::fs::remove_dir_all(world.root().join(name)).unwrap();
                let args = json!({"path": world.at(name), "state": "link", "src": "no 'where"});
                assert!(
                    world
                        .refuses("file", &args)
                        .msg
                        .starts_with("src file does not exist")
                );
                let args = json!({"path": world.at(name), "state": "link", "src": "no 'where", "force": true, "follow": false});
                world.cycle("file", &args, &[]);
            }
        });
    }

    #[test]
    fn hard_links_share_the_file() {
        in_each_shell(|world| {
            world.file("target", "x", 0o640);
            let mut args =
                json!({"path": world.at("it's"), "state": "hard", "src": world.at("target")});
            let cycle = world.cycle("file", &args, &[]);
            assert_eq!(cycle.second.result["state"], Value::from("hard"));
            world.file("it's", "other", 0o600);
            assert!(
                world
                    .refuses("file", &args)
                    .msg
                    .starts_with("Cannot link, file exists")
            );
            args["force"] = json!(true);
            world.cycle("file", &args, &[]);
        });
    }

    #[test]
    fn attributes_are_set_and_set_back_also_through_links() {
        in_each_shell(|world| {
            world.file("f", "x", 0o600);
            world.link("l", "f");
            let args = json!({"path": world.at("f"), "mode": "g+r", "owner": "daemon", "group": 2});
            let cycle = world.cycle("file", &args, &[]);
            assert!(
                cycle.after["f"].starts_with("0640 1:2"),
                "{:?}",
                cycle.after
            );
            assert_eq!(cycle.outcome.result["owner"], Value::from("daemon"));
            let cycle = world.cycle(
                "file",
                &json!({"path": world.at("l"), "state": "file", "mode": 420}),
                &[],
            );
            assert!(cycle.after["f"].starts_with("0644"));
            let args = json!({"path": world.at("l"), "state": "link", "owner": 1, "follow": false});
            let cycle = world.cycle("file", &args, &[]);
            assert!(cycle.after["l"].contains(" 1:0") && cycle.after["f"].contains(" 0:0"));
            let failure = world.refuses(
                "file",
                &json!({"path": world.at("f"), "owner": "no-such-user"}),
            );
            assert_eq!(
                failure.msg,
                "chown failed: failed to look up user no-such-user"
            );
            let failure =
                world.refuses("file", &json!({"path": world.at("none"), "state": "file"}));
            assert!(failure.msg.ends_with("is absent, cannot continue"));
        });
    }

    #[test]
    fn recurse_reaches_everything_below() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(&format!("top/{name}/f"), "x", 0o600);
            }
            world.file("outside", "x", 0o600);
            world.link("top/l", "../outside");
            let mut args = json!({"path": world.at("top"), "recurse": true, "mode": "u=rwX,g=rX,o=", "owner": "daemon", "follow": false});
            let cycle = world.cycle("file", &args, &[]);
            for name in HOSTILE {
                assert!(
                    cycle.after[&format!("top/{name}/f")].starts_with("0640 1:0"),
                    "{:?}",
                    cycle.after
                );
                assert!(cycle.after[&format!("top/{name}")].starts_with("0750 1:0"));
            }
            assert!(cycle.after["outside"].starts_with("0600 0:0"));
            args["follow"] = json!(true);
            let cycle = world.cycle("file", &args, &[]);
            assert!(
                cycle.after["outside"].starts_with("0640 1:0"),
                "{:?}",
                cycle.after
            );
        });
    }

    #[test]
    fn touch_makes_a_file_and_renews_times() {
        in_each_shell(|world| {
            let keep = json!({"path": world.at("a b"), "state": "touch", "mode": "0600", "modification_time": "preserve", "access_time": "preserve"});
            let cycle = world.cycle("file", &keep, &[]);
            assert!(cycle.after["a b"].starts_with("0600"));
            world.file("a b", "x", 0o600);
            let at = json!({"path": world.at("a b"), "state": "file", "modification_time": "202001020304.05"});
            let cycle = world.cycle("file", &at, &[]);
            assert!(
                cycle.after["a b"].ends_with("1577934245"),
                "{:?}",
                cycle.after
            );
            let before = world.snapshot();
            let (change, outcome) = world.change(
                "file",
                &json!({"path": world.at("a b"), "state": "touch"}),
                &[],
            );
            assert!(outcome.unwrap().is_changed);
            assert_ne!(world.snapshot(), before);
            world.undo(&change);
            assert_eq!(world.snapshot(), before);
        });
    }

    #[test]
    fn what_others_put_into_a_new_directory_survives_the_undo() {
        in_each_shell(|world| {
            let args = json!({"path": world.at("new"), "state": "directory"});
            let (change, _) = world.change("file", &args, &[]);
            world.file("new/theirs", "x", 0o600);
            let super::super::Undo::Acts { acts, .. } = &change.undo else {
                panic!("no undo");
            };
            let reply = world.act(acts, &[], "attempt").pop().unwrap();
            assert_eq!(reply.rc, 1);
            assert!(
                reply.stderr_text().contains("now holds other files"),
                "{}",
                reply.stderr_text()
            );
            assert_eq!(world.text("new/theirs"), "x");
        });
    }
}
