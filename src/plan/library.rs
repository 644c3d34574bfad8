//! Modules that users write themselves: where they are, and whether they may be run.
//!
//! Invariant: a file that anybody but the operator or root could have written is never run. Source:
//! ansible-core 2.19, `plugins/loader.py`.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::modules::Calling;

/// Suffixes of files in `library/` that are no modules.
const NO_MODULES: &[&str] = &[
    "pyc", "pyo", "swp", "bak", "rpm", "md", "txt", "rst", "yaml", "yml", "ini",
];

/// Folders deeper than this below `library/` are not searched.
const DEPTH_MAX: usize = 8;

/// All modules of all `library/` folders seen so far; of two with the same name the first counts.
#[derive(Debug, Default)]
pub(super) struct Library {
    folders: Vec<PathBuf>,
    modules: HashMap<String, PathBuf>,
}

impl Library {
    /// Adds the modules of a folder, if it is there.
    pub(super) fn add(&mut self, folder: &Path) {
        if self.folders.iter().any(|known| known == folder) {
            return;
        }
        self.folders.push(folder.to_owned());
        self.walk(folder, 0);
    }

    fn walk(&mut self, folder: &Path, depth: usize) {
        // A folder that is not there has no modules; one that cannot be read neither: a task that
        // needs one is told that there is no such module.
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let text =
                |part: Option<&std::ffi::OsStr>| part.and_then(|p| p.to_str()).map(str::to_owned);
            let (Some(name), Some(whole)) = (text(path.file_stem()), text(path.file_name())) else {
                continue;
            };
            if whole.starts_with('.') || whole == "__pycache__" || whole.ends_with('~') {
                continue;
            }
            if path.is_dir() {
                if depth < DEPTH_MAX {
                    self.walk(&path, depth + 1);
                }
            } else if text(path.extension()).is_none_or(|e| !NO_MODULES.contains(&e.as_str())) {
                self.modules.entry(name).or_insert(path);
            }
        }
    }

    /// The file of a module that a playbook calls `name`.
    pub(super) fn find(&self, name: &str) -> Option<&Path> {
        let short = name.strip_prefix("ansible.legacy.").unwrap_or(name);
        self.modules.get(short).map(PathBuf::as_path)
    }
}

/// How the module in this file takes its arguments.
///
/// # Errors
/// Why it is not run.
pub(super) fn calling(path: &Path) -> Result<Calling, String> {
    let told = |error: std::io::Error| format!("`{}`: {error}", path.display());
    let path = path.canonicalize().map_err(told)?;
    for checked in [Some(path.as_path()), path.parent()].into_iter().flatten() {
        if let Some(why) = distrust(checked).map_err(told)? {
            return Err(format!("`{}` {why}", checked.display()));
        }
    }
    let bytes = std::fs::read(&path).map_err(told)?;
    Calling::of(&bytes).map_err(|why| format!("`{}`: {why}", path.display()))
}

/// Why a file or folder cannot be trusted.
///
/// # Errors
/// It cannot be looked at.
pub fn distrust(path: &Path) -> std::io::Result<Option<&'static str>> {
    let metadata = std::fs::metadata(path)?;
    let me = rustix::process::geteuid().as_raw();
    let mine = rustix::process::getegid().as_raw();
    Ok(if metadata.uid() != me && metadata.uid() != 0 {
        Some("belongs neither to you nor to root")
    } else if metadata.mode() & 0o002 != 0 || metadata.mode() & 0o020 != 0 && metadata.gid() != mine
    {
        Some("can be written by others")
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_folder_wins_and_notes_are_no_modules() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("one/a.sh", "#!/bin/sh\n# WANT_JSON\n"),
            ("one/deep/b", "#!/bin/sh\n"),
            ("one/notes.md", ""),
            (
                "two/a.py",
                "#!/usr/bin/python\nfrom ansible.module_utils.basic import *\n",
            ),
        ] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut library = Library::default();
        library.add(&dir.path().join("one"));
        library.add(&dir.path().join("two"));
        library.add(&dir.path().join("none"));
        let a = library.find("ansible.legacy.a").unwrap();
        assert!(a.ends_with("one/a.sh"));
        assert_eq!(calling(a), Ok(Calling::WantJson));
        assert!(library.find("b").is_some());
        assert!(library.find("notes").is_none() && library.find("ansible.builtin.a").is_none());
        assert_eq!(calling(&dir.path().join("two/a.py")), Ok(Calling::Python));
    }

    #[test]
    fn what_others_can_write_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!(calling(&path), Ok(Calling::KeyValue));
        for (what, mode) in [(path.as_path(), 0o666), (dir.path(), 0o777)] {
            let old = std::fs::metadata(what).unwrap().permissions();
            std::fs::set_permissions(what, std::fs::Permissions::from_mode(mode)).unwrap();
            let why = calling(&path).unwrap_err();
            assert!(why.contains("can be written by others"), "{why}");
            std::fs::set_permissions(what, old).unwrap();
        }
    }
}
