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
        let mut result = Map::new();
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
            return Ok(ItemEnd::new(Status::Ok, result));
        }
        if item.is_check {
            return Ok(ItemEnd::new(
                Status::Skipped,
                super::super::end::message("check mode does not pause"),
            ));
        }
        let is_hidden = args.get("echo").and_then(Value::to_bool) == Some(false);
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
        Ok(ItemEnd::new(Status::Ok, result))
    }
}
