//! The arguments that every module that leaves a file behind has in common, what of them differs
//! from what is seen, and the scripts that set it and set it back.
//!
//! Source: ansible-core 2.19, `module_utils/basic.py`, `FILE_COMMON_ARGUMENTS` and
//! `set_fs_attributes_if_different`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Failure;
use super::mode::{Base, Mode};
use super::path_state::{Kind, Node, octal, plain_octal, umask};
use crate::script::quote;

/// Declares an argument struct with the common file arguments added to its own.
macro_rules! file_args {
    ($(#[$meta:meta])* struct $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($body)*
            /// Permission bits: octal (`"0644"`), or symbolic (`u+rwX,g-w`). By default those that
            /// are there, or for a new file what the umask on the host leaves.
            mode: Option<super::mode::Mode>,
            /// Name or number of the owner. By default the present one.
            owner: Option<String>,
            /// Name or number of the group. By default the present one.
            group: Option<String>,
            /// Flags as for `chattr`. Refused: not yet supported.
            #[serde(alias = "attr")]
            attributes: Option<String>,
            /// User part of the `SELinux` context. Heeded nowhere without `SELinux`, else refused.
            seuser: Option<String>,
            /// Role part of the `SELinux` context; as `seuser`.
            serole: Option<String>,
            /// Type part of the `SELinux` context; as `seuser`.
            setype: Option<String>,
            /// Level part of the `SELinux` context; as `seuser`.
            selevel: Option<String>,
            /// Whether to write in place where a file cannot be replaced as a whole, as on a file
            /// that is a mount point.
            #[serde(default)]
            unsafe_writes: bool,
        }

        impl $name {
            /// The common arguments.
            fn wanted(&self) -> super::file_args::Wanted<'_> {
                super::file_args::Wanted {
                    mode: self.mode.as_ref(),
                    owner: self.owner.as_deref().filter(|text| !text.is_empty()),
                    group: self.group.as_deref().filter(|text| !text.is_empty()),
                    has_context: self.seuser.is_some()
                        || self.serole.is_some()
                        || self.setype.is_some()
                        || self.selevel.is_some(),
                    has_flags: self.attributes.is_some(),
                    is_unsafe: self.unsafe_writes,
                }
            }
        }
    };
}
pub(super) use file_args;

/// The common file arguments of one task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Permission bits.
    pub(super) mode: Option<&'a Mode>,
    /// Name or number of the owner.
    pub(super) owner: Option<&'a str>,
    /// Name or number of the group.
    pub(super) group: Option<&'a str>,
    /// Whether a part of an `SELinux` context is given.
    pub(super) has_context: bool,
    /// Whether `attributes` is given.
    pub(super) has_flags: bool,
    /// Whether writing in place is allowed.
    pub(super) is_unsafe: bool,
}

/// The common file arguments with names turned into numbers, against one host's reply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled<'a> {
    /// As the user wrote it.
    pub(super) wanted: Wanted<'a>,
    /// The owner's number; `None` also where the host does not know the name.
    pub(super) uid: Option<u32>,
    /// The group's number; `None` also where the host does not know the name.
    pub(super) gid: Option<u32>,
    /// The host's umask.
    pub(super) umask: u32,
}

/// What of owner, group and mode is to change on one path: (before, after).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AttrChange {
    /// Owner.
    pub(super) uid: Option<(u32, u32)>,
    /// Group.
    pub(super) gid: Option<(u32, u32)>,
    /// Permission bits.
    pub(super) mode: Option<(u32, u32)>,
}

impl<'a> Wanted<'a> {
    /// What must be refused before any host is asked.
    ///
    /// # Errors
    /// Which argument cannot be had.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.has_flags {
            return Err(
                "`attributes` (chattr flags) is not supported; use a `command` task with \
                        `chattr`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The lines of a probe that report what [`Self::settle`] needs.
    pub(super) fn probe(&self) -> String {
        let mut sh = String::from("sb_umask\n");
        for (kind, name) in [("user", self.owner), ("group", self.group)] {
            if let Some(name) = name.filter(|name| number(name).is_none()) {
                let _ = writeln!(sh, "sb_id {kind} {}", quote(name));
            }
        }
        if self.has_context {
            sh.push_str("[ ! -e /sys/fs/selinux/enforce ] || sb_kv selinux 1\n");
        }
        sh
    }

    /// Turns names into numbers.
    ///
    /// # Errors
    /// An `SELinux` context is asked for on a host that has `SELinux`.
    pub(super) fn settle(self, fields: &BTreeMap<String, String>) -> Result<Settled<'a>, Failure> {
        if fields.contains_key("selinux") {
            return Err(Failure::new(
                "setting an SELinux context is not supported; use a `command` task with `chcon` \
                 or `semanage fcontext`",
            ));
        }
        let id = |kind: &str, name: Option<&str>| {
            let name = name?;
            number(name).or_else(|| fields.get(&format!("{kind}.{name}"))?.trim().parse().ok())
        };
        Ok(Settled {
            wanted: self,
            uid: id("user", self.owner),
            gid: id("group", self.group),
            umask: umask(fields),
        })
    }
}

fn number(name: &str) -> Option<u32> {
    if name == "root" {
        return Some(0);
    }
    name.parse().ok()
}

impl Settled<'_> {
    /// What is to change on a path that is there.
    ///
    /// # Errors
    /// The host does not know the owner or group, as Ansible says it.
    pub(super) fn changes(&self, node: &Node) -> Result<AttrChange, Failure> {
        let differs =
            |old: u32, new: Option<u32>| new.filter(|new| *new != old).map(|new| (old, new));
        for (name, id, verb, kind) in [
            (self.wanted.owner, self.uid, "chown", "user"),
            (self.wanted.group, self.gid, "chgrp", "group"),
        ] {
            if let (Some(name), None) = (name, id) {
                return Err(Failure::new(format!(
                    "{verb} failed: failed to look up {kind} {name}"
                )));
            }
        }
        let mode = self.wanted.mode.filter(|_| node.kind() != Kind::Link);
        Ok(AttrChange {
            uid: differs(node.uid, self.uid),
            gid: differs(node.gid, self.gid),
            mode: differs(
                node.mode(),
                mode.map(|mode| mode.bits(node.base(self.umask))),
            ),
        })
    }

    /// The mode of something that is new: what is wanted, else what the umask leaves of `full`.
    pub(super) fn new_mode(&self, full: u32, is_dir: bool) -> u32 {
        let base = Base {
            bits: full & !self.umask,
            is_dir,
            umask: self.umask,
        };
        self.wanted.mode.map_or(base.bits, |mode| mode.bits(base))
    }

    /// Owner and group of something new, where one is wanted, as words for `chown`; names the host
    /// does not know yet are left to `chown`, as a task before may have made them.
    pub(super) fn new_owner(&self) -> (String, String) {
        let part = |name: Option<&str>, id: Option<u32>| match (name, id) {
            (_, Some(id)) => id.to_string(),
            (Some(name), None) => name.to_owned(),
            (None, None) => String::new(),
        };
        (
            part(self.wanted.owner, self.uid),
            part(self.wanted.group, self.gid),
        )
    }
}

impl AttrChange {
    /// Whether nothing is to change.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// One line for a person: `mode 0600 -> 0644, owner 0 -> 33`.
    pub(super) fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some((old, new)) = self.mode {
            parts.push(format!("mode {} -> {}", octal(old), octal(new)));
        }
        if let Some((old, new)) = self.uid {
            parts.push(format!("owner {old} -> {new}"));
        }
        if let Some((old, new)) = self.gid {
            parts.push(format!("group {old} -> {new}"));
        }
        parts.join(", ")
    }

    /// The lines that make the change on `path`; a link itself is given away, never what it
    /// points at.
    pub(super) fn apply(&self, path: &str) -> String {
        let path = word_of_seen(path);
        let mut sh = String::new();
        if self.uid.is_some() || self.gid.is_some() {
            let owner = self.owner();
            let _ = writeln!(sh, "chown -h {owner} {path} || sb_fail 'chown failed'");
        }
        if let Some((_, new)) = self.mode {
            let _ = writeln!(sh, "chmod 0{} {path} || sb_fail 'chmod failed'", octal(new));
        }
        sh
    }

    /// The new owner and group for `chown`; empty when both stay.
    pub(super) fn owner(&self) -> String {
        // `UID:` would also set the user's login group.
        match (self.uid, self.gid) {
            (Some((_, uid)), Some((_, gid))) => format!("{uid}:{gid}"),
            (Some((_, uid)), None) => uid.to_string(),
            (None, Some((_, gid))) => format!(":{gid}"),
            (None, None) => String::new(),
        }
    }

    /// The line that takes it back; `node` is what was seen.
    pub(super) fn undo(&self, path: &str, node: &Node) -> String {
        if self.is_empty() {
            return String::new();
        }
        format!(
            "sb_reset {} {} 0{} {}\n",
            node.uid,
            node.gid,
            octal(node.mode()),
            word_of_seen(path)
        )
    }

    /// Adds what Ansible's diff shows of it.
    pub(super) fn add_to_diff(
        &self,
        before: &mut BTreeMap<&'static str, serde_json::Value>,
        after: &mut BTreeMap<&'static str, serde_json::Value>,
    ) {
        for (name, pair) in [("owner", self.uid), ("group", self.gid)] {
            if let Some((old, new)) = pair {
                before.insert(name, old.into());
                after.insert(name, new.into());
            }
        }
        if let Some((old, new)) = self.mode {
            before.insert("mode", plain_octal(old).into());
            after.insert("mode", plain_octal(new).into());
        }
    }
}

/// A path that a host reported as one word of sh: already expanded, so nothing in it is again.
pub(super) fn word_of_seen(path: &str) -> String {
    if path.starts_with('-') {
        quote(&format!("./{path}"))
    } else {
        quote(path)
    }
}
