//! The `$5$` and `$6$` password hashes of crypt(3).

use sha_crypt::{Params, sha256_crypt, sha512_crypt};

use crate::template::error::{Problem, Result};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Rounds that are not written into the hash.
const IMPLICIT_ROUNDS: u32 = 5000;

/// Hashes a password by `sha512` or `sha256`.
pub(crate) fn hash(kind: &str, password: &str, salt: &str, rounds: Option<u32>) -> Result<String> {
    if !salt.bytes().all(|b| ALPHABET.contains(&b)) {
        return Err(Problem::other(
            "the salt has characters outside `./0-9A-Za-z`",
        ));
    }
    if salt.len() > 16 {
        return Err(Problem::other("the salt has more than 16 characters"));
    }
    let params = Params::new(rounds.unwrap_or(IMPLICIT_ROUNDS)).map_err(|_| {
        Problem::other("Could not hash the secret. rounds must be between 1000 and 999999999")
    })?;
    let (id, digest) = match kind {
        "sha512" | "sha512_crypt" => (
            "6",
            encode_sha512(&sha512_crypt(password.as_bytes(), salt.as_bytes(), params)),
        ),
        "sha256" | "sha256_crypt" => (
            "5",
            encode_sha256(&sha256_crypt(password.as_bytes(), salt.as_bytes(), params)),
        ),
        other => {
            return Err(Problem::other(format!(
                "{other} is not in the list of supported passlib algorithms: sha512 and sha256 are"
            )));
        }
    };
    let shown = rounds
        .filter(|r| *r != IMPLICIT_ROUNDS)
        .map_or_else(String::new, |r| format!("rounds={r}$"));
    Ok(format!("${id}${shown}{salt}${digest}"))
}

fn push(out: &mut String, bytes: [u8; 3], chars: usize) {
    let mut word = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
    for _ in 0..chars {
        out.push(char::from(ALPHABET[(word & 63) as usize]));
        word >>= 6;
    }
}

fn encode_sha512(digest: &[u8; 64]) -> String {
    let mut out = String::with_capacity(86);
    let (mut a, mut b, mut c) = (0, 21, 42);
    for _ in 0..21 {
        push(&mut out, [digest[a], digest[b], digest[c]], 4);
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    push(&mut out, [0, 0, digest[63]], 2);
    out
}

fn encode_sha256(digest: &[u8; 32]) -> String {
    let mut out = String::with_capacity(43);
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        push(&mut out, [digest[a], digest[b], digest[c]], 4);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    push(&mut out, [0, digest[31], digest[30]], 3);
    out
}

#[cfg(test)]
mod tests {
    use super::hash;

    /// What crypt(3) of libxcrypt gives for the same input.
    #[test]
    fn hashes_are_those_of_crypt() {
        assert_eq!(
            hash("sha512", "Hello world!", "saltstring", None).unwrap(),
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcb\
             YEdFCoEOfaS35inz1"
        );
        assert_eq!(
            hash("sha256", "Hello world!", "saltstring", None).unwrap(),
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
        );
    }
}
