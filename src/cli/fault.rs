//! A fault that a rehearsal's scenario puts into the change: the change runs in a process of its
//! own, whose events tell when the fault is due.
//!
//! Invariant: a fault that was asked for and did not happen fails the rehearsal.

use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::exit;
use super::run::Finished;
use crate::event::Event;
use crate::report::Reporter;
use crate::value::{Map, Value};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The process that runs the change is killed, and another one resumes the run.
    ControllerKilled,
    /// The lab kills a host without warning and starts it again.
    HostKilled,
    /// The lab takes the network from a host and gives it back.
    LinkCut,
}

/// The names of [`Kind`] in a scenario.
const KINDS: [(&str, Kind); 3] = [
    ("controller_killed", Kind::ControllerKilled),
    ("host_killed", Kind::HostKilled),
    ("link_cut", Kind::LinkCut),
];
/// The keys of a scenario that describe its fault.
pub(super) const KEYS: [&str; 5] = ["fault", "at", "host", "after", "seconds"];
/// Seconds between the start of the task and the fault: the task is to be at work by then.
const AFTER_S: u64 = 1;
/// Seconds for which a host or its network is away: longer than a hiccup, shorter than patience.
const AWAY_S: u64 = 10;

/// A fault, when and where it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    kind: Kind,
    /// The task in which it happens.
    at: String,
    host: String,
    after_s: u64,
    away_s: u64,
}

/// A process of the change, as its end tells it.
struct Ended {
    /// None: it was killed.
    code: Option<u8>,
    run: String,
    /// What came of the fault; none where it was not due.
    fault: Option<Result<(), String>>,
}

type Work = Pin<Box<dyn Future<Output = Result<(), String>>>>;

impl Fault {
    /// The fault of a scenario, if it has one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(scenario: &Map) -> Result<Option<Self>, String> {
        let text = |key: &str| scenario.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(name) = text("fault") else {
            let stray = KEYS.iter().find(|key| scenario.contains_key(**key));
            return match stray {
                Some(key) => Err(format!("`{key}` of a scenario needs `fault`, as a text")),
                None => Ok(None),
            };
        };
        let kind = KINDS.iter().find(|(known, _)| *known == name);
        let Some((_, kind)) = kind else {
            let known: Vec<&str> = KINDS.iter().map(|(known, _)| *known).collect();
            return Err(format!(
                "there is no fault `{name}`; there are {}",
                known.join(", ")
            ));
        };
        let at = text("at").ok_or("a fault needs `at`: the task in which it happens")?;
        let host = text("host");
        if host.is_none() && *kind != Kind::ControllerKilled {
            return Err(format!("the fault `{name}` needs `host`"));
        }
        let seconds = |key: &str, default: u64| match scenario.get(key) {
            None => Ok(default),
            Some(Value::Int(given)) => u64::try_from(*given).map_err(|e| format!("`{key}`: {e}")),
            Some(_) => Err(format!("`{key}` is a number of seconds")),
        };
        Ok(Some(Self {
            kind: *kind,
            at,
            host: host.unwrap_or_default(),
            after_s: seconds("after", AFTER_S)?,
            away_s: seconds("seconds", AWAY_S)?,
        }))
    }

    /// As a scenario calls it.
    pub(super) fn name(&self) -> &'static str {
        let known = KINDS.iter().find(|(_, kind)| *kind == self.kind);
        known.map_or("none", |(name, _)| *name)
    }

    /// Whether the lab's playbook of faults is needed for it.
    pub(super) fn needs_lab(&self) -> bool {
        self.kind != Kind::ControllerKilled
    }

    /// For the report.
    pub(super) fn told(&self) -> String {
        let Self { at, host, .. } = self;
        match self.kind {
            Kind::ControllerKilled => format!("the controller was killed in `{at}`, and resumed"),
            Kind::HostKilled => format!("{host} was killed in `{at}`, and started again"),
            Kind::LinkCut => format!("{host} had no network in `{at}` for {} s", self.away_s),
        }
    }

    /// Runs the change with this command line and puts the fault into it. `faults` is the lab's
    /// playbook of faults.
    ///
    /// # Errors
    /// Why the fault did not happen, or a process could not be started.
    pub(super) async fn run(
        &self,
        words: &[String],
        faults: Option<&str>,
        listener: &mut dyn Reporter,
    ) -> Result<Finished, String> {
        let first = self
            .process(words, Some(faults.unwrap_or_default()), listener)
            .await?;
        match first.fault {
            None => {
                let at = &self.at;
                return Err(format!("the fault did not happen: `{at}` was not started"));
            }
            Some(Err(why)) => return Err(format!("the fault did not happen: {why}")),
            Some(Ok(())) => {}
        }
        let last = if self.kind == Kind::ControllerKilled {
            if first.code.is_some() {
                return Err("the change had ended before its controller was killed".to_owned());
            }
            let words = ["resume", first.run.as_str(), "--yes"].map(str::to_owned);
            self.process(&words, None, listener).await?
        } else {
            first
        };
        Ok(Finished {
            code: last.code.unwrap_or(exit::ERROR),
            run: last.run,
        })
    }

    /// One process of the change; the fault is injected where its playbook is given.
    async fn process(
        &self,
        words: &[String],
        faults: Option<&str>,
        listener: &mut dyn Reporter,
    ) -> Result<Ended, String> {
        let said = |error: std::io::Error| format!("a process of the change: {error}");
        let exe = std::env::current_exe().map_err(said)?;
        let mut command = Command::new(&exe);
        command.args(words).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(said)?;
        let stdout = child.stdout.take().ok_or("it has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut work: Option<Work> = None;
        let (mut run, mut fault, mut torn) = (String::new(), None, None);
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line.map_err(said)?,
                done = until_done(&mut work) => {
                    fault = Some(done);
                    work = None;
                    continue;
                }
            };
            let Some(line) = line else { break };
            // The last line of a process that is killed may be torn, no other.
            if let Some(error) = torn {
                return Err(format!("an event of the change: {error}"));
            }
            let event: Event = match serde_json::from_str(&line) {
                Ok(event) => event,
                Err(error) => {
                    torn = Some(error);
                    continue;
                }
            };
            listener.on(&event);
            match &event {
                Event::RunStarted { run: id, .. } => run.clone_from(id),
                Event::TaskStarted { name, .. }
                    if self.is_named(name) && work.is_none() && fault.is_none() =>
                {
                    work = faults.map(|faults| self.inject(&exe, child.id(), faults));
                }
                _ => {}
            }
        }
        if let Some(work) = work {
            fault = Some(work.await);
        }
        let status = child.wait().await.map_err(said)?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(Ended { code, run, fault })
    }

    fn is_named(&self, task: &str) -> bool {
        let own = task.split_once(" : ").map_or(task, |(_, own)| own);
        task == self.at || own == self.at
    }

    /// The fault itself, to be awaited beside the change.
    fn inject(&self, exe: &std::path::Path, pid: Option<u32>, faults: &str) -> Work {
        let after = Duration::from_secs(self.after_s);
        let name = self.name();
        let mut play = Command::new(exe);
        play.args(["run", "--yes", faults])
            .args(["-e", &format!("fault={name} fault_host={}", self.host)])
            .args(["-e", &format!("fault_seconds={}", self.away_s)])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let is_kill = self.kind == Kind::ControllerKilled;
        Box::pin(async move {
            tokio::time::sleep(after).await;
            if is_kill {
                return kill(pid);
            }
            let status = play.status().await.map_err(|error| error.to_string())?;
            if status.success() {
                Ok(())
            } else {
                Err(format!("the lab's playbook of faults ended with {status}"))
            }
        })
    }
}

/// The end of the work, if there is any; it is never over where there is none.
async fn until_done(work: &mut Option<Work>) -> Result<(), String> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Kills a child that nobody has waited for, so that its id cannot be another process's.
fn kill(pid: Option<u32>) -> Result<(), String> {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or("the change had ended")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        .map_err(|error| error.to_string())
}
