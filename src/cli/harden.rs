//! What the process does for its secrets before it does anything else.

use std::any::Any;
use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask,
};

use super::start::tell;

/// The umask that the program was started with: what a task does on this machine is done with it.
static STARTED_WITH: OnceLock<u32> = OnceLock::new();

/// Files are made for their owner only, no other process may read our memory, and no panic quotes
/// data.
pub(super) fn harden() {
    let before = umask(Mode::RWXG | Mode::RWXO);
    // It is set once, by the only thread there is.
    let _ = STARTED_WITH.set(before.bits());
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        // A limit, other than the behaviour, is handed down to what a task starts on this machine.
        let none = Rlimit {
            current: Some(0),
            maximum: None,
        };
        // Where neither can be had, the rest still holds.
        let _ = setrlimit(Resource::Core, none);
    }
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| (at.file(), at.line()));
        tell(&obituary(place, info.payload()));
    }));
}

/// What is said of a panic.
fn obituary(place: Option<(&str, u32)>, payload: &dyn Any) -> String {
    let at = place.map(|(file, line)| format!(" at {file}:{line}"));
    // A formatted message may quote data, such as a text that was cut within a character.
    let why = payload.downcast_ref::<&'static str>();
    let why = why.map_or("its message is withheld, as it may hold data", |why| why);
    format!("bug: switchback panicked{}: {why}", at.unwrap_or_default())
}

/// The umask for what a task does on this machine.
pub(super) fn umask_of_tasks() -> Option<u32> {
    STARTED_WITH.get().copied()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_tells_its_place_and_no_data() {
        let said = |payload: &dyn std::any::Any| super::obituary(Some(("a.rs", 7)), payload);
        assert_eq!(
            said(&"a plain text"),
            "bug: switchback panicked at a.rs:7: a plain text"
        );
        let with_data = said(&"inside 'é' of `hunter2`".to_owned());
        assert!(with_data.contains("a.rs:7") && !with_data.contains("hunter2"));
    }

    #[test]
    fn the_umask_of_tasks_is_unknown_until_the_program_starts() {
        assert_eq!(super::umask_of_tasks(), None);
    }
}
