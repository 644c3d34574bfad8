//! Modules that act on the controller's own state. Only `async_status` makes a trip, as what it
//! asks about is known to the engine alone.
//!
//! Invariant: they change variables, groups and the course of the run, never a host.

mod assert;
mod debug;
mod hosts;
mod pause;
mod validate;
mod vars;

use super::end::ItemEnd;
use super::halt::Flow;
use super::item::{Early, Item};
use super::run::Run;
use crate::value::Value;

/// Their names.
pub const ACTIONS: &[&str] = &[
    "add_host",
    "assert",
    "async_status",
    "debug",
    "fail",
    "group_by",
    "include_vars",
    "pause",
    "set_fact",
    "set_stats",
    "validate_argument_spec",
];

/// Whether `name` is one of them.
pub(crate) fn is_action(name: &str) -> bool {
    ACTIONS.contains(&name)
}

impl Run {
    /// Runs an action.
    pub(crate) async fn act(
        &self,
        item: &Item,
        name: &str,
        args: &Value,
    ) -> Flow<Result<ItemEnd, Early>> {
        Ok(match name {
            "add_host" => Ok(self.add_host(args)),
            "assert" => self.assert(item, args),
            "async_status" => return self.async_status(item, args).await,
            "debug" => self.debug(item, args),
            "fail" => Ok(debug::fail(args)),
            "group_by" => Ok(self.group_by(item, args)),
            "include_vars" => self.include_vars(item, args),
            "pause" => return self.pause(item, args).await.map(Ok),
            "set_fact" => self.set_fact(item, args),
            "validate_argument_spec" => self.validate_argument_spec(item, args),
            _ => Ok(vars::set_stats(args)),
        })
    }
}
