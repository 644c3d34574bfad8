//! What a run has learnt about one host.

use std::sync::Arc;

use crate::value::{Map, Value};

/// Facts, registered results and other variables of one host, as they come about during a run.
#[derive(Clone, Debug, Default)]
pub struct HostVars {
    /// `ansible_facts`, without the prefix.
    pub facts: Arc<Map>,
    /// The same with `ansible_` in front of each name, as variables (layer "facts").
    pub prefixed_facts: Arc<Map>,
    /// `include_vars`.
    pub included: Arc<Map>,
    /// `set_fact` and `register`.
    pub set: Arc<Map>,
    /// Vars and defaults of roles made public by `include_role`.
    pub role_defaults: Arc<Map>,
    /// Their vars.
    pub role_vars: Arc<Map>,
}

impl HostVars {
    /// Adds facts; those there already under the same name are replaced.
    pub fn add_facts(&mut self, facts: &Map) {
        let (own, prefixed) = (
            Arc::make_mut(&mut self.facts),
            Arc::make_mut(&mut self.prefixed_facts),
        );
        for (name, value) in facts {
            let short = name.strip_prefix("ansible_").unwrap_or(name);
            own.insert(short.to_owned(), value.clone());
            // `setup` gives these two without the prefix.
            let is_bare = matches!(name.as_str(), "gather_subset" | "module_setup");
            let long = if name.starts_with("ansible_") || is_bare {
                name.clone()
            } else {
                format!("ansible_{name}")
            };
            prefixed.insert(long, value.clone());
        }
    }

    /// Adds facts that are variables by their own names too: those of any module but `setup`, which
    /// leaves the prefix out.
    pub fn add_named_facts(&mut self, facts: &Map) {
        self.add_facts(facts);
        let named = Arc::make_mut(&mut self.prefixed_facts);
        for (name, value) in facts {
            named.insert(name.clone(), value.clone());
        }
    }

    /// Sets one variable as `set_fact` and `register` do.
    pub fn set(&mut self, name: &str, value: Value) {
        Arc::make_mut(&mut self.set).insert(name.to_owned(), value);
    }

    /// Adds variables as `include_vars` does.
    pub fn include(&mut self, vars: &Map) {
        let included = Arc::make_mut(&mut self.included);
        for (name, value) in vars {
            included.insert(name.clone(), value.clone());
        }
    }

    /// Forgets facts (`meta: clear_facts`).
    pub fn clear_facts(&mut self) {
        self.facts = Arc::default();
        self.prefixed_facts = Arc::default();
    }
}
