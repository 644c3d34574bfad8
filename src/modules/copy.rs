//! `copy`: brings a file or folder of the controller, a text, or a file of the host somewhere.
//!
//! Source: ansible-core 2.19, `plugins/action/copy.py` and `modules/copy.py`.

use super::file_args::file_args;
use super::mode::Mode;
use super::one_file::{OneFile, probe, probe_text};
use super::path_state::{Kind, Node, basename, word};
use super::put::{Content, sha1_hex};
use super::{
    Change, Decision, Effect, Failure, Input, InputKind, Module, Outcome, Resolved, copy_tree,
};
use crate::script::{Reply, Script};

/// Brings a file or folder of the controller, a text, or a file of the host somewhere.
///
/// # Returns
/// * `src`: the file on the controller.
/// * `dest`: the file that was written.
/// * `checksum`: its SHA-1.
/// * `backup_file`: the copy of the old file, with `backup`.
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
/// - copy:
///     content: "Maintenance until noon\n"
///     dest: /etc/motd
///     mode: "0644"
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Copy;

file_args! {
    /// Arguments of `copy`.
    struct CopyArgs {
        /// A file or folder of the controller, or with `remote_src` of the host. A folder with a
        /// `/` at its end stands for what is in it.
        src: Option<String>,
        /// The content itself, instead of `src`. A list or mapping is written as JSON.
        content: Option<Text>,
        /// Where it is to go. With a `/` at its end it is a directory, made if need be.
        dest: String,
        /// Whether a copy of the old file is left beside it.
        #[serde(default)]
        backup: bool,
        /// Whether a file that is there already is replaced. Default true.
        force: Option<bool>,
        /// A command that must accept the new file first; `%s` in it stands for the file.
        validate: Option<String>,
        /// Permission bits of directories that have to be made.
        directory_mode: Option<Mode>,
        /// Whether `src` is on the host.
        #[serde(default)]
        remote_src: bool,
        /// Whether links in a folder are followed. Default true.
        local_follow: Option<bool>,
        /// Whether a link at the destination is followed.
        #[serde(default)]
        follow: bool,
        /// SHA-1 that the source must have.
        checksum: Option<String>,
        /// Whether a vault file is decrypted on the way; the engine heeds it. Default true.
        #[serde(rename = "decrypt")]
        _decrypt: Option<bool>,
    }
}

/// Text, or the JSON of a list or mapping.
#[derive(Clone, Debug, schemars::JsonSchema)]
#[schemars(transparent)]
pub(super) struct Text(#[schemars(with = "serde_json::Value")] String);

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Bool(true) => "True".to_owned(),
            serde_json::Value::Bool(false) => "False".to_owned(),
            serde_json::Value::Null => String::new(),
            other => super::python_json::dumps(&other),
        }))
    }
}

impl CopyArgs {
    fn src(&self) -> &str {
        self.src.as_deref().unwrap_or_default()
    }

    fn is_local(&self) -> bool {
        !self.remote_src && self.content.is_none()
    }

    fn one<'a>(&'a self, name: &'a str, src: &'a str, sha1: &'a str) -> OneFile<'a> {
        OneFile {
            dest: &self.dest,
            name,
            src,
            content: Content::Bytes(Vec::new()),
            shown: None,
            size: 0,
            sha1,
            source_mode: 0,
            wanted: self.wanted(),
            directory_mode: self.directory_mode.as_ref(),
            force: self.force.unwrap_or(true),
            backup: self.backup,
            validate: self.validate.as_deref(),
            is_remote: false,
        }
    }

    /// Calls `with` with the one file that this task is about.
    fn with_one<T>(
        &self,
        inputs: &[Resolved],
        seen: &[Reply],
        with: impl FnOnce(&OneFile<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(Text(text)) = &self.content {
            let sha1 = sha1_hex(text.as_bytes());
            self.expect_checksum(&sha1)?;
            return with(&OneFile {
                content: Content::Bytes(text.clone().into_bytes()),
                shown: Some(text.as_bytes()),
                size: text.len() as u64,
                source_mode: 0o600,
                ..self.one("", "", &sha1)
            });
        }
        if self.remote_src {
            return self.with_remote(&seen[0], with);
        }
        let input = &inputs[0];
        self.expect_checksum(&input.sha1)?;
        let path = input.path.to_string_lossy();
        with(&OneFile {
            source_mode: input.mode & 0o7777,
            shown: has_bytes(input).then_some(&input.bytes),
            size: input.size,
            content: if has_bytes(input) {
                Content::Bytes(input.bytes.clone())
            } else {
                Content::Local {
                    path: input.path.clone(),
                    sha1: input.sha1.clone(),
                }
            },
            ..self.one(basename(&path), &path, &input.sha1)
        })
    }

    fn with_remote<T>(
        &self,
        reply: &Reply,
        with: impl FnOnce(&OneFile<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let fields = reply.fields();
        let src = fields.get("src").map_or(self.src(), String::as_str);
        let Some(node) = Node::read("s", &fields) else {
            return Err(Failure::new(format!("Source {src} not found")));
        };
        if node.kind() == Kind::Directory {
            return Err(Failure::new(format!(
                "`{src}` is a directory: `copy` with `remote_src` takes only files here; use a \
                 `command` task with `cp -a`"
            )));
        }
        if node.kind() != Kind::File {
            return Err(Failure::new(format!(
                "Cannot copy invalid source '{src}': not a file"
            )));
        }
        let Some(sha1) = &node.sha1 else {
            return Err(Failure::new(format!("Source {src} not readable")));
        };
        self.expect_checksum(sha1)?;
        with(&OneFile {
            content: Content::Remote {
                path: src.to_owned(),
                sha1: sha1.clone(),
            },
            size: node.size,
            source_mode: node.mode(),
            is_remote: true,
            ..self.one(basename(src), src, sha1)
        })
    }

    fn expect_checksum(&self, sha1: &str) -> Result<(), Failure> {
        let Some(expected) = self.checksum.as_deref().filter(|sum| *sum != sha1) else {
            return Ok(());
        };
        let mut failed =
            Failure::new("Copied file does not match the expected checksum. Transfer failed.");
        failed.result.insert("checksum".into(), sha1.into());
        failed
            .result
            .insert("expected_checksum".into(), expected.into());
        Err(failed)
    }

    fn tree(&self) -> copy_tree::Task<'_> {
        copy_tree::Task {
            src: self.src(),
            dest: &self.dest,
            wanted: self.wanted(),
            directory_mode: self.directory_mode.as_ref(),
            force: self.force.unwrap_or(true),
            backup: self.backup,
            validate: self.validate.as_deref(),
            local_follow: self.local_follow.unwrap_or(true),
        }
    }
}

/// Whether the engine read the file whole, as it does with small ones.
fn has_bytes(input: &Resolved) -> bool {
    input.bytes.len() as u64 == input.size
}

impl Module for Copy {
    const NAME: &'static str = "copy";
    const EFFECT: Effect = Effect::Converges;
    type Args = CopyArgs;

    fn check(args: &CopyArgs) -> Result<(), String> {
        args.wanted().check()?;
        if args.src().is_empty() && args.content.is_none() {
            return Err("src (or content) is required".to_owned());
        }
        if args.dest.is_empty() {
            return Err("dest is required".to_owned());
        }
        if !args.src().is_empty() && args.content.is_some() {
            return Err("src and content are mutually exclusive".to_owned());
        }
        if args.content.is_some() && args.dest.ends_with('/') {
            return Err("can not use content with a dir as dest".to_owned());
        }
        if let Some(text) = args.validate.as_deref().filter(|text| !text.contains("%s")) {
            return Err(format!("validate must contain %s: {text}"));
        }
        Ok(())
    }

    fn inputs(args: &CopyArgs) -> Vec<Input> {
        if !args.is_local() {
            return Vec::new();
        }
        vec![Input {
            path: args.src().to_owned(),
            folder: "files",
            kind: InputKind::Hashed,
        }]
    }

    fn probe(args: &CopyArgs, inputs: &[Resolved]) -> Option<Script> {
        let wanted = args.wanted();
        if let Some(Text(text)) = &args.content {
            let sha1 = sha1_hex(text.as_bytes());
            return Some(probe(&args.dest, "", args.follow, &sha1, &wanted));
        }
        if args.remote_src {
            let head = format!(
                "SB_s={}\nsb_kv src \"$SB_s\"\nif [ -e \"$SB_s\" ]; then sb_stat s \"$SB_s\" -L; fi\n\
                 sb_sum s \"$SB_s\"\n",
                word(args.src())
            );
            let name = basename(args.src());
            let tail = probe_text(&args.dest, name, args.follow, "\"$SB_sum\"", &wanted);
            return Some(Script::new(head + &tail));
        }
        let input = &inputs[0];
        if let Some(entries) = &input.tree {
            return Some(args.tree().probe(entries));
        }
        let path = input.path.to_string_lossy();
        Some(probe(
            &args.dest,
            basename(&path),
            args.follow,
            &input.sha1,
            &wanted,
        ))
    }

    fn decide(args: &CopyArgs, inputs: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        if let Some(Resolved {
            tree: Some(entries),
            ..
        }) = inputs.first()
        {
            return args.tree().decide(entries, &seen[0]);
        }
        args.with_one(inputs, seen, |one| one.decide(&seen[0]))
    }

    fn finish(
        args: &CopyArgs,
        inputs: &[Resolved],
        seen: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        if let Some(Resolved {
            tree: Some(_),
            path,
            ..
        }) = inputs.first()
        {
            return args
                .tree()
                .finish(&path.to_string_lossy(), &seen[0], replies);
        }
        args.with_one(inputs, seen, |one| one.finish(&seen[0], change, replies))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, World, in_each_shell};
    use super::super::{Act, Decision, Foretell};
    use crate::value::Value;

    #[test]
    fn content_goes_to_names_of_all_kinds_and_comes_back() {
        in_each_shell(|world| {
            for name in HOSTILE {
                let dest = world.at(name);
                let text = "it's \"new\"\\n %s\n\n";
                let cycle = world.cycle(
                    "copy",
                    &json!({"content": text, "dest": dest, "mode": "0640"}),
                    &[],
                );
                assert!(cycle.after[*name].starts_with("0640"), "{:?}", cycle.after);
                assert!(cycle.after[*name].contains("%s"));
                assert_eq!(cycle.outcome.result["dest"], Value::from(dest.as_str()));
                assert_eq!(cycle.outcome.result["mode"], Value::from("0640"));
                assert_eq!(cycle.outcome.result["state"], Value::from("file"));
                assert_eq!(
                    cycle.second.result["checksum"],
                    cycle.outcome.result["checksum"]
                );
                // What is there is replaced and given back.
                world.file(name, "old", 0o604);
                let cycle = world.cycle("copy", &json!({"content": text, "dest": dest}), &[]);
                assert!(cycle.after[*name].starts_with("0604"), "{:?}", cycle.after);
                assert_eq!(cycle.change.diff[0].before, "old");
                std::fs::remove_file(world.root().join(name)).unwrap();
            }
        });
    }

    #[test]
    fn a_small_file_is_embedded_and_a_big_one_streamed() {
        in_each_shell(|world| {
            let small = world.input("x.conf", b"a\n", 0o600);
            let big = world.input("big", &b"line\n".repeat(40_000), 0o600);
            let binary = world.input("bin", b"a\0b\xff\n", 0o600);
            for (input, is_stream) in [
                (small.clone(), false),
                (World::unread(small), true),
                (World::unread(big), true),
                (binary, true),
            ] {
                let args = json!({"src": "x", "dest": world.at(""), "mode": "preserve"});
                let name = input.path.file_name().unwrap().to_str().unwrap().to_owned();
                let cycle = world.cycle("copy", &args, std::slice::from_ref(&input));
                assert_eq!(cycle.change.acts.len(), 1, "two trips at most");
                assert_eq!(
                    matches!(cycle.change.acts[0], Act::Stream { .. }),
                    is_stream
                );
                assert!(cycle.after[&name].starts_with("0600"));
                assert_eq!(
                    cycle.outcome.result["checksum"],
                    Value::from(input.sha1.as_str())
                );
            }
        });
    }

    #[test]
    fn a_stream_that_is_cut_leaves_the_old_file() {
        in_each_shell(|world| {
            world.file("x", "old", 0o644);
            let mut input = World::unread(world.input("x", b"new content", 0o644));
            input.sha1 = "0".repeat(40);
            let before = world.snapshot();
            let (_, outcome) = world.change(
                "copy",
                &json!({"src": "x", "dest": world.at("x")}),
                &[input],
            );
            assert!(outcome.unwrap_err().msg.contains("transfer failed"));
            assert_eq!(world.snapshot(), before);
        });
    }

    #[test]
    fn only_attributes_change_when_the_content_is_there() {
        in_each_shell(|world| {
            world.file("x", "same", 0o600);
            let args = json!({"content": "same", "dest": world.at("x"), "mode": "u+x,g=r"});
            let cycle = world.cycle("copy", &args, &[]);
            assert!(cycle.after["x"].starts_with("0740"), "{:?}", cycle.after);
            assert!(
                cycle.change.summary.contains("mode 0600 -> 0740"),
                "{}",
                cycle.change.summary
            );
            assert_eq!(cycle.outcome.result["mode"], Value::from("0740"));
        });
    }

    #[test]
    fn a_link_is_replaced_or_followed() {
        in_each_shell(|world| {
            world.file("real", "old", 0o644);
            world.link("link", "real");
            let mut args = json!({"content": "new", "dest": world.at("link")});
            let cycle = world.cycle("copy", &args, &[]);
            assert!(cycle.after["link"].contains("new") && cycle.after["real"].contains("old"));
            args["follow"] = json!(true);
            let cycle = world.cycle("copy", &args, &[]);
            assert!(cycle.after["link"].contains("-> real") && cycle.after["real"].contains("new"));
            world.link("dangling", "nowhere");
            let cycle = world.cycle(
                "copy",
                &json!({"content": "x", "dest": world.at("dangling")}),
                &[],
            );
            assert!(!cycle.after.contains_key("nowhere"));
        });
    }

    #[test]
    fn a_refused_validation_leaves_the_old_file() {
        in_each_shell(|world| {
            world.file("x.conf", "old", 0o644);
            let args = |command: &str| json!({"content": "ne w\n", "dest": world.at("x.conf"), "validate": command});
            let before = world.snapshot();
            let refuse = "sh -c 'echo out; echo no >&2; exit 3' %s";
            let (_, outcome) = world.change("copy", &args(refuse), &[]);
            let failure = outcome.unwrap_err();
            assert_eq!(failure.msg, "failed to validate");
            assert_eq!(failure.result["exit_status"], Value::Int(3));
            assert_eq!(failure.result["stdout"], Value::from("out"));
            assert_eq!(failure.result["stderr"], Value::from("no\n"));
            assert_eq!(world.snapshot(), before);
            world.cycle("copy", &args("grep -q 'ne w' %s"), &[]);
        });
    }

    #[test]
    fn a_backup_is_made_and_goes_with_the_undo() {
        in_each_shell(|world| {
            world.file("x", "old", 0o640);
            let args = json!({"content": "new", "dest": world.at("x"), "backup": true});
            let cycle = world.cycle("copy", &args, &[]);
            let name = cycle.outcome.result["backup_file"]
                .as_str()
                .unwrap()
                .to_owned();
            let relative = name
                .strip_prefix(&world.at(""))
                .unwrap()
                .trim_start_matches('/')
                .to_owned();
            assert!(
                cycle.after[&relative].starts_with("0640"),
                "{relative} {:?}",
                cycle.after
            );
        });
    }

    #[test]
    fn directories_are_made_only_for_a_destination_that_is_one() {
        in_each_shell(|world| {
            let input = [world.input("x.conf", b"a\n", 0o600)];
            let args =
                json!({"src": "x.conf", "dest": world.at("a b/c/"), "directory_mode": "0710"});
            let cycle = world.cycle("copy", &args, &input);
            assert!(
                cycle.after["a b"].starts_with("0710") && cycle.after["a b/c/x.conf"].contains('a')
            );
            let args = json!({"src": "x.conf", "dest": world.at("none/x")});
            let failure = world.decide("copy", &args, &input).unwrap_err();
            assert!(
                failure.msg.ends_with("root/none does not exist"),
                "{}",
                failure.msg
            );
        });
    }

    #[test]
    fn force_false_leaves_what_is_there() {
        in_each_shell(|world| {
            world.file("x", "old", 0o640);
            let args = json!({"content": "new", "dest": world.at("x"), "force": false});
            world.unchanged("copy", &args, &[]);
        });
    }

    #[test]
    fn a_folder_comes_with_all_that_is_in_it() {
        in_each_shell(|world| {
            let folder = world.folder(&[
                ("sub/", ""),
                ("sub/a b", "one\n"),
                ("it's", "two"),
                ("link", "-> it's"),
                ("empty/", ""),
            ]);
            world.file("to/it's", "old", 0o600);
            let mut args = json!({"src": "folder/", "dest": world.at("to"), "mode": "preserve", "directory_mode": "0750"});
            let cycle = world.cycle("copy", &args, std::slice::from_ref(&folder));
            assert!(
                cycle.after["to/it's"].starts_with("0640"),
                "{:?}",
                cycle.after
            );
            assert!(
                cycle.after["to/sub"].starts_with("0750")
                    && cycle.after["to/empty"].contains("dir")
            );
            assert_eq!(cycle.change.acts.len(), 1, "small files take one trip");
            args["src"] = json!("folder");
            args["local_follow"] = json!(false);
            let cycle = world.cycle("copy", &args, &[folder]);
            assert!(
                cycle.after["to/folder/link"].contains("-> it's"),
                "{:?}",
                cycle.after
            );
        });
    }

    #[test]
    fn a_file_of_the_host_is_copied_with_its_mode() {
        in_each_shell(|world| {
            world.file("from/it's", "text\n", 0o751);
            world.file("to", "old", 0o600);
            let args =
                json!({"src": world.at("from/it's"), "dest": world.at("to"), "remote_src": true});
            let cycle = world.cycle("copy", &args, &[]);
            assert!(cycle.after["to"].starts_with("0751") && cycle.after["to"].contains("text"));
            let args = json!({"src": world.at("none"), "dest": world.at("to"), "remote_src": true});
            assert!(world.refuses("copy", &args).msg.ends_with("not found"));
        });
    }

    #[test]
    fn json_content_and_foretold_results_are_as_in_ansible() {
        in_each_shell(|world| {
            let args = json!({"content": {"a": [1, true]}, "dest": world.at("x")});
            let (Decision::Change(change), _) = world.decide("copy", &args, &[]).unwrap() else {
                panic!("no change");
            };
            assert_eq!(change.foretell, Foretell::Changed(crate::value::Map::new()));
            assert_eq!(change.diff[0].after, r#"{"a": [1, true]}"#);
        });
    }
}
