//! A `JUnit` file: a suite a play, a test case a task and host. Written when the run ends.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::details::{failure, field, one_line};
use super::{Reporter, Sink, sanitize, word};
use crate::event::{Event, Report, Status};
use crate::model::StepId;

/// Writes a `JUnit` file.
pub struct Junit {
    sink: Sink,
    name: String,
    suites: Vec<TestSuite>,
    places: HashMap<StepId, String>,
    failure: Option<String>,
}

impl Junit {
    /// Writes to `to` at the end of the run.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        Self {
            sink: Sink::new(to),
            name: "switchback".into(),
            suites: Vec::new(),
            places: HashMap::new(),
            failure: None,
        }
    }

    fn add(&mut self, case: TestCase) {
        if self.suites.is_empty() {
            self.suites.push(TestSuite::new("run"));
        }
        if let Some(suite) = self.suites.last_mut() {
            suite.add_test_case(case);
        }
    }

    fn write(&mut self) {
        let mut report = quick_junit::Report::new(self.name.as_str());
        report.add_test_suites(std::mem::take(&mut self.suites));
        match report.to_string() {
            Ok(xml) => self.sink.put(&xml),
            Err(e) => self.failure = Some(e.to_string()),
        }
    }
}

impl Reporter for Junit {
    fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                playbook, change, ..
            } => {
                let name = change.as_ref().unwrap_or(playbook);
                self.name = sanitize::inline(name).into_owned();
            }
            Event::PlayStarted { name, .. } => {
                self.suites.push(TestSuite::new(&*sanitize::inline(name)));
            }
            Event::TaskStarted { step, place, .. } => {
                if let Some(place) = place {
                    self.places.insert(step.clone(), place.to_string());
                }
            }
            Event::HostFinished {
                host,
                step,
                name,
                report,
            } => {
                let mut case = case(host, name, report);
                if let Some(place) = self.places.get(step) {
                    case.extra.insert("file".into(), place.as_str().into());
                }
                self.add(case);
            }
            Event::Undone {
                host,
                summary,
                report,
                ..
            } => self.add(case(host, &format!("undo: {summary}"), report)),
            Event::Checked {
                name,
                host,
                holds,
                seen,
            } => {
                let status = if *holds {
                    TestCaseStatus::success()
                } else {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(&*sanitize::text(seen));
                    status
                };
                let name = format!("condition: {}", sanitize::inline(name));
                let mut case = TestCase::new(name, status);
                case.set_classname(&*sanitize::inline(host.as_deref().unwrap_or("all")));
                self.add(case);
            }
            Event::RunFinished { .. } => self.write(),
            Event::BatchStarted { .. }
            | Event::PlaySkipped { .. }
            | Event::HostStarted { .. }
            | Event::Output { .. }
            | Event::Progress { .. }
            | Event::ItemFinished { .. }
            | Event::Retrying { .. }
            | Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Included { .. }
            | Event::HostsLeft
            | Event::Meta { .. }
            | Event::Notice { .. } => {}
        }
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone().or_else(|| self.sink.failure())
    }
}

fn case(host: &str, name: &str, report: &Report) -> TestCase {
    let mut case = TestCase::new(&*sanitize::inline(name), status(report));
    case.set_classname(&*sanitize::inline(host));
    case.set_time(Duration::from_millis(report.duration_ms));
    if let Some(text) = field(&report.result, "stdout") {
        case.set_system_out(text);
    }
    if let Some(text) = field(&report.result, "stderr") {
        case.set_system_err(text);
    }
    case
}

fn status(report: &Report) -> TestCaseStatus {
    let kind = match report.status {
        Status::Ok | Status::Changed => return TestCaseStatus::success(),
        Status::Skipped | Status::Unknown => {
            let mut status = TestCaseStatus::skipped();
            let why = one_line(report).unwrap_or_else(|| word(report.status).to_lowercase());
            status.set_message(why);
            return status;
        }
        Status::Failed | Status::Unreachable if report.is_ignored => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("ignored: {}", failure(report).join("\n")));
            return status;
        }
        Status::Failed => NonSuccessKind::Failure,
        Status::Unreachable | Status::Lost => NonSuccessKind::Error,
    };
    let lines = failure(report);
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word(report.status).to_lowercase());
    status.set_message(lines.first().cloned().unwrap_or_default());
    status.set_description(lines.join("\n"));
    status
}

#[cfg(test)]
mod tests {
    use super::super::sink::Shared;
    use super::*;
    use crate::event::Stats;
    use crate::value::{Map, Value};

    fn finished(host: &str, status: Status, msg: &str) -> Event {
        Event::HostFinished {
            host: host.into(),
            step: StepId("s".into()),
            name: "copy <it>".into(),
            report: Report {
                status,
                is_ignored: false,
                result: Value::from(Map::from_iter([("msg".to_owned(), msg.into())])),
                diff: vec![],
                summary: String::new(),
                duration_ms: 1500,
                attempts: 1,
                delegate: None,
            },
        }
    }

    #[test]
    fn a_case_a_task_and_host_with_the_reason_of_each_failure() {
        let out = Shared::default();
        let mut junit = Junit::new(out.clone());
        junit.on(&Event::RunStarted {
            run: "r".into(),
            at: chrono::DateTime::UNIX_EPOCH,
            playbook: "web.yml".into(),
            plays: 1,
            change: None,
            is_check: false,
            journal: None,
        });
        junit.on(&Event::PlayStarted {
            name: "web".into(),
            hosts: vec![],
        });
        junit.on(&finished("db1", Status::Changed, ""));
        junit.on(&finished("db2", Status::Failed, "no \u{1b}[2Jspace"));
        junit.on(&finished("db3", Status::Lost, "link cut"));
        junit.on(&finished("db4", Status::Skipped, "not here"));
        assert_eq!(out.text(), "", "nothing before the end");
        junit.on(&Event::RunFinished {
            run: "r".into(),
            at: chrono::DateTime::UNIX_EPOCH,
            stats: Stats::default(),
            exit_code: 2,
            open: vec![],
        });
        let xml = out.text();
        for part in [
            r#"<testsuites name="web.yml" tests="4" skipped="1" failures="1" errors="1">"#,
            r#"<testsuite name="web""#,
            r#"classname="db2""#,
            r#"message="no \x1b[2Jspace""#,
            r#"<error message="link cut" type="lost">"#,
            r#"<skipped message="not here"/>"#,
            r#"name="copy &lt;it&gt;""#,
        ] {
            assert!(xml.contains(part), "{part} in {xml}");
        }
        assert!(Reporter::failure(&junit).is_none());
    }
}
