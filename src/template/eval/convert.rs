//! From lazy values to plain ones: text, booleans, items, and the final result.

use std::fmt::Write as _;

use super::{DATA, Eval};
use crate::template::error::{Problem, Result};
use crate::template::python;
use crate::template::val::{Dict, Val};
use crate::value::{Map, Value};

/// Items that a range or a repetition may be turned into.
const ITEMS_MAX: u64 = 5_000_000;

impl Eval<'_> {
    /// Whether a value counts as true.
    pub(crate) fn truth(&self, value: &Val) -> Result<bool> {
        Ok(match value {
            Val::Marker(_) => {
                Self::require(value.clone())?;
                false
            }
            Val::Null | Val::Blank => false,
            Val::Bool(b) => *b,
            Val::Int(i) => *i != 0,
            Val::Float(f) => *f != 0.0,
            Val::Str(text) => !text.as_str().is_empty(),
            Val::Delta(delta) => !delta.is_zero(),
            Val::Raw(Value::List(items), _) => !items.is_empty(),
            Val::Raw(Value::Map(map), _) => !map.is_empty(),
            Val::List(items) => !items.borrow().is_empty(),
            Val::Tuple(tuple) => !tuple.items.is_empty(),
            Val::Dict(dict) => !dict.borrow().is_empty(),
            Val::Range(..) => self.length(value)? > 0,
            _ => true,
        })
    }

    /// The number of items; an error for what has none.
    pub(crate) fn length(&self, value: &Val) -> Result<usize> {
        Ok(match value {
            Val::Blank => 0,
            Val::Str(text) => text.as_str().chars().count(),
            Val::Raw(Value::List(items), _) => items.len(),
            Val::Raw(Value::Map(map), _) => map.len(),
            Val::List(items) => items.borrow().len(),
            Val::Tuple(tuple) => tuple.items.len(),
            Val::Dict(dict) | Val::Namespace(dict) => dict.borrow().len(),
            Val::Range(start, end, step) => range_length(*start, *end, *step)?,
            Val::Hosts | Val::Vars(_) => self.entries_names(value).len(),
            Val::Marker(_) => {
                Self::require(value.clone())?;
                0
            }
            other => {
                return Err(Problem::other(format!(
                    "object of type '{}' has no len()",
                    other.type_name()
                )));
            }
        })
    }

    /// What iterating over a value gives.
    pub(crate) fn items(&self, value: &Val) -> Result<Vec<Val>> {
        let items = match value {
            Val::Raw(Value::List(items), scope) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items.iter() {
                    match self.import(item, *scope)? {
                        Val::Omit => {}
                        item => out.push(item),
                    }
                }
                out
            }
            Val::Blank => Vec::new(),
            Val::List(items) => items.borrow().clone(),
            Val::Tuple(tuple) => tuple.items.clone(),
            Val::Str(text) => text
                .as_str()
                .chars()
                .map(|c| Val::str(c.to_string()))
                .collect(),
            Val::Range(start, end, step) => {
                let length = range_length(*start, *end, *step)?;
                let mut out = Vec::with_capacity(length);
                let mut next = *start;
                for _ in 0..length {
                    out.push(Val::Int(next));
                    next = next.saturating_add(*step);
                }
                out
            }
            Val::Raw(Value::Map(map), _) => map.keys().map(|k| Val::str(k.as_str())).collect(),
            Val::Dict(dict) => dict.borrow().keys().map(|k| Val::str(k.as_str())).collect(),
            Val::Hosts | Val::Vars(_) => self
                .entries_names(value)
                .into_iter()
                .map(Val::str)
                .collect(),
            Val::Marker(_) => {
                Self::require(value.clone())?;
                Vec::new()
            }
            other => {
                return Err(Problem::other(format!(
                    "'{}' object is not iterable",
                    other.type_name()
                )));
            }
        };
        self.step(items.len() as u64)?;
        Ok(items)
    }

    fn entries_names(&self, value: &Val) -> Vec<String> {
        match value {
            Val::Hosts => self.with_scope(super::ROOT, |s| s.host_names()),
            Val::Vars(scope) => self.with_scope(*scope, |s| s.names()),
            _ => Vec::new(),
        }
    }

    /// The entries of a mapping, rendered.
    pub(crate) fn entries(&self, value: &Val) -> Result<Vec<(String, Val)>> {
        match value {
            Val::Raw(Value::Map(map), scope) => {
                self.step(map.len() as u64)?;
                let mut out = Vec::with_capacity(map.len());
                for (key, raw) in map.iter() {
                    match self.import(raw, *scope)? {
                        Val::Omit => {}
                        value => out.push((key.clone(), value)),
                    }
                }
                Ok(out)
            }
            Val::Dict(dict) | Val::Namespace(dict) => Ok(dict
                .borrow()
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()),
            Val::Hosts | Val::Vars(_) => {
                let mut out = Vec::new();
                for name in self.entries_names(value) {
                    let entry = self.item(value, &Val::str(name.as_str()))?;
                    out.push((name, entry));
                }
                Ok(out)
            }
            other => Err(Problem::other(format!(
                "expected a mapping, got an object of type '{}'",
                other.type_name()
            ))),
        }
    }

    /// A mapping as one that can be changed.
    pub(crate) fn dict_of(&self, value: &Val) -> Result<Dict> {
        Ok(self.entries(value)?.into_iter().collect())
    }

    /// The final value: everything rendered, omitted entries removed.
    pub(crate) fn finalize(&self, value: &Val) -> Result<Value> {
        self.nested(|| self.finalize_deep(value))
    }

    fn finalize_deep(&self, value: &Val) -> Result<Value> {
        Ok(match value {
            Val::Null => Value::Null,
            Val::Bool(b) => Value::Bool(*b),
            Val::Int(i) => Value::Int(*i),
            Val::Float(f) => Value::Float(*f),
            Val::Str(text) => Value::Str(text.clone().into_data()),
            // Nothing in it to render: shared instead of copied.
            Val::Raw(raw, scope) if *scope == DATA || !raw.has_template() => {
                if raw.has_secret() {
                    self.note_secret();
                }
                self.step(1)?;
                plain(raw)
            }
            Val::Raw(Value::List(_), _) | Val::List(_) | Val::Tuple(_) => {
                let mut out = Vec::new();
                for item in self.items(value)? {
                    if !matches!(item, Val::Omit) {
                        out.push(self.finalize(&item)?);
                    }
                }
                Value::from(out)
            }
            Val::Raw(..) | Val::Dict(_) | Val::Vars(_) | Val::Hosts | Val::Namespace(_) => {
                let mut out = Map::new();
                for (key, item) in self.entries(value)? {
                    if !matches!(item, Val::Omit) {
                        out.insert(key, self.finalize(&item)?);
                    }
                }
                Value::from(out)
            }
            Val::Date(_) => Value::from(self.text(value)?),
            Val::Omit => Value::from("<< Omit >>"),
            Val::Module(module) => Value::from(module.1.clone()),
            Val::Marker(_) => {
                Self::require(value.clone())?;
                Value::Null
            }
            other => {
                return Err(Problem::other(format!(
                    "type '{}' is unsupported for variable storage",
                    other.type_name()
                )));
            }
        })
    }

    /// What `str()` gives in Python.
    pub(crate) fn text(&self, value: &Val) -> Result<String> {
        let mut out = String::new();
        self.write_text(value, &mut out)?;
        Ok(out)
    }

    /// Appends what `str()` gives in Python.
    pub(crate) fn write_text(&self, value: &Val, out: &mut String) -> Result<()> {
        match value {
            Val::Str(text) => out.push_str(text.as_str()),
            Val::Blank => {}
            Val::Null => out.push_str("None"),
            Val::Bool(true) => out.push_str("True"),
            Val::Bool(false) => out.push_str("False"),
            Val::Int(i) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{i}");
            }
            Val::Float(f) => out.push_str(&python::repr::float(*f)),
            Val::Date(moment) => out.push_str(&python::date::text(moment)),
            Val::Delta(delta) => out.push_str(&python::date::delta_text(*delta)),
            Val::Range(start, end, step) => {
                let _ = match step {
                    1 => write!(out, "range({start}, {end})"),
                    _ => write!(out, "range({start}, {end}, {step})"),
                };
            }
            Val::Omit => out.push_str("<< Omit >>"),
            Val::Module(module) => out.push_str(&module.1),
            Val::Marker(_) => {
                Self::require(value.clone())?;
            }
            other => {
                let before = out.len();
                python::repr::write(&self.finalize(other)?, out);
                self.produce(out.len() - before)?;
            }
        }
        Ok(())
    }

    /// What the `string` filter gives: unlike in the output of a template, tuples show as such.
    pub(crate) fn shown(&self, value: &Val) -> Result<String> {
        if !matches!(value, Val::Tuple(_) | Val::List(_) | Val::Dict(_)) {
            return self.text(value);
        }
        let mut out = String::new();
        self.write_repr(value, &mut out)?;
        self.produce(out.len())?;
        Ok(out)
    }

    /// Appends what `repr()` gives in Python.
    fn write_repr(&self, value: &Val, out: &mut String) -> Result<()> {
        let (ends, items) = match value {
            Val::Tuple(tuple) => (("(", ")"), tuple.items.clone()),
            Val::List(items) => (("[", "]"), items.borrow().clone()),
            Val::Dict(dict) => {
                out.push('{');
                for (index, (key, item)) in dict.borrow().clone().iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    python::repr::string(key, out);
                    out.push_str(": ");
                    self.nested(|| self.write_repr(item, out))?;
                }
                out.push('}');
                return Ok(());
            }
            other => {
                python::repr::write(&self.finalize(other)?, out);
                return Ok(());
            }
        };
        out.push_str(ends.0);
        for (index, item) in items.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            self.nested(|| self.write_repr(item, out))?;
        }
        if let (Val::Tuple(_), [_]) = (value, items.as_slice()) {
            out.push(',');
        }
        out.push_str(ends.1);
        Ok(())
    }

    /// The text of a string argument; other scalars as `str()` shows them.
    pub(crate) fn string(&self, value: &Val) -> Result<String> {
        self.text(value)
    }

    /// A mapping key; keys are strings here, as in variables.
    pub(crate) fn key(&self, value: &Val) -> Result<String> {
        match value {
            Val::List(_) | Val::Raw(..) | Val::Dict(_) => Err(Problem::other(format!(
                "unhashable type: '{}'",
                value.type_name()
            ))),
            other => self.text(other),
        }
    }
}

fn range_length(start: i64, end: i64, step: i64) -> Result<usize> {
    let (span, step) = if step > 0 {
        (end.saturating_sub(start), step)
    } else {
        (start.saturating_sub(end), step.saturating_neg())
    };
    if span <= 0 {
        return Ok(0);
    }
    let length = span.unsigned_abs().div_ceil(step.unsigned_abs());
    limit_items(length)
}

/// The length, or an error when a list of it would be too large.
pub(crate) fn limit_items(length: u64) -> Result<usize> {
    usize::try_from(length)
        .ok()
        .filter(|_| length <= ITEMS_MAX)
        .ok_or_else(|| {
            Problem::new(
                crate::template::ErrorKind::Limit,
                format!("a list of {length} items is too large, the limit is {ITEMS_MAX}"),
            )
        })
}

/// The same data with no string marked as a template.
fn plain(value: &Value) -> Value {
    if !value.has_template() {
        return value.clone();
    }
    match value {
        Value::Str(text) => Value::Str(text.clone().into_data()),
        Value::List(items) => Value::from(items.iter().map(plain).collect::<Vec<_>>()),
        Value::Map(map) => Value::from(
            map.iter()
                .map(|(k, v)| (k.clone(), plain(v)))
                .collect::<Map>(),
        ),
        other => other.clone(),
    }
}
