//! `validate_argument_spec`.

use super::super::argument_spec;
use super::super::end::ItemEnd;
use super::super::item::{Early, Item};
use super::super::run::Run;
use crate::event::Status;
use crate::value::{Map, Value};

impl Run {
    /// `validate_argument_spec`: the specification against variables of the same names and what is
    /// given (ansible-core 2.19, `plugins/action/validate_argument_spec.py`).
    pub(super) fn validate_argument_spec(
        &self,
        item: &Item,
        args: &Value,
    ) -> Result<ItemEnd, Early> {
        let map = |name: &str| match args.get(name) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Map(map)) => Ok((**map).clone()),
            Some(other) => Err(Early::from(ItemEnd::failed(format!(
                "Incorrect type for {name}, expected dict and got {}",
                other.type_name()
            )))),
        };
        let (spec, provided) = (map("argument_spec")?, map("provided_arguments")?);
        let mut given = Map::new();
        for name in spec.keys() {
            if let Some(value) = item.view.scope.get(name).cloned()
                && let Some(value) = self.controller.render(&value, &item.view)?
            {
                given.insert(name.clone(), value);
            }
        }
        given.extend(provided);
        let errors = argument_spec::problems(&spec, &given);
        let context = args.get("validate_args_context").cloned();
        let mut result = Map::from([(
            "validate_args_context".to_owned(),
            context.unwrap_or_else(|| Value::from(Map::new())),
        )]);
        if errors.is_empty() {
            result.insert("msg".into(), "The arg spec validation passed".into());
            return Ok(ItemEnd::new(Status::Ok, result));
        }
        let msg = format!("Validation of arguments failed:\n{}", errors.join("\n"));
        result.insert("msg".into(), msg.into());
        result.insert("argument_spec_data".into(), Value::from(spec));
        let errors: Vec<Value> = errors.into_iter().map(Value::from).collect();
        result.insert("argument_errors".into(), Value::from(errors));
        Ok(ItemEnd::new(Status::Failed, result))
    }
}
