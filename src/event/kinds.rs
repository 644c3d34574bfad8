//! The kinds of events and what each carries.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Stats;
use crate::diag::Place;
use crate::model::StepId;
use crate::value::Value;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first event.
    RunStarted {
        /// Id of the run.
        run: String,
        /// Wall clock.
        at: DateTime<Utc>,
        /// The playbook as given.
        playbook: String,
        /// Number of its plays.
        #[serde(default)]
        plays: usize,
        /// Name of the change, where the playbook has a header.
        change: Option<String>,
        /// Whether nothing is to be changed.
        is_check: bool,
        /// Where the run's journal is; none in check mode.
        journal: Option<String>,
    },
    /// A play begins on these hosts.
    PlayStarted {
        /// Its name.
        name: String,
        /// All its hosts.
        hosts: Vec<String>,
    },
    /// A batch of `serial` begins.
    BatchStarted {
        /// Its hosts.
        hosts: Vec<String>,
    },
    /// A play had no hosts.
    PlaySkipped {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// A task or handler begins on its batch.
    TaskStarted {
        /// The step.
        step: StepId,
        /// Its rendered name, `ROLE : NAME` in a role.
        name: String,
        /// The module or action.
        module: String,
        /// Where it stands.
        place: Option<Place>,
        /// Whether it is a handler.
        is_handler: bool,
        /// The hosts it is to run on.
        hosts: Vec<String>,
        /// Wall clock.
        at: DateTime<Utc>,
    },
    /// One host begins to work on a task.
    HostStarted {
        /// The host.
        host: String,
        /// The step.
        step: StepId,
    },
    /// Live output of a running command, sanitised for a terminal.
    Output {
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// Standard error rather than standard output.
        is_stderr: bool,
        /// Some text; lines may be cut.
        text: String,
    },
    /// How far a running command is.
    Progress {
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// 0 to 100, where it can be told.
        percent: Option<u8>,
        /// What it is doing.
        text: String,
    },
    /// One item of a loop ended on one host.
    ItemFinished {
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// The item's label.
        label: String,
        /// How it ended.
        report: Report,
    },
    /// One host ended a task; with a loop, after its items.
    HostFinished {
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// The task's name.
        name: String,
        /// How it ended.
        report: Report,
    },
    /// A file or role was included.
    Included {
        /// Its path, or the name of the role.
        what: String,
        /// The hosts that chose it.
        hosts: Vec<String>,
        /// The label of the item, where the include is a loop.
        label: Option<String>,
    },
    /// A `meta` task did what it does.
    Meta {
        /// The step; none where the end of a section implies it.
        step: Option<StepId>,
        /// The task's name.
        name: String,
        /// Where it stands.
        place: Option<Place>,
        /// Whether it is a handler.
        is_handler: bool,
        /// What it did, a line each.
        done: Vec<String>,
    },
    /// No host of the play is left to work on.
    HostsLeft,
    /// A try of `until`/`retries` failed and another follows.
    Retrying {
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// Tries left.
        left: u32,
    },
    /// A question was asked.
    Asked {
        /// What, in one line.
        question: String,
    },
    /// It was answered.
    Answered {
        /// What was asked, in one line.
        question: String,
        /// The answer, in one line.
        answer: String,
        /// Who: an operator's name or `policy`.
        by: String,
    },
    /// A condition (guard, requirement, legality of a way back) was checked on a host.
    Checked {
        /// The condition's name.
        name: String,
        /// The host; none where it concerns no host.
        host: Option<String>,
        /// Whether it holds.
        holds: bool,
        /// What was seen.
        seen: String,
    },
    /// Something the operator should know.
    Notice {
        /// Warning rather than information.
        is_warning: bool,
        /// The text.
        text: String,
    },
    /// One step was undone (or could not be).
    Undone {
        /// The host.
        host: String,
        /// The step.
        step: StepId,
        /// What was taken back.
        summary: String,
        /// How it ended.
        report: Report,
    },
    /// The last event.
    RunFinished {
        /// Id of the run.
        run: String,
        /// Wall clock.
        at: DateTime<Utc>,
        /// Totals per host.
        stats: Stats,
        /// The exit code and, in a word, what it means.
        exit_code: u8,
        /// What is left to do or to decide, one line each.
        open: Vec<String>,
    },
}

/// How a task, or one item of it, ended on one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// In a word.
    pub status: Status,
    /// `ignore_errors` or `ignore_unreachable` let the host go on.
    pub is_ignored: bool,
    /// The result as `register` sees it, redacted.
    pub result: Value,
    /// Unified diffs, one per file.
    pub diff: Vec<String>,
    /// What was or would be changed, in one line.
    pub summary: String,
    /// Milliseconds on the monotonic clock.
    pub duration_ms: u64,
    /// Tries, where there were several.
    pub attempts: u32,
    /// The host that did it, where it is another one (`delegate_to`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<String>,
}

/// The outcome of a task on one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing had to be changed.
    Ok,
    /// Changed; in check mode: would be changed.
    Changed,
    /// Not run.
    Skipped,
    /// Failed.
    Failed,
    /// Never reached.
    Unreachable,
    /// It may have run, and nobody can say.
    Lost,
    /// Check mode cannot tell: it depends on the result of a task that did not run.
    Unknown,
}
