//! Exit codes, in one table.

/// An exit code: its number, its name, and what it means.
pub(crate) struct Exit {
    pub(crate) code: u8,
    pub(crate) meaning: &'static str,
}

/// All exit codes. Those of Ansible keep their meaning; the others are ours.
pub(crate) const TABLE: &[Exit] = &[
    Exit {
        code: 0,
        meaning: "ok",
    },
    Exit {
        code: 1,
        meaning: "error of switchback itself or of its journal",
    },
    Exit {
        code: 2,
        meaning: "a task failed on some hosts",
    },
    Exit {
        code: 3,
        meaning: "the playbook, the inventory or the variables cannot be loaded",
    },
    Exit {
        code: 4,
        meaning: "some hosts were unreachable",
    },
    Exit {
        code: 5,
        meaning: "wrong usage of the command line",
    },
    Exit {
        code: 6,
        meaning: "locked: another process works on this run, or another run on one of its hosts",
    },
    Exit {
        code: 7,
        meaning: "drift: the playbook or the inventory has changed since the run began",
    },
    Exit {
        code: 8,
        meaning: "refused: a step would have changed a protected host; release it, then resume",
    },
    Exit {
        code: 9,
        meaning: "the outcome of some task is not known",
    },
    Exit {
        code: 10,
        meaning: "stopped by the operator; resumable",
    },
    Exit {
        code: 12,
        meaning: "rolled back",
    },
    Exit {
        code: 13,
        meaning: "the rollback is incomplete, or was refused",
    },
    Exit {
        code: 14,
        meaning: "the window is over",
    },
    Exit {
        code: 15,
        meaning: "a decision was needed and nobody was there",
    },
    Exit {
        code: 99,
        meaning: "aborted by the operator",
    },
];

pub(crate) const OK: u8 = 0;
pub(crate) const ERROR: u8 = 1;
pub(crate) const LOAD: u8 = 3;
pub(crate) const USAGE: u8 = 5;
pub(crate) const LOCKED: u8 = 6;
pub(crate) const DRIFT: u8 = 7;
pub(crate) const LOST: u8 = 9;
pub(crate) const STOPPED: u8 = 10;
pub(crate) const ROLLED_BACK: u8 = 12;
pub(crate) const UNDECIDED: u8 = 15;
pub(crate) const DETACHED: u8 = 10;

/// The table for `--help`.
pub(crate) fn help() -> String {
    let lines: Vec<String> = TABLE
        .iter()
        .map(|exit| format!("  {:>3}  {}", exit.code, exit.meaning))
        .collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}
