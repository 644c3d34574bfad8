//! Filters on lists: Jinja's own that look at whole lists.

use std::cmp::Ordering;

use super::{Filter, lenient, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Tuple, Val, count};

pub(super) const FILTERS: &[Filter] = &[
    row("list", |e, v, _| Ok(Val::list(e.items(v)?))),
    row("length", |e, v, _| e.length(v).map(count)),
    row("count", |e, v, _| e.length(v).map(count)),
    row("first", |e, v, _| {
        Ok(edge(e.items(v)?.into_iter().next(), "first"))
    }),
    row("last", |e, v, _| {
        Ok(edge(e.items(v)?.into_iter().next_back(), "last"))
    }),
    row("join", join),
    row("sort", sort),
    row("reverse", reverse),
    row("unique", unique),
    // Results are final values already.
    row("ansible._protomatter.finalize", |e, v, _| {
        Ok(Val::data(e.finalize(v)?))
    }),
    row("min", |e, v, a| extreme(e, v, a, Ordering::Less)),
    row("max", |e, v, a| extreme(e, v, a, Ordering::Greater)),
    row("sum", sum),
    row("batch", batch),
    row("slice", slice),
    row("groupby", groupby),
    row("attr", |e, v, a| {
        e.attr(v, &std::sync::Arc::from(a.required(0, "name")?))
    }),
    row("flatten", flatten),
    lenient("default", default),
    lenient("d", default),
    lenient("mandatory", mandatory),
    lenient("ternary", ternary),
    lenient("type_debug", |_, v, _| Ok(Val::str(v.type_name()))),
];

fn edge(item: Option<Val>, which: &str) -> Val {
    item.unwrap_or_else(|| Eval::undefined(format!("No {which} item, sequence was empty.")))
}

fn default(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let replacement = || {
        args.get(0, "default_value")
            .cloned()
            .unwrap_or_else(|| Val::str(""))
    };
    if let Val::Marker(_) = input {
        return Ok(replacement());
    }
    if let Some(flag) = args.get(1, "boolean") {
        let Val::Bool(flag) = flag else {
            return Err(Problem::other(format!(
                "The 'boolean' argument must be of type bool, not {}.",
                flag.type_name()
            )));
        };
        if *flag && !eval.truth(input)? {
            return Ok(replacement());
        }
    }
    Ok(input.clone())
}

fn mandatory(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    if let Val::Marker(problem) = input {
        let message = match args.get(0, "msg") {
            Some(Val::Null) | None => {
                let name = problem
                    .message
                    .strip_suffix(" is undefined")
                    .map_or_else(String::new, |name| format!("{name} "));
                format!("Mandatory variable {name}not defined.")
            }
            Some(message) => eval.text(message)?,
        };
        let mut problem = (**problem).clone();
        problem.message = message;
        return Err(Box::new(problem));
    }
    Ok(input.clone())
}

fn ternary(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let none = args.get(2, "none_val").filter(|v| !matches!(v, Val::Null));
    let chosen = match (input, none) {
        (Val::Null, Some(value)) => Some(value),
        _ if eval.truth(input)? => args.get(0, "true_val"),
        _ => args.get(1, "false_val"),
    };
    chosen
        .cloned()
        .ok_or_else(|| Problem::other("ternary needs a value for true and for false"))
}

fn join(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let separator = match args.get(0, "d") {
        Some(value) => eval.text(value)?,
        None => String::new(),
    };
    let mut out = String::new();
    for (i, item) in eval.items(input)?.iter().enumerate() {
        let item = match args.get(1, "attribute") {
            Some(attribute) => Eval::require(eval.path(item, attribute)?)?,
            None => item.clone(),
        };
        if i > 0 {
            out.push_str(&separator);
        }
        eval.write_text(&item, &mut out)?;
    }
    eval.produce(out.len())?;
    Ok(Val::str(out))
}

/// The value that sorting and grouping look at: strings in lower case unless case matters.
fn sort_key(eval: &Eval<'_>, item: &Val, attribute: Option<&Val>, case: bool) -> Result<Val> {
    let key = match attribute {
        Some(Val::Null) | None => item.clone(),
        Some(attribute) => eval.path(item, attribute)?,
    };
    let key = Eval::require(key)?;
    Ok(match &key {
        Val::Str(text) if !case => Val::str(text.as_str().to_lowercase()),
        _ => key,
    })
}

/// The keys of an attribute list such as `a,b`.
fn sort_keys(eval: &Eval<'_>, item: &Val, attribute: Option<&Val>, case: bool) -> Result<Val> {
    if let Some(Val::Str(text)) = attribute
        && text.as_str().contains(',')
    {
        let keys: Result<Vec<Val>> = text
            .as_str()
            .split(',')
            .map(|part| sort_key(eval, item, Some(&Val::str(part.trim())), case))
            .collect();
        return Ok(Val::list(keys?));
    }
    sort_key(eval, item, attribute, case)
}

/// Sorts values in place; a pair that has no order is an error.
pub(crate) fn sort_values(eval: &Eval<'_>, items: &mut Vec<Val>, reverse: bool) -> Result<()> {
    let pairs = items.drain(..).map(|v| (v.clone(), v)).collect();
    *items = sort_pairs(eval, pairs, reverse)?;
    Ok(())
}

fn sort_pairs(eval: &Eval<'_>, mut pairs: Vec<(Val, Val)>, reverse: bool) -> Result<Vec<Val>> {
    let mut failure = None;
    pairs.sort_by(|a, b| {
        let (a, b) = if reverse { (&b.0, &a.0) } else { (&a.0, &b.0) };
        eval.order(a, b, "<").unwrap_or_else(|problem| {
            failure.get_or_insert(problem);
            Ordering::Equal
        })
    });
    match failure {
        Some(problem) => Err(problem),
        None => Ok(pairs.into_iter().map(|(_, value)| value).collect()),
    }
}

fn sort(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let reverse = args.flag(eval, 0, "reverse")?;
    let case = args.flag(eval, 1, "case_sensitive")?;
    let attribute = args.get(2, "attribute");
    let mut pairs = Vec::new();
    for item in eval.items(input)? {
        pairs.push((sort_keys(eval, &item, attribute, case)?, item));
    }
    Ok(Val::list(sort_pairs(eval, pairs, reverse)?))
}

fn reverse(eval: &Eval<'_>, input: &Val, _: &Args) -> Result<Val> {
    if let Val::Str(text) = input {
        return Ok(Val::str(text.as_str().chars().rev().collect::<String>()));
    }
    let mut items = eval.items(input)?;
    items.reverse();
    Ok(Val::list(items))
}

fn unique(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let case = args.flag(eval, 0, "case_sensitive")?;
    let attribute = args.get(1, "attribute");
    let mut seen = super::sequence::Seen::default();
    let mut out = Vec::new();
    for item in eval.items(input)? {
        if args.get(0, "case_sensitive").is_some() && attribute.is_none() && item.is_mapping() {
            return Err(crate::template::error::Problem::other(
                "Jinja2's unique filter failed and we cannot fall back to Ansible's version as it \
                 does not support the parameters supplied",
            ));
        }
        if seen.add(eval, &sort_key(eval, &item, attribute, case)?)? {
            out.push(item);
        }
    }
    Ok(Val::list(out))
}

fn extreme(eval: &Eval<'_>, input: &Val, args: &Args, wanted: Ordering) -> Result<Val> {
    let case = args.flag(eval, 0, "case_sensitive")?;
    let attribute = args.get(1, "attribute");
    let mut best: Option<(Val, Val)> = None;
    for item in eval.items(input)? {
        let key = sort_key(eval, &item, attribute, case)?;
        let better = match &best {
            Some((old, _)) => eval.order(&key, old, "<")? == wanted,
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(
        || Eval::undefined("No aggregated item, sequence was empty."),
        |(_, item)| item,
    ))
}

fn sum(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let mut total = args.get(1, "start").cloned().unwrap_or(Val::Int(0));
    for item in eval.items(input)? {
        let item = match args.get(0, "attribute") {
            Some(Val::Null) | None => item,
            Some(attribute) => Eval::require(eval.path(&item, attribute)?)?,
        };
        total = eval.binary(crate::template::ast::Operator::Add, &total, &item)?;
    }
    Ok(total)
}

fn batch(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let size = usize::try_from(args.int(0, "linecount", 1)?.max(1)).unwrap_or(1);
    let fill = args.get(1, "fill_with");
    let mut out = Vec::new();
    for chunk in eval.items(input)?.chunks(size) {
        let mut chunk = chunk.to_vec();
        if let Some(fill) = fill {
            chunk.resize(size.min(chunk.len() + 10_000), fill.clone());
        }
        out.push(Val::list(chunk));
    }
    Ok(Val::list(out))
}

fn slice(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let parts = usize::try_from(args.int(0, "slices", 1)?.clamp(1, 100_000)).unwrap_or(1);
    let items = eval.items(input)?;
    let (size, longer) = (items.len() / parts, items.len() % parts);
    let mut rest = items.into_iter();
    let mut out = Vec::new();
    for i in 0..parts {
        let mut part: Vec<Val> = rest.by_ref().take(size + usize::from(i < longer)).collect();
        if let Some(fill) = args
            .get(1, "fill_with")
            .filter(|_| longer > 0 && i >= longer)
        {
            part.push(fill.clone());
        }
        out.push(Val::list(part));
    }
    Ok(Val::list(out))
}

fn groupby(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let attribute = args
        .get(0, "attribute")
        .ok_or_else(|| Problem::other("missing required argument: 'attribute'"))?;
    let default = args.get(1, "default");
    let case = args.flag(eval, 2, "case_sensitive")?;
    let mut pairs = Vec::new();
    for item in eval.items(input)? {
        let key = match (eval.path(&item, attribute)?, default) {
            (Val::Marker(_), Some(default)) => default.clone(),
            (key, _) => Eval::require(key)?,
        };
        let folded = match &key {
            Val::Str(text) if !case => Val::str(text.as_str().to_lowercase()),
            _ => key.clone(),
        };
        pairs.push((folded.clone(), Val::tuple(vec![folded, key, item])));
    }
    let mut groups: Vec<(Val, Val, Vec<Val>)> = Vec::new();
    for entry in sort_pairs(eval, pairs, false)? {
        let Val::Tuple(entry) = entry else { continue };
        let [folded, key, item] = entry.items.as_slice() else {
            continue;
        };
        match groups.last_mut() {
            Some((last, _, items)) if eval.equal(last, folded)? => items.push(item.clone()),
            _ => groups.push((folded.clone(), key.clone(), vec![item.clone()])),
        }
    }
    let named = |(_, key, items): (Val, Val, Vec<Val>)| {
        Val::Tuple(std::rc::Rc::new(Tuple {
            items: vec![key, Val::list(items)],
            names: &["grouper", "list"],
        }))
    };
    Ok(Val::list(groups.into_iter().map(named).collect()))
}

fn flatten(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let levels = match args.get(0, "levels") {
        Some(Val::Null) | None => i64::MAX,
        Some(_) => args.int(0, "levels", 0)?,
    };
    let skip_nulls = args
        .get(1, "skip_nulls")
        .map_or(Ok(true), |v| eval.truth(v))?;
    let mut out = Vec::new();
    flatten_into(eval, input, levels, skip_nulls, &mut out)?;
    Ok(Val::list(out))
}

/// Appends the items of a list, those of inner lists instead of the lists.
pub(crate) fn flatten_into(
    eval: &Eval<'_>,
    list: &Val,
    levels: i64,
    skip_nulls: bool,
    out: &mut Vec<Val>,
) -> Result<()> {
    for item in eval.items(list)? {
        let is_null = matches!(item, Val::Null) || matches!(item.as_str(), Some("None" | "null"));
        if skip_nulls && is_null {
            continue;
        }
        if item.is_sequence() && levels >= 1 {
            eval.nested(|| flatten_into(eval, &item, levels - 1, skip_nulls, out))?;
        } else {
            out.push(item);
        }
    }
    Ok(())
}
