//! POSIX sh fragments and the replies they give. Pure: nothing here talks to a host.
//!
//! Invariant: a value enters a script only through [`quote`]; data from hosts never does so
//! unquoted.

mod fragment;
mod quote;
mod reply;

pub use fragment::Script;
pub use quote::quote;
pub use reply::Reply;

/// The functions that every session defines once before its first script.
pub const PRELUDE: &str = concat!(include_str!("prelude.sh"), include_str!("files.sh"));
