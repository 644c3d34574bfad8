//! Permission bits as a playbook writes them: octal, integer or symbolic.
//!
//! Source: ansible-core 2.19, `module_utils/basic.py`, `set_mode_if_different` and
//! `_symbolic_mode_to_octal`.

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The `mode` argument: an octal or symbolic string, or a number that is taken as it is (YAML has
/// already read `0644` as 420).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// All twelve bits.
    Bits(u32),
    /// `u+rwX,g-w`; checked to be well-formed.
    Symbolic(String),
    /// As the source has it.
    Preserve,
}

/// What a symbolic mode starts from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    /// The present permission bits, or those that a new file gets.
    pub(super) bits: u32,
    /// Whether it is a directory, for `X`.
    pub(super) is_dir: bool,
    /// The umask on the host, for clauses that name no user.
    pub(super) umask: u32,
}

impl Mode {
    /// Reads the text of a mode.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "preserve" {
            return Ok(Self::Preserve);
        }
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if let Ok(bits) = u32::from_str_radix(digits, 8) {
            return Self::from_bits(bits.into());
        }
        let symbolic = Self::Symbolic(text.to_owned());
        let base = Base {
            bits: 0,
            is_dir: false,
            umask: 0,
        };
        apply_symbolic(text, base).map(|_| symbolic)
    }

    fn from_bits(bits: i64) -> Result<Self, String> {
        match u32::try_from(bits) {
            Ok(bits) if bits <= 0o7777 => Ok(Self::Bits(bits)),
            _ => Err(format!(
                "invalid mode `{bits}` supplied, only permission info is allowed; quote octal \
                 digits, as in `mode: \"0644\"`"
            )),
        }
    }

    /// The bits that this mode gives to what is in `base`; `preserve` keeps them.
    pub(super) fn bits(&self, base: Base) -> u32 {
        match self {
            Self::Bits(bits) => *bits,
            Self::Symbolic(text) => apply_symbolic(text, base).unwrap_or(base.bits),
            Self::Preserve => base.bits,
        }
    }
}

fn apply_symbolic(text: &str, base: Base) -> Result<u32, String> {
    let bad = || {
        format!("mode must be in octal or symbolic form, bad symbolic permission for mode `{text}`")
    };
    let mut bits = base.bits;
    for clause in text.split(',') {
        let at = clause.find(['+', '-', '=']).ok_or_else(bad)?;
        let (users, mut rest) = clause.split_at(at);
        let heeds_umask = users.is_empty();
        let users = if matches!(users, "" | "a") {
            "ugo"
        } else {
            users
        };
        if !users.chars().all(|c| "ugo".contains(c)) {
            return Err(bad());
        }
        while let Some(operator) = rest.chars().next() {
            rest = &rest[1..];
            let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
            let (perms, next) = rest.split_at(end);
            rest = next;
            if !perms.chars().all(|c| "rwxXstugo".contains(c)) {
                return Err(bad());
            }
            for user in users.chars() {
                let umask = if heeds_umask { base.umask } else { 0 };
                let apply = permissions(user, perms, bits, base.is_dir, umask);
                bits = match operator {
                    '=' => bits & !all_of(user) | apply,
                    '+' => bits | apply,
                    _ => bits & !apply,
                };
            }
        }
    }
    Ok(bits)
}

fn all_of(user: char) -> u32 {
    match user {
        'u' => 0o4700,
        'g' => 0o2070,
        _ => 0o1007,
    }
}

fn permissions(user: char, perms: &str, bits: u32, is_dir: bool, umask: u32) -> u32 {
    let shift = match user {
        'u' => 6,
        'g' => 3,
        _ => 0,
    };
    perms.chars().fold(0, |sum, perm| {
        sum | match perm {
            'r' => (4 << shift) & !umask,
            'w' => (2 << shift) & !umask,
            'x' => (1 << shift) & !umask,
            'X' if is_dir || bits & 0o111 != 0 => 1 << shift,
            's' if user == 'u' => 0o4000,
            's' if user == 'g' => 0o2000,
            't' if user == 'o' => 0o1000,
            'u' => ((bits >> 6) & 7) << shift,
            'g' => ((bits >> 3) & 7) << shift,
            'o' => (bits & 7) << shift,
            _ => 0,
        }
    })
}

impl schemars::JsonSchema for Mode {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mode".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["string", "integer"]})
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl Visitor<'_> for Reads {
            type Value = Mode;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mode such as \"0644\" or u+rwX")
            }
            fn visit_i64<E: Error>(self, bits: i64) -> Result<Mode, E> {
                Mode::from_bits(bits).map_err(E::custom)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Mode, E> {
                Mode::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Value, from_value};

    #[test]
    fn modes_are_read_as_ansible_reads_them() {
        for (value, bits) in [
            (Value::Int(420), Some(0o644)),
            (Value::from("0644"), Some(0o644)),
            (Value::from("644"), Some(0o644)),
            (Value::from("01777"), Some(0o1777)),
            (Value::from("0o600"), Some(0o600)),
            (Value::Int(644), Some(0o1204)),
            (Value::Int(16877), None),
            (Value::from("rw"), None),
            (Value::from("q+x"), None),
            (Value::from("u+z"), None),
        ] {
            let read = from_value::<Mode>(&value).ok().map(|mode| match mode {
                Mode::Bits(bits) => bits,
                other => panic!("{value:?} read as {other:?}"),
            });
            assert_eq!(read, bits, "{value:?}");
        }
    }

    /// The expected bits are what ansible-core 2.19's `_symbolic_mode_to_octal` gives.
    #[test]
    fn symbolic_modes_start_from_what_is_there() {
        for (text, bits, is_dir, umask, expected) in [
            ("u+rwX,g-w", 0o664, false, 0o022, 0o644),
            ("a+X", 0o644, false, 0o022, 0o644),
            ("a+X", 0o744, false, 0o022, 0o755),
            ("a+X", 0o644, true, 0o022, 0o755),
            ("u=rw,g=r,o=", 0o4777, false, 0o022, 0o640),
            ("+w", 0o444, false, 0o022, 0o644),
            ("=rx", 0o777, false, 0o027, 0o550),
            ("g+s,o+t", 0o755, true, 0o022, 0o3755),
            ("g=u", 0o740, false, 0o022, 0o770),
            ("u=rw-x+X,g=r-x+X,o=r-x+X", 0o755, false, 0o022, 0o755),
            ("o=g-w", 0o664, false, 0o022, 0o664),
            ("ug+x", 0o600, false, 0, 0o710),
        ] {
            let base = Base {
                bits,
                is_dir,
                umask,
            };
            let got = Mode::parse(text).unwrap().bits(base);
            assert_eq!(got, expected, "{text} on {bits:o}: {got:o}");
        }
    }
}
