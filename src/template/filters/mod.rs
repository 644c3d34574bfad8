//! Filters: one table per family, one line per filter.
//!
//! To add one: write `fn name(eval, input, args)` in its family's file and add a row to its table.

pub(crate) mod crypt;
pub(crate) mod data;
mod date;
mod dict;
mod hash;
mod list;
mod number;
pub(crate) mod path;
mod select;
mod sequence;
mod string;
mod text;
mod yaml;

pub(crate) use list::flatten_into;
pub(crate) use list::sort_values;
pub(crate) use sequence::{Random, product_of};

use std::collections::HashMap;
use std::sync::OnceLock;

use super::error::{Problem, Result};
use super::eval::Eval;
use super::val::{Args, Val};
use crate::diag::suggest;

pub(crate) type Run = fn(&Eval<'_>, &Val, &Args) -> Result<Val>;

/// One filter.
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    /// Whether it wants to see undefined input and arguments; for all others those pass through.
    pub(crate) takes_undefined: bool,
}

/// A row of a table.
pub(crate) const fn row(name: &'static str, run: Run) -> Filter {
    Filter {
        name,
        run,
        takes_undefined: false,
    }
}

/// A row for a filter that handles undefined values itself.
pub(crate) const fn lenient(name: &'static str, run: Run) -> Filter {
    Filter {
        name,
        run,
        takes_undefined: true,
    }
}

fn table() -> &'static HashMap<&'static str, &'static Filter> {
    static TABLE: OnceLock<HashMap<&'static str, &'static Filter>> = OnceLock::new();
    TABLE.get_or_init(|| {
        [
            string::FILTERS,
            text::FILTERS,
            list::FILTERS,
            select::FILTERS,
            sequence::FILTERS,
            dict::FILTERS,
            path::FILTERS,
            hash::FILTERS,
            number::FILTERS,
            date::FILTERS,
            data::FILTERS,
            yaml::FILTERS,
        ]
        .into_iter()
        .flatten()
        .map(|filter| (filter.name, filter))
        .collect()
    })
}

/// Known filters that are left out, and what to use instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("json_query", "; use `selectattr` and `map` instead"),
    (
        "community.general.json_query",
        "; use `selectattr` and `map` instead",
    ),
    ("ansible.utils.ipaddr", "; compare addresses as text"),
    ("ipaddr", "; compare addresses as text"),
    ("xmlattr", ""),
    ("vault", ""),
    ("unvault", ""),
];

/// A filter by its short name.
pub(crate) fn find(name: &str) -> Option<&'static Filter> {
    table().get(name).copied()
}

/// What to say when there is no such filter.
pub(crate) fn unknown(name: &str) -> String {
    if let Some((_, why)) = UNSUPPORTED.iter().find(|(known, _)| *known == name) {
        return format!("the filter `{name}` is not supported{why}");
    }
    let hint = suggest(name, table().keys().copied())
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("No filter named '{name}'{hint}")
}

impl Args {
    /// A string argument, or a default.
    pub(crate) fn text(&self, index: usize, name: &str, default: &str) -> Result<String> {
        match self.get(index, name) {
            None => Ok(default.to_owned()),
            Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| {
                Problem::other(format!("`{name}` must be str, not {}", value.type_name()))
            }),
        }
    }

    /// A string argument that must be there.
    pub(crate) fn required(&self, index: usize, name: &str) -> Result<String> {
        if self.get(index, name).is_none() {
            return Err(Problem::other(format!(
                "missing required argument: '{name}'"
            )));
        }
        self.text(index, name, "")
    }

    /// A boolean argument, by truth.
    pub(crate) fn flag(&self, eval: &Eval<'_>, index: usize, name: &str) -> Result<bool> {
        self.get(index, name)
            .map_or(Ok(false), |value| eval.truth(value))
    }

    /// An integer argument, or a default.
    pub(crate) fn int(&self, index: usize, name: &str, default: i64) -> Result<i64> {
        match self.get(index, name) {
            None | Some(Val::Null) => Ok(default),
            Some(Val::Int(i)) => Ok(*i),
            Some(Val::Bool(b)) => Ok(i64::from(*b)),
            Some(Val::Str(text)) if text.as_str().trim().parse::<i64>().is_ok() => {
                Ok(text.as_str().trim().parse().unwrap_or(default))
            }
            Some(other) => Err(Problem::other(format!(
                "`{name}` must be an integer, not '{}'",
                other.type_name()
            ))),
        }
    }
}
