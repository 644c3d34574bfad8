//! The real terminal: its modes, keys and lines.
//!
//! Invariant: the modes it was found in come back when this is dropped, on a panic, and through
//! [`restore_terminal`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use console::Term;
use dialoguer::{Input, MultiSelect};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
    tcgetpgrp, tcsetattr,
};

use super::keys::{Key, decode};
use super::prompt::Terminal;
use crate::report::Look;

/// Keys in the first instant of a prompt were meant for what stood there before.
const DEAF: Duration = Duration::from_millis(300);
/// How long an escape sequence may take to arrive.
const SEQUENCE: Duration = Duration::from_millis(40);
/// How often modes are looked after while waiting for a key.
const LOOK_AFTER: Duration = Duration::from_millis(250);
/// How long the Ctrl-C of a line of text may take to arrive as a signal.
const SIGNAL: Duration = Duration::from_millis(50);
/// Longest word or password that can be typed.
const WORD_MAX: usize = 4096;

/// The modes the terminal was found in, for who ends the process in haste.
static FOUND: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Gives the terminal back as it was found. Does nothing when no console was made.
pub fn restore_terminal() {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = found.as_ref() {
        // There is nothing left to tell it to.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, found);
    }
}

/// Whether a person can be asked: standard input and output are terminals and this process is in
/// the foreground.
pub fn is_interactive() -> bool {
    use std::io::IsTerminal;
    io::stdin().is_terminal() && io::stdout().is_terminal() && is_foreground()
}

fn is_foreground() -> bool {
    tcgetpgrp(rustix::stdio::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// How the terminal treats keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As it was found.
    Found,
    /// Keys one by one, not shown; Ctrl-C is a signal.
    Running,
    /// Keys one by one, not shown; Ctrl-C is a key.
    Asking,
}

/// The terminal.
#[derive(Debug)]
pub(super) struct Tty {
    term: Term,
    look: Look,
    /// It knows no escape sequence.
    is_dumb: bool,
    found: Option<Termios>,
    mode: Mode,
    pending: Vec<u8>,
    is_gone: bool,
}

fn stdin() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

impl Tty {
    /// Takes the terminal over; its modes stay as they are until a mode is set.
    pub(super) fn new(term: Term, look: Look, is_dumb: bool) -> Self {
        let found = tcgetattr(stdin()).ok();
        FOUND
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&found);
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore_terminal();
                before(info);
            }));
        });
        Self {
            term,
            look,
            is_dumb,
            found,
            mode: Mode::Found,
            pending: Vec::new(),
            is_gone: false,
        }
    }

    /// The width of the screen now.
    pub(super) fn width(&self) -> usize {
        self.term
            .size_checked()
            .map_or(self.look.width, |(_, columns)| columns.into())
    }

    /// Sets how keys are treated and returns how they were.
    pub(super) fn set(&mut self, mode: Mode) -> Mode {
        let before = std::mem::replace(&mut self.mode, mode);
        self.apply();
        before
    }

    fn apply(&self) {
        let Some(found) = &self.found else { return };
        let mut wanted = found.clone();
        if self.mode != Mode::Found {
            wanted.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            wanted.special_codes[SpecialCodeIndex::VMIN] = 1;
            wanted.special_codes[SpecialCodeIndex::VTIME] = 0;
        }
        if self.mode == Mode::Asking {
            // Code 0 switches the key's meaning off; Ctrl-Z and Ctrl-\ keep theirs.
            wanted.special_codes[SpecialCodeIndex::VINTR] = 0;
        }
        // A process in the background would be stopped for this; it does not own the terminal.
        if is_foreground() {
            // A terminal that is gone shows at the next read.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &wanted);
        }
    }

    /// Sets the mode again where someone else (a shell, after Ctrl-Z) changed it.
    pub(super) fn look_after(&self) {
        let is_cooked =
            tcgetattr(stdin()).is_ok_and(|now| now.local_modes.contains(LocalModes::ICANON));
        if self.mode != Mode::Found && is_cooked {
            self.apply();
        }
    }

    /// Waits for a key, `None` when there was none in time; without `wait` until there is one.
    pub(super) fn read_key(&mut self, wait: Option<Duration>) -> Option<Key> {
        let end = wait.map(|wait| Instant::now() + wait);
        loop {
            if let Some((key, len)) = decode(&self.pending, true) {
                self.pending.drain(..len);
                return Some(key);
            }
            if self.is_gone {
                return Some(Key::Gone);
            }
            let left = end.map_or(LOOK_AFTER, |end| {
                end.saturating_duration_since(Instant::now())
            });
            let is_sequence = !self.pending.is_empty();
            let step = if is_sequence {
                SEQUENCE
            } else {
                left.min(LOOK_AFTER)
            };
            if Self::is_readable(step) {
                self.read();
            } else if is_sequence {
                let (key, len) = decode(&self.pending, false)?;
                self.pending.drain(..len);
                return Some(key);
            } else if end.is_some() && left <= step {
                return None;
            } else {
                self.look_after();
            }
        }
    }

    fn is_readable(wait: Duration) -> bool {
        let stdin = stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        matches!(poll(&mut fds, timespec(wait).as_ref()), Ok(n) if n > 0)
    }

    fn read(&mut self) {
        let mut bytes = [0u8; 256];
        match rustix::io::read(stdin().as_fd(), &mut bytes) {
            Ok(0) => self.is_gone = true,
            Ok(n) => self.pending.extend_from_slice(&bytes[..n]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => self.is_gone = true,
        }
    }

    fn discard(&mut self) {
        self.pending.clear();
        // What cannot be thrown away is read as keys; there is no better way.
        let _ = tcflush(stdin(), QueueSelector::IFlush);
    }

    /// Runs `work` with the terminal as it was found.
    pub(super) fn lent<T>(&mut self, work: impl FnOnce(&Term) -> T) -> T {
        let before = self.set(Mode::Found);
        let done = work(&self.term);
        self.set(before);
        done
    }

    /// Lets `dialoguer` ask. It finds keys unechoed between its reads, so that fast typing does
    /// not show twice.
    fn asked<T>(&mut self, asked: impl FnOnce(&Term) -> dialoguer::Result<T>) -> Option<T> {
        let typed = asked(&self.term);
        self.apply();
        if typed.is_err() {
            rest(SIGNAL);
        }
        typed.ok()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.set(Mode::Found);
    }
}

/// Does nothing for so long.
fn rest(wait: Duration) {
    // Being woken early does no harm.
    let _ = poll(&mut [], timespec(wait).as_ref());
}

fn timespec(wait: Duration) -> Option<Timespec> {
    wait.try_into().ok()
}

impl Terminal for Tty {
    fn look(&self) -> Look {
        self.look.wide(self.width())
    }

    fn show(&mut self, text: &str) {
        // Without a screen the keys decide alone; a terminal that is gone shows at the next read.
        let _ = self.term.write_str(text);
        let _ = self.term.flush();
    }

    fn settle(&mut self) {
        self.discard();
        rest(DEAF);
        self.discard();
    }

    fn key(&mut self) -> Key {
        self.read_key(None).unwrap_or(Key::Other)
    }

    fn key_within(&mut self, wait: Duration) -> Option<Key> {
        self.read_key(Some(wait))
    }

    fn line(&mut self, prompt: &str) -> Option<String> {
        if self.is_dumb {
            return self.typed(&format!("{prompt}: "), Echo::Letters);
        }
        self.asked(|term| {
            Input::<String>::new()
                .with_prompt(prompt)
                .allow_empty(true)
                .interact_text_on(term)
        })
    }

    fn secret(&mut self, prompt: &str, confirms: bool) -> Option<String> {
        loop {
            let secret = self.typed(&format!("{prompt}: "), Echo::Nothing)?;
            if !confirms || self.typed("again, to confirm: ", Echo::Nothing)? == secret {
                return Some(secret);
            }
            self.show("the two differ\n");
        }
    }

    fn word(&mut self, prompt: &str) -> Option<String> {
        if self.is_dumb {
            return self.typed(prompt, Echo::Letters);
        }
        // Terminals that can tell a paste are asked to.
        self.show("\u{1b}[?2004h");
        let word = self.typed(prompt, Echo::Letters);
        self.show("\u{1b}[?2004l");
        word
    }

    fn choose(&mut self, prompt: &str, items: &[String]) -> Option<Vec<usize>> {
        if self.is_dumb {
            return self.choose_by_number(items);
        }
        self.asked(|term| {
            MultiSelect::new()
                .with_prompt(prompt)
                .items_checked(items.iter().map(|item| (item, true)))
                .max_length(20)
                .interact_on_opt(term)
        })
        .flatten()
    }
}

/// What is shown of what is typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    Letters,
    Nothing,
}

impl Tty {
    /// Reads a line key by key, so that Escape and Ctrl-C take it back.
    fn typed(&mut self, prompt: &str, echo: Echo) -> Option<String> {
        self.show(prompt);
        let mut word = String::new();
        let typed = loop {
            match self.key() {
                Key::Char(c) if word.len() < WORD_MAX => {
                    word.push(c);
                    self.echo(echo, c.encode_utf8(&mut [0; 4]));
                }
                Key::Backspace if word.pop().is_some() => self.echo(echo, "\u{8} \u{8}"),
                Key::Enter => break Some(word),
                Key::Escape | Key::Interrupt | Key::EndOfText | Key::Gone => break None,
                Key::Kill => {
                    word.clear();
                    self.show(&format!("\n{prompt}"));
                }
                Key::Paste => {
                    rest(SIGNAL);
                    self.discard();
                    word.clear();
                    self.show(&format!("\nit counts only when typed by hand\n{prompt}"));
                }
                _ => {}
            }
        };
        self.show("\n");
        typed
    }

    /// Chooses without drawing; a number that is none takes the choice back.
    fn choose_by_number(&mut self, items: &[String]) -> Option<Vec<usize>> {
        for (i, item) in items.iter().enumerate() {
            self.show(&format!("  {} {item}\n", i + 1));
        }
        let typed = self.typed("numbers to leave out: ", Echo::Letters)?;
        let out: Vec<usize> = typed
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        let is_known = out.iter().all(|n| (1..=items.len()).contains(n));
        is_known.then(|| {
            (0..items.len())
                .filter(|i| !out.contains(&(i + 1)))
                .collect()
        })
    }

    fn echo(&mut self, echo: Echo, text: &str) {
        if echo == Echo::Letters {
            self.show(text);
        }
    }
}
