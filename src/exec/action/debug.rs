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
        if let Some(name) = self.debugged(item, args)? {
            let rendered = self.variable(&name, item)?;
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

    /// The expression of `var`; what comes to `omit` is as if it were not there.
    fn debugged(&self, item: &Item, args: &Value) -> Result<Option<String>, Early> {
        let Some(var) = args.get("var") else {
            return Ok(None);
        };
        let (value, is_trusted) = match var {
            Value::Str(text) if text.is_template() => {
                let Some(value) = self.controller.render(var, &item.view)? else {
                    return Ok(None);
                };
                (value, is_text_of_user(text.as_str(), item))
            }
            Value::Str(text) => (var.clone(), text.is_from_user()),
            other => (other.clone(), true),
        };
        let Some(name) = value.as_str() else {
            return Err(Problem::new(format!(
                "argument 'var' is of type {} and we were unable to convert to str: '{}' is not a \
                 string and conversion is not allowed",
                value.type_name(),
                self.redact(&value.to_masked_json().to_string())
            ))
            .into());
        };
        if !is_trusted {
            return Err(Problem::new(
                "Task failed: Error while resolving `var` expression: Encountered untrusted \
                 template or expression.",
            )
            .into());
        }
        Ok(Some(name.to_owned()))
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

/// Whether a template is a variable that holds a text of the user's own, which may be an expression.
fn is_text_of_user(template: &str, item: &Item) -> bool {
    let name = template
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    let known = name.and_then(|name| item.view.scope.get(name.trim()));
    matches!(known, Some(Value::Str(text)) if text.is_from_user() && !text.is_template())
}

/// `fail`.
pub(super) fn fail(args: &Value) -> ItemEnd {
    let msg = args.get("msg").and_then(plain_text);
    let msg = msg.unwrap_or_else(|| "Failed as requested from task".to_owned());
    ItemEnd::new(Status::Failed, message(msg))
}
