//! All modules by name.

use std::marker::PhantomData;

use super::contract::{AnyModule, Erased};

macro_rules! modules {
    ($($file:ident :: $module:ident),* $(,)?) => {
        static REGISTRY: &[&dyn AnyModule] =
            &[$(&Erased::<super::$file::$module>(PhantomData)),*];
    };
}

#[rustfmt::skip]
modules![
    apt::Apt,
    assemble::Assemble,
    blockinfile::Blockinfile,
    command::Command,
    command::Shell,
    copy::Copy,
    cron::Cron,
    dnf::Dnf,
    expect::Expect,
    fetch::Fetch,
    file::File,
    find::Find,
    get_url::GetUrl,
    group::Group,
    hostname::Hostname,
    ini_file::IniFile,
    library::LibraryModule,
    lineinfile::Lineinfile,
    mount::Mount,
    package::Package,
    ping::Ping,
    pip::Pip,
    postgresql::PostgresqlPing,
    postgresql::PostgresqlQuery,
    query::Getent,
    query::PackageFacts,
    query::ServiceFacts,
    raw::Raw,
    reboot::Reboot,
    reboot::WaitForConnection,
    replace::Replace,
    script::RunScript,
    service::Service,
    setup::Setup,
    slurp::Slurp,
    ssh_keys::AuthorizedKey,
    ssh_keys::KnownHosts,
    stat::Stat,
    synchronize::Synchronize,
    sysctl::Sysctl,
    tempfile::Tempfile,
    template::Template,
    unarchive::Unarchive,
    uri::Uri,
    user::User,
    wait_for::WaitFor,
];

/// Other names under which a module is known.
const ALIASES: &[(&str, &str)] = &[
    ("yum", "dnf"),
    ("systemd", "service"),
    ("systemd_service", "service"),
    ("gather_facts", "setup"),
    ("ansible.posix.authorized_key", "authorized_key"),
    ("community.general.ini_file", "ini_file"),
    ("community.postgresql.postgresql_ping", "postgresql_ping"),
    ("community.postgresql.postgresql_query", "postgresql_query"),
    ("ansible.posix.mount", "mount"),
    ("ansible.posix.synchronize", "synchronize"),
    ("ansible.posix.sysctl", "sysctl"),
];

/// The module that a playbook calls `name` (short, or with `ansible.builtin.`,
/// `ansible.legacy.`, or as a collection's).
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
            ("ansible.posix.authorized_key", "authorized_key"),
            ("ansible.posix.mount", "mount"),
            ("ansible.posix.sysctl", "sysctl"),
        ] {
            assert_eq!(find(name).map(super::AnyModule::name), Some(short));
        }
        assert!(find("ansible.posix.copy").is_none());
    }
}
