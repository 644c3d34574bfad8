//! One line of a journal:
//! `{"seq":N,"prev":"HASH","at":"TIME","record":{…},"sum":"HASH16"}`.
//!
//! `prev` is the SHA-256 of the line before (without its newline; zeros before the first), so that
//! no line can be changed, dropped or moved unnoticed; `sum` is the start of the SHA-256 of the
//! line up to it, so that a changed last line is told from a torn one.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;

use super::blob::{self, sha256_hex};
use super::record::{FORMAT, Record};

/// `prev` of the first line.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const SUM_KEY: &str = ",\"sum\":\"";
const SUM_LEN: usize = 16;

/// A line as it is read.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) prev: String,
    pub(super) at: DateTime<Utc>,
    pub(super) record: Record,
}

/// Why a line cannot be read.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It is not as it was written.
    Broken(String),
    /// It is the first line of a journal of this other format.
    Format(String),
}

#[derive(Deserialize)]
struct Raw {
    seq: u64,
    prev: String,
    at: DateTime<Utc>,
    record: serde_json::Value,
}

/// The text of a line, without the newline.
pub(super) fn encode(seq: u64, prev: &str, at: DateTime<Utc>, record: &str) -> String {
    let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut line =
        format!("{{\"seq\":{seq},\"prev\":\"{prev}\",\"at\":\"{at}\",\"record\":{record}");
    let sum = sha256_hex(line.as_bytes());
    line.push_str(SUM_KEY);
    line.push_str(&sum[..SUM_LEN]);
    line.push_str("\"}");
    line
}

/// Whether the text is a line as [`encode`] made it.
pub(super) fn is_whole(text: &[u8]) -> bool {
    let tail = SUM_KEY.len() + SUM_LEN + 2;
    let Some(at) = text.len().checked_sub(tail) else {
        return false;
    };
    let sum = sha256_hex(&text[..at]);
    text[at..] == *format!("{SUM_KEY}{}\"}}", &sum[..SUM_LEN]).as_bytes()
}

/// Reads a line; `take` gives the bytes of a blob.
pub(super) fn decode(
    text: &[u8],
    take: &dyn Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Line, Fault> {
    let raw = serde_json::from_slice::<Raw>(text);
    if let Ok(raw) = &raw
        && let Some(format) = foreign_format(raw)
    {
        return Err(Fault::Format(format));
    }
    if !is_whole(text) {
        return Err(Fault::Broken("it is not as it was written".into()));
    }
    let raw = raw.map_err(|e| Fault::Broken(e.to_string()))?;
    let record = blob::restore(raw.record, take).map_err(Fault::Broken)?;
    let record = serde_json::from_value(record)
        .map_err(|e| Fault::Broken(format!("its record is not known: {e}")))?;
    Ok(Line {
        seq: raw.seq,
        prev: raw.prev,
        at: raw.at,
        record,
    })
}

fn foreign_format(raw: &Raw) -> Option<String> {
    if raw.record.get("record")?.as_str()? != "opened" {
        return None;
    }
    let format = raw.record.get("format")?;
    (format.as_u64() != Some(u64::from(FORMAT))).then(|| format.to_string())
}
