//! What keeps a change safe: protection of reserves, conditions, guards, the journal's intents.

use super::ask::Question;
use super::controller::View;
use super::end::ItemEnd;
use super::halt::Flow;
use super::item::{Item, Planned, Ready};
use super::run::Run;
use super::task::TaskRun;
use crate::event::{Event, Status};
use crate::journal::{Instance, Record, UndoRecord};
use crate::model::{Action, Condition, Keywords, Seal, StepId, Task, UndoSpec};
use crate::modules::{Act, Undo};
use crate::transport::BecomeMethod;
use crate::value::{Map, Value};

impl Run {
    /// Why a change may not be made on a protected host; `None` where it may.
    pub(crate) fn protection_refusal(&self, item: &Item, ready: &Ready) -> Option<String> {
        let acted_on = ready.change.acts.iter().filter_map(|act| match act {
            Act::Script { on: Some(host), .. } => Some(host.as_str()),
            _ => None,
        });
        let state = self.state.borrow();
        let protected = std::iter::once(ready.target.host.as_str())
            .chain(acted_on)
            .find(|h| state.protected.contains(*h) && !state.replay.released.contains(*h))?;
        let has_undo = match item.undo() {
            Some(UndoSpec::Tasks(_)) => true,
            Some(UndoSpec::Keep) => false,
            None => matches!(ready.change.undo, Undo::Acts { .. } | Undo::NotNeeded),
        };
        if item.reads(ready.effect()) || has_undo || state.is_undoing {
            return None;
        }
        Some(format!(
            "`{protected}` is protected by the change: only steps that read (`reads: true`, \
             read-only modules) or can be undone (`undo:`) run on it; release it with `switchback \
             release {} {protected}` or by a way back that names it",
            self.settings.run
        ))
    }

    /// A new attempt's number and the record of its intent, which must be on disk before anything
    /// of it is sent.
    pub(crate) fn intent(&self, item: &Item, ready: &Ready) -> (u64, Record) {
        let attempt = {
            let mut state = self.state.borrow_mut();
            state.replay.next_attempt += 1;
            state.undo_depth += 1;
            state.replay.next_attempt
        };
        let user = ready.target.become_user.as_ref();
        let undo = self.sealed_undo(item, self.undo_record(item, ready));
        let record = Record::Intent {
            attempt,
            instance: item.instance.clone(),
            name: item
                .task
                .keywords
                .name
                .as_ref()
                .and_then(|f| super::run::plain_text(&f.value))
                .unwrap_or_default(),
            module: ready.module.name().to_owned(),
            acts_on: ready.target.host.clone(),
            become_user: user.map(|b| b.user.clone()),
            become_method: user.map(|b| method_name(b.method).to_owned()),
            converges: ready.effect() != crate::modules::Effect::Once,
            is_durable: ready.is_durable(0),
            summary: if item.is_hidden {
                String::new()
            } else {
                self.redact(&ready.change.summary)
            },
            tags: item.frame.tags(),
            is_point: item.task.point_of_no_return.is_some(),
            seals: item
                .task
                .point_of_no_return
                .as_ref()
                .map_or_else(Vec::<Seal>::new, |p| p.seals.clone()),
            notifies: self.notified_by(item),
            block: item.frame.undo().map(|(block, _)| block.clone()),
            is_hidden: item.is_hidden || matches!(undo, UndoRecord::Sealed { .. }),
            undo,
            at: self.port.now().wall,
        };
        (attempt, record)
    }

    fn undo_record(&self, item: &Item, ready: &Ready) -> UndoRecord {
        // Undoing is not itself put on the stack: the entry that it takes back says how it ended.
        if self.state.borrow().is_undoing {
            return UndoRecord::NotNeeded;
        }
        match (item.undo(), &ready.change.undo) {
            (Some(UndoSpec::Keep), _) => UndoRecord::Keep,
            (Some(UndoSpec::Tasks(items)), _) => UndoRecord::Tasks {
                summary: format!("undo tasks of `{}`", item.task.id),
                items: items.clone(),
                vars: self.snapshot(items, &item.view),
            },
            (None, Undo::Acts { summary, acts }) => UndoRecord::Acts {
                summary: summary.clone(),
                acts: acts.clone(),
            },
            (None, Undo::Unknown(why)) => UndoRecord::Unknown {
                why: (*why).to_owned(),
            },
            (None, Undo::NotNeeded) => UndoRecord::NotNeeded,
        }
    }

    /// The variables that undo tasks mention, as they are now. Facts are left out: they are read
    /// live. What a variable's own templates mention comes along.
    fn snapshot(&self, items: &[crate::model::Item], view: &View) -> Map {
        let text = serde_json::to_value(items)
            .map(Value::from_json)
            .unwrap_or_default();
        let mut vars = Map::new();
        let mut names = mentioned(&text);
        while let Some(name) = names.pop() {
            if vars.contains_key(&name) || name.starts_with("ansible_") {
                continue;
            }
            let Some(raw) = view.scope.get(&name) else {
                continue;
            };
            if matches!(
                name.as_str(),
                "groups" | "hostvars" | "inventory_hostname" | "play_hosts"
            ) {
                continue;
            }
            let rendered = self.controller.render(raw, view).ok().flatten();
            vars.insert(name, rendered.unwrap_or_else(|| raw.clone()));
        }
        vars
    }

    /// Checks a condition on its hosts: name with host, whether it holds, what was seen. With
    /// `at_least` it is one line for all of them.
    pub(crate) async fn check_condition(
        &self,
        condition: &Condition,
        default_hosts: &[String],
        view: &View,
    ) -> Flow<Vec<(String, bool, String)>> {
        let found = self.check_in_full(condition, default_hosts, view).await?;
        Ok(found
            .into_iter()
            .map(|found| (found.name, found.holds, found.seen))
            .collect())
    }

    /// Like [`Self::check_condition`], and whether each answer is one.
    pub(crate) async fn check_in_full(
        &self,
        condition: &Condition,
        default_hosts: &[String],
        view: &View,
    ) -> Flow<Vec<Checked>> {
        let unclear = |seen: String| {
            vec![Checked {
                name: condition.name.clone(),
                seen,
                ..Checked::default()
            }]
        };
        let hosts = match &condition.hosts {
            None => default_hosts.to_vec(),
            Some(field) => match self.pattern_hosts(field, view) {
                Ok(hosts) => hosts,
                Err(problem) => return Ok(unclear(problem.message)),
            },
        };
        if hosts.is_empty() {
            return Ok(unclear("no host to ask".to_owned()));
        }
        let checks = hosts.iter().map(|host| self.check_on(condition, host));
        let results = futures_util::future::join_all(checks).await;
        let mut found = Vec::new();
        let mut held = Vec::new();
        for (host, result) in hosts.iter().zip(results) {
            let mut checked = result?;
            self.port.emit(Event::Checked {
                name: condition.name.clone(),
                host: Some(host.clone()),
                holds: checked.holds,
                seen: checked.seen.clone(),
            });
            if checked.holds {
                held.push(host.clone());
            }
            checked.name = if hosts.len() > 1 {
                format!("{} ({host})", condition.name)
            } else {
                condition.name.clone()
            };
            found.push(checked);
        }
        let Some(at_least) = condition.at_least else {
            return Ok(found);
        };
        let seen = if held.is_empty() {
            format!("on none of {}", hosts.join(", "))
        } else {
            format!("on {}", held.join(", "))
        };
        let name = format!("{} (on {at_least} or more hosts)", condition.name);
        let holds = held.len() >= at_least as usize;
        // Who gave no answer may be one of those that are wanted.
        let is_clear = holds || found.iter().all(|checked| checked.is_clear);
        Ok(vec![Checked {
            name,
            holds,
            seen,
            is_clear,
        }])
    }

    async fn check_on(&self, condition: &Condition, host: &str) -> Flow<Checked> {
        let task = condition_task(condition);
        let frame = self.state.borrow().play.frame.clone();
        let frame = frame.unwrap_or_else(|| super::frame::Frame::play(&Keywords::default()));
        let frame = frame.inner(&task.keywords);
        let mut view = self.task_view(host, &task, &frame);
        let mut seen = "ok".to_owned();
        let mut is_clear = true;
        if condition.module.is_some() {
            let end = self.ask_host(task, frame, host, &view).await?;
            seen = glimpse(&end);
            // 0 is yes and 1 is no; anything else is no answer.
            is_clear = matches!(end.status, Status::Ok | Status::Changed | Status::Failed)
                && end
                    .result
                    .get("rc")
                    .is_none_or(|rc| matches!(rc, Value::Int(0 | 1)));
            if !matches!(end.status, Status::Ok | Status::Changed) && condition.that.is_empty()
                || matches!(end.status, Status::Unreachable | Status::Lost)
            {
                return Ok(Checked {
                    seen,
                    is_clear,
                    ..Checked::default()
                });
            }
            let mut layer = end.result.clone();
            layer.insert("result".into(), end.value());
            view = view.with(layer);
        }
        is_clear |= !condition.that.is_empty();
        let (holds, seen) = match self.first_false(&condition.that, &view) {
            Ok(None) => (true, seen),
            Ok(Some(unmet)) => (false, format!("`{unmet}` is false; {seen}")),
            Err(problem) => {
                is_clear = false;
                (false, problem.message)
            }
        };
        Ok(Checked {
            holds,
            seen,
            is_clear,
            ..Checked::default()
        })
    }

    /// Runs the question of a condition on a host.
    async fn ask_host(
        &self,
        task: Task,
        frame: std::rc::Rc<super::frame::Frame>,
        host: &str,
        view: &View,
    ) -> Flow<ItemEnd> {
        let item = Item {
            instance: Instance {
                step: task.id.clone(),
                host: host.to_owned(),
                batch: 0,
                item: None,
                occurrence: 0,
            },
            task: std::rc::Rc::new(task),
            frame,
            host: host.to_owned(),
            view: view.clone(),
            is_check: false,
            is_hidden: false,
        };
        Ok(match self.plan_item(&item).await? {
            Planned::Ended(end) => *end,
            Planned::Change(ready) => self
                .carry_out(&item, &ready)
                .await?
                .unwrap_or_else(|| ItemEnd::failed("the host changed while it was looked at")),
        })
    }

    /// Health checks after a task: where one does not hold, the run pauses.
    pub(crate) async fn check_guards(&self, run: &TaskRun) -> Flow<()> {
        let guards = self.state.borrow().guards.clone();
        if guards.is_empty() || run.task.reads || self.settings.is_check {
            return Ok(());
        }
        let hosts = self.state.borrow().play.batch.clone();
        let view = self.host_view("localhost");
        for guard in &guards {
            for (name, holds, seen) in self.check_condition(guard, &hosts, &view).await? {
                if !holds {
                    let why = format!("guard `{name}` does not hold: {seen}");
                    let question = self.pause_question(&why, "the next task");
                    self.ask(Question::Pause(Box::new(question))).await?;
                }
            }
        }
        Ok(())
    }
}

/// What checking a condition on one host came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    name: String,
    pub(crate) holds: bool,
    pub(crate) seen: String,
    /// Whether this is an answer; else the host gave none that can be read.
    pub(crate) is_clear: bool,
}

/// What was seen, in one line.
fn glimpse(end: &ItemEnd) -> String {
    let text = |key: &str| {
        end.result
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    [text("stdout"), text("msg"), text("stderr")]
        .into_iter()
        .find(|t| !t.trim().is_empty())
        .map_or_else(
            || "ok".to_owned(),
            |t| t.lines().last().unwrap_or_default().to_owned(),
        )
}

/// A condition's question as a task that only reads.
fn condition_task(condition: &Condition) -> Task {
    let (name, args) = condition.module.clone().unwrap_or_default();
    let action = Action::Module {
        name,
        span: condition.span,
        args,
    };
    let id = StepId(format!("condition/{}", condition.name));
    Task {
        keywords: condition.keywords.clone(),
        reads: true,
        ..Task::new(id, condition.span, action)
    }
}

/// All words in the strings of a value that could be variables.
fn mentioned(value: &Value) -> Vec<String> {
    let mut names = Vec::new();
    match value {
        Value::Str(text) => {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            names.extend(
                text.as_str()
                    .split(|c: char| !is_word(c))
                    .filter(|w| w.starts_with(|c: char| c.is_alphabetic() || c == '_'))
                    .map(str::to_owned),
            );
        }
        Value::List(items) => items.iter().for_each(|v| names.extend(mentioned(v))),
        Value::Map(map) => map.values().for_each(|v| names.extend(mentioned(v))),
        _ => {}
    }
    names
}

/// The name of a become method as playbooks write it.
pub(crate) fn method_name(method: BecomeMethod) -> &'static str {
    match method {
        BecomeMethod::Sudo => "sudo",
        BecomeMethod::Su => "su",
        BecomeMethod::Doas => "doas",
    }
}
