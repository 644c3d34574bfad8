//! The text that wraps a script on a `sh` that stays, and the reader of what comes back. Pure.
//!
//! A request is one compound command, so that a `sh` that got only a part of it runs nothing. The
//! script runs in a subshell through `eval`: neither a syntax error in it nor `exit` ends the
//! `sh`. The `sh` itself prints a mark before and after on both streams, so a frame ends with its
//! script even where a child of it still holds the streams open.
//! Invariant: the bytes between the marks come back as they were, however they are cut.

use crate::script::quote;

/// How many bytes of what came before a frame are kept, for messages.
const NOISE_BYTES_MAX: usize = 2048;

/// More digits than an exit status can have, with its newline.
const STATUS_BYTES_MAX: usize = 12;

/// What a script reads on its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// `/dev/null`.
    Nothing,
    /// The rest of the channel. The `sh` ends with the script and never reads what that left.
    Channel,
}

/// Returns the text to send for `script`; its marks carry `nonce`.
pub(super) fn request(nonce: &str, script: &str, input: Input) -> Vec<u8> {
    // The space keeps a script that starts with `-` from being an option of `eval`.
    let word = quote(&format!(" {script}"));
    let (from, then) = match input {
        Input::Nothing => (" </dev/null", ""),
        Input::Channel => ("", "exit; "),
    };
    format!(
        "{{ echo {nonce}b; echo {nonce}b >&2; ( eval {word} ){from}; \
         echo {nonce}e$?; echo {nonce}e >&2; {then}}}\n"
    )
    .into_bytes()
}

/// Where the reader of one stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    Inside,
    Status,
    Ended,
}

/// Finds one frame in one stream.
#[derive(Debug)]
pub(super) struct Reader {
    begin: Vec<u8>,
    end: Vec<u8>,
    state: State,
    /// Bytes that may be the start of a mark, or the digits of the status.
    held: Vec<u8>,
    noise: Vec<u8>,
    noise_bytes: usize,
}

impl Reader {
    /// A reader that waits for the marks with `nonce`.
    pub(super) fn new(nonce: &str) -> Self {
        Self {
            begin: format!("{nonce}b\n").into_bytes(),
            end: format!("{nonce}e").into_bytes(),
            state: State::Before,
            held: Vec::new(),
            noise: Vec::new(),
            noise_bytes: 0,
        }
    }

    /// Whether the `sh` has begun to run the script.
    pub(super) fn has_begun(&self) -> bool {
        self.state != State::Before
    }

    /// Whether the end mark was read in full.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The exit status; `None` until the end, and on standard error, where none is sent.
    pub(super) fn status(&self) -> Option<i32> {
        if !self.has_ended() {
            return None;
        }
        std::str::from_utf8(&self.held)
            .ok()?
            .trim_end()
            .parse()
            .ok()
    }

    /// How many bytes came before the begin mark or after the end mark.
    pub(super) fn noise_bytes(&self) -> usize {
        self.noise_bytes
    }

    /// The last of those bytes.
    pub(super) fn noise(&self) -> &[u8] {
        &self.noise
    }

    /// Takes bytes as they arrive and gives those of the script's output to `sink`.
    pub(super) fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) {
        if self.state == State::Ended {
            return self.add_noise(bytes);
        }
        let mut held = std::mem::take(&mut self.held);
        let mut rest = bytes;
        if !held.is_empty() {
            held.extend_from_slice(bytes);
            rest = &held;
        }
        if self.state == State::Before {
            let (before, after) = cut(rest, &self.begin);
            self.add_noise(before);
            rest = match after {
                Ok(after) => after,
                Err(start) => return self.held.extend_from_slice(start),
            };
            self.state = State::Inside;
        }
        if self.state == State::Inside {
            let (before, after) = cut(rest, &self.end);
            if !before.is_empty() {
                sink(before);
            }
            rest = match after {
                Ok(after) => after,
                Err(start) => return self.held.extend_from_slice(start),
            };
            self.state = State::Status;
        }
        if let Some(at) = rest.iter().position(|&b| b == b'\n') {
            self.state = State::Ended;
            self.held.extend_from_slice(&rest[..at]);
            self.add_noise(&rest[at + 1..]);
        } else {
            // Longer ones are no number, whatever follows.
            self.held
                .extend_from_slice(&rest[..rest.len().min(STATUS_BYTES_MAX)]);
        }
    }

    fn add_noise(&mut self, bytes: &[u8]) {
        self.noise_bytes += bytes.len();
        let tail = &bytes[bytes.len().saturating_sub(NOISE_BYTES_MAX)..];
        self.noise.extend_from_slice(tail);
        let excess = self.noise.len().saturating_sub(NOISE_BYTES_MAX);
        self.noise.drain(..excess);
    }
}

/// Splits at `mark`: what is before, and what is after or else what may be a start of it.
fn cut<'a>(bytes: &'a [u8], mark: &[u8]) -> (&'a [u8], Result<&'a [u8], &'a [u8]>) {
    if let Some(at) = position(bytes, mark) {
        return (&bytes[..at], Ok(&bytes[at + mark.len()..]));
    }
    let held_max = bytes.len().min(mark.len() - 1);
    let held = (1..=held_max)
        .rev()
        .find(|&n| bytes.ends_with(&mark[..n]))
        .unwrap_or(0);
    let (before, start) = bytes.split_at(bytes.len() - held);
    (before, Err(start))
}

/// Where `needle`, which is not empty, first starts in `bytes`.
pub(super) fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(step) = bytes[from..].iter().position(|&b| b == needle[0]) {
        let at = from + step;
        if bytes[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Reader;

    const NONCE: &str = "SB0123456789abcdef0123456789abcdef";

    fn feed_in(pieces: &[&[u8]]) -> (Reader, Vec<u8>) {
        let mut reader = Reader::new(NONCE);
        let mut body = Vec::new();
        for piece in pieces {
            reader.feed(piece, |bytes| body.extend_from_slice(bytes));
        }
        (reader, body)
    }

    fn frame(noise: &[u8], body: &[u8], rc: u8) -> Vec<u8> {
        let (begin, end) = (format!("{NONCE}b\n"), format!("{NONCE}e{rc}\n"));
        [noise, begin.as_bytes(), body, end.as_bytes()].concat()
    }

    /// Bytes that like to look like a mark.
    fn tricky() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<Vec<u8>>(),
            (0..NONCE.len()).prop_map(|n| NONCE.as_bytes()[..n].to_vec()),
            Just(b"SB".to_vec()),
            Just(format!("{NONCE}x\n").into_bytes()),
            Just(b"SBffffffffffffffffffffffffffffffffe0\n".to_vec()),
            Just(b"\0\n\r\n".to_vec()),
        ];
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_body_comes_back_however_it_is_cut(
            noise in tricky(),
            body in tricky(),
            rc in any::<u8>(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let bytes = frame(&noise, &body, rc);
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces: Vec<_> = places.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let (reader, out) = feed_in(&pieces);
            prop_assert_eq!(out, body);
            prop_assert_eq!(reader.status(), Some(i32::from(rc)));
            prop_assert_eq!(reader.noise_bytes(), noise.len());
        }

        #[test]
        fn bytes_without_our_nonce_never_begin_a_frame(bytes in tricky()) {
            let (reader, out) = feed_in(&[&bytes]);
            prop_assert!(!reader.has_begun());
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn output_is_given_before_the_end_is_there() {
        let bytes = frame(b"", b"half a line", 0);
        let (reader, out) = feed_in(&[&bytes[..bytes.len() - 10]]);
        assert_eq!(out, b"half a line");
        assert!(!reader.has_ended());
    }

    #[test]
    fn bytes_after_the_end_are_noise_and_leave_the_status() {
        let bytes = frame(b"", b"", 7);
        let (reader, out) = feed_in(&[&bytes, b"late", b"r"]);
        assert_eq!(out, b"");
        assert_eq!((reader.status(), reader.noise()), (Some(7), &b"later"[..]));
    }

    #[test]
    fn an_end_without_a_number_has_no_status() {
        let bytes = format!("{NONCE}b\n{NONCE}e1x\n");
        assert_eq!(feed_in(&[bytes.as_bytes()]).0.status(), None);
    }
}
