//! The consequences of an end: the journal's record, registered values, facts, handlers, totals.

use super::controller::View;
use super::end::ItemEnd;
use super::halt::{Flow, Halt};
use super::item::Item;
use super::run::{Run, plain_text};
use super::task::{HostEnd, TaskRun};
use crate::event::Status;
use crate::journal::{Instance, Record};
use crate::model::Field;
use crate::value::Value;

impl Run {
    /// The journal's record of an end. Those of attempts are synced at once.
    pub(crate) async fn record_end(&self, item: &Item, end: &ItemEnd) -> Flow<()> {
        let instance = &item.instance;
        match end.status {
            Status::Lost => {
                let lost = (instance.clone(), end.attempt);
                self.state.borrow_mut().lost.push(lost);
                // A lost attempt has no end: its intent stays open, so that a resume asks about it.
                if end.attempt.is_some() {
                    return Ok(());
                }
            }
            Status::Ok | Status::Changed | Status::Skipped => {
                let ended = (instance.clone(), end.clone());
                self.state.borrow_mut().ended.extend([ended]);
            }
            Status::Failed | Status::Unreachable | Status::Unknown => {}
        }
        self.record_done(instance, end, item.is_hidden).await
    }

    /// Of lost items of a task on a host somebody says that they had happened.
    pub(super) async fn take_lost_as_done(
        &self,
        run: &TaskRun,
        host: &str,
        reason: &str,
    ) -> Flow<()> {
        let lost = std::mem::take(&mut self.state.borrow_mut().lost);
        for (instance, attempt) in lost {
            if instance.step != run.task.id || instance.host != host {
                self.state.borrow_mut().lost.push((instance, attempt));
                continue;
            }
            let end = ItemEnd::taken_as_done(attempt, reason.to_owned());
            self.record_done(&instance, &end, false).await?;
            self.state.borrow_mut().ended.insert(instance, end);
        }
        Ok(())
    }

    async fn record_done(&self, instance: &Instance, end: &ItemEnd, is_hidden: bool) -> Flow<()> {
        let result = if is_hidden {
            end.report(false, &Value::clone).result
        } else {
            self.redacted(&end.value())
        };
        let record = Record::Done {
            attempt: end.attempt,
            instance: instance.clone(),
            status: end.status,
            module_changed: end.module_changed,
            is_ignored: end.is_handled,
            result,
            facts: self.shown_facts(is_hidden, end),
            sealed: self.sealed_end(is_hidden, end),
            duration_ms: end.duration_ms,
        };
        self.record(vec![record], end.attempt.is_some()).await?;
        if end.attempt.is_some() {
            let unrecorded = &mut self.state.borrow_mut().unrecorded;
            unrecorded.retain(|_, of| of != instance);
        }
        Ok(())
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
            let of_host = |i: &Instance| i.step == run.task.id && i.host == end.host;
            state.ended.retain(|instance, _| !of_host(instance));
            state.lost.retain(|(instance, _)| !of_host(instance));
            for host in hosts {
                let fact_host = delegate
                    .as_ref()
                    .filter(|_| to_delegate)
                    .unwrap_or(host)
                    .clone();
                let facts = state.hosts.entry(fact_host.clone()).or_default();
                if run.module == "setup" {
                    facts.add_facts(&end.end.facts);
                } else {
                    facts.add_named_facts(&end.end.facts);
                }
                for (name, value) in &end.end.set {
                    facts.set(name, value.clone());
                }
                if !end.end.facts.is_empty() {
                    state.facts_learnt.insert(fact_host);
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
            if report.status == Status::Unreachable && report.is_ignored {
                *state.play.unmet.entry(host.to_owned()).or_default() += 1;
            }
        }
    }

    /// The names under `notify`, rendered.
    fn notifications(&self, field: &Field, view: &View) -> Flow<Vec<String>> {
        match self.keyword(Some(field), view) {
            Ok(Some(Value::List(items))) => Ok(items.iter().filter_map(plain_text).collect()),
            Ok(Some(value)) => Ok(plain_text(&value).into_iter().collect()),
            Ok(None) => Ok(Vec::new()),
            Err(problem) => Err(Halt::Broken(problem.message)),
        }
    }

    /// All that a task notifies where it changes something. What cannot be rendered ends the run
    /// when the task has ended.
    pub(super) fn notified_by(&self, item: &Item) -> Vec<String> {
        let fields = item.task.notify.iter();
        let names = fields.filter_map(|field| self.notifications(field, &item.view).ok());
        names.flatten().collect()
    }

    pub(super) fn notify(
        &self,
        run: &TaskRun,
        end: &HostEnd,
        field: &Field,
        view: &View,
    ) -> Flow<()> {
        for name in self.notifications(field, view)? {
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
