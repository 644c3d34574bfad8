//! What of a run must be kept and must not be read: secrets that a resume or an undo needs.
//!
//! A [`Sealed`] is written only encrypted (XChaCha20-Poly1305) under the key of the run, which
//! lies outside of the run's folder. It is bound to the run and to the number of its record.
//! Invariant: an open one cannot be written, so nothing of it reaches a file in clear.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Error, Result};
use super::record::Record;
use super::storage::sync_dir;
use crate::value::exposed;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// The first word of a key file, so that another file is not taken for one.
const KEY_WORD: &str = "switchback-run-key-1";

/// A part of a record that nobody without the run's key can read.
#[derive(Clone, PartialEq)]
pub enum Sealed {
    /// In clear, as JSON; only in memory.
    Open(String),
    /// Encrypted, as text.
    Closed(String),
}

impl Sealed {
    /// Seals something, secrets included.
    ///
    /// # Panics
    /// Never: what the journal holds is JSON.
    pub fn of(what: &impl Serialize) -> Self {
        let json = exposed(|| serde_json::to_string(what));
        Self::Open(json.expect("invariant: what the journal holds is JSON"))
    }

    /// What was sealed; `None` while it is closed, or where it is something else.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Self::Open(json) => serde_json::from_str(json).ok(),
            Self::Closed(_) => None,
        }
    }

    /// Whether it cannot be read.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Encrypts it as a part of the record with this number.
    pub(super) fn close(&mut self, key: &RunKey, seq: u64) -> io::Result<()> {
        if let Self::Open(json) = self {
            *self = Self::Closed(key.encrypt(seq, json.as_bytes())?);
        }
        Ok(())
    }

    /// Decrypts it; `false` where the key is another one or the text was changed.
    pub(super) fn open(&mut self, key: &RunKey, seq: u64) -> bool {
        let Self::Closed(text) = self else {
            return true;
        };
        let json = key.decrypt(seq, text);
        let Some(json) = json.and_then(|json| String::from_utf8(json).ok()) else {
            return false;
        };
        *self = Self::Open(json);
        true
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Open(_) => Err(serde::ser::Error::custom(
                "a secret is written only encrypted",
            )),
            Self::Closed(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::Closed)
    }
}

/// The key of one run.
#[derive(Clone)]
pub struct RunKey {
    run: String,
    bytes: [u8; KEY_BYTES],
}

impl std::fmt::Debug for RunKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunKey({})", self.run)
    }
}

impl RunKey {
    /// A new key.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn random(run: &str) -> io::Result<Self> {
        let mut bytes = [0; KEY_BYTES];
        fill(&mut bytes)?;
        Ok(Self {
            run: run.to_owned(),
            bytes,
        })
    }

    /// The key in a text as [`Self::to_text`] makes it; `None` where it is none.
    pub fn from_text(run: &str, text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (Some(KEY_WORD), Some(of), Some(key), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let bytes = STANDARD.decode(key).ok()?.try_into().ok()?;
        (of == run).then(|| Self {
            run: run.to_owned(),
            bytes,
        })
    }

    /// One line that gives the key back. It is as secret as all that the run holds.
    pub fn to_text(&self) -> String {
        format!("{KEY_WORD} {} {}\n", self.run, STANDARD.encode(self.bytes))
    }

    /// Encrypts what is sealed in a record, as a part of the record with this number.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn close(&self, record: &mut Record, seq: u64) -> io::Result<()> {
        match record.sealed_mut() {
            Some(sealed) => sealed.close(self, seq),
            None => Ok(()),
        }
    }

    /// Decrypts what is sealed in a record; `false` where the key is another one, or the record is
    /// not as it was written.
    pub fn open(&self, record: &mut Record, seq: u64) -> bool {
        record
            .sealed_mut()
            .is_none_or(|sealed| sealed.open(self, seq))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(self.bytes))
    }

    fn place(&self, seq: u64) -> String {
        format!("switchback/1/{}/{seq}", self.run)
    }

    fn encrypt(&self, seq: u64, text: &[u8]) -> io::Result<String> {
        // Random, as a resume may write the number of a record that was torn off once more.
        let mut nonce = [0; NONCE_BYTES];
        fill(&mut nonce)?;
        let place = self.place(seq);
        let payload = Payload {
            msg: text,
            aad: place.as_bytes(),
        };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| io::Error::other("it cannot be encrypted"))?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    fn decrypt(&self, seq: u64, text: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let place = self.place(seq);
        let payload = Payload {
            msg: sealed,
            aad: place.as_bytes(),
        };
        self.cipher().decrypt(&XNonce::from(nonce), payload).ok()
    }
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}

/// Where the keys of runs are kept, a file each.
#[derive(Clone, Debug)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// Keys in this folder; it is made with the first of them.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where the key of a run is, or would be.
    pub fn path(&self, run: &str) -> PathBuf {
        self.0.join(run)
    }

    /// Refuses a folder that others could read.
    ///
    /// # Errors
    /// `Unsafe`.
    pub(super) fn check(&self) -> Result<()> {
        let Ok(meta) = std::fs::symlink_metadata(&self.0) else {
            return Ok(());
        };
        let why = if !meta.is_dir() {
            "it is no folder".to_owned()
        } else if meta.uid() != rustix::process::geteuid().as_raw() {
            format!("it belongs to uid {}", meta.uid())
        } else if meta.mode() & 0o077 != 0 {
            format!("others may enter it, mode {:04o}", meta.mode() & 0o7777)
        } else {
            return Ok(());
        };
        Err(Error::Unsafe {
            path: self.0.clone(),
            why,
        })
    }

    /// The key of a run; `None` where there is none here.
    ///
    /// # Errors
    /// It is there and cannot be read, or is no key.
    pub fn read(&self, run: &str) -> Result<Option<RunKey>> {
        self.check()?;
        let path = self.path(run);
        match std::fs::read_to_string(&path) {
            Ok(text) => match RunKey::from_text(run, &text) {
                Some(key) => Ok(Some(key)),
                None => Err(Error::NotKey { path }),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(format!("read the key `{}`", path.display()))(e)),
        }
    }

    /// Makes the key of a run, durable before it is used.
    ///
    /// # Errors
    /// `Unsafe`; `Io`, also when it is there already.
    pub fn make(&self, run: &str) -> Result<RunKey> {
        let doing = || format!("make the key `{}`", self.path(run).display());
        let key = RunKey::random(run).map_err(Error::io(doing()))?;
        self.keep(&key).map(|()| key)
    }

    /// Keeps a key that was made elsewhere.
    ///
    /// # Errors
    /// As [`Self::make`].
    pub fn keep(&self, key: &RunKey) -> Result<()> {
        let path = self.path(&key.run);
        let doing = || format!("keep the key `{}`", path.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(Error::io(doing()))?;
        self.check()?;
        write_new(&path, &key.to_text()).map_err(Error::io(doing()))
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn remove(&self, run: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path(run)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Text, Value};

    fn closed(key: &RunKey) -> Sealed {
        let value = Value::from(vec![
            Value::Str(Text::data("hunter2").into_secret()),
            "plain".into(),
        ]);
        let mut sealed = Sealed::of(&value);
        sealed.close(key, 7).unwrap();
        sealed
    }

    #[test]
    fn what_was_sealed_comes_back_with_its_secrecy_and_is_never_written_open() {
        let key = RunKey::random("r1").unwrap();
        let mut sealed = closed(&key);
        let written = serde_json::to_string(&sealed).unwrap();
        assert!(!written.contains("hunter2") && !written.contains("plain"));
        assert!(sealed.open(&key, 7));
        let value: Value = sealed.read().unwrap();
        let items = value.as_list().unwrap();
        assert!(matches!(&items[0], Value::Str(t) if t.is_secret() && t.as_str() == "hunter2"));
        assert!(!items[1].has_secret());
        assert!(serde_json::to_string(&sealed).is_err());
        assert!(!format!("{sealed:?}").contains("hunter2"));
    }

    #[test]
    fn another_key_another_place_and_every_changed_byte_are_refused() {
        let key = RunKey::random("r1").unwrap();
        let other_run = RunKey {
            run: "r2".into(),
            ..key.clone()
        };
        for (key, seq) in [
            (&RunKey::random("r1").unwrap(), 7),
            (&key, 8),
            (&other_run, 7),
        ] {
            assert!(!closed(&key.clone()).open(&RunKey::random("r1").unwrap(), seq));
        }
        assert!(!closed(&key).open(&key, 8));
        assert!(!closed(&key).open(&other_run, 7));
        let Sealed::Closed(text) = closed(&key) else {
            panic!("it is closed");
        };
        let bytes = STANDARD.decode(&text).unwrap();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let mut sealed = Sealed::Closed(STANDARD.encode(&bytes));
            assert!(!sealed.open(&key, 7), "byte {at}");
        }
        assert!(!Sealed::Closed("short".into()).open(&key, 7));
    }

    #[test]
    fn keys_are_for_the_owner_only_and_an_open_folder_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(dir.path().join("keys"));
        assert!(keys.read("r1").unwrap().is_none());
        let key = keys.make("r1").unwrap();
        assert_eq!(keys.read("r1").unwrap().unwrap().bytes, key.bytes);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&keys.path("r1")), 0o600);
        assert_eq!(mode(&keys.0), 0o700);
        assert!(keys.make("r1").is_err(), "a key is never replaced");
        std::fs::write(keys.path("r2"), "no key\n").unwrap();
        assert!(matches!(keys.read("r2"), Err(Error::NotKey { .. })));
        std::fs::set_permissions(&keys.0, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(keys.read("r1"), Err(Error::Unsafe { .. })));
    }

    #[test]
    fn a_key_of_another_run_is_no_key_of_this_one() {
        let key = RunKey::random("r1").unwrap();
        assert!(RunKey::from_text("r1", &key.to_text()).is_some());
        assert!(RunKey::from_text("r2", &key.to_text()).is_none());
        assert!(RunKey::from_text("r1", "").is_none());
    }
}
