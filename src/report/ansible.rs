//! What ansible-core's default callback prints, for people's log parsers.
//!
//! Source: ansible-core 2.19, `plugins/callback/default.py` and `utils/display.py`. Invariant: what
//! came from a host reaches the stream as JSON or escaped, so that it cannot steer a terminal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;

use super::ansible_text::{hide_debug, is_silent, origin, with_headings};
use super::json::{self, Shape};
use super::{Look, Reporter, Sink, sanitize};
use crate::diag::Place;
use crate::event::{Event, Report, Stats, Status};
use crate::model::StepId;
use crate::value::{Map, Value};

/// Banners are filled with stars up to this column.
const WIDTH: usize = 79;

/// Prints as ansible-core does.
pub struct Ansible {
    out: Sink,
    err: Sink,
    look: Look,
    options: AnsibleOptions,
    /// Name, module, place and kind of the tasks that were announced.
    tasks: HashMap<StepId, Task>,
    /// The task of the last banner.
    banner: Option<StepId>,
    /// Tasks of which items were told, by host: their end says nothing more.
    looped: HashSet<(String, StepId)>,
    warned: HashSet<String>,
    /// Values of `set_stats`, by host or under `_run`.
    custom: BTreeMap<String, Map>,
}

/// The options of the callback that users set.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of ansible's own"
)]
pub struct AnsibleOptions {
    /// `display_skipped_hosts`.
    pub shows_skipped: bool,
    /// `display_ok_hosts`.
    pub shows_ok: bool,
    /// `check_mode_markers`.
    pub marks_check_mode: bool,
    /// `show_custom_stats`.
    pub shows_custom_stats: bool,
    /// `result_format: yaml`.
    pub is_yaml: bool,
    /// Strategies `free` and `host_pinned` announce a task with its first result.
    pub is_check: bool,
    /// `debug`: also what the end of a section implies.
    pub is_debug: bool,
}

impl Default for AnsibleOptions {
    fn default() -> Self {
        Self {
            shows_skipped: true,
            shows_ok: true,
            marks_check_mode: false,
            shows_custom_stats: false,
            is_yaml: false,
            is_check: false,
            is_debug: false,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Task {
    name: String,
    module: String,
    place: Option<Place>,
    is_handler: bool,
}

impl Task {
    fn is_include(&self) -> bool {
        matches!(self.module.as_str(), "include_tasks" | "include_role")
    }
}

impl Ansible {
    /// Writes results to `out`, warnings to `err`.
    pub fn new(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        look: Look,
        options: AnsibleOptions,
    ) -> Self {
        Self {
            out: Sink::new(out),
            err: Sink::new(err),
            look,
            options,
            tasks: HashMap::new(),
            banner: None,
            looped: HashSet::new(),
            warned: HashSet::new(),
            custom: BTreeMap::new(),
        }
    }

    fn line(&mut self, text: &str) {
        self.out.put(&format!("{text}\n"));
    }

    fn banner(&mut self, text: &str) {
        let text = sanitize::inline(text.trim()).into_owned();
        let width = console::measure_text_width(&text);
        let stars = "*".repeat(WIDTH.saturating_sub(width).max(3));
        self.line(&format!("\n{text} {stars}"));
    }

    fn checked(&self) -> &'static str {
        if self.options.is_check && self.options.marks_check_mode {
            " [CHECK MODE]"
        } else {
            ""
        }
    }

    fn task_banner(&mut self, step: &StepId) {
        if self.banner.as_ref() == Some(step) {
            return;
        }
        let task = self.tasks.get(step).cloned().unwrap_or_default();
        let kind = if task.is_handler {
            "RUNNING HANDLER"
        } else {
            "TASK"
        };
        let mark = self.checked();
        self.banner(&format!("{kind} [{}]{mark}", task.name));
        if self.look.verbosity >= 2
            && let Some(place) = &task.place
        {
            let file = std::path::absolute(&place.file).unwrap_or_default();
            let file = file.display().to_string();
            self.line(&format!(
                "task path: {}:{}",
                sanitize::inline(&file),
                place.line
            ));
        }
        self.banner = Some(step.clone());
    }

    /// Whether the result itself is shown beside the status.
    fn is_verbose(&self, task: &Task, report: &Report) -> bool {
        let is_setup = matches!(task.module.as_str(), "setup" | "gather_facts");
        if is_setup && report.status != Status::Failed {
            return false;
        }
        let is_shown = matches!(task.module.as_str(), "debug" | "assert")
            && !matches!(report.status, Status::Skipped)
            && report.result.get("skipped_reason").is_none()
            && !is_silent(&task.module, report);
        is_shown || self.look.verbosity > 0
    }

    /// The result as it is shown, on one line or over several.
    fn dump(&self, task: &Task, report: &Report) -> String {
        let Value::Map(map) = &report.result else {
            return "{}".to_owned();
        };
        let mut map: Map = (**map).clone();
        map.shift_remove("results");
        for key in ["exception", "warnings", "deprecations"] {
            map.shift_remove(key);
        }
        if self.look.verbosity < 3 {
            map.shift_remove("invocation");
            map.shift_remove("diff");
        }
        map.shift_remove("failed");
        map.shift_remove("skipped");
        let is_telling = match (task.module.as_str(), report.status) {
            (_, Status::Skipped) | ("debug", Status::Failed) => false,
            ("debug" | "assert", _) => !is_silent(&task.module, report),
            _ => false,
        };
        let is_multiline = is_telling || self.look.verbosity > 2;
        if task.module == "debug" {
            hide_debug(&mut map);
        }
        let value = Value::from(map);
        if self.options.is_yaml {
            return json::yaml(&value);
        }
        let shape = if is_multiline {
            Shape::Lines
        } else {
            Shape::Line
        };
        json::dump(&value, shape)
    }

    fn label(host: &str, report: &Report) -> String {
        let host = sanitize::inline(host).into_owned();
        match &report.delegate {
            Some(delegate) if *delegate != host => {
                format!("{host} -> {}", sanitize::inline(delegate))
            }
            _ => host,
        }
    }

    /// One item, or a task without a loop.
    fn result(&mut self, host: &str, step: &StepId, item: Option<&str>, report: &Report) {
        let task = self.tasks.get(step).cloned().unwrap_or_default();
        let is_ok = matches!(report.status, Status::Ok | Status::Unknown);
        if task.is_include() && matches!(report.status, Status::Ok | Status::Changed)
            || is_ok && !self.options.shows_ok
            || report.status == Status::Skipped && !self.options.shows_skipped
        {
            return;
        }
        self.task_banner(step);
        if let Some(warnings) = report.result.get("warnings").and_then(Value::as_list) {
            for warning in warnings.iter().filter_map(Value::as_str) {
                self.warn(warning, true);
            }
        }
        if matches!(report.status, Status::Failed | Status::Lost) {
            self.error(&task, report);
        }
        self.diff(&task.module, report);
        let mut label = Self::label(host, report);
        let dump = self.dump(&task, report);
        let shown = self.is_verbose(&task, report);
        let of_item = item.map(|item| format!("(item={})", sanitize::inline(item)));
        let line = match (report.status, &of_item) {
            (Status::Ok | Status::Unknown | Status::Changed, of_item) => {
                let word = if report.result.get("changed").and_then(Value::to_bool) == Some(true)
                    || report.status == Status::Changed
                {
                    "changed"
                } else {
                    "ok"
                };
                let mut line = format!("{word}: [{label}]");
                if let Some(item) = of_item {
                    line.push_str(&format!(" => {item}"));
                }
                if shown {
                    line.push_str(&format!(" => {dump}"));
                }
                line
            }
            (Status::Skipped, of_item) => {
                label = sanitize::inline(host).into_owned();
                let mut line = format!("skipping: [{label}]");
                if let Some(item) = of_item {
                    line.push_str(&format!(" => {item} "));
                }
                if shown {
                    line.push_str(&format!(" => {dump}"));
                }
                line
            }
            (Status::Failed | Status::Lost, Some(item)) => {
                format!("failed: [{label}] {item} => {dump}")
            }
            (Status::Failed | Status::Lost, None) => {
                format!("fatal: [{label}]: FAILED! => {dump}")
            }
            (Status::Unreachable, _) => format!("fatal: [{label}]: UNREACHABLE! => {dump}"),
        };
        self.line(&line);
        if report.is_ignored {
            self.line("...ignoring");
        }
    }

    /// `[ERROR]: Task failed: …` with the place.
    fn error(&mut self, task: &Task, report: &Report) {
        if report.result.get("censored").is_some() {
            return;
        }
        let msg = report
            .result
            .get("msg")
            .map(|msg| match msg {
                Value::Str(text) => text.as_str().to_owned(),
                other => json::dump(other, Shape::Line),
            })
            .unwrap_or_default();
        let what = if msg.starts_with("Task failed") {
            msg
        } else if matches!(
            task.module.as_str(),
            "fail" | "assert" | "debug" | "set_fact"
        ) {
            format!("Task failed: Action failed: {msg}")
        } else {
            format!("Task failed: Module failed: {msg}")
        };
        let mut text = format!("[ERROR]: {}\n", sanitize::text(&what));
        if let Some(place) = &task.place {
            text.push_str(&origin(place));
        }
        self.line(&text);
    }

    fn diff(&mut self, module: &str, report: &Report) {
        // `known_hosts` tells it unasked.
        let is_unasked = module == "known_hosts";
        let is_told = report.result.get("diff").is_some() && !is_unasked;
        let is_asked = self.look.shows_diff || is_told;
        if !is_asked || report.status != Status::Changed {
            return;
        }
        for diff in &report.diff {
            let text = sanitize::text(diff).into_owned();
            let text = with_headings(&text);
            self.line(text.trim_end_matches('\n'));
            self.line("");
        }
    }

    /// What `set_stats` gave; numbers, texts and lists are added up if it says so.
    fn note_stats(&mut self, host: &str, report: &Report) {
        let Some(stats) = report.result.get("ansible_stats") else {
            return;
        };
        let flag = |name: &str| stats.get(name).and_then(Value::to_bool);
        let key = if flag("per_host") == Some(true) {
            host
        } else {
            "_run"
        };
        let aggregates = flag("aggregate") != Some(false);
        let own = self.custom.entry(key.to_owned()).or_default();
        for (name, value) in stats
            .get("data")
            .and_then(Value::as_map)
            .into_iter()
            .flatten()
        {
            let sum = match (own.get(name).filter(|_| aggregates), value) {
                (Some(Value::Int(a)), Value::Int(b)) => Value::Int(a + b),
                (Some(Value::Str(a)), Value::Str(b)) => {
                    Value::from(format!("{}{}", a.as_str(), b.as_str()))
                }
                (Some(Value::List(a)), Value::List(b)) => {
                    Value::from(a.iter().chain(b.iter()).cloned().collect::<Vec<_>>())
                }
                _ => value.clone(),
            };
            own.insert(name.clone(), sum);
        }
    }

    fn finished(&mut self, host: &str, step: &StepId, report: &Report) {
        self.note_stats(host, report);
        let key = (host.to_owned(), step.clone());
        if !self.looped.remove(&key) {
            return self.result(host, step, None, report);
        }
        // The items have told everything but that all were skipped, or that failure is ignored.
        match report.status {
            Status::Skipped => self.result(host, step, None, report),
            _ if report.is_ignored => self.line("...ignoring"),
            _ => {}
        }
    }

    fn recap(&mut self, stats: &Stats) {
        self.banner("PLAY RECAP");
        let mut hosts: Vec<_> = stats.hosts.iter().collect();
        hosts.sort_by_key(|(name, _)| *name);
        for (host, s) in hosts {
            let counts = [
                ("ok", s.ok),
                ("changed", s.changed),
                ("unreachable", s.unreachable),
                ("failed", s.failed + s.lost),
                ("skipped", s.skipped),
                ("rescued", s.rescued),
                ("ignored", s.ignored),
            ];
            let counts: Vec<String> = counts
                .iter()
                .map(|(name, count)| format!("{name}={count:<4}"))
                .collect();
            let host = sanitize::inline(host);
            self.line(&format!("{host:<26} : {}", counts.join(" ")));
        }
        self.line("");
        if self.options.shows_custom_stats && !self.custom.is_empty() {
            self.banner("CUSTOM STATS: ");
            self.custom_stats();
        }
    }

    fn custom_stats(&mut self) {
        let mut stats = std::mem::take(&mut self.custom);
        let run = stats.remove("_run");
        for (name, value) in stats {
            let text = json::dump(&Value::from(value), Shape::Indented(1)).replace('\n', "");
            self.line(&format!("\t{name}: {text}"));
        }
        if let Some(run) = run {
            self.line("");
            let text = json::dump(&Value::from(run), Shape::Indented(1)).replace('\n', "");
            self.line(&format!("\tRUN: {text}"));
        }
        self.line("");
    }

    fn warn(&mut self, text: &str, is_warning: bool) {
        let text = sanitize::text(text).into_owned();
        if is_warning && self.warned.insert(text.clone()) {
            self.err.put(&format!("[WARNING]: {text}\n"));
        } else if !is_warning && self.look.verbosity > 0 {
            self.err.put(&format!("{text}\n"));
        }
    }
}

impl Ansible {
    /// Starts and ends of runs, plays and tasks.
    fn framed(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                playbook, plays, ..
            } => {
                if self.look.verbosity > 1 {
                    let name = playbook.rsplit('/').next().unwrap_or(playbook);
                    self.banner(&format!("PLAYBOOK: {name}"));
                    let playbook = sanitize::inline(playbook).into_owned();
                    self.line(&format!("{plays} plays in {playbook}"));
                }
                if !self.checked().is_empty() {
                    self.banner("DRY RUN");
                }
            }
            Event::PlayStarted { name, .. } => {
                self.banner = None;
                self.play_banner(name);
            }
            Event::PlaySkipped { name, .. } => {
                self.play_banner(name);
                self.line("skipping: no hosts matched");
            }
            Event::TaskStarted {
                step,
                name,
                module,
                place,
                is_handler,
                ..
            } => {
                let task = Task {
                    name: name.clone(),
                    module: module.clone(),
                    place: place.clone(),
                    is_handler: *is_handler,
                };
                self.tasks.insert(step.clone(), task);
                self.banner = None;
                if self.options.shows_ok && self.options.shows_skipped {
                    self.task_banner(step);
                }
            }
            Event::RunFinished { stats, open, .. } => {
                self.recap(stats);
                for line in open {
                    let line = format!("[WARNING]: {}\n", sanitize::text(line));
                    self.err.put(&line);
                }
                if !self.checked().is_empty() {
                    self.banner("DRY RUN");
                }
            }
            _ => {}
        }
    }

    fn play_banner(&mut self, name: &str) {
        let mark = self.checked();
        if name.is_empty() {
            self.banner(&format!("PLAY{mark}"));
        } else {
            self.banner(&format!("PLAY [{name}]{mark}"));
        }
    }

    fn meta(&mut self, event: &Event) {
        let Event::Meta {
            step,
            name,
            place,
            is_handler,
            done,
        } = event
        else {
            return;
        };
        if let Some(step) = step {
            let task = Task {
                name: name.clone(),
                module: "meta".to_owned(),
                place: place.clone(),
                is_handler: *is_handler,
            };
            self.tasks.insert(step.clone(), task);
            self.banner = None;
            if self.options.shows_ok && self.options.shows_skipped {
                self.task_banner(step);
            }
        }
        if self.options.is_debug || self.look.verbosity >= 2 && step.is_some() {
            for line in done {
                self.line(&format!("META: {}", sanitize::inline(line)));
            }
        }
    }

    fn retrying(&mut self, host: &str, step: &StepId, left: u32) {
        let name = self.tasks.get(step).map_or("", |t| &t.name);
        let name = name.rsplit(" : ").next().unwrap_or(name).to_owned();
        self.line(&format!(
            "FAILED - RETRYING: [{}]: {} ({left} retries left).",
            sanitize::inline(host),
            sanitize::inline(&name)
        ));
    }
}

impl Reporter for Ansible {
    fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted { .. }
            | Event::PlayStarted { .. }
            | Event::PlaySkipped { .. }
            | Event::TaskStarted { .. }
            | Event::RunFinished { .. } => self.framed(event),
            Event::ItemFinished {
                host,
                step,
                label,
                report,
            } => {
                self.looped.insert((host.clone(), step.clone()));
                self.result(host, step, Some(label), report);
            }
            Event::HostFinished {
                host, step, report, ..
            } => self.finished(host, step, report),
            Event::Included { what, hosts, label } => {
                let mut line = format!("included: {what} for {}", hosts.join(", "));
                if let Some(label) = label {
                    line.push_str(&format!(" => (item={label})"));
                }
                let line = sanitize::inline(&line).into_owned();
                self.line(&line);
            }
            Event::Retrying { host, step, left } => self.retrying(host, step, *left),
            Event::Meta { .. } => self.meta(event),
            Event::HostsLeft => self.banner("NO MORE HOSTS LEFT"),
            Event::Notice { is_warning, text } => self.warn(text, *is_warning),
            Event::Undone {
                host,
                summary,
                report,
                ..
            } => {
                let word = super::word(report.status).to_lowercase();
                self.line(&format!(
                    "undone: [{}] => {} ({word})",
                    sanitize::inline(host),
                    sanitize::inline(summary)
                ));
            }
            Event::BatchStarted { .. }
            | Event::HostStarted { .. }
            | Event::Output { .. }
            | Event::Progress { .. }
            | Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Checked { .. } => {}
        }
    }

    fn failure(&self) -> Option<String> {
        self.out.failure()
    }
}
