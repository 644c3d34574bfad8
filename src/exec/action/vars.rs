//! `set_fact`, `include_vars`, `set_stats`.

use super::super::controller::Problem;
use super::super::end::ItemEnd;
use super::super::item::{Early, Item};
use super::super::run::{Run, plain_text};
use crate::event::Status;
use crate::value::{Map, Value};

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
                Some(value) => plain_text(&value).unwrap_or_default(),
                None => continue,
            };
            if !is_variable_name(&name) {
                return Err(Problem::new(format!(
                    "The variable name '{name}' is not valid. Variables must start with a letter \
                     or underscore character, and contain only letters, numbers and underscores."
                ))
                .into());
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

    /// `include_vars`: a file, or the files of a folder in order of their names.
    pub(super) fn include_vars(&self, item: &Item, args: &Value) -> Result<ItemEnd, Early> {
        let text = |key: &str| args.get(key).and_then(plain_text);
        let mut files = Vec::new();
        let fail = |why: String| Early::from(ItemEnd::failed(why));
        if let Some(dir) = text("dir") {
            let dir = self
                .controller
                .find_file("vars", &dir, &item.view.search)
                .map_err(fail)?;
            let wanted = text("files_matching").and_then(|p| regex::Regex::new(&p).ok());
            let entries = std::fs::read_dir(&dir)
                .map_err(|error| fail(format!("{}: {error}", dir.display())))?;
            files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| {
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
                path.is_file()
                    && EXTENSIONS.contains(&extension.as_str())
                    && wanted.as_ref().is_none_or(|regex| regex.is_match(&name))
            }));
            files.sort();
        } else {
            let file = text("file")
                .or_else(|| text("_raw_params"))
                .ok_or_else(|| {
                    fail("include_vars needs `file`, `dir` or a file name".to_owned())
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

/// `set_stats`: custom statistics are reported as a result.
pub(super) fn set_stats(args: &Value) -> ItemEnd {
    let result = Map::from([("ansible_stats".to_owned(), args.clone())]);
    ItemEnd::new(Status::Ok, result)
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}
