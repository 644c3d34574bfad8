//! What holds where a playbook says nothing: the configuration, and options such as `-u` and `-b`.

use std::path::{Path, PathBuf};

use super::args::{Manners, RunArgs};
use super::config::Config;
use crate::exec::Defaults;
use crate::inventory::Unparsed;
use crate::plan::collection_playbooks;
use crate::value::{Map, Text, Value};

/// What the configuration says of all plays.
pub(super) fn of_plays(config: &Config) -> Defaults {
    let is = |name: &str, value: &str| config.text(name) == Some(value);
    Defaults {
        strategy: config.text("strategy").map(str::to_owned),
        gathers_explicitly: is("gathering", "explicit"),
        gathers_smartly: is("gathering", "smart"),
        forgives_missing_handlers: !config.flag("error_on_missing_handler", true),
        any_errors_fatal: config.flag("any_errors_fatal", false),
        merges_hashes: is("hash_behaviour", "merge"),
        hides_facts: !config.flag("inject_facts", true),
        refuses_unmatched_patterns: is("host_pattern_mismatch", "error"),
        allows_broken_conditionals: config.flag("broken_conditionals", false),
    }
}

/// What the configuration says of sources of the inventory that cannot be parsed.
pub(super) fn unparsed(config: &Config) -> Unparsed {
    Unparsed {
        any_is_failed: config.flag("inventory_any_unparsed_is_failed", false),
        all_is_failed: config.flag("inventory_unparsed_failed", false),
    }
}

/// The settings that templates may ask for, under the names that Ansible gives them.
pub(super) fn constants(config: &Config) -> Map {
    let flags = [
        ("ANY_ERRORS_FATAL", "any_errors_fatal", false),
        ("DEFAULT_BECOME", "become", false),
        ("DEFAULT_FORCE_HANDLERS", "force_handlers", false),
        ("DEFAULT_PRIVATE_ROLE_VARS", "private_role_vars", false),
        ("ERROR_ON_MISSING_HANDLER", "error_on_missing_handler", true),
        ("HOST_KEY_CHECKING", "host_key_checking", true),
        ("INJECT_FACTS_AS_VARS", "inject_facts", true),
    ];
    let texts = [
        ("DEFAULT_BECOME_METHOD", "become_method", "sudo"),
        ("DEFAULT_BECOME_USER", "become_user", "root"),
        ("DEFAULT_GATHERING", "gathering", "implicit"),
        ("DEFAULT_HASH_BEHAVIOUR", "hash_behaviour", "replace"),
        ("DEFAULT_STRATEGY", "strategy", "linear"),
    ];
    let forks = config.number("forks").unwrap_or(FORKS);
    let paths = config.paths("roles_path").into_iter();
    let paths: Vec<Value> = paths
        .map(|path| path.display().to_string().into())
        .collect();
    let mut all = Map::from([
        (
            "DEFAULT_FORKS".to_owned(),
            Value::Int(i64::try_from(forks).unwrap_or(i64::MAX)),
        ),
        ("DEFAULT_ROLES_PATH".to_owned(), paths.into()),
    ]);
    all.extend(
        flags.map(|(name, key, default)| (name.to_owned(), config.flag(key, default).into())),
    );
    all.extend(
        texts.map(|(name, key, default)| {
            (name.to_owned(), config.text(key).unwrap_or(default).into())
        }),
    );
    let user = config.text("remote_user").map_or(Value::Null, Value::from);
    all.insert("DEFAULT_REMOTE_USER".to_owned(), user);
    all
}

/// Hosts in parallel, as Ansible has it.
const FORKS: usize = 5;

/// `-u`, `-b` and the like as variables below all others.
pub(super) fn of_connections(args: &RunArgs) -> Map {
    let mut vars = Map::new();
    let managed = args.config.text("managed").unwrap_or("Ansible managed");
    vars.insert(
        "ansible_managed".to_owned(),
        Value::Str(Text::from_user(managed)),
    );
    let python = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("python3"))
            .find(|python| python.is_file())
    });
    let python = python.unwrap_or_else(|| PathBuf::from("/usr/bin/python3"));
    vars.insert(
        "ansible_playbook_python".to_owned(),
        python.display().to_string().into(),
    );
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            vars.insert(name.to_owned(), Value::from(value));
        }
    };
    set("ansible_user", args.user.clone());
    set("ansible_connection", args.connection.clone());
    set("ansible_become_user", args.become_user.clone());
    set("ansible_become_method", args.become_method.clone());
    set(
        "ansible_ssh_private_key_file",
        args.private_key.as_ref().map(|p| p.display().to_string()),
    );
    set("ansible_ssh_common_args", args.ssh_common_args.clone());
    set("ansible_ssh_extra_args", args.ssh_extra_args.clone());
    set("ansible_timeout", args.timeout.map(|t| t.to_string()));
    if args.becomes {
        vars.insert("ansible_become".into(), Value::Bool(true));
    }
    vars
}

/// Takes the playbook of a collection, by its full name, for the file that it is.
pub(super) fn find_playbook(args: &mut RunArgs) {
    if args.playbook.is_file() {
        return;
    }
    let name = args.playbook.to_string_lossy().into_owned();
    let roots = collections_path(args);
    let mut tried = collection_playbooks(&name, roots.iter()).into_iter();
    if let Some(path) = tried.find(|path| path.is_file()) {
        args.playbook = path;
    }
}

/// Where collections are searched after `collections/` beside the playbook.
pub(super) fn collections_path(args: &RunArgs) -> Vec<PathBuf> {
    let paths = args.config.paths("collections_path");
    if paths.is_empty() {
        let home = std::env::home_dir().map(|home| home.join(".ansible/collections"));
        return home
            .into_iter()
            .chain([PathBuf::from("/usr/share/ansible/collections")])
            .collect();
    }
    paths
}

/// Where roles are searched after `roles/` beside the playbook: `--roles-path`, `../roles` (a
/// project with `playbooks/` and `roles/` side by side), `$ANSIBLE_ROLES_PATH`.
pub(super) fn roles_path(args: &RunArgs) -> Vec<PathBuf> {
    let folder = args.playbook.parent().filter(|f| !f.as_os_str().is_empty());
    let beside = folder.unwrap_or(Path::new(".")).join("../roles");
    let mut paths = args.roles_path.clone();
    if args.manners == Manners::Own {
        paths.push(beside);
    }
    paths.extend(args.config.paths("roles_path"));
    if args.manners == Manners::Ansible {
        paths.push(folder.unwrap_or(Path::new(".")).to_owned());
    }
    paths
}

/// Where modules of the user are searched besides `library/`: `$ANSIBLE_LIBRARY`, `library` of
/// `ansible.cfg`, or Ansible's default.
pub(super) fn library_path(args: &RunArgs) -> Vec<PathBuf> {
    let paths = args.config.paths("library");
    if !paths.is_empty() {
        return paths;
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = home.map(|home| home.join(".ansible/plugins/modules"));
    let shared = PathBuf::from("/usr/share/ansible/plugins/modules");
    own.into_iter().chain([shared]).collect()
}
