//! `pause`.

use super::super::ask::{Answer, Question, TextQuestion};
use super::super::end::ItemEnd;
use super::super::halt::Flow;
use super::super::item::Item;
use super::super::run::{Run, plain_text};
use crate::event::Status;
use crate::value::{Map, Value};

impl Run {
    /// `pause`: for some time, or until a person answers.
    pub(super) async fn pause(&self, item: &Item, args: &Value) -> Flow<ItemEnd> {
        let number = |key: &str| {
            args.get(key)
                .and_then(plain_text)
                .and_then(|t| t.trim().parse::<f64>().ok())
        };
        let seconds = number("seconds").or_else(|| number("minutes").map(|m| m * 60.0));
        let prompt = args.get("prompt").and_then(plain_text);
        let is_hidden = args.get("echo").and_then(Value::to_bool) == Some(false);
        let mut result = Map::from([
            ("echo".to_owned(), Value::Bool(!is_hidden)),
            ("rc".to_owned(), Value::Int(0)),
            ("stderr".to_owned(), "".into()),
        ]);
        let began = self.port.now().millis;
        if let (Some(seconds), None) = (seconds, &prompt) {
            if !item.is_check {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a duration in milliseconds, not negative"
                )]
                self.port.sleep((seconds.max(0.0) * 1000.0) as u64).await;
            }
            result.insert(
                "stdout".into(),
                format!("Paused for {seconds} seconds").into(),
            );
            result.insert("delta".into(), self.seconds_since(began));
            return Ok(ItemEnd::new(Status::Ok, result));
        }
        if item.is_check {
            return Ok(ItemEnd::new(
                Status::Skipped,
                super::super::end::message("check mode does not pause"),
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a duration in seconds, not negative"
        )]
        let question = TextQuestion {
            prompt: prompt.unwrap_or_else(|| "Press enter to continue".to_owned()),
            is_secret: is_hidden,
            seconds: seconds.map(|s| s.max(0.0) as u32),
            ..TextQuestion::default()
        };
        let text = match self.ask(Question::Text(question)).await? {
            Answer::Text(text) => text,
            _ => String::new(),
        };
        result.insert("user_input".into(), text.into());
        result.insert("delta".into(), self.seconds_since(began));
        Ok(ItemEnd::new(Status::Ok, result))
    }

    /// Whole seconds, at least one, as Ansible counts a pause.
    fn seconds_since(&self, began_ms: u64) -> Value {
        let seconds = self.port.now().millis.saturating_sub(began_ms) / 1000;
        Value::Int(i64::try_from(seconds.max(1)).unwrap_or(i64::MAX))
    }
}
