//! Keywords that plays, blocks and tasks share; the inner one wins unless said otherwise.

use serde::{Deserialize, Serialize};

use super::{Cond, Field};
use crate::value::Map;

/// Keywords common to play, block, role use, include and task. `None` is inherited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Keywords {
    /// `name`, which may hold templates.
    pub name: Option<Field>,
    /// `when`: outer conditions come first and all must hold.
    pub when: Vec<Cond>,
    /// `vars`.
    pub vars: Map,
    /// `tags`: the union with the outer ones.
    pub tags: Vec<String>,
    /// `environment`: mappings, merged with the outer ones key by key, inner wins.
    pub environment: Vec<Field>,
    /// `module_defaults`: outer first.
    pub module_defaults: Vec<Field>,
    /// `become`.
    pub r#become: Option<Field>,
    /// `become_user`.
    pub become_user: Option<Field>,
    /// `become_method`.
    pub become_method: Option<Field>,
    /// `become_flags`.
    pub become_flags: Option<Field>,
    /// `become_exe`.
    pub become_exe: Option<Field>,
    /// `check_mode`.
    pub check_mode: Option<Field>,
    /// `diff`.
    pub diff: Option<Field>,
    /// `no_log`.
    pub no_log: Option<Field>,
    /// `ignore_errors`.
    pub ignore_errors: Option<Field>,
    /// `ignore_unreachable`.
    pub ignore_unreachable: Option<Field>,
    /// `any_errors_fatal`.
    pub any_errors_fatal: Option<Field>,
    /// `delegate_to` (block and task).
    pub delegate_to: Option<Field>,
    /// `delegate_facts` (block and task).
    pub delegate_facts: Option<Field>,
    /// `run_once`.
    pub run_once: Option<Field>,
    /// `throttle`.
    pub throttle: Option<Field>,
    /// `timeout`, in seconds.
    pub timeout: Option<Field>,
    /// `connection`.
    pub connection: Option<Field>,
    /// `port`.
    pub port: Option<Field>,
    /// `remote_user`.
    pub remote_user: Option<Field>,
    /// `collections` is accepted: names are resolved in full anyway.
    pub collections: Vec<String>,
    /// `notify` under `apply:` of an include.
    #[serde(default)]
    pub notify: Vec<Field>,
}
