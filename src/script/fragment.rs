//! A script to be run.

use serde::{Deserialize, Serialize};

/// A piece of POSIX sh that runs in a subshell with `/dev/null` as its input, after [`PRELUDE`](super::PRELUDE).
///
/// Its exit status and both output streams come back as a [`Reply`](super::Reply).
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
