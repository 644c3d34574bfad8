//! What is seen at one path of a host: the words and the parsing of `sb_see` (`script/files.sh`).
//!
//! Knows nothing of what is wanted there. Invariant: a path enters a script only through [`word`].

use std::collections::BTreeMap;

use super::{Failure, mode::Base};
use crate::script::{Reply, quote};
use crate::value::{Map, Value};

/// The path as one word of sh: `~`, `~user`, `$NAME` and `${NAME}` are expanded on the host as
/// Python's `expanduser(expandvars())` does (an unset variable stays as written), and it never
/// starts with `-`.
pub(super) fn word(path: &str) -> String {
    let (mut out, rest) = tilde(path);
    let mut plain = String::new();
    if out.is_empty() && rest.starts_with('-') {
        plain.push_str("./");
    }
    let mut rest = rest;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = variable(rest);
        if name.is_empty() {
            plain.push('$');
            rest = &rest[1..];
            continue;
        }
        let written = if rest[1..].starts_with('{') {
            &rest[..name.len() + 3]
        } else {
            &rest[..=name.len()]
        };
        if !plain.is_empty() {
            out.push_str(&quote(&plain));
            plain.clear();
        }
        let unset = written.replace('$', "\\$").replace('}', "\\}");
        out.extend(["\"${", name, "-", &unset, "}\""]);
        rest = &rest[written.len()..];
    }
    plain.push_str(rest);
    if !plain.is_empty() || out.is_empty() {
        out.push_str(&quote(&plain));
    }
    out
}

fn tilde(path: &str) -> (String, &str) {
    let Some(after) = path.strip_prefix('~') else {
        return (String::new(), path);
    };
    let end = after.find('/').unwrap_or(after.len());
    let (user, rest) = after.split_at(end);
    if user.is_empty() {
        return ("\"${HOME-~}\"".to_owned(), rest);
    }
    let is_name = user
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if is_name {
        (format!("\"$(sb_home {user})\""), rest)
    } else {
        (String::new(), path)
    }
}

fn variable(text: &str) -> &str {
    let inner = &text[1..];
    let (name, braced) = match inner.strip_prefix('{') {
        Some(braced) => match braced.find('}') {
            Some(end) => (&braced[..end], true),
            None => return "",
        },
        None => (inner, false),
    };
    let end = name
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(name.len());
    let is_bad = name.starts_with(|c: char| c.is_ascii_digit()) || (braced && end != name.len());
    if is_bad { "" } else { &name[..end] }
}

/// The last component of a path, as Python's `os.path.basename`.
pub(super) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe.
    Other,
}

/// A point in time with nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Time {
    /// Seconds since the epoch.
    pub(super) s: i64,
    /// Nanoseconds.
    pub(super) ns: u32,
}

impl Time {
    /// As Python's `st_mtime`.
    #[expect(clippy::cast_precision_loss, reason = "as Python's float does")]
    pub(super) fn as_f64(self) -> f64 {
        self.s as f64 + 1e-9 * f64::from(self.ns)
    }
}

/// What is at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Type and permission bits as in `st_mode`.
    pub(super) st_mode: u32,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// Bytes.
    pub(super) size: u64,
    /// Hard links.
    pub(super) nlink: u64,
    /// Inode number.
    pub(super) inode: u64,
    /// Device it is on.
    pub(super) dev: u64,
    /// Blocks of 512 bytes.
    pub(super) blocks: u64,
    /// Preferred block size.
    pub(super) block_size: u64,
    /// Device it is.
    pub(super) rdev: u64,
    /// Last access.
    pub(super) atime: Time,
    /// Last change of the content.
    pub(super) mtime: Time,
    /// Last change of the inode.
    pub(super) ctime: Time,
    /// Name of the owner; `None` when the host has none.
    pub(super) owner: Option<String>,
    /// Name of the group; `None` when the host has none.
    pub(super) group: Option<String>,
    /// What a link points at.
    pub(super) link: Option<String>,
    /// SHA-1 of the content, where it was asked for and could be read.
    pub(super) sha1: Option<String>,
}

impl Node {
    /// Reads the fields that `sb_see NAME` and `sb_sum NAME` wrote; `None` when nothing is there.
    pub(super) fn read(name: &str, fields: &BTreeMap<String, String>) -> Option<Self> {
        let field = |suffix: &str| fields.get(&format!("{name}.{suffix}")).cloned();
        let stat = field("stat")?;
        let words: Vec<&str> = stat.split(' ').collect();
        let decimal = |i: usize| {
            words
                .get(i)
                .and_then(|w| w.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let hex = |i: usize| {
            words
                .get(i)
                .and_then(|w| u64::from_str_radix(w, 16).ok())
                .unwrap_or(0)
        };
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let known = |name: String| (name != "UNKNOWN").then_some(name);
        let times = field("times").unwrap_or_default();
        let mut fractions = times.split('|').map(nanoseconds);
        let mut time = |i: usize| Time {
            s: words.get(i).and_then(|w| w.parse().ok()).unwrap_or(0),
            ns: fractions.next().unwrap_or(0),
        };
        Some(Self {
            st_mode: small(hex(0)),
            uid: small(decimal(1)),
            gid: small(decimal(2)),
            size: decimal(3),
            nlink: decimal(4),
            inode: decimal(5),
            dev: decimal(6),
            blocks: decimal(7),
            block_size: decimal(8),
            rdev: makedev(hex(9), hex(10)),
            atime: time(11),
            mtime: time(12),
            ctime: time(13),
            owner: field("owner").and_then(known),
            group: field("group").and_then(known),
            link: field("link"),
            sha1: field("sha1").filter(|sum| !sum.is_empty()),
        })
    }

    /// What it is.
    pub(super) fn kind(&self) -> Kind {
        match self.st_mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Link,
            _ => Kind::Other,
        }
    }

    /// Permission bits.
    pub(super) fn mode(&self) -> u32 {
        self.st_mode & 0o7777
    }

    /// Ansible's word for it: `file`, `directory`, `link` or `hard` (ansible-core 2.19,
    /// `modules/file.py`, `get_state`).
    pub(super) fn state(&self) -> &'static str {
        match self.kind() {
            Kind::Link => "link",
            Kind::Directory => "directory",
            _ if self.nlink > 1 => "hard",
            _ => "file",
        }
    }

    /// What a symbolic mode starts from here.
    pub(super) fn base(&self, umask: u32) -> Base {
        Base {
            bits: self.mode(),
            is_dir: self.kind() == Kind::Directory,
            umask,
        }
    }

    /// Adds what Ansible adds to every result that has a path (ansible-core 2.19,
    /// `module_utils/basic.py`, `add_path_info`).
    pub(super) fn add_path_info(&self, result: &mut Map) {
        let name = |name: &Option<String>, id: u32| {
            Value::from(name.clone().unwrap_or_else(|| id.to_string()))
        };
        result.insert("uid".into(), Value::Int(self.uid.into()));
        result.insert("gid".into(), Value::Int(self.gid.into()));
        result.insert("owner".into(), name(&self.owner, self.uid));
        result.insert("group".into(), name(&self.group, self.gid));
        result.insert("mode".into(), plain_octal(self.mode()).into());
        result.insert("state".into(), self.state().into());
        result.insert("size".into(), int(self.size));
    }
}

/// A mode as most modules of Ansible print it: `0644`, `01777`.
pub(super) fn plain_octal(mode: u32) -> String {
    format!("0{mode:03o}")
}

/// A mode as `stat` and `find` print it: `0644`, `1777`.
pub(super) fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

/// An unsigned number as a value.
pub(super) fn int(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// `2026-11-20 20:55:37.772091255 +0000` has 772091255.
fn nanoseconds(time: &str) -> u32 {
    let fraction = time.split('.').nth(1).unwrap_or("");
    let digits: String = fraction
        .chars()
        .take_while(char::is_ascii_digit)
        .take(9)
        .collect();
    format!("{digits:0<9}").parse().unwrap_or(0)
}

/// As glibc's `makedev`.
fn makedev(major: u64, minor: u64) -> u64 {
    ((major & 0xffff_f000) << 32)
        | ((major & 0xfff) << 8)
        | ((minor & 0xffff_ff00) << 12)
        | (minor & 0xff)
}

/// The umask that `sb_umask` reported.
pub(super) fn umask(fields: &BTreeMap<String, String>) -> u32 {
    fields
        .get("umask")
        .and_then(|text| u32::from_str_radix(text.trim(), 8).ok())
        .unwrap_or(0o022)
}

/// Why a script failed: what it said last, and its status and output.
pub(super) fn failure(what: &str, reply: &Reply) -> Failure {
    let stderr = reply.stderr_text();
    match stderr.trim_end().lines().next_back() {
        Some(said) => Failure::of_reply(format!("{what}: {said}"), reply),
        None => Failure::of_reply(format!("{what}: exit status {}", reply.rc), reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::PRELUDE;

    #[test]
    fn a_path_is_expanded_on_the_host_as_python_expands_it() {
        for (path, expected) in [
            ("/etc/a b", "/etc/a b"),
            ("-rf", "./-rf"),
            ("~/x y", "/home/me/x y"),
            ("~", "/home/me"),
            ("~nobody-there/x", "~nobody-there/x"),
            ("~root/x", "/root/x"),
            ("/a/$VAR/b", "/a/v v*/b"),
            ("/a/${VAR}b", "/a/v v*b"),
            ("$UNSET/${UNSET}", "$UNSET/${UNSET}"),
            ("$VAR", "v v*"),
            ("/a/$(id)`id`$", "/a/$(id)`id`$"),
            ("/a/${VAR:-x}", "/a/${VAR:-x}"),
            ("/a/ü'\"\n\\", "/a/ü'\"\n\\"),
        ] {
            for shell in [&["dash"][..], &["busybox", "ash"], &["bash"]] {
                let output = std::process::Command::new(shell[0])
                    .args(&shell[1..])
                    .args([
                        "-c",
                        &format!("{PRELUDE}\nSB_p={}; printf %s \"$SB_p\"", word(path)),
                    ])
                    .env("HOME", "/home/me")
                    .env("VAR", "v v*")
                    .env_remove("UNSET")
                    .output()
                    .unwrap();
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout),
                    expected,
                    "{shell:?}"
                );
            }
        }
    }
}
