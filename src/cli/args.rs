//! The arguments of every command. Flags of `ansible-playbook` keep their letters and meaning.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Runs Ansible-style playbooks over plain SSH, one confirmed step at a time, and always knows the
/// way back.
#[derive(Parser, Debug)]
#[command(name = "switchback", version, after_help = super::exit::help(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a playbook: ask before each change on a terminal, follow the policy without one
    Run(Box<RunArgs>),
    /// Show what a playbook would change; nothing is written anywhere
    Check(Box<RunArgs>),
    /// Rehearse a change on its lab, or on a staging inventory
    Rehearse(Box<RehearseArgs>),
    /// Go on with a run that was stopped or interrupted
    Resume(ResumeArgs),
    /// Go back: undo what a run did, or walk one of its named ways back
    Rollback(RollbackArgs),
    /// Release a protected host of a run
    Release(ReleaseArgs),
    /// List runs, or show one
    Runs(RunsArgs),
    /// Show the inventory as it is read
    Inventory(InventoryArgs),
    /// Explain an error code
    Explain(ExplainArgs),
    /// Write completions for a shell
    Completions(CompletionsArgs),
}

/// Options of everything that runs tasks.
#[derive(Args, Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct RunArgs {
    /// The playbook
    pub(crate) playbook: PathBuf,
    /// Inventory file or folder, or a comma-separated list of hosts
    #[arg(short, long, value_name = "PATH")]
    pub(crate) inventory: Vec<String>,
    /// Only hosts that match; a pattern that matches nothing is an error
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) limit: Option<String>,
    /// Only tasks with these tags
    #[arg(short, long, value_name = "TAGS", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// Not the tasks with these tags
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub(crate) skip_tags: Vec<String>,
    /// Variables: `k=v`, YAML or JSON, or `@FILE`
    #[arg(short, long, value_name = "VARS")]
    pub(crate) extra_vars: Vec<String>,
    /// Change nothing; say what would change
    #[arg(short = 'C', long)]
    pub(crate) check: bool,
    /// Show differences of changed files
    #[arg(short = 'D', long)]
    pub(crate) diff: bool,
    /// Ask before every task, those that only read included
    #[arg(long)]
    pub(crate) step: bool,
    /// Do not ask; points of no return still need --accept-point-of-no-return
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
    /// Without a person: pass points of no return whose requirements hold
    #[arg(long)]
    pub(crate) accept_point_of_no_return: bool,
    /// Without a person: what to do when a task fails
    #[arg(long, value_enum, default_value_t = OnFailure::Continue)]
    pub(crate) on_failure: OnFailure,
    /// Stop, resumable, when a host on which a task may be running was unreachable for so long;
    /// without a person 900 by default, with one never
    #[arg(long, value_name = "SECONDS")]
    pub(crate) lost_after: Option<u64>,
    /// Without a person: the answer to a question, as `QUESTION=ANSWER`
    #[arg(long, value_name = "QUESTION=ANSWER")]
    pub(crate) answer: Vec<String>,
    /// Start at the task with this name
    #[arg(long, value_name = "TASK")]
    pub(crate) start_at_task: Option<String>,
    /// Stop, resumable, before the task with this name or step
    #[arg(long, value_name = "TASK")]
    pub(crate) stop_before: Option<String>,
    /// Hosts at the same time
    #[arg(short, long, default_value_t = 10)]
    pub(crate) forks: usize,
    /// Run handlers even on hosts that failed
    #[arg(long)]
    pub(crate) force_handlers: bool,
    /// Become another user
    #[arg(short = 'b', long = "become")]
    pub(crate) becomes: bool,
    /// Which user to become
    #[arg(long, value_name = "USER")]
    pub(crate) become_user: Option<String>,
    /// By which method
    #[arg(long, value_name = "METHOD")]
    pub(crate) become_method: Option<String>,
    /// Ask for the password of becoming
    #[arg(short = 'K', long)]
    pub(crate) ask_become_pass: bool,
    /// Ask for the password of connecting
    #[arg(short = 'k', long)]
    pub(crate) ask_pass: bool,
    /// Connect as this user
    #[arg(short, long = "user", value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The private key to connect with
    #[arg(long, visible_alias = "key-file", value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// How to connect: `ssh` or `local`
    #[arg(short, long, value_name = "KIND")]
    pub(crate) connection: Option<String>,
    /// Seconds to connect at most
    #[arg(short = 'T', long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u32>,
    /// Arguments for every ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) ssh_common_args: Option<String>,
    /// More arguments for every ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) ssh_extra_args: Option<String>,
    /// List the hosts of each play and run nothing
    #[arg(long)]
    pub(crate) list_hosts: bool,
    /// List the tasks and run nothing
    #[arg(long)]
    pub(crate) list_tasks: bool,
    /// List the tags and run nothing
    #[arg(long)]
    pub(crate) list_tags: bool,
    /// Load everything and run nothing
    #[arg(long)]
    pub(crate) syntax_check: bool,
    /// Say more (repeat for still more)
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Write a `JUnit` report
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write all events as NDJSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Sign the run's journal with this SSH key (an agent may hold it); also
    /// `SWITCHBACK_SIGN_WITH`
    #[arg(long, value_name = "KEY")]
    pub(crate) sign_with: Option<PathBuf>,
    /// How the run is shown
    #[arg(long, value_enum, default_value_t = Output::Auto)]
    pub(crate) output: Output,
    /// Where roles are searched, besides `roles/` beside the playbook
    #[arg(long, value_name = "DIRS", value_delimiter = ':')]
    pub(crate) roles_path: Vec<PathBuf>,
}

/// What to do when a task fails and nobody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// Go on with the other hosts, as Ansible does
    Continue,
    /// Stop, resumable
    Stop,
    /// Roll back
    Rollback,
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Live on a terminal, lines elsewhere
    Auto,
    /// For people
    Human,
    /// One line per event
    Plain,
}

/// Arguments of `rehearse`.
#[derive(Args, Debug, Clone)]
pub(crate) struct RehearseArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// A scenario of the header's `rehearse`
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Option<String>,
    /// Leave the lab up at the end
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where the report is written
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// Arguments of `resume`.
#[derive(Args, Debug, Clone)]
pub(crate) struct ResumeArgs {
    /// The run: its id, a start of it, or `latest`
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// Go on although the playbook or the inventory has changed
    #[arg(long)]
    pub(crate) accept_drift: bool,
    /// The run's key, as `runs key` gave it where the run began
    #[arg(long, value_name = "FILE")]
    pub(crate) run_key: Option<PathBuf>,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
}

/// Arguments of `rollback`.
#[derive(Args, Debug, Clone)]
pub(crate) struct RollbackArgs {
    /// The run: its id, a start of it, or `latest`
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// The way back; `undo` is the stack of what the run did
    #[arg(long, value_name = "NAME")]
    pub(crate) way: Option<String>,
    /// Undo down to this step, which stays
    #[arg(long, value_name = "STEP", conflicts_with = "way")]
    pub(crate) to: Option<String>,
    /// The run's key, as `runs key` gave it where the run began
    #[arg(long, value_name = "FILE")]
    pub(crate) run_key: Option<PathBuf>,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
}

/// Arguments of `release`.
#[derive(Args, Debug, Clone)]
pub(crate) struct ReleaseArgs {
    /// The run
    pub(crate) run: String,
    /// The protected host
    pub(crate) host: String,
}

/// Arguments of `runs`.
#[derive(Args, Debug, Clone)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) what: Option<RunsCommand>,
}

#[derive(Subcommand, Debug, Clone)]
pub(crate) enum RunsCommand {
    /// List all runs
    List,
    /// Show what a run did and what of it can be undone
    Show {
        /// The run
        #[arg(default_value = "latest")]
        run: String,
    },
    /// Write the key to what a run keeps secret, for going on with it on another machine
    Key {
        /// The run
        #[arg(default_value = "latest")]
        run: String,
    },
    /// Print what commands of a run wrote
    Output(OutputArgs),
    /// Check that a run's journal is as it was written, and by whom it is signed
    Verify(VerifyArgs),
    /// Remove runs that have ended; those that are open or in use stay
    Prune(PruneArgs),
}

/// Arguments of `runs output`.
#[derive(Args, Debug, Clone)]
pub(crate) struct OutputArgs {
    /// The run
    pub(crate) run: String,
    /// Only of this host, or of the step with this name
    #[arg(value_name = "STEP|HOST")]
    pub(crate) what: Option<String>,
}

/// Arguments of `runs verify`.
#[derive(Args, Debug, Clone)]
pub(crate) struct VerifyArgs {
    /// The run
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// Who may sign, as `ssh-keygen` reads it; an unsigned run fails then
    #[arg(long, value_name = "FILE")]
    pub(crate) allowed_signers: Option<PathBuf>,
    /// The run's key, to check what it keeps secret
    #[arg(long, value_name = "FILE")]
    pub(crate) run_key: Option<PathBuf>,
}

/// Arguments of `runs prune`.
#[derive(Args, Debug, Clone)]
pub(crate) struct PruneArgs {
    /// Only runs that began longer ago than this, such as `30d`, `12h`
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: Option<Age>,
    /// Keep the newest runs, so many
    #[arg(long, value_name = "NUMBER")]
    pub(crate) keep: Option<usize>,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A span of time as a number with `s`, `m`, `h`, `d` or `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) std::time::Duration);

impl std::str::FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a number with `s`, `m`, `h`, `d` or `w`, such as `30d`".to_owned();
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..at].parse().map_err(|_| wrong())?;
        let unit_s = match &text[at..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return Err(wrong()),
        };
        let seconds = number.checked_mul(unit_s).ok_or_else(wrong)?;
        Ok(Self(std::time::Duration::from_secs(seconds)))
    }
}

/// Arguments of `inventory`.
#[derive(Args, Debug, Clone)]
pub(crate) struct InventoryArgs {
    /// Inventory file or folder, or a comma-separated list of hosts
    #[arg(short, long, value_name = "PATH", required = true)]
    pub(crate) inventory: Vec<String>,
    /// Show one host's variables
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Show the groups as a tree
    #[arg(long)]
    pub(crate) graph: bool,
}

/// Arguments of `explain`.
#[derive(Args, Debug, Clone)]
pub(crate) struct ExplainArgs {
    /// The code, such as SB0104
    pub(crate) code: String,
}

/// Arguments of `completions`.
#[derive(Args, Debug, Clone)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
