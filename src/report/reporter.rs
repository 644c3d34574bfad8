//! What a listener to a run is.

use crate::event::Event;

/// Hears every event of a run.
pub trait Reporter: Send {
    /// Hears one event.
    fn on(&mut self, event: &Event);

    /// Why what was heard could not be written, if it could not; asked once, at the end.
    fn failure(&self) -> Option<String> {
        None
    }
}
