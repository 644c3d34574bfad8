//! `tempfile`: makes a temporary file or directory.
//!
//! Source: ansible-core 2.19, `modules/tempfile.py`.

use std::fmt::Write as _;

use super::path_state::{Node, basename, word};
use super::put::check_replies;
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Makes a temporary file or directory.
///
/// # Returns
/// * `path`: where it is.
/// * `mode`: its permission bits.
/// * `uid`: the number of its owner.
/// * `gid`: the number of its group.
/// * `state`: `file` or `directory`.
/// * `size`: its size in bytes.
///
/// # Example
/// ```yaml
/// - tempfile:
///     state: directory
///     suffix: build
///   register: work
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Tempfile;

/// Arguments of `tempfile`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TempfileArgs {
    /// What is made. Default `file`.
    state: Option<Made>,
    /// Where. Default `$TMPDIR`, or `/tmp`.
    path: Option<String>,
    /// How its name begins. Default `ansible.`.
    prefix: Option<String>,
    /// How its name ends.
    #[serde(default)]
    suffix: String,
}

/// What is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Made {
    /// A directory.
    Directory,
    /// An empty file.
    #[default]
    File,
}

impl Module for Tempfile {
    const NAME: &'static str = "tempfile";
    const EFFECT: Effect = Effect::Converges;
    type Args = TempfileArgs;

    fn check(args: &TempfileArgs) -> Result<(), String> {
        for (name, text) in [
            ("prefix", args.prefix.as_deref()),
            ("suffix", Some(args.suffix.as_str())),
        ] {
            if let Some(text) = text.filter(|text| *text != basename(text)) {
                return Err(format!(
                    "{name} must be a valid file name component, got '{text}'"
                ));
            }
        }
        Ok(())
    }

    fn probe(_: &TempfileArgs, _: &[Resolved]) -> Option<Script> {
        None
    }

    fn decide(args: &TempfileArgs, _: &[Resolved], _: &[Reply]) -> Result<Decision, Failure> {
        let folder = match args.path.as_deref().filter(|path| !path.is_empty()) {
            Some(path) => word(path),
            None => "\"${TMPDIR:-/tmp}\"".to_owned(),
        };
        let (what, make) = match args.state.unwrap_or_default() {
            Made::Directory => ("directory", "mkdir -m 700 \"$SB_p\""),
            Made::File => ("file", "(set -C; printf '' >\"$SB_p\")"),
        };
        let mut sh = format!(
            "umask 077\nSB_dir={folder}\nSB_dir=${{SB_dir%/}}\n[ -d \"$SB_dir/\" ] || sb_fail \"\\`$SB_dir\\` is not a directory\"\n"
        );
        // Only a name that `mktemp` made up is used, and it is made anew here: a suffix is beyond
        // what the one of busybox can do.
        let _ = write!(
            sh,
            "SB_n=0\nuntil\nSB_r=$(mktemp -u XXXXXXXX) || exit 1\n\
             SB_p=$SB_dir/{}${{SB_r##*/}}{}\n{make} 2>/dev/null\ndo\nSB_n=$((SB_n + 1))\n\
             [ \"$SB_n\" -lt 20 ] || sb_fail \"cannot make a temporary {what} in \\`$SB_dir\\`\"\ndone\n\
             sb_kv path \"$SB_p\"\nsb_stat f \"$SB_p\"\n",
            quote(args.prefix.as_deref().unwrap_or("ansible.")),
            quote(&args.suffix),
        );
        Ok(Decision::Change(Change {
            summary: format!("make a temporary {what}"),
            diff: Vec::new(),
            acts: vec![Act::script(sh)],
            undo: Undo::NotNeeded,
            foretell: Foretell::Skipped(
                "remote module (tempfile) does not support check mode".to_owned(),
            ),
        }))
    }

    fn finish(
        _: &TempfileArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        check_replies("cannot make a temporary name", replies)?;
        let fields = replies.last().map(Reply::fields).unwrap_or_default();
        let path = fields.get("path");
        let path = path.ok_or_else(|| Failure::new("the host reported no path"))?;
        let mut result = Map::from([("path".into(), Value::from(path.as_str()))]);
        if let Some(node) = Node::read("f", &fields) {
            node.add_path_info(&mut result);
        }
        Ok(Outcome::changed(result))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, in_each_shell};

    #[test]
    fn each_run_makes_a_new_private_name() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.dir(name, 0o755);
                for (state, mode) in [("file", "0600"), ("directory", "0700")] {
                    let args = json!({"state": state, "path": world.at(name), "prefix": "it's", "suffix": " b"});
                    let mut paths = Vec::new();
                    for _ in 0..2 {
                        let (_, outcome) = world.change("tempfile", &args, &[]);
                        let path = outcome.unwrap().result["path"].as_str().unwrap().to_owned();
                        let relative = path
                            .strip_prefix(&world.at(""))
                            .unwrap()
                            .trim_start_matches('/')
                            .to_owned();
                        assert!(world.snapshot()[&relative].starts_with(mode), "{relative}");
                        assert!(
                            relative.starts_with(&format!("{name}/it's"))
                                && relative.ends_with(" b")
                        );
                        paths.push(path);
                    }
                    assert_ne!(paths[0], paths[1]);
                }
            }
            let (_, outcome) = world.change("tempfile", &json!({"path": world.at("none")}), &[]);
            assert!(outcome.unwrap_err().msg.contains("is not a directory"));
        });
    }
}
