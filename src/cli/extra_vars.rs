//! `-e`: `k=v`, YAML or JSON, `@FILE`.

use crate::diag::Diagnostic;
use crate::plan::Loader;
use crate::value::{Map, Text, Value};

/// Reads all `-e` in order; a later one wins.
///
/// # Errors
/// What cannot be read.
pub(super) fn read(given: &[String], loader: &mut Loader) -> Result<Map, Vec<Diagnostic>> {
    let mut vars = Map::new();
    for text in given {
        if let Some(path) = text.strip_prefix('@') {
            vars.extend((*loader.vars_file(std::path::Path::new(path))?).clone());
        } else if text.trim_start().starts_with(['{', '['])
            || text.contains(": ") && !text.contains('=')
        {
            vars.extend(inline(text)?);
        } else {
            vars.extend(pairs(text)?);
        }
    }
    Ok(vars)
}

fn wrong(text: &str, why: &str) -> Vec<Diagnostic> {
    // What stands after the name may be secret.
    let name = text.split(['=', ':', ' ']).next().unwrap_or_default();
    let message = format!("`-e {name}…` cannot be read: {why}");
    vec![
        Diagnostic::error("SB0212", message)
            .help("write `-e name=value`, `-e '{\"name\": 1}'` or `-e @FILE`"),
    ]
}

fn inline(text: &str) -> Result<Map, Vec<Diagnostic>> {
    let json: serde_json::Value =
        serde_yaml::from_str(text).map_err(|error| wrong(text, &error.to_string()))?;
    match trusted(Value::from_json(json)) {
        Value::Map(map) => Ok((*map).clone()),
        other => Err(wrong(
            text,
            &format!("it is {}, not a mapping", other.type_name()),
        )),
    }
}

/// `k=v` words; values are strings.
fn pairs(text: &str) -> Result<Map, Vec<Diagnostic>> {
    let words = shlex::split(text).ok_or_else(|| wrong(text, "it has an unclosed quote"))?;
    words
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok((name.to_owned(), Value::Str(Text::from_user(value))))
            }
            _ => Err(wrong(text, "a word in it is not `name=value`")),
        })
        .collect()
}

/// The command line is the user's own: templates in it are templates.
fn trusted(value: Value) -> Value {
    match value {
        Value::Str(text) => Value::Str(Text::from_user(text.as_str())),
        Value::List(items) => Value::from(items.iter().cloned().map(trusted).collect::<Vec<_>>()),
        Value::Map(map) => Value::from(
            map.iter()
                .map(|(k, v)| (k.clone(), trusted(v.clone())))
                .collect::<Map>(),
        ),
        other => other,
    }
}
