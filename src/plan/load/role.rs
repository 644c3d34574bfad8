//! Roles: where they are, what their folders hold, what they depend on.
//!
//! Source: ansible-core 2.19, `playbook/role/__init__.py` and `role/definition.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::collections::{self, collection_in};
use super::session::{Session, inherit, not_found};
use super::{folder_of, read_items};
use crate::diag::{Diagnostic, Span, suggest};
use crate::inventory::vars_folder;
use crate::model::read::{Scope, role_use};
use crate::model::{Block, Field, Item, Keywords, RoleScope, RoleUse, StepId};
use crate::syntax::{Kind, Node};
use crate::value::Map;

/// The roles around one, outermost first, each with its own defaults, vars and parameters.
#[derive(Clone, Default)]
struct Around {
    defaults: Map,
    vars: Map,
    params: Map,
    names: Vec<String>,
    paths: Vec<String>,
    includers: Vec<usize>,
}

impl Around {
    fn of(scope: &RoleScope) -> Self {
        let mut around = Self {
            defaults: (*scope.defaults).clone(),
            vars: (*scope.vars).clone(),
            params: (*scope.params).clone(),
            names: scope.parents.clone(),
            paths: scope.parent_paths.clone(),
            includers: scope.includers.clone(),
        };
        around.includers.push(around.names.len());
        around.names.push(scope.name.clone());
        around.paths.push(scope.path.clone());
        around
    }
}

/// What a role is made of, before its tasks are read.
struct Opened {
    items: Vec<Item>,
    scope: Arc<RoleScope>,
}

impl Session<'_> {
    /// Reads an entry of `roles:` or an `import_role`.
    pub(super) fn role(
        &mut self,
        role: &RoleUse,
        id: &str,
        parent: Option<&Arc<RoleScope>>,
    ) -> Vec<Item> {
        let around = parent.map(|p| Around::of(p)).unwrap_or_default();
        let Some(opened) = self.open_role(role, id, &around) else {
            return Vec::new();
        };
        if role
            .is_public
            .unwrap_or(self.loader.has_private_roles != Some(true))
        {
            self.scopes.push(opened.scope);
        }
        opened.items
    }

    /// Reads a role for `include_role`: its scope is exported only when it is public.
    pub(super) fn included_role(
        &mut self,
        role: &RoleUse,
        parent: Option<&Arc<RoleScope>>,
        id: &str,
    ) -> Vec<Item> {
        let around = parent.map(|p| Around::of(p)).unwrap_or_default();
        let role = RoleUse {
            allows_duplicates: role.allows_duplicates.or(Some(true)),
            ..role.clone()
        };
        let Some(opened) = self.open_role(&role, id, &around) else {
            return Vec::new();
        };
        if role
            .is_public
            .unwrap_or(self.loader.has_private_roles == Some(false))
        {
            self.scopes.push(opened.scope);
        }
        opened.items
    }

    fn open_role(&mut self, role: &RoleUse, id: &str, around: &Around) -> Option<Opened> {
        let name = self.known_name(
            &role.name,
            &[
                &around.defaults,
                &around.vars,
                &around.params,
                &role.params,
                &role.keywords.vars,
            ],
        )?;
        let (name, path) = self.find_role(&name, role.name.span, around)?;
        let from = role.tasks_from.as_ref();
        let from = from.and_then(|f| f.value.as_str()).unwrap_or("main");
        let key = (path.clone(), from.to_owned());
        if self.open_roles.contains(&key) {
            self.problems.push(
                Diagnostic::error("SB0113", format!("the role `{name}` depends on itself"))
                    .at(role.name.span, "this closes the circle")
                    .help(format!("open here: {}", self.open_names())),
            );
            return None;
        }
        self.open_roles.push(key);
        let opened = self.role_at(role, id, around, name, &path);
        self.open_roles.pop();
        opened
    }

    fn open_names(&self) -> String {
        let names: Vec<String> = self
            .open_roles
            .iter()
            .filter_map(|(p, _)| p.file_name())
            .map(|n| format!("`{}`", n.display()))
            .collect();
        names.join(", ")
    }

    fn role_at(
        &mut self,
        role: &RoleUse,
        id: &str,
        around: &Around,
        name: String,
        path: &Path,
    ) -> Option<Opened> {
        self.loader.library.add(&path.join("library"));
        let own_defaults = self.role_vars(path, "defaults", role.defaults_from.as_ref())?;
        let own_vars = self.role_vars(path, "vars", role.vars_from.as_ref())?;
        let meta = self.role_meta(path);
        let mut inner = around.clone();
        inner.defaults.extend(own_defaults.clone());
        inner.vars.extend(own_vars.clone());
        inner.params.extend(role.params.clone());
        inner.names.push(name.clone());
        inner.paths.push(path.display().to_string());

        let mut items = Vec::new();
        let (mut defaults, mut vars) = (Map::new(), around.vars.clone());
        for (index, dependency) in meta.dependencies.iter().enumerate() {
            let id = format!("{id}/dependencies/{index}");
            if let Some(opened) = self.open_role(dependency, &id, &inner) {
                defaults.extend((*opened.scope.defaults).clone());
                vars.extend((*opened.scope.vars).clone());
                self.scopes.push(opened.scope);
                items.extend(opened.items);
            }
        }
        defaults.extend(around.defaults.clone());
        defaults.extend(own_defaults);
        vars.extend(own_vars);
        let scope = Arc::new(RoleScope {
            name,
            path: path.display().to_string(),
            defaults: Arc::new(defaults),
            vars: Arc::new(vars),
            params: Arc::new(inner.params.clone()),
            allows_duplicates: role.allows_duplicates.unwrap_or(meta.allows_duplicates),
            parents: around.names.clone(),
            parent_paths: around.paths.clone(),
            includers: around.includers.clone(),
        });
        let specs = self.argument_specs(path, meta.argument_specs);
        let mut tasks = Vec::from_iter(self.validation(role, specs.as_ref(), &scope, id));
        tasks.extend(self.role_list(path, "tasks", role.tasks_from.as_ref(), &scope, id));
        let mut handlers =
            self.role_list(path, "handlers", role.handlers_from.as_ref(), &scope, id);
        for handler in &mut handlers {
            inherit(handler, &role.keywords);
        }
        self.take_handlers(handlers);
        // The keywords of a role's use reach its dependencies too, whereas "once per play" is
        // decided for each role by itself, keywords included: hence two blocks with the same
        // keywords where there are dependencies.
        let keywords = role.keywords.clone();
        let own = block(id, role.span, tasks, keywords.clone(), Some(&scope));
        let items = if items.is_empty() {
            vec![own]
        } else {
            items.push(own);
            vec![block(id, role.span, items, keywords, None)]
        };
        Some(Opened { items, scope })
    }

    /// `tasks/` or `handlers/` of a role.
    fn role_list(
        &mut self,
        path: &Path,
        kind: &'static str,
        from: Option<&Field>,
        scope: &Arc<RoleScope>,
        id: &str,
    ) -> Vec<Item> {
        let Some(files) = self.role_files(path, kind, from, false) else {
            return Vec::new();
        };
        let Some(file) = files.first() else {
            return Vec::new();
        };
        let inner = Scope {
            folder: folder_of(file),
            role: Some(scope.clone()),
            is_handlers: kind == "handlers",
        };
        let prefix = format!("{id}>{}", self.loader.relative(file));
        self.tasks(file, from.map_or(Span::NONE, |f| f.span), &inner, &prefix)
    }

    /// `defaults/` or `vars/` of a role.
    fn role_vars(&mut self, path: &Path, kind: &'static str, from: Option<&Field>) -> Option<Map> {
        let mut all = Map::new();
        for file in self.role_files(path, kind, from, true)? {
            let vars = self.loader.read_vars(&file, Span::NONE, &mut self.problems);
            all.extend(vars.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        Some(all)
    }

    /// The files of one of a role's folders: `main` or what `*_from` names.
    fn role_files(
        &mut self,
        path: &Path,
        kind: &'static str,
        from: Option<&Field>,
        takes_folder: bool,
    ) -> Option<Vec<PathBuf>> {
        let folder = path.join(kind);
        let name = match from {
            Some(from) => self.known_name(from, &[])?,
            None => "main".to_owned(),
        };
        if let Some(from) = from.filter(|_| !is_inside(&name)) {
            self.problems.push(
                Diagnostic::error(
                    "SB0101",
                    format!(
                        "`{kind}/{name}` of a role cannot be loaded, as it is not inside the expected \
                         role path: `{}`",
                        folder.display()
                    ),
                )
                .at(from.span, "named here"),
            );
            return None;
        }
        let extensions: &[&str] = if from.is_some() {
            &["", ".yml", ".yaml", ".json"]
        } else {
            &[".yml", ".yaml", ".json", ""]
        };
        let tried: Vec<PathBuf> = extensions
            .iter()
            .map(|ext| folder.join(format!("{name}{ext}")))
            .collect();
        for file in &tried {
            if file.is_file() {
                return Some(vec![file.clone()]);
            }
            if file.is_dir() && takes_folder {
                return vars_folder(file)
                    .map_err(|problem| self.problems.push(problem))
                    .ok();
            }
        }
        // A `*_from` that is missing is an error only where the role has such a folder at all, as
        // in Ansible; for tasks we always say so.
        if let Some(from) = from.filter(|_| folder.is_dir() || kind == "tasks") {
            self.problems
                .push(not_found(&format!("{kind}/{name}"), &tried).at(from.span, "named here"));
            return None;
        }
        Some(Vec::new())
    }

    fn role_meta(&mut self, path: &Path) -> Meta {
        let mut meta = Meta::default();
        let Some(file) = ["yml", "yaml", "json"]
            .iter()
            .map(|ext| path.join("meta").join(format!("main.{ext}")))
            .find(|file| file.is_file())
        else {
            return meta;
        };
        let Some(node) = self.loader.read(&file, Span::NONE, &mut self.problems) else {
            return meta;
        };
        if node.is_null() {
            return meta;
        }
        let Some(entries) = self.problems.map("meta", &node).map(<[_]>::to_vec) else {
            return meta;
        };
        for entry in &entries {
            match &*entry.key {
                "dependencies" => {
                    let items: Vec<Node> =
                        self.problems.list("dependencies", &entry.value).to_vec();
                    let uses = items.iter().filter_map(|n| role_use(n, &mut self.problems));
                    meta.dependencies = uses.collect();
                }
                "allow_duplicates" => {
                    meta.allows_duplicates = self
                        .problems
                        .bool("allow_duplicates", &entry.value)
                        .unwrap_or(false);
                }
                "argument_specs" => meta.argument_specs = Some(entry.value.clone()),
                "galaxy_info" | "collections" => {}
                _ => self.problems.push(
                    Diagnostic::warning(
                        "SB0103",
                        format!("`{}` in a role's metadata has no effect", entry.key),
                    )
                    .at(entry.key_span, "not known here"),
                ),
            }
        }
        meta
    }

    /// A role of a collection, by its full name, or as one of the collection that its user is in or
    /// of the play's `collections`.
    fn collection_role(&self, name: &str, around: &Around) -> Option<(String, PathBuf)> {
        let names: Vec<String> = match name.matches('.').count() {
            0 => {
                let own = around.names.last().and_then(|name| collection_in(name));
                let known = own.into_iter().chain(self.play_collections.iter().cloned());
                known.map(|c| format!("{c}.{name}")).collect()
            }
            _ => vec![name.to_owned()],
        };
        let beside = self.loader.root.join("collections");
        names.into_iter().find_map(|name| {
            let roots = std::iter::once(&beside).chain(&self.loader.collections_path);
            let path = collections::role(&name, roots)?;
            // Folders between the collection and the role are no part of the name that is shown.
            let short = name.rsplit('.').next().unwrap_or_default();
            Some((format!("{}.{short}", collection_in(&name)?), path))
        })
    }

    /// The shown name and the folder of a role.
    fn find_role(&mut self, name: &str, at: Span, around: &Around) -> Option<(String, PathBuf)> {
        if let Some(found) = self.collection_role(name, around) {
            return Some(found);
        }
        let mut roots = vec![
            self.play_folder.join("roles"),
            self.loader.root.join("roles"),
        ];
        roots.extend(self.loader.roles_path.iter().cloned());
        roots.extend(
            around
                .paths
                .last()
                .and_then(|p| Path::new(p).parent())
                .map(Path::to_owned),
        );
        roots.extend([self.play_folder.clone(), self.loader.root.clone()]);
        let mut searched: Vec<PathBuf> = Vec::new();
        for root in roots {
            if !searched.contains(&root) {
                searched.push(root);
            }
        }
        let path = searched
            .iter()
            .map(|root| root.join(name))
            .find(|path| path.is_dir());
        if let Some(path) =
            path.or_else(|| Some(PathBuf::from(name)).filter(|p| name.contains('/') && p.is_dir()))
        {
            let shown = if name.starts_with('/') || name.starts_with('.') {
                Path::new(name)
                    .file_name()
                    .map_or(name.to_owned(), |n| n.display().to_string())
            } else {
                name.to_owned()
            };
            return Some((shown, clean(&path)));
        }
        self.problems
            .push(role_not_found(name, &searched).at(at, "named here"));
        None
    }
}

/// Whether a relative path stays in the folder where it begins.
fn is_inside(name: &str) -> bool {
    use std::path::Component;
    let mut depth = 0_i32;
    Path::new(name).components().all(|part| {
        depth += match part {
            Component::Normal(_) => 1,
            Component::ParentDir => -1,
            Component::CurDir => 0,
            Component::RootDir | Component::Prefix(_) => return false,
        };
        depth >= 0
    })
}

#[derive(Default)]
struct Meta {
    dependencies: Vec<RoleUse>,
    allows_duplicates: bool,
    argument_specs: Option<Node>,
}

fn block(
    id: &str,
    span: Span,
    tasks: Vec<Item>,
    keywords: Keywords,
    role: Option<&Arc<RoleScope>>,
) -> Item {
    Item::Block(Box::new(Block {
        id: StepId(id.to_owned()),
        span,
        keywords,
        block: tasks,
        rescue: Vec::new(),
        always: Vec::new(),
        undo: None,
        role: role.cloned(),
        is_written: false,
    }))
}

/// A path without `.` and `..`, so that one role has one name.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

fn role_not_found(name: &str, searched: &[PathBuf]) -> Diagnostic {
    let problem = Diagnostic::error("SB0114", format!("there is no role `{name}`"));
    let known: Vec<String> = searched
        .iter()
        .filter(|root| root.ends_with("roles"))
        .filter_map(|root| std::fs::read_dir(root).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    if let Some(near) = suggest(name, known.iter().map(String::as_str)) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    let paths: Vec<String> = searched
        .iter()
        .map(|p| format!("`{}`", p.display()))
        .collect();
    problem.help(format!("searched in {}", paths.join(", ")))
}

impl Session<'_> {
    /// Reads `roles:` of a play.
    pub(super) fn roles(&mut self, node: &Node, id: &str) -> Vec<Item> {
        let items: Vec<Node> = self.problems.list("roles", node).to_vec();
        let mut blocks = Vec::new();
        for (index, node) in items.iter().enumerate() {
            if let Some(role) = role_use(node, &mut self.problems) {
                blocks.extend(self.role(&role, &format!("{id}/roles/{index}"), None));
            }
        }
        blocks
    }

    /// Handlers of a play.
    pub(super) fn handlers(&mut self, node: &Node, id: &str) {
        let folder = self.play_folder.display().to_string();
        let scope = Scope {
            folder,
            role: None,
            is_handlers: true,
        };
        if !matches!(node.kind, Kind::List(_) | Kind::Null) {
            self.problems.wrong_type("handlers", "a list", node);
            return;
        }
        let items = read_items(self, "handlers", node, &scope, &format!("{id}/handlers"));
        self.take_handlers(items);
    }

    /// Keeps handlers; those of a static import (a block without keywords) one by one.
    fn take_handlers(&mut self, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Task(task) => self.handlers.push(*task),
                Item::Block(block) => {
                    let is_plain = block.rescue.is_empty()
                        && block.always.is_empty()
                        && Keywords {
                            name: None,
                            ..block.keywords.clone()
                        } == Keywords::default();
                    if is_plain {
                        self.take_handlers(block.block);
                    } else {
                        self.problems.push(
                            Diagnostic::error("SB0108", "a block of handlers is not supported")
                                .at(block.span, "it has keywords, `rescue` or `always`")
                                .help("give the keywords to each handler"),
                        );
                    }
                }
            }
        }
    }
}
