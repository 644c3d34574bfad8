//! The methods of Python's lists, mappings and numbers that templates call, and which there are.

use std::sync::Arc;

use super::date;
use super::strings::str_method;
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val, count};
use crate::value::Value;

const STR: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];
const LIST: &[&str] = &[
    "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse",
    "sort",
];
const DICT: &[&str] = &[
    "clear",
    "copy",
    "get",
    "items",
    "keys",
    "pop",
    "setdefault",
    "update",
    "values",
];
const DATE: &[&str] = &[
    "date",
    "isoformat",
    "strftime",
    "time",
    "timestamp",
    "weekday",
];

/// Whether calling `name` on the value is one of these methods.
pub(crate) fn is_method(value: &Val, name: &str) -> bool {
    let known = match value {
        Val::Str(_) => STR,
        Val::List(_) | Val::Raw(Value::List(_), _) => LIST,
        Val::Tuple(_) => &["count", "index"],
        Val::Raw(..) | Val::Dict(_) | Val::Vars(_) | Val::Hosts => DICT,
        Val::Date(_) => DATE,
        Val::Delta(_) => &["total_seconds"],
        Val::Int(_) => &[
            "bit_length",
            "__and__",
            "__or__",
            "__xor__",
            "__lshift__",
            "__rshift__",
        ],
        Val::Float(_) => &["is_integer"],
        Val::Loop(_) => &["cycle", "changed"],
        _ => &[],
    };
    known.contains(&name)
}

/// Calls a method that [`is_method`] knows.
pub(crate) fn call_method(
    eval: &Eval<'_>,
    base: &Val,
    name: &Arc<str>,
    args: &Args,
) -> Result<Val> {
    match base {
        Val::Str(text) => str_method(eval, text.as_str(), name, args),
        Val::List(_) | Val::Raw(Value::List(_), _) | Val::Tuple(_) => {
            list_method(eval, base, name, args)
        }
        Val::Date(moment) => date::method(eval, moment, name, args),
        #[expect(clippy::cast_precision_loss, reason = "seconds as Python gives them")]
        Val::Delta(delta) => Ok(Val::Float(
            delta.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6,
        )),
        Val::Int(i) => int_method(*i, name, args),
        Val::Float(f) => Ok(Val::Bool(f.fract() == 0.0)),
        Val::Loop(state) if &**name == "cycle" => {
            if args.list.is_empty() {
                return Err(Problem::other("no items for cycling given"));
            }
            Ok(args.list[state.index % args.list.len()].clone())
        }
        Val::Loop(state) => {
            let mut last = state.last_changed.borrow_mut();
            let same = match &*last {
                Some(old) => eval.equal(&Val::list(old.clone()), &Val::list(args.list.clone()))?,
                None => false,
            };
            *last = Some(args.list.clone());
            Ok(Val::Bool(!same))
        }
        _ => dict_method(eval, base, name, args),
    }
}

pub(super) fn arg<'a>(args: &'a Args, index: usize, method: &str) -> Result<&'a Val> {
    args.list.get(index).ok_or_else(|| {
        Problem::other(format!(
            "{method}() needs at least {} argument(s)",
            index + 1
        ))
    })
}

pub(super) fn text<'a>(args: &'a Args, index: usize, method: &str) -> Result<&'a str> {
    let value = arg(args, index, method)?;
    value.as_str().ok_or_else(|| {
        Problem::other(format!(
            "{method}() argument must be str, not {}",
            value.type_name()
        ))
    })
}

pub(super) fn int(value: Option<&Val>, default: i64) -> Result<i64> {
    match value {
        None | Some(Val::Null) => Ok(default),
        Some(Val::Int(i)) => Ok(*i),
        Some(Val::Bool(b)) => Ok(i64::from(*b)),
        Some(other) => Err(Problem::other(format!(
            "'{}' object cannot be interpreted as an integer",
            other.type_name()
        ))),
    }
}

fn int_method(i: i64, name: &str, args: &Args) -> Result<Val> {
    if name == "bit_length" {
        return Ok(Val::Int(i64::from(64 - i.unsigned_abs().leading_zeros())));
    }
    let other = int(args.list.first(), 0)?;
    let shift = u32::try_from(other).unwrap_or(u32::MAX);
    Ok(Val::Int(match name {
        "__and__" => i & other,
        "__or__" => i | other,
        "__xor__" => i ^ other,
        "__lshift__" => i.checked_shl(shift).unwrap_or(0),
        _ => i.checked_shr(shift).unwrap_or(0),
    }))
}

fn list_method(eval: &Eval<'_>, base: &Val, name: &str, args: &Args) -> Result<Val> {
    match name {
        "copy" => return Ok(Val::list(eval.items(base)?)),
        "count" | "index" => {
            let wanted = arg(args, 0, name)?;
            let mut found = 0;
            for (i, item) in eval.items(base)?.iter().enumerate() {
                if eval.equal(item, wanted)? {
                    if name == "index" {
                        return Ok(count(i));
                    }
                    found += 1;
                }
            }
            if name == "index" {
                return Err(Problem::other(format!(
                    "{} is not in list",
                    eval.text(wanted)?
                )));
            }
            return Ok(count(found));
        }
        _ => {}
    }
    let Val::List(items) = base else {
        // A variable's list is shared by everything that reads it; Ansible lets a template change
        // its own lazy copy, which no later rendering sees.
        return list_method(eval, &Val::list(eval.items(base)?), name, args);
    };
    match name {
        "append" => items.borrow_mut().push(arg(args, 0, name)?.clone()),
        "extend" => {
            let more = eval.items(arg(args, 0, name)?)?;
            items.borrow_mut().extend(more);
        }
        "insert" => {
            let length = items.borrow().len();
            let at = int(args.list.first(), 0)?;
            let at = super::index(at, length + 1).unwrap_or(if at < 0 { 0 } else { length });
            items.borrow_mut().insert(at, arg(args, 1, name)?.clone());
        }
        "pop" => {
            let length = items.borrow().len();
            let at = super::index(int(args.list.first(), -1)?, length)
                .ok_or_else(|| Problem::other("pop index out of range"))?;
            return Ok(items.borrow_mut().remove(at));
        }
        "remove" => {
            let wanted = arg(args, 0, name)?;
            let copy = items.borrow().clone();
            for (i, item) in copy.iter().enumerate() {
                if eval.equal(item, wanted)? {
                    items.borrow_mut().remove(i);
                    return Ok(Val::Null);
                }
            }
            return Err(Problem::other("list.remove(x): x not in list"));
        }
        "reverse" => items.borrow_mut().reverse(),
        "clear" => items.borrow_mut().clear(),
        _ => {
            let mut copy = items.borrow().clone();
            crate::template::filters::sort_values(eval, &mut copy, false)?;
            *items.borrow_mut() = copy;
        }
    }
    eval.step(1)?;
    Ok(Val::Null)
}

fn dict_method(eval: &Eval<'_>, base: &Val, name: &str, args: &Args) -> Result<Val> {
    match name {
        "items" => {
            let pair = |(k, v): (String, Val)| Val::tuple(vec![Val::str(k), v]);
            return Ok(Val::list(
                eval.entries(base)?.into_iter().map(pair).collect(),
            ));
        }
        "keys" => return Ok(Val::list(eval.items(base)?)),
        "values" => {
            return Ok(Val::list(
                eval.entries(base)?.into_iter().map(|(_, v)| v).collect(),
            ));
        }
        "copy" => return Ok(Val::dict(eval.dict_of(base)?)),
        "get" => {
            let found = eval.item(base, arg(args, 0, name)?)?;
            return Ok(match found {
                Val::Marker(problem)
                    if problem.kind == crate::template::ErrorKind::Undefined
                        && problem.text.is_none() =>
                {
                    args.list.get(1).cloned().unwrap_or(Val::Null)
                }
                other => other,
            });
        }
        _ => {}
    }
    let Val::Dict(dict) = base else {
        return dict_method(eval, &Val::dict(eval.dict_of(base)?), name, args);
    };
    match name {
        "update" => {
            if let Some(other) = args.list.first() {
                let more = if other.is_sequence() {
                    eval.dict_from_pairs(other)?
                } else {
                    eval.dict_of(other)?
                };
                dict.borrow_mut().extend(more);
            }
            let named = args.named.iter().map(|(n, v)| (n.to_string(), v.clone()));
            dict.borrow_mut().extend(named);
        }
        "setdefault" => {
            let key = eval.key(arg(args, 0, name)?)?;
            let default = args.list.get(1).cloned().unwrap_or(Val::Null);
            return Ok(dict.borrow_mut().entry(key).or_insert(default).clone());
        }
        "pop" => {
            let key = eval.key(arg(args, 0, name)?)?;
            let removed = dict.borrow_mut().shift_remove(&key);
            return removed
                .or_else(|| args.list.get(1).cloned())
                .ok_or_else(|| Problem::other(format!("there is no key '{key}' to pop")));
        }
        _ => dict.borrow_mut().clear(),
    }
    eval.step(1)?;
    Ok(Val::Null)
}
