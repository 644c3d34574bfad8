//! Python's expressions as the extended ones that every awk reads.
//!
//! Pure. The expression is parsed, not rewritten as text: what awk has no word for is refused.
//! Differences that remain: of equal starts awk takes the longest match, and `*?` is as `*`.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Expressions longer than this, once repetitions are written out, are refused.
const BYTES_MAX: usize = 64 * 1024;

/// The awk expression that finds in bytes what `pattern` finds in Python with `re.DOTALL`.
///
/// # Errors
/// Why there is none.
pub(super) fn of_python(pattern: &str) -> Result<String, String> {
    let parsed = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(&python_names(pattern));
    let hir = parsed.map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        format!("`{pattern}` cannot be matched on a host: {why}")
    })?;
    let mut out = String::new();
    write(&hir, &mut out)
        .map_err(|why| format!("`{pattern}` cannot be matched on a host: {why}"))?;
    Ok(out)
}

/// Python's `\Z` is the end; letters beyond ASCII are their bytes.
fn python_names(pattern: &str) -> String {
    pattern.replace("\\Z", "\\z")
}

fn write(hir: &Hir, out: &mut String) -> Result<(), String> {
    if out.len() > BYTES_MAX {
        return Err("it is too long".into());
    }
    match hir.kind() {
        HirKind::Empty => out.push_str("()"),
        HirKind::Literal(literal) => {
            for text in std::str::from_utf8(&literal.0)
                .map_err(|_| "it has bytes that are no text")?
                .chars()
            {
                literal_char(text, out)?;
            }
        }
        HirKind::Class(class) => write_class(class, out)?,
        HirKind::Look(Look::Start) => out.push('^'),
        HirKind::Look(Look::End) => out.push('$'),
        HirKind::Look(_) => return Err("awk knows no word boundaries or line anchors".into()),
        HirKind::Repetition(repetition) => {
            let mut inner = String::new();
            group(&repetition.sub, &mut inner)?;
            repeat(&inner, repetition.min, repetition.max, out)?;
        }
        HirKind::Capture(capture) => group(&capture.sub, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                match part.kind() {
                    HirKind::Alternation(_) => group(part, out)?,
                    _ => write(part, out)?,
                }
            }
        }
        HirKind::Alternation(parts) => {
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    out.push('|');
                }
                write(part, out)?;
            }
        }
    }
    Ok(())
}

fn group(hir: &Hir, out: &mut String) -> Result<(), String> {
    out.push('(');
    write(hir, out)?;
    out.push(')');
    Ok(())
}

/// Not every awk knows `{2,3}`, so it is written out.
fn repeat(inner: &str, min: u32, max: Option<u32>, out: &mut String) -> Result<(), String> {
    let copies = max.unwrap_or(min).max(min) as usize;
    if copies.saturating_mul(inner.len() + 2) > BYTES_MAX {
        return Err("it repeats too often".into());
    }
    match (min, max) {
        (0, None) => out.extend([inner, "*"]),
        (1, None) => out.extend([inner, "+"]),
        (min, None) => {
            out.push_str(&inner.repeat(min as usize));
            out.extend([inner, "*"]);
        }
        (min, Some(max)) => {
            out.push_str(&inner.repeat(min as usize));
            for _ in min..max {
                out.extend(["(", inner]);
            }
            for _ in min..max {
                out.push_str(")?");
            }
            if max == 0 {
                out.push_str("()");
            }
        }
    }
    Ok(())
}

fn literal_char(c: char, out: &mut String) -> Result<(), String> {
    match c {
        '\0' => return Err("it looks for a NUL".into()),
        '\\' => out.push_str("\\\\"),
        '^' => out.push_str("\\^"),
        c if c.is_ascii_punctuation() => out.extend(['[', c, ']']),
        c => out.push(c),
    }
    Ok(())
}

fn write_class(class: &Class, out: &mut String) -> Result<(), String> {
    let mut has = [false; 256];
    match class {
        Class::Bytes(class) => {
            for range in class.iter() {
                has[range.start() as usize..=range.end() as usize].fill(true);
            }
        }
        Class::Unicode(class) => {
            for range in class.iter() {
                let (start, end) = (range.start() as u32, range.end() as u32);
                if end > 127 {
                    return Err("it has a class of characters beyond ASCII".into());
                }
                has[start as usize..=end as usize].fill(true);
            }
        }
    }
    let count = has.iter().filter(|has| **has).count();
    if count >= 255 {
        out.push('.');
        return Ok(());
    }
    if count == 0 {
        return Err("it matches nothing".into());
    }
    // A class that holds the bytes beyond ASCII is written by what it lacks.
    let is_negated = has[200];
    let member = |byte: u8| has[byte as usize] != is_negated;
    if (128..=255).any(member) {
        return Err("it has a class of bytes beyond ASCII".into());
    }
    let mut inner = String::new();
    for byte in 1..128_u8 {
        match byte {
            b']' | b'^' | b'-' | b'[' => {}
            b'\\' if member(byte) => inner.push_str("\\\\"),
            byte if member(byte) => inner.push(char::from(byte)),
            _ => {}
        }
    }
    // `]` can stand first only; `[` last, as with what follows it could begin `[:alpha:]`; `^` not
    // first; `-` first or last.
    let mut all = String::from(if is_negated { "^" } else { "" });
    let when = |byte: u8, text: &'static str| if member(byte) { text } else { "" };
    all.extend([when(b']', "]"), &inner, when(b'[', "[")]);
    match (all.as_str(), member(b'^'), member(b'-')) {
        ("", true, false) => {
            out.push_str("\\^");
            return Ok(());
        }
        ("", true, true) => all.push_str("-^"),
        (_, has_caret, has_minus) => {
            all.push_str(if has_caret { "^" } else { "" });
            all.push_str(if has_minus { "-" } else { "" });
        }
    }
    out.extend(["[", &all, "]"]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(awk: &[&str], regex: &str, text: &str) -> Option<(usize, usize)> {
        let output = std::process::Command::new(awk[0])
            .args(&awk[1..])
            .arg("BEGIN { if (match(ENVIRON[\"TEXT\"], ENVIRON[\"RE\"])) print RSTART - 1, RSTART + RLENGTH - 1 }")
            .env("LC_ALL", "C")
            .env("TEXT", text)
            .env("RE", regex)
            .output()
            .unwrap();
        assert!(output.status.success(), "{awk:?} {regex}: {output:?}");
        let found = String::from_utf8(output.stdout).unwrap();
        let (start, end) = found.trim().split_once(' ')?;
        Some((start.parse().unwrap(), end.parse().unwrap()))
    }

    /// The expected places are those of Python's `re.search(pattern, text, re.DOTALL)`.
    #[test]
    fn expressions_find_in_awk_what_they_find_in_python() {
        for (pattern, text, expected) in [
            ("(?i)password:", "Enter PassWord: ", Some((6, 15))),
            (
                "(.*)confirm the (?:cluster|name)",
                "a\nconfirm the name: ",
                Some((0, 18)),
            ),
            (r"\d{2,3}\.\d+", "v1.5 12.34", Some((5, 10))),
            (r"^Name\?", "Name? ", Some((0, 5))),
            (r"^Name\?", "a\nName? ", None),
            (r"\[y/N\]", "go on [y/N] ", Some((6, 11))),
            (r"[^a-z\s]+", "abc \n-^]\\[x", Some((5, 10))),
            (r"[\]^-]", "x^", Some((1, 2))),
            (r"[\^]", "x^", Some((1, 2))),
            (r"[-^]", "x-", Some((1, 2))),
            (r"\$\(id\) {1}\*", "a $(id) *", Some((2, 9))),
            (r"x{0}y", "xy", Some((1, 2))),
            (r"ü\?", "grün ü?", Some((6, 9))),
            (r"a\\b/\.", "a\\b/.", Some((0, 5))),
            (r"(?P<n>a|b)c", "xbc", Some((1, 3))),
            ("end$", "the end", Some((4, 7))),
        ] {
            let regex = of_python(pattern).unwrap();
            for awk in [&["mawk"][..], &["busybox", "awk"]] {
                assert_eq!(
                    finds(awk, &regex, text),
                    expected,
                    "{awk:?} {pattern} -> {regex}"
                );
            }
        }
    }

    #[test]
    fn what_awk_has_no_word_for_is_refused() {
        for pattern in [
            r"\bword\b",
            "(?=x)y",
            r"(a)\1",
            "(",
            "(?m)^x",
            "a{9999}{9999}",
        ] {
            let why = of_python(pattern).unwrap_err();
            assert!(
                why.starts_with(&format!("`{pattern}` cannot be matched on a host: ")),
                "{why}"
            );
        }
    }
}
