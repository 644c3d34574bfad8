//! `slurp`: reads a whole file of the host.

use super::path_state::{failure, word};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::Map;

/// Reads a whole file of the host, as base64.
///
/// # Returns
/// * `content`: the bytes, as base64.
/// * `encoding`: `base64`.
/// * `source`: the file.
///
/// # Example
/// ```yaml
/// - slurp:
///     src: /etc/hostname
///   register: name
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Slurp;

/// Arguments of `slurp`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SlurpArgs {
    /// The file to read.
    #[serde(alias = "path")]
    src: String,
}

impl Module for Slurp {
    const NAME: &'static str = "slurp";
    const EFFECT: Effect = Effect::Reads;
    type Args = SlurpArgs;

    fn probe(args: &SlurpArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(format!("SB_p={}\n{READ}", word(&args.src))))
    }

    fn decide(args: &SlurpArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        let fields = reply.fields();
        let path = fields.get("path").unwrap_or(&args.src);
        if let Some(why) = fields.get("why") {
            return Err(Failure::new(refusal(why, path)));
        }
        if reply.rc != 0 {
            return Err(failure(&format!("unable to slurp file: {path}"), reply));
        }
        Ok(Decision::Unchanged(Outcome::ok(Map::from([
            ("content".into(), base64(reply.body()).into()),
            ("source".into(), path.clone().into()),
            ("encoding".into(), "base64".into()),
        ]))))
    }

    fn finish(
        _: &SlurpArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: slurp never decides on a change")
    }
}

/// Field `path`, then either field `why` or the file as the body.
pub(super) const READ: &str = "sb_kv path \"$SB_p\"\n\
    SB_parent=${SB_p%/*}\n\
    if [ -d \"$SB_p\" ] && [ ! -r \"$SB_p\" ]; then sb_kv why unreadable\n\
    elif [ -d \"$SB_p\" ]; then sb_kv why directory\n\
    elif [ ! -e \"$SB_p\" ] && [ -d \"$SB_parent\" ] && [ ! -x \"$SB_parent\" ]; then\n\
      sb_kv why unreadable\n\
    elif [ ! -e \"$SB_p\" ] && [ -f \"$SB_parent\" ]; then sb_kv why not_a_directory\n\
    elif [ ! -e \"$SB_p\" ]; then sb_kv why missing\n\
    elif [ ! -r \"$SB_p\" ]; then sb_kv why unreadable\n\
    else sb_body; cat \"$SB_p\"\nfi\n";

/// Ansible's message for a `why` (ansible-core 2.19, `modules/slurp.py`).
pub(super) fn refusal(why: &str, path: &str) -> String {
    match why {
        "directory" => format!("Source is a directory and must be a file: {path}"),
        "not_a_directory" => {
            format!("Unable to slurp file: [Errno 20] Not a directory: '{path}'")
        }
        "missing" => format!("File not found: {path}"),
        _ => format!("File is not readable: {path}"),
    }
}

/// Standard base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let three = chunk
            .iter()
            .fold(0u32, |sum, byte| sum << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place > chunk.len() {
                out.push('=');
            } else {
                let digit = (three >> (18 - 6 * place)) & 63;
                out.push(char::from(ALPHABET[digit as usize]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    /// RFC 4648, section 10.
    #[test]
    fn base64_gives_the_test_vectors() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"\xff\xfe\xfb", "//77"),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }
}

#[cfg(test)]
mod cases {
    use serde_json::json;

    use super::super::testing::{HOSTILE, in_each_shell};
    use crate::value::Value;

    #[test]
    fn bytes_come_back_as_base64() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(name, b"\xff\xfe\xfb\n\n", 0o600);
                let outcome = world.unchanged("slurp", &json!({"src": world.at(name)}), &[]);
                assert_eq!(outcome.result["content"], Value::from("//77Cgo="));
                assert_eq!(outcome.result["source"], Value::from(world.at(name)));
            }
            assert!(
                world
                    .refuses("slurp", &json!({"src": world.at("none")}))
                    .msg
                    .starts_with("File not found")
            );
            assert!(
                world
                    .refuses("slurp", &json!({"src": world.at("")}))
                    .msg
                    .starts_with("Source is a directory")
            );
        });
    }
}
