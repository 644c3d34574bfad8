//! `add_host` and `group_by`: the inventory grows while a run goes on.

use super::super::end::ItemEnd;
use super::super::item::Item;
use super::super::run::{Run, plain_text};
use crate::event::Status;
use crate::value::{Map, Value};

impl Run {
    /// `add_host`.
    pub(super) fn add_host(&self, args: &Value) -> ItemEnd {
        let Some(map) = args.as_map() else {
            return ItemEnd::failed("add_host needs a name");
        };
        let name = ["name", "host", "hostname"]
            .iter()
            .find_map(|k| map.get(*k))
            .and_then(plain_text);
        let Some(name) = name else {
            return ItemEnd::failed("add_host needs a name");
        };
        let groups: Vec<String> = ["groups", "group", "groupname"]
            .iter()
            .find_map(|k| map.get(*k))
            .map(words)
            .unwrap_or_default();
        let vars: Map = map
            .iter()
            .filter(|(k, _)| {
                !["name", "host", "hostname", "groups", "group", "groupname"].contains(&k.as_str())
            })
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let mut state = self.state.borrow_mut();
        let is_changed = state.inventory.add_host(&name, &groups, &vars);
        state.groups = None;
        let result = Map::from([(
            "add_host".to_owned(),
            Value::from(Map::from([
                ("host_name".to_owned(), Value::from(name.as_str())),
                (
                    "groups".to_owned(),
                    Value::from(groups.iter().map(|g| g.as_str().into()).collect::<Vec<_>>()),
                ),
                ("host_vars".to_owned(), Value::from(vars)),
            ])),
        )]);
        ItemEnd::new(
            if is_changed {
                Status::Changed
            } else {
                Status::Ok
            },
            result,
        )
    }

    /// `group_by`.
    pub(super) fn group_by(&self, item: &Item, args: &Value) -> ItemEnd {
        let Some(key) = args.get("key").and_then(plain_text) else {
            return ItemEnd::failed("the 'key' param is required when using group_by");
        };
        let group = key.replace(' ', "-");
        let parents = args
            .get("parents")
            .map_or_else(|| vec!["all".to_owned()], words);
        let mut state = self.state.borrow_mut();
        let is_changed = match state.inventory.add_to_group(&item.host, &group, &parents) {
            Ok(is_changed) => is_changed,
            Err(parent) => {
                let why =
                    format!("group `{parent}` cannot be a parent of `{group}`: it is below it");
                return ItemEnd::failed(why);
            }
        };
        state.groups = None;
        let result = Map::from([
            ("add_group".to_owned(), Value::from(group)),
            (
                "parent_groups".to_owned(),
                Value::from(parents.into_iter().map(Value::from).collect::<Vec<_>>()),
            ),
        ]);
        ItemEnd::new(
            if is_changed {
                Status::Changed
            } else {
                Status::Ok
            },
            result,
        )
    }
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.iter().filter_map(plain_text).collect(),
        other => plain_text(other)
            .map(|text| {
                text.split(',')
                    .map(|w| w.trim().to_owned())
                    .filter(|w| !w.is_empty())
                    .collect()
            })
            .unwrap_or_default(),
    }
}
