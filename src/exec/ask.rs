//! What the engine asks a person (or a policy), and the answers there are.
//!
//! Questions carry everything that is shown, rendered and redacted; the console adds nothing of its
//! own. Keys that only show more of a question (diff, view, help) are the console's business.

use crate::diag::Place;
use crate::event::Report;
use crate::model::StepId;

/// Something to be decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Before a task, in step mode.
    Task(Box<TaskQuestion>),
    /// After a task failed, was unreachable or lost on some hosts.
    Failure(Box<FailureQuestion>),
    /// Before a point of no return.
    PointOfNoReturn(Box<GateQuestion>),
    /// The pause screen: on request, by Ctrl-C, or because a guard does not hold.
    Pause(Box<PauseQuestion>),
    /// A way back is to be chosen.
    WayBack(Box<WaysQuestion>),
    /// One line of text: `pause`, `vars_prompt`, passwords.
    Text(TextQuestion),
    /// A word must be typed before something that cannot be taken back.
    Word(WordQuestion),
}

/// The prompt before a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskQuestion {
    /// The step.
    pub step: StepId,
    /// Its rendered name.
    pub name: String,
    /// The play's name.
    pub play: String,
    /// How many tasks were started before, this one included.
    pub number: usize,
    /// How many there are, as far as is known (dynamic includes add to it).
    pub total: usize,
    /// Where it stands.
    pub place: Option<Place>,
    /// The module.
    pub module: String,
    /// Hosts that would be changed, those with equal text and diff in one group.
    pub groups: Vec<HostGroup>,
    /// Hosts where nothing has to be changed or that skip it.
    pub unchanged: Vec<String>,
    /// What it notifies.
    pub notifies: Vec<String>,
    /// How it would be taken back, in one line.
    pub undo: String,
    /// How long it took before (median), in milliseconds.
    pub usual_ms: Option<u64>,
    /// What is left of the window, in seconds; negative when over.
    pub window_left_s: Option<i64>,
    /// The ways back right now, one line each.
    pub ways_back: Vec<String>,
    /// Whether it only reads.
    pub reads: bool,
}

/// Hosts for which a task does the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostGroup {
    /// The hosts.
    pub hosts: Vec<String>,
    /// What will be done there, rendered: a command line, or what would be changed.
    pub does: String,
    /// Unified diffs.
    pub diff: Vec<String>,
    /// Everything: arguments, user, environment, folder.
    pub details: Vec<String>,
}

/// The prompt after a failure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailureQuestion {
    /// The step.
    pub step: StepId,
    /// Its rendered name.
    pub name: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// Failed hosts with how they ended, equal ones in one group.
    pub groups: Vec<(Vec<String>, Report)>,
    /// On how many hosts it was run.
    pub hosts_total: usize,
    /// Whether it may be run again without harm (`Converges`, `reads`).
    pub is_safe_to_retry: bool,
    /// The ways back right now, one line each.
    pub ways_back: Vec<String>,
}

/// The prompt before a point of no return.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateQuestion {
    /// The step.
    pub step: StepId,
    /// Its rendered name.
    pub name: String,
    /// Why there is no way back behind it.
    pub reason: String,
    /// What was required: name, whether it holds, what was seen.
    pub requirements: Vec<(String, bool, String)>,
    /// Undo entries that it seals, one line each.
    pub seals: Vec<String>,
    /// The ways back that are left, one line each.
    pub ways_back: Vec<String>,
    /// The word to be typed.
    pub word: String,
}

/// The pause screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PauseQuestion {
    /// Why the run is paused.
    pub why: String,
    /// What goes on meanwhile, one line each.
    pub running: Vec<String>,
    /// The signal that would end it, where somebody may want that.
    pub signal: Option<&'static str>,
    /// What comes next.
    pub next: String,
    /// Lines about guards, window, handlers pending, undo depth.
    pub status: Vec<String>,
}

/// The choice of a way back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WaysQuestion {
    /// All ways.
    pub ways: Vec<WayOffer>,
}

/// One way back as it is offered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WayOffer {
    /// Its name; `undo` is the undo stack.
    pub name: String,
    /// Whether it is legal now.
    pub is_legal: bool,
    /// Its conditions: name, whether it holds, what was seen.
    pub conditions: Vec<(String, bool, String)>,
    /// What it loses.
    pub loses: String,
    /// What it does, one line each.
    pub steps: Vec<String>,
    /// What it does not bring back, one line each.
    pub stays: Vec<String>,
}

/// A line of text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextQuestion {
    /// The question.
    pub prompt: String,
    /// Whether the input is hidden.
    pub is_secret: bool,
    /// The answer to an empty input.
    pub default: Option<String>,
    /// Whether to ask twice.
    pub confirms: bool,
    /// Give the empty answer after so many seconds.
    pub seconds: Option<u32>,
}

/// A word to be typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WordQuestion {
    /// What will happen.
    pub warning: String,
    /// The word.
    pub word: String,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Run it; on a failure: go on without the failed hosts.
    Run,
    /// Leave it out on all hosts.
    Skip {
        /// Why.
        reason: String,
    },
    /// Leave it out on some hosts.
    SkipHosts {
        /// Those.
        hosts: Vec<String>,
        /// Why.
        reason: String,
    },
    /// Run it again on the failed hosts.
    Retry,
    /// Go on to the end of the play without asking; gates still stop.
    RestOfPlay,
    /// Go on to the end of the playbook without asking; gates still stop.
    RestOfPlaybook,
    /// Show the pause screen.
    Pause,
    /// Go on, from the pause screen.
    Continue,
    /// End what runs, from the pause screen.
    Cancel,
    /// Take the failed hosts out of the run.
    Exclude {
        /// Why.
        reason: String,
    },
    /// Roll back.
    RollBack,
    /// The way back chosen.
    Way(String),
    /// Stop here; `switchback resume` goes on.
    Stop,
    /// End the run as it is.
    Abort,
    /// Text or word typed.
    Text(String),
    /// Nobody is there and no policy tells (exit code 15).
    Nobody {
        /// What would have told.
        hint: String,
    },
}
