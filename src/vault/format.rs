//! The format of a vault: 1.1 and, with a label, 1.2.
//!
//! Source: ansible-core 2.19, `parsing/vault/__init__.py`: AES-256 in counter mode, the key by
//! PBKDF2 (SHA-256, 10,000 rounds), HMAC-SHA-256 over the ciphertext, all of it in hexadecimal.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const MAGIC: &str = "$ANSIBLE_VAULT";
const CIPHER: &str = "AES256";
const ROUNDS: u32 = 10_000;
const BLOCK: usize = 16;
const LINE: usize = 80;

/// Why a vault cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no vault, or a broken one.
    #[error("this is not a vault: {0}")]
    Format(&'static str),
    /// No password fits.
    #[error("none of the {0} known passwords opens it")]
    Password(usize),
    /// There is no password at all.
    #[error("no vault password is given")]
    NoPassword,
}

/// A vault as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The label of its password, from version 1.2 on.
    pub label: Option<String>,
    salt: Vec<u8>,
    mac: Vec<u8>,
    sealed: Vec<u8>,
}

/// Whether a text begins as a vault does.
pub fn is_vault(text: &[u8]) -> bool {
    text.starts_with(MAGIC.as_bytes())
}

impl Envelope {
    /// Reads a vault.
    ///
    /// # Errors
    /// What is wrong with its format.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = text.trim().lines();
        let header = lines.next().unwrap_or_default();
        let mut parts = header.trim().split(';');
        if parts.next() != Some(MAGIC) {
            return Err(Error::Format("it has no header"));
        }
        let version = parts.next().unwrap_or_default();
        if !matches!(version, "1.1" | "1.2") {
            return Err(Error::Format("its version is neither 1.1 nor 1.2"));
        }
        if parts.next() != Some(CIPHER) {
            return Err(Error::Format("its cipher is not AES256"));
        }
        let label = parts.next().filter(|_| version == "1.2").map(str::to_owned);
        let body: String = lines.map(str::trim).collect();
        let inner = unhex(body.as_bytes())?;
        let mut fields = inner.split(|byte| *byte == b'\n');
        let mut field = || unhex(fields.next().ok_or(Error::Format("it is cut off"))?);
        Ok(Self {
            label,
            salt: field()?,
            mac: field()?,
            sealed: field()?,
        })
    }

    /// Opens it.
    ///
    /// # Errors
    /// A password that does not fit, or a broken vault.
    pub fn open(&self, password: &[u8]) -> Result<Vec<u8>, Error> {
        let keys = Derived::of(password, &self.salt);
        let mut mac = keys.mac();
        mac.update(&self.sealed);
        mac.verify_slice(&self.mac)
            .map_err(|_| Error::Password(1))?;
        let mut plain = self.sealed.clone();
        keys.cipher().apply_keystream(&mut plain);
        let padding = usize::from(*plain.last().ok_or(Error::Format("it is empty"))?);
        if padding == 0 || padding > BLOCK || padding > plain.len() {
            return Err(Error::Format("its end is broken"));
        }
        plain.truncate(plain.len() - padding);
        Ok(plain)
    }

    /// Seals a text with a password and a salt of random bytes.
    pub fn seal(plain: &[u8], password: &[u8], label: Option<&str>, salt: [u8; 32]) -> Self {
        let keys = Derived::of(password, &salt);
        let padding = BLOCK - plain.len() % BLOCK;
        let mut sealed = plain.to_vec();
        sealed.resize(
            plain.len() + padding,
            u8::try_from(padding).unwrap_or(u8::MAX),
        );
        keys.cipher().apply_keystream(&mut sealed);
        let mut mac = keys.mac();
        mac.update(&sealed);
        Self {
            label: label.map(str::to_owned),
            salt: salt.to_vec(),
            mac: mac.finalize().into_bytes().to_vec(),
            sealed,
        }
    }

    /// The text of a file, with a line end at its end.
    pub fn to_text(&self) -> String {
        let inner = [&self.salt, &self.mac, &self.sealed].map(|part| hex(part));
        let body = hex(inner.join("\n").as_bytes());
        let mut text = match &self.label {
            Some(label) => format!("{MAGIC};1.2;{CIPHER};{label}\n"),
            None => format!("{MAGIC};1.1;{CIPHER}\n"),
        };
        for line in body.as_bytes().chunks(LINE) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text
    }
}

/// What a password comes to with a salt.
struct Derived([u8; 80]);

impl Derived {
    fn of(password: &[u8], salt: &[u8]) -> Self {
        let mut bytes = [0; 80];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, ROUNDS, &mut bytes);
        Self(bytes)
    }

    fn cipher(&self) -> Ctr128BE<Aes256> {
        Ctr128BE::<Aes256>::new_from_slices(&self.0[..32], &self.0[64..])
            .expect("invariant: key and start have the cipher's lengths")
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0[32..64])
            .expect("invariant: a key of any length will do")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &[u8]) -> Result<Vec<u8>, Error> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let broken = Error::Format("it holds what is no hexadecimal number");
    if !text.len().is_multiple_of(2) {
        return Err(broken);
    }
    text.chunks(2)
        .map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok())
        .collect::<Option<Vec<u8>>>()
        .ok_or(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sealed by the `ansible-vault` of ansible-core 2.19 with the password `secret`.
    const SEALED: &str = include_str!("sealed_by_ansible.txt");

    #[test]
    fn what_ansible_sealed_is_opened() {
        let envelope = Envelope::parse(SEALED).unwrap();
        assert_eq!(envelope.label.as_deref(), Some("prod"));
        assert_eq!(envelope.open(b"secret").unwrap(), b"user: admin\n");
        assert_eq!(envelope.open(b"Secret"), Err(Error::Password(1)));
    }

    #[test]
    fn what_is_sealed_is_opened_again_and_no_bit_may_change() {
        for length in [0, 1, 15, 16, 17, 1000] {
            let plain = vec![b'x'; length];
            let text = Envelope::seal(&plain, b"pw", None, [7; 32]).to_text();
            assert_eq!(Envelope::parse(&text).unwrap().open(b"pw").unwrap(), plain);
        }
        let mut broken = Envelope::seal(b"plain", b"pw", None, [7; 32]);
        broken.sealed[0] ^= 1;
        assert_eq!(broken.open(b"pw"), Err(Error::Password(1)));
    }

    #[test]
    fn broken_vaults_are_told() {
        for text in [
            "",
            "x",
            "$ANSIBLE_VAULT;1.1;AES256\nzz",
            "$ANSIBLE_VAULT;9;AES256\n",
        ] {
            assert!(
                matches!(Envelope::parse(text), Err(Error::Format(_))),
                "{text}"
            );
        }
    }
}
