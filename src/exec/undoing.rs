//! Walking the undo stack: newest first, hosts of one step together, asked about like any step.
//!
//! What is undone is not undone again: its intents have no undo, and its end is in the journal
//! before the next entry begins. An undo may run twice, so a walk that was cut off begins again
//! with the entry in which it was.

use std::collections::{HashMap, HashSet};

use super::ask::{Answer, FailureQuestion, HostGroup, Question, TaskQuestion};
use super::end::{ItemEnd, failure_end, unreachable_end};
use super::frame::Frame;
use super::halt::Flow;
use super::list::Place;
use super::rollback::{field, title};
use super::run::{Run, plain_text};
use super::state::Pace;
use crate::event::{Event, Report, Status};
use crate::journal::{EntryState, Record, UndoEntry, UndoRecord};
use crate::model::{Item, Keywords, Playbook, StepId};
use crate::modules::{Act, Failure};
use crate::script::Script;
use crate::transport::{Failed, Job};
use crate::value::{Map, Value};

/// How far a walk has come.
#[derive(Default)]
struct Walk {
    /// Hosts of which nothing more is undone.
    left_out: HashSet<String>,
    /// Blocks that were undone on a host: their other entries are, too.
    blocks: HashSet<(StepId, String, u32)>,
    /// Entries whose undo failed because the host is not as the change left it: a person said that
    /// it is to be undone all the same.
    forced: HashSet<u64>,
    /// What was undone and notifies: step, host, handlers.
    notifies: Vec<(StepId, String, Vec<String>)>,
    is_incomplete: bool,
}

impl Run {
    /// Undoes entries, newest first, and says whether all of them are. `all` is the whole stack,
    /// `goes_on` that an earlier walk was cut off.
    pub(super) async fn walk_stack(
        &self,
        playbook: &Playbook,
        all: &[UndoEntry],
        entries: &[&UndoEntry],
        goes_on: bool,
    ) -> Flow<bool> {
        self.state.borrow_mut().is_undoing = true;
        let mut walk = Walk {
            blocks: all
                .iter()
                .filter(|e| e.state == EntryState::Undone)
                .filter_map(block_of)
                .collect(),
            // What was undone before this walk was cut off has not got its handlers yet.
            notifies: all
                .iter()
                .filter(|e| goes_on && e.state == EntryState::Undone)
                .map(|e| {
                    let (step, host) = (e.instance.step.clone(), e.instance.host.clone());
                    (step, host, e.notifies.clone())
                })
                .collect(),
            ..Walk::default()
        };
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|e| is_same_step(e, first)).count();
            let (group, more) = rest.split_at(same);
            rest = more;
            // An undo that was cut off is found again by its instance: the group's oldest attempt
            // is a number that no other group has, and that does not change.
            let number = all.iter().filter(|e| is_same_step(e, first));
            let number = number.map(|e| e.attempt).min().unwrap_or_default();
            self.state.borrow_mut().play.batch_index = u32::try_from(number).unwrap_or(u32::MAX);
            if !self.undo_group(&mut walk, group).await? {
                walk.is_incomplete = true;
                break;
            }
        }
        let before = self.failure_count();
        self.notify_again(playbook, &walk.notifies).await?;
        Ok(!walk.is_incomplete && self.failure_count() == before)
    }

    /// The entries of one step; `false` where what comes before them must not be undone now.
    async fn undo_group(&self, walk: &mut Walk, group: &[&UndoEntry]) -> Flow<bool> {
        let mut pending: Vec<&UndoEntry> = Vec::new();
        for entry in group {
            if walk.left_out.contains(&entry.acts_on) {
                walk.is_incomplete = true;
            } else if block_of(entry).is_some_and(|block| walk.blocks.contains(&block)) {
                self.record_undone(entry, true, "with its block").await?;
            } else {
                pending.push(*entry);
            }
        }
        if pending.is_empty() {
            return Ok(true);
        }
        match self.ask_about_undo(&pending).await? {
            Answer::Skip { reason } => {
                self.leave_done(walk, &pending, &reason).await?;
                return Ok(true);
            }
            Answer::SkipHosts { hosts, reason } => {
                let (left, kept): (Vec<_>, Vec<_>) =
                    pending.iter().partition(|e| hosts.contains(&e.acts_on));
                self.leave_done(walk, &left, &reason).await?;
                pending = kept;
            }
            _ => {}
        }
        loop {
            // The step was asked about as a whole, so its undo tasks are not.
            let pace = std::mem::replace(&mut self.state.borrow_mut().pace, Pace::Free);
            let undone = pending.iter().map(|entry| self.undo_entry(entry, walk));
            let ends = futures_util::future::join_all(undone).await;
            self.state.borrow_mut().pace = pace;
            let mut failed = Vec::new();
            for (entry, end) in pending.iter().zip(ends) {
                let end = end?;
                if is_bad(&end) {
                    failed.push((*entry, end));
                } else {
                    walk.blocks.extend(block_of(entry));
                    let (step, host) = (&entry.instance.step, &entry.instance.host);
                    let names = entry.notifies.clone();
                    walk.notifies.push((step.clone(), host.clone(), names));
                }
            }
            // Nobody can retry what has no undo; it was said before the walk began.
            walk.is_incomplete |= !failed.is_empty();
            failed.retain(|(entry, _)| !matches!(entry.undo, UndoRecord::Unknown { .. }));
            if failed.is_empty() {
                return Ok(true);
            }
            if !self.settings.asks {
                // What comes before may depend on what could not be undone.
                return Ok(false);
            }
            match self.ask_about_failed_undo(&failed).await? {
                Answer::Retry => {
                    walk.forced.extend(failed.iter().map(|(e, _)| e.attempt));
                    pending = failed.iter().map(|(entry, _)| *entry).collect();
                    walk.is_incomplete = false;
                }
                Answer::Skip { .. } => return Ok(true),
                _ => {
                    let hosts = failed.iter().map(|(entry, _)| entry.acts_on.clone());
                    walk.left_out.extend(hosts);
                    return Ok(true);
                }
            }
        }
    }

    async fn leave_done(&self, walk: &mut Walk, entries: &[&UndoEntry], reason: &str) -> Flow<()> {
        walk.is_incomplete |= !entries.is_empty();
        for entry in entries {
            self.record_undone(entry, false, &format!("left by the operator: {reason}"))
                .await?;
        }
        Ok(())
    }

    async fn ask_about_undo(&self, entries: &[&UndoEntry]) -> Flow<Answer> {
        if !self.settings.asks || self.state.borrow().pace != Pace::Step {
            return Ok(Answer::Run);
        }
        let first = entries[0];
        let mut groups: Vec<HostGroup> = Vec::new();
        for entry in entries {
            let does = self.redact(&how(entry));
            match groups.iter_mut().find(|group| group.does == does) {
                Some(group) => group.hosts.push(entry.acts_on.clone()),
                None => groups.push(HostGroup {
                    hosts: vec![entry.acts_on.clone()],
                    details: vec![does.clone()],
                    does,
                    ..HostGroup::default()
                }),
            }
        }
        let number = {
            let mut state = self.state.borrow_mut();
            state.started += 1;
            state.started
        };
        let question = TaskQuestion {
            step: first.instance.step.clone(),
            name: format!("undo {}", title(first)),
            play: "way back".to_owned(),
            number,
            module: first.module.clone(),
            groups,
            notifies: first.notifies.clone(),
            undo: "what is undone is not undone again; the change may be run anew".to_owned(),
            ..TaskQuestion::default()
        };
        self.ask(Question::Task(Box::new(question))).await
    }

    async fn ask_about_failed_undo(&self, failed: &[(&UndoEntry, ItemEnd)]) -> Flow<Answer> {
        let groups: Vec<(Vec<String>, Report)> = failed
            .iter()
            .map(|(entry, end)| {
                let report = end.report(false, &|value| self.redacted(value));
                (vec![entry.acts_on.clone()], report)
            })
            .collect();
        let first = failed[0].0;
        let question = FailureQuestion {
            step: first.instance.step.clone(),
            name: format!("undo {}", title(first)),
            place: None,
            hosts_total: failed.len(),
            groups,
            // An undo may run twice; what the host has instead is thrown away by it.
            is_safe_to_retry: !failed.iter().any(|(_, end)| is_other(end)),
            ways_back: Vec::new(),
        };
        self.ask(Question::Failure(Box::new(question))).await
    }

    /// Takes one entry back and says how that ended.
    async fn undo_entry(&self, entry: &UndoEntry, walk: &Walk) -> Flow<ItemEnd> {
        let began = self.port.now().millis;
        let mut end = match &entry.undo {
            UndoRecord::Acts { acts, .. } => {
                let is_forced = walk.forced.contains(&entry.attempt);
                self.undo_by_acts(entry, acts, is_forced).await?
            }
            UndoRecord::Tasks { items, vars, .. } => self.undo_by_tasks(entry, items, vars).await?,
            UndoRecord::Sealed { .. } => {
                ItemEnd::failed("its undo is encrypted and the run's key is not here")
            }
            UndoRecord::Unknown { why } => ItemEnd::failed(format!("there is no undo: {why}")),
            UndoRecord::Keep | UndoRecord::NotNeeded => ItemEnd::new(Status::Ok, Map::new()),
        };
        let is_done = !is_bad(&end);
        let message = match (is_done, entry.is_hidden) {
            (true, _) => "done".to_owned(),
            (false, true) => "it failed (hidden by no_log)".to_owned(),
            (false, false) => end.msg(),
        };
        self.record_undone(entry, is_done, &message).await?;
        end.duration_ms = self.port.now().millis.saturating_sub(began);
        end.is_hidden = entry.is_hidden;
        let report = end.report(false, &|value| self.redacted(value));
        {
            let mut state = self.state.borrow_mut();
            state.stats.count(&entry.acts_on, &report);
            if !is_done {
                state.open.push(format!(
                    "{}: {} could not be undone: {message}",
                    entry.acts_on,
                    title(entry)
                ));
            }
        }
        self.port.emit(Event::Undone {
            host: entry.acts_on.clone(),
            step: entry.instance.step.clone(),
            summary: title(entry),
            report,
        });
        Ok(end)
    }

    async fn record_undone(&self, entry: &UndoEntry, is_done: bool, message: &str) -> Flow<()> {
        let record = Record::Undone {
            attempt: entry.attempt,
            is_done,
            message: self.redact(message),
        };
        self.record(vec![record], true).await
    }

    async fn undo_by_acts(
        &self,
        entry: &UndoEntry,
        acts: &[Act],
        is_forced: bool,
    ) -> Flow<ItemEnd> {
        let frame = Frame::play(&become_keywords(entry));
        let target = match self.target(&entry.acts_on, &self.host_view(&entry.acts_on), &frame) {
            Ok(target) => target,
            Err(problem) => return Ok(ItemEnd::failed(problem.message)),
        };
        let head = match self.ground(&target).await? {
            Ok(ground) => ground.head(),
            Err(end) => return Ok(*end),
        };
        let forced = if is_forced { "SB_FORCED=1\n" } else { "" };
        for act in acts {
            let (script, input) = match act {
                Act::Script { script, .. } => (script, None),
                Act::Stream { script, source } => (script, Some(source.clone())),
                Act::Save { .. } | Act::Reconnect { .. } => continue,
            };
            let keep = self.keep(entry.attempt);
            let sh = format!("{head}{keep}{forced}{}", script.sh);
            let job = Job {
                script: Script::new(sh),
                input,
                timeout: None,
            };
            match self.port.trip(&target, job, None).await {
                Ok(reply) if reply.rc == 0 => {}
                Ok(reply) => {
                    if let Some(line) = crate::script::attempt::fenced_by(&reply) {
                        return Err(self.locked(&target, &line));
                    }
                    let other = reply.fields().get(OTHER).cloned();
                    let mut end =
                        failure_end(Failure::of_reply(reply.stderr_text().trim(), &reply));
                    if let Some(other) = other {
                        end.result.insert(OTHER.to_owned(), Value::from(other));
                    }
                    return Ok(end);
                }
                Err(Failed::Unreachable { reason, help }) => {
                    return Ok(unreachable_end(&reason, help.as_deref()));
                }
                Err(Failed::Lost { reason }) => return Ok(unreachable_end(&reason, None)),
            }
        }
        Ok(ItemEnd::new(Status::Changed, Map::new()))
    }

    async fn undo_by_tasks(&self, entry: &UndoEntry, items: &[Item], vars: &Map) -> Flow<ItemEnd> {
        let host = entry.instance.host.clone();
        let mut keywords = become_keywords(entry);
        if entry.acts_on != host {
            keywords.delegate_to = Some(field(entry.acts_on.as_str().into()));
        }
        let frame = Frame::play(&Keywords::default()).include(&keywords, vars.clone());
        let place = Place {
            frame,
            // What follows from a failure is asked about once, for the entry.
            is_rescued: true,
            is_handler: false,
        };
        {
            let mut state = self.state.borrow_mut();
            if !state.play.batch.contains(&host) {
                state.play.batch.push(host.clone());
            }
        }
        let failures = Box::pin(self.run_list(items, &[host], &place)).await?;
        Ok(match failures.into_iter().next() {
            Some(failure) => failure.end,
            None => ItemEnd::new(Status::Changed, Map::new()),
        })
    }

    /// Undoing a task that notified notifies again; the handlers run after the last undo, in the
    /// order of their plays.
    async fn notify_again(
        &self,
        playbook: &Playbook,
        undone: &[(StepId, String, Vec<String>)],
    ) -> Flow<()> {
        for entry in &playbook.entries {
            let prefix = format!("{}/", entry.play.id.0);
            let of_play = |step: &StepId| {
                step.0.starts_with(&prefix)
                    && !playbook.entries.iter().any(|other| {
                        let longer = format!("{}/", other.play.id.0);
                        longer.len() > prefix.len() && step.0.starts_with(&longer)
                    })
            };
            let mut hosts: Vec<String> = Vec::new();
            let mut notified: HashMap<String, Vec<String>> = HashMap::new();
            for (_, host, names) in undone
                .iter()
                .filter(|(s, _, n)| of_play(s) && !n.is_empty())
            {
                if !hosts.contains(host) {
                    hosts.push(host.clone());
                }
                notified
                    .entry(host.clone())
                    .or_default()
                    .extend(names.clone());
            }
            if hosts.is_empty() {
                continue;
            }
            self.take_up_play(entry, &hosts).await?;
            self.state.borrow_mut().play.notified = notified;
            self.flush_handlers(&hosts).await?;
        }
        Ok(())
    }
}

/// The field in which an undo script says what the host has instead of what the change left.
const OTHER: &str = "undo_other";

fn is_other(end: &ItemEnd) -> bool {
    end.result.contains_key(OTHER)
}

/// Whether two entries are of one execution of a task, on different hosts.
fn is_same_step(entry: &UndoEntry, other: &UndoEntry) -> bool {
    let (a, b) = (&entry.instance, &other.instance);
    (&a.step, a.batch, a.item, a.occurrence) == (&b.step, b.batch, b.item, b.occurrence)
}

fn is_bad(end: &ItemEnd) -> bool {
    matches!(
        end.status,
        Status::Failed | Status::Unreachable | Status::Lost
    )
}

fn block_of(entry: &UndoEntry) -> Option<(StepId, String, u32)> {
    let block = entry.block.clone()?;
    Some((block, entry.instance.host.clone(), entry.instance.batch))
}

/// What the undo of an entry does, for a person.
fn how(entry: &UndoEntry) -> String {
    match &entry.undo {
        UndoRecord::Acts { summary, .. } | UndoRecord::Sealed { summary, .. } => summary.clone(),
        UndoRecord::Tasks { items, summary, .. } => {
            let names: Vec<String> = items
                .iter()
                .filter_map(|item| match item {
                    Item::Task(task) => task.keywords.name.as_ref(),
                    Item::Block(block) => block.keywords.name.as_ref(),
                })
                .filter_map(|name| plain_text(&name.value))
                .collect();
            if names.is_empty() {
                summary.clone()
            } else {
                names.join("; ")
            }
        }
        UndoRecord::Unknown { why } => format!("NO UNDO: {why}"),
        UndoRecord::Keep => "stays on purpose".to_owned(),
        UndoRecord::NotNeeded => "nothing to undo".to_owned(),
    }
}

/// The keywords under which an entry was made: who acted.
fn become_keywords(entry: &UndoEntry) -> Keywords {
    as_user(entry.become_user.as_deref(), entry.become_method.as_deref())
}

/// The keywords that make a task act as this user; none: as who logs in.
pub(super) fn as_user(user: Option<&str>, method: Option<&str>) -> Keywords {
    Keywords {
        r#become: Some(field(user.is_some().into())),
        become_user: user.map(|user| field(user.into())),
        become_method: method.map(|method| field(method.into())),
        ..Keywords::default()
    }
}
