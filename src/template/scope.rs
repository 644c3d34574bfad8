//! What the caller provides: variables ([`Scope`]) and the controller's side ([`World`]).
//!
//! Invariant: everything impure that a template can reach goes through [`World`], so that a
//! rendering is a function of its template, scope and world.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, FixedOffset};

use crate::value::Value;

/// The variables that one host sees at one point of a run.
pub trait Scope {
    /// The raw value of a variable: templates in it are not rendered yet.
    fn lookup(&self, name: &str) -> Option<Value>;

    /// All names that [`Self::lookup`] knows, for `varnames`, `vars` and did-you-mean.
    fn names(&self) -> Vec<String>;

    /// Whether the variable stands in the user's files (play, vars, inventory, extra vars) and is
    /// neither a fact nor a result: only then may its text serve as a conditional
    /// (`when: "{{ name }}"`), as ansible-core 2.19's trust demands.
    fn is_from_user(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The hosts of `hostvars`, in inventory order. Empty: `hostvars` is an ordinary variable.
    fn host_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The variables of another host, for `hostvars[NAME]`; rendered with that host's scope.
    fn host(&self, name: &str) -> Option<Arc<dyn Scope>> {
        let _ = name;
        None
    }
}

/// A scope over a plain map.
impl Scope for crate::value::Map {
    fn lookup(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// What `stat` says of a path on the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStat {
    /// What it is.
    pub kind: PathKind,
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

/// The kind of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link (only when links are not followed).
    Link,
    /// A device, socket or pipe.
    Other,
}

/// Everything outside the variables that lookups, filters and functions may ask for.
///
/// Errors are sentences without a place.
pub trait World {
    /// The current time with the controller's offset from UTC.
    fn now(&self) -> DateTime<FixedOffset>;
    /// A random number.
    fn random_u64(&self) -> u64;
    /// An environment variable of the controller.
    fn env(&self, name: &str) -> Option<String>;
    /// A file's bytes, decrypted when it is vaulted.
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, String>;
    /// A file's bytes as they are, for tests that ask whether it is vaulted.
    fn read_raw(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.read_file(path)
    }
    /// Writes a file that only its owner may read, with its parent directories (`password` lookup).
    fn write_file(&self, path: &Path, content: &[u8]) -> Result<(), String>;
    /// The standard output of a command that the controller's shell ran; an error if it failed.
    fn pipe(&self, command: &str) -> Result<String, String>;
    /// Where a relative `name` is found on the search path of role and playbook; `kind` is the
    /// sub-folder that is looked at first (`files`, `templates`, `vars`, or empty).
    fn search_path(&self, kind: &str, name: &str) -> Option<PathBuf>;
    /// The regular files that match a pattern, sorted; relative ones on the search path of `files`.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;
    /// What is at a path, or `None`; `follow` resolves symbolic links.
    fn stat(&self, path: &Path, follow: bool) -> Option<PathStat>;
    /// The path without symbolic links, `.` and `..`.
    fn real_path(&self, path: &Path) -> PathBuf;
    /// The home directory of a user; `None` as name means the one who runs.
    fn home(&self, user: Option<&str>) -> Option<String>;
    /// The hosts that a pattern selects in the inventory.
    fn hosts_matching(&self, pattern: &str) -> Result<Vec<String>, String>;
    /// A setting of the configuration, by the name that Ansible gives it.
    fn config(&self, name: &str) -> Option<Value> {
        let _ = name;
        None
    }
    /// A secret that a lookup gave: it is masked wherever it shows from now on.
    fn note_secret(&self, secret: &str) {
        let _ = secret;
    }
    /// A notice to the user about the template, shown once per text.
    fn warn(&self, message: &str) {
        let _ = message;
    }
}
