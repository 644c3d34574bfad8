//! `switchback runs`.

use std::fmt::Write as _;

use super::args::{RunsArgs, RunsCommand};
use super::exit;
use super::start::{give, tell};
use crate::journal::{self, EntryState, Error, Record, RunStatus, RunStore, UndoRecord};

/// Lists runs, shows or checks one.
pub(super) fn run(args: &RunsArgs) -> u8 {
    let result =
        RunStore::from_env(&|name| std::env::var_os(name)).and_then(|store| match &args.what {
            None | Some(RunsCommand::List) => list(&store),
            Some(RunsCommand::Show { run }) => show(&store, run),
            Some(RunsCommand::Verify { run }) => verify(&store, run),
        });
    match result {
        Ok(text) => {
            give(text.trim_end());
            exit::OK
        }
        Err(error) => {
            tell(&format!("error: {error}"));
            if matches!(error, Error::Locked { .. }) {
                exit::LOCKED
            } else {
                exit::ERROR
            }
        }
    }
}

fn list(store: &RunStore) -> Result<String, Error> {
    let runs = store.list()?;
    if runs.is_empty() {
        return Ok(format!("no runs in {}", store.root().display()));
    }
    let mut out = String::new();
    for run in runs {
        let at = run
            .opened_at
            .map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{}  {}  {}  {}  {}",
            run.short,
            at.unwrap_or_else(|| "-".to_owned()),
            status(&run.status),
            run.change.unwrap_or(run.playbook),
            run.operator
        );
    }
    Ok(out)
}

fn status(status: &RunStatus) -> String {
    match status {
        RunStatus::Closed(exit_code) => match exit::TABLE.iter().find(|e| e.code == *exit_code) {
            Some(exit) => format!("ended {exit_code} ({})", exit.meaning),
            None => format!("ended {exit_code}"),
        },
        other => format!("{other:?}").to_lowercase(),
    }
}

fn show(store: &RunStore, name: &str) -> Result<String, Error> {
    let (id, recovered) = store.read(name)?;
    let records: Vec<Record> = recovered
        .records
        .into_iter()
        .map(|entry| entry.record)
        .collect();
    let mut out = format!("run {id}\n");
    for record in &records {
        if let Some(line) = line(record) {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {line}");
        }
    }
    let state = journal::fold(&records);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "\nundo stack, newest first: {} entries",
        state.undo.len()
    );
    for entry in &state.undo {
        let how = match &entry.undo {
            UndoRecord::Acts { summary, .. } | UndoRecord::Tasks { summary, .. } => summary.clone(),
            UndoRecord::Keep => "stays on purpose".to_owned(),
            UndoRecord::Unknown { why } => format!("NONE: {why}"),
            UndoRecord::NotNeeded => "not needed".to_owned(),
        };
        let state = match &entry.state {
            EntryState::Stands if entry.is_behind_point => "behind a point of no return".to_owned(),
            EntryState::Stands => "stands".to_owned(),
            EntryState::Sealed { name, .. } => format!("sealed by `{name}`"),
            EntryState::Undone => "undone".to_owned(),
            EntryState::UndoFailed { message } => format!("undo failed: {message}"),
            EntryState::Kept => "kept".to_owned(),
            EntryState::Closed { way } => format!("closed by `{way}`"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {} {}: {how} [{state}]", entry.acts_on, entry.name);
    }
    Ok(out)
}

/// A record in one line; those that only support others are left out.
fn line(record: &Record) -> Option<String> {
    Some(match record {
        Record::Opened {
            playbook,
            operator,
            at,
            ..
        } => format!("{at} {operator} began {playbook}"),
        Record::Resumed { operator, at, .. } => format!("{at} {operator} resumed it"),
        Record::Answered {
            question,
            answer,
            by,
            ..
        } => format!("{question} {answer} ({by})"),
        Record::Done {
            instance,
            status,
            duration_ms,
            ..
        } => {
            let item = instance
                .item
                .map(|i| format!(" item {i}"))
                .unwrap_or_default();
            let status = crate::report::word(*status);
            format!(
                "{status:<11} {} {}{item} {duration_ms} ms",
                instance.host, instance.step
            )
        }
        Record::Undone {
            attempt,
            is_done,
            message,
        } => {
            format!(
                "undo of attempt {attempt}: {}: {message}",
                if *is_done { "done" } else { "FAILED" }
            )
        }
        Record::Passed { step, host } => {
            format!("{host} went on past {step}, as the operator said")
        }
        Record::Released { host, by, .. } => format!("{host} was released by {by}"),
        Record::RollbackStarted { way, at } => format!("{at} rollback by `{way}` began"),
        Record::RollbackEnded { way, is_complete } => {
            format!(
                "rollback by `{way}` {}",
                if *is_complete {
                    "is complete"
                } else {
                    "is INCOMPLETE"
                }
            )
        }
        Record::Closed { exit_code, at } => format!("{at} ended with {exit_code}"),
        Record::Intent { .. } | Record::NeverStarted { .. } => return None,
    })
}

fn verify(store: &RunStore, name: &str) -> Result<String, Error> {
    let (id, recovered) = store.read(name)?;
    let tail = if recovered.torn_tail {
        "; its last line is incomplete and will be cut off"
    } else {
        ""
    };
    Ok(format!(
        "run {id}: {} records, the hash chain holds up to {}{tail}",
        recovered.records.len(),
        recovered.head
    ))
}
