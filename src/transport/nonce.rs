//! Words that nobody on a host can guess: they mark where our bytes begin and end.
//!
//! Invariant: no nonce is given twice, and knowing some tells nothing about the next.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// A source of nonces, all derived from one secret of the process.
#[derive(Debug)]
pub(super) struct Nonces {
    seed: [u8; 32],
    count: AtomicU64,
}

impl Nonces {
    /// Seeds from the kernel.
    ///
    /// # Errors
    /// `/dev/urandom` cannot be read.
    pub(super) fn from_system() -> std::io::Result<Self> {
        let mut seed = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
        Ok(Self::from_seed(seed))
    }

    /// Seeds from given bytes.
    pub(super) fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            seed,
            count: AtomicU64::new(0),
        }
    }

    /// Returns the next one: `SB` and 32 hexadecimal digits, which every shell takes as a plain
    /// word.
    pub(super) fn next(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let mut word = String::from("SB");
        for byte in &hash.finalize()[..16] {
            word.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            word.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::Nonces;

    #[test]
    fn nonces_differ_between_calls_and_between_seeds() {
        let one = Nonces::from_seed([1; 32]);
        let two = Nonces::from_seed([2; 32]);
        let words = [one.next(), one.next(), two.next()];
        assert!(words.iter().all(|word| word.len() == 34));
        assert!(words[0] != words[1] && words[0] != words[2]);
    }
}
