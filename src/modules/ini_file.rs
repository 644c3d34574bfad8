//! `ini_file` (of `community.general`): one option of one section of an INI file.
//!
//! Source: `community.general` 11, `plugins/modules/ini_file.py`.

use regex::Regex;

use super::file_args::file_args;
use super::lineinfile::Presence;
use super::text_edit::{Edit, Text, finish, probe};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// Brings about that an option is in a section of an INI file, or is not.
///
/// # Returns
/// * `path`: the file.
/// * `msg`: what was done: `option changed`, `section and option added`, `OK`, ….
/// * `backup_file`: the copy of the old file, with `backup`.
///
/// # Example
/// ```yaml
/// - ini_file:
///     path: /etc/app.ini
///     section: server
///     option: port
///     value: "8080"
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct IniFile;

file_args! {
    /// Arguments of `ini_file`.
    struct IniFileArgs {
        /// The file.
        #[serde(alias = "dest")]
        path: String,
        /// The section. Default: what stands before the first section.
        section: Option<String>,
        /// The section is the one that has these options with one of these values.
        #[serde(default)]
        section_has_values: Vec<Condition>,
        /// The option. Without one the section itself is meant.
        option: Option<String>,
        /// Its value.
        value: Option<String>,
        /// Its values, where it stands more than once.
        values: Option<Vec<String>>,
        /// Whether a copy of the old file is left beside it.
        #[serde(default)]
        backup: bool,
        /// Whether it is to be there. Default `present`.
        state: Option<Presence>,
        /// Whether other lines with the same option go. Default true.
        exclusive: Option<bool>,
        /// Whether a new line has no blanks around its `=`.
        #[serde(default)]
        no_extra_spaces: bool,
        /// Whether lines that differ in blanks only stay as they are.
        #[serde(default)]
        ignore_spaces: bool,
        /// Whether an option may stand without a value.
        #[serde(default)]
        allow_no_value: bool,
        /// Whether a line that is commented out is replaced. Default true.
        modify_inactive_option: Option<bool>,
        /// Whether a file that is not there is made. Default true.
        create: Option<bool>,
        /// Whether a link at the path is followed; else it is replaced by the file.
        #[serde(default)]
        follow: bool,
    }
}

/// A condition that tells one section from others of the same name.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    /// The option.
    option: String,
    /// Its value.
    value: Option<String>,
    /// Its possible values; none: any.
    values: Option<Vec<String>>,
}

impl Condition {
    fn values(&self) -> Vec<&str> {
        match (&self.value, &self.values) {
            (Some(value), _) => vec![value],
            (None, Some(values)) => values.iter().map(String::as_str).collect(),
            (None, None) => Vec::new(),
        }
    }
}

/// How lines with an option are told from others.
struct Matcher {
    any: Regex,
    active: Regex,
}

/// What is seen of a line that has the option.
struct Seen {
    is_comment: bool,
    has_equals: bool,
    value: String,
}

impl Matcher {
    fn new(option: &str) -> Result<Self, Failure> {
        let option = regex::escape(option);
        let tail = format!(r"{option}[ \t]*(?<sep>=|$)[ \t]*(?<value>.*)");
        let compile = |head: &str| {
            Regex::new(&format!("^{head}{tail}"))
                .map_err(|error| Failure::new(format!("the option is too long: {error}")))
        };
        Ok(Self {
            any: compile(r"[ \t]*(?<comment>[#;]?)[ \t]*")?,
            active: compile(r"[ \t]*(?<comment>)")?,
        })
    }

    fn see(regex: &Regex, line: &str) -> Option<Seen> {
        let found = regex.captures(line.strip_suffix('\n').unwrap_or(line))?;
        Some(Seen {
            is_comment: !found["comment"].is_empty(),
            has_equals: !found["sep"].is_empty(),
            value: found["value"].to_owned(),
        })
    }
}

/// The lines of the section at hand, as they are changed.
struct Section<'a> {
    args: &'a IniFileArgs,
    lines: Vec<String>,
    /// Which lines have been settled.
    is_settled: Vec<bool>,
    /// Values that have no line yet.
    values: Vec<String>,
    has_no_value: bool,
    is_changed: bool,
    msg: &'static str,
}

impl IniFileArgs {
    fn is_present(&self) -> bool {
        self.state.unwrap_or_default() == Presence::Present
    }

    fn section_name(&self) -> Option<&str> {
        self.section.as_deref().filter(|name| !name.is_empty())
    }

    fn option(&self) -> Option<&str> {
        self.option.as_deref().filter(|option| !option.is_empty())
    }

    fn wanted_values(&self) -> Vec<String> {
        let mut wanted: Vec<String> = Vec::new();
        let given = self.values.clone().unwrap_or_default();
        for value in self.value.clone().map_or(given, |value| vec![value]) {
            if !wanted.contains(&value) {
                wanted.push(value);
            }
        }
        wanted
    }

    fn line(&self, option: &str, value: &str) -> String {
        let sep = if self.no_extra_spaces { "=" } else { " = " };
        format!("{option}{sep}{value}\n")
    }

    /// The new content (`None` where it stays) and what was done.
    fn edited(&self, text: &str) -> Result<(Option<String>, &'static str), Failure> {
        if text.is_empty() && !self.is_present() {
            return Ok((None, "OK"));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        if lines.is_empty() {
            lines.push("\n".to_owned());
        }
        let mut is_changed = false;
        if let Some(last) = lines.last_mut()
            && !last.ends_with('\n')
        {
            last.push('\n');
            is_changed = true;
        }
        let found = self.find_section(&lines)?;
        let has_section = found.is_some();
        let (start, end) = found.unwrap_or((0, 0));
        let mut section = Section {
            args: self,
            is_settled: vec![false; end - start],
            lines: lines[start..end].to_vec(),
            values: self.wanted_values(),
            has_no_value: false,
            is_changed,
            msg: "OK",
        };
        match (self.is_present(), self.option()) {
            (true, Some(option)) => section.set(option)?,
            (true, None) => {}
            (false, Some(option)) => section.remove(option)?,
            (false, None) => section.remove_all(),
        }
        let Section {
            lines: within,
            mut values,
            mut is_changed,
            mut msg,
            ..
        } = section;
        lines.splice(start..end, within);
        if !has_section && self.is_present() {
            msg = self.append_section(&mut lines, &mut values);
            is_changed = true;
        }
        Ok((is_changed.then(|| lines.concat()), msg))
    }

    /// Where the section is, its heading included. Without a name: all before the first section.
    fn find_section(&self, lines: &[String]) -> Result<Option<(usize, usize)>, Failure> {
        let heading = self
            .section_name()
            .map(|name| Regex::new(&format!(r"^\[\s*{}\s*\]", regex::escape(name.trim()))))
            .transpose()
            .map_err(|error| Failure::new(format!("the section's name is too long: {error}")))?;
        let mut start = heading.is_none().then_some(0);
        for (at, line) in lines.iter().enumerate() {
            if let Some(from) = start
                && line.starts_with('[')
            {
                if self.has_values(&lines[from..at])? {
                    return Ok(Some((from, at)));
                }
                start = None;
            }
            if heading
                .as_ref()
                .is_some_and(|heading| heading.is_match(line))
            {
                start = Some(at);
            }
        }
        match start {
            Some(from) if self.has_values(&lines[from..])? => Ok(Some((from, lines.len()))),
            _ => Ok(None),
        }
    }

    fn has_values(&self, lines: &[String]) -> Result<bool, Failure> {
        for condition in &self.section_has_values {
            let matcher = Matcher::new(&condition.option)?;
            let values = condition.values();
            let holds = lines.iter().any(|line| {
                Matcher::see(&matcher.any, line)
                    .is_some_and(|seen| values.is_empty() || values.contains(&seen.value.as_str()))
            });
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn append_section(&self, lines: &mut Vec<String>, values: &mut Vec<String>) -> &'static str {
        lines.push(format!(
            "[{}]\n",
            self.section.as_deref().unwrap_or_default()
        ));
        for condition in &self.section_has_values {
            if Some(condition.option.as_str()) != self.option() {
                for value in condition.values() {
                    lines.push(self.line(&condition.option, value));
                }
                if condition.values().is_empty() && self.allow_no_value {
                    lines.push(format!("{}\n", condition.option));
                }
            } else if self.exclusive == Some(false) {
                for value in condition.values() {
                    if !values.iter().any(|known| known == value) {
                        values.push(value.to_owned());
                    }
                }
            }
        }
        match self.option() {
            Some(option) if !values.is_empty() => {
                lines.extend(values.iter().map(|value| self.line(option, value)));
            }
            Some(option) if self.allow_no_value => lines.push(format!("{option}\n")),
            _ => return "only section added",
        }
        "section and option added"
    }
}

impl Section<'_> {
    /// Makes `line` of the line at `at`.
    fn replace(&mut self, at: usize, matcher: &Matcher, line: String) {
        let old = &self.lines[at];
        let mut differs = *old != line;
        if self.args.ignore_spaces
            && let (Some(before), Some(after)) = (
                Matcher::see(&matcher.any, old),
                Matcher::see(&matcher.any, &line),
            )
            && !before.is_comment
        {
            differs = before.value != after.value;
        }
        if differs {
            self.lines[at] = line;
            self.is_changed = true;
            self.msg = "option changed";
        }
        self.is_settled[at] = true;
    }

    fn set(&mut self, option: &str) -> Result<(), Failure> {
        let matcher = Matcher::new(option)?;
        let regex = if self.args.modify_inactive_option.unwrap_or(true) {
            &matcher.any
        } else {
            &matcher.active
        };
        self.keep_matching(option, &matcher, regex);
        if self.args.exclusive.unwrap_or(true) && !self.args.allow_no_value {
            self.make_exclusive(option, &matcher, regex);
        }
        self.add_missing(option);
        Ok(())
    }

    /// Lines that have a wanted value already.
    fn keep_matching(&mut self, option: &str, matcher: &Matcher, regex: &Regex) {
        for at in 0..self.lines.len() {
            let Some(seen) = Matcher::see(regex, &self.lines[at]) else {
                continue;
            };
            if let Some(known) = self.values.iter().position(|value| *value == seen.value) {
                let line = if seen.value.is_empty() && self.args.allow_no_value {
                    self.has_no_value = true;
                    format!("{option}\n")
                } else {
                    self.args.line(option, &seen.value)
                };
                self.replace(at, matcher, line);
                self.values.remove(known);
            } else if self.values.is_empty() && self.args.allow_no_value {
                self.replace(at, matcher, format!("{option}\n"));
                self.has_no_value = true;
                break;
            }
        }
    }

    /// Other lines of the option get the values that are left; the rest of them goes.
    fn make_exclusive(&mut self, option: &str, matcher: &Matcher, regex: &Regex) {
        // A remark that begins with the option's name is no setting.
        let is_setting = |line: &str| {
            Matcher::see(regex, line).is_some_and(|seen| !seen.is_comment || seen.has_equals)
        };
        for at in 0..self.lines.len() {
            if self.values.is_empty() {
                break;
            }
            if !self.is_settled[at] && is_setting(&self.lines[at]) {
                let value = self.values.remove(0);
                self.replace(at, matcher, self.args.line(option, &value));
            }
        }
        // The first line of a section is its heading, or stands where that would.
        let first = usize::from(self.args.section_name().is_some());
        for at in (first..self.lines.len()).rev() {
            if !self.is_settled[at] && is_setting(&self.lines[at]) {
                self.lines.remove(at);
                self.is_settled.remove(at);
                self.is_changed = true;
                self.msg = "option changed";
            }
        }
    }

    /// New lines go after the last line that is neither blank nor a remark.
    fn add_missing(&mut self, option: &str) {
        let is_blank = |line: &String| {
            let line = line.trim_end_matches('\n').trim_start_matches([' ', '\t']);
            line.is_empty() || line.starts_with(['#', ';'])
        };
        let last = self.lines.iter().rposition(|line| !is_blank(line));
        // Before the first section stands a heading that is never written.
        let at = match last {
            Some(last) => last + 1,
            None if self.args.section_name().is_none() => 0,
            None => return,
        };
        let new: Vec<String> = if !self.values.is_empty() {
            let values = std::mem::take(&mut self.values);
            values
                .iter()
                .map(|value| self.args.line(option, value))
                .collect()
        } else if self.args.allow_no_value && !self.has_no_value {
            vec![format!("{option}\n")]
        } else {
            return;
        };
        self.lines.splice(at..at, new);
        self.msg = "option added";
        self.is_changed = true;
    }

    fn remove(&mut self, option: &str) -> Result<(), Failure> {
        let matcher = Matcher::new(option)?;
        let is_exclusive = self.args.exclusive.unwrap_or(true);
        let values = std::mem::take(&mut self.values);
        let before = self.lines.len();
        self.lines
            .retain(|line| match Matcher::see(&matcher.active, line) {
                Some(seen) => !is_exclusive && !values.contains(&seen.value),
                None => true,
            });
        if self.lines.len() != before {
            self.is_changed = true;
            self.msg = "option changed";
        }
        Ok(())
    }

    fn remove_all(&mut self) {
        if !self.lines.is_empty() {
            self.lines.clear();
            self.is_changed = true;
            self.msg = "section removed";
        }
    }
}

impl Module for IniFile {
    const NAME: &'static str = "ini_file";
    const EFFECT: Effect = Effect::Converges;
    type Args = IniFileArgs;

    fn check(args: &IniFileArgs) -> Result<(), String> {
        args.wanted().check()?;
        if args.value.is_some() && args.values.is_some() {
            return Err("parameters are mutually exclusive: value|values".to_owned());
        }
        if args
            .section_has_values
            .iter()
            .any(|condition| condition.value.is_some() && condition.values.is_some())
        {
            return Err(
                "parameters are mutually exclusive: value|values found in section_has_values"
                    .to_owned(),
            );
        }
        if args.is_present()
            && !args.allow_no_value
            && args.value.is_none()
            && args.values.as_ref().is_none_or(Vec::is_empty)
        {
            return Err("Parameter 'value(s)' must be defined if state=present and \
                        allow_no_value=False."
                .to_owned());
        }
        Ok(())
    }

    fn probe(args: &IniFileArgs, _: &[Resolved]) -> Option<Script> {
        Some(probe(&args.path, &args.wanted()))
    }

    fn decide(args: &IniFileArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let text = Text::read(&seen[0])?;
        if text.content.is_none() && args.create == Some(false) {
            let mut failed = Failure::new(format!("Destination {} does not exist!", text.path));
            failed.result.insert("rc".into(), Value::Int(257));
            return Err(failed);
        }
        let before = std::str::from_utf8(text.content.unwrap_or_default())
            .map_err(|error| Failure::new(format!("{} is not UTF-8: {error}", text.path)))?;
        let (content, msg) = args.edited(before)?;
        text.decide(&Edit {
            content: content.map(String::into_bytes),
            msg: msg.to_owned(),
            result: Map::from([("path".into(), text.path.as_str().into())]),
            wanted: args.wanted(),
            backup: args.backup,
            validate: None,
            heading: " (content)",
            follows: args.follow,
            tells_attributes: false,
        })
    }

    fn finish(
        _: &IniFileArgs,
        _: &[Resolved],
        _: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        finish(change, replies, "backup_file")
    }
}

#[cfg(test)]
mod tests;
