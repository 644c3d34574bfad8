//! `ansible.cfg` and the `ANSIBLE_*` variables that matter.
//!
//! Source: ansible-core 2.19, `config/base.yml` and `config/manager.py`. Invariant: what is given
//! and not read is said, once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One setting: where it stands in the file, and in which variables of the environment.
struct Known {
    name: &'static str,
    section: &'static str,
    key: &'static str,
    env: &'static str,
}

const fn known(
    name: &'static str,
    section: &'static str,
    key: &'static str,
    env: &'static str,
) -> Known {
    Known {
        name,
        section,
        key,
        env,
    }
}

/// The settings that are read.
const KNOWN: &[Known] = &[
    known(
        "any_errors_fatal",
        "defaults",
        "any_errors_fatal",
        "ANSIBLE_ANY_ERRORS_FATAL",
    ),
    known("ask_pass", "defaults", "ask_pass", "ANSIBLE_ASK_PASS"),
    known(
        "ask_vault_pass",
        "defaults",
        "ask_vault_pass",
        "ANSIBLE_ASK_VAULT_PASS",
    ),
    known("become", "privilege_escalation", "become", "ANSIBLE_BECOME"),
    known(
        "become_ask_pass",
        "privilege_escalation",
        "become_ask_pass",
        "ANSIBLE_BECOME_ASK_PASS",
    ),
    known(
        "become_method",
        "privilege_escalation",
        "become_method",
        "ANSIBLE_BECOME_METHOD",
    ),
    known(
        "become_user",
        "privilege_escalation",
        "become_user",
        "ANSIBLE_BECOME_USER",
    ),
    known(
        "broken_conditionals",
        "defaults",
        "allow_broken_conditionals",
        "ANSIBLE_ALLOW_BROKEN_CONDITIONALS",
    ),
    known(
        "cache_connection",
        "defaults",
        "fact_caching_connection",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION",
    ),
    known(
        "cache_plugin",
        "defaults",
        "fact_caching",
        "ANSIBLE_CACHE_PLUGIN",
    ),
    known(
        "cache_prefix",
        "defaults",
        "fact_caching_prefix",
        "ANSIBLE_CACHE_PLUGIN_PREFIX",
    ),
    known(
        "cache_timeout",
        "defaults",
        "fact_caching_timeout",
        "ANSIBLE_CACHE_PLUGIN_TIMEOUT",
    ),
    known(
        "check_mode_markers",
        "defaults",
        "check_mode_markers",
        "ANSIBLE_CHECK_MODE_MARKERS",
    ),
    known(
        "collections_path",
        "defaults",
        "collections_path",
        "ANSIBLE_COLLECTIONS_PATH",
    ),
    known("debug", "defaults", "debug", "ANSIBLE_DEBUG"),
    known("diff_always", "diff", "always", "ANSIBLE_DIFF_ALWAYS"),
    known(
        "display_ok_hosts",
        "defaults",
        "display_ok_hosts",
        "ANSIBLE_DISPLAY_OK_HOSTS",
    ),
    known(
        "display_skipped_hosts",
        "defaults",
        "display_skipped_hosts",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS",
    ),
    known(
        "error_on_missing_handler",
        "defaults",
        "error_on_missing_handler",
        "ANSIBLE_ERROR_ON_MISSING_HANDLER",
    ),
    known(
        "force_handlers",
        "defaults",
        "force_handlers",
        "ANSIBLE_FORCE_HANDLERS",
    ),
    known("forks", "defaults", "forks", "ANSIBLE_FORKS"),
    known("gathering", "defaults", "gathering", "ANSIBLE_GATHERING"),
    known(
        "hash_behaviour",
        "defaults",
        "hash_behaviour",
        "ANSIBLE_HASH_BEHAVIOUR",
    ),
    known(
        "host_key_checking",
        "defaults",
        "host_key_checking",
        "ANSIBLE_HOST_KEY_CHECKING",
    ),
    known(
        "host_pattern_mismatch",
        "inventory",
        "host_pattern_mismatch",
        "ANSIBLE_HOST_PATTERN_MISMATCH",
    ),
    known(
        "inject_facts",
        "defaults",
        "inject_facts_as_vars",
        "ANSIBLE_INJECT_FACT_VARS",
    ),
    known("inventory", "defaults", "inventory", "ANSIBLE_INVENTORY"),
    known(
        "inventory_any_unparsed_is_failed",
        "inventory",
        "any_unparsed_is_fatal",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED",
    ),
    known(
        "inventory_unparsed_failed",
        "inventory",
        "unparsed_is_failed",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED",
    ),
    known("library", "defaults", "library", "ANSIBLE_LIBRARY"),
    known("managed", "defaults", "ansible_managed", "ANSIBLE_MANAGED"),
    known("nocolor", "defaults", "nocolor", "ANSIBLE_NOCOLOR"),
    known(
        "force_color",
        "defaults",
        "force_color",
        "ANSIBLE_FORCE_COLOR",
    ),
    known(
        "pipelining",
        "connection",
        "pipelining",
        "ANSIBLE_PIPELINING",
    ),
    known(
        "playbook_dir",
        "defaults",
        "playbook_dir",
        "ANSIBLE_PLAYBOOK_DIR",
    ),
    known(
        "playbook_vars_root",
        "defaults",
        "playbook_vars_root",
        "ANSIBLE_PLAYBOOK_VARS_ROOT",
    ),
    known(
        "private_key_file",
        "defaults",
        "private_key_file",
        "ANSIBLE_PRIVATE_KEY_FILE",
    ),
    known(
        "private_role_vars",
        "defaults",
        "private_role_vars",
        "ANSIBLE_PRIVATE_ROLE_VARS",
    ),
    known(
        "remote_port",
        "defaults",
        "remote_port",
        "ANSIBLE_REMOTE_PORT",
    ),
    known(
        "remote_user",
        "defaults",
        "remote_user",
        "ANSIBLE_REMOTE_USER",
    ),
    known(
        "result_format",
        "defaults",
        "callback_result_format",
        "ANSIBLE_CALLBACK_RESULT_FORMAT",
    ),
    known("roles_path", "defaults", "roles_path", "ANSIBLE_ROLES_PATH"),
    known(
        "show_custom_stats",
        "defaults",
        "show_custom_stats",
        "ANSIBLE_SHOW_CUSTOM_STATS",
    ),
    known("skip_tags", "tags", "skip", "ANSIBLE_SKIP_TAGS"),
    known("ssh_args", "ssh_connection", "ssh_args", "ANSIBLE_SSH_ARGS"),
    known(
        "ssh_common_args",
        "ssh_connection",
        "ssh_common_args",
        "ANSIBLE_SSH_COMMON_ARGS",
    ),
    known(
        "ssh_extra_args",
        "ssh_connection",
        "ssh_extra_args",
        "ANSIBLE_SSH_EXTRA_ARGS",
    ),
    known("strategy", "defaults", "strategy", "ANSIBLE_STRATEGY"),
    known("tags", "tags", "run", "ANSIBLE_RUN_TAGS"),
    known(
        "task_timeout",
        "defaults",
        "task_timeout",
        "ANSIBLE_TASK_TIMEOUT",
    ),
    known("timeout", "defaults", "timeout", "ANSIBLE_TIMEOUT"),
    known(
        "transform_invalid_group_chars",
        "defaults",
        "force_valid_group_names",
        "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS",
    ),
    known("transport", "defaults", "transport", "ANSIBLE_TRANSPORT"),
    known(
        "vault_encrypt_identity",
        "defaults",
        "vault_encrypt_identity",
        "ANSIBLE_VAULT_ENCRYPT_IDENTITY",
    ),
    known(
        "vault_id_match",
        "defaults",
        "vault_id_match",
        "ANSIBLE_VAULT_ID_MATCH",
    ),
    known(
        "vault_identity",
        "defaults",
        "vault_identity",
        "ANSIBLE_VAULT_IDENTITY",
    ),
    known(
        "vault_identity_list",
        "defaults",
        "vault_identity_list",
        "ANSIBLE_VAULT_IDENTITY_LIST",
    ),
    known(
        "vault_password_file",
        "defaults",
        "vault_password_file",
        "ANSIBLE_VAULT_PASSWORD_FILE",
    ),
    known("verbosity", "defaults", "verbosity", "ANSIBLE_VERBOSITY"),
];

/// Settings that have no meaning here, because what they tune is not there or does not differ.
const WITHOUT_EFFECT: &[&str] = &[
    "ANSIBLE_CONFIG",
    "ANSIBLE_DEPRECATION_WARNINGS",
    "ANSIBLE_DEVEL_WARNING",
    "ANSIBLE_LOCALHOST_WARNING",
    "ANSIBLE_INVENTORY_UNPARSED_WARNING",
    "ANSIBLE_RETRY_FILES_ENABLED",
    "ANSIBLE_PYTHON_INTERPRETER",
    "ANSIBLE_JINJA2_NATIVE",
    "ANSIBLE_DISPLAY_TRACEBACK",
    "ANSIBLE_HOME",
    "ANSIBLE_LOCAL_TEMP",
    "ANSIBLE_REMOTE_TEMP",
    "ANSIBLE_KEEP_REMOTE_FILES",
    "ANSIBLE_ASYNC_DIR",
    "ANSIBLE_TEST_",
    "retry_files_enabled",
    "retry_files_save_path",
    "deprecation_warnings",
    "interpreter_python",
    "control_path",
    "control_path_dir",
    "remote_tmp",
    "local_tmp",
    "stdout_callback",
    "callbacks_enabled",
    "callback_whitelist",
    "poll_interval",
    "display_args_to_stdout",
    "jinja2_extensions",
    "localhost_warning",
    "inventory_unparsed_warning",
    "sudo_flags",
    "internal_poll_interval",
    "scp_if_ssh",
    "transfer_method",
    "retries",
];

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    values: BTreeMap<&'static str, String>,
    /// The folder of the file, where relative paths in it begin.
    folders: BTreeMap<&'static str, PathBuf>,
    /// The file, if there was one.
    pub(crate) file: Option<PathBuf>,
    /// What is worth saying.
    pub(crate) notices: Vec<String>,
}

impl Config {
    /// Reads the file that counts, and the environment, which wins.
    pub(crate) fn load() -> Self {
        let env: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut config = Self::default();
        if let Some(path) = config.find(&env)
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            config.read(&path, &text);
            config.file = Some(path);
        }
        for (name, value) in env.iter().filter(|(name, _)| name.starts_with("ANSIBLE_")) {
            if let Some(known) = KNOWN.iter().find(|known| known.env == name) {
                config.values.insert(known.name, value.clone());
                config.folders.remove(known.name);
            } else if !WITHOUT_EFFECT.iter().any(|known| name.starts_with(known)) {
                config.notices.push(format!("`{name}` is not read"));
            }
        }
        config
    }

    /// `$ANSIBLE_CONFIG`, `./ansible.cfg`, `~/.ansible.cfg`, `/etc/ansible/ansible.cfg`.
    fn find(&mut self, env: &[(String, String)]) -> Option<PathBuf> {
        let named = env.iter().find(|(name, _)| name == "ANSIBLE_CONFIG");
        if let Some((_, path)) = named.filter(|(_, path)| !path.is_empty()) {
            let path = PathBuf::from(path);
            let path = if path.is_dir() {
                path.join("ansible.cfg")
            } else {
                path
            };
            if path.is_file() {
                return Some(path);
            }
        }
        let here = PathBuf::from("ansible.cfg");
        if here.is_file() {
            if is_writable_by_all(Path::new(".")) {
                self.notices
                    .push("`ansible.cfg` is not read: anybody may write to this folder".to_owned());
            } else {
                return Some(here);
            }
        }
        std::env::home_dir()
            .map(|home| home.join(".ansible.cfg"))
            .into_iter()
            .chain([PathBuf::from("/etc/ansible/ansible.cfg")])
            .find(|path| path.is_file())
    }

    fn read(&mut self, path: &Path, text: &str) {
        let folder = std::path::absolute(path)
            .ok()
            .and_then(|path| path.parent().map(Path::to_owned))
            .unwrap_or_default();
        let mut section = String::new();
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                name.clone_into(&mut section);
                continue;
            }
            let Some((key, value)) = line.split_once(['=', ':']) else {
                continue;
            };
            let (key, value) = (key.trim(), without_comment(value));
            let found = KNOWN.iter().find(|known| {
                known.key == key
                    && (known.section == section
                        // These stand in either place (`config/base.yml`).
                        || matches!(known.name, "pipelining" | "ssh_args" | "force_handlers"))
            });
            match found {
                Some(known) => {
                    self.values.insert(known.name, value);
                    self.folders.insert(known.name, folder.clone());
                }
                None if !WITHOUT_EFFECT.contains(&key) => self.notices.push(format!(
                    "`{key}` of section `{section}` in {} is not read",
                    path.display()
                )),
                None => {}
            }
        }
    }

    /// A setting as it was given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(KNOWN.iter().any(|known| known.name == name));
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A setting as a boolean.
    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        match self.text(name).map(str::to_lowercase).as_deref() {
            Some("yes" | "true" | "on" | "1" | "y" | "t") => true,
            Some("no" | "false" | "off" | "0" | "n" | "f" | "never") => false,
            Some(_) | None => default,
        }
    }

    /// A setting as a number.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.trim().parse().ok()
    }

    /// A list of paths divided by colons; relative ones begin at the file that names them.
    pub(crate) fn paths(&self, name: &str) -> Vec<PathBuf> {
        self.text(name)
            .into_iter()
            .flat_map(|text| text.split(':'))
            .filter(|part| !part.is_empty())
            .map(|part| self.path_of(name, part))
            .collect()
    }

    /// A list divided by commas.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.text(name)
            .into_iter()
            .flat_map(|text| text.split(','))
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// One path.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(|part| self.path_of(name, part))
    }

    /// A source of the inventory: a list of hosts as it is, a path from the file that names it.
    pub(crate) fn source(&self, part: &str) -> String {
        self.path_of("inventory", part).display().to_string()
    }

    fn path_of(&self, name: &str, part: &str) -> PathBuf {
        let part = part.trim();
        let part = match (part.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(part),
        };
        self.folders
            .get(name)
            .map_or(part.clone(), |folder| folder.join(part))
    }
}

/// A value without a comment behind it (` ;` begins one, as in Python's parser).
fn without_comment(value: &str) -> String {
    let value = value.trim();
    let end = value.find(" ;").unwrap_or(value.len());
    value[..end].trim().trim_matches(['"', '\'']).to_owned()
}

fn is_writable_by_all(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o002 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_what_is_not_is_said() {
        let mut config = Config::default();
        let text = "[defaults]\nroles_path = roles:/etc/roles\nforks=7 ; many\nstrange = 1\n\
                    [ssh_connection]\npipelining = True\n";
        config.read(Path::new("/project/ansible.cfg"), text);
        assert_eq!(config.number("forks"), Some(7));
        assert!(config.flag("pipelining", false));
        assert_eq!(
            config.paths("roles_path"),
            [PathBuf::from("/project/roles"), PathBuf::from("/etc/roles")]
        );
        assert_eq!(
            config.notices,
            ["`strange` of section `defaults` in /project/ansible.cfg is not read"]
        );
    }
}
