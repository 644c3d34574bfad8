//! `reboot`: restarts the machine and waits until it is back; `wait_for_connection`: waits until it
//! answers.
//!
//! The reboot itself starts in the background a moment after its script has answered, so that the
//! answer is not lost with the machine. That the machine has gone away and come back is seen by its
//! boot id. Source: ansible-core 2.19, `plugins/action/reboot.py` and `wait_for_connection.py`.

use super::command::last;
use super::result::fields;
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::Value;

/// Restarts the machine.
///
/// # Returns
/// * `rebooted`: whether it was restarted.
/// * `elapsed`: seconds that it took.
///
/// # Example
/// ```yaml
/// - reboot:
///     reboot_timeout: 300
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Reboot;

/// Arguments of `reboot`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RebootArgs {
    /// Seconds to wait for the machine at most. Default 600.
    #[serde(alias = "reboot_timeout_sec")]
    reboot_timeout: Option<u32>,
    /// Seconds before the reboot, rounded down to minutes. Default 0.
    #[serde(default, alias = "pre_reboot_delay_sec")]
    pre_reboot_delay: u32,
    /// Seconds to wait after it has come back, before it is tested. Default 0.
    #[serde(default, alias = "post_reboot_delay_sec")]
    post_reboot_delay: u32,
    /// No effect: the time for one connection is that of the connection.
    #[serde(rename = "connect_timeout", alias = "connect_timeout_sec")]
    _connect_timeout: Option<u32>,
    /// What users are told. Default `Reboot initiated by Ansible`.
    msg: Option<String>,
    /// What has to succeed before the machine counts as back. Default `whoami`.
    test_command: Option<String>,
    /// What prints something else after each boot. Default: the kernel's boot id.
    boot_time_command: Option<String>,
    /// Where `shutdown` is looked for.
    search_paths: Option<Vec<String>>,
    /// The command, with its arguments. Default `shutdown -r`.
    reboot_command: Option<String>,
}

const SEARCH_PATHS: &[&str] = &["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"];

impl RebootArgs {
    fn timeout_s(&self) -> u32 {
        self.reboot_timeout.unwrap_or(600)
    }

    fn boot_id(&self) -> String {
        self.boot_time_command.clone().unwrap_or_else(|| {
            "IFS= read -r SB_boot </proc/sys/kernel/random/boot_id && printf '%s\\n' \"$SB_boot\""
                .to_owned()
        })
    }

    fn command(&self) -> String {
        match &self.reboot_command {
            Some(command) => command.clone(),
            None => format!(
                "shutdown -r {} {}",
                self.pre_reboot_delay / 60,
                quote(self.msg.as_deref().unwrap_or("Reboot initiated by Ansible"))
            ),
        }
    }
}

impl Module for Reboot {
    const NAME: &'static str = "reboot";
    const EFFECT: Effect = Effect::Once;
    type Args = RebootArgs;

    fn probe(args: &RebootArgs, _: &[Resolved]) -> Option<Script> {
        let command = args.command();
        let program = quote(command.split(' ').next().unwrap_or_default());
        let paths = args.search_paths.clone();
        let paths = paths.unwrap_or_else(|| SEARCH_PATHS.iter().map(ToString::to_string).collect());
        let paths: Vec<String> = paths.iter().map(|path| quote(path)).collect();
        Some(Script::new(format!(
            "SB_boot=$({{ {}\n}} 2>&1) || {{ printf '%s\\n' \"$SB_boot\" >&2; exit 3; }}\nsb_kv boot \"$SB_boot\"\n\
             case {program} in\n/*) [ -x {program} ] && sb_kv program {program} ;;\n\
             *) for SB_dir in {}; do\n\
             if [ -x \"$SB_dir\"/{program} ]; then sb_kv program \"$SB_dir\"/{program}; break; fi\ndone ;;\nesac\nexit 0\n",
            args.boot_id(),
            paths.join(" "),
        )))
    }

    fn decide(args: &RebootArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        if reply.rc != 0 {
            return Err(Failure::of_reply(
                format!(
                    "reboot: failed to get host boot time info, rc: {}, stdout: , stderr: {}",
                    reply.rc,
                    reply.stderr_text().trim()
                ),
                reply,
            ));
        }
        let command = args.command();
        let (name, rest) = command.split_once(' ').unwrap_or((&command, ""));
        let found = reply.fields();
        let Some(program) = found.get("program") else {
            return Err(Failure::new(format!(
                "Unable to find command \"{name}\" in search paths: {}",
                args.search_paths
                    .clone()
                    .unwrap_or_else(|| { SEARCH_PATHS.iter().map(ToString::to_string).collect() })
                    .join(", ")
            )));
        };
        let start = format!(
            "(trap '' HUP; sleep 2; exec {} {rest}) </dev/null >/dev/null 2>&1 &\n",
            quote(program)
        );
        let test = args.test_command.as_deref().unwrap_or("whoami");
        let check = format!(
            "sleep {}\nSB_try=0\nuntil SB_out=$({{ {test}\n}} 2>&1 </dev/null); do\n\
             SB_try=$((SB_try + 1))\n[ $SB_try -lt 10 ] || {{ printf '%s\\n' \"$SB_out\" >&2; exit 4; }}\nsleep 2\ndone\n\
             sb_kv boot \"$({{ {}\n}} 2>&1)\"\n",
            args.post_reboot_delay,
            args.boot_id(),
        );
        Ok(Decision::Change(Change {
            summary: format!("reboot, wait {} s at most", args.timeout_s()),
            diff: Vec::new(),
            acts: vec![
                Act::script(start),
                Act::Reconnect {
                    timeout_s: args.timeout_s().saturating_add(args.pre_reboot_delay),
                    delay_s: 0,
                    restarts: true,
                },
                Act::script(check),
            ],
            undo: Undo::NotNeeded,
            foretell: Foretell::Changed(fields([
                ("rebooted", true.into()),
                ("elapsed", Value::Int(0)),
            ])),
        }))
    }

    fn finish(
        args: &RebootArgs,
        _: &[Resolved],
        seen: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let timed_out = |what: &str| Failure {
            msg: format!(
                "Timed out waiting for {what} (timeout={})",
                args.timeout_s()
            ),
            is_changed: false,
            result: fields([("rebooted", true.into())]),
            ..Failure::default()
        };
        let reply = last(replies)?;
        if reply.rc == 4 {
            return Err(timed_out("post-reboot test command"));
        }
        let after = reply.fields();
        let before = seen[0].fields();
        match (before.get("boot"), after.get("boot")) {
            (Some(before), Some(after)) if before != after && !after.is_empty() => {
                Ok(Outcome::changed(fields([("rebooted", true.into())])))
            }
            _ => Err(timed_out("last boot time check")),
        }
    }
}

/// Waits until the host answers.
///
/// # Returns
/// * `elapsed`: seconds that it took.
///
/// # Example
/// ```yaml
/// - wait_for_connection:
///     timeout: 120
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct WaitForConnection;

/// Arguments of `wait_for_connection`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitForConnectionArgs {
    /// Seconds to wait at most. Default 600.
    timeout: Option<u32>,
    /// Seconds before the first try. Default 0.
    #[serde(default)]
    delay: u32,
    /// No effect: tries follow one another as the connection does them.
    #[serde(rename = "sleep")]
    _sleep: Option<u32>,
    /// No effect: the time for one connection is that of the connection.
    #[serde(rename = "connect_timeout")]
    _connect_timeout: Option<u32>,
}

impl Module for WaitForConnection {
    const NAME: &'static str = "wait_for_connection";
    const EFFECT: Effect = Effect::Reads;
    type Args = WaitForConnectionArgs;

    fn probe(_: &WaitForConnectionArgs, _: &[Resolved]) -> Option<Script> {
        None
    }

    fn decide(
        args: &WaitForConnectionArgs,
        _: &[Resolved],
        _: &[Reply],
    ) -> Result<Decision, Failure> {
        let timeout_s = args.timeout.unwrap_or(600);
        Ok(Decision::Change(Change {
            summary: format!("wait until the host answers, at most {timeout_s} s"),
            diff: Vec::new(),
            acts: vec![
                Act::Reconnect {
                    timeout_s,
                    delay_s: args.delay,
                    restarts: false,
                },
                Act::script(":"),
            ],
            undo: Undo::NotNeeded,
            foretell: Foretell::Skipped(String::new()),
        }))
    }

    fn finish(
        args: &WaitForConnectionArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        match replies.last() {
            Some(Reply { rc: 0, .. }) => Ok(Outcome::default()),
            _ => Err(Failure::new(format!(
                "timed out waiting for ping module test (timeout={})",
                args.timeout.unwrap_or(600)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;

    #[test]
    fn a_reboot_is_seen_by_its_boot_id() {
        let args = RebootArgs::default();
        for shell in SHELLS {
            let trial = Trial::new(shell);
            let seen = trial.sh(&Reboot::probe(&args, &[]).unwrap().sh, b"");
            let Decision::Change(change) =
                Reboot::decide(&args, &[], std::slice::from_ref(&seen)).unwrap()
            else {
                panic!("nothing to do")
            };
            let [
                Act::Script { script, .. },
                Act::Reconnect {
                    timeout_s: 600,
                    restarts: true,
                    ..
                },
                Act::Script { script: check, .. },
            ] = &change.acts[..]
            else {
                panic!("{:?}", change.acts)
            };
            assert!(
                script
                    .sh
                    .contains("/shutdown -r 0 'Reboot initiated by Ansible')"),
                "{}",
                script.sh
            );
            // The same boot id as before: it has not gone away.
            let same = trial.sh(&check.sh, b"");
            let failure = Reboot::finish(&args, &[], std::slice::from_ref(&seen), &change, &[same])
                .unwrap_err();
            assert_eq!(
                failure.msg,
                "Timed out waiting for last boot time check (timeout=600)"
            );
            let other = Reply {
                stdout: b"boot=other\n".to_vec(),
                ..Reply::default()
            };
            let outcome = Reboot::finish(&args, &[], &[seen], &change, &[other]).unwrap();
            assert_eq!(outcome.result["rebooted"], true.into());
        }
    }

    #[test]
    fn a_command_that_is_not_there_reboots_nothing() {
        let ran = Trial::new(SHELLS[0]).run::<Reboot>(
            serde_json::json!({"reboot_command": "no-such-command now", "search_paths": "/sbin"}),
        );
        assert_eq!(
            ran.result.unwrap_err().msg,
            "Unable to find command \"no-such-command\" in search paths: /sbin"
        );
    }
}
