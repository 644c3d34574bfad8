//! `find`: lists what is below some directories and meets the criteria.
//!
//! The host only lists; the criteria are checked here. Source: ansible-core 2.19, `modules/find.py`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::file_args::word_of_seen;
use super::find_content::{Matched, contents, unreadable};
use super::mode::{Base, Mode};
use super::path_state::{Kind, Node, Time, basename, failure, int, word};
use super::python_regex::{Flags, Pattern};
use super::stat::{Algorithm, describe};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// Lists what is below some directories and meets the criteria.
///
/// # Returns
/// * `files`: what was found: a mapping each, as of `stat`.
/// * `matched`: how many were found.
/// * `examined`: how many were looked at.
/// * `skipped_paths`: where could not be searched, with the reasons.
///
/// # Example
/// ```yaml
/// - find:
///     paths: /var/log
///     patterns: "*.gz"
///     age: 30d
///     recurse: true
///   register: old
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Find;

/// Arguments of `find`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "Ansible's arguments are switches"
)]
pub(super) struct FindArgs {
    /// The directories.
    #[serde(alias = "name", alias = "path")]
    pub(super) paths: Vec<String>,
    /// Names, as globs or with `use_regex` as expressions; any of them. By default all names.
    #[serde(default, alias = "pattern")]
    patterns: Vec<String>,
    /// Names that are left out, written as `patterns`.
    #[serde(default, alias = "exclude")]
    excludes: Vec<String>,
    /// An expression that a line of the file must begin with, or with `read_whole_file` the file
    /// must have somewhere. Only for `file_type: file`.
    contains: Option<String>,
    /// Whether `contains` is looked for in the file as a whole.
    #[serde(default)]
    pub(super) read_whole_file: bool,
    /// What is listed. Default `file`.
    file_type: Option<FileType>,
    /// At least so old: a number with `s`, `m`, `h`, `d` or `w`; negative: at most.
    age: Option<String>,
    /// Which time `age` is about. Default `mtime`.
    age_stamp: Option<Stamp>,
    /// At least so big: a number with `b`, `k`, `m`, `g` or `t`; negative: at most.
    size: Option<String>,
    /// Whether directories below are searched too.
    #[serde(default)]
    recurse: bool,
    /// Whether names that begin with a dot are listed.
    #[serde(default)]
    hidden: bool,
    /// Whether links to directories are followed.
    #[serde(default)]
    follow: bool,
    /// Whether each regular file gets a checksum.
    #[serde(default)]
    get_checksum: bool,
    /// Which checksum. Default `sha1`.
    #[serde(alias = "checksum", alias = "checksum_algo")]
    checksum_algorithm: Option<Algorithm>,
    /// Whether patterns are expressions.
    #[serde(default)]
    use_regex: bool,
    /// How deep to search at most.
    depth: Option<i64>,
    /// Permission bits, as a string.
    mode: Option<String>,
    /// Whether `mode` is all bits and not some of them. Default true.
    exact_mode: Option<bool>,
    /// How files are encoded for `contains`; only `utf-8` can be had.
    pub(super) encoding: Option<String>,
    /// How many matches at most.
    limit: Option<i64>,
}

/// What is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FileType {
    /// All kinds.
    Any,
    /// Directories.
    Directory,
    /// Regular files.
    #[default]
    File,
    /// Symbolic links.
    Link,
}

/// A time of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Stamp {
    /// Last access.
    Atime,
    /// Last change of the inode.
    Ctime,
    /// Last change of the content.
    #[default]
    Mtime,
}

/// The criteria with everything compiled.
struct Criteria {
    patterns: Vec<Pattern>,
    excludes: Vec<Pattern>,
    contains: Option<Pattern>,
    age: Option<i64>,
    size: Option<i64>,
    mode: Option<u32>,
}

fn amount(text: Option<&str>, units: &[(char, i64)], what: &str) -> Result<Option<i64>, String> {
    let Some(text) = text else { return Ok(None) };
    let lower = text.to_lowercase();
    let unit = units.iter().find(|(unit, _)| lower.ends_with(*unit));
    let digits = unit.map_or(lower.as_str(), |_| &lower[..lower.len() - 1]);
    let number: i64 = digits
        .parse()
        .map_err(|_| format!("failed to process {what}: `{text}`"))?;
    Ok(Some(
        number.saturating_mul(unit.map_or(1, |(_, factor)| *factor)),
    ))
}

/// A glob as an expression that the whole name must match (Python's `fnmatch.translate`).
fn glob(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut out, mut at) = (String::from("(?s:"), 0);
    while at < chars.len() {
        let c = chars[at];
        at += 1;
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                let from = at + usize::from(chars.get(at) == Some(&'!'));
                let from = from + usize::from(chars.get(from) == Some(&']'));
                let Some(end) = chars[from.min(chars.len())..]
                    .iter()
                    .position(|c| *c == ']')
                else {
                    out.push_str(r"\[");
                    continue;
                };
                let inner: String = chars[at..from + end].iter().collect();
                let inner = inner.replace('\\', r"\\");
                match inner.strip_prefix('!') {
                    Some(inner) => out.extend(["[^", inner, "]"]),
                    None if inner.starts_with('^') => out.extend(["[\\", &inner, "]"]),
                    None => out.extend(["[", &inner, "]"]),
                }
                at = from + end + 1;
            }
            c if c.is_ascii_punctuation() => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out + r")\Z"
}

impl FindArgs {
    fn criteria(&self) -> Result<Criteria, String> {
        let compile = |pattern: &String| {
            let text = if self.use_regex {
                pattern.clone()
            } else {
                glob(pattern)
            };
            Pattern::new(&text, Flags::default())
        };
        let mode = match &self.mode {
            None => None,
            Some(text) => match Mode::parse(text)? {
                Mode::Preserve => {
                    return Err("`mode: preserve` has no meaning for `find`".to_owned());
                }
                mode => Some(mode.bits(Base {
                    bits: 0,
                    is_dir: false,
                    umask: 0o022,
                })),
            },
        };
        Ok(Criteria {
            patterns: self
                .patterns
                .iter()
                .map(compile)
                .collect::<Result<_, _>>()?,
            excludes: self
                .excludes
                .iter()
                .map(compile)
                .collect::<Result<_, _>>()?,
            contains: self
                .contains
                .as_ref()
                .filter(|_| self.file_type.unwrap_or_default() == FileType::File)
                .map(|text| Pattern::new(text, Flags::default()))
                .transpose()?,
            age: amount(
                self.age.as_deref(),
                &[
                    ('s', 1),
                    ('m', 60),
                    ('h', 3600),
                    ('d', 86_400),
                    ('w', 604_800),
                ],
                "age",
            )?,
            size: amount(
                self.size.as_deref(),
                &[
                    ('b', 1),
                    ('k', 1 << 10),
                    ('m', 1 << 20),
                    ('g', 1 << 30),
                    ('t', 1 << 40),
                ],
                "size",
            )?,
            mode,
        })
    }

    fn script(&self) -> String {
        let depth = match (self.recurse, self.depth) {
            (false, _) => " -maxdepth 1".to_owned(),
            // What is one deeper is examined and never a match, as in Ansible.
            (true, Some(depth)) if depth > 0 => format!(" -maxdepth {}", depth + 1),
            (true, _) => String::new(),
        };
        let follow = if self.follow { "-L " } else { "" };
        let mut sh = String::from("printf 'now='; date +%s\n");
        for (i, path) in self.paths.iter().enumerate() {
            let _ = writeln!(
                sh,
                "SB_d{i}={}\nsb_kv base.{i} \"${{SB_d{i}%/}}/\"\nif [ ! -d \"$SB_d{i}\" ]; then sb_kv skipped.{i} \"$SB_d{i}\"; fi",
                word(path)
            );
        }
        sh.push_str("sb_body\n");
        for i in 0..self.paths.len() {
            // What cannot be read is said on standard error and left out, as in Ansible.
            let _ = writeln!(
                sh,
                "if [ -d \"$SB_d{i}\" ]; then\nfind {follow}\"${{SB_d{i}%/}}/\" -mindepth 1{depth} -exec stat -c \
                 '%f %u %g %s %h %i %d %b %o %t %T %X %Y %Z\n%U\n%G\n%x|%y|%z\n%n\n//' {{}} +\nfi"
            );
        }
        sh.push_str("exit 0\n");
        sh
    }

    fn meets(
        &self,
        criteria: &Criteria,
        path: &str,
        node: &Node,
        now: i64,
    ) -> Result<bool, String> {
        let name = basename(path);
        if name.starts_with('.') && !self.hidden {
            return Ok(false);
        }
        let kind = node.kind();
        let is_kind = match self.file_type.unwrap_or_default() {
            FileType::Any => true,
            FileType::Directory => kind == Kind::Directory,
            FileType::File => kind == Kind::File,
            FileType::Link => kind == Kind::Link,
        };
        if !is_kind {
            return Ok(false);
        }
        let any = |patterns: &[Pattern]| -> Result<bool, String> {
            for pattern in patterns {
                if pattern.matches_at_start(name)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if (!criteria.patterns.is_empty() && !any(&criteria.patterns)?) || any(&criteria.excludes)?
        {
            return Ok(false);
        }
        let stamp = match self.age_stamp.unwrap_or_default() {
            Stamp::Atime => node.atime,
            Stamp::Ctime => node.ctime,
            Stamp::Mtime => node.mtime,
        };
        let at_least = |value: i64, limit: i64| {
            if limit >= 0 {
                value >= limit
            } else {
                value <= -limit
            }
        };
        let is_old = criteria.age.is_none_or(|age| at_least(now - stamp.s, age));
        let size = i64::try_from(node.size).unwrap_or(i64::MAX);
        let is_big = kind != Kind::File || criteria.size.is_none_or(|limit| at_least(size, limit));
        let has_mode = match criteria.mode {
            // Ansible takes a mode of no bits for none.
            None | Some(0) => true,
            Some(mode) if self.exact_mode.unwrap_or(true) => node.mode() == mode,
            Some(mode) => node.mode() & mode != 0,
        };
        Ok(is_old && is_big && has_mode)
    }

    fn found(
        &self,
        reply: &Reply,
        criteria: &Criteria,
    ) -> Result<(Vec<(String, Node)>, usize), Failure> {
        let now = reply
            .fields()
            .get("now")
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        let listed = records(reply.body());
        let examined = listed.len();
        let fields = reply.fields();
        let bases = fields.iter().filter(|(name, _)| name.starts_with("base."));
        let bases: Vec<&String> = bases.map(|(_, base)| base).collect();
        let depth_max = self.depth.filter(|depth| self.recurse && *depth > 0);
        let is_deep = |path: &str| {
            let inside = bases
                .iter()
                .filter_map(|base| path.strip_prefix(base.as_str()));
            let depth = inside.map(|rest| rest.matches('/').count() + 1).min();
            depth_max.is_some_and(|max| {
                depth.is_some_and(|depth| i64::try_from(depth).is_ok_and(|depth| depth > max))
            })
        };
        let mut found = Vec::new();
        for (path, node) in listed {
            if is_deep(&path) {
                continue;
            }
            if self
                .meets(criteria, &path, &node, now)
                .map_err(Failure::new)?
            {
                found.push((path, node));
            }
        }
        Ok((found, examined))
    }

    /// The contents of the files, each after a line with its number and size.
    fn sums_script(&self, found: &[(String, Node)]) -> Script {
        let program = self.checksum_algorithm.unwrap_or_default().program();
        let mut sh = String::new();
        for (i, (path, node)) in found.iter().enumerate() {
            if node.kind() == Kind::File {
                let path = word_of_seen(path);
                let _ = writeln!(
                    sh,
                    "if [ -r {path} ]; then printf 'sum.{i}='; {program} <{path} || exit 1; fi"
                );
            }
        }
        Script::new(sh + "exit 0\n")
    }
}

/// Each record of the listing: path and what is there.
fn records(body: &[u8]) -> Vec<(String, Node)> {
    String::from_utf8_lossy(body)
        .split("\n//\n")
        .filter_map(|record| {
            let mut parts = record.splitn(5, '\n');
            let mut fields = BTreeMap::new();
            for name in ["r.stat", "r.owner", "r.group", "r.times"] {
                fields.insert(name.to_owned(), parts.next()?.to_owned());
            }
            let path = parts.next()?.to_owned();
            Some((path, Node::read("r", &fields)?))
        })
        .collect()
}

impl Module for Find {
    const NAME: &'static str = "find";
    const EFFECT: Effect = Effect::Reads;
    type Args = FindArgs;

    fn check(args: &FindArgs) -> Result<(), String> {
        if let Some(limit) = args.limit.filter(|limit| *limit <= 0) {
            return Err(format!("limit cannot be {limit} (use None for unlimited)"));
        }
        args.criteria().map(|_| ())
    }

    fn probe(args: &FindArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(args.script()))
    }

    fn decide(args: &FindArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        if let Some(reply) = seen.iter().find(|reply| reply.rc != 0) {
            return Err(failure("cannot search", reply));
        }
        let criteria = args.criteria().map_err(Failure::new)?;
        let (mut found, examined) = args.found(&seen[0], &criteria)?;
        let mut next = 1;
        let mut unread = Map::new();
        if let Some(pattern) = &criteria.contains {
            let Some(reply) = seen.get(next) else {
                return Ok(Decision::Ask(args.contents_script(&found)));
            };
            next += 1;
            let contents = contents(reply.body())
                .ok_or_else(|| Failure::new("a file changed while it was read; try again"))?;
            let mut kept = Vec::new();
            for (i, entry) in found.into_iter().enumerate() {
                let Some(content) = contents.get(&i) else {
                    continue;
                };
                match args.has_content(&entry.0, pattern, content) {
                    Matched::Told(true) => kept.push(entry),
                    Matched::Told(false) => {}
                    Matched::Skipped(why) => {
                        unread.insert(args.searched(&entry.0), why.into());
                    }
                    Matched::Failed(why) => return Err(Failure::new(why)),
                }
            }
            found = kept;
        }
        let mut msg = "All paths examined";
        if let Some(limit) = args.limit.and_then(|limit| usize::try_from(limit).ok())
            && found.len() >= limit
        {
            msg = "Limit of matches reached";
            found.truncate(limit);
        }
        let mut sums = BTreeMap::new();
        if args.get_checksum && found.iter().any(|(_, node)| node.kind() == Kind::File) {
            let Some(reply) = seen.get(next) else {
                return Ok(Decision::Ask(args.sums_script(&found)));
            };
            sums = reply.fields();
        }
        let files: Vec<Value> = found
            .iter()
            .enumerate()
            .map(|(i, entry)| file(entry, sums.get(&format!("sum.{i}"))))
            .collect();
        let fields = seen[0].fields();
        let skipped: Map = (0..args.paths.len())
            .filter_map(|i| fields.get(&format!("skipped.{i}")))
            .map(|path| (path.clone(), format!("'{path}' is not a directory").into()))
            .chain(unread)
            .collect();
        if !skipped.is_empty() {
            msg = "Not all paths examined, check warnings for details";
        }
        let mut skipped = skipped;
        skipped.extend(unreadable(&seen[0].stderr));
        Ok(Decision::Unchanged(Outcome::ok(Map::from([
            ("matched".into(), int(files.len() as u64)),
            ("files".into(), files.into()),
            ("msg".into(), msg.into()),
            ("examined".into(), int(examined as u64)),
            ("skipped_paths".into(), skipped.into()),
        ]))))
    }

    fn finish(
        _: &FindArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: find never decides on a change")
    }
}

fn file((path, node): &(String, Node), sum: Option<&String>) -> Value {
    let mut file = Map::new();
    file.insert("path".into(), path.as_str().into());
    describe(node, &mut file);
    let name = |name: &Option<String>| Value::from(name.clone().unwrap_or_default());
    file.insert("gr_name".into(), name(&node.group));
    file.insert("pw_name".into(), name(&node.owner));
    if let Some(sum) = sum.and_then(|line| line.split(' ').next()) {
        file.insert("checksum".into(), sum.into());
    }
    debug_assert!(node.mtime != Time::default() || node.size == 0 || node.st_mode != 0);
    file.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, World, in_each_shell};
    use super::*;

    /// Each row was put to Python's `fnmatch.fnmatch`.
    #[test]
    fn globs_match_as_in_python() {
        for (pattern, name, is_match) in [
            ("*.log", "a.log", true),
            ("*.log", "a.log.gz", false),
            ("a?c", "abc", true),
            ("[!a]b", "cb", true),
            ("[]x]", "]", true),
            ("[", "[", true),
            ("a.c", "abc", false),
            ("*", "new\nline", true),
            ("[^a]", "^", true),
            ("ü{1}", "ü{1}", true),
        ] {
            let pattern = Pattern::new(&glob(pattern), Flags::default()).unwrap();
            assert_eq!(
                pattern.matches_at_start(name),
                Ok(is_match),
                "{pattern:?} {name:?}"
            );
        }
    }

    fn names(world: &World, mut args: serde_json::Value) -> Vec<String> {
        args["paths"] = json!([world.at("top")]);
        let result = world.unchanged("find", &args, &[]).result;
        let base = format!("{}/", world.at("top"));
        let mut names: Vec<String> = result["files"]
            .as_list()
            .unwrap()
            .iter()
            .map(|file| {
                file.get("path")
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .strip_prefix(&base)
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(
            result["matched"],
            Value::Int(i64::try_from(names.len()).unwrap())
        );
        names.sort();
        names
    }

    #[test]
    fn criteria_choose_among_names_of_all_kinds() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(&format!("top/{name}"), name, 0o644);
            }
            world.file("top/sub/big.log", "x".repeat(5000), 0o600);
            world.file("top/.hidden", "", 0o644);
            world.link("top/link", "sub");
            let mut all: Vec<String> = HOSTILE.iter().map(|name| (*name).to_owned()).collect();
            all.sort();
            assert_eq!(names(world, json!({})), all);
            assert_eq!(
                names(world, json!({"recurse": true, "size": "4k"})),
                ["sub/big.log"]
            );
            assert_eq!(
                names(
                    world,
                    json!({"recurse": true, "patterns": "*.log,*.gz", "mode": "0600", "age": "1d"})
                ),
                ["sub/big.log"]
            );
            assert_eq!(
                names(
                    world,
                    json!({"recurse": true, "depth": 1, "patterns": "*.log"})
                ),
                [""; 0]
            );
            assert_eq!(
                names(world, json!({"hidden": true, "patterns": [".*"]})),
                [".hidden"]
            );
            assert_eq!(names(world, json!({"file_type": "directory"})), ["sub"]);
            assert_eq!(names(world, json!({"file_type": "link"})), ["link"]);
            assert_eq!(
                names(
                    world,
                    json!({"use_regex": true, "patterns": ["^a.b$"], "excludes": ["q"]})
                ),
                ["a b"]
            );
            assert_eq!(names(world, json!({"contains": "it's"})), ["it's \"x\""]);
            assert_eq!(
                names(world, json!({"contains": "line$", "read_whole_file": true})),
                ["new\nline"]
            );
            assert_eq!(names(world, json!({"contains": "^line"})), ["new\nline"]);
            assert_eq!(names(world, json!({"age": "-1d"})), [""; 0]);
            assert_eq!(
                names(
                    world,
                    json!({"recurse": true, "follow": true, "patterns": "big*"})
                ),
                ["link/big.log", "sub/big.log"]
            );
            assert_eq!(names(world, json!({"limit": 2})).len(), 2);
            let args =
                json!({"paths": [world.at("top/sub"), world.at("no")], "get_checksum": true});
            let result = world.unchanged("find", &args, &[]).result;
            let sum = result["files"].as_list().unwrap()[0]
                .get("checksum")
                .unwrap()
                .as_str()
                .unwrap();
            assert_eq!(
                sum,
                super::super::put::sha1_hex("x".repeat(5000).as_bytes())
            );
            assert!(
                result["skipped_paths"]
                    .as_map()
                    .unwrap()
                    .contains_key(&world.at("no"))
            );
        });
    }
}
