//! One task on the hosts of a batch: look everywhere, ask once, apply everywhere, and draw the
//! consequences (register, facts, handlers, totals).

use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _};

use super::ask::Answer;
use super::controller::{Problem, View};
use super::end::{ItemEnd, aggregate, empty_loop};
use super::frame::Frame;
use super::halt::{Flow, Halt};
use super::item::{Item, Planned};
use super::run::{Run, plain_text};
use crate::event::{Event, Status};
use crate::journal::{Instance, Record};
use crate::model::{Action, Cond, Field, Loop, LoopKind, Task};
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

/// The items of a task on one host, each with what it sees.
enum Items {
    One(Item),
    Many(Vec<(Item, String)>),
    /// It ended before there were any.
    None(Box<ItemEnd>),
}

/// The default of `delay`: 5 seconds.
const DELAY_MS: u64 = 5000;
/// Tries of an item whose host keeps changing while it is looked at.
const MOVES_MAX: u32 = 3;

impl Run {
    /// Runs a module task on these hosts and returns how it ended on each.
    pub(crate) async fn run_task(&self, run: &TaskRun, hosts: &[String]) -> Flow<Vec<HostEnd>> {
        let mut hosts = hosts.to_vec();
        let mut ends: Vec<HostEnd> = Vec::new();
        let whole_batch = hosts.clone();
        // `add_host` has no host of its own (ansible-core 2.19, `BYPASS_HOST_LOOP`).
        let is_once = run.module == "add_host" || self.is_run_once(run, &hosts);
        if is_once {
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
                    Self::forgive(&mut ends, &failed, &reason);
                    break;
                }
                Answer::Exclude { reason } => {
                    self.exclude(run, &failed, &reason);
                    break;
                }
                _ => break,
            }
        }
        for end in &ends {
            self.settle(run, end, is_once.then_some(whole_batch.as_slice()))?;
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
                    return Ok(self.skipped_everywhere(run, hosts, &reason));
                }
                Answer::SkipHosts {
                    hosts: skipped,
                    reason,
                } => {
                    let mut ends = self.skipped_everywhere(run, &skipped, &reason);
                    let rest: Vec<_> = looked
                        .into_iter()
                        .filter(|(h, _)| !skipped.contains(h))
                        .collect();
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
        let forks = self.forks(run);
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
        .buffer_unordered(self.forks(run));
        let mut results = Vec::with_capacity(hosts.len());
        while let Some(result) = running.next().await {
            results.push(result?);
        }
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, done)| done).collect())
    }

    fn forks(&self, run: &TaskRun) -> usize {
        let throttle = run
            .frame
            .keyword(|k| k.throttle.as_ref())
            .and_then(|field| self.number(Some(field), &self.play_view()).ok().flatten())
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0);
        throttle
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
        self.port.emit(Event::HostStarted {
            host: host.clone(),
            step: run.task.id.clone(),
        });
        let end = match self.expand(run, &host) {
            Items::None(end) => *end,
            Items::One(item) => self.run_item(run, &item, first).await?,
            Items::Many(items) => self.run_items(run, &host, items).await?,
        };
        let view = self.task_view(&host, &run.task, &run.frame);
        let keyword = match end.status {
            Status::Unreachable => run.frame.keyword(|k| k.ignore_unreachable.as_ref()),
            Status::Failed => run.frame.keyword(|k| k.ignore_errors.as_ref()),
            _ => None,
        };
        let is_ignored = keyword.is_some() && self.flag(keyword, &view, false).unwrap_or(false);
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

    async fn run_items(
        &self,
        run: &TaskRun,
        host: &str,
        items: Vec<(Item, String)>,
    ) -> Flow<ItemEnd> {
        let mut ends = Vec::with_capacity(items.len());
        let control = run.task.r#loop.as_ref().map(|l| &l.control);
        let pause = control.and_then(|c| c.pause.as_ref());
        // What an item registers or sets is seen by the next ones.
        let mut learnt = Map::new();
        for (index, (item, label)) in items.iter().enumerate() {
            let item = &Item {
                view: item.view.with(learnt.clone()),
                ..item.clone()
            };
            if index > 0
                && let Some(field) = pause
            {
                let pause = self.millis(Some(field), &item.view).ok().flatten();
                self.port.sleep(pause.unwrap_or(0)).await;
            }
            let mut end = self.run_item(run, item, None).await?;
            learnt.extend(end.set.clone());
            if let Some(name) = &run.task.register {
                learnt.insert(name.clone(), end.value());
            }
            for (key, value) in item_keys(&run.task, item) {
                let value = if item.is_hidden {
                    value.into_secret()
                } else {
                    value
                };
                end.result.insert(key, value);
            }
            self.port.emit(Event::ItemFinished {
                host: host.to_owned(),
                step: run.task.id.clone(),
                label: if item.is_hidden {
                    "(hidden)".to_owned()
                } else {
                    self.redact(label)
                },
                report: end.report(false, &|value| self.redacted(value)),
            });
            let stops = matches!(end.status, Status::Lost | Status::Unreachable)
                || self.breaks(run, item, &end);
            ends.push(end);
            if stops {
                break;
            }
        }
        Ok(aggregate(&ends))
    }

    fn breaks(&self, run: &TaskRun, item: &Item, end: &ItemEnd) -> bool {
        let Some(control) = run.task.r#loop.as_ref().map(|l| &l.control) else {
            return false;
        };
        !control.break_when.is_empty()
            && matches!(
                self.first_false(
                    &control.break_when,
                    &Self::with_result(run, &item.view, end)
                ),
                Ok(None)
            )
    }

    fn with_result(run: &TaskRun, view: &View, end: &ItemEnd) -> View {
        match &run.task.register {
            Some(name) => view.with(Map::from([(name.clone(), end.value())])),
            None => view.clone(),
        }
    }

    /// One item with `until`, `changed_when`, `failed_when`, and its record.
    async fn run_item(
        &self,
        run: &TaskRun,
        item: &Item,
        mut planned: Option<Planned>,
    ) -> Flow<ItemEnd> {
        if let Some(end) = self.replayed(item) {
            return Ok(end);
        }
        if self
            .settings
            .injects_failure_at
            .as_ref()
            .is_some_and(|name| is_named(run, name))
        {
            return Ok(ItemEnd::failed(
                "made to fail by the rehearsal's scenario; it was not run",
            ));
        }
        if let Some(end) = self.decide_open(item).await? {
            return Ok(end);
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
            self.judge(run, item, &mut end);
            if item.is_hidden {
                end.hide();
            }
            end.attempts = attempts;
            let is_met = self.until_is_met(run, item, &mut end);
            if is_met || attempts > retries || end.status == Status::Lost {
                if !is_met && attempts > retries && retries > 0 {
                    end.result
                        .insert("attempts".into(), Value::Int(i64::from(attempts - 1)));
                    if end.status != Status::Lost {
                        end.status = Status::Failed;
                        end.result.insert("failed".into(), Value::Bool(true));
                    }
                }
                self.record_end(item, &end).await?;
                return Ok(end);
            }
            self.port.emit(Event::Retrying {
                host: item.host.clone(),
                step: run.task.id.clone(),
                left: retries + 1 - attempts,
            });
            let delay = self
                .millis(run.task.delay.as_ref(), &item.view)
                .ok()
                .flatten();
            self.port.sleep(delay.unwrap_or(DELAY_MS)).await;
            attempts += 1;
        }
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

    /// Number of further tries after the first.
    fn retries(&self, run: &TaskRun, item: &Item) -> u32 {
        let wanted = self
            .number(run.task.retries.as_ref(), &item.view)
            .ok()
            .flatten();
        let default = if run.task.until.is_some() { 3 } else { 0 };
        wanted
            .and_then(|n| u32::try_from(n.max(0)).ok())
            .unwrap_or(default)
    }

    fn until_is_met(&self, run: &TaskRun, item: &Item, end: &mut ItemEnd) -> bool {
        if matches!(
            end.status,
            Status::Skipped | Status::Unreachable | Status::Unknown
        ) {
            return true;
        }
        if run.task.retries.is_some() || run.task.until.is_some() {
            end.result
                .insert("attempts".into(), Value::Int(i64::from(end.attempts)));
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
    fn judge(&self, run: &TaskRun, item: &Item, end: &mut ItemEnd) {
        if !matches!(end.status, Status::Ok | Status::Changed | Status::Failed) {
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
                Err(problem) => return self.spoil(item, end, &problem),
            }
        }
        let view = Self::with_result(run, &item.view, end);
        if let Some(conditions) = run.task.failed_when.as_ref().filter(|c| !c.is_empty()) {
            match self.all_hold(conditions, &view) {
                Ok(is_failed) => {
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
                Err(problem) => self.spoil(item, end, &problem),
            }
        }
    }

    fn all_hold(&self, conditions: &[Cond], view: &View) -> Result<bool, Problem> {
        self.first_false(conditions, view)
            .map(|unmet| unmet.is_none())
    }

    fn spoil(&self, item: &Item, end: &mut ItemEnd, problem: &Problem) {
        let mut spoilt = self.problem_end(item, problem);
        spoilt.result.shift_remove("changed");
        end.status = spoilt.status;
        end.result.extend(spoilt.result);
    }

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

    /// What a task's loop comes to on a host.
    fn expand(&self, run: &TaskRun, host: &str) -> Items {
        let view = self.task_view(host, &run.task, &run.frame);
        let Some(looped) = &run.task.r#loop else {
            return Items::One(self.item(run, host, view, None));
        };
        let values = match self.loop_values(looped, &view) {
            Ok(values) => values,
            Err(problem) => {
                // An undefined list is forgiven where the task would be skipped anyway.
                let end = match self.first_false(run.frame.conditions(), &view) {
                    Ok(Some(condition)) => ItemEnd::skipped(&condition),
                    _ => self.problem_end(&self.item(run, host, view, None), &problem),
                };
                return Items::None(Box::new(end));
            }
        };
        if values.is_empty() {
            return Items::None(Box::new(empty_loop()));
        }
        let all = Value::from(values.clone());
        let items = values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let layer = self.loop_layer(looped, index, value, &values, &all, &view);
                let item_view = view.with(layer);
                let label = self.label(looped, value, &item_view);
                (self.item(run, host, item_view, Some(index)), label)
            })
            .collect();
        Items::Many(items)
    }

    fn loop_values(&self, looped: &Loop, view: &View) -> Result<Vec<Value>, Problem> {
        match &looped.kind {
            LoopKind::With(name) => self.controller.with_items(name, &looped.terms.value, view),
            LoopKind::Loop => match self.controller.render(&looped.terms.value, view)? {
                Some(Value::List(items)) => Ok(items.to_vec()),
                None => Ok(Vec::new()),
                Some(other) => Err(Problem::new(format!(
                    "Invalid data passed to 'loop', it requires a list, got this instead: {}. \
                     Hint: If you passed a list/dict of just one element, try adding wantlist=True \
                     to your lookup invocation or use q/query instead of lookup.",
                    self.redact(&other.to_masked_json().to_string())
                ))),
            },
        }
    }

    fn loop_layer(
        &self,
        looped: &Loop,
        index: usize,
        value: &Value,
        values: &[Value],
        all: &Value,
        view: &View,
    ) -> Map {
        let control = &looped.control;
        let var = control
            .loop_var
            .clone()
            .unwrap_or_else(|| "item".to_owned());
        let count = |n: usize| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        let mut layer = Map::from([
            (var.clone(), value.clone()),
            ("ansible_loop_var".to_owned(), Value::from(var.as_str())),
        ]);
        if let Some(name) = &control.index_var {
            layer.insert(name.clone(), count(index));
            layer.insert("ansible_index_var".into(), name.as_str().into());
        }
        if self
            .flag(control.extended.as_ref(), view, false)
            .unwrap_or(false)
        {
            let last = values.len() - 1;
            let mut extended = Map::from([
                ("allitems".to_owned(), all.clone()),
                ("index".to_owned(), count(index + 1)),
                ("index0".to_owned(), count(index)),
                ("first".to_owned(), (index == 0).into()),
                ("last".to_owned(), (index == last).into()),
                ("length".to_owned(), count(values.len())),
                ("revindex".to_owned(), count(values.len() - index)),
                ("revindex0".to_owned(), count(last - index)),
            ]);
            if index > 0 {
                extended.insert("previtem".into(), values[index - 1].clone());
            }
            if index < last {
                extended.insert("nextitem".into(), values[index + 1].clone());
            }
            layer.insert("ansible_loop".into(), Value::from(extended));
        }
        layer
    }

    pub(crate) fn label(&self, looped: &Loop, value: &Value, view: &View) -> String {
        let shown = match &looped.control.label {
            Some(field) => self
                .keyword(Some(field), view)
                .ok()
                .flatten()
                .unwrap_or_default(),
            None => value.clone(),
        };
        plain_text(&shown).unwrap_or_else(|| self.as_text(&shown, view))
    }

    /// A value as a template writes it into text; a secret as a mask.
    fn as_text(&self, value: &Value, view: &View) -> String {
        let view = view.with(Map::from([("_shown".to_owned(), value.clone())]));
        let template = Value::Str(crate::value::Text::from_user("{{ _shown }} "));
        match self.controller.render(&template, &view) {
            Ok(Some(Value::Str(text))) if !text.is_secret() => text.as_str().trim().to_owned(),
            _ => value.to_masked_json().to_string(),
        }
    }

    fn item(&self, run: &TaskRun, host: &str, view: View, index: Option<usize>) -> Item {
        let is_hidden = self
            .flag(run.frame.keyword(|k| k.no_log.as_ref()), &view, false)
            .unwrap_or(true);
        let check = run.frame.keyword(|k| k.check_mode.as_ref());
        let is_check = self
            .flag(check, &view, self.settings.is_check)
            .unwrap_or(true);
        let state = self.state.borrow();
        let item = index.and_then(|i| u32::try_from(i).ok());
        let batch = state.play.batch_index;
        let key = (run.task.id.clone(), host.to_owned(), batch, None);
        let occurrence = state.occurrences.get(&key).copied().unwrap_or(0);
        Item {
            task: run.task.clone(),
            frame: run.frame.clone(),
            host: host.to_owned(),
            view,
            instance: Instance {
                step: run.task.id.clone(),
                host: host.to_owned(),
                batch,
                item,
                occurrence,
            },
            is_check,
            is_hidden,
        }
    }

    /// Draws the consequences of a task's end for a host: register, facts, handlers, totals.
    fn settle(&self, run: &TaskRun, end: &HostEnd, batch: Option<&[String]>) -> Flow<()> {
        let report = end.end.report(end.is_ignored, &Value::clone);
        let own = [end.host.clone()];
        let hosts = batch.unwrap_or(&own);
        let view = self.task_view(&end.host, &run.task, &run.frame);
        let delegate = self
            .text(run.frame.keyword(|k| k.delegate_to.as_ref()), &view)
            .ok()
            .flatten();
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

    fn notify(&self, run: &TaskRun, end: &HostEnd, field: &Field, view: &View) -> Flow<()> {
        let names = match self.keyword(Some(field), view) {
            Ok(Some(Value::List(items))) => items.iter().filter_map(plain_text).collect(),
            Ok(Some(value)) => plain_text(&value).into_iter().collect::<Vec<_>>(),
            Ok(None) => Vec::new(),
            Err(problem) => return Err(Halt::Broken(problem.message)),
        };
        for name in names {
            if !self.has_handler(&name) {
                return Err(Halt::Broken(format!(
                    "task `{}` notifies `{name}`, but no handler of the play has that name or \
                     listens to it",
                    run.name
                )));
            }
            let mut state = self.state.borrow_mut();
            let notified = state.play.notified.entry(end.host.clone()).or_default();
            if !notified.contains(&name) {
                notified.push(name);
            }
        }
        Ok(())
    }

    fn skipped_everywhere(&self, run: &TaskRun, hosts: &[String], reason: &str) -> Vec<HostEnd> {
        hosts
            .iter()
            .map(|host| {
                let end = declined(reason);
                self.port.emit(Event::HostFinished {
                    host: host.clone(),
                    step: run.task.id.clone(),
                    name: run.name.clone(),
                    report: end.report(false, &Value::clone),
                });
                HostEnd {
                    host: host.clone(),
                    end,
                    is_ignored: false,
                }
            })
            .collect()
    }

    /// A failed host goes on because a person said so.
    fn forgive(ends: &mut [HostEnd], failed: &[HostEnd], reason: &str) {
        for end in ends
            .iter_mut()
            .filter(|e| failed.iter().any(|f| f.host == e.host))
        {
            end.is_ignored = true;
            end.end.result.insert("skip_reason".into(), reason.into());
        }
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

/// The keys that a loop adds to an item's result.
fn item_keys(task: &Task, item: &Item) -> Vec<(String, Value)> {
    let Some(looped) = &task.r#loop else {
        return Vec::new();
    };
    let var = looped.control.loop_var.as_deref().unwrap_or("item");
    let names = [
        Some(var),
        Some("ansible_loop_var"),
        looped.control.index_var.as_deref(),
        looped
            .control
            .index_var
            .as_ref()
            .map(|_| "ansible_index_var"),
        Some("ansible_loop"),
    ];
    names
        .into_iter()
        .flatten()
        .filter_map(|name| {
            item.view
                .scope
                .get(name)
                .map(|v| (name.to_owned(), v.clone()))
        })
        .collect()
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
    match action {
        Action::Module { name, .. } => name,
        Action::IncludeTasks { .. } => "include_tasks",
        Action::IncludeRole { .. } => "include_role",
        Action::Meta { .. } => "meta",
    }
}
