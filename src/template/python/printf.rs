//! `'%02d' % x`.

use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::python::format::{Spec, number};
use crate::template::val::Val;

/// The values that a format takes one after the other, or by name.
struct Values<'a> {
    all: &'a Val,
    next: std::vec::IntoIter<Val>,
    by_name: bool,
}

impl Values<'_> {
    fn take(&mut self) -> Result<Val> {
        self.next
            .next()
            .ok_or_else(|| Problem::other("not enough arguments for format string"))
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Formats `args` (a tuple, a mapping or one value) by a printf-like format.
pub(crate) fn format(eval: &Eval<'_>, format: &str, args: &Val) -> Result<String> {
    let list = match args {
        Val::Tuple(tuple) => tuple.items.clone(),
        other => vec![other.clone()],
    };
    let mut values = Values {
        all: args,
        next: list.into_iter(),
        by_name: false,
    };
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' {
            out.push_str(&directive(eval, &mut chars, &mut values)?);
        } else {
            out.push(c);
        }
    }
    let by_name = values.by_name;
    let left_over = values
        .next
        .next()
        .is_some_and(|left| !by_name && !left.is_mapping());
    if left_over {
        return Err(Problem::other(
            "not all arguments converted during string formatting",
        ));
    }
    eval.produce(out.len())?;
    Ok(out)
}

/// What follows a `%`.
fn directive(eval: &Eval<'_>, chars: &mut Chars<'_>, values: &mut Values<'_>) -> Result<String> {
    let mut named = None;
    if chars.next_if_eq(&'(').is_some() {
        let name: String = chars.by_ref().take_while(|c| *c != ')').collect();
        named = Some(eval.item(values.all, &Val::str(name))?);
        values.by_name = true;
    }
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
    spec.width = size(chars, values)?.min(1 << 20);
    // `%-05d`: the left alignment wins over the zeros.
    spec.zero &= spec.align == '>';
    if chars.next_if_eq(&'.').is_some() {
        spec.precision = Some(size(chars, values)?.min(1 << 20));
    }
    while chars.next_if(|c| "hlL".contains(*c)).is_some() {}
    match chars.next() {
        None => Err(Problem::other("incomplete format")),
        Some('%') => Ok("%".to_owned()),
        Some(kind) => {
            let value = match named {
                Some(value) => value,
                None => values.take()?,
            };
            one(eval, kind, &Eval::require(value)?, spec)
        }
    }
}

/// A width or precision: digits, or `*` for an argument.
fn size(chars: &mut Chars<'_>, values: &mut Values<'_>) -> Result<usize> {
    if chars.next_if_eq(&'*').is_some() {
        return match values.take()? {
            Val::Int(i) => Ok(usize::try_from(i).unwrap_or(0)),
            _ => Err(Problem::other("* wants int")),
        };
    }
    let mut digits = String::new();
    while let Some(d) = chars.next_if(char::is_ascii_digit) {
        digits.push(d);
    }
    Ok(digits.parse().unwrap_or(0))
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
