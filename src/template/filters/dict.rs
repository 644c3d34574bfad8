//! Filters on mappings.

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Dict, Val};

pub(super) const FILTERS: &[Filter] = &[
    row("dict2items", dict2items),
    row("items2dict", items2dict),
    row("combine", combine),
    row("extract", extract),
    row("subelements", subelements),
    row("rekey_on_member", rekey_on_member),
    row("dictsort", dictsort),
    row("tojson", |e, v, _| {
        Ok(Val::str(super::data::dump_compact(&e.finalize(v)?)))
    }),
];

fn dict2items(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    if !input.is_mapping() {
        return Err(Problem::other(format!(
            "dict2items requires a dictionary, got <class '{}'> instead.",
            input.type_name()
        )));
    }
    let key_name = args.text(0, "key_name", "key")?;
    let value_name = args.text(1, "value_name", "value")?;
    let item = |(key, value): (String, Val)| {
        Val::dict(Dict::from_iter([
            (key_name.clone(), Val::str(key)),
            (value_name.clone(), value),
        ]))
    };
    Ok(Val::list(
        eval.entries(input)?.into_iter().map(item).collect(),
    ))
}

fn items2dict(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    if !input.is_sequence() {
        return Err(Problem::other(format!(
            "items2dict requires a list, got <class '{}'> instead.",
            input.type_name()
        )));
    }
    let key_name = Val::str(args.text(0, "key_name", "key")?);
    let value_name = Val::str(args.text(1, "value_name", "value")?);
    let mut dict = Dict::new();
    for item in eval.items(input)? {
        if !item.is_mapping() {
            return Err(Problem::other(format!(
                "items2dict requires a list of dictionaries, got a list with <class '{}'> instead.",
                item.type_name()
            )));
        }
        let key = eval.item(&item, &key_name)?;
        let value = eval.item(&item, &value_name)?;
        if matches!((&key, &value), (Val::Marker(_), _) | (_, Val::Marker(_))) {
            return Err(Problem::other(format!(
                "items2dict requires each dictionary in the list to contain the keys '{}' and '{}'",
                key_name.as_str().unwrap_or_default(),
                value_name.as_str().unwrap_or_default()
            )));
        }
        dict.insert(eval.key(&key)?, Eval::require(value)?);
    }
    Ok(Val::dict(dict))
}

fn combine(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let named = |name: &str| {
        args.named
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, v)| v)
    };
    if let Some((name, _)) = args
        .named
        .iter()
        .find(|(n, _)| !matches!(&**n, "recursive" | "list_merge"))
    {
        return Err(Problem::other(format!(
            "'recursive' and 'list_merge' are the only valid keyword arguments, not '{name}'"
        )));
    }
    let recursive = named("recursive").map_or(Ok(false), |v| eval.truth(v))?;
    let list_merge = named("list_merge").map_or(Ok("replace".to_owned()), |v| eval.text(v))?;
    let mut terms = Vec::new();
    for term in std::iter::once(input).chain(&args.list) {
        match term {
            Val::Null => {}
            term if term.is_sequence() => terms.extend(
                eval.items(term)?
                    .into_iter()
                    .filter(|item| !matches!(item, Val::Null)),
            ),
            term => terms.push(term.clone()),
        }
    }
    let mut terms = terms.into_iter();
    let Some(mut merged) = terms.next() else {
        return Ok(Val::dict(Dict::new()));
    };
    for term in terms {
        merged = eval.nested(|| merge(eval, &merged, &term, recursive, &list_merge))?;
    }
    Ok(merged)
}

/// Merges `over` into `base` (ansible-core 2.19, `utils/vars.py`, `merge_hash`).
fn merge(
    eval: &Eval<'_>,
    base: &Val,
    over: &Val,
    recursive: bool,
    list_merge: &str,
) -> Result<Val> {
    const WAYS: &[&str] = &[
        "replace",
        "keep",
        "append",
        "prepend",
        "append_rp",
        "prepend_rp",
    ];
    if !WAYS.contains(&list_merge) {
        return Err(Problem::other(format!(
            "merge_hash: 'list_merge' argument can only be one of {}",
            WAYS.join(", ")
        )));
    }
    if !base.is_mapping() || !over.is_mapping() {
        return Err(Problem::other(format!(
            "failed to combine variables, expected dicts but got a '{}' and a '{}'.",
            base.type_name(),
            over.type_name()
        )));
    }
    let mut out = eval.dict_of(base)?;
    for (key, new) in eval.entries(over)? {
        let value = match out.get(&key) {
            Some(old) if old.is_mapping() && new.is_mapping() && recursive => {
                eval.nested(|| merge(eval, old, &new, recursive, list_merge))?
            }
            Some(old) if old.is_sequence() && new.is_sequence() => {
                merge_lists(eval, old, &new, list_merge)?
            }
            _ => new,
        };
        out.insert(key, value);
    }
    Ok(Val::dict(out))
}

fn merge_lists(eval: &Eval<'_>, old: &Val, new: &Val, list_merge: &str) -> Result<Val> {
    let mut old_items = eval.items(old)?;
    let mut new_items = eval.items(new)?;
    if list_merge.ends_with("_rp") {
        let mut kept = Vec::new();
        for item in old_items {
            if !eval.contains(new, &item)? {
                kept.push(item);
            }
        }
        old_items = kept;
    }
    Ok(match list_merge {
        "keep" => old.clone(),
        "append" | "append_rp" => {
            old_items.append(&mut new_items);
            Val::list(old_items)
        }
        "prepend" | "prepend_rp" => {
            new_items.append(&mut old_items);
            Val::list(new_items)
        }
        _ => new.clone(),
    })
}

fn extract(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let Some(container) = args.get(0, "container") else {
        return Err(Problem::other("missing required argument: 'container'"));
    };
    let mut value = eval.item(container, input)?;
    match args.get(1, "morekeys") {
        Some(Val::Null) | None => {}
        Some(keys) if keys.is_sequence() => {
            for key in eval.items(keys)? {
                value = eval.item(&value, &key)?;
            }
        }
        Some(key) => value = eval.item(&value, key)?,
    }
    Ok(value)
}

fn subelements(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let path = args
        .get(0, "subelements")
        .ok_or_else(|| Problem::other("missing required argument: 'subelements'"))?;
    let skip_missing = args.flag(eval, 1, "skip_missing")?;
    let elements = if input.is_mapping() {
        eval.entries(input)?.into_iter().map(|(_, v)| v).collect()
    } else if input.is_sequence() {
        eval.items(input)?
    } else {
        return Err(Problem::other(
            "obj must be a list of dicts or a nested dict",
        ));
    };
    let path: Vec<Val> = match path {
        Val::Str(text) => text.as_str().split('.').map(Val::str).collect(),
        list if list.is_sequence() => eval.items(list)?,
        _ => return Err(Problem::other("subelements must be a list or a string")),
    };
    let mut out = Vec::new();
    for element in elements {
        let mut value = element.clone();
        for key in &path {
            let shown = eval.text(key)?;
            if !value.is_mapping() {
                return Err(Problem::other(format!(
                    "the key {shown} should point to a dictionary, got '{}'",
                    value.type_name()
                )));
            }
            value = match eval.item(&value, key)? {
                Val::Marker(_) if skip_missing => Val::list(Vec::new()),
                Val::Marker(_) => {
                    return Err(Problem::other(format!(
                        "could not find '{shown}' key in iterated item"
                    )));
                }
                found => found,
            };
            if skip_missing && !value.is_mapping() {
                break;
            }
        }
        if !value.is_sequence() {
            return Err(Problem::other(format!(
                "the key should point to a list, got '{}'",
                value.type_name()
            )));
        }
        for item in eval.items(&value)? {
            out.push(Val::tuple(vec![element.clone(), item]));
        }
    }
    Ok(Val::list(out))
}

fn rekey_on_member(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let key = Val::str(args.required(0, "key")?);
    let duplicates = args.text(1, "duplicates", "error")?;
    if !matches!(duplicates.as_str(), "error" | "overwrite") {
        return Err(Problem::other(format!(
            "duplicates parameter to rekey_on_member has unknown value '{duplicates}'"
        )));
    }
    let items = if input.is_mapping() {
        eval.entries(input)?.into_iter().map(|(_, v)| v).collect()
    } else if input.is_sequence() {
        eval.items(input)?
    } else {
        return Err(Problem::other("Type is not a valid list, set, or dict"));
    };
    let mut out = Dict::new();
    for item in items {
        if !item.is_mapping() {
            return Err(Problem::other("List item is not a valid dict"));
        }
        let member = eval.item(&item, &key)?;
        if let Val::Marker(_) = member {
            return Err(Problem::other(format!(
                "Key '{}' was not found.",
                eval.text(&key)?
            )));
        }
        let member = eval.key(&member)?;
        if out.contains_key(&member) && duplicates == "error" {
            return Err(Problem::other(format!(
                "Key '{member}' is not unique, cannot convert to dict."
            )));
        }
        out.insert(member, item);
    }
    Ok(Val::dict(out))
}

fn dictsort(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let case = args.flag(eval, 0, "case_sensitive")?;
    let by_value = match args.text(1, "by", "key")?.as_str() {
        "key" => false,
        "value" => true,
        _ => {
            return Err(Problem::other(
                "You can only sort by either \"key\" or \"value\"",
            ));
        }
    };
    let reverse = args.flag(eval, 2, "reverse")?;
    let mut keyed = Vec::new();
    for (key, value) in eval.entries(input)? {
        let by = match if by_value {
            value.clone()
        } else {
            Val::str(key.as_str())
        } {
            Val::Str(text) if !case => Val::str(text.as_str().to_lowercase()),
            other => other,
        };
        keyed.push(Val::tuple(vec![by, Val::tuple(vec![Val::str(key), value])]));
    }
    super::sort_values(eval, &mut keyed, reverse)?;
    let pair = |entry: Val| match entry {
        Val::Tuple(tuple) => tuple.items.get(1).cloned(),
        _ => None,
    };
    Ok(Val::list(keyed.into_iter().filter_map(pair).collect()))
}
