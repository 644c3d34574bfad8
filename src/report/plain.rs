//! One line an event, for logs: stable columns, no carriage returns, no drawing.
//!
//! `TIME KIND WORD WHAT`, where a task is named `t7` after its first line.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use super::details::{debug_lines, diff_counts, failure, is_bad, one_line};
use super::{Clock, Look, Reporter, Sink, Tone, duration, sanitize, word};
use crate::event::{Event, Report, Stats, Status};
use crate::model::StepId;

/// Writes one line an event.
pub struct Plain {
    sink: Sink,
    clock: Clock,
    look: Look,
    tasks: HashMap<StepId, usize>,
    /// The tasks among them that say something.
    debugs: HashSet<String>,
}

impl Plain {
    /// Writes to `to`.
    pub fn new(to: impl Write + Send + 'static, clock: Clock, look: Look) -> Self {
        Self {
            sink: Sink::new(to),
            clock,
            look,
            tasks: HashMap::new(),
            debugs: HashSet::new(),
        }
    }

    fn line(&mut self, kind: &str, word: &str, tone: Option<Tone>, what: &str) {
        let time = (self.clock)().format("%H:%M:%S%.3f");
        let column = format!("{word:<11}");
        let word = tone.map_or(column.clone(), |t| self.look.paint(t, &column));
        let line = format!("{time} {kind:<5} {word} {what}");
        self.sink.put(&(line.trim_end().to_owned() + "\n"));
    }

    fn task(&mut self, step: &StepId) -> String {
        let next = self.tasks.len() + 1;
        format!("t{}", self.tasks.entry(step.clone()).or_insert(next))
    }

    fn finished(&mut self, kind: &str, task: &str, host: &str, label: &str, report: &Report) {
        let mut what = format!("{task} {host}{label} {}", duration(report.duration_ms));
        if !report.diff.is_empty() {
            let (added, removed) = diff_counts(&report.diff);
            what.push_str(&format!(" diff=+{added},-{removed}"));
        }
        if report.attempts > 1 {
            what.push_str(&format!(" tries={}", report.attempts));
        }
        if report.is_ignored {
            what.push_str(" ignored");
        }
        let is_bad = is_bad(report.status);
        let mut said = Vec::new();
        if self.debugs.contains(task) && matches!(report.status, Status::Ok | Status::Changed) {
            said = debug_lines(report);
        } else if !is_bad && let Some(text) = one_line(report) {
            said.push(text);
        }
        if let [line] = said.as_slice() {
            what.push_str("  ");
            what.push_str(line);
            said.clear();
        }
        let lower = word(report.status).to_lowercase();
        self.line(kind, &lower, Some(Look::tone(report.status)), &what);
        for line in said {
            self.line("out", host, None, &format!("{task} | {line}"));
        }
        if is_bad {
            for line in failure(report) {
                self.line("why", host, None, &format!("{task} | {line}"));
            }
        }
        if self.look.shows_diff {
            let diffs = report.diff.join("");
            for line in sanitize::text(&diffs).lines() {
                self.line("diff", host, None, &format!("{task} | {line}"));
            }
        }
        if self.look.verbosity > 0 && !is_bad {
            let json = report.result.to_masked_json().to_string();
            self.line(
                "reply",
                host,
                None,
                &format!("{task} | {}", sanitize::inline(&json)),
            );
        }
    }

    fn finish(&mut self, stats: &Stats, exit_code: u8, open: &[String]) {
        for (host, s) in &stats.hosts {
            let what = format!(
                "{} ok={} changed={} unreachable={} failed={} skipped={} rescued={} ignored={} lost={} unknown={}",
                name(host),
                s.ok,
                s.changed,
                s.unreachable,
                s.failed,
                s.skipped,
                s.rescued,
                s.ignored,
                s.lost,
                s.unknown
            );
            self.line("recap", "host", None, &what);
        }
        for what in open {
            self.line("open", "todo", None, &sanitize::inline(what));
        }
        self.line("run", "end", None, &format!("exit={exit_code}"));
    }
}

impl Reporter for Plain {
    fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted { .. }
            | Event::PlayStarted { .. }
            | Event::BatchStarted { .. }
            | Event::PlaySkipped { .. }
            | Event::RunFinished { .. } => self.framed(event),
            Event::TaskStarted {
                step,
                name: task_name,
                module,
                is_handler,
                hosts,
                ..
            } => {
                let kind = if *is_handler { "hndlr" } else { "task" };
                let task = self.task(step);
                if module == "debug" {
                    self.debugs.insert(task.clone());
                }
                let what = format!("{task} \"{}\" hosts={}", name(task_name), hosts.len());
                self.line(kind, "start", None, &what);
            }
            Event::Output {
                host, step, text, ..
            } => {
                let (task, host) = (self.task(step), name(host));
                for line in sanitize::text(text).lines() {
                    self.line("out", &host, None, &format!("{task} | {line}"));
                }
            }
            Event::ItemFinished {
                host,
                step,
                label,
                report,
            } => {
                let task = self.task(step);
                let label = format!(" item={}", name(label));
                self.finished("item", &task, &name(host), &label, report);
            }
            Event::HostFinished {
                host, step, report, ..
            } => {
                let task = self.task(step);
                self.finished("host", &task, &name(host), "", report);
            }
            Event::Undone {
                host,
                step,
                summary,
                report,
            } => {
                let task = self.task(step);
                let what = format!(" {}", name(summary));
                self.finished("undo", &task, &name(host), &what, report);
            }
            Event::Retrying { host, step, left } => {
                let task = self.task(step);
                let what = format!("{task} {} left={left}", name(host));
                self.line("host", "retry", Some(Tone::Warning), &what);
            }
            // A question is shown with its answer: where these lines are read, a policy answers.
            _ => self.said(event),
        }
    }

    fn failure(&self) -> Option<String> {
        self.sink.failure()
    }
}

impl Plain {
    /// The start and end of a run and of plays.
    fn framed(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                run,
                playbook,
                is_check,
                journal,
                ..
            } => {
                let mode = if *is_check { "check" } else { "run" };
                let mut what = format!(
                    "id={} mode={mode} playbook={}",
                    sanitize::inline(run),
                    name(playbook)
                );
                if let Some(journal) = journal {
                    what.push_str(&format!(" journal={}", name(journal)));
                }
                self.line("run", "start", None, &what);
            }
            Event::PlayStarted { name: play, hosts } => {
                let what = format!("\"{}\" hosts={}", name(play), hosts.len());
                self.line("play", "start", None, &what);
            }
            Event::BatchStarted { hosts } => {
                self.line("batch", "start", None, &format!("hosts={}", hosts.len()));
            }
            Event::PlaySkipped { name: play, why } => {
                self.line(
                    "play",
                    "skipped",
                    None,
                    &format!("\"{}\" {}", name(play), name(why)),
                );
            }
            Event::RunFinished {
                stats,
                exit_code,
                open,
                ..
            } => self.finish(stats, *exit_code, open),
            _ => {}
        }
    }

    /// What was asked, answered, checked and noticed.
    fn said(&mut self, event: &Event) {
        match event {
            Event::Answered {
                question,
                answer,
                by,
            } => {
                let what = format!(
                    "\"{}\" answer=\"{}\" by={}",
                    name(question),
                    name(answer),
                    name(by)
                );
                self.line("ask", "answer", None, &what);
            }
            Event::Checked {
                name: condition,
                host,
                holds,
                seen,
            } => {
                let (word, tone) = if *holds {
                    ("holds", Tone::Good)
                } else {
                    ("fails", Tone::Bad)
                };
                let host = name(host.as_deref().unwrap_or("-"));
                let what = format!("\"{}\" {host} {}", name(condition), name(seen));
                self.line("check", word, Some(tone), &what);
            }
            Event::Notice { is_warning, text } => {
                let (word, tone) = if *is_warning {
                    ("warning", Some(Tone::Warning))
                } else {
                    ("notice", None)
                };
                for line in sanitize::text(text).lines() {
                    self.line("note", word, tone, line);
                }
            }
            _ => {}
        }
    }
}

fn name(text: &str) -> String {
    sanitize::inline(text).into_owned()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::sink::Shared;
    use super::*;
    use crate::event::Status;
    use crate::value::{Map, Value};

    fn report(status: Status, fields: &[(&str, &str)]) -> Report {
        let fields = fields
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Value::from(*v)));
        Report {
            status,
            is_ignored: false,
            result: Value::from(fields.collect::<Map>()),
            diff: vec![],
            summary: String::new(),
            duration_ms: 1920,
            attempts: 1,
            delegate: None,
        }
    }

    fn finished(host: &str, report: Report) -> Event {
        Event::HostFinished {
            host: host.into(),
            step: StepId("s".into()),
            name: "copy".into(),
            report,
        }
    }

    #[test]
    fn columns_are_stable_and_hosts_cannot_forge_a_line() {
        let out = Shared::default();
        let clock = || DateTime::UNIX_EPOCH;
        let mut plain = Plain::new(out.clone(), Box::new(clock), Look::default());
        plain.on(&finished("db1", report(Status::Ok, &[])));
        let mut changed = report(Status::Changed, &[]);
        changed.diff = vec!["--- a\n+++ b\n-x\n+y\n+z\n".into()];
        plain.on(&finished("db2\n00:00:00.000 host  ok", changed));
        let failed = report(
            Status::Failed,
            &[("msg", "no\u{1b}[2J"), ("stderr", "a\nb\n")],
        );
        plain.on(&finished("db3", failed));
        assert_eq!(
            out.text(),
            "00:00:00.000 host  ok          t1 db1 1.9s\n\
             00:00:00.000 host  changed     t1 db2\\x0a00:00:00.000 host  ok 1.9s diff=+2,-1\n\
             00:00:00.000 host  failed      t1 db3 1.9s\n\
             00:00:00.000 why   db3         t1 | no\\x1b[2J\n\
             00:00:00.000 why   db3         t1 | stderr:\n\
             00:00:00.000 why   db3         t1 |   a\n\
             00:00:00.000 why   db3         t1 |   b\n"
        );
    }
}
