//! Where the bytes of a journal go. Behind a trait, so that tests can fail, crash and lose what
//! was not synced at any operation.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags};

/// How much room is kept after the last record, so that results of what already runs can be
/// written on a full disk.
const RESERVE_BYTES: u64 = 1 << 20;

/// An append-only file with blobs beside it.
pub trait Storage: Send {
    /// Appends bytes; they need not survive a loss of power before [`Self::sync`].
    ///
    /// # Errors
    /// When not all of them were taken; how many were is then unknown.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when all that was appended is durable.
    ///
    /// # Errors
    /// When it may not be; it is never tried again.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes sure that about a mebibyte can be appended without asking for space.
    ///
    /// # Errors
    /// When there is no room; what is there stays usable.
    fn reserve(&mut self) -> io::Result<()>;

    /// Keeps bytes durably under a name; equal names have equal bytes.
    ///
    /// # Errors
    /// When they could not be kept; nothing is left under the name then.
    fn put_blob(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
}

/// A journal on a file system.
#[derive(Debug)]
pub struct Disk {
    file: File,
    len: u64,
    reserved: u64,
    blobs: PathBuf,
    mode: u32,
    kept: HashSet<String>,
}

impl Disk {
    /// Makes a new journal in a folder that is there, durable up to the folder.
    ///
    /// # Errors
    /// When it exists already or cannot be made.
    pub fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        sync_dir(parent(path))?;
        Ok(Self::of(file, path, 0, mode))
    }

    /// Opens a journal to go on after its first `len` bytes; what follows is cut.
    ///
    /// # Errors
    /// When it cannot be opened or cut.
    pub fn reopen(path: &Path, len: u64, mode: u32) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .append(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        file.set_len(len)?;
        file.seek(SeekFrom::End(0))?;
        file.sync_all()?;
        Ok(Self::of(file, path, len, mode))
    }

    fn of(file: File, path: &Path, len: u64, mode: u32) -> Self {
        Self {
            file,
            len,
            reserved: 0,
            blobs: parent(path).join("blobs"),
            mode,
            kept: HashSet::new(),
        }
    }
}

impl Storage for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn reserve(&mut self) -> io::Result<()> {
        if self.len + RESERVE_BYTES / 2 <= self.reserved {
            return Ok(());
        }
        let wanted = RESERVE_BYTES * 2;
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.len, wanted) {
            // Not all file systems can; then a full disk is met at the write itself.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(e) => return Err(e.into()),
        }
        self.reserved = self.len + wanted;
        Ok(())
    }

    fn put_blob(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.kept.contains(name) {
            return Ok(());
        }
        let temporary = self.blobs.join(format!(".{name}.{}", std::process::id()));
        let written = self.write_blob(&temporary, &self.blobs.join(name), bytes);
        if written.is_err() {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(&temporary);
        } else {
            self.kept.insert(name.to_owned());
        }
        written
    }
}

impl Disk {
    fn write_blob(&self, temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(self.mode)
            .open(temporary)?;
        file.set_permissions(Permissions::from_mode(self.mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(temporary, path)?;
        sync_dir(&self.blobs)
    }
}

/// Makes the entries of a folder durable.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
