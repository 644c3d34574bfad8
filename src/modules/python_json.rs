//! JSON as Python's `json.dumps` writes it: `, ` and `: ` between, all ASCII.

use std::io::{self, Write};

use serde::Serialize as _;

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        text: &str,
    ) -> io::Result<()> {
        for c in text.chars() {
            if c.is_ascii() {
                write!(to, "{c}")?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(to, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// The text of `value`.
pub(super) fn dumps(value: &serde_json::Value) -> String {
    let mut out = Vec::new();
    let mut to = serde_json::Serializer::with_formatter(&mut out, Spaced);
    value
        .serialize(&mut to)
        .expect("invariant: a JSON value can be written to memory");
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_what_python_writes() {
        let value = serde_json::json!({"a": [1, true, null, 1.5], "ü": "x\n\"😀"});
        assert_eq!(
            super::dumps(&value),
            r#"{"a": [1, true, null, 1.5], "\u00fc": "x\n\"\ud83d\ude00"}"#
        );
    }
}
