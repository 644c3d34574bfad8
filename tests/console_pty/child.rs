//! What runs on the pseudo-terminal: one question, or a small run.

use std::io::Write;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use chrono::DateTime;
use console::Term;
use switchback::console::{Console, Options, Request};
use switchback::event::{Event, Report, Stats, Status};
use switchback::exec::ask::{
    Answer, GateQuestion, HostGroup, PauseQuestion, Question, TaskQuestion, TextQuestion,
};
use switchback::model::StepId;
use switchback::report::Look;
use switchback::value::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};

/// Plays a scenario on the terminal that this process has.
pub(crate) fn play(scenario: &str) {
    match scenario {
        "task" => answered(&ask(task())),
        "late" => {
            say("about to ask");
            pause(Duration::from_millis(500));
            answered(&ask(task()));
        }
        "gate" => answered(&ask(gate())),
        "secret" => match ask(secret()) {
            Answer::Text(text) => say(&format!("ANSWER {} letters", text.len())),
            other => answered(&other),
        },
        "run" => run(),
        "interrupt" => interrupt(),
        "closed" => {
            let (console, _requests) = console();
            start(&console);
            pause(Duration::from_millis(300));
            console.close();
            say("CLOSED");
        }
        "panic" => {
            let (console, _requests) = console();
            start(&console);
            pause(Duration::from_millis(300));
            panic!("a bug");
        }
        other => panic!("no scenario `{other}`"),
    }
}

fn console() -> (Console, Receiver<Request>) {
    let (to, from) = channel();
    let look = Look::from_env(&|name| std::env::var_os(name), true, 80);
    let options = Options::stdout(look, move |request| {
        let _ = to.send(request);
    });
    (Console::new(options).unwrap(), from)
}

fn ask(question: Question) -> Answer {
    let (console, _requests) = console();
    let answer = console.handle().ask(question);
    console.close();
    answer
}

fn say(line: &str) {
    let _ = writeln!(Term::stdout(), "{line}");
}

fn answered(answer: &Answer) {
    say(&format!("ANSWER {answer:?}"));
}

fn pause(wait: Duration) {
    std::thread::park_timeout(wait);
}

fn task() -> Question {
    let added: String = (0..20).fold(String::new(), |text, i| text + &format!("+setting {i}\n"));
    Question::Task(Box::new(TaskQuestion {
        name: "Copy postgresql.conf".into(),
        number: 9,
        total: 23,
        groups: vec![HostGroup {
            hosts: vec!["db1".into(), "db2".into()],
            does: "template pg.conf -> /etc/postgresql.conf".into(),
            diff: vec![format!("--- before\n+++ after\n{added}")],
            details: vec![],
        }],
        undo: "restore the saved copy".into(),
        ..TaskQuestion::default()
    }))
}

fn gate() -> Question {
    Question::PointOfNoReturn(Box::new(GateQuestion {
        name: "open writes".into(),
        reason: "the new cluster takes writes".into(),
        word: "orders".into(),
        ..GateQuestion::default()
    }))
}

fn secret() -> Question {
    Question::Text(TextQuestion {
        prompt: "vault password".into(),
        is_secret: true,
        confirms: true,
        ..TextQuestion::default()
    })
}

fn step() -> StepId {
    StepId("site.yml/0/tasks/0".into())
}

fn start(console: &Console) {
    let hosts = vec!["db1".to_owned(), "db2".to_owned()];
    let handle = console.handle();
    handle.show(&Event::RunStarted {
        run: "0197-run".into(),
        at: DateTime::UNIX_EPOCH,
        playbook: "site.yml".into(),
        plays: 1,
        change: None,
        is_check: false,
        journal: None,
    });
    handle.show(&Event::TaskStarted {
        step: step(),
        name: "pg_upgrade".into(),
        module: "command".into(),
        place: None,
        is_handler: false,
        hosts: hosts.clone(),
        at: DateTime::UNIX_EPOCH,
    });
    for host in hosts {
        handle.show(&Event::HostStarted {
            host: host.clone(),
            step: step(),
        });
        handle.show(&Event::Output {
            host,
            step: step(),
            is_stderr: false,
            text: "Copying user relation files\n".into(),
        });
    }
}

fn finish(console: &Console) {
    let handle = console.handle();
    let mut stats = Stats::default();
    for host in ["db1", "db2"] {
        let report = Report {
            status: Status::Changed,
            is_ignored: false,
            result: Value::from(Map::new()),
            diff: vec![],
            summary: String::new(),
            duration_ms: 10,
            attempts: 1,
            delegate: None,
        };
        stats.count(host, &report);
        handle.show(&Event::HostFinished {
            host: host.into(),
            step: step(),
            name: "pg_upgrade".into(),
            report,
        });
    }
    handle.show(&Event::RunFinished {
        run: "0197-run".into(),
        at: DateTime::UNIX_EPOCH,
        stats,
        exit_code: 0,
        open: vec![],
    });
}

/// A task on two hosts that lasts until the operator asks for a pause.
fn run() {
    let (console, requests) = console();
    start(&console);
    let handle = console.handle();
    handle.show(&Event::Progress {
        host: "db2".into(),
        step: step(),
        percent: Some(34),
        text: "292343/858112 kB".into(),
    });
    while requests.recv().unwrap() != Request::Pause {
        handle.show(&Event::Output {
            host: "db1".into(),
            step: step(),
            is_stderr: false,
            text: "Setting next OID\n".into(),
        });
    }
    finish(&console);
    console.close();
    say("REQUEST Pause");
}

/// A task during which Ctrl-C is pressed.
fn interrupt() {
    let (console, _requests) = console();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).unwrap();
        start(&console);
        interrupt.recv().await.unwrap();
        let question = PauseQuestion {
            why: "Ctrl-C".into(),
            ..PauseQuestion::default()
        };
        let question = Question::Pause(Box::new(question));
        console.handle().ask_async(question).await
    });
    finish(&console);
    console.close();
    answered(&answer);
}
