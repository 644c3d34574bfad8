//! What a script answered.

use std::collections::BTreeMap;

/// Exit status and output of one script.
///
/// A probe answers in the shape of an HTTP message: lines `name=value` (written by `sb_kv`, where
/// `\\`, newline and carriage return in the value are escaped as `\\\\`, `\\n`, `\\r`), then, if there
/// is a body, an empty line and raw bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Exit status; 128 + n for a death by signal n.
    pub rc: i32,
    /// Standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Standard error, byte for byte.
    pub stderr: Vec<u8>,
}

impl Reply {
    /// The `name=value` lines before the first empty line, unescaped.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let head = String::from_utf8_lossy(self.split().0).into_owned();
        head.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), unescape(value)))
            .collect()
    }

    /// The bytes after the first empty line; empty without one.
    pub fn body(&self) -> &[u8] {
        self.split().1
    }

    /// Standard output as text, invalid UTF-8 replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text, invalid UTF-8 replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    fn split(&self) -> (&[u8], &[u8]) {
        if self.stdout.first() == Some(&b'\n') {
            return (&[], &self.stdout[1..]);
        }
        match self.stdout.windows(2).position(|w| w == b"\n\n") {
            Some(at) => (&self.stdout[..=at], &self.stdout[at + 2..]),
            None => (&self.stdout, &[]),
        }
    }
}

fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Reply;
    use crate::script::{PRELUDE, quote};

    #[test]
    fn fields_and_body_come_back_as_they_were() {
        let hostile = "a=b\\n\n'c'\r\\";
        let sh = format!(
            "{PRELUDE}\nsb_kv one {}\nsb_kv two 2\nsb_body\nprintf 'x\\n\\ny'",
            quote(hostile)
        );
        for shell in ["sh", "bash"] {
            let output = std::process::Command::new(shell)
                .args(["-c", &sh])
                .output()
                .unwrap();
            let reply = Reply {
                rc: 0,
                stdout: output.stdout,
                stderr: output.stderr,
            };
            assert_eq!(reply.fields()["one"], hostile);
            assert_eq!(reply.fields()["two"], "2");
            assert_eq!(reply.body(), b"x\n\ny");
        }
    }
}
