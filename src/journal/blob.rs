//! Large parts of records, moved to files named by their SHA-256.
//!
//! A string over [`INLINE_MAX`] bytes becomes `{"$blob": HASH}`, a list over it
//! `{"$blob_list": HASH}`. Callers see neither. A mapping that looks like one of these by itself
//! gets one more `$`, so that data from a host cannot name a blob.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Strings and lists up to this many bytes stay in the line.
pub(super) const INLINE_MAX: usize = 4096;

const TEXT: &str = "$blob";
const LIST: &str = "$blob_list";

/// The SHA-256 of some bytes, in hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Whether the JSON text of a record has to go through [`extract`].
pub(super) fn is_needed(json: &str) -> bool {
    json.len() > INLINE_MAX || json.contains(TEXT)
}

/// Replaces large parts, giving each to `put`, which says whether it could be kept elsewhere.
pub(super) fn extract(json: Value, put: &mut dyn FnMut(&str, &[u8]) -> bool) -> Value {
    match json {
        Value::String(text) if text.len() > INLINE_MAX => {
            let hash = sha256_hex(text.as_bytes());
            if put(&hash, text.as_bytes()) {
                reference(TEXT, hash)
            } else {
                Value::String(text)
            }
        }
        Value::Array(items) => {
            let items = Value::Array(items);
            let bytes = items.to_string();
            if bytes.len() > INLINE_MAX {
                let hash = sha256_hex(bytes.as_bytes());
                if put(&hash, bytes.as_bytes()) {
                    return reference(LIST, hash);
                }
            }
            let Value::Array(items) = items else {
                return items;
            };
            // Too small to move, or no room: what is inside may still look like a reference.
            items.into_iter().map(|item| extract(item, put)).collect()
        }
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (escaped(key), extract(value, put)))
                .collect(),
        ),
        other => other,
    }
}

/// Puts large parts back, asking `take` for the bytes of each.
pub(super) fn restore(
    json: Value,
    take: &dyn Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Value, String> {
    match json {
        Value::Array(items) => items.into_iter().map(|i| restore(i, take)).collect(),
        Value::Object(map) => {
            if map.len() == 1 {
                if let Some(Value::String(hash)) = map.get(TEXT) {
                    return checked(hash, take).map(Value::String);
                }
                if let Some(Value::String(hash)) = map.get(LIST) {
                    return serde_json::from_str(&checked(hash, take)?)
                        .map_err(|e| format!("the blob `{hash}` is not a list: {e}"));
                }
            }
            map.into_iter()
                .map(|(key, value)| Ok((unescaped(key), restore(value, take)?)))
                .collect::<Result<Map<_, _>, String>>()
                .map(Value::Object)
        }
        other => Ok(other),
    }
}

fn checked(hash: &str, take: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Result<String, String> {
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("`{hash}` does not name a blob"));
    }
    let bytes = take(hash)?;
    if sha256_hex(&bytes) != hash {
        return Err(format!("the blob `{hash}` is not as it was written"));
    }
    String::from_utf8(bytes).map_err(|_| format!("the blob `{hash}` is not text"))
}

fn reference(kind: &str, hash: String) -> Value {
    Value::Object(Map::from_iter([(kind.to_owned(), Value::String(hash))]))
}

fn names_blob(key: &str) -> bool {
    let rest = key.trim_start_matches('$');
    rest.len() < key.len() && (rest == &TEXT[1..] || rest == &LIST[1..])
}

fn escaped(key: String) -> String {
    if names_blob(&key) {
        format!("${key}")
    } else {
        key
    }
}

fn unescaped(key: String) -> String {
    if names_blob(&key) && key.starts_with("$$") {
        key[1..].to_owned()
    } else {
        key
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn round_trip(value: &Value) -> (Value, Value) {
        let blobs = RefCell::new(HashMap::new());
        let stored = extract(value.clone(), &mut |hash, bytes| {
            blobs.borrow_mut().insert(hash.to_owned(), bytes.to_vec());
            true
        });
        let back = restore(stored.clone(), &|hash| {
            blobs
                .borrow()
                .get(hash)
                .cloned()
                .ok_or_else(|| "gone".into())
        });
        (stored, back.unwrap())
    }

    #[test]
    fn large_parts_leave_the_line_and_come_back() {
        let value = json!({"stdout": "x".repeat(5000), "rc": 0,
            "stdout_lines": vec!["y".repeat(100); 100], "small": [1, 2]});
        let (stored, back) = round_trip(&value);
        assert!(stored.to_string().len() < 400, "{stored}");
        assert_eq!(back, value);
    }

    #[test]
    fn data_that_looks_like_a_reference_stays_data() {
        for value in [
            json!({"$blob": "../../etc/shadow"}),
            json!([{"$blob_list": "00"}, {"$$blob": {"$blob": 1}}]),
            json!([{"$blob": "x"}, "y".repeat(5000)]),
        ] {
            assert_eq!(round_trip(&value).1, value);
        }
    }

    #[test]
    fn a_changed_blob_is_refused() {
        let stored = reference(TEXT, sha256_hex(b"right"));
        let why = restore(stored, &|_| Ok(b"wrong".to_vec())).unwrap_err();
        assert!(why.contains("not as it was written"), "{why}");
    }
}
