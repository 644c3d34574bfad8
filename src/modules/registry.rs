//! All modules by name.

use std::marker::PhantomData;

use super::contract::{AnyModule, Erased};

macro_rules! modules {
    ($($file:ident :: $module:ident),* $(,)?) => {
        static REGISTRY: &[&dyn AnyModule] =
            &[$(&Erased::<super::$file::$module>(PhantomData)),*];
    };
}

modules![
    ping::Ping,
    blockinfile::Blockinfile,
    copy::Copy,
    fetch::Fetch,
    file::File,
    find::Find,
    lineinfile::Lineinfile,
    mount::Mount,
    replace::Replace,
    slurp::Slurp,
    stat::Stat,
    tempfile::Tempfile,
    template::Template,
    unarchive::Unarchive,
];

/// Other names under which a module is known.
const ALIASES: &[(&str, &str)] = &[
    ("systemd", "service"),
    ("systemd_service", "service"),
    ("ansible.posix.mount", "mount"),
];

/// The module that a playbook calls `name` (short, or with `ansible.builtin.` /
/// `ansible.legacy.`).
pub fn find(name: &str) -> Option<&'static dyn AnyModule> {
    let short = name
        .strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .unwrap_or(name);
    let short = ALIASES
        .iter()
        .find(|(alias, _)| *alias == short)
        .map_or(short, |(_, name)| name);
    REGISTRY.iter().copied().find(|m| m.name() == short)
}

/// The names of all modules, aliases included.
pub fn names() -> impl Iterator<Item = &'static str> {
    REGISTRY
        .iter()
        .map(|m| m.name())
        .chain(ALIASES.iter().map(|(alias, _)| *alias))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_module_is_found_by_its_long_names() {
        for (name, short) in [
            ("copy", "copy"),
            ("ansible.builtin.copy", "copy"),
            ("ansible.legacy.file", "file"),
            ("ansible.posix.mount", "mount"),
        ] {
            assert_eq!(find(name).map(super::AnyModule::name), Some(short));
        }
        assert!(find("ansible.posix.copy").is_none());
    }
}
