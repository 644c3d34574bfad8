//! Values while an expression is evaluated.
//!
//! Unlike [`Value`] they can be mutable, lazy, undefined, or functions. They never outlive one
//! evaluation.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use chrono::{FixedOffset, NaiveDateTime, TimeDelta};
use indexmap::IndexMap;

use super::ast::{For, Macro};
use super::error::Problem;
use super::eval::{Layers, ScopeId};
use crate::value::{Text, Value};

/// A mapping that templates may change in place.
pub(crate) type Dict = IndexMap<String, Val>;

#[derive(Clone, Debug)]
pub(crate) enum Val {
    /// Undefined or not yet known: travels until it is used.
    Marker(Rc<Problem>),
    /// Removes the entry it is the value of.
    Omit,
    /// An inline `if` that is false and has no `else`: empty text, and no value of its own.
    Blank,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Text),
    /// A list or mapping whose strings may still be templates, rendered with that scope.
    Raw(Value, ScopeId),
    List(Rc<RefCell<Vec<Val>>>),
    Tuple(Rc<Tuple>),
    Dict(Rc<RefCell<Dict>>),
    Range(i64, i64, i64),
    Date(Moment),
    Delta(TimeDelta),
    /// `hostvars`.
    Hosts,
    /// `vars`, or one entry of `hostvars`.
    Vars(ScopeId),
    Function(&'static str),
    Method(Rc<(Val, Arc<str>)>),
    Macro(Rc<MacroVal>),
    Loop(Rc<LoopVal>),
    Namespace(Rc<RefCell<Dict>>),
    /// An imported template: its macros and variables, and its output.
    Module(Rc<(RefCell<Dict>, String)>),
}

/// A tuple; `groupby` names its two fields.
#[derive(Debug)]
pub(crate) struct Tuple {
    pub(crate) items: Vec<Val>,
    pub(crate) names: &'static [&'static str],
}

/// A date and time, with or without an offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(crate) naive: NaiveDateTime,
    pub(crate) offset: Option<FixedOffset>,
}

/// A macro with the names it can see.
pub(crate) struct MacroVal {
    pub(crate) macro_: Arc<Macro>,
    pub(crate) layers: Layers,
    pub(crate) scope: ScopeId,
}

impl std::fmt::Debug for MacroVal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The layers hold the macro itself: printing them would not end.
        write!(f, "<macro {}>", self.macro_.name)
    }
}

/// `loop` inside a `for`.
pub(crate) struct LoopVal {
    pub(crate) index: usize,
    pub(crate) length: usize,
    pub(crate) depth: usize,
    pub(crate) previous: Option<Val>,
    pub(crate) next: Option<Val>,
    pub(crate) last_changed: Rc<RefCell<Option<Vec<Val>>>>,
    pub(crate) recursive: Option<(Arc<For>, Layers, ScopeId)>,
}

impl std::fmt::Debug for LoopVal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<loop {}/{}>", self.index + 1, self.length)
    }
}

impl Val {
    pub(crate) fn str(text: impl Into<Arc<str>>) -> Self {
        Self::Str(Text::data(text))
    }

    pub(crate) fn list(items: Vec<Val>) -> Self {
        Self::List(Rc::new(RefCell::new(items)))
    }

    pub(crate) fn tuple(items: Vec<Val>) -> Self {
        Self::Tuple(Rc::new(Tuple { items, names: &[] }))
    }

    pub(crate) fn dict(entries: Dict) -> Self {
        Self::Dict(Rc::new(RefCell::new(entries)))
    }

    pub(crate) fn strings<S: Into<Arc<str>>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::list(items.into_iter().map(Self::str).collect())
    }

    /// Plain data: templates in it stay text.
    pub(crate) fn data(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(b),
            Value::Int(i) => Self::Int(i),
            Value::Float(f) => Self::Float(f),
            Value::Str(text) => Self::Str(text.into_data()),
            list_or_map => Self::Raw(list_or_map, super::eval::DATA),
        }
    }

    /// Python's name of the type, as error messages and `type_debug` give it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Marker(_) => "AnsibleUndefined",
            Self::Omit => "Omit",
            Self::Blank => "Undefined",
            Self::Null => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Raw(Value::List(_), _) | Self::List(_) => "list",
            Self::Raw(..) | Self::Dict(_) => "dict",
            Self::Tuple(_) => "tuple",
            Self::Range(..) => "range",
            Self::Date(_) => "datetime",
            Self::Delta(_) => "timedelta",
            Self::Hosts => "HostVars",
            Self::Vars(_) => "HostVarsVars",
            Self::Function(_) => "function",
            Self::Method(_) => "builtin_function_or_method",
            Self::Macro(_) => "Macro",
            Self::Loop(_) => "LoopContext",
            Self::Namespace(_) => "Namespace",
            Self::Module(_) => "TemplateModule",
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub(crate) fn is_mapping(&self) -> bool {
        matches!(
            self,
            Self::Raw(Value::Map(_), _) | Self::Dict(_) | Self::Hosts | Self::Vars(_)
        )
    }

    /// A list or tuple, what Ansible's `is_sequence` accepts.
    pub(crate) fn is_sequence(&self) -> bool {
        matches!(
            self,
            Self::Raw(Value::List(_), _) | Self::List(_) | Self::Tuple(_) | Self::Range(..)
        )
    }
}

impl From<bool> for Val {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<i64> for Val {
    fn from(i: i64) -> Self {
        Self::Int(i)
    }
}

/// A length or index as an integer value.
pub(crate) fn count(n: usize) -> Val {
    Val::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// The arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) list: Vec<Val>,
    pub(crate) named: Vec<(Arc<str>, Val)>,
}
