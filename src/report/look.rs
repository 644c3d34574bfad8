//! How text is dressed: width, colour, glyphs. Colour never carries a meaning alone.

use std::ffi::OsString;

use console::{Style, measure_text_width};

use crate::event::Status;

/// Narrower screens are treated as this wide.
const WIDTH_MIN: usize = 60;
/// The width where nobody tells one.
const WIDTH_DEFAULT: usize = 100;

/// How text is dressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns, at least 60.
    pub width: usize,
    /// Whether there is colour.
    pub has_color: bool,
    /// Whether the terminal knows no escape sequence (`TERM=dumb`).
    pub is_dumb: bool,
    /// `-v`, how often.
    pub verbosity: u8,
    /// Whether diffs of finished tasks are shown (`--diff`).
    pub shows_diff: bool,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be; added.
    Good,
    /// Changed.
    Change,
    /// Failed; removed.
    Bad,
    /// Worth a look.
    Warning,
    /// Less important.
    Dim,
    /// A heading.
    Title,
    /// A place in a diff.
    Hunk,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            width: WIDTH_DEFAULT,
            has_color: false,
            is_dumb: false,
            verbosity: 0,
            shows_diff: false,
        }
    }
}

impl Look {
    /// What the environment wants: `NO_COLOR` (not empty), `CLICOLOR=0` and `TERM=dumb` take
    /// colour away, `CLICOLOR_FORCE` (not `0`) gives it without a terminal; `NO_COLOR` wins.
    pub fn from_env(env: &dyn Fn(&str) -> Option<OsString>, is_tty: bool, width: usize) -> Self {
        let set = |name: &str| env(name).filter(|v| !v.is_empty());
        let is_forced = set("CLICOLOR_FORCE").is_some_and(|v| v != "0");
        let is_refused = set("NO_COLOR").is_some();
        let is_dumb = set("TERM").is_some_and(|v| v == "dumb");
        let is_off = set("CLICOLOR").is_some_and(|v| v == "0");
        Self {
            width: width.max(WIDTH_MIN),
            is_dumb,
            has_color: !is_refused && (is_forced || is_tty && !is_dumb && !is_off),
            ..Self::default()
        }
    }

    /// The same look on a screen of this width.
    #[must_use]
    pub fn wide(self, width: usize) -> Self {
        Self {
            width: width.max(WIDTH_MIN),
            ..self
        }
    }

    /// The text in the colour of its tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.has_color || text.is_empty() {
            return text.to_owned();
        }
        let style = Style::new().force_styling(true);
        let style = match tone {
            Tone::Good => style.green(),
            Tone::Change => style.yellow(),
            Tone::Bad => style.red().bold(),
            Tone::Warning => style.magenta(),
            Tone::Dim => style.dim(),
            Tone::Title => style.bold(),
            Tone::Hunk => style.cyan(),
        };
        style.apply_to(text).to_string()
    }

    /// The tone of a status.
    pub fn tone(status: Status) -> Tone {
        match status {
            Status::Ok => Tone::Good,
            Status::Changed => Tone::Change,
            Status::Skipped => Tone::Hunk,
            Status::Failed | Status::Unreachable => Tone::Bad,
            Status::Lost | Status::Unknown => Tone::Warning,
        }
    }

    /// A line of `fill` over the whole width with a text on the left and one on the right.
    pub fn rule(&self, fill: char, left: &str, right: &str) -> String {
        let right = if right.is_empty() {
            String::new()
        } else {
            format!(" {right} {fill}{fill}{fill}{fill}")
        };
        let head = format!("{fill}{fill}{fill}{fill} ");
        let room = self
            .width
            .saturating_sub(measure_text_width(&right) + head.len() + 2);
        let left = self.cut(left, room);
        let used = head.len() + measure_text_width(&left) + 1 + measure_text_width(&right);
        let line = fill.to_string().repeat(self.width.saturating_sub(used));
        format!("{head}{left} {line}{right}")
    }

    /// The text cut to `room` columns.
    pub fn cut(&self, text: &str, room: usize) -> String {
        console::truncate_str(text, room.max(1), "…").into_owned()
    }

    /// A unified diff with its lines coloured, indented.
    pub fn diff(&self, diff: &str, indent: &str) -> String {
        let mut shown = String::new();
        for line in crate::report::sanitize::text(diff).lines() {
            let tone = match line.as_bytes().first() {
                _ if line.starts_with("+++") || line.starts_with("---") => Tone::Title,
                Some(b'+') => Tone::Good,
                Some(b'-') => Tone::Bad,
                Some(b'@') => Tone::Hunk,
                _ => Tone::Dim,
            };
            shown.push_str(indent);
            shown.push_str(&self.paint(tone, line));
            shown.push('\n');
        }
        shown
    }
}

/// Words in lines of at most `width` columns, all but the first indented.
pub(crate) fn wrap(words: &[String], width: usize, indent: &str) -> String {
    let mut text = String::new();
    let mut used = 0;
    for word in words {
        let len = measure_text_width(word);
        if used > 0 && used + 2 + len > width {
            text.push('\n');
            text.push_str(indent);
            used = 0;
        } else if used > 0 {
            text.push_str("  ");
            used += 2;
        }
        text.push_str(word);
        used += len;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(vars: &[(&str, &str)], is_tty: bool) -> bool {
        let env = |name: &str| {
            let found = vars.iter().find(|(n, _)| *n == name);
            found.map(|(_, v)| OsString::from(v))
        };
        Look::from_env(&env, is_tty, 80).has_color
    }

    #[test]
    fn the_environment_decides_on_colour() {
        assert!(look(&[], true));
        assert!(!look(&[], false));
        assert!(!look(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(look(&[("NO_COLOR", "")], true), "empty means not set");
        assert!(!look(&[("CLICOLOR", "0")], true));
        assert!(!look(&[("TERM", "dumb")], true));
        assert!(look(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!look(&[("CLICOLOR_FORCE", "0")], false));
    }

    #[test]
    fn a_rule_fills_its_line_and_never_more() {
        for width in [60, 80, 133] {
            let look = Look::default().wide(width);
            for name in ["short", &"long ".repeat(40), "wide 漢字"] {
                let rule = look.rule('-', name, "22:06:41");
                assert_eq!(measure_text_width(&rule), width, "{rule}");
            }
        }
    }
}
