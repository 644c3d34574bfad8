//! Lookups: one table per family, one line per lookup. All IO goes through the world.
//!
//! A lookup gives a list of values; `lookup()` joins a list of strings with commas, `query()`
//! gives the list (ansible-core 2.19, `_internal/_templating/_jinja_plugins.py`).

mod delimited;
mod file;
mod list;
mod password;
mod vars;

use std::collections::HashMap;
use std::sync::OnceLock;

use super::error::{ErrorKind, Problem, Result};
use super::eval::{Eval, ROOT};
use super::val::{Args, Val};
use crate::diag::suggest;

pub(crate) type Run = fn(&Eval<'_>, &Args) -> Result<Vec<Val>>;

/// One lookup.
pub(crate) struct Lookup {
    name: &'static str,
    run: Run,
    takes_undefined: bool,
}

const fn row(name: &'static str, run: Run) -> Lookup {
    Lookup {
        name,
        run,
        takes_undefined: false,
    }
}

const fn lenient(name: &'static str, run: Run) -> Lookup {
    Lookup {
        name,
        run,
        takes_undefined: true,
    }
}

fn table() -> &'static HashMap<&'static str, &'static Lookup> {
    static TABLE: OnceLock<HashMap<&'static str, &'static Lookup>> = OnceLock::new();
    TABLE.get_or_init(|| {
        [
            file::LOOKUPS,
            vars::LOOKUPS,
            list::LOOKUPS,
            delimited::LOOKUPS,
            password::LOOKUPS,
        ]
        .into_iter()
        .flatten()
        .map(|lookup| (lookup.name, lookup))
        .collect()
    })
}

/// Whether there is a lookup of that short name, for `with_NAME`.
pub(crate) fn exists(name: &str) -> bool {
    table().contains_key(name)
}

/// Runs a lookup by its short name.
pub(crate) fn run(eval: &Eval<'_>, name: &str, mut args: Args, list_wanted: bool) -> Result<Val> {
    let Some(lookup) = table().get(name) else {
        let hint = suggest(name, table().keys().copied())
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(Problem::new(
            ErrorKind::Other,
            format!("The lookup plugin '{name}' was not found{hint}"),
        ));
    };
    let mut take = |name: &str| {
        let at = args.named.iter().position(|(n, _)| &**n == name)?;
        Some(args.named.remove(at).1)
    };
    let list_wanted = match take("wantlist") {
        Some(value) => list_wanted || eval.truth(&value)?,
        None => list_wanted,
    };
    let errors = match take("errors") {
        Some(value) => eval.text(&value)?,
        None => "strict".to_owned(),
    };
    for term in &mut args.list {
        *term = constant_term(eval, term)?;
    }
    let marker = args.list.iter().chain(args.named.iter().map(|(_, v)| v));
    if let Some(marker) = marker.clone().find(|v| matches!(v, Val::Marker(_)))
        && !lookup.takes_undefined
    {
        return Ok(marker.clone());
    }
    let (found, is_secret) = eval.watch_secret(|| (lookup.run)(eval, &args));
    let found = match found {
        Ok(found) => {
            let texts = found.iter().filter(|_| is_secret).filter_map(|v| match v {
                Val::Str(text) => Some(text.as_str()),
                _ => None,
            });
            texts.for_each(|text| eval.world.note_secret(text));
            found
        }
        Err(problem) if problem.kind == ErrorKind::Other && errors != "strict" => {
            if errors == "warn" {
                eval.world.warn(&format!(
                    "an error occurred while running the lookup plugin '{name}'{}",
                    if eval.is_secret() {
                        String::new()
                    } else {
                        format!(": {}", problem.message)
                    }
                ));
            }
            return Ok(if list_wanted {
                Val::list(Vec::new())
            } else {
                Val::Null
            });
        }
        Err(mut problem) => {
            if problem.kind == ErrorKind::Other && problem.text.is_none() {
                problem.message = format!("the lookup plugin '{name}' failed: {}", problem.message);
            }
            return Err(problem);
        }
    };
    Ok(if list_wanted {
        Val::list(found)
    } else {
        joined(eval, found)
    })
}

/// One value is itself, strings are joined, anything else stays a list.
fn joined(_: &Eval<'_>, mut found: Vec<Val>) -> Val {
    if found.len() == 1 {
        return found.remove(0);
    }
    let texts: Option<Vec<&str>> = found.iter().map(Val::as_str).collect();
    match texts {
        Some(texts) if !texts.is_empty() => Val::str(texts.join(",")),
        _ => Val::list(found),
    }
}

/// A constant in the template that is itself a template is rendered, as in ansible-core 2.19.
fn constant_term(eval: &Eval<'_>, term: &Val) -> Result<Val> {
    match term {
        Val::Str(text) if text.is_template() => {
            eval.world.warn(
                "a lookup has a string that is itself a template; write the variable without \
                 quotes and braces",
            );
            eval.render_text(text, ROOT)
        }
        Val::List(items) => {
            let items = items.borrow().clone();
            let rendered: Result<Vec<Val>> =
                items.iter().map(|item| constant_term(eval, item)).collect();
            Ok(Val::list(rendered?))
        }
        other => Ok(other.clone()),
    }
}

impl Args {
    /// The terms: lists among them are kept.
    fn strings(&self, eval: &Eval<'_>) -> Result<Vec<String>> {
        let mut out = Vec::new();
        for term in &self.list {
            if term.is_sequence() {
                for item in eval.items(term)? {
                    out.push(eval.text(&item)?);
                }
            } else {
                out.push(eval.text(term)?);
            }
        }
        Ok(out)
    }

    /// An option by name.
    fn option(&self, name: &str) -> Option<&Val> {
        self.named
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, v)| v)
    }

    /// A string option, or a default.
    fn option_text(&self, eval: &Eval<'_>, name: &str, default: &str) -> Result<String> {
        self.option(name)
            .map_or(Ok(default.to_owned()), |v| eval.text(v))
    }

    /// A boolean option, or a default; words such as `no` count.
    fn option_flag(&self, eval: &Eval<'_>, name: &str, default: bool) -> Result<bool> {
        match self.option(name) {
            None => Ok(default),
            Some(value) => match eval.finalize(value)?.to_bool() {
                Some(b) => Ok(b),
                None => eval.truth(value),
            },
        }
    }
}
