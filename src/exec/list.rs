//! Lists of tasks: blocks with rescue and always, includes, meta, in Ansible's order.
//!
//! The order under `linear` is that of the flattened list (block, rescue, always), each task ending
//! on all hosts before the next begins, which is what ansible-core 2.19's lockstep gives.

use std::collections::HashSet;
use std::rc::Rc;

use super::end::ItemEnd;
use super::frame::Frame;
use super::halt::{Flow, Halt};
use super::run::Run;
use super::task::{HostEnd, TaskRun, module_name};
use crate::event::{Event, Status};
use crate::model::{Action, Block, Item, Task};
use crate::value::{Map, Value};

/// Where a list of tasks stands.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) frame: Rc<Frame>,
    /// Whether a `rescue` around it will deal with failures.
    pub(crate) is_rescued: bool,
    /// Whether it is a handler that runs.
    pub(crate) is_handler: bool,
}

impl Place {
    /// Whether a host that failed takes part nevertheless: handlers that are forced.
    fn is_forced(&self, host: &str, state: &super::state::State) -> bool {
        self.is_handler && state.play.forces_handlers && state.play.failed.contains(host)
    }
}

/// Hosts that failed in a list, with the failure.
pub(crate) type Failures = Vec<HostEnd>;

impl Run {
    /// Runs a list on these hosts and returns those that failed in it.
    pub(crate) async fn run_list(
        &self,
        items: &[Item],
        hosts: &[String],
        place: &Place,
    ) -> Flow<Failures> {
        let mut failures: Failures = Vec::new();
        for item in items {
            let live = self.live_hosts(hosts, &failures, place);
            if live.is_empty() {
                break;
            }
            let more = match item {
                Item::Task(task) => {
                    Box::pin(self.run_any_task(&Rc::new((**task).clone()), &live, place)).await?
                }
                Item::Block(block) => Box::pin(self.run_block(block, &live, place)).await?,
            };
            let is_fatal = self.is_fatal(item, place, &more, hosts);
            failures.extend(more);
            if is_fatal {
                let rest = self.live_hosts(hosts, &failures, place);
                failures.extend(rest.into_iter().map(|host| HostEnd {
                    host,
                    end: ItemEnd::failed("another host failed and `any_errors_fatal` is set"),
                    is_ignored: false,
                }));
            }
            self.check_fail_percentage(&failures, place)?;
        }
        Ok(failures)
    }

    fn live_hosts(&self, hosts: &[String], failures: &Failures, place: &Place) -> Vec<String> {
        let failed: HashSet<&str> = failures.iter().map(|f| f.host.as_str()).collect();
        let state = self.state.borrow();
        hosts
            .iter()
            .filter(|h| !failed.contains(h.as_str()))
            .filter(|h| !state.play.gone.contains(*h) || place.is_forced(h, &state))
            .filter(|h| !state.out.contains(*h))
            .filter(|h| !state.parked.contains(*h))
            .cloned()
            .collect()
    }

    fn is_fatal(&self, item: &Item, place: &Place, failures: &Failures, hosts: &[String]) -> bool {
        let Some(host) = failures.first().map(|f| &f.host).or(hosts.first()) else {
            return false;
        };
        if !failures.iter().any(|f| f.end.status == Status::Failed) {
            return false;
        }
        let keywords = match item {
            Item::Task(task) => &task.keywords,
            Item::Block(block) => &block.keywords,
        };
        let frame = place.frame.inner(keywords);
        let view = self.host_view(host);
        let is_on = |field| self.flag(field, &view, false).unwrap_or(false);
        let fatal = frame.keyword(|k| k.any_errors_fatal.as_ref());
        is_on(fatal)
            || fatal.is_none() && self.settings.defaults.any_errors_fatal
            || matches!(item, Item::Task(_)) && is_on(frame.keyword(|k| k.run_once.as_ref()))
    }

    async fn run_block(&self, block: &Block, hosts: &[String], place: &Place) -> Flow<Failures> {
        let hosts = self.hosts_of_role(block, hosts);
        let ran_before: Vec<u32> = hosts.iter().map(|host| self.tasks_run(host)).collect();
        if hosts.is_empty() {
            return Ok(Vec::new());
        }
        let inner = Place {
            frame: place.frame.block(block),
            is_rescued: place.is_rescued || !block.rescue.is_empty(),
            is_handler: place.is_handler,
        };
        let result = self.run_list(&block.block, &hosts, &inner).await;
        let mut failures = match result {
            Ok(failures) => failures,
            Err(halt @ (Halt::EndPlay | Halt::EndBatch)) => {
                self.run_list(&block.always, &hosts, &inner).await?;
                return Err(halt);
            }
            Err(halt) => return Err(halt),
        };
        let outside = Place {
            is_rescued: place.is_rescued,
            ..inner.clone()
        };
        if !block.rescue.is_empty() {
            failures = self.rescue(block, failures, &outside).await?;
        }
        if !block.always.is_empty() {
            let reached: Vec<String> = hosts
                .iter()
                .filter(|h| {
                    !failures
                        .iter()
                        .any(|f| &f.host == *h && f.end.status != Status::Failed)
                })
                .cloned()
                .collect();
            let clears = self.state.borrow().play.clears;
            let more = self.run_list(&block.always, &reached, &outside).await?;
            if self.state.borrow().play.clears > clears {
                // Who failed before is as if it had not, and goes on behind the block.
                failures.retain(|f| f.end.status != Status::Failed);
            }
            failures.extend(more);
        }
        failures.dedup_by(|a, b| a.host == b.host);
        for (host, before) in hosts.iter().zip(ran_before) {
            self.leave_role(block, host, self.tasks_run(host) > before);
        }
        Ok(failures)
    }

    /// Number of tasks that ran on a host so far.
    fn tasks_run(&self, host: &str) -> u32 {
        let state = self.state.borrow();
        let counts = state.stats.hosts.get(host);
        let unmet = state.play.unmet.get(host).copied().unwrap_or(0);
        counts
            .map_or(0, |s| s.ok + s.failed + s.rescued)
            .saturating_sub(unmet)
    }

    /// A role counts as done where a task of it really ran.
    fn leave_role(&self, block: &Block, host: &str, has_run: bool) {
        let Some(role) = &block.role else { return };
        let mut state = self.state.borrow_mut();
        let ended = (host.to_owned(), role.name.clone());
        state.play.roles_ended.remove(&ended);
        if has_run {
            let key = (host.to_owned(), role_key(block, role));
            state.play.roles_done.insert(key);
        }
    }

    async fn rescue(&self, block: &Block, failures: Failures, place: &Place) -> Flow<Failures> {
        let (failed, mut lasting): (Failures, Failures) = failures
            .into_iter()
            .partition(|f| f.end.status == Status::Failed);
        if failed.is_empty() {
            return Ok(lasting);
        }
        for failure in &failed {
            let mut state = self.state.borrow_mut();
            let known = state.hosts.entry(failure.host.clone()).or_default();
            known.set("ansible_failed_result", failure.end.value());
            let task = failure
                .end
                .result
                .get("_switchback_task")
                .cloned()
                .unwrap_or_default();
            known.set("ansible_failed_task", task);
        }
        let hosts: Vec<String> = failed.iter().map(|f| f.host.clone()).collect();
        let again = self.run_list(&block.rescue, &hosts, place).await?;
        lasting.extend(again);
        Ok(lasting)
    }

    /// The hosts on which a role's tasks still have to run: once per play, host and parameters.
    fn hosts_of_role(&self, block: &Block, hosts: &[String]) -> Vec<String> {
        let Some(role) = &block.role else {
            return hosts.to_vec();
        };
        if role.allows_duplicates {
            return hosts.to_vec();
        }
        let key = role_key(block, role);
        let state = self.state.borrow();
        hosts
            .iter()
            .filter(|host| {
                !state
                    .play
                    .roles_done
                    .contains(&((*host).clone(), key.clone()))
            })
            .cloned()
            .collect()
    }

    /// Any task: module, include or meta.
    pub(super) async fn run_any_task(
        &self,
        task: &Rc<Task>,
        hosts: &[String],
        place: &Place,
    ) -> Flow<Failures> {
        let hosts = &self.hosts_in_role(task, hosts, place);
        if hosts.is_empty() {
            return Ok(Vec::new());
        }
        let frame = place.frame.inner(&task.keywords);
        // Handlers run whatever their tags (ansible-core 2.19 filters the sections only).
        if !place.is_handler && !self.is_selected(&frame, task, hosts) {
            return Ok(Vec::new());
        }
        if task.action.templated_name().is_some() {
            return Box::pin(self.run_templated(task, hosts, place)).await;
        }
        self.pause_if_wanted(&task.id).await?;
        let run = TaskRun {
            name: self.task_name(task, &frame, hosts),
            module: module_name(&task.action).to_owned(),
            is_rescued: place.is_rescued,
            task: task.clone(),
            frame,
        };
        if !self.has_started(&run) {
            return Ok(Vec::new());
        }
        match &task.action {
            Action::Module { .. } => {
                self.announce(&run, hosts, place.is_handler);
                let ends = self.run_task(&run, hosts).await?;
                let failures = self.leave(&run, ends);
                self.check_guards(&run).await?;
                Ok(failures)
            }
            Action::IncludeTasks { .. } | Action::IncludeRole { .. } => {
                Box::pin(self.run_include(&run, hosts, place)).await
            }
            Action::Meta { what, .. } => self.run_meta(&run, what, hosts, place).await,
        }
    }

    /// The hosts on which the task's role has not ended early (`meta: end_role`).
    fn hosts_in_role(&self, task: &Task, hosts: &[String], place: &Place) -> Vec<String> {
        let state = self.state.borrow();
        let Some(role) = task.role.as_ref().filter(|_| !place.is_handler) else {
            return hosts.to_vec();
        };
        let has_ended = |host: &String| {
            let ended = &state.play.roles_ended;
            ended.contains(&(host.clone(), role.name.clone()))
        };
        hosts.iter().filter(|h| !has_ended(h)).cloned().collect()
    }

    /// Parks lost hosts, takes unreachable ones out of the run, and returns all that failed.
    fn leave(&self, run: &TaskRun, ends: Vec<HostEnd>) -> Failures {
        let mut failures: Failures = ends.into_iter().filter(HostEnd::is_failure).collect();
        let mut state = self.state.borrow_mut();
        for failure in &mut failures {
            let own_name = match (&run.task.keywords.name, &run.task.role) {
                (None, _) => "",
                (Some(_), Some(role)) => {
                    let prefix = format!("{} : ", role.name);
                    run.name.strip_prefix(&prefix).unwrap_or(&run.name)
                }
                (Some(_), None) => &run.name,
            };
            let task = Map::from([
                ("name".to_owned(), Value::from(own_name)),
                ("action".to_owned(), Value::from(run.module.as_str())),
            ]);
            failure
                .end
                .result
                .insert("_switchback_task".into(), Value::from(task));
            match failure.end.status {
                Status::Failed if !run.is_rescued => {
                    state.play.failing.insert(failure.host.clone());
                }
                Status::Unreachable => {
                    state.out.insert(failure.host.clone());
                    state.play.failing.insert(failure.host.clone());
                }
                Status::Lost => {
                    state.parked.insert(failure.host.clone());
                    let open = format!(
                        "{}: the outcome of `{}` is not known: {}",
                        failure.host,
                        run.name,
                        failure.end.msg()
                    );
                    state.open.push(open);
                }
                _ => {}
            }
        }
        failures
    }

    /// The task's name as it is shown: rendered with the first host, `ROLE : NAME` in a role.
    pub(super) fn task_name(&self, task: &Rc<Task>, frame: &Rc<Frame>, hosts: &[String]) -> String {
        let own = task.keywords.name.as_ref().and_then(|field| {
            let view = self.task_view(hosts.first()?, task, frame);
            self.text(Some(field), &view)
                .ok()
                .flatten()
                .or_else(|| field.value.as_str().map(str::to_owned))
        });
        let name = own.unwrap_or_default();
        let name = match &task.action {
            _ if task.keywords.name.is_some() => name,
            // Ansible shows no role before this one.
            Action::IncludeRole { role, .. } => {
                let role = super::run::plain_text(&role.name.value).unwrap_or_default();
                return format!("include_role : {role}");
            }
            other => module_name(other).to_owned(),
        };
        match &task.role {
            Some(role) => format!("{} : {name}", role.name),
            None => name,
        }
    }

    pub(crate) fn announce(&self, run: &TaskRun, hosts: &[String], is_handler: bool) {
        self.state.borrow_mut().started += 1;
        self.port.emit(Event::TaskStarted {
            step: run.task.id.clone(),
            name: run.name.clone(),
            module: run.module.clone(),
            place: self.controller.place(run.task.span),
            is_handler,
            hosts: hosts.to_vec(),
            at: self.port.now().wall,
        });
    }

    /// `--start-at-task`: tasks before it are passed over.
    fn has_started(&self, run: &TaskRun) -> bool {
        let Some(wanted) = &self.settings.start_at else {
            return true;
        };
        let mut state = self.state.borrow_mut();
        if !state.has_started_at {
            let short = run.name.rsplit(" : ").next().unwrap_or(&run.name);
            let glob = globset::Glob::new(wanted).ok().map(|g| g.compile_matcher());
            state.has_started_at = run.name == *wanted
                || short == wanted
                || run.task.id.0 == *wanted
                || glob.is_some_and(|g| g.is_match(&run.name) || g.is_match(short));
        }
        state.has_started_at
    }

    fn check_fail_percentage(&self, failures: &Failures, place: &Place) -> Flow<()> {
        if place.is_rescued {
            return Ok(());
        }
        let state = self.state.borrow();
        let Some(max) = state.play.max_fail_percentage else {
            return Ok(());
        };
        let batch = &state.play.batch;
        let failed = batch
            .iter()
            .filter(|h| state.play.failed.contains(*h) || failures.iter().any(|f| &f.host == *h))
            .count();
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts are small")]
        let share = 100.0 * failed as f64 / state.play.batch.len().max(1) as f64;
        if failed > 0 && share > max {
            Err(Halt::EndRun)
        } else {
            Ok(())
        }
    }
}

/// What makes two uses of a role the same: name, parameters, and the keywords of the use.
fn role_key(block: &Block, role: &crate::model::RoleScope) -> String {
    let conditions: Vec<Value> = block
        .keywords
        .when
        .iter()
        .map(|condition| match condition {
            crate::model::Cond::Literal(is_true) => Value::Bool(*is_true),
            crate::model::Cond::Expr { text, .. } => text.as_str().into(),
        })
        .collect();
    let tags = block.keywords.tags.iter().map(|t| t.as_str().into());
    let parts = Value::from(vec![
        Value::from(role.name.as_str()),
        Value::Map(role.params.clone()),
        Value::from(block.keywords.vars.clone()),
        Value::from(conditions),
        Value::from(tags.collect::<Vec<Value>>()),
    ]);
    parts.to_exposed_json().to_string()
}
