//! Standard output and error of a run, whose reader may be slow, blocked or gone.
//!
//! Knows bytes and no events. Invariants: who writes never waits; what was written comes out in its
//! order, over both streams, as long as there is a reader; a reader that went away is told of in
//! the next write, so that a [`Sink`](super::Sink) falls silent.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// The thread that writes. Dropping it waits until all is written.
pub struct Relay {
    to: Sender<Message>,
    is_cut: [Arc<AtomicBool>; 2],
    thread: Option<JoinHandle<()>>,
}

/// One of the two streams.
pub struct RelayEnd {
    to: Sender<Message>,
    is_error: bool,
    is_cut: Arc<AtomicBool>,
}

enum Message {
    Bytes { is_error: bool, bytes: Vec<u8> },
    Written(Box<dyn FnOnce() + Send>),
    Close,
}

impl Relay {
    /// Starts the thread, on standard output and standard error.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new() -> io::Result<Self> {
        Self::over(io::stdout(), io::stderr())
    }

    fn over(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let (to, from) = channel();
        let is_cut: [Arc<AtomicBool>; 2] = Default::default();
        let cut = is_cut.clone();
        let thread = std::thread::Builder::new()
            .name("output".into())
            .spawn(move || write_all(&from, [Box::new(out), Box::new(err)], &cut))?;
        Ok(Self {
            to,
            is_cut,
            thread: Some(thread),
        })
    }

    /// Standard output, or standard error.
    pub fn end(&self, is_error: bool) -> RelayEnd {
        RelayEnd {
            to: self.to.clone(),
            is_error,
            is_cut: self.is_cut[usize::from(is_error)].clone(),
        }
    }

    /// Calls `then` on the relay's thread when all that was written before is out; it must not
    /// block.
    pub fn when_written(&self, then: impl FnOnce() + Send + 'static) {
        // A thread that is gone drops `then`, which whoever waits for it notices.
        drop(self.to.send(Message::Written(Box::new(then))));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Gone already: then there is nothing to wait for.
        drop(self.to.send(Message::Close));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Write for RelayEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let message = Message::Bytes {
            is_error: self.is_error,
            bytes: bytes.to_vec(),
        };
        if self.is_cut.load(Ordering::Relaxed) || self.to.send(message).is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(
    from: &Receiver<Message>,
    mut ends: [Box<dyn Write + Send>; 2],
    is_cut: &[Arc<AtomicBool>; 2],
) {
    while let Ok(message) = from.recv() {
        match message {
            Message::Bytes { is_error, bytes } => {
                let end = &mut ends[usize::from(is_error)];
                if end.write_all(&bytes).and_then(|()| end.flush()).is_err() {
                    is_cut[usize::from(is_error)].store(true, Ordering::Relaxed);
                }
            }
            Message::Written(then) => then(),
            Message::Close => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::super::sink::Shared;
    use super::Relay;

    #[test]
    fn whoever_writes_does_not_wait_and_all_comes_out_in_order() {
        let (mut reader, writer) = io_pipe();
        let relay = Relay::over(writer, Shared::default()).unwrap();
        let mut end = relay.end(false);
        // Far more than a pipe holds, and nobody reads.
        let text = "0123456789abcde\n".repeat(64 * 1024);
        for line in text.as_bytes().chunks(4096) {
            end.write_all(line).unwrap();
        }
        let reading = std::thread::spawn(move || {
            let mut all = String::new();
            reader.read_to_string(&mut all).unwrap();
            all
        });
        drop(relay);
        assert!(reading.join().unwrap() == text);
        assert!(end.write_all(b"late").is_err());
    }

    #[test]
    fn a_reader_that_went_away_is_told_of() {
        let (reader, writer) = io_pipe();
        drop(reader);
        let err = Shared::default();
        let relay = Relay::over(writer, err.clone()).unwrap();
        relay.end(false).write_all(b"lost").unwrap();
        let (sender, written) = std::sync::mpsc::channel();
        relay.when_written(move || sender.send(()).unwrap());
        written.recv().unwrap();
        assert!(relay.end(false).write_all(b"more").is_err());
        relay.end(true).write_all(b"said").unwrap();
        drop(relay);
        assert_eq!(err.text(), "said");
    }

    fn io_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
        std::io::pipe().unwrap()
    }
}
