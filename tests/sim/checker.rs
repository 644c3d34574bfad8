//! Watches one process of a run and says what it did against the promises.

use std::collections::{BTreeMap, BTreeSet};

use switchback::event::{Event, Stats, Status};
use switchback::journal::{Instance, Record, RunState};
use switchback::model::StepId;

/// An attempt that was declared and has no end.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) instance: Instance,
    acts_on: String,
    converges: bool,
    /// Its reply was lost, here or with an earlier process.
    is_lost: bool,
}

/// What one process did.
#[derive(Default)]
pub(crate) struct Checker {
    /// Whether it walks a way back, where attempts of the run itself are taken back.
    pub(crate) is_rollback: bool,
    /// Attempts without an end, by number.
    pub(crate) open: BTreeMap<u64, Open>,
    /// Intents that are on disk.
    durable: BTreeSet<u64>,
    /// Records that were appended and not synced.
    volatile: Vec<Record>,
    /// The step that was announced last.
    step: StepId,
    /// What is on its way to or at work on each host: the step of each script.
    at_work: BTreeMap<String, Vec<StepId>>,
    /// What failed, for a person who looks for the reason.
    pub(crate) failures: Vec<String>,
    /// How often each step was shown as done on each host.
    shown: BTreeMap<(StepId, String), u32>,
    pub(crate) stats: Option<Stats>,
    pub(crate) violations: Vec<String>,
}

impl Checker {
    /// A checker of a process that starts with this journal.
    pub(crate) fn after(journal: &RunState, is_rollback: bool) -> Self {
        let open = journal.open.values().map(|attempt| {
            let open = Open {
                instance: attempt.instance.clone(),
                acts_on: attempt.acts_on.clone(),
                converges: attempt.converges,
                is_lost: true,
            };
            (attempt.attempt, open)
        });
        Self {
            is_rollback,
            open: open.collect(),
            ..Self::default()
        }
    }

    fn accuse(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Records were appended, and perhaps synced.
    pub(crate) fn appended(&mut self, records: &[Record], is_synced: bool, now_ms: u64) {
        for record in records {
            // However the wall clock jumps.
            if let Record::Done { duration_ms, .. } = record
                && *duration_ms > now_ms
            {
                let wrong = format!("a step took {duration_ms} ms of {now_ms}");
                self.violations.push(wrong);
            }
        }
        self.volatile.extend_from_slice(records);
        if is_synced {
            for record in std::mem::take(&mut self.volatile) {
                self.became_durable(&record);
            }
        }
    }

    fn became_durable(&mut self, record: &Record) {
        match record {
            Record::Intent {
                attempt,
                instance,
                acts_on,
                converges,
                ..
            } => {
                self.durable.insert(*attempt);
                // A new attempt of the same instance means that the earlier one was decided.
                self.open.retain(|_, open| open.instance != *instance);
                let open = Open {
                    instance: instance.clone(),
                    acts_on: acts_on.clone(),
                    converges: *converges,
                    is_lost: false,
                };
                self.open.insert(*attempt, open);
            }
            Record::Done { instance, .. } => {
                self.open.retain(|_, open| open.instance != *instance);
            }
            Record::NeverStarted { attempt } => {
                self.open.remove(attempt);
            }
            _ => {}
        }
    }

    /// A script leaves for a host.
    pub(crate) fn leaves(&mut self, host: &str, attempt: Option<u64>, looks: bool) {
        if let Some(attempt) = attempt.filter(|_| !self.is_rollback)
            && !self.durable.contains(&attempt)
        {
            self.accuse(format!(
                "attempt {attempt} left for {host} before its intent was on disk"
            ));
        }
        let step = self.step.clone();
        let others: Vec<StepId> = self.at_work.get(host).cloned().unwrap_or_default();
        if let Some(other) = others.iter().find(|other| **other != step) {
            self.accuse(format!(
                "`{step}` began on {host} while `{other}` was at work there"
            ));
        }
        let lost = self.open.iter().find(|(number, open)| {
            open.is_lost
                && !open.converges
                && open.acts_on == host
                && Some(**number) != attempt
                && open.instance.step != step
        });
        if let Some((number, open)) = lost.filter(|_| !self.is_rollback && !looks) {
            let text = format!(
                "`{step}` began on {host}, where attempt {number} of `{}` is lost",
                open.instance.step
            );
            self.accuse(text);
        }
        self.at_work.entry(host.to_owned()).or_default().push(step);
    }

    /// Its reply, or the news that there will be none, reached the core.
    pub(crate) fn returned(&mut self, host: &str, step: &StepId, lost: Option<u64>) {
        if let Some(steps) = self.at_work.get_mut(host)
            && let Some(index) = steps.iter().position(|s| s == step)
        {
            steps.remove(index);
        }
        if let Some(open) = lost.and_then(|attempt| self.open.get_mut(&attempt)) {
            open.is_lost = true;
        }
    }

    /// The step that the next script belongs to.
    pub(crate) fn step(&self) -> &StepId {
        &self.step
    }

    /// A script ran.
    pub(crate) fn ran(&mut self, host: &str, attempt: Option<u64>, has_changed: bool) {
        if has_changed && attempt.is_none() {
            let step = self.step.clone();
            self.accuse(format!("`{step}` changed {host} without an intent"));
        }
    }

    /// A person said what became of the lost attempts of a step on these hosts.
    pub(crate) fn decided(&mut self, step: &StepId, hosts: &[String]) {
        for open in self.open.values_mut() {
            if open.instance.step == *step && hosts.contains(&open.instance.host) {
                open.is_lost = false;
            }
        }
    }

    /// An event reached the listeners.
    pub(crate) fn told(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { step, .. } => self.step = step.clone(),
            Event::HostFinished {
                host, step, report, ..
            } => {
                let shown = self.shown.entry((step.clone(), host.clone())).or_default();
                let occurrence = *shown;
                *shown += 1;
                let is_shown =
                    |i: &Instance| i.host == *host && i.step == *step && i.occurrence == occurrence;
                let open = self.open.values();
                let unfinished = open.filter(|o| is_shown(&o.instance)).count();
                if report.status == Status::Failed {
                    let why = report.result.to_masked_json();
                    self.failures.push(format!("`{step}` on {host}: {why}"));
                }
                let is_good = matches!(report.status, Status::Ok | Status::Changed);
                if unfinished > 0 && is_good && !self.is_rollback {
                    self.accuse(format!(
                        "`{step}` was shown as {:?} on {host} before its result was on disk",
                        report.status
                    ));
                }
            }
            Event::RunFinished { stats, .. } => self.stats = Some(stats.clone()),
            _ => {}
        }
    }
}
