//! The controller's disk: what was synced is safe, what was not may be lost or torn in a crash.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use switchback::journal::{Recovered, Storage, read};

/// What is on the disk at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content {
    /// What a crash leaves.
    pub(crate) durable: Vec<u8>,
    /// What it may take, from any byte on.
    pub(crate) volatile: Vec<u8>,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
}

impl Content {
    /// All that a crash may leave: each end of a line of the un-synced tail, each line torn at its
    /// first byte, in its middle and before its newline.
    pub(crate) fn after_crash(&self) -> Vec<Content> {
        let mut cuts = vec![0];
        let mut start = 0;
        for line in self.volatile.split_inclusive(|b| *b == b'\n') {
            let end = start + line.len();
            cuts.extend([start + 1, start + line.len() / 2, end - 1, end]);
            start = end;
        }
        cuts.sort_unstable();
        cuts.dedup();
        cuts.into_iter().map(|cut| self.cut(cut)).collect()
    }

    /// A crash that leaves this many bytes of the un-synced tail.
    pub(crate) fn cut(&self, cut: usize) -> Content {
        Content {
            durable: [&self.durable, &self.volatile[..cut]].concat(),
            volatile: Vec::new(),
            blobs: self.blobs.clone(),
        }
    }

    /// Reads it back as a process that starts does.
    pub(crate) fn recover(&self) -> switchback::journal::Result<Recovered> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.ndjson");
        std::fs::write(&path, &self.durable).unwrap();
        let blobs = folder.path().join("blobs");
        std::fs::create_dir(&blobs).unwrap();
        for (name, bytes) in &self.blobs {
            std::fs::write(blobs.join(name), bytes).unwrap();
        }
        read(Path::new(&path))
    }
}

/// What a journal does with its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Append,
    Sync,
    Reserve,
    Blob,
}

#[derive(Default)]
struct Platter {
    content: Content,
    operations: usize,
    /// The operation with this number fails, and only it.
    fails_at: Option<usize>,
    /// Whether it did, and which came after.
    after_failure: Option<Vec<Operation>>,
    failed: Option<Operation>,
    /// The process dies right after this many further operations.
    dies_after: Option<usize>,
    is_dead: bool,
    /// The disk after each operation since it was last asked for.
    moments: Vec<Content>,
}

/// A disk that outlives the processes which write to it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    pub(crate) fn content(&self) -> Content {
        self.platter().content.clone()
    }

    /// Starts a process on a disk with this content.
    pub(crate) fn restart(&self, content: Content) {
        let mut platter = self.platter();
        platter.content = content;
        platter.is_dead = false;
        platter.dies_after = None;
        platter.moments.clear();
    }

    pub(crate) fn operations(&self) -> usize {
        self.platter().operations
    }

    pub(crate) fn fail_at(&self, operation: Option<usize>) {
        let mut platter = self.platter();
        platter.fails_at = operation;
        platter.after_failure = None;
    }

    /// The operation that failed, and those that were tried after it.
    pub(crate) fn after_failure(&self) -> Option<(Operation, Vec<Operation>)> {
        let platter = self.platter();
        Some((platter.failed?, platter.after_failure.clone()?))
    }

    pub(crate) fn die_after(&self, operations: Option<usize>) {
        self.platter().dies_after = operations;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.platter().is_dead
    }

    /// What was on it after each operation since the last call.
    pub(crate) fn take_moments(&self) -> Vec<Content> {
        std::mem::take(&mut self.platter().moments)
    }

    fn operate(&self, kind: Operation, work: impl FnOnce(&mut Content, bool)) -> io::Result<()> {
        let mut platter = self.platter();
        if platter.is_dead {
            return Err(io::Error::other("the process is dead"));
        }
        platter.operations += 1;
        if let Some(after) = &mut platter.after_failure {
            after.push(kind);
        }
        let fails = platter.fails_at == Some(platter.operations);
        work(&mut platter.content, fails);
        let moment = platter.content.clone();
        platter.moments.push(moment);
        if let Some(left) = &mut platter.dies_after {
            *left = left.saturating_sub(1);
            platter.is_dead = *left == 0;
        }
        if fails {
            platter.failed = Some(kind);
            platter.after_failure = Some(Vec::new());
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }
}

impl Storage for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.operate(Operation::Append, |content, fails| {
            let kept = if fails { bytes.len() / 2 } else { bytes.len() };
            content.volatile.extend_from_slice(&bytes[..kept]);
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.operate(Operation::Sync, |content, fails| {
            if !fails {
                let volatile = std::mem::take(&mut content.volatile);
                content.durable.extend(volatile);
            }
        })
    }

    fn reserve(&mut self) -> io::Result<()> {
        self.operate(Operation::Reserve, |_, _| {})
    }

    fn put_blob(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.operate(Operation::Blob, |content, fails| {
            if !fails {
                content.blobs.insert(name.to_owned(), bytes.to_vec());
            }
        })
    }
}
