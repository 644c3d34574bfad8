//! Diagnostics of a load in the words of Ansible, for which people search and which log parsers know.
//!
//! Invariant: it only chooses words; what is refused is decided elsewhere.

use super::start::tell;
use crate::diag::{Diagnostic, Severity, SourceMap};

/// Diagnostics with Ansible's marks and its way of quoting.
pub(super) fn complain(problems: &[Diagnostic], sources: &SourceMap) {
    for problem in problems {
        let mark = match problem.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
        };
        let text = malformed_block(problem, sources);
        let text = text.unwrap_or_else(|| in_ansibles_words(&problem.message));
        let stop = if problem.code == "SB0126" { "." } else { "" };
        let mut letters = text.chars();
        let first: String = letters
            .next()
            .map(|c| c.to_uppercase().collect())
            .unwrap_or_default();
        tell(&format!("[{mark}]: {first}{}{stop}", letters.as_str()));
        let place = problem
            .labels
            .first()
            .and_then(|label| sources.place(label.0));
        if let Some(place) = place {
            tell(&format!("Origin: {place}"));
            if let Some((span, _)) = problem.labels.first()
                && let Some(text) = sources.text(span.file)
            {
                tell(&excerpt(text, place.line));
            }
        }
        if let Some(label) = problem.labels.first().filter(|l| !l.1.is_empty()) {
            tell(&in_ansibles_words(&label.1));
        }
        if problem.message.contains("needs `hosts`") {
            // What Ansible makes of a task among the plays.
            let line = place_line(problem, sources);
            let key = line.trim_start_matches(['-', ' ']).split(':').next();
            let key = key.unwrap_or_default();
            tell(&format!("'{key}' is not a valid attribute for a Play"));
        }
        if let Some(help) = &problem.help {
            tell(&in_ansibles_words(help));
        }
    }
}

fn place_line(problem: &Diagnostic, sources: &SourceMap) -> String {
    let Some((span, _)) = problem.labels.first() else {
        return String::new();
    };
    let place = sources.place(*span);
    let line = place.map_or(1, |place| place.line);
    let text = sources.text(span.file);
    let index = usize::try_from(line).unwrap_or(1).saturating_sub(1);
    text.and_then(|text| text.lines().nth(index).map(str::to_owned))
        .unwrap_or_default()
}

/// A message with the words for which people search.
fn in_ansibles_words(message: &str) -> String {
    let text = message.replace('`', "'");
    WORDS
        .iter()
        .fold(text, |text, (ours, theirs)| text.replace(ours, theirs))
}

/// What we say, quoted as Ansible quotes, and what Ansible says.
const WORDS: &[(&str, &str)] = &[
    (
        "A block cannot be a handler",
        "Using a block as a handler is not supported.",
    ),
    (
        "a block cannot be a handler",
        "Using a block as a handler is not supported.",
    ),
    (
        "'include_role' cannot be a handler",
        "Using 'include_role' as a handler is not supported.",
    ),
    (
        "'import_role' cannot be a handler",
        "Using 'import_role' as a handler is not supported.",
    ),
    (
        "is not a keyword of a play",
        "is not a valid attribute for a Play",
    ),
    (
        "is not a keyword of a task",
        "is not a valid attribute for a Task",
    ),
    (
        "is not a keyword of a block",
        "is not a valid attribute for a Block",
    ),
    (
        "is not a keyword of a handler",
        "is not a valid attribute for a Handler",
    ),
    (
        "'import_tasks' has no argument 'apply'",
        "Invalid options for import_tasks: apply",
    ),
    (
        "'end_role' stands outside of a role",
        "Cannot execute 'end_role' from outside of a role",
    ),
    (
        "'end_role' stands in a handler",
        "Cannot execute 'end_role' from a handler",
    ),
    (
        "has no plays",
        "has no plays. A playbook must contain at least one play",
    ),
    (
        "'hosts' is empty",
        "Hosts list cannot be empty. Please check your playbook",
    ),
    (
        "'roles' must be a list",
        "A malformed role declaration was encountered.",
    ),
    (
        "'vars_prompt' lacks 'name'",
        "Invalid vars_prompt data structure, missing 'name' key",
    ),
];

/// A list of tasks that is none.
fn malformed_block(problem: &Diagnostic, sources: &SourceMap) -> Option<String> {
    let what = problem.message.strip_suffix("` must be a list of tasks")?;
    let span = problem.labels.first()?.0;
    let at = usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?;
    let found = sources.text(span.file)?.get(at)?;
    Some(format!(
        "A malformed block was encountered while loading {}: {} should be a list or None",
        what.trim_start_matches('`'),
        found.trim()
    ))
}

/// A line with the two before it.
fn excerpt(text: &str, line: u32) -> String {
    let last = usize::try_from(line).unwrap_or(usize::MAX);
    let lines = text.lines().enumerate().take(last);
    let shown = lines.skip(last.saturating_sub(3));
    let shown: Vec<String> = shown.map(|(n, line)| format!("{} {line}", n + 1)).collect();
    shown.join("\n")
}
