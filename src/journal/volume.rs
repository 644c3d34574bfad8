//! What the file system of the run store means for a journal: its lock and what was synced.
//!
//! Knows the kinds of file systems as `statfs` numbers them. An overlay is not among them: its locks
//! and its syncs are those of the disk below.

use std::path::Path;

/// File systems of other machines, by their number (linux/magic.h), and their names.
const REMOTE: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    // Such as sshfs; what it is in truth nobody can tell.
    (0x6573_5546, "FUSE"),
];

/// The kind of file system that a folder is on; `None` where nobody tells.
pub(super) fn kind_of(folder: &Path) -> Option<u64> {
    let told = rustix::fs::statfs(folder).ok()?;
    // Where the number is signed and short, its upper half is the sign.
    u64::try_from(i128::from(told.f_type) & 0xffff_ffff).ok()
}

/// Why runs are less safe on this kind of file system.
pub(super) fn doubt(kind: u64) -> Option<String> {
    let (_, name) = REMOTE.iter().find(|(number, _)| *number == kind)?;
    Some(format!(
        "it is on a file system of another machine ({name}): its lock may not keep out who goes on \
         with the same run elsewhere, and what was written may be lost with that machine"
    ))
}

#[cfg(test)]
mod tests {
    use super::{doubt, kind_of};

    #[test]
    fn a_store_of_another_machine_is_doubted() {
        for (kind, name) in [(0x6969, "NFS"), (0xff53_4d42, "SMB"), (0x6573_5546, "FUSE")] {
            assert!(doubt(kind).unwrap().contains(name));
        }
        // ext4, xfs, btrfs, tmpfs, overlay.
        for kind in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630] {
            assert_eq!(doubt(kind), None);
        }
    }

    #[test]
    fn the_kind_of_a_folder_is_told() {
        assert_eq!(kind_of("/proc".as_ref()), Some(0x9fa0));
        assert_eq!(kind_of("/no/such/folder".as_ref()), None);
    }
}
