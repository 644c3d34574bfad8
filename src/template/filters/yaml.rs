//! YAML as `PyYAML` writes and reads it.

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::python::{yaml, yaml_load};
use crate::template::val::{Args, Val};
use crate::value::Value;

pub(super) const FILTERS: &[Filter] = &[
    row("to_yaml", |e, v, a| to_yaml(e, v, a, false)),
    row("to_nice_yaml", |e, v, a| to_yaml(e, v, a, true)),
    row("from_yaml", from_yaml),
    row("from_yaml_all", from_yaml_all),
];

/// Options of `yaml.dump`; those that are not read below change nothing here.
const OPTIONS: &[&str] = &[
    "allow_unicode",
    "canonical",
    "default_flow_style",
    "default_style",
    "encoding",
    "indent",
    "line_break",
    "sort_keys",
    "vault_behavior",
    "width",
];

fn to_yaml(eval: &Eval<'_>, input: &Val, args: &Args, is_nice: bool) -> Result<Val> {
    let named = |name: &str| {
        args.named
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, v)| v)
    };
    let number = |name: &str, default: i64| match named(name) {
        Some(Val::Int(i)) => usize::try_from(*i).unwrap_or(usize::MAX),
        _ => usize::try_from(default).unwrap_or(0),
    };
    let indent = match args.list.first() {
        Some(Val::Int(i)) if is_nice => usize::try_from(*i).unwrap_or(4),
        _ => number("indent", if is_nice { 4 } else { 2 }),
    };
    let style = yaml::Style {
        // `PyYAML` ignores an indent outside 2..=9.
        indent: if (2..10).contains(&indent) { indent } else { 2 },
        width: number("width", 80),
        flow: match named("default_flow_style") {
            Some(Val::Bool(b)) => Some(*b),
            Some(_) => None,
            None => is_nice.then_some(false),
        },
        sort_keys: named("sort_keys").map_or(Ok(true), |v| eval.truth(v))?,
        scalars: match named("default_style") {
            None | Some(Val::Null) => None,
            Some(given) => Some(match eval.text(given)?.as_str() {
                "" => return Err(Problem::other("`default_style` is empty")),
                "\"" => yaml::Scalars::Double,
                "'" => yaml::Scalars::Single,
                "|" => yaml::Scalars::Literal,
                other => {
                    return Err(Problem::other(format!(
                        "`default_style: {other}` is not supported"
                    )));
                }
            }),
        },
    };
    let unknown = args
        .named
        .iter()
        .find(|(name, _)| !OPTIONS.contains(&&**name));
    if let Some((name, _)) = unknown {
        return Err(Problem::other(format!(
            "dump_all() got an unexpected keyword argument '{name}'"
        )));
    }
    let value = eval.finalize(input)?;
    let is_canonical = named("canonical").map_or(Ok(false), |v| eval.truth(v))?;
    let text = if is_canonical {
        yaml::canonical(&value, style.sort_keys)
    } else {
        yaml::dump(&value, &style)
    };
    eval.produce(text.len())?;
    Ok(Val::str(text))
}

fn documents(text: &str) -> Result<Vec<Value>> {
    yaml_load::load_all(text).map_err(|e| Problem::other(format!("the text is not YAML: {e}")))
}

fn from_yaml(_: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    let Val::Str(text) = input else {
        return Ok(input.clone());
    };
    let mut all = documents(text.as_str())?;
    if all.len() > 1 {
        return Err(Problem::other("expected a single document in the stream"));
    }
    Ok(Val::data(all.pop().unwrap_or(Value::Null)))
}

fn from_yaml_all(_: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    match input {
        Val::Null => Ok(Val::list(Vec::new())),
        Val::Str(text) => Ok(Val::list(
            documents(text.as_str())?
                .into_iter()
                .map(Val::data)
                .collect(),
        )),
        other => Ok(other.clone()),
    }
}
