//! Asks a question and returns the answer: which key does what.
//!
//! Works on any [`Terminal`], so that keys can be tried without one.

use std::time::{Duration, Instant};

use super::keys::Key;
use super::screen;
use crate::exec::ask::{
    Answer, FailureQuestion, GateQuestion, PauseQuestion, Question, TaskQuestion, TextQuestion,
    WaysQuestion, WordQuestion,
};
use crate::report::{Look, Tone, sanitize};

/// Wrong words before a gate gives up.
const WORD_TRIES: usize = 3;
/// What the operator types to abort.
const ABORT: &str = "abort";

/// What a prompt needs of a terminal.
pub(super) trait Terminal {
    /// How text is dressed now.
    fn look(&self) -> Look;
    /// Shows text.
    fn show(&mut self, text: &str);
    /// Throws away what was typed until now, and what is typed in the first instant after.
    fn settle(&mut self);
    /// Waits for a key.
    fn key(&mut self) -> Key;
    /// Waits for a key for so long.
    fn key_within(&mut self, wait: Duration) -> Option<Key>;
    /// Reads a line; `None`: taken back.
    fn line(&mut self, prompt: &str) -> Option<String>;
    /// Reads a line that is not shown; `None`: taken back.
    fn secret(&mut self, prompt: &str, confirms: bool) -> Option<String>;
    /// Reads a word typed by hand: a paste does not count. `None`: taken back.
    fn word(&mut self, prompt: &str) -> Option<String>;
    /// Lets some of the items be chosen, all at first; `None`: taken back.
    fn choose(&mut self, prompt: &str, items: &[String]) -> Option<Vec<usize>>;
}

/// What a key led to.
enum Next {
    /// The answer.
    Answer(Answer),
    /// Ask again, with the whole screen.
    Redraw,
    /// Ask again below what was shown.
    Again,
}

/// Asks a question.
pub(super) fn ask(terminal: &mut dyn Terminal, question: &Question) -> Answer {
    match question {
        Question::Task(q) => task(terminal, q),
        Question::Failure(q) => failure(terminal, q),
        Question::PointOfNoReturn(q) => gate(terminal, q),
        Question::Pause(q) => pause(terminal, q),
        Question::WayBack(q) => ways(terminal, q),
        Question::Text(q) => text(terminal, q),
        Question::Word(q) => word(terminal, q),
    }
}

/// Shows a screen and its keys and reads keys until one of them answers.
fn keys(
    terminal: &mut dyn Terminal,
    screen: &dyn Fn(&Look) -> String,
    keys: &[&str],
    label: &str,
    on_key: &mut dyn FnMut(&mut dyn Terminal, Key) -> Next,
) -> Answer {
    loop {
        let look = terminal.look();
        let text = format!("{}{}", screen(&look), screen::keys(&look, keys));
        terminal.show(&text);
        loop {
            // The label comes last: once it is there, a key counts.
            terminal.settle();
            terminal.show(&format!("{label}> "));
            let key = terminal.key();
            terminal.show(&echo(key));
            match on_key(terminal, key) {
                Next::Answer(answer) => return answer,
                Next::Redraw => break,
                Next::Again => {}
            }
        }
    }
}

fn echo(key: Key) -> String {
    match key {
        Key::Char(c) if sanitize::is_harmless(c) => format!("{c}\n"),
        Key::Interrupt => "^C\n".into(),
        _ => "\n".into(),
    }
}

/// Keys that mean the same in every prompt of a run.
fn common(terminal: &mut dyn Terminal, key: Key, help: &str) -> Next {
    match key {
        Key::Char('p') | Key::Interrupt => Next::Answer(Answer::Pause),
        Key::Char('R') => Next::Answer(Answer::RollBack),
        // Without a terminal the run stops as if it had been detached.
        Key::Char('q') | Key::Gone => Next::Answer(Answer::Stop),
        Key::Char('A') => abort(terminal),
        Key::Char('?') => {
            terminal.show(help);
            Next::Again
        }
        Key::Enter => Next::Redraw,
        Key::Char(c) => {
            terminal.show(&format!("`{c}` does nothing here; `?` lists the keys\n"));
            Next::Again
        }
        _ => Next::Again,
    }
}

fn abort(terminal: &mut dyn Terminal) -> Next {
    terminal.show("the run ends here and the hosts stay as they are; it cannot be resumed\n");
    match terminal.word(&format!("type `{ABORT}` to abort, Enter goes back: ")) {
        Some(typed) if typed == ABORT => Next::Answer(Answer::Abort),
        Some(_) | None => Next::Redraw,
    }
}

/// Asks for yes or no with one key; Enter is neither.
fn confirm(terminal: &mut dyn Terminal, question: &str) -> bool {
    terminal.settle();
    terminal.show(&format!("{question} [y]es [n]o "));
    loop {
        let key = terminal.key();
        let answer = match key {
            Key::Char('y') => true,
            Key::Char('n') | Key::Escape | Key::Interrupt | Key::Gone => false,
            _ => continue,
        };
        terminal.show(&echo(key));
        return answer;
    }
}

/// Asks why; `None` when nothing was typed, which takes the key before it back.
fn reason(terminal: &mut dyn Terminal, prompt: &str) -> Option<String> {
    let typed = terminal.line(prompt)?;
    let typed = typed.trim();
    if typed.is_empty() {
        terminal.show("no reason, nothing done\n");
        return None;
    }
    Some(typed.to_owned())
}

const TASK_KEYS: [&str; 12] = [
    "[y]run",
    "[n]skip",
    "[h]osts",
    "[d]iff",
    "[v]iew",
    "[a]rest of play",
    "[c]rest of playbook",
    "[p]ause",
    "[R]oll back",
    "[q]uit resumable",
    "[A]bort",
    "[?]help",
];

const TASK_HELP: &str = "\
  y  run it on the hosts shown            n  leave it out on all of them (asks why)
  h  choose the hosts                     d  the whole diff
  v  everything about it                  a  run the rest of this play without asking
  p  the pause screen                     c  run the rest of the playbook without asking
  R  choose a way back                    q  stop here; `switchback resume` goes on
  A  end the run as it is (typed)         Enter shows the question again
points of no return, guards and failures stop in any case
";

fn task(terminal: &mut dyn Terminal, q: &TaskQuestion) -> Answer {
    let screen = |look: &Look| screen::task(q, look);
    keys(
        terminal,
        &screen,
        &TASK_KEYS,
        &format!("t{}", q.number),
        &mut |terminal, key| match key {
            Key::Char('y') => Next::Answer(Answer::Run),
            Key::Char('n' | 's') => {
                match reason(
                    terminal,
                    &format!("skip `{}`, why", sanitize::inline(&q.name)),
                ) {
                    Some(reason) => Next::Answer(Answer::Skip { reason }),
                    None => Next::Redraw,
                }
            }
            Key::Char('h') => choose_hosts(terminal, q),
            Key::Char('d') => show(terminal, &|look| screen::diffs(q, look)),
            Key::Char('v') => show(terminal, &|look| screen::details(q, look)),
            Key::Char('a')
                if confirm(
                    terminal,
                    "run the rest of this play without asking (gates still stop)?",
                ) =>
            {
                Next::Answer(Answer::RestOfPlay)
            }
            Key::Char('c')
                if confirm(
                    terminal,
                    "run the rest of the playbook without asking (gates still stop)?",
                ) =>
            {
                Next::Answer(Answer::RestOfPlaybook)
            }
            Key::Char('a' | 'c') => Next::Redraw,
            other => common(terminal, other, TASK_HELP),
        },
    )
}

fn show(terminal: &mut dyn Terminal, screen: &dyn Fn(&Look) -> String) -> Next {
    let look = terminal.look();
    terminal.show(&screen(&look));
    Next::Again
}

fn choose_hosts(terminal: &mut dyn Terminal, q: &TaskQuestion) -> Next {
    let hosts: Vec<&String> = q.groups.iter().flat_map(|g| &g.hosts).collect();
    let items: Vec<String> = hosts
        .iter()
        .map(|h| sanitize::inline(h).into_owned())
        .collect();
    let Some(chosen) = terminal.choose(
        "run on (space changes, Enter confirms, Esc goes back)",
        &items,
    ) else {
        return Next::Redraw;
    };
    let left_out: Vec<String> = (0..hosts.len())
        .filter(|i| !chosen.contains(i))
        .map(|i| hosts[i].clone())
        .collect();
    if left_out.is_empty() {
        return Next::Redraw;
    }
    let prompt = format!("skip on {}, why", sanitize::inline(&left_out.join(", ")));
    match reason(terminal, &prompt) {
        None => Next::Redraw,
        Some(reason) if chosen.is_empty() => Next::Answer(Answer::Skip { reason }),
        Some(reason) => Next::Answer(Answer::SkipHosts {
            hosts: left_out,
            reason,
        }),
    }
}

const FAILURE_KEYS: [&str; 11] = [
    "[r]etry",
    "[y]go on without them",
    "[n]skip it there",
    "[x]exclude",
    "[o]utput",
    "[d]iff",
    "[p]ause",
    "[R]oll back",
    "[q]uit resumable",
    "[A]bort",
    "[?]help",
];

const FAILURE_HELP: &str = "\
  r  run it again on the failed hosts     y  go on with the other hosts, as Ansible does
  n  leave it out there and go on (asks why)
  x  take the hosts out of the run (asks why)
  o  all output                           d  what it would have changed
  p  the pause screen                     R  choose a way back
  q  stop here; `switchback resume` goes on
  A  end the run as it is (typed)         Enter shows the question again
";

fn failure(terminal: &mut dyn Terminal, q: &FailureQuestion) -> Answer {
    let screen = |look: &Look| screen::failure(q, look);
    keys(
        terminal,
        &screen,
        &FAILURE_KEYS,
        "failed",
        &mut |terminal, key| match key {
            Key::Char('r')
                if q.is_safe_to_retry
                    || confirm(
                        terminal,
                        "it is NOT safe to run again blindly; run it again?",
                    ) =>
            {
                Next::Answer(Answer::Retry)
            }
            Key::Char('r') => Next::Redraw,
            Key::Char('y') => Next::Answer(Answer::Run),
            Key::Char('n' | 's') => match reason(terminal, "skip it on the failed hosts, why") {
                Some(reason) => Next::Answer(Answer::Skip { reason }),
                None => Next::Redraw,
            },
            Key::Char('x') => match reason(terminal, "take the failed hosts out of the run, why") {
                Some(reason) => Next::Answer(Answer::Exclude { reason }),
                None => Next::Redraw,
            },
            Key::Char('o') => show(terminal, &|look| screen::outputs(q, look)),
            Key::Char('d') => show(terminal, &|look| screen::failed_diffs(q, look)),
            other => common(terminal, other, FAILURE_HELP),
        },
    )
}

fn gate(terminal: &mut dyn Terminal, q: &GateQuestion) -> Answer {
    let look = terminal.look();
    terminal.show(&screen::gate(q, &look));
    if q.requirements.iter().any(|(_, holds, _)| !holds) {
        let refused = "it cannot be passed: not all that it requires holds";
        terminal.show(&format!("{}\n", look.paint(Tone::Bad, refused)));
        return blocked(terminal, q);
    }
    typed(terminal, &q.word, Answer::Run)
}

fn blocked(terminal: &mut dyn Terminal, q: &GateQuestion) -> Answer {
    let shown = ["[p]ause", "[R]oll back", "[q]uit resumable", "[A]bort"];
    let help = "  p  the pause screen   R  choose a way back   q  stop here, resumable   A  abort (typed)\n";
    let screen = |look: &Look| {
        format!(
            "{} waits\n",
            look.paint(Tone::Title, &sanitize::inline(&q.name))
        )
    };
    keys(terminal, &screen, &shown, "gate", &mut |terminal, key| {
        common(terminal, key, help)
    })
}

/// Asks for a word; anything but the word goes to the pause screen, as does typing nothing.
fn typed(terminal: &mut dyn Terminal, word: &str, answer: Answer) -> Answer {
    let prompt = format!(
        "type `{}` to go on, Enter alone goes back: ",
        sanitize::inline(word)
    );
    terminal.settle();
    for _ in 0..WORD_TRIES {
        match terminal.word(&prompt) {
            Some(typed) if typed == word && !word.is_empty() => return answer,
            Some(typed) if !typed.is_empty() => terminal.show("that is not the word\n"),
            Some(_) | None => return Answer::Pause,
        }
    }
    Answer::Pause
}

/// The word that ends what runs.
const CANCEL: &str = "cancel";

const PAUSE_HELP: &str = "\
  y  go on, or wait for what runs         R  choose a way back
  x  end what runs (typed): TERM, and KILL if that was not enough
  q  stop here; `switchback resume` goes on
  A  end the run as it is (typed)         Enter shows the screen again
";

fn pause(terminal: &mut dyn Terminal, q: &PauseQuestion) -> Answer {
    let screen = |look: &Look| screen::pause(q, look);
    let mut shown = vec![
        "[y]go on",
        "[R]oll back",
        "[q]uit resumable",
        "[A]bort",
        "[?]help",
    ];
    if q.signal.is_some() {
        shown[0] = "[y]wait";
        shown.insert(1, "[x]cancel it");
    }
    keys(
        terminal,
        &screen,
        &shown,
        "paused",
        &mut |terminal, key| match key {
            Key::Char('y') => Next::Answer(Answer::Continue),
            // The second Ctrl-C detaches.
            Key::Interrupt => Next::Answer(Answer::Stop),
            Key::Char('p') => Next::Redraw,
            Key::Char('x') if q.signal.is_some() => cancel(terminal, q),
            other => common(terminal, other, PAUSE_HELP),
        },
    )
}

/// What runs is ended only after a word was typed.
fn cancel(terminal: &mut dyn Terminal, q: &PauseQuestion) -> Next {
    let signal = q.signal.unwrap_or_default();
    terminal.show(&format!(
        "what runs is ended with {signal}, and the task fails; its undo stands\n"
    ));
    match terminal.word(&format!("type `{CANCEL}` to end it, Enter goes back: ")) {
        Some(typed) if typed == CANCEL => Next::Answer(Answer::Cancel),
        Some(_) | None => Next::Redraw,
    }
}

fn ways(terminal: &mut dyn Terminal, q: &WaysQuestion) -> Answer {
    let screen = |look: &Look| screen::ways(q, look);
    let shown = ["[1-9]choose", "[q]uit resumable", "[Esc]back"];
    let help =
        "  the number of a way chooses it; Esc goes back to the pause screen; q stops, resumable\n";
    keys(
        terminal,
        &screen,
        &shown,
        "way back",
        &mut |terminal, key| match key {
            Key::Escape | Key::Interrupt => Next::Answer(Answer::Pause),
            Key::Char('q') | Key::Gone => Next::Answer(Answer::Stop),
            Key::Char('?') => {
                terminal.show(help);
                Next::Again
            }
            Key::Enter => Next::Redraw,
            Key::Char(c) => match q
                .ways
                .iter()
                .enumerate()
                .find(|(i, _)| screen::way_key(*i) == c)
            {
                Some((_, way)) if way.is_legal => Next::Answer(Answer::Way(way.name.clone())),
                Some((_, way)) => {
                    let name = sanitize::inline(&way.name);
                    terminal.show(&format!("`{name}` is refused:\n"));
                    for (condition, _, seen) in way.conditions.iter().filter(|(_, holds, _)| !holds)
                    {
                        let line = format!("{condition}: {seen}");
                        terminal.show(&format!("   [NO] {}\n", sanitize::inline(&line)));
                    }
                    Next::Again
                }
                None => {
                    terminal.show("there is no such way\n");
                    Next::Again
                }
            },
            _ => Next::Again,
        },
    )
}

fn text(terminal: &mut dyn Terminal, q: &TextQuestion) -> Answer {
    let prompt = sanitize::text(&q.prompt).into_owned();
    if let Some(seconds) = q.seconds {
        terminal.show(&format!(
            "{prompt}\ngoes on in {seconds} s; Enter goes on now, Ctrl-C stops\n"
        ));
        terminal.settle();
        let end = Instant::now() + Duration::from_secs(seconds.into());
        loop {
            match terminal.key_within(end.saturating_duration_since(Instant::now())) {
                None | Some(Key::Enter) => return Answer::Text(String::new()),
                Some(Key::Interrupt | Key::Gone) => return Answer::Stop,
                Some(_) => {}
            }
        }
    }
    terminal.settle();
    let typed = if q.is_secret {
        terminal.secret(&prompt, q.confirms)
    } else {
        typed_text(terminal, &prompt, q)
    };
    match (typed, &q.default) {
        (None, _) => Answer::Stop,
        (Some(text), Some(default)) if text.is_empty() => Answer::Text(default.clone()),
        (Some(text), _) => Answer::Text(text),
    }
}

fn typed_text(terminal: &mut dyn Terminal, prompt: &str, q: &TextQuestion) -> Option<String> {
    let prompt = match &q.default {
        Some(default) => format!("{prompt} [{}]", sanitize::inline(default)),
        None => prompt.to_owned(),
    };
    loop {
        let typed = terminal.line(&prompt)?;
        if !q.confirms {
            return Some(typed);
        }
        if terminal.line("again, to confirm")? == typed {
            return Some(typed);
        }
        terminal.show("the two differ\n");
    }
}

fn word(terminal: &mut dyn Terminal, q: &WordQuestion) -> Answer {
    let warning = sanitize::text(&q.warning).into_owned();
    let look = terminal.look();
    terminal.show(&format!("\n{}\n", look.paint(Tone::Warning, &warning)));
    typed(terminal, &q.word, Answer::Text(q.word.clone()))
}
