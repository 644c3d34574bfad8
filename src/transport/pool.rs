//! All hosts of a run and the `sh` that stay on them.
//!
//! Knows when to connect, to reuse and to wait, but nothing of what the scripts do. Invariant: a
//! request is sent again only if not one byte of it had left.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::frame::{self, Input};
use super::host::{Host, Opened};
use super::master::{Master, last_words};
use super::nonce::Nonces;
use super::session::Broken;
use super::{Chunk, Connection, Failed, Job, Target};
use crate::modules::Source;
use crate::script::Reply;

/// The shortest and the longest pause between looks for a host that restarts.
const LOOK: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// What a [`Pool`] needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where control sockets go: a short path, ours alone; made with mode 0700 if missing.
    pub control_dir: PathBuf,
    /// Seconds that an idle connection is kept for the next run; 0 closes it at the end.
    pub persist_idle_s: u32,
    /// Logins at the same time.
    pub connects_in_flight_max: usize,
    /// Logins at the same time through one jump host; sshd drops more than 10 by default.
    pub connects_per_jump_max: usize,
    /// `sh` and streams at the same time on one host; sshd's `MaxSessions` is 10 by default.
    pub sessions_per_host_max: usize,
    /// `sh` at the same time on all hosts together, where idle ones can be ended for it.
    pub sessions_max: usize,
    /// Added to the environment of `ssh` and of local scripts.
    pub env: Vec<(OsString, OsString)>,
    /// The umask of local scripts, where it is not that of this process.
    pub local_umask: Option<u32>,
}

impl Settings {
    /// The defaults, with this control directory.
    pub fn new(control_dir: impl Into<PathBuf>) -> Self {
        Self {
            control_dir: control_dir.into(),
            persist_idle_s: 0,
            connects_in_flight_max: 16,
            connects_per_jump_max: 8,
            sessions_per_host_max: 10,
            sessions_max: sessions_max(),
            env: Vec::new(),
            local_umask: None,
        }
    }
}

/// A cheap handle to all connections of a run.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

/// What all hosts share.
pub(super) struct Inner {
    /// As given.
    pub(super) settings: Settings,
    /// For marks, prompts and names.
    pub(super) nonces: Nonces,
    /// How many `sh` are open.
    pub(super) open: Arc<AtomicUsize>,
    /// Bounds the logins in flight.
    pub(super) connects: Semaphore,
    jumps: Mutex<HashMap<String, Arc<Semaphore>>>,
    hosts: Mutex<HashMap<(String, Connection), Arc<Host>>>,
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// What is remembered of a host by name, whatever becomes of its connection.
#[derive(Clone, Debug, Default)]
struct Seen {
    trips: u64,
    boot_id: Option<String>,
}

impl Inner {
    /// Bounds the logins through one jump host.
    pub(super) fn jump(&self, name: &str) -> Arc<Semaphore> {
        let max = self.settings.connects_per_jump_max.max(1);
        let mut jumps = lock(&self.jumps);
        let jump = jumps.entry(name.to_owned());
        Arc::clone(jump.or_insert_with(|| Arc::new(Semaphore::new(max))))
    }
}

impl Inner {
    /// Where this process has no files for one more `sh`, ends those that nobody uses, the one
    /// first that was not used for the longest time. Those in use are left: tasks in parallel are
    /// bounded elsewhere.
    pub(super) async fn make_room(&self) {
        while self.open.load(Ordering::Relaxed) >= self.settings.sessions_max {
            let oldest = {
                let hosts = lock(&self.hosts);
                let idle = hosts.values().filter_map(|h| Some((h.idle_since()?, h)));
                let oldest = idle.min_by_key(|(since, _)| *since);
                oldest.and_then(|(_, host)| host.give_up_oldest())
            };
            match oldest {
                Some(session) => session.end().await,
                None => return,
            }
        }
    }
}

impl Pool {
    /// A pool without connections; they are made on first use.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(settings: Settings) -> std::io::Result<Self> {
        Ok(Self {
            inner: Arc::new(Inner {
                nonces: Nonces::from_system()?,
                open: Arc::default(),
                connects: Semaphore::new(settings.connects_in_flight_max.max(1)),
                jumps: Mutex::default(),
                hosts: Mutex::default(),
                seen: Mutex::default(),
                settings,
            }),
        })
    }

    /// Runs one script and gives its output to `live` as it arrives.
    ///
    /// # Errors
    /// [`Failed::Unreachable`] if nothing of it ran, [`Failed::Lost`] if it may have run.
    ///
    /// # Cancellation
    /// What was sent runs on; its `sh` is not used again.
    pub async fn run(
        &self,
        target: &Target,
        job: Job,
        mut live: impl FnMut(Chunk) + Send,
    ) -> Result<Reply, Failed> {
        let input = match &job.input {
            None => return self.run_framed(target, &job, &mut live).await,
            Some(source) => open(source).await?,
        };
        self.run_bulk(target, &job, input, &mut live).await
    }

    /// How many requests were sent to each host, by inventory name.
    pub fn trips(&self) -> BTreeMap<String, u64> {
        let seen = lock(&self.inner.seen);
        seen.iter()
            .map(|(name, seen)| (name.clone(), seen.trips))
            .collect()
    }

    /// Drops the connection and every idle `sh` of this target; the next use connects anew.
    pub async fn reset(&self, target: &Target) {
        let key = (target.host.clone(), target.connection.clone());
        let host = lock(&self.inner.hosts).remove(&key);
        if let Some(host) = host {
            host.exit(&self.inner.settings.env).await;
        }
    }

    /// Ends every idle `sh` and every connection that is not kept.
    pub async fn close(&self) {
        let hosts: Vec<_> = lock(&self.inner.hosts)
            .drain()
            .map(|(_, host)| host)
            .collect();
        for host in hosts {
            host.close().await;
        }
    }

    /// Waits until the host has restarted, which its boot id tells, and can be used again.
    ///
    /// A host without a boot id counts as restarted once it was away.
    ///
    /// # Errors
    /// [`Failed::Unreachable`] after `timeout`, or at once if the host that came back is refused
    /// (a changed host key, a denied login).
    pub async fn wait_for_reconnection(
        &self,
        target: &Target,
        timeout: Duration,
    ) -> Result<(), Failed> {
        if target.connection == Connection::Local {
            return Err(unreachable(
                "this machine cannot be waited for: the run ends with it",
            ));
        }
        let before = lock(&self.inner.seen)
            .get(&target.host)
            .and_then(|s| s.boot_id.clone());
        let plain = Target {
            become_user: None,
            ..target.clone()
        };
        let until = Instant::now() + timeout;
        let (mut was_away, mut pause) = (false, LOOK.0);
        loop {
            self.reset(target).await;
            let host = self.host(&plain);
            let last = match host.take(&self.inner, None, true).await {
                Ok(opened) => {
                    let has_restarted = match (&before, opened.session.boot_id()) {
                        (Some(before), Some(now)) => before != now,
                        _ => was_away,
                    };
                    if has_restarted {
                        host.put(opened, None).await;
                        return Ok(());
                    }
                    "it has not restarted yet".to_owned()
                }
                Err(trouble) if trouble.is_transient => {
                    was_away = true;
                    trouble.failed.to_string()
                }
                Err(trouble) => return Err(trouble.failed),
            };
            if Instant::now() + pause > until {
                let limit = timeout.as_secs();
                return Err(unreachable(&format!("not back after {limit} s: {last}")));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK.1);
        }
    }

    async fn run_framed(
        &self,
        target: &Target,
        job: &Job,
        live: &mut (dyn FnMut(Chunk) + Send),
    ) -> Result<Reply, Failed> {
        let user = target.become_user.as_ref();
        let nonce = self.inner.nonces.next();
        let request = frame::request(&nonce, &job.script.sh, Input::Nothing);
        let host = self.host(target);
        loop {
            let mut opened = host
                .take(&self.inner, user, false)
                .await
                .map_err(|trouble| trouble.failed)?;
            self.note(target, &opened);
            let session = &mut opened.session;
            match session.exchange(&nonce, &request, job.timeout, live).await {
                Ok(reply) => {
                    host.put(opened, user.cloned()).await;
                    return Ok(reply);
                }
                Err(Broken::NotSent { written_bytes: 0 }) if !opened.is_new => {
                    self.unnote(target);
                }
                Err(broken) => {
                    let master = session.master();
                    return Err(self.failed(target, master, broken, job).await);
                }
            }
        }
    }

    async fn run_bulk(
        &self,
        target: &Target,
        job: &Job,
        mut input: Box<dyn AsyncRead + Send + Unpin>,
        live: &mut (dyn FnMut(Chunk) + Send),
    ) -> Result<Reply, Failed> {
        let user = target.become_user.as_ref();
        let nonce = self.inner.nonces.next();
        let request = frame::request(&nonce, &job.script.sh, Input::Channel);
        let host = self.host(target);
        let opened = host
            .take(&self.inner, user, true)
            .await
            .map_err(|trouble| trouble.failed)?;
        self.note(target, &opened);
        let Opened { session, seat, .. } = opened;
        let master = session.master();
        let reply = session
            .exchange_with_input(&nonce, &request, &mut input, job.timeout, live)
            .await;
        drop(seat);
        match reply {
            Ok(reply) => Ok(reply),
            Err(broken) => Err(self.failed(target, master, broken, job).await),
        }
    }

    /// Says why there is no reply.
    async fn failed(
        &self,
        target: &Target,
        master: Option<Arc<Master>>,
        broken: Broken,
        job: &Job,
    ) -> Failed {
        let name = &target.host;
        let reason = match (broken, last_words(master).await) {
            (Broken::NotSent { .. }, words) => {
                self.unnote(target);
                let words = words.map(|words| format!(": {words}")).unwrap_or_default();
                return unreachable(&format!(
                    "the connection closed before the script was sent{words}"
                ));
            }
            (Broken::TimedOut, _) => format!(
                "no reply from `{name}` within {} s; the script may still run there",
                job.timeout.unwrap_or_default().as_secs_f64()
            ),
            (Broken::Source(why), _) => {
                format!("the input of the script could not be read to its end: {why}")
            }
            (Broken::Cut { has_begun, .. }, words) => {
                let ran = if has_begun {
                    "while the script ran"
                } else {
                    "after the script was sent"
                };
                match words {
                    Some(words) => format!("the connection to `{name}` was lost {ran}: {words}"),
                    None => format!("the shell on `{name}` ended {ran}"),
                }
            }
        };
        Failed::Lost { reason }
    }

    fn host(&self, target: &Target) -> Arc<Host> {
        let key = (target.host.clone(), target.connection.clone());
        let max = self.inner.settings.sessions_per_host_max;
        let mut hosts = lock(&self.inner.hosts);
        let host = hosts.entry(key);
        Arc::clone(host.or_insert_with(|| Arc::new(Host::new(target.connection.clone(), max))))
    }

    fn note(&self, target: &Target, opened: &Opened<'_>) {
        let mut seen = lock(&self.inner.seen);
        let seen = seen.entry(target.host.clone()).or_default();
        seen.trips += 1;
        seen.boot_id = opened.session.boot_id().map(str::to_owned);
    }

    /// Takes back the count of a request that did not go out.
    fn unnote(&self, target: &Target) {
        if let Some(seen) = lock(&self.inner.seen).get_mut(&target.host) {
            seen.trips -= 1;
        }
    }
}

/// As many `sh` as this process may have files for.
fn sessions_max() -> usize {
    // Three streams and the process, or its channel; twice as much while it is started.
    const FILES_PER_SESSION: u64 = 4;
    const FILES_KEPT: u64 = 32;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = limit.unwrap_or(u64::MAX).saturating_sub(FILES_KEPT);
    usize::try_from(files / FILES_PER_SESSION)
        .unwrap_or(usize::MAX)
        .max(1)
}

fn unreachable(reason: &str) -> Failed {
    Failed::Unreachable {
        reason: reason.to_owned(),
        help: None,
    }
}

/// Opens what a script is to read, before anything is sent.
async fn open(source: &Source) -> Result<Box<dyn AsyncRead + Send + Unpin>, Failed> {
    match source {
        Source::Bytes(bytes) => Ok(Box::new(std::io::Cursor::new(bytes.clone()))),
        Source::File(path) => match tokio::fs::File::open(path).await {
            Ok(file) => Ok(Box::new(file)),
            Err(e) => Err(Failed::Unreachable {
                reason: format!("cannot read `{}` on this machine: {e}", path.display()),
                help: None,
            }),
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps are whole after every statement, so a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
