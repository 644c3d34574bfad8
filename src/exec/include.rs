//! `include_tasks`, `include_role` and `meta`: tasks about tasks.

use std::sync::Arc;

use super::controller::{Problem, View};
use super::end::ItemEnd;
use super::halt::{Flow, Halt};
use super::list::{Failures, Place};
use super::run::Run;
use super::task::{HostEnd, TaskRun};
use crate::model::{Action, Field, Item, LoopKind};
use crate::value::{Map, Value};

/// One file or role to be included, for the hosts that chose it.
struct Inclusion {
    /// The rendered name of file or role, and of `tasks_from`.
    name: String,
    tasks_from: Option<String>,
    /// The loop's variables, and their index for the names of steps.
    params: Map,
    index: Option<usize>,
    hosts: Vec<String>,
}

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
        for host in hosts {
            match self.inclusions_of(run, host) {
                Ok(found) => found
                    .into_iter()
                    .for_each(|new| merge(&mut inclusions, new)),
                Err(problem) => {
                    let end = ItemEnd::failed(problem.message);
                    let end = HostEnd {
                        host: host.clone(),
                        end,
                        is_ignored: false,
                    };
                    self.announce(run, std::slice::from_ref(host), place.is_handler);
                    self.finish_host(run, &end);
                    failures.push(end);
                }
            }
        }
        inclusions.sort_by_key(|inclusion| inclusion.index);
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

    fn inclusions_of(&self, run: &TaskRun, host: &str) -> Result<Vec<Inclusion>, Problem> {
        let view = self.task_view(host, &run.task, &run.frame);
        let mut layers: Vec<(Option<usize>, Map)> = vec![(None, Map::new())];
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
            let var = looped.control.loop_var.as_deref().unwrap_or("item");
            layers = values
                .into_iter()
                .enumerate()
                .map(|(index, value)| {
                    let mut layer = Map::from([(var.to_owned(), value)]);
                    if let Some(name) = &looped.control.index_var {
                        layer.insert(name.clone(), Value::Int(i64::try_from(index).unwrap_or(0)));
                    }
                    (Some(index), layer)
                })
                .collect();
        }
        let mut inclusions = Vec::new();
        for (index, params) in layers {
            let view = view.with(params.clone());
            if self.first_false(run.frame.conditions(), &view)?.is_some() {
                self.count_skip(host);
                continue;
            }
            inclusions.push(self.inclusion(run, host, index, params, &view)?);
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
        let (items, apply) = match &run.task.action {
            Action::IncludeTasks { apply, .. } => {
                match self
                    .controller
                    .tasks_file(&inclusion.name, &run.task, &view.search)
                {
                    Ok(included) => {
                        self.state
                            .borrow_mut()
                            .play
                            .handlers
                            .extend(included.handlers);
                        (included.items, apply)
                    }
                    Err(why) => return Ok(self.fail_all(run, hosts, &why, place)),
                }
            }
            Action::IncludeRole { role, apply } => {
                let mut wanted = (**role).clone();
                wanted.name.value = inclusion.name.as_str().into();
                if let (Some(field), Some(file)) = (&mut wanted.tasks_from, &inclusion.tasks_from) {
                    field.value = file.as_str().into();
                }
                match self.controller.role(&wanted, Some(&run.task), &view.search) {
                    Ok(included) => {
                        self.state
                            .borrow_mut()
                            .play
                            .handlers
                            .extend(included.handlers);
                        for scope in &included.scopes {
                            self.expose(scope, hosts);
                        }
                        (included.items, apply)
                    }
                    Err(why) => return Ok(self.fail_all(run, hosts, &why, place)),
                }
            }
            Action::Module { .. } | Action::Meta { .. } => return Ok(Vec::new()),
        };
        let items = match inclusion.index {
            Some(index) => items
                .into_iter()
                .map(|item| renumber(item, &format!("@{index}")))
                .collect(),
            None => items,
        };
        // The conditions of the include decided about the include, not about its tasks.
        let frame = place.frame.include(apply, params);
        let place = Place {
            frame,
            ..place.clone()
        };
        self.run_list(&items, hosts, &place).await
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

    fn fail_all(&self, run: &TaskRun, hosts: &[String], why: &str, place: &Place) -> Failures {
        self.announce(run, hosts, place.is_handler);
        hosts
            .iter()
            .map(|host| {
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

    fn finish_host(&self, run: &TaskRun, end: &HostEnd) {
        let report = end.end.report(end.is_ignored, &Value::clone);
        self.state.borrow_mut().stats.count(&end.host, &report);
        self.port.emit(crate::event::Event::HostFinished {
            host: end.host.clone(),
            step: run.task.id.clone(),
            name: run.name.clone(),
            report,
        });
    }

    fn count_skip(&self, host: &str) {
        self.state.borrow_mut().stats.host(host).skipped += 1;
    }

    /// `meta: …`.
    pub(crate) async fn run_meta(&self, run: &TaskRun, what: &str, hosts: &[String]) -> Flow<()> {
        let chosen: Vec<String> = hosts
            .iter()
            .filter(|host| {
                let view = self.task_view(host, &run.task, &run.frame);
                matches!(self.first_false(run.frame.conditions(), &view), Ok(None))
            })
            .cloned()
            .collect();
        if chosen.is_empty() {
            return Ok(());
        }
        match what {
            "noop" | "refresh_inventory" => Ok(()),
            "flush_handlers" => Box::pin(self.flush_handlers()).await,
            "end_play" => Err(Halt::EndPlay),
            "end_batch" => Err(Halt::EndBatch),
            "end_host" => {
                self.state.borrow_mut().play.gone.extend(chosen);
                Ok(())
            }
            "clear_facts" => {
                let mut state = self.state.borrow_mut();
                for host in &chosen {
                    state.hosts.entry(host.clone()).or_default().clear_facts();
                }
                Ok(())
            }
            "clear_host_errors" => {
                let mut state = self.state.borrow_mut();
                state.play.failed.clear();
                state.play.gone.clear();
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
