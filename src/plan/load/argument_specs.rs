//! The task that goes before a role's own and validates its arguments.
//!
//! Knows where specifications stand and which of them counts; what is wrong with arguments is found
//! by `validate_argument_spec` when the task runs. Source: ansible-core 2.19,
//! `playbook/role/__init__.py`, `_get_role_argspecs` and `_prepend_validation_task`.

use std::path::Path;
use std::sync::Arc;

use super::session::Session;
use crate::diag::Span;
use crate::model::{Action, Args, Field, Item, Keywords, RoleScope, RoleUse, StepId, Task};
use crate::syntax::Node;
use crate::value::{Map, Value};

impl Session<'_> {
    /// The specifications of a role: its file of them, else those in its metadata.
    pub(super) fn argument_specs(&mut self, path: &Path, in_meta: Option<Node>) -> Option<Node> {
        let file = ["yml", "yaml", "json"]
            .iter()
            .map(|ext| path.join("meta").join(format!("argument_specs.{ext}")))
            .find(|file| file.is_file());
        let Some(file) = file else { return in_meta };
        let node = self.loader.read(&file, Span::NONE, &mut self.problems)?;
        node.entry("argument_specs").map(|e| e.value.clone())
    }

    /// The task that validates the arguments of this use of a role, where its entry point has a
    /// specification.
    pub(super) fn validation(
        &mut self,
        role: &RoleUse,
        specs: Option<&Node>,
        scope: &Arc<RoleScope>,
        id: &str,
    ) -> Option<Item> {
        if role.validates == Some(false) {
            return None;
        }
        let specs = specs.filter(|node| !node.is_null())?;
        self.problems.map("argument_specs", specs)?;
        let entry_point = match &role.tasks_from {
            Some(from) => self.known_name(from, &[])?,
            None => "main".to_owned(),
        };
        let entry = specs.entry(&entry_point)?;
        let spec = &entry.value;
        if spec.is_null() || self.problems.map(&entry_point, spec)?.is_empty() {
            return None;
        }
        let options = spec.entry("options").map(|options| &options.value);
        if let Some(options) = options {
            self.problems.map("options", options)?;
        }
        let mut name = format!("Validating arguments against arg spec '{entry_point}'");
        if let Some(short) = spec.entry("short_description")
            && let Some(text) = short.value.as_str()
        {
            name.extend([" - ", text]);
        }
        let options = options.map_or_else(Map::new, Node::to_map);
        let args = Args {
            fields: arguments(role, scope, &entry_point, options),
            ..Args::default()
        };
        let span = entry.key_span;
        let module = Action::Module {
            name: "validate_argument_spec".to_owned(),
            span,
            args,
        };
        let id = StepId(format!("{id}>argument_specs/{entry_point}"));
        Some(Item::Task(Box::new(Task {
            text_hash: spec.content_hash(),
            keywords: Keywords {
                name: Some(Field {
                    value: name.into(),
                    span,
                }),
                tags: vec!["always".to_owned()],
                ..Keywords::default()
            },
            role: Some(scope.clone()),
            folder: scope.path.clone(),
            ..Task::new(id, span, module)
        })))
    }
}

fn arguments(role: &RoleUse, scope: &RoleScope, entry_point: &str, options: Map) -> Map {
    let name = scope.name.rsplit('.').next().unwrap_or(&scope.name);
    let path = std::path::absolute(&scope.path)
        .map_or_else(|_| scope.path.clone(), |path| path.display().to_string());
    let context = Map::from([
        ("type".to_owned(), Value::from("role")),
        ("name".to_owned(), name.into()),
        ("argument_spec_name".to_owned(), entry_point.into()),
        ("path".to_owned(), path.into()),
    ]);
    Map::from([
        ("argument_spec".to_owned(), Value::from(options)),
        ("provided_arguments".to_owned(), role.params.clone().into()),
        ("validate_args_context".to_owned(), context.into()),
    ])
}
