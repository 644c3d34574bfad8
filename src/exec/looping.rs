//! The loop of a task on one host: what it comes to, and its items one after the other.

use super::controller::{Problem, View};
use super::end::{ItemEnd, aggregate, empty_loop};
use super::halt::Flow;
use super::item::Item;
use super::run::{Run, plain_text};
use super::task::TaskRun;
use crate::event::{Event, Status};
use crate::journal::Instance;
use crate::model::{Loop, LoopKind, Task};
use crate::value::{Map, Value};

/// The items of a task on one host, each with what it sees.
pub(super) enum Items {
    One(Item),
    Many(Vec<(Item, String)>),
    /// It ended before there were any.
    None(Box<ItemEnd>),
}

impl Run {
    pub(super) async fn run_items(
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
            end.delegate = self.delegate_of(run, &item.view);
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
            let label = self.label_after(run, item, &mut end, label);
            self.port.emit(Event::ItemFinished {
                host: host.to_owned(),
                step: run.task.id.clone(),
                label: if item.is_hidden {
                    "(hidden)".to_owned()
                } else {
                    self.redact(&label)
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

    /// The label of an item that ended: it may tell of the result. One that cannot be rendered fails
    /// the item.
    fn label_after(&self, run: &TaskRun, item: &Item, end: &mut ItemEnd, before: &str) -> String {
        let control = run.task.r#loop.as_ref().map(|looped| &looped.control);
        let Some(label) = control.and_then(|control| control.label.as_ref()) else {
            return before.to_owned();
        };
        let view = Self::with_result(run, &item.view, end);
        match self.keyword(Some(label), &view) {
            Ok(Some(value)) => plain_text(&value).unwrap_or_else(|| self.as_text(&value, &view)),
            Ok(None) => before.to_owned(),
            Err(problem) => {
                self.spoil(item, end, &problem);
                Self::note_exception(end);
                before.to_owned()
            }
        }
    }

    pub(super) fn breaks(&self, run: &TaskRun, item: &Item, end: &ItemEnd) -> bool {
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

    /// What a task's loop comes to on a host.
    pub(super) fn expand(&self, run: &TaskRun, host: &str) -> Items {
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

    pub(super) fn loop_values(&self, looped: &Loop, view: &View) -> Result<Vec<Value>, Problem> {
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

    pub(super) fn loop_layer(
        &self,
        looped: &Loop,
        index: usize,
        value: &Value,
        values: &[Value],
        all: &Value,
        view: &View,
    ) -> Map {
        let control = &looped.control;
        let var = self.loop_var(looped, view);
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

    /// The name of a loop's variable, which may be a template.
    pub(super) fn loop_var(&self, looped: &Loop, view: &View) -> String {
        let Some(name) = looped.control.loop_var.as_ref() else {
            return "item".to_owned();
        };
        let template = Value::Str(crate::value::Text::from_user(name.as_str()));
        match self.controller.render(&template, view) {
            Ok(Some(value)) => plain_text(&value).unwrap_or_else(|| name.clone()),
            Ok(None) | Err(_) => name.clone(),
        }
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
        if shown.has_secret() {
            return crate::value::MASK.to_owned();
        }
        plain_text(&shown).unwrap_or_else(|| self.as_text(&shown, view))
    }

    /// A value as a template writes it into text; a secret as a mask.
    pub(super) fn as_text(&self, value: &Value, view: &View) -> String {
        let view = view.with(Map::from([("_shown".to_owned(), value.clone())]));
        let template = Value::Str(crate::value::Text::from_user("{{ _shown }} "));
        match self.controller.render(&template, &view) {
            Ok(Some(Value::Str(text))) if !text.is_secret() => text.as_str().trim().to_owned(),
            _ => value.to_masked_json().to_string(),
        }
    }

    pub(super) fn item(&self, run: &TaskRun, host: &str, view: View, index: Option<usize>) -> Item {
        let view = self.with_delegate(run, view);
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
}

/// The keys that a loop adds to an item's result.
fn item_keys(task: &Task, item: &Item) -> Vec<(String, Value)> {
    let Some(looped) = &task.r#loop else {
        return Vec::new();
    };
    let own = item.view.scope.get("ansible_loop_var");
    let var = own.and_then(Value::as_str).unwrap_or("item");
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
