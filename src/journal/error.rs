//! What can go wrong with a journal, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::record::FORMAT;
use crate::diag::Diagnostic;

/// Result of everything that can fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A problem of the journal or of the run store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, such as ``write the journal``.
        doing: String,
        /// Why not.
        source: io::Error,
    },
    /// An earlier write or fsync failed; nothing is known of what is on disk.
    #[error("the journal takes no more records: an earlier write to it failed")]
    Poisoned,
    /// No room is left to write down what follows; nothing was written and the journal is whole.
    #[error("no room for the journal: {source}")]
    NoRoom {
        /// Why not.
        source: io::Error,
    },
    /// A line that is not the last one is not as it was written.
    #[error("{}:{line}: the journal is broken: {why}", path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It was written by a version whose records are not known.
    #[error("{}: the journal has format {found}, this version reads {FORMAT}", path.display())]
    Format {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// Someone else works on the run.
    #[error("run `{run}` is in use by {holder}")]
    Locked {
        /// The run.
        run: String,
        /// Who, as written in the lock.
        holder: String,
    },
    /// No run has such an id.
    #[error("no run `{wanted}` in `{}`", root.display())]
    NotFound {
        /// As given.
        wanted: String,
        /// Where it was looked for.
        root: PathBuf,
    },
    /// Several runs have such an id.
    #[error("`{wanted}` names {} runs: {}", ids.len(), ids.join(", "))]
    Ambiguous {
        /// As given.
        wanted: String,
        /// Their ids.
        ids: Vec<String>,
    },
    /// A key file holds no key of the run.
    #[error("`{}` holds no key of this run", path.display())]
    NotKey {
        /// The file.
        path: PathBuf,
    },
    /// What the run keeps secret cannot be read here.
    #[error("the key of run `{run}` is not here (`{}`)", path.display())]
    NoKey {
        /// The run.
        run: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// What the run keeps secret was written with another key, or was changed.
    #[error("record {seq} cannot be decrypted: the key is another one, or the record was changed")]
    WrongKey {
        /// The record.
        seq: u64,
    },
    /// The head cannot be signed; the journal itself is written.
    #[error("the journal cannot be signed: {source}")]
    Unsigned {
        /// Why not.
        source: io::Error,
    },
    /// Others could write where the journals are.
    #[error("`{}` is not safe for journals: {why}", path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was tried.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Stable code, as in every diagnostic.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "SB0801",
            Self::Poisoned => "SB0802",
            Self::NoRoom { .. } => "SB0803",
            Self::Broken { .. } => "SB0804",
            Self::Format { .. } => "SB0805",
            Self::Locked { .. } => "SB0806",
            Self::NotFound { .. } => "SB0807",
            Self::Ambiguous { .. } => "SB0808",
            Self::Unsafe { .. } => "SB0809",
            Self::NotKey { .. } => "SB0810",
            Self::NoKey { .. } => "SB0811",
            Self::WrongKey { .. } => "SB0812",
            Self::Unsigned { .. } => "SB0813",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Io { .. } | Self::Poisoned => {
                "see to the disk; then `switchback resume` reads what is there and goes on"
            }
            Self::NoRoom { .. } => "free some space; then `switchback resume` goes on",
            Self::Broken { .. } => {
                "the run cannot be resumed from it; `switchback report` still shows the lines before"
            }
            Self::Format { .. } => "use the version of switchback that started the run",
            Self::Locked { .. } => "wait, or agree with them and use `switchback takeover`",
            Self::NotFound { .. } => "`switchback runs` lists all runs",
            Self::Ambiguous { .. } => "give more of the id",
            Self::NotKey { .. } | Self::NoKey { .. } | Self::WrongKey { .. } => {
                "where the run began, `switchback runs key RUN` gives its key: bring it here and \
                 name it with `--run-key FILE`"
            }
            Self::Unsigned { .. } => "see to the key or its agent, or run without `--sign-with`",
            Self::Unsafe { .. } => {
                "make it yours with mode 0700, or set SWITCHBACK_RUNS to another folder"
            }
        }
    }
}

impl From<Error> for Box<Diagnostic> {
    fn from(error: Error) -> Self {
        Box::new(Diagnostic::error(error.code(), error.to_string()).help(error.help()))
    }
}
