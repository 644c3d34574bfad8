//! Every event as a line of JSON: `{"v":1,"seq":N,"ts":"TIME","event":"…",…}`.
//!
//! Lossless: text from hosts is as it was, with every character that could steer a terminal as a
//! JSON escape.

use std::io::Write;

use chrono::SecondsFormat;
use serde_json::Value;

use super::{Clock, Reporter, Sink, sanitize};
use crate::event::Event;

/// Version of the lines.
const VERSION: u32 = 1;

/// Writes events as JSON.
pub struct Ndjson {
    sink: Sink,
    clock: Clock,
    seq: u64,
    failure: Option<String>,
}

impl Ndjson {
    /// Writes to `to`.
    pub fn new(to: impl Write + Send + 'static, clock: Clock) -> Self {
        Self {
            sink: Sink::new(to),
            clock,
            seq: 0,
            failure: None,
        }
    }
}

impl Reporter for Ndjson {
    fn on(&mut self, event: &Event) {
        self.seq += 1;
        let ts = (self.clock)().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut line = serde_json::Map::from_iter([
            ("v".to_owned(), VERSION.into()),
            ("seq".to_owned(), self.seq.into()),
            ("ts".to_owned(), ts.into()),
        ]);
        match serde_json::to_value(event) {
            Ok(Value::Object(fields)) => line.extend(fields),
            Ok(other) => {
                line.insert("event".to_owned(), other);
            }
            Err(e) => {
                self.failure.get_or_insert(e.to_string());
            }
        }
        let text = escaped(&Value::Object(line).to_string());
        self.sink.put(&(text + "\n"));
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone().or_else(|| self.sink.failure())
    }
}

/// JSON with the characters that could steer a terminal as `\u` escapes. They stand only inside
/// strings, as JSON without layout has no such character elsewhere.
fn escaped(json: &str) -> String {
    if json.chars().all(sanitize::is_harmless) {
        return json.to_owned();
    }
    json.chars()
        .map(|c| {
            if sanitize::is_harmless(c) {
                c.to_string()
            } else {
                format!("\\u{:04x}", u32::from(c))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::sink::Shared;
    use super::*;

    #[test]
    fn a_line_is_json_gives_the_event_back_and_steers_nothing() {
        let event = Event::Notice {
            is_warning: true,
            text: "\u{1b}[2J\u{9b}x\u{202e}\u{7f}ü\n".into(),
        };
        let out = Shared::default();
        let mut ndjson = Ndjson::new(out.clone(), Box::new(|| DateTime::UNIX_EPOCH));
        ndjson.on(&event);
        ndjson.on(&event);
        let text = out.text();
        assert!(
            text.chars().all(|c| c == '\n' || sanitize::is_harmless(c)),
            "{text:?}"
        );
        let lines: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines[1]["seq"], 2);
        assert_eq!(lines[0]["ts"], "1970-01-01T00:00:00.000Z");
        let back: Event = serde_json::from_value(lines[0].clone()).unwrap();
        assert_eq!(back, event);
    }
}
