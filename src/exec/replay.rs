//! Going on where an earlier process of the same run ended: what is done is not done again.

use super::attempt::{Course, Ending, Tried};
use super::end::{ItemEnd, cancelled_end, late_end, lost_end, message};
use super::halt::Flow;
use super::item::Item;
use super::run::Run;
use crate::event::Status;
use crate::journal::{Issued, Record};
use crate::model::Action;
use crate::script::Reply;
use crate::transport::Target;
use crate::value::Value;

/// What has become of an item that an earlier process began.
pub(crate) enum TakenUp {
    /// It is to be run.
    Runs,
    /// An earlier process was interrupted in this attempt of it, and it may simply run again.
    RunsAgain(u64),
    /// It has ended, or is lost.
    Ended(Box<ItemEnd>),
}

impl Run {
    /// How an item ended already, in an earlier try of its task or in an earlier process.
    pub(crate) fn replayed(&self, item: &Item) -> Option<ItemEnd> {
        let state = self.state.borrow();
        if let Some(end) = state.ended.get(&item.instance) {
            return Some(end.clone());
        }
        if is_repeated(item) {
            return None;
        }
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

    /// What has become of an attempt whose intent has no end. One that is durable is looked for on
    /// its host; else what converges runs again, and of the rest nobody can say.
    pub(crate) async fn take_up(&self, item: &Item) -> Flow<TakenUp> {
        let open = self.state.borrow_mut().replay.open.remove(&item.instance);
        let Some(open) = open else {
            return Ok(TakenUp::Runs);
        };
        if open.is_unsent {
            self.withdraw(open.attempt).await?;
            return Ok(TakenUp::Runs);
        }
        // An undo of which nobody can say how it ended may run twice.
        let may_repeat = open.converges || self.state.borrow().is_undoing;
        let again = open.attempt.map_or(TakenUp::Runs, TakenUp::RunsAgain);
        let Some(issued) = &open.issued else {
            let is_lost = !may_repeat && !item.task.reads;
            return Ok(if is_lost {
                unknown_end(open.attempt)
            } else {
                again
            });
        };
        let target = match self.where_and_how(item) {
            Ok((target, _)) => target,
            Err(problem) => {
                let end = self.problem_end(item, &problem);
                return Ok(TakenUp::Ended(Box::new(end)));
            }
        };
        let began = self.port.now().millis;
        self.notice(
            false,
            format!(
                "{}: looking for `{}`, which was started",
                item.host, item.task.id
            ),
        );
        let live = Some(self.port.masked(Self::live_of(item)));
        let name = item.task.id.0.clone();
        let course = Course::new(&target, issued, name, live, open.shown);
        // Another one may have taken the host over, or this journal is a copy.
        if let Err(end) = self.ground_of(&course).await? {
            return Ok(TakenUp::Ended(end));
        }
        let tried = self.find_again(course, None).await?;
        if !matches!(tried, Tried::Lost(..) | Tried::NotSent(_) | Tried::Begun) {
            self.leave_files(item, &target, issued).await?;
        }
        let attempt = Some(issued.attempt);
        match tried {
            Tried::Lost(why, reply) if !may_repeat => {
                let mut end = lost_end(&why, &reply);
                end.attempt = attempt;
                end.is_hidden = item.is_hidden;
                Ok(TakenUp::Ended(Box::new(end)))
            }
            Tried::Begun => Ok(TakenUp::Ended(Box::new(self.begun(item, &target, issued)))),
            Tried::Ended(reply, ending)
                if !open.converges || matches!(ending, Ending::Cancelled(_)) =>
            {
                let mut end = self.revive(item, issued, reply, ending).await?;
                end.duration_ms = self.port.now().millis.saturating_sub(began);
                Ok(TakenUp::Ended(Box::new(end)))
            }
            // It is over, and what converges is simply looked at again.
            Tried::Ended(..) | Tried::Lost(..) => Ok(again),
            _ => {
                self.withdraw(attempt).await?;
                Ok(TakenUp::Runs)
            }
        }
    }

    /// Lets the files of an attempt of an earlier process go, once its end is in the journal.
    async fn leave_files(&self, item: &Item, target: &Target, issued: &Issued) -> Flow<()> {
        if let Ok(ground) = self.ground(target).await? {
            let mut state = self.state.borrow_mut();
            let unrecorded = (issued.attempt, item.instance.clone());
            state.unrecorded.extend([unrecorded]);
            let ended = (issued.attempt, issued.spot.id.clone());
            ground.gone.borrow_mut().push(ended);
        }
        Ok(())
    }

    /// The end of an attempt whose reply came to a later process: the module makes it of what the
    /// probe saw then.
    pub(super) async fn revive(
        &self,
        item: &Item,
        issued: &Issued,
        reply: Reply,
        ending: Ending,
    ) -> Flow<ItemEnd> {
        let job = self.async_of(item).ok().flatten();
        let mut end = if let Ending::Cancelled(who) = &ending {
            cancelled_end(who, &reply)
        } else if ending == Ending::Late && job.is_some() {
            issued.late_job(&reply)
        } else if ending == Ending::Late {
            let limit = self.job(item, "", None).timeout.unwrap_or_default();
            late_end(limit.as_secs(), &reply)
        } else {
            match self.plan_as_seen(item, issued.probed.as_deref()).await? {
                Some(ready) => {
                    let mut end = ready.finish(&[reply]);
                    let began = self.port.now().millis;
                    self.dress(item, &ready, &mut end, (None, began));
                    end
                }
                None => plain_end(&reply),
            }
        };
        if job.is_some() {
            issued.tell(&mut end.result, true);
        }
        end.attempt = Some(issued.attempt);
        end.module_changed = true;
        end.is_hidden = item.is_hidden;
        Ok(end)
    }

    /// What `verify` says of an attempt, if it is lost: it happened (an end), it did not (`None`), or
    /// it cannot tell, and the attempt stays lost.
    pub(crate) async fn verify(&self, item: &Item, lost: ItemEnd) -> Flow<Option<ItemEnd>> {
        let Some(verify) = item
            .task
            .verify
            .as_ref()
            .filter(|_| lost.status == Status::Lost)
        else {
            return Ok(Some(lost));
        };
        let hosts = [item.host.clone()];
        let found = self.check_in_full(verify, &hosts, &item.view).await?;
        let holds = found.iter().all(|found| found.holds);
        let is_clear = found.iter().all(|found| found.is_clear);
        let seen = found.first().map(|f| f.seen.clone()).unwrap_or_default();
        let says = match (is_clear, holds) {
            (false, _) => "cannot tell",
            (true, true) => "it happened",
            (true, false) => "it did not happen",
        };
        self.notice(
            false,
            format!(
                "{}: `verify` of `{}`: {says}: {seen}",
                item.host, item.task.id
            ),
        );
        if !is_clear {
            return Ok(Some(lost));
        }
        if !holds {
            self.withdraw(lost.attempt).await?;
            return Ok(None);
        }
        let mut result = lost.result.clone();
        result.shift_remove("failed");
        result.insert("msg".into(), "decided by `verify`: it had happened".into());
        result.insert("rc".into(), Value::Null);
        let mut end = ItemEnd::new(Status::Changed, result);
        end.attempt = lost.attempt;
        end.module_changed = true;
        end.is_hidden = lost.is_hidden;
        Ok(Some(end))
    }
}

/// The end of a command whose module cannot be asked any more.
fn plain_end(reply: &Reply) -> ItemEnd {
    let mut result = crate::modules::output_of(reply);
    if reply.rc == 0 {
        return ItemEnd::new(Status::Changed, result);
    }
    result.insert("msg".into(), "non-zero return code".into());
    ItemEnd::new(Status::Failed, result)
}

/// A step that was interrupted and now finds nothing left to do has made its change: whoever waits
/// for one is told (`notify`), and its attempt ends with it.
pub(crate) fn after_interruption(end: &mut ItemEnd, attempt: u64) {
    if end.status == Status::Ok && end.attempt.is_none() {
        end.status = Status::Changed;
        end.result.insert("changed".into(), Value::Bool(true));
        end.attempt = Some(attempt);
        end.module_changed = true;
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

/// The end of what is not durable and began in an earlier process.
fn unknown_end(attempt: Option<u64>) -> TakenUp {
    let why = "an earlier process of this run started it, and nobody can say how it ended";
    let mut end = ItemEnd::new(Status::Lost, message(why));
    end.attempt = attempt;
    TakenUp::Ended(Box::new(end))
}
