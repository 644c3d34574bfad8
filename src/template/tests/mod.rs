//! Tests (`is NAME`): one table per family, one line per test.

mod basic;
mod path;
mod result;
pub(crate) mod version;

use std::collections::HashMap;
use std::sync::OnceLock;

use super::error::Result;
use super::eval::Eval;
use super::val::{Args, Val};
use crate::diag::suggest;

pub(crate) type Run = fn(&Eval<'_>, &Val, &Args) -> Result<bool>;

/// One test.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    /// Whether it wants to see undefined values; for all others those pass through.
    pub(crate) takes_undefined: bool,
}

/// A row of a table.
const fn row(name: &'static str, run: Run) -> Test {
    Test {
        name,
        run,
        takes_undefined: false,
    }
}

/// A row for a test that handles undefined values itself.
const fn lenient(name: &'static str, run: Run) -> Test {
    Test {
        name,
        run,
        takes_undefined: true,
    }
}

fn table() -> &'static HashMap<&'static str, &'static Test> {
    static TABLE: OnceLock<HashMap<&'static str, &'static Test>> = OnceLock::new();
    TABLE.get_or_init(|| {
        [basic::TESTS, path::TESTS, result::TESTS, version::TESTS]
            .into_iter()
            .flatten()
            .map(|test| (test.name, test))
            .collect()
    })
}

/// A test by its short name.
pub(crate) fn find(name: &str) -> Option<&'static Test> {
    table().get(name).copied()
}

/// What to say when there is no such test.
pub(crate) fn unknown(name: &str) -> String {
    let hint = suggest(name, table().keys().copied())
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("No test named '{name}'{hint}")
}
