//! `assert`.

use super::super::end::{ItemEnd, message};
use super::super::item::{Early, Item};
use super::super::run::{Run, plain_text};
use crate::event::Status;
use crate::value::Value;

impl Run {
    /// `assert`: conditions on variables (ansible-core 2.19, `plugins/action/assert.py`).
    pub(super) fn assert(&self, item: &Item, args: &Value) -> Result<ItemEnd, Early> {
        let that: Vec<Value> = match args.get("that") {
            Some(Value::List(items)) => items.to_vec(),
            Some(value) => vec![value.clone()],
            None => return Ok(ItemEnd::failed("conditional required in \"that\" string")),
        };
        let fail_msg = args.get("fail_msg").or_else(|| args.get("msg"));
        let fail_msg = fail_msg
            .cloned()
            .unwrap_or_else(|| "Assertion failed".into());
        for condition in that {
            let holds = match &condition {
                Value::Bool(b) => *b,
                Value::Str(text) => self.controller.truth(text.as_str(), &item.view)?,
                other => {
                    let text = plain_text(other).unwrap_or_default();
                    self.controller.truth(&text, &item.view)?
                }
            };
            if !holds {
                let mut result = message("");
                result.insert("msg".into(), fail_msg);
                result.insert("assertion".into(), condition);
                result.insert("evaluated_to".into(), Value::Bool(false));
                return Ok(ItemEnd::new(Status::Failed, result));
            }
        }
        let msg = args.get("success_msg").cloned();
        let mut result = message("All assertions passed");
        if let Some(msg) = msg {
            result.insert("msg".into(), msg);
        }
        Ok(ItemEnd::new(Status::Ok, result))
    }
}
