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

/// A run in progress.
pub struct Machine {
    port: Port,
    root: Option<Pin<Box<dyn Future<Output = u8>>>>,
    exit_code: Option<u8>,
}

impl Machine {
    /// A machine that will run `root` over `port`; nothing happens before [`Input::Start`].
    pub(crate) fn new(port: Port, root: impl Future<Output = u8> + 'static) -> Self {
        Self { port, root: Some(Box::pin(root)), exit_code: None }
    }

    /// Takes one input in and returns what the core wants done next.
    pub fn step(&mut self, input: Input, now: Now) -> Vec<Effect> {
        self.port.accept(input, now);
        if let Some(root) = &mut self.root {
            let mut context = Context::from_waker(Waker::noop());
            if let std::task::Poll::Ready(code) = root.as_mut().poll(&mut context) {
                self.exit_code = Some(code);
                self.root = None;
            }
        }
        self.port.drain()
    }

    /// The exit code, once the run has ended.
    pub fn exit_code(&self) -> Option<u8> {
        self.exit_code
    }
}
