//! `map`, `select`, `reject` and their attribute forms.

use std::sync::Arc;

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val};

pub(super) const FILTERS: &[Filter] = &[
    row("map", map),
    row("select", |e, v, a| select(e, v, a, false, true)),
    row("reject", |e, v, a| select(e, v, a, false, false)),
    row("selectattr", |e, v, a| select(e, v, a, true, true)),
    row("rejectattr", |e, v, a| select(e, v, a, true, false)),
];

fn map(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let items = eval.items(input)?;
    let mut out = Vec::with_capacity(items.len());
    let attribute = args
        .named
        .iter()
        .find(|(n, _)| &**n == "attribute")
        .map(|(_, v)| v);
    if let Some(attribute) = attribute.filter(|_| args.list.is_empty()) {
        let default = args
            .named
            .iter()
            .find(|(n, _)| &**n == "default")
            .map(|(_, v)| v);
        for item in items {
            let value = eval.path(&item, attribute)?;
            out.push(match (&value, default) {
                (Val::Marker(_), Some(default)) => default.clone(),
                _ => value,
            });
        }
        return Ok(Val::list(out));
    }
    let Some(name) = args.list.first() else {
        return Err(Problem::other("map requires a filter argument"));
    };
    let name = eval.text(name)?;
    let inner = Args {
        list: args.list[1..].to_vec(),
        named: args.named.clone(),
    };
    for item in items {
        out.push(eval.filter(&name, item, &inner)?);
    }
    Ok(Val::list(out))
}

fn select(
    eval: &Eval<'_>,
    input: &Val,
    args: &Args,
    by_attribute: bool,
    keep: bool,
) -> Result<Val> {
    let mut list: &[Val] = &args.list;
    let mut attribute = None;
    if by_attribute {
        let Some((first, rest)) = list.split_first() else {
            return Err(Problem::other("Missing parameter for attribute name"));
        };
        attribute = Some(first);
        list = rest;
    }
    let test = match list.split_first() {
        Some((name, rest)) => {
            let name = eval.text(name)?;
            let inner = Args {
                list: rest.to_vec(),
                named: args.named.clone(),
            };
            Some((Arc::<str>::from(name), inner))
        }
        None => None,
    };
    let mut out = Vec::new();
    for item in eval.items(input)? {
        let value = match attribute {
            Some(attribute) => eval.path(&item, attribute)?,
            None => item.clone(),
        };
        let passed = match &test {
            Some((name, inner)) => {
                let verdict = eval.test(name, &value, inner)?;
                eval.truth(&verdict)?
            }
            None => eval.truth(&value)?,
        };
        if passed == keep {
            out.push(item);
        }
    }
    Ok(Val::list(out))
}
