//! Which variables a task sees: the layers in Ansible's order of precedence.
//!
//! Source: ansible-core 2.19, `vars/manager.py` and "Variable precedence: where should I put a
//! variable?" in its documentation.

use std::path::{Component, Path};
use std::rc::Rc;
use std::sync::Arc;

use super::controller::{Search, View};
use super::frame::{Frame, Kind};
use super::run::Run;
use super::state::PlayState;
use crate::model::{RoleScope, Task};
use crate::value::{Map, Value};
use crate::vars::{HostVars, Layers, TaskScope};

impl Run {
    /// What a host sees outside any task.
    pub(crate) fn host_scope(&self, host: &str) -> Option<TaskScope> {
        let known = self.state.borrow().inventory.host(host).is_some();
        known.then(|| TaskScope::new(self.layers(host, None, None)))
    }

    /// What others see of a host through `hostvars`: what is its own, not what its play says.
    pub(crate) fn hostvars_scope(&self, host: &str) -> Option<TaskScope> {
        let magic = [self.shared_magic(), Arc::new(self.own_magic(host, None))];
        let state = self.state.borrow();
        state.inventory.host(host)?;
        let nothing = HostVars::default();
        let known = state.hosts.get(host).unwrap_or(&nothing);
        let mut layers = Layers::default();
        layers.push(self.settings.connection_defaults.clone());
        let own = state.inventory.layers(host);
        layers.extend(own.into_iter().map(|(_, vars)| vars));
        self.add_learnt(host, known, &mut layers);
        for vars in magic {
            layers.push_learnt(vars);
        }
        if self.settings.defaults.merges_hashes {
            layers.merge();
        }
        Some(TaskScope::new(layers))
    }

    /// Facts, what was included and set, and what goes before all of that.
    fn add_learnt(&self, host: &str, known: &HostVars, layers: &mut Layers) {
        if !self.settings.defaults.hides_facts {
            layers.push_learnt(known.prefixed_facts.clone());
        }
        layers.push(known.included.clone());
        layers.push_learnt(known.set.clone());
        layers.push(self.settings.extra_vars.clone());
        if layers.get("ansible_host").is_none() && layers.get("ansible_ssh_host").is_none() {
            let own = Map::from([("ansible_host".to_owned(), host.into())]);
            layers.push_learnt(Arc::new(own));
        }
    }

    /// What a task sees on a host.
    pub(crate) fn task_view(&self, host: &str, task: &Task, frame: &Frame) -> View {
        let search = Search {
            scope: task.role.clone(),
            folder: task.folder.clone().into(),
            playbook: self.state.borrow().play.folder.clone().into(),
        };
        View {
            scope: TaskScope::new(self.layers(host, Some(task), Some(frame))),
            hosts: Rc::new(self.clone()),
            search: Rc::new(search),
        }
    }

    fn layers(&self, host: &str, task: Option<&Task>, frame: Option<&Frame>) -> Layers {
        let role = task.and_then(|t| t.role.clone());
        let magic = [self.shared_magic(), Arc::new(self.own_magic(host, task))];
        let state = self.state.borrow();
        let nothing = HostVars::default();
        let known = state.hosts.get(host).unwrap_or(&nothing);
        let mut layers = Layers::default();
        layers.push(self.settings.connection_defaults.clone());
        layers.extend(state.play.role_defaults.iter().cloned());
        layers.push(known.role_defaults.clone());
        layers.extend(role.iter().map(|r| r.defaults.clone()));
        layers.extend(
            state
                .inventory
                .layers(host)
                .into_iter()
                .map(|(_, vars)| vars),
        );
        if !self.settings.defaults.hides_facts {
            layers.push_learnt(known.prefixed_facts.clone());
        }
        layers.extend(state.play.vars_layers.iter().cloned());
        layers.extend(state.play.role_vars.iter().cloned());
        layers.push(known.role_vars.clone());
        layers.extend(role.iter().map(|r| r.vars.clone()));
        if let Some(frame) = frame {
            layers.extend(frame.vars(Kind::Inner));
        }
        layers.push(known.included.clone());
        layers.push_learnt(known.set.clone());
        layers.extend(role.iter().map(|r| r.params.clone()));
        if let Some(frame) = frame {
            layers.extend(frame.vars(Kind::Include));
        }
        layers.push(self.settings.extra_vars.clone());
        if layers.get("ansible_host").is_none() && layers.get("ansible_ssh_host").is_none() {
            let own = Map::from([("ansible_host".to_owned(), host.into())]);
            layers.push_learnt(Arc::new(own));
        }
        for vars in magic {
            layers.push_learnt(vars);
        }
        if self.settings.defaults.merges_hashes {
            layers.merge();
        }
        layers
    }

    /// A path of the project as Ansible shows it: absolute, without `.` and `..`.
    pub(crate) fn absolute(&self, path: &Path) -> Value {
        let mut whole = self.settings.cwd.clone();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    whole.pop();
                }
                part => whole.push(part),
            }
        }
        whole.display().to_string().into()
    }

    /// The variables that nobody can override and that are the same for all hosts of the play. They
    /// are kept until a host joins or leaves: made anew for every task and host, the lists of hosts
    /// would cost their square.
    fn shared_magic(&self) -> Arc<Map> {
        let mut state = self.state.borrow_mut();
        let play = &state.play;
        let made_of = [
            play.all_hosts.changes(),
            play.batch.changes(),
            play.gone.changes(),
            play.failing.changes(),
        ];
        if let Some((known, magic)) = &play.magic
            && *known == made_of
        {
            return magic.clone();
        }
        let magic = Arc::new(self.make_shared_magic(play));
        state.play.magic = Some((made_of, magic.clone()));
        magic
    }

    fn make_shared_magic(&self, play: &PlayState) -> Map {
        let list = |hosts: &mut dyn Iterator<Item = &String>| -> Value {
            Value::from(hosts.map(|h| Value::from(h.as_str())).collect::<Vec<_>>())
        };
        let live = |hosts: &[String]| {
            let is_out = |h: &String| {
                play.gone.contains(h) || play.failing.contains(h) || play.forgiven.contains(h)
            };
            let is_live = |h: &&String| !is_out(h);
            list(&mut hosts.iter().filter(is_live))
        };
        let settings = &self.settings;
        let forks = i64::try_from(settings.forks).unwrap_or(i64::MAX);
        let mut magic = Map::with_capacity(16);
        let mut set = |name: &str, value: Value| magic.insert(name.to_owned(), value);
        set("ansible_play_name", play.name.as_str().into());
        set("ansible_verbosity", Value::Int(settings.verbosity.into()));
        set("ansible_play_hosts_all", list(&mut play.all_hosts.iter()));
        set("ansible_play_hosts", live(&play.all_hosts));
        set("ansible_play_batch", live(&play.batch));
        set("play_hosts", live(&play.batch));
        set("playbook_dir", self.absolute(play.folder.as_ref()));
        set("ansible_check_mode", settings.is_check.into());
        set("ansible_diff_mode", settings.shows_diff.into());
        set("ansible_forks", Value::Int(forks));
        set("ansible_version", ansible_version());
        if let Some(limit) = &settings.limit_text {
            set("ansible_limit", limit.as_str().into());
        }
        set("ansible_run_tags", tags(&settings.tags, "all"));
        set("ansible_skip_tags", tags(&settings.skip_tags, ""));
        set("switchback_run_id", settings.run.as_str().into());
        let names = |is_wanted: &dyn Fn(&RoleScope) -> bool| {
            let mut names: Vec<Value> = Vec::new();
            for scope in play.roles.iter().filter(|scope| is_wanted(scope)) {
                let name = Value::from(scope.name.as_str());
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            Value::from(names)
        };
        let direct = names(&|scope| scope.parents.is_empty());
        set("role_names", direct.clone());
        set("ansible_play_role_names", direct);
        set("ansible_role_names", names(&|_| true));
        set(
            "ansible_dependent_role_names",
            names(&|scope| !scope.parents.is_empty()),
        );
        magic
    }

    /// The variables that nobody can override and that are a host's own.
    fn own_magic(&self, host: &str, task: Option<&Task>) -> Map {
        let groups = self.groups();
        let state = self.state.borrow();
        let names = state.inventory.groups_of(host);
        let mut magic = Map::with_capacity(12);
        let mut set = |name: &str, value: Value| magic.insert(name.to_owned(), value);
        set("inventory_hostname", host.into());
        set(
            "inventory_hostname_short",
            host.split('.').next().unwrap_or(host).into(),
        );
        set(
            "group_names",
            Value::from(names.iter().map(|g| Value::from(&**g)).collect::<Vec<_>>()),
        );
        set("groups", groups);
        if let Some(source) = state.inventory.host(host).and_then(|h| h.source.as_ref()) {
            set("inventory_file", self.absolute(source));
            let folder = source.parent().unwrap_or(source);
            set("inventory_dir", self.absolute(folder));
        }
        if let Some(task) = task {
            set(
                "ansible_search_path",
                self.search_path(task, &state.play.folder),
            );
        }
        if let Some(role) = task.and_then(|t| t.role.as_ref()) {
            // A role of a collection has a full name; the short one is without the folders too.
            let parts: Vec<&str> = role.name.split('.').collect();
            let (short, collection) = match parts.as_slice() {
                [namespace, collection, .., short] => {
                    (*short, format!("{namespace}.{collection}").into())
                }
                _ => (role.name.as_str(), Value::Null),
            };
            set("role_name", short.into());
            set("ansible_role_name", role.name.as_str().into());
            set("ansible_collection_name", collection);
            set("role_path", self.absolute(role.path.as_ref()));
            if !role.includers.is_empty() {
                let includers = role.includers.iter().rev();
                let names = includers.clone().filter_map(|i| role.parents.get(*i));
                let names = names.map(|n| n.as_str().into());
                let paths = includers.filter_map(|i| role.parent_paths.get(*i));
                let paths = paths.map(|path| self.absolute(path.as_ref()));
                set(
                    "ansible_parent_role_names",
                    Value::from(names.collect::<Vec<Value>>()),
                );
                set(
                    "ansible_parent_role_paths",
                    Value::from(paths.collect::<Vec<_>>()),
                );
            }
        }
        if let Some(facts) = state.hosts.get(host).map(|h| h.facts.clone()) {
            set("ansible_facts", Value::Map(facts));
        } else {
            set("ansible_facts", Value::from(Map::new()));
        }
        magic
    }

    /// `ansible_search_path`: the role and those around it, the task's folder, the playbook's.
    fn search_path(&self, task: &Task, playbook: &str) -> Value {
        let mut paths: Vec<Value> = Vec::new();
        let mut add = |path: &str| {
            let path = self.absolute(path.as_ref());
            if !paths.contains(&path) {
                paths.push(path);
            }
        };
        if let Some(role) = &task.role {
            add(&role.path);
            role.parent_paths.iter().rev().for_each(|path| add(path));
        }
        add(&task.folder);
        add(playbook);
        Value::from(paths)
    }
}

fn tags(tags: &[String], default: &str) -> Value {
    if tags.is_empty() && !default.is_empty() {
        return Value::from(vec![default.into()]);
    }
    Value::from(
        tags.iter()
            .map(|t| Value::from(t.as_str()))
            .collect::<Vec<_>>(),
    )
}

/// The language level that playbooks may ask for: that of ansible-core 2.19.
fn ansible_version() -> Value {
    Value::from(Map::from([
        ("full".to_owned(), "2.19.0".into()),
        ("major".to_owned(), Value::Int(2)),
        ("minor".to_owned(), Value::Int(19)),
        ("revision".to_owned(), Value::Int(0)),
        ("string".to_owned(), "2.19.0".into()),
    ]))
}
