//! Asking before tasks and after failures, and what the answers mean.

use super::ask::{
    Answer, FailureQuestion, GateQuestion, HostGroup, PauseQuestion, Question, TaskQuestion,
};
use super::halt::{Flow, Halt};
use super::item::{Item, Planned, Ready};
use super::run::{Run, plain_text};
use super::state::Pace;
use super::task::{HostEnd, TaskRun};
use crate::event::{Event, Report, Status};
use crate::journal::{Record, Sealed};
use crate::model::{StepId, UndoSpec};
use crate::modules::{Effect, Undo};
use crate::value::Value;

/// What looking at all hosts came to.
pub(crate) type Looked = Vec<(String, Vec<(Item, Planned)>)>;

impl Run {
    /// Asks, records question and answer, and turns answers that end the run into halts.
    pub(crate) async fn ask(&self, question: Question) -> Flow<Answer> {
        let mut question = question;
        self.redact_question(&mut question);
        loop {
            let line = one_line(&question);
            self.port.emit(Event::Asked {
                question: line.clone(),
            });
            let (answer, by) = self.port.ask(question.clone()).await;
            let (shown, sealed) = self.shown_answer(&question, &answer);
            self.port.emit(Event::Answered {
                question: line.clone(),
                answer: shown.clone(),
                by: by.clone(),
            });
            let at = self.port.now().wall;
            self.record(
                vec![Record::Answered {
                    question: line,
                    answer: shown,
                    is_gate: matches!(
                        question,
                        Question::PointOfNoReturn(_) | Question::WayBack(_) | Question::Word(_)
                    ),
                    sealed,
                    by,
                    at,
                }],
                true,
            )
            .await?;
            match answer {
                Answer::Stop => return Err(Halt::Stopped),
                Answer::Abort => return Err(Halt::Aborted),
                Answer::RollBack => return Err(Halt::RollBack),
                Answer::Nobody { hint } => return Err(Halt::Undecided(hint)),
                Answer::RestOfPlay => {
                    self.state.borrow_mut().pace = Pace::RestOfPlay;
                    return Ok(Answer::Run);
                }
                Answer::RestOfPlaybook => {
                    self.state.borrow_mut().pace = Pace::Free;
                    return Ok(Answer::Run);
                }
                Answer::Pause => {
                    let pause = self.pause_question("asked for at the prompt", "this prompt");
                    Box::pin(self.ask(Question::Pause(Box::new(pause)))).await?;
                }
                other => return Ok(other),
            }
            question = question.clone();
        }
    }

    /// An answer as it is shown, and in full where that is not all of it.
    fn shown_answer(&self, question: &Question, answer: &Answer) -> (String, Option<Sealed>) {
        match (question, answer) {
            (Question::Text(text), Answer::Text(answer)) if text.is_secret => {
                self.add_secret(answer);
                ("(hidden)".to_owned(), Some(Sealed::of(answer)))
            }
            (_, Answer::Text(answer)) if self.redact(answer) != *answer => {
                (self.redact(answer), Some(Sealed::of(answer)))
            }
            (Question::Failure(_), Answer::Run) => ("go on without them".to_owned(), None),
            _ => (answer_line(answer), None),
        }
    }

    /// Whether a person is asked before this task.
    pub(crate) fn must_ask(&self, run: &TaskRun) -> bool {
        if run.task.point_of_no_return.is_some() && !self.settings.is_check {
            return true;
        }
        if !self.settings.asks || self.settings.is_check || self.state.borrow().pace != Pace::Step {
            return false;
        }
        if self.settings.asks_all {
            return true;
        }
        let reads = crate::modules::find(&run.module).is_none_or(|m| m.effect() == Effect::Reads);
        !reads && !run.task.reads
    }

    /// The prompt before a task; `Run` without asking where nothing would be changed.
    pub(crate) async fn ask_about_task(&self, run: &TaskRun, looked: &Looked) -> Flow<Answer> {
        let mut groups: Vec<HostGroup> = Vec::new();
        let mut unchanged = Vec::new();
        let mut undo = String::new();
        for (host, planned) in looked {
            let changes: Vec<(&Item, &Ready)> = planned
                .iter()
                .filter_map(|(item, planned)| match planned {
                    Planned::Change(ready) => Some((item, &**ready)),
                    Planned::Ended(_) => None,
                })
                .collect();
            if changes.is_empty() {
                unchanged.push(host.clone());
            }
            for (item, ready) in changes {
                undo = undo_line(item, ready);
                add_to_groups(&mut groups, host, self.group(item, ready));
            }
        }
        if groups.is_empty() && !self.settings.asks_all {
            return Ok(Answer::Run);
        }
        let (number, total) = {
            let state = self.state.borrow();
            (state.started, state.total.max(state.started))
        };
        let question = TaskQuestion {
            step: run.task.id.clone(),
            name: run.name.clone(),
            play: self.state.borrow().play.name.clone(),
            number,
            total,
            place: self.controller.place(run.task.span),
            module: run.module.clone(),
            groups,
            unchanged,
            notifies: run
                .task
                .notify
                .iter()
                .filter_map(|f| plain_text(&f.value))
                .collect(),
            undo,
            usual_ms: None,
            window_left_s: self.window_left(),
            ways_back: self.ways_in_short(),
            reads: run.task.reads,
        };
        self.ask(Question::Task(Box::new(question))).await
    }

    fn group(&self, item: &Item, ready: &Ready) -> HostGroup {
        if item.is_hidden {
            let does = format!("{} (hidden by no_log)", ready.module.name());
            return HostGroup {
                hosts: Vec::new(),
                does,
                ..HostGroup::default()
            };
        }
        let does = self.redact(&does(ready));
        let mut details = vec![format!(
            "{}: {}",
            ready.module.name(),
            self.redact(&ready.args.to_masked_json().to_string())
        )];
        if let Some(user) = &ready.target.become_user {
            details.push(format!("become: {}", user.user));
        }
        details.extend(
            ready
                .environment
                .iter()
                .map(|(k, v)| format!("env: {k}={}", self.redact(v))),
        );
        let diff = ready.diffs().iter().map(|d| self.redact(d)).collect();
        HostGroup {
            hosts: Vec::new(),
            does,
            diff,
            details,
        }
    }

    /// The prompt after a failure. Failures that a rescue or `ignore_errors` deals with are not
    /// asked about; `Run` means: go on without the failed hosts, as Ansible does.
    pub(crate) async fn ask_about_failure(
        &self,
        run: &TaskRun,
        failed: &[HostEnd],
        hosts_total: usize,
    ) -> Flow<Answer> {
        let is_lost = failed.iter().any(|f| f.end.status == Status::Lost);
        // A rescue does not see hosts that cannot be reached.
        let is_away = failed.iter().any(|f| f.end.status == Status::Unreachable);
        if !is_lost && (self.settings.is_check || run.is_rescued && !is_away) {
            return Ok(Answer::Run);
        }
        let mut groups: Vec<(Vec<String>, Report)> = Vec::new();
        for failure in failed {
            let report = failure.end.report(false, &|value| self.redacted(value));
            match groups
                .iter_mut()
                .find(|(_, known)| known.result == report.result)
            {
                Some((hosts, _)) => hosts.push(failure.host.clone()),
                None => groups.push((vec![failure.host.clone()], report)),
            }
        }
        let is_safe = run.task.reads
            || crate::modules::find(&run.module).is_some_and(|m| m.effect() != Effect::Once);
        let question = FailureQuestion {
            step: run.task.id.clone(),
            name: run.name.clone(),
            place: self.controller.place(run.task.span),
            groups,
            hosts_total,
            is_safe_to_retry: is_safe,
            ways_back: self.ways_in_short(),
        };
        self.ask(Question::Failure(Box::new(question))).await
    }

    /// The gate before a point of no return: requirements are checked live, then a word is typed.
    /// `Some`: the hosts' ends where it may not be passed.
    pub(crate) async fn pass_gate(
        &self,
        run: &TaskRun,
        looked: &Looked,
    ) -> Flow<Option<Vec<HostEnd>>> {
        let changes = looked
            .iter()
            .flat_map(|(_, p)| p)
            .filter_map(|(item, p)| match p {
                Planned::Change(_) => Some(item),
                Planned::Ended(_) => None,
            });
        let (Some(item), Some(gate)) = (changes.into_iter().next(), &run.task.point_of_no_return)
        else {
            return Ok(None);
        };
        let item = item.clone();
        let hosts: Vec<String> = looked.iter().map(|(host, _)| host.clone()).collect();
        let mut requirements = Vec::new();
        for condition in &gate.require {
            requirements.extend(self.check_condition(condition, &hosts, &item.view).await?);
        }
        if let Some((name, _, seen)) = requirements.iter().find(|(_, holds, _)| !holds) {
            let msg =
                format!("the point of no return may not be passed: `{name}` does not hold: {seen}");
            let ends = hosts
                .iter()
                .map(|host| {
                    let end = super::end::ItemEnd::failed(msg.clone());
                    let report = end.report(false, &Value::clone);
                    self.port.emit(Event::HostFinished {
                        host: host.clone(),
                        step: run.task.id.clone(),
                        name: run.name.clone(),
                        report,
                    });
                    HostEnd {
                        host: host.clone(),
                        end,
                        is_ignored: false,
                    }
                })
                .collect();
            return Ok(Some(ends));
        }
        let question = GateQuestion {
            step: run.task.id.clone(),
            name: run.name.clone(),
            reason: self
                .text(Some(&gate.reason), &item.view)
                .ok()
                .flatten()
                .unwrap_or_default(),
            requirements,
            seals: gate
                .seals
                .iter()
                .map(|seal| {
                    let scope = if seal.is_everywhere {
                        " on all hosts"
                    } else {
                        ""
                    };
                    format!("undo of `{}`{scope}", seal.tag)
                })
                .collect(),
            ways_back: self.ways_in_short(),
            word: self.settings.change.clone(),
        };
        match self
            .ask(Question::PointOfNoReturn(Box::new(question)))
            .await?
        {
            Answer::Run => Ok(None),
            Answer::Text(word) if word == self.settings.change => Ok(None),
            _ => Err(Halt::Stopped),
        }
    }

    /// Pauses before the next task, where somebody asked for it meanwhile or the window is over.
    pub(crate) async fn pause_if_wanted(&self, next: &StepId) -> Flow<()> {
        if let Some(why) = self.port.take_pause() {
            let question = self.pause_question(&why, &next.0);
            self.ask(Question::Pause(Box::new(question))).await?;
        }
        if self.window_left().is_some_and(|left| left < 0) && !self.state.borrow().is_past_window {
            let question = self.pause_question("the window is over", &next.0);
            match self.ask(Question::Pause(Box::new(question))).await {
                Err(Halt::Stopped) => return Err(Halt::WindowOver),
                answer => answer?,
            };
            self.state.borrow_mut().is_past_window = true;
        }
        Ok(())
    }

    pub(crate) fn pause_question(&self, why: &str, next: &str) -> PauseQuestion {
        let state = self.state.borrow();
        let mut status = Vec::new();
        if let Some(left) = self.window_left() {
            status.push(match left {
                0.. => format!("window: {} min left", left / 60),
                _ => format!("window: over since {} min", -left / 60),
            });
        }
        let mut pending: Vec<String> = state
            .play
            .notified
            .iter()
            .flat_map(|(host, names)| names.iter().map(move |name| format!("{name} ({host})")))
            .collect();
        pending.sort();
        if !pending.is_empty() {
            status.push(format!("handlers pending: {}", pending.join(", ")));
        }
        PauseQuestion {
            why: why.to_owned(),
            running: Vec::new(),
            signal: None,
            next: next.to_owned(),
            status,
        }
    }

    /// Seconds left of the change's window; negative when it is over.
    pub(crate) fn window_left(&self) -> Option<i64> {
        let window = i64::try_from(self.settings.window_s?).ok()?;
        let spent = self
            .port
            .now()
            .millis
            .saturating_sub(self.state.borrow().began_ms)
            / 1000;
        let spent = spent.saturating_add(self.settings.window_spent_s);
        Some(window.saturating_sub(i64::try_from(spent).unwrap_or(i64::MAX)))
    }

    /// The names of the ways back, for prompts; whether they are legal is asked when it matters.
    pub(crate) fn ways_in_short(&self) -> Vec<String> {
        let state = self.state.borrow();
        let mut ways = vec![format!("undo stack ({} entries)", state.undo_depth)];
        ways.extend(state.way_names.iter().cloned());
        ways
    }
}

/// What a change does, in the words of the task: a command line, or the module's summary.
fn does(ready: &Ready) -> String {
    let args = &ready.args;
    if let Some(text) = ["_raw_params", "cmd"]
        .iter()
        .find_map(|k| args.get(k))
        .and_then(Value::as_str)
    {
        return text.to_owned();
    }
    if let Some(words) = args.get("argv").and_then(Value::as_list) {
        return words
            .iter()
            .filter_map(plain_text)
            .collect::<Vec<_>>()
            .join(" ");
    }
    format!("{}: {}", ready.module.name(), ready.change.summary)
}

fn undo_line(item: &Item, ready: &Ready) -> String {
    match (item.undo(), &ready.change.undo) {
        (Some(UndoSpec::Keep), _) => "stays on purpose (undo: keep)".to_owned(),
        (Some(UndoSpec::Tasks(tasks)), _) => {
            format!(
                "{} task{} of its own",
                tasks.len(),
                if tasks.len() == 1 { "" } else { "s" }
            )
        }
        (None, Undo::Acts { summary, .. }) => summary.clone(),
        (None, Undo::Unknown(why)) => format!("NONE: {why}"),
        (None, Undo::NotNeeded) => "not needed".to_owned(),
    }
}

fn add_to_groups(groups: &mut Vec<HostGroup>, host: &str, group: HostGroup) {
    match groups
        .iter_mut()
        .find(|known| known.does == group.does && known.diff == group.diff)
    {
        Some(known) => {
            if known.hosts.last().map(String::as_str) != Some(host) {
                known.hosts.push(host.to_owned());
            }
        }
        None => groups.push(HostGroup {
            hosts: vec![host.to_owned()],
            ..group
        }),
    }
}

fn one_line(question: &Question) -> String {
    match question {
        Question::Task(q) => format!("run `{}`?", q.name),
        Question::Failure(q) => format!(
            "`{}` failed on {} of {} hosts",
            q.name,
            q.groups.iter().map(|(h, _)| h.len()).sum::<usize>(),
            q.hosts_total
        ),
        Question::PointOfNoReturn(q) => format!("pass the point of no return `{}`?", q.name),
        Question::Pause(q) => format!("paused: {}", q.why),
        Question::WayBack(_) => "which way back?".to_owned(),
        Question::Text(q) => q.prompt.clone(),
        Question::Word(q) => q.warning.clone(),
    }
}

fn answer_line(answer: &Answer) -> String {
    match answer {
        Answer::Run => "run".to_owned(),
        Answer::Skip { reason } => format!("skip: {reason}"),
        Answer::SkipHosts { hosts, reason } => format!("skip on {}: {reason}", hosts.join(", ")),
        Answer::Retry => "retry".to_owned(),
        Answer::RestOfPlay => "run the rest of the play".to_owned(),
        Answer::RestOfPlaybook => "run the rest of the playbook".to_owned(),
        Answer::Pause => "pause".to_owned(),
        Answer::Continue => "continue".to_owned(),
        Answer::Cancel => "cancel what runs".to_owned(),
        Answer::Exclude { reason } => format!("exclude: {reason}"),
        Answer::RollBack => "roll back".to_owned(),
        Answer::Way(name) => format!("way back: {name}"),
        Answer::Stop => "stop".to_owned(),
        Answer::Abort => "abort".to_owned(),
        Answer::Text(text) => text.clone(),
        Answer::Nobody { hint } => format!("nobody: {hint}"),
    }
}
