//! Keys, decoded from what a terminal sends.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A printable character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape alone.
    Escape,
    /// Backspace.
    Backspace,
    /// Ctrl-C, where it is not a signal.
    Interrupt,
    /// Ctrl-D on the terminal.
    EndOfText,
    /// Ctrl-U.
    Kill,
    /// The start of something pasted.
    Paste,
    /// Anything else.
    Other,
    /// The terminal is gone.
    Gone,
}

/// Decodes one key from the start of `bytes`: the key and how many bytes it took. `None`: a
/// sequence that may go on.
pub(super) fn decode(bytes: &[u8], may_go_on: bool) -> Option<(Key, usize)> {
    let first = *bytes.first()?;
    let key = match first {
        b'\r' | b'\n' => Key::Enter,
        3 => Key::Interrupt,
        4 => Key::EndOfText,
        21 => Key::Kill,
        8 | 127 => Key::Backspace,
        27 => return escape(bytes, may_go_on),
        0..32 => Key::Other,
        32..127 => Key::Char(char::from(first)),
        _ => return utf8(bytes, may_go_on),
    };
    Some((key, 1))
}

fn escape(bytes: &[u8], may_go_on: bool) -> Option<(Key, usize)> {
    if bytes.len() == 1 {
        return (!may_go_on).then_some((Key::Escape, 1));
    }
    if bytes[1] != b'[' && bytes[1] != b'O' {
        // Alt with a key; not the key itself.
        return Some((Key::Other, 2));
    }
    match bytes[2..].iter().position(|b| (64..127).contains(b)) {
        Some(end) => {
            let is_paste = &bytes[1..end + 3] == b"[200~";
            Some((if is_paste { Key::Paste } else { Key::Other }, end + 3))
        }
        None if may_go_on => None,
        None => Some((Key::Other, bytes.len())),
    }
}

fn utf8(bytes: &[u8], may_go_on: bool) -> Option<(Key, usize)> {
    let len = match bytes[0] {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf8 => 4,
        _ => return Some((Key::Other, 1)),
    };
    if bytes.len() < len {
        return (!may_go_on).then_some((Key::Other, bytes.len()));
    }
    let c = std::str::from_utf8(&bytes[..len])
        .ok()
        .and_then(|s| s.chars().next());
    Some(c.map_or((Key::Other, 1), |c| (Key::Char(c), len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_sequences() {
        for (bytes, key, len) in [
            (&b"y"[..], Key::Char('y'), 1),
            (b"\rx", Key::Enter, 1),
            (b"\x03", Key::Interrupt, 1),
            (b"\x1b[A", Key::Other, 3),
            (b"\x1bOPy", Key::Other, 3),
            (b"\x1b[200~orders", Key::Paste, 6),
            (b"\x1by", Key::Other, 2),
            ("ü".as_bytes(), Key::Char('ü'), 2),
            (b"\xff", Key::Other, 1),
        ] {
            assert_eq!(decode(bytes, true), Some((key, len)), "{bytes:?}");
        }
        assert_eq!(decode(b"\x1b", true), None);
        assert_eq!(decode(b"\x1b", false), Some((Key::Escape, 1)));
        assert_eq!(decode(b"\x1b[1;", true), None);
        assert_eq!(decode(b"", true), None);
    }
}
