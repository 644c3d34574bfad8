//! `stat`: reports what is at a path.

use std::collections::BTreeMap;

use super::path_state::{Kind, Node, int, octal, word};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// Reports what is at a path.
///
/// # Returns
/// * `stat`: what is at the path: `exists` and, if so, `isdir`, `isreg`, `islnk`, `mode`, `size`,
///   `mtime`, `pw_name`, `gr_name`, `checksum`, `lnk_target` and others.
///
/// # Example
/// ```yaml
/// - stat:
///     path: /var/lib/postgresql/16/main/PG_VERSION
///   register: version_file
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Stat;

/// Arguments of `stat`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatArgs {
    /// The path to look at.
    #[serde(alias = "dest", alias = "name")]
    path: String,
    /// Whether to look at what a link leads to.
    #[serde(default)]
    follow: bool,
    /// Whether to compute a checksum of a regular file. Default true.
    get_checksum: Option<bool>,
    /// Whether to ask `file` for the MIME type. Default true.
    #[serde(alias = "mime", alias = "mime_type", alias = "mime-type")]
    get_mime: Option<bool>,
    /// Whether to ask `lsattr` for the file's flags. Default true.
    #[serde(alias = "attr", alias = "attributes")]
    get_attributes: Option<bool>,
    /// Which checksum. Default `sha1`.
    #[serde(alias = "checksum", alias = "checksum_algo")]
    checksum_algorithm: Option<Algorithm>,
}

/// A checksum that both coreutils and most busybox builds can compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-1.
    #[default]
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The program that computes it.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Md5 => "md5sum",
            Self::Sha1 => "sha1sum",
            Self::Sha224 => "sha224sum",
            Self::Sha256 => "sha256sum",
            Self::Sha384 => "sha384sum",
            Self::Sha512 => "sha512sum",
        }
    }
}

impl StatArgs {
    fn probe(&self) -> String {
        let mut sh = format!(
            "SB_p={}\nsb_kv path \"$SB_p\"\n[ -L \"$SB_p\" ] || [ -e \"$SB_p\" ] || exit 0\n",
            word(&self.path)
        );
        sh.push_str(if self.follow {
            "[ -e \"$SB_p\" ] || exit 0\nsb_stat f \"$SB_p\" -L || exit 1\n"
        } else {
            "sb_see f \"$SB_p\" || exit 1\nif [ -L \"$SB_p\" ]; then\n\
             SB_x=$(readlink -f \"$SB_p\" && printf x); sb_kv real \"${SB_x%?x}\"\nfi\n"
        });
        sh.push_str(
            "if [ -r \"$SB_p\" ]; then sb_kv readable 1; fi\n\
             if [ -w \"$SB_p\" ]; then sb_kv writeable 1; fi\n\
             if [ -x \"$SB_p\" ]; then sb_kv executable 1; fi\n",
        );
        let is_file = if self.follow {
            "[ -f \"$SB_p\" ]"
        } else {
            "[ -f \"$SB_p\" ] && [ ! -L \"$SB_p\" ]"
        };
        if self.get_checksum.unwrap_or(true) {
            let program = self.checksum_algorithm.unwrap_or_default().program();
            sh.extend([
                "if ",
                is_file,
                " && [ -r \"$SB_p\" ]; then\nprintf checksum=\n",
            ]);
            sh.extend([program, " <\"$SB_p\" || exit 1\nfi\n"]);
        }
        if self.get_mime.unwrap_or(true) {
            sh.push_str(
                "if command -v file >/dev/null; then\n\
                 SB_x=$(file --mime-type --mime-encoding \"$SB_p\" 2>/dev/null) && sb_kv mime \"$SB_x\"\nfi\n",
            );
        }
        if self.get_attributes.unwrap_or(true) {
            sh.push_str(
                "if command -v lsattr >/dev/null; then\n\
                 SB_x=$(lsattr -vd \"$SB_p\" 2>/dev/null) && sb_kv lsattr \"$SB_x\"\nfi\n",
            );
        }
        sh.push_str("exit 0\n");
        sh
    }
}

impl Module for Stat {
    const NAME: &'static str = "stat";
    const EFFECT: Effect = Effect::Reads;
    type Args = StatArgs;

    fn probe(args: &StatArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(args.probe()))
    }

    fn decide(args: &StatArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        if reply.rc != 0 {
            return Err(super::path_state::failure("cannot stat", reply));
        }
        let fields = reply.fields();
        let mut stat = Map::new();
        match Node::read("f", &fields) {
            None => {
                stat.insert("exists".into(), false.into());
            }
            Some(node) => {
                let path = fields
                    .get("path")
                    .map_or(args.path.as_str(), String::as_str);
                stat.insert("exists".into(), true.into());
                stat.insert("path".into(), path.into());
                describe(&node, &mut stat);
                add_access(&fields, &mut stat);
                if let Some(link) = &node.link {
                    let real = fields.get("real").filter(|real| !real.is_empty());
                    stat.insert("lnk_source".into(), real.unwrap_or(link).clone().into());
                    stat.insert("lnk_target".into(), link.clone().into());
                }
                if let Some(name) = &node.owner {
                    stat.insert("pw_name".into(), name.clone().into());
                }
                if let Some(name) = &node.group {
                    stat.insert("gr_name".into(), name.clone().into());
                }
                if let Some(sum) = fields
                    .get("checksum")
                    .and_then(|line| line.split(' ').next())
                {
                    stat.insert("checksum".into(), sum.into());
                }
                if args.get_mime.unwrap_or(true) {
                    add_mime(&fields, &mut stat);
                }
                if args.get_attributes.unwrap_or(true) {
                    add_flags(&fields, &mut stat);
                }
            }
        }
        Ok(Decision::Unchanged(Outcome::ok(Map::from([(
            "stat".into(),
            stat.into(),
        )]))))
    }

    fn finish(
        _: &StatArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: stat never decides on a change")
    }
}

/// Adds what `find` and `stat` report alike (ansible-core 2.19, `modules/stat.py`,
/// `format_output`).
pub(super) fn describe(node: &Node, stat: &mut Map) {
    let mode = node.mode();
    let kind = node.st_mode & 0o170_000;
    stat.insert("mode".into(), octal(mode).into());
    for (name, bits) in [
        ("isdir", 0o040_000),
        ("ischr", 0o020_000),
        ("isblk", 0o060_000),
        ("isreg", 0o100_000),
        ("isfifo", 0o010_000),
        ("islnk", 0o120_000),
        ("issock", 0o140_000),
    ] {
        stat.insert(name.into(), (kind == bits).into());
    }
    for (name, number) in [
        ("uid", node.uid.into()),
        ("gid", node.gid.into()),
        ("size", node.size),
        ("inode", node.inode),
        ("dev", node.dev),
        ("nlink", node.nlink),
    ] {
        stat.insert(name.into(), int(number));
    }
    for (name, time) in [
        ("atime", node.atime),
        ("mtime", node.mtime),
        ("ctime", node.ctime),
    ] {
        stat.insert(name.into(), Value::Float(time.as_f64()));
    }
    for (name, bit) in [
        ("wusr", 0o200),
        ("rusr", 0o400),
        ("xusr", 0o100),
        ("wgrp", 0o020),
        ("rgrp", 0o040),
        ("xgrp", 0o010),
        ("woth", 0o002),
        ("roth", 0o004),
        ("xoth", 0o001),
        ("isuid", 0o4000),
        ("isgid", 0o2000),
    ] {
        stat.insert(name.into(), (mode & bit != 0).into());
    }
}

fn add_access(fields: &BTreeMap<String, String>, stat: &mut Map) {
    let node = Node::read("f", fields).unwrap_or_default();
    for (name, number) in [
        ("blocks", node.blocks),
        ("block_size", node.block_size),
        ("device_type", node.rdev),
    ] {
        stat.insert(name.into(), int(number));
    }
    for name in ["readable", "writeable", "executable"] {
        stat.insert(name.into(), fields.contains_key(name).into());
    }
    debug_assert!(node.kind() != Kind::Link || node.link.is_some());
}

fn add_mime(fields: &BTreeMap<String, String>, stat: &mut Map) {
    let parsed = fields.get("mime").and_then(|line| {
        let (kind, charset) = line.rsplit_once(':')?.1.split_once(';')?;
        Some((
            kind.trim().to_owned(),
            charset.split_once('=')?.1.trim().to_owned(),
        ))
    });
    let (kind, charset) = parsed.unwrap_or_else(|| ("unknown".into(), "unknown".into()));
    stat.insert("mimetype".into(), kind.into());
    stat.insert("charset".into(), charset.into());
}

/// As ansible-core 2.19, `module_utils/basic.py`, `get_file_attributes` and `format_attributes`.
fn add_flags(fields: &BTreeMap<String, String>, stat: &mut Map) {
    const NAMES: &[(char, &str)] = &[
        ('A', "noatime"),
        ('a', "append"),
        ('c', "compressed"),
        ('C', "nocow"),
        ('d', "nodump"),
        ('D', "dirsync"),
        ('e', "extents"),
        ('E', "encrypted"),
        ('h', "blocksize"),
        ('i', "immutable"),
        ('I', "indexed"),
        ('j', "journalled"),
        ('N', "inline"),
        ('s', "zero"),
        ('S', "synchronous"),
        ('t', "notail"),
        ('T', "blockroot"),
        ('u', "undelete"),
        ('X', "compressedraw"),
        ('Z', "compresseddirty"),
    ];
    let line = fields.get("lsattr").map_or("", String::as_str);
    let mut words = line.split_whitespace();
    let version = words.next();
    let flags: String = words
        .next()
        .unwrap_or("")
        .chars()
        .filter(|c| *c != '-')
        .collect();
    let names = flags
        .chars()
        .filter_map(|flag| NAMES.iter().find(|(c, _)| *c == flag))
        .map(|(_, name)| Value::from(*name))
        .collect::<Vec<_>>();
    stat.insert("version".into(), version.map_or(Value::Null, Value::from));
    stat.insert("attributes".into(), names.into());
    stat.insert("attr_flags".into(), flags.into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, in_each_shell};
    use crate::value::Value;

    #[test]
    fn names_of_all_kinds_are_described() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(name, "hello\n", 0o4754);
                let result = world
                    .unchanged("stat", &json!({"path": world.at(name)}), &[])
                    .result;
                let stat = result["stat"].as_map().unwrap();
                for (field, value) in [
                    ("exists", Value::Bool(true)),
                    ("path", world.at(name).into()),
                    ("mode", "4754".into()),
                    ("size", Value::Int(6)),
                    ("isreg", Value::Bool(true)),
                    ("isuid", Value::Bool(true)),
                    ("woth", Value::Bool(false)),
                    ("mtime", Value::Float(1_600_000_000.0)),
                    (
                        "checksum",
                        "f572d396fae9206628714fb2ce00f72e94f2258f".into(),
                    ),
                ] {
                    assert_eq!(stat[field], value, "{field} of {name:?}");
                }
            }
        });
    }

    #[test]
    fn links_and_absence_are_told_apart() {
        in_each_shell(|world| {
            world.file("f", "x", 0o600);
            world.link("it's", "f");
            world.link("dangling", "no\nwhere");
            let stat = |args| world.unchanged("stat", &args, &[]).result["stat"].clone();
            let link = stat(json!({"path": world.at("it's")}));
            assert_eq!(link.get("islnk"), Some(&Value::Bool(true)));
            assert_eq!(link.get("lnk_target"), Some(&Value::from("f")));
            assert_eq!(link.get("lnk_source"), Some(&Value::from(world.at("f"))));
            let followed = stat(
                json!({"path": world.at("it's"), "follow": true, "checksum_algorithm": "sha256"}),
            );
            assert_eq!(followed.get("isreg"), Some(&Value::Bool(true)));
            assert_eq!(
                followed
                    .get("checksum")
                    .and_then(Value::as_str)
                    .map(str::len),
                Some(64)
            );
            let dangling = stat(json!({"path": world.at("dangling")}));
            assert_eq!(dangling.get("lnk_target"), Some(&Value::from("no\nwhere")));
            for args in [
                json!({"path": world.at("none")}),
                json!({"path": world.at("dangling"), "follow": true}),
            ] {
                assert_eq!(stat(args).get("exists"), Some(&Value::Bool(false)));
            }
            assert_eq!(
                stat(json!({"path": "~/f"})).get("path"),
                Some(&Value::from(world.at("f")))
            );
        });
    }
}
