//! What a person or an editor may want to know of a module: read from the module itself and from
//! its argument struct, nowhere else.
//!
//! Invariant: nothing here is a list that somebody has to keep; names and aliases are serde's,
//! types and texts the schema's.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map as JsonMap, Value as Json};

use super::contract::{Effect, Module};
use crate::value::{field_aliases, field_names};

/// What there is to know of a module.
#[derive(Clone, Debug)]
pub struct Manual {
    /// What it does, in a sentence.
    pub summary: String,
    /// Its arguments, in order.
    pub arguments: Vec<Argument>,
    /// What running it again would mean.
    pub effect: Effect,
    /// What `register` gets: names and what they mean.
    pub returns: Vec<(String, String)>,
    /// A task, in YAML.
    pub example: String,
}

/// One argument of a module.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// What it means.
    pub text: String,
    /// Whether it must be given.
    pub is_required: bool,
    /// What it takes: `string`, `boolean`, `list of string`, ….
    pub kind: String,
    /// The values that it takes, if they are few.
    pub choices: Vec<String>,
    /// What it is when it is not given, as far as that is one value.
    pub default: Option<String>,
    /// Its JSON Schema.
    pub schema: JsonMap<String, Json>,
}

fn schema_of<T: JsonSchema>() -> JsonMap<String, Json> {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    match schema.to_value() {
        Json::Object(map) => map,
        _ => JsonMap::new(),
    }
}

impl Manual {
    /// The manual of a module.
    pub(super) fn of<M: Module>() -> Self {
        Self::of_types::<M, M::Args>(M::EFFECT)
    }

    /// The manual of what `T` documents and what takes the arguments of `A`.
    pub fn of_types<T: JsonSchema, A: DeserializeOwned + JsonSchema>(effect: Effect) -> Self {
        let own = schema_of::<T>();
        let args = schema_of::<A>();
        let required: Vec<&str> = args
            .get("required")
            .and_then(Json::as_array)
            .map(|names| names.iter().filter_map(Json::as_str).collect())
            .unwrap_or_default();
        let properties = args.get("properties").and_then(Json::as_object);
        let properties = properties.filter(|_| !field_names::<A>().is_empty());
        let arguments = properties.into_iter().flatten().map(|(name, schema)| {
            let aliases = field_aliases::<A>(name);
            Argument::read(name, aliases, schema, required.contains(&name.as_str()))
        });
        let text = own.get("description").and_then(Json::as_str);
        let (summary, sections) = sections(text.unwrap_or_default());
        let section = |name: &str| {
            let found = sections.iter().find(|(title, _)| title == name);
            found.map(|(_, text)| text.as_str()).unwrap_or_default()
        };
        Self {
            summary,
            arguments: arguments.collect(),
            effect,
            returns: items(section("Returns")),
            example: code(section("Example")),
        }
    }
}

/// The text before the first heading, and what is under each.
fn sections(text: &str) -> (String, Vec<(String, String)>) {
    let mut parts = text.split("\n# ");
    let summary = parts.next().unwrap_or_default().trim().to_owned();
    let sections = parts.map(|part| {
        let (title, text) = part.split_once('\n').unwrap_or((part, ""));
        (title.trim().to_owned(), text.to_owned())
    });
    (summary, sections.collect())
}

/// Items that look like ``* `name`: meaning`` or ``* `name`, `other`: meaning``.
fn items(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\n  ", " ");
    let items = joined.lines().filter_map(|line| {
        let (names, meaning) = line.trim().strip_prefix("* `")?.split_once("`:")?;
        Some((names.replace('`', ""), meaning.trim().to_owned()))
    });
    items.collect()
}

/// What stands between the fences.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().starts_with("```"));
    let text: Vec<&str> = lines.collect();
    text.join("\n").trim().to_owned()
}

impl Argument {
    fn read(name: &str, aliases: Vec<String>, schema: &Json, is_required: bool) -> Self {
        let empty = JsonMap::new();
        let schema = schema.as_object().unwrap_or(&empty);
        let text = schema.get("description").and_then(Json::as_str);
        let text = text.unwrap_or_default().replace('\n', " ");
        let default = match schema.get("default") {
            Some(Json::Null) | None => default_in(&text),
            Some(value) => Some(value.to_string()),
        };
        // What may be left out and is not `Option`: a switch that is off.
        let is_switch = schema.get("type").and_then(Json::as_str) == Some("boolean");
        let default = default.or_else(|| is_switch.then(|| "false".to_owned()));
        Self {
            name: name.to_owned(),
            aliases,
            is_required,
            kind: kind(schema),
            choices: choices(schema),
            default: default.filter(|_| !is_required),
            schema: schema.clone(),
            text,
        }
    }
}

/// The default that a text tells: `Default 5.`, ``Default `yes`.``, ``` `present` (default)```.
fn default_in(text: &str) -> Option<String> {
    if let Some(before) = text
        .split(" (default)")
        .next()
        .filter(|b| b.len() < text.len())
    {
        return Some(before.rsplit(' ').next()?.trim_matches('`').to_owned());
    }
    let (_, rest) = text
        .split_once("Default ")
        .or_else(|| text.split_once("Default: "))?;
    if let Some(quoted) = rest.strip_prefix('`') {
        return quoted.split('`').next().map(str::to_owned);
    }
    let word = rest.split([' ', ',', ';']).next()?.trim_end_matches('.');
    let is_value = word.parse::<f64>().is_ok() || matches!(word, "true" | "false");
    is_value.then(|| word.to_owned())
}

fn kind(schema: &JsonMap<String, Json>) -> String {
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(many)) => many.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    let kinds: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "null").collect();
    match kinds.as_slice() {
        ["array"] => {
            let of = schema.get("items").and_then(Json::as_object).map(kind);
            match of.as_deref() {
                Some("any") | None => "list".to_owned(),
                Some(of) => format!("list of {of}"),
            }
        }
        ["object"] => "mapping".to_owned(),
        [] if !choices(schema).is_empty() => "string".to_owned(),
        [] => {
            let parts = schema.get("anyOf").and_then(Json::as_array);
            let parts = parts.into_iter().flatten().filter_map(Json::as_object);
            let kinds: Vec<String> = parts
                .filter(|part| part.get("type").and_then(Json::as_str) != Some("null"))
                .map(kind)
                .collect();
            if kinds.is_empty() {
                "any".to_owned()
            } else {
                kinds.join(" or ")
            }
        }
        kinds => kinds.join(" or "),
    }
}

/// The values of an enumeration, however its schema says it.
fn choices(schema: &JsonMap<String, Json>) -> Vec<String> {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let mut all: Vec<String> = schema.get("const").and_then(text).into_iter().collect();
    let listed = schema.get("enum").and_then(Json::as_array);
    all.extend(listed.into_iter().flatten().filter_map(text));
    for key in ["oneOf", "anyOf"] {
        let parts = schema.get(key).and_then(Json::as_array);
        let parts = parts.into_iter().flatten().filter_map(Json::as_object);
        all.extend(parts.flat_map(choices));
    }
    all
}
