//! The core as a state machine: `(state, input) -> (state, effects)`.
//!
//! The logic of a run is written as coroutines (`async fn` without any runtime), because a step's
//! life is a sequence and reads best as one. This file is all there is of an executor: it polls the
//! one root coroutine after each input and hands out the effects that it asked for. There is no
//! thread, clock, random number or IO behind it, so the same inputs always give the same effects,
//! and a simulation can stop it between any two inputs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use super::effect::{Effect, Input, Now, Port};
use super::root::Ended;

/// A run in progress.
pub struct Machine {
    port: Port,
    root: Option<Pin<Box<dyn Future<Output = Ended>>>>,
    ended: Option<Ended>,
}

impl Machine {
    /// A machine that will run `root` over `port`; nothing happens before [`Input::Start`].
    pub(crate) fn new(port: Port, root: impl Future<Output = Ended> + 'static) -> Self {
        Self {
            port,
            root: Some(Box::pin(root)),
            ended: None,
        }
    }

    /// Takes one input in and returns what the core wants done next.
    pub fn step(&mut self, input: Input, now: Now) -> Vec<Effect> {
        self.port.accept(input, now);
        if let Some(root) = &mut self.root {
            let mut context = Context::from_waker(Waker::noop());
            if let std::task::Poll::Ready(ended) = root.as_mut().poll(&mut context) {
                self.ended = Some(ended);
                self.root = None;
            }
        }
        self.port.drain()
    }

    /// How the run ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }
}
