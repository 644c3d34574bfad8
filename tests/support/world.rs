//! A folder with a playbook, an inventory, a run store, keys and something to change, and the
//! program started in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A world of its own; it is gone when it is dropped.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// `tasks` are the tasks of the one play; `TARGET` in them is the folder to change.
    pub(crate) fn new(tasks: &str) -> Self {
        Self::with_playbook(&playbook(tasks))
    }

    pub(crate) fn with_playbook(text: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("sb").tempdir().unwrap();
        Self::at(folder, text)
    }

    /// As [`Self::new`], with its folder below this one.
    pub(crate) fn in_folder(folder: &Path, tasks: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("sb")
            .tempdir_in(folder)
            .unwrap();
        Self::at(folder, &playbook(tasks))
    }

    fn at(folder: tempfile::TempDir, text: &str) -> Self {
        let world = Self { folder };
        fs::create_dir(world.target()).unwrap();
        world.write("playbook.yml", text);
        world.write("hosts.ini", "one ansible_connection=local\n");
        world
    }

    /// Writes a file of the world; `TARGET` in it is the folder to change.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let text = text.replace("TARGET", self.target().to_str().unwrap());
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.path("target")
    }

    /// What a file of the target holds.
    pub(crate) fn made(&self, name: &str) -> String {
        fs::read_to_string(self.target().join(name)).unwrap_or_default()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("SWITCHBACK_RUNS", self.path("runs"))
            .env("SWITCHBACK_ROOT", self.path("place"))
            .env("SWITCHBACK_KEYS", self.path("keys"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn switchback(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the playbook without a person.
    pub(crate) fn run(&self, more: &[&str]) -> Output {
        let mut args = vec!["run", "playbook.yml", "-i", "hosts.ini", "--yes"];
        args.extend(more);
        self.switchback(&args)
    }

    /// The id of the only run.
    pub(crate) fn run_id(&self) -> String {
        let mut ids = fs::read_dir(self.path("runs")).unwrap();
        let id = ids.next().unwrap().unwrap().file_name();
        assert!(ids.next().is_none(), "there is more than one run");
        id.into_string().unwrap()
    }

    /// All files below a folder, with what is in them.
    pub(crate) fn files(&self, below: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        read_tree(&self.path(below), &mut found);
        found
    }
}

fn playbook(tasks: &str) -> String {
    let mut text = "- hosts: all\n  gather_facts: false\n  tasks:\n".to_owned();
    for line in tasks.lines() {
        text.extend(["    ", line, "\n"]);
    }
    text
}

/// Adds all files below a folder, with what is in them; what is no regular file is left out.
pub(crate) fn read_tree(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if meta.is_dir() {
            read_tree(&path, found);
        } else if meta.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            found.insert(path, bytes);
        }
    }
}

/// Everything that a command said, and its exit code.
pub(crate) fn said(output: &Output) -> (i32, String) {
    let text = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap_or(-1), text)
}
