//! How a task, or one item of it, ended on one host, and what follows from it.

use crate::event::{Report, Status};
use crate::modules::{Failure, Outcome};
use crate::value::{Map, Value};

/// The end of one item (or of a task without a loop) on one host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ItemEnd {
    pub(crate) status: Status,
    /// The result as `register` sees it.
    pub(crate) result: Map,
    /// Facts for `ansible_facts`.
    pub(crate) facts: Map,
    /// Variables to set as `set_fact` does.
    pub(crate) set: Map,
    pub(crate) diff: Vec<String>,
    pub(crate) summary: String,
    pub(crate) duration_ms: u64,
    pub(crate) attempts: u32,
    /// The journal's number of the attempt, if it was one.
    pub(crate) attempt: Option<u64>,
    /// Whether the module itself says that something was changed, whatever `changed_when` says:
    /// only this counts for the undo.
    pub(crate) module_changed: bool,
    /// Nothing of it may be shown.
    pub(crate) is_hidden: bool,
    /// The other host that did it.
    pub(crate) delegate: Option<String>,
    /// A failure that a rescue or `ignore_errors` deals with.
    pub(crate) is_handled: bool,
    /// The module's arguments, where listeners want to see them (`-vvv`).
    pub(crate) invocation: Option<Value>,
}

/// The field that says who ended an attempt.
const CANCELLED: &str = "cancelled_by";
/// The field that says that a task's time was over.
const TIMED_OUT: &str = "timedout";

impl ItemEnd {
    /// No try met `until`: failed after these retries, unless nobody knows how it ended. Where
    /// `failed_when` says that it has not failed, the result is a failure and the task is none.
    pub(crate) fn give_up(&mut self, retries: u32) {
        self.result
            .insert("attempts".into(), Value::Int(i64::from(retries)));
        if self.status == Status::Lost {
            return;
        }
        self.result.insert("failed".into(), Value::Bool(true));
        if self.result.get("failed_when_result") != Some(&Value::Bool(false)) {
            self.status = Status::Failed;
        }
    }

    /// An end with this status and result; `changed`, `failed` and `skipped` are set from it.
    pub(crate) fn new(status: Status, mut result: Map) -> Self {
        result.entry("changed".into()).or_insert(Value::Bool(false));
        match status {
            Status::Changed => {
                result.insert("changed".into(), Value::Bool(true));
            }
            Status::Failed | Status::Lost => {
                result.insert("failed".into(), Value::Bool(true));
            }
            Status::Unreachable => {
                result.insert("unreachable".into(), Value::Bool(true));
            }
            Status::Skipped => {
                result.insert("skipped".into(), Value::Bool(true));
            }
            Status::Ok | Status::Unknown => {}
        }
        if matches!(status, Status::Ok | Status::Changed) {
            result.entry("failed".into()).or_insert(Value::Bool(false));
        }
        Self {
            status,
            result,
            facts: Map::new(),
            set: Map::new(),
            diff: Vec::new(),
            summary: String::new(),
            duration_ms: 0,
            attempts: 1,
            attempt: None,
            module_changed: false,
            is_hidden: false,
            delegate: None,
            is_handled: false,
            invocation: None,
        }
    }

    /// The end of a lost attempt of which somebody says that it had happened.
    pub(crate) fn taken_as_done(attempt: Option<u64>, reason: String) -> Self {
        let mut result = message("taken as done by the operator");
        result.insert("skip_reason".into(), reason.into());
        result.insert("rc".into(), Value::Null);
        let mut end = Self::new(Status::Changed, result);
        end.attempt = attempt;
        end.module_changed = true;
        end
    }

    /// Whether somebody ended it, or its time was over: then no `until` tries again. Source of the
    /// latter: ansible-core 2.19, `executor/task_executor.py`, where the time's end is no result.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.result.contains_key(CANCELLED) || self.is_timed_out()
    }

    /// Whether its time was over: then nothing is asked of its result.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.status == Status::Failed && self.result.contains_key(TIMED_OUT)
    }

    /// Makes all that `no_log` hides secret: what is made of it later is hidden too.
    pub(crate) fn hide(&mut self) {
        self.is_hidden = true;
        for map in [&mut self.result, &mut self.facts, &mut self.set] {
            for value in map.values_mut() {
                *value = std::mem::take(value).into_secret();
            }
        }
    }

    /// A failure with a message.
    pub(crate) fn failed(msg: impl Into<String>) -> Self {
        Self::new(Status::Failed, message(msg))
    }

    /// A skip because of a condition.
    pub(crate) fn skipped(condition: &str) -> Self {
        let mut result = Map::new();
        result.insert("skip_reason".into(), "Conditional result was False".into());
        // A YAML boolean stays one.
        let shown = match condition {
            "False" => Value::Bool(false),
            text => text.into(),
        };
        result.insert("false_condition".into(), shown);
        Self::new(Status::Skipped, result)
    }

    /// The message of the result.
    pub(crate) fn msg(&self) -> String {
        self.result
            .get("msg")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// The result as a value.
    pub(crate) fn value(&self) -> Value {
        Value::from(self.result.clone())
    }

    /// What listeners are told. A hidden end tells its status only (`no_log`).
    pub(crate) fn report(&self, is_ignored: bool, redact: &dyn Fn(&Value) -> Value) -> Report {
        let result = if self.is_hidden {
            self.censored()
        } else {
            redact(&self.visible())
        };
        Report {
            status: self.status,
            is_ignored,
            result,
            diff: if self.is_hidden {
                Vec::new()
            } else {
                self.diff.clone()
            },
            summary: if self.is_hidden {
                String::new()
            } else {
                self.summary.clone()
            },
            duration_ms: self.duration_ms,
            attempts: self.attempts,
            delegate: self.delegate.clone(),
        }
    }

    /// The result without the engine's own marks.
    fn visible(&self) -> Value {
        Value::from(
            self.result
                .iter()
                .filter(|(key, _)| !key.starts_with("_switchback"))
                .map(|(key, value)| (key.clone(), value.clone()))
                .chain(self.invocation.iter().map(|args| {
                    let args = Map::from([("module_args".to_owned(), args.clone())]);
                    ("invocation".to_owned(), Value::from(args))
                }))
                .collect::<Map>(),
        )
    }

    fn censored(&self) -> Value {
        let mut map = Map::new();
        map.insert(
            "censored".into(),
            "the output has been hidden due to the fact that 'no_log: true' was specified for \
             this result"
                .into(),
        );
        for key in ["changed", "failed", "skipped", "unreachable", "attempts"] {
            if let Some(value) = self.result.get(key) {
                map.insert(key.into(), value.clone());
            }
        }
        Value::from(map)
    }
}

/// A result that is only a message.
pub(crate) fn message(msg: impl Into<String>) -> Map {
    Map::from([("msg".to_owned(), Value::from(msg.into()))])
}

/// The aggregate of a loop, in Ansible's shape (ansible-core 2.19, `executor/task_executor.py`).
pub(crate) fn aggregate(items: &[ItemEnd]) -> ItemEnd {
    let any = |status: Status| items.iter().any(|end| end.status == status);
    let all_skipped = items.iter().all(|end| end.status == Status::Skipped);
    let status = [
        Status::Lost,
        Status::Unreachable,
        Status::Failed,
        Status::Unknown,
    ]
    .into_iter()
    .find(|status| any(*status))
    .unwrap_or(if all_skipped {
        Status::Skipped
    } else if items
        .iter()
        .any(|e| e.result.get("changed") == Some(&Value::Bool(true)))
    {
        Status::Changed
    } else {
        Status::Ok
    });
    let is_changed = items
        .iter()
        .any(|e| e.result.get("changed") == Some(&Value::Bool(true)));
    let mut result = Map::new();
    result.insert(
        "results".into(),
        Value::from(items.iter().map(ItemEnd::value).collect::<Vec<_>>()),
    );
    result.insert("changed".into(), is_changed.into());
    let says_failed = |end: &ItemEnd| end.result.get("failed") == Some(&Value::Bool(true));
    let is_failed = any(Status::Failed) || any(Status::Lost) || items.iter().any(says_failed);
    let msg = match status {
        _ if all_skipped => "All items skipped",
        _ if is_failed => "One or more items failed",
        _ => "All items completed",
    };
    result.insert("msg".into(), msg.into());
    result.insert("skipped".into(), all_skipped.into());
    let mut end = ItemEnd::new(status, result);
    if is_failed {
        end.result.insert("failed".into(), true.into());
    } else {
        end.result.shift_remove("failed");
    }
    end.is_hidden = items.iter().any(|e| e.is_hidden);
    for item in items {
        end.facts.extend(item.facts.clone());
        end.set.extend(item.set.clone());
        end.duration_ms += item.duration_ms;
    }
    end
}

/// The end of a loop over nothing.
pub(crate) fn empty_loop() -> ItemEnd {
    let mut result = Map::new();
    result.insert("results".into(), Value::from(Vec::new()));
    result.insert("skipped_reason".into(), "No items in the list".into());
    ItemEnd::new(Status::Skipped, result)
}

/// What a module makes of its acts.
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

/// Why a module failed.
pub(crate) fn failure_end(failure: Failure) -> ItemEnd {
    let mut result = failure.result;
    result.insert("msg".into(), failure.msg.into());
    result.insert("changed".into(), failure.is_changed.into());
    ItemEnd::new(Status::Failed, result)
}

/// The end of an attempt of which nobody can say how it ended, with what it had said.
pub(crate) fn lost_end(why: &str, reply: &crate::script::Reply) -> ItemEnd {
    let mut result = message(format!("nobody can say how it ended: {why}"));
    result.extend(crate::modules::output_of(reply));
    result.insert("rc".into(), Value::Null);
    ItemEnd::new(Status::Lost, result)
}

/// The end of a task whose time was over. Source: ansible-core 2.19,
/// `_internal/_errors/_task_timeout.py`.
pub(crate) fn late_end(limit_s: u64, reply: &crate::script::Reply) -> ItemEnd {
    let mut result = message(format!("Task failed: Timed out after {limit_s} second(s)."));
    result.extend(crate::modules::output_of(reply));
    let period = Value::Int(i64::try_from(limit_s).unwrap_or(i64::MAX));
    let timed_out = Map::from([("period".to_owned(), period)]);
    result.insert(TIMED_OUT.into(), Value::from(timed_out));
    ItemEnd::new(Status::Failed, result)
}

/// The end of an attempt that somebody ended, with what it had said.
pub(crate) fn cancelled_end(who: &str, reply: &crate::script::Reply) -> ItemEnd {
    let mut result = message(format!("cancelled by {who}"));
    result.insert(CANCELLED.into(), who.into());
    result.extend(crate::modules::output_of(reply));
    ItemEnd::new(Status::Failed, result)
}

/// A host that cannot be reached, with what to do about it.
pub(crate) fn unreachable_end(reason: &str, help: Option<&str>) -> ItemEnd {
    let help = help.map(|h| format!("; {h}")).unwrap_or_default();
    ItemEnd::new(Status::Unreachable, message(format!("{reason}{help}")))
}
