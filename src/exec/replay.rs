//! Going on where an earlier process of the same run ended: what is done is not done again.

use super::ask::{Answer, FailureQuestion, Question};
use super::end::{ItemEnd, message};
use super::halt::Flow;
use super::item::Item;
use super::run::Run;
use crate::event::Status;
use crate::journal::Record;
use crate::model::Action;
use crate::value::{Map, Value};

impl Run {
    /// How an item ended in an earlier process of this run, if it did.
    pub(crate) fn replayed(&self, item: &Item) -> Option<ItemEnd> {
        if is_repeated(item) {
            return None;
        }
        let state = self.state.borrow();
        let Record::Done {
            status,
            result,
            facts,
            duration_ms,
            attempt,
            ..
        } = state.replay.done.get(&item.instance)?
        else {
            return None;
        };
        let mut end = ItemEnd::new(*status, result.as_map().cloned().unwrap_or_default());
        end.facts.clone_from(facts);
        end.duration_ms = *duration_ms;
        end.attempt = *attempt;
        // What is secret here was so before: it is masked from now on too.
        self.note_value(&end.value());
        end.is_hidden = item.is_hidden;
        if is_set_fact(item) {
            end.set = end
                .result
                .get("ansible_facts")
                .and_then(Value::as_map)
                .cloned()
                .unwrap_or_default();
        }
        Some(end)
    }

    /// Decides about an attempt whose intent has no end: what converges runs again; else `verify`
    /// tells, or a person. `None`: it is to be run.
    pub(crate) async fn decide_open(&self, item: &Item) -> Flow<Option<ItemEnd>> {
        let open = self.state.borrow_mut().replay.open.remove(&item.instance);
        let Some(converges) = open else {
            return Ok(None);
        };
        if converges || item.task.reads {
            return Ok(None);
        }
        if let Some(verify) = &item.task.verify {
            let hosts = [item.host.clone()];
            let found = self.check_condition(verify, &hosts, &item.view).await?;
            let holds = found.iter().all(|(_, holds, _)| *holds);
            let seen = found
                .first()
                .map(|(_, _, seen)| seen.clone())
                .unwrap_or_default();
            self.notice(
                false,
                format!(
                    "{}: `verify` of `{}`: {}: {seen}",
                    item.host,
                    item.task.id,
                    if holds {
                        "it happened"
                    } else {
                        "it did not happen"
                    }
                ),
            );
            if !holds {
                return Ok(None);
            }
            let mut result = message("decided by `verify`: it had happened");
            result.insert("rc".into(), Value::Null);
            let end = ItemEnd::new(Status::Changed, result);
            self.record_end(item, &end).await?;
            return Ok(Some(end));
        }
        let lost = ItemEnd::new(
            Status::Lost,
            message("an earlier process of this run started it, and nobody can say how it ended"),
        );
        let question = FailureQuestion {
            step: item.task.id.clone(),
            name: item.task.id.0.clone(),
            place: self.controller.place(item.task.span),
            groups: vec![(vec![item.host.clone()], lost.report(false, &Value::clone))],
            hosts_total: 1,
            is_safe_to_retry: false,
            ways_back: self.ways_in_short(),
        };
        match self.ask(Question::Failure(Box::new(question))).await? {
            Answer::Retry => Ok(None),
            Answer::Skip { reason } => {
                let mut result = Map::from([("skip_reason".to_owned(), Value::from(reason))]);
                result.insert("msg".into(), "taken as done by the operator".into());
                let end = ItemEnd::new(Status::Changed, result);
                self.record_end(item, &end).await?;
                Ok(Some(end))
            }
            _ => Ok(Some(lost)),
        }
    }
}

fn is_set_fact(item: &Item) -> bool {
    matches!(&item.task.action, Action::Module { name, .. } if name == "set_fact")
}

/// Actions without trips whose effects are on the controller's state: they run again.
fn is_repeated(item: &Item) -> bool {
    matches!(&item.task.action, Action::Module { name, .. }
        if matches!(name.as_str(), "include_vars" | "add_host" | "group_by" | "set_stats"))
}
