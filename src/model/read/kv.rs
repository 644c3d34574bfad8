//! Free-form arguments: `k=v k="v w" rest`.
//!
//! Source of the behaviour: ansible-core 2.19, `parsing/splitter.py`: quotes and Jinja blocks keep
//! blanks together, escapes in values are decoded, what is no `k=v` is kept for `_raw_params`.

/// Arguments of command-like modules that are taken out of their free-form text.
const COMMAND_KEYS: &[&str] = &[
    "creates",
    "removes",
    "chdir",
    "executable",
    "warn",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
];

/// What a free-form text held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreeForm {
    /// Its `k=v` parts, in order.
    pub pairs: Vec<(String, String)>,
    /// Everything else, joined as it stood.
    pub raw: Option<String>,
}

/// Splits a text; with `is_command`, only a command's own keys are taken as `k=v`.
///
/// # Errors
/// What is not closed.
pub fn parse_kv(text: &str, is_command: bool) -> Result<FreeForm, &'static str> {
    let mut form = FreeForm::default();
    let mut raw: Vec<String> = Vec::new();
    for part in split_args(text)? {
        let decoded = decode_escapes(&part);
        match find_equals(&decoded) {
            None if decoded.get(1..).is_some_and(|s| s.contains('=')) => {
                raw.push(decoded.replace("\\=", "="));
            }
            None => raw.push(part),
            Some(at) => {
                let (key, value) = (&decoded[..at], &decoded[at + 1..]);
                if is_command && !COMMAND_KEYS.contains(&key) {
                    raw.push(part);
                } else {
                    form.pairs
                        .push((key.trim().to_owned(), unquote(value.trim()).to_owned()));
                }
            }
        }
    }
    if !raw.is_empty() {
        form.raw = Some(join(&raw));
    }
    Ok(form)
}

/// The first `=` that is neither at the very start nor behind a backslash.
fn find_equals(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (1..bytes.len()).find(|i| bytes[*i] == b'=' && bytes[i - 1] != b'\\')
}

fn unquote(text: &str) -> &str {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first @ (b'"' | b'\'')), Some(last))
            if bytes.len() > 1 && first == last && bytes[bytes.len() - 2] != b'\\' =>
        {
            &text[1..text.len() - 1]
        }
        _ => text,
    }
}

/// Joins parts with blanks, none after a line break.
pub(super) fn join(parts: &[String]) -> String {
    let mut all = String::new();
    for part in parts {
        if !all.is_empty() && !all.ends_with('\n') {
            all.push(' ');
        }
        all.push_str(part);
    }
    all
}

/// What is open while a text is split.
#[derive(Default)]
struct Open {
    quote: Option<char>,
    print: usize,
    block: usize,
    comment: usize,
}

impl Open {
    fn in_jinja(&self) -> bool {
        self.print + self.block + self.comment > 0
    }

    fn feed_quotes(&mut self, token: &str) {
        let mut previous = None;
        for c in token.chars() {
            if matches!(c, '"' | '\'') && previous != Some('\\') {
                self.quote = match self.quote {
                    Some(open) if open == c => None,
                    None => Some(c),
                    open => open,
                };
            }
            previous = Some(c);
        }
    }

    /// Counts the Jinja marks of a token; `true` when the depth changes.
    fn feed_jinja(&mut self, token: &str) -> bool {
        let mut has_changed = false;
        for (depth, open, close) in [
            (&mut self.print, "{{", "}}"),
            (&mut self.block, "{%", "%}"),
            (&mut self.comment, "{#", "#}"),
        ] {
            let before = *depth;
            *depth =
                (before + token.matches(open).count()).saturating_sub(token.matches(close).count());
            has_changed |= *depth != before;
        }
        has_changed
    }
}

/// Splits at blanks and line breaks that are neither quoted nor within a Jinja block.
pub(super) fn split_args(text: &str) -> Result<Vec<String>, &'static str> {
    let mut parts: Vec<String> = Vec::new();
    let mut open = Open::default();
    if text.is_empty() {
        return Ok(parts);
    }
    let lines: Vec<&str> = text.split('\n').collect();
    for (number, line) in lines.iter().enumerate() {
        let mut continues = false;
        for (index, token) in line.split(' ').enumerate() {
            if token.is_empty() && index != 0 {
                last(&mut parts).push(' ');
                continue;
            }
            if token == "\\" && open.quote.is_none() {
                continues = true;
                continue;
            }
            let was_quoted = open.quote.is_some();
            open.feed_quotes(token);
            let is_quoted = open.quote.is_some();
            let mut is_placed = true;
            if is_quoted && !was_quoted && !open.in_jinja() {
                parts.push(token.to_owned());
            } else if open.in_jinja() || is_quoted || was_quoted {
                let part = last(&mut parts);
                if index > 0 {
                    part.push(' ');
                }
                part.push_str(token);
            } else {
                is_placed = false;
            }
            if open.feed_jinja(token) && !is_placed {
                parts.push(token.to_owned());
                is_placed = true;
            }
            if !open.in_jinja() && !is_quoted && !is_placed && !token.is_empty() {
                parts.push(token.to_owned());
            }
        }
        if number + 1 < lines.len() && !continues {
            last(&mut parts).push('\n');
        }
    }
    if open.in_jinja() {
        return Err("a `{{`, `{%` or `{#` is not closed");
    }
    if open.quote.is_some() {
        return Err("a quote is not closed");
    }
    Ok(parts)
}

fn last(parts: &mut Vec<String>) -> &mut String {
    if parts.is_empty() {
        parts.push(String::new());
    }
    parts.last_mut().expect("invariant: one was just pushed")
}

fn decode_escapes(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut all = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        all.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((c, length)) = decode_one(rest) {
            all.push(c);
            rest = &rest[length..];
        } else {
            all.push('\\');
            rest = &rest[1..];
        }
    }
    all.push_str(rest);
    all
}

/// The character of the escape that `text` begins with, and its length.
fn decode_one(text: &str) -> Option<(char, usize)> {
    let hex = |digits: usize| {
        let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
        Some((char::from_u32(code)?, 2 + digits))
    };
    let c = match text.as_bytes().get(1)? {
        b'x' => return hex(2),
        b'u' => return hex(4),
        b'U' => return hex(8),
        b'\\' => '\\',
        b'\'' => '\'',
        b'"' => '"',
        b'a' => '\u{7}',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'v' => '\u{b}',
        _ => return None,
    };
    Some((c, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each expectation was given by ansible-core 2.19.14, `parsing/splitter.py:parse_kv`.
    #[test]
    fn free_form_is_split_as_ansible_splits_it() {
        let form = |pairs: &[(&str, &str)], raw: Option<&str>| FreeForm {
            pairs: pairs
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            raw: raw.map(Into::into),
        };
        for (text, is_command, wanted) in [
            (
                "a=b c=\"foo bar\"",
                false,
                form(&[("a", "b"), ("c", "foo bar")], None),
            ),
            (
                "src=a dest={{ x | default('y z') }}",
                false,
                form(&[("src", "a"), ("dest", "{{ x | default('y z') }}")], None),
            ),
            (
                "ls -l a=b creates=/x y",
                true,
                form(&[("creates", "/x")], Some("ls -l a=b y")),
            ),
            (
                "echo \"a  b\"   c",
                true,
                form(&[], Some("echo \"a  b\"   c")),
            ),
            ("echo a\\=b", false, form(&[], Some("echo a=b"))),
            ("msg='a\\nb'", false, form(&[("msg", "a\nb")], None)),
            (
                "one\n two \\\n three",
                true,
                form(&[], Some("one\ntwo three")),
            ),
            ("x=1 y", false, form(&[("x", "1")], Some("y"))),
            ("=a", false, form(&[], Some("=a"))),
        ] {
            assert_eq!(parse_kv(text, is_command), Ok(wanted), "{text:?}");
        }
        assert!(parse_kv("a='b", false).is_err());
        assert!(parse_kv("{{ a", false).is_err());
    }
}
