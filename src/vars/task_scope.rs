//! The variables that a task sees on one host.

use std::sync::Arc;

use crate::value::{Map, Value};

/// Layers of variables, lowest precedence first.
#[derive(Clone, Debug, Default)]
pub struct TaskScope {
    layers: Vec<Arc<Map>>,
}

impl TaskScope {
    /// A scope of these layers, lowest precedence first. The caller lists them in the order of
    /// Ansible's documentation, "Variable precedence: where should I put a variable?".
    pub fn new(layers: Vec<Arc<Map>>) -> Self {
        Self { layers: layers.into_iter().filter(|layer| !layer.is_empty()).collect() }
    }

    /// The same scope with one more layer above all others.
    #[must_use]
    pub fn with(&self, layer: Arc<Map>) -> Self {
        let mut layers = Vec::with_capacity(self.layers.len() + 1);
        layers.extend(self.layers.iter().cloned());
        layers.push(layer);
        Self { layers }
    }

    /// The raw value of a variable, from the highest layer that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.layers.iter().rev().find_map(|layer| layer.get(name))
    }

    /// All names, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.layers.iter().flat_map(|layer| layer.keys().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_layer_that_has_a_name_wins() {
        let layer = |entries: &[(&str, i64)]| {
            Arc::new(entries.iter().map(|(k, v)| ((*k).to_owned(), Value::Int(*v))).collect::<Map>())
        };
        let scope = TaskScope::new(vec![layer(&[("a", 1), ("b", 1)]), layer(&[("b", 2)])]);
        assert_eq!((scope.get("a"), scope.get("b")), (Some(&Value::Int(1)), Some(&Value::Int(2))));
        assert_eq!(scope.with(layer(&[("a", 3)])).get("a"), Some(&Value::Int(3)));
        assert_eq!(scope.names(), ["a", "b"]);
    }
}
