//! `'%02d' % x`.

use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::python::format::{Spec, number};
use crate::template::val::Val;

/// Formats `args` (a tuple, a mapping or one value) by a printf-like format.
pub(crate) fn format(eval: &Eval<'_>, format: &str, args: &Val) -> Result<String> {
    let list = match args {
        Val::Tuple(tuple) => tuple.items.clone(),
        other => vec![other.clone()],
    };
    let mut next = list.into_iter();
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars().peekable();
    let mut used_mapping = false;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut by_name = None;
        if chars.peek() == Some(&'(') {
            chars.next();
            let name: String = chars.by_ref().take_while(|c| *c != ')').collect();
            by_name = Some(eval.item(args, &Val::str(name))?);
            used_mapping = true;
        }
        let mut take = || {
            next.next()
                .ok_or_else(|| Problem::other("not enough arguments for format string"))
        };
        let mut spec = Spec {
            align: '>',
            ..Spec::default()
        };
        while let Some(flag) = chars.next_if(|c| "-+ #0".contains(*c)) {
            match flag {
                '-' => spec.align = '<',
                '+' => spec.sign = '+',
                ' ' if spec.sign != '+' => spec.sign = ' ',
                '#' => spec.alternate = true,
                '0' => spec.zero = true,
                _ => {}
            }
        }
        let mut width = || -> Result<Option<usize>> {
            if chars.next_if_eq(&'*').is_some() {
                return match take()? {
                    Val::Int(i) => Ok(usize::try_from(i).ok()),
                    _ => Err(Problem::other("* wants int")),
                };
            }
            let mut digits = String::new();
            while let Some(d) = chars.next_if(char::is_ascii_digit) {
                digits.push(d);
            }
            Ok(digits.parse().ok())
        };
        spec.width = width()?.unwrap_or(0).min(1 << 20);
        // `%-05d`: the left alignment wins over the zeros.
        spec.zero &= spec.align == '>';
        if chars.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(d) = chars.next_if(char::is_ascii_digit) {
                digits.push(d);
            }
            spec.precision = Some(digits.parse().unwrap_or(0));
        }
        while chars.next_if(|c| "hlL".contains(*c)).is_some() {}
        let Some(kind) = chars.next() else {
            return Err(Problem::other("incomplete format"));
        };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = Eval::require(match by_name {
            Some(value) => value,
            None => take()?,
        })?;
        out.push_str(&one(eval, kind, &value, spec)?);
    }
    let left_over = next
        .next()
        .is_some_and(|left| !used_mapping && !left.is_mapping());
    if left_over {
        return Err(Problem::other(
            "not all arguments converted during string formatting",
        ));
    }
    eval.produce(out.len())?;
    Ok(out)
}

fn one(eval: &Eval<'_>, kind: char, value: &Val, mut spec: Spec) -> Result<String> {
    match kind {
        's' | 'r' | 'a' => {
            let text = if kind == 's' {
                eval.text(value)?
            } else {
                repr(eval, value)?
            };
            spec.zero = false;
            Ok(spec.pad_text(&text))
        }
        'c' => {
            let text = match value {
                Val::Int(i) => u32::try_from(*i)
                    .ok()
                    .and_then(char::from_u32)
                    .map(String::from)
                    .ok_or_else(|| Problem::other("%c arg not in range(0x110000)"))?,
                Val::Str(text) if text.as_str().chars().count() == 1 => text.as_str().to_owned(),
                _ => return Err(Problem::other("%c requires int or char")),
            };
            Ok(spec.pad_text(&text))
        }
        'd' | 'i' | 'u' => match value {
            Val::Int(_) | Val::Bool(_) => number(value, 'd', spec),
            #[expect(clippy::cast_possible_truncation, reason = "%d truncates as in Python")]
            Val::Float(f) => number(&Val::Int(*f as i64), 'd', spec),
            other => Err(Problem::other(format!(
                "%{kind} format: a real number is required, not {}",
                other.type_name()
            ))),
        },
        'x' | 'X' | 'o' => match value {
            Val::Int(_) | Val::Bool(_) => number(value, kind, spec),
            other => Err(Problem::other(format!(
                "%{kind} format: an integer is required, not {}",
                other.type_name()
            ))),
        },
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match value {
            Val::Int(_) | Val::Bool(_) | Val::Float(_) => number(value, kind, spec),
            other => Err(Problem::other(format!(
                "must be real number, not {}",
                other.type_name()
            ))),
        },
        other => Err(Problem::other(format!(
            "unsupported format character '{other}'"
        ))),
    }
}

/// Python's `repr()`.
pub(crate) fn repr(eval: &Eval<'_>, value: &Val) -> Result<String> {
    let mut out = String::new();
    super::repr::write(&eval.finalize(value)?, &mut out);
    Ok(out)
}
