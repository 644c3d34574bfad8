//! The door between the core and the world: effects go out, inputs come back.
//!
//! The core awaits an effect by its ticket; it never does IO, reads a clock or draws a number by
//! itself. Whoever owns the [`Port`]'s other end (the driver, or a simulation) decides when and
//! whether an effect is answered.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chrono::{DateTime, Utc};

use super::ask::{Answer, Question};
use crate::event::Event;
use crate::journal::Record;
use crate::model::{Progress, StepId};
use crate::modules::{InputKind, Resolved};
use crate::script::Reply;
use crate::transport::{Failed, Job, Target};
use crate::value::Redactor;

/// Matches an answer to the effect that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Something the core wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run a script on a host: one trip. Answered by [`Input::Reply`].
    Trip {
        /// The ticket.
        ticket: Ticket,
        /// Where.
        target: Box<Target>,
        /// What.
        job: Job,
        /// Whose output it is, where it is to be shown while it runs.
        live: Option<Live>,
    },
    /// Wait until a host has gone and come back. Answered by [`Input::Reply`] (empty).
    Reconnect {
        /// The ticket.
        ticket: Ticket,
        /// The host.
        target: Box<Target>,
        /// Seconds at most.
        timeout_s: u32,
    },
    /// Drop the sessions with a host. Answered by [`Input::Woken`].
    Reset {
        /// The ticket.
        ticket: Ticket,
        /// The host.
        target: Box<Target>,
    },
    /// Append records to the journal. Answered by [`Input::Durable`].
    Append {
        /// The ticket.
        ticket: Ticket,
        /// In this order.
        records: Vec<Record>,
        /// Whether they must be on disk before the answer.
        is_synced: bool,
    },
    /// Ask a person or the policy. Answered by [`Input::Answered`].
    Ask {
        /// The ticket.
        ticket: Ticket,
        /// What.
        question: Box<Question>,
    },
    /// Hash or read a file of the controller. Answered by [`Input::File`].
    Read {
        /// The ticket.
        ticket: Ticket,
        /// The file.
        path: PathBuf,
        /// How.
        kind: InputKind,
    },
    /// Write a file on the controller (`fetch`). Answered by [`Input::Written`].
    Write {
        /// The ticket.
        ticket: Ticket,
        /// The file.
        path: PathBuf,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Wait. Answered by [`Input::Woken`].
    Sleep {
        /// The ticket.
        ticket: Ticket,
        /// How long, in milliseconds.
        millis: u64,
    },
    /// Tell the listeners. Not answered.
    Emit(Event),
}

/// Whose output a running script makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The host.
    pub host: String,
    /// The step.
    pub step: StepId,
    /// How a percentage is read from it.
    pub progress: Option<Progress>,
    /// Whether its text must not be shown (`no_log`).
    pub is_hidden: bool,
    /// The secrets known when it was sent.
    pub redactor: Arc<Redactor>,
}

/// Something the world tells the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The first one: go.
    Start,
    /// A script's reply, or why there is none.
    Reply(Ticket, Result<Reply, Failed>),
    /// Records are in the journal, or why not.
    Durable(Ticket, Result<(), String>),
    /// An answer, and who gave it.
    Answered(Ticket, Answer, String),
    /// A file of the controller, or why not.
    File(Ticket, Result<Resolved, String>),
    /// A file was written, or why not.
    Written(Ticket, Result<(), String>),
    /// Time is over, or sessions were dropped.
    Woken(Ticket),
    /// Somebody wants the run to pause before the next task (key, Ctrl-C).
    PauseWanted(String),
}

impl Input {
    fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Start | Self::PauseWanted(_) => None,
            Self::Reply(t, _)
            | Self::Durable(t, _)
            | Self::Answered(t, _, _)
            | Self::File(t, _)
            | Self::Written(t, _)
            | Self::Woken(t) => Some(*t),
        }
    }
}

/// The time as the world told it with an input.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Now {
    /// Wall clock.
    pub wall: DateTime<Utc>,
    /// Milliseconds on a clock that only goes forward.
    pub millis: u64,
}

#[derive(Default)]
struct State {
    next_ticket: u64,
    effects: Vec<Effect>,
    answers: HashMap<Ticket, Input>,
    wakers: HashMap<Ticket, Waker>,
    /// Tickets whose answers somebody still wants.
    open: HashSet<Ticket>,
    now: Now,
    pause_wanted: Option<String>,
    redactor: Redactor,
}

/// The reason of a pause that a person wants now, and not after the running task.
pub const INTERRUPT: &str = "Ctrl-C";

/// The core's end of the door.
#[derive(Clone, Default)]
pub(crate) struct Port(Rc<RefCell<State>>);

impl Port {
    /// The time of the latest input.
    pub(crate) fn now(&self) -> Now {
        self.0.borrow().now
    }

    /// Tells the listeners.
    pub(crate) fn emit(&self, event: Event) {
        let mut state = self.0.borrow_mut();
        let mut event = event;
        state.redactor.prepare();
        event.redact(&state.redactor);
        state.effects.push(Effect::Emit(event));
    }

    /// What masks secrets in all that goes out.
    pub(crate) fn with_redactor<T>(&self, use_it: impl FnOnce(&mut Redactor) -> T) -> T {
        let redactor = &mut self.0.borrow_mut().redactor;
        redactor.prepare();
        use_it(redactor)
    }

    /// The same output, shown without the secrets that are known now.
    pub(crate) fn masked(&self, live: Live) -> Live {
        let redactor = self.with_redactor(|redactor| Arc::new(redactor.clone()));
        Live { redactor, ..live }
    }

    /// Takes a request to pause, if there is one.
    pub(crate) fn take_pause(&self) -> Option<String> {
        self.0.borrow_mut().pause_wanted.take()
    }

    /// Takes a request to pause that does not wait for the running task ([`INTERRUPT`]).
    pub(crate) fn take_interrupt(&self) -> Option<String> {
        let wanted = &mut self.0.borrow_mut().pause_wanted;
        wanted.take_if(|why| why == INTERRUPT)
    }

    /// Runs a script on a host.
    pub(crate) async fn trip(
        &self,
        target: &Target,
        job: Job,
        live: Option<Live>,
    ) -> Result<Reply, Failed> {
        let target = Box::new(target.clone());
        let live = live.map(|live| self.masked(live));
        match self
            .call(|ticket| Effect::Trip {
                ticket,
                target,
                job,
                live,
            })
            .await
        {
            Input::Reply(_, reply) => reply,
            _ => unreachable!("invariant: a trip is answered by a reply"),
        }
    }

    /// Waits for a host to come back.
    pub(crate) async fn reconnect(&self, target: &Target, timeout_s: u32) -> Result<Reply, Failed> {
        let target = Box::new(target.clone());
        match self
            .call(|ticket| Effect::Reconnect {
                ticket,
                target,
                timeout_s,
            })
            .await
        {
            Input::Reply(_, reply) => reply,
            _ => unreachable!("invariant: a reconnection is answered by a reply"),
        }
    }

    /// Drops the sessions with a host.
    pub(crate) async fn reset(&self, target: &Target) {
        let target = Box::new(target.clone());
        self.call(|ticket| Effect::Reset { ticket, target }).await;
    }

    /// Appends to the journal.
    pub(crate) async fn append(&self, records: Vec<Record>, is_synced: bool) -> Result<(), String> {
        match self
            .call(|ticket| Effect::Append {
                ticket,
                records,
                is_synced,
            })
            .await
        {
            Input::Durable(_, result) => result,
            _ => unreachable!("invariant: an append is answered by its durability"),
        }
    }

    /// Asks, and says who answered.
    pub(crate) async fn ask(&self, question: Question) -> (Answer, String) {
        let question = Box::new(question);
        match self.call(|ticket| Effect::Ask { ticket, question }).await {
            Input::Answered(_, answer, by) => (answer, by),
            _ => unreachable!("invariant: a question is answered by an answer"),
        }
    }

    /// Reads or hashes a file of the controller.
    pub(crate) async fn read(&self, path: PathBuf, kind: InputKind) -> Result<Resolved, String> {
        match self
            .call(|ticket| Effect::Read { ticket, path, kind })
            .await
        {
            Input::File(_, result) => result,
            _ => unreachable!("invariant: a read is answered by a file"),
        }
    }

    /// Writes a file on the controller.
    pub(crate) async fn write(&self, path: PathBuf, bytes: Vec<u8>) -> Result<(), String> {
        match self
            .call(|ticket| Effect::Write {
                ticket,
                path,
                bytes,
            })
            .await
        {
            Input::Written(_, result) => result,
            _ => unreachable!("invariant: a write is answered by its result"),
        }
    }

    /// Waits.
    pub(crate) async fn sleep(&self, millis: u64) {
        self.call(|ticket| Effect::Sleep { ticket, millis }).await;
    }

    fn call(&self, make: impl FnOnce(Ticket) -> Effect) -> Pending {
        let mut state = self.0.borrow_mut();
        state.next_ticket += 1;
        let ticket = Ticket(state.next_ticket);
        let effect = make(ticket);
        state.effects.push(effect);
        state.open.insert(ticket);
        Pending {
            port: self.clone(),
            ticket,
        }
    }

    /// Takes in what the world says, with its time.
    pub(super) fn accept(&self, input: Input, now: Now) {
        let mut state = self.0.borrow_mut();
        state.now = now;
        if let Input::PauseWanted(why) = input {
            state.pause_wanted = Some(why);
        } else if let Some(ticket) = input.ticket().filter(|t| state.open.contains(t)) {
            state.answers.insert(ticket, input);
            if let Some(waker) = state.wakers.remove(&ticket) {
                drop(state);
                waker.wake();
            }
        }
    }

    /// All effects since the last call, in order.
    pub(super) fn drain(&self) -> Vec<Effect> {
        std::mem::take(&mut self.0.borrow_mut().effects)
    }
}

/// An effect that has not been answered yet.
struct Pending {
    port: Port,
    ticket: Ticket,
}

impl Drop for Pending {
    /// An answer that comes after this is not kept.
    fn drop(&mut self) {
        let mut state = self.port.0.borrow_mut();
        state.open.remove(&self.ticket);
        state.answers.remove(&self.ticket);
        state.wakers.remove(&self.ticket);
    }
}

impl Future for Pending {
    type Output = Input;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Input> {
        let mut state = self.port.0.borrow_mut();
        if let Some(input) = state.answers.remove(&self.ticket) {
            Poll::Ready(input)
        } else {
            state.wakers.insert(self.ticket, context.waker().clone());
            Poll::Pending
        }
    }
}
