//! One durable attempt: it is started, followed, and found again when the connection was lost.
//!
//! Knows nothing of tasks. Invariants: an attempt is sent once, under an id that is on disk; that
//! nobody can be reached decides nothing; only a host says what has become of an attempt.

use std::cell::Cell;

use futures_util::future::{Either, select};

use super::ask::Answer;
use super::effect::Live;
use super::end::ItemEnd;
use super::ground::plain;
use super::halt::{Flow, Halt};
use super::progress::Watcher;
use super::run::Run;
use crate::event::Status;
use crate::journal::{Issued, Record};
use crate::script::attempt::{self, Fate, Refusal, Seen};
use crate::script::{Reply, Script};
use crate::transport::{Failed, Target};

/// Milliseconds between two looks at an attempt whose start has not replied yet.
const FOLLOW_MS: u64 = 1000;
/// The shortest and the longest pause between two looks at one that was found again.
const LOOK_MS: (u64, u64) = (100, 2000);
/// The longest pause between two tries to reach a host.
const REACH_MS_MAX: u64 = 10_000;
/// Milliseconds between two words about a host that cannot be reached.
const SAY_MS: u64 = 60_000;
/// An offset behind all output.
const PAST_THE_END: u64 = 1 << 50;
/// Looks in a row at which a process waits for a device before that is said.
const STUCK_LOOKS: u32 = 5;
/// Seconds that two clocks of a host may differ without it having gone back in time.
const BACK_S_MAX: u64 = 2;

/// Why an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself.
    Itself,
    /// Its time was over, and the host ended it.
    Late,
    /// Somebody ended it.
    Cancelled(String),
}

impl Ending {
    pub(super) fn of(seen: &Seen, is_late: bool) -> Self {
        match &seen.cancelled {
            _ if is_late => Self::Late,
            Some(who) => Self::Cancelled(who.clone()),
            None => Self::Itself,
        }
    }
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum Tried {
    /// It ended, and why.
    Ended(Reply, Ending),
    /// It runs, and nobody awaits it.
    Begun,
    /// It never started and never will.
    Never,
    /// Nothing of it was sent.
    NotSent(Failed),
    /// The host was restarted before it could start.
    OtherBoot,
    /// Another one has the lock of the host.
    Fenced(String),
    /// The host did not start it.
    Refused(String),
    /// Nobody can say how it ended; what it had said by then.
    Lost(String, Reply),
}

/// An attempt on its way.
pub(super) struct Course<'a> {
    target: &'a Target,
    issued: &'a Issued,
    host: String,
    name: String,
    watcher: Option<Watcher>,
    /// How much of both streams was shown.
    shown: (u64, u64),
    so_far: Reply,
    /// Whether somebody has ended it with TERM.
    is_told: Cell<bool>,
    /// Looks in a row at which its process was stopped or waited for a device.
    stuck_looks: u32,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        target: &'a Target,
        issued: &'a Issued,
        name: String,
        live: Option<Live>,
        shown: (u64, u64),
    ) -> Self {
        Self {
            target,
            issued,
            host: target.host.clone(),
            name,
            watcher: live.filter(|live| !live.is_hidden).map(Watcher::new),
            shown,
            so_far: Reply::default(),
            is_told: Cell::new(false),
            stuck_looks: 0,
        }
    }

    fn offsets(&self) -> (u64, u64) {
        let so_far = &self.so_far;
        (so_far.stdout.len() as u64, so_far.stderr.len() as u64)
    }

    pub(super) fn status(&self) -> Script {
        let (out, err) = self.offsets();
        self.issued.spot.status(out, err)
    }

    fn resolve(&self) -> Script {
        let (out, err) = self.offsets();
        self.issued.spot.resolve(out, err)
    }

    /// Takes output in without showing it; whether there may be more at once.
    pub(super) fn add(&mut self, seen: &Seen) -> bool {
        self.so_far.stdout.extend_from_slice(&seen.out);
        self.so_far.stderr.extend_from_slice(&seen.err);
        seen.has_more()
    }

    /// What it has said, with this status.
    pub(super) fn reply(self, rc: i32) -> Reply {
        Reply { rc, ..self.so_far }
    }
}

impl Run {
    /// Sends an attempt and stays with it to its end.
    pub(super) async fn try_attempt(&self, mut course: Course<'_>, script: Script) -> Flow<Tried> {
        let target = course.target.clone();
        let mut start = Box::pin(self.port.trip(&target, plain(script), None));
        let reply = loop {
            let pause = Box::pin(self.port.sleep(FOLLOW_MS));
            match select(start, pause).await {
                Either::Left((reply, _)) => break reply,
                Either::Right(((), rest)) => start = rest,
            }
            // Who is at the terminal may not want to wait for the task.
            if self.settings.asks
                && let Some(why) = self.port.take_interrupt()
            {
                self.show_pause(&course, &why, "runs").await?;
            }
            let looked = self.port.trip(&target, plain(course.status()), None).await;
            if let Ok(Some(seen)) = looked.map(|reply| attempt::seen(&reply)) {
                self.take(&mut course, &seen).await?;
            }
        };
        match reply {
            Err(failed @ Failed::Unreachable { .. }) => Ok(Tried::NotSent(failed)),
            Err(Failed::Lost { reason }) => self.find_again(course, Some(reason)).await,
            Ok(reply) => match attempt::seen(&reply) {
                None => {
                    let said = reply.stderr_text();
                    self.find_again(course, Some(format!("the host said: {}", said.trim())))
                        .await
                }
                Some(seen) => self.conclude(course, seen).await,
            },
        }
    }

    /// What the reply to a start says.
    async fn conclude(&self, mut course: Course<'_>, mut seen: Seen) -> Flow<Tried> {
        // It has the output from the beginning; some of it may have been fetched on the way.
        let (out, err) = course.offsets();
        let is_cut = seen.has_more();
        let rest = |bytes: &mut Vec<u8>, known: u64| {
            let known = usize::try_from(known).unwrap_or(usize::MAX);
            bytes.drain(..known.min(bytes.len()));
        };
        rest(&mut seen.out, out);
        rest(&mut seen.err, err);
        self.take(&mut course, &seen).await?;
        match seen.fate {
            Fate::Running { .. } | Fate::Finished { .. } if course.issued.is_job => {
                Ok(Tried::Begun)
            }
            Fate::Finished { rc, is_late } if !is_cut => {
                let ending = Ending::of(&seen, is_late);
                Ok(Tried::Ended(course.reply(rc), ending))
            }
            Fate::Refused(refusal) => Ok(refused(refusal)),
            Fate::Never => Ok(Tried::Never),
            _ => self.find_again(course, None).await,
        }
    }

    /// Meets the host of an attempt of an earlier process, however long it cannot be reached.
    pub(super) async fn ground_of(&self, course: &Course<'_>) -> Flow<Result<(), Box<ItemEnd>>> {
        let began = self.port.now().millis;
        let (mut reach, mut said) = (LOOK_MS.0, None);
        loop {
            match self.ground(course.target).await? {
                Err(end) if end.status == Status::Unreachable => {
                    self.give_up_late(course, began, &end.msg())?;
                    self.say_unreachable(course, &end.msg(), &mut said);
                    self.pause_here(course, "is unreachable, and the task may be running")
                        .await?;
                }
                met => return Ok(met.map(drop)),
            }
            self.port.sleep(reach).await;
            reach = (reach * 2).min(REACH_MS_MAX);
        }
    }

    /// Looks for an attempt until its end. `lost` says why it has to be looked for.
    pub(super) async fn find_again(
        &self,
        mut course: Course<'_>,
        lost: Option<String>,
    ) -> Flow<Tried> {
        let mut since = lost.as_ref().map(|_| self.port.now().millis);
        let mut said = None;
        let (mut pause, mut reach) = (LOOK_MS.0, LOOK_MS.0);
        if let Some(why) = &lost {
            self.say_unreachable(&course, why, &mut said);
        }
        let mut is_resolved = false;
        loop {
            let script = if is_resolved {
                course.status()
            } else {
                course.resolve()
            };
            let reply = self.port.trip(course.target, plain(script), None).await;
            let reason = match reply {
                Ok(reply) => match attempt::seen(&reply) {
                    Some(seen) => {
                        if since.take().is_some() {
                            let host = &course.host;
                            self.notice(false, format!("{host}: reached again"));
                        }
                        (said, reach, is_resolved) = (None, LOOK_MS.0, true);
                        let has_more = self.take(&mut course, &seen).await?;
                        if let Some(tried) = course.outcome(&seen, has_more) {
                            return Ok(tried);
                        }
                        if matches!(seen.fate, Fate::Refused(Refusal::NoSpace)) {
                            is_resolved = false;
                        }
                        if !has_more {
                            self.pause_here(&course, "runs").await?;
                            self.port.sleep(pause).await;
                            pause = (pause * 2).min(LOOK_MS.1);
                        }
                        continue;
                    }
                    None => format!("the host said: {}", reply.stderr_text().trim()),
                },
                Err(Failed::Unreachable { reason, .. } | Failed::Lost { reason }) => reason,
            };
            let began = *since.get_or_insert(self.port.now().millis);
            self.give_up_late(&course, began, &reason)?;
            self.say_unreachable(&course, &reason, &mut said);
            self.pause_here(&course, "is unreachable, and the task may be running")
                .await?;
            self.port.sleep(reach).await;
            reach = (reach * 2).min(REACH_MS_MAX);
        }
    }

    /// Waits until an attempt no longer runs, and leaves its output to who takes it up.
    pub(super) async fn wait_out(&self, course: &Course<'_>) -> Flow<()> {
        let (mut since, mut said, mut pause) = (None, None, LOOK_MS.0);
        loop {
            let script = course.issued.spot.status(PAST_THE_END, PAST_THE_END);
            let reply = self.port.trip(course.target, plain(script), None).await;
            let reason = match reply.map(|reply| (attempt::seen(&reply), reply)) {
                Ok((Some(seen), _)) if !matches!(seen.fate, Fate::Running { .. }) => return Ok(()),
                Ok((Some(_), _)) => None,
                Ok((None, reply)) => Some(format!("the host said: {}", reply.stderr_text().trim())),
                Err(failed) => Some(failed.to_string()),
            };
            let what = match &reason {
                None => {
                    (since, said) = (None, None);
                    "runs"
                }
                Some(reason) => {
                    let began = *since.get_or_insert(self.port.now().millis);
                    self.give_up_late(course, began, reason)?;
                    self.say_unreachable(course, reason, &mut said);
                    "is unreachable, and the task may be running"
                }
            };
            self.pause_here(course, what).await?;
            self.port.sleep(pause).await;
            pause = (pause * 2).min(LOOK_MS.1);
        }
    }

    /// Takes output in and shows it; whether there may be more at once.
    async fn take(&self, course: &mut Course<'_>, seen: &Seen) -> Flow<bool> {
        self.say_stuck(course, seen);
        let mut is_new = false;
        for (is_stderr, bytes) in [(false, &seen.out), (true, &seen.err)] {
            let (all, shown) = if is_stderr {
                (&mut course.so_far.stderr, &mut course.shown.1)
            } else {
                (&mut course.so_far.stdout, &mut course.shown.0)
            };
            all.extend_from_slice(bytes);
            let from = usize::try_from(*shown).unwrap_or(usize::MAX).min(all.len());
            let fresh = &all[from..];
            if fresh.is_empty() {
                continue;
            }
            is_new = true;
            if let Some(watcher) = &mut course.watcher {
                for event in watcher.watch(is_stderr, fresh) {
                    self.port.emit(event);
                }
            }
            *shown = all.len() as u64;
        }
        if is_new && matches!(seen.fate, Fate::Running { .. }) {
            let record = Record::Seen {
                attempt: course.issued.attempt,
                out: course.shown.0,
                err: course.shown.1,
            };
            self.record(vec![record], false).await?;
        }
        Ok(seen.has_more())
    }

    /// Says that a process does not go on by itself, once until it does.
    fn say_stuck(&self, course: &mut Course<'_>, seen: &Seen) {
        let Fate::Running { pid, state, .. } = &seen.fate else {
            return;
        };
        let (what, looks) = match state.as_str() {
            "T" | "t" => ("is stopped: it goes on when it gets SIGCONT", 1),
            "D" => (
                "waits for a device or a file server, and cannot be ended",
                STUCK_LOOKS,
            ),
            _ => {
                course.stuck_looks = 0;
                return;
            }
        };
        course.stuck_looks += 1;
        if course.stuck_looks == looks {
            let process = pid
                .map(|pid| format!(" (process {pid})"))
                .unwrap_or_default();
            let (host, name) = (&course.host, &course.name);
            self.notice(true, format!("{host}: `{name}`{process} {what}"));
        }
    }

    fn say_unreachable(&self, course: &Course<'_>, why: &str, said: &mut Option<u64>) {
        let now = self.port.now().millis;
        if said.is_none_or(|at| now.saturating_sub(at) >= SAY_MS) {
            *said = Some(now);
            self.notice(
                true,
                format!(
                    "{}: unreachable, `{}` may be running there; trying to reach it: {why}",
                    course.host, course.name
                ),
            );
        }
    }

    /// Without a person nobody waits for ever.
    fn give_up_late(&self, course: &Course<'_>, since: u64, why: &str) -> Flow<()> {
        let waited = self.port.now().millis.saturating_sub(since) / 1000;
        match self.settings.lost_after_s {
            Some(limit) if waited >= limit => Err(Halt::Lost(format!(
                "{}: unreachable for {waited} s, `{}` may be running there: {why}",
                course.host, course.name
            ))),
            _ => Ok(()),
        }
    }

    /// Somebody who wants a pause gets it while a host is waited for.
    async fn pause_here(&self, course: &Course<'_>, what: &str) -> Flow<()> {
        match self.port.take_pause() {
            Some(why) => self.show_pause(course, &why, what).await,
            None => Ok(()),
        }
    }

    /// The pause screen while an attempt runs: it goes on, is left alone, or is ended.
    async fn show_pause(&self, course: &Course<'_>, why: &str, what: &str) -> Flow<()> {
        loop {
            let mut question = self.pause_question(why, &course.name);
            let (host, name) = (&course.host, &course.name);
            let line = format!("{host}: `{name}` {what}");
            question.running.push(line);
            // KILL is for what TERM did not end.
            let signal = if course.is_told.get() { "KILL" } else { "TERM" };
            question.signal = Some(signal);
            let question = super::ask::Question::Pause(Box::new(question));
            if self.ask(question).await? != Answer::Cancel {
                return Ok(());
            }
            let (attempt, spot) = (course.issued.attempt, &course.issued.spot);
            if self.end_here(course.target, attempt, spot, signal).await? {
                course.is_told.set(true);
                return Ok(());
            }
        }
    }
}

impl Course<'_> {
    /// What a look decides; nothing while it runs or has more to say.
    fn outcome(&mut self, seen: &Seen, has_more: bool) -> Option<Tried> {
        let said = || Reply::clone(&self.so_far);
        if seen.boot == self.issued.boot && seen.up + BACK_S_MAX < self.issued.up {
            let why = "the host has gone back in time: a snapshot of it was restored";
            return Some(Tried::Lost(why.to_owned(), said()));
        }
        if has_more {
            return None;
        }
        match &seen.fate {
            Fate::Running { .. } | Fate::Finished { .. } if self.issued.is_job => {
                Some(Tried::Begun)
            }
            // A host without room for the claim will have some, or the time of the start is over.
            Fate::Running { .. }
            | Fate::Claimed
            | Fate::Absent
            | Fate::Refused(Refusal::NoSpace) => None,
            Fate::Finished { rc, is_late } => {
                let reply = Reply { rc: *rc, ..said() };
                Some(Tried::Ended(reply, Ending::of(seen, *is_late)))
            }
            Fate::Never => Some(Tried::Never),
            Fate::Lost { why } => Some(Tried::Lost(lost_why(why), said())),
            Fate::Refused(Refusal::OtherSpool) => {
                let why = "the place of its files on the host is gone or another one";
                Some(Tried::Lost(why.to_owned(), said()))
            }
            Fate::Refused(other) => Some(Tried::Lost(format!("{other:?}"), said())),
        }
    }
}

/// Why an attempt is lost, of the host's word for it.
pub(super) fn lost_why(why: &str) -> String {
    let why = match why {
        "reboot" => "the host was restarted while it ran",
        "killed" => "what watched over it was killed while it ran",
        "gone-back" => "the volume with its files was put back to a snapshot",
        _ => "how it ended was not written down in full",
    };
    why.to_owned()
}

fn refused(refusal: Refusal) -> Tried {
    match refusal {
        Refusal::Fenced(line) => Tried::Fenced(line),
        Refusal::OtherBoot => Tried::OtherBoot,
        Refusal::TooLate => Tried::Never,
        Refusal::OtherSpool => {
            Tried::Refused("the place of attempts on the host is gone or another one".to_owned())
        }
        Refusal::NoSpace => {
            Tried::Refused("the host has no room to keep how it ends; nothing was run".to_owned())
        }
        Refusal::Other(why) => Tried::Refused(format!("the host refused it: {why}")),
    }
}
