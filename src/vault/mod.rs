//! Ansible's vaults: encrypted texts and the passwords that open them.
//!
//! Knows no files and no YAML. Invariant: what it opens is what was sealed, or an error: the mark
//! of authenticity is checked before anything is decrypted.

mod format;
mod keys;

pub use format::{Envelope, Error, is_vault};
pub use keys::{Key, Keys};
