//! From the files of a playbook to a [`crate::model::Playbook`] with everything static resolved and
//! checked.
//!
//! Contacts no host and renders no template except the few that must be known before the run (see
//! `load::Loader::set_renderer`). Invariant: all problems of all files are reported at once.

mod action_args;
mod actions;
mod check;
mod find;
mod library;
mod lint;
mod load;
mod schema;

pub use actions::{ACTIONS, Action, action_name, action_names, manual};
pub use find::find_file;
pub use library::distrust;
pub use lint::{lint, tags, unknown_tags};
pub use load::{Included, Loader, Renderer, collection_playbooks};
pub use schema::schema;
