//! What a person at a terminal reads: a banner a task, a line a host, failures in full, a table at
//! the end. On many hosts equal lines share one.

use std::collections::HashMap;
use std::io::Write;

use indexmap::IndexMap;

use super::details::{debug_lines, failure, is_bad, one_line};
use super::look::wrap;
use super::recap::{pad, recap};
use super::{Look, Reporter, Sink, Tone, count, duration, sanitize, word};
use crate::event::{Event, Report, Stats, Status};
use crate::model::StepId;

/// Up to so many hosts each has its own line, as soon as it is done.
const LINES_MAX: usize = 12;

/// Writes for a person.
pub struct Human {
    sink: Sink,
    look: Look,
    shown: Option<StepId>,
    tasks: HashMap<StepId, Task>,
}

/// A task that is under way.
struct Task {
    name: String,
    module: String,
    is_handler: bool,
    hosts_left: usize,
    is_grouped: bool,
    /// Finished hosts by what is said of them.
    groups: IndexMap<(Status, String), Vec<String>>,
}

impl Human {
    /// Writes to `to`.
    pub fn new(to: impl Write + Send + 'static, look: Look) -> Self {
        Self {
            sink: Sink::new(to),
            look,
            shown: None,
            tasks: HashMap::new(),
        }
    }

    /// Sets the width of the screen, which may change while a run lasts.
    pub fn set_width(&mut self, width: usize) {
        self.look = self.look.wide(width);
    }

    /// Shows the banner of a task, unless the last lines were already of it.
    fn banner(&mut self, step: &StepId) {
        if self.shown.as_ref() == Some(step) {
            return;
        }
        self.shown = Some(step.clone());
        let Some(task) = self.tasks.get(step) else {
            return;
        };
        let kind = if task.is_handler { "HANDLER" } else { "TASK" };
        let rule = self
            .look
            .rule('-', &format!("{kind} {}", task.name), &task.module);
        self.sink
            .put(&format!("\n{}\n", self.look.paint(Tone::Title, &rule)));
    }

    fn heading(&mut self, fill: char, left: &str, right: &str) {
        self.shown = None;
        let rule = self.look.rule(fill, &sanitize::inline(left), right);
        self.sink
            .put(&format!("\n{}\n", self.look.paint(Tone::Title, &rule)));
    }

    fn host_line(&self, host: &str, label: &str, module: &str, report: &Report) -> String {
        let mut line = format!(
            "  {} {host}",
            self.look
                .paint(Look::tone(report.status), &pad(word(report.status), 11))
        );
        if !label.is_empty() {
            line.push_str(&format!(" ({label})"));
        }
        if report.is_ignored {
            line.push_str("  ignored");
        }
        if report.attempts > 1 {
            line.push_str(&format!("  after {} tries", report.attempts));
        }
        if report.duration_ms >= 1000 {
            line.push_str(&format!("  {}", duration(report.duration_ms)));
        }
        // What `debug` says stands below, whole.
        let is_said = is_bad(report.status) || module == "debug";
        if let Some(text) =
            one_line(report).filter(|_| !is_said || report.status == Status::Skipped)
        {
            line.push_str(&format!("  {text}"));
        }
        self.look.cut(&line, self.look.width) + "\n"
    }

    /// What stands below a host's line.
    fn below(&self, report: &Report, module: &str) -> String {
        let mut text = String::new();
        if is_bad(report.status) {
            for line in failure(report) {
                text.push_str(&format!("      {line}\n"));
            }
        } else if module == "debug" && report.status != Status::Skipped {
            for line in debug_lines(report) {
                text.push_str(&format!("      {line}\n"));
            }
        }
        if self.look.shows_diff {
            for diff in &report.diff {
                text.push_str(&self.look.diff(diff, "      "));
            }
        }
        if self.look.verbosity > 0 && module != "debug" {
            let json = report.result.to_masked_json();
            let json = serde_json::to_string_pretty(&json).unwrap_or_default();
            for line in sanitize::text(&json).lines() {
                text.push_str(&self.look.paint(Tone::Dim, &format!("      {line}")));
                text.push('\n');
            }
        }
        text
    }

    fn host_finished(&mut self, host: &str, step: &StepId, report: &Report) {
        let host = sanitize::inline(host).into_owned();
        let module = self.tasks.get(step).map_or("", |t| t.module.as_str());
        let below = self.below(report, module);
        let line = self.host_line(&host, "", module, report);
        let (is_grouped, is_last) = match self.tasks.get_mut(step) {
            Some(task) => {
                task.hosts_left = task.hosts_left.saturating_sub(1);
                (task.is_grouped, task.hosts_left == 0)
            }
            None => (false, false),
        };
        if is_grouped {
            let said = if below.is_empty() {
                one_line(report).unwrap_or_default()
            } else {
                below
            };
            if let Some(task) = self.tasks.get_mut(step) {
                let group = task.groups.entry((report.status, said)).or_default();
                group.push(host);
            }
            if is_last {
                self.show_groups(step);
            }
            return;
        }
        self.banner(step);
        self.sink.put(&(line + &below));
    }

    fn show_groups(&mut self, step: &StepId) {
        let Some(task) = self.tasks.get_mut(step) else {
            return;
        };
        let groups = std::mem::take(&mut task.groups);
        if groups.is_empty() {
            return;
        }
        self.banner(step);
        for ((status, said), hosts) in groups {
            let head = format!(
                "  {} {}",
                self.look.paint(Look::tone(status), &pad(word(status), 11)),
                count(hosts.len(), "host")
            );
            let is_block = said.ends_with('\n');
            let mut text = match (said.is_empty(), is_block) {
                (false, false) => self.look.cut(&format!("{head}  {said}"), self.look.width),
                _ => head,
            };
            let indent = "      ";
            let names = wrap(&hosts, self.look.width - indent.len(), indent);
            text.push_str(&format!(
                "\n{indent}{}\n",
                self.look.paint(Tone::Dim, &names)
            ));
            if is_block {
                text.push_str(&said);
            }
            self.sink.put(&text);
        }
    }

    /// Shows what was held back to be grouped; to be called before anyone else writes.
    pub fn flush(&mut self) {
        let steps: Vec<StepId> = self.tasks.keys().cloned().collect();
        for step in &steps {
            self.show_groups(step);
        }
    }

    fn finish(&mut self, run: &str, stats: &Stats, exit_code: u8, open: &[String]) {
        let run = run.get(..13).unwrap_or(run);
        self.heading(
            '=',
            &format!("RUN {}", sanitize::inline(run)),
            &format!("exit code {exit_code}"),
        );
        self.sink.put(&recap(stats, &self.look));
        for what in open {
            let line = format!(
                "{} {}\n",
                self.look.paint(Tone::Warning, "OPEN"),
                sanitize::text(what)
            );
            self.sink.put(&line);
        }
    }
}

impl Reporter for Human {
    fn on(&mut self, event: &Event) {
        match event {
            Event::HostFinished {
                host, step, report, ..
            } => return self.host_finished(host, step, report),
            Event::HostStarted { .. } | Event::Output { .. } | Event::Progress { .. } => return,
            _ => self.flush(),
        }
        match event {
            Event::RunStarted { .. }
            | Event::PlayStarted { .. }
            | Event::BatchStarted { .. }
            | Event::PlaySkipped { .. }
            | Event::RunFinished { .. } => self.framed(event),
            Event::TaskStarted {
                step,
                name,
                module,
                is_handler,
                hosts,
                ..
            } => {
                let task = Task {
                    name: sanitize::inline(name).into_owned(),
                    module: sanitize::inline(module).into_owned(),
                    is_handler: *is_handler,
                    hosts_left: hosts.len(),
                    is_grouped: hosts.len() > LINES_MAX,
                    groups: IndexMap::new(),
                };
                self.tasks.insert(step.clone(), task);
                self.shown = None;
                self.banner(step);
            }
            Event::ItemFinished {
                host,
                step,
                label,
                report,
            } => {
                self.banner(step);
                let module = self.tasks.get(step).map_or("", |t| t.module.as_str());
                let below = self.below(report, module);
                let label = sanitize::inline(label);
                let line = self.host_line(&sanitize::inline(host), &label, module, report);
                self.sink.put(&(line + &below));
            }
            Event::Undone {
                host,
                summary,
                report,
                ..
            } => {
                let label = format!("undo: {}", sanitize::inline(summary));
                let line = self.host_line(&sanitize::inline(host), &label, "", report);
                self.sink.put(&(line + &self.below(report, "")));
            }
            _ => self.said(event),
        }
    }

    fn failure(&self) -> Option<String> {
        self.sink.failure()
    }
}

impl Human {
    /// The start and end of a run and of plays.
    fn framed(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                run,
                playbook,
                change,
                is_check,
                journal,
                ..
            } => {
                let what = change.as_ref().unwrap_or(playbook);
                let mode = if *is_check { "check" } else { "" };
                self.heading('=', what, mode);
                if let Some(journal) = journal {
                    let line = format!(
                        "run {}, journal in {}\n",
                        sanitize::inline(run),
                        sanitize::inline(journal)
                    );
                    self.sink.put(&self.look.paint(Tone::Dim, &line));
                }
            }
            Event::PlayStarted { name, hosts } => {
                self.tasks.clear();
                self.heading('=', &format!("PLAY {name}"), &count(hosts.len(), "host"));
            }
            Event::BatchStarted { hosts } => {
                let hosts: Vec<String> = hosts
                    .iter()
                    .map(|h| sanitize::inline(h).into_owned())
                    .collect();
                let names = wrap(&hosts, self.look.width - 8, "        ");
                self.sink.put(&format!("BATCH   {names}\n"));
            }
            Event::PlaySkipped { name, why } => {
                self.heading('=', &format!("PLAY {name}"), "skipped");
                self.sink.put(&format!("  {}\n", sanitize::inline(why)));
            }
            Event::RunFinished {
                run,
                stats,
                exit_code,
                open,
                ..
            } => self.finish(run, stats, *exit_code, open),
            _ => {}
        }
    }

    /// What was retried, answered, checked and noticed.
    fn said(&mut self, event: &Event) {
        let line = match event {
            Event::Retrying { host, left, .. } => format!(
                "  {} {}  {} left",
                self.look.paint(Tone::Warning, &pad("RETRY", 11)),
                sanitize::inline(host),
                count(*left as usize, "try").replace("trys", "tries"),
            ),
            Event::Answered {
                question,
                answer,
                by,
            } => self.look.paint(
                Tone::Dim,
                &sanitize::inline(&format!("  {question}: {answer} ({by})")),
            ),
            Event::Checked {
                name,
                host,
                holds,
                seen,
            } => {
                let (word, tone) = if *holds {
                    ("[ok]", Tone::Good)
                } else {
                    ("[NO]", Tone::Bad)
                };
                let host = host
                    .as_deref()
                    .map(|h| format!("{h}: "))
                    .unwrap_or_default();
                let text = format!("{name}  {host}{seen}");
                format!(
                    "  {} {}",
                    self.look.paint(tone, word),
                    sanitize::inline(&text)
                )
            }
            Event::Notice { is_warning, text } => {
                let text = sanitize::text(text);
                if *is_warning {
                    format!("{} {text}", self.look.paint(Tone::Warning, "WARNING"))
                } else {
                    text.into_owned()
                }
            }
            _ => return,
        };
        self.sink.put(&(line + "\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::sink::Shared;
    use super::*;
    use crate::value::{Map, Value};

    fn report(status: Status, fields: &[(&str, &str)]) -> Report {
        let fields = fields
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Value::from(*v)));
        Report {
            status,
            is_ignored: false,
            result: Value::from(fields.collect::<Map>()),
            diff: vec!["--- a\n+++ b\n-x\n+y\n".into()],
            summary: String::new(),
            duration_ms: 10,
            attempts: 1,
            delegate: None,
        }
    }

    fn run(hosts: usize, look: Look, report_of: impl Fn(usize) -> Report) -> String {
        let out = Shared::default();
        let mut human = Human::new(out.clone(), look);
        let step = StepId("s".into());
        let hosts: Vec<String> = (0..hosts).map(|i| format!("web{i:03}")).collect();
        human.on(&Event::TaskStarted {
            step: step.clone(),
            name: "copy it".into(),
            module: "copy".into(),
            place: None,
            is_handler: false,
            hosts: hosts.clone(),
            at: chrono::DateTime::UNIX_EPOCH,
        });
        for (i, host) in hosts.iter().enumerate() {
            human.on(&Event::HostFinished {
                host: host.clone(),
                step: step.clone(),
                name: "copy it".into(),
                report: report_of(i),
            });
        }
        out.text()
    }

    #[test]
    fn few_hosts_have_a_line_each() {
        let text = run(2, Look::default().wide(60), |i| match i {
            0 => report(Status::Changed, &[]),
            _ => report(Status::Failed, &[("msg", "no \u{1b}]0;x\u{7}space")]),
        });
        let rule = "-".repeat(32);
        assert_eq!(
            text,
            format!("\n---- TASK copy it {rule} copy ----\n")
                + "  CHANGED     web000\n  FAILED      web001\n      no \\x1b]0;x\\x07space\n"
        );
    }

    #[test]
    fn many_hosts_share_what_is_equal() {
        let text = run(40, Look::default().wide(60), |i| {
            if i % 10 == 3 {
                report(Status::Failed, &[("msg", "disk full")])
            } else {
                report(Status::Ok, &[])
            }
        });
        assert_eq!(text.matches("disk full").count(), 1, "{text}");
        assert!(text.contains("FAILED      4 hosts"), "{text}");
        assert!(text.contains("OK          36 hosts"), "{text}");
        assert!(text.contains("web003  web013  web023  web033"), "{text}");
        assert!(text.lines().all(|l| l.chars().count() <= 60), "{text}");
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let colored = Look {
            has_color: true,
            shows_diff: true,
            ..Look::default()
        };
        let plain = Look {
            has_color: false,
            ..colored
        };
        let of = |look| run(3, look, |_| report(Status::Changed, &[]));
        assert!(of(colored).contains('\u{1b}'));
        assert_eq!(console::strip_ansi_codes(&of(colored)), of(plain));
    }

    /// Every event that carries text from outside, with this text everywhere.
    fn hostile(text: &str) -> Vec<Event> {
        let step = StepId("s".into());
        let fields = ["msg", "stderr", "stdout", "cmd", "skip_reason"].map(|k| (k, text));
        let of = |status| Report {
            summary: text.to_owned(),
            diff: vec![text.to_owned()],
            ..report(status, &fields)
        };
        let text = || text.to_owned();
        let at = chrono::DateTime::UNIX_EPOCH;
        let mut stats = Stats::default();
        stats.host(&text()).ok = 1;
        let mut events = vec![
            Event::RunStarted {
                run: "r".into(),
                at,
                playbook: text(),
                plays: 1,
                change: Some(text()),
                is_check: false,
                journal: Some(text()),
            },
            Event::PlayStarted {
                name: text(),
                hosts: vec![text()],
            },
            Event::BatchStarted {
                hosts: vec![text()],
            },
            Event::TaskStarted {
                step: step.clone(),
                name: text(),
                module: "debug".into(),
                place: None,
                is_handler: false,
                hosts: vec![text()],
                at,
            },
            Event::ItemFinished {
                host: text(),
                step: step.clone(),
                label: text(),
                report: of(Status::Changed),
            },
            Event::Checked {
                name: text(),
                host: Some(text()),
                holds: false,
                seen: text(),
            },
            Event::Answered {
                question: text(),
                answer: text(),
                by: text(),
            },
            Event::Notice {
                is_warning: true,
                text: text(),
            },
            Event::Undone {
                host: text(),
                step: step.clone(),
                summary: text(),
                report: of(Status::Lost),
            },
        ];
        events.extend([Status::Ok, Status::Failed, Status::Skipped].map(|status| {
            Event::HostFinished {
                host: text(),
                step: step.clone(),
                name: text(),
                report: of(status),
            }
        }));
        events.push(Event::RunFinished {
            run: "r".into(),
            at,
            stats,
            exit_code: 0,
            open: vec![text()],
        });
        events
    }

    proptest::proptest! {
        #[test]
        fn no_text_from_outside_steers_the_terminal(
            text in "([a-z ]|[\x00-\x20]|\x1b\\[[0-9;]*[A-Za-z]|[\u{7f}-\u{9f}\u{202a}-\u{202e}]){0,20}",
        ) {
            let look = Look { verbosity: 1, shows_diff: true, ..Look::default() };
            let out = Shared::default();
            let clock = || chrono::DateTime::UNIX_EPOCH;
            let mut human = Human::new(out.clone(), look);
            let mut plain = crate::report::Plain::new(out.clone(), Box::new(clock), look);
            for event in hostile(&text) {
                human.on(&event);
                plain.on(&event);
            }
            for c in out.text().chars() {
                proptest::prop_assert!(c == '\n' || c == '\t' || sanitize::is_harmless(c), "{c:?}");
            }
        }
    }
}
