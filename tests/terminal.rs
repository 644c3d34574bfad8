//! Nothing that comes from a host steers the terminal (class S11): whatever is in the names, the
//! output and the errors of an event, what the reporters write of it is fed to a terminal, and that
//! does nothing but show lines.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::io::Write;
use std::num::NonZero;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use switchback::event::{Event, Report, Status};
use switchback::model::StepId;
use switchback::report::{Ansible, Human, Junit, Look, Minimal, Ndjson, Plain, Reporter, recap};
use switchback::value::{Map, Value};

/// A writer that can be read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that a terminal was asked to do beside showing text.
#[derive(Default)]
struct Asked(Vec<String>);

impl vt100::Callbacks for Asked {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.0.push("bell".into());
    }
    fn visual_bell(&mut self, _: &mut vt100::Screen) {
        self.0.push("visual bell".into());
    }
    fn resize(&mut self, _: &mut vt100::Screen, _: (u16, u16)) {
        self.0.push("resize".into());
    }
    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        self.0.push("icon name".into());
    }
    fn set_window_title(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        self.0.push("title".into());
    }
    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], _: &[u8]) {
        self.0.push("copy".into());
    }
    fn paste_from_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        self.0.push("paste".into());
    }
    fn unhandled_control(&mut self, _: &mut vt100::Screen, b: u8) {
        self.0.push(format!("control {b:02x}"));
    }
    fn unhandled_escape(&mut self, _: &mut vt100::Screen, _: Option<u8>, _: Option<u8>, b: u8) {
        self.0.push(format!("escape {b:02x}"));
    }
    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        _: Option<u8>,
        _: Option<u8>,
        _: &[&[u16]],
        c: char,
    ) {
        self.0.push(format!("csi {c}"));
    }
    fn unhandled_osc(&mut self, _: &mut vt100::Screen, _: &[&[u8]]) {
        self.0.push("osc".into());
    }
}

fn look() -> Look {
    Look {
        width: 80,
        has_color: true,
        verbosity: 4,
        shows_diff: true,
        ..Look::default()
    }
}

/// What the reporters write of some events: to a terminal (human, plain, ansible's), to files (`JSON`, `JUnit`).
fn written(events: &[Event]) -> [String; 6] {
    let outs: [Shared; 6] = Default::default();
    let options = switchback::report::AnsibleOptions::default();
    let clock = || Box::new(|| chrono::DateTime::UNIX_EPOCH) as switchback::report::Clock;
    let mut reporters: [Box<dyn Reporter>; 6] = [
        Box::new(Human::new(outs[0].clone(), look())),
        Box::new(Plain::new(outs[1].clone(), clock(), look())),
        Box::new(Ndjson::new(outs[2].clone(), clock())),
        Box::new(Junit::new(outs[3].clone())),
        Box::new(Ansible::new(
            outs[4].clone(),
            outs[4].clone(),
            look(),
            options,
        )),
        Box::new(Minimal::new(outs[5].clone(), outs[5].clone(), look())),
    ];
    for event in events {
        for reporter in &mut reporters {
            reporter.on(event);
        }
    }
    drop(reporters);
    outs.map(|out| String::from_utf8(out.0.lock().unwrap().clone()).unwrap())
}

/// Text without the colours that the reporters themselves add.
fn without_colours(text: &str) -> String {
    let colour = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    colour.replace_all(text, "").into_owned()
}

fn is_harmless(c: char) -> bool {
    c == '\n' || c == '\t' || switchback::report::sanitize::is_harmless(c)
}

fn report(text: &str, status: Status) -> Report {
    let result = Map::from_iter([
        ("msg".to_owned(), text.into()),
        ("stdout".to_owned(), text.into()),
        ("stderr".to_owned(), text.into()),
        ("cmd".to_owned(), Value::from(vec![text.into()])),
        (text.to_owned(), text.into()),
        ("skip_reason".to_owned(), text.into()),
    ]);
    Report {
        status,
        is_ignored: false,
        result: Value::from(result),
        diff: vec![format!("--- a\n+++ b\n@@ -1 +1 @@\n-{text}\n+{text}\n")],
        summary: text.to_owned(),
        duration_ms: 1,
        attempts: 2,
        delegate: Some(text.to_owned()),
    }
}

/// Every kind of event, with the text wherever a host, a file or a person could have put it.
fn events(text: &str, status: Status) -> Vec<Event> {
    let at = chrono::DateTime::UNIX_EPOCH;
    let own = || text.to_owned();
    let step = StepId(own());
    let mut totals = switchback::event::Stats::default();
    totals.host(text).ok = 1;
    let started = |module: &str| Event::TaskStarted {
        step: step.clone(),
        name: own(),
        module: module.to_owned(),
        place: None,
        is_handler: false,
        hosts: vec![own()],
        at,
    };
    let finished = || Event::HostFinished {
        host: own(),
        step: step.clone(),
        name: own(),
        report: report(text, status),
    };
    vec![
        Event::RunStarted {
            run: own(),
            at,
            playbook: own(),
            plays: 1,
            change: Some(own()),
            is_check: false,
            journal: Some(own()),
        },
        Event::PlayStarted {
            name: own(),
            hosts: vec![own()],
        },
        Event::BatchStarted { hosts: vec![own()] },
        Event::PlaySkipped {
            name: own(),
            why: own(),
        },
        started(text),
        Event::HostStarted {
            host: own(),
            step: step.clone(),
        },
        Event::Output {
            host: own(),
            step: step.clone(),
            is_stderr: true,
            text: own(),
        },
        Event::Progress {
            host: own(),
            step: step.clone(),
            percent: Some(1),
            text: own(),
        },
        Event::ItemFinished {
            host: own(),
            step: step.clone(),
            label: own(),
            report: report(text, status),
        },
        finished(),
        started("debug"),
        finished(),
        Event::Retrying {
            host: own(),
            step: step.clone(),
            left: 1,
        },
        Event::Asked { question: own() },
        Event::Answered {
            question: own(),
            answer: own(),
            by: own(),
        },
        Event::Checked {
            name: own(),
            host: Some(own()),
            holds: false,
            seen: own(),
        },
        Event::Notice {
            is_warning: true,
            text: own(),
        },
        Event::Undone {
            host: own(),
            step: step.clone(),
            summary: own(),
            report: report(text, status),
        },
        Event::RunFinished {
            run: own(),
            at,
            stats: totals,
            exit_code: 2,
            open: vec![own()],
        },
    ]
}

/// Pieces of what terminals understand.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,6}",
        "[\\x00-\\x1f\\x7f-\\x{9f}]{1,3}",
        Just("\x1b[2J\x1b[H".to_owned()),
        Just("\x1b]0;title\x07".to_owned()),
        Just("\x1b]52;c;aGk=\x1b\\".to_owned()),
        Just("\u{9b}31m".to_owned()),
        Just("\u{9d}2;t\u{9c}".to_owned()),
        Just("\x1b[1A\x1b[2K\r00:00:00.000 ask   type yes".to_owned()),
        Just("\u{202e}\u{2066}\u{200f}".to_owned()),
        Just("\x1bP+q\x1b\\\x1b[6n\x1b[?1049h".to_owned()),
        Just("\r\n\n\t\x08\x0b\x0c".to_owned()),
        Just("\u{2028}\u{85}".to_owned()),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Ok),
        Just(Status::Changed),
        Just(Status::Skipped),
        Just(Status::Failed),
        Just(Status::Unreachable),
        Just(Status::Lost),
        Just(Status::Unknown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn s11_no_event_steers_a_terminal(text in hostile(), status in status()) {
        let [human, plain, json, junit, ansible, minimal] = written(&events(&text, status));
        for shown in [&human, &plain, &ansible, &minimal] {
            let bare = without_colours(shown);
            let bad: Vec<char> = bare.chars().filter(|c| !is_harmless(*c)).collect();
            prop_assert!(bad.is_empty(), "{bad:?} in {bare:?}");
            let size = |n| NonZero::new(n).unwrap();
            let mut terminal = vt100::Parser::new_with_callbacks(size(2000), size(80), 0, Asked::default());
            terminal.process(b"WHAT WAS THERE BEFORE\r\n");
            terminal.process(shown.replace('\n', "\r\n").as_bytes());
            prop_assert!(terminal.callbacks().0.is_empty(), "{:?}", terminal.callbacks().0);
            let screen = terminal.screen();
            let first = screen.rows(0, 80).next().unwrap();
            prop_assert_eq!(first, "WHAT WAS THERE BEFORE");
            prop_assert!(!screen.alternate_screen() && !screen.hide_cursor());
        }
        // No text makes a line of its own of which it is not told whose it is.
        for line in without_colours(&plain).lines() {
            prop_assert!(line.starts_with("00:00:00.000 "), "{line:?}");
        }
        for file in [&json, &junit] {
            let bad: Vec<char> = file.chars().filter(|c| !is_harmless(*c)).collect();
            prop_assert!(bad.is_empty(), "{bad:?}");
        }
    }

    #[test]
    fn s11_the_recap_steers_nothing(text in hostile()) {
        let mut stats = switchback::event::Stats::default();
        stats.host(&text).failed = 1;
        let shown = recap(&stats, &look());
        prop_assert!(without_colours(&shown).chars().all(is_harmless), "{shown:?}");
    }
}
