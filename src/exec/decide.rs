//! The talk between a module and a host that ends in a decision.
//!
//! Invariant: what is sent here only reads.

use super::end::{ItemEnd, failure_end, outcome_end};
use super::foretell::foretell_in_words;
use super::item::{Early, Item, probe_failed, with_environment};
use super::job;
use super::run::Run;
use super::secrets::hide_secret_lines;
use crate::modules::{AnyModule, Change, Decision, Outcome, Prepared, Resolved};
use crate::script::{Reply, Script};
use crate::transport::Target;
use crate::value::{Map, Value};

/// What a decision is made of.
pub(super) struct Looking<'a> {
    pub(super) item: &'a Item,
    pub(super) module: &'static dyn AnyModule,
    pub(super) prepared: &'a dyn Prepared,
    pub(super) inputs: &'a [Resolved],
    pub(super) target: &'a Target,
    pub(super) environment: &'a [(String, String)],
    pub(super) args: &'a Value,
    pub(super) is_job: bool,
}

impl Run {
    /// Asks the host until the module has decided: what it saw, the change, and what the module said
    /// of a job that has nothing to do.
    pub(super) async fn decide(
        &self,
        look: &Looking<'_>,
        probe: Option<Script>,
    ) -> Result<(Vec<Reply>, Change, Option<Outcome>), Early> {
        let item = look.item;
        let mut seen = Vec::new();
        let mut next = probe;
        loop {
            if let Some(script) = next.take() {
                let job = self.job(item, &with_environment(look.environment, &script.sh), None);
                match self.port.trip(look.target, job, None).await {
                    Ok(reply) => seen.push(reply),
                    Err(failed) => return Err(probe_failed(failed).into()),
                }
            }
            match look.prepared.decide(look.inputs, &seen) {
                Err(failure) => {
                    let end = self.planned_end(item, &failure, look.args);
                    return Err(end.unwrap_or_else(|| failure_end(failure)).into());
                }
                Ok(Decision::Unchanged(outcome)) if look.is_job => {
                    return Ok((seen, job::nothing_to_do(), Some(outcome)));
                }
                Ok(Decision::Unchanged(outcome)) if look.module.name() == "setup" => {
                    return Err(setup_end(outcome).into());
                }
                Ok(Decision::Unchanged(mut outcome)) => {
                    self.tell_same(item, look.module.name(), &mut outcome);
                    if item.is_check {
                        foretell_in_words(&mut outcome.result);
                    }
                    return Err(outcome_end(outcome).into());
                }
                Ok(Decision::Ask(script)) => next = Some(script),
                Ok(Decision::Change(mut change)) => {
                    hide_secret_lines(&mut change, look.inputs, look.args);
                    return Ok((seen, change, None));
                }
            }
        }
    }
}

/// The end of `setup`: `register` sees the facts with their prefix, as Ansible's module gives them.
fn setup_end(outcome: Outcome) -> ItemEnd {
    let prefixed = outcome.facts.iter().map(|(key, value)| {
        let is_bare = matches!(key.as_str(), "gather_subset" | "module_setup");
        let lead = if is_bare { "" } else { "ansible_" };
        (format!("{lead}{key}"), value.clone())
    });
    let facts = Value::from(prefixed.collect::<Map>());
    let mut end = outcome_end(outcome);
    end.result.insert("ansible_facts".into(), facts);
    end
}
