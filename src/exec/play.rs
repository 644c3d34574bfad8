//! Plays: their hosts, batches and sections.

use std::rc::Rc;
use std::sync::Arc;

use super::controller::{Problem, View};
use super::frame::Frame;
use super::halt::{Flow, Halt};
use super::list::{Failures, Place};
use super::run::{Run, plain_text};
use super::state::{Pace, PlayState};
use crate::event::Event;
use crate::model::{
    Action, Args, Field, Item, Keywords, Play, Playbook, PlaybookEntry, StepId, Task, VarsPrompt,
};
use crate::value::{Map, Text, Value};

impl Run {
    /// Runs all plays.
    pub(crate) async fn run_playbook(&self, playbook: &Playbook) -> Flow<()> {
        for entry in &playbook.entries {
            match self.run_play(entry).await {
                Ok(()) | Err(Halt::EndPlay) => {}
                Err(halt) => return Err(halt),
            }
            let mut state = self.state.borrow_mut();
            if state.pace == Pace::RestOfPlay {
                state.pace = Pace::Step;
            }
            // A host that failed in one play takes no part in the next.
            let failed = std::mem::take(&mut state.play.failed);
            state.out.extend(failed);
        }
        Ok(())
    }

    /// Makes a play the current one on these hosts without running it, for its handlers.
    pub(super) async fn take_up_play(&self, entry: &PlaybookEntry, hosts: &[String]) -> Flow<()> {
        self.enter_play(entry);
        {
            let mut state = self.state.borrow_mut();
            *state.play.all_hosts = hosts.to_vec();
            *state.play.batch = hosts.to_vec();
        }
        self.load_vars(&entry.play, &self.play_view()).await
    }

    fn enter_play(&self, entry: &PlaybookEntry) -> Rc<Frame> {
        let outer = entry
            .imports
            .iter()
            .fold(Keywords::default(), |outer, import| {
                outer_of(&outer, &import.keywords)
            });
        let frame = Frame::play(&outer_of(&outer, &entry.play.keywords));
        self.controller.enter_play(entry);
        self.begin_play(entry, &frame);
        frame
    }

    async fn run_play(&self, entry: &PlaybookEntry) -> Flow<()> {
        let play = &entry.play;
        let frame = self.enter_play(entry);
        let view = self.play_view();
        let name = self.play_name(play, &view);
        self.state.borrow_mut().play.name.clone_from(&name);
        let hosts = self.play_hosts(play, &view)?;
        self.take_hosts(&hosts);
        let hosts = self.in_order(play, &view, hosts);
        if hosts.is_empty() {
            let why = "no hosts matched".to_owned();
            self.port.emit(Event::PlaySkipped { name, why });
            return Ok(());
        }
        self.port.emit(Event::PlayStarted {
            name,
            hosts: hosts.clone(),
        });
        self.load_vars(play, &view).await?;
        let batches = self.batches(play, &hosts, &view)?;
        let count = batches.len();
        for (index, batch) in batches.into_iter().enumerate() {
            if count > 1 {
                self.port.emit(Event::BatchStarted {
                    hosts: batch.clone(),
                });
            }
            {
                let mut state = self.state.borrow_mut();
                state.play.batch.clone_from(&batch);
                state.play.batch_index = u32::try_from(index).unwrap_or(u32::MAX);
                state.play.notified.clear();
                state.play.pending_handlers.clear();
                state.play.failing.clear();
            }
            let live = self.still_there(&batch);
            match self.run_batch(play, &frame, &live).await {
                Ok(()) | Err(Halt::EndBatch) => {}
                Err(halt) => return Err(halt),
            }
            let state = self.state.borrow();
            if batch
                .iter()
                .all(|h| state.play.failed.contains(h) || state.out.contains(h))
            {
                return Err(Halt::EndRun);
            }
        }
        Ok(())
    }

    /// The play's hosts. Who failed in an earlier play is one of them, and takes no part.
    fn take_hosts(&self, hosts: &[String]) {
        let mut state = self.state.borrow_mut();
        *state.play.all_hosts = hosts.to_vec();
        let gone: Vec<String> = hosts
            .iter()
            .filter(|h| state.out.contains(*h) || state.parked.contains(*h))
            .cloned()
            .collect();
        state.play.gone.extend(gone);
    }

    fn still_there(&self, hosts: &[String]) -> Vec<String> {
        let gone = &self.state.borrow().play.gone;
        let live = hosts.iter().filter(|host| !gone.contains(*host));
        live.cloned().collect()
    }

    fn begin_play(&self, entry: &PlaybookEntry, frame: &Rc<Frame>) {
        let play = &entry.play;
        // What the play says counts more than the command line, as in Ansible.
        let default = self.settings.force_handlers;
        let forces_handlers = self
            .flag(play.force_handlers.as_ref(), &self.play_view(), default)
            .unwrap_or(default);
        let mut state = self.state.borrow_mut();
        // What `include_role` with `public` showed ends with its play.
        for known in state.hosts.values_mut() {
            known.role_defaults = Arc::default();
            known.role_vars = Arc::default();
        }
        state.play = PlayState {
            forces_handlers,
            handlers: play.handlers.clone(),
            roles: play.role_scopes.clone(),
            role_defaults: play
                .role_scopes
                .iter()
                .map(|r| r.defaults.clone())
                .collect(),
            role_vars: play.role_scopes.iter().map(|r| r.vars.clone()).collect(),
            vars_layers: frame.vars(super::frame::Kind::Play),
            folder: entry.folder.clone(),
            frame: Some(frame.clone()),
            ..PlayState::default()
        };
    }

    /// What the play's own keywords see: extra vars, play vars, and no host.
    pub(crate) fn play_view(&self) -> View {
        self.host_view("localhost").with_layers(self.play_layers())
    }

    fn play_layers(&self) -> Vec<Arc<Map>> {
        let mut layers = self.state.borrow().play.vars_layers.clone();
        layers.push(self.settings.extra_vars.clone());
        let magic = Map::from([
            ("groups".to_owned(), self.groups()),
            (
                "playbook_dir".to_owned(),
                self.state.borrow().play.folder.as_str().into(),
            ),
        ]);
        layers.push(Arc::new(magic));
        layers
    }

    fn play_name(&self, play: &Play, view: &View) -> String {
        self.text(play.keywords.name.as_ref(), view)
            .ok()
            .flatten()
            .unwrap_or_else(|| match &play.hosts.value {
                Value::List(items) => items
                    .iter()
                    .filter_map(plain_text)
                    .collect::<Vec<_>>()
                    .join(","),
                other => plain_text(other).unwrap_or_default(),
            })
    }

    fn play_hosts(&self, play: &Play, view: &View) -> Flow<Vec<String>> {
        let hosts = self.pattern_hosts(&play.hosts, view).map_err(|problem| {
            let place = self.controller.place(play.hosts.span);
            let at = place.map(|p| format!(" (at {p})")).unwrap_or_default();
            Halt::Broken(format!("{}{at}", problem.message))
        })?;
        let state = self.state.borrow();
        let limit = self.settings.limit.as_ref();
        let is_wanted = |h: &String| {
            limit.is_none_or(|limit| limit.contains(h))
                || state.inventory.host(h).is_some_and(|h| h.is_implicit)
        };
        Ok(hosts.into_iter().filter(is_wanted).collect())
    }

    /// The hosts as `order` wants them to take their turns.
    fn in_order(&self, play: &Play, view: &View, mut hosts: Vec<String>) -> Vec<String> {
        match self
            .text(play.order.as_ref(), view)
            .ok()
            .flatten()
            .as_deref()
        {
            Some("sorted") => hosts.sort(),
            Some("reverse_sorted") => hosts.sort_by(|a, b| b.cmp(a)),
            Some("reverse_inventory") => hosts.reverse(),
            _ => {}
        }
        hosts
    }

    /// The hosts of a pattern or list of patterns, in inventory order.
    pub(crate) fn pattern_hosts(&self, field: &Field, view: &View) -> Result<Vec<String>, Problem> {
        let patterns: Vec<String> = match self.keyword(Some(field), view)? {
            Some(Value::List(items)) => items.iter().filter_map(plain_text).collect(),
            Some(value) => plain_text(&value).into_iter().collect(),
            None => Vec::new(),
        };
        if patterns.is_empty() {
            return Err(Problem::new("the list of hosts is empty"));
        }
        let (hosts, unmatched) = self.hosts_matching(&patterns).map_err(Problem::new)?;
        for warning in unmatched {
            if self.settings.defaults.refuses_unmatched_patterns {
                return Err(Problem::new(warning));
            }
            self.notice(true, warning);
        }
        Ok(hosts)
    }

    async fn load_vars(&self, play: &Play, view: &View) -> Flow<()> {
        let mut layers = self.state.borrow().play.vars_layers.clone();
        let mut prompted = Map::new();
        for prompt in &play.vars_prompt {
            if self.settings.extra_vars.contains_key(&prompt.name) {
                continue;
            }
            prompted.insert(prompt.name.clone(), self.prompt(prompt, view).await?);
        }
        layers.push(Arc::new(prompted));
        for field in &play.vars_files {
            layers.push(Arc::new(self.vars_file(field, view)?));
        }
        self.state.borrow_mut().play.vars_layers = layers;
        Ok(())
    }

    async fn prompt(&self, prompt: &VarsPrompt, view: &View) -> Flow<Value> {
        use super::ask::{Answer, Question, TextQuestion};
        let text = |field: Option<&Field>| self.text(field, view).ok().flatten();
        let question = TextQuestion {
            prompt: text(prompt.prompt.as_ref()).unwrap_or_else(|| prompt.name.clone()),
            is_secret: prompt.is_private,
            default: text(prompt.default.as_ref()),
            confirms: prompt.confirms,
            seconds: None,
        };
        let given = self.given_before(&question.prompt);
        let answer = match given {
            Some(answer) => Answer::Text(answer),
            None => self.ask(Question::Text(question)).await?,
        };
        match answer {
            Answer::Text(answer) => {
                let text = Text::data(answer);
                if prompt.is_private {
                    self.add_secret(text.as_str());
                    return Ok(Value::Str(text.into_secret()));
                }
                Ok(Value::Str(text))
            }
            _ => Ok(Value::Null),
        }
    }

    /// What an earlier process of this run was answered to this question.
    fn given_before(&self, prompt: &str) -> Option<String> {
        let shown = self.redact(prompt);
        let answers = &mut self.state.borrow_mut().replay.answers;
        let at = answers
            .iter()
            .position(|(question, _)| *question == shown)?;
        Some(answers.remove(at).1)
    }

    /// One entry of `vars_files`: the file, or the first of a list that exists.
    fn vars_file(&self, field: &Field, view: &View) -> Flow<Map> {
        let broken = |why: String| {
            let place = self.controller.place(field.span);
            let at = place.map(|p| format!(" (at {p})")).unwrap_or_default();
            Halt::Broken(format!("{why}{at}"))
        };
        let names: Vec<String> = match self.keyword(Some(field), view) {
            Ok(Some(Value::List(items))) => items.iter().filter_map(plain_text).collect(),
            Ok(Some(value)) => plain_text(&value).into_iter().collect(),
            Ok(None) => Vec::new(),
            Err(problem) => return Err(broken(problem.message)),
        };
        let mut view = view.clone();
        view.search = Rc::new(super::controller::Search {
            playbook: self.state.borrow().play.folder.clone().into(),
            folder: self.state.borrow().play.folder.clone().into(),
            scope: None,
        });
        let mut last = String::new();
        for name in names {
            match self.controller.find_file("vars", &name, &view.search) {
                Ok(path) => return self.controller.vars_file(&path).map_err(broken),
                Err(why) => last = why,
            }
        }
        Err(broken(last))
    }

    /// `serial` (ansible-core 2.19, `executor/playbook_executor.py`): numbers or percentages, the
    /// last one repeats.
    fn batches(&self, play: &Play, hosts: &[String], view: &View) -> Flow<Vec<Vec<String>>> {
        let broken = |problem: Problem| Halt::Broken(problem.message);
        let sizes: Vec<Value> = match self.keyword(play.serial.as_ref(), view).map_err(broken)? {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::List(items)) => items.to_vec(),
            Some(value) => vec![value],
        };
        let max = self
            .number_or_percent(play.max_fail_percentage.as_ref(), view)
            .map_err(broken)?;
        self.state.borrow_mut().play.max_fail_percentage = max;
        let mut rest = hosts;
        let mut batches = Vec::new();
        let mut index = 0;
        while !rest.is_empty() {
            let size = match sizes.get(index).or(sizes.last()) {
                None => rest.len(),
                Some(size) => batch_size(size, hosts.len()).map_err(broken)?,
            };
            let size = if size == 0 {
                rest.len()
            } else {
                size.min(rest.len())
            };
            let (batch, more) = rest.split_at(size);
            batches.push(batch.to_vec());
            rest = more;
            index += 1;
        }
        Ok(batches)
    }

    fn number_or_percent(
        &self,
        field: Option<&Field>,
        view: &View,
    ) -> Result<Option<f64>, Problem> {
        match self.keyword(field, view)? {
            None | Some(Value::Null) => Ok(None),
            Some(value) => plain_text(&value)
                .and_then(|text| text.trim().trim_end_matches('%').parse().ok())
                .map(Some)
                .ok_or_else(|| Problem::new("`max_fail_percentage` must be a number")),
        }
    }

    async fn run_batch(&self, play: &Play, frame: &Rc<Frame>, batch: &[String]) -> Flow<()> {
        let place = Place {
            frame: frame.clone(),
            is_rescued: false,
            is_handler: false,
        };
        self.gather_facts(play, batch, &place).await?;
        let strategy = self
            .text(play.strategy.as_ref(), &self.play_view())
            .map_err(|problem| Halt::Broken(problem.message))?
            .or_else(|| self.settings.defaults.strategy.clone())
            .unwrap_or_else(|| "linear".to_owned());
        let strategy = strategy
            .strip_prefix("ansible.builtin.")
            .unwrap_or(&strategy);
        match strategy {
            "free" | "host_pinned" if !self.settings.asks => {
                let each = batch.iter().map(|host| async {
                    self.run_sections(play, &place, std::slice::from_ref(host))
                        .await
                });
                let results = futures_util::future::join_all(each).await;
                results.into_iter().collect::<Flow<Vec<()>>>()?;
                Ok(())
            }
            // Where somebody is asked, the hosts of a task are asked about together.
            "linear" | "free" | "host_pinned" => self.run_sections(play, &place, batch).await,
            other => Err(Halt::Broken(format!(
                "`strategy: {other}` is not supported; there are `linear`, `free` and `host_pinned`"
            ))),
        }
    }

    async fn run_sections(&self, play: &Play, place: &Place, hosts: &[String]) -> Flow<()> {
        let roles_and_tasks: [&[Item]; 2] = [&play.roles, &play.tasks];
        let sections: [&[&[Item]]; 3] = [&[&play.pre_tasks], &roles_and_tasks, &[&play.post_tasks]];
        let forces = self.state.borrow().play.forces_handlers;
        for section in sections {
            for items in section {
                let result = self.run_list(items, hosts, place).await;
                match result {
                    Ok(failures) => self.fail_hosts(&failures),
                    Err(halt) => {
                        if forces {
                            self.end_section(hosts).await?;
                        }
                        return Err(halt);
                    }
                }
            }
            self.end_section(hosts).await?;
        }
        Ok(())
    }

    /// Hosts that failed leave the play.
    pub(crate) fn fail_hosts(&self, failures: &Failures) {
        let mut state = self.state.borrow_mut();
        for failure in failures {
            state.play.gone.insert(failure.host.clone());
            let is_forgiven = state.play.forgiven.contains(&failure.host);
            if failure.end.status == crate::event::Status::Failed && !is_forgiven {
                state.play.failed.insert(failure.host.clone());
                state.failed.insert(failure.host.clone());
            }
        }
    }

    async fn gather_facts(&self, play: &Play, batch: &[String], place: &Place) -> Flow<()> {
        let defaults = &self.settings.defaults;
        let by_default = !defaults.gathers_explicitly;
        let wanted = self
            .flag(play.gather_facts.as_ref(), &self.play_view(), by_default)
            .map_err(|problem| Halt::Broken(problem.message))?;
        let is_smart = defaults.gathers_smartly && play.gather_facts.is_none();
        let batch: Vec<String> = {
            let state = self.state.borrow();
            let has_facts = |host: &String| {
                let known = state.hosts.get(host);
                known.is_some_and(|known| known.facts.contains_key("module_setup"))
            };
            let missing = batch.iter().filter(|host| !is_smart || !has_facts(host));
            missing.cloned().collect()
        };
        if !wanted
            || batch.is_empty()
            || self.settings.start_at.is_some()
                && !self.state.borrow().has_started_at
                && play.gather_facts.is_none()
        {
            return Ok(());
        }
        let mut task = setup_task(play);
        if let Some(field) = &play.gather_subset
            && let Action::Module { args, .. } = &mut task.action
        {
            args.fields
                .insert("gather_subset".into(), field.value.clone());
        }
        let started = std::mem::replace(&mut self.state.borrow_mut().has_started_at, true);
        let result = self
            .run_list(&[Item::Task(Box::new(task))], &batch, place)
            .await;
        self.state.borrow_mut().has_started_at = started;
        let failures = result?;
        self.fail_hosts(&failures);
        Ok(())
    }
}

fn setup_task(play: &Play) -> Task {
    let name = Field {
        value: "Gathering Facts".into(),
        span: play.span,
    };
    let action = Action::Module {
        name: "setup".into(),
        span: play.span,
        args: Args::default(),
    };
    let is_tagged = !play.keywords.tags.is_empty();
    Task {
        keywords: Keywords {
            name: Some(name),
            tags: Vec::from_iter((!is_tagged).then(|| "always".to_owned())),
            ..Keywords::default()
        },
        ..Task::new(StepId(format!("{}/facts", play.id)), play.span, action)
    }
}

/// The keywords of an import around those of what it imports.
fn outer_of(outer: &Keywords, inner: &Keywords) -> Keywords {
    let mut merged = inner.clone();
    let mut when = outer.when.clone();
    when.append(&mut merged.when);
    merged.when = when;
    let mut vars = outer.vars.clone();
    vars.extend(std::mem::take(&mut merged.vars));
    merged.vars = vars;
    merged.tags.extend(outer.tags.iter().cloned());
    merged
}

fn batch_size(size: &Value, total: usize) -> Result<usize, Problem> {
    let wrong = || Problem::new("`serial` must be a number or a percentage");
    let text = plain_text(size).ok_or_else(wrong)?;
    let text = text.trim();
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of a number of hosts"
            )]
            let count = (percent / 100.0 * total as f64) as usize;
            Ok(count.max(1))
        }
        None => text.parse().map_err(|_| wrong()),
    }
}
