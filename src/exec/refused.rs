//! Arguments that cannot be had or that a module does not take, in Ansible's words.

use super::end::ItemEnd;
use crate::modules::AnyModule;
use crate::value::Value;

/// How Ansible begins when an argument cannot be rendered.
pub(super) fn unresolved(module: &str, key: &str) -> String {
    format!(
        "Task failed: Finalization of task args for 'ansible.builtin.{module}' failed: Error \
         while resolving value for '{key}'"
    )
}

/// Arguments that a module does not take, in Ansible's words.
pub(super) fn refused_arguments(module: &dyn AnyModule, args: &Value, why: &str) -> ItemEnd {
    let known = module.arg_names();
    let unknown: Vec<&str> = args
        .as_map()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .filter(|key| !known.contains(key) && *key != "_raw_params")
        .collect();
    let name = module.name();
    let missing = why
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    ItemEnd::failed(match missing {
        _ if !unknown.is_empty() => {
            let mut known: Vec<&str> = known
                .iter()
                .copied()
                .filter(|k| !k.starts_with('_'))
                .collect();
            known.sort_unstable();
            if name == "wait_for_connection" {
                return ItemEnd::failed(format!(
                    "Invalid options for {name}: {}",
                    unknown.join(", ")
                ));
            }
            format!(
                "Unsupported parameters for ({name}) module: {}. Supported parameters include: {}.",
                unknown.join(", "),
                known.join(", ")
            )
        }
        Some(missing) => format!("missing required arguments: {missing}"),
        None if why.starts_with("Unsupported parameters") => why.to_owned(),
        None => format!("{name}: {why}"),
    })
}
