//! `switchback inventory`: what `ansible-inventory` prints.
//!
//! Source: ansible-core 2.19, `cli/inventory.py`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::args::InventoryArgs;
use super::config::Config;
use super::start::{give, tell};
use super::{exit, face, vault_keys};
use crate::diag::{Diagnostic, Severity, SourceMap};
use crate::exec::InventoryExpressions;
use crate::inventory::Inventory;
use crate::plan::Loader;
use crate::value::{Map, Value};

/// An inventory and what of it is to be shown.
struct Shown<'a> {
    inventory: &'a Inventory,
    /// The hosts that `--limit` leaves.
    hosts: HashSet<Arc<str>>,
    args: &'a InventoryArgs,
}

/// Shows the inventory as JSON or YAML, as a tree, or one host's variables.
pub(super) fn run(args: &InventoryArgs) -> u8 {
    match show(args) {
        Ok(text) => match &args.output {
            None => {
                give(text.trim_end());
                exit::OK
            }
            Some(path) => match std::fs::write(path, text.trim_end()) {
                Ok(()) => exit::OK,
                Err(error) => {
                    tell(&format!("[ERROR]: {}: {error}", path.display()));
                    face::code::ERROR
                }
            },
        },
        Err(code) => code,
    }
}

fn extra_vars(args: &InventoryArgs) -> Result<Map, u8> {
    let mut loader = Loader::default();
    super::extra_vars::read(&args.extra_vars, &mut loader).map_err(|problems| {
        super::face_words::complain(&problems, &loader.sources);
        face::code::ERROR
    })
}

fn show(args: &InventoryArgs) -> Result<String, u8> {
    let config = Config::load();
    let mut texts = SourceMap::default();
    let opener = vault_keys::opener(&args.vault, &config).map_err(|()| face::code::ERROR)?;
    texts.opener = Some(opener);
    let mut given = args.inventory.clone();
    if given.is_empty() {
        given = config
            .list("inventory")
            .into_iter()
            .map(|source| config.source(&source))
            .collect();
    }
    if given.is_empty() && Path::new("/etc/ansible/hosts").exists() {
        given.push("/etc/ansible/hosts".to_owned());
    }
    let folder = args.playbook_dir.as_deref();
    let extra_vars = extra_vars(args)?;
    let expressions = InventoryExpressions::new(extra_vars);
    let unparsed = super::defaults::unparsed(&config);
    let read = Inventory::read_forgiving(&given, folder, &mut texts, Some(&expressions), unparsed);
    let (inventory, warnings) = read.map_err(|problems| {
        super::face_words::complain(&problems, &texts);
        face::code::ERROR
    })?;
    super::face_words::complain(&warnings, &texts);
    let refuse = |problem: Diagnostic| {
        super::face_words::complain(
            &[Diagnostic {
                severity: Severity::Error,
                ..problem
            }],
            &texts,
        );
        face::code::ERROR
    };
    let limit = args.limit.as_deref().unwrap_or("all");
    let patterns = crate::inventory::limit_patterns(limit).map_err(refuse)?;
    let selected = inventory.select(&patterns).map_err(refuse)?;
    let shown = Shown {
        inventory: &inventory,
        hosts: selected.hosts.into_iter().collect(),
        args,
    };
    if let Some(pattern) = &args.host {
        let found = inventory.select(std::slice::from_ref(pattern));
        let hosts = found.map_err(refuse)?.hosts;
        let [host] = hosts.as_slice() else {
            tell("[ERROR]: You must pass a single valid host to --host parameter");
            return Err(exit::USAGE);
        };
        return Ok(shown.dump(&Value::from(shown.vars(host))));
    }
    if args.graph {
        let group = args.group.as_deref().unwrap_or("all");
        if !inventory.has_group(group) {
            tell("[ERROR]: Pattern must be valid group name when using --graph");
            return Err(exit::USAGE);
        }
        let mut out = String::new();
        shown.graph(group, 0, &mut out);
        return Ok(out);
    }
    let mut seen = HashSet::new();
    let list = if args.yaml {
        shown.tree("all", &mut seen, &mut HashSet::new())
    } else {
        shown.list()
    };
    Ok(shown.dump(&list))
}

impl Shown<'_> {
    fn dump(&self, value: &Value) -> String {
        if self.args.yaml {
            return serde_yaml::to_string(&sorted(&value.to_exposed_json())).unwrap_or_default();
        }
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut out = Vec::new();
        let mut to = serde_json::Serializer::with_formatter(&mut out, formatter);
        let json = sorted(&value.to_exposed_json());
        match serde::Serialize::serialize(&json, &mut to) {
            Ok(()) => ascii(&String::from_utf8_lossy(&out)),
            Err(error) => error.to_string(),
        }
    }

    /// A host's variables: all that count, or with `--export` its own only.
    fn vars(&self, host: &str) -> Map {
        use crate::model::Layer;
        let mut vars = Map::new();
        for (layer, found) in self.inventory.layers(host) {
            let is_own = matches!(
                layer,
                Layer::InventoryFileHost | Layer::InventoryHostVars | Layer::PlaybookHostVars
            );
            if is_own || !self.args.export {
                vars.extend(found.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
        }
        vars
    }

    /// `--list` as JSON.
    fn list(&self) -> Value {
        let mut out = Map::new();
        let mut seen = HashSet::new();
        self.list_group("all", &mut out, &mut seen);
        let hostvars: Map = self
            .inventory
            .hosts()
            .filter(|host| self.hosts.contains(*host))
            .map(|host| (host.to_string(), self.vars(host)))
            .filter(|(_, vars)| !vars.is_empty())
            .map(|(host, vars)| (host, Value::from(vars)))
            .collect();
        let meta = Map::from([
            ("hostvars".to_owned(), Value::from(hostvars)),
            ("profile".to_owned(), "inventory_legacy".into()),
        ]);
        out.insert("_meta".into(), Value::from(meta));
        Value::from(out)
    }

    fn list_group(&self, group: &str, out: &mut Map, seen: &mut HashSet<Arc<str>>) {
        let mut entry = Map::new();
        let hosts = self.hosts_of(group);
        if !hosts.is_empty() {
            let names: Vec<Value> = hosts.iter().map(|host| (&**host).into()).collect();
            entry.insert("hosts".into(), Value::from(names));
        }
        let children = self.inventory.children(group);
        if !children.is_empty() {
            let names: Vec<Value> = children.iter().map(|name| (&**name).into()).collect();
            entry.insert("children".into(), Value::from(names));
        }
        self.export_vars(group, &mut entry);
        if !entry.is_empty() {
            out.insert(group.to_owned(), Value::from(entry));
        }
        for child in children {
            if seen.insert(child.clone()) {
                self.list_group(&child, out, seen);
            }
        }
    }

    fn hosts_of(&self, group: &str) -> Vec<Arc<str>> {
        if group == "all" {
            return Vec::new();
        }
        let mut hosts = self.inventory.direct_hosts(group);
        hosts.retain(|host| self.hosts.contains(host));
        hosts
    }

    fn export_vars(&self, group: &str, entry: &mut Map) {
        if self.args.export {
            let vars = self.inventory.all_group_vars(group);
            if !vars.is_empty() {
                entry.insert("vars".into(), Value::from(vars));
            }
        }
    }

    /// `--list --yaml`: each group and host in full where it first stands.
    fn tree(
        &self,
        group: &str,
        seen: &mut HashSet<Arc<str>>,
        hosts_seen: &mut HashSet<Arc<str>>,
    ) -> Value {
        let mut out = Map::new();
        let mut entry = Map::new();
        let mut children = Map::new();
        for child in self.inventory.children(group) {
            if seen.contains(&child) {
                children.insert(child.to_string(), Value::from(Map::new()));
                continue;
            }
            if let Value::Map(found) = self.tree(&child, seen, hosts_seen) {
                children.extend((*found).clone());
            }
            seen.insert(child);
        }
        if !children.is_empty() {
            entry.insert("children".into(), Value::from(children));
        }
        let mut hosts = Map::new();
        for host in self.hosts_of(group) {
            let vars = if hosts_seen.insert(host.clone()) {
                self.vars(&host)
            } else {
                Map::new()
            };
            hosts.insert(host.to_string(), Value::from(vars));
        }
        if !hosts.is_empty() {
            entry.insert("hosts".into(), Value::from(hosts));
        }
        self.export_vars(group, &mut entry);
        if !entry.is_empty() {
            out.insert(group.to_owned(), Value::from(entry));
        }
        Value::from(out)
    }

    fn graph(&self, group: &str, depth: usize, out: &mut String) {
        line(&format!("@{group}:"), depth, out);
        for child in self.inventory.children(group) {
            self.graph(&child, depth + 1, out);
        }
        if group != "all" {
            for host in self.inventory.direct_hosts(group) {
                line(&host, depth + 1, out);
                if self.args.vars {
                    variables(&self.vars(&host), depth + 2, out);
                }
            }
        }
        if self.args.vars {
            variables(&self.inventory.all_group_vars(group), depth + 1, out);
        }
    }
}

fn variables(vars: &Map, depth: usize, out: &mut String) {
    let mut names: Vec<&String> = vars.keys().collect();
    names.sort();
    for name in names {
        let mut shown = String::new();
        crate::template::write_repr(&vars[name.as_str()], &mut shown);
        let is_text = matches!(vars[name.as_str()], Value::Str(_));
        let shown = match vars[name.as_str()].as_str().filter(|_| is_text) {
            Some(text) => text.to_owned(),
            None => shown,
        };
        line(&format!("{{{name} = {shown}}}"), depth, out);
    }
}

fn line(text: &str, depth: usize, out: &mut String) {
    let bars = if depth == 0 {
        String::new()
    } else {
        format!("{}--", "  |".repeat(depth))
    };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{bars}{text}");
}

fn sorted(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::Object(map) => {
            let mut names: Vec<&String> = map.keys().collect();
            names.sort();
            let sorted = names
                .into_iter()
                .map(|name| (name.clone(), sorted(&map[name.as_str()])));
            Json::Object(sorted.collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// JSON with all that is not ASCII escaped, as Python writes it by default.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}
