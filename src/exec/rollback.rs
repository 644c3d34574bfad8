//! Going back: which ways there are now, what each costs, and walking one.
//!
//! What is legal is asked of the hosts, not of the journal. Rolling back appends to the journal and
//! erases nothing.

use super::ask::{Answer, Question, WayOffer, WaysQuestion, WordQuestion};
use super::busy::Busy;
use super::controller::HostScopes as _;
use super::frame::Frame;
use super::halt::{Flow, Halt};
use super::list::Place;
use super::root::{Ended, code};
use super::run::Run;
use crate::journal::{EntryState, Record, RunState, UndoEntry, UndoRecord};
use crate::model::{Field, Item, Keywords, Playbook, Steps, WayBack};
use crate::script::Script;
use crate::transport::{Failed, Job};
use crate::value::Value;

/// The name of the undo stack among the ways back.
pub const UNDO: &str = "undo";

/// Which way was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `--way NAME`; `undo` is the stack.
    pub way: Option<String>,
    /// `--to STEP`: the stack down to this step, which stays.
    pub to: Option<String>,
    /// A rollback that was cut off goes on: it was chosen and found legal when it began.
    pub goes_on: bool,
}

impl Wanted {
    /// To go on with the rollback of a run that was cut off; `None` where there is none.
    pub fn of_cut_off(journal: &RunState) -> Option<Self> {
        Some(Self {
            way: Some(journal.rollback.clone()?),
            to: journal.rollback_to.clone(),
            goes_on: true,
        })
    }
}

impl Run {
    /// Rolls the run back, from the choice of the way to its end.
    pub(crate) async fn roll_back_root(
        self,
        journal: RunState,
        playbook: Playbook,
        wanted: Wanted,
    ) -> Ended {
        let ended = |exit_code| Ended {
            exit_code,
            wants_rollback: false,
        };
        let mut journal = journal;
        let result = match self.prepare_change(playbook.change.as_ref()) {
            Ok(()) => self.roll_back(&mut journal, &playbook, &wanted).await,
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
        ended(self.finish(exit_code).await)
    }

    async fn roll_back(
        &self,
        journal: &mut RunState,
        playbook: &Playbook,
        wanted: &Wanted,
    ) -> Flow<bool> {
        let ways: &[WayBack] = playbook.change.as_ref().map_or(&[], |c| &c.ways_back);
        // What a rollback that was cut off has begun itself is found again by its tasks.
        let busy = if wanted.goes_on {
            Busy::default()
        } else {
            self.settle_open(journal).await?
        };
        let journal = &*journal;
        let entries = stack(journal, wanted)?;
        let name = if wanted.goes_on {
            let name = wanted.way.clone().unwrap_or_default();
            self.notice(false, format!("going on with the way back `{name}`"));
            name
        } else {
            self.begin(journal, ways, &entries, (wanted, &busy)).await?
        };
        let is_complete = match ways.iter().find(|way| way.name == name) {
            None => {
                self.walk_stack(
                    playbook,
                    &journal.undo,
                    &entries,
                    journal.rollback.is_some(),
                )
                .await?
            }
            Some(way) => self.walk_way(way, playbook, journal).await?,
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

    /// Offers the ways, refuses those that are not legal, says what the chosen one does not bring
    /// back, and puts its start into the journal.
    async fn begin(
        &self,
        journal: &RunState,
        ways: &[WayBack],
        entries: &[&UndoEntry],
        (wanted, busy): (&Wanted, &Busy),
    ) -> Flow<String> {
        let mut offers = vec![self.stack_offer(journal, entries, wanted).await];
        for way in ways {
            offers.push(self.offer(way).await?);
        }
        for offer in &mut offers {
            let condition = busy.condition(&self.settings.run, offer.name == UNDO);
            offer.is_legal &= condition.1;
            offer.conditions.push(condition);
        }
        let name = self.choose(&offers, wanted).await?;
        let Some(offer) = offers.iter().find(|o| o.name == name) else {
            let known: Vec<&str> = offers.iter().map(|o| o.name.as_str()).collect();
            return Err(Halt::Broken(format!(
                "there is no way back `{name}`; there are {}",
                known.join(", ")
            )));
        };
        if !offer.is_legal {
            return Err(Halt::Broken(format!(
                "the way back `{name}` is not legal now: {}",
                refusal(offer)
            )));
        }
        self.notice(false, format!("way back `{name}`: loses {}", offer.loses));
        for line in &offer.stays {
            self.notice(true, line.clone());
        }
        let record = Record::RollbackStarted {
            way: name.clone(),
            to: wanted.to.clone(),
            at: self.port.now().wall,
        };
        self.record(vec![record], true).await?;
        Ok(name)
    }

    /// What the undo stack would do, newest first.
    async fn stack_offer(
        &self,
        journal: &RunState,
        entries: &[&UndoEntry],
        wanted: &Wanted,
    ) -> WayOffer {
        let point = journal
            .point_of_no_return
            .filter(|_| wanted.to.is_none())
            .map(|point| point_name(journal, point));
        let silent = self.silent_hosts(entries).await;
        let conditions = vec![
            (
                "no point of no return was passed".to_owned(),
                point.is_none(),
                match &point {
                    Some(name) => format!(
                        "`{name}` was passed; `--to STEP` undoes what was done after it, a named \
                         way may lead further back"
                    ),
                    None => "none".to_owned(),
                },
            ),
            (
                "something is to be undone".to_owned(),
                !entries.is_empty(),
                format!("{} entries", entries.len()),
            ),
            (
                "every host with something to undo answers".to_owned(),
                silent.is_empty(),
                silent.join("; "),
            ),
        ];
        let kept = journal
            .undo
            .iter()
            .filter(|e| e.state == EntryState::Kept && !e.is_behind_point)
            .map(|e| format!("{}: {} stays on purpose", e.acts_on, title(e)));
        let unknown: Vec<String> = entries
            .iter()
            .filter_map(|e| match &e.undo {
                UndoRecord::Unknown { why } => Some(format!(
                    "{}: {} cannot be brought back: {why}",
                    e.acts_on,
                    title(e)
                )),
                _ => None,
            })
            .collect();
        let loses = if unknown.is_empty() {
            "nothing, but for what is said to stay".to_owned()
        } else {
            format!(
                "what {} steps did: nobody knows how to undo it",
                unknown.len()
            )
        };
        WayOffer {
            name: UNDO.to_owned(),
            is_legal: conditions.iter().all(|(_, holds, _)| *holds),
            conditions,
            loses,
            steps: entries
                .iter()
                .map(|e| format!("{}: undo {}", e.acts_on, title(e)))
                .collect(),
            stays: unknown.into_iter().chain(kept).collect(),
        }
    }

    /// Hosts with something to undo that do not answer, with the reason.
    async fn silent_hosts(&self, entries: &[&UndoEntry]) -> Vec<String> {
        let mut hosts: Vec<&str> = entries.iter().map(|e| e.acts_on.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let frame = Frame::play(&Keywords::default());
        let asked = hosts.into_iter().map(|host| {
            let frame = &frame;
            async move {
                let target = match self.target(host, &self.host_view(host), frame) {
                    Ok(target) => target,
                    Err(problem) => return Some(format!("{host}: {}", problem.message)),
                };
                let job = Job {
                    script: Script::new(":\n"),
                    input: None,
                    timeout: None,
                };
                match self.port.trip(&target, job, None).await {
                    Ok(_) => None,
                    Err(Failed::Unreachable { reason, .. } | Failed::Lost { reason }) => {
                        Some(format!("{host}: {reason}"))
                    }
                }
            }
        });
        let found = futures_util::future::join_all(asked).await;
        found.into_iter().flatten().collect()
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
            Steps::UndoOf(tags) => format!("undo of `{}`", tags.join("`, `")),
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
            stays: Vec::new(),
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

    async fn walk_way(&self, way: &WayBack, playbook: &Playbook, journal: &RunState) -> Flow<bool> {
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
            Steps::UndoOf(tags) => {
                let entries = undo_of(journal, tags);
                let is_complete = self
                    .walk_stack(
                        playbook,
                        &journal.undo,
                        &entries,
                        journal.rollback.is_some(),
                    )
                    .await?;
                return Ok(is_complete && self.failure_count() == before);
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
        hosts.retain(|host| !self.state.borrow().replay.released.contains(host));
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

    pub(super) fn failure_count(&self) -> u32 {
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
fn stack<'a>(journal: &'a RunState, wanted: &Wanted) -> Flow<Vec<&'a UndoEntry>> {
    let Some(to) = &wanted.to else {
        return Ok(journal.undoable().collect());
    };
    let is_it = |e: &UndoEntry| &e.instance.step.0 == to || &e.name == to;
    let Some(found) = journal.undo.iter().find(|e| is_it(e)) else {
        let mut known: Vec<&str> = journal.undo.iter().map(|e| e.name.as_str()).collect();
        known.dedup();
        return Err(Halt::Broken(format!(
            "the run has no step `{to}` that changed something; it has `{}`",
            known.join("`, `")
        )));
    };
    if found.is_behind_point {
        return Err(Halt::Broken(format!(
            "`{to}` lies behind the point of no return `{}`, and undoing does not cross it",
            journal
                .point_of_no_return
                .map_or_else(String::new, |point| point_name(journal, point))
        )));
    }
    Ok(journal.undoable().take_while(|e| !is_it(e)).collect())
}

/// Unsealed entries of the tags, newest first.
fn undo_of<'a>(journal: &'a RunState, tags: &[String]) -> Vec<&'a UndoEntry> {
    journal
        .undo
        .iter()
        .filter(|e| e.state.is_open() && tags.iter().any(|tag| e.tags.contains(tag)))
        .collect()
}

/// What a person calls a point of no return.
fn point_name(journal: &RunState, attempt: u64) -> String {
    let of_entry = journal.undo.iter().find(|e| e.attempt == attempt);
    of_entry.map_or_else(|| format!("attempt {attempt}"), |e| e.name.clone())
}

/// An entry as a person calls it.
pub(super) fn title(entry: &UndoEntry) -> String {
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

/// A field of a keyword that no file has.
pub(super) fn field(value: Value) -> Field {
    Field {
        value,
        span: crate::diag::Span::NONE,
    }
}
