//! What a module asks to be done on a host once the change is decided, asked about and journaled.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::script::Script;

/// One thing to do; the acts of a change run in order and stop at the first that fails.
///
/// While an act's script runs, `$SB_KEEP` names a directory (mode 0700, made on first use by
/// `sb_keep_dir`) in the host's spool that lives as long as the run's undo entries: before-images
/// go there, and the undo script finds them under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Runs a script, on this host or on another one.
    Script {
        /// The script.
        script: Script,
        /// The inventory name of the host to run it on, where that is not the task's.
        on: Option<String>,
    },
    /// Runs a script that reads the bytes of `source` on its standard input, on this host. The
    /// script must write to a temporary name and rename, as a stream may be cut anywhere.
    Stream {
        /// The script.
        script: Script,
        /// What it reads.
        source: Source,
    },
    /// Writes the body of an earlier reply (`replies[reply]`, counting the probe's replies first)
    /// to a file on the controller.
    Save {
        /// The path on the controller.
        path: String,
        /// Which reply.
        reply: usize,
    },
    /// Waits until the host has gone away and come back (after a reboot).
    Reconnect {
        /// Seconds to wait at most.
        timeout_s: u32,
        /// Seconds before the first try.
        delay_s: u32,
        /// Whether it has to restart meanwhile, which this machine cannot.
        restarts: bool,
    },
}

impl Act {
    /// A script on the task's own host.
    pub fn script(sh: impl Into<String>) -> Self {
        Self::Script {
            script: Script::new(sh),
            on: None,
        }
    }
}

/// Where the bytes of a stream come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A file on the controller, streamed and never held whole.
    File(PathBuf),
    /// Bytes the module made (small).
    Bytes(Vec<u8>),
}
