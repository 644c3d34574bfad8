//! `cron`: one job, or one variable, of a crontab.
//!
//! The table is read and written whole: a user's by `crontab`, a file of `/etc/cron.d` as any small
//! file. Source: ansible-core 2.19, `modules/cron.py`.

use super::file_args::{Wanted, word_of_seen};
use super::mode::Mode;
use super::result::{fields, strings};
use super::text_edit::{Edit, Text, finish, probe};
use super::{
    Act, Change, Decision, Diff, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo, group,
};
use crate::script::{Reply, Script, quote};
use crate::value::Map;

/// Brings about that a job or variable is in a crontab, or is not.
///
/// # Returns
/// * `jobs`: the names of the jobs in the crontab.
/// * `envs`: the names of the variables in it.
/// * `cron_file`: the file of `cron_file`.
/// * `backup_file`: the copy of the old crontab, with `backup`.
///
/// # Example
/// ```yaml
/// - cron:
///     name: vacuum
///     user: postgres
///     hour: "3"
///     minute: "15"
///     job: vacuumdb --all --quiet
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Cron;

/// Arguments of `cron`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CronArgs {
    /// What the job is called in the remark before it, or the variable's name.
    name: String,
    /// Whose crontab, or in a file who runs the job. Default: who runs the task.
    user: Option<String>,
    /// The command, or the variable's value.
    #[serde(alias = "value")]
    job: Option<String>,
    /// `present` (default) or `absent`.
    #[serde(default)]
    state: group::Presence,
    /// A file instead of a user's crontab; relative to `/etc/cron.d`.
    cron_file: Option<String>,
    /// Whether a copy of the old table is left. Default false.
    #[serde(default)]
    backup: bool,
    /// Minute. Default `*`.
    minute: Option<String>,
    /// Hour. Default `*`.
    hour: Option<String>,
    /// Day of the month. Default `*`.
    #[serde(alias = "dom")]
    day: Option<String>,
    /// Month. Default `*`.
    month: Option<String>,
    /// Day of the week. Default `*`.
    #[serde(alias = "dow")]
    weekday: Option<String>,
    /// A name for a time, such as `reboot` or `daily`.
    special_time: Option<String>,
    /// Whether the job is there as a remark only. Default false.
    #[serde(default)]
    disabled: bool,
    /// Whether it is about a variable. Default false.
    #[serde(default)]
    env: bool,
    /// The variable goes after this one.
    insertafter: Option<String>,
    /// The variable goes before this one.
    insertbefore: Option<String>,
}

const MARK: &str = "#Ansible: ";
const SPECIAL: &[&str] = &[
    "reboot", "yearly", "annually", "monthly", "weekly", "daily", "hourly",
];

/// What an edit came to.
struct Edited {
    lines: Vec<String>,
    is_changed: bool,
    /// Whether a file without any line left goes.
    removes_file: bool,
}

impl CronArgs {
    fn is_present(&self) -> bool {
        self.state == group::Presence::Present
    }

    fn file(&self) -> Option<String> {
        let file = self.cron_file.as_deref().filter(|file| !file.is_empty())?;
        Some(if file.starts_with('/') {
            file.to_owned()
        } else {
            format!("/etc/cron.d/{file}")
        })
    }

    fn times(&self) -> [&str; 5] {
        [
            &self.minute,
            &self.hour,
            &self.day,
            &self.month,
            &self.weekday,
        ]
        .map(|time| time.as_deref().unwrap_or("*"))
    }

    /// The line of the job.
    fn line(&self) -> String {
        let job = self.job.as_deref().unwrap_or_default();
        let job = job.trim_matches(['\r', '\n']);
        let off = if self.disabled { "#" } else { "" };
        let time = match &self.special_time {
            Some(special) => format!("@{special}"),
            None => self.times().join(" "),
        };
        match (self.file(), &self.user) {
            (Some(_), Some(user)) => format!("{off}{time} {user} {job}"),
            _ => format!("{off}{time} {job}"),
        }
    }

    /// The table as it is to be.
    fn edited(&self, lines: Vec<String>, ends_open: bool) -> Result<Edited, Failure> {
        let mut edited = Edited {
            lines,
            is_changed: false,
            removes_file: false,
        };
        match (self.env, self.is_present()) {
            (true, _) => self.edit_variable(&mut edited)?,
            (false, true) => self.put_job(&mut edited),
            (false, false) => self.remove_job(&mut edited),
        }
        // A table without an end of its last line is not read to its end by cron.
        if !edited.is_changed && ends_open {
            edited.is_changed = true;
        }
        Ok(edited)
    }

    fn edit_variable(&self, edited: &mut Edited) -> Result<(), Failure> {
        let lines = &mut edited.lines;
        let of = |name: &str| {
            let start = format!("{name}=");
            move |line: &String| line.starts_with(&start)
        };
        let wanted = format!(
            "{}=\"{}\"",
            self.name,
            self.job.as_deref().unwrap_or("None")
        );
        let at = lines.iter().position(of(&self.name));
        match (at, self.is_present()) {
            (None, false) => return Ok(()),
            (Some(_), false) => lines.retain(|line| !of(&self.name)(line)),
            (Some(at), true) if lines[at] == wanted => return Ok(()),
            (Some(_), true) => {
                for line in lines.iter_mut().filter(|line| of(&self.name)(line)) {
                    line.clone_from(&wanted);
                }
            }
            (None, true) => {
                let at = match (&self.insertafter, &self.insertbefore) {
                    (None, None) => 0,
                    (after, before) => {
                        let other = after
                            .as_ref()
                            .or(before.as_ref())
                            .map_or("", String::as_str);
                        let found = lines.iter().position(of(other)).ok_or_else(|| {
                            Failure::new(format!("Variable named '{other}' not found."))
                        })?;
                        found + usize::from(after.is_some())
                    }
                };
                lines.insert(at, wanted);
            }
        }
        edited.is_changed = true;
        Ok(())
    }

    fn put_job(&self, edited: &mut Edited) {
        let (mark, wanted) = (format!("{MARK}{}", self.name), self.line());
        let lines = &mut edited.lines;
        // As Ansible, the line after a mark is its job, whatever it is.
        let marked = marked_jobs(lines, &mark);
        if let Some(first) = marked.first() {
            if lines.get(*first).is_some_and(|line| *line == wanted) {
                return;
            }
            for at in marked {
                if let Some(line) = lines.get_mut(at) {
                    line.clone_from(&wanted);
                }
            }
        } else if let Some(at) = lines.iter().position(|line| *line == wanted) {
            // The same job without a name gets one.
            let before = at.checked_sub(1).map(|i| lines[i].clone());
            match before {
                Some(line) if line == format!("{MARK}None") => lines[at - 1] = mark,
                Some(line) if line.starts_with(MARK) => lines.extend([mark, wanted]),
                _ => lines.insert(at, mark),
            }
        } else {
            lines.extend([mark, wanted]);
        }
        edited.is_changed = true;
    }

    fn remove_job(&self, edited: &mut Edited) {
        let mark = format!("{MARK}{}", self.name);
        let marked = marked_jobs(&edited.lines, &mark);
        if marked.is_empty() {
            return;
        }
        let mut at = 0;
        edited.lines.retain(|_| {
            let goes = marked.contains(&at) || marked.contains(&(at + 1));
            at += 1;
            !goes
        });
        edited.is_changed = true;
        let is_empty = edited.lines.iter().all(|line| line.trim().is_empty());
        edited.removes_file = self.file().is_some() && is_empty;
    }

    fn result(&self, lines: &[String]) -> Map {
        let names = lines.iter().filter_map(|line| line.strip_prefix(MARK));
        let envs = lines
            .iter()
            .filter_map(|line| line.split_once('='))
            .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
            .map(|(name, _)| name);
        let mut result = fields([("jobs", strings(names)), ("envs", strings(envs))]);
        if let Some(file) = self.cron_file.as_deref().filter(|file| !file.is_empty()) {
            result.insert("cron_file".into(), file.into());
        }
        result
    }

    /// The `crontab` of the user; `-u` only for somebody else, as not every one allows it.
    fn crontab(&self) -> String {
        match &self.user {
            Some(user) => format!(
                "sb_crontab() {{ if [ \"$(id -un)\" = {0} ]; then crontab \"$@\"; else crontab -u {0} \"$@\"; fi; }}\n",
                quote(user)
            ),
            None => "sb_crontab() { crontab \"$@\"; }\n".into(),
        }
    }

    /// Installs a table; an empty one that was not there before is removed.
    fn install(&self, text: Option<&str>) -> String {
        let write = match text {
            Some(text) => format!("printf %s {} | sb_crontab -", quote(text)),
            None => "sb_crontab -r 2>/dev/null || ! sb_crontab -l >/dev/null 2>&1".into(),
        };
        format!("{}{write} || exit\n", self.crontab())
    }

    fn backup(&self, text: &str) -> String {
        if !self.backup {
            return String::new();
        }
        format!(
            "sb_keep_dir\nSB_backup=$(umask 077; mktemp \"${{TMPDIR:-/tmp}}/crontabXXXXXXXX\") && printf %s {} >\"$SB_backup\" || exit 1\n\
             printf %s \"$SB_backup\" >\"$SB_KEEP/crontab.backup\"\nsb_kv backup_file \"$SB_backup\"\n",
            quote(text)
        )
    }

    fn header(&self) -> String {
        match (self.file(), &self.user) {
            (Some(file), _) => file,
            (None, Some(user)) => format!("crontab for user \"{user}\""),
            (None, None) => "crontab".into(),
        }
    }

    /// What is left of a backup when the change is taken back: nothing.
    fn forget(&self) -> &'static str {
        if self.backup {
            "if [ -e \"$SB_KEEP/crontab.backup\" ]; then rm -f -- \"$(cat \"$SB_KEEP/crontab.backup\")\"; fi\n"
        } else {
            ""
        }
    }

    fn summary(&self) -> String {
        let verb = if self.is_present() { "set" } else { "remove" };
        format!("{verb} {} in {}", self.name, self.header())
    }

    /// The change of a file.
    fn change_file(&self, text: &Text<'_>, edited: &Edited) -> Result<Decision, Failure> {
        let mode = Mode::Bits(0o644);
        let result = self.result(&edited.lines);
        let decision = text.decide(&Edit {
            content: Some(rendered(&edited.lines).into_bytes()),
            msg: String::new(),
            result,
            wanted: Wanted {
                mode: text.content.is_none().then_some(&mode),
                ..Wanted::default()
            },
            backup: false,
            validate: None,
            heading: "",
            follows: true,
            tells_attributes: false,
        })?;
        let Decision::Change(mut change) = decision else {
            return Ok(decision);
        };
        change.summary = self.summary();
        if let Foretell::Changed(result) = &mut change.foretell {
            result.shift_remove("msg");
        }
        let path = word_of_seen(&text.path);
        if edited.removes_file {
            change.acts = vec![Act::script(format!("sb_take 1 {path}\n"))];
            let file = self.cron_file.as_deref().unwrap_or_default();
            change.foretell = Foretell::Changed(fields([
                ("cron_file", file.into()),
                ("state", self.state.name().into()),
            ]));
        }
        let before = String::from_utf8_lossy(text.content.unwrap_or_default()).into_owned();
        let backup = self.backup(&before);
        for act in &mut change.acts {
            if let Act::Script { script, .. } | Act::Stream { script, .. } = act {
                script.sh = format!("{backup}{}", script.sh);
            }
        }
        if let Undo::Acts { acts, .. } = &mut change.undo {
            acts.push(Act::script(format!("{}:\n", self.forget())));
        }
        Ok(Decision::Change(change))
    }

    /// The change of a user's table.
    fn change_table(&self, before: Option<&str>, edited: &Edited) -> Change {
        let after = rendered(&edited.lines);
        let backup = self.backup(before.unwrap_or_default());
        Change {
            summary: self.summary(),
            diff: vec![Diff {
                before_header: self.header(),
                after_header: self.header(),
                before: before.unwrap_or_default().to_owned(),
                after: after.clone(),
            }],
            acts: vec![Act::script(format!(
                "{backup}{}",
                self.install(Some(&after))
            ))],
            undo: Undo::Acts {
                summary: format!("restore the {}", self.header()),
                acts: vec![Act::script(format!(
                    "{}{}",
                    self.install(before),
                    self.forget()
                ))],
            },
            foretell: Foretell::Changed(self.result(&edited.lines)),
        }
    }
}

/// Where the lines are that follow a mark.
fn marked_jobs(lines: &[String], mark: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at] == mark {
            found.push(at + 1);
            at += 1;
        }
        at += 1;
    }
    found
}

/// Whether the last line has no end.
fn ends_open(text: &str) -> bool {
    !text.is_empty() && !text.ends_with(['\n', '\r'])
}

/// The text of a table.
fn rendered(lines: &[String]) -> String {
    let text = lines.join("\n");
    if text.is_empty() {
        return text;
    }
    format!("{}\n", text.trim_end_matches(['\r', '\n']))
}

/// The lines of a user's table without the remarks that some `crontab -l` put before them.
fn own_lines(text: &str) -> Vec<String> {
    let is_remark = |line: &str| {
        line.starts_with("# DO NOT EDIT THIS FILE - edit the master and reinstall.")
            || line.starts_with("# (/tmp/") && line.contains("installed on")
            || line.starts_with("# (") && line.contains("version")
    };
    text.lines()
        .enumerate()
        .filter(|(at, line)| *at > 2 || !is_remark(line))
        .map(|(_, line)| line.to_owned())
        .collect()
}

impl Module for Cron {
    const NAME: &'static str = "cron";
    const EFFECT: Effect = Effect::Converges;
    type Args = CronArgs;

    fn check(args: &CronArgs) -> Result<(), String> {
        if args.cron_file.as_deref() == Some("/etc/crontab") {
            return Err("Will not manage /etc/crontab via cron_file, see documentation.".into());
        }
        if args.insertafter.is_some() && args.insertbefore.is_some() {
            return Err("parameters are mutually exclusive: insertafter|insertbefore".into());
        }
        if let Some(special) = &args.special_time {
            if !SPECIAL.contains(&special.as_str()) {
                return Err(format!(
                    "value of special_time must be one of: {}, got: {special}",
                    SPECIAL.join(", ")
                ));
            }
            if args.times().iter().any(|time| *time != "*") {
                return Err(
                    "You cannot combine special_time with any of the time or day/date \
                            parameters."
                        .into(),
                );
            }
        }
        if let Some(user) = &args.user {
            group::check_name("user", user)?;
        }
        if args.name.contains('\n') {
            return Err("a name cannot have more than one line".into());
        }
        if args.env && args.name.contains(' ') {
            return Err("Invalid name for environment variable".into());
        }
        if args.is_present() {
            if args.file().is_some() && args.user.is_none() {
                return Err(
                    "To use cron_file=... parameter you must specify user=... as well".into(),
                );
            }
            if args.job.is_none() {
                return Err("You must specify 'job' to install a new cron job or variable".into());
            }
            if (args.insertafter.is_some() || args.insertbefore.is_some()) && !args.env {
                return Err(
                    "Insertafter and insertbefore parameters are valid only with env=yes".into(),
                );
            }
        }
        Ok(())
    }

    fn probe(args: &CronArgs, _: &[Resolved]) -> Option<Script> {
        if let Some(file) = args.file() {
            return Some(probe(&file, &Wanted::default()));
        }
        Some(Script::new(format!(
            "command -v crontab >/dev/null || sb_fail 'Failed to find required executable \"crontab\" in paths: '\"$PATH\"\n\
             {}SB_table=$(sb_crontab -l 2>/dev/null && printf x)\nSB_rc=$?\n\
             [ $SB_rc -le 1 ] || sb_fail 'Unable to read crontab'\n\
             [ $SB_rc -eq 0 ] || exit 0\nsb_kv is_there yes\nsb_body\nprintf %s \"${{SB_table%x}}\"\n",
            args.crontab()
        )))
    }

    fn decide(args: &CronArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        if args.file().is_some() {
            let text = Text::read(reply)?;
            let content = String::from_utf8_lossy(text.content.unwrap_or_default()).into_owned();
            let lines = content.lines().map(str::to_owned).collect();
            let edited = args.edited(lines, ends_open(&content))?;
            if !edited.is_changed {
                return Ok(Decision::Unchanged(Outcome::ok(args.result(&edited.lines))));
            }
            return args.change_file(&text, &edited);
        }
        if reply.rc != 0 {
            let why = reply.stderr_text();
            return Err(Failure::of_reply(why.trim(), reply));
        }
        let text = String::from_utf8_lossy(reply.body()).into_owned();
        let edited = args.edited(own_lines(&text), ends_open(&text))?;
        if !edited.is_changed {
            return Ok(Decision::Unchanged(Outcome::ok(args.result(&edited.lines))));
        }
        let before = reply.fields().contains_key("is_there").then_some(text);
        Ok(Decision::Change(
            args.change_table(before.as_deref(), &edited),
        ))
    }

    fn finish(
        _: &CronArgs,
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
