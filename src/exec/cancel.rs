//! Ending what runs of a run, on somebody's word: `switchback cancel`.
//!
//! Works while the run's own process lives, is detached or dead, as all that it needs is on the
//! hosts. Invariants: only attempts of this run are signalled, and only while nobody else has the
//! lock of their host; KILL needs a word of its own; who did it is on the host before the signal.

use super::ask::{Answer, Question, WordQuestion};
use super::ground::plain;
use super::halt::{Flow, Halt};
use super::look::Looked;
use super::root::{Ended, code};
use super::run::Run;
use crate::journal::{Attempt, Issued, Record, RunState};
use crate::script::attempt::{Fate, Refusal, Spot, seen};
use crate::transport::Target;

/// Milliseconds that a command has to end after TERM, and after KILL.
const GRACE_MS: u64 = 10_000;
/// Milliseconds between two looks at one that is to end.
const LOOK_MS: u64 = 250;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancel {
    /// Only on these hosts; none: on all.
    pub hosts: Vec<String>,
    /// Whether what does not end by TERM is ended by KILL.
    pub kills: bool,
    /// Whether a person is asked first, and again before KILL.
    pub asks: bool,
}

/// An attempt that runs.
struct Running {
    attempt: u64,
    name: String,
    target: Target,
    issued: Issued,
}

/// What has become of one that was told to end.
enum Told {
    Over,
    Runs(String),
    Fenced(String),
    Away(String),
}

impl Run {
    /// Ends attempts, from the look at the hosts to what came of it.
    pub(crate) async fn cancel_root(self, journal: RunState, wanted: Cancel) -> Ended {
        let exit_code = match self.cancel(&journal, &wanted).await {
            Ok(exit_code) => exit_code,
            Err(Halt::Stopped | Halt::Aborted) => {
                self.notice(false, "nothing was cancelled");
                code::STOPPED
            }
            Err(Halt::Undecided(hint)) => {
                self.notice(true, format!("nothing was cancelled: {hint}"));
                code::UNDECIDED
            }
            Err(halt) => {
                self.notice(true, format!("{halt:?}"));
                code::ERROR
            }
        };
        Ended {
            exit_code,
            wants_rollback: false,
        }
    }

    async fn cancel(&self, journal: &RunState, wanted: &Cancel) -> Flow<u8> {
        let (running, mut exit_code) = self.running_of(journal, &wanted.hosts).await;
        if running.is_empty() {
            self.notice(false, "nothing of the run is known to run on these hosts");
            return Ok(exit_code);
        }
        if wanted.asks {
            self.ask_for(&self.settings.run, "what is listed is ended with TERM")
                .await?;
        }
        let record = Record::Cancelled {
            attempts: running.iter().map(|running| running.attempt).collect(),
            by: self.who().to_owned(),
            at: self.port.now().wall,
        };
        self.record(vec![record], true).await?;
        let mut left = self.end_all(&running, "TERM", &mut exit_code).await;
        if !left.is_empty() && wanted.asks && !wanted.kills {
            self.ask_for("kill", "what still runs is ended with KILL, wherever it is")
                .await?;
        }
        if !left.is_empty() && (wanted.kills || wanted.asks) {
            left = self.end_all(&left, "KILL", &mut exit_code).await;
        } else if !left.is_empty() {
            self.notice(true, "`--kill` ends what TERM does not");
        }
        if let Some(exit_code) = journal.closed {
            // The run was over before, and is so still.
            let at = self.port.now().wall;
            let closed = Record::Closed { exit_code, at };
            self.record(vec![closed], true).await?;
        }
        Ok(if left.is_empty() {
            exit_code
        } else {
            code::FAILED
        })
    }

    /// Ends one attempt of this process from the pause screen; whether it was told to.
    pub(super) async fn end_here(
        &self,
        target: &Target,
        attempt: u64,
        spot: &Spot,
        signal: &str,
    ) -> Flow<bool> {
        let record = Record::Cancelled {
            attempts: vec![attempt],
            by: self.who().to_owned(),
            at: self.port.now().wall,
        };
        self.record(vec![record], true).await?;
        let tokens = self.own_tokens();
        let script = spot.cancel(signal, self.who(), &self.settings.run, &tokens);
        let reply = self.port.trip(target, plain(script), None).await;
        let seen = reply.as_ref().map(seen);
        let (is_told, text) = match &seen {
            Ok(Some(seen)) if seen.is_signalled => (true, format!("{signal} was sent")),
            Ok(Some(seen)) => match &seen.fate {
                Fate::Running { .. } => (false, "it is just beginning; try again".to_owned()),
                Fate::Refused(refusal) => (false, format!("it was not ended: {refusal:?}")),
                _ => (true, "it has ended".to_owned()),
            },
            Ok(None) => (false, "the host does not understand".to_owned()),
            Err(failed) => (false, failed.to_string()),
        };
        self.notice(!is_told, format!("{}: {text}", target.host));
        Ok(is_told)
    }

    async fn ask_for(&self, word: &str, warning: &str) -> Flow<()> {
        let question = WordQuestion {
            warning: warning.to_owned(),
            word: word.to_owned(),
        };
        match self.ask(Question::Word(question)).await? {
            Answer::Text(typed) if typed == word => Ok(()),
            _ => Err(Halt::Stopped),
        }
    }

    /// Who does this, without since when.
    fn who(&self) -> &str {
        let owner = &self.settings.owner;
        owner.split(" since ").next().unwrap_or(owner)
    }

    /// The attempts that run, each said; and the exit code that the hosts' answers make.
    async fn running_of(&self, journal: &RunState, hosts: &[String]) -> (Vec<Running>, u8) {
        let is_wanted = |a: &&Attempt| hosts.is_empty() || hosts.contains(&a.acts_on);
        let known = journal.open.values().chain(journal.jobs.values());
        let looks = known.filter(is_wanted).filter_map(|attempt| {
            let issued = attempt.issued.as_ref()?;
            Some(async move {
                match self.target_of(attempt) {
                    Ok(target) => {
                        let looked = self.look_at(&target, issued).await;
                        (attempt, Ok((target, issued, looked)))
                    }
                    Err(problem) => (attempt, Err(problem.message)),
                }
            })
        });
        let mut running = Vec::new();
        let mut exit_code = code::OK;
        for (attempt, looked) in futures_util::future::join_all(looks).await {
            let (host, name) = (&attempt.acts_on, attempt.title());
            match looked {
                Ok((target, issued, Looked::Runs(process))) => {
                    self.notice(false, format!("{host}: `{name}` runs ({process})"));
                    running.push(Running {
                        attempt: attempt.attempt,
                        name,
                        target,
                        issued: issued.clone(),
                    });
                }
                Ok((_, _, Looked::Away(failed))) => {
                    exit_code = code::UNREACHABLE;
                    let why = format!("{host}: `{name}` may run there: {failed}");
                    self.notice(true, why);
                }
                Ok((_, _, Looked::Refused(refusal))) => {
                    self.notice(true, format!("{host}: `{name}`: {refusal:?}"));
                }
                Ok((_, _, Looked::NotStarted | Looked::Ended(..) | Looked::Lost(..))) => {}
                Err(why) => {
                    exit_code = code::UNREACHABLE;
                    self.notice(true, format!("{host}: {why}"));
                }
            }
        }
        (running, exit_code)
    }

    /// Sends a signal and waits for the ends; those that still run are returned and said.
    async fn end_all(&self, running: &[Running], signal: &str, exit: &mut u8) -> Vec<Running> {
        let ends = running.iter().map(|one| self.end_one(one, signal));
        let ends = futures_util::future::join_all(ends).await;
        let mut left = Vec::new();
        for (one, told) in running.iter().zip(ends) {
            let (host, name) = (&one.target.host, &one.name);
            match told {
                Told::Over => self.notice(false, format!("{host}: `{name}` has ended")),
                Told::Runs(process) => {
                    let grace = GRACE_MS / 1000;
                    self.notice(
                        true,
                        format!("{host}: `{name}` runs {grace} s after {signal} still ({process})"),
                    );
                    left.push(Running {
                        name: name.clone(),
                        target: one.target.clone(),
                        issued: one.issued.clone(),
                        ..*one
                    });
                }
                Told::Fenced(line) => {
                    *exit = code::LOCKED;
                    let who = line.splitn(3, ' ').nth(2).unwrap_or_default();
                    self.notice(
                        true,
                        format!("{host}: `{name}` was not ended: {who} has the lock of the host"),
                    );
                }
                Told::Away(why) => {
                    *exit = code::UNREACHABLE;
                    self.notice(true, format!("{host}: whether `{name}` has ended: {why}"));
                }
            }
        }
        left
    }

    async fn end_one(&self, one: &Running, signal: &str) -> Told {
        let began = self.port.now().millis;
        let spot = &one.issued.spot;
        let (run, tokens) = (&self.settings.run, self.own_tokens());
        let mut is_sent = false;
        loop {
            // A command that is just beginning has nothing yet that a signal could be sent to.
            let script = if is_sent {
                spot.status(0, 0)
            } else {
                spot.cancel(signal, self.who(), run, &tokens)
            };
            let seen = match self.port.trip(&one.target, plain(script), None).await {
                Err(failed) => return Told::Away(failed.to_string()),
                Ok(reply) => match seen(&reply) {
                    None => return Told::Away(reply.stderr_text().trim().to_owned()),
                    Some(seen) => seen,
                },
            };
            is_sent |= seen.is_signalled;
            match seen.fate {
                Fate::Running { pid, state, .. } => {
                    if self.port.now().millis.saturating_sub(began) > GRACE_MS {
                        return Told::Runs(super::look::process(pid, &state, false));
                    }
                }
                Fate::Refused(Refusal::Fenced(line)) => return Told::Fenced(line),
                Fate::Refused(other) => return Told::Away(format!("{other:?}")),
                Fate::Absent
                | Fate::Claimed
                | Fate::Never
                | Fate::Finished { .. }
                | Fate::Lost { .. } => return Told::Over,
            }
            self.port.sleep(LOOK_MS).await;
        }
    }
}
