//! Where a script goes, as whom, and how it can fail to get there.

use std::path::PathBuf;
use std::time::Duration;

use crate::modules::Source;
use crate::script::Script;

/// A host, a way to it, and the user to be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The inventory name, for messages and as the key of its spool.
    pub host: String,
    /// The way to it.
    pub connection: Connection,
    /// The user to become, if not the one who logs in.
    pub become_user: Option<Become>,
}

/// A way to a host; `ansible_*` connection variables are its source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// A `sh` on this machine.
    Local,
    /// Plain SSH.
    Ssh {
        /// `ansible_host`, by default the inventory name.
        address: String,
        /// `ansible_port`; `None` leaves it to `ssh_config`.
        port: Option<u16>,
        /// `ansible_user`; `None` leaves it to `ssh_config`.
        user: Option<String>,
        /// `ansible_ssh_private_key_file`.
        key: Option<PathBuf>,
        /// `ansible_ssh_common_args` and `ansible_ssh_extra_args`, split into words.
        args: Vec<String>,
        /// `ansible_password`, given to ssh by `SSH_ASKPASS`.
        password: Option<SecretText>,
        /// Seconds to connect at most (`ansible_timeout`, default 10).
        timeout_s: u32,
        /// `ansible_host_key_checking: false`: accept any key. Strict by default.
        accepts_any_host_key: bool,
    },
}

/// A password. `Debug` masks it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretText(pub String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("********")
    }
}

/// Becoming another user on the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Become {
    /// Who to become; `root` by default.
    pub user: String,
    /// By what.
    pub method: BecomeMethod,
    /// `become_flags`, split into words; `None` is the method's default.
    pub flags: Option<Vec<String>>,
    /// Sent only in answer to a prompt that carries our nonce.
    pub password: Option<SecretText>,
}

/// The programs that switch users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BecomeMethod {
    /// `sudo`.
    Sudo,
    /// `su`.
    Su,
    /// `doas`.
    Doas,
}

/// One script to run, with what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The script; it runs in a subshell after `script::PRELUDE`.
    pub script: Script,
    /// Bytes for its standard input over a channel of its own; `None` is `/dev/null` on the
    /// framed session.
    pub input: Option<Source>,
    /// Give up waiting after this long: the outcome is then [`Failed::Lost`].
    pub timeout: Option<Duration>,
}

/// Which of a script's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Some bytes of output as they arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which stream.
    pub stream: Stream,
    /// The bytes, cut anywhere.
    pub bytes: Vec<u8>,
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Nothing was sent: no route, refused, host key, login denied, user switch refused.
    #[error("{reason}")]
    Unreachable {
        /// What ssh or the user switch said, in one line a person can act on.
        reason: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// The script was sent and its reply was lost: it may have run.
    #[error("{reason}")]
    Lost {
        /// What happened to the connection.
        reason: String,
    },
}
