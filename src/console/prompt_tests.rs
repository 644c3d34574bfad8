//! Which key does what, without a terminal.

use std::collections::VecDeque;
use std::time::Duration;

use super::keys::Key;
use super::prompt::{Terminal, ask};
use crate::event::{Report, Status};
use crate::exec::ask::{
    Answer, FailureQuestion, GateQuestion, HostGroup, PauseQuestion, Question, TaskQuestion,
    TextQuestion, WayOffer, WaysQuestion, WordQuestion,
};
use crate::report::Look;
use crate::value::{Map, Value};

/// What is pressed or typed, in order.
#[derive(Clone)]
enum Input {
    Key(Key),
    Line(&'static str),
    Chosen(Vec<usize>),
    TakenBack,
}

/// A terminal with a script; it fails the test when more is asked than was given.
struct Script {
    input: VecDeque<Input>,
    shown: String,
    settled: usize,
}

impl Script {
    fn next(&mut self) -> Input {
        self.input
            .pop_front()
            .unwrap_or_else(|| panic!("nothing is left to press after:\n{}", self.shown))
    }

    fn line_of(&mut self, prompt: &str) -> Option<String> {
        self.show(prompt);
        match self.next() {
            Input::Line(line) => Some(line.to_owned()),
            Input::TakenBack => None,
            _ => panic!("a line was asked for:\n{}", self.shown),
        }
    }
}

impl Terminal for Script {
    fn look(&self) -> Look {
        Look::default().wide(80)
    }
    fn show(&mut self, text: &str) {
        self.shown.push_str(text);
    }
    fn settle(&mut self) {
        self.settled += 1;
    }
    fn key(&mut self) -> Key {
        match self.next() {
            Input::Key(key) => key,
            _ => panic!("a key was asked for:\n{}", self.shown),
        }
    }
    fn key_within(&mut self, _: Duration) -> Option<Key> {
        match self.next() {
            Input::Key(key) => Some(key),
            _ => None,
        }
    }
    fn line(&mut self, prompt: &str) -> Option<String> {
        self.line_of(prompt)
    }
    fn secret(&mut self, prompt: &str, _: bool) -> Option<String> {
        self.line_of(prompt)
    }
    fn word(&mut self, prompt: &str) -> Option<String> {
        self.line_of(prompt)
    }
    fn choose(&mut self, _: &str, _: &[String]) -> Option<Vec<usize>> {
        match self.next() {
            Input::Chosen(chosen) => Some(chosen),
            _ => None,
        }
    }
}

/// Characters are keys, a newline is Enter.
fn keys(text: &str) -> Vec<Input> {
    let key = |c| Input::Key(if c == '\n' { Key::Enter } else { Key::Char(c) });
    text.chars().map(key).collect()
}

fn run(question: &Question, input: Vec<Input>) -> (Answer, String) {
    let mut terminal = Script {
        input: input.into(),
        shown: String::new(),
        settled: 0,
    };
    let answer = ask(&mut terminal, question);
    assert!(
        terminal.input.is_empty(),
        "not all was read:\n{}",
        terminal.shown
    );
    assert!(terminal.settled > 0, "type-ahead was not thrown away");
    (answer, terminal.shown)
}

fn task() -> Question {
    Question::Task(Box::new(TaskQuestion {
        name: "Copy postgresql.conf".into(),
        number: 9,
        total: 23,
        groups: vec![HostGroup {
            hosts: vec!["db1".into(), "db2\u{1b}[2J".into()],
            does: "template pg.conf".into(),
            diff: vec!["-a\n+b\n".into(), "+more\n".repeat(20)],
            details: vec!["become postgres".into()],
        }],
        undo: "restore the saved copy".into(),
        window_left_s: Some(-90),
        ways_back: vec!["undo: 8 steps".into()],
        ..TaskQuestion::default()
    }))
}

fn failure(is_safe_to_retry: bool) -> Question {
    let long: String = (0..40).fold(String::new(), |text, i| text + &format!("line {i}\n"));
    let report = Report {
        status: Status::Failed,
        is_ignored: false,
        result: Value::from(Map::from_iter([
            ("msg".to_owned(), "no space".into()),
            ("stderr".to_owned(), long.into()),
            ("rc".to_owned(), 1.into()),
        ])),
        diff: vec![],
        summary: String::new(),
        duration_ms: 1,
        attempts: 1,
        delegate: None,
    };
    Question::Failure(Box::new(FailureQuestion {
        name: "t".into(),
        groups: vec![(vec!["db1".into()], report)],
        hosts_total: 3,
        is_safe_to_retry,
        ..FailureQuestion::default()
    }))
}

fn reason(reason: &str) -> String {
    reason.to_owned()
}

#[test]
fn one_key_answers_and_enter_never_does() {
    for (pressed, answer) in [
        ("y", Answer::Run),
        ("\n\n\ny", Answer::Run),
        ("zy", Answer::Run),
        ("ay", Answer::RestOfPlay),
        ("any", Answer::Run),
        ("cy", Answer::RestOfPlaybook),
        ("a\ny", Answer::RestOfPlay),
        ("p", Answer::Pause),
        ("R", Answer::RollBack),
        ("q", Answer::Stop),
    ] {
        assert_eq!(run(&task(), keys(pressed)).0, answer, "{pressed:?}");
    }
    let interrupt = vec![Input::Key(Key::Interrupt)];
    assert_eq!(run(&task(), interrupt).0, Answer::Pause);
    let gone = vec![Input::Key(Key::Gone)];
    assert_eq!(run(&task(), gone).0, Answer::Stop);
}

#[test]
fn the_screen_has_what_a_person_needs_and_nothing_from_a_host_steers_it() {
    let (_, shown) = run(&task(), keys("y"));
    for part in [
        "t9  Copy postgresql.conf",
        "9/23",
        "db1  db2\\x1b[2J",
        "template pg.conf",
        "+b",
        "[d] shows 10 more lines",
        "undo    restore the saved copy",
        "usual time unknown",
        "window OVER since 1m30s",
        "back    undo: 8 steps",
        "[y]run",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'));
    let (_, all) = run(&task(), keys("dvy"));
    assert_eq!(
        all.matches("+more").count() - shown.matches("+more").count(),
        20
    );
    assert!(all.contains("become postgres"), "{all}");
}

#[test]
fn skipping_asks_why_and_nothing_typed_takes_it_back() {
    let skip = |line| [keys("n"), vec![line]].concat();
    let said = run(&task(), skip(Input::Line(" done by hand ")));
    assert_eq!(
        said.0,
        Answer::Skip {
            reason: reason("done by hand")
        }
    );
    for line in [Input::Line(""), Input::TakenBack] {
        let mut input = skip(line);
        input.extend(keys("y"));
        assert_eq!(run(&task(), input).0, Answer::Run);
    }
}

#[test]
fn hosts_are_chosen_and_the_others_skipped_with_a_reason() {
    let choose = |chosen: Vec<usize>| {
        let line = Input::Line("disk swap");
        [keys("h"), vec![Input::Chosen(chosen), line]].concat()
    };
    let answer = run(&task(), choose(vec![0])).0;
    let hosts = vec!["db2\u{1b}[2J".to_owned()];
    assert_eq!(
        answer,
        Answer::SkipHosts {
            hosts,
            reason: reason("disk swap")
        }
    );
    let answer = run(&task(), choose(vec![])).0;
    assert_eq!(
        answer,
        Answer::Skip {
            reason: reason("disk swap")
        }
    );
    let all = [keys("h"), vec![Input::Chosen(vec![0, 1])], keys("q")].concat();
    assert_eq!(run(&task(), all).0, Answer::Stop);
}

#[test]
fn abort_is_typed() {
    let abort = |line| [keys("A"), vec![Input::Line(line)]].concat();
    assert_eq!(run(&task(), abort("abort")).0, Answer::Abort);
    let mut wrong = abort("yes");
    wrong.extend(keys("y"));
    assert_eq!(run(&task(), wrong).0, Answer::Run);
}

#[test]
fn a_failure_is_shown_and_decided() {
    for (pressed, answer) in [
        ("r", Answer::Retry),
        ("\nr", Answer::Retry),
        ("y", Answer::Run),
        ("R", Answer::RollBack),
        ("p", Answer::Pause),
        ("q", Answer::Stop),
    ] {
        assert_eq!(run(&failure(true), keys(pressed)).0, answer, "{pressed:?}");
    }
    let exclude = [keys("x"), vec![Input::Line("dead disk")]].concat();
    let answer = run(&failure(true), exclude).0;
    assert_eq!(
        answer,
        Answer::Exclude {
            reason: reason("dead disk")
        }
    );
    let (_, shown) = run(&failure(true), keys("q"));
    for part in [
        "not done on 1 of 3 hosts",
        "FAILED on db1",
        "no space",
        "last 8 of 40 lines",
        "line 39",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    assert!(!shown.contains("line 31\n"), "{shown}");
    let (_, all) = run(&failure(true), keys("oq"));
    assert!(all.contains("line 0\n"), "{all}");
}

#[test]
fn what_is_not_safe_to_retry_asks_again() {
    assert_eq!(run(&failure(false), keys("ry")).0, Answer::Retry);
    assert_eq!(run(&failure(false), keys("rnq")).0, Answer::Stop);
}

fn gate(holds: bool) -> Question {
    Question::PointOfNoReturn(Box::new(GateQuestion {
        name: "open writes".into(),
        reason: "17 takes writes".into(),
        requirements: vec![("backup".into(), holds, "41m".into())],
        seals: vec!["t3 copy".into()],
        word: "orders".into(),
        ..GateQuestion::default()
    }))
}

#[test]
fn a_point_of_no_return_takes_the_exact_word() {
    let type_in = |lines: &[&'static str]| lines.iter().map(|l| Input::Line(l)).collect::<Vec<_>>();
    let (answer, shown) = run(&gate(true), type_in(&["orders"]));
    assert_eq!(answer, Answer::Run);
    for part in [
        "POINT OF NO RETURN",
        "17 takes writes",
        "[ok] backup   41m",
        "t3 copy",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    assert_eq!(
        run(&gate(true), type_in(&["Orders", "orders ", " orders"])).0,
        Answer::Pause
    );
    assert_eq!(run(&gate(true), type_in(&["y", "orders"])).0, Answer::Run);
    assert_eq!(run(&gate(true), type_in(&[""])).0, Answer::Pause);
    assert_eq!(run(&gate(true), vec![Input::TakenBack]).0, Answer::Pause);
}

#[test]
fn a_point_of_no_return_whose_requirements_fail_cannot_be_passed() {
    let (answer, shown) = run(&gate(false), keys("y\nyq"));
    assert_eq!(answer, Answer::Stop);
    assert!(
        shown.contains("[NO] backup") && shown.contains("cannot be passed"),
        "{shown}"
    );
}

/// What runs is ended by a key and a word, and where nothing runs the key does nothing.
#[test]
fn the_pause_screen_ends_what_runs_after_a_word() {
    let paused = |signal| {
        Question::Pause(Box::new(PauseQuestion {
            why: "Ctrl-C".into(),
            signal,
            ..PauseQuestion::default()
        }))
    };
    let typing = |word| [keys("x"), vec![Input::Line(word)]].concat();
    let (answer, shown) = run(&paused(Some("KILL")), typing("cancel"));
    assert_eq!(answer, Answer::Cancel);
    assert!(shown.contains("with KILL"), "{shown}");
    let nothing_typed = [typing(""), keys("y")].concat();
    assert_eq!(
        run(&paused(Some("TERM")), nothing_typed).0,
        Answer::Continue
    );
    assert_eq!(run(&paused(None), keys("xy")).0, Answer::Continue);
}

#[test]
fn the_pause_screen_goes_on_or_stops() {
    let pause = Question::Pause(Box::new(PauseQuestion {
        why: "Ctrl-C".into(),
        ..PauseQuestion::default()
    }));
    assert_eq!(run(&pause, keys("\ny")).0, Answer::Continue);
    assert_eq!(run(&pause, keys("pR")).0, Answer::RollBack);
    assert_eq!(
        run(&pause, vec![Input::Key(Key::Interrupt)]).0,
        Answer::Stop
    );
}

#[test]
fn an_illegal_way_back_is_refused_with_its_reason() {
    let way = |name: &str, is_legal| WayOffer {
        name: name.into(),
        is_legal,
        conditions: vec![("reserve stopped".into(), is_legal, "it runs".into())],
        ..WayOffer::default()
    };
    let ways = Question::WayBack(Box::new(WaysQuestion {
        ways: vec![way("undo", true), way("reserve", false)],
    }));
    let (answer, shown) = run(&ways, keys("2\n91"));
    assert_eq!(answer, Answer::Way("undo".into()));
    assert!(
        shown.contains("`reserve` is refused:\n   [NO] reserve stopped: it runs"),
        "{shown}"
    );
    assert_eq!(run(&ways, vec![Input::Key(Key::Escape)]).0, Answer::Pause);
}

#[test]
fn text_and_words() {
    let text = |q| Question::Text(q);
    let plain = TextQuestion {
        prompt: "version".into(),
        default: Some("17".into()),
        ..TextQuestion::default()
    };
    assert_eq!(
        run(&text(plain.clone()), vec![Input::Line("")]).0,
        Answer::Text("17".into())
    );
    assert_eq!(run(&text(plain), vec![Input::TakenBack]).0, Answer::Stop);
    let timed = TextQuestion {
        seconds: Some(5),
        ..TextQuestion::default()
    };
    assert_eq!(
        run(&text(timed.clone()), vec![Input::TakenBack]).0,
        Answer::Text(String::new())
    );
    assert_eq!(
        run(&text(timed), vec![Input::Key(Key::Interrupt)]).0,
        Answer::Stop
    );
    let word = Question::Word(WordQuestion {
        warning: "release db4".into(),
        word: "db4".into(),
    });
    assert_eq!(
        run(&word, vec![Input::Line("db4")]).0,
        Answer::Text("db4".into())
    );
    assert_eq!(run(&word, vec![Input::Line("")]).0, Answer::Pause);
}

/// All questions, with this text wherever text comes from outside.
fn hostile(text: &str) -> Vec<(Question, Vec<Input>)> {
    let text = || text.to_owned();
    let condition = || vec![(text(), false, text())];
    let report = Report {
        status: Status::Failed,
        is_ignored: false,
        result: Value::from(Map::from_iter(
            ["msg", "stderr", "stdout", "cmd"].map(|k| (k.to_owned(), text().into())),
        )),
        diff: vec![text()],
        summary: text(),
        duration_ms: 1,
        attempts: 1,
        delegate: None,
    };
    let task = TaskQuestion {
        name: text(),
        play: text(),
        groups: vec![HostGroup {
            hosts: vec![text()],
            does: text(),
            diff: vec![text()],
            details: vec![text()],
        }],
        unchanged: vec![text()],
        notifies: vec![text()],
        undo: text(),
        ways_back: vec![text()],
        ..TaskQuestion::default()
    };
    let failure = FailureQuestion {
        name: text(),
        groups: vec![(vec![text()], report)],
        ways_back: vec![text()],
        ..FailureQuestion::default()
    };
    let gate = GateQuestion {
        name: text(),
        reason: text(),
        requirements: condition(),
        seals: vec![text()],
        ways_back: vec![text()],
        ..GateQuestion::default()
    };
    let pause = PauseQuestion {
        why: text(),
        running: vec![text()],
        signal: Some("TERM"),
        next: text(),
        status: vec![text()],
    };
    let way = WayOffer {
        name: text(),
        is_legal: false,
        conditions: condition(),
        loses: text(),
        steps: vec![text()],
        stays: vec![text()],
    };
    let asked = TextQuestion {
        prompt: text(),
        default: Some(text()),
        ..TextQuestion::default()
    };
    let word = WordQuestion {
        warning: text(),
        word: text(),
    };
    let skip = [keys("dvn"), vec![Input::Line("x")]].concat();
    vec![
        (Question::Task(Box::new(task)), skip),
        (Question::Failure(Box::new(failure)), keys("odq")),
        (Question::PointOfNoReturn(Box::new(gate)), keys("q")),
        (Question::Pause(Box::new(pause)), keys("q")),
        (
            Question::WayBack(Box::new(WaysQuestion { ways: vec![way] })),
            keys("1q"),
        ),
        (Question::Text(asked), vec![Input::Line("x")]),
        (Question::Word(word), vec![Input::TakenBack]),
    ]
}

proptest::proptest! {
    #[test]
    fn no_question_steers_the_terminal(
        text in "([a-z ]|[\x00-\x20]|\x1b\\[[0-9;]*[A-Za-z]|[\u{7f}-\u{9f}\u{202a}-\u{202e}]){0,20}",
    ) {
        for (question, input) in hostile(&text) {
            for c in run(&question, input).1.chars() {
                proptest::prop_assert!(
                    c == '\n' || c == '\t' || crate::report::sanitize::is_harmless(c),
                    "{:?} in {:?}", c, question
                );
            }
        }
    }
}

#[test]
fn rules_and_keys_fit_into_sixty_columns() {
    let look = Look::default().wide(60);
    for (question, _) in hostile("ordinary") {
        let screen = match &question {
            Question::Task(q) => super::screen::task(q, &look),
            Question::Failure(q) => super::screen::failure(q, &look),
            Question::PointOfNoReturn(q) => super::screen::gate(q, &look),
            Question::Pause(q) => super::screen::pause(q, &look),
            Question::WayBack(q) => super::screen::ways(q, &look),
            Question::Text(_) | Question::Word(_) => continue,
        };
        for line in screen.lines() {
            assert!(console::measure_text_width(line) <= 60, "{line}");
        }
    }
    let keys = super::screen::keys(&look, &["[y]run"; 30]);
    assert!(
        keys.lines().count() > 2 && keys.lines().all(|l| l.len() <= 60),
        "{keys}"
    );
}
