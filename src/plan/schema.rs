//! A JSON Schema of playbooks and of files of tasks, for editors.
//!
//! Made of the table of keywords and of the manuals of modules and actions; knows no list of its
//! own. Invariant: what the loader takes fits it, because where a template may stand any text may.

use serde_json::{Map, Value as Json, json};

use super::actions::{ACTIONS, action_names, manual};
use crate::model::keyword::{Keyword, TABLE, Takes, place};
use crate::modules::{self, Argument, Manual};

/// The schema of a playbook; `#/$defs/tasks` in it is that of a file of tasks.
pub fn schema() -> Json {
    let mut defs = Map::new();
    defs.insert(
        "template".into(),
        json!({"type": "string", "pattern": "\\{[\\{%]"}),
    );
    defs.insert("tasks".into(), tasks());
    defs.insert("task".into(), task(place::TASK));
    defs.insert("handler".into(), task(place::HANDLER));
    defs.insert(
        "block".into(),
        keywords_of(place::BLOCK, Map::new(), &["block"]),
    );
    let role = keywords_of(place::ROLE, Map::new(), &[]);
    defs.insert("role".into(), with_others(role, json!(true)));
    defs.insert(
        "play".into(),
        keywords_of(place::PLAY, Map::new(), &["hosts"]),
    );
    defs.insert("import".into(), import());
    defs.insert("change".into(), change());
    for name in own_names() {
        if let Some((_, found)) = manual(name) {
            defs.insert(format!("args_{name}"), arguments(name, &found));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Playbook",
        "type": ["array", "null"],
        "items": {"anyOf": [
            {"$ref": "#/$defs/change"},
            {"$ref": "#/$defs/import"},
            {"$ref": "#/$defs/play"},
        ]},
        "$defs": defs,
    })
}

/// The names under which modules and actions have manuals, each once.
fn own_names() -> Vec<&'static str> {
    let mut names = action_names();
    names.retain(|name| {
        let is_own = modules::find(name).is_none_or(|module| module.name() == *name);
        is_own && *name != modules::LIBRARY_MODULE
    });
    names
}

fn tasks() -> Json {
    json!({
        "type": ["array", "null"],
        "items": {"anyOf": [
            {"type": "null"},
            {"$ref": "#/$defs/block"},
            {"$ref": "#/$defs/task"},
        ]},
    })
}

/// A mapping with the keywords of a place and these other keys.
fn keywords_of(at: u16, more: Map<String, Json>, required: &[&str]) -> Json {
    let mut properties = Map::new();
    for row in TABLE
        .iter()
        .filter(|row| row.places & at != 0 && row.refused.is_none())
    {
        properties.insert(row.name.to_owned(), value_of(row));
    }
    properties.extend(more);
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn with_others(mut schema: Json, others: Json) -> Json {
    if let Some(map) = schema.as_object_mut() {
        map.insert("additionalProperties".into(), others);
    }
    schema
}

/// What a keyword takes.
fn value_of(row: &Keyword) -> Json {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let exact = match row.takes {
        Takes::Bool => json!({"type": ["boolean", "string", "integer"]}),
        Takes::Int | Takes::Number => json!({"type": ["number", "string"]}),
        Takes::Text => json!({"type": ["string", "number"]}),
        Takes::Texts => json!({"anyOf": [scalar, {"type": "array"}]}),
        Takes::Map => json!({"type": "object"}),
        Takes::Conditions => json!({"anyOf": [scalar, {"type": "array", "items": scalar}]}),
        Takes::Tasks if row.name == "handlers" => json!({
            "type": ["array", "null"],
            "items": {"anyOf": [{"$ref": "#/$defs/handler"}, {"$ref": "#/$defs/task"}]},
        }),
        Takes::Tasks => json!({"$ref": "#/$defs/tasks"}),
        Takes::Other if row.name == "roles" => json!({
            "type": ["array", "null"],
            "items": {"anyOf": [{"type": ["string", "integer"]}, {"$ref": "#/$defs/role"}]},
        }),
        Takes::Other => json!(true),
    };
    if exact == json!(true) {
        return exact;
    }
    let mut any = vec![exact, json!({"type": "null"})];
    if row.is_templated {
        any.push(json!({"$ref": "#/$defs/template"}));
    }
    json!({"anyOf": any})
}

/// A task: keywords, `with_*`, and one module by any of its names.
fn task(at: u16) -> Json {
    let mut by_name = Map::new();
    for name in action_names() {
        let Some((own, _)) = manual(name) else {
            continue;
        };
        if own == modules::LIBRARY_MODULE {
            continue;
        }
        let args = json!({"$ref": format!("#/$defs/args_{own}")});
        let is_core = !name.contains('.');
        let prefixes: &[&str] = if is_core {
            &["", "ansible.builtin.", "ansible.legacy."]
        } else {
            &[""]
        };
        for prefix in prefixes {
            by_name.insert(format!("{prefix}{name}"), args.clone());
        }
    }
    let mut schema = keywords_of(at, by_name, &[]);
    if let Some(map) = schema.as_object_mut() {
        // Modules of `library/` and of collections have names that nobody can know here.
        map.insert(
            "patternProperties".into(),
            json!({"^with_[a-z_.]+$": true, "^[a-z0-9_]+\\.[a-z0-9_]+\\.[a-z0-9_]+$": true}),
        );
    }
    schema
}

/// What may stand under the name of a module.
fn arguments(name: &str, manual: &Manual) -> Json {
    let is_open = ACTIONS
        .iter()
        .any(|action| action.name == name && action.is_open);
    let mut properties = Map::new();
    for argument in &manual.arguments {
        let schema = argument_schema(argument);
        for name in argument.aliases.iter().chain([&argument.name]) {
            properties.insert(name.clone(), schema.clone());
        }
    }
    json!({
        "description": manual.summary,
        "anyOf": [
            {"type": "object", "properties": properties, "additionalProperties": is_open},
            // `k=v` text, a command line, or nothing at all.
            {"type": ["string", "null", "number", "boolean"]},
        ],
    })
}

/// The schema of an argument's own, widened by what Ansible converts: texts to everything, one
/// value to a list of it.
fn argument_schema(argument: &Argument) -> Json {
    let mut schema = if argument.choices.is_empty() {
        json!({"type": ["string", "number", "boolean", "null", "array", "object"]})
    } else {
        let choices: Vec<Json> = argument
            .choices
            .iter()
            .map(|text| text.as_str().into())
            .collect();
        json!({"anyOf": [{"enum": choices}, {"type": ["boolean", "null", "array", "number"]}, {"$ref": "#/$defs/template"}]})
    };
    if matches!(
        argument.kind.as_str(),
        "string" | "boolean" | "integer" | "number"
    ) && argument.choices.is_empty()
    {
        schema = json!({"type": ["string", "number", "boolean", "null"]});
    }
    if let Some(map) = schema.as_object_mut() {
        map.insert("description".into(), argument.text.as_str().into());
    }
    schema
}

fn import() -> Json {
    let names = ["import_playbook", "ansible.builtin.import_playbook"];
    let mut more = Map::new();
    for name in names {
        more.insert(name.into(), json!({"type": "string"}));
    }
    let mut schema = keywords_of(place::IMPORT, more, &[]);
    if let Some(map) = schema.as_object_mut() {
        let any: Vec<Json> = names
            .iter()
            .map(|name| json!({"required": [name]}))
            .collect();
        map.insert("anyOf".into(), Json::Array(any));
    }
    schema
}

/// The header of a change; what is in it is left to the loader.
fn change() -> Json {
    json!({"type": "object", "required": ["change"], "properties": {"change": {"type": "string"}}})
}
