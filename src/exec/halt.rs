//! Why a run ends before its last task.

/// Why a run, a play or a batch stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// `meta: end_play`, or every host is gone: this play ends, the next goes on.
    EndPlay,
    /// `meta: end_batch`: the next batch goes on.
    EndBatch,
    /// Too many hosts failed: no later play runs.
    EndRun,
    /// The operator stopped; `switchback resume` goes on.
    Stopped,
    /// The window of the change is over; `switchback resume` goes on in another one.
    WindowOver,
    /// The operator ended the run as it is.
    Aborted,
    /// The operator or the policy wants to go back.
    RollBack,
    /// A step would have changed a protected host: nothing of it was sent.
    Refused(String),
    /// A decision was needed and nobody was there; the text says what would have told.
    Undecided(String),
    /// Another run has the lock of a host; the text says whose.
    Locked(String),
    /// Nobody waits any longer for a host on which a task may be running; the text says which.
    Lost(String),
    /// The journal cannot be written: nothing more may be started.
    Journal(String),
    /// A problem with the playbook that shows only now (an include that cannot be read).
    Broken(String),
}

/// Result of everything that may stop a run.
pub(crate) type Flow<T> = std::result::Result<T, Halt>;
