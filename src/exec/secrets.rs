//! The values that must not appear anywhere in clear, and the doors at which they are masked.
//!
//! Secrecy by type ([`crate::value::Text`]) is the first net. The second is the run's
//! [`Redactor`]: it learns each secret where it is first read, and masks it in everything that
//! goes out: events and live output ([`super::effect::Port`]), questions and records (here).

use super::ask::{Question, WayOffer};
use super::end::ItemEnd;
use super::item::Item;
use super::run::Run;
use crate::journal::{Record, Sealed, UndoRecord};
use crate::modules::{Act, Change, Resolved, Source};
use crate::transport::{Connection, Target};
use crate::value::{Map, Redactor, Value, exposed};

/// Arguments whose values are secret whatever the task says: names of modules' arguments, and of
/// headers.
const SECRET_ARGUMENTS: &[&str] = &[
    "password",
    "passphrase",
    "login_password",
    "url_password",
    "ssh_key_passphrase",
    "client_key",
    "token",
    "api_key",
    "secret",
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
    "x-vault-token",
    "private-token",
];

/// Connection variables that are secret wherever they come from (ansible-core 2.19, options of the
/// `ssh` connection plugin and of the become plugins).
const SECRET_VARIABLES: &[&str] = &[
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_su_pass",
    "ansible_doas_pass",
    "ansible_ssh_private_key_passphrase",
    "ansible_private_key_passphrase",
];

/// Whether a variable of this name is a password.
pub(crate) fn is_secret_variable(name: &str) -> bool {
    SECRET_VARIABLES.contains(&name)
}

/// Hides in the diffs of a change what may come from a secret: of a file that was rendered with one,
/// or is given as one, each line that its author did not write as it stands.
pub(super) fn hide_secret_lines(change: &mut Change, inputs: &[Resolved], args: &Value) {
    let rendered = inputs.iter().find_map(|input| input.secret_of.as_deref());
    let is_given = args.get("content").is_some_and(Value::has_secret);
    if let Some(written) = rendered.or_else(|| is_given.then_some("")) {
        for diff in &mut change.diff {
            diff.hide(written);
        }
    }
}

impl Run {
    /// Masks this value from now on.
    pub(crate) fn add_secret(&self, secret: &str) {
        self.port.with_redactor(|redactor| redactor.add(secret));
    }

    /// Masks the secret strings of a value from now on.
    pub(crate) fn note_value(&self, value: &Value) {
        if value.has_secret() {
            self.port
                .with_redactor(|redactor| redactor.add_value(value));
        }
    }

    /// Masks what is secret in a task's arguments from now on: by its type, or by the name of the
    /// argument.
    pub(crate) fn note_arguments(&self, args: &Value) {
        self.note_value(args);
        let mut found = Vec::new();
        secret_arguments(args, &mut found);
        for secret in found {
            self.add_secret(&secret);
        }
    }

    /// Masks a target's passwords from now on.
    pub(crate) fn note_secrets(&self, target: &Target) {
        if let Connection::Ssh {
            password: Some(password),
            ..
        } = &target.connection
        {
            self.add_password(&password.0);
        }
        if let Some(password) = target
            .become_user
            .as_ref()
            .and_then(|b| b.password.as_ref())
        {
            self.add_password(&password.0);
        }
    }

    /// Masks a password that a later process of the run gets anew, so that no file needs to have it.
    fn add_password(&self, password: &str) {
        self.port
            .with_redactor(|redactor| redactor.add_known(password));
    }

    /// Text with all known secrets masked.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.port.with_redactor(|redactor| redactor.mask(text))
    }

    /// A value with all secrets masked, those known by type and those known by value.
    pub(crate) fn redacted(&self, value: &Value) -> Value {
        self.port
            .with_redactor(|redactor| redactor.mask_value(value))
    }

    /// Result and facts of an end, for a resume, where the record shows less of them, with the
    /// secrets that the run has learnt meanwhile.
    pub(crate) fn sealed_end(&self, is_hidden: bool, end: &ItemEnd) -> Option<Sealed> {
        let facts = Value::from(end.facts.clone());
        let result = end.value();
        let is_whole = self.redacted(&result) == result && self.redacted(&facts) == facts;
        let learnt = self.port.with_redactor(Redactor::take_fresh);
        let needs_it = is_hidden || !is_whole || !learnt.is_empty();
        needs_it.then(|| Sealed::of(&(result, end.facts.clone(), learnt)))
    }

    /// Facts of an end as the record shows them.
    pub(crate) fn shown_facts(&self, is_hidden: bool, end: &ItemEnd) -> Map {
        if is_hidden {
            return Map::new();
        }
        match self.redacted(&Value::from(end.facts.clone())) {
            Value::Map(facts) => (*facts).clone(),
            _ => Map::new(),
        }
    }

    /// An undo as it may be written: sealed where it holds a secret.
    pub(crate) fn sealed_undo(&self, item: &Item, undo: UndoRecord) -> UndoRecord {
        let summary = match &undo {
            UndoRecord::Acts { summary, .. } | UndoRecord::Tasks { summary, .. } => summary.clone(),
            UndoRecord::Sealed { .. }
            | UndoRecord::Keep
            | UndoRecord::Unknown { .. }
            | UndoRecord::NotNeeded => return undo,
        };
        if !item.is_hidden && !self.holds_secret(&undo) {
            return undo;
        }
        UndoRecord::Sealed {
            summary: if item.is_hidden {
                "hidden by no_log".to_owned()
            } else {
                self.redact(&summary)
            },
            sealed: Sealed::of(&undo),
        }
    }

    fn holds_secret(&self, undo: &UndoRecord) -> bool {
        let full = exposed(|| serde_json::to_string(undo)).unwrap_or_default();
        let masked = serde_json::to_string(undo).unwrap_or_default();
        if full != masked {
            return true;
        }
        self.port.with_redactor(|redactor| {
            let has = |text: &str| redactor.find_and_mask(text).is_some();
            let in_bytes = |act: &Act| match act {
                Act::Stream {
                    source: Source::Bytes(bytes),
                    ..
                } => has(&String::from_utf8_lossy(bytes)),
                _ => false,
            };
            has(&full) || matches!(undo, UndoRecord::Acts { acts, .. } if acts.iter().any(in_bytes))
        })
    }

    /// Masks the texts of a record that are for people. Its values were masked where they were
    /// made, beside what is sealed of them.
    pub(crate) fn redact_record(&self, record: &mut Record) {
        self.port.with_redactor(|redactor| {
            let mask = |text: &mut String| redactor.mask_in(text);
            match record {
                Record::Resumed { drift, .. } => drift.iter_mut().for_each(mask),
                Record::Answered {
                    question, answer, ..
                } => {
                    mask(question);
                    mask(answer);
                }
                Record::Intent {
                    name,
                    summary,
                    undo,
                    ..
                } => {
                    mask(name);
                    mask(summary);
                    if let UndoRecord::Unknown { why } = undo {
                        mask(why);
                    }
                }
                Record::Undone { message, .. } => mask(message),
                _ => {}
            }
        });
    }

    /// Masks everything that a question shows.
    pub(crate) fn redact_question(&self, question: &mut Question) {
        self.port
            .with_redactor(|redactor| redact_question(question, redactor));
    }
}

/// The values of all arguments whose name says that they are secret, and passwords in URLs.
fn secret_arguments(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Map(map) => {
            for (key, value) in map.iter() {
                let is_secret = SECRET_ARGUMENTS.contains(&key.to_ascii_lowercase().as_str());
                match value.as_str() {
                    Some(text) if is_secret => found.push(text.to_owned()),
                    Some(text) if key == "url" => found.extend(password_in(text)),
                    _ => secret_arguments(value, found),
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| secret_arguments(item, found)),
        _ => {}
    }
}

/// The password of `scheme://user:password@host`.
fn password_in(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    Some(password.to_owned())
}

fn redact_question(question: &mut Question, redactor: &Redactor) {
    let mask = |text: &mut String| redactor.mask_in(text);
    let mask_all = |texts: &mut Vec<String>| texts.iter_mut().for_each(mask);
    let mask_found = |found: &mut Vec<(String, bool, String)>| {
        for (name, _, seen) in found {
            mask(name);
            mask(seen);
        }
    };
    match question {
        Question::Task(q) => {
            mask(&mut q.name);
            mask(&mut q.play);
            mask(&mut q.undo);
            mask_all(&mut q.notifies);
            for group in &mut q.groups {
                mask(&mut group.does);
                mask_all(&mut group.diff);
                mask_all(&mut group.details);
            }
        }
        Question::Failure(q) => {
            mask(&mut q.name);
            for (_, report) in &mut q.groups {
                report.redact(redactor);
            }
        }
        Question::PointOfNoReturn(q) => {
            mask(&mut q.name);
            mask(&mut q.reason);
            mask_found(&mut q.requirements);
            mask_all(&mut q.seals);
        }
        Question::Pause(q) => {
            mask(&mut q.why);
            mask(&mut q.next);
            mask_all(&mut q.running);
            mask_all(&mut q.status);
        }
        Question::WayBack(q) => {
            for WayOffer {
                conditions,
                loses,
                steps,
                stays,
                ..
            } in &mut q.ways
            {
                mask_found(conditions);
                mask(loses);
                mask_all(steps);
                mask_all(stays);
            }
        }
        Question::Text(q) => mask(&mut q.prompt),
        Question::Word(q) => mask(&mut q.warning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_the_names_of_arguments_and_in_urls() {
        let args = serde_json::json!({
            "url": "https://me:pa%3Ass@h/x@y",
            "headers": {"Authorization": "Bearer abc", "Accept": "text/plain"},
            "password": "secret", "update_password": "always",
            "list": [{"token": "t0ken"}],
        });
        let mut found = Vec::new();
        secret_arguments(&Value::from_json(args), &mut found);
        assert_eq!(found, ["pa%3Ass", "Bearer abc", "secret", "t0ken"]);
        assert_eq!(password_in("https://h/a:b@c"), None);
    }
}
