//! Where a reporter writes. The first error silences it: a closed pipe must not end a run.

use std::io::{self, Write};

/// A writer that takes everything and remembers the first error.
pub struct Sink {
    to: Box<dyn Write + Send>,
    error: Option<io::Error>,
}

impl Sink {
    /// Writes to `to`.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        Self {
            to: Box::new(to),
            error: None,
        }
    }

    /// Writes the text and flushes it.
    pub fn put(&mut self, text: &str) {
        if self.error.is_some() {
            return;
        }
        let written = self
            .to
            .write_all(text.as_bytes())
            .and_then(|()| self.to.flush());
        self.error = written.err();
    }

    /// Why not everything was written.
    pub fn failure(&self) -> Option<String> {
        self.error.as_ref().map(ToString::to_string)
    }
}

/// A writer that tests can read.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Shared {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
