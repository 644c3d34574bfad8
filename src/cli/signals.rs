//! Signals of a run: pause, detach.

use tokio::sync::mpsc;

use super::start::tell;
use crate::console;

/// Ctrl-C asks for a pause; a second one, SIGTERM and SIGHUP detach: the journal is consistent at
/// any moment, and what runs on hosts is found again by `resume`.
pub(super) fn watch(pauses: mpsc::UnboundedSender<String>, console: Option<console::Handle>) {
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
