//! Checksums that targets can compute too.

use std::fmt::Write as _;

/// SHA-1 in hex, Ansible's `checksum`.
pub(crate) fn sha1_hex(bytes: &[u8]) -> String {
    use sha1::Digest as _;
    hex(&sha1::Sha1::digest(bytes))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a string cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// What POSIX `cksum` prints for these bytes on its standard input: CRC and length.
pub(crate) fn cksum(bytes: &[u8]) -> String {
    let mut length = bytes.len();
    let mut crc = bytes.iter().fold(0, |crc, byte| feed(crc, *byte));
    while length > 0 {
        crc = feed(crc, length.to_le_bytes()[0]);
        length >>= 8;
    }
    format!("{} {}", !crc, bytes.len())
}

fn feed(crc: u32, byte: u8) -> u32 {
    (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
        if crc & 0x8000_0000 == 0 {
            crc << 1
        } else {
            (crc << 1) ^ 0x04c1_1db7
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    #[test]
    fn cksum_is_that_of_posix() {
        for text in ["", "a", "hello\n", "\0\u{ff}x"] {
            let mut child = std::process::Command::new("cksum")
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            let output = child.wait_with_output().unwrap();
            let expected = String::from_utf8(output.stdout).unwrap();
            assert_eq!(super::cksum(text.as_bytes()), expected.trim_end());
        }
    }
}
