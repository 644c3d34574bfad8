//! `switchback inventory`.

use std::fmt::Write as _;

use super::args::InventoryArgs;
use super::exit;
use super::session::complain;
use super::start::{give, tell};
use crate::diag::SourceMap;
use crate::inventory::Inventory;
use crate::value::{Map, Value};

/// Shows the inventory as JSON, as a tree, or one host's variables.
pub(super) fn run(args: &InventoryArgs) -> u8 {
    let mut sources = SourceMap::default();
    let inventory = match Inventory::read(&args.inventory, None, &mut sources) {
        Ok((inventory, warnings)) => {
            complain(&warnings, &sources);
            inventory
        }
        Err(problems) => {
            complain(&problems, &sources);
            return exit::LOAD;
        }
    };
    if let Some(host) = &args.host {
        if inventory.host(host).is_none() {
            tell(&format!("error: there is no host `{host}`"));
            return exit::USAGE;
        }
        give(&pretty(&Value::from(vars(&inventory, host))));
    } else if args.graph {
        let mut out = String::new();
        graph(&inventory, "all", 0, &mut out);
        give(out.trim_end());
    } else {
        give(&pretty(&list(&inventory)));
    }
    exit::OK
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(&value.to_masked_json()).unwrap_or_default()
}

fn vars(inventory: &Inventory, host: &str) -> Map {
    let mut vars = Map::new();
    for (_, layer) in inventory.layers(host) {
        vars.extend(layer.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    vars
}

fn list(inventory: &Inventory) -> Value {
    let hostvars: Map = inventory
        .hosts()
        .map(|host| (host.to_string(), Value::from(vars(inventory, host))))
        .filter(|(_, vars)| vars.as_map().is_some_and(|map| !map.is_empty()))
        .collect();
    let meta = Map::from([("hostvars".to_owned(), Value::from(hostvars))]);
    let mut out = Map::from([("_meta".to_owned(), Value::from(meta))]);
    let names = |names: Vec<std::sync::Arc<str>>| {
        Value::from(names.iter().map(|n| Value::from(&**n)).collect::<Vec<_>>())
    };
    for group in inventory.groups() {
        let mut entry = Map::new();
        let children = inventory.children(group);
        if !children.is_empty() {
            entry.insert("children".into(), names(children));
        }
        let hosts = inventory.direct_hosts(group);
        if !hosts.is_empty() && &**group != "all" {
            entry.insert("hosts".into(), names(hosts));
        }
        if !entry.is_empty() {
            out.insert(group.to_string(), Value::from(entry));
        }
    }
    Value::from(out)
}

fn graph(inventory: &Inventory, group: &str, depth: usize, out: &mut String) {
    let bars = "  |".repeat(depth);
    let lead = if depth == 0 {
        String::new()
    } else {
        format!("{bars}--")
    };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{lead}@{group}:");
    for child in inventory.children(group) {
        graph(inventory, &child, depth + 1, out);
    }
    if group != "all" {
        for host in inventory.direct_hosts(group) {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{}--{host}", "  |".repeat(depth + 1));
        }
    }
}
