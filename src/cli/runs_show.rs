//! `switchback runs show`: the story of a run, in order.

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::journal::{
    self, Entry, EntryState, Error, Instance, Record, RunState, RunStore, UndoEntry, UndoRecord,
};
use crate::report::{duration, sanitize, word};

/// What an intent said of its attempt, for the line of its end.
struct Intended<'a> {
    name: &'a str,
    acts_on: &'a str,
    summary: &'a str,
}

/// Who, when, what was answered, what ran where with which result, what is open, what can be
/// undone.
pub(super) fn show(store: &RunStore, name: &str) -> Result<String, Error> {
    let (id, recovered) = store.read(name)?;
    let mut out = format!("run {id}\n");
    let mut intents: HashMap<u64, Intended<'_>> = HashMap::new();
    let mut day = String::new();
    for entry in &recovered.records {
        if let Record::Intent {
            attempt,
            name,
            acts_on,
            summary,
            ..
        } = &entry.record
        {
            let intended = Intended {
                name,
                acts_on,
                summary,
            };
            intents.insert(*attempt, intended);
        }
        let today = entry.at.format("%Y-%m-%d").to_string();
        if today != day {
            push(&mut out, &today);
            day = today;
        }
        for line in lines(entry, &intents) {
            push(&mut out, &format!("  {}  {line}", clock(entry.at)));
        }
    }
    if recovered.torn_tail {
        push(
            &mut out,
            "  the last record is incomplete: the process was interrupted while it wrote it",
        );
    }
    let records: Vec<Record> = recovered.records.into_iter().map(|e| e.record).collect();
    end(&mut out, &journal::fold(&records));
    Ok(out)
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}

/// Adds a line; whatever is in it, it stays one line and steers no terminal.
fn push(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", sanitize::inline(line));
}

/// What is open, and the undo stack.
fn end(out: &mut String, state: &RunState) {
    if !state.open.is_empty() {
        push(out, "");
        push(out, "open: nobody knows yet how these ended");
        for attempt in state.open.values() {
            let what = title(&attempt.name, &attempt.instance);
            push(out, &format!("  {} {what}", attempt.acts_on));
        }
    }
    push(out, "");
    let count = crate::report::count(state.undo.len(), "entry").replace("entrys", "entries");
    push(out, &format!("undo stack, newest first: {count}"));
    for entry in &state.undo {
        push(out, &format!("  {}", undo_line(entry)));
    }
}

fn undo_line(entry: &UndoEntry) -> String {
    let how = match &entry.undo {
        UndoRecord::Acts { summary, .. }
        | UndoRecord::Tasks { summary, .. }
        | UndoRecord::Sealed { summary, .. } => summary.clone(),
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
    let what = title(&entry.name, &entry.instance);
    format!("{} {what}: {how} [{state}]", entry.acts_on)
}

/// The task's name, or where it stands, with the item of its loop.
fn title(name: &str, instance: &Instance) -> String {
    let name = if name.is_empty() {
        instance.step.0.as_str()
    } else {
        name
    };
    match instance.item {
        Some(item) => format!("{name} (item {item})"),
        None => name.to_owned(),
    }
}

/// A record in one line or more; those that only support others have none.
fn lines(entry: &Entry, intents: &HashMap<u64, Intended<'_>>) -> Vec<String> {
    match &entry.record {
        Record::Opened {
            playbook,
            change,
            inventory,
            operator,
            version,
            extra_vars,
            ..
        } => {
            let mut lines = vec![format!(
                "{operator} began {playbook} (switchback {version})"
            )];
            lines.extend(change.iter().map(|name| format!("change: {name}")));
            if !inventory.is_empty() {
                lines.push(format!("inventory: {}", inventory.join(", ")));
            }
            if !extra_vars.is_empty() {
                let names: Vec<&str> = extra_vars.keys().map(String::as_str).collect();
                lines.push(format!("extra vars: {}", names.join(", ")));
            }
            lines
        }
        Record::Resumed {
            operator, drift, ..
        } => {
            let mut lines = vec![format!("{operator} resumed it")];
            lines.extend(drift.iter().map(|line| format!("although {line}")));
            lines
        }
        Record::Answered {
            question,
            answer,
            by,
            ..
        } => vec![format!("asked: {question}  {by}: {answer}")],
        Record::Done { .. } => vec![done_line(&entry.record, intents)],
        Record::NeverStarted { attempt } => {
            let what = intents.get(attempt).map_or("", |i| i.name);
            vec![format!("attempt {attempt} never started: {what}")]
        }
        Record::Undone {
            attempt,
            is_done,
            message,
        } => {
            let what = intents
                .get(attempt)
                .map(|i| format!("{} {}", i.acts_on, i.name))
                .unwrap_or_default();
            let word = if *is_done { "UNDONE" } else { "UNDO FAILED" };
            vec![format!("{word:<11} {what}: {message}")]
        }
        Record::Sources { .. } => vec!["its files were kept".to_owned()],
        Record::Passed { step, host } => {
            vec![format!("{host} went on past {step}, as the operator said")]
        }
        Record::Released { host, by, .. } => vec![format!("{host} was released by {by}")],
        Record::RollbackStarted { way, .. } => vec![format!("rollback by `{way}` began")],
        Record::RollbackEnded { way, is_complete } => {
            let how = ["is INCOMPLETE", "is complete"][usize::from(*is_complete)];
            vec![format!("rollback by `{way}` {how}")]
        }
        Record::Closed { exit_code, .. } => vec![format!("ended with {exit_code}")],
        other => host_lines(other, intents),
    }
}

/// What a record says of what is on hosts, if it does: locks and jobs.
fn host_lines(record: &Record, intents: &HashMap<u64, Intended<'_>>) -> Vec<String> {
    match record {
        Record::JobEnded { attempt, how, .. } => {
            let what = intents.get(attempt);
            let what = what.map(|i| format!("{} {}", i.acts_on, i.name));
            vec![format!("job {} is over: {how}", what.unwrap_or_default())]
        }
        Record::HostReady {
            host,
            place,
            epoch: Some(epoch),
            ..
        } => vec![format!("{host} is locked (lock {epoch}, in {place})")],
        Record::Cancelled { attempts, by, .. } => attempts
            .iter()
            .map(|attempt| {
                let what = intents.get(attempt);
                let what = what.map(|i| format!("{} {}", i.acts_on, i.name));
                format!("{by} cancelled {}", what.unwrap_or_default())
            })
            .collect(),
        Record::TakenOver {
            by, hosts, without, ..
        } => {
            let mut lines = vec![format!("{by} took over {}", hosts.join(", "))];
            if !without.is_empty() {
                lines.push(format!("without {}", without.join(", ")));
            }
            lines
        }
        _ => Vec::new(),
    }
}

fn done_line(record: &Record, intents: &HashMap<u64, Intended<'_>>) -> String {
    let Record::Done {
        attempt,
        instance,
        status,
        result,
        duration_ms,
        ..
    } = record
    else {
        return String::new();
    };
    let intended = attempt.and_then(|attempt| intents.get(&attempt));
    let what = title(intended.map_or("", |i| i.name), instance);
    let delegate = intended
        .filter(|i| i.acts_on != instance.host)
        .map(|i| format!(" -> {}", i.acts_on))
        .unwrap_or_default();
    let summary = intended
        .map(|i| i.summary)
        .filter(|summary| !summary.is_empty());
    let rc = result.get("rc").and_then(crate::value::Value::as_int);
    let mut line = format!(
        "{:<11} {}{delegate} {what}  {}",
        word(*status),
        instance.host,
        duration(*duration_ms)
    );
    if let Some(rc) = rc.filter(|rc| *rc != 0) {
        let _ = write!(line, "  rc {rc}");
    }
    if let Some(summary) = summary {
        let _ = write!(line, "  {summary}");
    }
    line
}
