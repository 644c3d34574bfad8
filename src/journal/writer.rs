//! Appends records. Invariant: after a failed write or fsync nothing is ever written again, as
//! nobody can say what is on disk.

use chrono::{DateTime, Utc};

use super::blob;
use super::error::{Error, Result};
use super::line::{self, NO_HASH};
use super::reader::Recovered;
use super::record::Record;
use super::seal::{KeyFolder, RunKey};
use super::signature::Signer;
use super::storage::Storage;

/// Tells the wall clock.
pub type Clock = Box<dyn Fn() -> DateTime<Utc> + Send>;

/// What can still be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// Results, and no further intent.
    Full,
    /// Nothing.
    Poisoned,
}

/// Writes a journal.
pub struct Writer {
    storage: Box<dyn Storage>,
    clock: Clock,
    seq: u64,
    head: String,
    health: Health,
    has_unsynced: bool,
    needs_signature: bool,
    signer: Option<Signer>,
    keys: Option<(KeyFolder, String)>,
    key: Option<RunKey>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("seq", &self.seq)
            .field("head", &self.head)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Writes to a journal that is empty.
    pub fn new(storage: impl Storage + 'static, clock: Clock) -> Self {
        Self {
            storage: Box::new(storage),
            clock,
            seq: 0,
            head: NO_HASH.to_owned(),
            health: Health::Well,
            has_unsynced: false,
            needs_signature: false,
            signer: None,
            keys: None,
            key: None,
        }
    }

    /// Encrypts what is sealed with this key of the run; without one, a key is made in the folder
    /// when the first record needs it.
    #[must_use]
    pub fn with_key(mut self, key: Option<RunKey>, keys: KeyFolder, run: &str) -> Self {
        self.key = key;
        self.keys = Some((keys, run.to_owned()));
        self
    }

    /// Signs the head at the start, after each answer that decides about something final, and at
    /// the end.
    #[must_use]
    pub fn with_signer(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer;
        self
    }

    /// The key of the run, if something was sealed so far.
    pub fn key(&self) -> Option<&RunKey> {
        self.key.as_ref()
    }

    /// Goes on after what was recovered; the storage holds exactly that.
    pub fn after(recovered: &Recovered, storage: impl Storage + 'static, clock: Clock) -> Self {
        Self {
            seq: recovered.records.len() as u64,
            head: recovered.head.clone(),
            ..Self::new(storage, clock)
        }
    }

    /// Appends a record and returns its number, from 1. It is durable only after [`Self::sync`].
    ///
    /// # Errors
    /// `NoRoom` before an intent when the disk is full: nothing was written and results can still
    /// be, but no intent is taken any more, since the run stops. Any other error is the end of this
    /// journal's writing.
    ///
    /// # Panics
    /// Never: JSON without layout is one line.
    pub fn append(&mut self, record: &Record) -> Result<u64> {
        if self.health == Health::Poisoned {
            return Err(Error::Poisoned);
        }
        if matches!(record, Record::Opened { .. } | Record::Intent { .. }) {
            let room = if self.health == Health::Full {
                Err(std::io::ErrorKind::StorageFull.into())
            } else {
                self.storage.reserve()
            };
            room.map_err(|source| {
                self.health = Health::Full;
                Error::NoRoom { source }
            })?;
        }
        let json = match self.closed(record)? {
            Some(record) => self.record_json(&record)?,
            None => self.record_json(record)?,
        };
        let line = line::encode(self.seq + 1, &self.head, (self.clock)(), &json);
        assert!(
            !line.contains('\n'),
            "invariant: JSON without layout is one line"
        );
        let hash = blob::sha256_hex(line.as_bytes());
        let written = self.storage.append((line + "\n").as_bytes());
        self.guard("write the journal", written)?;
        self.has_unsynced = true;
        self.needs_signature |= record.is_signed();
        self.seq += 1;
        self.head = hash;
        Ok(self.seq)
    }

    /// Returns when all that was appended is durable.
    ///
    /// # Errors
    /// The fsync failed: it is not tried again, and every later call fails.
    pub fn sync(&mut self) -> Result<()> {
        if self.health == Health::Poisoned {
            return Err(Error::Poisoned);
        }
        if !self.has_unsynced {
            return Ok(());
        }
        let synced = self.storage.sync();
        self.guard("make the journal durable", synced)?;
        self.has_unsynced = false;
        if let Some(signer) = &self.signer
            && self.needs_signature
        {
            signer
                .sign(self.seq, &self.head)
                .map_err(|source| Error::Unsigned { source })?;
            self.needs_signature = false;
        }
        Ok(())
    }

    /// Appends a record and returns when it is durable.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::sync`].
    pub fn append_sync(&mut self, record: &Record) -> Result<u64> {
        let seq = self.append(record)?;
        self.sync()?;
        Ok(seq)
    }

    /// The hash of the last line, in hex; zeros before the first.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The record with its sealed part encrypted; `None` where it has none that is open.
    fn closed(&mut self, record: &Record) -> Result<Option<Record>> {
        if !record.has_open() {
            return Ok(None);
        }
        let mut record = record.clone();
        if self.key.is_none()
            && let Some((keys, run)) = &self.keys
        {
            self.key = Some(keys.make(run)?);
        }
        let doing = "encrypt a part of a record";
        let key = self.key.as_ref().ok_or_else(|| {
            Error::io(doing)(std::io::Error::other(
                "the journal was opened without a key",
            ))
        })?;
        key.close(&mut record, self.seq + 1)
            .map_err(Error::io(doing))?;
        Ok(Some(record))
    }

    fn record_json(&mut self, record: &Record) -> Result<String> {
        let doing = "write a record as JSON";
        let json = serde_json::to_string(record).map_err(|e| Error::io(doing)(e.into()))?;
        if !blob::is_needed(&json) {
            return Ok(json);
        }
        let value = serde_json::from_str(&json).map_err(|e| Error::io(doing)(e.into()))?;
        let storage = &mut self.storage;
        let mut failed = None;
        let value = blob::extract(value, &mut |name, bytes| {
            match storage.put_blob(name, bytes) {
                Ok(()) => true,
                // The line itself may still fit into the reserve.
                Err(e) if is_full(&e) => false,
                Err(e) => {
                    failed.get_or_insert(e);
                    false
                }
            }
        });
        if let Some(e) = failed {
            self.guard("write an output beside the journal", Err(e))?;
        }
        Ok(value.to_string())
    }

    fn guard(&mut self, doing: &str, done: std::io::Result<()>) -> Result<()> {
        done.map_err(|source| {
            self.health = Health::Poisoned;
            Error::io(doing)(source)
        })
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}
