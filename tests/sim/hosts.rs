//! The hosts: a folder each, in which a local `sh` runs what the core sends.
//!
//! Equal scripts on equal folders do the same, so each is run once and then known by heart: thousands
//! of deaths cost a few hundred runs of `sh`. For that `stat` tells no times and no inode here, and
//! the uptime of a host stands still.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use switchback::modules::Source;
use switchback::script::{PRELUDE, Reply};
use switchback::transport::Job;

/// All files below a folder, with their mode; a folder has no bytes.
pub(crate) type Tree = BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>;

/// What is on the hosts and what was ever executed there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image {
    /// By host.
    pub(crate) trees: BTreeMap<String, Arc<Tree>>,
    /// How often each script of an attempt was started, by attempt and script.
    pub(crate) executed: BTreeMap<(u64, String), u32>,
}

/// The hosts of a world.
pub(crate) struct Hosts {
    root: PathBuf,
    pub(crate) image: Image,
    /// What is in the folders.
    real: BTreeMap<String, Arc<Tree>>,
    known: HashMap<Run, (Reply, Delta)>,
}

/// A script, its input, the host, and those files of it that the script can see.
type Run = (String, Option<Vec<u8>>, String, Tree);

/// What a script made of files: a new one, or none.
type Delta = Vec<(PathBuf, Option<(u32, Option<Vec<u8>>)>)>;

/// The folder in a host's own where the engine keeps its things.
const PLACE: &str = "place";
/// As in the prelude, but for what differs between two folders with equal files. What runs in the
/// background holds descriptor 9, and so is waited for.
const SIMULATED: &str = "exec 9>&2
sb_now() { read -r SB_boot </proc/sys/kernel/random/boot_id; SB_up=1000; }
sb_stat() {
  stat ${3-} -c \"$1.stat=%f %u %g %s %h 0 %d %b %o %t %T ${SB_atime-0} 0 0
$1.owner=%U
$1.group=%G
$1.times=${SB_atime-0}|0|0\" \"$2\"
}";

impl Hosts {
    pub(crate) fn new(root: &Path, names: &[&str]) -> Self {
        let mut hosts = Self {
            root: root.to_owned(),
            image: Image::default(),
            real: BTreeMap::new(),
            known: HashMap::new(),
        };
        // Nobody pulls the plug here.
        let sync = root.join("bin/sync");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::write(&sync, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&sync, fs::Permissions::from_mode(0o755)).unwrap();
        for name in names {
            fs::create_dir_all(hosts.folder(name)).unwrap();
            hosts.real.insert((*name).to_owned(), Arc::default());
        }
        hosts.image.trees.clone_from(&hosts.real);
        hosts
    }

    fn folder(&self, host: &str) -> PathBuf {
        self.root.join(host)
    }

    /// Runs a script to its end and says whether it changed the host.
    pub(crate) fn run(&mut self, host: &str, job: &Job) -> (Reply, bool) {
        if let Some(attempt) = attempt_of(&job.script.sh) {
            let key = (attempt, job.script.sh.clone());
            *self.image.executed.entry(key).or_default() += 1;
        }
        let input = job.input.as_ref().map(|source| match source {
            Source::Bytes(bytes) => bytes.clone(),
            Source::File(path) => fs::read(path).unwrap(),
        });
        let before = self.image.trees[host].clone();
        let sh = job.script.sh.clone();
        let seen = before.iter().filter(|(path, _)| is_seen(path, &sh));
        let seen = seen.map(|(path, file)| (path.clone(), file.clone()));
        let seen = seen.collect();
        let run = (sh, input, host.to_owned(), seen);
        if !self.known.contains_key(&run) {
            let done = self.really_run(&run, &before);
            self.known.insert(run.clone(), done);
        }
        let (reply, delta) = &self.known[&run];
        let mut after = (*before).clone();
        for (path, file) in delta {
            match file {
                Some(file) => after.insert(path.clone(), file.clone()),
                None => after.remove(path),
            };
        }
        let has_changed = delta.iter().any(|(path, _)| !path.starts_with(PLACE));
        let trees = &mut self.image.trees;
        trees.insert(host.to_owned(), Arc::new(after));
        (reply.clone(), has_changed)
    }

    fn really_run(&mut self, (sh, input, host, _): &Run, before: &Arc<Tree>) -> (Reply, Delta) {
        let folder = self.folder(host);
        if self.real[host] != *before {
            write_tree(&folder, before);
        }
        let script = format!("{PRELUDE}\n{SIMULATED}\n(\n{sh}\n)");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .env("HOME", &folder)
            .env("SWITCHBACK_ROOT", folder.join(PLACE))
            .env(
                "PATH",
                format!("{}:{path}", self.root.join("bin").display()),
            )
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A script that has refused reads nothing.
        let _ = stdin.write_all(input.as_deref().unwrap_or_default());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let mut tree = Tree::new();
        read_tree(&folder, &folder, &mut tree);
        let delta = delta(before, &tree);
        self.real.insert(host.clone(), Arc::new(tree));
        let reply = Reply {
            rc: output.status.code().unwrap_or(255),
            stdout: output.stdout,
            stderr: output.stderr,
        };
        (reply, delta)
    }

    /// A host is restarted so that what was left of an attempt does not tell how it ended.
    pub(crate) fn forgets(&mut self, host: &str, attempt: u64) {
        let of_it = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.starts_with(PLACE) && name.starts_with(&format!("run-{attempt}-"))
        };
        let mut tree = (*self.image.trees[host]).clone();
        tree.retain(|path, _| !of_it(path) || path.extension().is_none_or(|e| e != "rc"));
        for (path, (_, bytes)) in &mut tree {
            if of_it(path) && path.extension().is_some_and(|e| e == "sup" || e == "pid") {
                *bytes = Some(b"1 1 another-boot .\n".to_vec());
            }
        }
        self.image.trees.insert(host.to_owned(), Arc::new(tree));
    }

    /// Hosts on which nothing has ever happened.
    pub(crate) fn clear(&mut self) {
        self.image.executed.clear();
        for tree in self.image.trees.values_mut() {
            *tree = Arc::default();
        }
    }

    /// Whether any script of the attempt was started.
    pub(crate) fn has_executed(&self, attempt: u64) -> bool {
        self.image.executed.keys().any(|(a, _)| *a == attempt)
    }

    /// What is on a host, without what the engine keeps for itself.
    pub(crate) fn files(&self, host: &str) -> BTreeMap<String, String> {
        let tree = &self.image.trees[host];
        tree.iter()
            .filter(|(path, _)| !path.starts_with(PLACE))
            .map(|(path, (mode, bytes))| {
                let text = bytes.as_deref().map(String::from_utf8_lossy);
                let shown = format!("{mode:o} {}", text.unwrap_or_default());
                (path.display().to_string(), shown)
            })
            .collect()
    }
}

/// Whether a script can see a file: of what the engine keeps for attempts, only its own.
fn is_seen(path: &Path, sh: &str) -> bool {
    let text = path.to_string_lossy();
    let own = |mark: &str, end: &[char]| {
        let rest = text.split_once(mark)?.1;
        let name = rest.split(end).next()?;
        Some(format!("{mark}{name}"))
    };
    if let Some(kept) = own("/keep/run/", &['/']) {
        return sh.contains(&kept);
    }
    match own("/a/", &['.']) {
        Some(attempt) => sh.contains(&attempt["/a/".len()..]),
        None => true,
    }
}

fn delta(before: &Tree, after: &Tree) -> Delta {
    let made = after
        .iter()
        .filter(|(path, file)| before.get(*path) != Some(file));
    let made = made.map(|(path, file)| (path.clone(), Some(file.clone())));
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    made.chain(gone.map(|path| (path.clone(), None))).collect()
}

/// Whether a script only asks what has become of an attempt: that is no step which begins.
pub(crate) fn is_look(sh: &str) -> bool {
    sh.starts_with("sb_status ")
}

/// The attempt that a script belongs to, by the id of a durable one or by the prefix that every act
/// has; none for one that looks.
pub(crate) fn attempt_of(sh: &str) -> Option<u64> {
    if let Some(call) = sh.strip_prefix("sb_start ") {
        // PLACE RUN-ATTEMPT-ACT-TRY
        return call.split(' ').nth(1)?.split('-').nth(1)?.parse().ok();
    }
    let rest = sh.split_once("SB_KEEP=$SB_SPOOL/keep/")?.1;
    let line = rest.lines().next()?;
    let number = line.rsplit('/').next()?.parse().ok()?;
    (number > 0).then_some(number)
}

fn read_tree(root: &Path, folder: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let name = path.strip_prefix(root).unwrap().to_owned();
        if metadata.is_dir() {
            tree.insert(name, (mode, None));
            read_tree(root, &path, tree);
        } else {
            tree.insert(name, (mode, Some(fs::read(&path).unwrap())));
        }
    }
}

fn write_tree(folder: &Path, tree: &Tree) {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
    for (name, (mode, bytes)) in tree {
        let path = folder.join(name);
        match bytes {
            None => fs::create_dir(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
    }
}
