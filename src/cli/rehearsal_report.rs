//! What a rehearsal found out, gathered from the events of its runs.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::event::{Event, Stats};
use crate::report::{Reporter, duration};
use crate::value::{Map, Value};

/// The plays of one run, with when they began.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    phases: Vec<(String, DateTime<Utc>)>,
    ended_at: Option<DateTime<Utc>>,
    stats: Stats,
    /// What `set_stats` said.
    pub(super) findings: Map,
}

/// Listens to one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener(Arc<Mutex<Heard>>);

impl Listener {
    /// What was heard so far.
    pub(super) fn heard(&self) -> Heard {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Reporter for Listener {
    fn on(&mut self, event: &Event) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::PlayStarted { name, .. } => heard.phases.push((name.clone(), Utc::now())),
            Event::RunFinished { at, stats, .. } => {
                heard.ended_at = Some(*at);
                heard.stats.clone_from(stats);
            }
            Event::HostFinished { report, .. } => {
                let said = report
                    .result
                    .get("ansible_stats")
                    .and_then(|s| s.get("data"));
                if let Some(Value::Map(data)) = said {
                    heard.findings.extend((**data).clone());
                }
            }
            _ => {}
        }
    }
}

impl Heard {
    /// How long each play took, and all of them together.
    pub(super) fn phases(&self) -> String {
        let ends = self
            .phases
            .iter()
            .skip(1)
            .map(|(_, at)| *at)
            .chain(self.ended_at);
        let mut lines = Vec::new();
        for ((name, began), ended) in self.phases.iter().zip(ends) {
            lines.push(format!("  {:>8}  {name}", span(*began, ended)));
        }
        if let (Some((_, first)), Some(last)) = (self.phases.first(), self.ended_at) {
            lines.push(format!("  {:>8}  in all", span(*first, last)));
        }
        lines.join("\n")
    }

    /// Hosts with what their tasks came to, in one line.
    pub(super) fn totals(&self) -> String {
        let sum = |pick: fn(&crate::event::HostStats) -> u32| {
            self.stats.hosts.values().map(pick).sum::<u32>()
        };
        format!(
            "{} hosts, {} tasks ok ({} changed), {} skipped, {} failed",
            self.stats.hosts.len(),
            sum(|h| h.ok),
            sum(|h| h.changed),
            sum(|h| h.skipped),
            sum(|h| h.failed),
        )
    }
}

fn span(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    duration(u64::try_from((to - from).num_milliseconds()).unwrap_or(0))
}

/// One value as text.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Str(text) => text.as_str().to_owned(),
        other => other.to_masked_json().to_string(),
    }
}
