//! Tasks and handlers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Args, Cond, Condition, Field, Keywords, PointOfNoReturn, Progress, RoleScope, RoleUse, StepId,
    UndoSpec,
};
use crate::diag::Span;
use crate::value::Value;

/// A task or a handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its stable name.
    pub id: StepId,
    /// Where it stands.
    pub span: Span,
    /// SHA-256 in hex of the task's text, for the detection of drift.
    pub text_hash: String,
    /// Its own keywords (not yet merged with the outer ones).
    pub keywords: Keywords,
    /// What it does.
    pub action: Action,
    /// `register`.
    pub register: Option<String>,
    /// `loop` or `with_*`.
    pub r#loop: Option<Loop>,
    /// `until`.
    pub until: Option<Vec<Cond>>,
    /// `retries`.
    pub retries: Option<Field>,
    /// `delay`, in seconds.
    pub delay: Option<Field>,
    /// `changed_when`.
    pub changed_when: Option<Vec<Cond>>,
    /// `failed_when`.
    pub failed_when: Option<Vec<Cond>>,
    /// `notify`: names or topics, which may hold templates.
    pub notify: Vec<Field>,
    /// `listen` of a handler.
    pub listen: Vec<String>,
    /// `async`, in seconds.
    pub r#async: Option<Field>,
    /// `poll`, in seconds.
    pub poll: Option<Field>,
    /// `undo`.
    pub undo: Option<UndoSpec>,
    /// `reads: true`: it changes nothing and may run again, in check mode and on protected hosts.
    pub reads: bool,
    /// `verify`: decides a lost attempt.
    pub verify: Option<Condition>,
    /// `point_of_no_return`.
    pub point_of_no_return: Option<PointOfNoReturn>,
    /// `progress`.
    pub progress: Option<Progress>,
    /// The role it belongs to: for its defaults and vars, and where its files are searched.
    pub role: Option<Arc<RoleScope>>,
    /// The folder of the file it stands in, where files are searched after the role's.
    pub folder: String,
}

impl Task {
    /// A task with an id, a place and an action, and none of the other keys.
    pub fn new(id: StepId, span: Span, action: Action) -> Self {
        Self {
            id,
            span,
            text_hash: String::new(),
            keywords: Keywords::default(),
            action,
            register: None,
            r#loop: None,
            until: None,
            retries: None,
            delay: None,
            changed_when: None,
            failed_when: None,
            notify: Vec::new(),
            listen: Vec::new(),
            r#async: None,
            poll: None,
            undo: None,
            reads: false,
            verify: None,
            point_of_no_return: None,
            progress: None,
            role: None,
            folder: String::new(),
        }
    }
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// A module of the registry or a controller-side action (`debug`, `set_fact`, …), by its short
    /// name.
    Module {
        /// Short name.
        name: String,
        /// Where the name stands.
        span: Span,
        /// Its arguments.
        args: Args,
    },
    /// `include_tasks`; the file is found at run time.
    IncludeTasks {
        /// The file, which may hold templates.
        file: Field,
        /// `apply`: keywords for the included tasks.
        apply: Box<Keywords>,
    },
    /// `include_role`; the role is found at run time.
    IncludeRole {
        /// The role.
        role: Box<RoleUse>,
        /// `apply`: keywords for the included tasks.
        apply: Box<Keywords>,
    },
    /// `meta`.
    Meta {
        /// `flush_handlers`, `end_play`, ….
        what: String,
        /// Where it stands.
        span: Span,
    },
}

/// The argument that holds the name of a module where that is a template.
pub const TEMPLATED_NAME: &str = "_templated_name";

/// The module's name in an [`Action::Module`] whose real name is a template.
pub const TEMPLATED_MODULE: &str = "templated_module";

impl Action {
    /// The template of the module's name, where it is one.
    pub fn templated_name(&self) -> Option<&Value> {
        match self {
            Self::Module { name, args, .. } if name == TEMPLATED_MODULE => {
                args.fields.get(TEMPLATED_NAME)
            }
            _ => None,
        }
    }

    /// What the playbook calls it.
    pub fn name(&self) -> &str {
        match self {
            // All modules of `library/` are one module, which is told the name.
            Self::Module { name, args, .. } => {
                let told = args.fields.get("_module");
                match told.or_else(|| args.fields.get(TEMPLATED_NAME)) {
                    Some(Value::Str(name)) => name.as_str(),
                    _ => name,
                }
            }
            Self::IncludeTasks { .. } => "include_tasks",
            Self::IncludeRole { .. } => "include_role",
            Self::Meta { .. } => "meta",
        }
    }
}

/// How the items of a loop come about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// `loop`, or which `with_*`.
    pub kind: LoopKind,
    /// The list, or the lookup's terms.
    pub terms: Field,
    /// `loop_control`.
    pub control: LoopControl,
}

/// `loop` or the lookup of a `with_*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoopKind {
    /// `loop:`.
    Loop,
    /// `with_NAME:`, the lookup's name.
    With(String),
}

/// `loop_control`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopControl {
    /// `loop_var`, `item` by default.
    pub loop_var: Option<String>,
    /// `index_var`.
    pub index_var: Option<String>,
    /// `label`.
    pub label: Option<Field>,
    /// `pause`, in seconds.
    pub pause: Option<Field>,
    /// `extended`.
    pub extended: Option<Field>,
    /// `break_when`.
    pub break_when: Vec<Cond>,
}
