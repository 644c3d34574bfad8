//! What a question looks like, as text. Pure: a question and a look in, lines out.

use crate::event::Report;
use crate::exec::ask::{
    FailureQuestion, GateQuestion, HostGroup, PauseQuestion, TaskQuestion, WaysQuestion,
};
use crate::report::{Look, Tone, count, duration, sanitize, word};
use crate::value::Value;

/// Lines of a diff shown before it has to be asked for.
const DIFF_LINES: usize = 12;
/// Groups of hosts shown before they have to be asked for.
const GROUPS_MAX: usize = 6;
/// Lines of output shown of a failure.
const OUTPUT_LINES: usize = 8;
const INDENT: &str = "        ";

/// A row: a label of up to 7 letters and text, whose further lines stand below it.
fn row(look: &Look, label: &str, text: &str) -> String {
    let label = look.paint(Tone::Title, &format!("{label:<7}"));
    let text = sanitize::text(text);
    let text = text.trim_end().replace('\n', &format!("\n{INDENT}"));
    format!("{label} {text}\n")
}

fn rows(look: &Look, label: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    row(look, label, &lines.join("\n"))
}

fn hosts(look: &Look, hosts: &[String]) -> String {
    let names: Vec<String> = hosts
        .iter()
        .map(|h| sanitize::inline(h).into_owned())
        .collect();
    wrap(&names, look.width - INDENT.len())
}

/// Words in lines of at most `width` columns.
pub(super) fn wrap(words: &[String], width: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for word in words {
        let len = console::measure_text_width(word);
        let is_new_line = used > 0 && used + 2 + len > width;
        if is_new_line {
            text.push('\n');
            used = 0;
        } else if used > 0 {
            text.push_str("  ");
            used += 2;
        }
        text.push_str(word);
        used += len;
    }
    text
}

fn title(look: &Look, fill: char, left: &str, right: &str) -> String {
    let rule = look.rule(fill, &sanitize::inline(left), &sanitize::inline(right));
    format!("\n{}\n", look.paint(Tone::Title, &rule))
}

/// The screen before a task.
pub(super) fn task(q: &TaskQuestion, look: &Look) -> String {
    let number = format!("{}/{}", q.number, q.total);
    let mut text = title(look, '-', &format!("t{}  {}", q.number, q.name), &number);
    if !q.play.is_empty() {
        text.push_str(&row(look, "play", &q.play));
    }
    for group in q.groups.iter().take(GROUPS_MAX) {
        text.push_str(&group_rows(group, look));
    }
    let left = q.groups.len().saturating_sub(GROUPS_MAX);
    if left > 0 {
        let more = format!("[v] shows {} more", count(left, "group of hosts"));
        text.push_str(&row(look, "", &more.replace("hostss", "hosts")));
    }
    if !q.unchanged.is_empty() {
        text.push_str(&row(look, "as is", &hosts(look, &q.unchanged)));
    }
    let notifies: Vec<String> = q
        .notifies
        .iter()
        .map(|n| format!("notifies `{n}`"))
        .collect();
    text.push_str(&rows(look, "then", &notifies));
    let undo = match (q.reads, q.undo.is_empty()) {
        (true, _) => "only reads",
        (false, true) => "unknown",
        (false, false) => &q.undo,
    };
    text.push_str(&row(look, "undo", undo));
    let usual = q.usual_ms.map_or("usual time unknown".to_owned(), |ms| {
        format!("{} usual", duration(ms))
    });
    let time = match q.window_left_s {
        None => usual,
        Some(s) => format!("{usual}      {}", window(s)),
    };
    text.push_str(&row(look, "time", &time));
    text.push_str(&rows(look, "back", &q.ways_back));
    text
}

fn window(left_s: i64) -> String {
    let ms = left_s.unsigned_abs() * 1000;
    if left_s < 0 {
        format!("window OVER since {}", duration(ms))
    } else {
        format!("window {} left", duration(ms))
    }
}

fn group_rows(group: &HostGroup, look: &Look) -> String {
    let mut text = row(look, "on", &hosts(look, &group.hosts));
    text.push_str(&row(look, "does", &group.does));
    let diff = group.diff.join("");
    let lines: Vec<&str> = diff.lines().collect();
    if lines.is_empty() {
        return text;
    }
    let shown = lines[..lines.len().min(DIFF_LINES)].join("\n");
    text.push_str(&look.paint(Tone::Title, "diff"));
    text.push('\n');
    text.push_str(&look.diff(&shown, INDENT));
    let left = lines.len().saturating_sub(DIFF_LINES);
    if left > 0 {
        text.push_str(&format!("{INDENT}[d] shows {}\n", count(left, "more line")));
    }
    text
}

/// All diffs of a task, in full.
pub(super) fn diffs(q: &TaskQuestion, look: &Look) -> String {
    let mut text = title(look, '.', "diff", "");
    let mut has_any = false;
    for group in q.groups.iter().filter(|g| !g.diff.is_empty()) {
        has_any = true;
        text.push_str(&row(look, "on", &hosts(look, &group.hosts)));
        for diff in &group.diff {
            text.push_str(&look.diff(diff, INDENT));
        }
    }
    if !has_any {
        text.push_str("no diff is known before this task has run\n");
    }
    text
}

/// Everything about a task.
pub(super) fn details(q: &TaskQuestion, look: &Look) -> String {
    let mut text = title(look, '.', "view", "");
    text.push_str(&row(look, "task", &q.name));
    text.push_str(&row(look, "module", &sanitize::inline(&q.module)));
    if let Some(place) = &q.place {
        text.push_str(&row(look, "at", &place.to_string()));
    }
    text.push_str(&row(look, "step", &q.step.0));
    for group in &q.groups {
        text.push_str(&row(look, "on", &hosts(look, &group.hosts)));
        text.push_str(&row(look, "does", &group.does));
        text.push_str(&rows(look, "with", &group.details));
    }
    text
}

/// The screen after a failure.
pub(super) fn failure(q: &FailureQuestion, look: &Look) -> String {
    let failed: usize = q.groups.iter().map(|(hosts, _)| hosts.len()).sum();
    let left = format!(
        "{}: not done on {failed} of {}",
        q.name,
        count(q.hosts_total, "host")
    );
    let mut text = title(look, '#', &left, "");
    for (names, report) in q.groups.iter().take(GROUPS_MAX) {
        text.push_str(&failed_group(names, report, look, OUTPUT_LINES));
    }
    let more = q.groups.len().saturating_sub(GROUPS_MAX);
    if more > 0 {
        text.push_str(&format!("{INDENT}[o] shows {more} more\n"));
    }
    if let Some(place) = &q.place {
        text.push_str(&row(look, "at", &place.to_string()));
    }
    let class = if q.is_safe_to_retry {
        "safe to run again"
    } else {
        "NOT safe to run again blindly: see what it did first"
    };
    text.push_str(&row(look, "class", class));
    text.push_str(&rows(look, "back", &q.ways_back));
    text
}

/// All output of the failed hosts.
pub(super) fn outputs(q: &FailureQuestion, look: &Look) -> String {
    let mut text = title(look, '.', "all output", "");
    for (names, report) in &q.groups {
        text.push_str(&failed_group(names, report, look, usize::MAX));
    }
    text
}

/// The diffs of what failed.
pub(super) fn failed_diffs(q: &FailureQuestion, look: &Look) -> String {
    let mut text = title(look, '.', "diff", "");
    for (names, report) in &q.groups {
        text.push_str(&row(look, "on", &hosts(look, names)));
        if report.diff.is_empty() {
            text.push_str(&format!("{INDENT}no diff\n"));
        }
        for diff in &report.diff {
            text.push_str(&look.diff(diff, INDENT));
        }
    }
    text
}

fn failed_group(names: &[String], report: &Report, look: &Look, lines_max: usize) -> String {
    let status = look.paint(Look::tone(report.status), word(report.status));
    let mut text = format!(
        "{status} on {}\n",
        hosts(look, names).replace('\n', "\n    ")
    );
    let field = |name: &str| -> Option<String> {
        let text = match report.result.get(name)? {
            Value::Str(text) if text.is_secret() => crate::value::MASK.to_owned(),
            Value::Str(text) => text.as_str().trim_end().to_owned(),
            Value::Null => return None,
            other => other.to_masked_json().to_string(),
        };
        (!text.is_empty()).then_some(text)
    };
    for (label, name) in [("why", "msg"), ("command", "cmd"), ("exit", "rc")] {
        if let Some(value) = field(name) {
            text.push_str(&row(look, label, &value));
        }
    }
    for name in ["stderr", "stdout"] {
        let Some(output) = field(name) else { continue };
        let lines: Vec<&str> = output.lines().collect();
        let left = lines.len().saturating_sub(lines_max);
        let mut shown = lines[left..].join("\n");
        if left > 0 {
            shown = format!(
                "(last {lines_max} of {} lines; [o] shows all)\n{shown}",
                lines.len()
            );
        }
        text.push_str(&row(look, name, &shown));
    }
    text
}

fn conditions(look: &Look, conditions: &[(String, bool, String)]) -> String {
    let mut text = String::new();
    for (name, holds, seen) in conditions {
        let mark = if *holds {
            look.paint(Tone::Good, "[ok]")
        } else {
            look.paint(Tone::Bad, "[NO]")
        };
        let (name, seen) = (sanitize::inline(name), sanitize::inline(seen));
        text.push_str(&format!("   {mark} {name}   {seen}\n"));
    }
    text
}

/// The screen before a point of no return.
pub(super) fn gate(q: &GateQuestion, look: &Look) -> String {
    let mut text = title(look, '=', "POINT OF NO RETURN", "");
    text.push_str(&row(look, "task", &q.name));
    text.push_str(&row(look, "why", &q.reason));
    if q.seals.is_empty() {
        text.push_str(&row(look, "seals", "nothing that was recorded so far"));
    } else {
        let n = count(q.seals.len(), "change");
        text.push_str(&row(
            look,
            "seals",
            &format!("{n} cannot be undone after this:"),
        ));
        text.push_str(&rows(look, "", &q.seals));
    }
    text.push_str(&rows(look, "back", &q.ways_back));
    if !q.requirements.is_empty() {
        text.push_str("must be true, checked now\n");
        text.push_str(&conditions(look, &q.requirements));
    }
    text
}

/// The pause screen.
pub(super) fn pause(q: &PauseQuestion, look: &Look) -> String {
    let mut text = title(look, '=', "PAUSED . nothing was killed", "");
    text.push_str(&row(look, "why", &q.why));
    if q.running.is_empty() {
        text.push_str(&row(look, "running", "nothing"));
    } else {
        text.push_str(&rows(look, "running", &q.running));
    }
    let next = if q.next.is_empty() {
        "nothing"
    } else {
        &q.next
    };
    text.push_str(&row(look, "next", next));
    text.push_str(&rows(look, "state", &q.status));
    text
}

/// The list of ways back.
pub(super) fn ways(q: &WaysQuestion, look: &Look) -> String {
    let mut text = title(look, '=', "WAYS BACK", "");
    if q.ways.is_empty() {
        text.push_str("there is none\n");
    }
    for (i, way) in q.ways.iter().enumerate() {
        let state = if way.is_legal {
            look.paint(Tone::Good, "possible now")
        } else {
            look.paint(Tone::Bad, "NOT possible now")
        };
        let name = look.paint(Tone::Title, &sanitize::inline(&way.name));
        text.push_str(&format!("[{}] {name}   {state}\n", way_key(i)));
        text.push_str(&conditions(look, &way.conditions));
        if !way.loses.is_empty() {
            text.push_str(&row(look, "   loses", &way.loses));
        }
        text.push_str(&rows(look, "   does", &way.steps));
        text.push_str(&rows(look, "   stays", &way.stays));
    }
    text
}

/// The key of the `index`-th way: digits, then letters.
pub(super) fn way_key(index: usize) -> char {
    "123456789abcdefghijklmnoprstuvwxyz"
        .chars()
        .nth(index)
        .unwrap_or('-')
}

/// Keys in as many lines as they need.
pub(super) fn keys(look: &Look, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|k| (*k).to_owned()).collect();
    wrap(&keys, look.width) + "\n"
}
