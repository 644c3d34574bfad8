//! The impure things that templates may reach, for real.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, Local};

use super::controller::View;
use crate::diag::Opener;
use crate::plan::find_file;
use crate::template::{PathKind, PathStat, World};
use crate::value::{Map, Text, Value};

/// The controller as templates see it.
pub(crate) struct ControllerWorld<'a> {
    pub(crate) view: &'a View,
    /// What opens encrypted files.
    pub(crate) opener: Option<Opener>,
    /// The configuration, under Ansible's names.
    pub(crate) config: Option<Arc<Map>>,
}

impl World for ControllerWorld<'_> {
    fn now(&self) -> DateTime<FixedOffset> {
        Local::now().fixed_offset()
    }

    fn random_u64(&self) -> u64 {
        use std::io::Read as _;
        let mut bytes = [0; 8];
        let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
        read.expect("invariant: the system gives random bytes");
        u64::from_le_bytes(bytes)
    }

    fn config(&self, name: &str) -> Option<Value> {
        self.config.as_ref()?.get(name).cloned()
    }

    fn note_secret(&self, secret: &str) {
        let secret = Value::Str(Text::data(secret).into_secret());
        self.view.hosts.note_secret(&secret);
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        let bytes = self.read_raw(path)?;
        match &self.opener {
            Some(opener) if bytes.starts_with(b"$ANSIBLE_VAULT;") => {
                let text = String::from_utf8_lossy(&bytes);
                let plain = opener.open(&text).map(String::into_bytes);
                plain.map_err(|why| format!("{}: {why}", path.display()))
            }
            _ => Ok(bytes),
        }
    }

    fn read_raw(&self, path: &Path) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn write_file(&self, path: &Path, content: &[u8]) -> Result<(), String> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(told)?;
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(told)?;
        file.write_all(content).map_err(told)
    }

    fn pipe(&self, command: &str) -> Result<String, String> {
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", command])
            .current_dir(folder(&self.view.search.playbook))
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!(
                "lookup_plugin.pipe({command}) returned {}",
                output.status.code().unwrap_or(-1)
            ))
        }
    }

    fn search_path(&self, kind: &str, name: &str) -> Option<PathBuf> {
        let search = &self.view.search;
        find_file(
            kind,
            name,
            search.scope.as_deref(),
            &search.folder,
            &search.playbook,
        )
        .ok()
        .map(|path| std::path::absolute(&path).unwrap_or(path))
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let (folder, name) = match pattern.rsplit_once('/') {
            Some((folder, name)) => (folder.to_owned(), name.to_owned()),
            None => (String::new(), pattern.to_owned()),
        };
        let bases = if folder.starts_with('/') {
            vec![PathBuf::from(&folder)]
        } else if folder.is_empty() {
            self.glob_folders()
        } else {
            self.search_path("files", &folder).into_iter().collect()
        };
        let Ok(glob) = globset::Glob::new(&name) else {
            return Vec::new();
        };
        let matcher = glob.compile_matcher();
        let matching = |base: PathBuf| {
            let mut found: Vec<PathBuf> = std::fs::read_dir(base)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_file())
                .filter(|path| path.file_name().is_some_and(|n| matcher.is_match(n)))
                .collect();
            found.sort();
            found
                .into_iter()
                .map(|path| std::path::absolute(&path).unwrap_or(path))
                .collect::<Vec<_>>()
        };
        // The first folder that has any, as in Ansible.
        let found = bases.into_iter().map(matching);
        found
            .into_iter()
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    fn stat(&self, path: &Path, follow: bool) -> Option<PathStat> {
        let metadata = if follow {
            std::fs::metadata(path)
        } else {
            std::fs::symlink_metadata(path)
        }
        .ok()?;
        let kind = match metadata.file_type() {
            t if t.is_file() => PathKind::File,
            t if t.is_dir() => PathKind::Directory,
            t if t.is_symlink() => PathKind::Link,
            _ => PathKind::Other,
        };
        Some(PathStat {
            kind,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        match user {
            None => std::env::home_dir().map(|home| home.display().to_string()),
            Some(name) => std::fs::read_to_string("/etc/passwd")
                .ok()?
                .lines()
                .find_map(|line| {
                    let fields: Vec<&str> = line.split(':').collect();
                    (fields.len() > 5 && fields[0] == name).then(|| fields[5].to_owned())
                }),
        }
    }

    fn hosts_matching(&self, pattern: &str) -> Result<Vec<String>, String> {
        self.view.hosts.select(pattern)
    }
}

impl ControllerWorld<'_> {
    /// Where a pattern without a folder is looked for: below `files/` of each place, then there.
    fn glob_folders(&self) -> Vec<PathBuf> {
        let search = &self.view.search;
        let mut places: Vec<PathBuf> = Vec::new();
        if let Some(role) = &search.scope {
            places.push(PathBuf::from(&role.path));
            places.extend(role.parent_paths.iter().rev().map(PathBuf::from));
        }
        places.push(search.folder.clone());
        places.push(search.playbook.clone());
        places
            .iter()
            .flat_map(|place| [place.join("files"), folder(place).to_owned()])
            .collect()
    }
}

fn folder(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}
