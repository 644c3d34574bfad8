//! One host: its connection, and the `sh` that stay on it.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::become_user;
use super::local;
use super::master::{Master, NoChannel, Place, last_words};
use super::pool::Inner;
use super::session::{Pipes, Session};
use super::shelf::{Seat, Shelf, Taken};
use super::ssh::{Kind, Refusal, Ssh};
use super::{Become, Connection, Failed};

/// How long a fresh `sh` may take to answer; slow login files are common.
const GREET: Duration = Duration::from_secs(20);

/// How long a user switch may take; a directory service may be slow.
const SWITCH: Duration = Duration::from_secs(30);

/// How often a login is tried that the host closed before it began.
const LOGIN_TRIES: u32 = 5;

/// How often a channel is tried that sshd refused although none of ours is open: sshd may still
/// be busy with the end of an earlier one.
const CHANNEL_TRIES: u32 = 10;

/// One host.
pub(super) struct Host {
    connection: Connection,
    /// Held while a login is under way, so that all others wait for that one.
    master: tokio::sync::Mutex<Option<Arc<Master>>>,
    shelf: Shelf,
}

/// A `sh` that can be used.
pub(super) struct Opened<'a> {
    /// The `sh`.
    pub(super) session: Session,
    /// Its place.
    pub(super) seat: Seat<'a>,
    /// Whether it was made just now.
    pub(super) is_new: bool,
}

/// Why there is none.
pub(super) struct Trouble {
    /// For the caller.
    pub(super) failed: Failed,
    /// Whether another try may help.
    pub(super) is_transient: bool,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self {
            is_transient: matches!(refusal.kind, Kind::Throttled | Kind::Absent | Kind::Way),
            failed: refusal.into(),
        }
    }
}

/// Why a `sh` could not be started.
enum NoSh {
    Full,
    Trouble(Trouble),
}

impl Host {
    /// A host without a connection yet.
    pub(super) fn new(connection: Connection, sessions_max: usize) -> Self {
        Self {
            connection,
            master: tokio::sync::Mutex::new(None),
            shelf: Shelf::new(sessions_max),
        }
    }

    /// Waits for a place and gives a `sh` of the right user; `is_new` asks for a fresh one.
    pub(super) async fn take(
        &self,
        inner: &Inner,
        user: Option<&Become>,
        is_new: bool,
    ) -> Result<Opened<'_>, Trouble> {
        let mut tries = 0;
        loop {
            let Taken {
                seat,
                session,
                evicted,
            } = self.shelf.take(user, is_new).await;
            if let Some(evicted) = evicted {
                evicted.end().await;
            }
            if let Some(mut session) = session {
                if session.is_reusable().await {
                    return Ok(Opened {
                        session,
                        seat,
                        is_new: false,
                    });
                }
                session.end().await;
            }
            match self.start(inner, user).await {
                Ok(session) => {
                    return Ok(Opened {
                        session,
                        seat,
                        is_new: true,
                    });
                }
                Err(NoSh::Trouble(trouble)) => return Err(trouble),
                Err(NoSh::Full) => {
                    let (room, has_others) = self.shelf.shrink(seat);
                    if let Some(room) = room {
                        room.end().await;
                    } else if !has_others {
                        tries += 1;
                        if tries == CHANNEL_TRIES {
                            return Err(full().into());
                        }
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }

    /// Gives back a `sh` that has replied.
    pub(super) async fn put(&self, mut opened: Opened<'_>, user: Option<Become>) {
        if opened.session.is_reusable().await {
            self.shelf.put(opened.seat, user, opened.session);
        }
    }

    /// Since when its oldest idle `sh` is idle.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.shelf.idle_since()
    }

    /// Takes its oldest idle `sh`, for its files to be had by another host.
    pub(super) fn give_up_oldest(&self) -> Option<Session> {
        self.shelf.give_up_oldest()
    }

    /// Ends it in good order.
    pub(super) async fn close(&self) {
        drop(self.shelf.clear());
        if let Some(master) = self.master.lock().await.take() {
            master.close().await;
        }
    }

    /// Ends it now.
    pub(super) async fn exit(&self, env: &[(OsString, OsString)]) {
        drop(self.shelf.clear());
        if let Some(master) = self.master.lock().await.take() {
            master.exit(env).await;
        }
    }

    /// Starts a `sh` and makes it one of the right user.
    async fn start(&self, inner: &Inner, user: Option<&Become>) -> Result<Session, NoSh> {
        inner.make_room().await;
        let mut session = Session::new(self.pipes(inner).await?, &inner.open);
        if let Some(user) = user {
            let nonce = inner.nonces.next();
            let switched = become_user::switch(&mut session, user, &nonce, SWITCH).await;
            switched.map_err(|failed| {
                NoSh::Trouble(Trouble {
                    failed,
                    is_transient: false,
                })
            })?;
        }
        let greeting = session.greet(&inner.nonces.next(), GREET).await;
        let Err(reason) = greeting else {
            return Ok(session);
        };
        let reason = match last_words(session.master()).await {
            Some(words) => format!("the connection closed: {words}"),
            None => reason,
        };
        Err(NoSh::Trouble(Refusal::new(Kind::Absent, reason).into()))
    }

    /// Starts a `sh`, over a new connection if the old one is gone.
    async fn pipes(&self, inner: &Inner) -> Result<Pipes, NoSh> {
        let trouble = |refusal: Refusal| NoSh::Trouble(refusal.into());
        let Some(ssh) = Ssh::of(&self.connection) else {
            return local::spawn(&inner.settings.env, inner.settings.local_umask).map_err(|e| {
                trouble(Refusal::new(
                    Kind::Denied,
                    format!("cannot start `/bin/sh`: {e}"),
                ))
            });
        };
        let mut has_retried = false;
        loop {
            let master = self.master(inner, &ssh).await.map_err(trouble)?;
            match master.open().await {
                Ok(pipes) => return Ok(pipes),
                Err(NoChannel::Full) => return Err(NoSh::Full),
                Err(NoChannel::Other(why)) => {
                    let reason = format!("{}: no channel: {why}", ssh.place());
                    return Err(trouble(Refusal::new(Kind::Denied, reason)));
                }
                Err(NoChannel::Gone) => {
                    let words = master.last_words().await;
                    self.forget(&master).await;
                    if has_retried {
                        let words = words.unwrap_or_else(|| "no channel".to_owned());
                        let reason = format!("{}: the connection closed: {words}", ssh.place());
                        return Err(trouble(Refusal::new(Kind::Absent, reason)));
                    }
                    has_retried = true;
                }
            }
        }
    }

    async fn master(&self, inner: &Inner, ssh: &Ssh<'_>) -> Result<Arc<Master>, Refusal> {
        let mut held = self.master.lock().await;
        if let Some(master) = &*held {
            return Ok(Arc::clone(master));
        }
        let master = Arc::new(connect(inner, &self.connection, ssh).await?);
        *held = Some(Arc::clone(&master));
        Ok(master)
    }

    /// Forgets a master that is gone, unless another one has taken its place.
    async fn forget(&self, gone: &Arc<Master>) {
        let mut held = self.master.lock().await;
        if held
            .as_ref()
            .is_some_and(|master| Arc::ptr_eq(master, gone))
        {
            *held = None;
        }
    }
}

/// Logs in, within the bounds on logins in flight, and again where the host closed before it began.
async fn connect(inner: &Inner, connection: &Connection, ssh: &Ssh<'_>) -> Result<Master, Refusal> {
    let place = Place {
        dir: &inner.settings.control_dir,
        persist_idle_s: inner.settings.persist_idle_s,
        env: &inner.settings.env,
    };
    let jump = ssh.jump().map(|name| inner.jump(name));
    let mut pause = Duration::from_millis(200);
    let mut tries = 0;
    loop {
        tries += 1;
        let nonce = inner.nonces.next();
        let result = {
            // The narrower bound first, so that one jump host does not hold up all others.
            let jump = match &jump {
                Some(jump) => Some(jump.acquire().await),
                None => None,
            };
            let all = inner.connects.acquire().await;
            let result = Master::connect(place, connection, ssh, &nonce).await;
            drop((jump, all));
            result
        };
        match result {
            Err(refusal) if refusal.kind == Kind::Throttled && tries < LOGIN_TRIES => {
                // Hosts that were refused together come back one by one.
                let jitter = nonce.bytes().map(u32::from).sum::<u32>() % 100;
                tokio::time::sleep(pause + pause * jitter / 100).await;
                pause *= 2;
            }
            result => return result,
        }
    }
}

fn full() -> Refusal {
    Refusal::new(Kind::Denied, "sshd on the host refuses to open a session")
        .help("raise `MaxSessions` in its `sshd_config`: at least 2, better 10")
}
