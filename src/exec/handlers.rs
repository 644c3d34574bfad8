//! Handlers: who is notified, and when they run.
//!
//! Source: ansible-core 2.19, `plugins/strategy/__init__.py` (`search_handlers_by_notification`)
//! and `executor/play_iterator.py`: definition order, once per host and flush; of several handlers
//! of a name those of the last file or role win, and in one file the first; topics fire all their
//! listeners. A handler that notifies an earlier one has it run at the next flush.

use std::collections::HashSet;

use super::halt::Flow;
use super::list::{Failures, Place};
use super::run::{Run, plain_text};
use crate::event::Event;
use crate::model::{Item, Task};

impl Run {
    /// Whether any handler of the play answers to this name.
    pub(crate) fn has_handler(&self, name: &str) -> bool {
        let handlers = self.state.borrow().play.handlers.clone();
        !reached(&handlers, &self.handler_names(&handlers), name).is_empty()
    }

    /// Runs the notified handlers of these hosts in order of definition, each once per host; who
    /// fails in one leaves the play.
    pub(crate) async fn flush_handlers(&self, hosts: &[String]) -> Flow<()> {
        let failures = self.run_handlers(hosts, false).await?;
        self.fail_hosts(&failures);
        Ok(())
    }

    /// Runs the notified handlers of these hosts and returns who failed in one.
    pub(super) async fn run_handlers(&self, hosts: &[String], is_rescued: bool) -> Flow<Failures> {
        let Some(frame) = self.state.borrow().play.frame.clone() else {
            return Ok(Failures::new());
        };
        let mut all = Failures::new();
        let mut failed_here: HashSet<String> = HashSet::new();
        let mut index = 0;
        loop {
            self.expand_notifications();
            let next = self.state.borrow().play.handlers.get(index).cloned();
            let Some(handler) = next else { break };
            let mut notified = self.take_notified(index, hosts);
            notified.retain(|host| !failed_here.contains(host));
            if !notified.is_empty() {
                let place = Place {
                    frame: frame.clone(),
                    is_rescued,
                    is_handler: true,
                };
                let items = [Item::Task(Box::new(handler))];
                let failures = Box::pin(self.run_list(&items, &notified, &place)).await?;
                failed_here.extend(failures.iter().map(|f| f.host.clone()));
                all.extend(failures);
            }
            index += 1;
        }
        Ok(all)
    }

    /// The end of a section runs what was notified.
    pub(crate) async fn end_section(&self, hosts: &[String]) -> Flow<()> {
        let notified = {
            let state = self.state.borrow();
            let has_any = |host: &&String| {
                state.play.notified.contains_key(*host)
                    || state
                        .play
                        .pending_handlers
                        .get(*host)
                        .is_some_and(|p| !p.is_empty())
            };
            let notified = hosts.iter().filter(has_any);
            notified
                .map(|host| format!("triggered running handlers for {host}"))
                .collect::<Vec<String>>()
        };
        if !notified.is_empty() {
            self.port.emit(Event::Meta {
                step: None,
                name: String::new(),
                place: None,
                is_handler: false,
                done: notified,
            });
        }
        self.flush_handlers(hosts).await
    }

    /// Turns the names that were notified since into handlers.
    fn expand_notifications(&self) {
        let notified = std::mem::take(&mut self.state.borrow_mut().play.notified);
        if notified.is_empty() {
            return;
        }
        let handlers = self.state.borrow().play.handlers.clone();
        let names = self.handler_names(&handlers);
        let mut state = self.state.borrow_mut();
        for (host, notifications) in notified {
            let pending = state.play.pending_handlers.entry(host).or_default();
            for name in notifications {
                pending.extend(reached(&handlers, &names, &name));
            }
        }
    }

    /// The hosts that notified a handler, which then is no longer pending on them.
    fn take_notified(&self, index: usize, hosts: &[String]) -> Vec<String> {
        let mut state = self.state.borrow_mut();
        let forces = state.play.forces_handlers;
        let play = &mut state.play;
        let mut taken = Vec::new();
        for host in hosts {
            let is_forced = forces && play.failed.contains(host);
            if play.gone.contains(host) && !is_forced {
                continue;
            }
            let pending = play.pending_handlers.get_mut(host);
            if pending.is_some_and(|pending| pending.remove(&index)) {
                taken.push(host.clone());
            }
        }
        taken
    }

    /// The names of handlers, rendered with the play's variables; none where that fails.
    fn handler_names(&self, handlers: &[Task]) -> Vec<Option<String>> {
        let view = self.play_view();
        handlers
            .iter()
            .map(|handler| {
                let field = handler.keywords.name.as_ref()?;
                if !field.value.has_template() {
                    return plain_text(&field.value);
                }
                let name = self.text(Some(field), &view);
                if let (Err(problem), Some(name)) = (&name, field.value.as_str()) {
                    self.notice(
                        true,
                        format!(
                            "Handler '{name}' is unusable because it has no listen topics and the \
                             name could not be templated: {}",
                            problem.message
                        ),
                    );
                }
                name.ok().flatten()
            })
            .collect()
    }
}

/// The handlers that a notification reaches: one by its name, and all that listen to it.
fn reached(handlers: &[Task], names: &[Option<String>], notification: &str) -> Vec<usize> {
    let order = search_order(handlers);
    let is_named = |index: &usize| {
        let Some(own) = &names[*index] else {
            return false;
        };
        let role = handlers[*index].role.as_ref();
        own == notification
            || role.is_some_and(|role| {
                let short = role.name.rsplit('.').next().unwrap_or(&role.name);
                notification == format!("{} : {own}", role.name)
                    || notification == format!("{short} : {own}")
            })
    };
    let mut found: Vec<usize> = order.iter().copied().find(is_named).into_iter().collect();
    let mut seen: HashSet<&str> = HashSet::new();
    for index in order {
        let role = handlers[index].role.as_ref().map(|role| role.name.as_str());
        let hears = |topic: &String| {
            topic == notification
                || role.is_some_and(|role| {
                    let short = role.rsplit('.').next().unwrap_or(role);
                    [role, short]
                        .iter()
                        .any(|role| notification == format!("{role} : {topic}"))
                })
        };
        if !handlers[index].listen.iter().any(hears) {
            continue;
        }
        let is_new = names[index].as_deref().is_none_or(|name| seen.insert(name));
        if is_new && !found.contains(&index) {
            found.push(index);
        }
    }
    found
}

/// Files and roles from last to first, the handlers of each from first to last.
fn search_order(handlers: &[Task]) -> Vec<usize> {
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    let mut last = None;
    for (index, handler) in handlers.iter().enumerate() {
        let role = handler.role.as_ref().map(|r| (&r.name, &r.path));
        match blocks.last_mut().filter(|_| last == Some(role)) {
            Some(block) => block.push(index),
            None => blocks.push(vec![index]),
        }
        last = Some(role);
    }
    blocks.into_iter().rev().flatten().collect()
}
