//! `set_fact`, `include_vars`, `set_stats`.

use std::path::{Path, PathBuf};

use super::super::controller::Problem;
use super::super::end::ItemEnd;
use super::super::item::{Early, Item};
use super::super::run::{Run, plain_text};
use crate::event::Status;
use crate::value::{Map, Value};
use crate::vars::merged;

/// Suffixes that `include_vars` reads in a folder.
const EXTENSIONS: &[&str] = &["yml", "yaml", "json"];

impl Run {
    /// `set_fact`: all but `cacheable` are variables.
    pub(super) fn set_fact(&self, item: &Item, args: &Value) -> Result<ItemEnd, Early> {
        let mut set = Map::new();
        for (name, value) in args.as_map().into_iter().flatten() {
            if name == "cacheable" || name == "_raw_params" {
                continue;
            }
            let name = match self.controller.render(
                &Value::Str(crate::value::Text::from_user(name.as_str())),
                &item.view,
            )? {
                Some(Value::Str(name)) => name.as_str().to_owned(),
                Some(other) => {
                    let of = format!(" of type '{}'", python_type(&other));
                    return Err(bad_name(&plain_text(&other).unwrap_or_default(), &of));
                }
                None => continue,
            };
            if !crate::model::read::is_variable_name(&name) {
                return Err(bad_name(&name, ""));
            }
            set.insert(name, value.clone());
        }
        if set.is_empty() {
            return Ok(ItemEnd::failed(
                "No key/value pairs provided, at least one is required",
            ));
        }
        let result = Map::from([("ansible_facts".to_owned(), Value::from(set.clone()))]);
        let mut end = ItemEnd::new(Status::Ok, result);
        if args.get("cacheable").and_then(Value::to_bool) == Some(true) {
            end.facts.clone_from(&set);
        }
        end.set = set;
        Ok(end)
    }

    fn warn_of_reserved(&self, item: &Item, vars: &Map) {
        for name in vars.keys() {
            if crate::model::read::is_reserved(name) {
                let place = self.controller.place(item.task.span);
                let origin = place.map(|place| format!("\nOrigin: {place}"));
                let origin = origin.unwrap_or_default();
                let warning = format!("Found variable using reserved name '{name}'.{origin}");
                self.notice(true, warning);
            }
        }
    }

    /// `include_vars`: a file, or the files of a folder in order of their names.
    pub(super) fn include_vars(&self, item: &Item, args: &Value) -> Result<ItemEnd, Early> {
        let text = |key: &str| args.get(key).and_then(plain_text);
        let mut files = Vec::new();
        // Ansible says it under this name.
        let fail = |why: String| {
            let mut end = ItemEnd::failed(why.clone());
            end.result.insert("message".into(), why.into());
            Early::from(end)
        };
        if let Some(dir) = text("dir") {
            let dir = self
                .controller
                .find_file("vars", &dir, &item.view.search)
                .map_err(fail)?;
            files = folder_files(&dir, args, item).map_err(fail)?;
        } else {
            let file = text("file")
                .or_else(|| text("_raw_params").map(|file| file.trim().to_owned()))
                .ok_or_else(|| {
                    fail("Could not find file: include_vars needs a file or a folder".to_owned())
                })?;
            files.push(
                self.controller
                    .find_file("vars", &file, &item.view.search)
                    .map_err(fail)?,
            );
        }
        let mut vars = Map::new();
        let mut names = Vec::new();
        for file in &files {
            let read = self.controller.vars_file(file).map_err(fail)?;
            vars.extend(read.into_iter().map(|(name, value)| {
                let value = if item.is_hidden {
                    value.into_secret()
                } else {
                    value
                };
                (name, value)
            }));
            names.push(Value::from(file.display().to_string()));
        }
        if let Some(name) = text("name") {
            vars = Map::from([(name, Value::from(vars))]);
        }
        self.warn_of_reserved(item, &vars);
        if text("hash_behaviour").as_deref() == Some("merge") {
            // The templates in what is there stay templates.
            for (name, value) in &mut vars {
                if let Some(known) = item.view.scope.get(name) {
                    *value = merged(known, value);
                }
            }
        }
        self.state
            .borrow_mut()
            .hosts
            .entry(item.host.clone())
            .or_default()
            .include(&vars);
        let result = Map::from([
            ("ansible_facts".to_owned(), Value::from(vars)),
            ("ansible_included_var_files".to_owned(), Value::from(names)),
        ]);
        Ok(ItemEnd::new(Status::Ok, result))
    }
}

/// The files of a folder that `include_vars` takes, in its order.
fn folder_files(dir: &Path, args: &Value, item: &Item) -> Result<Vec<PathBuf>, String> {
    let texts = |key: &str| match args.get(key) {
        Some(Value::List(items)) => Some(items.iter().filter_map(plain_text).collect()),
        Some(value) => plain_text(value).map(|text| vec![text]),
        None => None,
    };
    let regex = |text: &str| {
        regex::Regex::new(text).map_err(|_| format!("Invalid regular expression: {text}"))
    };
    let wanted = args.get("files_matching").and_then(plain_text);
    let wanted = wanted.map(|text| regex(&text)).transpose()?;
    let ignored = texts("ignore_files").unwrap_or_default();
    let ignored = ignored.iter().map(|text| regex(&format!("{text}$")));
    let ignored = ignored.collect::<Result<Vec<_>, _>>()?;
    let extensions: Vec<String> =
        texts("extensions").unwrap_or_else(|| EXTENSIONS.iter().map(|e| (*e).to_owned()).collect());
    let forgives = args
        .get("ignore_unknown_extensions")
        .and_then(Value::to_bool)
        == Some(true);
    let depth = args.get("depth").and_then(Value::as_int).unwrap_or(0);
    let own_main = item
        .task
        .role
        .as_ref()
        .map(|role| Path::new(&role.path).join("vars/main.yml"));
    let mut taken = Vec::new();
    for path in walk(dir, usize::try_from(depth).unwrap_or(0))? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if own_main.as_ref() == Some(&path)
            || wanted.as_ref().is_some_and(|regex| !regex.is_match(&name))
            || ignored.iter().any(|regex| regex.is_match(&name))
        {
            continue;
        }
        if extensions.contains(&extension) {
            taken.push(path);
        } else if !forgives {
            return Err(format!(
                "{} does not have a valid extension: {}",
                path.display(),
                extensions.join(", ")
            ));
        }
    }
    Ok(taken)
}

/// All files below a folder: folder by folder in order of their paths; `depth` 0 goes all the way.
fn walk(dir: &Path, depth: usize) -> Result<Vec<PathBuf>, String> {
    let mut folders = vec![(dir.to_owned(), 1)];
    let mut groups: Vec<(PathBuf, Vec<PathBuf>)> = Vec::new();
    while let Some((folder, level)) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut files = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_file() {
                files.push(path);
            } else if path.is_dir() && (depth == 0 || level < depth) {
                folders.push((path, level + 1));
            }
        }
        files.sort();
        groups.push((folder, files));
    }
    groups.sort();
    Ok(groups.into_iter().flat_map(|(_, files)| files).collect())
}

/// `set_stats`: custom statistics are reported as a result.
pub(super) fn set_stats(args: &Value) -> ItemEnd {
    let mut stats = args.as_map().cloned().unwrap_or_default();
    for (name, default) in [("per_host", false), ("aggregate", true)] {
        let given = stats.get(name).and_then(Value::to_bool);
        stats.insert(name.to_owned(), Value::Bool(given.unwrap_or(default)));
    }
    let result = Map::from([("ansible_stats".to_owned(), Value::from(stats))]);
    ItemEnd::new(Status::Ok, result)
}

/// What Python calls the type of a value.
fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Str(_) => "str",
        Value::List(_) => "list",
        Value::Map(_) => "dict",
    }
}

fn bad_name(name: &str, of: &str) -> Early {
    let why = "Variables must start with a letter or underscore character, and contain only \
               letters, numbers and underscores.";
    Problem::new(format!("Invalid variable name '{name}'{of}. {why}")).into()
}
