//! The second half of an item's life: the intent, the acts, and what they come to.
//!
//! Invariants: nothing is sent that changes a host before its intent is on disk; an apply first
//! compares what the probe saw.

use super::attempt::{Course, Ending, Tried};
use super::controller::Problem;
use super::effect::Live;
use super::end::{
    ItemEnd, cancelled_end, failure_end, late_end, lost_end, message, outcome_end, unreachable_end,
};
use super::ground::Ground;
use super::guard::{MOVED, guarded, is_moved};
use super::halt::{Flow, Halt};
use super::item::{Item, Ready, probe_failed, with_environment};
use super::run::Run;
use crate::event::Status;
use crate::journal::{Issued, Record};
use crate::modules::{Act, Effect, Source};
use crate::script::attempt::{self, Spot, Start};
use crate::script::{Reply, Script};
use crate::transport::{Failed, Job, Target};
use crate::value::{Map, Value};

/// How often an attempt is sent anew that never started.
const TRIES_MAX: u32 = 3;

impl Run {
    /// Makes a decided change: intent, acts, finish. `None`: the host has moved since it was looked
    /// at, so it must be planned again.
    pub(crate) async fn carry_out(&self, item: &Item, ready: &Ready) -> Flow<Option<ItemEnd>> {
        let began = self.port.now().millis;
        let has_intent = item.needs_intent(ready.effect()) && !item.is_check;
        let mut tries = 0;
        loop {
            let (mut attempt, issued) = match self.declare(item, ready, has_intent).await? {
                Ok(declared) => declared,
                Err(end) => return Ok(Some(*end)),
            };
            let (mut replies, mut sent) = (Vec::new(), None);
            let applied = self
                .apply(item, ready, (attempt, issued), &mut replies, &mut sent)
                .await?;
            let mut end = match applied {
                Applied::Moved => {
                    self.withdraw(attempt).await?;
                    return Ok(None);
                }
                Applied::Never if replies.is_empty() && tries < TRIES_MAX => {
                    self.withdraw(attempt).await?;
                    tries += 1;
                    continue;
                }
                // Nothing was sent, so the intent has no undo and seals nothing.
                Applied::Failed(Failed::Unreachable { reason, help }) if replies.is_empty() => {
                    self.withdraw(attempt.take()).await?;
                    unreachable_end(&reason, help.as_deref())
                }
                Applied::Refused(why) if replies.is_empty() => {
                    self.withdraw(attempt.take()).await?;
                    ItemEnd::failed(why)
                }
                // What only reads may run again, so losing it loses nothing.
                Applied::Failed(failed) if item.reads(ready.effect()) => probe_failed(failed),
                Applied::Failed(failed) => apply_failed(failed, &replies),
                Applied::Refused(why) => ItemEnd::failed(why),
                Applied::Never => ItemEnd::failed("the host did not start it, and gave no reason"),
                Applied::Lost(why, reply) => lost_end(&why, &reply),
                Applied::Late(reply, limit) => match (ready.job, &sent) {
                    (Some(_), Some(issued)) => issued.late_job(&reply),
                    _ => late_end(limit, &reply),
                },
                Applied::Cancelled(reply, who) => cancelled_end(&who, &reply),
                Applied::Begun(target, issued) => {
                    let mut end = self.begun(item, &target, &issued);
                    end.duration_ms = self.port.now().millis.saturating_sub(began);
                    return Ok(Some(end));
                }
                Applied::Done => ready.finish(&replies),
            };
            if let (Some(_), Some(issued), Status::Ok | Status::Changed | Status::Failed) =
                (ready.job, &sent, end.status)
            {
                issued.tell(&mut end.result, true);
            }
            self.dress(item, ready, &mut end, (attempt, began));
            return Ok(Some(end));
        }
    }

    /// Puts an intent on disk, and with it how its first act is sent, where that is durable.
    async fn declare(
        &self,
        item: &Item,
        ready: &Ready,
        has_intent: bool,
    ) -> Flow<Result<(Option<u64>, Option<Issued>), Box<ItemEnd>>> {
        if !has_intent {
            return Ok(Ok((None, None)));
        }
        let ground = match self.ground(&ready.target).await? {
            Ok(ground) => ground,
            Err(end) => return Ok(Err(end)),
        };
        let (number, intent) = self.intent(item, ready);
        let first = ready
            .is_durable(0)
            .then(|| self.issue(ready, &ground, (number, 0, 0)));
        let mut records = vec![intent];
        if let Some(first) = &first {
            records.push(Record::Issued(Box::new(first.clone())));
        }
        self.record(records, true).await?;
        let unrecorded = (number, item.instance.clone());
        self.state.borrow_mut().unrecorded.extend([unrecorded]);
        Ok(Ok((Some(number), first)))
    }

    /// What every end of a change has besides its result.
    pub(super) fn dress(
        &self,
        item: &Item,
        ready: &Ready,
        end: &mut ItemEnd,
        (attempt, began): (Option<u64>, u64),
    ) {
        let took = self.port.now().millis.saturating_sub(began);
        if matches!(ready.module.name(), "command" | "shell" | "expect")
            && end.result.contains_key("rc")
            && end.status != Status::Lost
        {
            end.result.extend(self.times(took));
        }
        if ready.module.name() == "wait_for_connection" {
            let seconds = i64::try_from(took / 1000).unwrap_or(i64::MAX);
            end.result.insert("elapsed".into(), Value::Int(seconds));
        }
        end.duration_ms = took;
        end.attempt = attempt;
        end.module_changed = end.status != Status::Ok && end.status != Status::Skipped;
        end.is_hidden = item.is_hidden;
        end.invocation = self
            .invocation(&ready.args)
            .filter(|_| end.status != Status::Unreachable);
        self.tell_diff(item, ready, end);
        end.summary = self.redact(&ready.change.summary);
        end.diff = ready.diffs().iter().map(|d| self.redact(d)).collect();
    }

    /// A durable attempt under an id that was never used: of this intent, this act, this try.
    fn issue(&self, ready: &Ready, ground: &Ground, id: (u64, usize, u32)) -> Issued {
        Issued {
            attempt: id.0,
            spot: Spot {
                id: format!("{}-{}-{}-{}", self.settings.run, id.0, id.1, id.2),
                spool: ground.footing.spool.clone(),
                is_home: ground.is_home,
            },
            boot: ground.footing.boot.clone(),
            up: ground.footing.up,
            // What a secret was seen in is not kept in clear.
            probed: ready
                .probed()
                .filter(|seen| seen.iter().all(|(_, text)| self.redact(text) == *text)),
            is_job: ready.job.is_some_and(|job| !job.is_awaited),
            place: ground.footing.place.clone(),
        }
    }

    /// Takes an intent back whose attempt provably never started.
    pub(super) async fn withdraw(&self, attempt: Option<u64>) -> Flow<()> {
        let Some(attempt) = attempt else {
            return Ok(());
        };
        {
            let mut state = self.state.borrow_mut();
            state.undo_depth = state.undo_depth.saturating_sub(1);
        }
        self.record(vec![Record::NeverStarted { attempt }], true)
            .await?;
        self.state.borrow_mut().unrecorded.remove(&attempt);
        Ok(())
    }

    /// `start`, `end` and `delta` of a command, by the controller's clock: the host is not asked
    /// for its own.
    fn times(&self, took_ms: u64) -> Map {
        let end = self.port.now().wall;
        let start = end - chrono::Duration::milliseconds(i64::try_from(took_ms).unwrap_or(0));
        let shown = |at: chrono::DateTime<chrono::Utc>| {
            Value::from(at.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        };
        let seconds = took_ms / 1000;
        let delta = format!(
            "{}:{:02}:{:02}.{:06}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            took_ms % 1000 * 1000
        );
        Map::from([
            ("start".to_owned(), shown(start)),
            ("end".to_owned(), shown(end)),
            ("delta".to_owned(), delta.into()),
        ])
    }

    async fn apply(
        &self,
        item: &Item,
        ready: &Ready,
        (attempt, mut issued): (Option<u64>, Option<Issued>),
        replies: &mut Vec<Reply>,
        sent: &mut Option<Issued>,
    ) -> Flow<Applied> {
        for (index, act) in ready.change.acts.iter().enumerate() {
            let guard = (index == 0).then(|| ready.guard()).flatten();
            let result = match act {
                Act::Save { path, reply } => match self.save(ready, replies, path, *reply).await {
                    Ok(()) => Ok(Reply::default()),
                    Err(why) => return Ok(Applied::Refused(why)),
                },
                wait @ Act::Reconnect { .. } => self.wait_for_host(ready, wait).await,
                Act::Script { script, on } => {
                    let target = match self.act_target(item, ready, on.as_deref()) {
                        Ok(target) => target,
                        Err(problem) => return Ok(Applied::Refused(problem.message)),
                    };
                    let step = Step {
                        guard: guard.as_deref(),
                        script,
                        target: &target,
                        source: None,
                        number: (attempt.unwrap_or(0), index),
                    };
                    let issued = (attempt, issued.take());
                    match self.act_scripted(item, ready, &step, issued, sent).await? {
                        Ok(result) => result,
                        Err(applied) => return Ok(applied),
                    }
                }
                Act::Stream { script, source } => {
                    let step = Step {
                        guard: guard.as_deref(),
                        script,
                        target: &ready.target,
                        source: Some(source),
                        number: (attempt.unwrap_or(0), index),
                    };
                    match self.act_now(item, ready, &step, None).await? {
                        Ok(result) => result,
                        Err(applied) => return Ok(applied),
                    }
                }
            };
            match result {
                Err(failed) => return Ok(Applied::Failed(failed)),
                Ok(reply) if guard.is_some() && reply.rc == MOVED && is_moved(&reply) => {
                    return Ok(Applied::Moved);
                }
                Ok(reply) => {
                    let rc = reply.rc;
                    replies.push(reply);
                    if rc != 0 {
                        break;
                    }
                }
            }
        }
        Ok(Applied::Done)
    }

    /// Writes the body of an earlier reply to a file of the controller.
    async fn save(
        &self,
        ready: &Ready,
        replies: &[Reply],
        path: &str,
        reply: usize,
    ) -> Result<(), String> {
        let found = ready.seen.iter().chain(replies).nth(reply);
        let bytes = found.map(|reply| reply.body().to_vec());
        self.port
            .write(path.into(), bytes.unwrap_or_default())
            .await
    }

    /// A script, as a durable attempt or over the session itself.
    async fn act_scripted(
        &self,
        item: &Item,
        ready: &Ready,
        step: &Step<'_>,
        (attempt, issued): (Option<u64>, Option<Issued>),
        sent: &mut Option<Issued>,
    ) -> Flow<Result<Result<Reply, Failed>, Applied>> {
        if attempt.is_some() && ready.is_durable(step.number.1) {
            let acted = self.act_durably(item, ready, step, (issued, sent)).await?;
            return Ok(acted.map(Ok));
        }
        let live = Self::live(item, ready);
        self.act_now(item, ready, step, live).await
    }

    /// An act over the session itself: one that only reads, or may run again.
    async fn act_now(
        &self,
        item: &Item,
        ready: &Ready,
        step: &Step<'_>,
        live: Option<Live>,
    ) -> Flow<Result<Result<Reply, Failed>, Applied>> {
        let head = match self.head(item, ready.effect(), step.target).await? {
            Ok(head) => head,
            Err(end) => return Ok(Err(Applied::Refused(end.msg()))),
        };
        let keep = self.keep(step.number.0);
        let sh = with_environment(&ready.environment, &format!("{keep}{}", step.script.sh));
        let sh = format!("{head}{}", guarded(step.guard, &sh));
        let job = self.job(item, &sh, step.source.cloned());
        let result = self.port.trip(step.target, job, live).await;
        if let Some(line) = result.as_ref().ok().and_then(attempt::fenced_by) {
            return Err(self.fenced(step, &line).await?);
        }
        Ok(Ok(result))
    }

    /// An act as an attempt that outlives its connection.
    async fn act_durably(
        &self,
        item: &Item,
        ready: &Ready,
        step: &Step<'_>,
        (mut first, sent): (Option<Issued>, &mut Option<Issued>),
    ) -> Flow<Result<Reply, Applied>> {
        let mut sh = step.script.sh.clone();
        if sh.contains("sb_") || sh.contains("SB_KEEP") {
            sh = format!("{}{sh}", self.keep(step.number.0));
        }
        let program = with_environment(&ready.environment, &sh);
        let limit_s = match ready.job {
            Some(job) => Some(job.limit_s),
            None => self.limit_s(item),
        };
        for tries in 0..=TRIES_MAX {
            let ground = match self.ground(step.target).await? {
                Ok(ground) => ground,
                Err(end) => return Ok(Err(Applied::Refused(end.msg()))),
            };
            let issued = if let Some(first) = first.take() {
                first
            } else {
                let (number, index) = step.number;
                let next = self.issue(ready, &ground, (number, index, tries));
                let record = Record::Issued(Box::new(next.clone()));
                self.record(vec![record], true).await?;
                next
            };
            let waited_s = self.port.now().millis.saturating_sub(ground.met_ms) / 1000;
            let gone = self.take_gone(&ground);
            let start = Start {
                spot: &issued.spot,
                boot: &ground.footing.boot,
                up_max: ground.footing.up + waited_s + LATE_S,
                epoch: ground.footing.epoch,
                limit_s,
                scope: &ground.footing.scope,
                waits: !issued.is_job,
                gone: &gone,
                program: &program,
            };
            let script = Script::new(guarded(step.guard, &start.script().sh));
            let name = item.task.id.0.clone();
            // Who begins a job does not look at what it says.
            let live = Self::live(item, ready).filter(|_| !issued.is_job);
            let live = live.map(|live| self.port.masked(live));
            let course = Course::new(step.target, &issued, name, live, (0, 0));
            let tried = self.try_attempt(course, script).await?;
            if !matches!(tried, Tried::Lost(..) | Tried::NotSent(_) | Tried::Begun) {
                let ended = (issued.attempt, issued.spot.id.clone());
                ground.gone.borrow_mut().push(ended);
            }
            if matches!(tried, Tried::Never) && step.number.1 > 0 {
                continue;
            }
            let issued = sent.insert(issued);
            return self.applied(step, tried, issued, limit_s).await;
        }
        Ok(Err(Applied::Never))
    }

    /// What a try means for its act.
    async fn applied(
        &self,
        step: &Step<'_>,
        tried: Tried,
        issued: &Issued,
        limit_s: Option<u64>,
    ) -> Flow<Result<Reply, Applied>> {
        Ok(match tried {
            Tried::Ended(reply, Ending::Itself) => Ok(reply),
            Tried::Ended(reply, Ending::Late) => Err(Applied::Late(reply, limit_s.unwrap_or(0))),
            Tried::Ended(reply, Ending::Cancelled(who)) => Err(Applied::Cancelled(reply, who)),
            Tried::Begun => {
                let begun = (Box::new(step.target.clone()), Box::new(issued.clone()));
                Err(Applied::Begun(begun.0, begun.1))
            }
            Tried::Never => Err(Applied::Never),
            Tried::NotSent(failed) => Err(Applied::Failed(failed)),
            Tried::OtherBoot => {
                self.leave_ground(&step.target.host);
                Err(Applied::Moved)
            }
            Tried::Fenced(line) => return Err(self.fenced(step, &line).await?),
            Tried::Refused(why) => Err(Applied::Refused(why)),
            Tried::Lost(why, reply) => Err(Applied::Lost(why, reply)),
        })
    }

    /// The halt of a run that finds its lock taken over; the act was not begun.
    async fn fenced(&self, step: &Step<'_>, line: &str) -> Flow<Halt> {
        if step.number.0 > 0 && step.number.1 == 0 {
            self.withdraw(Some(step.number.0)).await?;
        }
        Ok(self.locked(step.target, line))
    }

    /// What a script says first on this host: nothing is changed under another one's lock.
    async fn head(
        &self,
        item: &Item,
        effect: Effect,
        target: &Target,
    ) -> Flow<Result<String, Box<ItemEnd>>> {
        if item.is_check || item.reads(effect) {
            return Ok(Ok("sb_where\n".to_owned()));
        }
        Ok(self.ground(target).await?.map(|ground| ground.head()))
    }

    /// Seconds that the host gives a durable attempt.
    fn limit_s(&self, item: &Item) -> Option<u64> {
        self.job(item, "", None)
            .timeout
            .map(|limit| limit.as_secs())
    }

    fn act_target(&self, item: &Item, ready: &Ready, on: Option<&str>) -> Result<Target, Problem> {
        match on {
            None => Ok(ready.target.clone()),
            Some(host) => self.target(host, &self.host_view(host), &item.frame),
        }
    }

    /// Where before-images of this attempt are kept on the host: `$SB_KEEP`.
    pub(crate) fn keep(&self, attempt: u64) -> String {
        format!("SB_KEEP=$SB_SPOOL/keep/{}/{attempt}\n", self.settings.run)
    }

    pub(crate) fn job(&self, item: &Item, sh: &str, input: Option<Source>) -> Job {
        let timeout = self
            .number(item.frame.keyword(|k| k.timeout.as_ref()), &item.view)
            .ok()
            .flatten()
            .filter(|seconds| *seconds > 0)
            .map(|seconds| std::time::Duration::from_secs(seconds.unsigned_abs()));
        Job {
            script: Script::new(sh),
            input,
            timeout,
        }
    }

    /// Output is shown live where it is a person's command, or where it takes long.
    fn live(item: &Item, ready: &Ready) -> Option<Live> {
        let is_shown = ready.effect() == Effect::Once || ready.module.is_long();
        is_shown.then(|| Self::live_of(item))
    }

    pub(super) fn live_of(item: &Item) -> Live {
        Live {
            host: item.host.clone(),
            step: item.task.id.clone(),
            progress: item.task.progress.clone(),
            is_hidden: item.is_hidden,
            redactor: std::sync::Arc::default(),
        }
    }
}

/// Seconds by which a start may be late.
const LATE_S: u64 = 600;

/// One act on its way to a host.
struct Step<'a> {
    guard: Option<&'a str>,
    script: &'a Script,
    target: &'a Target,
    source: Option<&'a Source>,
    /// The attempt, and which of its acts this is.
    number: (u64, usize),
}

/// What sending the acts came to.
enum Applied {
    Done,
    Moved,
    Never,
    Failed(Failed),
    Refused(String),
    Lost(String, Reply),
    Late(Reply, u64),
    /// Somebody ended it.
    Cancelled(Reply, String),
    /// A job that is not awaited has begun there.
    Begun(Box<Target>, Box<Issued>),
}

impl Ready {
    /// Whether this act runs as an attempt that outlives its connection. What restarts the host is
    /// waited for, and is no attempt.
    pub(super) fn is_durable(&self, index: usize) -> bool {
        let acts = &self.change.acts;
        matches!(acts.get(index), Some(Act::Script { .. }))
            && !matches!(acts.get(index + 1), Some(Act::Reconnect { .. }))
            && (self.effect() == Effect::Once || self.module.is_long() || self.job.is_some())
    }

    /// What the probe saw, where it is short text.
    fn probed(&self) -> Option<Vec<(i32, String)>> {
        let size: usize = self.seen.iter().map(|reply| reply.stdout.len()).sum();
        if size > PROBED_BYTES_MAX {
            return None;
        }
        self.seen
            .iter()
            .map(|reply| {
                let text = String::from_utf8(reply.stdout.clone()).ok()?;
                Some((reply.rc, text))
            })
            .collect()
    }

    /// The end that the acts' replies make.
    pub(super) fn finish(&self, replies: &[Reply]) -> ItemEnd {
        if let Some(outcome) = &self.settled {
            return outcome_end(outcome.clone());
        }
        let finish = self
            .prepared
            .finish(&self.inputs, &self.seen, &self.change, replies);
        match finish {
            Ok(outcome) => outcome_end(outcome),
            Err(failure) => failure_end(failure),
        }
    }
}

/// Replies of probes that are kept in the journal, in bytes.
const PROBED_BYTES_MAX: usize = 4096;

fn apply_failed(failed: Failed, replies: &[Reply]) -> ItemEnd {
    match failed {
        Failed::Unreachable { reason, help } if replies.is_empty() => {
            unreachable_end(&reason, help.as_deref())
        }
        Failed::Unreachable { reason, .. } | Failed::Lost { reason } => ItemEnd::new(
            Status::Lost,
            message(format!("the reply was lost, it may have run: {reason}")),
        ),
    }
}
