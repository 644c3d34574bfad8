//! What is addressed as `namespace.collection.name`: roles and playbooks of collections.
//!
//! Knows folders and names, reads no file. Source: ansible-core 2.19,
//! `utils/collection_loader/_collection_finder.py`.

use std::path::{Path, PathBuf};

/// The collection and the rest of a full name; the rest names folders but for its last part.
fn parts(name: &str) -> Option<(PathBuf, PathBuf)> {
    let mut parts = name.split('.');
    let (namespace, collection) = (parts.next()?, parts.next()?);
    let rest: PathBuf = parts.collect();
    let is_word = |part: &str| {
        let mut chars = part.chars();
        let is_first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
        is_first && chars.all(|c| c.is_alphanumeric() || c == '_')
    };
    let is_name = name.split('.').all(is_word) && rest.components().next().is_some();
    let folder = Path::new("ansible_collections")
        .join(namespace)
        .join(collection);
    is_name.then_some((folder, rest))
}

/// The folder of a role that has this full name.
pub(super) fn role<'r>(name: &str, roots: impl Iterator<Item = &'r PathBuf>) -> Option<PathBuf> {
    let (folder, rest) = parts(name)?;
    let mut tried = roots.map(|root| root.join(&folder).join("roles").join(&rest));
    tried.find(|path| path.is_dir())
}

/// The places of a playbook that has this full name, in the order in which they count.
pub fn collection_playbooks<'r>(
    name: &str,
    roots: impl Iterator<Item = &'r PathBuf>,
) -> Vec<PathBuf> {
    // An ending of the name itself is no part of it.
    let name = name
        .strip_suffix(".yml")
        .or_else(|| name.strip_suffix(".yaml"))
        .unwrap_or(name);
    let Some((folder, rest)) = parts(name) else {
        return Vec::new();
    };
    let of = |root: &PathBuf| {
        let path = root.join(&folder).join("playbooks").join(&rest);
        ["yml", "yaml"].map(|ext| PathBuf::from(format!("{}.{ext}", path.display())))
    };
    roots.flat_map(of).collect()
}

/// The collection that a file is in.
pub(super) fn collection_of(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let mut parts = path.iter().map(|part| part.to_string_lossy());
    parts.find(|part| part == "ansible_collections")?;
    let (namespace, collection) = (parts.next()?, parts.next()?);
    // What follows is in the collection, not the collection.
    parts.next()?;
    Some(format!("{namespace}.{collection}"))
}

/// The collection of a role that is known by its full name.
pub(super) fn collection_in(name: &str) -> Option<String> {
    let mut parts = name.split('.');
    let (namespace, collection) = (parts.next()?, parts.next()?);
    parts.next()?;
    Some(format!("{namespace}.{collection}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_are_folders() {
        let root = PathBuf::from("/c");
        let playbooks = |name: &str| collection_playbooks(name, std::iter::once(&root));
        let at = "/c/ansible_collections/acme/tools/playbooks/";
        assert_eq!(
            playbooks("acme.tools.deep.site"),
            [format!("{at}deep/site.yml"), format!("{at}deep/site.yaml")].map(PathBuf::from)
        );
        assert_eq!(playbooks("acme.tools.site.yml").len(), 2);
        for no_name in [
            "site.yml",
            "acme.tools",
            "../acme.tools.x",
            "acme.to ols.x",
            "a..b",
        ] {
            assert!(playbooks(no_name).is_empty(), "{no_name}");
        }
        let path = Path::new("/c/ansible_collections/acme/tools/playbooks/site.yml");
        assert_eq!(collection_of(path).as_deref(), Some("acme.tools"));
        assert_eq!(collection_of(Path::new("/c/site.yml")), None);
    }
}
