//! Operators with Python's semantics.

use std::cmp::Ordering;
use std::rc::Rc;

use super::Eval;
use super::convert::limit_items;
use crate::template::ast::{Comparison, Operator};
use crate::template::error::{Problem, Result};
use crate::template::python::{date, printf};
use crate::template::val::Val;
use crate::value::Value;

/// Two numbers brought to a common type.
#[derive(Clone, Copy)]
enum Numbers {
    Ints(i64, i64),
    Floats(f64, f64),
}

#[expect(
    clippy::cast_precision_loss,
    reason = "as Python's arithmetic with floats does"
)]
fn numbers(a: &Val, b: &Val) -> Option<Numbers> {
    let int = |v: &Val| match v {
        Val::Int(i) => Some(*i),
        Val::Bool(b) => Some(i64::from(*b)),
        _ => None,
    };
    let float = |v: &Val| match v {
        Val::Float(f) => Some(*f),
        other => int(other).map(|i| i as f64),
    };
    match (int(a), int(b)) {
        (Some(a), Some(b)) => Some(Numbers::Ints(a, b)),
        _ => Some(Numbers::Floats(float(a)?, float(b)?)),
    }
}

fn overflow() -> Box<Problem> {
    Problem::other("the result of an integer operation does not fit into 64 bits")
}

fn symbol(op: Operator) -> &'static str {
    match op {
        Operator::Add => "+",
        Operator::Sub => "-",
        Operator::Mul => "*",
        Operator::Div => "/",
        Operator::FloorDiv => "//",
        Operator::Rem => "%",
        Operator::Pow => "** or pow()",
        Operator::Concat => "~",
    }
}

fn unsupported(op: Operator, a: &Val, b: &Val) -> Box<Problem> {
    Problem::other(format!(
        "unsupported operand type(s) for {}: '{}' and '{}'",
        symbol(op),
        a.type_name(),
        b.type_name()
    ))
}

impl Eval<'_> {
    /// `a op b` for arithmetic and concatenation.
    pub(crate) fn binary(&self, op: Operator, a: &Val, b: &Val) -> Result<Val> {
        if let Some(pair) = numbers(a, b)
            && op != Operator::Concat
        {
            return arithmetic(op, pair);
        }
        match op {
            Operator::Concat => {
                let mut out = self.text(a)?;
                self.write_text(b, &mut out)?;
                self.produce(out.len())?;
                Ok(Val::str(out))
            }
            Operator::Add => self.add(a, b),
            Operator::Mul => self.repeat(a, b),
            Operator::Rem => match a {
                Val::Str(format) => printf::format(self, format.as_str(), b).map(Val::str),
                _ => Err(unsupported(op, a, b)),
            },
            Operator::Sub => date::subtract(a, b).ok_or_else(|| unsupported(op, a, b)),
            _ => Err(unsupported(op, a, b)),
        }
    }

    fn add(&self, a: &Val, b: &Val) -> Result<Val> {
        match (a, b) {
            (Val::Str(x), Val::Str(y)) => {
                self.produce(x.as_str().len() + y.as_str().len())?;
                Ok(Val::str([x.as_str(), y.as_str()].concat()))
            }
            (Val::Str(_), other) => Err(Problem::other(format!(
                "can only concatenate str (not \"{}\") to str",
                other.type_name()
            ))),
            (Val::Tuple(x), Val::Tuple(y)) => Ok(Val::tuple(
                x.items.iter().chain(&y.items).cloned().collect(),
            )),
            (
                Val::List(_) | Val::Raw(Value::List(_), _),
                Val::List(_) | Val::Raw(Value::List(_), _),
            ) => {
                let mut items = self.items(a)?;
                items.extend(self.items(b)?);
                Ok(Val::list(items))
            }
            (Val::List(_) | Val::Raw(Value::List(_), _), other) => Err(Problem::other(format!(
                "can only concatenate list (not \"{}\") to list",
                other.type_name()
            ))),
            _ => date::add(a, b).ok_or_else(|| unsupported(Operator::Add, a, b)),
        }
    }

    fn repeat(&self, a: &Val, b: &Val) -> Result<Val> {
        let (what, times) = match (a, b) {
            (_, Val::Int(n)) => (a, *n),
            (Val::Int(n), _) => (b, *n),
            _ => return Err(unsupported(Operator::Mul, a, b)),
        };
        let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
        if let Val::Str(text) = what {
            let length = text.as_str().len().saturating_mul(times);
            self.produce(length)?;
            return Ok(Val::str(text.as_str().repeat(times)));
        }
        if !what.is_sequence() {
            return Err(unsupported(Operator::Mul, a, b));
        }
        let items = self.items(what)?;
        let length = limit_items((items.len() as u64).saturating_mul(times as u64))?;
        self.step(length as u64)?;
        let repeated = items.iter().cloned().cycle().take(length).collect();
        Ok(if let Val::Tuple(_) = what {
            Val::tuple(repeated)
        } else {
            Val::list(repeated)
        })
    }

    /// `-a`.
    pub(crate) fn negate(a: Val) -> Result<Val> {
        match Self::require(a)? {
            Val::Int(i) => i.checked_neg().map(Val::Int).ok_or_else(overflow),
            Val::Bool(b) => Ok(Val::Int(-i64::from(b))),
            Val::Float(f) => Ok(Val::Float(-f)),
            Val::Delta(d) => Ok(Val::Delta(-d)),
            other => Err(Problem::other(format!(
                "bad operand type for unary -: '{}'",
                other.type_name()
            ))),
        }
    }

    /// One comparison.
    pub(crate) fn compare(&self, op: Comparison, a: &Val, b: &Val) -> Result<bool> {
        Ok(match op {
            Comparison::Eq => self.equal(a, b)?,
            Comparison::Ne => !self.equal(a, b)?,
            Comparison::Lt => self.order(a, b, "<")? == Ordering::Less,
            Comparison::Le => self.order(a, b, "<=")? != Ordering::Greater,
            Comparison::Gt => self.order(a, b, ">")? == Ordering::Greater,
            Comparison::Ge => self.order(a, b, ">=")? != Ordering::Less,
            Comparison::In => self.contains(b, a)?,
            Comparison::NotIn => !self.contains(b, a)?,
        })
    }

    /// `a == b`.
    #[expect(
        clippy::float_cmp,
        reason = "equality of floats is what the template asks for"
    )]
    pub(crate) fn equal(&self, a: &Val, b: &Val) -> Result<bool> {
        self.step(1)?;
        if let Some(pair) = numbers(a, b) {
            return Ok(match pair {
                Numbers::Ints(a, b) => a == b,
                Numbers::Floats(a, b) => a == b,
            });
        }
        Ok(match (a, b) {
            (Val::Marker(_), _) | (_, Val::Marker(_)) => {
                Self::require(a.clone())?;
                Self::require(b.clone())?;
                false
            }
            (Val::Null, Val::Null) | (Val::Omit, Val::Omit) => true,
            (Val::Str(a), Val::Str(b)) => a == b,
            (Val::Date(a), Val::Date(b)) => a == b,
            (Val::Delta(a), Val::Delta(b)) => a == b,
            (Val::Tuple(x), Val::Tuple(y)) => self.equal_items(&x.items, &y.items)?,
            _ if a.is_mapping() && b.is_mapping() => self.equal_entries(a, b)?,
            (
                Val::List(_) | Val::Raw(Value::List(_), _),
                Val::List(_) | Val::Raw(Value::List(_), _),
            ) => {
                if self.length(a)? != self.length(b)? {
                    return Ok(false);
                }
                self.nested(|| self.equal_items(&self.items(a)?, &self.items(b)?))?
            }
            (Val::Range(..), Val::Range(..)) => {
                self.equal_items(&self.items(a)?, &self.items(b)?)?
            }
            (Val::Macro(a), Val::Macro(b)) => Rc::ptr_eq(a, b),
            _ => false,
        })
    }

    fn equal_items(&self, a: &[Val], b: &[Val]) -> Result<bool> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (x, y) in a.iter().zip(b) {
            if !self.equal(x, y)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_entries(&self, a: &Val, b: &Val) -> Result<bool> {
        let left = self.entries(a)?;
        let right = self.dict_of(b)?;
        if left.len() != right.len() {
            return Ok(false);
        }
        self.nested(|| {
            for (key, value) in &left {
                match right.get(key) {
                    Some(other) if self.equal(value, other)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        })
    }

    /// How two values are ordered; `op` is for the message.
    pub(crate) fn order(&self, a: &Val, b: &Val, op: &str) -> Result<Ordering> {
        let refuse = || {
            Problem::other(format!(
                "'{op}' not supported between instances of '{}' and '{}'",
                a.type_name(),
                b.type_name()
            ))
        };
        if let Some(pair) = numbers(a, b) {
            return Ok(match pair {
                Numbers::Ints(a, b) => a.cmp(&b),
                Numbers::Floats(a, b) => a.partial_cmp(&b).unwrap_or(Ordering::Greater),
            });
        }
        match (a, b) {
            (Val::Str(x), Val::Str(y)) => Ok(x.as_str().cmp(y.as_str())),
            (Val::Date(x), Val::Date(y)) => Ok(x.naive.cmp(&y.naive)),
            (Val::Delta(x), Val::Delta(y)) => Ok(x.cmp(y)),
            (Val::Marker(_), _) => Self::require(a.clone()).map(|_| Ordering::Equal),
            (_, Val::Marker(_)) => Self::require(b.clone()).map(|_| Ordering::Equal),
            _ if a.is_sequence()
                && b.is_sequence()
                && (matches!(a, Val::Tuple(_)) == matches!(b, Val::Tuple(_))) =>
            {
                let (x, y) = (self.items(a)?, self.items(b)?);
                for (left, right) in x.iter().zip(&y) {
                    if !self.equal(left, right)? {
                        return self.order(left, right, op);
                    }
                }
                Ok(x.len().cmp(&y.len()))
            }
            _ => Err(refuse()),
        }
    }

    /// `needle in haystack`.
    pub(crate) fn contains(&self, haystack: &Val, needle: &Val) -> Result<bool> {
        match haystack {
            Val::Str(text) => match needle {
                Val::Str(part) => Ok(text.as_str().contains(part.as_str())),
                other => Err(Problem::other(format!(
                    "'in <string>' requires string as left operand, not {}",
                    other.type_name()
                ))),
            },
            Val::Raw(Value::Map(map), _) => Ok(map.contains_key(&self.key(needle)?)),
            Val::Dict(dict) => Ok(dict.borrow().contains_key(&self.key(needle)?)),
            Val::Range(start, end, step) => Ok(match needle {
                Val::Int(i) => {
                    let inside = if *step > 0 {
                        i >= start && i < end
                    } else {
                        i <= start && i > end
                    };
                    inside && (i - start) % step == 0
                }
                _ => false,
            }),
            Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) => Err(Problem::other(format!(
                "argument of type '{}' is not iterable",
                haystack.type_name()
            ))),
            _ => {
                for item in self.items(haystack)? {
                    if self.equal(&item, needle)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

fn arithmetic(op: Operator, pair: Numbers) -> Result<Val> {
    match pair {
        Numbers::Ints(a, b) => int_arithmetic(op, a, b),
        Numbers::Floats(a, b) => float_arithmetic(op, a, b).map(Val::Float),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Python's true division does")]
fn int_arithmetic(op: Operator, a: i64, b: i64) -> Result<Val> {
    let checked = |value: Option<i64>| value.map(Val::Int).ok_or_else(overflow);
    let zero = || Problem::other("division by zero");
    match op {
        Operator::Add => checked(a.checked_add(b)),
        Operator::Sub => checked(a.checked_sub(b)),
        Operator::Mul => checked(a.checked_mul(b)),
        Operator::Div | Operator::FloorDiv | Operator::Rem if b == 0 => Err(zero()),
        Operator::Div => Ok(Val::Float(a as f64 / b as f64)),
        Operator::FloorDiv => {
            let quotient = a.checked_div(b).ok_or_else(overflow)?;
            let inexact = a.checked_rem(b).unwrap_or(0) != 0 && ((a < 0) != (b < 0));
            Ok(Val::Int(quotient - i64::from(inexact)))
        }
        Operator::Rem => {
            let rest = a.checked_rem(b).unwrap_or(0);
            Ok(Val::Int(if rest != 0 && ((rest < 0) != (b < 0)) {
                rest + b
            } else {
                rest
            }))
        }
        Operator::Pow => match u32::try_from(b) {
            Ok(exponent) => checked(a.checked_pow(exponent)),
            Err(_) if b < 0 && a == 0 => Err(zero()),
            Err(_) if b < 0 => Ok(Val::Float((a as f64).powf(b as f64))),
            Err(_) => Err(overflow()),
        },
        Operator::Concat => Err(Problem::other("`~` is not arithmetic")),
    }
}

fn float_arithmetic(op: Operator, a: f64, b: f64) -> Result<f64> {
    if b == 0.0 && matches!(op, Operator::Div | Operator::FloorDiv | Operator::Rem) {
        return Err(Problem::other("float division by zero"));
    }
    Ok(match op {
        Operator::Add => a + b,
        Operator::Sub => a - b,
        Operator::Mul => a * b,
        Operator::Div => a / b,
        Operator::FloorDiv => (a / b).floor(),
        Operator::Rem => a - b * (a / b).floor(),
        Operator::Pow => a.powf(b),
        Operator::Concat => return Err(Problem::other("`~` is not arithmetic")),
    })
}
