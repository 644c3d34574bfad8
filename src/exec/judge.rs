//! What a module's end comes to by the task's own words: `changed_when`, `failed_when`, `until`.
//! They never alter the undo.

use super::controller::{Problem, View};
use super::end::ItemEnd;
use super::item::Item;
use super::run::Run;
use super::task::TaskRun;
use crate::event::Status;
use crate::model::Cond;
use crate::value::{Map, Value};

/// What stands for the traceback of a failure, as where Ansible shows none.
const NO_TRACEBACK: &str = "(traceback unavailable)";

impl Run {
    /// A failed result has an exception, as in Ansible.
    pub(super) fn note_exception(end: &mut ItemEnd) {
        let says_failed = end.result.get("failed") == Some(&Value::Bool(true));
        if end.status == Status::Failed || says_failed {
            end.result.insert("exception".into(), NO_TRACEBACK.into());
        }
    }

    /// `attempts`, where a task may have several: `changed_when` and `failed_when` see it.
    pub(super) fn note_attempts(run: &TaskRun, end: &mut ItemEnd) {
        let is_tried = matches!(
            end.status,
            Status::Ok | Status::Changed | Status::Failed | Status::Lost
        );
        if is_tried
            && !end.is_timed_out()
            && (run.task.retries.is_some() || run.task.until.is_some())
        {
            let attempts = Value::Int(i64::from(end.attempts));
            end.result.insert("attempts".into(), attempts);
        }
    }

    pub(super) fn with_result(run: &TaskRun, view: &View, end: &ItemEnd) -> View {
        match &run.task.register {
            Some(name) => view.with(Map::from([(name.clone(), end.value())])),
            None => view.clone(),
        }
    }

    /// Number of further tries after the first.
    pub(super) fn retries(&self, run: &TaskRun, item: &Item) -> u32 {
        let wanted = self
            .number(run.task.retries.as_ref(), &item.view)
            .ok()
            .flatten();
        let default = if run.task.until.is_some() { 3 } else { 0 };
        wanted
            .and_then(|n| u32::try_from(n.max(0)).ok())
            .unwrap_or(default)
    }

    pub(super) fn until_is_met(&self, run: &TaskRun, item: &Item, end: &mut ItemEnd) -> bool {
        if matches!(
            end.status,
            Status::Skipped | Status::Unreachable | Status::Unknown
        ) {
            return true;
        }
        match &run.task.until {
            None => end.status != Status::Failed,
            Some(conditions) => {
                match self.first_false(conditions, &Self::with_result(run, &item.view, end)) {
                    Ok(unmet) => unmet.is_none(),
                    Err(problem) => {
                        end.result.insert("msg".into(), problem.message.into());
                        false
                    }
                }
            }
        }
    }

    /// `changed_when`, then `failed_when` (ansible-core 2.19, `executor/task_executor.py`).
    pub(super) fn judge(&self, run: &TaskRun, item: &Item, end: &mut ItemEnd) {
        if item.is_hidden {
            end.hide();
        }
        let has_result = matches!(end.status, Status::Ok | Status::Changed | Status::Failed);
        if !has_result || end.is_timed_out() {
            return;
        }
        if run.task.reads {
            end.result.insert("changed".into(), false.into());
            if end.status == Status::Changed {
                end.status = Status::Ok;
            }
        }
        let view = Self::with_result(run, &item.view, end);
        if let Some(conditions) = run.task.changed_when.as_ref().filter(|c| !c.is_empty()) {
            match self.all_hold(conditions, &view) {
                Ok(is_changed) => {
                    end.result.insert("changed".into(), is_changed.into());
                    if end.status != Status::Failed {
                        end.status = if is_changed {
                            Status::Changed
                        } else {
                            Status::Ok
                        };
                    }
                }
                Err(problem) => {
                    let why = problem.message.as_str().into();
                    end.result.insert("changed_when_result".into(), why);
                    return self.spoil(item, end, &problem);
                }
            }
        }
        let view = Self::with_result(run, &item.view, end);
        if let Some(conditions) = run.task.failed_when.as_ref().filter(|c| !c.is_empty()) {
            match self.all_hold(conditions, &view) {
                Ok(is_failed) => {
                    if end.status == Status::Failed && !is_failed {
                        let what = "failed_when_suppressed_exception";
                        end.result.insert(what.into(), NO_TRACEBACK.into());
                    }
                    end.result
                        .insert("failed_when_result".into(), is_failed.into());
                    end.result.insert("failed".into(), is_failed.into());
                    let is_changed = end.result.get("changed") == Some(&Value::Bool(true));
                    end.status = match (is_failed, is_changed) {
                        (true, _) => Status::Failed,
                        (false, true) => Status::Changed,
                        (false, false) => Status::Ok,
                    };
                }
                Err(problem) => {
                    let why = problem.message.as_str().into();
                    end.result.insert("failed_when_result".into(), why);
                    self.spoil(item, end, &problem);
                }
            }
        }
    }

    pub(super) fn all_hold(&self, conditions: &[Cond], view: &View) -> Result<bool, Problem> {
        self.first_false(conditions, view)
            .map(|unmet| unmet.is_none())
    }

    pub(super) fn spoil(&self, item: &Item, end: &mut ItemEnd, problem: &Problem) {
        let mut spoilt = self.problem_end(item, problem);
        spoilt.result.shift_remove("changed");
        end.status = spoilt.status;
        end.result.extend(spoilt.result);
    }
}
