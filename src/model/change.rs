//! switchback's own keys: the header of a change, undo, conditions, points of no return.
//!
//! Source: the table in ARCHITECTURE.md, "The language". None of them changes the meaning of an
//! Ansible key.

use serde::{Deserialize, Serialize};

use super::{Args, Field, Item, Keywords, RoleUse};
use crate::diag::Span;

/// `change:`, the first entry of a playbook file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What the change is called.
    pub name: String,
    /// `window`: how long it may take, in seconds.
    pub window_s: Option<u64>,
    /// `protect`: patterns of hosts kept as a reserve.
    pub protect: Vec<Field>,
    /// `guards`: health checks between tasks.
    pub guards: Vec<Condition>,
    /// `ways_back`, by name.
    pub ways_back: Vec<WayBack>,
    /// `rehearse`.
    pub rehearse: Option<Rehearse>,
}

/// `rehearse:` of the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearse {
    /// The playbook that builds and ends the lab (relative to the playbook).
    pub lab: Option<Field>,
    /// The inventory of the lab.
    pub inventory: Option<Field>,
    /// A playbook that checks what came out of it and reports by `set_stats`.
    pub report: Option<Field>,
    /// The playbook that does a fault to a host of the lab: it is given `fault`, `fault_host` and
    /// `fault_seconds`.
    pub faults: Option<Field>,
    /// Scenarios by name: what to inject and what must hold after, see `cli::rehearse`.
    pub scenarios: crate::value::Map,
    /// Where `rehearse` stands.
    pub span: Span,
}

/// A named way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WayBack {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Conditions that tell whether it is legal now.
    pub legal: Vec<Condition>,
    /// What it loses, for a person.
    pub loses: Option<Field>,
    /// Patterns of protected hosts that it releases.
    pub releases: Vec<Field>,
    /// What it runs.
    pub steps: Steps,
}

/// What a way back runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Steps {
    /// A playbook file (relative to the header's playbook).
    Playbook(Field),
    /// A role on the hosts of a pattern.
    Role {
        /// The role.
        role: Box<RoleUse>,
        /// On which hosts.
        hosts: Field,
    },
    /// Tasks on the hosts of a pattern.
    Tasks {
        /// The tasks.
        tasks: Vec<Item>,
        /// On which hosts.
        hosts: Field,
    },
    /// The undo of what the run did in tasks with these tags, as far as it is not sealed: also of
    /// what lies behind a point of no return.
    UndoOf(Vec<String>),
}

/// A question to hosts that only reads: `{name, hosts, MODULE: args, that: EXPR}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// What it asks, for a person.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// The hosts; without it the hosts of the step (`verify`, `require`) or all.
    pub hosts: Option<Field>,
    /// On how many of the hosts it must hold; without it on all of them.
    pub at_least: Option<u32>,
    /// Keywords of the question: `become`, `vars`, `environment`, `delegate_to`, ….
    pub keywords: Keywords,
    /// A read-only module or a command with `reads: true`; none: `that` alone decides.
    pub module: Option<(String, Args)>,
    /// Conditions on the module's result (its fields, and `result` as a whole); without them, the
    /// module's success decides.
    pub that: Vec<super::Cond>,
}

/// `point_of_no_return:`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointOfNoReturn {
    /// Why there is no way back behind it.
    pub reason: Field,
    /// Which undo entries it seals.
    pub seals: Vec<Seal>,
    /// Conditions, checked live before it may be passed.
    pub require: Vec<Condition>,
}

/// The undo entries of one tag that a point of no return seals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Entries of tasks with this tag.
    pub tag: String,
    /// On all hosts, not only where the point's intent stands.
    pub is_everywhere: bool,
}

/// `undo:`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum UndoSpec {
    /// `undo: keep`: what was done stays on purpose.
    Keep,
    /// `undo_of`-style compensation: tasks.
    Tasks(Vec<Item>),
}

/// `progress:`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// The output of `rsync --info=progress2`.
    Rsync,
    /// The output of `pg_upgrade`.
    PgUpgrade,
    /// A regular expression whose first group is a percentage.
    Regex(String),
}
