//! What every command that runs tasks loads: the project, the inventory, the settings, and who asks.

use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use chrono::Utc;

use super::args::{Manners, RunArgs};
use super::defaults::{collections_path, library_path, of_connections, of_plays, roles_path};
use super::exit;
use super::start::tell;
use crate::console::{self, Console};
use crate::diag::{Diagnostic, Severity, SourceMap, render};
use crate::exec::ask::{Answer, Question, WordQuestion};
use crate::exec::{InventoryExpressions, Project, Settings};
use crate::inventory::Inventory;
use crate::journal::RunStore;
use crate::model::Playbook;
use crate::plan::Loader;
use crate::report::Look;
use crate::value::Map;

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
    let is_private = args.config.text("private_role_vars").is_some();
    loader.has_private_roles = is_private.then(|| args.config.flag("private_role_vars", false));
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
    let read = read_inventory(args, &folder, &extra_vars, &mut loader.sources);
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
        project: Rc::new(
            Project::new(loader)
                .with_runs(Box::new(runs))
                .with_config(super::defaults::constants(&args.config)),
        ),
        playbook,
        inventory,
        settings,
        hashes: (project_hash, inventory_hash),
        files,
    })
}

/// Reads the inventory in the manners of the command line.
fn read_inventory(
    args: &RunArgs,
    folder: &Path,
    extra_vars: &Map,
    texts: &mut SourceMap,
) -> Result<(Inventory, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (sources, folder) = (args.inventory.as_slice(), Some(folder));
    let expressions = InventoryExpressions::new(extra_vars.clone());
    match args.manners {
        Manners::Own => Inventory::read_with(sources, folder, texts, Some(&expressions)),
        Manners::Ansible => {
            let unparsed = super::defaults::unparsed(&args.config);
            Inventory::read_forgiving(sources, folder, texts, Some(&expressions), unparsed)
        }
    }
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
