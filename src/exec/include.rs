//! `include_tasks`, `include_role` and `meta`: tasks about tasks.

use std::sync::Arc;

use super::controller::{Problem, View};
use super::end::ItemEnd;
use super::halt::{Flow, Halt};
use super::list::{Failures, Place};
use super::run::Run;
use super::task::{HostEnd, TaskRun};
use crate::event::{Event, Status};
use crate::model::{Action, Field, Item, Keywords, LoopKind};
use crate::plan::Included;
use crate::value::{Map, Value};

/// One file or role to be included, for the hosts that chose it.
struct Inclusion {
    /// The rendered name of file or role, and of `tasks_from`.
    name: String,
    tasks_from: Option<String>,
    /// The loop's variables, and their index for the names of steps.
    params: Map,
    index: Option<usize>,
    label: String,
    hosts: Vec<String>,
}

/// The label of an item, and what it includes; none where it is skipped.
type Choice = (String, Option<Inclusion>);

impl Run {
    /// A dynamic include: each host says what it includes; equal inclusions run together.
    pub(crate) async fn run_include(
        &self,
        run: &TaskRun,
        hosts: &[String],
        place: &Place,
    ) -> Flow<Failures> {
        let mut failures: Failures = Vec::new();
        let mut inclusions: Vec<Inclusion> = Vec::new();
        // With `run_once` what is included is for the first host alone.
        let is_once = hosts.first().is_some_and(|host| {
            let view = self.task_view(host, &run.task, &run.frame);
            let field = run.frame.keyword(|k| k.run_once.as_ref());
            self.flag(field, &view, false).unwrap_or(false)
        });
        let hosts = if is_once { &hosts[..1] } else { hosts };
        self.announce(run, hosts, place.is_handler);
        for host in hosts {
            match self.inclusions_of(run, host) {
                Ok(chosen) => {
                    self.tell_choice(run, host, &chosen);
                    chosen
                        .into_iter()
                        .filter_map(|(_, inclusion)| inclusion)
                        .for_each(|new| merge(&mut inclusions, new));
                }
                Err(problem) => {
                    let end = HostEnd {
                        host: host.clone(),
                        end: ItemEnd::failed(self.placed(run, &problem)),
                        is_ignored: self.ignores_errors(run, host),
                    };
                    self.finish_host(run, &end);
                    if end.is_failure() {
                        failures.push(end);
                    }
                }
            }
        }
        for inclusion in inclusions {
            let hosts: Vec<String> = inclusion
                .hosts
                .iter()
                .filter(|h| !failures.iter().any(|f| &f.host == *h))
                .cloned()
                .collect();
            if !hosts.is_empty() {
                failures.extend(self.run_inclusion(run, &inclusion, &hosts, place).await?);
            }
        }
        Ok(failures)
    }

    pub(super) fn ignores_errors(&self, run: &TaskRun, host: &str) -> bool {
        let view = self.task_view(host, &run.task, &run.frame);
        let field = run.frame.keyword(|k| k.ignore_errors.as_ref());
        self.flag(field, &view, false).unwrap_or(false)
    }

    fn placed(&self, run: &TaskRun, problem: &Problem) -> String {
        let place = self.controller.place(run.task.span);
        let at = place.map(|p| format!(" (at {p})")).unwrap_or_default();
        format!("{}{at}", problem.message)
    }

    /// Says what a host chose to include. What is included counts when it is loaded.
    fn tell_choice(&self, run: &TaskRun, host: &str, chosen: &[Choice]) {
        let end_of = |inclusion: &Option<Inclusion>| match inclusion {
            Some(_) => ItemEnd::new(Status::Ok, Map::new()),
            None => ItemEnd::new(Status::Skipped, Map::new()),
        };
        if run.task.r#loop.is_some() {
            for (label, inclusion) in chosen {
                self.port.emit(Event::ItemFinished {
                    host: host.to_owned(),
                    step: run.task.id.clone(),
                    label: self.redact(label),
                    report: end_of(inclusion).report(false, &Value::clone),
                });
            }
        }
        let is_skipped = chosen.iter().all(|(_, inclusion)| inclusion.is_none());
        let status = if is_skipped {
            Status::Skipped
        } else {
            Status::Ok
        };
        if is_skipped {
            self.state.borrow_mut().stats.host(host).skipped += 1;
        }
        self.port.emit(Event::HostFinished {
            host: host.to_owned(),
            step: run.task.id.clone(),
            name: run.name.clone(),
            report: ItemEnd::new(status, Map::new()).report(false, &Value::clone),
        });
    }

    fn inclusions_of(&self, run: &TaskRun, host: &str) -> Result<Vec<Choice>, Problem> {
        let view = self.task_view(host, &run.task, &run.frame);
        let mut layers: Vec<(Option<usize>, String, Map)> = vec![(None, String::new(), Map::new())];
        if let Some(looped) = &run.task.r#loop {
            let values = match &looped.kind {
                LoopKind::With(name) => {
                    self.controller
                        .with_items(name, &looped.terms.value, &view)?
                }
                LoopKind::Loop => match self.controller.render(&looped.terms.value, &view)? {
                    Some(Value::List(items)) => items.to_vec(),
                    _ => return Err(Problem::new("`loop` requires a list")),
                },
            };
            let all = Value::from(values.clone());
            layers = values
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    let layer = self.loop_layer(looped, index, value, &values, &all, &view);
                    let label = self.label(looped, value, &view.with(layer.clone()));
                    (Some(index), label, layer)
                })
                .collect();
        }
        let mut inclusions = Vec::new();
        for (index, label, params) in layers {
            let view = view.with(params.clone());
            if self.first_false(run.frame.conditions(), &view)?.is_some() {
                inclusions.push((label, None));
                continue;
            }
            let mut inclusion = self.inclusion(run, host, index, params, &view)?;
            inclusion.label.clone_from(&label);
            inclusions.push((label, Some(inclusion)));
        }
        Ok(inclusions)
    }

    fn inclusion(
        &self,
        run: &TaskRun,
        host: &str,
        index: Option<usize>,
        params: Map,
        view: &View,
    ) -> Result<Inclusion, Problem> {
        let text = |field: &Field| -> Result<String, Problem> {
            self.text(Some(field), view)?
                .ok_or_else(|| Problem::new("the name of what is included is empty"))
        };
        let (name, tasks_from) = match &run.task.action {
            Action::IncludeTasks { file, .. } => (text(file)?, None),
            Action::IncludeRole { role, .. } => (
                text(&role.name)?,
                role.tasks_from.as_ref().map(text).transpose()?,
            ),
            Action::Module { .. } | Action::Meta { .. } => (String::new(), None),
        };
        Ok(Inclusion {
            name,
            tasks_from,
            params,
            index,
            label: String::new(),
            hosts: vec![host.to_owned()],
        })
    }

    async fn run_inclusion(
        &self,
        run: &TaskRun,
        inclusion: &Inclusion,
        hosts: &[String],
        place: &Place,
    ) -> Flow<Failures> {
        let view = self.task_view(&hosts[0], &run.task, &run.frame);
        let mut params = run.task.keywords.vars.clone();
        params.extend(inclusion.params.clone());
        let (loaded, apply) = match &run.task.action {
            Action::IncludeTasks { apply, .. } => {
                let file = &inclusion.name;
                let loaded = self.controller.tasks_file(file, &run.task, &view.search);
                (loaded, apply)
            }
            Action::IncludeRole { role, apply } => {
                let mut wanted = (**role).clone();
                wanted.name.value = inclusion.name.as_str().into();
                // What the include says is for itself; only its variables reach what it includes.
                wanted.keywords = Keywords {
                    vars: role.keywords.vars.clone(),
                    ..Keywords::default()
                };
                if let (Some(field), Some(file)) = (&mut wanted.tasks_from, &inclusion.tasks_from) {
                    field.value = file.as_str().into();
                }
                let loaded = self.controller.role(&wanted, Some(&run.task), &view.search);
                (loaded, apply)
            }
            Action::Module { .. } | Action::Meta { .. } => return Ok(Vec::new()),
        };
        let included = match loaded {
            Ok(included) => included,
            Err(why) => return Ok(self.fail_all(run, hosts, &why)),
        };
        if place.is_handler && included.items.iter().any(Item::has_blocks) {
            let why = "Using a block as a handler is not supported.";
            return Ok(self.fail_all(run, hosts, why));
        }
        let (name, items) = self.take_in(included, hosts);
        for host in hosts {
            self.state.borrow_mut().stats.host(host).ok += 1;
        }
        self.port.emit(Event::Included {
            what: name,
            hosts: hosts.to_vec(),
            label: (run.task.r#loop.is_some()).then(|| self.redact(&inclusion.label)),
        });
        let mut items = items;
        crate::model::read::inherit_notify(&mut items, &apply.notify);
        let items = match inclusion.index {
            Some(index) => items
                .into_iter()
                .map(|item| renumber(item, &format!("@{index}")))
                .collect(),
            None => items,
        };
        // The conditions of the include decided about the include, not about its tasks.
        let frame = place.frame.inner(apply);
        let frame = frame.include(&Keywords::default(), params);
        let place = Place {
            frame,
            ..place.clone()
        };
        self.run_list(&items, hosts, &place).await
    }

    /// Takes handlers and public roles of what is included; gives its name and its items.
    fn take_in(&self, included: Included, hosts: &[String]) -> (String, Vec<Item>) {
        let mut state = self.state.borrow_mut();
        state.play.handlers.extend(included.handlers);
        drop(state);
        for scope in &included.scopes {
            self.expose(scope, hosts);
        }
        (included.name, included.items)
    }

    /// Makes a role's vars and defaults seen by the rest of the play on these hosts.
    fn expose(&self, scope: &crate::model::RoleScope, hosts: &[String]) {
        let mut state = self.state.borrow_mut();
        for host in hosts {
            let known = state.hosts.entry(host.clone()).or_default();
            Arc::make_mut(&mut known.role_defaults).extend((*scope.defaults).clone());
            Arc::make_mut(&mut known.role_vars).extend((*scope.vars).clone());
        }
    }

    fn fail_all(&self, run: &TaskRun, hosts: &[String], why: &str) -> Failures {
        hosts
            .iter()
            .map(|host| {
                // `ignore_errors` does not cover what cannot be loaded, as in Ansible.
                let end = HostEnd {
                    host: host.clone(),
                    end: ItemEnd::failed(why),
                    is_ignored: false,
                };
                self.finish_host(run, &end);
                end
            })
            .collect()
    }

    pub(super) fn finish_host(&self, run: &TaskRun, end: &HostEnd) {
        if let Some(name) = &run.task.register {
            let mut state = self.state.borrow_mut();
            let known = state.hosts.entry(end.host.clone()).or_default();
            known.set(name, end.end.value());
        }
        let report = end.end.report(end.is_ignored, &Value::clone);
        self.count(run, &end.host, &report);
        self.port.emit(Event::HostFinished {
            host: end.host.clone(),
            step: run.task.id.clone(),
            name: run.name.clone(),
            report,
        });
    }

    /// The hosts whose conditions hold for a `meta`; the others are told as skipped.
    fn chosen_for_meta(&self, run: &TaskRun, what: &str, hosts: &[String]) -> Flow<Vec<String>> {
        // These decide for the whole batch, by its first host (ansible-core 2.19,
        // `plugins/strategy/linear.py`).
        let is_once = matches!(
            what,
            "end_play" | "end_batch" | "clear_facts" | "clear_host_errors" | "refresh_inventory"
        );
        let asked = if is_once { &hosts[..1] } else { hosts };
        let mut chosen: Vec<String> = Vec::new();
        for host in asked {
            let view = self.task_view(host, &run.task, &run.frame);
            match self.first_false(run.frame.conditions(), &view) {
                Ok(None) => chosen.push(host.clone()),
                Ok(Some(_)) => {}
                // Ansible ends the run here as well.
                Err(problem) => return Err(Halt::Broken(self.placed(run, &problem))),
            }
        }
        if chosen.len() < asked.len() {
            self.announce(run, asked, false);
            for host in asked.iter().filter(|host| !chosen.contains(host)) {
                self.port.emit(Event::HostFinished {
                    host: host.clone(),
                    step: run.task.id.clone(),
                    name: run.name.clone(),
                    report: ItemEnd::new(Status::Skipped, Map::new()).report(false, &Value::clone),
                });
            }
        }
        Ok(chosen)
    }

    /// Says what a `meta` does.
    fn tell_meta(&self, run: &TaskRun, what: &str, hosts: &[String], is_handler: bool) {
        let each = |text: &dyn Fn(&String) -> String| hosts.iter().map(text).collect();
        let done: Vec<String> = match what {
            "flush_handlers" => each(&|host| format!("triggered running handlers for {host}")),
            "end_host" => each(&|host| format!("ending play for {host}")),
            "end_role" => {
                let role = run.task.role.as_ref().map_or("", |role| &role.name);
                each(&|host| format!("ending role {role} for {host}"))
            }
            "noop" => each(&|_| "noop".to_owned()),
            "reset_connection" => each(&|_| "reset connection".to_owned()),
            "refresh_inventory" => vec!["inventory successfully refreshed".to_owned()],
            "clear_facts" => vec!["facts cleared".to_owned()],
            "clear_host_errors" => vec!["cleared host errors".to_owned()],
            "end_batch" => vec!["ending batch".to_owned()],
            "end_play" => vec!["ending play".to_owned()],
            other => vec![other.to_owned()],
        };
        self.port.emit(Event::Meta {
            step: Some(run.task.id.clone()),
            name: run.name.clone(),
            place: self.controller.place(run.task.span),
            is_handler,
            done,
        });
    }

    /// `meta: …`.
    pub(crate) async fn run_meta(
        &self,
        run: &TaskRun,
        what: &str,
        hosts: &[String],
        place: &Place,
    ) -> Flow<Failures> {
        let chosen = self.chosen_for_meta(run, what, hosts)?;
        if chosen.is_empty() {
            return Ok(Failures::new());
        }
        self.tell_meta(run, what, &chosen, place.is_handler);
        if what == "flush_handlers" {
            return Box::pin(self.run_handlers(&chosen, place.is_rescued)).await;
        }
        self.do_meta(run, what, hosts, chosen).await?;
        Ok(Failures::new())
    }

    async fn do_meta(
        &self,
        run: &TaskRun,
        what: &str,
        hosts: &[String],
        chosen: Vec<String>,
    ) -> Flow<()> {
        match what {
            "noop" | "refresh_inventory" => Ok(()),
            "end_play" => Err(Halt::EndPlay),
            "end_batch" => Err(Halt::EndBatch),
            "end_host" => {
                self.state.borrow_mut().play.gone.extend(chosen);
                Ok(())
            }
            "end_role" => {
                let Some(role) = &run.task.role else {
                    return Err(Halt::Broken(
                        "`meta: end_role` stands outside of a role".to_owned(),
                    ));
                };
                let mut state = self.state.borrow_mut();
                let ended = chosen.into_iter().map(|host| (host, role.name.clone()));
                state.play.roles_ended.extend(ended);
                Ok(())
            }
            "clear_facts" => {
                let mut state = self.state.borrow_mut();
                for host in hosts {
                    state.hosts.entry(host.clone()).or_default().clear_facts();
                    state.facts_learnt.insert(host.clone());
                }
                Ok(())
            }
            "clear_host_errors" => {
                let mut state = self.state.borrow_mut();
                state.play.clears += 1;
                let failing = std::mem::take(&mut *state.play.failing);
                state.play.forgiven.extend(failing);
                state.play.failed.clear();
                state.failed.clear();
                state.out.clear();
                Ok(())
            }
            "reset_connection" => {
                for host in &chosen {
                    let view = self.task_view(host, &run.task, &run.frame);
                    if let Ok(target) = self.target(host, &view, &run.frame) {
                        self.port.reset(&target).await;
                    }
                }
                Ok(())
            }
            other => Err(Halt::Broken(format!("`meta: {other}` is not supported"))),
        }
    }
}

fn merge(inclusions: &mut Vec<Inclusion>, new: Inclusion) {
    let same = inclusions.iter_mut().find(|known| {
        known.name == new.name
            && known.tasks_from == new.tasks_from
            && known.index == new.index
            && known.params == new.params
    });
    match same {
        Some(known) => known.hosts.extend(new.hosts),
        None => inclusions.push(new),
    }
}

/// Adds the item's index to the names of all steps below an include in a loop.
fn renumber(item: Item, suffix: &str) -> Item {
    match item {
        Item::Task(mut task) => {
            task.id.0.push_str(suffix);
            Item::Task(task)
        }
        Item::Block(mut block) => {
            block.id.0.push_str(suffix);
            for list in [&mut block.block, &mut block.rescue, &mut block.always] {
                *list = std::mem::take(list)
                    .into_iter()
                    .map(|i| renumber(i, suffix))
                    .collect();
            }
            Item::Block(block)
        }
    }
}
