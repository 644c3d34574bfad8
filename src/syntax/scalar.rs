//! What a plain scalar means.
//!
//! Source: `PyYAML` 6 `resolver.py` and `constructor.py` (YAML 1.1), as Ansible uses it, except that
//! `1:30` and `2024-01-02` stay strings.

use super::Kind;

/// Resolves the text of an unquoted scalar.
pub fn resolve_plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Kind::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Kind::Bool(false);
        }
        _ => {}
    }
    let first = text.as_bytes()[0];
    if (first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.'))
        && let Some(number) = int(text)
            .map(Kind::Int)
            .or_else(|| float(text).map(Kind::Float))
    {
        return number;
    }
    Kind::Str(text.into())
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn int(text: &str) -> Option<i64> {
    let (is_negative, digits) = sign(text);
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', _, ..] => (16, &digits[2..]),
        [b'0', b'b', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        [b'0'..=b'9', ..] => (10, digits),
        _ => return None,
    };
    if !digits.chars().all(|c| c == '_' || c.is_digit(radix)) {
        return None;
    }
    let digits = digits.replace('_', "");
    let magnitude = i128::from_str_radix(&digits, radix).ok()?;
    i64::try_from(if is_negative { -magnitude } else { magnitude }).ok()
}

fn float(text: &str) -> Option<f64> {
    let (is_negative, body) = sign(text);
    let apply = |f: f64| if is_negative { -f } else { f };
    match body {
        ".inf" | ".Inf" | ".INF" => return Some(apply(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if body.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let is_digits = |s: &str| s.chars().all(|c| c == '_' || c.is_ascii_digit());
    let starts_well = if whole.is_empty() {
        body.len() == text.len() && fraction.starts_with(|c: char| c.is_ascii_digit())
    } else {
        whole.starts_with(|c: char| c.is_ascii_digit())
    };
    let exponent_is_fine = exponent.is_none_or(|e| {
        let (_, digits) = sign(e);
        digits.len() < e.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    if !(starts_well && is_digits(whole) && is_digits(fraction) && exponent_is_fine) {
        return None;
    }
    let mut plain = mantissa.replace('_', "");
    if plain.ends_with('.') {
        plain.push('0');
    }
    if let Some(exponent) = exponent {
        plain.push('e');
        plain.push_str(exponent);
    }
    plain.parse().ok().map(apply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_pyyaml_says() {
        let s = |t: &str| Kind::Str(t.into());
        for (text, kind) in [
            ("yes", Kind::Bool(true)),
            ("Off", Kind::Bool(false)),
            ("yEs", s("yEs")),
            ("y", s("y")),
            ("0644", Kind::Int(420)),
            ("0o644", s("0o644")),
            ("089", s("089")),
            ("1_000", Kind::Int(1000)),
            ("0x1F", Kind::Int(31)),
            ("-0x1F", Kind::Int(-31)),
            ("0b11", Kind::Int(3)),
            ("+5", Kind::Int(5)),
            ("-", s("-")),
            ("1.", Kind::Float(1.0)),
            ("1.5e+3", Kind::Float(1500.0)),
            ("1.5e3", s("1.5e3")),
            ("1e3", s("1e3")),
            (".5", Kind::Float(0.5)),
            ("-.5", s("-.5")),
            ("-.inf", Kind::Float(f64::NEG_INFINITY)),
            ("1:30", s("1:30")),
            ("2024-01-02", s("2024-01-02")),
            ("~", Kind::Null),
            ("9223372036854775808", s("9223372036854775808")),
            ("1.2.3", s("1.2.3")),
            ("10.0.0.1", s("10.0.0.1")),
        ] {
            assert_eq!(resolve_plain(text), kind, "{text}");
        }
    }
}
