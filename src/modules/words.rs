//! Words of a command line: split as Ansible splits them, written as sh that expands them as
//! Ansible expands them.
//!
//! Source: ansible-core 2.19 runs Python's `shlex.split`, then `os.path.expandvars` and
//! `os.path.expanduser` on each word (`module_utils/basic.py`, `run_command`).

use crate::script::quote;

/// Splits a command line without expanding anything, as Python's `shlex.split` does.
///
/// # Errors
/// An open quotation or a backslash at the end.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("No closing quotation".into()),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => {
                let next = chars.next().ok_or("No escaped character")?;
                word.get_or_insert_default().push(next);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some(c @ ('"' | '\\')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => return Err("No escaped character".into()),
            },
            Some(c) => word.push(c),
            None => return Err("No closing quotation".into()),
        }
    }
}

/// How a word is written for the host's shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expand {
    /// `$NAME`, `${NAME}` and a leading `~` or `~user`; nothing else.
    Variables,
    /// The same, and `*`, `?`, `[…]` match file names.
    VariablesAndGlobs,
}

/// One word of sh that expands as `expand` says and is otherwise literal. A variable that is not
/// set stays as it is written.
pub(super) fn expanding(text: &str, expand: Expand) -> String {
    let (mut out, rest) = tilde(text);
    let mut literal = String::new();
    let mut rest = rest;
    while let Some(c) = rest.chars().next() {
        if let Some((name, len)) = (c == '$').then(|| variable(rest)).flatten() {
            flush(&mut out, &mut literal);
            let written = &rest[..len];
            let (open, close) = if written.starts_with("${") {
                ("\\${", "\\}")
            } else {
                ("\\$", "")
            };
            out.push_str(&format!("\"${{{name}-{open}{name}{close}}}\""));
            rest = &rest[len..];
            continue;
        }
        if expand == Expand::VariablesAndGlobs && matches!(c, '*' | '?' | '[' | ']' | '-' | '!') {
            flush(&mut out, &mut literal);
            out.push(c);
        } else {
            literal.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    flush(&mut out, &mut literal);
    if out.is_empty() { "''".into() } else { out }
}

fn flush(out: &mut String, literal: &mut String) {
    if !literal.is_empty() {
        out.push_str(&quote(literal));
        literal.clear();
    }
}

/// The leading `~` or `~user` as the shell expands it, and the rest.
fn tilde(text: &str) -> (String, &str) {
    let Some(after) = text.strip_prefix('~') else {
        return (String::new(), text);
    };
    let user = &after[..after.find('/').unwrap_or(after.len())];
    let is_plain = user
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if is_plain {
        // The slash must stand unquoted for the shell to see where the name ends.
        let rest = &after[user.len()..];
        match rest.strip_prefix('/') {
            Some(rest) => (format!("~{user}/"), rest),
            None => (format!("~{user}"), rest),
        }
    } else {
        (String::new(), text)
    }
}

/// The name at the start of `$NAME…` or `${NAME}…` and how many bytes it is written in.
fn variable(text: &str) -> Option<(&str, usize)> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if let Some(inner) = text.strip_prefix("${") {
        let name = &inner[..inner.find('}')?];
        return is_name(name).then_some((name, name.len() + 3));
    }
    let inner = text.strip_prefix('$')?;
    let len = inner
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    is_name(&inner[..len]).then_some((&inner[..len], len + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_as_pythons_shlex_splits_them() {
        let ok: &[(&str, &[&str])] = &[
            ("a  b\tc\n", &["a", "b", "c"]),
            ("echo 'a b' \"c $d\" e\\ f", &["echo", "a b", "c $d", "e f"]),
            (r#""a\"b\\c\d""#, &[r#"a"b\c\d"#]),
            ("a''b ''", &["ab", ""]),
            ("a # b", &["a", "#", "b"]),
            ("", &[]),
        ];
        for (line, words) in ok {
            assert_eq!(split(line).unwrap(), *words, "{line}");
        }
        assert_eq!(split("a 'b").unwrap_err(), "No closing quotation");
        assert_eq!(split("a\\").unwrap_err(), "No escaped character");
    }

    #[test]
    fn words_expand_in_a_real_shell_as_python_expands_them() {
        for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
            for (text, expected) in [
                ("plain", "plain"),
                ("", ""),
                ("~", "/home/x y"),
                ("~/a b", "/home/x y/a b"),
                ("a~", "a~"),
                ("~root", "/root"),
                ("$V", "va  lue"),
                ("pre-${V}/'q' \"$V\"", "pre-va  lue/'q' \"va  lue\""),
                ("$UNSET-${UNSET}", "$UNSET-${UNSET}"),
                (
                    "$1 $? ${} $ ${a-b} $(id) `id` * \\",
                    "$1 $? ${} $ ${a-b} $(id) `id` * \\",
                ),
                ("$G", "*"),
            ] {
                let sh = format!("printf %s {}", expanding(text, Expand::Variables));
                let output = std::process::Command::new(shell[0])
                    .args(&shell[1..])
                    .args(["-c", &sh])
                    .env_clear()
                    .env("PATH", "/usr/bin:/bin")
                    .env("HOME", "/home/x y")
                    .env("V", "va  lue")
                    .env("G", "*")
                    .output()
                    .unwrap();
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout),
                    expected,
                    "{shell:?} {sh}"
                );
            }
        }
    }
}
