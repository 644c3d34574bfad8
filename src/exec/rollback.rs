//! Going back: which ways there are now, what each costs, and walking one.
//!
//! What is legal is asked of the hosts, not of the journal. Rolling back appends to the journal and
//! erases nothing.

use super::ask::{Answer, Question, WayOffer, WaysQuestion, WordQuestion};
use super::controller::HostScopes as _;
use super::end::{ItemEnd, failure_end, unreachable_end};
use super::frame::Frame;
use super::halt::{Flow, Halt};
use super::list::Place;
use super::root::{Ended, code};
use super::run::Run;
use crate::event::{Event, Status};
use crate::journal::{EntryState, Record, RunState, UndoEntry, UndoRecord};
use crate::model::{Change, Field, Item, Keywords, Steps, WayBack};
use crate::modules::{Act, Failure};
use crate::script::Script;
use crate::transport::{Failed, Job};
use crate::value::Value;

/// The name of the undo stack among the ways back.
pub const UNDO: &str = "undo";

/// Which way was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `--way NAME`; `undo` is the stack.
    pub way: Option<String>,
    /// `--to STEP`: the stack down to this step, which stays.
    pub to: Option<String>,
}

impl Run {
    /// Rolls the run back, from the choice of the way to its end.
    pub(crate) async fn roll_back_root(
        self,
        journal: RunState,
        change: Option<Change>,
        wanted: Wanted,
    ) -> Ended {
        let ended = |exit_code| Ended {
            exit_code,
            wants_rollback: false,
        };
        let result = match self.prepare_change(change.as_ref()) {
            Ok(()) => self.roll_back(&journal, change.as_ref(), &wanted).await,
            Err(halt) => Err(halt),
        };
        let exit_code = match result {
            Ok(true) => code::ROLLED_BACK,
            Ok(false) | Err(Halt::EndPlay | Halt::EndBatch | Halt::EndRun) => {
                code::ROLLBACK_INCOMPLETE
            }
            Err(Halt::Broken(why) | Halt::Refused(why)) => {
                self.notice(true, why);
                code::ROLLBACK_INCOMPLETE
            }
            Err(Halt::Undecided(hint)) => {
                self.notice(
                    true,
                    format!("a decision was needed and nobody was there: {hint}"),
                );
                code::UNDECIDED
            }
            Err(Halt::WindowOver | Halt::Stopped | Halt::RollBack) => code::STOPPED,
            Err(Halt::Aborted) => code::ABORTED,
            Err(Halt::Locked(why)) => {
                self.notice(true, why);
                code::LOCKED
            }
            Err(Halt::Lost(why)) => {
                self.notice(true, why);
                code::LOST
            }
            Err(Halt::Journal(why)) => {
                self.notice(true, format!("the journal cannot be written: {why}"));
                code::ERROR
            }
        };
        self.finish(exit_code).await;
        ended(exit_code)
    }

    async fn roll_back(
        &self,
        journal: &RunState,
        change: Option<&Change>,
        wanted: &Wanted,
    ) -> Flow<bool> {
        let entries = stack(journal, wanted);
        let ways: &[WayBack] = change.map_or(&[], |c| &c.ways_back);
        let mut offers = vec![Self::stack_offer(journal, &entries)];
        for way in ways {
            offers.push(self.offer(way).await?);
        }
        let name = self.choose(&offers, wanted).await?;
        let offer = offers.iter().find(|o| o.name == name);
        match offer {
            None => {
                let known: Vec<&str> = offers.iter().map(|o| o.name.as_str()).collect();
                return Err(Halt::Broken(format!(
                    "there is no way back `{name}`; there are {}",
                    known.join(", ")
                )));
            }
            Some(offer) if !offer.is_legal => {
                return Err(Halt::Broken(format!(
                    "the way back `{name}` is not legal now: {}",
                    refusal(offer)
                )));
            }
            Some(_) => {}
        }
        let at = self.port.now().wall;
        self.record(
            vec![Record::RollbackStarted {
                way: name.clone(),
                at,
            }],
            true,
        )
        .await?;
        let is_complete = match ways.iter().find(|way| way.name == name) {
            None => self.walk_stack(&entries).await?,
            Some(way) => self.walk_way(way).await?,
        };
        self.record(
            vec![Record::RollbackEnded {
                way: name,
                is_complete,
            }],
            true,
        )
        .await?;
        Ok(is_complete)
    }

    /// What the undo stack would do, newest first.
    fn stack_offer(journal: &RunState, entries: &[&UndoEntry]) -> WayOffer {
        let mut conditions = Vec::new();
        let behind = journal.undo.iter().filter(|e| e.is_behind_point).count();
        let is_passed = journal.point_of_no_return.is_some() && entries.is_empty() && behind > 0;
        conditions.push((
            "no point of no return was passed".to_owned(),
            !is_passed,
            if is_passed {
                format!("{behind} entries lie behind one")
            } else {
                "none".to_owned()
            },
        ));
        let has_any = !entries.is_empty();
        conditions.push((
            "something is to be undone".to_owned(),
            has_any,
            format!("{} entries", entries.len()),
        ));
        let stays: Vec<String> = journal
            .undo
            .iter()
            .filter(|e| e.state == EntryState::Kept && !e.is_behind_point)
            .map(|e| format!("{} on {} stays on purpose", title(e), e.acts_on))
            .collect();
        let unknown: Vec<String> = entries
            .iter()
            .filter_map(|e| match &e.undo {
                UndoRecord::Unknown { why } => {
                    Some(format!("{} on {}: {why}", title(e), e.acts_on))
                }
                _ => None,
            })
            .collect();
        let mut steps: Vec<String> = entries
            .iter()
            .map(|e| format!("{}: undo {}", e.acts_on, title(e)))
            .collect();
        steps.extend(stays);
        WayOffer {
            name: UNDO.to_owned(),
            is_legal: !is_passed && has_any,
            conditions,
            loses: if unknown.is_empty() {
                "nothing that this run did stays, but for what is listed as kept".to_owned()
            } else {
                format!("cannot be brought back: {}", unknown.join("; "))
            },
            steps,
        }
    }

    /// Whether a named way is legal now.
    async fn offer(&self, way: &WayBack) -> Flow<WayOffer> {
        let view = self.host_view("localhost");
        let all = self.host_names();
        let mut conditions = Vec::new();
        for condition in &way.legal {
            conditions.extend(self.check_condition(condition, &all, &view).await?);
        }
        let what = match &way.steps {
            Steps::Playbook(file) => format!(
                "playbook {}",
                super::run::plain_text(&file.value).unwrap_or_default()
            ),
            Steps::Role { role, .. } => {
                format!(
                    "role {}",
                    super::run::plain_text(&role.name.value).unwrap_or_default()
                )
            }
            Steps::Tasks { tasks, .. } => format!("{} tasks", tasks.len()),
        };
        Ok(WayOffer {
            name: way.name.clone(),
            is_legal: conditions.iter().all(|(_, holds, _)| *holds),
            conditions,
            loses: self
                .text(way.loses.as_ref(), &view)
                .ok()
                .flatten()
                .unwrap_or_default(),
            steps: vec![what],
        })
    }

    async fn choose(&self, offers: &[WayOffer], wanted: &Wanted) -> Flow<String> {
        if let Some(way) = &wanted.way {
            return Ok(way.clone());
        }
        if wanted.to.is_some() {
            return Ok(UNDO.to_owned());
        }
        let question = WaysQuestion {
            ways: offers.to_vec(),
        };
        match self.ask(Question::WayBack(Box::new(question))).await? {
            Answer::Way(name) => Ok(name),
            _ => Err(Halt::Stopped),
        }
    }

    /// Undoes entries newest first; hosts of one step go together.
    async fn walk_stack(&self, entries: &[&UndoEntry]) -> Flow<bool> {
        self.state.borrow_mut().is_undoing = true;
        let mut is_complete = true;
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let same = rest
                .iter()
                .take_while(|e| {
                    e.instance.step == first.instance.step && e.instance.item == first.instance.item
                })
                .count();
            let (group, more) = rest.split_at(same);
            rest = more;
            let undone = group.iter().map(|entry| self.undo_entry(entry));
            for result in futures_util::future::join_all(undone).await {
                is_complete &= result?;
            }
            if !is_complete
                && group
                    .iter()
                    .any(|e| !matches!(e.undo, UndoRecord::Unknown { .. }))
            {
                // A failed undo stops: what comes before it may depend on it.
                break;
            }
        }
        let batch = self.state.borrow().play.batch.clone();
        self.flush_handlers(&batch).await?;
        Ok(is_complete)
    }

    /// Takes one entry back and says whether it is.
    async fn undo_entry(&self, entry: &UndoEntry) -> Flow<bool> {
        let began = self.port.now().millis;
        let end = match &entry.undo {
            UndoRecord::Acts { acts, .. } => self.undo_by_acts(entry, acts).await?,
            UndoRecord::Tasks { items, vars, .. } => self.undo_by_tasks(entry, items, vars).await?,
            UndoRecord::Unknown { why } => ItemEnd::failed(format!("there is no undo: {why}")),
            UndoRecord::Sealed { .. } => {
                ItemEnd::failed("its undo is encrypted and the run's key is not here")
            }
            UndoRecord::Keep | UndoRecord::NotNeeded => return Ok(true),
        };
        let is_done = !matches!(
            end.status,
            Status::Failed | Status::Unreachable | Status::Lost
        );
        let message = if is_done {
            "done".to_owned()
        } else if entry.is_hidden {
            "it failed (hidden by no_log)".to_owned()
        } else {
            end.msg()
        };
        let record = Record::Undone {
            attempt: entry.attempt,
            is_done,
            message: message.clone(),
        };
        self.record(vec![record], true).await?;
        let mut end = end;
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
        Ok(is_done)
    }

    async fn undo_by_acts(&self, entry: &UndoEntry, acts: &[Act]) -> Flow<ItemEnd> {
        let frame = Frame::play(&become_keywords(entry));
        let target = match self.target(&entry.acts_on, &self.host_view(&entry.acts_on), &frame) {
            Ok(target) => target,
            Err(problem) => return Ok(ItemEnd::failed(problem.message)),
        };
        let head = match self.ground(&target).await? {
            Ok(ground) => ground.head(),
            Err(end) => return Ok(*end),
        };
        for act in acts {
            let (script, input) = match act {
                Act::Script { script, .. } => (script, None),
                Act::Stream { script, source } => (script, Some(source.clone())),
                Act::Save { .. } | Act::Reconnect { .. } => continue,
            };
            let sh = format!("{head}{}{}", self.keep(entry.attempt), script.sh);
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
                    let failure = Failure::of_reply(reply.stderr_text().trim(), &reply);
                    return Ok(failure_end(failure));
                }
                Err(Failed::Unreachable { reason, help }) => {
                    return Ok(unreachable_end(&reason, help.as_deref()));
                }
                Err(Failed::Lost { reason }) => return Ok(unreachable_end(&reason, None)),
            }
        }
        Ok(ItemEnd::new(Status::Changed, crate::value::Map::new()))
    }

    async fn undo_by_tasks(
        &self,
        entry: &UndoEntry,
        items: &[Item],
        vars: &crate::value::Map,
    ) -> Flow<ItemEnd> {
        let host = entry.instance.host.clone();
        let mut keywords = become_keywords(entry);
        if entry.acts_on != host {
            keywords.delegate_to = Some(field(entry.acts_on.as_str().into()));
        }
        let frame = Frame::play(&Keywords::default()).include(&keywords, vars.clone());
        let place = Place {
            frame,
            is_rescued: false,
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
            None => ItemEnd::new(Status::Changed, crate::value::Map::new()),
        })
    }

    async fn walk_way(&self, way: &WayBack) -> Flow<bool> {
        self.release(way).await?;
        let view = self.host_view("localhost");
        let before = self.failure_count();
        match &way.steps {
            Steps::Playbook(file) => {
                let path = self.text(Some(file), &view).ok().flatten().ok_or_else(|| {
                    Halt::Broken(format!("way back `{}` names no playbook", way.name))
                })?;
                let folder = std::path::Path::new(&self.settings.playbook)
                    .parent()
                    .map(std::path::Path::to_owned)
                    .unwrap_or_default();
                let playbook = self
                    .controller
                    .playbook(&folder.join(path))
                    .map_err(Halt::Broken)?;
                match self.run_playbook(&playbook).await {
                    Ok(()) | Err(Halt::EndRun) => {}
                    Err(halt) => return Err(halt),
                }
            }
            Steps::Role { role, hosts } => {
                let hosts = self.way_hosts(hosts, way)?;
                let loaded = self
                    .controller
                    .role(role, None, &view.search)
                    .map_err(Halt::Broken)?;
                self.state
                    .borrow_mut()
                    .play
                    .handlers
                    .extend(loaded.handlers);
                self.walk_items(&loaded.items, &hosts).await?;
            }
            Steps::Tasks { tasks, hosts } => {
                let hosts = self.way_hosts(hosts, way)?;
                self.walk_items(tasks, &hosts).await?;
            }
        }
        Ok(self.failure_count() == before)
    }

    async fn walk_items(&self, items: &[Item], hosts: &[String]) -> Flow<()> {
        let frame = Frame::play(&Keywords::default());
        {
            let mut state = self.state.borrow_mut();
            *state.play.all_hosts = hosts.to_vec();
            *state.play.batch = hosts.to_vec();
            state.play.frame = Some(frame.clone());
        }
        let place = Place {
            frame,
            is_rescued: false,
            is_handler: false,
        };
        let failures = Box::pin(self.run_list(items, hosts, &place)).await?;
        self.fail_hosts(&failures);
        self.flush_handlers(hosts).await
    }

    fn way_hosts(&self, hosts: &Field, way: &WayBack) -> Flow<Vec<String>> {
        self.pattern_hosts(hosts, &self.host_view("localhost"))
            .map_err(|problem| {
                Halt::Broken(format!("way back `{}`: {}", way.name, problem.message))
            })
    }

    /// Releases the hosts that a way names, after its name was typed.
    async fn release(&self, way: &WayBack) -> Flow<()> {
        let mut hosts = Vec::new();
        for field in &way.releases {
            hosts.extend(self.way_hosts(field, way)?);
        }
        if hosts.is_empty() {
            return Ok(());
        }
        if self.is_way_typed(way) {
            self.notice(
                false,
                format!(
                    "`{}` was named on the command line: its hosts are released",
                    way.name
                ),
            );
            return self.release_hosts(way, hosts).await;
        }
        let question = WordQuestion {
            warning: format!(
                "the way back `{}` releases the reserve: {}; it loses: {}",
                way.name,
                hosts.join(", "),
                self.text(way.loses.as_ref(), &self.host_view("localhost"))
                    .ok()
                    .flatten()
                    .unwrap_or_default()
            ),
            word: way.name.clone(),
        };
        match self.ask(Question::Word(question)).await? {
            Answer::Text(word) if word == way.name => {}
            Answer::Run => {}
            _ => return Err(Halt::Stopped),
        }
        self.release_hosts(way, hosts).await
    }

    /// Whether the way's name was typed already: on the command line, with nobody to ask.
    fn is_way_typed(&self, way: &WayBack) -> bool {
        !self.settings.asks && self.settings.way.as_deref() == Some(way.name.as_str())
    }

    async fn release_hosts(&self, way: &WayBack, hosts: Vec<String>) -> Flow<()> {
        let at = self.port.now().wall;
        let records = hosts
            .iter()
            .map(|host| Record::Released {
                host: host.clone(),
                by: way.name.clone(),
                at,
            })
            .collect();
        self.record(records, true).await?;
        self.state.borrow_mut().replay.released.extend(hosts);
        Ok(())
    }

    fn failure_count(&self) -> u32 {
        let state = self.state.borrow();
        state
            .stats
            .hosts
            .values()
            .map(|h| h.failed + h.unreachable + h.lost)
            .sum()
    }
}

/// The entries to undo, newest first, down to `--to`.
fn stack<'a>(journal: &'a RunState, wanted: &Wanted) -> Vec<&'a UndoEntry> {
    journal
        .undoable()
        .take_while(|e| {
            wanted
                .to
                .as_ref()
                .is_none_or(|to| &e.instance.step.0 != to && &e.name != to)
        })
        .collect()
}

fn title(entry: &UndoEntry) -> String {
    let name = if entry.name.is_empty() {
        entry.module.as_str()
    } else {
        entry.name.as_str()
    };
    if entry.summary.is_empty() {
        format!("`{name}`")
    } else {
        format!("`{name}` ({})", entry.summary)
    }
}

fn refusal(offer: &WayOffer) -> String {
    let unmet: Vec<String> = offer
        .conditions
        .iter()
        .filter(|(_, holds, _)| !holds)
        .map(|(name, _, seen)| format!("`{name}`: {seen}"))
        .collect();
    unmet.join("; ")
}

fn field(value: Value) -> Field {
    Field {
        value,
        span: crate::diag::Span::NONE,
    }
}

/// The keywords under which an entry was made: who acted.
fn become_keywords(entry: &UndoEntry) -> Keywords {
    Keywords {
        r#become: Some(field(entry.become_user.is_some().into())),
        become_user: entry.become_user.as_deref().map(|user| field(user.into())),
        become_method: entry
            .become_method
            .as_deref()
            .map(|method| field(method.into())),
        ..Keywords::default()
    }
}
