//! Units of work that a playbook can name: pure functions that write scripts and read replies.
//!
//! A module never touches a host, a file or a clock. Check mode, `--diff`, prompts, undo, the
//! journal and loops all follow from [`Decision`], so a module cannot write in check mode or past
//! the journal: it has no way to. One file per module; the registry is the list below.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "scripts are put together from pieces; a `write!` that cannot fail would hide them"
)]

mod act;
mod apt;
mod apt_plan;
mod assemble;
mod awk_regex;
mod blockinfile;
mod command;
mod contract;
mod copy;
mod copy_tree;
mod cron;
mod diff;
mod dnf;
mod expect;
mod facts;
mod facts_hardware;
mod facts_network;
mod fetch;
mod file;
mod file_args;
mod file_states;
mod file_tree;
mod find;
mod find_content;
mod fstab;
mod get_url;
mod group;
mod hostname;
mod http;
mod ini_file;
mod library;
mod lineinfile;
mod manual;
mod mode;
mod mount;
mod one_file;
mod package;
mod path_state;
mod pep440;
mod ping;
mod pip;
mod postgresql;
mod psql_reply;
mod put;
mod python_json;
mod python_regex;
mod query;
mod raw;
mod reboot;
mod registry;
mod replace;
mod result;
mod script;
mod service;
mod setup;
mod slurp;
mod small_file;
mod sql;
mod ssh_keys;
mod stat;
mod synchronize;
mod sysctl;
mod tempfile;
mod template;
#[cfg(test)]
mod testing;
mod text_edit;
#[cfg(test)]
mod trial;
mod unarchive;
mod uri;
mod user;
mod wait_for;
mod words;

pub use act::{Act, Source};
pub use contract::{
    AnyModule, CHECK_WARNINGS, Change, Compares, Decision, Diff, Effect, Failure, Foretell, Input,
    InputKind, Module, Outcome, Prepared, Resolved, TreeEntry, Undo,
};
pub use library::{Calling, LIBRARY_MODULE};
pub use manual::{Argument, Manual};
pub use registry::{find, names};
pub use result::output_of;
