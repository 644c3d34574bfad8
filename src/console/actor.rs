//! The thread that owns the terminal, and the handles to it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use console::Term;

use super::keys::Key;
use super::live::Live;
use super::prompt::{self, Terminal};
use super::tty::{Mode, Tty};
use crate::event::Event;
use crate::exec::ask::{Answer, Question};
use crate::report::{Human, Look, Reporter, sanitize};

/// How often the live region moves and keys are looked for.
const BEAT: Duration = Duration::from_millis(60);
/// Live output is dropped when the terminal is so many messages behind; results never are.
const BEHIND_MAX: usize = 2000;
/// Messages handled between two looks at the keys.
const BURST_MAX: usize = 500;

/// What the operator wants while tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `p`: the pause screen after the running task.
    Pause,
    /// `t`: to know how the run stands; hosts at work have been shown.
    Status,
}

/// How a console is made.
pub struct Options {
    /// How text is dressed.
    pub look: Look,
    /// Where it is shown.
    pub term: Term,
    /// Whether the terminal can draw: a live region, choices with the cursor. Not a dumb one.
    pub is_live: bool,
    /// Whether keys are read while tasks run.
    pub reads_keys: bool,
    /// Hears what the operator wants while tasks run; must not block.
    pub on_request: Box<dyn FnMut(Request) + Send>,
}

impl Options {
    /// On standard output, with a live region unless the terminal is dumb.
    pub fn stdout(look: Look, on_request: impl FnMut(Request) + Send + 'static) -> Self {
        let term = Term::stdout();
        let is_live = term.features().is_attended() && !look.is_dumb;
        Self {
            look,
            term,
            is_live,
            reads_keys: true,
            on_request: Box::new(on_request),
        }
    }
}

/// The console. Dropping it shows what is left and gives the terminal back.
pub struct Console {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Shows and asks; as many as are needed.
#[derive(Clone)]
pub struct Handle {
    to: Sender<Message>,
    behind: Arc<AtomicUsize>,
    is_asking: Arc<AtomicBool>,
}

enum Message {
    Event(Box<Event>),
    Ask(Box<Question>, Box<dyn FnOnce(Answer) + Send>),
    Lend(Box<dyn FnOnce() + Send>),
    Close,
}

impl Console {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(options: Options) -> io::Result<Self> {
        let (to, from) = channel();
        let handle = Handle {
            to,
            behind: Arc::default(),
            is_asking: Arc::default(),
        };
        let (behind, is_asking) = (handle.behind.clone(), handle.is_asking.clone());
        let thread = std::thread::Builder::new()
            .name("console".into())
            .spawn(move || Actor::new(options, behind, is_asking).run(&from))?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }

    /// A handle to it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Shows what is left and gives the terminal back.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Gone already: then there is nothing to close.
        let _ = self.handle.to.send(Message::Close);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            super::tty::restore_terminal();
        }
    }
}

impl Handle {
    /// Shows an event; never waits for the terminal.
    pub fn show(&self, event: &Event) {
        let is_passing = matches!(event, Event::Output { .. } | Event::Progress { .. });
        if is_passing && self.behind.load(Ordering::Relaxed) > BEHIND_MAX {
            return;
        }
        self.behind.fetch_add(1, Ordering::Relaxed);
        // Without a terminal the run goes on.
        let _ = self.to.send(Message::Event(Box::new(event.clone())));
    }

    /// Asks and waits for the answer; [`Answer::Stop`] when the terminal is gone.
    pub fn ask(&self, question: Question) -> Answer {
        let (to, from) = channel();
        self.ask_with(question, move |answer| {
            // Who asked may have gone away.
            let _ = to.send(answer);
        });
        from.recv().unwrap_or(Answer::Stop)
    }

    /// Asks; the answer can be awaited. [`Answer::Stop`] when the terminal is gone.
    ///
    /// # Cancellation
    /// The question stays on the screen until it is answered; the answer is then dropped.
    pub fn ask_async(&self, question: Question) -> impl Future<Output = Answer> + Send + 'static {
        let (to, from) = tokio::sync::oneshot::channel();
        self.ask_with(question, move |answer| {
            // Who asked may have gone away.
            let _ = to.send(answer);
        });
        async move { from.await.unwrap_or(Answer::Stop) }
    }

    /// Asks; `answered` is called on the console's thread and must not block. It is dropped
    /// without a call when the terminal is gone.
    pub fn ask_with(&self, question: Question, answered: impl FnOnce(Answer) + Send + 'static) {
        let message = Message::Ask(Box::new(question), Box::new(answered));
        // A console that is gone drops `answered`, which is the answer.
        let _ = self.to.send(message);
    }

    /// Runs `work` with the terminal as it was found (an editor, a shell) and waits for it.
    /// Returns false when the console is gone; `work` is then not run.
    pub fn lend(&self, work: impl FnOnce() + Send + 'static) -> bool {
        let (to, from) = channel();
        let work = Box::new(move || {
            work();
            // Who lent may have gone away.
            let _ = to.send(());
        });
        self.to.send(Message::Lend(work)).is_ok() && from.recv().is_ok()
    }

    /// Whether a question is on the screen. A SIGINT that arrives meanwhile is the Ctrl-C of a
    /// line being typed, which the question answers itself: it must not open a pause screen.
    pub fn is_asking(&self) -> bool {
        self.is_asking.load(Ordering::Acquire)
    }
}

impl Reporter for Handle {
    fn on(&mut self, event: &Event) {
        self.show(event);
    }
}

/// What the reporter wrote and the screen has not seen yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<VecDeque<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn take(&self) -> String {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = written.drain(..).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

struct Actor {
    tty: Tty,
    live: Live,
    human: Human,
    written: Written,
    on_request: Box<dyn FnMut(Request) + Send>,
    reads_keys: bool,
    is_running: bool,
    shows_output: bool,
    behind: Arc<AtomicUsize>,
    is_asking: Arc<AtomicBool>,
}

impl Actor {
    fn new(options: Options, behind: Arc<AtomicUsize>, is_asking: Arc<AtomicBool>) -> Self {
        let written = Written::default();
        Self {
            live: Live::new(options.term.clone(), options.is_live),
            tty: Tty::new(options.term, options.look, !options.is_live),
            human: Human::new(written.clone(), options.look),
            written,
            on_request: options.on_request,
            reads_keys: options.reads_keys,
            is_running: false,
            shows_output: false,
            behind,
            is_asking,
        }
    }

    fn run(mut self, from: &Receiver<Message>) {
        loop {
            let mut next = match from.recv_timeout(BEAT) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut burst = 0;
            while let Some(message) = next {
                if self.handle(message) {
                    self.flush();
                    return;
                }
                burst += 1;
                next = (burst < BURST_MAX).then(|| from.try_recv().ok()).flatten();
            }
            self.flush();
            self.live.tick();
            self.keys();
        }
    }

    /// Handles a message; true: it was the last one.
    fn handle(&mut self, message: Message) -> bool {
        match message {
            Message::Event(event) => {
                self.behind.fetch_sub(1, Ordering::Relaxed);
                self.event(&event);
            }
            Message::Ask(question, answered) => {
                self.human.flush();
                self.flush();
                self.is_asking.store(true, Ordering::Release);
                let region = self.live.region();
                let before = self.tty.set(Mode::Asking);
                let answer = region.suspend(|| prompt::ask(&mut self.tty, &question));
                self.tty.set(before);
                answered(answer);
                self.is_asking.store(false, Ordering::Release);
            }
            Message::Lend(work) => {
                self.human.flush();
                self.flush();
                let region = self.live.region();
                region.suspend(|| self.tty.lent(|_| work()));
            }
            Message::Close => {
                self.human.flush();
                return true;
            }
        }
        false
    }

    fn event(&mut self, event: &Event) {
        self.human.set_width(self.tty.width());
        self.human.on(event);
        self.live.on(event);
        match event {
            Event::RunStarted { .. } => {
                self.is_running = true;
                if self.reads_keys {
                    self.tty.set(Mode::Running);
                }
            }
            Event::RunFinished { .. } => {
                self.is_running = false;
                self.tty.set(Mode::Found);
            }
            Event::Output { host, text, .. } if self.shows_output => {
                let host = sanitize::inline(host);
                let mut lines = String::new();
                for line in sanitize::text(text).lines() {
                    lines.push_str(&format!("  {host} | {line}\n"));
                }
                self.print(&lines);
            }
            _ => {}
        }
    }

    /// Shows what the reporter wrote, above the live region.
    fn flush(&mut self) {
        let text = self.written.take();
        self.print(&text);
    }

    fn print(&mut self, text: &str) {
        if !text.is_empty() {
            let region = self.live.region();
            region.suspend(|| self.tty.show(text));
        }
    }

    /// Keys while tasks run.
    fn keys(&mut self) {
        if !self.is_running || !self.reads_keys {
            return;
        }
        self.tty.look_after();
        while let Some(key) = self.tty.read_key(Some(Duration::ZERO)) {
            match key {
                Key::Char('t') | Key::Enter => {
                    let status = self.live.status();
                    self.print(&status);
                    (self.on_request)(Request::Status);
                }
                Key::Char('p') => {
                    self.print("pause after the running task\n");
                    (self.on_request)(Request::Pause);
                }
                Key::Char('o') => {
                    self.shows_output = !self.shows_output;
                    let what = if self.shows_output {
                        "shown"
                    } else {
                        "no longer shown"
                    };
                    self.print(&format!("output is {what}\n"));
                }
                Key::Gone => {
                    self.reads_keys = false;
                    return;
                }
                _ => {}
            }
        }
    }
}
