//! The outermost coroutine of a run or of a rollback: begin, end, exit code.

use super::halt::{Flow, Halt};
use super::run::Run;
use crate::event::Event;
use crate::journal::Record;
use crate::model::{Change, Playbook};

/// Exit codes of a run; the table for users is in `cli::exit`.
pub(crate) mod code {
    pub(crate) const OK: u8 = 0;
    pub(crate) const ERROR: u8 = 1;
    pub(crate) const FAILED: u8 = 2;
    pub(crate) const LOAD: u8 = 3;
    pub(crate) const UNREACHABLE: u8 = 4;
    pub(crate) const LOCKED: u8 = 6;
    pub(crate) const REFUSED: u8 = 8;
    pub(crate) const LOST: u8 = 9;
    pub(crate) const STOPPED: u8 = 10;
    pub(crate) const ROLLED_BACK: u8 = 12;
    pub(crate) const ROLLBACK_INCOMPLETE: u8 = 13;
    pub(crate) const WINDOW_OVER: u8 = 14;
    pub(crate) const UNDECIDED: u8 = 15;
    pub(crate) const ABORTED: u8 = 99;
}

/// Whether a run that ended so has no more to do: one that may go on keeps its locks.
pub(crate) fn is_over(exit_code: u8) -> bool {
    matches!(
        exit_code,
        code::OK | code::FAILED | code::UNREACHABLE | code::ABORTED | code::ROLLED_BACK
    )
}

/// How a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code.
    pub exit_code: u8,
    /// Whether the operator or the policy wants to go back now.
    pub wants_rollback: bool,
}

impl Run {
    /// Runs a playbook from its first task to its last.
    pub(crate) async fn run_root(self, playbook: Playbook) -> Ended {
        self.state.borrow_mut().began_ms = self.port.now().millis;
        self.port.emit(Event::RunStarted {
            run: self.settings.run.clone(),
            at: self.port.now().wall,
            playbook: self.settings.playbook.clone(),
            plays: playbook.entries.len(),
            change: playbook.change.as_ref().map(|c| c.name.clone()),
            is_check: self.settings.is_check,
            journal: self.settings.journal.clone(),
        });
        self.recall_facts();
        let result = match self.prepare_change(playbook.change.as_ref()) {
            Ok(()) => self.take_up_and_run(&playbook).await,
            Err(halt) => Err(halt),
        };
        if matches!(result, Err(Halt::RollBack)) {
            return Ended {
                exit_code: code::STOPPED,
                wants_rollback: true,
            };
        }
        let exit_code = self.exit_code(&result);
        Ended {
            exit_code: self.finish(exit_code).await,
            wants_rollback: false,
        }
    }

    async fn take_up_and_run(&self, playbook: &Playbook) -> Flow<()> {
        self.wait_for_delegated().await?;
        self.run_playbook(playbook).await
    }

    /// Resolves the hosts that the change protects, and takes up guards and ways back.
    pub(crate) fn prepare_change(&self, change: Option<&Change>) -> Result<(), Halt> {
        let Some(change) = change else { return Ok(()) };
        let view = self.host_view("localhost");
        let mut protected = Vec::new();
        for field in &change.protect {
            let hosts = self.pattern_hosts(field, &view).map_err(|problem| {
                let at = self.controller.place(field.span);
                let at = at.map(|p| format!(" (at {p})")).unwrap_or_default();
                Halt::Broken(format!("`protect`: {}{at}", problem.message))
            })?;
            protected.extend(hosts);
        }
        let mut state = self.state.borrow_mut();
        state.protected.extend(protected);
        state.guards.clone_from(&change.guards);
        state.way_names = change
            .ways_back
            .iter()
            .map(|way| way.name.clone())
            .collect();
        Ok(())
    }

    /// The last record and the last event; returns the exit code, which tells of a journal that
    /// fails only now. A run that may go on keeps its locks, unless it has changed nothing.
    pub(crate) async fn finish(&self, exit_code: u8) -> u8 {
        // A run that failed may go on, and ask about its jobs again.
        let is_last = matches!(exit_code, code::OK | code::ABORTED | code::ROLLED_BACK);
        if let Err(halt) = self.settle_jobs(is_last).await {
            self.notice(true, format!("the journal cannot be written: {halt:?}"));
        }
        self.leave_facts().await;
        let is_untouched = self.state.borrow().replay.next_attempt == 0;
        self.leave_hosts(is_over(exit_code) || is_untouched).await;
        let at = self.port.now().wall;
        let record = Record::Closed { exit_code, at };
        let closed = self.record(vec![record], true).await;
        let exit_code = closed.as_ref().map_or(code::ERROR, |()| exit_code);
        if let Err(halt) = closed {
            self.notice(true, format!("the journal could not be closed: {halt:?}"));
        }
        let (stats, open) = {
            let state = self.state.borrow();
            (state.stats.clone(), state.open.clone())
        };
        self.port.emit(Event::RunFinished {
            run: self.settings.run.clone(),
            at,
            stats,
            exit_code,
            open,
        });
        exit_code
    }

    /// The exit code of a run that ended so. Hosts that are lost outweigh unreachable ones, which
    /// outweigh failed ones.
    fn exit_code(&self, result: &Result<(), Halt>) -> u8 {
        let code = match result {
            Ok(()) | Err(Halt::EndPlay | Halt::EndBatch | Halt::EndRun) => None,
            Err(Halt::Stopped | Halt::RollBack) => {
                self.add_open(format!(
                    "stopped; go on with `switchback resume {}`",
                    self.settings.run
                ));
                Some(code::STOPPED)
            }
            Err(Halt::WindowOver) => {
                self.add_open(format!(
                    "the window is over; go on in another one with `switchback resume {}`",
                    self.settings.run
                ));
                Some(code::WINDOW_OVER)
            }
            Err(Halt::Aborted) => Some(code::ABORTED),
            Err(Halt::Refused(why)) => {
                self.notice(true, format!("refused: {why}"));
                self.add_open(format!(
                    "refused before anything of the step was sent; after the release go on with \
                     `switchback resume {}`",
                    self.settings.run
                ));
                Some(code::REFUSED)
            }
            Err(Halt::Undecided(hint)) => {
                self.notice(
                    true,
                    format!("a decision was needed and nobody was there: {hint}"),
                );
                Some(code::UNDECIDED)
            }
            Err(Halt::Locked(why)) => {
                self.notice(true, why.clone());
                Some(code::LOCKED)
            }
            Err(Halt::Lost(why)) => {
                self.add_open(why.clone());
                Some(code::LOST)
            }
            Err(Halt::Journal(why)) => {
                self.notice(
                    true,
                    format!("the journal cannot be written, nothing more is started: {why}"),
                );
                Some(code::ERROR)
            }
            Err(Halt::Broken(why)) => {
                self.notice(true, why.clone());
                Some(code::LOAD)
            }
        };
        let state = self.state.borrow();
        let any = |pick: fn(&crate::event::HostStats) -> u32| {
            state.stats.hosts.values().any(|h| pick(h) > 0)
        };
        code.unwrap_or_else(|| {
            if !state.parked.is_empty() || any(|h| h.lost) {
                code::LOST
            } else if any(|h| h.unreachable) {
                code::UNREACHABLE
            } else if !state.failed.is_empty() || matches!(result, Err(Halt::EndRun)) {
                code::FAILED
            } else {
                code::OK
            }
        })
    }

    fn add_open(&self, line: String) {
        self.state.borrow_mut().open.push(line);
    }
}
