//! From the tree of a file to what the user wrote, typed.
//!
//! Knows what keys mean and where they may stand. It knows no files: what a static import or a role
//! brings is asked of [`Surroundings`], which also know the names of modules.

mod action;
mod block;
mod change;
mod conditions;
mod include;
mod kv;
mod play;
mod role;
mod shared;
mod task;

pub use change::change;
pub use kv::{FreeForm, parse_kv};
pub use play::{PlayParts, import_playbook, play};
pub use role::role_use;
pub use shared::{field, is_variable_name, shared_keyword};

use std::sync::Arc;

use super::{Field, Item, Keywords, RoleScope, RoleUse};
use crate::diag::Span;
use crate::syntax::Problems;

/// Where the tasks being read stand.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The folder of the file.
    pub folder: String,
    /// The role they belong to.
    pub role: Option<Arc<RoleScope>>,
    /// Whether they are handlers.
    pub is_handlers: bool,
}

/// `import_tasks` as read.
#[derive(Clone, Debug)]
pub struct ImportTasks<'a> {
    /// The file, which may hold templates of values known beforehand.
    pub file: &'a Field,
    /// The import's own keywords.
    pub keywords: &'a Keywords,
    /// The stable name of the importing task.
    pub id: &'a str,
    /// Where it stands.
    pub span: Span,
}

/// What the reading of tasks asks of whoever knows files and modules.
pub trait Surroundings {
    /// Where problems are noted.
    fn problems(&mut self) -> &mut Problems;
    /// The short name of the module or action that a playbook calls `name`.
    fn action(&self, name: &str) -> Option<&'static str>;
    /// The arguments of a module or action, for suggestions; none where any name is one.
    fn arguments(&self, name: &str) -> &'static [&'static str];
    /// All names of modules and actions, for suggestions.
    fn action_names(&self) -> Vec<&'static str>;
    /// The tasks of a static import.
    fn import_tasks(&mut self, import: ImportTasks<'_>, scope: &Scope) -> Vec<Item>;
    /// The blocks of a role that is imported; its handlers are noted by whoever implements this.
    fn import_role(&mut self, role: &RoleUse, id: &str, scope: &Scope) -> Vec<Item>;
}

/// Reads lists of tasks in one [`Scope`].
pub struct Reader<'a> {
    cx: &'a mut dyn Surroundings,
    scope: &'a Scope,
}

impl<'a> Reader<'a> {
    /// A reader of tasks that stand in `scope`.
    pub fn new(cx: &'a mut dyn Surroundings, scope: &'a Scope) -> Self {
        Self { cx, scope }
    }

    fn problems(&mut self) -> &mut Problems {
        self.cx.problems()
    }
}
