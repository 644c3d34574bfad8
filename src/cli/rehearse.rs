//! `switchback rehearse`: the change on its lab, or on a staging that exists.
//!
//! A rehearsal is a chain of ordinary runs, each with its own journal: build the lab, run the
//! change with the policy's answers, go back where the scenario says so, let the report playbook
//! check the data, end the lab.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::args::{OnFailure, RehearseArgs, RollbackArgs, RunArgs};
use super::fault::{self, Fault};
use super::rehearsal_report::{Heard, Listener, plain};
use super::run::{Finished, in_runtime, run_loaded};
use super::session::{Loaded, is_typed, load};
use super::start::{give, tell};
use super::{exit, rollback};
use crate::model::{Field, Rehearse};
use crate::value::{Map, Value};

/// Rehearses a change and returns the exit code: 0 only if everything went as the scenario says.
pub(super) fn run(args: &RehearseArgs) -> u8 {
    match Rehearsal::new(args) {
        Ok(rehearsal) => in_runtime(rehearsal.run()),
        Err(code) => code,
    }
}

struct Rehearsal<'a> {
    args: &'a RehearseArgs,
    header: Rehearse,
    change: String,
    folder: PathBuf,
    scenario: Scenario,
}

/// What is done to the change, and how it ends.
#[derive(Default)]
struct Scenario {
    /// The task that is made to fail.
    fail: Option<String>,
    /// What happens to a host or to the controller meanwhile.
    fault: Option<Fault>,
    /// The way back that is walked.
    way: Option<String>,
}

impl<'a> Rehearsal<'a> {
    fn new(args: &'a RehearseArgs) -> Result<Self, u8> {
        let mut look = args.run.clone();
        look.inventory.clear();
        let loaded = load(&look)?;
        let told = |why: &str| {
            tell(&format!("error: {why}"));
            exit::LOAD
        };
        let Some(change) = loaded.playbook.change else {
            return Err(told(
                "the playbook has no `change:` header, so there is nothing to rehearse",
            ));
        };
        let Some(header) = change.rehearse else {
            return Err(told(
                "the header of the change says nothing under `rehearse`",
            ));
        };
        let scenario = match &args.scenario {
            None => Scenario::default(),
            Some(name) => {
                let Some(value) = header.scenarios.get(name) else {
                    let known: Vec<&str> = header.scenarios.keys().map(String::as_str).collect();
                    let why = format!(
                        "there is no scenario `{name}`; there are {}",
                        known.join(", ")
                    );
                    return Err(told(&why));
                };
                Scenario::read(value).map_err(|why| told(&why))?
            }
        };
        let folder = args
            .run
            .playbook
            .parent()
            .map(Path::to_owned)
            .unwrap_or_default();
        Ok(Self {
            args,
            header,
            change: change.name,
            folder,
            scenario,
        })
    }

    async fn run(self) -> u8 {
        let builds = self.args.run.inventory.is_empty();
        if builds {
            let code = self.lab("reset").await;
            if code != exit::OK {
                tell("error: the lab could not be built; nothing was rehearsed");
                return code;
            }
        }
        let began = chrono::Utc::now();
        let code = self.rehearse(began.timestamp()).await;
        if builds && !self.args.keep {
            let down = self.lab("down").await;
            if down != exit::OK {
                tell("error: the lab could not be ended");
                return if code == exit::OK { down } else { code };
            }
        }
        code
    }

    /// The change, the way back, the checks, the report.
    async fn rehearse(&self, began: i64) -> u8 {
        let Some(inventory) = self.inventory() else {
            tell("error: the header's `rehearse` names no inventory, and no -i was given");
            return exit::USAGE;
        };
        let main = Listener::default();
        let mut args = self.quiet(&self.args.run.playbook, &inventory);
        args.accept_point_of_no_return = true;
        args.on_failure = if self.scenario.way.is_some() {
            OnFailure::Stop
        } else {
            OnFailure::Continue
        };
        let ended = match &self.scenario.fault {
            None => self.one(&args, self.scenario.fail.clone(), &main).await,
            Some(fault) => match self.with_fault(fault, &args, &main).await {
                Ok(ended) => ended,
                Err(why) => {
                    tell(&format!("error: {why}"));
                    return exit::ERROR;
                }
            },
        };
        let mut code = if self.is_expected(ended.code) {
            exit::OK
        } else {
            ended.code
        };
        let back = Listener::default();
        if let (Some(way), exit::OK) = (&self.scenario.way, code) {
            code = go_back(&ended.run, way, &back).await;
        }
        let checks = Listener::default();
        if let Some(playbook) = self.path(self.header.report.as_ref()) {
            let mut args = self.quiet(&playbook, &inventory);
            args.extra_vars.push(format!("rehearsal_began={began}"));
            args.extra_vars.push(format!(
                "rehearsal_way={}",
                self.scenario.way.as_deref().unwrap_or("none")
            ));
            let fault = self.scenario.fault.as_ref().map_or("none", Fault::name);
            args.extra_vars.push(format!("rehearsal_fault={fault}"));
            let checked = self.one(&args, None, &checks).await;
            if code == exit::OK {
                code = checked.code;
            }
        }
        let text = self.report(
            code,
            &ended,
            [&main.heard(), &back.heard(), &checks.heard()],
        );
        give(&text);
        if let Some(path) = &self.args.report
            && let Err(error) = std::fs::write(path, &text)
        {
            tell(&format!(
                "error: the report cannot be written to {}: {error}",
                path.display()
            ));
            return exit::ERROR;
        }
        code
    }

    /// Whether the change ended as the scenario has it. After a fault with a way back it may have
    /// come to its end or not: the way back decides what is legal.
    fn is_expected(&self, code: u8) -> bool {
        let Scenario { fail, fault, way } = &self.scenario;
        match (fail, fault, way) {
            (Some(_), _, _) => code == exit::STOPPED,
            (None, Some(_), Some(_)) => [exit::OK, exit::STOPPED, exit::LOST].contains(&code),
            (None, _, _) => code == exit::OK,
        }
    }

    async fn with_fault(
        &self,
        fault: &Fault,
        args: &RunArgs,
        main: &Listener,
    ) -> Result<Finished, String> {
        let faults = self.path(self.header.faults.as_ref());
        if fault.needs_lab() && faults.is_none() {
            return Err(
                "the fault needs `faults` in the header's `rehearse`: the playbook that does it"
                    .into(),
            );
        }
        let mut words = argv(args);
        words.extend(["--events", "-", "--on-failure"].map(str::to_owned));
        words.push(
            if args.on_failure == OnFailure::Stop {
                "stop"
            } else {
                "continue"
            }
            .to_owned(),
        );
        let faults = faults.map(|path| path.display().to_string());
        fault
            .run(&words, faults.as_deref(), &mut main.clone())
            .await
    }

    fn report(&self, code: u8, ended: &Finished, [main, back, checks]: [&Heard; 3]) -> String {
        let scenario = self.args.scenario.as_deref().unwrap_or("forward");
        let verdict = if code == exit::OK { "PASSED" } else { "FAILED" };
        let mut text = format!(
            "\n== rehearsal {verdict}: {} (scenario {scenario}) ==\nrun {}: {}\n\nphases\n{}\n",
            self.change,
            ended.run,
            main.totals(),
            main.phases()
        );
        if let Some(fault) = &self.scenario.fault {
            let _ = write!(text, "\nfault\n  {}\n", fault.told());
        }
        if let Some(way) = &self.scenario.way {
            // Writing to a string cannot fail.
            let _ = write!(text, "\nway back `{way}`\n{}\n", back.phases());
        }
        if !checks.findings.is_empty() {
            text.push_str("\nfindings\n");
            for (name, value) in &checks.findings {
                let _ = writeln!(text, "  {}: {}", name.replace('_', " "), plain(value));
            }
        }
        text
    }

    /// Builds, resets or ends the lab.
    async fn lab(&self, state: &str) -> u8 {
        let Some(playbook) = self.path(self.header.lab.as_ref()) else {
            tell("error: the header's `rehearse` names no lab; rehearse on a staging with -i");
            return exit::USAGE;
        };
        let mut args = self.quiet(&playbook, Path::new(""));
        args.inventory.clear();
        args.extra_vars.push(format!("lab_state={state}"));
        if state != "down" && !self.may_install(&mut args) {
            return exit::STOPPED;
        }
        self.one(&args, None, &Listener::default()).await.code
    }

    /// Installing packages on this machine asks, where somebody is there to ask.
    fn may_install(&self, args: &mut RunArgs) -> bool {
        if self.args.run.yes || !crate::console::is_interactive() {
            return true;
        }
        let warning = "the lab needs root, builds containers on this machine and installs missing \
                       packages with apt (debootstrap, systemd-container, …)";
        args.yes = true;
        is_typed("yes", warning)
    }

    /// The arguments of one run of the chain.
    fn quiet(&self, playbook: &Path, inventory: &Path) -> RunArgs {
        let mut args = self.args.run.clone();
        playbook.clone_into(&mut args.playbook);
        if args.inventory.is_empty() {
            args.inventory = vec![inventory.display().to_string()];
        }
        args.yes = true;
        args.tags.clear();
        args.skip_tags.clear();
        args.limit = None;
        args
    }

    async fn one(&self, args: &RunArgs, fail: Option<String>, listener: &Listener) -> Finished {
        let mut loaded: Loaded = match load(args) {
            Ok(loaded) => loaded,
            Err(code) => {
                return Finished {
                    code,
                    run: String::new(),
                };
            }
        };
        loaded.settings.injects_failure_at = fail;
        run_loaded(args, argv(args), loaded, vec![Box::new(listener.clone())]).await
    }

    /// The staging given, or the inventory of the lab.
    fn inventory(&self) -> Option<PathBuf> {
        match self.args.run.inventory.first() {
            Some(given) => Some(given.into()),
            None => self.path(self.header.inventory.as_ref()),
        }
    }

    /// A file that the header names, relative to the playbook.
    fn path(&self, field: Option<&Field>) -> Option<PathBuf> {
        let name = field?.value.as_str()?;
        Some(self.folder.join(name))
    }
}

impl Scenario {
    fn read(value: &Value) -> Result<Self, String> {
        let nothing = Map::new();
        let map = value.as_map().unwrap_or(&nothing);
        let is_known = |key: &str| ["fail", "way"].contains(&key) || fault::KEYS.contains(&key);
        if let Some(unknown) = map.keys().find(|key| !is_known(key)) {
            return Err(format!(
                "a scenario has no `{unknown}`; it has `fail` (a task), `way`, and `fault` with {}",
                fault::KEYS[1..].join(", ")
            ));
        }
        let text = |name: &str| map.get(name).and_then(Value::as_str).map(str::to_owned);
        let fault = Fault::read(map)?;
        if fault.is_some() && map.contains_key("fail") {
            return Err("a scenario has `fail` or `fault`, not both".to_owned());
        }
        Ok(Self {
            fail: text("fail"),
            fault,
            way: text("way"),
        })
    }
}

/// Walks the way back of a run; 0 where that was all of it.
async fn go_back(run: &str, way: &str, listener: &Listener) -> u8 {
    let args = RollbackArgs {
        run: run.to_owned(),
        way: Some(way.to_owned()),
        to: None,
        yes: true,
        run_key: None,
    };
    match rollback::roll_back(&args, vec![Box::new(listener.clone())]).await {
        exit::ROLLED_BACK => exit::OK,
        code => code,
    }
}

/// The command line that a resume or rollback of this run would need.
fn argv(args: &RunArgs) -> Vec<String> {
    let mut words = vec![
        "run".to_owned(),
        args.playbook.display().to_string(),
        "--yes".to_owned(),
    ];
    for inventory in &args.inventory {
        words.extend(["-i".to_owned(), inventory.clone()]);
    }
    for vars in &args.extra_vars {
        words.extend(["-e".to_owned(), vars.clone()]);
    }
    if args.accept_point_of_no_return {
        words.push("--accept-point-of-no-return".to_owned());
    }
    words
}
