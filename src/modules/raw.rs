//! `raw`: a line for the host's shell, with nothing around it.
//!
//! Source: ansible-core 2.19, `plugins/action/raw.py`: no `cmd` in the result, nothing stripped,
//! and in check mode always skipped.

use super::command::{finished, last};
use super::result::of_command;
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};

/// Runs a line with the host's shell.
///
/// # Returns
/// * `rc`: the exit status.
/// * `stdout`: the output.
/// * `stdout_lines`: the same as a list of lines.
/// * `stderr`: the error output.
/// * `stderr_lines`: the same as a list of lines.
///
/// # Example
/// ```yaml
/// - raw: uptime
///   changed_when: false
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Raw;

/// Arguments of `raw`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArgs {
    /// The line to run.
    #[serde(rename = "_raw_params")]
    raw_params: String,
    /// The shell to run it with. Default `/bin/sh`.
    executable: Option<String>,
}

impl Module for Raw {
    const NAME: &'static str = "raw";
    const EFFECT: Effect = Effect::Once;
    type Args = RawArgs;

    fn probe(_: &RawArgs, _: &[Resolved]) -> Option<Script> {
        None
    }

    fn decide(args: &RawArgs, _: &[Resolved], _: &[Reply]) -> Result<Decision, Failure> {
        let shell = quote(args.executable.as_deref().unwrap_or("/bin/sh"));
        Ok(Decision::Change(Change {
            summary: args.raw_params.clone(),
            diff: Vec::new(),
            acts: vec![Act::script(format!(
                "exec {shell} -c {}\n",
                quote(&args.raw_params)
            ))],
            undo: Undo::Unknown("a command does not say what it changes"),
            foretell: Foretell::Skipped(String::new()),
        }))
    }

    fn finish(
        _: &RawArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        let outcome = finished(of_command(reply, false), reply.rc);
        outcome.map(|mut outcome| {
            outcome.result.shift_remove("msg");
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;
    use crate::value::Value;

    #[test]
    fn nothing_is_stripped_and_a_status_fails() {
        for shell in SHELLS {
            let ran = Trial::new(shell)
                .run::<Raw>(serde_json::json!({"_raw_params": "echo \"it's\"; exit 1"}));
            assert_eq!(ran.trips, 1);
            let failure = ran.result.unwrap_err();
            assert_eq!(failure.result["stdout"], "it's\n".into());
            assert_eq!(failure.result["rc"], Value::Int(1));
            let ran = Trial::new(shell).run::<Raw>(serde_json::json!({"_raw_params": "echo"}));
            assert!(!ran.result.unwrap().result.contains_key("cmd"));
        }
    }
}
