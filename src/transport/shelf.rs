//! The places on one connection: how many `sh` may be open, which of them are idle.
//!
//! Invariant: those in use and those idle are together never more than the limit.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Become;
use super::session::Session;

/// How long a lowered limit holds: what took the places, such as a script that was given up, may
/// have ended since.
const SHRUNK: Duration = Duration::from_secs(30);

/// The places of one host.
pub(super) struct Shelf {
    state: Mutex<State>,
    free: Notify,
}

struct State {
    limit: usize,
    limit_max: usize,
    /// When the limit was last lowered.
    shrunk_at: Option<Instant>,
    in_use: usize,
    /// The one that was used last at the end.
    idle: Vec<Idle>,
}

/// A `sh` that nobody uses.
struct Idle {
    user: Option<Become>,
    session: Session,
    since: Instant,
}

/// A place that was taken; it is free again when this is dropped.
pub(super) struct Seat<'a> {
    shelf: &'a Shelf,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.shelf.state().in_use -= 1;
        self.shelf.free.notify_one();
    }
}

/// What comes with a place.
pub(super) struct Taken<'a> {
    /// The place.
    pub(super) seat: Seat<'a>,
    /// An idle `sh` of the right user; it may be dead.
    pub(super) session: Option<Session>,
    /// One of another user that must go first.
    pub(super) evicted: Option<Session>,
}

impl Shelf {
    /// Room for `limit`, at least one.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                limit: limit.max(1),
                limit_max: limit.max(1),
                shrunk_at: None,
                in_use: 0,
                idle: Vec::new(),
            }),
            free: Notify::new(),
        }
    }

    /// Waits for a place; `is_new` wants one without an idle `sh`.
    pub(super) async fn take(&self, user: Option<&Become>, is_new: bool) -> Taken<'_> {
        loop {
            // Made before the look, so that a place that gets free in between is not missed.
            let free = self.free.notified();
            if let Some(taken) = self.try_take(user, is_new) {
                return taken;
            }
            free.await;
        }
    }

    fn try_take(&self, user: Option<&Become>, is_new: bool) -> Option<Taken<'_>> {
        let mut state = self.state();
        if state.shrunk_at.is_some_and(|at| at.elapsed() > SHRUNK) {
            state.limit = state.limit_max;
            state.shrunk_at = None;
        }
        if state.in_use >= state.limit {
            return None;
        }
        state.in_use += 1;
        let same = |idle: &Idle| idle.user.as_ref() == user;
        let found = state.idle.iter().rposition(same).filter(|_| !is_new);
        let session = found.map(|at| state.idle.remove(at).session);
        let is_full = state.in_use + state.idle.len() > state.limit;
        let evicted = (is_full && !state.idle.is_empty()).then(|| state.idle.remove(0).session);
        drop(state);
        Some(Taken {
            seat: Seat { shelf: self },
            session,
            evicted,
        })
    }

    /// Gives back a `sh` that can be used again.
    pub(super) fn put(&self, seat: Seat<'_>, user: Option<Become>, session: Session) {
        self.state().idle.push(Idle {
            user,
            session,
            since: Instant::now(),
        });
        drop(seat);
    }

    /// Learns that the host allows no more than what is open without `seat`. Returns an idle `sh`
    /// that can make room, and whether there is anything to wait for.
    pub(super) fn shrink(&self, seat: Seat<'_>) -> (Option<Session>, bool) {
        let mut state = self.state();
        let others = state.in_use - 1 + state.idle.len();
        state.limit = state.limit.min(others).max(1);
        state.shrunk_at = Some(Instant::now());
        let room = (!state.idle.is_empty()).then(|| state.idle.remove(0).session);
        drop(state);
        drop(seat);
        (room, others > 0)
    }

    /// Since when the oldest idle `sh` is idle.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.state().idle.first().map(|idle| idle.since)
    }

    /// Takes the oldest idle `sh`.
    pub(super) fn give_up_oldest(&self) -> Option<Session> {
        let mut state = self.state();
        (!state.idle.is_empty()).then(|| state.idle.remove(0).session)
    }

    /// Takes all idle `sh`.
    pub(super) fn clear(&self) -> Vec<Session> {
        let idle = std::mem::take(&mut self.state().idle);
        idle.into_iter().map(|idle| idle.session).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
