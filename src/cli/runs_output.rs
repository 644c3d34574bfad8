//! `switchback runs output`: what commands wrote, as it is in the journal.

use std::io::{IsTerminal as _, Write as _};

use super::args::OutputArgs;
use super::exit;
use super::resume::told;
use super::start::tell;
use crate::journal::{Error, Instance, Record, RunStore};
use crate::report::{sanitize, word};
use crate::value::Value;

/// Prints stored output: cleaned for a terminal, as it was into a pipe. Headings go to standard
/// error, so that a pipe gets the output alone.
pub(super) fn run(store: &RunStore, args: &OutputArgs) -> u8 {
    let found = match print(store, args) {
        Ok(found) => found,
        Err(error) => return told(&error),
    };
    if found {
        return exit::OK;
    }
    tell("error: no step or host of the run is called so, or it wrote nothing");
    exit::ERROR
}

fn print(store: &RunStore, args: &OutputArgs) -> Result<bool, Error> {
    let (_, recovered) = store.read(&args.run)?;
    let is_terminal = std::io::stdout().is_terminal();
    let mut names = std::collections::HashMap::new();
    let mut has_any = false;
    for entry in recovered.records {
        match entry.record {
            Record::Intent { attempt, name, .. } => drop(names.insert(attempt, name)),
            Record::Done {
                attempt,
                instance,
                status,
                result,
                ..
            } => {
                let name = attempt.and_then(|attempt| names.get(&attempt).cloned());
                let name = name.unwrap_or_default();
                if !is_wanted(args, &instance, &name) {
                    continue;
                }
                let texts = ["stdout", "stderr"].map(|key| text_of(&result, key));
                if texts.iter().all(String::is_empty) {
                    continue;
                }
                has_any = true;
                let title = if name.is_empty() {
                    &instance.step.0
                } else {
                    &name
                };
                let head = format!("== {}  {title}  {}", instance.host, word(status));
                tell(&sanitize::inline(&head));
                let texts = texts.iter().filter(|text| !text.is_empty());
                texts.for_each(|text| put(text, is_terminal));
            }
            _ => {}
        }
    }
    Ok(has_any)
}

fn text_of(result: &Value, key: &str) -> String {
    let text = result.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn is_wanted(args: &OutputArgs, instance: &Instance, name: &str) -> bool {
    args.what.as_ref().is_none_or(|what| {
        *what == instance.host || *what == instance.step.0 || what.as_str() == name
    })
}

fn put(text: &str, is_terminal: bool) {
    let mut text = if is_terminal {
        sanitize::text(text).into_owned()
    } else {
        text.to_owned()
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    // A reader that went away wants no more.
    drop(std::io::stdout().write_all(text.as_bytes()));
}
