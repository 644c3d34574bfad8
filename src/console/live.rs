//! The live region at the bottom of the screen: a line for each host at work.

use std::time::{Duration, Instant};

use console::Term;
use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::Event;
use crate::model::StepId;
use crate::report::{count, duration, sanitize};

/// Hosts with a line of their own; the others are counted.
const LINES_MAX: usize = 8;
/// Columns for the name of a host.
const NAME_MAX: usize = 24;
/// A host that says nothing for so long is said to be silent.
const SILENT: Duration = Duration::from_mins(1);
/// Hints are shown for tasks that take longer than this.
const HINT_AFTER: Duration = Duration::from_secs(1);

const SPINNER: &str = "  {spinner} RUN  {prefix}  {elapsed}  {wide_msg}";
const BAR: &str = "  {spinner} RUN  {prefix}  {elapsed}  [{bar:18}] {percent:>3}%  {wide_msg}";

/// The live region.
pub(super) struct Live {
    multi: MultiProgress,
    hosts: IndexMap<(String, StepId), Running>,
    footer: Option<ProgressBar>,
    is_drawn: bool,
}

struct Running {
    since: Instant,
    heard: Instant,
    text: String,
    percent: Option<u8>,
    bar: Option<ProgressBar>,
}

impl Live {
    /// A region at the bottom of `term`; without `is_drawn` nothing moves on the screen.
    pub(super) fn new(term: Term, is_drawn: bool) -> Self {
        let target = if is_drawn {
            ProgressDrawTarget::term(term, 10)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            multi: MultiProgress::with_draw_target(target),
            hosts: IndexMap::new(),
            footer: None,
            is_drawn,
        }
    }

    /// The region itself, to write above it with `suspend`.
    pub(super) fn region(&self) -> MultiProgress {
        self.multi.clone()
    }

    /// Hears an event.
    pub(super) fn on(&mut self, event: &Event) {
        match event {
            Event::HostStarted { host, step } => {
                let now = Instant::now();
                let running = Running {
                    since: now,
                    heard: now,
                    text: String::new(),
                    percent: None,
                    bar: None,
                };
                self.hosts.insert((host.clone(), step.clone()), running);
            }
            Event::Output {
                host, step, text, ..
            } => {
                if let Some(running) = self.hosts.get_mut(&(host.clone(), step.clone())) {
                    running.heard = Instant::now();
                    if let Some(line) = text.lines().rev().find(|l| !l.trim().is_empty()) {
                        running.text = sanitize::inline(line).into_owned();
                    }
                }
            }
            Event::Progress {
                host,
                step,
                percent,
                text,
            } => {
                if let Some(running) = self.hosts.get_mut(&(host.clone(), step.clone())) {
                    running.heard = Instant::now();
                    running.percent = percent.map(|p| p.min(100));
                    running.text = sanitize::inline(text).into_owned();
                }
            }
            Event::HostFinished { host, step, .. } => {
                let ended = self.hosts.shift_remove(&(host.clone(), step.clone()));
                self.end(ended);
            }
            Event::RunFinished { .. } => {
                for (_, running) in std::mem::take(&mut self.hosts) {
                    self.end(Some(running));
                }
                self.fold();
            }
            _ => {}
        }
    }

    fn end(&self, running: Option<Running>) {
        if let Some(bar) = running.and_then(|r| r.bar) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
    }

    /// Takes the last line away.
    fn fold(&mut self) {
        if let Some(footer) = self.footer.take() {
            footer.finish_and_clear();
            self.multi.remove(&footer);
        }
    }

    /// Draws what has changed.
    pub(super) fn tick(&mut self) {
        if !self.is_drawn {
            return;
        }
        for (i, ((host, _), running)) in self.hosts.iter_mut().enumerate() {
            if i >= LINES_MAX {
                break;
            }
            let multi = &self.multi;
            let message = running.message();
            let bar = running.bar.get_or_insert_with(|| {
                // Dressed before it is shown, or the first drawing has a look of its own.
                let bar = ProgressBar::new(100)
                    .with_style(style(SPINNER))
                    .with_prefix(name(host))
                    .with_elapsed(running.since.elapsed());
                multi.insert(i, bar)
            });
            let template = if running.percent.is_some() {
                BAR
            } else {
                SPINNER
            };
            bar.set_style(style(template));
            if let Some(percent) = running.percent {
                bar.set_position(percent.into());
            }
            bar.set_message(message);
            bar.tick();
        }
        let is_long = self.hosts.values().any(|r| r.since.elapsed() > HINT_AFTER);
        if self.hosts.is_empty() {
            self.fold();
        } else if is_long || self.hosts.len() > LINES_MAX {
            let left = self.hosts.len().saturating_sub(LINES_MAX);
            let more = if left > 0 {
                format!("and {}   ", count(left, "more host"))
            } else {
                String::new()
            };
            let multi = &self.multi;
            let footer = self.footer.get_or_insert_with(|| {
                multi.add(ProgressBar::new_spinner().with_style(style("  {wide_msg}")))
            });
            footer.set_message(format!("{more}[t]status [o]utput [p]ause after this task"));
            footer.tick();
        }
    }

    /// A line for each host at work.
    pub(super) fn status(&self) -> String {
        let mut text = format!("{} at work\n", count(self.hosts.len(), "host"));
        for ((host, _), running) in &self.hosts {
            let ms = u64::try_from(running.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let percent = running
                .percent
                .map(|p| format!("{p}% "))
                .unwrap_or_default();
            let host = sanitize::inline(host);
            let message = running.message();
            text.push_str(&format!(
                "  RUN  {host}  {}  {percent}{message}\n",
                duration(ms)
            ));
        }
        text
    }
}

impl Running {
    fn message(&self) -> String {
        let silent = self.heard.elapsed();
        if silent > SILENT {
            let ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
            return format!("silent for {}  {}", duration(ms), self.text);
        }
        self.text.clone()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars("|/-\\ ")
        .progress_chars("##.")
}

fn name(host: &str) -> String {
    let host = sanitize::inline(host);
    console::pad_str(
        &host,
        NAME_MAX.min(host.len().max(8)),
        console::Alignment::Left,
        Some("…"),
    )
    .into_owned()
}
