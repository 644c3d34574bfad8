//! `debug` and `fail`.

use super::super::controller::Problem;
use super::super::end::{ItemEnd, message};
use super::super::item::{Early, Item};
use super::super::run::{Run, plain_text};
use crate::event::Status;
use crate::value::{Map, Value};

/// What is shown of a variable that is `omit`.
const OMIT: &str = "<<Omit>>";

impl Run {
    /// `debug`: shows a message or a variable (ansible-core 2.19, `plugins/action/debug.py`).
    pub(super) fn debug(&self, item: &Item, args: &Value) -> Result<ItemEnd, Early> {
        let verbosity = args.get("verbosity").and_then(Value::as_int).unwrap_or(0);
        if verbosity > i64::from(self.settings.verbosity) {
            return Ok(ItemEnd::new(
                Status::Skipped,
                Map::from([(
                    "skipped_reason".to_owned(),
                    "Verbosity threshold not met.".into(),
                )]),
            ));
        }
        if args.get("var").is_some() && args.get("msg").is_some() {
            return Err(Problem::new("parameters are mutually exclusive: msg|var").into());
        }
        let mut result = Map::new();
        let var = match args.get("var") {
            // What comes to `omit` is as if it were not there.
            Some(var @ Value::Str(text)) if text.is_template() => {
                let rendered = self.controller.render(var, &item.view);
                Some(var).filter(|_| !matches!(rendered, Ok(None)))
            }
            other => other,
        };
        if let Some(var) = var {
            let Some(name) = plain_text(var) else {
                return Err(Problem::new(format!(
                    "argument 'var' is of type {} and we were unable to convert to str: '{}' is \
                     not a string and conversion is not allowed",
                    var.type_name(),
                    self.redact(&var.to_masked_json().to_string())
                ))
                .into());
            };
            if let Value::Str(text) = var
                && !text.is_from_user()
            {
                return Err(Problem::new(format!(
                    "Task failed: Finalization of task args for 'ansible.builtin.debug' failed: \
                     Encountered untrusted template or expression: '{name}'"
                ))
                .into());
            }
            let rendered = match var {
                Value::Str(text) if text.is_template() => {
                    self.controller.render(var, &item.view)?.unwrap_or_default()
                }
                _ => self.variable(&name, item)?,
            };
            let is_undefined = rendered
                .as_str()
                .is_some_and(|t| t.starts_with("<< error 1 - "));
            if let Some(text) = rendered.as_str().filter(|_| is_undefined) {
                let what = text.trim_start_matches("<< ").trim_end_matches(" >>");
                let warning = format!("Encountered 1 template error.\n{what}");
                result.insert("warnings".into(), Value::from(vec![warning.into()]));
            }
            if rendered.as_str() == Some(OMIT) {
                let warning = "The result of the `var` expression could not be omitted; a \
                               placeholder was used instead.";
                result.insert("warnings".into(), Value::from(vec![warning.into()]));
            }
            result.insert(name, rendered);
        } else {
            let msg = args
                .get("msg")
                .cloned()
                .unwrap_or_else(|| "Hello world!".into());
            result.insert("msg".into(), msg);
        }
        Ok(ItemEnd::new(Status::Ok, result))
    }

    /// A variable by an expression such as `result.stdout`; what is undefined says so.
    fn variable(&self, expression: &str, item: &Item) -> Result<Value, Early> {
        let template = Value::Str(crate::value::Text::from_user(format!(
            "{{{{ {expression} }}}}"
        )));
        match self.controller.render(&template, &item.view) {
            Ok(value) => Ok(value.unwrap_or_else(|| OMIT.into())),
            Err(problem) if problem.is_undefined => {
                let suffix = format!(", in `{{{{ {expression} }}}}`");
                let what = problem.message.strip_suffix(&suffix);
                let what = what.unwrap_or(&problem.message);
                Ok(format!("<< error 1 - {what} >>").into())
            }
            Err(problem) => Err(problem.into()),
        }
    }
}

/// `fail`.
pub(super) fn fail(args: &Value) -> ItemEnd {
    let msg = args.get("msg").and_then(plain_text);
    let msg = msg.unwrap_or_else(|| "Failed as requested from task".to_owned());
    ItemEnd::new(Status::Failed, message(msg))
}
