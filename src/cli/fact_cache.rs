//! `fact_caching: jsonfile`: where facts are kept between runs, and what is there.
//!
//! Invariant: only files that nobody but the operator or root can have written are read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::config::Config;
use super::start::tell;
use crate::exec::FactCache;
use crate::inventory::Inventory;
use crate::value::{Map, Value};

/// After so many seconds facts are gathered anew, where `fact_caching_timeout` says nothing.
const TIMEOUT_S: usize = 86_400;

/// The cache that the configuration names, if it names one; `flushes` forgets what is there.
pub(super) fn of(config: &Config, inventory: &Inventory, flushes: bool) -> Option<FactCache> {
    let plugin = config.text("cache_plugin").unwrap_or("memory");
    let plugin = plugin.strip_prefix("ansible.builtin.").unwrap_or(plugin);
    if plugin != "jsonfile" {
        if plugin != "memory" {
            tell(&format!(
                "[WARNING]: `fact_caching: {plugin}` is not supported, only `jsonfile` is: facts are not kept"
            ));
        }
        return None;
    }
    let Some(folder) = config.path("cache_connection") else {
        tell(
            "[WARNING]: `fact_caching: jsonfile` needs `fact_caching_connection`: facts are not kept",
        );
        return None;
    };
    let prefix = config.text("cache_prefix").unwrap_or_default().to_owned();
    let timeout = config.number("cache_timeout").unwrap_or(TIMEOUT_S);
    let mut cache = FactCache {
        folder,
        prefix,
        facts: HashMap::new(),
    };
    let mut hosts: Vec<String> = inventory.hosts().map(|host| (**host).to_owned()).collect();
    if !hosts.iter().any(|host| host == "localhost") {
        hosts.push("localhost".to_owned());
    }
    for host in hosts.into_iter().filter(|host| !host.contains('/')) {
        let path = cache.folder.join(format!("{}{host}", cache.prefix));
        if flushes {
            forget(&path);
        } else if let Some(facts) = read(&path, timeout) {
            cache.facts.insert(host, facts);
        }
    }
    Some(cache)
}

fn forget(path: &PathBuf) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tell(&format!("[WARNING]: {}: {error}", path.display())),
    }
}

/// The facts of one file; none where it is not there or too old.
fn read(path: &Path, timeout_s: usize) -> Option<Map> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    let age = SystemTime::now().duration_since(meta.modified().ok()?);
    let is_fresh =
        timeout_s == 0 || age.is_ok_and(|age| age <= Duration::from_secs(timeout_s as u64));
    if !is_fresh {
        return None;
    }
    let doubt = crate::plan::distrust(path).ok()?;
    if let Some(why) = doubt.or((!meta.is_file()).then_some("is no file")) {
        tell(&format!(
            "[WARNING]: facts in {} are not used: it {why}",
            path.display()
        ));
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    if let Ok(Value::Map(facts)) = serde_json::from_str(&text).map(Value::from_json) {
        return Some((*facts).clone());
    }
    tell(&format!(
        "[WARNING]: {} holds no facts and is not used",
        path.display()
    ));
    None
}
