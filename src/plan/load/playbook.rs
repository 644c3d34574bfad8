//! Playbook files: plays, imported playbooks and the header of the change.

use std::path::{Path, PathBuf};

use super::collections::{collection_of, collection_playbooks};
use super::session::Session;
use super::{folder_of, read_items};
use crate::diag::{Diagnostic, Span};
use crate::model::read::{self, Scope};
use crate::model::{Change, Import, Item, Play, Playbook, PlaybookEntry, Steps};
use crate::plan::check;
use crate::plan::find::expand_home;
use crate::syntax::{Kind, Node};

impl Session<'_> {
    /// Reads the root playbook.
    pub(super) fn playbook(&mut self, path: &Path) -> Playbook {
        let mut playbook = Playbook {
            path: path.display().to_string(),
            change: None,
            entries: Vec::new(),
        };
        let id = self.loader.relative(path);
        self.file(path, Span::NONE, &id, &[], &mut playbook);
        if playbook.entries.is_empty() && self.problems.0.is_empty() {
            self.problems.push(
                Diagnostic::error("SB0124", format!("`{}` has no plays", path.display()))
                    .help("a playbook is a list of plays, each with `hosts` and tasks or roles"),
            );
        }
        playbook
    }

    fn file(
        &mut self,
        path: &Path,
        at: Span,
        id: &str,
        imports: &[Import],
        playbook: &mut Playbook,
    ) {
        let Some(node) = self.loader.read(path, at, &mut self.problems) else {
            return;
        };
        let Some(entries) = node.as_list() else {
            if !node.is_null() {
                self.problems.push(
                    Diagnostic::error("SB0102", "a playbook must be a list of plays")
                        .at(node.span, format!("found {}", node.type_name()))
                        .help("begin each play with `- `"),
                );
            }
            return;
        };
        let beside = path.parent().unwrap_or(Path::new("")).join("library");
        self.loader.library.add(&beside);
        self.open.push(path.to_owned());
        for (index, entry) in entries.iter().enumerate() {
            let id = format!("{id}/{index}");
            if entry.is_null() {
                continue;
            }
            if entry.as_map().is_none() {
                self.problems.wrong_type("play", "a mapping", entry);
            } else if entry.entry("change").is_some() && entry.entry("hosts").is_none() {
                self.header(entry, index, &id, path, imports, playbook);
            } else if is_import(entry) {
                self.import(entry, &id, path, imports, playbook);
            } else if let Some(play) = self.play(entry, &id, path, imports) {
                let folder = folder_of(path);
                playbook.entries.push(PlaybookEntry {
                    play,
                    imports: imports.to_vec(),
                    folder,
                });
            }
        }
        self.open.pop();
    }

    fn header(
        &mut self,
        node: &Node,
        index: usize,
        id: &str,
        path: &Path,
        imports: &[Import],
        playbook: &mut Playbook,
    ) {
        if index != 0 {
            self.problems.push(
                Diagnostic::error("SB0118", "`change` must be the first entry of the playbook")
                    .at(node.span, "it stands behind others")
                    .help("move it to the top"),
            );
            return;
        }
        let scope = Scope {
            folder: folder_of(path),
            role: None,
            is_handlers: false,
        };
        let Some(change) = read::change(node, id, self, &scope) else {
            return;
        };
        self.ways_back(&change, path, id);
        if imports.is_empty() {
            self.same_names(&change, &[]);
            playbook.change = Some(change);
            return;
        }
        let is_more = change.window_s.is_some() || change.rehearse.is_some();
        if is_more {
            self.problems.push(
                Diagnostic::warning(
                    "SB0131",
                    format!("the header of `{}` counts in part", path.display()),
                )
                .at(
                    node.span,
                    "only `protect`, `guards` and `ways_back` of an imported playbook count",
                ),
            );
        }
        let root = playbook.change.get_or_insert_default();
        let known: Vec<(String, Span)> = root
            .ways_back
            .iter()
            .map(|way| (way.name.clone(), way.span))
            .collect();
        root.protect.extend(change.protect.clone());
        root.guards.extend(change.guards.clone());
        root.ways_back.extend(change.ways_back.clone());
        self.same_names(&change, &known);
    }

    /// Reads what the ways back run, so that a broken one is found before it is needed.
    fn ways_back(&mut self, change: &Change, path: &Path, id: &str) {
        for (index, way) in change.ways_back.iter().enumerate() {
            let id = format!("{id}/ways_back/{index}");
            match &way.steps {
                Steps::Tasks { .. } | Steps::UndoOf(_) => {}
                Steps::Role { role, .. } => {
                    if role.name.value.has_template() {
                        continue;
                    }
                    let items = self.role(role, &id, None);
                    let handlers = std::mem::take(&mut self.handlers);
                    self.scopes.clear();
                    self.problems.0.extend(check::items(&items, &handlers));
                }
                Steps::Playbook(file) => {
                    let Some(name) = self.known_name(file, &[]) else {
                        continue;
                    };
                    let Some(target) = self.find_playbook(&name, path, file.span) else {
                        continue;
                    };
                    let mut playbook = Playbook {
                        path: target.display().to_string(),
                        change: None,
                        entries: Vec::new(),
                    };
                    if !self.open.contains(&target) {
                        self.file(&target, file.span, &id, &[], &mut playbook);
                        self.problems.0.extend(check::playbook(&playbook));
                    }
                }
            }
        }
    }

    fn same_names(&mut self, change: &Change, known: &[(String, Span)]) {
        let mut seen = known.to_vec();
        for way in &change.ways_back {
            if let Some((_, first)) = seen.iter().find(|(name, _)| *name == way.name) {
                self.problems.push(
                    Diagnostic::error("SB0119", format!("two ways back are called `{}`", way.name))
                        .at(way.span, "the second one")
                        .at(*first, "the first one")
                        .help("rename one of them"),
                );
            }
            seen.push((way.name.clone(), way.span));
        }
    }

    fn import(
        &mut self,
        node: &Node,
        id: &str,
        path: &Path,
        imports: &[Import],
        playbook: &mut Playbook,
    ) {
        let Some((file, keywords)) = read::import_playbook(node, &mut self.problems) else {
            return;
        };
        let outer: Vec<_> = imports.iter().map(|i| i.keywords.vars.clone()).collect();
        let mut vars: Vec<_> = outer.iter().collect();
        vars.push(&keywords.vars);
        let Some(name) = self.known_name(&file, &vars) else {
            return;
        };
        let Some(target) = self.find_playbook(&name, path, file.span) else {
            return;
        };
        if self.open.contains(&target) {
            self.problems.push(
                Diagnostic::error("SB0113", format!("`{}` imports itself", target.display()))
                    .at(file.span, "this closes the circle"),
            );
            return;
        }
        let mut chain = imports.to_vec();
        chain.push(Import {
            path: target.display().to_string(),
            keywords,
        });
        let id = format!("{id}>{}", self.loader.relative(&target));
        self.file(&target, file.span, &id, &chain, playbook);
    }

    fn find_playbook(&mut self, name: &str, from: &Path, at: Span) -> Option<PathBuf> {
        let beside = from
            .parent()
            .unwrap_or(Path::new(""))
            .join(expand_home(name));
        let mut tried = vec![beside];
        let own = self.loader.root.join("collections");
        let roots = std::iter::once(&own).chain(&self.loader.collections_path);
        tried.extend(collection_playbooks(name, roots));
        let found = tried.iter().find(|path| path.is_file()).cloned();
        if found.is_none() {
            self.problems
                .push(super::session::not_found(name, &tried).at(at, "named here"));
        }
        found
    }

    fn play(&mut self, node: &Node, id: &str, path: &Path, imports: &[Import]) -> Option<Play> {
        let parts = read::play(node, id.to_owned(), &mut self.problems)?;
        let mut play = parts.play;
        self.play_folder = PathBuf::from(folder_of(path));
        self.play_vars.clone_from(&play.keywords.vars);
        for import in imports {
            self.play_vars.extend(import.keywords.vars.clone());
        }
        // What a playbook of a collection names is first sought in that collection.
        if let Some(own) = collection_of(path)
            && !play.keywords.collections.contains(&own)
        {
            play.keywords.collections.insert(0, own);
        }
        self.play_collections.clone_from(&play.keywords.collections);
        self.scopes.clear();
        self.handlers.clear();
        if let Some(roles) = parts.roles {
            play.roles = self.roles(roles, id);
        }
        if let Some(handlers) = parts.handlers {
            self.handlers(handlers, id);
        }
        let scope = Scope {
            folder: folder_of(path),
            role: None,
            is_handlers: false,
        };
        let mut list = |what: &str, node: Option<&Node>| -> Vec<Item> {
            let Some(node) = node else { return Vec::new() };
            if !matches!(node.kind, Kind::List(_) | Kind::Null) {
                self.problems.wrong_type(what, "a list of tasks", node);
                return Vec::new();
            }
            read_items(self, what, node, &scope, &format!("{id}/{what}"))
        };
        play.pre_tasks = list("pre_tasks", parts.pre_tasks);
        play.tasks = list("tasks", parts.tasks);
        play.post_tasks = list("post_tasks", parts.post_tasks);
        play.handlers = std::mem::take(&mut self.handlers);
        play.role_scopes = std::mem::take(&mut self.scopes);
        Some(play)
    }
}

fn is_import(node: &Node) -> bool {
    [
        "import_playbook",
        "ansible.builtin.import_playbook",
        "ansible.legacy.import_playbook",
    ]
    .iter()
    .any(|key| node.entry(key).is_some())
}
