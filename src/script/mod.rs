//! POSIX sh fragments and the replies they give. Pure: nothing here talks to a host.
//!
//! Invariant: a value enters a script only through [`quote`]; data from hosts never does so
//! unquoted.

mod quote;
mod reply;

pub use quote::quote;
pub use reply::Reply;

use serde::{Deserialize, Serialize};

/// The functions that every session defines once before its first script.
pub const PRELUDE: &str = concat!(include_str!("prelude.sh"), include_str!("files.sh"));

/// A piece of POSIX sh that runs in a subshell with `/dev/null` as its input, after [`PRELUDE`].
///
/// Its exit status and both output streams come back as a [`Reply`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The text.
    pub sh: String,
}

impl Script {
    /// A script with this text.
    pub fn new(sh: impl Into<String>) -> Self {
        Self { sh: sh.into() }
    }
}
