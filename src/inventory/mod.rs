//! Hosts, groups and patterns, and the variables that belong to them.
//!
//! Knows the files of an inventory (INI, YAML, `group_vars`, `host_vars`), knows nothing of plays
//! or templates. Invariant: every host is in `all`, and in `ungrouped` if it is in no other group.

mod address;
mod constructed;
mod data;
mod ini;
mod literal;
mod pattern;
mod range;
mod script;
mod source;
mod vars_files;
mod yaml;

pub use constructed::Expressions;
pub use data::{Host, Inventory};
pub use literal::literal_eval;
pub use pattern::{Selected, limit_patterns, split_patterns};
pub use source::Unparsed;
pub use vars_files::vars_folder;
