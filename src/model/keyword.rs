//! All keywords of plays, blocks, tasks, handlers, roles and imports: one row each.
//!
//! Source: the field attributes of ansible-core 2.19 (`playbook/*.py`) and the table of switchback's
//! own keys in ARCHITECTURE.md.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Where a keyword may stand; places are combined with `|`.
pub mod place {
    /// A play.
    pub const PLAY: u16 = 1;
    /// A block.
    pub const BLOCK: u16 = 2;
    /// A task.
    pub const TASK: u16 = 4;
    /// A handler.
    pub const HANDLER: u16 = 8;
    /// An entry of `roles:` or of a role's dependencies.
    pub const ROLE: u16 = 16;
    /// `import_playbook`.
    pub const IMPORT: u16 = 32;
    /// `include_tasks` and `include_role`, where Ansible allows fewer keywords.
    pub const INCLUDE: u16 = 64;

    /// What a place is called.
    pub fn name(place: u16) -> &'static str {
        match place {
            PLAY => "a play",
            BLOCK => "a block",
            HANDLER => "a handler",
            ROLE => "a role",
            IMPORT => "`import_playbook`",
            INCLUDE => "a dynamic include",
            _ => "a task",
        }
    }
}

/// What a keyword takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A boolean.
    Bool,
    /// An integer.
    Int,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A string or a list of them.
    Texts,
    /// A mapping.
    Map,
    /// Conditions.
    Conditions,
    /// A list of tasks.
    Tasks,
    /// Something with a reader of its own.
    Other,
}

/// One keyword.
#[derive(Clone, Copy, Debug)]
pub struct Keyword {
    /// Its name.
    pub name: &'static str,
    /// Where it may stand.
    pub places: u16,
    /// What it takes.
    pub takes: Takes,
    /// Whether its value may be a template.
    pub is_templated: bool,
    /// Why it is not supported, if it is not.
    pub refused: Option<&'static str>,
}

/// The keyword of this name.
pub fn find(name: &str) -> Option<&'static Keyword> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Keyword>> =
        LazyLock::new(|| TABLE.iter().map(|row| (row.name, row)).collect());
    BY_NAME.get(name).copied()
}

/// The names of the keywords that may stand at a place.
pub fn names(place: u16) -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(move |row| row.places & place != 0)
        .map(|row| row.name)
}

const fn row(name: &'static str, places: u16, takes: Takes, is_templated: bool) -> Keyword {
    Keyword {
        name,
        places,
        takes,
        is_templated,
        refused: None,
    }
}

const fn refused(name: &'static str, places: u16, why: &'static str) -> Keyword {
    Keyword {
        name,
        places,
        takes: Takes::Other,
        is_templated: false,
        refused: Some(why),
    }
}

use place::{BLOCK, HANDLER, IMPORT, INCLUDE, PLAY, ROLE, TASK};

const TASKS: u16 = TASK | HANDLER;
const INNER: u16 = BLOCK | TASKS | ROLE;
const BASE: u16 = PLAY | INNER | IMPORT;

/// All keywords.
pub static TABLE: &[Keyword] = &[
    row("name", BASE | INCLUDE, Takes::Text, true),
    row("vars", BASE | INCLUDE, Takes::Map, true),
    row("tags", BASE | INCLUDE, Takes::Texts, true),
    row("when", INNER | IMPORT | INCLUDE, Takes::Conditions, false),
    row("no_log", BASE | INCLUDE, Takes::Bool, true),
    row("ignore_errors", BASE | INCLUDE, Takes::Bool, true),
    row("run_once", BASE | INCLUDE, Takes::Bool, true),
    row("timeout", BASE | INCLUDE, Takes::Int, true),
    row("debugger", BASE | INCLUDE, Takes::Text, true),
    row("collections", BASE | INCLUDE, Takes::Texts, false),
    row("become", BASE, Takes::Bool, true),
    row("become_user", BASE, Takes::Text, true),
    row("become_method", BASE, Takes::Text, true),
    row("become_flags", BASE, Takes::Text, true),
    row("become_exe", BASE, Takes::Text, true),
    row("check_mode", BASE, Takes::Bool, true),
    row("diff", BASE, Takes::Bool, true),
    row("ignore_unreachable", BASE, Takes::Bool, true),
    row("any_errors_fatal", BASE, Takes::Bool, true),
    row("throttle", BASE, Takes::Int, true),
    row("connection", BASE, Takes::Text, true),
    row("port", BASE, Takes::Int, true),
    row("remote_user", BASE, Takes::Text, true),
    row("environment", BASE, Takes::Other, true),
    row("module_defaults", BASE, Takes::Other, true),
    row("delegate_to", INNER, Takes::Text, true),
    row("delegate_facts", INNER, Takes::Bool, true),
    row("hosts", PLAY, Takes::Texts, true),
    row("user", PLAY, Takes::Text, true),
    row("gather_facts", PLAY, Takes::Bool, true),
    row("gather_subset", PLAY, Takes::Texts, true),
    refused(
        "gather_timeout",
        PLAY,
        "facts are gathered in one bounded script of switchback's own",
    ),
    refused(
        "fact_path",
        PLAY,
        "local facts are read from `/etc/ansible/facts.d` only",
    ),
    row("vars_files", PLAY, Takes::Other, true),
    row("vars_prompt", PLAY, Takes::Other, true),
    row("serial", PLAY, Takes::Other, true),
    row("strategy", PLAY, Takes::Text, true),
    row("order", PLAY, Takes::Text, true),
    row("max_fail_percentage", PLAY, Takes::Number, true),
    row("force_handlers", PLAY, Takes::Bool, true),
    row("pre_tasks", PLAY, Takes::Tasks, false),
    row("roles", PLAY, Takes::Other, false),
    row("tasks", PLAY, Takes::Tasks, false),
    row("post_tasks", PLAY, Takes::Tasks, false),
    row("handlers", PLAY, Takes::Tasks, false),
    row("block", BLOCK, Takes::Tasks, false),
    row("rescue", BLOCK, Takes::Tasks, false),
    row("always", BLOCK, Takes::Tasks, false),
    row("notify", BLOCK | TASKS, Takes::Texts, true),
    row("action", TASKS | INCLUDE, Takes::Other, false),
    row("local_action", TASKS, Takes::Other, false),
    row("args", TASKS | INCLUDE, Takes::Other, true),
    row("register", TASKS | INCLUDE, Takes::Text, false),
    row("loop", TASKS | INCLUDE, Takes::Other, true),
    row("loop_control", TASKS | INCLUDE, Takes::Other, true),
    row("until", TASKS, Takes::Conditions, false),
    row("retries", TASKS, Takes::Int, true),
    row("delay", TASKS, Takes::Number, true),
    row("changed_when", TASKS, Takes::Conditions, false),
    row("failed_when", TASKS, Takes::Conditions, false),
    row("async", TASKS, Takes::Int, true),
    row("poll", TASKS, Takes::Int, true),
    row("listen", HANDLER, Takes::Texts, false),
    row("role", ROLE, Takes::Text, true),
    row("import_playbook", IMPORT, Takes::Text, true),
    row("undo", BLOCK | TASKS, Takes::Other, false),
    row("reads", TASKS, Takes::Bool, false),
    row("verify", TASKS, Takes::Other, false),
    row("point_of_no_return", TASKS, Takes::Other, false),
    row("progress", TASKS, Takes::Text, false),
];
