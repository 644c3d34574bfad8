//! `str.format` and the number formats that it shares with printf.

use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val};

/// A format specification: `[[fill]align][sign][#][0][width][,][.precision][type]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) fill: char,
    /// `<`, `>`, `^`, `=`, or a space for the default of the type.
    pub(crate) align: char,
    pub(crate) sign: char,
    pub(crate) alternate: bool,
    pub(crate) zero: bool,
    pub(crate) width: usize,
    pub(crate) grouping: Option<char>,
    pub(crate) precision: Option<usize>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            fill: ' ',
            align: ' ',
            sign: '-',
            alternate: false,
            zero: false,
            width: 0,
            grouping: None,
            precision: None,
        }
    }
}

impl Spec {
    /// Pads text, cut to the precision.
    pub(crate) fn pad_text(&self, text: &str) -> String {
        let cut: String = match self.precision {
            Some(n) => text.chars().take(n).collect(),
            None => text.to_owned(),
        };
        self.pad("", &cut, '<')
    }

    fn pad(&self, sign: &str, body: &str, default_align: char) -> String {
        let length = sign.chars().count() + body.chars().count();
        let missing = self.width.saturating_sub(length);
        let align = if self.align == ' ' {
            default_align
        } else {
            self.align
        };
        if self.zero && matches!(align, '>' | '=') {
            return format!("{sign}{}{body}", "0".repeat(missing));
        }
        let fill = |n: usize| std::iter::repeat_n(self.fill, n).collect::<String>();
        match align {
            '<' => format!("{sign}{body}{}", fill(missing)),
            '^' => format!(
                "{}{sign}{body}{}",
                fill(missing / 2),
                fill(missing - missing / 2)
            ),
            '=' => format!("{sign}{}{body}", fill(missing)),
            _ => format!("{}{sign}{body}", fill(missing)),
        }
    }
}

/// Formats a number by one of `d x X o b e E f F g G %`.
#[expect(clippy::cast_precision_loss, reason = "as Python's float() does")]
pub(crate) fn number(value: &Val, kind: char, spec: Spec) -> Result<String> {
    let int = match value {
        Val::Int(i) => Some(*i),
        Val::Bool(b) => Some(i64::from(*b)),
        _ => None,
    };
    let float = match (value, int) {
        (Val::Float(f), _) => *f,
        (_, Some(i)) => i as f64,
        _ => return Err(Problem::other("a number is required")),
    };
    let precision = spec.precision.unwrap_or(6).min(300);
    let (negative, body) = match (kind, int) {
        ('d', Some(i)) => (i < 0, i.unsigned_abs().to_string()),
        ('x', Some(i)) => (
            i < 0,
            prefix(&spec, "0x", format!("{:x}", i.unsigned_abs())),
        ),
        ('X', Some(i)) => (
            i < 0,
            prefix(&spec, "0X", format!("{:X}", i.unsigned_abs())),
        ),
        ('o', Some(i)) => (
            i < 0,
            prefix(&spec, "0o", format!("{:o}", i.unsigned_abs())),
        ),
        ('b', Some(i)) => (
            i < 0,
            prefix(&spec, "0b", format!("{:b}", i.unsigned_abs())),
        ),
        ('f' | 'F', _) => (float < 0.0, format!("{:.precision$}", float.abs())),
        ('%', _) => (float < 0.0, format!("{:.precision$}%", float.abs() * 100.0)),
        ('e' | 'E', _) => (float < 0.0, exponent(float.abs(), precision, kind)),
        ('g' | 'G', _) => (float < 0.0, general(float.abs(), precision.max(1), kind)),
        _ => {
            return Err(Problem::other(format!(
                "unknown format code '{kind}' for object of type '{}'",
                value.type_name()
            )));
        }
    };
    let body = match (kind, spec.precision) {
        // In printf the precision of an integer is its least number of digits.
        ('d', Some(digits)) => format!("{body:0>digits$}"),
        _ => body,
    };
    let body = spec
        .grouping
        .map_or(body.clone(), |comma| group(&body, comma));
    let sign = match (negative, spec.sign) {
        (true, _) => "-",
        (false, '+') => "+",
        (false, ' ') => " ",
        _ => "",
    };
    Ok(spec.pad(sign, &body, '>'))
}

fn prefix(spec: &Spec, prefix: &str, digits: String) -> String {
    if spec.alternate {
        format!("{prefix}{digits}")
    } else {
        digits
    }
}

fn exponent(f: f64, precision: usize, kind: char) -> String {
    let text = format!("{f:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}{kind}{sign}{exponent:0>2}")
}

fn general(f: f64, precision: usize, kind: char) -> String {
    let trimmed = |text: String| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    };
    if f == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{f:.*e}", precision - 1);
    let magnitude: i64 = scientific
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    let digits = i64::try_from(precision).unwrap_or(6);
    if magnitude < -4 || magnitude >= digits {
        let text = exponent(f, precision - 1, if kind == 'G' { 'E' } else { 'e' });
        let (mantissa, tail) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
        return format!("{}{tail}", trimmed(mantissa.to_owned()));
    }
    let decimals = usize::try_from(digits - 1 - magnitude).unwrap_or(0);
    trimmed(format!("{f:.decimals$}"))
}

fn group(body: &str, comma: char) -> String {
    let end = body
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(body.len());
    let (digits, tail) = body.split_at(end);
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(comma);
        }
        out.push(c);
    }
    out + tail
}

/// `'{} {name:>8}'.format(...)`.
pub(crate) fn str_format(eval: &Eval<'_>, format: &str, args: &Args) -> Result<String> {
    let mut out = String::new();
    let mut next = 0;
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(Problem::other("single '}' encountered in format string"));
        }
        let Some(end) = rest.find('}') else {
            return Err(Problem::other("expected '}' before end of string"));
        };
        let (field, spec) = rest[..end].split_once(':').unwrap_or((&rest[..end], ""));
        rest = &rest[end + 1..];
        let (field, conversion) = field
            .split_once('!')
            .map_or((field, None), |(f, c)| (f, Some(c)));
        let value = field_value(eval, field, args, &mut next)?;
        let value = match conversion {
            Some("r") => Val::str(super::printf::repr(eval, &value)?),
            Some("s") => Val::str(eval.text(&value)?),
            _ => value,
        };
        out.push_str(&formatted(eval, &value, spec)?);
    }
    out.push_str(rest);
    eval.produce(out.len())?;
    Ok(out)
}

fn field_value(eval: &Eval<'_>, field: &str, args: &Args, next: &mut usize) -> Result<Val> {
    let end = field.find(['.', '[']).unwrap_or(field.len());
    let (name, path) = field.split_at(end);
    let found = if name.is_empty() {
        *next += 1;
        args.list.get(*next - 1)
    } else if let Ok(index) = name.parse::<usize>() {
        args.list.get(index)
    } else {
        args.named
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, v)| v)
    };
    let mut value = found.cloned().ok_or_else(|| {
        Problem::other(format!("no argument for the field '{name}' of the format"))
    })?;
    for part in path.split(['.', '[']).filter(|p| !p.is_empty()) {
        let part = part.trim_end_matches(']');
        value = eval.path(&value, &Val::str(part))?;
    }
    Eval::require(value)
}

fn formatted(eval: &Eval<'_>, value: &Val, spec: &str) -> Result<String> {
    if spec.is_empty() {
        return eval.text(value);
    }
    let (parsed, kind) = parse(spec)?;
    match (value, kind) {
        (Val::Int(_), None) => number(value, 'd', parsed),
        (Val::Float(_), None) if parsed.precision.is_none() => {
            Ok(parsed.pad("", &eval.text(value)?, '>'))
        }
        (Val::Float(_), None) => number(value, 'g', parsed),
        (Val::Int(_) | Val::Float(_) | Val::Bool(_), Some(kind)) => number(value, kind, parsed),
        (Val::Date(moment), _) => super::date::strftime(moment.naive, moment.offset, spec),
        (_, None | Some('s')) => Ok(parsed.pad_text(&eval.text(value)?)),
        (_, Some(kind)) => Err(Problem::other(format!(
            "unknown format code '{kind}' for object of type '{}'",
            value.type_name()
        ))),
    }
}

fn parse(spec: &str) -> Result<(Spec, Option<char>)> {
    let mut out = Spec::default();
    let chars: Vec<char> = spec.chars().collect();
    let mut i = 0;
    if chars.get(1).is_some_and(|c| "<>=^".contains(*c)) {
        out.fill = chars[0];
        out.align = chars[1];
        i = 2;
    } else if chars.first().is_some_and(|c| "<>=^".contains(*c)) {
        out.align = chars[0];
        i = 1;
    }
    if let Some(sign) = chars.get(i).filter(|c| "+- ".contains(**c)) {
        out.sign = *sign;
        i += 1;
    }
    if chars.get(i) == Some(&'#') {
        out.alternate = true;
        i += 1;
    }
    if chars.get(i) == Some(&'0') {
        out.zero = true;
        i += 1;
    }
    let digits = |from: usize| {
        chars[from..]
            .iter()
            .take_while(|c| c.is_ascii_digit())
            .count()
    };
    let parse_number = |from: usize, n: usize| -> Option<usize> {
        chars[from..from + n]
            .iter()
            .collect::<String>()
            .parse()
            .ok()
    };
    let n = digits(i);
    out.width = parse_number(i, n).unwrap_or(0).min(1 << 20);
    i += n;
    if let Some(comma) = chars.get(i).filter(|c| ",_".contains(**c)) {
        out.grouping = Some(*comma);
        i += 1;
    }
    if chars.get(i) == Some(&'.') {
        let n = digits(i + 1);
        out.precision = parse_number(i + 1, n);
        i += 1 + n;
    }
    match chars.get(i..) {
        Some([]) | None => Ok((out, None)),
        Some([kind]) => Ok((out, Some(*kind))),
        _ => Err(Problem::other(format!("invalid format specifier '{spec}'"))),
    }
}
