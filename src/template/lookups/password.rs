//! The `password` lookup: a random password that is kept in a file.

use std::fmt::Write as _;
use std::path::Path;

use super::{Lookup, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::filters::{Random, crypt, path::expand_user};
use crate::template::val::{Args, Val};
use crate::value::Text;

pub(super) const LOOKUPS: &[Lookup] = &[row("password", password)];

const DEFAULT_CHARS: &str = "ascii_letters,digits,.,:-_";
const SALT_CHARS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./";

/// The characters that a `chars` option stands for.
fn alphabet(names: &[String]) -> String {
    let lower = "abcdefghijklmnopqrstuvwxyz";
    let upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut out = String::new();
    for name in names {
        match name.as_str() {
            "ascii_letters" => {
                out.push_str(lower);
                out.push_str(upper);
            }
            "ascii_lowercase" => out.push_str(lower),
            "ascii_uppercase" => out.push_str(upper),
            "digits" => out.push_str("0123456789"),
            "hexdigits" => out.push_str("0123456789abcdefABCDEF"),
            "octdigits" => out.push_str("01234567"),
            "punctuation" => out.push_str("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
            other => out.push_str(other),
        }
    }
    out.chars().filter(|c| *c != '"' && *c != '\'').collect()
}

fn draw(eval: &Eval<'_>, chars: &str, length: usize, seed: Option<&Val>) -> Result<String> {
    let chars: Vec<char> = chars.chars().collect();
    if chars.is_empty() {
        return Err(Problem::other("the `chars` of the password are empty"));
    }
    let mut out = String::new();
    let mut source = Random::new(eval, seed)?;
    for _ in 0..length {
        let index = source.below(chars.len() as u64);
        out.push(chars[usize::try_from(index).unwrap_or(0)]);
    }
    Ok(out)
}

fn password(eval: &Eval<'_>, args: &Args) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for term in args.strings(eval)? {
        let (path, inline) = split_term(&term);
        let option = |name: &str, default: &str| match inline.iter().find(|(n, _)| n == name) {
            Some((_, value)) => Ok(value.clone()),
            None => match args.option(name) {
                Some(Val::Null) => Ok(default.to_owned()),
                Some(list) if list.is_sequence() => {
                    let items: Result<Vec<String>> =
                        eval.items(list)?.iter().map(|v| eval.text(v)).collect();
                    Ok(items?.join(","))
                }
                _ => args.option_text(eval, name, default),
            },
        };
        let length: usize = option("length", "20")?
            .parse()
            .ok()
            .filter(|n| *n <= 10_000)
            .ok_or_else(|| Problem::other("`length` must be a number of at most 10000"))?;
        if !option("ident", "")?.is_empty() {
            return Err(Problem::other(
                "`ident` of the password lookup is not supported",
            ));
        }
        let seed = Some(option("seed", "")?).filter(|seed| !seed.is_empty());
        let seed = seed.map(Val::str);
        let names = option("chars", DEFAULT_CHARS)?.replace(",,", "\u{0},");
        let names: Vec<String> = names
            .split(',')
            .map(|n| n.replace('\u{0}', ","))
            .filter(|n| !n.is_empty())
            .collect();
        let encrypt = Some(option("encrypt", "")?).filter(|e| !e.is_empty());
        let stored = stored(eval, &path)?;
        let (mut plain, mut salt) = stored.clone().unwrap_or_default();
        if stored.is_none() {
            plain = draw(eval, &alphabet(&names), length, seed.as_ref())?;
        }
        let needs_salt = encrypt.is_some() && salt.is_empty();
        if needs_salt {
            salt = draw(eval, SALT_CHARS, 8, None)?;
        }
        if path != "/dev/null" && (stored.is_none() || needs_salt) {
            let mut content = plain.clone();
            if !salt.is_empty() {
                // Writing to a string cannot fail.
                let _ = write!(content, " salt={salt}");
            }
            content.push('\n');
            let target = target(eval, &path);
            eval.world
                .write_file(Path::new(&target), content.as_bytes())
                .map_err(Problem::other)?;
        }
        let value = match encrypt {
            Some(kind) => crypt::hash(&kind, &plain, &salt, None)?,
            None => plain,
        };
        // A password is a secret, whatever file it is kept in.
        eval.note_secret();
        out.push(Val::Str(Text::data(value).into_secret()));
    }
    Ok(out)
}

/// The path and the options after it; the path may hold spaces.
fn split_term(term: &str) -> (String, Vec<(String, String)>) {
    const KEYS: &[&str] = &["length", "encrypt", "chars", "ident", "seed"];
    let mut options = Vec::new();
    let mut path = Vec::new();
    for word in term.split(' ') {
        match word.split_once('=').filter(|(key, _)| KEYS.contains(key)) {
            Some((key, value)) => options.push((key.to_owned(), value.to_owned())),
            None if options.is_empty() => path.push(word),
            None => {}
        }
    }
    (path.join(" ").trim().to_owned(), options)
}

fn target(eval: &Eval<'_>, path: &str) -> String {
    let path = expand_user(eval, path);
    eval.world
        .real_path(Path::new(&path))
        .to_string_lossy()
        .into_owned()
}

/// The password and salt that the file holds.
fn stored(eval: &Eval<'_>, path: &str) -> Result<Option<(String, String)>> {
    if path == "/dev/null" {
        return Ok(None);
    }
    let target = target(eval, path);
    if eval.world.stat(Path::new(&target), true).is_none() {
        return Ok(None);
    }
    let bytes = eval
        .world
        .read_file(Path::new(&target))
        .map_err(Problem::other)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\n');
    Ok(Some(match text.rsplit_once(" salt=") {
        Some((plain, salt)) => (plain.to_owned(), salt.to_owned()),
        None => (text.to_owned(), String::new()),
    }))
}
