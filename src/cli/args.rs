//! The arguments of every command. Flags of `ansible-playbook` keep their letters and meaning.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Runs Ansible-style playbooks over plain SSH, one confirmed step at a time, and always knows the
/// way back.
#[derive(Parser, Debug)]
#[command(name = "switchback", version, propagate_version = true, after_help = super::exit::help(), max_term_width = 100)]
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
    /// End what runs of a run on its hosts
    Cancel(CancelArgs),
    /// Take over the hosts of a run whose controller is gone or must not act any more
    Takeover(TakeoverArgs),
    /// List runs, or show one
    Runs(RunsArgs),
    /// Show the inventory as it is read
    Inventory(InventoryArgs),
    /// The compatible face: as `ansible-playbook`
    Playbook(Box<PlaybookArgs>),
    /// The compatible face: one task on some hosts, as `ansible`
    Adhoc(Box<AdhocArgs>),
    /// Encrypt and decrypt files and values, as `ansible-vault`
    Vault(VaultArgs),
    /// Show the manual of a module, the list of modules or the schema of playbooks
    Doc(super::doc::DocArgs),
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
    #[arg(short, long, alias = "inventory-file", value_name = "PATH")]
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
    /// Forget facts that earlier runs left in the cache
    #[arg(long)]
    pub(crate) flush_cache: bool,
    /// Where modules of your own are searched, besides `library/` beside the playbook
    #[arg(short = 'M', long, value_name = "DIRS", value_delimiter = ':')]
    pub(crate) module_path: Vec<PathBuf>,
    /// Arguments for sftp; nothing is copied by sftp here
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, hide = true)]
    pub(crate) sftp_extra_args: Option<String>,
    /// Arguments for scp; nothing is copied by scp here
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, hide = true)]
    pub(crate) scp_extra_args: Option<String>,
    #[command(flatten)]
    pub(crate) vault: VaultOptions,
    /// Whose manners: ours, or those of `ansible-playbook`
    #[arg(skip)]
    pub(crate) manners: Manners,
    /// The playbook's text, where it is not in a file
    #[arg(skip)]
    pub(crate) text: Option<String>,
    /// `ansible.cfg` and `ANSIBLE_*`
    #[arg(skip)]
    pub(crate) config: super::config::Config,
    /// Where roles are searched, besides `roles/` beside the playbook
    #[arg(long, value_name = "DIRS", value_delimiter = ':')]
    pub(crate) roles_path: Vec<PathBuf>,
}

/// Where the passwords of vaults come from.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct VaultOptions {
    /// A vault's label and where its password is: `LABEL@FILE`, `LABEL@prompt`
    #[arg(long, value_name = "LABEL@SOURCE")]
    pub(crate) vault_id: Vec<String>,
    /// A file with a vault's password, or a program that prints it
    #[arg(long, visible_alias = "vault-pass-file", value_name = "FILE")]
    pub(crate) vault_password_file: Vec<String>,
    /// Ask for a vault's password
    #[arg(short = 'J', long, visible_alias = "ask-vault-password")]
    pub(crate) ask_vault_pass: bool,
}

/// Arguments of `vault`.
#[derive(Args, Debug, Clone)]
pub(crate) struct VaultArgs {
    #[command(subcommand)]
    pub(crate) command: VaultCommand,
}

#[derive(Subcommand, Debug, Clone)]
pub(crate) enum VaultCommand {
    /// Encrypt files, or standard input
    Encrypt(VaultTarget),
    /// Decrypt files, or standard input
    Decrypt(VaultTarget),
    /// Show what files hold
    View(VaultTarget),
    /// Edit files in `$EDITOR`
    Edit(VaultTarget),
    /// Write a new file in `$EDITOR`
    Create(VaultTarget),
    /// Encrypt files with another password
    Rekey(VaultTarget),
    /// Encrypt values for a file of variables
    #[command(name = "encrypt_string")]
    EncryptString(VaultTarget),
}

/// What a command of `vault` works on.
#[derive(Args, Debug, Clone)]
pub(crate) struct VaultTarget {
    /// Files; for `encrypt_string` the values
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) options: VaultOptions,
    /// The label of the password to encrypt with
    #[arg(long, value_name = "LABEL")]
    pub(crate) encrypt_vault_id: Option<String>,
    /// The new label and password of `rekey`
    #[arg(long, value_name = "LABEL@SOURCE")]
    pub(crate) new_vault_id: Option<String>,
    /// The new password of `rekey`
    #[arg(long, value_name = "FILE")]
    pub(crate) new_vault_password_file: Option<String>,
    /// Where the result is written; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The name of the variable, for each value
    #[arg(short, long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    /// The name of the variable whose value is read from standard input
    #[arg(long, value_name = "NAME")]
    pub(crate) stdin_name: Option<String>,
}

/// Whose manners the command line has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Ours: stricter where silence hurts.
    #[default]
    Own,
    /// Those of `ansible-playbook`.
    Ansible,
}

/// Arguments of `playbook`.
#[derive(Args, Debug, Clone)]
pub(crate) struct PlaybookArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// More playbooks, run one after the other while they succeed
    pub(crate) more: Vec<PathBuf>,
}

/// Arguments of `adhoc`.
#[derive(Args, Debug, Clone)]
pub(crate) struct AdhocArgs {
    /// The module to run
    #[arg(short, long, default_value = "command", value_name = "MODULE")]
    pub(crate) module_name: String,
    /// Its arguments: `k=v`, free text or JSON
    #[arg(
        short,
        long,
        default_value = "",
        value_name = "ARGS",
        allow_hyphen_values = true
    )]
    pub(crate) args: String,
    /// Seconds for the task at most
    #[arg(long, value_name = "SECONDS")]
    pub(crate) task_timeout: Option<u32>,
    /// The folder where roles, `group_vars` and `library` are
    #[arg(long, value_name = "DIR")]
    pub(crate) playbook_dir: Option<PathBuf>,
    /// Let the task run on its own for so many seconds
    #[arg(short = 'B', long, value_name = "SECONDS")]
    pub(crate) background: Option<u32>,
    /// Seconds between two looks at such a task; 0 does not wait
    #[arg(short = 'P', long, value_name = "SECONDS")]
    pub(crate) poll: Option<u32>,
    /// One line a result
    #[arg(short, long)]
    pub(crate) one_line: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
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
    /// What ansible-core's default callback prints
    Ansible,
    /// What ansible-core's `minimal` callback prints
    Minimal,
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

/// Arguments of `cancel`.
#[derive(Args, Debug, Clone)]
pub(crate) struct CancelArgs {
    /// The run: its id, a start of it, or `latest`
    pub(crate) run: String,
    /// Only on this host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// End with KILL what does not end by TERM
    #[arg(long)]
    pub(crate) kill: bool,
    /// Do not ask for the run's id to be typed
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
}

/// Arguments of `takeover`.
#[derive(Args, Debug, Clone)]
pub(crate) struct TakeoverArgs {
    /// The run: its id, a start of it, or `latest`
    pub(crate) run: String,
    /// Leave this host, which cannot be reached, out of the run
    #[arg(long, value_name = "HOST")]
    pub(crate) without: Vec<String>,
    /// The run's key, as `runs key` gave it where the run began
    #[arg(long, value_name = "FILE")]
    pub(crate) run_key: Option<PathBuf>,
    /// Do not ask for the run's id to be typed
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
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
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct InventoryArgs {
    /// The group where `--graph` begins
    pub(crate) group: Option<String>,
    /// Inventory file or folder, or a comma-separated list of hosts
    #[arg(short, long, alias = "inventory-file", value_name = "PATH")]
    pub(crate) inventory: Vec<String>,
    /// Show all groups and hosts; so without any other option
    #[arg(long, conflicts_with_all = ["host", "graph"])]
    pub(crate) list: bool,
    /// Show one host's variables
    #[arg(long, value_name = "HOST", conflicts_with = "graph")]
    pub(crate) host: Option<String>,
    /// Show the groups as a tree
    #[arg(long)]
    pub(crate) graph: bool,
    /// As YAML instead of JSON
    #[arg(short, long)]
    pub(crate) yaml: bool,
    /// With variables in the tree
    #[arg(long)]
    pub(crate) vars: bool,
    /// Variables where they are set, not what they come to for each host
    #[arg(long)]
    pub(crate) export: bool,
    /// Only hosts that match
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) limit: Option<String>,
    /// Write to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The folder of the playbook, whose `group_vars` and `host_vars` count too
    #[arg(long, value_name = "DIR")]
    pub(crate) playbook_dir: Option<PathBuf>,
    /// Variables: `k=v`, YAML or JSON, or `@FILE`
    #[arg(short, long, value_name = "VARS")]
    pub(crate) extra_vars: Vec<String>,
    /// Say more
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(flatten)]
    pub(crate) vault: VaultOptions,
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
