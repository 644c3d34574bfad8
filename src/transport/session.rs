//! One `sh` that stays, on this machine or another, and the talk with it.
//!
//! Knows frames and streams, but not how the `sh` was started nor whom it runs as. Invariant: a
//! request is written at most once, and [`Broken::NotSent`] means that the `sh` cannot have run
//! any of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Fuse};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::frame::{self, Input, Reader};
use super::master::Master;
use super::{Chunk, Stream};
use crate::script::{Reply, prelude};

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// How much of an input is held at once.
const INPUT_BYTES: usize = 256 * 1024;

/// How long output may still arrive after the `sh` itself is gone.
const DRAIN: Duration = Duration::from_secs(1);

/// How long an idle `sh` may take to end.
const END: Duration = Duration::from_secs(2);

/// What a started `sh` is made of.
pub(super) struct Pipes {
    /// Its standard input.
    pub(super) stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output.
    pub(super) stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error.
    pub(super) stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Ends when the `sh` does. Dropping it lets go of the `sh`.
    pub(super) exit: BoxFuture<'static, ()>,
    /// Whether the exit may be awaited while output is still to come.
    pub(super) exit_keeps_output: bool,
    /// The connection that it runs over.
    pub(super) master: Option<Arc<Master>>,
}

/// How an exchange can end without a reply.
#[derive(Debug)]
pub(super) enum Broken {
    /// The request did not get out in full: nothing of it ran.
    NotSent {
        /// How many of its bytes got out.
        written_bytes: usize,
    },
    /// The request was sent and the reply did not come.
    Cut {
        /// The last of what was said before the frame began, on both streams.
        noise: String,
        /// Whether the frame had begun, so that the script runs or ran.
        has_begun: bool,
    },
    /// It did not come in time.
    TimedOut,
    /// What it was to read could not be read.
    Source(String),
}

/// A `sh` that stays.
pub(super) struct Session {
    stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    stdout: Box<dyn AsyncRead + Send + Unpin>,
    stderr: Box<dyn AsyncRead + Send + Unpin>,
    exit: Fuse<BoxFuture<'static, ()>>,
    exit_keeps_output: bool,
    master: Option<Arc<Master>>,
    has_noise: bool,
    boot_id: Option<String>,
    _counted: Counted,
}

/// One of the `sh` that are open, of all hosts together; no more when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    /// Takes a `sh` that has just been started; `open` counts those that are.
    pub(super) fn new(pipes: Pipes, open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self {
            _counted: Counted(open.clone()),
            stdin: Some(pipes.stdin),
            stdout: pipes.stdout,
            stderr: pipes.stderr,
            exit: pipes.exit.fuse(),
            exit_keeps_output: pipes.exit_keeps_output,
            master: pipes.master,
            has_noise: false,
            boot_id: None,
        }
    }

    /// The host's boot id as of the greeting; `None` where it has none.
    pub(super) fn boot_id(&self) -> Option<&str> {
        self.boot_id.as_deref()
    }

    /// The connection that it runs over.
    pub(super) fn master(&self) -> Option<Arc<Master>> {
        self.master.clone()
    }

    /// Whether the next step may use it: it is alive, and no leftover of an earlier step speaks
    /// into its streams.
    pub(super) async fn is_reusable(&mut self) -> bool {
        let mut byte = [0; 1];
        // Lets the runtime look at the streams, which it does only between tasks.
        tokio::task::yield_now().await;
        !self.has_noise
            && self.stdout.read(&mut byte).now_or_never().is_none()
            && self.stderr.read(&mut byte).now_or_never().is_none()
    }

    /// Greets a fresh `sh`: checks that it reads what we send from the first byte on, then defines
    /// the prelude.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub(super) async fn greet(&mut self, nonce: &str, limit: Duration) -> Result<(), String> {
        let check = "echo \"$SB0\"; { read -r SB_boot </proc/sys/kernel/random/boot_id; } \
                     2>/dev/null && echo \"$SB_boot\"; :";
        // A user that was switched to may not be able to be where the login user was; Ansible goes
        // home then (ansible-core 2.19, module_utils/basic.py, `_set_cwd`).
        let place = "{ [ -r . ] && [ -x . ]; } 2>/dev/null || cd 2>/dev/null || cd /";
        let mut text = format!("SB0={nonce}\n").into_bytes();
        text.extend(frame::request(nonce, check, Input::Nothing));
        text.extend_from_slice(prelude().as_bytes());
        text.extend_from_slice(format!("{place}\n").as_bytes());
        let reply = self.exchange(nonce, &text, Some(limit), &mut |_| {}).await;
        // What login files say comes before the frame and is no sign of a leftover.
        self.has_noise = false;
        match reply {
            Ok(reply) => {
                let answer = reply.stdout_text();
                let mut lines = answer.lines();
                if lines.next() != Some(nonce) {
                    return Err(
                        "a login file on the host reads standard input and ate what was sent"
                            .to_owned(),
                    );
                }
                self.boot_id = lines.next().map(str::to_owned);
                Ok(())
            }
            Err(Broken::TimedOut) => Err(format!(
                "the host gave no `sh` within {} s: a login file may read standard input or hang",
                limit.as_secs()
            )),
            Err(Broken::Cut { noise, .. }) if !noise.is_empty() => {
                Err(format!("the host gave no `sh`: it said: {noise}"))
            }
            Err(_) => Err(
                "the host gave no `sh`: the channel closed at once (a login shell such as \
                 `nologin`, a login file that exits, or a forced command)"
                    .to_owned(),
            ),
        }
    }

    /// Sends a request whose marks carry `nonce` and waits for the reply.
    pub(super) async fn exchange(
        &mut self,
        nonce: &str,
        request: &[u8],
        limit: Option<Duration>,
        live: &mut (dyn FnMut(Chunk) + Send),
    ) -> Result<Reply, Broken> {
        let mut talk = Talk::new(nonce, self.exit_keeps_output, live);
        let mut written = 0;
        let limit = limit.map(|limit| Instant::now() + limit);
        loop {
            let is_writing = written < request.len();
            if talk.has_ended() && !is_writing {
                break;
            }
            let stdin = self
                .stdin
                .as_mut()
                .ok_or(Broken::NotSent { written_bytes: 0 })?;
            tokio::select! {
                result = stdin.write(&request[written..]), if is_writing => match result {
                    Ok(count) if count > 0 => written += count,
                    _ => return Err(Broken::NotSent { written_bytes: written }),
                },
                event = talk.next(&mut self.stdout, &mut self.stderr, &mut self.exit, limit) => {
                    match event {
                        Err(Broken::Cut { .. }) if is_writing => {
                            return Err(Broken::NotSent { written_bytes: written });
                        }
                        event => event?,
                    }
                }
            }
        }
        self.has_noise = talk.has_noise();
        talk.into_reply()
    }

    /// Like [`Self::exchange`], with `input` for the script to read; the `sh` ends with it.
    ///
    /// The input is held back until the `sh` says that it has read the request: a `sh` reads
    /// ahead, and would take the first bytes of the input with the request.
    pub(super) async fn exchange_with_input(
        mut self,
        nonce: &str,
        request: &[u8],
        input: &mut (dyn AsyncRead + Send + Unpin),
        limit: Option<Duration>,
        live: &mut (dyn FnMut(Chunk) + Send),
    ) -> Result<Reply, Broken> {
        let mut talk = Talk::new(nonce, self.exit_keeps_output, live);
        let limit = limit.map(|limit| Instant::now() + limit);
        let mut pending = request.to_vec();
        let (mut sent, mut request_bytes_left) = (0, request.len());
        while !talk.has_ended() {
            if sent == pending.len() && talk.has_begun() && self.stdin.is_some() {
                pending.clear();
                pending.reserve(INPUT_BYTES);
                sent = 0;
                let count = input.read_buf(&mut pending).await;
                if count.map_err(|e| Broken::Source(e.to_string()))? == 0 {
                    self.stdin = None;
                }
            }
            let is_writing = sent < pending.len() && self.stdin.is_some();
            let mut nowhere: Box<dyn AsyncWrite + Send + Unpin> = Box::new(tokio::io::sink());
            let stdin = self.stdin.as_mut().unwrap_or(&mut nowhere);
            tokio::select! {
                result = stdin.write(&pending[sent..]), if is_writing => match result {
                    Ok(count) if count > 0 => {
                        sent += count;
                        request_bytes_left = request_bytes_left.saturating_sub(count);
                    }
                    _ if request_bytes_left > 0 => {
                        return Err(Broken::NotSent { written_bytes: sent });
                    }
                    // The script did not want all of it; its status says whether that is right.
                    _ => self.stdin = None,
                },
                event = talk.next(&mut self.stdout, &mut self.stderr, &mut self.exit, limit) => {
                    match event {
                        Err(Broken::Cut { .. }) if request_bytes_left > 0 => {
                            return Err(Broken::NotSent { written_bytes: sent });
                        }
                        event => event?,
                    }
                }
            }
        }
        let reply = talk.into_reply();
        self.end().await;
        reply
    }

    /// Writes text that is no frame; see [`Self::listen`].
    pub(super) async fn say(&mut self, text: &[u8]) -> std::io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(text).await,
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits for some bytes outside of any frame; `None` when both streams have ended.
    pub(super) async fn listen(&mut self) -> Option<Chunk> {
        let (mut out, mut err) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
        let (mut has_out, mut has_err) = (true, true);
        while has_out || has_err {
            tokio::select! {
                count = self.stdout.read_buf(&mut out), if has_out => match count {
                    Ok(1..) => return Some(Chunk { stream: Stream::Out, bytes: out }),
                    _ => has_out = false,
                },
                count = self.stderr.read_buf(&mut err), if has_err => match count {
                    Ok(1..) => return Some(Chunk { stream: Stream::Err, bytes: err }),
                    _ => has_err = false,
                },
            }
        }
        None
    }

    /// Ends the `sh` and waits a moment until it is gone, so that its place on the host is free.
    pub(super) async fn end(mut self) {
        self.stdin = None;
        // Whether it went or hangs, there is nothing more to do about it.
        drop(tokio::time::timeout(END, &mut self.exit).await);
    }
}

/// The two readers of one frame and what they have read.
struct Talk<'a> {
    out: Reader,
    err: Reader,
    reply: Reply,
    live: &'a mut (dyn FnMut(Chunk) + Send),
    out_bytes: Vec<u8>,
    err_bytes: Vec<u8>,
    /// Set once the `sh` is gone: what is not here by then does not come.
    drained_at: Option<Instant>,
    exit_keeps_output: bool,
    out_is_open: bool,
    err_is_open: bool,
}

impl<'a> Talk<'a> {
    fn new(nonce: &str, exit_keeps_output: bool, live: &'a mut (dyn FnMut(Chunk) + Send)) -> Self {
        Self {
            out: Reader::new(nonce),
            err: Reader::new(nonce),
            reply: Reply::default(),
            live,
            out_bytes: Vec::with_capacity(READ_BYTES),
            err_bytes: Vec::with_capacity(READ_BYTES),
            drained_at: None,
            exit_keeps_output,
            out_is_open: true,
            err_is_open: true,
        }
    }

    fn has_begun(&self) -> bool {
        self.out.has_begun()
    }

    fn has_ended(&self) -> bool {
        self.out.has_ended() && self.err.has_ended()
    }

    fn has_noise(&self) -> bool {
        self.out.noise_bytes() + self.err.noise_bytes() > 0
    }

    fn into_reply(mut self) -> Result<Reply, Broken> {
        self.reply.rc = self.out.status().ok_or_else(|| self.cut())?;
        Ok(self.reply)
    }

    fn cut(&self) -> Broken {
        let noise = [self.out.noise(), self.err.noise()].concat();
        Broken::Cut {
            noise: one_line(&String::from_utf8_lossy(&noise)),
            has_begun: self.has_begun(),
        }
    }

    /// Waits for one event and takes it in. Nothing is lost if the wait is abandoned.
    async fn next(
        &mut self,
        stdout: &mut (dyn AsyncRead + Send + Unpin),
        stderr: &mut (dyn AsyncRead + Send + Unpin),
        exit: &mut (impl Future<Output = ()> + Unpin),
        limit: Option<Instant>,
    ) -> Result<(), Broken> {
        tokio::select! {
            // The limit first, as a script may speak without end; the rest of what a dead `sh`
            // said before its end.
            biased;
            () = sleep_until(limit) => return Err(Broken::TimedOut),
            count = stdout.read_buf(&mut self.out_bytes), if self.out_is_open => {
                self.out_is_open = count.is_ok_and(|count| count > 0);
                let (reply, live) = (&mut self.reply.stdout, &mut *self.live);
                self.out.feed(&self.out_bytes, |bytes| take(Stream::Out, bytes, reply, live));
                self.out_bytes.clear();
            }
            count = stderr.read_buf(&mut self.err_bytes), if self.err_is_open => {
                self.err_is_open = count.is_ok_and(|count| count > 0);
                let (reply, live) = (&mut self.reply.stderr, &mut *self.live);
                self.err.feed(&self.err_bytes, |bytes| take(Stream::Err, bytes, reply, live));
                self.err_bytes.clear();
            }
            () = exit, if self.exit_keeps_output && self.drained_at.is_none() => {
                self.drained_at = Some(Instant::now() + DRAIN);
            }
            () = sleep_until(self.drained_at) => return Err(self.cut()),
        }
        let is_out_cut = !self.out_is_open && !self.out.has_ended();
        let is_err_cut = !self.err_is_open && !self.err.has_ended();
        // One stream that ends early is followed by the other or by the exit of the `sh`.
        if is_out_cut && (is_err_cut || self.err.has_ended()) {
            return Err(self.cut());
        }
        if is_err_cut && self.out.has_ended() {
            return Err(self.cut());
        }
        Ok(())
    }
}

fn take(stream: Stream, bytes: &[u8], all: &mut Vec<u8>, live: &mut (dyn FnMut(Chunk) + Send)) {
    all.extend_from_slice(bytes);
    live(Chunk {
        stream,
        bytes: bytes.to_vec(),
    });
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// What was said, as one line of at most 300 characters without control characters.
pub(super) fn one_line(text: &str) -> String {
    let words = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    words
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}
