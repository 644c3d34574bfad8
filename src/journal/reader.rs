//! Reads a journal back. Only an incomplete last line is cut; anything else that is not as it was
//! written is refused with its line.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::blob;
use super::error::{Error, Result};
use super::line::{self, Fault, NO_HASH};
use super::record::Record;
use super::seal::RunKey;

/// A record with its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was written, on the controller's wall clock.
    pub at: DateTime<Utc>,
    /// The hash of its line, in hex.
    pub hash: String,
    /// The record.
    pub record: Record,
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// All records, in order.
    pub records: Vec<Entry>,
    /// Whether the last line was incomplete and is left out.
    pub torn_tail: bool,
    /// The hash of the last line, in hex; zeros when there is none.
    pub head: String,
    /// Bytes up to the end of the last whole line.
    pub len: u64,
}

impl Recovered {
    /// Whether a part of it needs the run's key.
    pub fn has_closed(&self) -> bool {
        self.records.iter().any(|entry| entry.record.has_closed())
    }

    /// Decrypts everything that is sealed.
    ///
    /// # Errors
    /// `WrongKey`.
    pub fn open(&mut self, key: &RunKey) -> Result<()> {
        for entry in &mut self.records {
            if !key.open(&mut entry.record, entry.seq) {
                return Err(Error::WrongKey { seq: entry.seq });
            }
        }
        Ok(())
    }
}

/// Reads a journal and the blobs beside it, and checks every line.
///
/// # Errors
/// `Broken` with the line, `Format`, or `Io`.
pub fn read(path: &Path) -> Result<Recovered> {
    let doing = || format!("read the journal `{}`", path.display());
    let bytes = std::fs::read(path).map_err(Error::io(doing()))?;
    let blobs = path.with_file_name("blobs");
    recover(path, &bytes, &|hash| {
        std::fs::read(blobs.join(hash)).map_err(|e| format!("its blob `{hash}`: {e}"))
    })
}

/// Reads a journal from its bytes; `take` gives the bytes of a blob.
pub(super) fn recover(
    path: &Path,
    bytes: &[u8],
    take: &dyn Fn(&str) -> std::result::Result<Vec<u8>, String>,
) -> Result<Recovered> {
    let mut found = Recovered {
        records: Vec::new(),
        torn_tail: false,
        head: NO_HASH.to_owned(),
        len: 0,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let broken = |why: String| Error::Broken {
            path: path.to_owned(),
            line: found.records.len() as u64 + 1,
            why,
        };
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            if is_written_over(rest) {
                return Err(broken("something follows its end".into()));
            }
            found.torn_tail = true;
            break;
        };
        let text = &rest[..end];
        let line = line::decode(text, take).map_err(|fault| match fault {
            Fault::Broken(why) => broken(why),
            Fault::Format(found) => Error::Format {
                path: path.to_owned(),
                found,
            },
        })?;
        let seq = found.records.len() as u64 + 1;
        if line.prev != found.head {
            return Err(broken("it does not follow the line before it".into()));
        }
        if line.seq != seq {
            return Err(broken(format!("its number is {}, not {seq}", line.seq)));
        }
        if (seq == 1) != matches!(line.record, Record::Opened { .. }) {
            return Err(broken("the first record, and only it, opens a run".into()));
        }
        found.head = blob::sha256_hex(text);
        found.records.push(Entry {
            seq,
            at: line.at,
            hash: found.head.clone(),
            record: line.record,
        });
        rest = &rest[end + 1..];
    }
    found.len = (bytes.len() - rest.len()) as u64;
    Ok(found)
}

/// Whether a last line without newline is a whole line whose newline was overwritten: a torn write
/// never has anything after the end of a line.
fn is_written_over(rest: &[u8]) -> bool {
    line::is_whole(&rest[..rest.len() - 1])
}
