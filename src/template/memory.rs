//! A [`World`] in memory, for tests and for rendering that must not touch the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset};

use super::scope::{PathKind, PathStat, World};

/// Holds files and environment in memory; its clock stands still.
#[derive(Clone, Debug)]
pub struct MemoryWorld {
    /// What [`World::now`] says.
    pub now: DateTime<FixedOffset>,
    /// What [`World::random_u64`] says.
    pub random: u64,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Files by absolute path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Where relative names are looked for.
    pub base: PathBuf,
    /// What commands print, by command.
    pub commands: BTreeMap<String, String>,
}

impl Default for MemoryWorld {
    fn default() -> Self {
        Self {
            now: DateTime::UNIX_EPOCH.fixed_offset(),
            random: 4,
            env: BTreeMap::new(),
            files: BTreeMap::new(),
            base: PathBuf::from("/base"),
            commands: BTreeMap::new(),
        }
    }
}

impl World for MemoryWorld {
    fn now(&self) -> DateTime<FixedOffset> {
        self.now
    }

    fn random_u64(&self) -> u64 {
        self.random
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| format!("there is no file `{}`", path.display()))
    }

    fn write_file(&self, path: &Path, _: &[u8]) -> Result<(), String> {
        Err(format!(
            "`{}` cannot be written: this world is in memory",
            path.display()
        ))
    }

    fn pipe(&self, command: &str) -> Result<String, String> {
        self.commands
            .get(command)
            .cloned()
            .ok_or_else(|| format!("the command `{command}` is not known"))
    }

    fn search_path(&self, kind: &str, name: &str) -> Option<PathBuf> {
        [self.base.join(kind).join(name), self.base.join(name)]
            .into_iter()
            .find(|path| self.stat(path, true).is_some())
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let pattern = self.base.join("files").join(pattern);
        let Ok(glob) = globset::Glob::new(&pattern.to_string_lossy()) else {
            return Vec::new();
        };
        let matcher = glob.compile_matcher();
        self.files
            .keys()
            .filter(|path| matcher.is_match(path))
            .cloned()
            .collect()
    }

    fn stat(&self, path: &Path, _: bool) -> Option<PathStat> {
        let is_file = self.files.contains_key(path);
        let is_directory = self.files.keys().any(|f| f != path && f.starts_with(path));
        let kind = match (is_file, is_directory) {
            (true, _) => PathKind::File,
            (_, true) => PathKind::Directory,
            _ => return None,
        };
        Some(PathStat {
            kind,
            device: 1,
            inode: path.as_os_str().len() as u64,
        })
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        match user {
            None => self.env("HOME"),
            Some(user) => Some(format!("/home/{user}")),
        }
    }

    fn hosts_matching(&self, pattern: &str) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }
}
