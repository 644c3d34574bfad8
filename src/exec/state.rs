//! All state of a run, owned by the core and by nobody else.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::end::ItemEnd;
use super::fact_cache::FactCache;
use super::frame::Frame;
use super::ground::Ground;
use super::job::Begun;
use super::tracked::Tracked;
use crate::event::Stats;
use crate::inventory::Inventory;
use crate::journal::{Attempt, Instance, Issued, Record};
use crate::model::{Condition, RoleScope, StepId, Task};
use crate::value::{Map, Value};
use crate::vars::HostVars;

/// What a run was told on the command line; it never changes.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, independent of the others"
)]
pub struct Settings {
    /// Id of the run.
    pub run: String,
    /// The folder in which the command was given; relative paths start there.
    pub cwd: PathBuf,
    /// The playbook as given.
    pub playbook: String,
    /// Name of the change, or the playbook's file name: the word typed at a point of no return.
    pub change: String,
    /// `--check`.
    pub is_check: bool,
    /// `--diff`.
    pub shows_diff: bool,
    /// `-v`, how often.
    pub verbosity: u8,
    /// Hosts in parallel (`--forks`).
    pub forks: usize,
    /// Whether a person is asked before each change.
    pub asks: bool,
    /// `--step`: asked before reading tasks too.
    pub asks_all: bool,
    /// `-e`.
    pub extra_vars: Arc<Map>,
    /// `--tags`.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// `--limit`, resolved.
    pub limit: Option<HashSet<String>>,
    /// `--limit` as given.
    pub limit_text: Option<String>,
    /// `--start-at-task`.
    pub start_at: Option<String>,
    /// `--force-handlers`.
    pub force_handlers: bool,
    /// `-u`, `--private-key`, `-b`, …: `ansible_*` variables below all others.
    pub connection_defaults: Arc<Map>,
    /// Where the journal is, if there is one.
    pub journal: Option<String>,
    /// `--way` of a rollback.
    pub way: Option<String>,
    /// Name of the task that a rehearsal makes fail instead of running it.
    pub injects_failure_at: Option<String>,
    /// What the configuration says.
    pub defaults: Defaults,
    /// Name or step of the task before which the run stops.
    pub stops_before: Option<String>,
    /// The window of the change, in seconds.
    pub window_s: Option<u64>,
    /// The machine that takes the locks of hosts; none where no locks are taken.
    pub machine: Option<String>,
    /// Who that is, from where and since when, for others who meet the locks.
    pub owner: String,
    /// Seconds after which nobody waits any longer for a host on which a task may be running;
    /// none: for ever.
    pub lost_after_s: Option<u64>,
    /// How many seconds of it earlier processes of the run have used.
    pub window_spent_s: u64,
    /// Facts that outlive the run, where they are wanted.
    pub fact_cache: Option<FactCache>,
}

/// What a configuration says of all plays; the default is what Ansible does without one.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Defaults {
    /// `strategy`.
    pub strategy: Option<String>,
    /// `gathering: explicit`: no facts unless a play asks for them.
    pub gathers_explicitly: bool,
    /// `gathering: smart`: no facts of hosts that have some.
    pub gathers_smartly: bool,
    /// `error_on_missing_handler: false`: who notifies nobody is warned.
    pub forgives_missing_handlers: bool,
    /// `any_errors_fatal`.
    pub any_errors_fatal: bool,
    /// `hash_behaviour: merge`.
    pub merges_hashes: bool,
    /// `inject_facts_as_vars: false`.
    pub hides_facts: bool,
    /// `host_pattern_mismatch: error`.
    pub refuses_unmatched_patterns: bool,
    /// `allow_broken_conditionals`.
    pub allows_broken_conditionals: bool,
}

/// What an earlier process of the same run left in the journal.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Steps that ended, with their record.
    pub done: HashMap<Instance, Record>,
    /// Intents without an end.
    pub open: HashMap<Instance, Open>,
    /// Jobs that were begun, by attempt, and whether they were seen to be over.
    pub jobs: HashMap<u64, (Issued, bool)>,
    /// Attempts without an end that act on another host than the one that they are for.
    pub delegated: Vec<Attempt>,
    /// Locks that were taken or about to be: host, token, machine.
    pub locks: Vec<(String, String, String)>,
    /// Hosts that a takeover left out of the run.
    pub without: Vec<String>,
    /// How many tokens of locks were given out.
    pub lock_count: usize,
    /// The next attempt's number.
    pub next_attempt: u64,
    /// Hosts released from protection.
    pub released: BTreeSet<String>,
    /// What was learnt to be secret.
    pub secrets: Vec<String>,
    /// Questions with the answers that were given to them, in order.
    pub answers: Vec<(String, String)>,
}

/// An intent without an end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Open {
    /// Whether the module converges.
    pub converges: bool,
    /// The attempt; none for a command without an intent.
    pub attempt: Option<u64>,
    /// Whether it was provably never sent.
    pub is_unsent: bool,
    /// How it was sent, where it is durable.
    pub issued: Option<Issued>,
    /// How far its output was shown.
    pub shown: (u64, u64),
}

/// How far the operator lets the run go without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Asked before each change.
    #[default]
    Step,
    /// Not until the end of the play.
    RestOfPlay,
    /// Not any more; gates still stop.
    Free,
}

/// State of the play that runs.
#[derive(Debug, Default)]
pub(crate) struct PlayState {
    /// Hosts of the pattern, in order.
    pub(crate) all_hosts: Tracked<Vec<String>>,
    /// Hosts of the batch.
    pub(crate) batch: Tracked<Vec<String>>,
    /// Index of the batch.
    pub(crate) batch_index: u32,
    /// Hosts that left the play: failed, ended, unreachable.
    pub(crate) gone: Tracked<HashSet<String>>,
    /// Of those, the ones that failed.
    pub(crate) failed: HashSet<String>,
    /// Hosts that failed without a rescue, as soon as they did.
    pub(crate) failing: Tracked<HashSet<String>>,
    /// Of those, the ones that `meta: clear_host_errors` forgave: they take part in later plays.
    pub(crate) forgiven: HashSet<String>,
    /// Places at throttled tasks, which hosts share that go on by themselves (`strategy: free`).
    pub(crate) throttles: HashMap<StepId, Rc<tokio::sync::Semaphore>>,
    /// How many tasks a host did not run because it could not be reached, which was ignored.
    pub(crate) unmet: HashMap<String, u32>,
    /// How often `meta: clear_host_errors` ran.
    pub(crate) clears: u32,
    /// Notified handlers by host.
    pub(crate) notified: HashMap<String, Vec<String>>,
    /// Handlers that are to run at the next flush, by host and index.
    pub(crate) pending_handlers: HashMap<String, BTreeSet<usize>>,
    /// Handlers of the play, those of included roles added.
    pub(crate) handlers: Vec<Task>,
    /// `force_handlers` of the play or of the command line.
    pub(crate) forces_handlers: bool,
    /// Roles that ended early on a host (`meta: end_role`), by host and name.
    pub(crate) roles_ended: HashSet<(String, String)>,
    /// Roles that ran, by host and name with parameters.
    pub(crate) roles_done: HashSet<(String, String)>,
    /// The play's static roles.
    pub(crate) roles: Vec<Arc<RoleScope>>,
    /// Defaults of the play's static roles.
    pub(crate) role_defaults: Vec<Arc<Map>>,
    /// Vars of the play's static roles.
    pub(crate) role_vars: Vec<Arc<Map>>,
    /// The play's `vars`, its prompts and its vars files, in this order.
    pub(crate) vars_layers: Vec<Arc<Map>>,
    /// The folder of its playbook.
    pub(crate) folder: String,
    /// The play's own keywords.
    pub(crate) frame: Option<Rc<Frame>>,
    /// `max_fail_percentage`.
    pub(crate) max_fail_percentage: Option<f64>,
    /// The play's name.
    pub(crate) name: String,
    /// The variables that are the same for all hosts, and which lists of hosts they were made of.
    pub(crate) magic: Option<([u64; 4], Arc<Map>)>,
}

/// All state that changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) inventory: Inventory,
    pub(crate) hosts: HashMap<String, HostVars>,
    pub(crate) stats: Stats,
    /// Hosts out of the run: unreachable, excluded, or failed in an earlier play.
    pub(crate) out: HashSet<String>,
    /// Hosts that failed and were not forgiven, of all plays.
    pub(crate) failed: HashSet<String>,
    /// What is known of hosts, by name and user.
    pub(crate) grounds: HashMap<(String, String), Rc<Ground>>,
    /// Held while a host is met.
    pub(crate) doors: HashMap<String, Rc<futures_util::lock::Mutex<()>>>,
    /// Hosts whose last attempt is lost or still running.
    pub(crate) parked: HashSet<String>,
    pub(crate) replay: Replay,
    /// Items of the task at hand that ended well: a second try of the task does not repeat them.
    pub(crate) ended: HashMap<Instance, ItemEnd>,
    /// Attempts whose end is not in the journal yet: their files on the host must stay.
    pub(crate) unrecorded: HashMap<u64, Instance>,
    /// Jobs that were begun and are not awaited, by id.
    pub(crate) jobs: BTreeMap<String, Rc<Begun>>,
    /// Hosts of which facts were learnt or forgotten in this run.
    pub(crate) facts_learnt: BTreeSet<String>,
    /// Items of the task at hand that are lost, with their attempt.
    pub(crate) lost: Vec<(Instance, Option<u64>)>,
    pub(crate) occurrences: HashMap<(StepId, String, u32, Option<u32>), u32>,
    pub(crate) protected: HashSet<String>,
    pub(crate) pace: Pace,
    pub(crate) play: PlayState,
    /// Steps started so far.
    pub(crate) started: usize,
    /// Statically known steps.
    pub(crate) total: usize,
    /// Extra facts about what is left to do.
    pub(crate) open: Vec<String>,
    /// `groups`, made anew when the inventory changes.
    pub(crate) groups: Option<Value>,
    /// Whether `--start-at-task` has been met.
    pub(crate) has_started_at: bool,
    /// Milliseconds at the start, for the window.
    pub(crate) began_ms: u64,
    /// Whether somebody chose to go on after the window's end.
    pub(crate) is_past_window: bool,
    /// Whether the undo stack is being walked.
    pub(crate) is_undoing: bool,
    /// Paths by host that check mode would have made.
    pub(crate) planned_paths: HashSet<(String, String)>,
    /// Hosts on which check mode left a command out.
    pub(crate) has_left_out: HashSet<String>,
    /// Health checks of the change.
    pub(crate) guards: Vec<Condition>,
    /// Number of undo entries so far.
    pub(crate) undo_depth: usize,
    /// Names of the ways back.
    pub(crate) way_names: Vec<String>,
}
