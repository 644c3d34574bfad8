//! What every command that runs tasks sets up: the project, the inventory, the terminal, the
//! journal, the listeners.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use tokio::sync::{Mutex, mpsc};

use super::args::{Manners, OnFailure, Output, RunArgs};
use super::defaults::{collections_path, of_connections, of_plays};
use super::exit;
use super::start::tell;
use crate::console::{self, Console, Policy};
use crate::diag::{Diagnostic, Severity, SourceMap, render};
use crate::event::Event;
use crate::exec::ask::{Answer, Question, TextQuestion, WordQuestion};
use crate::exec::{Driver, InventoryExpressions, LocalFuture, Project, Settings, Terminal};
use crate::inventory::Inventory;
use crate::journal::{RunStore, Writer};
use crate::model::Playbook;
use crate::plan::Loader;
use crate::report::{
    Ansible, AnsibleOptions, Human, Junit, Look, Minimal, Ndjson, Plain, Relay, Reporter,
};
use crate::transport::{Pool, Settings as PoolSettings};
use crate::value::{Map, Text, Value};

/// Everything loaded and checked, before the first host is contacted.
pub(super) struct Loaded {
    pub(super) project: Rc<Project>,
    pub(super) playbook: Playbook,
    pub(super) inventory: Inventory,
    pub(super) settings: Settings,
    /// SHA-256 over all files of the project, and over the inventory.
    pub(super) hashes: (String, String),
    /// The files of both: path and text.
    pub(super) files: Vec<(String, String)>,
}

/// Shows diagnostics on standard error.
pub(super) fn complain(problems: &[Diagnostic], sources: &SourceMap) {
    let look = look(0, false);
    for problem in problems {
        tell(&render(problem, sources, look.has_color));
    }
    let errors = problems
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .count();
    if errors > 1 {
        tell(&format!("{errors} problems"));
    }
}

/// Shows diagnostics in the manners of the command line.
fn tell_problems(args: &RunArgs, problems: &[Diagnostic], sources: &SourceMap) {
    match args.manners {
        Manners::Own => complain(problems, sources),
        Manners::Ansible => super::face_words::complain(problems, sources),
    }
}

/// Loads playbook, inventory and variables; the problems were shown.
///
/// # Errors
/// The exit code.
pub(super) fn load(args: &RunArgs) -> Result<Loaded, u8> {
    let roles_path = roles_path(args);
    let collections_path = collections_path(args);
    let mut loader = Loader::new(roles_path.clone(), collections_path.clone(), Map::new());
    let opener = super::vault_keys::opener(&args.vault, &args.config).map_err(|()| exit::ERROR)?;
    loader.sources.opener = Some(opener);
    let failed = |problems: Vec<Diagnostic>, loader: &Loader| {
        tell_problems(args, &problems, &loader.sources);
        exit::LOAD
    };
    let extra_vars = super::extra_vars::read(&args.extra_vars, &mut loader)
        .map_err(|problems| failed(problems, &loader))?;
    let sources = std::mem::take(&mut loader.sources);
    loader = Loader::new(roles_path, collections_path, extra_vars.clone());
    loader.is_tolerant = args.manners == Manners::Ansible;
    loader.sources = sources;
    for folder in library_path(args) {
        loader.add_library(&folder);
    }
    loader.set_renderer(Box::new(crate::exec::render_name));
    if let Some(text) = &args.text {
        loader.put(&args.playbook, text.clone());
    }
    let playbook = loader
        .playbook(&args.playbook)
        .map_err(|problems| failed(problems, &loader))?;
    let project_hash = hash_of(&loader.sources);
    let folder = args
        .playbook
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default();
    let expressions = InventoryExpressions::default();
    let read = match args.manners {
        Manners::Own => Inventory::read_with(
            &args.inventory,
            Some(&folder),
            &mut loader.sources,
            Some(&expressions),
        ),
        Manners::Ansible => Inventory::read_forgiving(
            &args.inventory,
            Some(&folder),
            &mut loader.sources,
            Some(&expressions),
            super::defaults::unparsed(&args.config),
        ),
    };
    let (inventory, warnings) = read.map_err(|problems| failed(problems, &loader))?;
    let mut told = loader.take_warnings();
    told.extend(warnings);
    tell_problems(args, &told, &loader.sources);
    let inventory_hash = hash_of(&loader.sources);
    let files = loader
        .sources
        .files()
        .map(|(path, text)| (absolute(path), text.to_owned()))
        .collect();
    if playbook.change.is_some() {
        complain(&crate::plan::lint(&playbook), &loader.sources);
    }
    let settings = settings(args, &playbook, &inventory, extra_vars).map_err(|problem| {
        tell_problems(args, &[problem], &loader.sources);
        exit::USAGE
    })?;
    Ok(Loaded {
        project: Rc::new(Project::new(loader).with_runs(Box::new(runs))),
        playbook,
        inventory,
        settings,
        hashes: (project_hash, inventory_hash),
        files,
    })
}

/// The store of runs; where there is none, the run itself has said why it cannot begin.
fn runs() -> Option<RunStore> {
    RunStore::from_env(&|name| std::env::var_os(name)).ok()
}

/// A path as another process finds it.
pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

/// Where roles are searched after `roles/` beside the playbook: `--roles-path`, `../roles` (a
/// project with `playbooks/` and `roles/` side by side), `$ANSIBLE_ROLES_PATH`.
fn roles_path(args: &RunArgs) -> Vec<PathBuf> {
    let folder = args.playbook.parent().filter(|f| !f.as_os_str().is_empty());
    let beside = folder.unwrap_or(Path::new(".")).join("../roles");
    let mut paths = args.roles_path.clone();
    if args.manners == Manners::Own {
        paths.push(beside);
    }
    paths.extend(args.config.paths("roles_path"));
    if args.manners == Manners::Ansible {
        paths.push(folder.unwrap_or(Path::new(".")).to_owned());
    }
    paths
}

/// Where modules of the user are searched besides `library/`: `$ANSIBLE_LIBRARY`, `library` of
/// `ansible.cfg`, or Ansible's default.
fn library_path(args: &RunArgs) -> Vec<PathBuf> {
    let paths = args.config.paths("library");
    if !paths.is_empty() {
        return paths;
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = home.map(|home| home.join(".ansible/plugins/modules"));
    let shared = PathBuf::from("/usr/share/ansible/plugins/modules");
    own.into_iter().chain([shared]).collect()
}

/// SHA-256 over all texts read so far.
fn hash_of(sources: &SourceMap) -> String {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    for (path, text) in sources.files() {
        let name = path.file_name().unwrap_or_default();
        hash.update(name.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().fold(String::new(), |mut out, byte| {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The hosts that `--limit` leaves, if it is given.
fn limit_of(args: &RunArgs, inventory: &Inventory) -> Result<Option<HashSet<String>>, Diagnostic> {
    let Some(limit) = &args.limit else {
        return Ok(None);
    };
    let patterns = crate::inventory::limit_patterns(limit)?;
    if patterns.is_empty() {
        return Ok(None);
    }
    let selected = inventory.select(&patterns)?;
    let unmatched = selected.unmatched.into_iter().next();
    if let Some(problem) = unmatched.filter(|_| args.manners == Manners::Own) {
        return Err(Diagnostic {
            severity: Severity::Error,
            ..problem
        });
    }
    if selected.hosts.is_empty() {
        return Err(Diagnostic::error(
            "SB0208",
            format!("`--limit {limit}` matches no host"),
        ));
    }
    Ok(Some(
        selected.hosts.iter().map(ToString::to_string).collect(),
    ))
}

fn settings(
    args: &RunArgs,
    playbook: &Playbook,
    inventory: &Inventory,
    extra_vars: Map,
) -> Result<Settings, Diagnostic> {
    let mut wanted = args.tags.clone();
    wanted.extend(args.skip_tags.iter().cloned());
    let unknown = crate::plan::unknown_tags(playbook, &wanted)
        .into_iter()
        .next();
    if let Some(problem) = unknown.filter(|_| args.manners == Manners::Own) {
        return Err(problem);
    }
    let limit = limit_of(args, inventory)?;
    let stem = args
        .playbook
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let is_interactive = !args.yes && console::is_interactive();
    Ok(Settings {
        run: String::new(),
        cwd: std::env::current_dir().unwrap_or_default(),
        playbook: args.playbook.display().to_string(),
        change: playbook
            .change
            .as_ref()
            .map_or(stem, |change| change.name.clone()),
        is_check: args.check,
        shows_diff: args.diff,
        verbosity: args.verbose,
        forks: args.forks,
        asks: is_interactive || args.step,
        asks_all: args.step,
        extra_vars: Arc::new(extra_vars),
        tags: args.tags.clone(),
        skip_tags: args.skip_tags.clone(),
        limit,
        limit_text: args.limit.clone(),
        start_at: args.start_at_task.clone(),
        force_handlers: args.force_handlers,
        connection_defaults: Arc::new(of_connections(args)),
        journal: None,
        way: None,
        injects_failure_at: None,
        defaults: of_plays(&args.config),
        stops_before: args.stop_before.clone(),
        window_s: playbook.change.as_ref().and_then(|change| change.window_s),
        machine: (!args.check).then(machine),
        owner: format!(
            "{} since {}",
            operator(),
            Utc::now().format("%Y-%m-%d %H:%M:%S UTC")
        ),
        lost_after_s: args
            .lost_after
            .or((!is_interactive).then_some(LOST_AFTER_S)),
        window_spent_s: 0,
        fact_cache: super::fact_cache::of(&args.config, inventory, args.flush_cache),
    })
}

pub(super) fn look(verbosity: u8, shows_diff: bool) -> Look {
    let term = ::console::Term::stdout();
    let width = usize::from(term.size().1);
    let env = |name: &str| std::env::var_os(name);
    Look {
        verbosity,
        shows_diff,
        ..Look::from_env(&env, term.is_term(), width)
    }
}

/// Asks the person at the terminal for a word outside any run; false: it was not typed.
pub(super) fn is_typed(word: &str, warning: &str) -> bool {
    let options = console::Options::stdout(look(0, false), |_| {});
    let Ok(console) = Console::new(options) else {
        return false;
    };
    let question = Question::Word(WordQuestion {
        warning: warning.to_owned(),
        word: word.to_owned(),
    });
    console.handle().ask(question) == Answer::Text(word.to_owned())
}

/// Who is at the terminal, for the journal.
pub(super) fn operator() -> String {
    let user = ["SWITCHBACK_OPERATOR", "SUDO_USER", "LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}

/// What tells this machine from others, for the locks of hosts.
fn machine() -> String {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}", name.trim(), id.trim())
}

/// Seconds for which a run without a person waits for a host on which a task may be running.
const LOST_AFTER_S: u64 = 900;

/// The terminal of a run, with what shows its events.
pub(super) struct Stage {
    terminal: Rc<StageTerminal>,
    console: Option<Console>,
    reporters: Vec<Box<dyn Reporter>>,
    relay: Arc<Relay>,
}

struct StageTerminal {
    console: Option<console::Handle>,
    /// Whether a person answers; with `--yes` only where one has asked for the pause.
    asks: bool,
    policy: RefCell<Policy>,
    operator: String,
    pauses: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Terminal for StageTerminal {
    fn ask(&self, question: Question) -> LocalFuture<'_, (Answer, String)> {
        Box::pin(async move {
            match &self.console {
                Some(console) if self.asks || matches!(question, Question::Pause(_)) => {
                    (console.ask_async(question).await, self.operator.clone())
                }
                _ => (
                    self.policy.borrow_mut().answer(&question),
                    "policy".to_owned(),
                ),
            }
        })
    }

    fn pause_wanted(&self) -> LocalFuture<'_, String> {
        Box::pin(async move {
            match self.pauses.lock().await.recv().await {
                Some(why) => why,
                None => std::future::pending().await,
            }
        })
    }
}

impl Stage {
    /// A stage for these options.
    ///
    /// # Errors
    /// A report that cannot be written.
    pub(super) fn new(args: &RunArgs, listeners: Vec<Box<dyn Reporter>>) -> Result<Self, String> {
        let (sender, pauses) = mpsc::unbounded_channel();
        let is_interactive = console::is_interactive();
        let look = look(args.verbose, args.diff);
        let mut reporters = listeners;
        let mut console = None;
        let relay = Relay::new().map_err(|error| format!("the output: {error}"))?;
        let relay = Arc::new(relay);
        let stream = matches!(args.events.as_deref(), Some(path) if path == Path::new("-"));
        if is_interactive && args.output != Output::Plain {
            let requests = sender.clone();
            let options = console::Options::stdout(look, move |request| {
                if request == console::Request::Pause {
                    // A run that has ended needs no pause.
                    drop(requests.send("asked for by key".to_owned()));
                }
            });
            console =
                Some(Console::new(options).map_err(|error| format!("the terminal: {error}"))?);
        } else {
            reporters.push(shown(args, &relay, look, stream));
        }
        if let Some(path) = &args.junit {
            reporters.push(Box::new(Junit::new(create(path)?)));
        }
        if let Some(path) = &args.events {
            let to: Box<dyn Write + Send> = if stream {
                Box::new(relay.end(false))
            } else {
                Box::new(create(path)?)
            };
            reporters.push(Box::new(Ndjson::new(to, Box::new(chrono::Utc::now))));
        }
        let terminal = StageTerminal {
            console: console.as_ref().map(Console::handle),
            asks: !args.yes,
            policy: RefCell::new(policy(args)),
            operator: operator(),
            pauses: Mutex::new(pauses),
        };
        super::signals::watch(sender, terminal.console.clone(), relay.clone());
        Ok(Self {
            terminal: Rc::new(terminal),
            console,
            reporters,
            relay,
        })
    }

    /// Asks for the passwords that `-k` and `-K` promise, as variables below all others.
    ///
    /// # Errors
    /// The exit code, where there is no answer; it was told.
    pub(super) async fn ask_passwords(
        &self,
        args: &RunArgs,
        settings: &mut Settings,
    ) -> Result<(), u8> {
        let wanted = [
            (args.ask_pass, "SSH password", "ansible_password"),
            (
                args.ask_become_pass,
                "BECOME password",
                "ansible_become_password",
            ),
        ];
        for (_, prompt, variable) in wanted.into_iter().filter(|(is_wanted, ..)| *is_wanted) {
            let question = TextQuestion {
                prompt: prompt.to_owned(),
                is_secret: true,
                ..TextQuestion::default()
            };
            let (answer, _) = self.terminal.ask(Question::Text(question)).await;
            let Answer::Text(password) = answer else {
                tell(&format!(
                    "error: there is no {prompt}; `--answer '{prompt}=…'` gives it"
                ));
                return Err(exit::UNDECIDED);
            };
            let password = Value::Str(Text::data(password).into_secret());
            Arc::make_mut(&mut settings.connection_defaults).insert(variable.to_owned(), password);
        }
        Ok(())
    }

    /// Waits until all that the run said is out; signals are heard meanwhile.
    pub(super) async fn told(&self) {
        written(&self.relay).await;
    }

    /// A driver for one machine.
    ///
    /// # Errors
    /// When no connections can be had.
    pub(super) fn driver(
        &mut self,
        journal: Option<Writer>,
        run_folder: Option<&Path>,
    ) -> Result<Driver, String> {
        let mut settings = PoolSettings::new(control_dir(run_folder)?);
        settings.local_umask = super::harden::umask_of_tasks();
        let pool = Pool::new(settings).map_err(|e| e.to_string())?;
        let mut reporters = std::mem::take(&mut self.reporters);
        let console = self.console.as_ref().map(Console::handle);
        let listener = move |event: &Event| {
            if let Some(console) = &console {
                console.show(event);
            }
            for reporter in &mut reporters {
                reporter.on(event);
            }
        };
        Ok(Driver {
            pool,
            journal,
            terminal: self.terminal.clone(),
            listener: Box::new(listener),
            began: Instant::now(),
        })
    }
}

/// Waits until all that was written by now is out.
pub(super) async fn written(relay: &Relay) {
    let (to, from) = tokio::sync::oneshot::channel();
    relay.when_written(move || {
        // Who waited may have given up.
        let _ = to.send(());
    });
    // A relay without its thread has nothing to write any more.
    let _ = from.await;
}

/// What shows a run where there is no console. It writes to standard output, or to standard error
/// where that carries data.
fn shown(args: &RunArgs, relay: &Relay, look: Look, is_data: bool) -> Box<dyn Reporter> {
    let (screen, config) = (relay.end(is_data), &args.config);
    match args.output {
        Output::Ansible => {
            let options = AnsibleOptions {
                shows_skipped: config.flag("display_skipped_hosts", true),
                shows_ok: config.flag("display_ok_hosts", true),
                marks_check_mode: config.flag("check_mode_markers", false),
                shows_custom_stats: config.flag("show_custom_stats", false),
                is_yaml: config.text("result_format") == Some("yaml"),
                is_check: args.check,
                is_debug: config.flag("debug", false),
            };
            Box::new(Ansible::new(screen, relay.end(true), look, options))
        }
        Output::Minimal => Box::new(Minimal::new(screen, relay.end(true), look)),
        Output::Human => Box::new(Human::new(screen, look)),
        _ => Box::new(Plain::new(screen, Box::new(chrono::Utc::now), look)),
    }
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn policy(args: &RunArgs) -> Policy {
    let answers = args
        .answer
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(question, answer)| (question.to_owned(), answer.to_owned()))
        .collect();
    let mut policy = Policy::default();
    policy.yes = true;
    policy.on_failure = Some(match args.on_failure {
        OnFailure::Continue => console::OnFailure::Continue,
        OnFailure::Stop => console::OnFailure::Stop,
        OnFailure::Rollback => console::OnFailure::RollBack,
    });
    policy.on_point_of_no_return = args
        .accept_point_of_no_return
        .then_some(console::Gate::Accept);
    policy.answers = answers;
    policy
}

/// The folder of control sockets: in the run's own folder if its path is short enough for a socket.
fn control_dir(run_folder: Option<&Path>) -> Result<PathBuf, String> {
    const PATH_MAX: usize = 60;
    if let Some(folder) = run_folder
        .map(|f| f.join("ssh"))
        .filter(|f| f.as_os_str().len() <= PATH_MAX)
    {
        return Ok(folder);
    }
    let base = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir())
        .or_else(|| std::env::home_dir().map(|home| home.join(".ssh")))
        .ok_or("neither XDG_RUNTIME_DIR nor HOME is set")?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&base)
        .map_err(|error| format!("{}: {error}", base.display()))?;
    Ok(base.join(format!("sb-{}", std::process::id())))
}
