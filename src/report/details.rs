//! What of a result a person needs to see.

use super::sanitize;
use crate::event::{Report, Status};
use crate::value::{MASK, Value};

/// Lines of standard error shown of a failure.
const LAST_LINES: usize = 12;

/// A string field of a result, cleaned for a terminal.
pub(super) fn field(result: &Value, name: &str) -> Option<String> {
    match result.get(name)? {
        Value::Str(text) if text.is_secret() => Some(MASK.to_owned()),
        Value::Str(text) => Some(sanitize::text(text.as_str()).trim_end().to_owned()),
        Value::Null => None,
        other => Some(sanitize::text(&other.to_masked_json().to_string()).into_owned()),
    }
    .filter(|text| !text.is_empty())
}

/// The last lines of a text, with a note of how many there are before them.
pub(super) fn tail(name: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let left = lines.len().saturating_sub(LAST_LINES);
    let mut shown = Vec::new();
    if left > 0 {
        shown.push(format!(
            "{name}, last {LAST_LINES} of {} lines:",
            lines.len()
        ));
    } else {
        shown.push(format!("{name}:"));
    }
    shown.extend(lines[left..].iter().map(|l| format!("  {l}")));
    shown
}

/// The block under a task that did not end well: message, exit code, last lines of its output.
pub(super) fn failure(report: &Report) -> Vec<String> {
    let result = &report.result;
    let mut lines: Vec<String> = field(result, "msg")
        .iter()
        .flat_map(|msg| msg.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    if let Some(cmd) = field(result, "cmd") {
        lines.push(format!("command: {cmd}"));
    }
    if let Some(rc) = result.get("rc").and_then(Value::as_int) {
        lines.push(format!("exit code: {rc}"));
    }
    let stderr = field(result, "stderr").or_else(|| field(result, "module_stderr"));
    let stdout = field(result, "stdout").or_else(|| field(result, "module_stdout"));
    match (stderr, stdout) {
        (Some(text), _) => lines.extend(tail("stderr", &text)),
        (None, Some(text)) => lines.extend(tail("stdout", &text)),
        (None, None) => {}
    }
    if lines.is_empty() {
        lines.push(one_line(report).unwrap_or_else(|| "no reason was given".into()));
    }
    lines
}

/// What is worth telling of a result in a line: what was changed, or its message.
pub(super) fn one_line(report: &Report) -> Option<String> {
    let result = &report.result;
    let told = match report.status {
        Status::Skipped => field(result, "skip_reason").or_else(|| field(result, "msg")),
        _ if !report.summary.is_empty() => Some(sanitize::text(&report.summary).into_owned()),
        // A loop's own message says only that there was a loop.
        _ => match result.get("results") {
            Some(Value::List(items)) => Some(super::count(items.len(), "item")),
            _ => field(result, "msg"),
        },
    };
    told.map(|text| text.lines().next().unwrap_or_default().to_owned())
        .filter(|text| !text.is_empty())
}

/// What `debug` says, as it was meant to be read.
pub(super) fn debug_lines(report: &Report) -> Vec<String> {
    let own = ["changed", "failed", "_ansible_verbose_always"];
    let fields = report.result.as_map();
    let mut lines = Vec::new();
    for name in fields.into_iter().flat_map(crate::value::Map::keys) {
        if own.contains(&name.as_str()) {
            continue;
        }
        let shown = field(&report.result, name).unwrap_or_default();
        let mut shown = shown.lines();
        match (name.as_str(), shown.clone().count()) {
            ("msg", _) => {}
            (_, 0 | 1) => {
                let value = shown.next().unwrap_or_default();
                lines.push(format!("{}: {value}", sanitize::inline(name)));
            }
            _ => lines.push(format!("{}:", sanitize::inline(name))),
        }
        lines.extend(shown.map(str::to_owned));
    }
    lines
}

/// Whether the report needs its failure block.
pub(super) fn is_bad(status: Status) -> bool {
    match status {
        Status::Failed | Status::Unreachable | Status::Lost => true,
        Status::Ok | Status::Changed | Status::Skipped | Status::Unknown => false,
    }
}

/// Lines added and removed by unified diffs.
pub(super) fn diff_counts(diffs: &[String]) -> (usize, usize) {
    let lines = || diffs.iter().flat_map(|d| d.lines());
    let added = lines().filter(|l| l.starts_with('+') && !l.starts_with("+++"));
    let removed = lines().filter(|l| l.starts_with('-') && !l.starts_with("---"));
    (added.count(), removed.count())
}
