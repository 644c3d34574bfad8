//! One task on the hosts of a batch: look everywhere, ask once, apply everywhere, and draw the
//! consequences (register, facts, handlers, totals).

use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _};

use super::ask::Answer;
use super::controller::View;
use super::end::ItemEnd;
use super::frame::Frame;
use super::halt::{Flow, Halt};
use super::item::{Item, Planned};
use super::looping::Items;
use super::replay::{TakenUp, after_interruption};
use super::run::Run;
use crate::event::{Event, Status};
use crate::journal::Record;
use crate::model::{Action, Task};
use crate::value::{Map, Value};

/// A task as it is about to run on some hosts.
#[derive(Clone)]
pub(crate) struct TaskRun {
    pub(crate) task: Rc<Task>,
    pub(crate) frame: Rc<Frame>,
    pub(crate) name: String,
    pub(crate) module: String,
    /// Whether a `rescue` around it deals with failures.
    pub(crate) is_rescued: bool,
}

/// A task that ended on a host.
#[derive(Clone, Debug)]
pub(crate) struct HostEnd {
    pub(crate) host: String,
    pub(crate) end: ItemEnd,
    /// `ignore_errors` or `ignore_unreachable` lets the host go on.
    pub(crate) is_ignored: bool,
}

impl HostEnd {
    /// Whether the host leaves the list of tasks because of this.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(
            self.end.status,
            Status::Failed | Status::Unreachable | Status::Lost
        ) && !self.is_ignored
    }
}

/// The default of `delay`: 5 seconds.
const DELAY_MS: u64 = 5000;
/// Tries of an item whose host keeps changing while it is looked at.
const MOVES_MAX: u32 = 3;

impl Run {
    /// Runs a module task on these hosts and returns how it ended on each.
    pub(crate) async fn run_task(&self, run: &TaskRun, hosts: &[String]) -> Flow<Vec<HostEnd>> {
        let stops = self.settings.stops_before.as_ref();
        if stops.is_some_and(|at| is_named(run, at) || run.task.id.0 == *at) {
            return Err(Halt::Stopped);
        }
        self.throttle(run, hosts.first())?;
        let mut hosts = hosts.to_vec();
        let mut ends: Vec<HostEnd> = Vec::new();
        let whole_batch = hosts.clone();
        // `add_host` has no host of its own (ansible-core 2.19, `BYPASS_HOST_LOOP`).
        let is_for_all = self.is_run_once(run, &hosts);
        if is_for_all || run.module == "add_host" {
            hosts.truncate(1);
        }
        loop {
            let round = self.run_round(run, &hosts).await?;
            let failed: Vec<HostEnd> = round.iter().filter(|e| e.is_failure()).cloned().collect();
            ends.retain(|e: &HostEnd| !hosts.contains(&e.host));
            ends.extend(round);
            if failed.is_empty() {
                break;
            }
            match self.ask_about_failure(run, &failed, hosts.len()).await? {
                Answer::Retry => hosts = failed.iter().map(|e| e.host.clone()).collect(),
                Answer::Skip { reason } => {
                    hosts = self.pass_over(run, &mut ends, &failed, &reason).await?;
                    if hosts.is_empty() {
                        break;
                    }
                }
                Answer::Exclude { reason } => {
                    self.exclude(run, &failed, &reason);
                    break;
                }
                _ => break,
            }
        }
        for end in &ends {
            self.settle(run, end, is_for_all.then_some(whole_batch.as_slice()))?;
        }
        Ok(ends)
    }

    fn is_run_once(&self, run: &TaskRun, hosts: &[String]) -> bool {
        let Some(first) = hosts.first() else {
            return false;
        };
        let field = run.frame.keyword(|k| k.run_once.as_ref());
        field.is_some()
            && self
                .flag(field, &self.task_view(first, &run.task, &run.frame), false)
                .unwrap_or(false)
    }

    /// One pass over these hosts: all look, one question, all apply.
    async fn run_round(&self, run: &TaskRun, hosts: &[String]) -> Flow<Vec<HostEnd>> {
        if !self.must_ask(run) {
            return self
                .on_hosts(run, hosts, |host| self.run_on_host(run, host, None))
                .await;
        }
        let looked = self
            .on_hosts(run, hosts, |host| async move {
                let items = self.expand(run, &host);
                let mut planned = Vec::new();
                match &items {
                    Items::One(item) => {
                        if self.replayed(item).is_none() {
                            planned.push((item.clone(), self.plan_item(item).await?));
                        }
                    }
                    Items::Many(many) => {
                        for (item, _) in many {
                            if self.replayed(item).is_none() {
                                planned.push((item.clone(), self.plan_item(item).await?));
                            }
                        }
                    }
                    Items::None(_) => {}
                }
                Ok((host, planned))
            })
            .await?;
        if run.task.point_of_no_return.is_some() {
            if let Some(refusal) = self.pass_gate(run, &looked).await? {
                return Ok(refusal);
            }
        } else {
            match self.ask_about_task(run, &looked).await? {
                Answer::Skip { reason } => {
                    return self.decline(run, &looked, &reason).await;
                }
                Answer::SkipHosts {
                    hosts: skipped,
                    reason,
                } => {
                    let (declined, rest): (Vec<_>, Vec<_>) = looked
                        .into_iter()
                        .partition(|(host, _)| skipped.contains(host));
                    let mut ends = self.decline(run, &declined, &reason).await?;
                    ends.extend(self.apply_looked(run, rest).await?);
                    return Ok(ends);
                }
                _ => {}
            }
        }
        self.apply_looked(run, looked).await
    }

    async fn apply_looked(
        &self,
        run: &TaskRun,
        looked: Vec<(String, Vec<(Item, Planned)>)>,
    ) -> Flow<Vec<HostEnd>> {
        let forks = self.forks(run, looked.first().map(|(host, _)| host));
        let mut ends: Vec<(usize, HostEnd)> = Vec::new();
        let mut running = stream::iter(looked.into_iter().enumerate().map(
            |(index, (host, mut planned))| async move {
                // A loop looks again item by item, since an item may depend on the one before it.
                let first = if run.task.r#loop.is_none() {
                    planned.pop().map(|(_, p)| p)
                } else {
                    None
                };
                self.run_on_host(run, host, first)
                    .await
                    .map(|end| (index, end))
            },
        ))
        .buffer_unordered(forks);
        while let Some(end) = running.next().await {
            ends.push(end?);
        }
        ends.sort_by_key(|(index, _)| *index);
        Ok(ends.into_iter().map(|(_, end)| end).collect())
    }

    /// Runs `work` for each host, `forks` at a time, and returns the results in the hosts' order.
    async fn on_hosts<T, F>(
        &self,
        run: &TaskRun,
        hosts: &[String],
        work: impl Fn(String) -> F,
    ) -> Flow<Vec<T>>
    where
        F: Future<Output = Flow<T>>,
    {
        let work = &work;
        let mut running = stream::iter(
            hosts
                .iter()
                .cloned()
                .enumerate()
                .map(|(index, host)| async move { work(host).await.map(|done| (index, done)) }),
        )
        .buffer_unordered(self.forks(run, hosts.first()));
        let mut results = Vec::with_capacity(hosts.len());
        while let Some(result) = running.next().await {
            results.push(result?);
        }
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, done)| done).collect())
    }

    fn forks(&self, run: &TaskRun, host: Option<&String>) -> usize {
        let throttle = self.throttle(run, host);
        throttle
            .ok()
            .flatten()
            .unwrap_or(usize::MAX)
            .min(self.settings.forks.max(1))
    }

    /// The whole task on one host: its items one by one.
    async fn run_on_host(
        &self,
        run: &TaskRun,
        host: String,
        first: Option<Planned>,
    ) -> Flow<HostEnd> {
        let gate = self.gate(run, &host)?;
        let _place = match &gate {
            Some(gate) => gate.acquire().await.ok(),
            None => None,
        };
        self.port.emit(Event::HostStarted {
            host: host.clone(),
            step: run.task.id.clone(),
        });
        let mut end = match self.expand(run, &host) {
            Items::None(end) => *end,
            Items::One(item) => self.run_item(run, &item, first).await?,
            Items::Many(items) => self.run_items(run, &host, items).await?,
        };
        let view = self.task_view(&host, &run.task, &run.frame);
        let is_ignored = self.is_ignored(run, &view, &end);
        if end.delegate.is_none() {
            end.delegate = self.delegate_of(run, &view);
        }
        let report = end.report(is_ignored, &|value| self.redacted(value));
        self.port.emit(Event::HostFinished {
            host: host.clone(),
            step: run.task.id.clone(),
            name: run.name.clone(),
            report,
        });
        Ok(HostEnd {
            host,
            end,
            is_ignored,
        })
    }

    /// The host that does it instead, where there is one.
    pub(super) fn delegate_of(
        &self,
        run: &TaskRun,
        view: &super::controller::View,
    ) -> Option<String> {
        self.text(run.frame.keyword(|k| k.delegate_to.as_ref()), view)
            .ok()
            .flatten()
    }

    /// `ansible_delegated_vars`: how the host is reached that does it instead.
    pub(super) fn with_delegate(&self, run: &TaskRun, view: View) -> View {
        let Some(delegate) = self.delegate_of(run, &view) else {
            return view;
        };
        let other = self.host_view(&delegate);
        let mut own = Map::new();
        for name in [
            "ansible_host",
            "ansible_port",
            "ansible_user",
            "ansible_connection",
        ] {
            if let Some(value) = other.scope.get(name) {
                own.insert(name.to_owned(), value.clone());
            }
        }
        let all = Map::from([(delegate, Value::from(own))]);
        view.with(Map::from([(
            "ansible_delegated_vars".to_owned(),
            all.into(),
        )]))
    }

    /// Whether `ignore_errors` or `ignore_unreachable` lets the host go on.
    fn is_ignored(&self, run: &TaskRun, view: &View, end: &ItemEnd) -> bool {
        let keyword = match end.status {
            Status::Unreachable => run.frame.keyword(|k| k.ignore_unreachable.as_ref()),
            Status::Failed => run.frame.keyword(|k| k.ignore_errors.as_ref()),
            _ => None,
        };
        keyword.is_some() && self.flag(keyword, view, false).unwrap_or(false)
    }

    /// Whether the run goes on after a failure without anybody being asked.
    fn is_handled(&self, run: &TaskRun, view: &View, end: &ItemEnd) -> bool {
        run.is_rescued && end.status == Status::Failed || self.is_ignored(run, view, end)
    }

    /// One item with `until`, `changed_when`, `failed_when`, and its record.
    pub(super) async fn run_item(
        &self,
        run: &TaskRun,
        item: &Item,
        mut planned: Option<Planned>,
    ) -> Flow<ItemEnd> {
        if let Some(end) = self.replayed(item) {
            self.take_up_job(item, &end);
            return Ok(end);
        }
        if let Some(end) = self.injected_failure(run) {
            return Ok(end);
        }
        let mut interrupted = None;
        match self.take_up(item).await? {
            TakenUp::Ended(end) => planned = Some(Planned::Ended(end)),
            TakenUp::RunsAgain(attempt) => interrupted = Some(attempt),
            TakenUp::Runs => {}
        }
        let retries = self.retries(run, item);
        let (mut attempts, mut moves) = (1, 0);
        loop {
            let now = match planned.take() {
                Some(planned) => planned,
                None => self.plan_item(item).await?,
            };
            let mut end = match now {
                Planned::Ended(end) => *end,
                Planned::Change(ready) => match self.carry_out(item, &ready).await? {
                    Some(end) => end,
                    None if moves < MOVES_MAX => {
                        moves += 1;
                        planned = Some(self.plan_again(run, item).await?);
                        continue;
                    }
                    None => ItemEnd::failed(
                        "the host keeps changing while it is looked at; nothing was done",
                    ),
                },
            };
            let Some(decided) = self.verify(item, end).await? else {
                continue;
            };
            end = decided;
            if let Some(attempt) = interrupted {
                after_interruption(&mut end, attempt);
            }
            end.attempts = attempts;
            Self::note_attempts(run, &mut end);
            self.judge(run, item, &mut end);
            let is_met = self.until_is_met(run, item, &mut end);
            let is_final = end.status == Status::Lost || end.is_cut_short();
            if is_met || attempts > retries || is_final {
                if !is_met && attempts > retries && retries > 0 {
                    end.give_up(attempts - 1);
                }
                Self::note_exception(&mut end);
                end.is_handled = self.is_handled(run, &item.view, &end);
                self.record_end(item, &end).await?;
                return Ok(end);
            }
            self.wait_to_retry(run, item, retries + 1 - attempts).await;
            attempts += 1;
        }
    }

    async fn wait_to_retry(&self, run: &TaskRun, item: &Item, left: u32) {
        self.port.emit(Event::Retrying {
            host: item.host.clone(),
            step: run.task.id.clone(),
            left,
        });
        let delay = self.millis(run.task.delay.as_ref(), &item.view);
        let delay = delay.ok().flatten().unwrap_or(DELAY_MS);
        self.port.sleep(delay).await;
    }

    /// The failure that a rehearsal's scenario wants of this task.
    fn injected_failure(&self, run: &TaskRun) -> Option<ItemEnd> {
        let name = self.settings.injects_failure_at.as_ref()?;
        is_named(run, name)
            .then(|| ItemEnd::failed("made to fail by the rehearsal's scenario; it was not run"))
    }

    /// After the host moved: look again, and ask again if a person decides.
    async fn plan_again(&self, run: &TaskRun, item: &Item) -> Flow<Planned> {
        let planned = self.plan_item(item).await?;
        if !self.must_ask(run) || !matches!(planned, Planned::Change(_)) {
            return Ok(planned);
        }
        self.notice(
            true,
            format!("{} has changed since it was looked at", item.host),
        );
        let looked = vec![(item.host.clone(), vec![(item.clone(), planned)])];
        match self.ask_about_task(run, &looked).await? {
            Answer::Skip { reason } | Answer::SkipHosts { reason, .. } => {
                Ok(Planned::Ended(Box::new(declined(&reason))))
            }
            _ => Ok(looked
                .into_iter()
                .flat_map(|(_, planned)| planned)
                .next()
                .map_or_else(
                    || Planned::Ended(Box::new(declined(""))),
                    |(_, planned)| planned,
                )),
        }
    }

    /// The ends of a task that the operator declined on these hosts. The journal has them, so that a
    /// resume without questions does not run what somebody said no to.
    async fn decline(
        &self,
        run: &TaskRun,
        looked: &[(String, Vec<(Item, Planned)>)],
        reason: &str,
    ) -> Flow<Vec<HostEnd>> {
        let mut ends = Vec::new();
        for (host, planned) in looked {
            let end = declined(reason);
            for (item, _) in planned {
                self.record_end(item, &end).await?;
            }
            self.port.emit(Event::HostFinished {
                host: host.clone(),
                step: run.task.id.clone(),
                name: run.name.clone(),
                report: end.report(false, &Value::clone),
            });
            ends.push(HostEnd {
                host: host.clone(),
                end,
                is_ignored: false,
            });
        }
        Ok(ends)
    }

    /// Failed hosts go on because a person said so. What is lost is taken as done; the hosts where
    /// it was go on with their next item and are returned.
    async fn pass_over(
        &self,
        run: &TaskRun,
        ends: &mut [HostEnd],
        failed: &[HostEnd],
        reason: &str,
    ) -> Flow<Vec<String>> {
        let mut again = Vec::new();
        for failure in failed {
            if failure.end.status == Status::Lost {
                self.take_lost_as_done(run, &failure.host, reason).await?;
                again.push(failure.host.clone());
                continue;
            }
            let passed = Record::Passed {
                step: run.task.id.clone(),
                host: failure.host.clone(),
            };
            self.record(vec![passed], true).await?;
            for end in ends.iter_mut().filter(|e| e.host == failure.host) {
                end.is_ignored = true;
                end.end.result.insert("skip_reason".into(), reason.into());
            }
        }
        Ok(again)
    }

    fn exclude(&self, run: &TaskRun, failed: &[HostEnd], reason: &str) {
        let mut state = self.state.borrow_mut();
        for end in failed {
            state.out.insert(end.host.clone());
            state.open.push(format!(
                "{}: excluded at `{}`: {reason}",
                end.host, run.name
            ));
        }
    }
}

fn declined(reason: &str) -> ItemEnd {
    let mut result = Map::new();
    result.insert("skip_reason".into(), "declined by the operator".into());
    if !reason.is_empty() {
        result.insert("msg".into(), reason.into());
    }
    ItemEnd::new(Status::Skipped, result)
}

/// Whether a task is called so, with or without its role.
fn is_named(run: &TaskRun, name: &str) -> bool {
    run.name == name
        || run
            .name
            .split_once(" : ")
            .is_some_and(|(_, own)| own == name)
}

/// The module's name as events show it.
pub(crate) fn module_name(action: &Action) -> &str {
    action.name()
}
