//! What holds where a playbook says nothing: the configuration, and options such as `-u` and `-b`.

use std::path::PathBuf;

use super::args::RunArgs;
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
