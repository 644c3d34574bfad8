//! `switchback resume`.

use std::path::PathBuf;

use chrono::Utc;
use clap::Parser as _;

use super::args::{Cli, Command, ResumeArgs, RunArgs};
use super::session::{load, operator};
use super::start::tell;
use super::{drift, exit, rollback, run};
use crate::exec::{UNDO, Wanted, replay_of};
use crate::journal::{self, Error, Record, RunState, RunStore, Writer};
use crate::value::Value;

/// A run that was taken up again.
pub(super) struct TakenUp {
    pub(super) run: journal::Run,
    pub(super) writer: Writer,
    pub(super) state: RunState,
    pub(super) args: RunArgs,
    /// Whether the key for what it keeps secret is missing.
    is_closed: bool,
}

/// Takes up a run whose secrets are needed: they are decrypted with its key, which is in `key_file`
/// or in the folder of keys.
///
/// # Errors
/// As [`take_up`], and where there is no key.
pub(super) fn take_up_open(name: &str, key_file: Option<PathBuf>) -> Result<TakenUp, u8> {
    let store = store().map_err(|e| told(&e))?;
    let keys = store.keys().clone();
    let taken_up = taken_up(&store.with_key_file(key_file), name)?;
    if taken_up.is_closed {
        let run = taken_up.run.id.clone();
        let path = keys.path(&run);
        return Err(told(&Error::NoKey { run, path }));
    }
    Ok(taken_up)
}

/// Takes up a run: locks it, reads its journal, and parses its command line again. What is kept
/// secret stays so where there is no key.
///
/// # Errors
/// The exit code; the reason was told.
pub(super) fn take_up(name: &str, key_file: Option<PathBuf>) -> Result<TakenUp, u8> {
    let store = store().map_err(|e| told(&e))?;
    taken_up(&store.with_key_file(key_file), name)
}

fn store() -> Result<RunStore, Error> {
    RunStore::from_env(&|name| std::env::var_os(name))
}

/// Says what is wrong and what to do about it, and returns the exit code.
pub(super) fn told(error: &Error) -> u8 {
    tell(&format!("error[{}]: {error}", error.code()));
    tell(&format!("help: {}", error.help()));
    if matches!(error, Error::Locked { .. }) {
        exit::LOCKED
    } else {
        exit::ERROR
    }
}

/// A run whose own process lives: its id, its folder, what it has come to so far, and the
/// arguments of its command line. `None` where nobody works on it.
///
/// # Errors
/// The exit code; the reason was told.
pub(super) fn look_at(name: &str) -> Result<Option<(String, PathBuf, RunState, RunArgs)>, u8> {
    let store = store().map_err(|e| told(&e))?;
    let (id, mut recovered) = store.read(name).map_err(|e| told(&e))?;
    if !store.is_held(&id) {
        return Ok(None);
    }
    if let Some(key) = store.key(&id).map_err(|e| told(&e))? {
        recovered.open(&key).map_err(|e| told(&e))?;
    }
    let records: Vec<Record> = (recovered.records.into_iter())
        .map(|entry| entry.record)
        .collect();
    let state = journal::fold(&records);
    let Some(args) = state.opened.as_ref().and_then(args_of) else {
        tell(&format!("error: run `{name}` has not begun"));
        return Err(exit::ERROR);
    };
    Ok(Some((id.clone(), store.folder(&id), state, args)))
}

fn taken_up(store: &RunStore, name: &str) -> Result<TakenUp, u8> {
    let (run, writer, recovered) = store
        .open(name, &operator(), Box::new(Utc::now))
        .map_err(|e| told(&e))?;
    let is_closed = recovered.has_closed();
    let records: Vec<Record> = recovered
        .records
        .into_iter()
        .map(|entry| entry.record)
        .collect();
    let state = journal::fold(&records);
    let Some(args) = state.opened.as_ref().and_then(args_of) else {
        tell(&format!(
            "error: run `{name}` never began: its journal is empty"
        ));
        return Err(exit::ERROR);
    };
    let writer = writer.with_signer(run::signer(store, &run.id, &args));
    Ok(TakenUp {
        run,
        writer,
        state,
        args,
        is_closed,
    })
}

/// The arguments of the run's own command line, its files made absolute.
fn args_of(opened: &Record) -> Option<RunArgs> {
    let Record::Opened {
        options,
        playbook,
        inventory,
        ..
    } = opened
    else {
        return None;
    };
    let words = options
        .get("argv")?
        .as_list()?
        .iter()
        .filter_map(Value::as_str);
    let cli = Cli::try_parse_from(std::iter::once("switchback").chain(words)).ok()?;
    let mut args = match cli.command {
        Command::Run(args) => *args,
        Command::Rehearse(args) => args.run,
        _ => return None,
    };
    args.playbook = playbook.into();
    args.inventory.clone_from(inventory);
    Some(args)
}

/// Goes on with a run.
pub(super) fn run(args: &ResumeArgs) -> u8 {
    let taken_up = match take_up_open(&args.run, args.run_key.clone()) {
        Ok(taken_up) => taken_up,
        Err(code) => return code,
    };
    if let Some(wanted) = Wanted::of_cut_off(&taken_up.state) {
        return go_on_back(taken_up, args, wanted);
    }
    if let Some(way) = rolled_back(&taken_up.state) {
        tell(&format!(
            "error: run `{}` was rolled back by `{way}`: there is nothing to go on with",
            taken_up.run.id
        ));
        tell("help: begin a new run");
        return exit::ROLLED_BACK;
    }
    let TakenUp {
        run,
        mut writer,
        state,
        args: mut run_args,
        ..
    } = taken_up;
    run_args.yes |= args.yes;
    // It was stopped there; now it is to go on.
    run_args.stop_before = None;
    let mut loaded = match load(&run_args) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let drift = drift::of(&state, &loaded);
    if !drift.is_empty() && !drift::is_accepted(&drift, args.accept_drift) {
        return exit::DRIFT;
    }
    let drift = drift.into_iter().map(|change| change.line).collect();
    let resumed = Record::Resumed {
        operator: operator(),
        drift,
        at: Utc::now(),
    };
    if let Err(error) = writer.append_sync(&resumed) {
        tell(&format!("error: {error}"));
        return exit::ERROR;
    }
    let spent = state.window_from.map(|from| Utc::now() - from);
    loaded.settings.window_spent_s = spent
        .filter(|_| state.closed.is_none())
        .and_then(|spent| u64::try_from(spent.num_seconds()).ok())
        .unwrap_or(0);
    loaded.settings.run.clone_from(&run.id);
    loaded.settings.journal = Some(run.folder.display().to_string());
    let folder = run.folder.clone();
    run::in_runtime(async {
        run::drive(
            &run_args,
            loaded,
            Some(writer),
            Some(&folder),
            replay_of(&state),
            Vec::new(),
        )
        .await
    })
}

/// A rollback that was cut off goes on: it is never itself rolled back, and the run does not go on
/// as if it had not been.
fn go_on_back(mut taken_up: TakenUp, args: &ResumeArgs, wanted: Wanted) -> u8 {
    let resumed = Record::Resumed {
        operator: operator(),
        drift: Vec::new(),
        at: Utc::now(),
    };
    if let Err(error) = taken_up.writer.append_sync(&resumed) {
        tell(&format!("error: {error}"));
        return exit::ERROR;
    }
    run::in_runtime(rollback::walk(taken_up, args.yes, wanted, Vec::new()))
}

/// The way by which the whole run was rolled back, if it was: a named way, or the stack to its
/// first entry.
fn rolled_back(state: &RunState) -> Option<&str> {
    let (way, is_complete) = state.rolled_back.last()?;
    let is_whole = way != UNDO || state.undoable().next().is_none();
    (*is_complete && is_whole).then_some(way.as_str())
}
