//! Masks known secrets wherever they turn up in text, in the forms in which programs print them.
//!
//! Secrecy by type ([`super::Text`]) is the first net, this is the second. Invariant: no output
//! holds a known secret, whole or as a line of it, in clear or in one of the forms below.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::{MASK, Map, Text, Value};

/// Shorter secrets would mask ordinary words.
const SECRET_BYTES_MIN: usize = 4;
/// Shorter lines of a secret (`}`, `EOF`) stand in any text.
const LINE_BYTES_MIN: usize = 8;
/// A shorter piece of base64 stands in any base64.
const BASE64_BYTES_MIN: usize = 8;
/// Longer secrets are known by their lines only.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// Knows the secrets of a run and masks them.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    secrets: Secrets,
    needles: BTreeSet<Vec<u8>>,
    fresh: Secrets,
    finder: Option<AhoCorasick>,
}

/// The secrets as they were given; their `Debug` shows only how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
struct Secrets(BTreeSet<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Equal when they know the same secrets.
impl PartialEq for Redactor {
    fn eq(&self, other: &Self) -> bool {
        self.secrets == other.secrets
    }
}

impl Redactor {
    /// Masks this text from now on.
    pub fn add(&mut self, secret: &str) {
        if self.add_known(secret) {
            self.fresh.0.insert(secret.to_owned());
        }
    }

    /// The secrets that were added since the last call, but for those that [`Self::add_known`]
    /// added.
    pub fn take_fresh(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fresh.0).into_iter().collect()
    }

    /// As [`Self::add`], of one that need not be told by [`Self::take_fresh`]; whether it is new.
    pub fn add_known(&mut self, secret: &str) -> bool {
        let trimmed = secret.trim();
        let is_useless = trimmed.len() < SECRET_BYTES_MIN || trimmed.bytes().all(|b| b == b'*');
        if is_useless || !self.secrets.0.insert(secret.to_owned()) {
            return false;
        }
        let before = self.needles.len();
        if trimmed.len() <= WHOLE_BYTES_MAX {
            self.needles.extend(forms(trimmed));
        }
        if trimmed.contains('\n') {
            for line in trimmed.lines().map(str::trim) {
                if line.len() >= LINE_BYTES_MIN {
                    self.needles.extend(forms(line));
                }
            }
        }
        if self.needles.len() > before {
            // Made anew at the next use: several secrets often come together.
            self.finder = None;
        }
        true
    }

    /// Masks every secret string in a value from now on.
    pub fn add_value(&mut self, value: &Value) {
        match value {
            Value::Str(text) if text.is_secret() && !text.is_template() => self.add(text.as_str()),
            Value::List(items) => items.iter().for_each(|item| self.add_value(item)),
            Value::Map(map) => map.values().for_each(|item| self.add_value(item)),
            _ => {}
        }
    }

    /// Whether nothing is secret so far.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// How long the longest masked form is, in bytes.
    pub fn needle_bytes_max(&self) -> usize {
        self.needles.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The first place from `at` on where a text can be cut without cutting a masked form in two.
    pub fn cut_at(&self, bytes: &[u8], at: usize) -> usize {
        let mut cut = at;
        for (from, to) in self.spans(bytes) {
            if from < cut && cut < to {
                cut = to;
            }
        }
        cut
    }

    /// Makes the search ready for use; without this each text searches anew.
    pub fn prepare(&mut self) {
        if self.finder.is_none() && !self.needles.is_empty() {
            self.finder = finder(&self.needles);
        }
    }

    /// The text with all known secrets masked; `None` where there is none in it.
    pub fn find_and_mask(&self, text: &str) -> Option<String> {
        let spans = self.spans(text.as_bytes());
        if spans.is_empty() {
            return None;
        }
        // Secrets may overlap: what any of them covers is masked.
        let mut masked = String::with_capacity(text.len());
        let mut end = 0;
        for (from, to) in spans {
            if from >= end {
                // A form is whole characters, so its place in valid text is at their borders.
                masked.push_str(text.get(end..from).unwrap_or_default());
                masked.push_str(MASK);
            }
            end = end.max(to);
        }
        masked.push_str(text.get(end..).unwrap_or_default());
        Some(masked)
    }

    /// Where masked forms stand, by their start; they may overlap.
    fn spans(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        if self.needles.is_empty() {
            return Vec::new();
        }
        let made;
        let finder = if let Some(finder) = &self.finder {
            finder
        } else {
            made = finder(&self.needles);
            let Some(finder) = &made else {
                return vec![(0, bytes.len())];
            };
            finder
        };
        let found = finder.find_overlapping_iter(bytes);
        let mut spans: Vec<(usize, usize)> = found.map(|f| (f.start(), f.end())).collect();
        spans.sort_unstable();
        spans
    }

    /// The text with all known secrets masked.
    pub fn mask(&self, text: &str) -> String {
        self.find_and_mask(text).unwrap_or_else(|| text.to_owned())
    }

    /// Masks a text in place.
    pub fn mask_in(&self, text: &mut String) {
        if let Some(masked) = self.find_and_mask(text) {
            *text = masked;
        }
    }

    /// A value with all secrets masked, those known by type and those known by text. Keys are text
    /// too.
    #[must_use]
    pub fn mask_value(&self, value: &Value) -> Value {
        match value {
            Value::Str(text) if text.is_secret() => MASK.into(),
            Value::Str(text) => match self.find_and_mask(text.as_str()) {
                Some(masked) => Value::Str(Text::data(masked)),
                None => Value::Str(text.clone().into_data()),
            },
            Value::Int(number) => match self.find_and_mask(&number.to_string()) {
                Some(masked) => masked.into(),
                None => value.clone(),
            },
            Value::List(items) => {
                Value::from(items.iter().map(|v| self.mask_value(v)).collect::<Vec<_>>())
            }
            Value::Map(map) => Value::from(
                map.iter()
                    .map(|(k, v)| (self.mask(k), self.mask_value(v)))
                    .collect::<Map>(),
            ),
            other => other.clone(),
        }
    }
}

fn finder(needles: &BTreeSet<Vec<u8>>) -> Option<AhoCorasick> {
    // Only this kind finds matches that overlap.
    AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .build(needles)
        .ok()
}

/// A text as programs print it.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let json = serde_json::Value::from(secret).to_string();
    let json = &json[1..json.len() - 1];
    let mut forms = vec![
        secret.to_owned(),
        json.to_owned(),
        json_ascii(secret),
        // JSON in JSON, as in the arguments of a log line.
        json.replace('\\', "\\\\").replace('"', "\\\""),
        secret.replace('\'', "'\\''"),
        secret.replace('\'', "'\"'\"'"),
        secret.replace('\'', "\\'"),
        backslashed(secret),
        percent(secret, false, b"-_.~"),
        percent(secret, false, b"-_.~/"),
        percent(secret, true, b"-_.~"),
        percent(secret, true, b"-_.*"),
        percent(secret, false, b"-_.!~*'()"),
        percent(secret, false, b"-_.~").to_ascii_lowercase_escapes(),
        xml(secret),
        hex(secret.as_bytes()),
        hex(secret.as_bytes()).to_ascii_uppercase(),
    ];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.extend(base64_cores(secret.as_bytes(), &engine));
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// The part of a base64 text that a secret makes, for each of the three places in which it may
/// stand within what is encoded.
fn base64_cores(
    secret: &[u8],
    engine: &base64::engine::general_purpose::GeneralPurpose,
) -> Vec<String> {
    let core = |shift: usize| {
        let bytes = [&[0_u8; 2][..shift], secret].concat();
        let text = engine.encode(&bytes);
        // Digits that also hold bits of what is before or after.
        let first = [0, 2, 3][shift];
        let last = bytes.len() * 8 / 6;
        text.get(first..last).unwrap_or_default().to_owned()
    };
    (0..3)
        .map(core)
        .filter(|core| core.len() >= BASE64_BYTES_MIN)
        .collect()
}

/// JSON with everything beyond ASCII as `\u`, as Python writes it.
fn json_ascii(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut ascii = String::new();
    for c in json[1..json.len() - 1].chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

/// With a backslash before everything that is not a plain word, as `printf %q` writes it.
fn backslashed(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c) || !c.is_ascii();
    text.chars().fold(String::new(), |mut out, c| {
        if !is_plain(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

/// URL-encoded; `has_plus` writes a space as `+`.
fn percent(text: &str, has_plus: bool, kept: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else if byte == b' ' && has_plus {
            out.push('+');
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

trait LowercaseEscapes {
    fn to_ascii_lowercase_escapes(&self) -> String;
}

impl LowercaseEscapes for String {
    /// `%2F` as `%2f`; the rest keeps its case.
    fn to_ascii_lowercase_escapes(&self) -> String {
        let mut left = 0;
        self.chars()
            .map(|c| {
                if c == '%' {
                    left = 2;
                    return c;
                }
                let is_escape = left > 0;
                left -= usize::from(is_escape);
                if is_escape { c.to_ascii_lowercase() } else { c }
            })
            .collect()
    }
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "s3cr&t 'wörd\"/+\\x";

    fn redactor(secret: &str) -> Redactor {
        let mut redactor = Redactor::default();
        redactor.add(secret);
        redactor.prepare();
        redactor
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let redactor = redactor(SECRET);
        let json = serde_json::Value::from(SECRET).to_string();
        for form in [
            SECRET.to_owned(),
            json.clone(),
            serde_json::Value::from(json.as_str()).to_string(),
            "s3cr%26t%20%27w%C3%B6rd%22%2F%2B%5Cx".to_owned(),
            "s3cr%26t+%27w%c3%b6rd%22%2F%2B%5Cx".to_ascii_lowercase(),
            "s3cr&t '\\''wörd\"/+\\x".to_owned(),
            STANDARD.encode(SECRET),
            URL_SAFE.encode(SECRET),
            STANDARD.encode(format!("admin:{SECRET}")),
            STANDARD.encode(format!("a:{SECRET}\n")),
            "s3cr&amp;t &#39;wörd&quot;/+\\x".to_owned(),
            hex(SECRET.as_bytes()),
        ] {
            let masked = redactor.mask(&format!("before {form} after"));
            let is_space_form = form.contains("+%27");
            assert!(
                masked.contains(MASK) || is_space_form,
                "{form} is left in {masked}"
            );
            assert!(masked.starts_with("before ") && masked.ends_with(" after"));
        }
    }

    #[test]
    fn each_line_of_a_secret_is_masked_and_short_ones_are_not() {
        let redactor = redactor("-----BEGIN KEY-----\nAAAAB3NzaC1yc2E\n}\n-----END KEY-----\n");
        let masked = redactor.mask("a: AAAAB3NzaC1yc2E, b: }");
        assert_eq!(masked, format!("a: {MASK}, b: }}"));
        assert!(super::Redactor::default().is_empty());
        let mut short = Redactor::default();
        short.add("yes");
        short.add(MASK);
        assert!(short.is_empty());
    }

    #[test]
    fn values_are_masked_by_type_and_by_text_in_keys_and_numbers_too() {
        let redactor = redactor("12345678");
        let value = Value::from(Map::from_iter([
            ("a 12345678".to_owned(), Value::Int(12_345_678)),
            (
                "b".to_owned(),
                Value::from(vec![
                    Value::Str(Text::data("x").into_secret()),
                    "x12345678".into(),
                ]),
            ),
        ]));
        let masked = redactor.mask_value(&value).to_exposed_json().to_string();
        assert!(!masked.contains("12345678"), "{masked}");
        assert!(
            masked.contains(&format!("[\"{MASK}\",\"x{MASK}\"]")),
            "{masked}"
        );
    }

    proptest! {
        #[test]
        fn no_known_secret_is_left(
            secrets in proptest::collection::vec("\\PC{4,12}", 1..4),
            pieces in proptest::collection::vec("\\PC{0,6}", 1..5),
        ) {
            let mut redactor = Redactor::default();
            for secret in &secrets {
                redactor.add(secret);
            }
            redactor.prepare();
            let mut text = String::new();
            for (piece, secret) in pieces.iter().zip(secrets.iter().cycle()) {
                text.push_str(piece);
                text.push_str(secret);
            }
            let masked = redactor.mask(&text);
            for secret in secrets.iter().filter(|s| redactor.secrets.0.contains(*s)) {
                let secret = secret.trim();
                // What is left may only be made by a mask and what stands beside it.
                let rest = masked.split(MASK).any(|part| part.contains(secret));
                prop_assert!(!rest, "{secret} in {masked}");
            }
        }
    }
}
