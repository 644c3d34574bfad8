//! Lookups that arrange values: what `with_items` and its kin are made of.

use super::{Lookup, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::filters::{flatten_into, product_of};
use crate::template::python::printf;
use crate::template::val::{Args, Dict, Val, count};

pub(super) const LOOKUPS: &[Lookup] = &[
    row("items", items),
    row("list", |_, a| Ok(a.list.clone())),
    row("flattened", flattened),
    row("dict", dict),
    row("indexed_items", indexed_items),
    row("nested", nested),
    row("cartesian", nested),
    row("together", together),
    row("subelements", subelements),
    row("sequence", sequence),
    row("random_choice", random_choice),
];

/// Lists among the terms are flattened by one level.
fn items(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    flatten_into(eval, &Val::list(args.list.clone()), 1, false, &mut out)?;
    Ok(out)
}

fn flattened(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    flatten_into(
        eval,
        &Val::list(args.list.clone()),
        i64::MAX,
        true,
        &mut out,
    )?;
    Ok(out)
}

fn dict(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for term in &args.list {
        let maps = if term.is_sequence() {
            eval.items(term)?
        } else {
            vec![term.clone()]
        };
        for map in maps {
            if !map.is_mapping() {
                return Err(Problem::other(format!(
                    "the 'dict' lookup plugin expects a dictionary, got '{}'",
                    map.type_name()
                )));
            }
            for (key, value) in eval.entries(&map)? {
                out.push(Val::dict(Dict::from_iter([
                    ("key".to_owned(), Val::str(key)),
                    ("value".to_owned(), value),
                ])));
            }
        }
    }
    Ok(out)
}

fn indexed_items(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let flat = items(eval, args)?;
    Ok(flat
        .into_iter()
        .enumerate()
        .map(|(i, v)| Val::tuple(vec![count(i), v]))
        .collect())
}

fn lists(eval: &Eval<'_>, args: &Args) -> Result<Vec<Vec<Val>>> {
    args.list
        .iter()
        .map(|term| {
            if term.is_sequence() {
                eval.items(term)
            } else {
                Ok(vec![term.clone()])
            }
        })
        .collect()
}

fn nested(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    if args.list.is_empty() {
        return Err(Problem::other(
            "with_nested requires at least one element in the nested list",
        ));
    }
    let rows = product_of(&lists(eval, args)?)?;
    let mut out = Vec::new();
    for row in rows {
        let mut flat = Vec::new();
        flatten_into(eval, &Val::list(row), 1, false, &mut flat)?;
        out.push(Val::list(flat));
    }
    Ok(out)
}

fn together(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let lists = lists(eval, args)?;
    if lists.is_empty() {
        return Err(Problem::other(
            "with_together requires at least one element in each list",
        ));
    }
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |list: &Vec<Val>, i: usize| list.get(i).cloned().unwrap_or(Val::Null);
    Ok((0..longest)
        .map(|i| Val::list(lists.iter().map(|l| cell(l, i)).collect()))
        .collect())
}

fn subelements(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut terms = args.list.clone();
    if terms.len() == 1 && terms[0].is_sequence() {
        terms = eval.items(&terms[0])?;
    }
    let [data, path, rest @ ..] = terms.as_slice() else {
        return Err(Problem::other(
            "subelements lookup expects a list of two or three items",
        ));
    };
    let mut skip_missing = Val::Bool(false);
    if let Some(options) = rest.first().filter(|o| o.is_mapping()) {
        match eval.item(options, &Val::str("skip_missing"))? {
            Val::Marker(_) => {}
            flag => {
                skip_missing = Val::Bool(
                    eval.finalize(&flag)?
                        .to_bool()
                        .map_or_else(|| eval.truth(&flag), Ok)?,
                );
            }
        }
    }
    let mut elements = Vec::new();
    let all = if data.is_mapping() {
        eval.entries(data)?.into_iter().map(|(_, v)| v).collect()
    } else {
        eval.items(data)?
    };
    for element in all {
        // A loop's result marks what was skipped; such elements have nothing to go through.
        let skipped = match eval.item(&element, &Val::str("skipped"))? {
            Val::Marker(_) => false,
            flag => eval.truth(&flag)?,
        };
        if !skipped {
            elements.push(element);
        }
    }
    let inner = Args {
        list: vec![path.clone(), skip_missing],
        named: Vec::new(),
    };
    let pairs = eval.filter("subelements", Val::list(elements), &inner)?;
    // The lookup, unlike the filter, takes the list out of each element (ansible-core 2.19,
    // `plugins/lookup/subelements.py`).
    let key = eval.text(path)?;
    let mut without = Vec::new();
    for pair in eval.items(&pairs)? {
        let parts = eval.items(&pair)?;
        let [element, sub] = parts.as_slice() else {
            without.push(pair);
            continue;
        };
        let rest = eval.entries(element)?.into_iter();
        let rest = rest.filter(|(name, _)| name.as_str() != &*key);
        without.push(Val::list(vec![Val::dict(rest.collect()), sub.clone()]));
    }
    Ok(without)
}

/// `start`, `end`, `stride`, `count` and `format` of a sequence.
struct Sequence {
    start: i64,
    end: Option<i64>,
    count: Option<i64>,
    stride: i64,
    format: String,
}

fn number(name: &str, text: &str) -> Result<i64> {
    text.trim().parse().map_err(|_| {
        let why = format!("invalid literal for int() with base 0: '{text}'");
        Problem::other(format!("option '{name}' has an invalid value: {why}"))
    })
}

impl Sequence {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "start" => self.start = number(key, value)?,
            "end" => self.end = Some(number(key, value)?),
            "count" => self.count = Some(number(key, value)?),
            "stride" => self.stride = number(key, value)?,
            "format" => value.clone_into(&mut self.format),
            other => {
                return Err(Problem::other(format!(
                    "unrecognized arguments to with_sequence: {other}"
                )));
            }
        }
        Ok(())
    }

    /// `[start-]end[/stride][:format]`.
    fn shortcut(&mut self, term: &str) -> Result<()> {
        let (range, format) = term
            .split_once(':')
            .map_or((term, None), |(r, f)| (r, Some(f)));
        let (range, stride) = range
            .split_once('/')
            .map_or((range, None), |(r, s)| (r, Some(s)));
        match range.split_once('-').filter(|(start, _)| !start.is_empty()) {
            Some((start, end)) => {
                self.start = number("start", start)?;
                self.end = Some(number("end", end)?);
            }
            None => self.end = Some(number("end", range)?),
        }
        if let Some(stride) = stride {
            self.stride = number("stride", stride)?;
        }
        if let Some(format) = format {
            format.clone_into(&mut self.format);
        }
        Ok(())
    }

    fn values(&self, eval: &Eval<'_>) -> Result<Vec<Val>> {
        let (mut end, mut stride) = (self.end, self.stride);
        match (self.count, end) {
            (None, None) => {
                return Err(Problem::other("must specify count or end in with_sequence"));
            }
            (Some(_), Some(_)) => {
                return Err(Problem::other(
                    "can't specify both count and end in with_sequence",
                ));
            }
            (Some(0), None) => return Ok(Vec::new()),
            (Some(n), None) => end = Some(self.start + n * stride - 1),
            (None, Some(_)) => {}
        }
        let end = end.unwrap_or(self.start);
        if stride > 0 && end < self.start && self.count.is_none() {
            return Err(Problem::other("to count backwards make stride negative"));
        }
        if stride < 0 && end > self.start {
            return Err(Problem::other(
                "to count forward don't make stride negative",
            ));
        }
        if stride == 0 {
            return Ok(Vec::new());
        }
        if self.count.is_none() && stride > 0 && end == self.start {
            stride = 1;
        }
        let range = Val::Range(self.start, end.saturating_add(stride.signum()), stride);
        if self.format.matches('%').count() != 1 {
            return Err(Problem::other(format!(
                "bad formatting string: {}",
                self.format
            )));
        }
        eval.items(&range)?
            .iter()
            .map(|i| printf::format(eval, &self.format, i).map(Val::str))
            .collect()
    }
}

fn sequence(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    let fresh = || Sequence {
        start: 1,
        end: None,
        count: None,
        stride: 1,
        format: "%d".to_owned(),
    };
    let mut terms = args.strings(eval)?;
    if terms.is_empty() && args.named.is_empty() {
        return Ok(Vec::new());
    }
    if terms.is_empty() {
        terms.push(String::new());
    }
    for term in terms {
        let mut sequence = fresh();
        for (name, value) in &args.named {
            sequence.set(name, &eval.text(value)?)?;
        }
        if term.contains('=') {
            for pair in term.split_whitespace() {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                sequence.set(key, value)?;
            }
        } else if !term.is_empty() {
            sequence.shortcut(term.trim())?;
        }
        out.extend(sequence.values(eval)?);
    }
    Ok(out)
}

fn random_choice(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let all = args.list.clone();
    if all.is_empty() {
        return Ok(all);
    }
    let chosen = eval.filter("random", Val::list(all), &Args::default())?;
    Ok(vec![chosen])
}
