//! The table at the end of a run.

use super::{Look, Tone, sanitize};
use crate::event::{HostStats, Stats};

/// A heading, what it counts, and the colour of a count.
type Column = (&'static str, fn(&HostStats) -> u32, Tone);

const COLUMNS: [Column; 9] = [
    ("ok", |s| s.ok, Tone::Good),
    ("changed", |s| s.changed, Tone::Change),
    ("unreach", |s| s.unreachable, Tone::Bad),
    ("failed", |s| s.failed, Tone::Bad),
    ("skipped", |s| s.skipped, Tone::Hunk),
    ("rescued", |s| s.rescued, Tone::Warning),
    ("ignored", |s| s.ignored, Tone::Warning),
    ("lost", |s| s.lost, Tone::Bad),
    ("unknown", |s| s.unknown, Tone::Warning),
];

/// Columns that stand even when all are 0; the rest appear when there is something to count.
const ALWAYS: usize = 5;

/// One line a host, with a heading; empty without hosts.
pub fn recap(stats: &Stats, look: &Look) -> String {
    if stats.hosts.is_empty() {
        return String::new();
    }
    let columns: Vec<_> = COLUMNS
        .iter()
        .enumerate()
        .filter(|(i, (_, count, _))| *i < ALWAYS || stats.hosts.values().any(|s| count(s) > 0))
        .map(|(_, column)| column)
        .collect();
    let names: Vec<String> = stats
        .hosts
        .keys()
        .map(|h| sanitize::inline(h).into_owned())
        .collect();
    let longest = names.iter().map(|n| console::measure_text_width(n)).max();
    let used: usize = columns.iter().map(|(name, ..)| name.len() + 2).sum();
    let width = longest
        .unwrap_or(4)
        .clamp(4, look.width.saturating_sub(used).max(12));
    let mut table = pad("host", width);
    for (name, ..) in &columns {
        table.push_str("  ");
        table.push_str(name);
    }
    table.push('\n');
    for (name, stats) in names.iter().zip(stats.hosts.values()) {
        table.push_str(&pad(&look.cut(name, width), width));
        for (heading, count, tone) in &columns {
            let n = count(stats);
            let cell = format!("{n:>width$}", width = heading.len());
            table.push_str("  ");
            table.push_str(&if n > 0 {
                look.paint(*tone, &cell)
            } else {
                cell
            });
        }
        table.push('\n');
    }
    table
}

pub(super) fn pad(text: &str, width: usize) -> String {
    console::pad_str(text, width, console::Alignment::Left, None).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_under_their_headings_and_rare_columns_only_when_needed() {
        let mut stats = Stats::default();
        stats.host("db1").ok = 23;
        stats.host("a-long-name.example").lost = 1;
        let table = recap(&stats, &Look::default().wide(60));
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines[0].ends_with("ok  changed  unreach  failed  skipped  lost"),
            "{table}"
        );
        assert!(
            lines[1].starts_with("db1 ") && lines[1].contains("23"),
            "{table}"
        );
        assert!(
            lines
                .iter()
                .all(|l| l.chars().count() == lines[0].chars().count()),
            "{table}"
        );
        assert_eq!(recap(&Stats::default(), &Look::default()), "");
    }
}
