//! Attributes, items and slices.

use std::sync::Arc;

use super::Eval;
use crate::template::error::{ErrorKind, Problem, Result};
use crate::template::python;
use crate::template::val::{LoopVal, Val, count};
use crate::value::Value;

/// The key that marks the registered result of a task which check mode skipped.
const UNKNOWN_KEY: &str = "_switchback_unknown";

impl Eval<'_> {
    /// `base.name`.
    pub(crate) fn attr(&self, base: &Val, name: &Arc<str>) -> Result<Val> {
        if let Some(found) = self.field(base, name)? {
            return Ok(found);
        }
        if python::is_method(base, name) {
            return Ok(Val::Method((base.clone(), name.clone()).into()));
        }
        Ok(Self::missing(base, &format!("attribute '{name}'")))
    }

    fn missing(base: &Val, what: &str) -> Val {
        if let Val::Raw(Value::Map(map), _) = base
            && map.contains_key(UNKNOWN_KEY)
        {
            return Val::Marker(
                Problem::new(
                    ErrorKind::Unknown,
                    format!(
                        "the {what} is not known, because check mode skipped the task that \
                         registers it"
                    ),
                )
                .into(),
            );
        }
        if let Val::Hosts = base {
            return Self::undefined(format!("hostvars has no {what}"));
        }
        Self::undefined(format!(
            "object of type '{}' has no {what}",
            base.type_name()
        ))
    }

    /// A named part of a value that has such.
    fn field(&self, base: &Val, name: &str) -> Result<Option<Val>> {
        Ok(match base {
            Val::Marker(_) => Some(base.clone()),
            Val::Raw(Value::Map(map), scope) => match map.get(name) {
                Some(raw) => Some(self.import(raw, *scope)?),
                None => None,
            },
            Val::Dict(dict) | Val::Namespace(dict) => dict.borrow().get(name).cloned(),
            Val::Module(module) => module.0.borrow().get(name).cloned(),
            Val::Tuple(tuple) => tuple
                .names
                .iter()
                .position(|n| *n == name)
                .and_then(|i| tuple.items.get(i).cloned()),
            Val::Hosts => self.host_scope(name).map(Val::Vars),
            Val::Vars(scope) => {
                let name: Arc<str> = Arc::from(name);
                match self.known_variable(*scope, &name)? {
                    Some(found) => Some(found),
                    None if &*name == "inventory_hostname" => self.scope_host(*scope).map(Val::str),
                    None => None,
                }
            }
            Val::Loop(state) => loop_field(state, name),
            Val::Date(moment) => python::date::field(moment, name),
            Val::Delta(delta) => python::date::delta_field(*delta, name),
            Val::Macro(value) if name == "name" => Some(Val::str(value.macro_.name.clone())),
            _ => None,
        })
    }

    /// `base[key]`.
    pub(crate) fn item(&self, base: &Val, key: &Val) -> Result<Val> {
        if let Val::Marker(_) = base {
            return Ok(base.clone());
        }
        if let Val::Marker(_) = key {
            return Self::require(key.clone());
        }
        let index = match key {
            Val::Int(i) => Some(*i),
            Val::Bool(b) => Some(i64::from(*b)),
            _ => None,
        };
        if let Some(index) = index
            && !base.is_mapping()
        {
            return self.at_index(base, index);
        }
        if let Val::Str(text) = key {
            if let Some(found) = self.field(base, text.as_str())? {
                return Ok(found);
            }
            let name = Arc::from(text.as_str());
            if python::is_method(base, &name) && !base.is_mapping() {
                return Ok(Val::Method((base.clone(), name).into()));
            }
            return Ok(Self::missing(base, &format!("attribute '{name}'")));
        }
        if base.is_mapping() {
            let name = self.key(key)?;
            if let Some(found) = self.field(base, &name)? {
                return Ok(found);
            }
        }
        let mut shown = String::new();
        self.write_text(key, &mut shown)?;
        Ok(Self::missing(base, &format!("attribute {shown}")))
    }

    fn at_index(&self, base: &Val, index: i64) -> Result<Val> {
        let found = match base {
            Val::Raw(Value::List(items), scope) => {
                match python::index(index, items.len()).and_then(|i| items.get(i)) {
                    Some(raw) => Some(self.import(raw, *scope)?),
                    None => None,
                }
            }
            Val::List(items) => {
                let items = items.borrow();
                python::index(index, items.len()).map(|i| items[i].clone())
            }
            Val::Tuple(tuple) => {
                python::index(index, tuple.items.len()).map(|i| tuple.items[i].clone())
            }
            Val::Str(text) => {
                let chars: Vec<char> = text.as_str().chars().collect();
                python::index(index, chars.len()).map(|i| Val::str(chars[i].to_string()))
            }
            Val::Range(start, _, step) => {
                let length = self.length(base)?;
                python::index(index, length)
                    .and_then(|i| i64::try_from(i).ok())
                    .map(|i| Val::Int(start + i * step))
            }
            _ => None,
        };
        Ok(found.unwrap_or_else(|| Self::missing(base, &format!("element {index}"))))
    }

    /// `base[start:end:step]`.
    pub(crate) fn slice(&self, base: &Val, bounds: [Option<i64>; 3]) -> Result<Val> {
        let [start, end, step] = bounds;
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(Problem::other("slice step cannot be zero"));
        }
        if let Val::Str(text) = base {
            let chars: Vec<char> = text.as_str().chars().collect();
            let taken = python::slice_indices(start, end, step, chars.len());
            return Ok(Val::str(taken.map(|i| chars[i]).collect::<String>()));
        }
        if !base.is_sequence() {
            return Err(Problem::other(format!(
                "'{}' object cannot be sliced",
                base.type_name()
            )));
        }
        let items = self.items(base)?;
        let taken: Vec<Val> = python::slice_indices(start, end, step, items.len())
            .map(|i| items[i].clone())
            .collect();
        Ok(if let Val::Tuple(_) = base {
            Val::tuple(taken)
        } else {
            Val::list(taken)
        })
    }

    /// A dotted path such as `a.b.0`, as `map(attribute=...)` takes.
    pub(crate) fn path(&self, base: &Val, path: &Val) -> Result<Val> {
        let Val::Str(text) = path else {
            return self.item(base, path);
        };
        let mut value = base.clone();
        for part in text.as_str().split('.') {
            value = match part.parse::<i64>() {
                Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => {
                    self.item(&value, &Val::Int(index))?
                }
                _ => self.item(&value, &Val::str(part))?,
            };
        }
        Ok(value)
    }
}

fn loop_field(state: &LoopVal, name: &str) -> Option<Val> {
    let edge = |value: &Option<Val>, what: &str| {
        value
            .clone()
            .unwrap_or_else(|| Eval::undefined(format!("there is no {what} item")))
    };
    Some(match name {
        "index" => count(state.index + 1),
        "index0" => count(state.index),
        "revindex" => count(state.length - state.index),
        "revindex0" => count(state.length - state.index - 1),
        "first" => Val::Bool(state.index == 0),
        "last" => Val::Bool(state.index + 1 == state.length),
        "length" => count(state.length),
        "depth" => count(state.depth + 1),
        "depth0" => count(state.depth),
        "previtem" => edge(&state.previous, "previous"),
        "nextitem" => edge(&state.next, "next"),
        _ => return None,
    })
}
