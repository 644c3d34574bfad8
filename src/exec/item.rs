//! The life of one item on one host: look, decide, and, once it may, apply.
//!
//! Invariants: nothing is sent that changes a host before its intent is on disk; an apply first
//! compares what the probe saw; in check mode only probes and reading tasks are sent.

use std::fmt::Write as _;

use std::rc::Rc;

use super::controller::{Problem, View};
use super::effect::Live;
use super::end::{ItemEnd, message};
use super::frame::Frame;
use super::halt::Flow;
use super::run::Run;
use crate::event::Status;
use crate::journal::{Instance, Record};
use crate::model::{Action, Cond, Task};
use crate::modules::{
    Act, AnyModule, Change, Compares, Decision, Effect, Failure, Foretell, Outcome, Prepared,
    Resolved, Source,
};
use crate::script::{Reply, Script};
use crate::transport::{Failed, Job, Target};
use crate::value::{Map, Value};

/// One item of a task on one host.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) task: Rc<Task>,
    /// The keywords around it, the task's own innermost.
    pub(crate) frame: Rc<Frame>,
    pub(crate) host: String,
    pub(crate) view: View,
    pub(crate) instance: Instance,
    pub(crate) is_check: bool,
    pub(crate) is_hidden: bool,
}

/// What looking came to.
pub(crate) enum Planned {
    /// There is nothing left to do.
    Ended(Box<ItemEnd>),
    /// A change waits to be made.
    Change(Box<Ready>),
}

/// A change that waits to be made.
pub(crate) struct Ready {
    pub(crate) module: &'static dyn AnyModule,
    prepared: Box<dyn Prepared>,
    inputs: Vec<Resolved>,
    probe: Option<Script>,
    seen: Vec<Reply>,
    pub(crate) change: Change,
    pub(crate) target: Target,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) args: Value,
}

/// Why an item ends early, on the way to a decision.
pub(crate) enum Early {
    End(Box<ItemEnd>),
    Problem(Problem),
}

impl From<Problem> for Early {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ItemEnd> for Early {
    fn from(end: ItemEnd) -> Self {
        Self::End(Box::new(end))
    }
}

impl Item {
    /// Whether the task only reads: it may run in check mode and on protected hosts.
    pub(crate) fn reads(&self, effect: Effect) -> bool {
        self.task.reads || effect == Effect::Reads
    }

    /// Whether it needs an intent: whatever may change a host does, but for a command that says
    /// literally `changed_when: false` and nothing else of itself.
    fn needs_intent(&self, effect: Effect) -> bool {
        let is_literal_false = matches!(
            self.task.changed_when.as_deref(),
            Some([Cond::Literal(false)])
        );
        let says_more = self.task.undo.is_some() || self.task.point_of_no_return.is_some();
        !self.reads(effect) && (!is_literal_false || says_more)
    }
}

impl Run {
    /// Looks at the host and decides. Nothing is changed by it.
    pub(crate) async fn plan_item(&self, item: &Item) -> Flow<Planned> {
        let began = self.port.now().millis;
        let mut planned = match self.try_plan(item).await? {
            Ok(planned) => planned,
            Err(Early::End(end)) => Planned::Ended(end),
            Err(Early::Problem(problem)) => {
                Planned::Ended(Box::new(self.problem_end(item, &problem)))
            }
        };
        if let Planned::Ended(end) = &mut planned {
            end.duration_ms = self.port.now().millis.saturating_sub(began);
            end.is_hidden = item.is_hidden;
        }
        Ok(planned)
    }

    /// A problem on the controller's side as the end of an item.
    pub(crate) fn problem_end(&self, item: &Item, problem: &Problem) -> ItemEnd {
        if problem.is_unknown && self.settings.is_check {
            let mut result = message(problem.message.clone());
            result.insert("_switchback_unknown".into(), Value::Bool(true));
            return ItemEnd::new(Status::Unknown, result);
        }
        let place = self.controller.place(item.task.span);
        let at = place.map(|p| format!(" (at {p})")).unwrap_or_default();
        ItemEnd::failed(format!("{}{at}", problem.message))
    }

    async fn try_plan(&self, item: &Item) -> Flow<Result<Planned, Early>> {
        let conditions = item.frame.conditions();
        match self.first_false(conditions, &item.view) {
            Ok(None) => {}
            Ok(Some(condition)) => return Ok(Err(ItemEnd::skipped(&condition).into())),
            Err(problem) => {
                let problem = problem.within("Task failed: Error while evaluating conditional");
                return Ok(Err(problem.into()));
            }
        }
        let Action::Module { name, args, .. } = &item.task.action else {
            return Ok(Err(Problem::new(
                "an include cannot be planned as a module",
            )
            .into()));
        };
        let args = match self.arguments(item, name, args) {
            Ok(args) => args,
            Err(problem) => return Ok(Err(problem.into())),
        };
        if super::action::is_action(name) {
            return Ok(self
                .act(item, name, &args)
                .await?
                .map(|end| Planned::Ended(Box::new(end))));
        }
        let Some(module) = crate::modules::find(name) else {
            return Ok(Err(
                Problem::new(format!("there is no module `{name}`")).into()
            ));
        };
        self.look(item, module, args).await
    }

    /// The rendered arguments: defaults of the module, `args:` as a whole, then each by name.
    fn arguments(
        &self,
        item: &Item,
        name: &str,
        args: &crate::model::Args,
    ) -> Result<Value, Problem> {
        let mut map = Map::new();
        for field in item.frame.fields(|k| &k.module_defaults) {
            let Some(Value::Map(defaults)) = self.controller.render(&field.value, &item.view)?
            else {
                continue;
            };
            for (key, value) in defaults.iter() {
                // Those of an inner level replace the outer ones of the module as a whole.
                if key.rsplit('.').next() == Some(name) {
                    map = value.as_map().cloned().unwrap_or_default();
                }
            }
        }
        if let Some(whole) = &args.whole {
            match self.controller.render(&whole.value, &item.view)? {
                Some(Value::Map(whole)) => map.extend((*whole).clone()),
                None | Some(Value::Null) => {}
                Some(other) => {
                    return Err(Problem::new(format!(
                        "Task failed: Finalization of task args for 'ansible.builtin.{name}' \
                         failed: `args` must be a mapping, found {}",
                        other.type_name()
                    )));
                }
            }
        }
        for (key, value) in &args.fields {
            // Conditions of `assert` are expressions, not templates.
            if name == "assert" && key == "that" || name == "debug" && key == "var" {
                map.insert(key.clone(), value.clone());
            } else if let Some(value) = self
                .controller
                .render(value, &item.view)
                .map_err(|problem| problem.within(&unresolved(name, key)))?
            {
                map.insert(key.clone(), value);
            } else {
                map.shift_remove(key);
            }
        }
        if name == "fetch" {
            map.insert("_inventory_hostname".into(), item.host.as_str().into());
        }
        Ok(Value::from(map))
    }

    async fn look(
        &self,
        item: &Item,
        module: &'static dyn AnyModule,
        args: Value,
    ) -> Flow<Result<Planned, Early>> {
        let prepared = match module.prepare(&args) {
            Ok(prepared) => prepared,
            Err(why) => return Ok(Err(refused_arguments(module, &args, &why).into())),
        };
        let (target, environment) = match self.where_and_how(item) {
            Ok(pair) => pair,
            Err(problem) => return Ok(Err(problem.into())),
        };
        let inputs = match self.resolve_inputs(item, prepared.as_ref(), &args).await? {
            Ok(inputs) => inputs,
            Err(early) => return Ok(Err(early)),
        };
        let probe = prepared.probe(&inputs);
        let mut seen = Vec::new();
        let mut next = probe.clone();
        loop {
            if let Some(script) = next.take() {
                let job = self.job(item, &with_environment(&environment, &script.sh), None);
                match self.port.trip(&target, job, None).await {
                    Ok(reply) => seen.push(reply),
                    Err(failed) => return Ok(Err(probe_failed(failed).into())),
                }
            }
            match prepared.decide(&inputs, &seen) {
                Err(failure) => {
                    let end = self.planned_end(item, &failure, &args);
                    return Ok(Err(end.unwrap_or_else(|| failure_end(failure)).into()));
                }
                Ok(Decision::Unchanged(outcome)) if module.name() == "setup" => {
                    return Ok(Ok(Planned::Ended(Box::new(setup_end(outcome)))));
                }
                Ok(Decision::Unchanged(mut outcome)) => {
                    if item.is_check {
                        foretell_in_words(&mut outcome.result);
                    }
                    return Ok(Ok(Planned::Ended(Box::new(outcome_end(outcome)))));
                }
                Ok(Decision::Ask(script)) => next = Some(script),
                Ok(Decision::Change(change)) => {
                    let ready = Ready {
                        module,
                        prepared,
                        inputs,
                        probe,
                        seen,
                        change,
                        target,
                        environment,
                        args,
                    };
                    return Ok(self.may_change(item, ready));
                }
            }
        }
    }

    /// Remembers in check mode what path a change would make.
    fn plan_path(&self, item: &Item, args: &Value) {
        let path = ["path", "dest", "name"]
            .iter()
            .find_map(|key| args.get(key))
            .and_then(Value::as_str);
        if let Some(path) = path {
            let planned = (item.host.clone(), path.trim_end_matches('/').to_owned());
            self.state.borrow_mut().planned_paths.insert(planned);
        }
    }

    /// In check mode, a failure for want of a path that an earlier task would have made is a
    /// change that would be made.
    fn planned_end(&self, item: &Item, failure: &Failure, args: &Value) -> Option<ItemEnd> {
        let missing = failure.misses.as_deref().filter(|_| item.is_check)?;
        let is_planned = {
            let state = self.state.borrow();
            std::path::Path::new(missing).ancestors().any(|path| {
                let path = path.display().to_string();
                state.planned_paths.contains(&(item.host.clone(), path))
            })
        };
        if is_planned {
            self.plan_path(item, args);
            let mut end = ItemEnd::new(Status::Changed, Map::new());
            end.summary = format!("in `{missing}`, which an earlier task would make");
            return Some(end);
        }
        // A command that check mode left out may be what makes it: nobody can tell.
        let is_unclear = self.state.borrow().has_left_out.contains(&item.host);
        is_unclear.then(|| {
            let why = "a command that check mode does not run may make it";
            ItemEnd::new(Status::Unknown, message(format!("{}; {why}", failure.msg)))
        })
    }

    /// Check mode and protection: whether the change may be made at all.
    fn may_change(&self, item: &Item, ready: Ready) -> Result<Planned, Early> {
        // A module that only reads the host may still write on the controller (`fetch`) or ask
        // another machine (`uri`): in check mode only `reads: true` runs.
        if item.is_check && !item.task.reads {
            self.plan_path(item, &ready.args);
            if matches!(ready.change.foretell, Foretell::Skipped(_)) {
                self.state
                    .borrow_mut()
                    .has_left_out
                    .insert(item.host.clone());
            }
            let mut end = foretold(&ready);
            self.tell_diff(item, &ready, &mut end);
            end.summary = self.redact(&end.summary);
            end.diff = end.diff.iter().map(|d| self.redact(d)).collect();
            return Err(end.into());
        }
        if let Some(refusal) = self.protection_refusal(item, &ready) {
            return Err(ItemEnd::failed(refusal).into());
        }
        Ok(Planned::Change(Box::new(ready)))
    }

    /// Target and environment of an item; a delegate's own connection variables count.
    fn where_and_how(&self, item: &Item) -> Result<(Target, Vec<(String, String)>), Problem> {
        let delegate = self.text(item.frame.keyword(|k| k.delegate_to.as_ref()), &item.view)?;
        let target = match delegate.as_deref() {
            Some(name) if name != item.host => {
                let mut view = self.host_view(name);
                view.search = item.view.search.clone();
                self.target(name, &view, &item.frame)?
            }
            _ => self.target(&item.host, &item.view, &item.frame)?,
        };
        self.note_secrets(&target);
        let mut environment: Vec<(String, String)> = Vec::new();
        for field in item.frame.fields(|k| &k.environment) {
            let rendered = self.controller.render(&field.value, &item.view)?;
            let maps = match rendered {
                Some(Value::Map(map)) => vec![map],
                Some(Value::List(items)) => items
                    .iter()
                    .filter_map(|v| match v {
                        Value::Map(m) => Some(m.clone()),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            for (name, value) in maps.iter().flat_map(|map| map.iter()) {
                let text = super::run::plain_text(value).unwrap_or_default();
                environment.retain(|(known, _)| known != name);
                environment.push((name.clone(), text));
            }
        }
        Ok((target, environment))
    }

    /// A file that is to be written on the controller, as it is now.
    async fn output(&self, item: &Item, path: &str) -> Resolved {
        let path = item.view.search.playbook.join(path);
        let kind = crate::modules::InputKind::Output;
        let found = self.port.read(path.clone(), kind).await;
        found.unwrap_or_else(|_| Resolved {
            path,
            ..Resolved::default()
        })
    }

    async fn resolve_inputs(
        &self,
        item: &Item,
        prepared: &dyn Prepared,
        args: &Value,
    ) -> Flow<Result<Vec<Resolved>, Early>> {
        let mut resolved = Vec::new();
        for input in prepared.inputs() {
            if input.kind == crate::modules::InputKind::Output {
                resolved.push(self.output(item, &input.path).await);
                continue;
            }
            let path = match self
                .controller
                .find_file(input.folder, &input.path, &item.view.search)
            {
                Ok(path) => path,
                Err(why) => return Ok(Err(ItemEnd::failed(why).into())),
            };
            let mut file = match self.port.read(path.clone(), input.kind).await {
                Ok(file) => file,
                Err(why) => return Ok(Err(ItemEnd::failed(why).into())),
            };
            if file.bytes.starts_with(b"$ANSIBLE_VAULT;")
                && args.get("decrypt").and_then(Value::to_bool) != Some(false)
            {
                let text = String::from_utf8_lossy(&file.bytes).into_owned();
                match self.controller.open_vault(&text) {
                    Ok(plain) => file.bytes = plain.into_bytes(),
                    Err(why) => return Ok(Err(ItemEnd::failed(why).into())),
                }
                file.size = file.bytes.len() as u64;
                file.sha1 = super::digest::sha1_hex(&file.bytes);
            }
            if input.kind == crate::modules::InputKind::Template {
                let text = String::from_utf8_lossy(&file.bytes).into_owned();
                match self.controller.render_file(&path, &text, args, &item.view) {
                    Ok(Value::Str(text)) => file.bytes = text.as_str().as_bytes().to_vec(),
                    Ok(_) => {}
                    Err(problem) => return Ok(Err(problem.into())),
                }
                file.size = file.bytes.len() as u64;
                file.sha1 = super::digest::sha1_hex(&file.bytes);
            }
            resolved.push(file);
        }
        Ok(Ok(resolved))
    }

    /// Makes a decided change: intent, acts, finish. `None`: the host has moved since it was looked
    /// at, so it must be planned again.
    pub(crate) async fn carry_out(&self, item: &Item, ready: &Ready) -> Flow<Option<ItemEnd>> {
        let began = self.port.now().millis;
        let effect = ready.effect();
        let mut attempt = if item.needs_intent(effect) && !item.is_check {
            Some(self.declare(item, ready).await?)
        } else {
            None
        };
        let mut replies = Vec::new();
        let mut end = match self.apply(item, ready, attempt, &mut replies).await {
            Applied::Moved => {
                self.withdraw(attempt).await?;
                return Ok(None);
            }
            // Nothing was sent, so the intent has no undo and seals nothing.
            Applied::Failed(Failed::Unreachable { reason, help }) if replies.is_empty() => {
                self.withdraw(attempt.take()).await?;
                unreachable_end(&reason, help.as_deref())
            }
            Applied::Failed(failed) => apply_failed(failed, &replies),
            Applied::Refused(why) => ItemEnd::failed(why),
            Applied::Done => {
                let finish =
                    ready
                        .prepared
                        .finish(&ready.inputs, &ready.seen, &ready.change, &replies);
                match finish {
                    Ok(outcome) => outcome_end(outcome),
                    Err(failure) => failure_end(failure),
                }
            }
        };
        let took = self.port.now().millis.saturating_sub(began);
        if matches!(ready.module.name(), "command" | "shell") && end.status != Status::Lost {
            end.result.extend(self.times(took));
        }
        end.duration_ms = took;
        end.attempt = attempt;
        end.module_changed = end.status != Status::Ok && end.status != Status::Skipped;
        end.is_hidden = item.is_hidden;
        self.tell_diff(item, ready, &mut end);
        end.summary = self.redact(&ready.change.summary);
        end.diff = ready.diffs().iter().map(|d| self.redact(d)).collect();
        Ok(Some(end))
    }

    /// Takes an intent back whose attempt provably never started.
    async fn withdraw(&self, attempt: Option<u64>) -> Flow<()> {
        let Some(attempt) = attempt else {
            return Ok(());
        };
        {
            let mut state = self.state.borrow_mut();
            state.undo_depth = state.undo_depth.saturating_sub(1);
        }
        self.record(vec![Record::NeverStarted { attempt }], true)
            .await
    }

    /// `start`, `end` and `delta` of a command, by the controller's clock: the host is not asked
    /// for its own.
    fn times(&self, took_ms: u64) -> Map {
        let end = self.port.now().wall;
        let start = end - chrono::Duration::milliseconds(i64::try_from(took_ms).unwrap_or(0));
        let shown = |at: chrono::DateTime<chrono::Utc>| {
            Value::from(at.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        };
        let seconds = took_ms / 1000;
        let delta = format!(
            "{}:{:02}:{:02}.{:06}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            took_ms % 1000 * 1000
        );
        Map::from([
            ("start".to_owned(), shown(start)),
            ("end".to_owned(), shown(end)),
            ("delta".to_owned(), delta.into()),
        ])
    }

    async fn apply(
        &self,
        item: &Item,
        ready: &Ready,
        attempt: Option<u64>,
        replies: &mut Vec<Reply>,
    ) -> Applied {
        for (index, act) in ready.change.acts.iter().enumerate() {
            let guard = (index == 0).then(|| ready.guard()).flatten();
            let prefix = self.act_prefix(attempt.unwrap_or(0));
            let result = match act {
                Act::Script { script, on } => {
                    let sh =
                        with_environment(&ready.environment, &format!("{prefix}{}", script.sh));
                    let sh = guarded(guard.as_deref(), &sh);
                    let target = match self.act_target(item, ready, on.as_deref()) {
                        Ok(target) => target,
                        Err(problem) => return Applied::Refused(problem.message),
                    };
                    self.port
                        .trip(&target, self.job(item, &sh, None), Self::live(item, ready))
                        .await
                }
                Act::Stream { script, source } => {
                    let sh =
                        with_environment(&ready.environment, &format!("{prefix}{}", script.sh));
                    let sh = guarded(guard.as_deref(), &sh);
                    let job = self.job(item, &sh, Some(source.clone()));
                    self.port.trip(&ready.target, job, None).await
                }
                Act::Save { path, reply } => {
                    let all: Vec<&Reply> = ready.seen.iter().chain(replies.iter()).collect();
                    let bytes = all
                        .get(*reply)
                        .map(|r| r.body().to_vec())
                        .unwrap_or_default();
                    match self.port.write(path.into(), bytes).await {
                        Ok(()) => Ok(Reply::default()),
                        Err(why) => return Applied::Refused(why),
                    }
                }
                Act::Reconnect { timeout_s } => {
                    self.port.reconnect(&ready.target, *timeout_s).await
                }
            };
            match result {
                Err(failed) => return Applied::Failed(failed),
                Ok(reply) if guard.is_some() && reply.rc == MOVED && is_moved(&reply) => {
                    return Applied::Moved;
                }
                Ok(reply) => {
                    let rc = reply.rc;
                    replies.push(reply);
                    if rc != 0 {
                        break;
                    }
                }
            }
        }
        Applied::Done
    }

    fn act_target(&self, item: &Item, ready: &Ready, on: Option<&str>) -> Result<Target, Problem> {
        match on {
            None => Ok(ready.target.clone()),
            Some(host) => self.target(host, &self.host_view(host), &item.frame),
        }
    }

    /// Variables that every act's script may use: `$SB_KEEP` is where before-images of this attempt
    /// are kept on the host.
    pub(crate) fn act_prefix(&self, attempt: u64) -> String {
        format!("SB_KEEP=$SB_SPOOL/keep/{}/{attempt}\n", self.settings.run)
    }

    pub(crate) fn job(&self, item: &Item, sh: &str, input: Option<Source>) -> Job {
        let timeout = self
            .number(item.frame.keyword(|k| k.timeout.as_ref()), &item.view)
            .ok()
            .flatten()
            .filter(|seconds| *seconds > 0)
            .map(|seconds| std::time::Duration::from_secs(seconds.unsigned_abs()));
        Job {
            script: Script::new(sh),
            input,
            timeout,
        }
    }

    /// Output is shown live where it is a person's command, or where it takes long.
    fn live(item: &Item, ready: &Ready) -> Option<Live> {
        let is_shown = ready.effect() == Effect::Once || ready.module.is_long();
        is_shown.then(|| Live {
            host: item.host.clone(),
            step: item.task.id.clone(),
            progress: item.task.progress.clone(),
            is_hidden: item.is_hidden,
        })
    }
}

/// What sending the acts came to.
enum Applied {
    Done,
    Moved,
    Failed(Failed),
    Refused(String),
}

/// Exit status and mark of an apply that found the host moved.
const MOVED: i32 = 93;
const MOVED_MARK: &str = "switchback: the host has changed since it was looked at";
/// Probe replies up to this size are compared as they are, larger ones by `cksum`.
const COMPARED_LITERALLY_MAX: usize = 2048;

fn is_moved(reply: &Reply) -> bool {
    reply.stderr_text().contains(MOVED_MARK)
}

/// The part of a field's name after its last dot.
fn field_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, field)| field)
}

/// What `sb_stat` writes where `SB_atime` is `-`: its fields with the times of access left out.
fn without_access_times(reply: &[u8]) -> Vec<u8> {
    const ATIME: usize = 11;
    const NUMBERS: usize = 14;
    let end = reply.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = reply.split_at(end.unwrap_or(reply.len()));
    let Ok(head) = std::str::from_utf8(head) else {
        return reply.to_vec();
    };
    let masked: Vec<String> = head
        .split('\n')
        .map(|line| match line.split_once('=') {
            Some((name, value)) if field_of(name) == "stat" => {
                let mut numbers: Vec<&str> = value.split(' ').collect();
                if numbers.len() == NUMBERS {
                    numbers[ATIME] = "-";
                }
                format!("{name}={}", numbers.join(" "))
            }
            Some((name, value)) if field_of(name) == "times" => {
                let rest = value.split_once('|').map_or(value, |(_, rest)| rest);
                format!("{name}=-|{rest}")
            }
            _ => line.to_owned(),
        })
        .collect();
    [masked.join("\n").as_bytes(), body].concat()
}

fn guarded(guard: Option<&str>, sh: &str) -> String {
    match guard {
        None => sh.to_owned(),
        Some(guard) => format!("{guard}\n{sh}"),
    }
}

impl Ready {
    /// The shell text that compares what is there now with what the probe saw.
    fn guard(&self) -> Option<String> {
        let (probe, seen) = (self.probe.as_ref()?, self.seen.first()?);
        let mut probe = with_environment(&self.environment, &probe.sh);
        // Looking at a file is itself an access to it.
        let seen = without_access_times(&seen.stdout);
        let mut seen = seen.as_slice();
        if self.prepared.compares() == Compares::Fields {
            let end = seen.windows(2).position(|pair| pair == b"\n\n");
            seen = &seen[..end.map_or(seen.len(), |end| end + 2)];
            probe = format!("({probe}\n) | sed '/^$/q'");
        }
        let is_short = seen.len() <= COMPARED_LITERALLY_MAX && !seen.contains(&0);
        let text = std::str::from_utf8(seen).ok().filter(|_| is_short);
        let refuse = format!("{{ echo '{MOVED_MARK}' >&2; exit {MOVED}; }}");
        Some(if let Some(text) = text {
            // A command substitution drops trailing newlines; the dot keeps them.
            let expected = crate::script::quote(&format!("{text}."));
            let probe = format!("SB_atime=-\n{probe}");
            format!(
                "[ \"$( ({probe}\n) </dev/null 2>/dev/null; printf . )\" = {expected} ] || {refuse}"
            )
        } else {
            let expected = super::digest::cksum(seen);
            let probe = format!("SB_atime=-\n{probe}");
            format!(
                "[ \"$( ({probe}\n) </dev/null 2>/dev/null | cksum )\" = '{expected}' ] || {refuse}"
            )
        })
    }

    /// What running it again would mean.
    pub(crate) fn effect(&self) -> Effect {
        self.prepared.effect()
    }

    /// Unified diffs of the change.
    pub(crate) fn diffs(&self) -> Vec<String> {
        self.change
            .diff
            .iter()
            .map(crate::modules::Diff::unified)
            .filter(|d| !d.is_empty())
            .collect()
    }
}

/// A script with the task's environment set before it.
pub(crate) fn with_environment(environment: &[(String, String)], sh: &str) -> String {
    let mut text = String::new();
    for (name, value) in environment {
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.as_bytes()[0].is_ascii_digit();
        if is_name {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "export {name}={}", crate::script::quote(value));
        }
    }
    text.push_str(sh);
    text
}

/// How Ansible begins when an argument cannot be rendered.
fn unresolved(module: &str, key: &str) -> String {
    format!(
        "Task failed: Finalization of task args for 'ansible.builtin.{module}' failed: Error \
         while resolving value for '{key}'"
    )
}

/// Arguments that a module does not take, in Ansible's words.
fn refused_arguments(module: &dyn AnyModule, args: &Value, why: &str) -> ItemEnd {
    let known = module.arg_names();
    let unknown: Vec<&str> = args
        .as_map()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .filter(|key| !known.contains(key) && *key != "_raw_params")
        .collect();
    let name = module.name();
    let missing = why
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    ItemEnd::failed(match missing {
        _ if !unknown.is_empty() => {
            let mut known: Vec<&str> = known
                .iter()
                .copied()
                .filter(|k| !k.starts_with('_'))
                .collect();
            known.sort_unstable();
            format!(
                "Unsupported parameters for ({name}) module: {}. Supported parameters include: {}.",
                unknown.join(", "),
                known.join(", ")
            )
        }
        Some(missing) => format!("missing required arguments: {missing}"),
        None => format!("{name}: {why}"),
    })
}

fn foretold(ready: &Ready) -> ItemEnd {
    let mut end = match &ready.change.foretell {
        Foretell::Changed(result) => ItemEnd::new(Status::Changed, result.clone()),
        Foretell::Skipped(msg) => {
            let mut result = message(msg.clone());
            if matches!(ready.module.name(), "command" | "shell") {
                result.extend(never_run(ready));
            }
            result.insert("_switchback_unknown".into(), Value::Bool(true));
            ItemEnd::new(Status::Skipped, result)
        }
    };
    end.summary.clone_from(&ready.change.summary);
    end.diff = ready.diffs();
    end
}

/// In check mode a command that `creates` or `removes` rules out "would not" run.
fn foretell_in_words(result: &mut Map) {
    let msg = result.get("msg").and_then(Value::as_str);
    let rest = msg.and_then(|msg| msg.strip_prefix("Did not run command"));
    if let Some(rest) = rest {
        let msg = format!("Would not run command{rest}");
        result.insert("msg".into(), msg.into());
    }
}

/// What a skipped command registers besides (ansible-core 2.19, `modules/command.py`).
fn never_run(ready: &Ready) -> Map {
    let args = &ready.args;
    let cmd = ["argv", "_raw_params", "cmd"]
        .iter()
        .find_map(|key| args.get(key))
        .cloned()
        .unwrap_or_default();
    let cmd = match (&cmd, ready.module.name()) {
        (Value::Str(text), "command") => match shlex::split(text.as_str()) {
            Some(words) => Value::from(words.into_iter().map(Value::from).collect::<Vec<_>>()),
            None => cmd,
        },
        _ => cmd,
    };
    let empty = || Value::from(Vec::new());
    Map::from([
        ("cmd".to_owned(), cmd),
        ("rc".to_owned(), Value::Int(0)),
        ("stdout".to_owned(), "".into()),
        ("stdout_lines".to_owned(), empty()),
        ("stderr".to_owned(), "".into()),
        ("stderr_lines".to_owned(), empty()),
        ("start".to_owned(), Value::Null),
        ("end".to_owned(), Value::Null),
        ("delta".to_owned(), Value::Null),
    ])
}

pub(crate) fn outcome_end(outcome: Outcome) -> ItemEnd {
    let status = match (&outcome.skipped, outcome.is_changed) {
        (Some(_), _) => Status::Skipped,
        (None, true) => Status::Changed,
        (None, false) => Status::Ok,
    };
    let mut result = outcome.result;
    if let Some(why) = outcome.skipped {
        result.entry("msg".into()).or_insert_with(|| why.into());
    }
    if !outcome.facts.is_empty() {
        result.insert("ansible_facts".into(), Value::from(outcome.facts.clone()));
    }
    let mut end = ItemEnd::new(status, result);
    end.facts = outcome.facts;
    end
}

/// The end of `setup`: `register` sees the facts with their prefix, as Ansible's module gives them.
fn setup_end(outcome: Outcome) -> ItemEnd {
    let prefixed = outcome.facts.iter().map(|(key, value)| {
        let is_bare = matches!(key.as_str(), "gather_subset" | "module_setup");
        let lead = if is_bare { "" } else { "ansible_" };
        (format!("{lead}{key}"), value.clone())
    });
    let facts = Value::from(prefixed.collect::<Map>());
    let mut end = outcome_end(outcome);
    end.result.insert("ansible_facts".into(), facts);
    end
}

pub(crate) fn failure_end(failure: Failure) -> ItemEnd {
    let mut result = failure.result;
    result.insert("msg".into(), failure.msg.into());
    result.insert("changed".into(), failure.is_changed.into());
    ItemEnd::new(Status::Failed, result)
}

/// A probe changes nothing, so losing it means only that the host cannot be reached.
fn probe_failed(failed: Failed) -> ItemEnd {
    let (reason, help) = match failed {
        Failed::Unreachable { reason, help } => (reason, help),
        Failed::Lost { reason } => (reason, None),
    };
    unreachable_end(&reason, help.as_deref())
}

fn apply_failed(failed: Failed, replies: &[Reply]) -> ItemEnd {
    match failed {
        Failed::Unreachable { reason, help } if replies.is_empty() => {
            unreachable_end(&reason, help.as_deref())
        }
        Failed::Unreachable { reason, .. } | Failed::Lost { reason } => ItemEnd::new(
            Status::Lost,
            message(format!("the reply was lost, it may have run: {reason}")),
        ),
    }
}

pub(crate) fn unreachable_end(reason: &str, help: Option<&str>) -> ItemEnd {
    let help = help.map(|h| format!("; {h}")).unwrap_or_default();
    ItemEnd::new(Status::Unreachable, message(format!("{reason}{help}")))
}
