//! Roles as they are used and what their tasks see.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Field, Keywords};
use crate::diag::Span;
use crate::value::Map;

/// An entry of `roles:`, a dependency, or the arguments of `include_role`/`import_role`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleUse {
    /// Where it stands.
    pub span: Span,
    /// `role`/`name`, which may hold templates in `include_role`.
    pub name: Field,
    /// Keywords given with it.
    pub keywords: Keywords,
    /// Role parameters: keys that are no keywords.
    pub params: Map,
    /// `tasks_from`, `main` by default.
    pub tasks_from: Option<Field>,
    /// `vars_from`.
    pub vars_from: Option<Field>,
    /// `defaults_from`.
    pub defaults_from: Option<Field>,
    /// `handlers_from`.
    pub handlers_from: Option<Field>,
    /// `public`: whether its vars and defaults are seen by the rest of the play.
    pub is_public: Option<bool>,
    /// `allow_duplicates`.
    pub allows_duplicates: Option<bool>,
    /// `rolespec_validate`: whether its arguments are validated first, as they are by default.
    #[serde(default)]
    pub validates: Option<bool>,
}

/// What the tasks of one use of a role see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleScope {
    /// The role's name as Ansible shows it.
    pub name: String,
    /// Its folder.
    pub path: String,
    /// `defaults/`, those of its dependencies below its own.
    pub defaults: Arc<Map>,
    /// `vars/`, likewise.
    pub vars: Arc<Map>,
    /// Parameters of this use.
    pub params: Arc<Map>,
    /// `allow_duplicates` of its metadata or of this use.
    pub allows_duplicates: bool,
    /// The names of the roles that depend on it, outermost first.
    pub parents: Vec<String>,
    /// The folders of those roles, in the same order: files are searched there, nearest first.
    pub parent_paths: Vec<String>,
    /// Which of them include or import it (`ansible_parent_role_names`), not merely depend on it.
    #[serde(default)]
    pub includers: Vec<usize>,
}
