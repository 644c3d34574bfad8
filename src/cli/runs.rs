//! `switchback runs`: what there is of earlier runs, and keeping house.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::Utc;

use super::args::{PruneArgs, RunsArgs, RunsCommand};
use super::resume::told;
use super::session::operator;
use super::start::{give, tell};
use super::{exit, runs_output, runs_show, runs_verify};
use crate::journal::{self, Error, Record, RunStatus, RunStore, RunSummary};
use crate::report::sanitize;

/// Lists runs, or does something with one.
pub(super) fn run(args: &RunsArgs) -> u8 {
    let store = match RunStore::from_env(&|name| std::env::var_os(name)) {
        Ok(store) => store,
        Err(error) => return told(&error),
    };
    let text = match &args.what {
        None | Some(RunsCommand::List) => list(&store),
        Some(RunsCommand::Show { run }) => runs_show::show(&store, run),
        Some(RunsCommand::Key { run }) => key(&store, run),
        Some(RunsCommand::Output(args)) => return runs_output::run(&store, args),
        Some(RunsCommand::Verify(args)) => return runs_verify::run(&store, args),
        Some(RunsCommand::Prune(args)) => return prune(&store, args),
    };
    match text {
        Ok(text) => {
            give(text.trim_end());
            exit::OK
        }
        Err(error) => told(&error),
    }
}

fn list(store: &RunStore) -> Result<String, Error> {
    let runs = store.list()?;
    if runs.is_empty() {
        return Ok(format!("no runs in {}", store.root().display()));
    }
    let mut out = String::new();
    for run in runs {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", line(&run));
    }
    Ok(out)
}

fn line(run: &RunSummary) -> String {
    let at = run
        .opened_at
        .map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string());
    let what = run.change.as_ref().unwrap_or(&run.playbook);
    let line = format!(
        "{}  {}  {}  {what}  {}",
        run.short,
        at.unwrap_or_else(|| "-".to_owned()),
        status(&run.status),
        run.operator
    );
    sanitize::inline(&line).into_owned()
}

fn status(status: &RunStatus) -> String {
    match status {
        RunStatus::Closed(exit_code) => match exit::TABLE.iter().find(|e| e.code == *exit_code) {
            Some(exit) => format!("ended {exit_code} ({})", exit.meaning),
            None => format!("ended {exit_code}"),
        },
        RunStatus::Running { holder } => format!("running ({holder})"),
        RunStatus::Crashed => "interrupted; `switchback resume` goes on".to_owned(),
        RunStatus::Broken { why } => format!("broken ({why})"),
    }
}

/// The key of a run as a line.
fn key(store: &RunStore, name: &str) -> Result<String, Error> {
    let id = store.find(name)?;
    match store.key(&id)? {
        Some(key) => Ok(key.to_text()),
        None => Err(Error::NoKey {
            path: store.keys().path(&id),
            run: id,
        }),
    }
}

/// Exit codes of runs that somebody may still go on with.
const OPEN_CODES: &[u8] = &[9, 10, 13, 15];

/// Removes old runs that have ended.
fn prune(store: &RunStore, args: &PruneArgs) -> u8 {
    if args.older_than.is_none() && args.keep.is_none() {
        tell("error: give `--older-than AGE`, `--keep NUMBER`, or both");
        return exit::USAGE;
    }
    let runs = match store.list() {
        Ok(runs) => runs,
        Err(error) => return told(&error),
    };
    let newest = runs.len().saturating_sub(args.keep.unwrap_or(0));
    let mut code = exit::OK;
    for (index, run) in runs.iter().enumerate() {
        let is_kept = args.keep.is_some() && index >= newest;
        let is_old = args.older_than.is_none_or(|age| is_older(run, age.0));
        if is_kept || !is_old {
            continue;
        }
        if let Some(why) = stays(store, run) {
            tell(&format!("kept {}: {why}", run.short));
            continue;
        }
        if !args.dry_run
            && let Err(error) = store.remove(&run.id, &operator())
        {
            code = told(&error);
            continue;
        }
        let verb = if args.dry_run {
            "would remove"
        } else {
            "removed"
        };
        give(&format!("{verb} {}", line(run)));
    }
    code
}

fn is_older(run: &RunSummary, age: Duration) -> bool {
    let spent = run.opened_at.map(|at| (Utc::now() - at).to_std());
    matches!(spent, Some(Ok(spent)) if spent > age)
}

/// Why a run must not be removed.
fn stays(store: &RunStore, run: &RunSummary) -> Option<String> {
    match &run.status {
        RunStatus::Closed(code) if !OPEN_CODES.contains(code) => {}
        RunStatus::Closed(_) | RunStatus::Crashed => {
            return Some("it has not come to its end".to_owned());
        }
        RunStatus::Running { holder } => return Some(format!("{holder} works on it")),
        RunStatus::Broken { why } => return Some(format!("it cannot be read: {why}")),
    }
    let recovered = match store.read(&run.id) {
        Ok((_, recovered)) => recovered,
        Err(error) => return Some(format!("it cannot be read: {error}")),
    };
    let records: Vec<Record> = recovered.records.into_iter().map(|e| e.record).collect();
    let state = journal::fold(&records);
    (!state.open.is_empty() || state.rollback.is_some())
        .then(|| "something in it is still open".to_owned())
}
