//! Where a file that a task names is searched.
//!
//! Source: ansible-core 2.19, `parsing/dataloader.py:path_dwim_relative_stack` and
//! `playbook/task.py:get_search_path`.

use std::path::{Path, PathBuf};

use crate::model::RoleScope;

/// Finds the file `name` for a task: in the role and the roles that it depends on it for, in the
/// folder of the task's file, beside the playbook; first below `kind` (`files`, `templates`,
/// `vars`, `tasks`), then without it.
///
/// # Errors
/// The paths that were tried.
pub fn find_file(
    kind: &str,
    name: &str,
    role: Option<&RoleScope>,
    folder: &Path,
    playbook_folder: &Path,
) -> Result<PathBuf, Vec<PathBuf>> {
    if name.starts_with('/') || name.starts_with('~') {
        let path = expand_home(name);
        return if path.exists() {
            Ok(path)
        } else {
            Err(vec![path])
        };
    }
    let mut stack: Vec<&Path> = Vec::new();
    if let Some(role) = role {
        stack.push(Path::new(&role.path));
        stack.extend(role.parent_paths.iter().rev().map(Path::new));
    }
    if !stack.contains(&folder) {
        stack.push(folder);
    }
    let has_kind = name.split('/').next() == Some(kind);
    let mut tried: Vec<PathBuf> = Vec::new();
    let mut add = |path: PathBuf| {
        if !tried.contains(&path) {
            tried.push(path);
        }
    };
    for path in stack {
        if let Some(parent) = path
            .parent()
            .filter(|p| role.is_some() && p.ends_with("tasks"))
        {
            if let Some(root) = parent.parent() {
                add(root.join(kind).join(name));
            }
            add(parent.join(name));
        }
        if !has_kind {
            add(path.join(kind).join(name));
        }
        add(path.join(name));
    }
    if !has_kind {
        add(playbook_folder.join(kind).join(name));
    }
    add(playbook_folder.join(name));
    match tried.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(tried),
    }
}

/// `~` and `~/x` at the start of a path.
pub(super) fn expand_home(name: &str) -> PathBuf {
    match name.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => std::env::home_dir().map_or_else(
            || PathBuf::from(name),
            |home| home.join(rest.trim_start_matches('/')),
        ),
        _ => PathBuf::from(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_comes_before_the_playbook_and_the_kind_before_none() {
        let root = tempfile::tempdir().unwrap();
        let at = |p: &str| root.path().join(p);
        let write = |p: &str| {
            std::fs::create_dir_all(at(p).parent().unwrap()).unwrap();
            std::fs::write(at(p), "").unwrap();
        };
        let role = RoleScope {
            name: "r".into(),
            path: at("roles/r").display().to_string(),
            defaults: std::sync::Arc::default(),
            vars: std::sync::Arc::default(),
            params: std::sync::Arc::default(),
            allows_duplicates: false,
            parents: vec![],
            parent_paths: vec![],
            includers: vec![],
        };
        let find = || {
            find_file("files", "a", Some(&role), &at("roles/r/tasks"), root.path())
                .map(|p| p.strip_prefix(root.path()).unwrap().display().to_string())
        };
        assert_eq!(find().unwrap_err().len(), 6);
        for path in [
            "a",
            "files/a",
            "roles/r/tasks/a",
            "roles/r/tasks/files/a",
            "roles/r/a",
            "roles/r/files/a",
        ] {
            write(path);
            assert_eq!(find().unwrap(), path);
        }
    }
}
