//! What check mode says of changes that it does not make, and of paths that they would make.

use super::end::{ItemEnd, message};
use super::item::{Item, Ready};
use super::run::Run;
use crate::event::Status;
use crate::modules::{Failure, Foretell};
use crate::value::{Map, Value};

impl Run {
    /// Remembers in check mode what path a change would make.
    pub(super) fn plan_path(&self, item: &Item, args: &Value) {
        let path = ["path", "dest", "name"]
            .iter()
            .find_map(|key| args.get(key))
            .and_then(Value::as_str);
        if let Some(path) = path {
            let planned = (item.host.clone(), path.trim_end_matches('/').to_owned());
            self.state.borrow_mut().planned_paths.insert(planned);
        }
    }

    /// In check mode, a failure for want of a path that an earlier task would have made is a
    /// change that would be made.
    pub(super) fn planned_end(
        &self,
        item: &Item,
        failure: &Failure,
        args: &Value,
    ) -> Option<ItemEnd> {
        let missing = failure.misses.as_deref().filter(|_| item.is_check)?;
        let is_planned = {
            let state = self.state.borrow();
            std::path::Path::new(missing).ancestors().any(|path| {
                let path = path.display().to_string();
                state.planned_paths.contains(&(item.host.clone(), path))
            })
        };
        if is_planned {
            self.plan_path(item, args);
            let mut end = ItemEnd::new(Status::Changed, Map::new());
            end.summary = format!("in `{missing}`, which an earlier task would make");
            return Some(end);
        }
        // A command that check mode left out may be what makes it: nobody can tell.
        let is_unclear = self.state.borrow().has_left_out.contains(&item.host);
        is_unclear.then(|| {
            let why = "a command that check mode does not run may make it";
            ItemEnd::new(Status::Unknown, message(format!("{}; {why}", failure.msg)))
        })
    }
}

pub(super) fn foretold(ready: &Ready) -> ItemEnd {
    let mut end = match &ready.change.foretell {
        Foretell::Changed(result) => ItemEnd::new(Status::Changed, result.clone()),
        Foretell::Skipped(msg) => {
            let mut result = message(msg.clone());
            if matches!(ready.module.name(), "command" | "shell") {
                result.extend(never_run(ready));
                result.insert("failed".into(), Value::Bool(false));
            }
            result.insert("_switchback_unknown".into(), Value::Bool(true));
            ItemEnd::new(Status::Skipped, result)
        }
    };
    end.summary.clone_from(&ready.change.summary);
    end.diff = ready.diffs();
    end
}

/// In check mode a command that `creates` or `removes` rules out "would not" run.
pub(super) fn foretell_in_words(result: &mut Map) {
    let msg = result.get("msg").and_then(Value::as_str);
    let rest = msg.and_then(|msg| msg.strip_prefix("Did not run command"));
    if let Some(rest) = rest {
        let msg = format!("Would not run command{rest}");
        result.insert("msg".into(), msg.into());
    }
}

/// What a skipped command registers besides (ansible-core 2.19, `modules/command.py`).
fn never_run(ready: &Ready) -> Map {
    let args = &ready.args;
    let cmd = ["argv", "_raw_params", "cmd"]
        .iter()
        .find_map(|key| args.get(key))
        .cloned()
        .unwrap_or_default();
    let cmd = match (&cmd, ready.module.name()) {
        (Value::Str(text), "command") => match shlex::split(text.as_str()) {
            Some(words) => Value::from(words.into_iter().map(Value::from).collect::<Vec<_>>()),
            None => cmd,
        },
        _ => cmd,
    };
    let empty = || Value::from(Vec::new());
    Map::from([
        ("cmd".to_owned(), cmd),
        ("rc".to_owned(), Value::Int(0)),
        ("stdout".to_owned(), "".into()),
        ("stdout_lines".to_owned(), empty()),
        ("stderr".to_owned(), "".into()),
        ("stderr_lines".to_owned(), empty()),
        ("start".to_owned(), Value::Null),
        ("end".to_owned(), Value::Null),
        ("delta".to_owned(), Value::Null),
    ])
}
