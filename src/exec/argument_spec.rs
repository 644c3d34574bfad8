//! Whether arguments are what an argument specification says.
//!
//! Pure: values in, messages out. Used by `validate_argument_spec`, and of use for the
//! specifications of roles. Source: ansible-core 2.19, `module_utils/common/arg_spec.py`,
//! `parameters.py` and `validation.py`.

use std::collections::BTreeSet;

use crate::value::{Map, Value};

/// All that is wrong with `given`, in ansible-core's words and order.
pub(crate) fn problems(spec: &Map, given: &Map) -> Vec<String> {
    let mut check = Check::default();
    let mut given = given.clone();
    check.options(spec, &mut given, None, &mut Vec::new());
    check.finish()
}

#[derive(Default)]
struct Check {
    errors: Vec<String>,
    /// Names that nobody knows, with the names around them.
    unknown: BTreeSet<String>,
    /// The names that the last of them might have been.
    known: Vec<String>,
    /// Other names of those.
    aliases: Vec<String>,
}

/// `found in a -> b`, where there is anything around.
fn found_in(message: String, around: &[String]) -> String {
    if around.is_empty() {
        message
    } else {
        format!("{message} found in {}", around.join(" -> "))
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::List(items)) => items.iter().map(plain).collect(),
        Some(Value::Str(text)) => vec![text.as_str().to_owned()],
        _ => Vec::new(),
    }
}

fn is_true(value: Option<&Value>) -> bool {
    value.and_then(Value::to_bool) == Some(true)
}

impl Check {
    fn options(
        &mut self,
        spec: &Map,
        given: &mut Map,
        outer: Option<&Value>,
        around: &mut Vec<String>,
    ) {
        if around.is_empty() {
            self.mappings(spec, given);
        }
        self.names(spec, given, around);
        if let Some(outer) = outer {
            self.exclusive(outer, given, around);
        }
        for (name, option) in spec {
            if let Some(default) = option.get("default").filter(|d| !matches!(d, Value::Null)) {
                given.entry(name.clone()).or_insert_with(|| default.clone());
            }
        }
        let mut missing: Vec<&str> = spec
            .iter()
            .filter(|(name, option)| {
                is_true(option.get("required")) && !given.contains_key(name.as_str())
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            missing.sort_unstable();
            let message = format!("missing required arguments: {}", missing.join(", "));
            self.errors.push(found_in(message, around));
        }
        for (name, option) in spec {
            self.kind(name, option, given, around);
        }
        for (name, option) in spec {
            self.choices(name, option, given, around);
        }
        if let Some(outer) = outer {
            self.together(outer, given, around);
        }
        for (name, option) in spec {
            self.inner(name, option, given, around);
        }
    }

    /// What is no mapping and has options: ansible-core tells of it once more, as it looks for
    /// secrets first.
    fn mappings(&mut self, spec: &Map, given: &Map) {
        for (name, option) in spec {
            let kind = option.get("type").map(plain).unwrap_or_default();
            if option.get("options").is_none() || kind != "dict" {
                continue;
            }
            if let Some(text @ Value::Str(_)) = given.get(name)
                && let Err(why) = convert(text, "dict")
            {
                self.errors.push(why);
                return;
            }
        }
    }

    /// Other names are taken for the names they stand for; what is no name at all is noted.
    fn names(&mut self, spec: &Map, given: &mut Map, around: &[String]) {
        let mut legal: BTreeSet<String> = spec.keys().cloned().collect();
        for (name, option) in spec {
            for alias in texts(option.get("aliases")) {
                if let Some(value) = given.get(&alias).cloned() {
                    given.insert(name.clone(), value);
                }
                legal.insert(alias);
            }
        }
        for name in given.keys().filter(|name| !legal.contains(*name)) {
            let whole: Vec<&str> = around
                .iter()
                .map(String::as_str)
                .chain([name.as_str()])
                .collect();
            self.unknown.insert(whole.join("."));
            self.known = spec.keys().cloned().collect();
            self.known.sort();
            self.aliases = spec
                .values()
                .flat_map(|option| texts(option.get("aliases")))
                .collect();
            self.aliases.sort();
        }
    }

    fn kind(&mut self, name: &str, option: &Value, given: &mut Map, around: &[String]) {
        let Some(value) = given.get(name) else { return };
        let has_default = option
            .get("default")
            .is_some_and(|d| !matches!(d, Value::Null));
        if matches!(value, Value::Null) && !is_true(option.get("required")) && !has_default {
            return;
        }
        let kind = option.get("type").map_or_else(|| "str".to_owned(), plain);
        let converted = match convert(value, &kind) {
            Ok(converted) => converted,
            Err(why) => {
                let mut message = format!("argument '{name}' is of type {}", type_name(value));
                if !around.is_empty() {
                    message.extend([" found in '", &around.join(" -> "), "'."]);
                }
                message.extend([" and we were unable to convert to ", &kind, ": ", &why]);
                self.errors.push(message);
                return;
            }
        };
        let Some(element) = option.get("elements").map(plain) else {
            given.insert(name.to_owned(), converted);
            return;
        };
        let Value::List(items) = &converted else {
            self.errors.push(format!(
                "Invalid type {kind} for option '{}', elements value check is supported only with 'list' type",
                plain(&converted)
            ));
            return;
        };
        let mut kept = Vec::new();
        for item in items.iter() {
            match convert(item, &element) {
                Ok(item) => kept.push(item),
                Err(why) => {
                    let mut message = format!("Elements value for option '{name}'");
                    if !around.is_empty() {
                        message.extend([" found in '", &around.join(" -> "), "'"]);
                    }
                    message.extend([
                        " is of type ",
                        type_name(item),
                        " and we were unable to convert to ",
                        &element,
                        ": ",
                        &why,
                    ]);
                    self.errors.push(message);
                }
            }
        }
        given.insert(name.to_owned(), Value::from(kept));
    }

    fn choices(&mut self, name: &str, option: &Value, given: &Map, around: &[String]) {
        let (Some(Value::List(choices)), Some(value)) = (option.get("choices"), given.get(name))
        else {
            return;
        };
        let all = choices.iter().map(plain).collect::<Vec<_>>().join(", ");
        let message = match value {
            Value::List(items) => {
                let bad: Vec<String> = items
                    .iter()
                    .filter(|item| !choices.contains(item))
                    .map(plain)
                    .collect();
                if bad.is_empty() {
                    return;
                }
                format!(
                    "value of {name} must be one or more of: {all}. Got no match for: {}",
                    bad.join(", ")
                )
            }
            value if choices.contains(value) => return,
            value => format!(
                "value of {name} must be one of: {all}, got: {}",
                plain(value)
            ),
        };
        self.errors.push(found_in(message, around));
    }

    fn exclusive(&mut self, outer: &Value, given: &Map, around: &[String]) {
        let full: Vec<String> = groups(outer.get("mutually_exclusive"))
            .into_iter()
            .filter(|group| {
                group
                    .iter()
                    .filter(|name| given.contains_key(*name))
                    .count()
                    > 1
            })
            .map(|group| group.join("|"))
            .collect();
        if !full.is_empty() {
            let message = format!("parameters are mutually exclusive: {}", full.join(", "));
            self.errors.push(found_in(message, around));
        }
    }

    /// What must be given with what else.
    fn together(&mut self, outer: &Value, given: &Map, around: &[String]) {
        let has = |name: &String| given.get(name).is_some_and(|v| !matches!(v, Value::Null));
        let mut say = |message: String| self.errors.push(found_in(message, around));
        for group in groups(outer.get("required_together")) {
            let count = group
                .iter()
                .filter(|name| given.contains_key(*name))
                .count();
            if count > 0 && count < group.len() {
                say(format!(
                    "parameters are required together: {}",
                    group.join(", ")
                ));
            }
        }
        for group in groups(outer.get("required_one_of")) {
            if !group.iter().any(|name| given.contains_key(name)) {
                say(format!(
                    "one of the following is required: {}",
                    group.join(", ")
                ));
            }
        }
        if let Some(Value::List(rules)) = outer.get("required_if") {
            for rule in rules.iter().filter_map(Value::as_list) {
                let [name, value, needed, rest @ ..] = rule else {
                    continue;
                };
                let (name, needed) = (plain(name), texts(Some(needed)));
                let is_any = is_true(rest.first());
                if given.get(&name) != Some(value) {
                    continue;
                }
                let missing: Vec<String> =
                    needed.iter().filter(|name| !has(name)).cloned().collect();
                let (is_missing, word) = if is_any {
                    (missing.len() == needed.len(), "any")
                } else {
                    (!missing.is_empty(), "all")
                };
                if is_missing {
                    say(format!(
                        "{name} is {} but {word} of the following are missing: {}",
                        plain(value),
                        missing.join(", ")
                    ));
                }
            }
        }
        if let Some(Value::Map(rules)) = outer.get("required_by") {
            for (name, needed) in rules.iter().filter(|(name, _)| has(name)) {
                let missing: Vec<String> = texts(Some(needed))
                    .into_iter()
                    .filter(|name| !has(name))
                    .collect();
                if !missing.is_empty() {
                    say(format!(
                        "missing parameter(s) required by '{name}': {}",
                        missing.join(", ")
                    ));
                }
            }
        }
    }

    fn inner(&mut self, name: &str, option: &Value, given: &mut Map, around: &mut Vec<String>) {
        let kind = option.get("type").map(plain).unwrap_or_default();
        let is_list =
            kind == "list" && option.get("elements").map(plain).as_deref() == Some("dict");
        let Some(Value::Map(spec)) = option.get("options").filter(|_| kind == "dict" || is_list)
        else {
            return;
        };
        if is_true(option.get("apply_defaults"))
            && given.get(name).is_none_or(|v| matches!(v, Value::Null))
        {
            given.insert(name.to_owned(), Value::from(Map::new()));
        }
        let elements: Vec<Value> = match given.get(name) {
            None | Some(Value::Null) => return,
            Some(Value::List(items)) => items.to_vec(),
            Some(other) => vec![other.clone()],
        };
        around.push(name.to_owned());
        for element in elements {
            match element {
                Value::Map(map) => {
                    self.options(spec, &mut (*map).clone(), Some(option), around);
                }
                _ => self.errors.push(format!(
                    "value of '{name}' must be of type dict or list of dicts"
                )),
            }
        }
        around.pop();
    }

    fn finish(mut self) -> Vec<String> {
        if !self.unknown.is_empty() {
            let unknown: Vec<&str> = self.unknown.iter().map(String::as_str).collect();
            let mut known = self.known.join(", ");
            if !self.aliases.is_empty() {
                known.extend([" (", &self.aliases.join(", "), ")"]);
            }
            self.errors.push(format!(
                "{}. Supported parameters include: {known}.",
                unknown.join(", ")
            ));
        }
        self.errors
    }
}

/// A list of names, or a list of such lists.
fn groups(value: Option<&Value>) -> Vec<Vec<String>> {
    let Some(Value::List(items)) = value else {
        return Vec::new();
    };
    if items.iter().all(|item| matches!(item, Value::List(_))) {
        items.iter().map(|item| texts(Some(item))).collect()
    } else {
        vec![texts(value)]
    }
}

/// A value as Python's `str` shows it.
fn plain(value: &Value) -> String {
    match value {
        Value::Str(text) => text.as_str().to_owned(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Null => "None".into(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => format!("{f:?}"),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

/// The name of its type in Python.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Str(_) => "str",
        Value::Bool(_) => "bool",
        Value::Null => "NoneType",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::List(_) => "list",
        Value::Map(_) => "dict",
    }
}

/// The value in the wanted type, or why it cannot be had.
fn convert(value: &Value, kind: &str) -> Result<Value, String> {
    let class = || format!("<class '{}'>", type_name(value));
    match (kind, value) {
        ("list", Value::List(_)) | ("dict", Value::Map(_)) | ("bool", Value::Bool(_)) => {
            Ok(value.clone())
        }
        ("str" | "path", Value::Null) => Ok("".into()),
        ("list", Value::Str(text)) => Ok(Value::from(
            text.as_str()
                .split(',')
                .map(Value::from)
                .collect::<Vec<_>>(),
        )),
        ("list", Value::Int(_) | Value::Float(_) | Value::Bool(_)) => {
            Ok(Value::from(vec![plain(value).into()]))
        }
        ("list", _) => Err(format!("{} cannot be converted to a list", class())),
        ("dict", Value::Str(text)) if text.as_str().starts_with('{') => {
            serde_json::from_str::<serde_json::Value>(text.as_str())
                .map(Value::from_json)
                .map_err(|_| "unable to evaluate string as dictionary".into())
        }
        ("dict", Value::Str(text)) if text.as_str().contains('=') => {
            let words = text
                .as_str()
                .split([',', ' '])
                .filter(|word| !word.is_empty());
            let pairs: Option<Map> = words
                .map(|word| word.split_once('='))
                .map(|pair| pair.map(|(name, value)| (name.to_owned(), Value::from(value))))
                .collect();
            pairs.map(Value::from).ok_or_else(|| {
                "unable to evaluate string in the \"key=value\" format as dictionary".into()
            })
        }
        ("dict", Value::Str(_)) => {
            Err("dictionary requested, could not parse JSON or key=value".into())
        }
        ("dict", _) => Err(format!("{} cannot be converted to a dict", class())),
        ("bool", Value::Str(_) | Value::Int(_) | Value::Float(_)) => value
            .to_bool()
            .map(Value::Bool)
            .ok_or_else(|| format!("The value '{}' is not a valid boolean.", plain(value))),
        ("bool", _) => Err(format!("{} cannot be converted to a bool", class())),
        ("int", _) => integer(value).map(Value::Int).ok_or_else(|| {
            let shown = match value {
                Value::Str(text) => format!("'{}'", text.as_str()),
                other => plain(other),
            };
            format!("\"{shown}\" cannot be converted to an int")
        }),
        ("float", Value::Float(_)) => Ok(value.clone()),
        ("float", Value::Int(_) | Value::Bool(_) | Value::Str(_)) => plain(value)
            .trim()
            .parse()
            .map(Value::Float)
            .map_err(|_| format!("{} cannot be converted to a float", class())),
        ("float", _) => Err(format!("{} cannot be converted to a float", class())),
        ("str" | "path", value) if !matches!(value, Value::Str(_)) => Ok(plain(value).into()),
        _ => Ok(value.clone()),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(i) => Some(*i),
        Value::Bool(is) => Some(i64::from(*is)),
        #[expect(clippy::cast_possible_truncation, reason = "fract() == 0 is checked")]
        Value::Float(f) if f.fract() == 0.0 => Some(*f as i64),
        Value::Str(text) => {
            let text = text.as_str().trim();
            let whole = text
                .split_once('.')
                .filter(|(_, rest)| rest.bytes().all(|b| b == b'0'));
            whole.map_or(text, |(whole, _)| whole).parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(spec: serde_json::Value, given: serde_json::Value) -> Vec<String> {
        let map = |value| match Value::from_json(value) {
            Value::Map(map) => (*map).clone(),
            _ => Map::new(),
        };
        problems(&map(spec), &map(given))
    }

    /// The expected messages are those of ansible-core 2.19.
    #[test]
    fn problems_are_told_in_ansibles_words() {
        let spec = json!({
            "n": {"type": "int", "required": true},
            "s": {"choices": ["a", "b"], "default": "a"},
            "l": {"type": "list", "elements": "int"},
            "d": {"type": "dict", "options": {"x": {"required": true}, "y": {"type": "bool"}}, "required_together": [["y", "z"]]},
        });
        for (given, expected) in [
            (json!({"n": "5"}), vec![]),
            (json!({}), vec!["missing required arguments: n"]),
            (
                json!({"n": "x"}),
                vec![
                    "argument 'n' is of type str and we were unable to convert to int: \"'x'\" cannot be converted to an int",
                ],
            ),
            (
                json!({"n": 1, "s": "c"}),
                vec!["value of s must be one of: a, b, got: c"],
            ),
            (
                json!({"n": 1, "l": ["1", "q"]}),
                vec![
                    "Elements value for option 'l' is of type str and we were unable to convert to int: \"'q'\" cannot be converted to an int",
                ],
            ),
            (
                json!({"n": 1, "d": {}}),
                vec!["missing required arguments: x found in d"],
            ),
            (
                json!({"n": 1, "d": {"x": 1, "w": 2}}),
                vec!["d.w. Supported parameters include: x, y."],
            ),
            (
                json!({"n": 1, "d": "x"}),
                vec![
                    "dictionary requested, could not parse JSON or key=value",
                    "argument 'd' is of type str and we were unable to convert to dict: dictionary requested, could not parse JSON or key=value",
                    "value of 'd' must be of type dict or list of dicts",
                ],
            ),
        ] {
            assert_eq!(told(spec.clone(), given.clone()), expected, "{given}");
        }
    }
}
