//! Masks secrets in events, whatever part of them they are in.
//!
//! Hosts and steps are names that other events are matched by and stay as they are: they come from
//! the inventory and the playbook.

use super::{Event, Report};
use crate::value::Redactor;

impl Event {
    /// Masks all known secrets, and those known by type.
    pub fn redact(&mut self, redactor: &Redactor) {
        let mask = |text: &mut String| redactor.mask_in(text);
        match self {
            Self::RunStarted {
                playbook, change, ..
            } => {
                mask(playbook);
                change.iter_mut().for_each(mask);
            }
            Self::PlaySkipped { name, why } => {
                mask(name);
                mask(why);
            }
            Self::PlayStarted { name, .. }
            | Self::TaskStarted { name, .. }
            | Self::Meta { name, .. } => mask(name),
            Self::Output { text, .. } | Self::Progress { text, .. } | Self::Notice { text, .. } => {
                mask(text);
            }
            Self::ItemFinished { label, report, .. } => {
                mask(label);
                report.redact(redactor);
            }
            Self::HostFinished { name, report, .. } => {
                mask(name);
                report.redact(redactor);
            }
            Self::Asked { question } => mask(question),
            Self::Answered {
                question, answer, ..
            } => {
                mask(question);
                mask(answer);
            }
            Self::Checked { name, seen, .. } => {
                mask(name);
                mask(seen);
            }
            Self::Undone {
                summary, report, ..
            } => {
                mask(summary);
                report.redact(redactor);
            }
            Self::RunFinished { open, .. } => open.iter_mut().for_each(mask),
            Self::Included { what, label, .. } => {
                mask(what);
                label.iter_mut().for_each(mask);
            }
            Self::BatchStarted { .. }
            | Self::HostStarted { .. }
            | Self::HostsLeft
            | Self::Retrying { .. } => {}
        }
    }
}

impl Report {
    /// As [`Event::redact`].
    pub fn redact(&mut self, redactor: &Redactor) {
        if self.result.has_secret() || !redactor.is_empty() {
            self.result = redactor.mask_value(&self.result);
        }
        redactor.mask_in(&mut self.summary);
        self.diff.iter_mut().for_each(|diff| redactor.mask_in(diff));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Status;
    use crate::model::StepId;
    use crate::value::{Map, Text, Value};

    #[test]
    fn no_part_of_a_report_keeps_a_secret() {
        let mut redactor = Redactor::default();
        redactor.add("hunter22");
        let mut event = Event::ItemFinished {
            host: "a".into(),
            step: StepId("s".into()),
            label: "user=hunter22".into(),
            report: Report {
                status: Status::Changed,
                is_ignored: false,
                result: Value::from(Map::from_iter([
                    ("hunter22".to_owned(), "x hunter22".into()),
                    (
                        "typed".to_owned(),
                        Value::Str(Text::data("t").into_secret()),
                    ),
                ])),
                diff: vec!["+hunter22".into()],
                summary: "sets hunter22".into(),
                duration_ms: 0,
                attempts: 1,
                delegate: None,
            },
        };
        event.redact(&redactor);
        let json = serde_json::to_string(&event).unwrap();
        assert!(
            !json.contains("hunter22") && !json.contains("\"t\""),
            "{json}"
        );
    }
}
