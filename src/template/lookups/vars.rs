//! Lookups in variables, the environment and the inventory.

use std::sync::Arc;

use super::{Lookup, lenient, row};
use crate::template::error::{ErrorKind, Problem, Result};
use crate::template::eval::{Eval, ROOT};
use crate::template::regex::{self, Flags};
use crate::template::val::{Args, Val};

pub(super) const LOOKUPS: &[Lookup] = &[
    lenient("env", env),
    row("vars", vars),
    row("varnames", varnames),
    row("inventory_hostnames", inventory_hostnames),
    row("config", config),
];

fn config(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for term in args.strings(eval)? {
        let value = eval.world.config(&term).ok_or_else(|| {
            Problem::other(format!(
                "the setting {term} was not found among those that are read"
            ))
        })?;
        out.push(Val::data(value));
    }
    Ok(out)
}

fn env(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for term in args.strings(eval)? {
        let name = term.split_whitespace().next().unwrap_or_default();
        let found = eval.world.env(name).map(Val::str);
        let value = found.or_else(|| args.option("default").cloned());
        out.push(match value {
            Some(Val::Marker(problem)) => {
                let mut problem = (*problem).clone();
                problem.message = format!("The environment variable '{name}' is not set.");
                return Err(Box::new(problem));
            }
            Some(value) => value,
            None => Val::str(""),
        });
    }
    Ok(out)
}

fn vars(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for term in &args.list {
        let Some(name) = term.as_str() else {
            return Err(Problem::other(format!(
                "Variable name must be 'str' not '{}'.",
                term.type_name()
            )));
        };
        let found = eval.known_variable(ROOT, &Arc::from(name))?;
        match found.or_else(|| args.option("default").cloned()) {
            Some(value) => out.push(Eval::require(value)?),
            None => {
                return Err(Problem::new(
                    ErrorKind::Undefined,
                    format!("No variable named '{name}' was found."),
                ));
            }
        }
    }
    Ok(out)
}

fn varnames(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let names = eval.with_scope(ROOT, |s| s.names());
    let mut out = Vec::new();
    for term in &args.list {
        let Some(term) = term.as_str() else {
            return Err(Problem::other(format!(
                "Invalid setting identifier, it is not a string, it is a {}",
                term.type_name()
            )));
        };
        let pattern = regex::compile(term, Flags::default()).map_err(|problem| {
            // What Python calls the most frequent mistake, `*` at the start.
            let why = if term.starts_with(['*', '+', '?']) {
                "nothing to repeat at position 0".to_owned()
            } else {
                problem.message
            };
            Problem::other(format!(
                "Unable to use \"{term}\" as a search parameter: {why}"
            ))
        })?;
        for name in &names {
            if regex::search(&pattern, name)?.is_some() {
                out.push(Val::str(name.as_str()));
            }
        }
    }
    Ok(out)
}

fn inventory_hostnames(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let pattern = args.strings(eval)?.join(",");
    let hosts = eval
        .world
        .hosts_matching(&pattern)
        .map_err(Problem::other)?;
    Ok(hosts.into_iter().map(Val::str).collect())
}
