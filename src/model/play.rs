//! Plays and playbooks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Change, Field, Item, Keywords, RoleScope, StepId, Task};
use crate::diag::Span;

/// A playbook file with everything static in it resolved: imports, roles, static includes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Playbook {
    /// The file.
    pub path: String,
    /// The header of the change, of the root playbook; what imported ones add is merged in.
    pub change: Option<Change>,
    /// Plays in order, those of imported playbooks in their place.
    pub entries: Vec<PlaybookEntry>,
}

/// A play and what surrounds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaybookEntry {
    /// The play.
    pub play: Play,
    /// The chain of `import_playbook` it came through, outermost first.
    pub imports: Vec<Import>,
    /// The folder of its playbook file (`playbook_dir` is that of the root one in Ansible 2.19 for
    /// the search of files it is this one).
    pub folder: String,
}

/// `import_playbook`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// The file.
    pub path: String,
    /// Keywords given with it: `when`, `vars`, `tags`, `name`.
    pub keywords: Keywords,
}

/// A play.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Play {
    /// Its stable name.
    pub id: StepId,
    /// Where it stands.
    pub span: Span,
    /// Its keywords; `vars` in it are the play's vars.
    pub keywords: Keywords,
    /// `hosts`, a pattern or a list of patterns, which may hold templates.
    pub hosts: Field,
    /// `gather_facts`.
    pub gather_facts: Option<Field>,
    /// `gather_subset`.
    pub gather_subset: Option<Field>,
    /// `vars_files`: files or lists of alternatives.
    pub vars_files: Vec<Field>,
    /// `vars_prompt`.
    pub vars_prompt: Vec<VarsPrompt>,
    /// `serial`.
    pub serial: Option<Field>,
    /// `strategy`: `linear`, `free`, `host_pinned`.
    pub strategy: Option<Field>,
    /// `order`.
    pub order: Option<Field>,
    /// `max_fail_percentage`.
    pub max_fail_percentage: Option<Field>,
    /// `force_handlers`.
    pub force_handlers: Option<Field>,
    /// `pre_tasks`.
    pub pre_tasks: Vec<Item>,
    /// `roles`: one block per role, dependencies first.
    pub roles: Vec<Item>,
    /// `tasks`.
    pub tasks: Vec<Item>,
    /// `post_tasks`.
    pub post_tasks: Vec<Item>,
    /// Handlers of the play and of its static roles, in order of definition.
    pub handlers: Vec<Task>,
    /// The scopes of all static roles, in order: their vars and defaults are seen play-wide.
    pub role_scopes: Vec<Arc<RoleScope>>,
}

/// An entry of `vars_prompt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VarsPrompt {
    /// The variable.
    pub name: String,
    /// The question.
    pub prompt: Option<Field>,
    /// The answer of an empty input.
    pub default: Option<Field>,
    /// Whether the input is hidden (the default).
    pub is_private: bool,
    /// Whether to ask twice.
    pub confirms: bool,
    /// `encrypt`: how to hash the answer.
    pub encrypt: Option<String>,
    /// `unsafe`: braces in the answer are kept; answers are never templates anyway.
    pub allows_braces: bool,
}
