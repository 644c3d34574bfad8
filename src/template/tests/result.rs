//! Tests on the registered result of a task.

use super::{Test, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::Val;

pub(super) const TESTS: &[Test] = &[
    row("failed", |e, v, _| flag(e, v, "failed")),
    row("failure", |e, v, _| flag(e, v, "failed")),
    row("succeeded", |e, v, _| flag(e, v, "failed").map(|b| !b)),
    row("success", |e, v, _| flag(e, v, "failed").map(|b| !b)),
    row("successful", |e, v, _| flag(e, v, "failed").map(|b| !b)),
    row("unreachable", |e, v, _| flag(e, v, "unreachable")),
    row("reachable", |e, v, _| flag(e, v, "unreachable").map(|b| !b)),
    row("changed", |e, v, _| changed(e, v)),
    row("change", |e, v, _| changed(e, v)),
    row("skipped", |e, v, _| flag(e, v, "skipped")),
    row("skip", |e, v, _| flag(e, v, "skipped")),
    row("started", |e, v, _| job(e, v, "started")),
    row("finished", |e, v, _| job(e, v, "finished")),
    row("timedout", |e, v, _| timedout(e, v)),
];

fn field(eval: &Eval<'_>, value: &Val, name: &str) -> Result<Option<Val>> {
    if !value.is_mapping() {
        return Err(Problem::other(format!(
            "The '{name}' test expects a dictionary"
        )));
    }
    match eval.item(value, &Val::str(name))? {
        Val::Marker(_) => Ok(None),
        found => Ok(Some(found)),
    }
}

fn flag(eval: &Eval<'_>, value: &Val, name: &str) -> Result<bool> {
    field(eval, value, name)?.map_or(Ok(false), |v| eval.truth(&v))
}

fn changed(eval: &Eval<'_>, value: &Val) -> Result<bool> {
    if let Some(changed) = field(eval, value, "changed")? {
        return eval.truth(&changed);
    }
    let Some(results) = eval.finalize_list(value, "results")? else {
        return Ok(false);
    };
    for result in results {
        if result.is_mapping() && flag(eval, &result, "changed")? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A task that is no job counts as started and finished.
fn job(eval: &Eval<'_>, value: &Val, name: &str) -> Result<bool> {
    match field(eval, value, name)? {
        Some(found) => eval.truth(&found),
        None => Ok(true),
    }
}

fn timedout(eval: &Eval<'_>, value: &Val) -> Result<bool> {
    match field(eval, value, "timedout")? {
        Some(found) if found.is_mapping() => flag(eval, &found, "period"),
        _ => Ok(false),
    }
}

impl Eval<'_> {
    fn finalize_list(&self, value: &Val, name: &str) -> Result<Option<Vec<Val>>> {
        match self.item(value, &Val::str(name))? {
            found if found.is_sequence() => self.items(&found).map(Some),
            _ => Ok(None),
        }
    }
}
