//! Reads playbooks, roles, tasks and variables from files.

mod argument_specs;
mod collections;
mod playbook;
mod role;
mod session;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::collections::collection_playbooks;
use self::session::{Found, Session};
use super::check;
use super::library::Library;
use crate::diag::{Diagnostic, Severity, SourceMap, Span};
use crate::model::read::{Reader, Scope};
use crate::model::{Item, Playbook, PlaybookEntry, RoleScope, RoleUse, Task};
use crate::syntax::{Kind, Node, Problems, read_document};
use crate::value::Map;

/// Renders a template with variables, for the few names that must be known before the run.
pub type Renderer = dyn Fn(&str, &Map) -> Result<String, String> + Send + Sync;

/// Reads the files of playbooks. Files are read once and kept, so that one run sees one text.
pub struct Loader {
    /// The texts of all files read so far.
    pub sources: SourceMap,
    /// Whether duplicate keys are warnings, as in Ansible, instead of errors.
    pub is_tolerant: bool,
    /// Whether roles keep their variables to themselves, where the configuration says so
    /// (`private_role_vars`).
    pub has_private_roles: Option<bool>,
    roles_path: Vec<PathBuf>,
    collections_path: Vec<PathBuf>,
    extra_vars: Map,
    renderer: Box<Renderer>,
    root: PathBuf,
    play_folder: PathBuf,
    play_vars: Map,
    play_collections: Vec<String>,
    files: HashMap<PathBuf, Arc<Node>>,
    vars: HashMap<PathBuf, Arc<Map>>,
    warnings: Vec<Diagnostic>,
    pub(super) library: Library,
}

/// What a dynamic include brings.
#[derive(Clone, Debug, Default)]
pub struct Included {
    /// The file, or the name of the role.
    pub name: String,
    /// Its tasks.
    pub items: Vec<Item>,
    /// Handlers of roles in it.
    pub handlers: Vec<Task>,
    /// The scopes of roles in it, public ones only.
    pub scopes: Vec<Arc<RoleScope>>,
}

impl Default for Loader {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new(), Map::new())
    }
}

/// What Ansible finds only when the task runs: arguments of modules, names of handlers and facts,
/// keywords that are no boolean or number.
const LEFT_TO_THE_RUN: &[&str] = &["SB0104", "SB0109", "SB0110", "SB0115", "SB0116", "SB0125"];

impl Loader {
    /// A loader that searches roles in `roles/` beside the playbook and then in `roles_path`,
    /// collections in `collections/` beside the playbook and then in `collections_path`.
    pub fn new(roles_path: Vec<PathBuf>, collections_path: Vec<PathBuf>, extra_vars: Map) -> Self {
        Self {
            sources: SourceMap::default(),
            is_tolerant: false,
            has_private_roles: None,
            roles_path,
            collections_path,
            extra_vars,
            renderer: Box::new(plain_names),
            root: PathBuf::new(),
            play_folder: PathBuf::new(),
            play_vars: Map::new(),
            play_collections: Vec::new(),
            files: HashMap::new(),
            vars: HashMap::new(),
            warnings: Vec::new(),
            library: Library::default(),
        }
    }

    /// Sets how names in static imports are rendered; before, only `{{ name }}` is known.
    pub fn set_renderer(&mut self, renderer: Box<Renderer>) {
        self.renderer = renderer;
    }

    /// Adds a folder where modules of the user are searched, after those that were added before.
    pub fn add_library(&mut self, folder: &Path) {
        self.library.add(folder);
    }

    /// The warnings noted so far; they are forgotten.
    pub fn take_warnings(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.warnings)
    }

    /// Takes a text for that of a file that is not there.
    pub fn put(&mut self, path: &Path, text: String) {
        let (node, _) = read_document(&mut self.sources, path, text);
        self.files.insert(path.to_owned(), Arc::new(node));
    }

    /// Reads a playbook with all that it imports.
    ///
    /// # Errors
    /// All problems of all files.
    pub fn playbook(&mut self, path: &Path) -> Result<Playbook, Vec<Diagnostic>> {
        self.root = path.parent().map(Path::to_owned).unwrap_or_default();
        self.play_folder.clone_from(&self.root);
        let beside = self.root.join("library");
        self.library.add(&beside);
        let mut session = Session::new(self);
        let playbook = session.playbook(path);
        let mut problems = session.finish().problems;
        problems.extend(self.due_now(check::playbook(&playbook)));
        let problems = self.sift(problems);
        if problems.is_empty() {
            Ok(playbook)
        } else {
            Err(problems)
        }
    }

    /// Says which play runs: its folder, variables and collections count for what is included from
    /// now on.
    pub fn enter_play(&mut self, entry: &PlaybookEntry) {
        self.play_folder = PathBuf::from(&entry.folder);
        self.play_vars.clone_from(&entry.play.keywords.vars);
        self.play_collections
            .clone_from(&entry.play.keywords.collections);
        for import in &entry.imports {
            self.play_vars.extend(import.keywords.vars.clone());
        }
    }

    /// Reads a file of tasks for `include_tasks`; ids begin with `prefix` (the includer's id with
    /// its item), followed by `>` and the file.
    ///
    /// # Errors
    /// All problems of the file and of what it imports.
    pub fn tasks_file(
        &mut self,
        path: &Path,
        role: Option<Arc<RoleScope>>,
        is_handlers: bool,
        prefix: &str,
    ) -> Result<Included, Vec<Diagnostic>> {
        let scope = Scope {
            folder: folder_of(path),
            role,
            is_handlers,
        };
        let prefix = format!("{prefix}>{}", self.relative(path));
        let mut session = Session::new(self);
        let items = session.tasks(path, Span::NONE, &scope, &prefix);
        let found = session.finish();
        let name = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.included(found, items, name.display().to_string())
    }

    /// Reads a role for `include_role`: `role` holds rendered names, `parent` is the role of the
    /// including task.
    ///
    /// # Errors
    /// All problems of the role's files and of what it imports.
    pub fn role(
        &mut self,
        role: &RoleUse,
        parent: Option<&Arc<RoleScope>>,
        prefix: &str,
    ) -> Result<Included, Vec<Diagnostic>> {
        let mut session = Session::new(self);
        let items = session.included_role(role, parent, prefix);
        let found = session.finish();
        let name = role.name.value.as_str().unwrap_or_default().to_owned();
        self.included(found, items, name)
    }

    fn included(
        &mut self,
        found: Found,
        items: Vec<Item>,
        name: String,
    ) -> Result<Included, Vec<Diagnostic>> {
        let Found {
            mut problems,
            handlers,
            scopes,
        } = found;
        problems.extend(self.due_now(check::items(&items, &handlers)));
        let problems = self.sift(problems);
        if problems.is_empty() {
            Ok(Included {
                name,
                items,
                handlers,
                scopes,
            })
        } else {
            Err(problems)
        }
    }

    /// Of what the checks found, all that is not left to the run, as Ansible leaves it.
    fn due_now(&self, mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
        problems.retain(|p| !self.is_tolerant || !LEFT_TO_THE_RUN.contains(&p.code));
        problems
    }

    /// Keeps warnings aside and gives the errors.
    fn sift(&mut self, problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut distinct: Vec<Diagnostic> = Vec::new();
        for mut problem in problems {
            if self.is_tolerant && problem.code == "SB0125" {
                continue;
            }
            if self.is_tolerant && problem.code == "SB0002" {
                problem.severity = Severity::Warning;
            }
            if !distinct.contains(&problem) {
                distinct.push(problem);
            }
        }
        let (warnings, errors) = distinct
            .into_iter()
            .partition::<Vec<_>, _>(|p| p.severity == Severity::Warning);
        self.warnings.extend(warnings);
        errors
    }

    /// Reads a file of variables: one mapping, or nothing.
    ///
    /// # Errors
    /// All problems of the file.
    pub fn vars_file(&mut self, path: &Path) -> Result<Arc<Map>, Vec<Diagnostic>> {
        let mut problems = Problems::default();
        let vars = self.read_vars(path, Span::NONE, &mut problems);
        match self.sift(problems.0) {
            problems if problems.is_empty() => Ok(vars),
            problems => Err(problems),
        }
    }

    pub(crate) fn read_vars(&mut self, path: &Path, at: Span, problems: &mut Problems) -> Arc<Map> {
        if let Some(vars) = self.vars.get(path) {
            return vars.clone();
        }
        let Some(node) = self.read(path, at, problems) else {
            return Arc::default();
        };
        let vars = match &node.kind {
            Kind::Map(_) => Arc::new(node.to_map()),
            Kind::Null => Arc::default(),
            _ => {
                problems.push(
                    Diagnostic::error("SB0211", "a file of variables must be a mapping")
                        .at(node.span, format!("found {}", node.type_name())),
                );
                return Arc::default();
            }
        };
        self.vars.insert(path.to_owned(), vars.clone());
        vars
    }

    /// The one document of a file; an empty file gives null. `at` is the place that names it.
    pub(crate) fn read(
        &mut self,
        path: &Path,
        at: Span,
        problems: &mut Problems,
    ) -> Option<Arc<Node>> {
        if let Some(node) = self.files.get(path) {
            return Some(node.clone());
        }
        let text = match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..valid].split(|b| *b == b'\n').count();
                let why = format!("line {line} is not UTF-8");
                problems.push(unreadable(path, &why).at(at, "named here"));
                return None;
            }
            Err(error) => {
                problems.push(unreadable(path, &reason(&error)).at(at, "named here"));
                return None;
            }
        };
        let (node, found) = read_document(&mut self.sources, path, text);
        let is_broken = found.iter().any(|p| p.severity == Severity::Error);
        problems.0.extend(found);
        let node = Arc::new(node);
        self.files.insert(path.to_owned(), node.clone());
        (!is_broken || !node.is_null()).then_some(node)
    }

    /// A path as ids name it: relative to the folder of the root playbook, the same wherever the
    /// program was started and however it was told where the playbook is.
    fn relative(&self, path: &Path) -> String {
        let (root, path) = (whole(&self.root), whole(path));
        let common = root.iter().zip(&path).take_while(|(a, b)| a == b).count();
        if common == 0 {
            return path.join("/");
        }
        let up = std::iter::repeat_n("..", root.len() - common);
        let down = path[common..].iter().map(String::as_str);
        up.chain(down).collect::<Vec<_>>().join("/")
    }
}

/// The parts of a path from the root of the file system on, `..` taken out.
fn whole(path: &Path) -> Vec<String> {
    let path = std::path::absolute(Path::new(".").join(path)).unwrap_or_else(|_| path.to_owned());
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir if parts.len() > 1 => {
                parts.pop();
            }
            part => parts.push(part.as_os_str().to_string_lossy().into_owned()),
        }
    }
    parts
}

pub(crate) fn unreadable(path: &Path, why: &str) -> Diagnostic {
    Diagnostic::error(
        "SB0101",
        format!("`{}` cannot be read: {why}", path.display()),
    )
}

pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::IsADirectory => "it is a folder".into(),
        _ => error.to_string(),
    }
}

fn folder_of(path: &Path) -> String {
    path.parent()
        .map(|p| p.display().to_string())
        .unwrap_or_default()
}

/// Replaces `{{ name }}` by the variable of that name.
fn plain_names(text: &str, vars: &Map) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let end = rest[at..].find("}}").ok_or("a `{{` is not closed")? + at;
        let name = rest[at + 2..end].trim();
        let value = vars
            .get(name)
            .ok_or_else(|| format!("`{name}` is not known before the run"))?;
        out.push_str(&rest[..at]);
        match value {
            crate::value::Value::Str(text) if text.is_template() => {
                return Err(format!("`{name}` is itself a template"));
            }
            crate::value::Value::Str(text) => out.push_str(text.as_str()),
            crate::value::Value::Int(i) => out.push_str(&i.to_string()),
            other => return Err(format!("`{name}` is {}", other.type_name())),
        }
        rest = &rest[end + 2..];
    }
    out.push_str(rest);
    if out.contains("{%") {
        return Err("only `{{ name }}` can be used here".into());
    }
    Ok(out)
}

/// Reads the items of a node in a scope.
fn read_items(
    session: &mut Session<'_>,
    what: &str,
    node: &Node,
    scope: &Scope,
    prefix: &str,
) -> Vec<Item> {
    Reader::new(session, scope).items(what, node, prefix)
}
