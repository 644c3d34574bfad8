//! What the files that `find` finds hold: read on the host, judged here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::file_args::word_of_seen;
use super::find::FindArgs;
use super::path_state::Node;
use super::python_regex::Pattern;
use crate::script::Script;
use crate::value::Value;

impl FindArgs {
    /// The name of the encoding, where it is not UTF-8.
    fn other_encoding(&self) -> Option<&str> {
        let name = self.encoding.as_deref()?;
        let is_utf8 = matches!(
            name.to_ascii_lowercase().as_str(),
            "utf-8" | "utf8" | "utf_8" | "ascii"
        );
        (!is_utf8).then_some(name)
    }

    /// The contents of what was found as UTF-8, each after its number and size; `e` in place of the
    /// size where it is in another encoding, `u` where the host does not know that.
    pub(super) fn contents_script(&self, found: &[(String, Node)]) -> Script {
        let mut sh = String::new();
        let (mut read, mut check) = ("cat".to_owned(), String::new());
        if let Some(name) = self.other_encoding() {
            read = format!("iconv -f {} -t UTF-8", crate::script::quote(name));
            sh.push_str(
                "command -v iconv >/dev/null || { echo 'another encoding than UTF-8 needs iconv' >&2\nexit 1; }\n",
            );
            let _ = writeln!(sh, "SB_u=; {read} </dev/null >/dev/null 2>&1 || SB_u=1");
            check = format!(
                "if [ -n \"$SB_u\" ]; then echo \"$SB_i u\"; return 0; fi\n\
                 {read} <\"$1\" >/dev/null 2>&1 || {{ echo \"$SB_i e\"; return 0; }}\n"
            );
        }
        let _ = writeln!(
            sh,
            "sb_content() {{\n[ -f \"$1\" ] && [ -r \"$1\" ] || return 0\n{check}\
             SB_n=$({read} <\"$1\" | wc -c); echo \"$SB_i \"$SB_n; {read} <\"$1\" | head -c $SB_n\n}}\n\
             sb_body"
        );
        for (i, (path, _)) in found.iter().enumerate() {
            let _ = writeln!(sh, "SB_i={i}; sb_content {}", word_of_seen(path));
        }
        Script::new(sh)
    }

    /// Whether a content matches; why not even that can be told otherwise.
    pub(super) fn has_content(
        &self,
        path: &str,
        pattern: &Pattern,
        content: &Content<'_>,
    ) -> Matched {
        let encoding = self.encoding.as_deref().unwrap_or("utf-8");
        let bytes = match content {
            Content::Bytes(bytes) => bytes,
            Content::Undecodable => {
                return Matched::Skipped(format!(
                    "Failed to read the file {path} due to an encoding error. current encoding: \
                     {encoding}"
                ));
            }
            Content::UnknownEncoding => {
                return Matched::Skipped(format!("unknown encoding: {encoding}"));
            }
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return self.has_content(path, pattern, &Content::Undecodable);
        };
        let found = if self.read_whole_file {
            pattern.search(text).map(|found| found.is_some())
        } else {
            let lines = text.split_inclusive('\n');
            lines
                .map(|line| pattern.matches_at_start(line))
                .find(|found| *found != Ok(false))
                .unwrap_or(Ok(false))
        };
        match found {
            Ok(is_match) => Matched::Told(is_match),
            Err(why) => Matched::Failed(why),
        }
    }

    /// The path of `paths` below which a file was found.
    pub(super) fn searched(&self, file: &str) -> String {
        let below = |path: &&String| {
            let path = path.trim_end_matches('/');
            file.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let path = self.paths.iter().find(below).map(String::as_str);
        path.unwrap_or(file).trim_end_matches('/').to_owned()
    }
}

/// The folders that the host's `find` could not read.
pub(super) fn unreadable(stderr: &[u8]) -> Vec<(String, Value)> {
    let text = String::from_utf8_lossy(stderr);
    let told = text.lines().filter_map(|line| {
        let path = line
            .strip_prefix("find: ")?
            .strip_suffix(": Permission denied")?;
        let path = path.trim_matches(['\'', '‘', '’']);
        let why = format!("[Errno 13] Permission denied: '{path}'");
        Some((path.to_owned(), why.into()))
    });
    told.collect()
}

/// What a file holds.
pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    Undecodable,
    UnknownEncoding,
}

/// What a content comes to.
pub(super) enum Matched {
    Told(bool),
    /// It could not be read as text, and why.
    Skipped(String),
    /// The expression cannot be applied.
    Failed(String),
}

/// Splits what [`FindArgs::contents_script`] brought, by number.
pub(super) fn contents(mut body: &[u8]) -> Option<BTreeMap<usize, Content<'_>>> {
    let mut all = BTreeMap::new();
    while !body.is_empty() {
        let end = body.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&body[..end]).ok()?;
        let (number, size) = line.split_once(' ')?;
        let rest = &body[end + 1..];
        let (content, size) = match size.trim() {
            "e" => (Content::Undecodable, 0),
            "u" => (Content::UnknownEncoding, 0),
            size => {
                let size: usize = size.parse().ok()?;
                (Content::Bytes(rest.get(..size)?), size)
            }
        };
        all.insert(number.parse().ok()?, content);
        body = &rest[size..];
    }
    Some(all)
}
