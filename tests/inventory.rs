//! Inventories beside what ansible-core 2.19 said of them (`tests/inventory/expect` wrote it).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use switchback::diag::SourceMap;
use switchback::exec::InventoryExpressions;
use switchback::inventory::Inventory;

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir("tests/inventory")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("args").is_file())
        .collect();
    cases.sort();
    assert!(cases.len() >= 10, "{} cases", cases.len());
    cases
}

fn read(case: &Path) -> Inventory {
    let args = std::fs::read_to_string(case.join("args")).unwrap();
    let sources: Vec<String> = args
        .lines()
        .map(|arg| {
            if arg.contains(',') {
                arg.to_owned()
            } else {
                case.join(arg).display().to_string()
            }
        })
        .collect();
    let mut texts = SourceMap::default();
    let expressions = InventoryExpressions::default();
    match Inventory::read_with(&sources, Some(case), &mut texts, Some(&expressions)) {
        Ok((inventory, _)) => inventory,
        Err(problems) => {
            let all: Vec<String> = problems
                .iter()
                .map(|p| switchback::diag::render(p, &texts, false))
                .collect();
            panic!("{}: {}", case.display(), all.join("\n"))
        }
    }
}

/// What `ansible-inventory --list` prints.
fn listed(inventory: &Inventory) -> Value {
    let mut hostvars = Map::new();
    for host in inventory.hosts() {
        let mut vars = Map::new();
        for (_, layer) in inventory.layers(host) {
            for (key, value) in layer.iter() {
                vars.insert(key.clone(), value.to_exposed_json());
            }
        }
        if !vars.is_empty() {
            hostvars.insert(host.to_string(), Value::Object(vars));
        }
    }
    let mut all = Map::new();
    all.insert(
        "_meta".into(),
        json!({"hostvars": hostvars, "profile": "inventory_legacy"}),
    );
    for group in inventory.groups() {
        let names = |list: Vec<std::sync::Arc<str>>| -> Value {
            list.iter().map(|name| Value::from(&**name)).collect()
        };
        let (children, hosts) = (inventory.children(group), inventory.direct_hosts(group));
        let mut entry = Map::new();
        if !children.is_empty() {
            entry.insert("children".into(), names(children));
        }
        if !hosts.is_empty() && &**group != "all" {
            entry.insert("hosts".into(), names(hosts));
        }
        if !entry.is_empty() {
            all.insert(group.to_string(), Value::Object(entry));
        }
    }
    Value::Object(all)
}

/// `ansible-inventory` marks text that is no template; here that is a property of the text.
fn trusted(value: Value) -> Value {
    match value {
        Value::Object(mut map) if map.len() == 1 && map.contains_key("__ansible_unsafe") => {
            map.remove("__ansible_unsafe").unwrap()
        }
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, trusted(v))).collect(),
        Value::Array(items) => items.into_iter().map(trusted).collect(),
        other => other,
    }
}

#[test]
fn inventories_say_what_ansible_says_of_them() {
    for case in cases() {
        let expected = std::fs::read_to_string(case.join("expected.json")).unwrap();
        let expected = trusted(serde_json::from_str(&expected).unwrap());
        let found = listed(&read(&case));
        let text = |v: &Value| {
            let mut v = v.clone();
            v.sort_all_objects();
            serde_json::to_string_pretty(&v).unwrap()
        };
        let (expected, found) = (text(&expected), text(&found));
        let diff = similar::TextDiff::from_lines(&expected, &found);
        let diff = diff.unified_diff().context_radius(4).to_string();
        assert!(diff.is_empty(), "{}:\n{diff}", case.display());
    }
}

#[test]
fn patterns_select_what_ansible_selects() {
    let case = Path::new("tests/inventory/patterns");
    let inventory = read(case);
    let expected = std::fs::read_to_string(case.join("expected.patterns")).unwrap();
    assert!(expected.lines().count() >= 40, "the expectations are there");
    for line in expected.lines() {
        let (pattern, hosts) = line.split_once(" =>").unwrap();
        // A subscript that is out of range is an error of its own here as in Ansible.
        let found = inventory
            .select(&[pattern.to_owned()])
            .map(|s| s.hosts)
            .unwrap_or_default();
        assert_eq!(found.join(" "), hosts.trim(), "{pattern}");
    }
}
