//! Makes text from hosts harmless on a terminal.
//!
//! A control character is shown as `\x1b`, so that nothing can move the cursor, set the title or
//! the clipboard, or fake a prompt; characters that reorder what is read are left out. Holds for
//! host names and error texts as much as for output.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Text of several lines: newlines and tabs stay, a carriage return before a newline goes.
pub fn text(text: &str) -> Cow<'_, str> {
    clean(text, |c| c == '\n' || c == '\t')
}

/// Text that must stay in its line: newlines and tabs are escaped too.
pub fn inline(text: &str) -> Cow<'_, str> {
    clean(text, |_| false)
}

fn clean(text: &str, keeps: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(|c| keeps(c) || is_harmless(c)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if keeps(c) || is_harmless(c) {
            clean.push(c);
        } else if c == '\r'
            && chars
                .peek()
                .is_some_and(|next| *next == '\n' && keeps('\n'))
        {
            // The end of a line as terminals send it.
        } else if c.is_ascii() {
            // Writing to a string cannot fail.
            let _ = write!(clean, "\\x{:02x}", u32::from(c));
        }
    }
    Cow::Owned(clean)
}

/// Whether a character neither controls a terminal nor reorders text.
pub fn is_harmless(c: char) -> bool {
    !c.is_control() && !reorders(c)
}

/// The characters of the Unicode property `Bidi_Control`, and the two separators that some
/// terminals take for a new line.
fn reorders(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_are_shown_and_layout_stays() {
        for (from, to) in [
            ("plain\tü\n", "plain\tü\n"),
            ("\u{1b}[2J\u{1b}]0;x\u{7}", "\\x1b[2J\\x1b]0;x\\x07"),
            ("a\u{9b}31mb\u{202e}c\u{2066}", "a31mbc"),
            ("one\r\ntwo\rthree\u{7f}", "one\ntwo\\x0dthree\\x7f"),
        ] {
            assert_eq!(text(from), to);
        }
        assert_eq!(
            inline("db1\nOK db2\tx\r\n"),
            "db1\\x0aOK db2\\x09x\\x0d\\x0a"
        );
    }

    proptest! {
        #[test]
        fn nothing_that_steers_a_terminal_is_left(s in "\\PC*|[\\x00-\\x{a0}\\x{2000}-\\x{2070}]*") {
            let clean = text(&s);
            prop_assert!(clean.chars().all(|c| c == '\n' || c == '\t' || is_harmless(c)));
            let again = text(&clean).into_owned();
            prop_assert_eq!(again, clean.into_owned());
            prop_assert!(inline(&s).chars().all(is_harmless));
        }
    }
}
