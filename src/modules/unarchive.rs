//! `unarchive`: unpacks an archive of the controller or of the host into a directory.
//!
//! The archive is unpacked into a folder of its own first; only what differs is then put in place,
//! so that the undo knows each path and no link is written through. What it comes to is known only
//! then: an archive that is unpacked already costs two trips, and reports that nothing changed.
//! Source: ansible-core 2.19, `modules/unarchive.py` and `plugins/action/unarchive.py`.

use std::fmt::Write as _;

use super::file_args::{file_args, word_of_seen};
use super::mode::Mode;
use super::path_state::{Node, failure, octal, word};
use super::put::{Landed, check_replies};
use super::{
    Act, Change, Decision, Effect, Failure, Foretell, Input, InputKind, Module, Outcome, Resolved,
    Source, Undo,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

const FUNCTIONS: &str = include_str!("unarchive.sh");

/// Unpacks an archive of the controller or of the host into a directory.
///
/// # Returns
/// * `src`: the archive.
/// * `dest`: the directory.
/// * `handler`: what unpacked it.
/// * `files`: what it holds, with `list_files`.
/// * `extract_results`: what the program said.
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
/// - unarchive:
///     src: app.tar.gz
///     dest: /opt/app
///     creates: /opt/app/bin
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Unarchive;

file_args! {
    /// Arguments of `unarchive`.
    struct UnarchiveArgs {
        /// The archive: tar (also with gzip, bzip2, xz or zstd) or zip.
        src: String,
        /// The directory, which must be there.
        dest: String,
        /// Whether `src` is on the host.
        remote_src: Option<bool>,
        /// The opposite of `remote_src`, which replaces it.
        copy: Option<bool>,
        /// Nothing is done when this path is there.
        creates: Option<String>,
        /// Whether the result has the names in the archive.
        #[serde(default)]
        list_files: bool,
        /// Whether files that are newer than the archive's stay.
        #[serde(default)]
        keep_newer: bool,
        /// Names that are left out.
        #[serde(default)]
        exclude: Vec<String>,
        /// Names that alone are unpacked.
        #[serde(default)]
        include: Vec<String>,
        /// More options for `tar` or `unzip`.
        #[serde(default)]
        extra_opts: Vec<String>,
        /// Concerns downloads, which are refused; see `src`.
        #[serde(rename = "validate_certs")]
        _validate_certs: Option<bool>,
        /// Concerns Ansible's own reading of archives.
        #[serde(rename = "io_buffer_size")]
        _io_buffer_size: Option<i64>,
        /// Whether a vault file is decrypted on the way; the engine heeds it. Default true.
        #[serde(rename = "decrypt")]
        _decrypt: Option<bool>,
    }
}

impl UnarchiveArgs {
    fn is_remote(&self) -> bool {
        self.remote_src
            .unwrap_or_else(|| !self.copy.unwrap_or(true))
    }

    /// The script that unpacks `archive`, a word of sh; without one it comes as a stream.
    fn script(&self, dest: &str, archive: Option<&str>, sha1: &str) -> String {
        let quoted = |list: &[String], prefix: &str| {
            list.iter().fold(String::new(), |mut all, text| {
                let _ = write!(all, " {}", quote(&format!("{prefix}{text}")));
                all
            })
        };
        let mut sh = format!(
            "{FUNCTIONS}\nSB_p={}\nSB_keep_newer={}\nsb_keep_dir\nmkdir -p \"$SB_KEEP/old\" || exit 1\n\
             sb_beside \"$SB_p/x\"\n(umask 077; mkdir \"$SB_tmp\" \"$SB_tmp/in\") || sb_fail \"cannot write in \\`$SB_p\\`\"\n\
             SB_stage=$SB_tmp/in\n",
            word_of_seen(dest),
            if self.keep_newer { "1" } else { "" },
        );
        match archive {
            Some(archive) => {
                let _ = writeln!(sh, "SB_archive={archive}");
            }
            None => {
                let _ = writeln!(
                    sh,
                    "SB_archive=$SB_tmp/archive\n(umask 077; cat >\"$SB_archive\") || sb_fail 'cannot write the archive'\n\
                     sb_sum a \"$SB_archive\"\n[ \"$SB_sum\" = {sha1} ] || sb_fail 'the archive did not arrive whole'"
                );
            }
        }
        let extra = quoted(&self.extra_opts, "");
        let _ = write!(
            sh,
            "sb_magic\nsb_kv handler \"$SB_handler\"\n\
             if [ \"$SB_handler\" = ZipArchive ]; then\n\
             unzip -o -q{extra} \"$SB_archive\"{}{} -d \"$SB_stage\" >&2 || sb_fail \"failed to unpack: is it whole, and is \\`unzip\\` there?\"\n\
             else\ntar -x $SB_zip{extra}{} -f \"$SB_archive\" -C \"$SB_stage\"{} >&2 || sb_fail 'failed to unpack'\nfi\n",
            quoted(&self.include, ""),
            if self.exclude.is_empty() {
                String::new()
            } else {
                format!(" -x{}", quoted(&self.exclude, ""))
            },
            quoted(&self.exclude, "--exclude="),
            quoted(&self.include, ""),
        );
        self.shape(&mut sh);
        sh.push_str(
            "(cd \"$SB_stage\" && sb_list) >\"$SB_tmp/list\" || sb_fail 'cannot list what was unpacked'\n\
             SB_changed= SB_made='\n'\nsb_each sb_entry \"$SB_tmp/list\"\n\
             sb_each sb_shape_new \"$SB_tmp/list\"\n\
             sb_kv changed \"$SB_changed\"\n",
        );
        if self.list_files {
            sh.push_str("SB_n=0\nsb_each sb_show \"$SB_tmp/list\"\n");
        }
        sh.push_str("sb_see r \"$SB_p\"\n");
        sh
    }

    /// Owner, group and mode go to everything that was unpacked.
    fn shape(&self, sh: &mut String) {
        let wanted = self.wanted();
        let owner = match (wanted.owner, wanted.group) {
            (Some(owner), Some(group)) => Some(format!("{owner}:{group}")),
            (Some(owner), None) => Some(owner.to_owned()),
            (None, Some(group)) => Some(format!(":{group}")),
            (None, None) => None,
        };
        if let Some(owner) = owner {
            let _ = writeln!(
                sh,
                "chown -hR {} \"$SB_stage\" || sb_fail 'chown failed'",
                quote(&owner)
            );
        }
        let mode = match wanted.mode {
            Some(Mode::Bits(bits)) => format!("0{}", octal(*bits)),
            Some(Mode::Symbolic(text)) => text.clone(),
            Some(Mode::Preserve) | None => return,
        };
        let _ = writeln!(
            sh,
            "find \"$SB_stage\" -mindepth 1 -depth ! -type l -exec chmod {} {{}} + || sb_fail 'chmod failed'",
            quote(&mode)
        );
    }
}

impl Module for Unarchive {
    const NAME: &'static str = "unarchive";
    const EFFECT: Effect = Effect::Converges;
    type Args = UnarchiveArgs;

    fn check(args: &UnarchiveArgs) -> Result<(), String> {
        args.wanted().check()?;
        if args.copy.is_some() && args.remote_src.is_some() {
            return Err("parameters are mutually exclusive: ('copy', 'remote_src')".to_owned());
        }
        if !args.include.is_empty() && !args.exclude.is_empty() {
            return Err("parameters are mutually exclusive: include|exclude".to_owned());
        }
        if args.src.contains("://") {
            return Err(format!(
                "`src: {}` is a download, which is not supported here: fetch it with `uri` or `get_url` first",
                args.src
            ));
        }
        Ok(())
    }

    fn inputs(args: &UnarchiveArgs) -> Vec<Input> {
        if args.is_remote() {
            return Vec::new();
        }
        vec![Input {
            path: args.src.clone(),
            folder: "files",
            kind: InputKind::Hashed,
        }]
    }

    fn probe(args: &UnarchiveArgs, _: &[Resolved]) -> Option<Script> {
        let mut sh = format!(
            "SB_p={}\nsb_kv path \"$SB_p\"\nif [ -d \"$SB_p\" ]; then sb_kv is_dir 1; sb_stat f \"$SB_p\" -L; fi\n",
            word(&args.dest)
        );
        if let Some(creates) = args.creates.as_deref().filter(|path| !path.is_empty()) {
            let _ = writeln!(
                sh,
                "SB_c={}\nif [ -e \"$SB_c\" ]; then sb_kv creates \"$SB_c\"; fi",
                word(creates)
            );
        }
        if args.is_remote() {
            let _ = writeln!(
                sh,
                "SB_s={}\nsb_kv src \"$SB_s\"\n[ -s \"$SB_s\" ] && [ -r \"$SB_s\" ] && [ ! -d \"$SB_s\" ] && sb_kv is_src 1",
                word(&args.src)
            );
        }
        Some(Script::new(sh + "exit 0\n"))
    }

    fn decide(
        args: &UnarchiveArgs,
        inputs: &[Resolved],
        seen: &[Reply],
    ) -> Result<Decision, Failure> {
        let fields = seen[0].fields();
        let Some(dest) = fields.get("path").filter(|_| seen[0].rc == 0) else {
            return Err(failure("cannot look at the destination", &seen[0]));
        };
        if let Some(path) = fields.get("creates") {
            return Ok(Decision::Unchanged(Outcome {
                skipped: Some(format!("skipped, since {path} exists")),
                ..Outcome::default()
            }));
        }
        if !fields.contains_key("is_dir") {
            return Err(Failure::new(format!(
                "dest '{dest}' must be an existing dir"
            )));
        }
        let act = if args.is_remote() {
            let src = fields.get("src").unwrap_or(&args.src);
            if !fields.contains_key("is_src") {
                return Err(Failure::new(format!(
                    "Source '{src}' does not exist, is empty or is not readable"
                )));
            }
            Act::script(args.script(dest, Some(&word_of_seen(src)), ""))
        } else {
            let input = &inputs[0];
            let is_read = input.bytes.len() as u64 == input.size;
            Act::Stream {
                script: Script::new(args.script(dest, None, &input.sha1)),
                source: if is_read {
                    Source::Bytes(input.bytes.clone())
                } else {
                    Source::File(input.path.clone())
                },
            }
        };
        Ok(Decision::Change(Change {
            summary: format!("unpack `{}` into `{dest}`", args.src),
            diff: Vec::new(),
            acts: vec![act],
            undo: Undo::Acts {
                summary: format!(
                    "give what the archive replaced in `{dest}` back, and remove what it added"
                ),
                acts: vec![Act::script(format!(
                    "{FUNCTIONS}\nSB_p={}\nsb_unpack_undo\n",
                    word_of_seen(dest)
                ))],
            },
            foretell: Foretell::Skipped(
                "remote module (unarchive) does not support check mode when using gtar".to_owned(),
            ),
        }))
    }

    fn finish(
        args: &UnarchiveArgs,
        inputs: &[Resolved],
        seen: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let probed = seen[0].fields();
        let dest = probed.get("path").cloned().unwrap_or_default();
        let src = match inputs.first() {
            Some(input) => input.path.to_string_lossy().into_owned(),
            None => probed.get("src").unwrap_or(&args.src).clone(),
        };
        check_replies(&format!("failed to unpack {src} to {dest}"), replies)?;
        let landed = Landed::read(replies);
        let mut result = Map::from([("dest".into(), dest.into()), ("src".into(), src.into())]);
        if let Some(handler) = landed.fields.get("handler") {
            result.insert("handler".into(), handler.clone().into());
        }
        match Node::read("r", &landed.fields).or_else(|| Node::read("f", &probed)) {
            Some(node) => node.add_path_info(&mut result),
            None => return Err(Failure::new("the host did not report the directory")),
        }
        if args.list_files {
            let files: Vec<Value> = (1..)
                .map_while(|i| landed.fields.get(&format!("file.{i}")))
                .map(|name| name.clone().into())
                .collect();
            result.insert("files".into(), files.into());
        }
        let is_changed = landed
            .fields
            .get("changed")
            .is_some_and(|text| !text.is_empty());
        Ok(Outcome {
            is_changed,
            result,
            ..Outcome::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, World, in_each_shell};
    use super::*;

    /// An archive made by a real program, of files in the folder `made` of the controller.
    fn archive(world: &World, command: &str) -> Resolved {
        let base = tempfile::tempdir().unwrap();
        let made = base.path().join("made");
        for name in HOSTILE {
            std::fs::create_dir_all(made.join("top")).unwrap();
            std::fs::write(made.join("top").join(name), format!("new {name}")).unwrap();
        }
        std::os::unix::fs::symlink("plain", made.join("top/link")).unwrap();
        let status = std::process::Command::new("sh")
            .args(["-c", &format!("cd made && {command}")])
            .current_dir(base.path())
            .status()
            .unwrap();
        assert!(status.success(), "{command}");
        world.input(
            "archive",
            &std::fs::read(base.path().join("archive")).unwrap(),
            0o600,
        )
    }

    #[test]
    fn archives_are_unpacked_once_and_taken_back() {
        in_each_shell(|world| {
            for (command, handler) in [
                ("tar -czf ../archive .", "TgzArchive"),
                ("tar -cf ../archive .", "TarArchive"),
                ("tar -cJf ../archive .", "TarXzArchive"),
            ] {
                let input = [archive(world, command)];
                world.file("to/top/plain", "old", 0o640);
                world.file("to/top/theirs", "x", 0o640);
                world.dir("to/top", 0o711);
                let before = world.snapshot();
                let args = json!({"src": "a", "dest": world.at("to"), "list_files": true});
                let (change, outcome) = world.change("unarchive", &args, &input);
                let outcome = outcome.unwrap();
                assert!(outcome.is_changed);
                assert_eq!(outcome.result["handler"], Value::from(handler));
                for name in HOSTILE {
                    assert_eq!(world.text(&format!("to/top/{name}")), format!("new {name}"));
                    let files = outcome.result["files"].as_list().unwrap();
                    assert!(
                        files.contains(&Value::from(format!("top/{name}"))),
                        "{files:?}"
                    );
                }
                let after = world.snapshot();
                assert!(
                    after["to/top/link"].ends_with("-> plain")
                        && after["to/top/theirs"].contains('x')
                );
                world.undo(&change);
                assert_eq!(world.snapshot(), before);
                world.undo(&change);
                assert_eq!(world.snapshot(), before);
                world.change("unarchive", &args, &input).1.unwrap();
                let (again, outcome) = world.change("unarchive", &args, &input);
                assert!(!outcome.unwrap().is_changed);
                world.undo(&again);
                assert_eq!(world.snapshot(), after);
            }
        });
    }

    #[test]
    fn no_link_leads_out_of_the_destination() {
        in_each_shell(|world| {
            let input = [archive(world, "tar -czf ../archive .")];
            world.dir("outside", 0o755);
            world.link("to/top", "../outside");
            let args = json!({"src": "a", "dest": world.at("to")});
            let before = world.snapshot();
            let (_, outcome) = world.change("unarchive", &args, &input);
            let failure = outcome.unwrap_err();
            assert!(
                failure.msg.contains("refusing to go through it"),
                "{}",
                failure.msg
            );
            assert_eq!(world.snapshot(), before);
        });
    }

    #[test]
    fn owner_and_mode_go_to_everything_and_creates_skips() {
        in_each_shell(|world| {
            let input = [archive(world, "tar -czf ../archive .")];
            world.dir("to", 0o755);
            let mut args = json!({"src": "a", "dest": world.at("to"), "owner": "daemon", "mode": "u=rwX,g=rX,o="});
            world.change("unarchive", &args, &input).1.unwrap();
            let after = world.snapshot();
            assert!(after["to/top"].starts_with("0750 1:0"), "{after:?}");
            assert!(after["to/top/a b"].starts_with("0640 1:0"), "{after:?}");
            args["creates"] = json!(world.at("to/top"));
            assert!(
                world
                    .unchanged("unarchive", &args, &input)
                    .skipped
                    .is_some()
            );
        });
    }
}
