//! What the core needs of the controller's side: templates, files of the project, places.
//!
//! Everything impure that a template can reach (lookups, clock, random numbers) is behind this
//! trait, so that a simulation can stand in for it.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::diag::{Place, Span};
use crate::model::{Playbook, PlaybookEntry, RoleScope, RoleUse, Task};
use crate::plan::Included;
use crate::value::{Map, Value};
use crate::vars::TaskScope;

/// A problem on the controller's side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// Whether check mode cannot tell, because it depends on a task that did not run.
    pub is_unknown: bool,
    /// Whether something undefined was used.
    pub is_undefined: bool,
    /// What is wrong, with the expression.
    pub message: String,
}

impl Problem {
    /// A problem of any other kind.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            is_unknown: false,
            is_undefined: false,
            message: message.into(),
        }
    }
}

impl Problem {
    /// The same problem, with what was being done.
    #[must_use]
    pub fn within(self, what: &str) -> Self {
        Self {
            message: format!("{what}: {}", self.message),
            ..self
        }
    }
}

/// The scopes of all hosts, for `hostvars`.
pub trait HostScopes {
    /// What a host knows of itself, outside any task.
    fn scope_of(&self, host: &str) -> Option<TaskScope>;
    /// Masks the secrets of a value, which was just read, in all output from now on.
    fn note_secret(&self, _value: &Value) {}
    /// All hosts in inventory order.
    fn host_names(&self) -> Vec<String>;
    /// The hosts that a pattern selects.
    ///
    /// # Errors
    /// Why the pattern is not one.
    fn select(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// What a template sees: a task's scope, and the other hosts.
#[derive(Clone)]
pub struct View {
    /// The variables.
    pub scope: TaskScope,
    /// The other hosts.
    pub hosts: Rc<dyn HostScopes>,
    /// Where files are searched: role folder, including folders, playbook folder.
    pub search: Rc<Search>,
}

impl View {
    /// The same view with more layers of variables above all others.
    #[must_use]
    pub fn with_layers(mut self, layers: Vec<Arc<Map>>) -> Self {
        for layer in layers {
            self.scope = self.scope.with(layer);
        }
        self
    }

    /// The same view with one more layer of variables above all others.
    #[must_use]
    pub fn with(&self, layer: Map) -> Self {
        Self {
            scope: self.scope.with(Arc::new(layer)),
            ..self.clone()
        }
    }
}

/// Where the controller's files of a task are searched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// The role, if the task is one's.
    pub scope: Option<Arc<RoleScope>>,
    /// The folder of the file that holds the task.
    pub folder: PathBuf,
    /// The folder of the playbook.
    pub playbook: PathBuf,
}

/// What the journal of a run that has ended says of its locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedRun {
    /// The exit code.
    pub exit_code: u8,
    /// The folder of the journal.
    pub journal: String,
    /// The locks that it took: token, and where from.
    pub locks: Vec<(String, String)>,
}

/// The controller's side.
pub trait Controller {
    /// Renders a value deeply; `None` is `omit`.
    ///
    /// # Errors
    /// Why it cannot be rendered.
    fn render(&self, value: &Value, view: &View) -> Result<Option<Value>, Problem>;
    /// Evaluates a conditional.
    ///
    /// # Errors
    /// Why it cannot be evaluated, or that it is no boolean.
    fn truth(&self, condition: &str, view: &View) -> Result<bool, Problem>;
    /// The items of a `with_NAME` loop.
    ///
    /// # Errors
    /// What the lookup says.
    fn with_items(&self, name: &str, terms: &Value, view: &View) -> Result<Vec<Value>, Problem>;
    /// Renders the text of a template file; `args` are those of the `template` module.
    ///
    /// # Errors
    /// Why it cannot be rendered.
    fn render_file(
        &self,
        path: &std::path::Path,
        text: &str,
        args: &Value,
        view: &View,
    ) -> Result<Value, Problem>;
    /// The variables that a value's templates mention.
    fn references(&self, value: &Value) -> Vec<String>;
    /// A play begins: what it loads at run time is searched from its playbook.
    fn enter_play(&self, entry: &PlaybookEntry);
    /// The tasks of a file, for `include_tasks`.
    ///
    /// # Errors
    /// Diagnostics, rendered.
    fn tasks_file(&self, file: &str, from: &Task, search: &Search) -> Result<Included, String>;
    /// A role, for `include_role` or a way back, with its names rendered.
    ///
    /// # Errors
    /// Diagnostics, rendered.
    fn role(
        &self,
        role: &RoleUse,
        from: Option<&Task>,
        search: &Search,
    ) -> Result<Included, String>;
    /// A file of variables.
    ///
    /// # Errors
    /// Diagnostics, rendered.
    fn vars_file(&self, path: &std::path::Path) -> Result<Map, String>;
    /// A playbook, for a way back.
    ///
    /// # Errors
    /// Diagnostics, rendered.
    fn playbook(&self, path: &std::path::Path) -> Result<Playbook, String>;
    /// Finds a file as Ansible does; `folder` is `files`, `templates`, `vars` or `tasks`.
    ///
    /// # Errors
    /// Where it was looked for.
    fn find_file(&self, folder: &str, path: &str, search: &Search) -> Result<PathBuf, String>;
    /// Opens an encrypted text.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn open_vault(&self, text: &str) -> Result<String, String>;
    /// A run of the same store that has ended, if `run` is one and nobody works on it.
    fn ended_run(&self, run: &str) -> Option<EndedRun>;
    /// Line and column.
    fn place(&self, span: Span) -> Option<Place>;
}
