//! The consequences of an end: the journal's record, registered values, facts, handlers, totals.

use super::controller::View;
use super::end::ItemEnd;
use super::halt::{Flow, Halt};
use super::item::Item;
use super::run::{Run, plain_text};
use super::task::{HostEnd, TaskRun};
use crate::event::Status;
use crate::journal::Record;
use crate::model::Field;
use crate::value::Value;

impl Run {
    /// The journal's record of an end. Those of attempts are synced at once.
    pub(crate) async fn record_end(&self, item: &Item, end: &ItemEnd) -> Flow<()> {
        // A lost attempt has no end: its intent stays open, so that a resume asks about it.
        if end.status == Status::Lost && end.attempt.is_some() {
            return Ok(());
        }
        let result = if item.is_hidden {
            end.report(false, &Value::clone).result
        } else {
            self.redacted(&end.value())
        };
        let record = Record::Done {
            attempt: end.attempt,
            instance: item.instance.clone(),
            status: end.status,
            module_changed: end.module_changed,
            is_ignored: false,
            result,
            facts: self.shown_facts(item, end),
            sealed: self.sealed_end(item, end),
            duration_ms: end.duration_ms,
        };
        self.record(vec![record], end.attempt.is_some()).await
    }

    /// Draws the consequences of a task's end for a host: register, facts, handlers, totals.
    pub(super) fn settle(
        &self,
        run: &TaskRun,
        end: &HostEnd,
        batch: Option<&[String]>,
    ) -> Flow<()> {
        let report = end.end.report(end.is_ignored, &Value::clone);
        let own = [end.host.clone()];
        let hosts = batch.unwrap_or(&own);
        let view = self.task_view(&end.host, &run.task, &run.frame);
        let delegate = self.delegate_of(run, &view);
        let to_delegate = self
            .flag(
                run.frame.keyword(|k| k.delegate_facts.as_ref()),
                &view,
                false,
            )
            .unwrap_or(false);
        {
            self.count(run, &end.host, &report);
            let mut state = self.state.borrow_mut();
            let key = (
                run.task.id.clone(),
                end.host.clone(),
                state.play.batch_index,
                None,
            );
            *state.occurrences.entry(key).or_default() += 1;
            for host in hosts {
                let fact_host = delegate
                    .as_ref()
                    .filter(|_| to_delegate)
                    .unwrap_or(host)
                    .clone();
                let facts = state.hosts.entry(fact_host.clone()).or_default();
                facts.add_facts(&end.end.facts);
                for (name, value) in &end.end.set {
                    facts.set(name, value.clone());
                }
                let known = state.hosts.entry(host.clone()).or_default();
                if let Some(name) = &run.task.register {
                    known.set(name, end.end.value());
                }
            }
        }
        let is_changed = end.end.result.get("changed") == Some(&Value::Bool(true));
        if is_changed && end.end.status == Status::Changed {
            for field in &run.task.notify {
                self.notify(run, end, field, &view)?;
            }
        }
        Ok(())
    }

    /// Adds to the totals of a host; a failure that a rescue will deal with counts as rescued.
    pub(crate) fn count(&self, run: &TaskRun, host: &str, report: &crate::event::Report) {
        let mut state = self.state.borrow_mut();
        if run.is_rescued && report.status == Status::Failed && !report.is_ignored {
            state.stats.host(host).rescued += 1;
        } else {
            state.stats.count(host, report);
        }
    }

    pub(super) fn notify(
        &self,
        run: &TaskRun,
        end: &HostEnd,
        field: &Field,
        view: &View,
    ) -> Flow<()> {
        let names = match self.keyword(Some(field), view) {
            Ok(Some(Value::List(items))) => items.iter().filter_map(plain_text).collect(),
            Ok(Some(value)) => plain_text(&value).into_iter().collect::<Vec<_>>(),
            Ok(None) => Vec::new(),
            Err(problem) => return Err(Halt::Broken(problem.message)),
        };
        for name in names {
            if !self.has_handler(&name) {
                let what = format!(
                    "The requested handler '{name}' was not found in either the main handlers list \
                     nor in the listening handlers list"
                );
                if self.settings.defaults.forgives_missing_handlers {
                    self.notice(true, what);
                    continue;
                }
                return Err(Halt::Broken(format!("{what} (notified by `{}`)", run.name)));
            }
            let mut state = self.state.borrow_mut();
            let notified = state.play.notified.entry(end.host.clone()).or_default();
            if !notified.contains(&name) {
                notified.push(name);
            }
        }
        Ok(())
    }
}
