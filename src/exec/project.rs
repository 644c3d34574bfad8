//! The controller's side for real: the template engine, the files of the project, their places.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::controller::{Controller, EndedRun, HostScopes, Problem, Search, View};
use super::secrets::is_secret_variable;
use super::world::ControllerWorld;
use crate::diag::{Diagnostic, Place, SourceMap, Span, render};
use crate::journal::RunStore;
use crate::model::{Playbook, PlaybookEntry, RoleScope, RoleUse, Task};
use crate::plan::{Included, Loader, find_file};
use crate::template::{Engine, ErrorKind, Rendered, Scope, Syntax, TemplateError};
use crate::value::{Map, Text, Value};
use crate::vars::{Layers, TaskScope};

/// Files of the controller up to this size are held in memory when a module needs their hash.
pub(crate) const SMALL_INPUT_MAX: u64 = 32 * 1024;

/// A project: engine and loader.
pub struct Project {
    engine: Engine,
    loader: RefCell<Loader>,
    runs: Option<FindRuns>,
    config: Option<Arc<Map>>,
}

/// Where runs are kept; asked only when that matters, as a store is made by it.
type FindRuns = Box<dyn Fn() -> Option<RunStore>>;

impl Project {
    /// A project whose files `loader` reads.
    pub fn new(loader: Loader) -> Self {
        Self {
            engine: Engine::new(),
            loader: RefCell::new(loader),
            runs: None,
            config: None,
        }
    }

    /// The same project, where `runs` tells where runs are kept.
    #[must_use]
    pub fn with_runs(mut self, runs: FindRuns) -> Self {
        self.runs = Some(runs);
        self
    }

    /// The same project with what the configuration says, for templates that ask.
    #[must_use]
    pub fn with_config(mut self, config: Map) -> Self {
        self.config = Some(Arc::new(config));
        self
    }

    /// The texts of all files, for diagnostics.
    pub fn with_sources<T>(&self, show: impl FnOnce(&SourceMap) -> T) -> T {
        show(&self.loader.borrow().sources)
    }

    /// Renders a text with these variables and no host; none where it cannot be.
    pub fn render_with(&self, text: &str, vars: Vec<Arc<Map>>) -> Option<Value> {
        let view = lone_view(vars);
        let template = Value::Str(Text::from_user(text));
        self.render(&template, &view).ok().flatten()
    }

    fn world<'v>(&self, view: &'v View) -> ControllerWorld<'v> {
        ControllerWorld {
            view,
            opener: self.loader.borrow().sources.opener.clone(),
            config: self.config.clone(),
        }
    }

    fn told(&self, problems: &[Diagnostic]) -> String {
        let loader = self.loader.borrow();
        let texts: Vec<String> = problems
            .iter()
            .map(|problem| render(problem, &loader.sources, false))
            .collect();
        texts.join("\n")
    }
}

/// Renders a name that must be known before the run, with the variables of files.
///
/// # Errors
/// What is not known, in the template's words.
pub fn render_name(text: &str, vars: &Map) -> Result<String, String> {
    let view = lone_view([Arc::new(vars.clone())]);
    let template = Value::Str(Text::from_user(text));
    let world = ControllerWorld {
        view: &view,
        opener: None,
        config: None,
    };
    match Engine::new().render(&template, &view, &world) {
        Ok(value) => super::run::plain_text(&value)
            .ok_or_else(|| format!("it is {}, not a string", value.type_name())),
        Err(error) => Err(problem(&error).message),
    }
}

/// What sees these variables and no host.
pub(super) fn lone_view(vars: impl IntoIterator<Item = Arc<Map>>) -> View {
    let mut layers = Layers::default();
    layers.extend(vars);
    View {
        scope: TaskScope::new(layers),
        hosts: std::rc::Rc::new(NoHosts),
        search: std::rc::Rc::default(),
    }
}

/// No host is known before the run.
struct NoHosts;

impl HostScopes for NoHosts {
    fn scope_of(&self, _host: &str) -> Option<TaskScope> {
        None
    }

    fn host_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn select(&self, _pattern: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// A [`View`] as the engine reads it.
impl Scope for View {
    fn lookup(&self, name: &str) -> Option<Value> {
        let value = self.scope.get(name)?.clone();
        let value = if is_secret_variable(name) {
            value.into_secret()
        } else {
            value
        };
        self.hosts.note_secret(&value);
        Some(value)
    }

    fn names(&self) -> Vec<String> {
        self.scope.names()
    }

    fn is_from_user(&self, name: &str) -> bool {
        self.scope.is_from_user(name)
    }

    fn host_names(&self) -> Vec<String> {
        self.hosts.host_names()
    }

    fn host(&self, name: &str) -> Option<Arc<dyn Scope>> {
        let scope = self.hosts.scope_of(name)?;
        let view = View {
            scope,
            ..self.clone()
        };
        #[expect(clippy::arc_with_non_send_sync, reason = "the core has one thread")]
        Some(Arc::new(view))
    }
}

pub(super) fn problem(error: &TemplateError) -> Problem {
    let expression = error.expression.trim();
    let message = if expression.is_empty() || error.message.contains(expression) {
        error.message.clone()
    } else if expression.contains('\n') {
        // A whole file or block: its line tells where.
        let before = error
            .offset
            .and_then(|offset| error.expression.get(..offset));
        let line = before.map(|text| text.matches('\n').count() + 1);
        let at = line
            .map(|line| format!(" (line {line} of the template)"))
            .unwrap_or_default();
        format!("{}{at}", error.message)
    } else {
        format!("{}, in `{expression}`", error.message)
    };
    Problem {
        is_unknown: error.kind == ErrorKind::Unknown,
        is_undefined: error.kind == ErrorKind::Undefined,
        message,
    }
}

impl Controller for Project {
    fn render(&self, value: &Value, view: &View) -> Result<Option<Value>, Problem> {
        if !value.has_template() {
            return Ok(Some(value.clone()));
        }
        match self.engine.render_or_omit(value, view, &self.world(view)) {
            Ok(Rendered::Value(value)) => Ok(Some(value)),
            Ok(Rendered::Omit) => Ok(None),
            Err(error) => Err(problem(&error)),
        }
    }

    fn truth(&self, condition: &str, view: &View) -> Result<bool, Problem> {
        let condition = Value::Str(Text::from_user(condition));
        self.engine
            .eval_bool(&condition, view, &self.world(view))
            .map_err(|e| problem(&e))
    }

    fn with_items(&self, name: &str, terms: &Value, view: &View) -> Result<Vec<Value>, Problem> {
        let found = self
            .engine
            .with_lookup(name, terms, view, &self.world(view));
        found.map_err(|error| problem(&error))
    }

    fn render_file(
        &self,
        path: &Path,
        text: &str,
        args: &Value,
        view: &View,
    ) -> Result<Value, Problem> {
        let view = view.with(template_vars(path, args));
        self.engine
            .render_file_with(text, &syntax_of(args), &view, &self.world(&view))
            .map(Value::Str)
            .map_err(|error| {
                let mut problem = problem(&error);
                problem.message = format!("{}: {}", path.display(), problem.message);
                problem
            })
    }

    fn references(&self, value: &Value) -> Vec<String> {
        self.engine.references(value).into_iter().collect()
    }

    fn enter_play(&self, entry: &PlaybookEntry) {
        self.loader.borrow_mut().enter_play(entry);
    }

    fn tasks_file(&self, file: &str, from: &Task, search: &Search) -> Result<Included, String> {
        let path = find_in(file, "tasks", from.role.as_deref(), search)?;
        // The loader is let go of before its problems are told with its sources.
        let loaded =
            self.loader
                .borrow_mut()
                .tasks_file(&path, from.role.clone(), false, &from.id.0);
        loaded.map_err(|problems| self.told(&problems))
    }

    fn role(
        &self,
        role: &RoleUse,
        from: Option<&Task>,
        _search: &Search,
    ) -> Result<Included, String> {
        let prefix = from
            .map_or("way back", |task| task.id.0.as_str())
            .to_owned();
        let parent = from.and_then(|task| task.role.clone());
        let loaded = self
            .loader
            .borrow_mut()
            .role(role, parent.as_ref(), &prefix);
        loaded.map_err(|problems| self.told(&problems))
    }

    fn vars_file(&self, path: &Path) -> Result<Map, String> {
        let loaded = self.loader.borrow_mut().vars_file(path);
        loaded
            .map(|vars| (*vars).clone())
            .map_err(|problems| self.told(&problems))
    }

    fn playbook(&self, path: &Path) -> Result<Playbook, String> {
        let loaded = self.loader.borrow_mut().playbook(path);
        loaded.map_err(|problems| self.told(&problems))
    }

    fn find_file(&self, folder: &str, path: &str, search: &Search) -> Result<PathBuf, String> {
        find_in(path, folder, search.scope.as_deref(), search)
    }

    fn open_vault(&self, text: &str) -> Result<String, String> {
        let opener = self.loader.borrow().sources.opener.clone();
        opener.map_or_else(
            || Err("no vault password is given".to_owned()),
            |opener| opener.open(text),
        )
    }

    fn ended_run(&self, run: &str) -> Option<EndedRun> {
        let store = self.runs.as_ref()?()?;
        let (exit_code, locks) = store.ended(run)?;
        Some(EndedRun {
            exit_code,
            journal: store.folder(run).display().to_string(),
            locks,
        })
    }

    fn place(&self, span: Span) -> Option<Place> {
        self.loader.borrow().sources.place(span)
    }
}

/// What a template may know of itself (ansible-core 2.19, `generate_ansible_template_vars`).
fn template_vars(path: &Path, args: &Value) -> Map {
    use std::os::unix::fs::MetadataExt as _;
    let shown = |time: chrono::DateTime<chrono::Local>| time.format("%Y-%m-%d %H:%M:%S%.f");
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let meta = std::fs::metadata(path).ok();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut vars = Map::new();
    let mut set = |name: &str, value: String| vars.insert(name.to_owned(), value.into());
    set("template_host", host.trim().to_owned());
    set("template_path", path.display().to_string());
    set("template_fullpath", full.display().to_string());
    set("template_run_date", shown(chrono::Local::now()).to_string());
    if let Some(dest) = args.get("dest").and_then(Value::as_str) {
        set("template_destpath", dest.to_owned());
    }
    if let Some(modified) = meta.as_ref().and_then(|meta| meta.modified().ok()) {
        set("template_mtime", shown(modified.into()).to_string());
    }
    if let Some(uid) = meta.map(|meta| meta.uid()) {
        set("template_uid", user_name(uid));
    }
    vars
}

fn user_name(uid: u32) -> String {
    let wanted = uid.to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == wanted).then(|| name.to_owned())
    });
    found.unwrap_or(wanted)
}

/// Where a file is, as Ansible looks for it, or where it was looked for.
fn find_in(
    path: &str,
    kind: &str,
    role: Option<&RoleScope>,
    search: &Search,
) -> Result<PathBuf, String> {
    find_file(kind, path, role, &search.folder, &search.playbook).map_err(|tried| {
        let tried: Vec<String> = tried.iter().map(|p| p.display().to_string()).collect();
        format!(
            "could not find or access '{path}' on the controller; searched in: {}",
            tried.join(", ")
        )
    })
}

/// Delimiters and white space as the arguments of the `template` module change them.
fn syntax_of(args: &Value) -> Syntax {
    let mut syntax = Syntax {
        ..Syntax::default()
    };
    let text = |name: &str| args.get(name).and_then(Value::as_str).map(str::to_owned);
    let set = |name: &str, part: &mut String| {
        if let Some(text) = text(name) {
            *part = text;
        }
    };
    set("variable_start_string", &mut syntax.variable.0);
    set("variable_end_string", &mut syntax.variable.1);
    set("block_start_string", &mut syntax.block.0);
    set("block_end_string", &mut syntax.block.1);
    set("comment_start_string", &mut syntax.comment.0);
    set("comment_end_string", &mut syntax.comment.1);
    let flag = |name: &str| args.get(name).and_then(Value::to_bool);
    syntax.trim_blocks = flag("trim_blocks").unwrap_or(syntax.trim_blocks);
    syntax.lstrip_blocks = flag("lstrip_blocks").unwrap_or(syntax.lstrip_blocks);
    syntax
}
