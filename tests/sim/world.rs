//! The world around the core, all of it in one thread: a disk, hosts, a clock and an operator. What
//! happens in which order, and what goes wrong, is up to a [`Fate`].

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use switchback::event::Status;
use switchback::exec::ask::{Answer, Question};
use switchback::exec::{
    Effect, Input, Machine, Now, Project, Settings, Ticket, Wanted, replay_of, start,
    start_rollback,
};
use switchback::inventory::Inventory;
use switchback::journal::{FORMAT, Record, RunState, Writer, fold};
use switchback::model::{Playbook, StepId};
use switchback::modules::{InputKind, Resolved};
use switchback::plan::Loader;
use switchback::script::Reply;
use switchback::transport::{Failed, Job};
use switchback::value::{Map, Value};

use crate::checker::Checker;
use crate::hosts::{Hosts, Image, attempt_of, is_look};
use crate::storage::{Content, Disk};

/// What a process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// `run`, or `resume` where the journal has begun.
    Forward,
    /// `rollback --way undo`.
    Back,
}

/// What becomes of a script that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It runs and its reply comes back.
    Arrives,
    /// It runs and its reply is lost.
    LosesReply,
    /// It never arrives, and nobody can tell.
    IsLost,
    /// No connection: it is not sent.
    HasNoRoute,
}

/// A script on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    ticket: Ticket,
    pub(crate) host: String,
    pub(crate) job: Job,
    step: StepId,
}

/// Decides what happens next.
pub(crate) trait Fate {
    /// The process could die here; says whether it does.
    fn dies(&mut self, world: &World, flights: &[&Flight], disk: &[Content]) -> bool;
    /// Which of so many waiting things happens next.
    fn pick(&mut self, waiting: usize) -> usize;
    /// Whether time passes although something is on its way.
    fn is_slow(&mut self) -> bool {
        false
    }
    /// Whether a host is restarted right after this script.
    fn restarts(&mut self) -> bool {
        false
    }
    /// How many seconds the wall clock is off just now.
    fn clock_off_s(&mut self) -> i64 {
        0
    }
    /// What becomes of a script.
    fn way(&mut self) -> Way;
    /// After how many operations of the disk the process dies amid the next append.
    fn dies_writing(&mut self) -> Option<usize> {
        None
    }
}

enum Waiting {
    Trip(Flight),
    Ask(Ticket, Box<Question>),
    /// Until when, in milliseconds.
    Sleep(Ticket, u64),
    /// The flight that it answers, and whether its reply was lost.
    Input(Input, Option<(Flight, bool)>),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// In an orderly way, with this exit code.
    Ended(u8),
    /// At once.
    Killed,
}

/// A project, its disk and its hosts.
pub(crate) struct World {
    folder: tempfile::TempDir,
    settings: Settings,
    pub(crate) disk: Disk,
    pub(crate) hosts: Hosts,
    pub(crate) checker: Checker,
    /// What the operator was asked, in one line each.
    pub(crate) asked: Vec<String>,
    /// What was on its way when the last process died.
    pub(crate) flights: Vec<Flight>,
    millis: u64,
}

pub(crate) const HOSTS: [&str; 3] = ["a", "b", "c"];

impl World {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("hosts");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let lines = HOSTS.map(|host| format!("{host} root={}", root.join(host).display()));
        let inventory = lines.join("\n");
        std::fs::write(folder.path().join("hosts.ini"), inventory).unwrap();
        let settings = Settings {
            run: "run".into(),
            playbook: "site.yml".into(),
            change: "change".into(),
            forks: 5,
            journal: Some("journal".into()),
            machine: Some("here".into()),
            owner: "anna".into(),
            connection_defaults: Arc::new(Map::new()),
            ..Settings::default()
        };
        Self {
            hosts: Hosts::new(&root, &HOSTS),
            folder,
            settings,
            disk: Disk::default(),
            checker: Checker::default(),
            asked: Vec::new(),
            flights: Vec::new(),
            millis: 0,
        }
    }

    fn load(&self) -> (Rc<Project>, Playbook, Inventory) {
        let mut loader = Loader::new(Vec::new(), Vec::new(), Map::new());
        let playbook = loader.playbook(&self.folder.path().join("site.yml"));
        let playbook = playbook.unwrap_or_else(|problems| panic!("{problems:#?}"));
        let sources = [self.folder.path().join("hosts.ini").display().to_string()];
        let (inventory, _) = Inventory::read(&sources, None, &mut loader.sources).unwrap();
        (Rc::new(Project::new(loader)), playbook, inventory)
    }

    /// What the journal says.
    pub(crate) fn journal(&self) -> RunState {
        let recovered = self.disk.content().recover().unwrap();
        fold(recovered.records.iter().map(|entry| &entry.record))
    }

    /// Puts disk and hosts back to another moment.
    pub(crate) fn restore(&mut self, disk: Content, hosts: &Image) {
        self.disk.restart(disk);
        self.hosts.image = hosts.clone();
        self.asked.clear();
    }

    /// An empty disk, of which this operation will fail, and hosts without anything.
    pub(crate) fn restart(&mut self, fails_at: Option<usize>) {
        self.disk = Disk::default();
        self.disk.fail_at(fails_at);
        self.hosts.clear();
        self.asked.clear();
        self.flights.clear();
    }

    /// What the last process did against the promises.
    pub(crate) fn complaints(&mut self, what: &str) -> Vec<String> {
        let violations = std::mem::take(&mut self.checker.violations);
        let told = violations
            .into_iter()
            .map(|wrong| format!("{what}: {wrong}"));
        told.collect()
    }

    /// A script that was on its way when its process died arrives after all.
    pub(crate) fn arrives_late(&mut self, flight: &Flight) {
        self.hosts.run(&flight.host, &flight.job);
    }

    /// Starts a process and runs it to its end.
    pub(crate) fn process(&mut self, wish: Wish, fate: &mut dyn Fate) -> Death {
        let Ok((writer, journal)) = self.open(fate) else {
            return Death::Killed;
        };
        self.checker = Checker::after(&journal, wish == Wish::Back);
        let (project, playbook, inventory) = self.load();
        let settings = self.settings.clone();
        let machine = match wish {
            Wish::Forward => start(project, settings, inventory, playbook, replay_of(&journal)),
            Wish::Back => {
                let wanted = Wanted::of_cut_off(&journal).unwrap_or(Wanted {
                    way: Some("undo".into()),
                    ..Wanted::default()
                });
                start_rollback(project, settings, inventory, journal, playbook, wanted)
            }
        };
        let mut process = Process {
            world: self,
            fate,
            writer,
            machine,
            waiting: vec![Waiting::Input(Input::Start, None)],
        };
        let death = match process.live() {
            Ok(code) => Death::Ended(code),
            Err(Killed) => Death::Killed,
        };
        let flights = process.waiting.into_iter().filter_map(|w| match w {
            Waiting::Trip(flight) => Some(flight),
            _ => None,
        });
        let flights = flights.collect();
        self.flights = flights;
        death
    }

    /// What the commands do before the core starts: a journal is opened, or read and taken up.
    fn open(&mut self, fate: &mut dyn Fate) -> Result<(Writer, RunState), Killed> {
        let recovered = self.disk.content().recover().unwrap();
        let content = self.disk.content();
        self.disk.restart(Content {
            durable: content.durable[..usize::try_from(recovered.len).unwrap()].to_vec(),
            ..content
        });
        let records: Vec<Record> = recovered.records.iter().map(|e| e.record.clone()).collect();
        let clock = || Box::new(|| DateTime::UNIX_EPOCH);
        let mut writer = if records.is_empty() {
            Writer::new(self.disk.clone(), clock())
        } else {
            Writer::after(&recovered, self.disk.clone(), clock())
        };
        let first = if records.is_empty() {
            opened()
        } else {
            Record::Resumed {
                operator: "anna".into(),
                drift: Vec::new(),
                at: DateTime::UNIX_EPOCH,
            }
        };
        self.disk.die_after(fate.dies_writing());
        let written = writer.append_sync(&first);
        self.disk.die_after(None);
        let moments = self.disk.take_moments();
        if self.disk.is_dead() || fate.dies(self, &[], &moments) {
            return Err(Killed);
        }
        // A journal that cannot be opened ends the command before anything is sent.
        written.map_err(|_| Killed)?;
        let mut records = records;
        records.push(first);
        Ok((writer, fold(&records)))
    }
}

fn opened() -> Record {
    Record::Opened {
        format: FORMAT,
        run: "run".into(),
        version: "0".into(),
        playbook: "/site.yml".into(),
        change: None,
        inventory: Vec::new(),
        playbook_hash: String::new(),
        inventory_hash: String::new(),
        extra_vars: Map::new(),
        sealed: None,
        options: Value::Null,
        operator: "anna".into(),
        at: DateTime::UNIX_EPOCH,
    }
}

/// The process died.
struct Killed;

/// A process at work: the driver's part, with a fate instead of a runtime.
struct Process<'w> {
    world: &'w mut World,
    fate: &'w mut dyn Fate,
    writer: Writer,
    machine: Machine,
    waiting: Vec<Waiting>,
}

impl Process<'_> {
    fn live(&mut self) -> Result<u8, Killed> {
        loop {
            assert!(!self.waiting.is_empty(), "the core waits for nothing");
            let index = self.next();
            match self.waiting.remove(index) {
                Waiting::Sleep(ticket, until) => {
                    self.world.millis = self.world.millis.max(until);
                    self.waiting
                        .push(Waiting::Input(Input::Woken(ticket), None));
                }
                Waiting::Trip(flight) => self.fly(flight)?,
                Waiting::Ask(ticket, question) => {
                    self.may_die(&[])?;
                    let answer = self.world.answer(&question);
                    let input = Input::Answered(ticket, answer, "anna".into());
                    self.waiting.push(Waiting::Input(input, None));
                }
                Waiting::Input(input, flight) => {
                    if let Some((flight, is_lost)) = flight {
                        let attempt = attempt_of(&flight.job.script.sh).filter(|_| is_lost);
                        let checker = &mut self.world.checker;
                        checker.returned(&flight.host, &flight.step, attempt);
                    }
                    let now = self.world.tick(self.fate.clock_off_s());
                    for effect in self.machine.step(input, now) {
                        self.carry_out(effect)?;
                    }
                    if let Some(ended) = self.machine.ended() {
                        return Ok(ended.exit_code);
                    }
                }
            }
        }
    }

    /// What happens next: time passes where nothing else does, or where the fate is slow.
    fn next(&mut self) -> usize {
        let is_sleep = |index: &usize| matches!(self.waiting[*index], Waiting::Sleep(..));
        let (sleeps, others): (Vec<usize>, Vec<usize>) =
            (0..self.waiting.len()).partition(is_sleep);
        if sleeps.is_empty() || !others.is_empty() && !self.fate.is_slow() {
            return others[self.fate.pick(others.len())];
        }
        let until = |index: &usize| match self.waiting[*index] {
            Waiting::Sleep(_, until) => until,
            _ => u64::MAX,
        };
        sleeps.into_iter().min_by_key(until).unwrap()
    }

    /// A boundary: the process may die here, and amid what the disk did since the last one.
    fn may_die(&mut self, more: &[&Flight]) -> Result<(), Killed> {
        let flights = self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Trip(flight) => Some(flight),
            _ => None,
        });
        let flights: Vec<&Flight> = more.iter().copied().chain(flights).collect();
        let moments = self.world.disk.take_moments();
        if self.world.disk.is_dead() || self.fate.dies(self.world, &flights, &moments) {
            return Err(Killed);
        }
        Ok(())
    }

    fn fly(&mut self, flight: Flight) -> Result<(), Killed> {
        self.may_die(&[&flight])?;
        let attempt = attempt_of(&flight.job.script.sh);
        let way = self.fate.way();
        let mut result = Err(Failed::Lost {
            reason: "connection reset".into(),
        });
        if way == Way::HasNoRoute {
            result = Err(Failed::Unreachable {
                reason: "no route".into(),
                help: None,
            });
        } else {
            let checker = &mut self.world.checker;
            let looks = is_look(&flight.job.script.sh);
            checker.leaves(&flight.host, attempt, looks);
            if way != Way::IsLost {
                let (reply, has_changed) = self.world.hosts.run(&flight.host, &flight.job);
                self.world.checker.ran(&flight.host, attempt, has_changed);
                let is_start = flight.job.script.sh.starts_with("sb_start ");
                if let Some(attempt) = attempt.filter(|_| is_start && self.fate.restarts()) {
                    self.world.hosts.forgets(&flight.host, attempt);
                } else if way == Way::Arrives {
                    result = Ok(reply);
                }
            }
        }
        let is_lost = matches!(result, Err(Failed::Lost { .. }));
        let input = Input::Reply(flight.ticket, result);
        let waiting = Waiting::Input(input, Some((flight, is_lost)));
        self.waiting.push(waiting);
        self.may_die(&[])
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Killed> {
        let input = match effect {
            Effect::Emit(event) => {
                self.world.checker.told(&event);
                return Ok(());
            }
            Effect::Trip {
                ticket,
                target,
                job,
                ..
            } => {
                let step = self.world.checker.step().clone();
                let host = target.host;
                self.waiting.push(Waiting::Trip(Flight {
                    ticket,
                    host,
                    job,
                    step,
                }));
                return Ok(());
            }
            Effect::Ask { ticket, question } => {
                self.waiting.push(Waiting::Ask(ticket, question));
                return Ok(());
            }
            Effect::Append {
                ticket,
                records,
                is_synced,
            } => Input::Durable(ticket, self.append(&records, is_synced)?),
            Effect::Read { ticket, path, kind } => Input::File(ticket, read(&path, kind)),
            Effect::Write {
                ticket,
                path,
                bytes,
            } => {
                self.may_die(&[])?;
                let written = std::fs::write(&path, bytes).map_err(|e| e.to_string());
                Input::Written(ticket, written)
            }
            Effect::Sleep { ticket, millis } => {
                let until = self.world.millis + millis;
                self.waiting.push(Waiting::Sleep(ticket, until));
                return Ok(());
            }
            Effect::Reset { ticket, .. } => Input::Woken(ticket),
            Effect::Reconnect { ticket, .. } => Input::Reply(ticket, Ok(Reply::default())),
        };
        self.waiting.push(Waiting::Input(input, None));
        Ok(())
    }

    fn append(
        &mut self,
        records: &[Record],
        is_synced: bool,
    ) -> Result<Result<(), String>, Killed> {
        self.may_die(&[])?;
        self.world.disk.die_after(self.fate.dies_writing());
        let mut write = || -> switchback::journal::Result<()> {
            for record in records {
                self.writer.append(record)?;
            }
            if is_synced {
                self.writer.sync()?;
            }
            Ok(())
        };
        let written = write().map_err(|error| error.to_string());
        self.world.disk.die_after(None);
        if written.is_ok() {
            let now = self.world.millis;
            self.world.checker.appended(records, is_synced, now);
        }
        self.may_die(&[])?;
        Ok(written)
    }
}

impl World {
    /// The time of the next input: each takes a moment.
    fn tick(&mut self, off_s: i64) -> Now {
        self.millis += 1;
        let wall: DateTime<Utc> = DateTime::UNIX_EPOCH;
        let since = Duration::milliseconds(i64::try_from(self.millis).unwrap());
        Now {
            wall: wall + since + Duration::seconds(off_s),
            millis: self.millis,
        }
    }

    /// An operator who looks at the hosts before answering.
    fn answer(&mut self, question: &Question) -> Answer {
        let Question::Failure(failure) = question else {
            panic!("nothing else is asked: {question:?}");
        };
        let hosts: Vec<String> = failure.groups.iter().flat_map(|(h, _)| h.clone()).collect();
        self.asked.push(format!("{} on {hosts:?}", failure.step));
        let open = self.checker.open.iter().filter(|(_, open)| {
            open.instance.step == failure.step && hosts.contains(&open.instance.host)
        });
        let open: Vec<u64> = open.map(|(attempt, _)| *attempt).collect();
        let ran = open.iter().filter(|a| self.hosts.has_executed(**a)).count();
        let is_away = |status| status == Status::Unreachable;
        let away = failure
            .groups
            .iter()
            .filter(|(_, r)| is_away(r.status))
            .count();
        let answer = match (open.len(), ran) {
            // Only looking failed, so it may be tried again.
            (0, _) if away == failure.groups.len() => Answer::Retry,
            _ if away > 0 => Answer::Stop,
            (0, _) => Answer::Run,
            (_, 0) => Answer::Retry,
            (all, ran) if all == ran => Answer::Skip {
                reason: "it happened".into(),
            },
            // One answer for all cannot be right; each host is asked about when the run goes on.
            _ => Answer::Stop,
        };
        self.checker.decided(&failure.step, &hosts);
        answer
    }
}

fn read(path: &Path, _: InputKind) -> Result<Resolved, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    Ok(Resolved {
        path: path.to_owned(),
        size: bytes.len() as u64,
        bytes,
        ..Resolved::default()
    })
}
