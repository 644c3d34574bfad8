//! `ping`: answers if a shell can be had on the host.

use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::Map;

/// Answers `pong` if a shell can be had on the host.
///
/// # Returns
/// * `ping`: `pong`, or what `data` says.
///
/// # Example
/// ```yaml
/// - ping:
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Ping;

/// Arguments of `ping`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PingArgs {
    /// What to answer; `crash` fails. Default `pong`.
    data: Option<String>,
}

impl Module for Ping {
    const NAME: &'static str = "ping";
    const EFFECT: Effect = Effect::Reads;
    type Args = PingArgs;

    fn probe(_: &PingArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(":"))
    }

    fn decide(args: &PingArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let data = args.data.as_deref().unwrap_or("pong");
        if data == "crash" {
            return Err(Failure {
                msg: "Task failed: Module failed: boom".into(),
                ..Failure::default()
            });
        }
        match &seen[0] {
            Reply { rc: 0, .. } => Ok(Decision::Unchanged(Outcome::ok(Map::from([(
                "ping".into(),
                data.into(),
            )])))),
            reply => Err(Failure::of_reply("the host did not answer the ping", reply)),
        }
    }

    fn finish(
        _: &PingArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: ping never decides on a change")
    }
}
