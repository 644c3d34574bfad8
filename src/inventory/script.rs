//! Inventory scripts: programs that say in JSON what hosts there are.
//!
//! Source: ansible-core 2.19, `plugins/inventory/script.py`. A script is the user's own code; it is
//! run only where nobody else could have written it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::data::Inventory;
use crate::diag::Diagnostic;
use crate::value::{Map, Value};

/// Whether a file is a program that may be run.
pub(super) fn is_script(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Runs a script with `--list`, and with `--host` for each host that `_meta` does not tell of.
pub(super) fn read(inventory: &mut Inventory, path: &Path) -> Vec<Diagnostic> {
    match load(inventory, path) {
        Ok(()) => Vec::new(),
        Err(why) => vec![Diagnostic::error(
            "SB0207",
            format!("the inventory script `{}`: {why}", path.display()),
        )],
    }
}

fn load(inventory: &mut Inventory, path: &Path) -> Result<(), String> {
    if let Some(why) = why_not(path) {
        return Err(format!("it is not run: {why}"));
    }
    let source: Arc<Path> = path.into();
    let Value::Map(groups) = ask(path, &["--list"])? else {
        return Err("what it said with `--list` is no JSON object".to_owned());
    };
    let hostvars = groups
        .get("_meta")
        .map(|meta| meta.get("hostvars").cloned());
    let hostvars = match hostvars {
        Some(Some(vars @ Value::Map(_))) => Some(vars),
        Some(Some(_)) => return Err("`_meta.hostvars` is no JSON object".to_owned()),
        Some(None) => Some(Value::from(Map::new())),
        None => None,
    };
    let mut hosts: Vec<String> = Vec::new();
    for (name, group) in groups.iter().filter(|(name, _)| *name != "_meta") {
        read_group(inventory, name, group, &source, &mut hosts)?;
    }
    for host in hosts {
        let vars = match &hostvars {
            Some(all) => all.get(&host).cloned().unwrap_or_default(),
            None => ask(path, &["--host", &host])?,
        };
        let index = inventory.host_index(&host, None, Some(&source));
        match vars {
            Value::Map(vars) => inventory.set_host_vars(index, &vars),
            Value::Null => {}
            _ => return Err(format!("the variables of `{host}` are no JSON object")),
        }
    }
    Ok(())
}

fn read_group(
    inventory: &mut Inventory,
    name: &str,
    group: &Value,
    source: &Arc<Path>,
    hosts: &mut Vec<String>,
) -> Result<(), String> {
    inventory.group_index(name);
    let empty = Value::from(Map::new());
    // A list is one of hosts; a mapping without any of the three keys is one host of that name.
    let parts: [&Value; 3] = match group {
        Value::List(_) => [group, &empty, &empty],
        Value::Map(_) => {
            let part = |key: &str| group.get(key).unwrap_or(&empty);
            if ["hosts", "vars", "children"]
                .iter()
                .all(|key| group.get(key).is_none())
            {
                let index = inventory.host_index(name, None, Some(source));
                if let Value::Map(vars) = group {
                    inventory.set_host_vars(index, vars);
                }
                inventory.join(name, index);
                hosts.push(name.to_owned());
                return Ok(());
            }
            [part("hosts"), part("vars"), part("children")]
        }
        _ => {
            return Err(format!(
                "the group `{name}` is neither a list nor an object"
            ));
        }
    };
    let [of_hosts, vars, children] = parts;
    for host in names(of_hosts).ok_or_else(|| format!("the hosts of `{name}` are no list"))? {
        let index = inventory.host_index(&host, None, Some(source));
        inventory.join(name, index);
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let Value::Map(vars) = vars else {
        return Err(format!("the variables of `{name}` are no JSON object"));
    };
    for (key, value) in vars.iter() {
        inventory.set_group_var(name, key, value.clone());
    }
    for child in names(children).ok_or_else(|| format!("the children of `{name}` are no list"))? {
        inventory.group_index(&child);
        inventory.add_child(name, &child)?;
    }
    Ok(())
}

fn names(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::List(items) => items
            .iter()
            .map(|v| v.as_str().map(str::to_owned))
            .collect(),
        Value::Map(map) => Some(map.keys().cloned().collect()),
        _ => None,
    }
}

/// What it says to these words. Its values are the user's own, as those of a file.
fn ask(path: &Path, words: &[&str]) -> Result<Value, String> {
    let program = std::path::absolute(path).map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(words)
        .output()
        .map_err(|error| format!("it cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        let rc = output.status.code().unwrap_or(-1);
        return Err(format!("it ended with {rc}: {said}"));
    }
    let text = std::str::from_utf8(&output.stdout).map_err(|_| "what it said is not UTF-8")?;
    let text = if text.trim().is_empty() { "{}" } else { text };
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("what it said is no JSON: {error}"))?;
    Ok(of_user(Value::from_json(json)))
}

fn of_user(value: Value) -> Value {
    match value {
        Value::Str(text) => Value::Str(crate::value::Text::from_user(text.as_str())),
        Value::List(items) => Value::from(items.iter().cloned().map(of_user).collect::<Vec<_>>()),
        Value::Map(map) => {
            let entries = map.iter().map(|(k, v)| (k.clone(), of_user(v.clone())));
            Value::from(entries.collect::<Map>())
        }
        other => other,
    }
}

/// Why a program may not be run here: others than its owner, the operator and root could change it.
fn why_not(path: &Path) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = std::fs::metadata(path).ok()?;
    let own = rustix::process::geteuid().as_raw();
    if meta.mode() & 0o002 != 0 {
        return Some("anybody may write to it");
    }
    (meta.uid() != own && meta.uid() != 0).then_some("it belongs to somebody else")
}
