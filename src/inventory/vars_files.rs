//! `group_vars` and `host_vars`, beside the inventory and beside the playbook.
//!
//! Source: ansible-core 2.19, `plugins/vars/host_group_vars.py` and
//! `parsing/dataloader.py:find_vars_files`. Each folder is listed once, so that many hosts cost no
//! look-ups.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diag::{Diagnostic, SourceMap};
use crate::syntax::{Kind, read_document};
use crate::value::Map;

/// Endings in the order in which they are looked for; the first that exists is taken.
const ENDINGS: &[&str] = &["", ".yml", ".yaml", ".json"];

type ByName = HashMap<String, Vec<Arc<Map>>>;

#[derive(Clone, Debug, Default)]
struct Beside {
    folder: PathBuf,
    groups: ByName,
    hosts: ByName,
}

/// All variables files that were found.
#[derive(Clone, Debug, Default)]
pub(super) struct VarsFiles {
    inventory: Vec<Beside>,
    playbook: Option<Beside>,
}

impl VarsFiles {
    pub(super) fn read(
        &mut self,
        sources: &[PathBuf],
        playbook: Option<&Path>,
        texts: &mut SourceMap,
    ) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for folder in sources {
            self.inventory
                .push(Beside::read(folder, texts, &mut problems));
        }
        // The same files beside both would be read twice and win as those of the playbook.
        self.playbook = playbook.map(|folder| {
            let same = self
                .inventory
                .iter()
                .find(|b| same_folder(&b.folder, folder))
                .cloned();
            same.unwrap_or_else(|| Beside::read(folder, texts, &mut problems))
        });
        problems
    }

    pub(super) fn folders(&self) -> Vec<PathBuf> {
        self.inventory
            .iter()
            .chain(&self.playbook)
            .map(|b| b.folder.clone())
            .collect()
    }

    pub(super) fn inventory_sources(&self) -> impl Iterator<Item = &PathBuf> {
        self.inventory.iter().map(|b| &b.folder)
    }

    pub(super) fn inventory_groups(&self, name: &str) -> impl Iterator<Item = &Arc<Map>> {
        self.inventory
            .iter()
            .filter_map(move |b| b.groups.get(name))
            .flatten()
    }

    pub(super) fn inventory_group_of(&self, source: usize, name: &str) -> &[Arc<Map>] {
        self.inventory
            .get(source)
            .and_then(|b| b.groups.get(name))
            .map_or(&[], Vec::as_slice)
    }

    pub(super) fn inventory_hosts(&self, name: &str) -> impl Iterator<Item = &Arc<Map>> {
        self.inventory
            .iter()
            .filter_map(move |b| b.hosts.get(name))
            .flatten()
    }

    pub(super) fn playbook_groups(&self, name: &str) -> impl Iterator<Item = &Arc<Map>> {
        self.playbook
            .iter()
            .filter_map(move |b| b.groups.get(name))
            .flatten()
    }

    pub(super) fn playbook_hosts(&self, name: &str) -> impl Iterator<Item = &Arc<Map>> {
        self.playbook
            .iter()
            .filter_map(move |b| b.hosts.get(name))
            .flatten()
    }
}

fn same_folder(a: &Path, b: &Path) -> bool {
    let real = |p: &Path| {
        let p = if p.as_os_str().is_empty() {
            Path::new(".")
        } else {
            p
        };
        p.canonicalize().ok()
    };
    real(a).is_some_and(|a| Some(a) == real(b))
}

impl Beside {
    fn read(folder: &Path, texts: &mut SourceMap, problems: &mut Vec<Diagnostic>) -> Self {
        Self {
            folder: folder.to_owned(),
            groups: by_name(&folder.join("group_vars"), texts, problems),
            hosts: by_name(&folder.join("host_vars"), texts, problems),
        }
    }
}

fn by_name(folder: &Path, texts: &mut SourceMap, problems: &mut Vec<Diagnostic>) -> ByName {
    let mut all = ByName::new();
    if folder.exists() && !folder.is_dir() {
        problems.push(Diagnostic::warning(
            "SB0212",
            format!("`{}` is ignored: it is no folder", folder.display()),
        ));
        return all;
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return all;
    };
    let mut names: Vec<String> = entries
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let mut best: HashMap<&str, (usize, &str)> = HashMap::new();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let has_ending = ENDINGS[1..].iter().any(|ending| name.ends_with(ending));
        for (rank, ending) in ENDINGS.iter().enumerate().skip(usize::from(has_ending)) {
            if let Some(stem) = name.strip_suffix(ending) {
                let slot = best.entry(stem).or_insert((rank, name));
                if rank < slot.0 {
                    *slot = (rank, name);
                }
            }
        }
    }
    for (stem, (_, name)) in best {
        let path = folder.join(name);
        let files = if path.is_dir() {
            vars_folder(&path).unwrap_or_else(|problem| {
                problems.push(problem);
                Vec::new()
            })
        } else {
            vec![path]
        };
        let maps = files
            .iter()
            .filter_map(|path| read_map(path, texts, problems));
        let maps: Vec<_> = maps.collect();
        if !maps.is_empty() {
            all.insert(stem.to_owned(), maps);
        }
    }
    all
}

/// The files of a folder of variables and of those in it, in order of their names; what is no
/// YAML or JSON by its name is left out (ansible-core 2.19, `parsing/dataloader.py`).
///
/// # Errors
/// The folder that cannot be read, and why.
pub fn vars_folder(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| {
        let folder = folder.display();
        Diagnostic::error("SB0101", format!("`{folder}` cannot be read: {error}"))
    })?;
    let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let ending = path.extension().map(|e| e.to_string_lossy());
        if path.is_dir() {
            files.extend(vars_folder(&path)?);
        } else if matches!(ending.as_deref(), None | Some("yml" | "yaml" | "json")) {
            files.push(path);
        }
    }
    Ok(files)
}

fn read_map(
    path: &Path,
    texts: &mut SourceMap,
    problems: &mut Vec<Diagnostic>,
) -> Option<Arc<Map>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let path = path.display();
            problems.push(Diagnostic::error(
                "SB0101",
                format!("`{path}` cannot be read: {error}"),
            ));
            return None;
        }
    };
    let (node, found) = read_document(texts, path, text);
    let is_broken = !found.is_empty();
    problems.extend(found);
    match &node.kind {
        Kind::Map(_) => Some(Arc::new(node.to_map())),
        Kind::Null => None,
        _ if is_broken => None,
        _ => {
            problems.push(
                Diagnostic::error("SB0211", "a file of variables must be a mapping")
                    .at(node.span, format!("found {}", node.type_name())),
            );
            None
        }
    }
}
