//! Giving a password to `ssh` without writing it to a file, an argument or the environment.
//!
//! `ssh` runs the script of `SSH_ASKPASS`, which reads one line of a named pipe that we answer.
//! The script answers only the `ssh` that we started: one to a jump host, started by that, gets
//! nothing, and without a password nobody gets anything, so no `ssh` ever asks at the terminal.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use super::SecretText;

/// How often the pipe is looked at for a reader while a connection comes up.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The files of one answer; they are removed when it is dropped.
pub(super) struct Askpass {
    script: PathBuf,
    asker: PathBuf,
    pipe: PathBuf,
    answer: Option<JoinHandle<()>>,
}

impl Askpass {
    /// Makes the files beside `socket`.
    ///
    /// # Errors
    /// They cannot be made.
    pub(super) fn new(socket: &Path, password: Option<&SecretText>) -> std::io::Result<Self> {
        let name = |end: &str| socket.with_extension(end);
        let mut askpass = Self {
            script: name("ask"),
            asker: name("pid"),
            pipe: name("pw"),
            answer: None,
        };
        let quoted = |path: &Path| crate::script::quote(&path.display().to_string());
        let text = match password {
            None => "#!/bin/sh\nexit 1\n".to_owned(),
            Some(_) => format!(
                "#!/bin/sh\ncase $1 in *assphrase* | *yes/no* | *PIN*) exit 1 ;; esac\n\
                 read -r pid <{} && [ \"$PPID\" = \"$pid\" ] || exit 1\n\
                 IFS= read -r word <{} && printf '%s\\n' \"$word\"\n",
                quoted(&askpass.asker),
                quoted(&askpass.pipe),
            ),
        };
        write_new(&askpass.script, 0o700, &text)?;
        if let Some(password) = password {
            mkfifoat(CWD, &askpass.pipe, Mode::RUSR | Mode::WUSR)?;
            let (pipe, line) = (askpass.pipe.clone(), format!("{}\n", password.0));
            askpass.answer = Some(tokio::spawn(async move { answer(&pipe, &line).await }));
        }
        Ok(askpass)
    }

    /// What to set in the environment of `ssh`.
    pub(super) fn env(&self) -> [(OsString, OsString); 3] {
        [
            ("SSH_ASKPASS".into(), self.script.clone().into()),
            ("SSH_ASKPASS_REQUIRE".into(), "force".into()),
            // Before OpenSSH 8.4 only a display made `ssh` use the script.
            (
                "DISPLAY".into(),
                std::env::var_os("DISPLAY").unwrap_or_else(|| ":".into()),
            ),
        ]
    }

    /// Says which `ssh` may ask.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn allow(&self, pid: u32) -> std::io::Result<()> {
        if self.answer.is_none() {
            return Ok(());
        }
        write_new(&self.asker, 0o600, &format!("{pid}\n"))
    }
}

impl Drop for Askpass {
    fn drop(&mut self) {
        if let Some(answer) = &self.answer {
            answer.abort();
        }
        for path in [&self.script, &self.asker, &self.pipe] {
            // A file that was not made cannot be removed, which is fine.
            drop(std::fs::remove_file(path));
        }
    }
}

fn write_new(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// Gives the line to whoever opens the pipe, until it is stopped.
async fn answer(path: &Path, line: &str) {
    loop {
        // Without a reader the pipe does not open for writing.
        if let Ok(mut sender) = pipe::OpenOptions::new().open_sender(path) {
            // A reader that went away is answered no more.
            drop(sender.write_all(line.as_bytes()).await);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
