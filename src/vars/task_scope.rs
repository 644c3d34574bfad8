//! The variables that a task sees on one host.

use std::sync::Arc;

use crate::value::{Map, Value};

/// Layers of variables, lowest precedence first.
#[derive(Clone, Debug, Default)]
pub struct TaskScope {
    layers: Vec<Layer>,
}

/// One layer.
#[derive(Clone, Debug)]
struct Layer {
    vars: Arc<Map>,
    /// Whether it holds what hosts said: facts, results.
    is_learnt: bool,
}

/// Layers in the making.
#[derive(Debug, Default)]
pub struct Layers(Vec<Layer>);

impl Layers {
    /// Adds a layer of variables from the user's files above those there.
    pub fn push(&mut self, vars: Arc<Map>) {
        self.add(vars, false);
    }

    /// Adds a layer of facts or results above those there.
    pub fn push_learnt(&mut self, vars: Arc<Map>) {
        self.add(vars, true);
    }

    /// The value of a variable in the layers so far.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find_map(|layer| layer.vars.get(name))
    }

    /// Merges mappings of one name recursively into the highest layer that has it, as
    /// `hash_behaviour: merge` wants it.
    pub fn merge(&mut self) {
        for index in 1..self.0.len() {
            let (below, rest) = self.0.split_at_mut(index);
            let Some(layer) = rest.first_mut() else {
                return;
            };
            for (name, value) in Arc::make_mut(&mut layer.vars).iter_mut() {
                let lower = below.iter().rev().find_map(|l| l.vars.get(name));
                if let (Value::Map(_), Some(lower @ Value::Map(_))) = (&*value, lower) {
                    *value = merged(lower, value);
                }
            }
        }
    }

    fn add(&mut self, vars: Arc<Map>, is_learnt: bool) {
        if !vars.is_empty() {
            self.0.push(Layer { vars, is_learnt });
        }
    }
}

/// Two values of one name as `hash_behaviour: merge` makes one of them: mappings entry by entry, of
/// all others the higher.
pub fn merged(lower: &Value, higher: &Value) -> Value {
    let (Value::Map(lower), Value::Map(higher)) = (lower, higher) else {
        return higher.clone();
    };
    let mut all = (**lower).clone();
    for (key, value) in higher.iter() {
        let value = match all.get(key) {
            Some(known) => merged(known, value),
            None => value.clone(),
        };
        all.insert(key.clone(), value);
    }
    Value::from(all)
}

impl Extend<Arc<Map>> for Layers {
    fn extend<T: IntoIterator<Item = Arc<Map>>>(&mut self, layers: T) {
        layers.into_iter().for_each(|vars| self.push(vars));
    }
}

impl TaskScope {
    /// A scope of these layers, lowest precedence first. The caller lists them in the order of
    /// Ansible's documentation, "Variable precedence: where should I put a variable?".
    pub fn new(layers: Layers) -> Self {
        Self { layers: layers.0 }
    }

    /// The same scope with one more layer above all others.
    #[must_use]
    pub fn with(&self, layer: Arc<Map>) -> Self {
        let mut layers = Vec::with_capacity(self.layers.len() + 1);
        layers.extend(self.layers.iter().cloned());
        layers.push(Layer {
            vars: layer,
            is_learnt: false,
        });
        Self { layers }
    }

    /// Whether a variable's value stands in the user's files, and was not learnt from a host.
    pub fn is_from_user(&self, name: &str) -> bool {
        let found = self
            .layers
            .iter()
            .rev()
            .find(|layer| layer.vars.contains_key(name));
        found.is_some_and(|layer| !layer.is_learnt)
    }

    /// The raw value of a variable, from the highest layer that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.layers
            .iter()
            .rev()
            .find_map(|layer| layer.vars.get(name))
    }

    /// All names, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .layers
            .iter()
            .flat_map(|layer| layer.vars.keys().cloned())
            .collect();
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
            Arc::new(
                entries
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), Value::Int(*v)))
                    .collect::<Map>(),
            )
        };
        let mut layers = Layers::default();
        layers.push(layer(&[("a", 1), ("b", 1)]));
        layers.push_learnt(layer(&[("b", 2)]));
        let scope = TaskScope::new(layers);
        assert!(scope.is_from_user("a") && !scope.is_from_user("b"));
        assert_eq!(
            (scope.get("a"), scope.get("b")),
            (Some(&Value::Int(1)), Some(&Value::Int(2)))
        );
        assert_eq!(
            scope.with(layer(&[("a", 3)])).get("a"),
            Some(&Value::Int(3))
        );
        assert_eq!(scope.names(), ["a", "b"]);
    }
}
