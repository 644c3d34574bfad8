//! Regular expressions as Python reads them, on top of `fancy-regex`.
//!
//! Knows the differences of syntax: `$` before a last newline, `\Z`, `\<`, literal `{`, `[` within
//! a class, ASCII classes for bytes, and the templates of `expand` and `sub`. Bytes are matched as
//! text with one character for each byte. Source: Python 3, `re`.

use std::fmt::Write as _;

use fancy_regex::{Captures, Regex};

/// What `\s` is among ASCII, within a class.
const SPACE: &str = r" \t\n\r\x0b\x0c";

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Whether `(?m)` is on.
    pub(super) is_multiline: bool,
}

/// How an expression is compiled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    /// `re.MULTILINE`.
    pub(super) multiline: bool,
    /// `re.DOTALL`.
    pub(super) dotall: bool,
    /// Whether it is for bytes: classes are ASCII and the text comes from [`from_bytes`].
    pub(super) bytes: bool,
}

/// Text with one character for each byte.
pub(super) fn from_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes of a text from [`from_bytes`].
pub(super) fn to_bytes(text: &str) -> Vec<u8> {
    text.chars()
        .flat_map(|c| match u8::try_from(c) {
            Ok(byte) => vec![byte],
            Err(_) => c.to_string().into_bytes(),
        })
        .collect()
}

impl Pattern {
    /// Compiles.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub(super) fn new(pattern: &str, flags: Flags) -> Result<Self, String> {
        let pattern = if flags.bytes {
            from_bytes(pattern.as_bytes())
        } else {
            pattern.to_owned()
        };
        let mut translated = Translation {
            rest: pattern.chars().collect(),
            at: 0,
            out: String::new(),
            multiline: flags.multiline,
            bytes: flags.bytes,
        };
        translated
            .run()
            .map_err(|why| format!("invalid regular expression `{pattern}`: {why}"))?;
        let mut prefix = String::new();
        if flags.multiline {
            prefix.push_str("(?m)");
        }
        if flags.dotall {
            prefix.push_str("(?s)");
        }
        let regex = Regex::new(&(prefix + &translated.out))
            .map_err(|error| format!("invalid regular expression `{pattern}`: {error}"))?;
        Ok(Self {
            regex,
            is_multiline: translated.multiline,
        })
    }

    /// `search`: the leftmost match anywhere.
    ///
    /// # Errors
    /// The expression needs too many steps on this text.
    pub(super) fn search<'t>(&self, text: &'t str) -> Result<Option<Captures<'t, str>>, String> {
        self.regex.captures(text).map_err(|error| error.to_string())
    }

    /// `match`: a match that begins where the text begins.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub(super) fn matches_at_start(&self, text: &str) -> Result<bool, String> {
        // The leftmost match begins at 0 if any does.
        let found = self.regex.find(text).map_err(|error| error.to_string())?;
        Ok(found.is_some_and(|found| found.start() == 0))
    }

    /// `subn`: all matches replaced, and their number.
    ///
    /// # Errors
    /// The template is not one, or as [`Self::search`].
    pub(super) fn subn(&self, template: &str, text: &str) -> Result<(String, usize), String> {
        let (mut out, mut end, mut count, mut at) = (String::new(), 0, 0, 0);
        while at <= text.len() {
            let found = self.regex.captures_from_pos(text, at);
            let Some(found) = found.map_err(|error| error.to_string())? else {
                break;
            };
            let Some(whole) = found.get(0) else { break };
            out.push_str(&text[end..whole.start()]);
            out.push_str(&expand(template, &found)?);
            count += 1;
            end = whole.end();
            // Since Python 3.7 an empty match may touch the match before it, not itself.
            at = if whole.start() == whole.end() {
                end + text[end..].chars().next().map_or(1, char::len_utf8)
            } else {
                end
            };
        }
        out.push_str(&text[end..]);
        Ok((out, count))
    }
}

/// `match.expand(template)`; a group that took no part is empty.
///
/// # Errors
/// The template has an escape or group that Python refuses.
pub(super) fn expand(template: &str, found: &Captures<'_, str>) -> Result<String, String> {
    let chars: Vec<char> = template.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    let number = |n: usize| {
        if n < found.len() {
            Ok(found.get(n).map_or("", |group| group.as_str()).to_owned())
        } else {
            Err(format!("invalid group reference {n}"))
        }
    };
    while at < chars.len() {
        let c = chars[at];
        at += 1;
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(&next) = chars.get(at) else {
            return Err("bad escape at the end of the template".to_owned());
        };
        at += 1;
        match next {
            'g' => {
                let end = chars[at..].iter().position(|c| *c == '>');
                let (Some('<'), Some(end)) = (chars.get(at), end) else {
                    return Err("missing group name after `\\g`".to_owned());
                };
                let name: String = chars[at + 1..at + end].iter().collect();
                at += end + 1;
                match name.parse() {
                    Ok(n) => out.push_str(&number(n)?),
                    Err(_) => match found.name(&name) {
                        Some(group) => out.push_str(group.as_str()),
                        None => out.push_str(unmatched(found, &name)?),
                    },
                }
            }
            '0' => {
                let digits = chars[at..]
                    .iter()
                    .take(2)
                    .take_while(|c| ('0'..'8').contains(*c))
                    .count();
                let octal: String = chars[at..at + digits].iter().collect();
                at += digits;
                let code = u32::from_str_radix(&octal, 8).unwrap_or(0);
                out.push(char::from_u32(code).unwrap_or('\0'));
            }
            '1'..='9' => {
                let mut digits = next.to_string();
                if let Some(second) = chars.get(at).filter(|c| c.is_ascii_digit()) {
                    digits.push(*second);
                    at += 1;
                }
                out.push_str(&number(digits.parse().unwrap_or(0))?);
            }
            c if control(c).is_some() => out.extend(control(c)),
            c if c.is_ascii_alphabetic() => return Err(format!("bad escape \\{c}")),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    Ok(out)
}

/// The character that a letter after a backslash stands for.
fn control(letter: char) -> Option<char> {
    Some(match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        '\\' => '\\',
        _ => return None,
    })
}

/// A named group that took no part is empty, an unknown one an error; captures tell them apart
/// only by their names' expansion.
fn unmatched<'a>(found: &Captures<'_, str>, name: &str) -> Result<&'a str, String> {
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if is_word && found.len() > 1 {
        Ok("")
    } else {
        Err(format!("unknown group name `{name}`"))
    }
}

struct Translation {
    rest: Vec<char>,
    at: usize,
    out: String,
    multiline: bool,
    bytes: bool,
}

impl Translation {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '$' if !self.multiline => self.out.push_str(r"(?=\n?\z)"),
                '{' => self.brace(),
                '(' if self.peek() == Some('?') => self.group()?,
                other => self.out.push(other),
            }
        }
        Ok(())
    }

    /// `{2,}` is a quantifier, `{,3}` stands for `{0,3}`, all else is a literal brace.
    fn brace(&mut self) {
        let rest: String = self.rest[self.at..].iter().take(24).collect();
        let inner = rest.split_once('}').map(|(inner, _)| inner);
        let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        match inner.map(|inner| inner.split_once(',').unwrap_or((inner, "0"))) {
            Some(("", max)) if is_number(max) && inner.is_some_and(|inner| inner.contains(',')) => {
                self.out.push_str("{0");
            }
            Some((min, max)) if !min.is_empty() && is_number(min) && is_number(max) => {
                self.out.push('{');
            }
            _ => self.out.push_str(r"\{"),
        }
    }

    /// After `(`, at `?`.
    fn group(&mut self) -> Result<(), String> {
        if self.rest.get(self.at + 1) == Some(&'#') {
            let end = self.rest[self.at..].iter().position(|c| *c == ')');
            self.at += end.ok_or("missing ), unterminated comment")? + 1;
            return Ok(());
        }
        let flags: String = self.rest[self.at + 1..]
            .iter()
            .take_while(|c| c.is_ascii_alphabetic() || **c == '-')
            .collect();
        let end = self.rest.get(self.at + 1 + flags.len()).copied();
        if flags.is_empty() || !matches!(end, Some(')' | ':')) {
            self.out.push('(');
            return Ok(());
        }
        let on = flags.split('-').next().unwrap_or("");
        self.multiline |= on.contains('m');
        self.bytes |= on.contains('a');
        let kept: String = flags.chars().filter(|c| "imsx-".contains(*c)).collect();
        self.at += 1 + flags.len() + 1;
        if end == Some(')') {
            if !kept.is_empty() {
                let _ = write!(self.out, "(?{kept})");
            }
        } else {
            let _ = write!(self.out, "(?{kept}:");
        }
        Ok(())
    }

    /// After a backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let c = self.peek().ok_or("bad escape (end of pattern)")?;
        self.at += 1;
        let ascii = |class: &str, negated: bool| match (in_class, negated) {
            (true, false) => class.to_owned(),
            (_, false) => format!("[{class}]"),
            (_, true) => format!("[^{class}]"),
        };
        match c {
            'd' | 'D' if self.bytes => self.out.push_str(&ascii("0-9", c == 'D')),
            'w' | 'W' if self.bytes => self.out.push_str(&ascii("0-9A-Za-z_", c == 'W')),
            's' | 'S' if self.bytes => self.out.push_str(&ascii(SPACE, c == 'S')),
            'b' if in_class => self.out.push_str(r"\x08"),
            'b' if self.bytes => self.out.push_str(
                "(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))",
            ),
            'B' if self.bytes => self.out.push_str(
                "(?:(?<=[0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<![0-9A-Za-z_])(?![0-9A-Za-z_]))",
            ),
            'Z' if !in_class => self.out.push_str(r"\z"),
            '0' => self.octal(),
            '1'..='9' if in_class => {
                self.at -= 1;
                self.octal();
            }
            'd'
            | 'D'
            | 'w'
            | 'W'
            | 's'
            | 'S'
            | 'A'
            | 'b'
            | 'B'
            | 'a'
            | 'f'
            | 'n'
            | 'r'
            | 't'
            | 'v'
            | 'x'
            | 'u'
            | 'U'
            | '1'..='9' => {
                self.out.push('\\');
                self.out.push(c);
            }
            c if c.is_ascii_alphabetic() => return Err(format!("bad escape \\{c}")),
            '<' | '>' | '\'' | '"' | ' ' | '/' | '@' | '%' | ',' | ';' | ':' | '=' | '!' | '`'
            | '_' => {
                self.out.push(c);
            }
            c if c.is_ascii_punctuation() || c == '\n' => {
                self.out.push('\\');
                self.out.push(c);
            }
            other => self.out.push(other),
        }
        Ok(())
    }

    /// Up to three octal digits, the first of which may have been passed.
    fn octal(&mut self) {
        let digits: String = self.rest[self.at..]
            .iter()
            .take(3)
            .take_while(|c| ('0'..'8').contains(*c))
            .collect();
        self.at += digits.len();
        let code = u32::from_str_radix(&digits, 8).unwrap_or(0) & 0xff;
        let _ = write!(self.out, r"\x{code:02x}");
    }

    /// After `[`: within it `[`, `&&`, `--` and `~~` are literal in Python.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.peek() == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            let c = self.peek().ok_or("unterminated character set")?;
            self.at += 1;
            match c {
                ']' if !is_first => {
                    self.out.push(']');
                    return Ok(());
                }
                ']' => self.out.push_str(r"\]"),
                '\\' => self.escape(true)?,
                '[' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                // A range that ends at `-`; else a second `-` would be a set difference.
                '-' if self.peek() == Some('-') && !is_first => {
                    self.at += 1;
                    self.out.push_str(r"-\-");
                }
                '-' if self.peek() == Some('-') => self.out.push_str(r"\-"),
                other => self.out.push(other),
            }
            is_first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(pattern: &str, text: &str, bytes: bool) -> Option<(usize, usize)> {
        let flags = Flags {
            bytes,
            ..Flags::default()
        };
        let pattern = Pattern::new(pattern, flags).unwrap();
        let text = if bytes {
            from_bytes(text.as_bytes())
        } else {
            text.to_owned()
        };
        let found = pattern.search(&text).unwrap()?;
        found.get(0).map(|found| (found.start(), found.end()))
    }

    /// Each row was put to `CPython`'s `re.search`.
    #[test]
    fn expressions_match_as_in_python() {
        for (pattern, text, span) in [
            ("foo$", "foo\n", Some((0, 3))),
            ("foo$", "foo\nbar", None),
            ("(?m)foo$", "foo\nbar", Some((0, 3))),
            (r"foo\Z", "foo\n", None),
            ("a{,2}b", "aab", Some((0, 3))),
            ("{x}", "a{x}", Some((1, 4))),
            ("a{1,x}", "a{1,x}", Some((0, 6))),
            ("[[]", "[", Some((0, 1))),
            ("[]a]+", "]a", Some((0, 2))),
            ("[a&&b]+", "&a", Some((0, 2))),
            ("[+--]+", "+,-", Some((0, 3))),
            (r"\<a\>", "<a>", Some((0, 3))),
            (r"(?<!#)port", "#port port", Some((6, 10))),
            (r"^(?!#)\s*Listen", "  Listen", Some((0, 8))),
            (r"(a)\1", "xaa", Some((1, 3))),
            (r"(?P<q>['\x22]).*(?P=q)", "a 'b' c", Some((2, 5))),
            (r"(?i)LISTEN", "listen", Some((0, 6))),
            (r"a(?#no)b", "ab", Some((0, 2))),
            (r"[\w.-]+\s*=", "a.b-c =", Some((0, 7))),
            (r"\bx\b", "a x b", Some((2, 3))),
            (r"[^\s]+", "  ab ", Some((2, 4))),
            (r"\/etc\/x", "/etc/x", Some((0, 6))),
            (r"\060", "0", Some((0, 1))),
            (r"a\.b", "axb", None),
        ] {
            for bytes in [false, true] {
                assert_eq!(search(pattern, text, bytes), span, "{pattern} on {text:?}");
            }
        }
        assert!(Pattern::new(r"\q", Flags::default()).is_err());
        assert!(Pattern::new("(", Flags::default()).is_err());
    }

    #[test]
    fn classes_are_ascii_for_bytes_only() {
        assert_eq!(search(r"^\w$", "é", false), Some((0, 2)));
        assert_eq!(search(r"\w", "é", true), None);
        assert_eq!(search("é", "xé", true).map(|(start, _)| start), Some(1));
    }

    #[test]
    fn templates_expand_as_in_python() {
        let pattern = Pattern::new(r"(?P<key>\w+)=(\w+)?(x)?", Flags::default()).unwrap();
        for (template, expected) in [
            (r"\1:\2", Ok("a:b".to_owned())),
            (r"\g<key>\g<2>\g<3>.", Ok("ab.".to_owned())),
            (r"\n\t\\\.\0", Ok("\n\t\\\\.\0".to_owned())),
            (r"\4", Err("invalid group reference 4".to_owned())),
            (r"\q", Err("bad escape \\q".to_owned())),
            ("$1 ${key}", Ok("$1 ${key}".to_owned())),
        ] {
            let found = pattern.search("a=b").unwrap().unwrap();
            assert_eq!(expand(template, &found), expected, "{template}");
        }
        assert_eq!(
            Pattern::new("x*", Flags::default())
                .unwrap()
                .subn("-", "axb"),
            Ok(("-a--b-".to_owned(), 4))
        );
    }

    #[test]
    fn bytes_survive_the_way_there_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(to_bytes(&from_bytes(&all)), all);
    }
}
