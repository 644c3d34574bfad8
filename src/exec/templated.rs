//! `action: "{{ … }}"`: tasks whose module has its name from a template, host by host.
//!
//! Invariant: a name is the user's own text, and never that of a module which is found elsewhere
//! than in the registry.

use std::rc::Rc;

use super::controller::Problem;
use super::end::ItemEnd;
use super::frame::Frame;
use super::halt::Flow;
use super::list::{Failures, Place};
use super::run::{Run, plain_text};
use super::task::{HostEnd, TaskRun};
use crate::model::{Action, TEMPLATED_NAME, Task};
use crate::plan::action_name;

/// Hosts with the module that they run.
type Groups = Vec<(&'static str, Vec<String>)>;

impl Run {
    /// Runs the task on the hosts of each module in turn.
    pub(super) async fn run_templated(
        &self,
        task: &Rc<Task>,
        hosts: &[String],
        place: &Place,
    ) -> Flow<Failures> {
        let frame = place.frame.inner(&task.keywords);
        let mut groups: Groups = Vec::new();
        let mut failures = Failures::new();
        for host in hosts {
            match self.module_of(task, &frame, host) {
                Ok(name) => match groups.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, hosts)) => hosts.push(host.clone()),
                    None => groups.push((name, vec![host.clone()])),
                },
                Err(problem) => failures.extend(self.refuse_module(task, host, place, problem)),
            }
        }
        for (name, hosts) in groups {
            let mut named = (**task).clone();
            if let Action::Module {
                name: own, args, ..
            } = &mut named.action
            {
                name.clone_into(own);
                args.fields.shift_remove(TEMPLATED_NAME);
            }
            let more = Box::pin(self.run_any_task(&Rc::new(named), &hosts, place)).await?;
            failures.extend(more);
        }
        Ok(failures)
    }

    /// The module of a host. Where the task is skipped anyway its name does not matter.
    fn module_of(
        &self,
        task: &Rc<Task>,
        frame: &Rc<Frame>,
        host: &str,
    ) -> Result<&'static str, Problem> {
        let view = self.task_view(host, task, frame);
        if matches!(self.first_false(frame.conditions(), &view), Ok(Some(_))) {
            return Ok("debug");
        }
        let template = task.action.templated_name().cloned().unwrap_or_default();
        let name = self.controller.render(&template, &view)?;
        let name = name.as_ref().and_then(plain_text).unwrap_or_default();
        let found = action_name(name.trim());
        found
            .filter(|found| !found.starts_with("include_") && !found.starts_with("import_"))
            .filter(|found| *found != "meta")
            .ok_or_else(|| {
                Problem::new(format!("couldn't resolve module/action '{}'", name.trim()))
            })
    }

    fn refuse_module(
        &self,
        task: &Rc<Task>,
        host: &str,
        place: &Place,
        problem: Problem,
    ) -> Option<HostEnd> {
        let run = TaskRun {
            name: task.action.name().to_owned(),
            module: task.action.name().to_owned(),
            is_rescued: place.is_rescued,
            task: task.clone(),
            frame: place.frame.inner(&task.keywords),
        };
        self.announce(&run, &[host.to_owned()], place.is_handler);
        let end = HostEnd {
            host: host.to_owned(),
            end: ItemEnd::failed(problem.within("Task failed").message),
            is_ignored: self.ignores_errors(&run, host),
        };
        self.finish_host(&run, &end);
        end.is_failure().then_some(end)
    }
}
