//! What differs between a run's start and its resume: files and extra vars.
//!
//! The files as they were are in the journal, readable with the run's key only. What is told of the
//! difference stays on the terminal; the journal gets one line for each file.

use super::session::{Loaded, is_typed};
use super::start::tell;
use crate::journal::{Record, RunState};
use crate::modules::Diff;

/// One thing that differs.
pub(super) struct Drift {
    /// In one line, for the journal too.
    pub(super) line: String,
    /// A unified diff, for the terminal.
    diff: String,
}

/// What differs from the start of the run.
pub(super) fn of(state: &RunState, loaded: &Loaded) -> Vec<Drift> {
    let Some(Record::Opened {
        playbook_hash,
        inventory_hash,
        extra_vars,
        ..
    }) = &state.opened
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if (playbook_hash, inventory_hash) != (&loaded.hashes.0, &loaded.hashes.1) {
        found = files(&state.sources, &loaded.files);
        if found.is_empty() {
            // Without the key, or in a run of an older version.
            let line = "the playbook, the inventory or a file that they load has changed".into();
            found.push(Drift {
                line,
                diff: String::new(),
            });
        }
    }
    let now = &*loaded.settings.extra_vars;
    let mut names: Vec<&str> = extra_vars
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(*value))
        .map(|(name, _)| name.as_str())
        .collect();
    names.extend(
        now.keys()
            .filter(|name| !extra_vars.contains_key(*name))
            .map(String::as_str),
    );
    if !names.is_empty() && !state.sources.is_empty() {
        found.push(Drift {
            line: format!("the extra vars `{}` have changed", names.join("`, `")),
            diff: String::new(),
        });
    }
    found
}

fn files(before: &[(String, String)], now: &[(String, String)]) -> Vec<Drift> {
    let of = |files: &[(String, String)], path: &str| {
        let found = files.iter().find(|(known, _)| known == path);
        found.map(|(_, text)| text.clone())
    };
    let mut paths: Vec<&str> = before.iter().chain(now).map(|(p, _)| p.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| {
            let (old, new) = (of(before, path), of(now, path));
            if old == new || before.is_empty() {
                return None;
            }
            let line = match (&old, &new) {
                (None, _) => format!("`{path}` was not loaded then"),
                (_, None) => format!("`{path}` is not loaded any longer"),
                (Some(_), Some(_)) => format!("`{path}` has changed"),
            };
            let diff = Diff {
                before_header: "when the run began".into(),
                after_header: "now".into(),
                before: old.unwrap_or_default(),
                after: new.unwrap_or_default(),
            };
            let diff = diff.unified();
            let count = |sign| diff.lines().skip(2).filter(|l| l.starts_with(sign)).count();
            let (more, less) = (count('+'), count('-'));
            Some(Drift {
                line: format!("{line}: +{more} -{less} lines"),
                diff,
            })
        })
        .collect()
}

/// Shows the difference and asks, where somebody is there to ask; else the option decides.
pub(super) fn is_accepted(drift: &[Drift], is_accepted: bool) -> bool {
    for change in drift {
        tell(&format!("drift: {}", change.line));
        for line in change.diff.lines() {
            tell(&format!("  {}", crate::report::sanitize::inline(line)));
        }
    }
    if is_accepted {
        return true;
    }
    if !crate::console::is_interactive() {
        tell("error: the run is not gone on with: something has changed since it began");
        tell("help: look at the difference, then go on with `--accept-drift`");
        return false;
    }
    let warning = "steps that ended keep their results; the rest is run as it is now";
    is_typed("accept", warning)
}
