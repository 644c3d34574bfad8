//! One control master for one host: the connection over which all channels to it go.
//!
//! `ssh` itself detaches once the login is done (`ControlPersist`), which tells us that it is
//! ready, and it ends by itself when nobody has used it for a while, so that a controller that was
//! killed leaves nothing behind for long.
//! Invariant: the control directory is ours alone, mode 0700, before anything is put there.

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::askpass::Askpass;
use super::local::spawn_detached;
use super::session::{Pipes, one_line};
use super::ssh::{Kind, Refusal, Ssh, explain, explain_way, option_path};
use super::{Connection, SecretText};

/// How long a login may take beyond the time to connect.
const LOGIN: Duration = Duration::from_secs(30);

/// How long a master outlives its last channel where it is not kept on purpose.
const ORPHAN_S: u32 = 60;

/// The longest path of a control socket: `sun_path` has 108 bytes, and `ssh` first makes the
/// socket under a name that is 17 bytes longer.
const SOCKET_BYTES_MAX: usize = 104 - 17;

/// Hexadecimal digits in the name of a control socket.
const NAME_DIGITS: usize = 16;

/// Where and how masters are made.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The control directory.
    pub(super) dir: &'a Path,
    /// Seconds to keep an idle master for the next run; 0 means that it is not kept.
    pub(super) persist_idle_s: u32,
    /// Added to the environment of `ssh`.
    pub(super) env: &'a [(OsString, OsString)],
}

/// A connection that is up.
pub(super) struct Master {
    session: Arc<openssh::Session>,
    socket: PathBuf,
    is_kept: bool,
}

/// Why a channel could not be opened.
#[derive(Debug)]
pub(super) enum NoChannel {
    /// The master is gone.
    Gone,
    /// sshd allows no more channels on this connection.
    Full,
    /// Something else.
    Other(String),
}

impl Master {
    /// Connects and logs in, or takes the kept master of an earlier run.
    pub(super) async fn connect(
        place: Place<'_>,
        connection: &Connection,
        ssh: &Ssh<'_>,
        nonce: &str,
    ) -> Result<Self, Refusal> {
        prepare(place.dir)?;
        let is_kept = place.persist_idle_s > 0;
        let key = if is_kept {
            format!("{connection:?}")
        } else {
            nonce.to_owned()
        };
        let socket = place.dir.join(name(&key));
        if socket.as_os_str().len() > SOCKET_BYTES_MAX {
            let dir = place.dir.display();
            return Err(Refusal::new(
                Kind::Denied,
                format!("the control directory `{dir}` has too long a name for a socket"),
            )
            .help(format!(
                "use one of at most {} bytes",
                SOCKET_BYTES_MAX - NAME_DIGITS - 1
            )));
        }
        let master = Self {
            session: Arc::new(openssh::Session::resume_mux(socket.clone().into(), None)),
            socket,
            is_kept,
        };
        if is_kept && master.is_alive().await {
            return Ok(master);
        }
        master.remove_files();
        let password = match connection {
            Connection::Ssh { password, .. } => password.as_ref(),
            Connection::Local => None,
        };
        let idle_s = if is_kept {
            place.persist_idle_s
        } else {
            ORPHAN_S
        };
        match master.start(place, ssh, password, idle_s).await {
            Ok(()) => Ok(master),
            Err(refusal) => {
                let refusal = master.add_keys(refusal, place, ssh).await;
                master.remove_files();
                Err(refusal)
            }
        }
    }

    /// Opens a channel with a `sh` at its end.
    pub(super) async fn open(self: &Arc<Self>) -> Result<Pipes, NoChannel> {
        let mut command = Arc::clone(&self.session).arc_raw_command("/bin/sh");
        command
            .stdin(openssh::Stdio::piped())
            .stdout(openssh::Stdio::piped())
            .stderr(openssh::Stdio::piped());
        let mut child = command.spawn().await.map_err(|error| {
            let text = chain(&error);
            match error {
                openssh::Error::Disconnected => NoChannel::Gone,
                // The client of the multiplexer keeps its error type to itself.
                _ if text.contains("Session open refused") => NoChannel::Full,
                _ if text.contains("end of file") || text.contains("Broken pipe") => {
                    NoChannel::Gone
                }
                _ => NoChannel::Other(text),
            }
        })?;
        let streams = (
            child.stdin().take(),
            child.stdout().take(),
            child.stderr().take(),
        );
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(NoChannel::Other("the channel has no streams".to_owned()));
        };
        Ok(Pipes {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            exit: Box::pin(async move {
                // How it ended does not matter: a `sh` that is gone gives no reply.
                drop(child.wait().await);
            }),
            // The exit is told before the rest of the output is there, and waiting for it lets go
            // of the channel, upon which `ssh` throws that rest away.
            exit_keeps_output: false,
            master: Some(Arc::clone(self)),
        })
    }

    /// Whether the master still answers.
    async fn is_alive(&self) -> bool {
        self.session.check().await.is_ok()
    }

    /// Why it is gone; `None` if it is not.
    pub(super) async fn last_words(&self) -> Option<String> {
        if self.is_alive().await {
            // The streams close a moment before a master that ends is gone.
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.is_alive().await {
                return None;
            }
        }
        let log = self.text("log");
        let line = log.lines().rev().find(|line| !line.trim().is_empty());
        Some(one_line(line.unwrap_or("its `ssh` ended without a word")))
    }

    /// Lets it end when its channels have, unless it is kept for the next run.
    pub(super) async fn close(self: Arc<Self>) {
        if self.is_kept {
            return;
        }
        let session = openssh::Session::resume_mux(self.socket.clone().into(), None);
        // A master that is gone already cannot be told to go.
        drop(session.close().await);
        self.remove_files();
    }

    /// Ends it now, with all its channels.
    pub(super) async fn exit(&self, env: &[(OsString, OsString)]) {
        let control = format!("ControlPath={}", option_path(&self.socket));
        let child = spawn_detached(
            &[
                "ssh",
                "-F",
                "/dev/null",
                "-o",
                &control,
                "-O",
                "exit",
                "host",
            ],
            env,
            |c| {
                c.stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
            },
        );
        if let Ok(mut child) = child {
            // A master that is gone already cannot be told to go.
            drop(tokio::time::timeout(LOGIN, child.wait()).await);
        }
        self.remove_files();
    }

    /// Runs `ssh` until it has detached.
    async fn start(
        &self,
        place: Place<'_>,
        ssh: &Ssh<'_>,
        password: Option<&SecretText>,
        idle_s: u32,
    ) -> Result<(), Refusal> {
        let io = |e: std::io::Error| {
            Refusal::new(Kind::Denied, format!("cannot start `ssh`: {e}"))
                .help("check that `ssh` is installed and the control directory can be written")
        };
        let first = [
            "ControlMaster=yes".to_owned(),
            format!("ControlPath={}", option_path(&self.socket)),
            format!("ControlPersist={idle_s}"),
        ];
        let askpass = Askpass::new(&self.socket, password).map_err(io)?;
        let printed = self.printed().map_err(io)?;
        let mut words: Vec<OsString> = vec!["-E".into(), self.file("log").into()];
        words.extend(ssh.arguments(&first));
        let mut child = spawn_detached(&["ssh"], place.env, |command| {
            command.args(&words).envs(askpass.env()).kill_on_drop(true);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            // A file and not a pipe: a `ProxyCommand` may still write when nobody reads.
            command.stderr(
                printed
                    .try_clone()
                    .map_or_else(|_| Stdio::null(), Stdio::from),
            );
        })
        .map_err(io)?;
        if let Some(pid) = child.id() {
            askpass.allow(pid).map_err(io)?;
        }
        let limit = Duration::from_secs(ssh.timeout_s.into()) + LOGIN;
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(_)) => Err(explain(ssh, &self.text("log"), &self.text("err"))),
            Ok(Err(e)) => Err(io(e)),
            Err(_) => Err(Refusal::new(
                Kind::Absent,
                format!("{}: no login within {} s", ssh.place(), limit.as_secs()),
            )
            .help("try it by hand with `ssh -v`")),
        }
    }

    /// Adds fingerprints to a refusal over a host key.
    async fn add_keys(&self, refusal: Refusal, place: Place<'_>, ssh: &Ssh<'_>) -> Refusal {
        match refusal.kind {
            Kind::UnknownKey => self.add_unknown_key(refusal, place, ssh).await,
            Kind::ChangedKey => self.add_changed_key(refusal).await,
            Kind::Way => self.ask_way(refusal, place, ssh).await,
            Kind::Throttled | Kind::Absent | Kind::Denied => refusal,
        }
    }

    /// Asks the host for its key once more, without a login, into a file of ours.
    async fn add_unknown_key(&self, refusal: Refusal, place: Place<'_>, ssh: &Ssh<'_>) -> Refusal {
        let keys = self.file("keys");
        let first = [
            "StrictHostKeyChecking=accept-new".to_owned(),
            "HashKnownHosts=no".to_owned(),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            format!("UserKnownHostsFile={}", option_path(&keys)),
        ];
        self.ask(place, ssh, &first).await;
        let Ok(line) = std::fs::read_to_string(&keys) else {
            return refusal.help("connect once by hand with `ssh` and check the fingerprint");
        };
        let line = line.lines().next().unwrap_or_default().to_owned();
        let print = fingerprint(&line).await;
        let reason = format!("{}: {print}", refusal.reason);
        Refusal::new(refusal.kind, reason).help(format!(
            "compare it with what `ssh-keygen -lf` says of the key files in `/etc/ssh` on the \
             host, then add this line to `~/.ssh/known_hosts`: `{line}`"
        ))
    }

    /// Asks again for what the program on the way has to say: `ssh` throws it away where it is to
    /// detach.
    async fn ask_way(&self, refusal: Refusal, place: Place<'_>, ssh: &Ssh<'_>) -> Refusal {
        // An earlier try may have left words of its own.
        drop(std::fs::remove_file(self.file("err")));
        if self.ask(place, ssh, &[]).await {
            explain_way(ssh, &self.text("err"))
        } else {
            refusal
        }
    }

    /// Connects without a login and without a master; false if that did not end.
    async fn ask(&self, place: Place<'_>, ssh: &Ssh<'_>, first: &[String]) -> bool {
        let none = [
            "ControlMaster=no",
            "ControlPath=none",
            "PreferredAuthentications=none",
        ];
        let first = [&none.map(str::to_owned)[..], first].concat();
        let mut words: Vec<OsString> = vec!["-E".into(), self.file("log").into()];
        words.extend(ssh.arguments(&first));
        let Ok(askpass) = Askpass::new(&self.socket, None) else {
            return false;
        };
        let child = spawn_detached(&["ssh"], place.env, |command| {
            command.args(&words).envs(askpass.env()).kill_on_drop(true);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(self.printed().map_or_else(|_| Stdio::null(), Stdio::from));
        });
        match child {
            Ok(mut child) => tokio::time::timeout(LOGIN, child.wait()).await.is_ok(),
            Err(_) => false,
        }
    }

    /// The file for what `ssh` prints.
    fn printed(&self) -> std::io::Result<std::fs::File> {
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options.open(self.file("err"))
    }

    /// Says the new and the known fingerprint, which `ssh` names by file and line.
    async fn add_changed_key(&self, refusal: Refusal) -> Refusal {
        let log = self.text("log");
        let new = log
            .lines()
            .find(|line| line.starts_with("SHA256:") || line.starts_with("MD5:"))
            .map_or("one we could not read", |line| {
                line.trim().trim_end_matches('.')
            });
        let place = log
            .lines()
            .find(|line| line.starts_with("Offending"))
            .and_then(|line| line.rsplit_once(" in "))
            .and_then(|(_, place)| place.trim().rsplit_once(':'));
        let Some((file, number)) = place else {
            return Refusal::new(refusal.kind, format!("{}: it is now {new}", refusal.reason));
        };
        let known = std::fs::read_to_string(file).unwrap_or_default();
        let at = number.parse::<usize>().unwrap_or(0).saturating_sub(1);
        let old = fingerprint(known.lines().nth(at).unwrap_or_default()).await;
        Refusal::new(
            refusal.kind,
            format!(
                "{}: it is now {new}, known is {old} (`{file}` line {number})",
                refusal.reason
            ),
        )
        .help(format!(
            "if nobody rebuilt the host, somebody may be in between; if it was rebuilt, take line \
             {number} out of `{file}` and check the new fingerprint on the host"
        ))
    }

    fn file(&self, end: &str) -> PathBuf {
        self.socket.with_extension(end)
    }

    fn text(&self, end: &str) -> String {
        let bytes = std::fs::read(self.file(end)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn remove_files(&self) {
        self.remove_words();
        // `ssh` may have done so.
        drop(std::fs::remove_file(&self.socket));
    }

    fn remove_words(&self) {
        for path in ["log", "err", "keys"].map(|end| self.file(end)) {
            // Most of them were never made.
            drop(std::fs::remove_file(path));
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if !self.is_kept {
            self.remove_words();
        }
    }
}

/// Why a connection went, if there is one and it did.
pub(super) async fn last_words(master: Option<Arc<Master>>) -> Option<String> {
    master?.last_words().await
}

/// Makes the control directory, or makes sure that it is ours alone.
fn prepare(dir: &Path) -> Result<(), Refusal> {
    let refuse = |why: String| {
        let dir = dir.display();
        Refusal::new(Kind::Denied, format!("the control directory `{dir}` {why}"))
            .help("remove it, or set another one")
    };
    let mut builder = std::fs::DirBuilder::new();
    match builder.mode(0o700).create(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(refuse(format!("cannot be made: {e}")));
        }
        _ => {}
    }
    let meta = std::fs::symlink_metadata(dir).map_err(|e| refuse(format!("is not there: {e}")))?;
    if !meta.is_dir() {
        return Err(refuse("is no directory".to_owned()));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse(format!(
            "belongs to the user with id {}",
            meta.uid()
        )));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(refuse(format!(
            "is open to others (mode {:04o})",
            meta.mode() & 0o7777
        )));
    }
    Ok(())
}

/// The name of a socket: short, and the same for the same key.
fn name(key: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n)]);
    let bytes = hash[..NAME_DIGITS / 2].iter();
    bytes
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The fingerprint of a line of `known_hosts`, by `ssh-keygen`.
async fn fingerprint(line: &str) -> String {
    let unknown = || "a key we could not read".to_owned();
    let child = spawn_detached(&["ssh-keygen", "-l", "-f", "-"], &[], |command| {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
    });
    let Ok(mut child) = child else {
        return unknown();
    };
    if let Some(mut stdin) = child.stdin.take() {
        let text = format!("{line}\n");
        // A program that does not read gives no fingerprint below.
        drop(tokio::io::AsyncWriteExt::write_all(&mut stdin, text.as_bytes()).await);
    }
    let Ok(output) = child.wait_with_output().await else {
        return unknown();
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = said.split_whitespace();
    match (words.nth(1), words.next_back()) {
        (Some(print), Some(kind)) => format!("{print} {kind}"),
        _ => unknown(),
    }
}

/// An error with its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
