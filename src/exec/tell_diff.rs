//! `diff` in a result, where the task or the command line asks for it.

use super::end::ItemEnd;
use super::item::{Item, Ready};
use super::run::Run;
use crate::event::Status;
use crate::modules::{Diff, Outcome};
use crate::value::{Map, Value};

/// Modules that give a list of diffs, as several things may differ; all others give one.
const GIVES_LIST: &[&str] = &["blockinfile", "copy", "ini_file", "lineinfile", "template"];

/// Modules that give a diff whether or not it is asked for.
const GIVES_ALWAYS: &[&str] = &["known_hosts"];

impl Run {
    /// Adds the change's diff to what `register` sees, in diff mode.
    pub(super) fn tell_diff(&self, item: &Item, ready: &Ready, end: &mut ItemEnd) {
        if end.status == Status::Changed
            && !ready.change.diff.is_empty()
            && self.wants_diff(item, ready.module.name())
        {
            let diff = as_result(ready.module.name(), &ready.change.diff);
            end.result.insert("diff".into(), diff);
        }
    }

    /// The same where nothing differs.
    pub(super) fn tell_same(&self, item: &Item, module: &str, outcome: &mut Outcome) {
        if let Some(diff) = outcome.same.take()
            && self.wants_diff(item, module)
        {
            let diff = as_result(module, &[diff]);
            outcome.result.insert("diff".into(), diff);
        }
    }

    fn wants_diff(&self, item: &Item, module: &str) -> bool {
        if GIVES_ALWAYS.contains(&module) {
            return true;
        }
        let keyword = item.frame.keyword(|k| k.diff.as_ref());
        self.flag(keyword, &item.view, self.settings.shows_diff)
            .unwrap_or(false)
    }
}

/// The diffs in Ansible's shape: `file` gives the two states, others texts.
fn as_result(module: &str, diffs: &[Diff]) -> Value {
    if let ("file", [diff]) = (module, diffs) {
        let side = |text: &str| {
            serde_json::from_str(text).map_or_else(|_| Value::from(text), Value::from_json)
        };
        return Value::from(Map::from([
            ("before".to_owned(), side(&diff.before)),
            ("after".to_owned(), side(&diff.after)),
        ]));
    }
    let parts = diffs.iter().map(|diff| {
        Value::from(Map::from([
            (
                "before_header".to_owned(),
                diff.before_header.as_str().into(),
            ),
            ("after_header".to_owned(), diff.after_header.as_str().into()),
            ("before".to_owned(), diff.before.as_str().into()),
            ("after".to_owned(), diff.after.as_str().into()),
        ]))
    });
    let mut parts: Vec<Value> = parts.collect();
    match parts.len() {
        1 if !GIVES_LIST.contains(&module) => parts.remove(0),
        _ => Value::from(parts),
    }
}
