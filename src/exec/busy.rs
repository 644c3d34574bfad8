//! What of a run may still run on its hosts when it is to be rolled back.
//!
//! Invariant: nothing is undone beside an attempt that still runs; that a host does not answer is
//! never taken for an end.

use super::attempt::Course;
use super::ground::plain;
use super::halt::Flow;
use super::look::Looked;
use super::run::Run;
use crate::journal::{Attempt, Record, RunState};
use crate::script::attempt::{Fate, seen};

/// Attempts without an end, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Busy {
    /// Those that run.
    runs: Vec<String>,
    /// Those of which nobody can say, as their hosts do not answer.
    may_run: Vec<String>,
}

impl Busy {
    /// The condition of a way back that nothing runs. What cannot be asked forbids only the stack:
    /// a named way may be there for the very case that a host is gone.
    pub(super) fn condition(&self, run: &str, is_stack: bool) -> (String, bool, String) {
        let mut lines = self.runs.clone();
        if is_stack {
            lines.extend(self.may_run.clone());
        }
        let holds = lines.is_empty();
        let seen = if holds {
            "nothing".to_owned()
        } else {
            format!(
                "{}; `switchback cancel {run}` ends it, `switchback resume {run}` waits for it",
                lines.join("; ")
            )
        };
        ("no attempt of the run still runs".to_owned(), holds, seen)
    }
}

impl Run {
    /// Asks about all that was begun and has no end. What never started is said to the journal, and
    /// has nothing to undo.
    pub(super) async fn settle_open(&self, journal: &mut RunState) -> Flow<Busy> {
        let jobs = journal.jobs.values().filter(|job| job.ended.is_none());
        let known: Vec<Attempt> = journal.open.values().chain(jobs).cloned().collect();
        let looks = known.iter().map(|attempt| self.settle_one(attempt));
        let looked = futures_util::future::join_all(looks).await;
        let mut busy = Busy::default();
        for (attempt, settled) in known.iter().zip(looked) {
            let line = |what: &str| format!("{}: `{}` {what}", attempt.acts_on, attempt.title());
            match settled {
                Settled::Runs(process) => busy.runs.push(line(&format!("runs ({process})"))),
                Settled::Away(why) => busy.may_run.push(line(&format!("may run: {why}"))),
                Settled::Over => {}
                Settled::Never => {
                    let attempt = attempt.attempt;
                    self.record(vec![Record::NeverStarted { attempt }], true)
                        .await?;
                    journal.open.remove(&attempt);
                    journal.undo.retain(|entry| entry.attempt != attempt);
                }
            }
        }
        Ok(busy)
    }

    /// Waits for the ends of what an earlier process began on delegates. What was begun for a host on
    /// itself is met by the host's own next step; a delegate's own steps would not meet it, and must
    /// not go on beside it.
    pub(super) async fn wait_for_delegated(&self) -> Flow<()> {
        let delegated = self.state.borrow().replay.delegated.clone();
        let waits = delegated.iter().filter_map(|attempt| {
            let issued = attempt.issued.as_ref().filter(|issued| !issued.is_job)?;
            let target = self.target_of(attempt).ok()?;
            Some(async move {
                let (host, name) = (&attempt.acts_on, attempt.title());
                let for_host = &attempt.instance.host;
                let text = format!("{host}: looking for `{name}`, which was begun for {for_host}");
                self.notice(false, text);
                let course = Course::new(&target, issued, name, None, attempt.shown);
                self.wait_out(&course).await
            })
        });
        for waited in futures_util::future::join_all(waits).await {
            waited?;
        }
        Ok(())
    }

    async fn settle_one(&self, attempt: &Attempt) -> Settled {
        if attempt.is_unsent() {
            return Settled::Never;
        }
        let Some(issued) = &attempt.issued else {
            return Settled::Over;
        };
        let target = match self.target_of(attempt) {
            Ok(target) => target,
            Err(problem) => return Settled::Away(problem.message),
        };
        match self.look_at(&target, issued).await {
            Looked::Runs(process) => Settled::Runs(process),
            Looked::Ended(..) | Looked::Lost(..) | Looked::Refused(_) => Settled::Over,
            Looked::Away(failed) => Settled::Away(failed.to_string()),
            Looked::NotStarted => {
                let script = plain(issued.spot.resolve(0, 0));
                let reply = self.port.trip(&target, script, None).await;
                match reply.as_ref().map(seen) {
                    Ok(Some(seen)) if seen.fate == Fate::Never => Settled::Never,
                    Ok(Some(seen)) if matches!(seen.fate, Fate::Running { .. }) => {
                        Settled::Runs("it has just begun".to_owned())
                    }
                    Ok(_) => Settled::Over,
                    Err(failed) => Settled::Away(failed.to_string()),
                }
            }
        }
    }
}

/// What asking about an attempt came to.
enum Settled {
    Runs(String),
    Never,
    Over,
    Away(String),
}
