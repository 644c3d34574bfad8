//! Hashes, encodings and identifiers.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val};

pub(super) const FILTERS: &[Filter] = &[
    row("hash", |e, v, a| {
        digest(&e.text(v)?, &a.text(0, "hashtype", "sha1")?).map(Val::str)
    }),
    row("checksum", |e, v, _| {
        digest(&e.text(v)?, "sha1").map(Val::str)
    }),
    row("sha1", |e, v, _| digest(&e.text(v)?, "sha1").map(Val::str)),
    row("md5", |e, v, _| digest(&e.text(v)?, "md5").map(Val::str)),
    row("password_hash", password_hash),
    row("b64encode", b64encode),
    row("b64decode", b64decode),
    row("to_uuid", to_uuid),
];

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn digest(text: &str, kind: &str) -> Result<String> {
    let bytes = text.as_bytes();
    Ok(match kind {
        "md5" => hex(&Md5::digest(bytes)),
        "sha1" => hex(&Sha1::digest(bytes)),
        "sha224" => hex(&Sha224::digest(bytes)),
        "sha256" => hex(&Sha256::digest(bytes)),
        "sha384" => hex(&Sha384::digest(bytes)),
        "sha512" => hex(&Sha512::digest(bytes)),
        other => return Err(Problem::other(format!("unsupported hash type {other}"))),
    })
}

/// Characters of a crypt salt.
const SALT: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn password_hash(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let kind = args.text(0, "hashtype", "sha512")?;
    if !matches!(
        args.get(2, "salt_size"),
        None | Some(Val::Null | Val::Int(_))
    ) {
        return Err(Problem::other("salt_size must be an integer"));
    }
    let salt = match args.get(1, "salt") {
        Some(Val::Null) | None => {
            let size = usize::try_from(args.int(2, "salt_size", 16)?)
                .unwrap_or(16)
                .clamp(1, 16);
            (0..size)
                .map(|_| {
                    char::from(SALT[usize::try_from(eval.world.random_u64() >> 58).unwrap_or(0)])
                })
                .collect()
        }
        Some(salt) => eval.text(salt)?,
    };
    let rounds = match args.get(3, "rounds") {
        // The defaults of passlib, which ansible-core uses.
        Some(Val::Null) | None => Some(if kind.starts_with("sha256") {
            535_000
        } else {
            656_000
        }),
        Some(_) => u32::try_from(args.int(3, "rounds", 5000)?).ok(),
    };
    let password = eval.text(input)?;
    // A hash is as good as its password to someone who can guess: it inherits secrecy, no more.
    super::crypt::hash(&kind, &password, &salt, rounds).map(Val::str)
}

fn b64encode(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text = eval.text(input)?;
    let safe = args.flag(eval, 1, "urlsafe")?;
    let bytes = encode(&text, &args.text(0, "encoding", "utf-8")?)?;
    Ok(Val::str(if safe {
        URL_SAFE.encode(bytes)
    } else {
        STANDARD.encode(bytes)
    }))
}

fn b64decode(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let text: String = eval.text(input)?.split_whitespace().collect();
    let encoding = args.text(0, "encoding", "utf-8")?;
    let safe = args.flag(eval, 1, "urlsafe")?;
    let bytes = if safe {
        URL_SAFE.decode(text)
    } else {
        STANDARD.decode(text)
    }
    .map_err(|e| Problem::other(format!("invalid base64: {e}")))?;
    decode(bytes, &encoding).map(Val::str)
}

fn encode(text: &str, encoding: &str) -> Result<Vec<u8>> {
    match encoding.to_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "ascii" => Ok(text.as_bytes().to_vec()),
        "utf-16-le" => Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "utf-16-be" => Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        "latin-1" | "iso-8859-1" => text
            .chars()
            .map(|c| u8::try_from(u32::from(c)))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| Problem::other("the text has characters outside latin-1")),
        other => Err(Problem::other(format!("unknown encoding: {other}"))),
    }
}

fn decode(bytes: Vec<u8>, encoding: &str) -> Result<String> {
    let refuse = || Problem::other(format!("the data is not {encoding}"));
    let wide = |join: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|c| join([c[0], c[1]])).collect();
        String::from_utf16(&units).map_err(|_| refuse())
    };
    match encoding.to_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "ascii" => String::from_utf8(bytes).map_err(|_| refuse()),
        "utf-16-le" => wide(u16::from_le_bytes),
        "utf-16-be" => wide(u16::from_be_bytes),
        "latin-1" | "iso-8859-1" => Ok(bytes.into_iter().map(char::from).collect()),
        other => Err(Problem::other(format!("unknown encoding: {other}"))),
    }
}

/// UUID version 5; the default name space is ansible-core's.
fn to_uuid(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let namespace = match args.get(0, "namespace") {
        Some(given) => eval.text(given)?,
        None => "361E6D51-FAEC-444A-9079-341386DA8E2E".to_owned(),
    };
    let namespace = uuid::Uuid::parse_str(&namespace)
        .map_err(|e| Problem::other(format!("Invalid value '{namespace}' for 'namespace': {e}")))?;
    let mut hash = Sha1::new();
    hash.update(namespace.as_bytes());
    hash.update(eval.text(input)?.as_bytes());
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x50;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Ok(Val::str(uuid::Uuid::from_bytes(bytes).to_string()))
}
