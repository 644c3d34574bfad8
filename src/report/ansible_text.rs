//! Pieces of text of the reporter that prints as ansible-core does.

use super::sanitize;
use crate::diag::Place;
use crate::event::{Report, Status};
use crate::value::Map;

/// Where a task stands, with the two lines before it, as far as the file can be read.
pub(super) fn origin(place: &Place) -> String {
    let path = std::path::absolute(&place.file).unwrap_or_else(|_| place.file.clone().into());
    let mut out = format!(
        "Origin: {}:{}:{}\n",
        sanitize::inline(&path.display().to_string()),
        place.line,
        place.column
    );
    let Ok(text) = std::fs::read_to_string(&path) else {
        return out;
    };
    let last = usize::try_from(place.line).unwrap_or(usize::MAX);
    let width = last.to_string().len();
    out.push('\n');
    for (index, line) in text
        .lines()
        .enumerate()
        .take(last)
        .skip(last.saturating_sub(3))
    {
        let line = format!("{:<width$} {line}", index + 1);
        out.push_str(sanitize::inline(line.trim_end()).as_ref());
        out.push('\n');
    }
    let column = usize::try_from(place.column).unwrap_or(1);
    out.push_str(&format!(
        "{}^ column {column}\n",
        " ".repeat(width + column)
    ));
    out
}

/// The two headings of a diff as Ansible writes them: `--- before: PATH`.
pub(super) fn with_headings(diff: &str) -> String {
    let mut out = String::new();
    for (index, line) in diff.split_inclusive('\n').enumerate() {
        let heading = match index {
            0 => line.strip_prefix("--- ").map(|rest| ("--- before", rest)),
            1 => line.strip_prefix("+++ ").map(|rest| ("+++ after", rest)),
            _ => None,
        };
        match heading {
            Some((what, rest)) if rest.trim().is_empty() => out.push_str(&format!("{what}\n")),
            Some((what, rest)) => out.push_str(&format!("{what}: {rest}")),
            None => out.push_str(line),
        }
    }
    out
}

/// A quiet `assert` that passed.
pub(super) fn is_silent(module: &str, report: &Report) -> bool {
    module == "assert" && report.status != Status::Failed && report.result.get("msg").is_none()
}

/// `debug` shows what it was asked for and nothing else.
pub(super) fn hide_debug(map: &mut Map) {
    if map.contains_key("msg") {
        map.retain(|key, _| key == "msg");
        return;
    }
    for key in [
        "changed",
        "failed",
        "skipped",
        "invocation",
        "skip_reason",
        "ansible_loop_var",
        "ansible_index_var",
        "ansible_loop",
    ] {
        map.shift_remove(key);
    }
    if map.len() > 1 {
        // The loop's own variable was added by the loop, unless it is what was asked for.
        map.shift_remove("item");
    }
}
