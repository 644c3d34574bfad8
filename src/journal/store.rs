//! All runs of a controller: one folder each, locked while someone works on it.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::error::{Error, Result};
use super::reader::{self, Recovered};
use super::record::Record;
use super::seal::{KeyFolder, RunKey};
use super::signature::Signer;
use super::storage::{Disk, sync_dir};
use super::volume;
use super::writer::{Clock, Writer};

/// Names the newest run wherever an id may stand.
pub const LATEST: &str = "latest";

const JOURNAL: &str = "journal.ndjson";
const LOCK: &str = "lock";
/// `list` takes each lock for an instant to see whether it is free; who wants it asks again.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// No prefix of an id is shown shorter: the ids of one minute share their first digits.
const SHORT_MIN: usize = 8;

/// The folder of all runs.
#[derive(Clone, Debug)]
pub struct RunStore {
    root: PathBuf,
    is_shared: bool,
    keys: KeyFolder,
    key_file: Option<PathBuf>,
}

/// One run, locked for as long as this lives.
#[derive(Debug)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    _lock: File,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// Someone works on it.
    Running {
        /// Who, as written in the lock.
        holder: String,
    },
    /// The last process ended in an orderly way, with this exit code.
    Closed(u8),
    /// The last process did not end in an orderly way, and nobody works on it.
    Crashed,
    /// Its first or last line cannot be read.
    Broken {
        /// Why.
        why: String,
    },
}

/// One line of the list of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// Its id.
    pub id: String,
    /// The shortest start of the id that names only this run.
    pub short: String,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was started; none when nothing was written.
    pub opened_at: Option<DateTime<Utc>>,
    /// The playbook.
    pub playbook: String,
    /// The change.
    pub change: Option<String>,
    /// Who started it.
    pub operator: String,
}

impl RunStore {
    /// The store that the environment names: `$SWITCHBACK_RUNS`, else
    /// `$XDG_STATE_HOME/switchback/runs`, else `~/.local/state/switchback/runs`; keys likewise, by
    /// `$SWITCHBACK_KEYS`, else in `keys` of the same two folders.
    ///
    /// # Errors
    /// As [`Self::at`]; `Unsafe` when no variable names a place.
    pub fn from_env(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let set = |name| env(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = set("SWITCHBACK_RUNS")
            .or_else(|| set("XDG_STATE_HOME").map(|p| p.join("switchback/runs")))
            .or_else(|| set("HOME").map(|p| p.join(".local/state/switchback/runs")));
        let keys = set("SWITCHBACK_KEYS")
            .or_else(|| set("XDG_STATE_HOME").map(|p| p.join("switchback/keys")))
            .or_else(|| set("HOME").map(|p| p.join(".local/state/switchback/keys")));
        match root {
            Some(root) => {
                let mut store = Self::at(root)?;
                if let Some(keys) = keys {
                    store.keys = KeyFolder::new(keys);
                }
                store.keys.check()?;
                Ok(store)
            }
            None => Err(Error::Unsafe {
                path: PathBuf::new(),
                why: "neither SWITCHBACK_RUNS nor XDG_STATE_HOME nor HOME is set".into(),
            }),
        }
    }

    /// The store in a folder, which is made when it is not there.
    ///
    /// # Errors
    /// `Unsafe` when others could read or write it, unless root made it as a setgid folder of a
    /// group on purpose; `Io`.
    pub fn at(root: PathBuf) -> Result<Self> {
        let doing = || format!("make the folder of runs `{}`", root.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)
            .map_err(Error::io(doing()))?;
        let meta = std::fs::metadata(&root).map_err(Error::io(doing()))?;
        let is_shared = is_shared(meta.uid(), meta.mode());
        let unsafe_because = |why: String| Error::Unsafe {
            path: root.clone(),
            why,
        };
        if !is_shared {
            if meta.uid() != rustix::process::geteuid().as_raw() {
                return Err(unsafe_because(format!("it belongs to uid {}", meta.uid())));
            }
            if meta.mode() & 0o077 != 0 {
                let mode = meta.mode() & 0o7777;
                return Err(unsafe_because(format!(
                    "others may enter it, mode {mode:04o}"
                )));
            }
        }
        if let Some(parent) = open_parent(&root).map_err(Error::io(doing()))? {
            let why = format!("anyone may replace what is in `{}`", parent.display());
            return Err(unsafe_because(why));
        }
        let keys = KeyFolder::new(root.with_file_name("keys"));
        Ok(Self {
            root,
            is_shared,
            keys,
            key_file: None,
        })
    }

    /// The same store, with the key of the run that is to be opened in this file.
    #[must_use]
    pub fn with_key_file(mut self, file: Option<PathBuf>) -> Self {
        self.key_file = file;
        self
    }

    /// Where the keys of runs are.
    pub fn keys(&self) -> &KeyFolder {
        &self.keys
    }

    /// The key of a run: from the file that was given, else from the folder of keys.
    ///
    /// # Errors
    /// `NotKey`, `Io`, `Unsafe`.
    pub fn key(&self, id: &str) -> Result<Option<RunKey>> {
        let Some(path) = &self.key_file else {
            return self.keys.read(id);
        };
        let text = std::fs::read_to_string(path)
            .map_err(Error::io(format!("read the key `{}`", path.display())))?;
        match RunKey::from_text(id, &text) {
            Some(key) => Ok(Some(key)),
            None => Err(Error::NotKey { path: path.clone() }),
        }
    }

    /// Why runs are less safe here than on a disk of this machine, where they are.
    pub fn doubt(&self) -> Option<String> {
        let why = volume::doubt(volume::kind_of(&self.root)?)?;
        let root = self.root.display();
        Some(format!("the folder of runs `{root}`: {why}"))
    }

    /// The folder of all runs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// An id for a new run: later ids sort after earlier ones.
    pub fn new_id() -> String {
        uuid::Uuid::now_v7().to_string()
    }

    /// Makes the folder of a new run, locked by `holder`, with an empty journal.
    ///
    /// # Errors
    /// `Io`, also when the run is there already.
    pub fn create(&self, id: &str, holder: &str, clock: Clock) -> Result<(Run, Writer)> {
        let folder = self.root.join(id);
        let doing = || format!("make the run `{}`", folder.display());
        let made = || -> io::Result<()> {
            DirBuilder::new().mode(0o700).create(&folder)?;
            self.open_folder(&folder)?;
            DirBuilder::new().mode(0o700).create(folder.join("blobs"))?;
            self.open_folder(&folder.join("blobs"))?;
            sync_dir(&self.root)
        };
        made().map_err(Error::io(doing()))?;
        // Without a journal it is no run yet, so nobody else can have locked it.
        let run = self.lock(id, holder)?;
        let disk = Disk::create(&folder.join(JOURNAL), self.file_mode());
        let writer = Writer::new(disk.map_err(Error::io(doing()))?, clock);
        Ok((run, writer.with_key(None, self.keys.clone(), id)))
    }

    /// Takes up a run that is there, by its id, a start of it, or [`LATEST`]. An incomplete last
    /// line is cut off. What is sealed stays so where the key is not here.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`, `Locked`, `WrongKey`, those of [`Self::key`], and all of
    /// [`reader::read`].
    pub fn open(&self, name: &str, holder: &str, clock: Clock) -> Result<(Run, Writer, Recovered)> {
        let id = self.find(name)?;
        let run = self.lock(&id, holder)?;
        let path = run.folder.join(JOURNAL);
        let mut recovered = reader::read(&path)?;
        let key = self.key(&id)?;
        if let Some(key) = &key {
            recovered.open(key)?;
        }
        let disk = Disk::reopen(&path, recovered.len, self.file_mode())
            .map_err(Error::io(format!("open the journal `{}`", path.display())))?;
        let writer = Writer::after(&recovered, disk, clock).with_key(key, self.keys.clone(), &id);
        Ok((run, writer, recovered))
    }

    /// Reads a run's journal without locking it: of a running one, what is there so far.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`, and all of [`reader::read`].
    pub fn read(&self, name: &str) -> Result<(String, Recovered)> {
        let id = self.find(name)?;
        let recovered = reader::read(&self.root.join(&id).join(JOURNAL))?;
        Ok((id, recovered))
    }

    /// Whether a process works on a run.
    pub fn is_held(&self, id: &str) -> bool {
        holder_of(&self.folder(id)).is_some()
    }

    /// The exit code of a run that has ended, and the locks that it took: token, and where from.
    /// `None` where there is no such run, where somebody works on it, where its last process did not
    /// end in an orderly way, and where its journal cannot be read: nothing is known of it then.
    pub fn ended(&self, id: &str) -> Option<(u8, Vec<(String, String)>)> {
        // The id may come from a host: it is looked for, never made a path.
        let is_there = self.ids().ok()?.iter().any(|known| known == id);
        if !is_there || holder_of(&self.folder(id)).is_some() {
            return None;
        }
        let records = reader::read(&self.folder(id).join(JOURNAL)).ok()?.records;
        let Record::Closed { exit_code, .. } = records.last()?.record else {
            return None;
        };
        let locks = records.iter().filter_map(|entry| match &entry.record {
            Record::Locking { token, from, .. } => Some((token.clone(), from.clone())),
            _ => None,
        });
        Some((exit_code, locks.collect()))
    }

    /// The full id of a run.
    ///
    /// # Errors
    /// `NotFound` and `Ambiguous`.
    pub fn find(&self, name: &str) -> Result<String> {
        let ids = self.ids()?;
        let not_found = || Error::NotFound {
            wanted: name.to_owned(),
            root: self.root.clone(),
        };
        if name == LATEST {
            return ids.into_iter().next_back().ok_or_else(not_found);
        }
        let bare = |id: &str| id.replace('-', "");
        let wanted = bare(name);
        let mut fitting: Vec<String> = ids
            .into_iter()
            .filter(|id| !wanted.is_empty() && bare(id).starts_with(&wanted))
            .collect();
        match fitting.len() {
            0 => Err(not_found()),
            1 => Ok(fitting.remove(0)),
            _ => Err(Error::Ambiguous {
                wanted: name.to_owned(),
                ids: fitting,
            }),
        }
    }

    /// All runs, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read; a run that cannot be is listed as broken.
    pub fn list(&self) -> Result<Vec<RunSummary>> {
        let ids = self.ids()?;
        let shorts = short_ids(&ids);
        Ok(ids
            .iter()
            .zip(shorts)
            .map(|(id, short)| self.summary(id, short))
            .collect())
    }

    fn ids(&self) -> Result<Vec<String>> {
        let doing = || format!("read the folder of runs `{}`", self.root.display());
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.root).map_err(Error::io(doing()))? {
            let entry = entry.map_err(Error::io(doing()))?;
            if entry.path().join(JOURNAL).is_file()
                && let Ok(id) = entry.file_name().into_string()
                && !id.starts_with('.')
            {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    fn summary(&self, id: &str, short: String) -> RunSummary {
        let folder = self.root.join(id);
        let mut summary = RunSummary {
            id: id.to_owned(),
            short,
            status: RunStatus::Crashed,
            opened_at: None,
            playbook: String::new(),
            change: None,
            operator: String::new(),
        };
        match ends(&folder.join(JOURNAL)) {
            Ok((first, last)) => {
                if let Some(Record::Opened {
                    playbook,
                    change,
                    operator,
                    at,
                    ..
                }) = first
                {
                    summary.opened_at = Some(at);
                    summary.playbook = playbook;
                    summary.change = change;
                    summary.operator = operator;
                }
                if let Some(Record::Closed { exit_code, .. }) = last {
                    summary.status = RunStatus::Closed(exit_code);
                }
            }
            Err(why) => summary.status = RunStatus::Broken { why },
        }
        if let Some(holder) = holder_of(&folder) {
            summary.status = RunStatus::Running { holder };
        }
        summary
    }

    fn lock(&self, id: &str, holder: &str) -> Result<Run> {
        let folder = self.root.join(id);
        let path = folder.join(LOCK);
        let doing = || format!("lock the run `{}`", folder.display());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(self.file_mode())
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(Error::io(doing()))?;
        let mut file = try_lock(file, id).map_err(|e| match e {
            LockFailure::Held(holder) => Error::Locked {
                run: id.to_owned(),
                holder,
            },
            LockFailure::Io(e) => Error::io(doing())(e),
        })?;
        let noted = || -> io::Result<()> {
            if self.is_shared && file.metadata()?.uid() == rustix::process::geteuid().as_raw() {
                file.set_permissions(Permissions::from_mode(self.file_mode()))?;
            }
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{holder}, pid {}", std::process::id())
        };
        let mut noted = noted;
        noted().map_err(Error::io(doing()))?;
        Ok(Run {
            id: id.to_owned(),
            folder,
            _lock: file,
        })
    }

    fn file_mode(&self) -> u32 {
        if self.is_shared { 0o660 } else { 0o600 }
    }

    /// Signs the heads of a run with this SSH key.
    pub fn signer(&self, id: &str, key: &Path) -> Signer {
        Signer::new(key.to_owned(), id, &self.root.join(id), self.file_mode())
    }

    /// The folder of a run.
    pub fn folder(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Removes a run and its key, unless somebody works on it.
    ///
    /// # Errors
    /// `Locked`, `Io`.
    pub fn remove(&self, id: &str, holder: &str) -> Result<()> {
        let run = self.lock(id, holder)?;
        let doing = || format!("remove the run `{}`", run.folder.display());
        // Under a name of no run first, so that no half of a run is ever found.
        let gone = self.root.join(format!(".{id}"));
        let removed = || -> io::Result<()> {
            std::fs::rename(&run.folder, &gone)?;
            sync_dir(&self.root)?;
            std::fs::remove_dir_all(&gone)?;
            self.keys.remove(id)
        };
        removed().map_err(Error::io(doing()))
    }

    /// Opens a new folder for the group of a shared store, whatever the umask is.
    fn open_folder(&self, folder: &Path) -> io::Result<()> {
        let mode = if self.is_shared { 0o2770 } else { 0o700 };
        std::fs::set_permissions(folder, Permissions::from_mode(mode))
    }
}

/// Whether root made the folder for a group on purpose: setgid, and closed to all others.
fn is_shared(uid: u32, mode: u32) -> bool {
    uid == 0 && mode & 0o2077 == 0o2070
}

/// The first folder above `root` where anyone may rename and replace: world-writable, not sticky.
fn open_parent(root: &Path) -> io::Result<Option<PathBuf>> {
    for parent in root.canonicalize()?.ancestors().skip(1) {
        if std::fs::metadata(parent)?.mode() & 0o1002 == 0o002 {
            return Ok(Some(parent.to_owned()));
        }
    }
    Ok(None)
}

enum LockFailure {
    Held(String),
    Io(io::Error),
}

fn try_lock(mut file: File, id: &str) -> std::result::Result<File, LockFailure> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => pause(),
            Err(TryLockError::Error(e)) => return Err(LockFailure::Io(e)),
        }
    }
    let mut holder = String::new();
    match file.read_to_string(&mut holder) {
        Ok(_) if !holder.trim().is_empty() => Err(LockFailure::Held(holder.trim().to_owned())),
        _ => Err(LockFailure::Held(format!("a process that locked `{id}`"))),
    }
}

fn pause() {
    std::thread::park_timeout(LOCK_PAUSE);
}

/// Who works on a run, if anybody.
fn holder_of(folder: &Path) -> Option<String> {
    let mut file = File::open(folder.join(LOCK)).ok()?;
    match file.try_lock_shared() {
        Ok(()) | Err(TryLockError::Error(_)) => None,
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).ok()?;
            Some(holder.trim().to_owned())
        }
    }
}

/// The first and the last whole record of a journal, unchecked: enough for a list.
fn ends(path: &Path) -> std::result::Result<(Option<Record>, Option<Record>), String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').unwrap_or(0);
    let is_torn = !bytes.is_empty() && bytes.last() != Some(&b'\n');
    let mut lines = bytes[..whole].split(|b| *b == b'\n');
    let first = lines.next().filter(|l| !l.is_empty());
    let last = lines.next_back().or(first).filter(|_| !is_torn);
    let record = |line: &[u8]| -> std::result::Result<Option<Record>, String> {
        let mut line: serde_json::Value =
            serde_json::from_slice(line).map_err(|e| e.to_string())?;
        if let Some(record) = line["record"].as_object_mut() {
            record.shift_remove("sealed");
        }
        // Only the ends matter here, and they hold no blobs; any other record is left unread.
        Ok(serde_json::from_value(line["record"].clone()).ok())
    };
    Ok((
        first.map(record).transpose()?.flatten(),
        last.map(record).transpose()?.flatten(),
    ))
}

/// For each of the sorted ids the shortest start that no neighbour has.
fn short_ids(ids: &[String]) -> Vec<String> {
    let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    (0..ids.len())
        .map(|i| {
            let before = if i > 0 {
                common(&ids[i], &ids[i - 1])
            } else {
                0
            };
            let after = ids.get(i + 1).map_or(0, |next| common(&ids[i], next));
            let len = (before.max(after) + 1).max(SHORT_MIN).min(ids[i].len());
            ids[i][..len].trim_end_matches('-').to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Box::new(|| DateTime::UNIX_EPOCH)
    }

    fn opened(id: &str) -> Record {
        super::super::crash_tests::opened(id)
    }

    fn store() -> (tempfile::TempDir, RunStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = RunStore::at(dir.path().join("state/runs")).unwrap();
        (dir, store)
    }

    #[test]
    fn a_run_is_created_listed_found_and_taken_up_again() {
        let (_dir, store) = store();
        let (run, mut writer) = store.create("aaaa0000-1", "anna@b1", clock()).unwrap();
        writer.append_sync(&opened("aaaa0000-1")).unwrap();
        let listed = store.list().unwrap();
        assert!(
            matches!(&listed[0].status, RunStatus::Running { holder } if holder.starts_with("anna@b1, pid ")),
            "{listed:?}"
        );
        drop((run, writer));
        assert_eq!(store.list().unwrap()[0].status, RunStatus::Crashed);

        let (run, mut writer, recovered) = store.open("aaaa", "ben", clock()).unwrap();
        assert_eq!(recovered.records.len(), 1);
        let exit_code = 10;
        let at = DateTime::UNIX_EPOCH;
        assert_eq!(
            writer
                .append_sync(&Record::Closed { exit_code, at })
                .unwrap(),
            2
        );
        drop((run, writer));
        assert_eq!(store.list().unwrap()[0].status, RunStatus::Closed(10));
        assert_eq!(store.read(LATEST).unwrap().1.records.len(), 2);
    }

    #[test]
    fn a_run_has_one_holder_and_the_other_is_told_who() {
        let (_dir, store) = store();
        let _held = store.create("aaaa0000-1", "anna@b1", clock()).unwrap();
        let error = store.open("aaaa", "ben", clock()).unwrap_err();
        assert!(
            error.to_string().contains("in use by anna@b1, pid"),
            "{error}"
        );
    }

    #[test]
    fn ids_are_found_by_what_names_only_one() {
        let (_dir, store) = store();
        drop(store.create("aaaa0000-1", "a", clock()).unwrap());
        drop(store.create("aaaa0000-2", "a", clock()).unwrap());
        assert!(matches!(store.find("aaaa"), Err(Error::Ambiguous { ids, .. }) if ids.len() == 2));
        assert_eq!(store.find("aaaa00002").unwrap(), "aaaa0000-2");
        assert_eq!(store.find(LATEST).unwrap(), "aaaa0000-2");
        assert!(matches!(store.find("b"), Err(Error::NotFound { .. })));
        assert!(matches!(store.find(""), Err(Error::NotFound { .. })));
        let shorts: Vec<_> = store.list().unwrap().into_iter().map(|r| r.short).collect();
        assert_eq!(shorts, ["aaaa0000-1", "aaaa0000-2"]);
    }

    #[test]
    fn files_are_for_the_owner_only_and_an_open_folder_is_refused() {
        let (_dir, store) = store();
        let (run, mut writer) = store.create("aaaa0000-1", "a", clock()).unwrap();
        writer.append_sync(&opened(&"x".repeat(5000))).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&run.folder), 0o700);
        assert_eq!(mode(&run.folder.join(JOURNAL)), 0o600);
        let blob = std::fs::read_dir(run.folder.join("blobs")).unwrap().next();
        assert_eq!(mode(&blob.unwrap().unwrap().path()), 0o600);

        let open = Permissions::from_mode(0o750);
        std::fs::set_permissions(store.root(), open).unwrap();
        let error = RunStore::at(store.root().to_owned()).unwrap_err();
        assert!(error.to_string().contains("mode 0750"), "{error}");
    }

    #[test]
    fn a_folder_for_a_group_is_one_that_root_made_so() {
        assert!(is_shared(0, 0o42770));
        for (uid, mode) in [(1000, 0o42770), (0, 0o40770), (0, 0o42775), (0, 0o42750)] {
            assert!(!is_shared(uid, mode), "{uid} {mode:o}");
        }
    }

    #[test]
    fn in_a_folder_for_a_group_the_group_can_take_a_run_over() {
        let (_dir, store) = store();
        let store = RunStore {
            is_shared: true,
            ..store
        };
        let (run, mut writer) = store.create("aaaa0000-1", "a", clock()).unwrap();
        writer.append_sync(&opened(&"x".repeat(5000))).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        let blobs = run.folder.join("blobs");
        assert_eq!((mode(&run.folder), mode(&blobs)), (0o2770, 0o2770));
        let blob = std::fs::read_dir(&blobs).unwrap().next().unwrap().unwrap();
        let files = [run.folder.join(JOURNAL), run.folder.join(LOCK), blob.path()];
        assert_eq!(files.map(|f| mode(&f)), [0o660; 3]);
    }

    #[test]
    fn a_folder_that_anyone_can_replace_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        let set = |mode| std::fs::set_permissions(&open, Permissions::from_mode(mode)).unwrap();
        set(0o777);
        let error = RunStore::at(open.join("runs")).unwrap_err();
        assert!(error.to_string().contains("anyone may replace"), "{error}");
        set(0o1777);
        assert!(RunStore::at(open.join("runs")).is_ok());
    }

    #[test]
    fn a_torn_tail_is_cut_before_the_run_goes_on() {
        let (_dir, store) = store();
        let (run, mut writer) = store.create("aaaa0000-1", "a", clock()).unwrap();
        writer.append_sync(&opened("aaaa0000-1")).unwrap();
        let path = run.folder.join(JOURNAL);
        drop((run, writer));
        let whole = std::fs::read(&path).unwrap();
        let torn = [&whole[..], b"{\"seq\":2,\"prev\":\"ab"].concat();
        std::fs::write(&path, torn).unwrap();

        let (run, mut writer, recovered) = store.open(LATEST, "b", clock()).unwrap();
        assert!(recovered.torn_tail);
        let at = DateTime::UNIX_EPOCH;
        writer
            .append_sync(&Record::Closed { exit_code: 0, at })
            .unwrap();
        drop((run, writer));
        let (_, after) = store.read(LATEST).unwrap();
        assert!(!after.torn_tail);
        assert_eq!(after.records.len(), 2);
    }

    #[test]
    fn a_large_output_is_written_beside_and_read_back() {
        let (_dir, store) = store();
        let (run, mut writer) = store.create("aaaa0000-1", "a", clock()).unwrap();
        let record = opened(&"x".repeat(50_000));
        writer.append_sync(&record).unwrap();
        let journal = std::fs::metadata(run.folder.join(JOURNAL)).unwrap().len();
        assert!(journal < 1000, "{journal} bytes");
        assert_eq!(store.read(LATEST).unwrap().1.records[0].record, record);
        let names: Vec<_> = std::fs::read_dir(run.folder.join("blobs"))
            .unwrap()
            .collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
    }

    #[test]
    fn the_environment_names_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let store = RunStore::from_env(&|name| (name == "HOME").then(|| home.clone().into()));
        assert_eq!(
            store.unwrap().root(),
            home.join(".local/state/switchback/runs")
        );
        let store = RunStore::from_env(&|name| {
            (name == "SWITCHBACK_RUNS").then(|| dir.path().join("r").into())
        });
        assert_eq!(store.unwrap().root(), dir.path().join("r"));
        assert!(RunStore::from_env(&|_| None).is_err());
    }
}
