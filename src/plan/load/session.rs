//! One reading of a playbook or include: what is open, what was found.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest as _;

use super::{Loader, folder_of, read_items};
use crate::diag::{Diagnostic, SourceMap, Span};
use crate::model::read::{ImportTasks, Scope, Surroundings};
use crate::model::{Block, Field, Item, Keywords, RoleScope, RoleUse, StepId, Task};
use crate::modules::LIBRARY_MODULE;
use crate::plan::actions::{action_name, action_names, arguments};
use crate::plan::find::expand_home;
use crate::plan::library;
use crate::syntax::{Kind, Problems};
use crate::value::{Map, Value};

/// What is being read.
pub(super) struct Session<'a> {
    pub(super) loader: &'a mut Loader,
    pub(super) problems: Problems,
    /// Variables of the play and of the imports around it.
    pub(super) play_vars: Map,
    /// The folder of the play's file.
    pub(super) play_folder: PathBuf,
    /// `collections` of the play, where roles with short names are searched first.
    pub(super) play_collections: Vec<String>,
    /// Static imports that are open, to find circles.
    pub(super) open: Vec<PathBuf>,
    /// Roles that are open, to find circles.
    pub(super) open_roles: Vec<(PathBuf, String)>,
    /// Handlers of the roles of the play.
    pub(super) handlers: Vec<Task>,
    /// Scopes of the play's public roles.
    pub(super) scopes: Vec<Arc<RoleScope>>,
}

/// What one reading found besides its result.
pub(super) struct Found {
    pub(super) problems: Vec<Diagnostic>,
    pub(super) handlers: Vec<Task>,
    pub(super) scopes: Vec<Arc<RoleScope>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(loader: &'a mut Loader) -> Self {
        let (play_folder, play_vars) = (loader.play_folder.clone(), loader.play_vars.clone());
        let play_collections = loader.play_collections.clone();
        Self {
            loader,
            problems: Problems::default(),
            play_vars,
            play_folder,
            play_collections,
            open: Vec::new(),
            open_roles: Vec::new(),
            handlers: Vec::new(),
            scopes: Vec::new(),
        }
    }

    /// The problems, and the handlers and scopes that have not been taken.
    pub(super) fn finish(self) -> Found {
        Found {
            problems: self.problems.0,
            handlers: self.handlers,
            scopes: self.scopes,
        }
    }

    /// Reads a file of tasks.
    pub(super) fn tasks(
        &mut self,
        path: &Path,
        at: Span,
        scope: &Scope,
        prefix: &str,
    ) -> Vec<Item> {
        let Some(node) = self.loader.read(path, at, &mut self.problems) else {
            return Vec::new();
        };
        if !matches!(node.kind, Kind::List(_) | Kind::Null) {
            self.problems.push(
                Diagnostic::error("SB0102", "a file of tasks must be a list")
                    .at(node.span, format!("found {}", node.type_name()))
                    .help("begin each task with `- `"),
            );
            return Vec::new();
        }
        if let Some(play) = node
            .as_list()
            .and_then(|l| l.iter().find(|n| n.entry("hosts").is_some()))
        {
            self.problems.push(
                Diagnostic::error("SB0103", "a play stands in a file of tasks")
                    .at(play.span, "`hosts` makes it a play")
                    .help("use `import_playbook` among the plays, or keep the tasks only"),
            );
            return Vec::new();
        }
        self.open.push(path.to_owned());
        let items = read_items(self, "tasks", &node, scope, prefix);
        self.open.pop();
        items
    }

    /// The text of a name that must be known before the run.
    pub(super) fn known_name(&mut self, name: &Field, vars: &[&Map]) -> Option<String> {
        let crate::value::Value::Str(text) = &name.value else {
            self.problems.push(
                Diagnostic::error("SB0102", "a name must be a string")
                    .at(name.span, format!("found {}", name.value.type_name())),
            );
            return None;
        };
        if !text.is_template() {
            return Some(text.as_str().trim().to_owned());
        }
        let mut all = self.play_vars.clone();
        for vars in vars.iter().copied().chain([&self.loader.extra_vars]) {
            all.extend(vars.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        match (self.loader.renderer)(text.as_str(), &all) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(why) => {
                self.problems.push(
                    Diagnostic::error("SB0121", "this name must be known before the run")
                        .at(name.span, why)
                        .help("use extra vars, play vars or role vars in it, or a dynamic `include_*`"),
                );
                None
            }
        }
    }

    /// Finds the file of a static import.
    fn find_tasks(&mut self, name: &str, at: Span, scope: &Scope) -> Option<PathBuf> {
        let mut tried: Vec<PathBuf> = Vec::new();
        if name.starts_with('/') || name.starts_with('~') {
            tried.push(expand_home(name));
        } else {
            tried.push(Path::new(&scope.folder).join(name));
            if let Some(role) = &scope.role {
                let kind = if scope.is_handlers {
                    "handlers"
                } else {
                    "tasks"
                };
                tried.push(Path::new(&role.path).join(kind).join(name));
                tried.push(Path::new(&role.path).join(name));
            }
            tried.push(self.play_folder.join(name));
            tried.dedup();
        }
        let found = tried.iter().find(|path| path.is_file()).cloned();
        if found.is_none() {
            self.problems
                .push(not_found(name, &tried).at(at, "named here"));
        }
        found
    }
}

/// A file that none of the paths has.
pub(super) fn not_found(name: &str, tried: &[PathBuf]) -> Diagnostic {
    let paths: Vec<String> = tried.iter().map(|p| format!("`{}`", p.display())).collect();
    Diagnostic::error("SB0101", format!("there is no file `{name}`"))
        .help(format!("searched: {}", paths.join(", ")))
}

impl Surroundings for Session<'_> {
    fn problems(&mut self) -> &mut Problems {
        &mut self.problems
    }

    fn action(&self, name: &str) -> Option<&'static str> {
        // As in Ansible, a module of `library/` goes before one of the same short name.
        if self.loader.library.find(name).is_some() {
            return Some(LIBRARY_MODULE);
        }
        action_name(name)
    }

    fn library_args(&mut self, name: &str, at: Span) -> Map {
        let Some(path) = self.loader.library.find(name) else {
            return Map::new();
        };
        let calling = match library::calling(path) {
            Ok(calling) => calling,
            Err(why) => {
                self.problems.push(
                    Diagnostic::error("SB0105", format!("the module `{name}` cannot be run"))
                        .at(at, why)
                        .help("a module is a program of yours that reads its arguments from a file: binary, or with `WANT_JSON`"),
                );
                return Map::new();
            }
        };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        note_program(&mut self.loader.sources, &path);
        let calling = serde_json::to_value(calling).unwrap_or_default();
        Map::from([
            ("_module".to_owned(), name.into()),
            ("_path".to_owned(), path.display().to_string().into()),
            ("_calling".to_owned(), Value::from_json(calling)),
        ])
    }

    fn arguments(&self, name: &str) -> &'static [&'static str] {
        arguments(name)
    }

    fn action_names(&self) -> Vec<&'static str> {
        action_names()
    }

    fn import_tasks(&mut self, import: ImportTasks<'_>, scope: &Scope) -> Vec<Item> {
        let role_vars: Vec<&Map> = scope
            .role
            .iter()
            .flat_map(|r| [&*r.defaults, &*r.vars, &*r.params])
            .collect();
        let vars: Vec<&Map> = role_vars
            .into_iter()
            .chain([&import.keywords.vars])
            .collect();
        let Some(name) = self.known_name(import.file, &vars) else {
            return Vec::new();
        };
        let Some(path) = self.find_tasks(&name, import.file.span, scope) else {
            return Vec::new();
        };
        if self.open.contains(&path) {
            let chain: Vec<String> = self
                .open
                .iter()
                .map(|p| format!("`{}`", p.display()))
                .collect();
            self.problems.push(
                Diagnostic::error("SB0113", format!("`{}` imports itself", path.display()))
                    .at(import.file.span, "this closes the circle")
                    .help(format!("open here: {}", chain.join(", "))),
            );
            return Vec::new();
        }
        let inner = Scope {
            folder: folder_of(&path),
            ..scope.clone()
        };
        let prefix = format!("{}>{}", import.id, self.loader.relative(&path));
        let mut items = self.tasks(&path, import.file.span, &inner, &prefix);
        if scope.is_handlers {
            for item in &mut items {
                inherit(item, import.keywords);
            }
            return items;
        }
        vec![Item::Block(Box::new(Block {
            id: StepId(import.id.to_owned()),
            span: import.span,
            keywords: import.keywords.clone(),
            block: items,
            rescue: Vec::new(),
            always: Vec::new(),
            undo: None,
            role: None,
            is_written: false,
        }))]
    }

    fn import_role(&mut self, role: &RoleUse, id: &str, scope: &Scope) -> Vec<Item> {
        let role = RoleUse {
            allows_duplicates: role.allows_duplicates.or(Some(true)),
            ..role.clone()
        };
        self.role(&role, id, scope.role.as_ref())
    }
}

/// Notes a program of the user among the files of the project, so that a run that is gone on with
/// knows whether it is the same; of one that is no text, its hash.
fn note_program(sources: &mut SourceMap, path: &Path) {
    if sources.files().any(|(known, _)| known == path) {
        return;
    }
    // One that cannot be read is told of when its task runs.
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        let hash = sha2::Sha256::digest(error.as_bytes());
        let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("program, SHA-256 {}\n", hex.concat())
    });
    sources.add(path, text);
}

/// Handlers have no blocks, so that what an import says is copied onto each.
pub(super) fn inherit(item: &mut Item, outer: &Keywords) {
    let Item::Task(task) = item else { return };
    let inner = &mut task.keywords;
    inner.when.splice(0..0, outer.when.iter().cloned());
    inner.tags.extend(outer.tags.iter().cloned());
    inner
        .environment
        .splice(0..0, outer.environment.iter().cloned());
    inner
        .module_defaults
        .splice(0..0, outer.module_defaults.iter().cloned());
    for (name, value) in &outer.vars {
        inner
            .vars
            .entry(name.clone())
            .or_insert_with(|| value.clone());
    }
    let pairs = [
        (&mut inner.r#become, &outer.r#become),
        (&mut inner.become_user, &outer.become_user),
        (&mut inner.become_method, &outer.become_method),
        (&mut inner.become_flags, &outer.become_flags),
        (&mut inner.become_exe, &outer.become_exe),
        (&mut inner.check_mode, &outer.check_mode),
        (&mut inner.diff, &outer.diff),
        (&mut inner.no_log, &outer.no_log),
        (&mut inner.ignore_errors, &outer.ignore_errors),
        (&mut inner.ignore_unreachable, &outer.ignore_unreachable),
        (&mut inner.any_errors_fatal, &outer.any_errors_fatal),
        (&mut inner.delegate_to, &outer.delegate_to),
        (&mut inner.delegate_facts, &outer.delegate_facts),
        (&mut inner.run_once, &outer.run_once),
        (&mut inner.throttle, &outer.throttle),
        (&mut inner.timeout, &outer.timeout),
        (&mut inner.connection, &outer.connection),
        (&mut inner.port, &outer.port),
        (&mut inner.remote_user, &outer.remote_user),
    ];
    for (inner, outer) in pairs {
        if inner.is_none() {
            inner.clone_from(outer);
        }
    }
}
