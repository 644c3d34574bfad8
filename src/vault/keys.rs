//! The passwords at hand.

use super::{Envelope, Error};

/// A password and its label.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its label; `default` where none was given.
    pub label: String,
    password: Vec<u8>,
}

impl Key {
    /// A password by its label.
    pub fn new(label: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        Self {
            label: label.into(),
            password: password.into(),
        }
    }

    /// Seals a text; the label is written unless it is the default one.
    pub fn seal(&self, plain: &[u8], salt: [u8; 32]) -> String {
        let label = Some(self.label.as_str()).filter(|label| *label != "default");
        Envelope::seal(plain, &self.password, label, salt).to_text()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.label)
    }
}

/// The passwords that may open a vault, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: Vec<Key>,
    /// Whether only passwords with the vault's own label are tried.
    needs_match: bool,
}

impl Keys {
    /// These passwords; with `needs_match` a vault's label must be theirs (`vault_id_match`).
    pub fn new(keys: Vec<Key>, needs_match: bool) -> Self {
        Self { keys, needs_match }
    }

    /// The passwords.
    pub fn all(&self) -> &[Key] {
        &self.keys
    }

    /// Opens a vault: first with the password of its label, then with all others.
    ///
    /// # Errors
    /// That none fits.
    pub fn open(&self, text: &str) -> Result<Vec<u8>, Error> {
        let envelope = Envelope::parse(text)?;
        if self.keys.is_empty() {
            return Err(Error::NoPassword);
        }
        let is_own = |key: &&Key| Some(&key.label) == envelope.label.as_ref();
        let own = self.keys.iter().filter(is_own);
        let others = self
            .keys
            .iter()
            .filter(|key| !is_own(key) && !self.needs_match);
        for key in own.chain(others) {
            match envelope.open(&key.password) {
                Err(Error::Password(_)) => {}
                other => return other,
            }
        }
        Err(Error::Password(self.keys.len()))
    }
}
