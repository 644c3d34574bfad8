//! The second half of an item's life: the intent, the acts, and what they come to.
//!
//! Invariants: nothing is sent that changes a host before its intent is on disk; an apply first
//! compares what the probe saw.

use super::controller::Problem;
use super::effect::Live;
use super::end::{ItemEnd, failure_end, message, outcome_end, unreachable_end};
use super::guard::{MOVED, guarded, is_moved};
use super::halt::Flow;
use super::item::{Item, Ready, with_environment};
use super::run::Run;
use crate::event::Status;
use crate::journal::Record;
use crate::modules::{Act, Effect, Source};
use crate::script::{Reply, Script};
use crate::transport::{Failed, Job, Target};
use crate::value::{Map, Value};

impl Run {
    /// Makes a decided change: intent, acts, finish. `None`: the host has moved since it was looked
    /// at, so it must be planned again.
    pub(crate) async fn carry_out(&self, item: &Item, ready: &Ready) -> Flow<Option<ItemEnd>> {
        let began = self.port.now().millis;
        let effect = ready.effect();
        let mut attempt = if item.needs_intent(effect) && !item.is_check {
            Some(self.declare(item, ready).await?)
        } else {
            None
        };
        let mut replies = Vec::new();
        let mut end = match self.apply(item, ready, attempt, &mut replies).await {
            Applied::Moved => {
                self.withdraw(attempt).await?;
                return Ok(None);
            }
            // Nothing was sent, so the intent has no undo and seals nothing.
            Applied::Failed(Failed::Unreachable { reason, help }) if replies.is_empty() => {
                self.withdraw(attempt.take()).await?;
                unreachable_end(&reason, help.as_deref())
            }
            Applied::Failed(failed) => apply_failed(failed, &replies),
            Applied::Refused(why) => ItemEnd::failed(why),
            Applied::Done => {
                let finish =
                    ready
                        .prepared
                        .finish(&ready.inputs, &ready.seen, &ready.change, &replies);
                match finish {
                    Ok(outcome) => outcome_end(outcome),
                    Err(failure) => failure_end(failure),
                }
            }
        };
        let took = self.port.now().millis.saturating_sub(began);
        if matches!(ready.module.name(), "command" | "shell") && end.status != Status::Lost {
            end.result.extend(self.times(took));
        }
        end.duration_ms = took;
        end.attempt = attempt;
        end.module_changed = end.status != Status::Ok && end.status != Status::Skipped;
        end.is_hidden = item.is_hidden;
        end.summary = self.redact(&ready.change.summary);
        end.diff = ready.diffs().iter().map(|d| self.redact(d)).collect();
        Ok(Some(end))
    }

    /// Takes an intent back whose attempt provably never started.
    async fn withdraw(&self, attempt: Option<u64>) -> Flow<()> {
        let Some(attempt) = attempt else {
            return Ok(());
        };
        {
            let mut state = self.state.borrow_mut();
            state.undo_depth = state.undo_depth.saturating_sub(1);
        }
        self.record(vec![Record::NeverStarted { attempt }], true)
            .await
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
        attempt: Option<u64>,
        replies: &mut Vec<Reply>,
    ) -> Applied {
        for (index, act) in ready.change.acts.iter().enumerate() {
            let guard = (index == 0).then(|| ready.guard()).flatten();
            let prefix = self.act_prefix(attempt.unwrap_or(0));
            let result = match act {
                Act::Script { script, on } => {
                    let sh =
                        with_environment(&ready.environment, &format!("{prefix}{}", script.sh));
                    let sh = guarded(guard.as_deref(), &sh);
                    let target = match self.act_target(item, ready, on.as_deref()) {
                        Ok(target) => target,
                        Err(problem) => return Applied::Refused(problem.message),
                    };
                    self.port
                        .trip(&target, self.job(item, &sh, None), Self::live(item, ready))
                        .await
                }
                Act::Stream { script, source } => {
                    let sh =
                        with_environment(&ready.environment, &format!("{prefix}{}", script.sh));
                    let sh = guarded(guard.as_deref(), &sh);
                    let job = self.job(item, &sh, Some(source.clone()));
                    self.port.trip(&ready.target, job, None).await
                }
                Act::Save { path, reply } => {
                    let all: Vec<&Reply> = ready.seen.iter().chain(replies.iter()).collect();
                    let bytes = all
                        .get(*reply)
                        .map(|r| r.body().to_vec())
                        .unwrap_or_default();
                    match self.port.write(path.into(), bytes).await {
                        Ok(()) => Ok(Reply::default()),
                        Err(why) => return Applied::Refused(why),
                    }
                }
                Act::Reconnect { timeout_s } => {
                    self.port.reconnect(&ready.target, *timeout_s).await
                }
            };
            match result {
                Err(failed) => return Applied::Failed(failed),
                Ok(reply) if guard.is_some() && reply.rc == MOVED && is_moved(&reply) => {
                    return Applied::Moved;
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
        Applied::Done
    }

    fn act_target(&self, item: &Item, ready: &Ready, on: Option<&str>) -> Result<Target, Problem> {
        match on {
            None => Ok(ready.target.clone()),
            Some(host) => self.target(host, &self.host_view(host), &item.frame),
        }
    }

    /// Variables that every act's script may use: `$SB_KEEP` is where before-images of this attempt
    /// are kept on the host.
    pub(crate) fn act_prefix(&self, attempt: u64) -> String {
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
        is_shown.then(|| Live {
            host: item.host.clone(),
            step: item.task.id.clone(),
            progress: item.task.progress.clone(),
            is_hidden: item.is_hidden,
            redactor: std::sync::Arc::default(),
        })
    }
}

/// What sending the acts came to.
enum Applied {
    Done,
    Moved,
    Failed(Failed),
    Refused(String),
}

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
