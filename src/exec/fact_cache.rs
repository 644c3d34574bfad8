//! Facts that outlive a run: what an earlier run learnt of the hosts, and what this one leaves.
//!
//! Invariant: a secret is never among what is left, and what was read is data, never a template.
//! Source: ansible-core 2.19, `plugins/cache/jsonfile.py` and `vars/manager.py`.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::run::Run;
use crate::value::{Map, Value};

/// Where facts are kept between runs, and what was found there.
#[derive(Clone, Debug, Default)]
pub struct FactCache {
    /// The folder, with one JSON file a host.
    pub folder: PathBuf,
    /// What the files' names begin with.
    pub prefix: String,
    /// The facts of hosts under their names as variables.
    pub facts: HashMap<String, Map>,
}

impl Run {
    /// Takes up what earlier runs left.
    pub(super) fn recall_facts(&self) {
        let Some(cache) = &self.settings.fact_cache else {
            return;
        };
        let mut state = self.state.borrow_mut();
        for (host, facts) in &cache.facts {
            let known = state.hosts.entry(host.clone()).or_default();
            known.add_named_facts(facts);
        }
    }

    /// Leaves the facts of all hosts that learnt some to later runs.
    pub(super) async fn leave_facts(&self) {
        let Some(cache) = &self.settings.fact_cache else {
            return;
        };
        let learnt: BTreeSet<String> = std::mem::take(&mut self.state.borrow_mut().facts_learnt);
        for host in learnt {
            // A host's name comes from the inventory; as a file's name it must stay in the folder.
            if host.contains('/') {
                continue;
            }
            let facts = {
                let state = self.state.borrow();
                let known = state.hosts.get(&host);
                known.map_or_else(Map::new, |known| kept(&known.prefixed_facts))
            };
            let path = cache.folder.join(format!("{}{host}", cache.prefix));
            let text = Value::from(facts).to_masked_json().to_string();
            if let Err(why) = self.port.write(path, text.into_bytes()).await {
                self.notice(true, format!("the facts of {host} are not kept: {why}"));
            }
        }
    }
}

/// The facts under the names that they were given, without secrets.
fn kept(facts: &Map) -> Map {
    let is_double = |name: &str| {
        let short = name.strip_prefix("ansible_");
        short.is_some_and(|short| facts.contains_key(short))
    };
    facts
        .iter()
        .filter(|(name, value)| !is_double(name) && !value.has_secret())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
