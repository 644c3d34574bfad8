//! Signals of a run: pause, detach.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::stage::written;
use super::start::tell;
use crate::console;
use crate::report::Relay;

/// How long a detach waits for what was said to be read.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Ctrl-C asks for a pause; a second one, SIGTERM and SIGHUP detach: the journal is consistent at
/// any moment, and what runs on hosts is found again by `resume`.
pub(super) fn watch(
    pauses: mpsc::UnboundedSender<String>,
    console: Option<console::Handle>,
    relay: Arc<Relay>,
) {
    let watch = async move {
        use tokio::signal::unix::{SignalKind, signal};
        let streams = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
            signal(SignalKind::hangup()),
        );
        let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = streams else {
            return;
        };
        let mut interrupts = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {
                    if console.as_ref().is_some_and(console::Handle::is_asking) {
                        continue;
                    }
                    interrupts += 1;
                    if interrupts == 1 {
                        tell("\npausing; Ctrl-C again detaches");
                        // A run that has ended needs no pause.
                        drop(pauses.send(crate::exec::INTERRUPT.to_owned()));
                        continue;
                    }
                    super::start::tell("detached; go on with `switchback resume`");
                }
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            console::restore_terminal();
            // Who does not read does not hold us either.
            drop(tokio::time::timeout(LAST_WORDS, written(&relay)).await);
            leave();
        }
    };
    tokio::task::spawn(watch);
}

/// Ends the process at once, as a detach does.
#[expect(
    clippy::exit,
    reason = "a detach ends the process without waiting for hosts"
)]
fn leave() -> ! {
    std::process::exit(i32::from(crate::cli::exit::DETACHED))
}
