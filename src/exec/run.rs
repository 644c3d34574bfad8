//! One run: its parts, and the small questions that every other file of the core asks of them.

use std::cell::RefCell;
use std::rc::Rc;

use super::controller::{Controller, HostScopes, Problem, View};
use super::effect::Port;
use super::halt::{Flow, Halt};
use super::state::{Settings, State};
use crate::event::Event;
use crate::journal::Record;
use crate::model::{Cond, Field};
use crate::value::{Map, Value};
use crate::vars::TaskScope;

/// A run in the making. Cheap to clone: all clones are the same run.
#[derive(Clone)]
pub(crate) struct Run(Rc<Parts>);

pub(crate) struct Parts {
    pub(crate) port: Port,
    pub(crate) controller: Rc<dyn Controller>,
    pub(crate) settings: Settings,
    pub(crate) state: RefCell<State>,
}

impl std::ops::Deref for Run {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Run {
    /// A run over these parts.
    pub(crate) fn new(
        port: Port,
        controller: Rc<dyn Controller>,
        settings: Settings,
        state: State,
    ) -> Self {
        Self(Rc::new(Parts {
            port,
            controller,
            settings,
            state: RefCell::new(state),
        }))
    }

    /// Tells the listeners something.
    pub(crate) fn notice(&self, is_warning: bool, text: impl Into<String>) {
        self.port.emit(Event::Notice {
            is_warning,
            text: text.into(),
        });
    }

    /// Appends to the journal, if this run has one.
    pub(crate) async fn record(&self, records: Vec<Record>, is_synced: bool) -> Flow<()> {
        if self.settings.journal.is_none() || records.is_empty() {
            return Ok(());
        }
        let mut records = records;
        for record in &mut records {
            self.redact_record(record);
        }
        self.port
            .append(records, is_synced)
            .await
            .map_err(Halt::Journal)
    }

    /// The groups of the inventory as the magic variable shows them.
    pub(crate) fn groups(&self) -> Value {
        let mut state = self.state.borrow_mut();
        if state.groups.is_none() {
            let groups: Map = state
                .inventory
                .groups()
                .map(|group| {
                    let hosts = state.inventory.group_hosts(group);
                    let names: Vec<Value> = hosts.iter().map(|h| (&**h).into()).collect();
                    ((**group).to_owned(), Value::from(names))
                })
                .collect();
            state.groups = Some(Value::from(groups));
        }
        state.groups.clone().unwrap_or_default()
    }

    /// Renders a keyword; `None` where it is absent or `omit`.
    pub(crate) fn keyword(
        &self,
        field: Option<&Field>,
        view: &View,
    ) -> Result<Option<Value>, Problem> {
        match field {
            None => Ok(None),
            Some(field) => self.controller.render(&field.value, view),
        }
    }

    /// A keyword as a boolean; absent is `default`.
    pub(crate) fn flag(
        &self,
        field: Option<&Field>,
        view: &View,
        default: bool,
    ) -> Result<bool, Problem> {
        match self.keyword(field, view)? {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.to_bool().ok_or_else(|| {
                let what = describe(&value);
                Problem::new(format!("The value {what} could not be converted to 'bool'"))
            }),
        }
    }

    /// A keyword as text.
    pub(crate) fn text(
        &self,
        field: Option<&Field>,
        view: &View,
    ) -> Result<Option<String>, Problem> {
        match self.keyword(field, view)? {
            None | Some(Value::Null) => Ok(None),
            Some(value) => plain_text(&value).map(Some).ok_or_else(|| {
                Problem::new(format!("expected a string, found {}", value.type_name()))
            }),
        }
    }

    /// A keyword in seconds, which may have a fraction, as milliseconds.
    pub(crate) fn millis(
        &self,
        field: Option<&Field>,
        view: &View,
    ) -> Result<Option<u64>, Problem> {
        let Some(value) = self
            .keyword(field, view)?
            .filter(|value| *value != Value::Null)
        else {
            return Ok(None);
        };
        let seconds: Option<f64> = plain_text(&value).and_then(|text| text.trim().parse().ok());
        let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        match seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok()) {
            Some(time) => Ok(Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))),
            None => Err(Problem::new(format!(
                "expected seconds, found {}",
                describe(&value)
            ))),
        }
    }

    /// A keyword as a whole number.
    pub(crate) fn number(
        &self,
        field: Option<&Field>,
        view: &View,
    ) -> Result<Option<i64>, Problem> {
        match self.keyword(field, view)? {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match &value {
                Value::Int(i) => Ok(Some(*i)),
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "seconds and counts are small"
                )]
                Value::Float(f) => Ok(Some(*f as i64)),
                Value::Str(text) => text.as_str().trim().parse().map(Some).map_err(|_| {
                    let what = describe(&value);
                    Problem::new(format!("invalid literal for int() with base 10: {what}"))
                }),
                other => Err(Problem::new(format!(
                    "expected a number, found {}",
                    other.type_name()
                ))),
            },
        }
    }

    /// Whether all conditions hold; the first that does not is returned.
    pub(crate) fn first_false<'c>(
        &self,
        conditions: impl IntoIterator<Item = &'c Cond>,
        view: &View,
    ) -> Result<Option<String>, Problem> {
        for condition in conditions {
            match condition {
                Cond::Literal(true) => {}
                Cond::Literal(false) => return Ok(Some("False".to_owned())),
                Cond::Expr { text, .. } => {
                    if !self.controller.truth(text, view)? {
                        return Ok(Some(text.clone()));
                    }
                }
            }
        }
        Ok(None)
    }

    /// A view of a host outside any task, for patterns and play keywords.
    pub(crate) fn host_view(&self, host: &str) -> View {
        View {
            scope: self.host_scope(host).unwrap_or_default(),
            hosts: Rc::new(self.clone()),
            search: Rc::default(),
        }
    }
}

impl Run {
    /// The hosts of patterns in inventory order, and what parts of them matched nothing.
    pub(crate) fn hosts_matching(
        &self,
        patterns: &[String],
    ) -> Result<(Vec<String>, Vec<String>), String> {
        let state = self.state.borrow();
        let selected = state
            .inventory
            .select(patterns)
            .map_err(|problem| problem.message)?;
        let hosts = selected.hosts.iter().map(|h| (**h).to_owned()).collect();
        let unmatched = selected.unmatched.iter().map(|warning| {
            let help = warning
                .help
                .as_ref()
                .map(|h| format!("; {h}"))
                .unwrap_or_default();
            format!("{}{help}", warning.message)
        });
        Ok((hosts, unmatched.collect()))
    }

    /// Whether this is the localhost that no inventory names.
    pub(crate) fn is_implicit_localhost(&self, host: &str) -> bool {
        self.state
            .borrow()
            .inventory
            .host(host)
            .is_some_and(|h| h.is_implicit)
    }
}

impl HostScopes for Run {
    fn scope_of(&self, host: &str) -> Option<TaskScope> {
        self.hostvars_scope(host)
    }

    fn note_secret(&self, value: &Value) {
        self.note_value(value);
    }

    fn host_names(&self) -> Vec<String> {
        self.state
            .borrow()
            .inventory
            .hosts()
            .map(|h| (**h).to_owned())
            .collect()
    }

    fn select(&self, pattern: &str) -> Result<Vec<String>, String> {
        self.hosts_matching(&[pattern.to_owned()])
            .map(|(hosts, _)| hosts)
    }
}

/// Text of a scalar as Ansible converts it.
pub(crate) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.as_str().to_owned()),
        Value::Bool(b) => Some(if *b { "True" } else { "False" }.to_owned()),
        Value::Int(i) => Some(i.to_string()),
        Value::Float(f) => Some(format!("{f:?}")),
        _ => None,
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Str(text) if !text.is_secret() => format!("'{}'", text.as_str()),
        Value::Str(_) => "that is secret".to_owned(),
        other => format!("{} of type '{}'", other.to_masked_json(), other.type_name()),
    }
}
