//! Keywords that a task has and that cannot be understood: the task fails, as in Ansible, and is not
//! run as if it did not have them.
//!
//! Source: ansible-core 2.19, `playbook/base.py` (`post_validate`).

use std::rc::Rc;

use tokio::sync::Semaphore;

use super::controller::Problem;
use super::halt::{Flow, Halt};
use super::item::Item;
use super::run::Run;
use super::task::TaskRun;
use crate::model::{Field, Keywords};

type Pick = fn(&Keywords) -> Option<&Field>;

/// The keywords that are booleans.
const FLAGS: &[(&str, Pick)] = &[
    ("any_errors_fatal", |k| k.any_errors_fatal.as_ref()),
    ("become", |k| k.r#become.as_ref()),
    ("check_mode", |k| k.check_mode.as_ref()),
    ("delegate_facts", |k| k.delegate_facts.as_ref()),
    ("diff", |k| k.diff.as_ref()),
    ("ignore_errors", |k| k.ignore_errors.as_ref()),
    ("ignore_unreachable", |k| k.ignore_unreachable.as_ref()),
    ("no_log", |k| k.no_log.as_ref()),
];

/// The longest `timeout` of a task, as in Ansible.
const TIMEOUT_S_MAX: i64 = 100_000_000;

impl Run {
    /// Checks the keywords of an item that are booleans and numbers.
    pub(super) fn check_keywords(&self, item: &Item) -> Result<(), Problem> {
        let named = |name: &str, problem: Problem| {
            problem.within(&format!("Task failed: Error processing keyword '{name}'"))
        };
        for (name, pick) in FLAGS {
            let field = item.frame.keyword(pick);
            self.flag(field, &item.view, false)
                .map_err(|problem| named(name, problem))?;
        }
        let timeout = item.frame.keyword(|k| k.timeout.as_ref());
        let seconds = self
            .number(timeout, &item.view)
            .map_err(|problem| named("timeout", problem))?;
        match seconds {
            Some(seconds) if !(0..=TIMEOUT_S_MAX).contains(&seconds) => Err(Problem::new(format!(
                "Task failed: Timeout {seconds} is invalid, it must be between 0 and \
                 {TIMEOUT_S_MAX}."
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// What lets only so many hosts at a throttled task.
    pub(super) fn gate(&self, run: &TaskRun, host: &String) -> Flow<Option<Rc<Semaphore>>> {
        let Some(limit) = self.throttle(run, Some(host))? else {
            return Ok(None);
        };
        let mut state = self.state.borrow_mut();
        let gates = &mut state.play.throttles;
        let gate = gates
            .entry(run.task.id.clone())
            .or_insert_with(|| Rc::new(Semaphore::new(limit)));
        Ok(Some(gate.clone()))
    }

    /// How many hosts may be at the task at once, as its first host sees it; it is for all hosts, so that what is no number
    /// ends the run.
    pub(super) fn throttle(&self, run: &TaskRun, host: Option<&String>) -> Flow<Option<usize>> {
        let field = run.frame.keyword(|k| k.throttle.as_ref());
        let (Some(field), Some(host)) = (field, host) else {
            return Ok(None);
        };
        let view = self.task_view(host, &run.task, &run.frame);
        let limit = self.number(Some(field), &view).map_err(|problem| {
            Halt::Broken(format!(
                "Failed to convert the throttle value to an integer: {}",
                problem.message
            ))
        })?;
        Ok(limit
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| *limit > 0))
    }
}
