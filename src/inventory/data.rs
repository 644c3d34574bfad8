//! Hosts and groups and how they hang together.
//!
//! Source: ansible-core 2.19, `inventory/data.py`, `group.py`, `host.py`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;

use super::vars_files::VarsFiles;
use crate::model::Layer;
use crate::value::{Map, Text, Value};

/// Names that stand for the controller itself when the inventory has no such host.
pub(super) const LOCALHOST: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// A host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name in the inventory.
    pub name: Arc<str>,
    /// Its variables from inventory files and `add_host`.
    pub vars: Arc<Map>,
    /// The source that named it first; none for `add_host` and the implicit localhost.
    pub source: Option<Arc<Path>>,
    /// Whether it is the localhost that no inventory names.
    pub is_implicit: bool,
    groups: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: Arc<str>,
    vars: Arc<Map>,
    priority: i64,
    hosts: Vec<usize>,
    has: HashSet<usize>,
    children: Vec<usize>,
    parents: Vec<usize>,
    depth: usize,
}

/// The hosts of each group, those of its children included.
type Members = HashMap<Arc<str>, Arc<[Arc<str>]>>;

/// The hosts and groups of all sources together.
#[derive(Clone, Debug)]
pub struct Inventory {
    hosts: IndexMap<Arc<str>, Host>,
    groups: IndexMap<Arc<str>, Group>,
    implicit: Host,
    pub(super) files: VarsFiles,
    members: Arc<OnceLock<Members>>,
}

impl Default for Inventory {
    fn default() -> Self {
        let mut inventory = Self {
            hosts: IndexMap::new(),
            groups: IndexMap::new(),
            implicit: Host {
                name: "localhost".into(),
                vars: Arc::new(Map::from([
                    ("ansible_connection".into(), Value::from("local")),
                    (
                        "ansible_python_interpreter".into(),
                        Value::Str(Text::from_user("{{ ansible_playbook_python }}")),
                    ),
                ])),
                source: None,
                is_implicit: true,
                groups: Vec::new(),
            },
            files: VarsFiles::default(),
            members: Arc::default(),
        };
        let all = inventory.group_index("all");
        let ungrouped = inventory.group_index("ungrouped");
        inventory.groups[all].children.push(ungrouped);
        inventory.groups[ungrouped].parents.push(all);
        inventory.groups[ungrouped].depth = 1;
        inventory
    }
}

impl Inventory {
    /// The names of all hosts, in the order in which they were first named.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.hosts.keys()
    }

    /// The host of this name; `localhost` and its like are found even if no source names them.
    pub fn host(&self, name: &str) -> Option<&Host> {
        if let Some(host) = self.hosts.get(name) {
            return Some(host);
        }
        // Of `localhost` and its like, one that the inventory names stands for the others.
        LOCALHOST.contains(&name).then(|| {
            let mut named = LOCALHOST.iter().filter_map(|name| self.hosts.get(*name));
            named.next().unwrap_or(&self.implicit)
        })
    }

    /// Whether a source or `add_host` named this host.
    pub fn contains(&self, name: &str) -> bool {
        self.hosts.contains_key(name)
    }

    /// The names of all groups, `all` and `ungrouped` first.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.groups.keys()
    }

    /// Whether there is such a group.
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    /// The child groups of a group.
    pub fn children(&self, group: &str) -> Vec<Arc<str>> {
        let group = self.groups.get(group);
        group
            .iter()
            .flat_map(|g| &g.children)
            .map(|child| self.groups[*child].name.clone())
            .collect()
    }

    /// The hosts that are members of a group itself, not only of a child.
    pub fn direct_hosts(&self, group: &str) -> Vec<Arc<str>> {
        let group = self.groups.get(group);
        group
            .iter()
            .flat_map(|g| &g.hosts)
            .map(|h| self.host_name(*h))
            .collect()
    }

    pub(super) fn host_name(&self, index: usize) -> Arc<str> {
        self.hosts
            .get_index(index)
            .map(|(name, _)| name.clone())
            .unwrap_or_default()
    }

    /// The hosts of a group and of its children, in inventory order; empty for an unknown group.
    pub fn group_hosts(&self, group: &str) -> Arc<[Arc<str>]> {
        let all = self.members.get_or_init(|| {
            let indices = 0..self.groups.len();
            indices
                .map(|i| (self.groups[i].name.clone(), self.members_of(i)))
                .collect()
        });
        all.get(group).cloned().unwrap_or_else(|| Arc::from([]))
    }

    fn members_of(&self, group: usize) -> Arc<[Arc<str>]> {
        let mut seen = HashSet::new();
        let mut hosts = Vec::new();
        for index in self.descendants(group) {
            for host in &self.groups[index].hosts {
                if seen.insert(*host) {
                    hosts.push(self.host_name(*host));
                }
            }
        }
        hosts.into()
    }

    /// A group and all below it, breadth first.
    fn descendants(&self, group: usize) -> Vec<usize> {
        walk(group, |g| &self.groups[g].children)
    }

    /// A group and all above it.
    fn ancestors(&self, group: usize) -> Vec<usize> {
        walk(group, |g| &self.groups[g].parents)
    }

    /// All groups of a host, those above its own included, as indices.
    fn all_groups(&self, host: &Host) -> Vec<usize> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for group in &host.groups {
            for group in self.ancestors(*group) {
                if seen.insert(group) {
                    all.push(group);
                }
            }
        }
        all
    }

    /// The names of a host's groups without `all`, sorted (`group_names`).
    pub fn groups_of(&self, host: &str) -> Vec<Arc<str>> {
        let Some(host) = self.host(host) else {
            return Vec::new();
        };
        let groups = self.all_groups(host);
        let names = groups.into_iter().map(|g| self.groups[g].name.clone());
        let mut names: Vec<_> = names.filter(|name| &**name != "all").collect();
        names.sort();
        names
    }

    /// The variables of a host by level, weakest first; several entries of one level follow each
    /// other where groups are merged parents first, then by `ansible_group_priority`, then by name.
    pub fn layers(&self, host: &str) -> Vec<(Layer, Arc<Map>)> {
        let mut layers = Vec::new();
        let Some(host) = self.host(host) else {
            return layers;
        };
        let mut groups = self.all_groups(host);
        groups.retain(|g| &*self.groups[*g].name != "all");
        groups.sort_by_key(|g| {
            let group = &self.groups[*g];
            (group.depth, group.priority, group.name.clone())
        });
        let mut add = |layer: Layer, vars: &Arc<Map>| {
            if !vars.is_empty() {
                layers.push((layer, vars.clone()));
            }
        };
        add(Layer::InventoryFileGroup, &self.groups["all"].vars);
        for group in &groups {
            add(Layer::InventoryFileGroup, &self.groups[*group].vars);
        }
        for vars in self.files.inventory_groups("all") {
            add(Layer::InventoryGroupVarsAll, vars);
        }
        for vars in self.files.playbook_groups("all") {
            add(Layer::PlaybookGroupVarsAll, vars);
        }
        for (source, _) in self.files.inventory_sources().enumerate() {
            for group in &groups {
                for vars in self
                    .files
                    .inventory_group_of(source, &self.groups[*group].name)
                {
                    add(Layer::InventoryGroupVars, vars);
                }
            }
        }
        for group in &groups {
            for vars in self.files.playbook_groups(&self.groups[*group].name) {
                add(Layer::PlaybookGroupVars, vars);
            }
        }
        add(Layer::InventoryFileHost, &host.vars);
        for vars in self.files.inventory_hosts(&host.name) {
            add(Layer::InventoryHostVars, vars);
        }
        for vars in self.files.playbook_hosts(&host.name) {
            add(Layer::PlaybookHostVars, vars);
        }
        layers
    }

    /// What the sources read so far say of a host, and who it is: what a constructed inventory
    /// sees. `all` counts only where a source has put a group of the host below it.
    pub(super) fn vars_so_far(&self, host: usize) -> Map {
        let Some((name, host)) = self.hosts.get_index(host) else {
            return Map::new();
        };
        let mut groups: Vec<&Group> = self
            .all_groups(host)
            .into_iter()
            .map(|g| &self.groups[g])
            .collect();
        groups.sort_by_key(|group| (group.depth, group.priority, group.name.clone()));
        let mut vars = Map::new();
        for found in groups.iter().map(|group| &group.vars).chain([&host.vars]) {
            vars.extend(found.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        let short = name.split('.').next().unwrap_or_default();
        let names = self
            .groups_of(name)
            .iter()
            .map(|name| Value::from(&**name))
            .collect::<Vec<_>>();
        vars.insert("inventory_hostname".into(), (&**name).into());
        vars.insert("inventory_hostname_short".into(), short.into());
        vars.insert("group_names".into(), Value::from(names));
        vars
    }

    /// The variables of a group from inventory files alone.
    pub fn group_vars(&self, group: &str) -> Arc<Map> {
        self.groups
            .get(group)
            .map(|g| g.vars.clone())
            .unwrap_or_default()
    }

    /// The variables of a group from inventory files and from the folders beside them.
    pub fn all_group_vars(&self, group: &str) -> Map {
        let mut vars = (*self.group_vars(group)).clone();
        let files = self.files.inventory_groups(group);
        for found in files.chain(self.files.playbook_groups(group)) {
            vars.extend(found.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        let priority = self.groups.get(group).map_or(1, |g| g.priority);
        if priority != 1 {
            vars.insert("ansible_group_priority".into(), Value::Int(priority));
        }
        vars
    }

    /// Adds a host at run time (`add_host`), creates its groups and sets its variables; `true` if
    /// anything changed.
    pub fn add_host(&mut self, name: &str, groups: &[String], vars: &Map) -> bool {
        let mut has_changed = !self.contains(name);
        let index = self.host_index(name, None, None);
        if has_changed {
            self.join("all", index);
        }
        for (key, value) in vars {
            has_changed |= self.hosts[index].vars.get(key) != Some(value);
            Arc::make_mut(&mut self.hosts[index].vars).insert(key.clone(), value.clone());
        }
        for group in groups {
            has_changed |= !self.has_group(group);
            self.group_index(group);
            has_changed |= self.join(group, index);
        }
        self.reconcile();
        has_changed
    }

    /// Puts a host into a group at run time (`group_by`), and the group below `parents`; `true` if
    /// anything changed.
    ///
    /// # Errors
    /// The name of a parent that is below the group already.
    pub fn add_to_group(
        &mut self,
        host: &str,
        group: &str,
        parents: &[String],
    ) -> Result<bool, String> {
        let mut has_changed = false;
        self.group_index(group);
        for parent in parents {
            self.group_index(parent);
            has_changed |= self.add_child(parent, group)?;
        }
        let index = match self.hosts.get_index_of(host) {
            Some(index) => index,
            None if LOCALHOST.contains(&host) => {
                // The implicit localhost becomes a member of groups, not of `all`.
                let group = self.group_index(group);
                let is_new = !self.implicit.groups.contains(&group);
                self.implicit.groups.extend(is_new.then_some(group));
                self.reconcile();
                return Ok(has_changed || is_new);
            }
            None => return Ok(has_changed),
        };
        has_changed |= self.join(group, index);
        self.reconcile();
        Ok(has_changed)
    }

    // Building blocks for the readers of inventory files.

    pub(super) fn group_index(&mut self, name: &str) -> usize {
        if let Some(index) = self.groups.get_index_of(name) {
            return index;
        }
        let name: Arc<str> = name.into();
        let group = Group {
            name: name.clone(),
            vars: Arc::default(),
            priority: 1,
            hosts: Vec::new(),
            has: HashSet::new(),
            children: Vec::new(),
            parents: Vec::new(),
            depth: 0,
        };
        self.groups.insert_full(name, group).0
    }

    pub(super) fn host_index(
        &mut self,
        name: &str,
        port: Option<u32>,
        source: Option<&Arc<Path>>,
    ) -> usize {
        if let Some(index) = self.hosts.get_index_of(name) {
            return index;
        }
        let name: Arc<str> = name.into();
        let port = port.map(|port| ("ansible_port".to_owned(), Value::Int(port.into())));
        let host = Host {
            name: name.clone(),
            vars: Arc::new(port.into_iter().collect()),
            source: source.cloned(),
            is_implicit: false,
            groups: Vec::new(),
        };
        self.hosts.insert_full(name, host).0
    }

    /// Makes a host a member of a group that exists; `true` if it was none.
    pub(super) fn join(&mut self, group: &str, host: usize) -> bool {
        let group = self.group_index(group);
        let is_new = self.groups[group].has.insert(host);
        if is_new {
            self.groups[group].hosts.push(host);
            self.hosts[host].groups.push(group);
        }
        is_new
    }

    pub(super) fn set_host_vars(&mut self, host: usize, vars: &Map) {
        if !vars.is_empty() {
            let own = Arc::make_mut(&mut self.hosts[host].vars);
            own.extend(vars.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
    }

    pub(super) fn set_group_var(&mut self, group: &str, key: &str, value: Value) {
        let group = self.group_index(group);
        let group = &mut self.groups[group];
        if key == "ansible_group_priority" {
            let text = value.as_str().and_then(|s| s.trim().parse().ok());
            group.priority = value.as_int().or(text).unwrap_or(group.priority);
        } else {
            Arc::make_mut(&mut group.vars).insert(key.to_owned(), value);
        }
    }

    /// Puts a group below another; `true` if it was not.
    ///
    /// # Errors
    /// A sentence, when that would close a circle.
    pub(super) fn add_child(&mut self, parent: &str, child: &str) -> Result<bool, String> {
        let (p, c) = (self.group_index(parent), self.group_index(child));
        if self.ancestors(p).contains(&c) {
            return Err(format!("the group `{child}` is above `{parent}` already"));
        }
        if self.groups[p].children.contains(&c) {
            return Ok(false);
        }
        self.groups[p].children.push(c);
        self.groups[c].parents.push(p);
        self.deepen(c, self.groups[p].depth + 1);
        Ok(true)
    }

    fn deepen(&mut self, group: usize, depth: usize) {
        let mut open = vec![(group, depth)];
        while let Some((group, depth)) = open.pop() {
            if self.groups[group].depth < depth {
                self.groups[group].depth = depth;
                open.extend(self.groups[group].children.iter().map(|c| (*c, depth + 1)));
            }
        }
    }

    /// Restores the invariant after changes: all groups below `all`, lone hosts in `ungrouped`.
    pub(super) fn reconcile(&mut self) {
        self.members = Arc::default();
        let (all, ungrouped) = (self.group_index("all"), self.group_index("ungrouped"));
        for index in 0..self.groups.len() {
            if index != all && self.groups[index].parents.is_empty() {
                self.groups[all].children.push(index);
                self.groups[index].parents.push(all);
                self.deepen(index, 1);
            }
        }
        let mut leaving = HashSet::new();
        for index in 0..self.hosts.len() {
            let groups = &self.hosts[index].groups;
            let is_grouped = groups.iter().any(|g| *g != all && *g != ungrouped);
            let is_ungrouped = groups.contains(&ungrouped);
            if is_grouped && is_ungrouped {
                leaving.insert(index);
                self.hosts[index].groups.retain(|g| *g != ungrouped);
            } else if !is_grouped && !is_ungrouped {
                self.join("ungrouped", index);
            }
        }
        if !leaving.is_empty() {
            let group = &mut self.groups[ungrouped];
            group.hosts.retain(|h| !leaving.contains(h));
            group.has.retain(|h| !leaving.contains(h));
        }
    }

    /// Folders of `group_vars` and `host_vars` that were looked into.
    pub fn vars_folders(&self) -> Vec<PathBuf> {
        self.files.folders()
    }
}

/// Everything reachable from `start`, breadth first, each once.
fn walk<'a>(start: usize, next: impl Fn(usize) -> &'a [usize]) -> Vec<usize> {
    let mut all = vec![start];
    let mut seen = HashSet::from([start]);
    let mut at = 0;
    while let Some(index) = all.get(at).copied() {
        at += 1;
        all.extend(next(index).iter().copied().filter(|i| seen.insert(*i)));
    }
    all
}
