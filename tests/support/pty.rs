//! A pseudo-terminal with a program on it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

const ROWS: u16 = 50;
const COLUMNS: u16 = 80;
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than a prompt ignores keys, and long enough for an answer to show.
const DEAF: Duration = Duration::from_millis(450);

/// A terminal, the program on it, and what it has shown.
pub(crate) struct Pty {
    keyboard: File,
    terminal: OwnedFd,
    before: Termios,
    program: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    /// Up to where the output was looked at.
    looked: usize,
}

impl Pty {
    /// Starts a program on a new terminal.
    pub(crate) fn start(
        program: &Path,
        args: &[impl AsRef<OsStr>],
        env: &[(&str, &OsStr)],
    ) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let terminal = rustix::fs::open(&*name, flags, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        // `setsid --ctty` makes it the terminal of a session of its own.
        let program = Command::new("setsid")
            .arg("--ctty")
            .arg(program)
            .args(args)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(env.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let keyboard = File::from(keyboard);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let (mut screen, shown) = (keyboard.try_clone().unwrap(), shown.clone());
            move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = screen.read(&mut bytes) {
                    shown.lock().unwrap().extend_from_slice(&bytes[..n]);
                }
            }
        });
        Self {
            keyboard,
            terminal,
            before,
            program,
            shown,
            reader: Some(reader),
            looked: 0,
        }
    }

    /// Waits until the text is shown after all that was waited for before.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_for_one_of(&[text], PATIENCE);
    }

    /// Waits until one of the texts is shown after all that was waited for before: which one.
    pub(crate) fn wait_for_one_of(&mut self, texts: &[&str], patience: Duration) -> usize {
        let end = Instant::now() + patience;
        loop {
            {
                let shown = self.shown.lock().unwrap();
                let new = &shown[self.looked..];
                let place = |t: &&str| new.windows(t.len()).position(|w| w == t.as_bytes());
                let found = texts.iter().enumerate();
                let found = found.filter_map(|(i, t)| place(t).map(|at| (at, i)));
                if let Some((at, index)) = found.min() {
                    self.looked += at + texts[index].len();
                    return index;
                }
            }
            assert!(
                Instant::now() < end,
                "none of {texts:?} was shown; the screen:\n{}",
                self.screen()
            );
            park_timeout(Duration::from_millis(10));
        }
    }

    /// Everything that was sent to the screen.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// What stands on the screen now.
    pub(crate) fn screen(&self) -> String {
        self.parsed().screen().contents()
    }

    fn parsed(&self) -> vt100::Parser {
        let size = |n| NonZero::new(n).unwrap();
        let mut parser = vt100::Parser::new(size(ROWS), size(COLUMNS), 0);
        parser.process(&self.shown.lock().unwrap());
        parser
    }

    /// Waits longer than a prompt ignores keys.
    pub(crate) fn rest() {
        let end = Instant::now() + DEAF;
        while let left @ 1.. = end.saturating_duration_since(Instant::now()).as_millis() {
            park_timeout(Duration::from_millis(u64::try_from(left).unwrap()));
        }
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the program's end and checks that the terminal is as it was.
    pub(crate) fn ends_as_it_began(mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.program.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.screen());
            park_timeout(Duration::from_millis(10));
        };
        let after = tcgetattr(&self.terminal).unwrap();
        assert_eq!(
            format!("{after:?}"),
            format!("{:?}", self.before),
            "the terminal is not as it was"
        );
        let parser = self.parsed();
        assert!(!parser.screen().hide_cursor(), "the cursor is gone");
        assert!(!parser.screen().bracketed_paste(), "pastes stay marked");
        assert!(!parser.screen().alternate_screen(), "the history is gone");
        status
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It has ended already where the case went well.
        let _ = self.program.kill();
        let _ = self.program.wait();
        // The reader ends when the last descriptor of the terminal is closed, after this; it holds
        // nothing that the next case needs.
        drop(self.reader.take());
    }
}
