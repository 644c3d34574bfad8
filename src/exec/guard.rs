//! What an apply says first: refuse where the host is no longer as the probe saw it.

use super::item::{Ready, with_environment};
use crate::modules::Compares;
use crate::script::Reply;

/// Exit status and mark of an apply that found the host moved.
pub(super) const MOVED: i32 = 93;
const MOVED_MARK: &str = "switchback: the host has changed since it was looked at";
/// Probe replies up to this size are compared as they are, larger ones by `cksum`.
const COMPARED_LITERALLY_MAX: usize = 2048;

pub(super) fn is_moved(reply: &Reply) -> bool {
    reply.stderr_text().contains(MOVED_MARK)
}

/// The part of a field's name after its last dot.
fn field_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, field)| field)
}

/// What `sb_stat` writes where `SB_atime` is `-`: its fields with the times of access left out.
fn without_access_times(reply: &[u8]) -> Vec<u8> {
    const ATIME: usize = 11;
    const NUMBERS: usize = 14;
    let end = reply.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = reply.split_at(end.unwrap_or(reply.len()));
    let Ok(head) = std::str::from_utf8(head) else {
        return reply.to_vec();
    };
    let masked: Vec<String> = head
        .split('\n')
        .map(|line| match line.split_once('=') {
            Some((name, value)) if field_of(name) == "stat" => {
                let mut numbers: Vec<&str> = value.split(' ').collect();
                if numbers.len() == NUMBERS {
                    numbers[ATIME] = "-";
                }
                format!("{name}={}", numbers.join(" "))
            }
            Some((name, value)) if field_of(name) == "times" => {
                let rest = value.split_once('|').map_or(value, |(_, rest)| rest);
                format!("{name}=-|{rest}")
            }
            _ => line.to_owned(),
        })
        .collect();
    [masked.join("\n").as_bytes(), body].concat()
}

pub(super) fn guarded(guard: Option<&str>, sh: &str) -> String {
    match guard {
        None => sh.to_owned(),
        Some(guard) => format!("{guard}\n{sh}"),
    }
}

impl Ready {
    /// The shell text that compares what is there now with what the probe saw.
    pub(super) fn guard(&self) -> Option<String> {
        let (probe, seen) = (self.probe.as_ref()?, self.seen.first()?);
        let mut probe = with_environment(&self.environment, &probe.sh);
        // Looking at a file is itself an access to it.
        let seen = without_access_times(&seen.stdout);
        let mut seen = seen.as_slice();
        if self.prepared.compares() == Compares::Fields {
            let end = seen.windows(2).position(|pair| pair == b"\n\n");
            seen = &seen[..end.map_or(seen.len(), |end| end + 2)];
            probe = format!("({probe}\n) | sed '/^$/q'");
        }
        let is_short = seen.len() <= COMPARED_LITERALLY_MAX && !seen.contains(&0);
        let text = std::str::from_utf8(seen).ok().filter(|_| is_short);
        let refuse = format!("{{ echo '{MOVED_MARK}' >&2; exit {MOVED}; }}");
        Some(if let Some(text) = text {
            // A command substitution drops trailing newlines; the dot keeps them.
            let expected = crate::script::quote(&format!("{text}."));
            let probe = format!("SB_atime=-\n{probe}");
            format!(
                "[ \"$( ({probe}\n) </dev/null 2>/dev/null; printf . )\" = {expected} ] || {refuse}"
            )
        } else {
            let expected = super::digest::cksum(seen);
            let probe = format!("SB_atime=-\n{probe}");
            format!(
                "[ \"$( ({probe}\n) </dev/null 2>/dev/null | cksum )\" = '{expected}' ] || {refuse}"
            )
        })
    }
}
