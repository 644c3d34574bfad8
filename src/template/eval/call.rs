//! Calls: functions of the environment, macros, methods, filters and tests.

use std::rc::Rc;
use std::sync::Arc;

use super::{Eval, Frame};
use crate::template::error::{ErrorKind, Problem, Result};
use crate::template::val::{Args, Dict, Moment, Val};
use crate::template::{filters, lookups, parse::plugin_name, python, tests};

/// A function of the environment by name.
pub(crate) fn function(name: &str) -> Option<Val> {
    const FUNCTIONS: &[&str] = &[
        "range",
        "dict",
        "lookup",
        "query",
        "q",
        "now",
        "undef",
        "namespace",
        "joiner",
        "cycler",
    ];
    FUNCTIONS
        .iter()
        .find(|f| **f == name)
        .map(|f| Val::Function(f))
}

fn first_marker(args: &Args) -> Option<Val> {
    args.list
        .iter()
        .chain(args.named.iter().map(|(_, v)| v))
        .find(|v| matches!(v, Val::Marker(_)))
        .cloned()
}

impl Eval<'_> {
    /// Calls a value.
    pub(crate) fn call(&self, function: Val, args: Args, frame: &Frame) -> Result<Val> {
        match function {
            Val::Marker(_) => Ok(function),
            Val::Macro(value) => self.call_macro(&value, args),
            Val::Loop(state) => self.recurse(&state, args.list.first().unwrap_or(&Val::Null)),
            Val::Method(bound) => self.call_method(&bound.0, &bound.1, args),
            Val::Function("lookup") => self.lookup(args, false),
            Val::Function("query" | "q") => self.lookup(args, true),
            Val::Function("super") => match &frame.block {
                Some((name, level)) => self.block(name, level + 1, frame),
                None => Err(Problem::other("`super()` outside of a block")),
            },
            Val::Function(name) => match first_marker(&args) {
                Some(marker) => Ok(marker),
                None => self.call_function(name, &args),
            },
            other => Err(Problem::other(format!(
                "'{}' object is not callable",
                other.type_name()
            ))),
        }
    }

    fn call_function(&self, name: &str, args: &Args) -> Result<Val> {
        match name {
            "range" => range(args),
            "dict" => {
                let mut dict = match args.list.first() {
                    Some(pairs) if pairs.is_sequence() => self.dict_from_pairs(pairs)?,
                    Some(other) => self.dict_of(other)?,
                    None => Dict::new(),
                };
                dict.extend(args.named.iter().map(|(n, v)| (n.to_string(), v.clone())));
                Ok(Val::dict(dict))
            }
            "namespace" => {
                let mut dict = match args.list.first() {
                    Some(other) => self.dict_of(other)?,
                    None => Dict::new(),
                };
                dict.extend(args.named.iter().map(|(n, v)| (n.to_string(), v.clone())));
                Ok(Val::Namespace(Rc::new(dict.into())))
            }
            "undef" => {
                let hint = match args.get(0, "hint") {
                    Some(hint) => self.string(hint)?,
                    None => "Mandatory variable has not been overridden".to_owned(),
                };
                Ok(Self::undefined(hint))
            }
            "now" => self.now(args),
            other => Err(Problem::new(
                ErrorKind::Other,
                format!("the function `{other}` is not supported"),
            )),
        }
    }

    fn now(&self, args: &Args) -> Result<Val> {
        let now = self.world.now();
        let utc = match args.get(0, "utc") {
            Some(value) => self.truth(value)?,
            None => false,
        };
        let naive = if utc {
            now.naive_utc()
        } else {
            now.naive_local()
        };
        match args.get(1, "fmt") {
            Some(Val::Null) | None => Ok(Val::Date(Moment {
                naive,
                offset: None,
            })),
            Some(format) => {
                let format = self.string(format)?;
                python::date::strftime(naive, (!utc).then(|| *now.offset()), &format).map(Val::str)
            }
        }
    }

    /// A mapping from pairs, as `dict()` takes them.
    pub(crate) fn dict_from_pairs(&self, pairs: &Val) -> Result<Dict> {
        let mut dict = Dict::new();
        for pair in self.items(pairs)? {
            let parts = self.items(&pair)?;
            let [key, value] = parts.as_slice() else {
                return Err(Problem::other(format!(
                    "a dictionary is made of pairs, found a sequence of length {}",
                    parts.len()
                )));
            };
            dict.insert(self.key(key)?, value.clone());
        }
        Ok(dict)
    }

    /// Calls a method, or a value that is stored under the name.
    pub(crate) fn call_method(&self, base: &Val, name: &Arc<str>, args: Args) -> Result<Val> {
        if python::is_method(base, name) {
            if let Some(marker) = first_marker(&args) {
                return Ok(marker);
            }
            return python::call_method(self, base, name, &args);
        }
        let function = self.attr(base, name)?;
        self.call(function, args, &Frame::new(super::ROOT))
    }

    /// Applies a filter by name.
    pub(crate) fn filter(&self, name: &str, input: Val, args: &Args) -> Result<Val> {
        let short = plugin_name(name);
        let Some(filter) = filters::find(&short) else {
            return Err(Problem::new(ErrorKind::Syntax, filters::unknown(&short)));
        };
        if !filter.takes_undefined {
            if let Val::Marker(_) = input {
                return Ok(input);
            }
            if let Some(marker) = first_marker(args) {
                return Ok(marker);
            }
        }
        self.step(1)?;
        (filter.run)(self, &input, args).map_err(|p| failed("filter", &short, p))
    }

    /// Applies a test by name; undefined values pass through as in ansible-core 2.19.
    pub(crate) fn test(&self, name: &str, input: &Val, args: &Args) -> Result<Val> {
        let short = plugin_name(name);
        let Some(test) = tests::find(&short) else {
            return Err(Problem::new(ErrorKind::Syntax, tests::unknown(&short)));
        };
        if !test.takes_undefined {
            if let Val::Marker(_) = input {
                return Ok(input.clone());
            }
            if let Some(marker) = first_marker(args) {
                return Ok(marker);
            }
        }
        self.step(1)?;
        (test.run)(self, input, args)
            .map(Val::Bool)
            .map_err(|p| failed("test", &short, p))
    }

    fn lookup(&self, mut args: Args, list_wanted: bool) -> Result<Val> {
        if args.list.is_empty() {
            return Err(Problem::other("`lookup` needs the name of a lookup plugin"));
        }
        let name = self.string(&Self::require(args.list.remove(0))?)?;
        lookups::run(self, &plugin_name(&name), args, list_wanted)
    }
}

/// Names the plugin in a message of its own; undefined values keep their message.
fn failed(what: &str, name: &str, mut problem: Box<Problem>) -> Box<Problem> {
    if problem.kind == ErrorKind::Other && problem.text.is_none() && problem.offset.is_none() {
        problem.message = format!("the {what} plugin '{name}' failed: {}", problem.message);
    }
    problem
}

fn range(args: &Args) -> Result<Val> {
    let mut numbers = Vec::new();
    for value in &args.list {
        match value {
            Val::Int(i) => numbers.push(*i),
            Val::Bool(b) => numbers.push(i64::from(*b)),
            other => {
                return Err(Problem::other(format!(
                    "'{}' object cannot be interpreted as an integer",
                    other.type_name()
                )));
            }
        }
    }
    match numbers.as_slice() {
        [end] => Ok(Val::Range(0, *end, 1)),
        [start, end] => Ok(Val::Range(*start, *end, 1)),
        [_, _, 0] => Err(Problem::other("range() arg 3 must not be zero")),
        [start, end, step] => Ok(Val::Range(*start, *end, *step)),
        _ => Err(Problem::other("range expected 1 to 3 arguments")),
    }
}

impl Args {
    /// An argument by position or name.
    pub(crate) fn get(&self, index: usize, name: &str) -> Option<&Val> {
        self.list.get(index).or_else(|| {
            self.named
                .iter()
                .find(|(n, _)| &**n == name)
                .map(|(_, v)| v)
        })
    }
}
