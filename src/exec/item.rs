//! The first half of an item's life on one host: look and decide.
//!
//! Invariant: nothing in here changes a host; in check mode an item ends here.

use std::fmt::Write as _;
use std::rc::Rc;

use super::controller::{Problem, View};
use super::decide::Looking;
use super::end::{ItemEnd, message, unreachable_end};
use super::foretell::foretold;
use super::frame::Frame;
use super::halt::{Flow, Halt};
use super::job::{self, Async};
use super::refused::{refused_arguments, unresolved};
use super::run::Run;
use super::secrets::hide_secret_lines;
use super::synchronize::SYNCHRONIZE;
use crate::event::Status;
use crate::journal::Instance;
use crate::model::{Action, Cond, Task, UndoSpec};
use crate::modules::{
    AnyModule, CHECK_WARNINGS, Change, Decision, Effect, Foretell, Outcome, Prepared, Resolved,
};
use crate::script::{Reply, Script};
use crate::transport::{Failed, Target};
use crate::value::{Map, Value};

/// `-v`, how often, from which on results tell the arguments of their module.
const INVOCATION_VERBOSITY: u8 = 3;

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
    pub(super) prepared: Box<dyn Prepared>,
    pub(super) inputs: Vec<Resolved>,
    pub(super) probe: Option<Script>,
    pub(super) seen: Vec<Reply>,
    pub(crate) change: Change,
    pub(crate) target: Target,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) args: Value,
    /// What `async` and `poll` say, where it is a job.
    pub(super) job: Option<Async>,
    /// What the module said of a job that has nothing to do.
    pub(super) settled: Option<Outcome>,
}

/// Why an item ends early, on the way to a decision.
pub(crate) enum Early {
    End(Box<ItemEnd>),
    Problem(Problem),
    /// A protected host would be changed.
    Refused(String),
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

    /// The undo that the playbook gives: that of a block around it before its own.
    pub(crate) fn undo(&self) -> Option<&UndoSpec> {
        match self.frame.undo() {
            Some((_, undo)) => Some(undo),
            None => self.task.undo.as_ref(),
        }
    }

    /// Whether it needs an intent: whatever may change a host does, but for a command that says
    /// literally `changed_when: false` and nothing else of itself.
    pub(super) fn needs_intent(&self, effect: Effect) -> bool {
        let is_literal_false = matches!(
            self.task.changed_when.as_deref(),
            Some([Cond::Literal(false)])
        );
        let says_more = self.undo().is_some() || self.task.point_of_no_return.is_some();
        let wants_job = self.task.r#async.as_ref();
        let is_job = wants_job.is_some_and(|field| field.value.as_int() != Some(0));
        is_job || !self.reads(effect) && (!is_literal_false || says_more)
    }
}

impl Run {
    /// Looks at the host and decides. Nothing is changed by it.
    pub(crate) async fn plan_item(&self, item: &Item) -> Flow<Planned> {
        let began = self.port.now().millis;
        let mut planned = match self.try_plan(item).await? {
            Ok(planned) => planned,
            Err(Early::End(end)) => Planned::Ended(end),
            Err(Early::Refused(why)) => return Err(Halt::Refused(why)),
            Err(Early::Problem(problem)) => {
                Planned::Ended(Box::new(self.problem_end(item, &problem)))
            }
        };
        if let Planned::Ended(end) = &mut planned {
            let warnings = end.result.shift_remove(CHECK_WARNINGS);
            if let Some(warnings) = warnings.filter(|_| item.is_check) {
                end.result.insert("warnings".into(), warnings);
            }
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
        if let Err(problem) = self.check_keywords(item) {
            return Ok(Err(problem.into()));
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
        self.note_arguments(&args);
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
        let shown = self.invocation(&args);
        let mut looked = match self.look(item, module, args).await? {
            Ok(Planned::Ended(end)) => Ok(Planned::Ended(Box::new(self.foretell_job(item, *end)))),
            Err(Early::End(end)) => Err(Early::End(Box::new(self.foretell_job(item, *end)))),
            other => other,
        };
        if let Ok(Planned::Ended(end)) | Err(Early::End(end)) = &mut looked {
            end.invocation = shown.filter(|_| end.status != Status::Unreachable);
        }
        Ok(looked)
    }

    /// The arguments as listeners see them, where they want to.
    pub(super) fn invocation(&self, args: &Value) -> Option<Value> {
        (self.settings.verbosity >= INVOCATION_VERBOSITY).then(|| args.clone())
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
                if key.rsplit('.').next() == Some(item.task.action.name()) {
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
        if name == crate::modules::LIBRARY_MODULE
            && let Some(python) = self.python_of(item)?
        {
            map.insert("_python".into(), python.into());
        }
        if name == SYNCHRONIZE {
            self.complete_synchronize(item, &mut map)?;
        }
        Ok(Value::from(map))
    }

    /// The host's Python, where its variables name one.
    fn python_of(&self, item: &Item) -> Result<Option<String>, Problem> {
        let named = item.view.scope.get("ansible_python_interpreter").cloned();
        let Some(named) = named else { return Ok(None) };
        let python = self.controller.render(&named, &item.view)?;
        let python = python.as_ref().and_then(super::run::plain_text);
        // `auto`, `auto_silent` and their like leave the choice to Ansible.
        Ok(python.filter(|path| path.starts_with('/')))
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
        let (target, environment) = match self.place(item, module.name(), &args) {
            Ok(pair) => pair,
            Err(problem) => return Ok(Err(problem.into())),
        };
        let job = match self.async_of(item) {
            Ok(job) => job.filter(|_| !item.is_check),
            Err(problem) => return Ok(Err(problem.into())),
        };
        // The first contact of a step that may change something takes the lock of the host.
        if !item.is_check
            && !item.reads(prepared.effect())
            && let Err(end) = self.ground(&target).await?
        {
            return Ok(Err((*end).into()));
        }
        let inputs = match self.resolve_inputs(item, prepared.as_ref(), &args).await? {
            Ok(inputs) => inputs,
            Err(early) => return Ok(Err(early)),
        };
        let probe = prepared.probe(&inputs);
        let looking = Looking {
            item,
            module,
            prepared: prepared.as_ref(),
            inputs: &inputs,
            target: &target,
            environment: &environment,
            args: &args,
            is_job: job.is_some(),
        };
        let (seen, change, settled) = match self.decide(&looking, probe.clone()).await {
            Ok(decided) => decided,
            Err(early) => return Ok(Err(early)),
        };
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
            job,
            settled,
        };
        if let Some(why) = ready.no_job().filter(|_| !item.is_check) {
            return Ok(Err(ItemEnd::failed(why).into()));
        }
        Ok(self.may_change(item, ready))
    }

    /// The change that was decided when the probe saw this; none where that cannot be had again.
    pub(super) async fn plan_as_seen(
        &self,
        item: &Item,
        probed: Option<&[(i32, String)]>,
    ) -> Flow<Option<Ready>> {
        let (Some(probed), Action::Module { name, args, .. }) = (probed, &item.task.action) else {
            return Ok(None);
        };
        let (Ok(args), Some(module)) =
            (self.arguments(item, name, args), crate::modules::find(name))
        else {
            return Ok(None);
        };
        let (Ok(prepared), Ok((target, environment))) =
            (module.prepare(&args), self.where_and_how(item))
        else {
            return Ok(None);
        };
        let Ok(inputs) = self.resolve_inputs(item, prepared.as_ref(), &args).await? else {
            return Ok(None);
        };
        let seen: Vec<Reply> = probed
            .iter()
            .map(|(rc, stdout)| Reply {
                rc: *rc,
                stdout: stdout.clone().into_bytes(),
                stderr: Vec::new(),
            })
            .collect();
        let job = self.async_of(item).ok().flatten();
        let (mut change, settled) = match prepared.decide(&inputs, &seen) {
            Ok(Decision::Change(change)) => (change, None),
            Ok(Decision::Unchanged(outcome)) if job.is_some() => {
                (job::nothing_to_do(), Some(outcome))
            }
            _ => return Ok(None),
        };
        hide_secret_lines(&mut change, &inputs, &args);
        let probe = prepared.probe(&inputs);
        Ok(Some(Ready {
            module,
            prepared,
            inputs,
            probe,
            seen,
            change,
            target,
            environment,
            args,
            job,
            settled,
        }))
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
            // Neither the host nor the task has failed, so no `rescue`, `ignore_errors` or failure
            // prompt sees it: the run stops before the step.
            return Err(Early::Refused(refusal));
        }
        Ok(Planned::Change(Box::new(ready)))
    }

    /// Target and environment of an item; a delegate's own connection variables count.
    pub(super) fn where_and_how(
        &self,
        item: &Item,
    ) -> Result<(Target, Vec<(String, String)>), Problem> {
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
                self.note_value(value);
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
                    Ok(Value::Str(rendered)) => {
                        file.bytes = rendered.as_str().as_bytes().to_vec();
                        file.secret_of = rendered.is_secret().then_some(text);
                    }
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
}

impl Ready {
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

/// A probe changes nothing, so losing it means only that the host cannot be reached.
pub(super) fn probe_failed(failed: Failed) -> ItemEnd {
    let (reason, help) = match failed {
        Failed::Unreachable { reason, help } => (reason, help),
        Failed::Lost { reason } => (reason, None),
    };
    unreachable_end(&reason, help.as_deref())
}
