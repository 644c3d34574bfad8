//! Units of work that a playbook can name: pure functions that write scripts and read replies.
//!
//! A module never touches a host, a file or a clock. Check mode, `--diff`, prompts, undo, the
//! journal and loops all follow from [`Decision`], so a module cannot write in check mode or past
//! the journal: it has no way to. One file per module; the registry is the list below.

mod act;
mod blockinfile;
mod contract;
mod copy;
mod copy_tree;
mod fetch;
mod file;
mod file_args;
mod file_states;
mod file_tree;
mod find;
mod fstab;
mod lineinfile;
mod mode;
mod mount;
mod one_file;
mod path_state;
mod ping;
mod put;
mod python_json;
mod python_regex;
mod registry;
mod replace;
mod slurp;
mod stat;
mod tempfile;
mod template;
#[cfg(test)]
mod testing;
mod text_edit;
mod unarchive;

pub use act::{Act, Source};
pub use contract::{
    AnyModule, Change, Decision, Diff, Effect, Failure, Foretell, Input, InputKind, Module,
    Outcome, Prepared, Resolved, TreeEntry, Undo,
};
pub use registry::{find, names};
