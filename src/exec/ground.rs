//! What a host is met with before it is changed: its place for attempts, its boot, its lock.
//!
//! Invariants: a host is met once per user and run, however many steps want it at the same time;
//! the token of a lock is on disk before the host hears of it; check mode meets nobody.

use std::rc::Rc;

use super::end::{ItemEnd, unreachable_end};
use super::halt::{Flow, Halt};
use super::root::is_over;
use super::run::Run;
use crate::journal::Record;
use crate::script::Script;
use crate::script::attempt::{self, Footing, Meet, Met};
use crate::transport::{Become, Connection, Failed, Job, Target};

/// How often a host is met whose reply was lost: the same token gives the same lock.
const MEETINGS_MAX: u32 = 3;

/// What is known of a host for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ground {
    pub(crate) footing: Footing,
    /// Whether things are kept in the user's home, as there is no root to be had.
    pub(crate) is_home: bool,
    /// The controller's clock when it was met.
    pub(crate) met_ms: u64,
    pub(crate) target: Target,
    /// Attempts that ended, by number and id: their files may go as soon as the journal has it.
    pub(crate) gone: std::cell::RefCell<Vec<(u64, String)>>,
}

impl Ground {
    /// What every change on the host says first.
    pub(crate) fn head(&self) -> String {
        let hold = self
            .footing
            .epoch
            .map(|epoch| attempt::hold(self.is_home, epoch));
        let place = if self.is_home { " home" } else { "" };
        hold.unwrap_or_else(|| format!("sb_where{place}\n"))
    }
}

/// Why a host cannot be used.
type Unfit = Box<ItemEnd>;

fn key(target: &Target) -> (String, String) {
    let user = target.become_user.as_ref();
    (
        target.host.clone(),
        user.map(|to| to.user.clone()).unwrap_or_default(),
    )
}

impl Run {
    /// Meets the host of `target` as its user, unless that was done before.
    pub(crate) async fn ground(&self, target: &Target) -> Flow<Result<Rc<Ground>, Unfit>> {
        let key = key(target);
        let door = {
            let mut state = self.state.borrow_mut();
            if let Some(ground) = state.grounds.get(&key) {
                return Ok(Ok(ground.clone()));
            }
            state.doors.entry(target.host.clone()).or_default().clone()
        };
        let _inside = door.lock().await;
        if let Some(ground) = self.state.borrow().grounds.get(&key) {
            return Ok(Ok(ground.clone()));
        }
        let ground = match self.meet(target).await? {
            Ok(ground) => Rc::new(ground),
            Err(end) => return Ok(Err(end)),
        };
        if let Some(twin) = self.twin(&ground).await {
            return Ok(Err(twin));
        }
        let ready = Record::HostReady {
            host: target.host.clone(),
            user: key.1.clone(),
            spool: ground.footing.spool.clone(),
            place: ground.footing.place.clone(),
            boot: ground.footing.boot.clone(),
            up: ground.footing.up,
            epoch: ground.footing.epoch,
            at: self.port.now().wall,
        };
        self.record(vec![ready], false).await?;
        self.state.borrow_mut().grounds.insert(key, ground.clone());
        Ok(Ok(ground))
    }

    /// Why a host is no host of its own: another machine of this run has a copy of its place. Two
    /// names of one host are not two machines.
    async fn twin(&self, ground: &Ground) -> Option<Unfit> {
        let (host, footing) = (&ground.target.host, &ground.footing);
        let others: Vec<Rc<Ground>> = {
            let state = self.state.borrow();
            let is_other = |other: &&Rc<Ground>| {
                let (there, known) = (&other.target.host, &other.footing);
                there != host
                    && known.spool == footing.spool
                    && (&known.boot, &known.inode) != (&footing.boot, &footing.inode)
            };
            state.grounds.values().filter(is_other).cloned().collect()
        };
        for other in others {
            // It may have been restarted since, and be this one under its other name.
            let script = attempt::whereabouts(other.is_home);
            let reply = self.port.trip(&other.target, plain(script), None).await;
            if reply.is_ok_and(|reply| attempt::is_there(&reply, footing)) {
                continue;
            }
            return Some(Box::new(ItemEnd::failed(format!(
                "nothing is changed on `{host}`, as what is kept there is kept by `{}` too: one of \
                 the two is a copy of the other, or they share a folder; remove the folder above \
                 `{}` where it does not belong",
                other.target.host, footing.place
            ))));
        }
        None
    }

    /// Forgets what was known of a host: it was restarted.
    pub(crate) fn leave_ground(&self, host: &str) {
        let mut state = self.state.borrow_mut();
        state.grounds.retain(|(known, _), _| known != host);
    }

    async fn meet(&self, target: &Target) -> Flow<Result<Ground, Unfit>> {
        let tokens = self.tokens(target).await?;
        let uid = match self.say(target, Meet::Root(""), &tokens).await? {
            Ok(Met::Ready(footing)) => return Ok(Ok(self.stand(target, *footing, false))),
            Ok(Met::NeedsRoot(uid)) => uid,
            Ok(other) => return self.not_met(target, other),
            Err(failed) => return Ok(Err(Box::new(not_reached(failed)))),
        };
        // Root makes the place, with a spool for that user in it, where root can be had.
        if let Some(root) = as_root(target) {
            match self.say(&root, Meet::Root(&uid), &tokens).await? {
                Ok(Met::Ready(_)) => {
                    let again = self.say(target, Meet::Root(""), &tokens).await?;
                    match again {
                        Ok(Met::Ready(footing)) => {
                            return Ok(Ok(self.stand(target, *footing, false)));
                        }
                        Ok(other) => return self.not_met(target, other),
                        Err(failed) => return Ok(Err(Box::new(not_reached(failed)))),
                    }
                }
                Ok(Met::Locked(line)) => return Err(self.locked(target, &line)),
                Ok(unfit @ Met::Unfit(_)) => return self.not_met(target, unfit),
                // Who may not become root keeps things in the home.
                Ok(Met::NeedsRoot(_)) | Err(Failed::Unreachable { .. }) => {}
                Err(failed) => return Ok(Err(Box::new(not_reached(failed)))),
            }
        }
        match self.say(target, Meet::Home, &tokens).await? {
            Ok(Met::Ready(footing)) => {
                self.notice(
                    false,
                    format!(
                        "{}: there is no root, so attempts and the lock are kept in `{}`: other \
                         users are not kept out",
                        target.host, footing.place
                    ),
                );
                Ok(Ok(self.stand(target, *footing, true)))
            }
            Ok(other) => self.not_met(target, other),
            Err(failed) => Ok(Err(Box::new(not_reached(failed)))),
        }
    }

    fn stand(&self, target: &Target, footing: Footing, is_home: bool) -> Ground {
        if !footing.lacks.is_empty() {
            self.notice(
                true,
                format!(
                    "{}: there is no `{}`: a command cannot be ended with all that it started",
                    target.host, footing.lacks
                ),
            );
        }
        Ground {
            footing,
            is_home,
            met_ms: self.port.now().millis,
            target: target.clone(),
            gone: std::cell::RefCell::default(),
        }
    }

    fn not_met(&self, target: &Target, met: Met) -> Flow<Result<Ground, Unfit>> {
        let why = match met {
            Met::Locked(line) => return Err(self.locked(target, &line)),
            Met::Unfit(why) => why,
            Met::NeedsRoot(uid) => format!("the spool of the user with id {uid} is gone"),
            Met::Ready(_) => "it was met twice".to_owned(),
        };
        let host = &target.host;
        Ok(Err(Box::new(ItemEnd::failed(format!(
            "nothing is changed on `{host}`, as nothing can be kept there: {why}"
        )))))
    }

    /// The halt of a run that meets another one's lock.
    pub(crate) fn locked(&self, target: &Target, line: &str) -> Halt {
        let mut words = line.splitn(3, ' ');
        let run = words.next().unwrap_or_default();
        let who = words.nth(1).unwrap_or_default();
        let text = if run.is_empty() {
            format!(
                "the lock of `{}` is gone: somebody removed it, or its volume was put back to a \
                 snapshot; nothing more is changed there until `switchback resume {}` meets it anew",
                target.host, self.settings.run
            )
        } else if run == self.settings.run {
            format!(
                "`{}` was taken over by {who}, or this journal is a copy: `switchback takeover {run}` \
                 takes it (back)",
                target.host
            )
        } else {
            format!(
                "`{}` is locked by run {run} of {who}: `switchback runs show {run}` where it was \
                 started tells more, `switchback resume {run}` ends it, `switchback takeover {run}` \
                 takes it over",
                target.host
            )
        };
        Halt::Locked(text)
    }

    /// The tokens of this run's locks, a new one at the end; none where none is taken.
    async fn tokens(&self, target: &Target) -> Flow<Vec<String>> {
        let is_implicit =
            target.connection == Connection::Local && self.is_implicit_localhost(&target.host);
        if is_implicit || self.settings.machine.is_none() || self.settings.journal.is_none() {
            return Ok(Vec::new());
        }
        self.new_token(&target.host).await?;
        Ok(self.own_tokens())
    }

    /// The tokens of this run on this machine, of all hosts: two names may be one host. A copy of
    /// the journal has not got the locks, wherever it is.
    pub(super) fn own_tokens(&self) -> Vec<String> {
        let from = self.locks_from();
        let state = self.state.borrow();
        let own = state.replay.locks.iter().filter(|(_, _, by)| *by == from);
        own.map(|(_, token, _)| token.clone()).collect()
    }

    /// Whether a lock, as its line says, is one of this run's.
    fn is_own(&self, line: &str) -> bool {
        let mut words = line.split(' ');
        words.next() == Some(&self.settings.run)
            && (words.next()).is_some_and(|token| self.own_tokens().iter().any(|t| t == token))
    }

    /// Whether a lock is one of a run of the same store that is over: the host could not be reached
    /// when that run gave its locks back. Only the journal that took a lock can say so, hence not
    /// that of another machine and no copy.
    fn is_left_behind(&self, line: &str) -> bool {
        let mut words = line.split(' ');
        let (Some(run), Some(token)) = (words.next(), words.next()) else {
            return false;
        };
        let Some(ended) = self.controller.ended_run(run) else {
            return false;
        };
        let machine = self.settings.machine.as_deref().unwrap_or_default();
        let from = format!("{machine}:{}", ended.journal);
        is_over(ended.exit_code) && ended.locks.contains(&(token.to_owned(), from))
    }

    /// Where this run takes locks from.
    fn locks_from(&self) -> String {
        let machine = self.settings.machine.as_deref().unwrap_or_default();
        let journal = self.settings.journal.as_deref().unwrap_or_default();
        format!("{machine}:{journal}")
    }

    /// Where locks are taken from, and a token for a lock that was never used; both are on disk.
    pub(super) async fn new_token(&self, host: &str) -> Flow<(String, String)> {
        let from = self.locks_from();
        let token = {
            let mut state = self.state.borrow_mut();
            state.replay.lock_count += 1;
            format!("L{}", state.replay.lock_count)
        };
        let record = Record::Locking {
            host: host.to_owned(),
            token: token.clone(),
            from: from.clone(),
        };
        self.record(vec![record], true).await?;
        let lock = (host.to_owned(), token.clone(), from.clone());
        self.state.borrow_mut().replay.locks.push(lock);
        Ok((from, token))
    }

    async fn say(
        &self,
        target: &Target,
        how: Meet<'_>,
        tokens: &[String],
    ) -> Flow<Result<Met, Failed>> {
        let mut tokens = tokens.to_vec();
        let mut over: Option<String> = None;
        let mut tries = 0;
        loop {
            tries += 1;
            let (run, owner) = (&self.settings.run, &self.settings.owner);
            let script = attempt::meet(how, run, &tokens, owner, over.as_deref());
            match self.port.trip(target, plain(script), None).await {
                Err(Failed::Lost { .. }) if tries < MEETINGS_MAX => {}
                Err(failed) => return Ok(Err(failed)),
                Ok(reply) => {
                    let met = attempt::met(&reply).unwrap_or_else(|| {
                        Met::Unfit(format!("the host said: {}", reply.stderr_text().trim()))
                    });
                    let Met::Locked(line) = &met else {
                        return Ok(Ok(met));
                    };
                    if tries >= MEETINGS_MAX {
                        return Ok(Ok(met));
                    }
                    // The same host may be met under another name at the same time, and that
                    // meeting have been faster: its lock is this run's too.
                    if self.is_own(line) {
                        tokens = self.own_tokens();
                    } else if self.is_left_behind(line) {
                        self.notice(false, left_behind(&target.host, line));
                        over = Some(line.clone());
                    } else {
                        return Ok(Ok(met));
                    }
                }
            }
        }
    }

    /// The attempts on a host whose end is in the journal.
    pub(crate) fn take_gone(&self, ground: &Ground) -> Vec<String> {
        let state = self.state.borrow();
        let (stay, go) = ground
            .gone
            .take()
            .into_iter()
            .partition(|(attempt, _)| state.unrecorded.contains_key(attempt));
        ground.gone.replace(stay);
        go.into_iter().map(|(_, id)| id).collect()
    }

    /// The end of what this run has on its hosts: files of attempts go, and the locks where
    /// `gives_back`.
    pub(crate) async fn leave_hosts(&self, gives_back: bool) {
        let grounds: Vec<Rc<Ground>> = self.state.borrow().grounds.values().cloned().collect();
        let work = grounds.iter().map(|ground| async move {
            let ids = self.take_gone(ground);
            let mut sh = String::new();
            if !ids.is_empty() {
                sh.push_str(&attempt::gone(&ground.footing.spool, ground.is_home, &ids).sh);
            }
            if let Some(epoch) = ground.footing.epoch.filter(|_| gives_back) {
                sh.push_str(&attempt::free(ground.is_home, epoch).sh);
            }
            if sh.is_empty() {
                return;
            }
            let reply = self.port.trip(&ground.target, plain(Script::new(sh)), None);
            if reply.await.is_err() && gives_back {
                let host = &ground.target.host;
                self.notice(
                    true,
                    format!("`{host}` could not be reached to give its lock back"),
                );
            }
        });
        futures_util::future::join_all(work).await;
    }
}

/// What the user is told of a lock that an ended run could not give back.
fn left_behind(host: &str, line: &str) -> String {
    let run = line.split(' ').next().unwrap_or_default();
    format!("`{host}` still had the lock of run {run}, which is over: it is taken from it")
}

/// A script without input or limit.
pub(super) fn plain(script: Script) -> Job {
    Job {
        script,
        input: None,
        timeout: None,
    }
}

/// The same host as root, by the way in which the target becomes another user.
fn as_root(target: &Target) -> Option<Target> {
    let to = target.become_user.as_ref().filter(|to| to.user != "root")?;
    Some(Target {
        become_user: Some(Become {
            user: "root".to_owned(),
            ..to.clone()
        }),
        ..target.clone()
    })
}

fn not_reached(failed: Failed) -> ItemEnd {
    match failed {
        Failed::Unreachable { reason, help } => unreachable_end(&reason, help.as_deref()),
        Failed::Lost { reason } => unreachable_end(&reason, None),
    }
}
