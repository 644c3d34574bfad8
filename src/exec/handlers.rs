//! Handlers: who is notified, and when they run.
//!
//! Source: ansible-core 2.19, `plugins/strategy/__init__.py` and `executor/play_iterator.py`:
//! definition order, once per host and flush, the last definition of a name wins, topics fire all
//! listeners.

use super::halt::Flow;
use super::list::Place;
use super::run::{Run, plain_text};
use crate::model::{Item, Task};

/// Names that a handler answers to.
pub(crate) fn answers_to(handler: &Task, name: &str) -> bool {
    if handler.listen.iter().any(|topic| topic == name) {
        return true;
    }
    let own = handler
        .keywords
        .name
        .as_ref()
        .and_then(|f| plain_text(&f.value));
    let Some(own) = own else { return false };
    own == name
        || handler.role.as_ref().is_some_and(|role| {
            name == format!("{} : {own}", role.name) || name == format!("{}:{own}", role.name)
        })
}

impl Run {
    /// Whether any handler of the play answers to this name.
    pub(crate) fn has_handler(&self, name: &str) -> bool {
        self.state
            .borrow()
            .play
            .handlers
            .iter()
            .any(|handler| answers_to(handler, name))
    }

    /// Runs the notified handlers in order of definition, each once per host, until none is left.
    pub(crate) async fn flush_handlers(&self) -> Flow<()> {
        let Some(frame) = self.state.borrow().play.frame.clone() else {
            return Ok(());
        };
        let mut index = 0;
        loop {
            let next = self.state.borrow().play.handlers.get(index).cloned();
            let Some(handler) = next else { break };
            let is_overridden = self.is_overridden(index, &handler);
            let hosts = if is_overridden {
                Vec::new()
            } else {
                self.take_notified(&handler)
            };
            if !hosts.is_empty() {
                let place = Place {
                    frame: frame.clone(),
                    is_rescued: false,
                    is_handler: true,
                };
                let items = [Item::Task(Box::new(handler))];
                let failures = Box::pin(self.run_list(&items, &hosts, &place)).await?;
                self.fail_hosts(&failures);
                // A handler may have notified an earlier one, which then runs in a new pass.
            }
            index += 1;
            let is_last = index >= self.state.borrow().play.handlers.len();
            if is_last && self.is_any_answerable() {
                index = 0;
            }
        }
        Ok(())
    }

    /// The last definition of a name wins.
    fn is_overridden(&self, index: usize, handler: &Task) -> bool {
        let Some(name) = handler
            .keywords
            .name
            .as_ref()
            .and_then(|f| plain_text(&f.value))
        else {
            return false;
        };
        let state = self.state.borrow();
        state.play.handlers[index + 1..].iter().any(|other| {
            other.role.as_ref().map(|r| &r.name) == handler.role.as_ref().map(|r| &r.name)
                && other
                    .keywords
                    .name
                    .as_ref()
                    .and_then(|f| plain_text(&f.value))
                    .as_ref()
                    == Some(&name)
        })
    }

    fn take_notified(&self, handler: &Task) -> Vec<String> {
        let mut state = self.state.borrow_mut();
        let batch = state.play.batch.clone();
        let mut hosts = Vec::new();
        for host in batch {
            if state.play.gone.contains(&host) && !self.settings.force_handlers {
                continue;
            }
            let Some(names) = state.play.notified.get_mut(&host) else {
                continue;
            };
            if names.iter().any(|name| answers_to(handler, name)) {
                hosts.push(host);
            }
        }
        // A name is consumed by the handler of that name; a topic stays for its other listeners
        // until the last of them has run.
        let handlers = state.play.handlers.clone();
        let position = handlers
            .iter()
            .position(|h| h.id == handler.id)
            .unwrap_or(0);
        for host in &hosts {
            if let Some(names) = state.play.notified.get_mut(host) {
                names.retain(|name| {
                    !answers_to(handler, name)
                        || handlers[position + 1..].iter().any(|h| answers_to(h, name))
                });
            }
        }
        hosts
    }

    fn is_any_answerable(&self) -> bool {
        let state = self.state.borrow();
        state.play.notified.iter().any(|(host, names)| {
            !state.play.gone.contains(host)
                && state.play.batch.contains(host)
                && names
                    .iter()
                    .any(|n| state.play.handlers.iter().any(|h| answers_to(h, n)))
        })
    }
}
