//! The texts that `mount` is about: `fstab` and the kernel's `mountinfo`.
//!
//! Source: ansible.posix, `plugins/modules/mount.py`, `_set_mount_save_old` and `unset_mount`;
//! `fstab(5)`, `proc(5)`.

/// An entry of `fstab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Device or the like.
    pub(super) src: &'a str,
    /// Mount point.
    pub(super) path: &'a str,
    /// File system type.
    pub(super) fstype: &'a str,
    /// Options.
    pub(super) opts: &'a str,
    /// Dump frequency.
    pub(super) dump: &'a str,
    /// Order of checks at boot.
    pub(super) passno: &'a str,
}

/// A mount as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// What of the file system is mounted; not `/` for a bind mount.
    pub(super) root: String,
    /// Where.
    pub(super) path: String,
    /// Options of the mount.
    pub(super) opts: String,
    /// File system type.
    pub(super) fstype: String,
    /// Device or the like.
    pub(super) src: String,
}

/// Writes a field as `fstab` wants it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('&', "\\046")
        .replace('\t', "\\011")
        .replace('\n', "\\012")
}

/// Writes a path as the kernel does in `mountinfo`.
pub(super) fn kernel_path(path: &str) -> String {
    path.replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
        .replace('\n', "\\012")
}

/// Reads octal escapes such as `\040`.
fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).filter(|_| bytes[at] == b'\\');
        let code = octal
            .and_then(|octal| std::str::from_utf8(octal).ok())
            .and_then(|octal| u8::from_str_radix(octal, 8).ok());
        if let Some(code) = code {
            out.push(code);
            at += 4;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn fields(line: &str) -> Option<Vec<&str>> {
    let line = line.split('#').next()?;
    let fields: Vec<&str> = line.split_whitespace().collect();
    (4..=6).contains(&fields.len()).then_some(fields)
}

/// Whether `line` is the entry for `path`; of several swap entries that of `src`.
fn is_entry(fields: &[&str], path: &str, src: Option<&str>) -> bool {
    if fields[1] != escape(path) {
        return false;
    }
    let is_swap = fields[1] == "none" && fields[2] == "swap";
    !is_swap || src.is_none_or(|src| fields[0] == escape(src))
}

/// The text with `wanted` in it, in place of an entry for the same mount point; `None` when it is
/// there already.
pub(super) fn set(text: &str, wanted: &Entry<'_>) -> Option<String> {
    let new = [
        wanted.src,
        wanted.path,
        wanted.fstype,
        wanted.opts,
        wanted.dump,
        wanted.passno,
    ]
    .map(escape);
    let mut out = String::new();
    let (mut is_there, mut is_changed) = (false, false);
    for line in text.split_inclusive('\n') {
        let found = fields(line).filter(|fields| is_entry(fields, wanted.path, Some(wanted.src)));
        match found {
            Some(mut old) => {
                is_there = true;
                old.resize(6, "0");
                if old == new {
                    out.push_str(line);
                } else {
                    is_changed = true;
                    out.push_str(&new.join(" "));
                    out.push('\n');
                }
            }
            None => out.push_str(line),
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    if !is_there {
        out.push_str(&new.join(" "));
        out.push('\n');
    }
    (is_changed || !is_there).then_some(out)
}

/// The text without the entry for `path`; `None` when there is none.
pub(super) fn unset(text: &str, path: &str, src: Option<&str>) -> Option<String> {
    let kept: String = text
        .split_inclusive('\n')
        .filter(|line| !fields(line).is_some_and(|fields| is_entry(&fields, path, src)))
        .collect();
    (kept != text).then_some(kept)
}

/// Whether there is an entry for `path`.
pub(super) fn has(text: &str, path: &str) -> bool {
    unset(text, path, None).is_some()
}

/// The topmost mount at `path`.
pub(super) fn mounted(mountinfo: &str, path: &str) -> Option<Mount> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let left: Vec<&str> = left.split(' ').collect();
            let right: Vec<&str> = right.split(' ').collect();
            Some(Mount {
                root: unescape(left.get(3)?),
                path: unescape(left.get(4)?),
                opts: (*left.get(5)?).to_owned(),
                fstype: (*right.first()?).to_owned(),
                src: unescape(right.get(1)?),
            })
        })
        .rfind(|mount| mount.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'_> = Entry {
        src: "/dev/vdb",
        path: "/pg data",
        fstype: "xfs",
        opts: "noatime",
        dump: "0",
        passno: "0",
    };
    const LINE: &str = "/dev/vdb /pg\\040data xfs noatime 0 0\n";

    #[test]
    fn an_entry_is_added_replaced_and_removed() {
        let head = "# /etc/fstab\n\n/dev/vda / ext4 defaults 0 1\n";
        for (text, expected) in [
            (String::new(), Some(LINE.to_owned())),
            (head.to_owned(), Some(format!("{head}{LINE}"))),
            (head.trim_end().to_owned(), Some(format!("{head}{LINE}"))),
            (format!("{head}{LINE}"), None),
            (format!("{head}/dev/vdb /pg\\040data xfs noatime\n"), None),
            (
                format!("/dev/vdc /pg\\040data ext4 ro 0 2\n{head}"),
                Some(format!("{LINE}{head}")),
            ),
        ] {
            assert_eq!(set(&text, &ENTRY), expected, "{text:?}");
        }
        assert_eq!(
            unset(&format!("{LINE}{head}"), "/pg data", None).as_deref(),
            Some(head)
        );
        assert_eq!(unset(head, "/pg data", None), None);
        assert!(has(head, "/") && !has(head, "/pg"));
    }

    #[test]
    fn swap_entries_are_told_apart_by_their_device() {
        let swap = |src| Entry {
            src,
            path: "none",
            fstype: "swap",
            opts: "sw",
            ..ENTRY
        };
        let one = set("", &swap("/a")).unwrap();
        let two = set(&one, &swap("/b")).unwrap();
        assert_eq!(two, "/a none swap sw 0 0\n/b none swap sw 0 0\n");
        assert_eq!(
            unset(&two, "none", Some("/a")).as_deref(),
            Some("/b none swap sw 0 0\n")
        );
    }

    #[test]
    fn the_topmost_mount_counts() {
        let info = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
                    30 22 0:27 / /pg\\040data rw,noatime - tmpfs tmpfs rw,size=1k\n\
                    31 30 254:1 /sub /pg\\040data ro - ext4 /dev/vda1 rw\n";
        let mount = mounted(info, "/pg data").unwrap();
        assert_eq!(
            (mount.root.as_str(), mount.opts.as_str(), mount.src.as_str()),
            ("/sub", "ro", "/dev/vda1")
        );
        assert_eq!(mounted(info, "/pg"), None);
    }
}
