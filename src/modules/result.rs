//! The shape of results that modules share: fields in Ansible's names.
//!
//! Pure; knows nothing of any one module.

use crate::script::Reply;
use crate::value::{Map, Value};

/// A map of result fields, in this order.
pub(super) fn fields<const N: usize>(entries: [(&str, Value); N]) -> Map {
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A list of strings.
pub(super) fn strings<I: IntoIterator<Item = S>, S: Into<String>>(items: I) -> Value {
    Value::from(
        items
            .into_iter()
            .map(|s| Value::from(s.into()))
            .collect::<Vec<_>>(),
    )
}

/// What a command had said by the time of this reply, in the shape of its result.
pub fn output_of(reply: &Reply) -> Map {
    of_command(reply, true)
}

/// What a command gave: `rc`, `stdout`, `stderr` and both as lines.
///
/// `strips` takes off line ends at the end of both, as `strip_empty_ends` does.
pub(super) fn of_command(reply: &Reply, strips: bool) -> Map {
    let text = |text: String| {
        if strips {
            text.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            text
        }
    };
    with_output(
        Value::from(reply.rc),
        &text(reply.stdout_text()),
        &text(reply.stderr_text()),
    )
}

/// `rc`, `stdout`, `stderr` and both as lines.
pub(super) fn with_output(rc: Value, stdout: &str, stderr: &str) -> Map {
    fields([
        ("rc", rc),
        ("stdout", stdout.into()),
        ("stdout_lines", lines(stdout)),
        ("stderr", stderr.into()),
        ("stderr_lines", lines(stderr)),
    ])
}

/// The lines of a text as Python's `splitlines` sees them.
pub(super) fn lines(text: &str) -> Value {
    let mut out: Vec<Value> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|c| {
                matches!(
                    c,
                    '\n' | '\r'
                        | '\u{b}'
                        | '\u{c}'
                        | '\u{1c}'
                        | '\u{1d}'
                        | '\u{1e}'
                        | '\u{85}'
                        | '\u{2028}'
                        | '\u{2029}'
                )
            })
            .unwrap_or(rest.len());
        out.push(rest[..end].into());
        let after = &rest[end..];
        rest = after.strip_prefix("\r\n").unwrap_or_else(|| {
            let mut chars = after.chars();
            chars.next();
            chars.as_str()
        });
    }
    Value::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_python_splits_them() {
        for (text, expected) in [
            ("", vec![]),
            ("a", vec!["a"]),
            ("a\n", vec!["a"]),
            ("a\r\nb\rc\n\n", vec!["a", "b", "c", ""]),
            ("a\u{85}b\u{c}c", vec!["a", "b", "c"]),
        ] {
            assert_eq!(lines(text), strings(expected), "{text:?}");
        }
    }
}
