//! From the output of a running command to lines and percentages for people.

use regex::Regex;

use super::effect::Live;
use crate::event::Event;
use crate::model::Progress;
use crate::value::Redactor;

/// A line longer than this is shown in pieces.
const LINE_MAX: usize = 4096;

/// Steps that `pg_upgrade` prints, in order, as far as they tell how far it is. Source: its output
/// in `PostgreSQL` 15 to 17.
const PG_UPGRADE_STEPS: &[(&str, u8)] = &[
    ("Checking cluster versions", 2),
    ("Checking for prepared transactions", 8),
    ("Creating dump of global objects", 15),
    ("Creating dump of database schemas", 20),
    ("Checking for presence of required libraries", 25),
    ("Analyzing all rows in the new cluster", 35),
    ("Freezing all rows in the new cluster", 40),
    ("Setting next transaction ID", 50),
    ("Restoring global objects", 55),
    ("Restoring database schemas", 60),
    ("Adding \".old\" suffix", 80),
    ("Linking user relation files", 85),
    ("Copying user relation files", 85),
    ("Setting next OID", 93),
    ("Sync data directory to disk", 95),
    ("Creating script to delete old cluster", 98),
    ("Upgrade Complete", 100),
];

/// Reads one command's output as it comes.
pub(crate) struct Watcher {
    live: Live,
    regex: Option<Regex>,
    rest: [Vec<u8>; 2],
}

impl Watcher {
    pub(crate) fn new(live: Live) -> Self {
        let regex = match &live.progress {
            Some(Progress::Regex(pattern)) => Regex::new(pattern).ok(),
            Some(Progress::Rsync) => Regex::new(r"\s(\d{1,3})%\s").ok(),
            Some(Progress::PgUpgrade) | None => None,
        };
        Self {
            live,
            regex,
            rest: [Vec::new(), Vec::new()],
        }
    }

    /// Events for some more bytes: whole lines, and what they say of the progress.
    pub(crate) fn watch(&mut self, is_stderr: bool, bytes: &[u8]) -> Vec<Event> {
        let rest = &mut self.rest[usize::from(is_stderr)];
        rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut lines = Vec::new();
        let redactor = &self.live.redactor;
        while let Some(end) = rest
            .iter()
            .position(|b| *b == b'\n' || *b == b'\r')
            .map(|end| end + 1)
            .or_else(|| cut_of(rest, redactor))
        {
            let line: Vec<u8> = rest.drain(..end).collect();
            let line = String::from_utf8_lossy(&line);
            lines.push(redactor.mask(line.trim_end()));
        }
        for text in lines.into_iter().filter(|line| !line.is_empty()) {
            let (host, step) = (self.live.host.clone(), self.live.step.clone());
            if self.live.progress.is_some() {
                let percent = self.percent(&text);
                if percent.is_some() || self.regex.is_none() {
                    events.push(Event::Progress {
                        host,
                        step,
                        percent,
                        text,
                    });
                    continue;
                }
            }
            events.push(Event::Output {
                host,
                step,
                is_stderr,
                text,
            });
        }
        events
    }

    fn percent(&self, line: &str) -> Option<u8> {
        if let Some(regex) = &self.regex {
            return regex
                .captures(line)?
                .get(1)?
                .as_str()
                .parse()
                .ok()
                .filter(|p| *p <= 100);
        }
        PG_UPGRADE_STEPS
            .iter()
            .find(|(text, _)| line.contains(text))
            .map(|(_, percent)| *percent)
    }
}

/// Where a long line is cut to be shown in pieces: through no secret, and none that may still be on
/// its way.
fn cut_of(rest: &[u8], redactor: &Redactor) -> Option<usize> {
    let enough = LINE_MAX + redactor.needle_bytes_max();
    (rest.len() > enough).then(|| redactor.cut_at(rest, LINE_MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::StepId;

    fn watcher(progress: Progress) -> Watcher {
        Watcher::new(Live {
            host: "a".into(),
            step: StepId("s".into()),
            progress: Some(progress),
            is_hidden: false,
            redactor: Arc::default(),
        })
    }

    #[test]
    fn a_secret_is_masked_however_the_output_is_cut() {
        let secret = "s3cret-word";
        let mut redactor = Redactor::default();
        redactor.add(secret);
        let redactor = Arc::new(redactor);
        for before in (LINE_MAX - 2 * secret.len()..=LINE_MAX + 2).chain([0, 10]) {
            let text = format!("{}{secret}{}\n", "x".repeat(before), "y".repeat(LINE_MAX));
            for step in [1, 7, 100, text.len()] {
                let mut watcher = Watcher::new(Live {
                    host: "a".into(),
                    step: StepId("s".into()),
                    progress: None,
                    is_hidden: false,
                    redactor: redactor.clone(),
                });
                let mut shown = String::new();
                for chunk in text.as_bytes().chunks(step) {
                    for event in watcher.watch(false, chunk) {
                        if let Event::Output { text, .. } = event {
                            shown.push_str(&text);
                        }
                    }
                }
                let expected = text.trim_end().replace(secret, crate::value::MASK);
                assert_eq!(
                    shown, expected,
                    "{before} bytes before, in pieces of {step}"
                );
            }
        }
    }

    #[test]
    fn rsync_percentages_are_read_across_cut_chunks() {
        let mut watcher = watcher(Progress::Rsync);
        assert!(watcher.watch(false, b"  1,048,576  4").is_empty());
        let events = watcher.watch(false, b"2%   10.00MB/s    0:00:01\r");
        assert!(
            matches!(
                events.as_slice(),
                [Event::Progress {
                    percent: Some(42),
                    ..
                }]
            ),
            "{events:?}"
        );
    }

    #[test]
    fn pg_upgrade_steps_move_forward() {
        let percents: Vec<u8> = PG_UPGRADE_STEPS
            .iter()
            .map(|(_, percent)| *percent)
            .collect();
        assert!(percents.is_sorted());
        let mut watcher = watcher(Progress::PgUpgrade);
        let events = watcher.watch(false, b"Checking cluster versions            ok\n");
        assert!(
            matches!(
                events.as_slice(),
                [Event::Progress {
                    percent: Some(2),
                    ..
                }]
            ),
            "{events:?}"
        );
    }
}
