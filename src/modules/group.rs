//! `group`: groups of accounts.
//!
//! Source: ansible-core 2.19, `modules/group.py`.

use super::command::last;
use super::result::fields;
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Makes, changes and removes a group.
///
/// # Returns
/// * `name`: the group.
/// * `gid`: its number.
/// * `state`: whether it is `present` or `absent`.
/// * `system`: whether it was made as a system group.
///
/// # Example
/// ```yaml
/// - group:
///     name: deploy
///     gid: 2000
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Group;

/// Arguments of `group`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Ansible's arguments"
)]
pub(super) struct GroupArgs {
    /// The group.
    name: String,
    /// `present` (default) or `absent`.
    #[serde(default)]
    state: Presence,
    /// Its number. Default: the next that is free.
    gid: Option<u32>,
    /// Whether it is made as a group of the system. Default false.
    #[serde(default)]
    system: bool,
    /// Whether it is removed even if it is an account's own group. Default false.
    #[serde(default)]
    force: bool,
    /// Whether other groups may have the same number. Default false.
    #[serde(default)]
    non_unique: bool,
    /// Not supported.
    #[serde(default)]
    local: bool,
    /// The lowest number to choose.
    gid_min: Option<u32>,
    /// The highest number to choose.
    gid_max: Option<u32>,
}

/// Whether a thing is to be there.
#[derive(serde::Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Presence {
    #[default]
    Present,
    Absent,
}

impl Presence {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
        }
    }
}

/// Whether a text may stand where a command expects a name.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.starts_with('-') || name.contains([':', '\n', ',', '\0']) {
        return Err(format!("`{name}` cannot be the name of a {what}"));
    }
    Ok(())
}

impl Module for Group {
    const NAME: &'static str = "group";
    const EFFECT: Effect = Effect::Converges;
    type Args = GroupArgs;

    fn check(args: &GroupArgs) -> Result<(), String> {
        if args.local {
            return Err("`local` is not supported".into());
        }
        if args.non_unique && args.gid.is_none() {
            return Err("non_unique is True but all of the following are missing: gid".into());
        }
        check_name("group", &args.name)
    }

    fn probe(args: &GroupArgs, _: &[Resolved]) -> Option<Script> {
        let name = quote(&args.name);
        Some(Script::new(format!(
            "SB_group=$(getent group {name} || grep -- {}: /etc/group)\nsb_kv group \"$SB_group\"\n\
             command -v groupadd >/dev/null || sb_kv tools no\n",
            quote(&format!("^{}", args.name))
        )))
    }

    fn decide(args: &GroupArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let seen = seen[0].fields();
        let line = seen.get("group").map_or("", String::as_str);
        let parts: Vec<&str> = line.split(':').collect();
        let gid = parts.get(2).and_then(|gid| gid.parse::<u32>().ok());
        let members = parts.get(3).copied().unwrap_or_default();
        let name = quote(&args.name);
        let force = if args.force { " -f" } else { "" };
        let (summary, act, back) = match (args.state, gid) {
            (Presence::Absent, None) => {
                return Ok(Decision::Unchanged(Outcome::ok(result(args, None))));
            }
            (Presence::Absent, Some(gid)) => (
                format!("remove the group {}", args.name),
                format!("groupdel{force} {name}"),
                format!(
                    "getent group {name} >/dev/null || groupadd -g {gid} -o {name} || exit\n{}",
                    members_back(&args.name, members)
                ),
            ),
            (Presence::Present, None) => (
                format!("make the group {}", args.name),
                add(args),
                format!("if getent group {name} >/dev/null; then groupdel {name}; fi\n"),
            ),
            (Presence::Present, Some(now)) => match args.gid {
                Some(wanted) if wanted != now => (
                    format!("group {}: gid {now} -> {wanted}", args.name),
                    format!(
                        "groupmod -g {wanted}{} {name}",
                        if args.non_unique { " -o" } else { "" }
                    ),
                    format!("groupmod -g {now} -o {name}\n"),
                ),
                _ => return Ok(Decision::Unchanged(Outcome::ok(result(args, Some(now))))),
            },
        };
        if seen.contains_key("tools") {
            return Err(Failure::new(
                "the host has no groupadd (package shadow or passwd)",
            ));
        }
        Ok(Decision::Change(Change {
            summary,
            diff: Vec::new(),
            acts: vec![Act::script(format!(
                "{act} || exit\nsb_kv group \"$(getent group {name})\"\n"
            ))],
            undo: Undo::Acts {
                summary: format!("bring the group {} back to its state before", args.name),
                acts: vec![Act::script(back)],
            },
            foretell: Foretell::Changed(Map::new()),
        }))
    }

    fn finish(
        args: &GroupArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        if reply.rc != 0 {
            let text = reply.stderr_text();
            return Err(Failure::of_reply(text.trim(), reply));
        }
        let fields = reply.fields();
        let line = fields.get("group").map_or("", String::as_str);
        let gid = line.split(':').nth(2).and_then(|gid| gid.parse().ok());
        Ok(Outcome::changed(result(args, gid)))
    }
}

fn result(args: &GroupArgs, gid: Option<u32>) -> Map {
    let mut result = fields([
        ("name", args.name.as_str().into()),
        ("state", args.state.name().into()),
    ]);
    if let (Some(gid), Presence::Present) = (gid, args.state) {
        result.insert("system".into(), args.system.into());
        result.insert("gid".into(), Value::Int(gid.into()));
    }
    result
}

fn add(args: &GroupArgs) -> String {
    let mut act = "groupadd".to_owned();
    if let Some(gid) = args.gid {
        act.push_str(&format!(" -g {gid}"));
    }
    if args.non_unique {
        act.push_str(" -o");
    }
    if args.system {
        act.push_str(" -r");
    }
    for (key, value) in [("GID_MIN", args.gid_min), ("GID_MAX", args.gid_max)] {
        if let Some(value) = value {
            act.push_str(&format!(" -K {key}={value}"));
        }
    }
    format!("{act} {}", quote(&args.name))
}

fn members_back(name: &str, members: &str) -> String {
    members
        .split(',')
        .filter(|member| !member.is_empty())
        .map(|member| {
            format!(
                "if getent passwd {0} >/dev/null; then usermod -a -G {1} {0} || exit; fi\n",
                quote(member),
                quote(name)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;

    #[test]
    fn a_group_that_is_there_is_left_alone() {
        for shell in SHELLS {
            let ran = Trial::new(shell).run::<Group>(serde_json::json!({"name": "daemon"}));
            let outcome = ran.result.unwrap();
            assert!(!outcome.is_changed);
            assert_eq!(outcome.result["gid"], Value::Int(1));
        }
    }

    #[test]
    fn what_is_done_is_what_differs() {
        let trial = Trial::new(SHELLS[0]);
        for (args, act) in [
            (
                serde_json::json!({"name": "no-such", "gid": 4711, "system": true}),
                "groupadd -g 4711 -r no-such ",
            ),
            (
                serde_json::json!({"name": "daemon", "gid": 4711}),
                "groupmod -g 4711 daemon ",
            ),
            (
                serde_json::json!({"name": "daemon", "state": "absent"}),
                "groupdel daemon ",
            ),
        ] {
            let change = trial.decide::<Group>(args).unwrap();
            let Act::Script { script, .. } = &change.acts[0] else {
                panic!("no script")
            };
            assert!(script.sh.starts_with(act), "{}", script.sh);
        }
        assert_eq!(
            Trial::refusal::<Group>(serde_json::json!({"name": "-x"})),
            "`-x` cannot be the name of a group"
        );
    }
}
