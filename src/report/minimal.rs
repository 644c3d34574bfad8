//! What ansible-core's `minimal` callback prints, that of single tasks given on the command line.
//!
//! Source: ansible-core 2.19, `plugins/callback/minimal.py`. Invariant: what came from a host is
//! escaped before it reaches a terminal.

use std::collections::HashMap;
use std::io::Write;

use super::json::{self, Shape};
use super::{Look, Reporter, Sink, sanitize};
use crate::event::{Event, Report, Status};
use crate::model::StepId;
use crate::value::{Map, Value};

/// Modules whose output is shown as it is.
const NO_JSON: &[&str] = &["command", "shell", "raw", "script"];

/// Prints one result a host.
pub struct Minimal {
    out: Sink,
    err: Sink,
    look: Look,
    modules: HashMap<StepId, String>,
}

impl Minimal {
    /// Writes results to `out`, warnings to `err`.
    pub fn new(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        look: Look,
    ) -> Self {
        Self {
            out: Sink::new(out),
            err: Sink::new(err),
            look,
            modules: HashMap::new(),
        }
    }

    fn result(&mut self, host: &str, step: &StepId, report: &Report) {
        let host = sanitize::inline(host).into_owned();
        let module = self.modules.get(step).cloned().unwrap_or_default();
        if matches!(module.as_str(), "include_role" | "include_tasks") {
            return;
        }
        let is_changed = report.result.get("changed").and_then(Value::to_bool) == Some(true);
        let word = match report.status {
            Status::Ok | Status::Changed | Status::Unknown if is_changed => "CHANGED",
            Status::Ok | Status::Changed | Status::Unknown => "SUCCESS",
            Status::Skipped => {
                self.out.put(&format!("{host} | SKIPPED\n"));
                return;
            }
            Status::Failed | Status::Lost => "FAILED",
            Status::Unreachable => "UNREACHABLE",
        };
        if self.look.shows_diff {
            for diff in &report.diff {
                self.out.put(&sanitize::text(diff));
            }
        }
        let is_command = NO_JSON.contains(&module.as_str()) && report.result.get("rc").is_some();
        let line = if is_command && report.status != Status::Unreachable {
            let text = |key: &str| {
                let text = report.result.get(key).and_then(Value::as_str);
                sanitize::text(text.unwrap_or_default()).into_owned()
            };
            let rc = report.result.get("rc").and_then(Value::as_int);
            format!(
                "{host} | {word} | rc={} >>\n{}{}{}\n",
                rc.unwrap_or(-1),
                text("stdout"),
                text("stderr"),
                text("msg")
            )
        } else {
            let mark = if matches!(word, "FAILED" | "UNREACHABLE") {
                "!"
            } else {
                ""
            };
            let mut map: Map = report.result.as_map().cloned().unwrap_or_default();
            for key in ["failed", "exception", "warnings", "deprecations", "diff"] {
                map.shift_remove(key);
            }
            if module == "debug" && report.result.get("msg").is_some() {
                map.retain(|key, _| key == "msg");
            }
            let dump = json::dump(&Value::from(map), Shape::Lines);
            format!("{host} | {word}{mark} => {dump}")
        };
        self.out.put(&format!("{line}\n"));
    }
}

impl Reporter for Minimal {
    fn on(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { step, module, .. } => {
                self.modules.insert(step.clone(), module.clone());
            }
            Event::HostFinished {
                host, step, report, ..
            } => self.result(host, step, report),
            Event::PlaySkipped { .. } => {
                self.err.put("[WARNING]: No hosts matched, nothing to do\n");
            }
            Event::Notice {
                is_warning: true,
                text,
            } => self
                .err
                .put(&format!("[WARNING]: {}\n", sanitize::text(text))),
            _ => {}
        }
    }

    fn failure(&self) -> Option<String> {
        self.out.failure()
    }
}
