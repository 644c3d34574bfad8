//! `hostname`: the machine's name, now and after the next boot.
//!
//! Source: ansible-core 2.19, `modules/hostname.py`.

use super::command::last;
use super::result::fields;
use super::{
    Act, Change, Decision, Diff, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo,
};
use crate::script::{Reply, Script, quote};
use crate::value::Map;

/// Sets the machine's name.
///
/// # Returns
/// * `name`: the name.
///
/// # Example
/// ```yaml
/// - hostname:
///     name: db1
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Hostname;

/// Arguments of `hostname`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HostnameArgs {
    /// The name.
    name: String,
    /// How it is set; `systemd`, `debian`, `generic` and the like all come to the same here.
    #[serde(rename = "use")]
    _strategy: Option<String>,
}

impl Module for Hostname {
    const NAME: &'static str = "hostname";
    const EFFECT: Effect = Effect::Converges;
    type Args = HostnameArgs;

    fn check(args: &HostnameArgs) -> Result<(), String> {
        let is_name = !args.name.is_empty()
            && args.name.len() <= 64
            && !args.name.starts_with('-')
            && args
                .name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !is_name {
            return Err(format!("`{}` cannot be the name of a machine", args.name));
        }
        Ok(())
    }

    fn probe(_: &HostnameArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(
            "IFS= read -r SB_now </proc/sys/kernel/hostname || SB_now=$(uname -n)\nsb_kv now \"$SB_now\"\n\
             SB_name=\n[ -r /etc/hostname ] && while IFS= read -r SB_line || [ -n \"$SB_line\" ]; do\n\
             case $SB_line in '' | '#'*) ;; *) SB_name=$SB_line; break ;; esac\ndone </etc/hostname\n\
             sb_kv permanent \"$SB_name\"\nsb_kv fqdn \"$(hostname -f 2>/dev/null)\"\nexit 0\n",
        ))
    }

    fn decide(args: &HostnameArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let seen = seen[0].fields();
        let of = |name: &str| seen.get(name).map_or("", String::as_str);
        let (now, permanent) = (of("now"), of("permanent"));
        if now == args.name && permanent == args.name {
            return Ok(Decision::Unchanged(outcome(args, of("fqdn"), false)));
        }
        let before = if now == args.name { permanent } else { now };
        Ok(Decision::Change(Change {
            summary: format!("{before} -> {}", args.name),
            diff: vec![Diff {
                before_header: "hostname".into(),
                after_header: "hostname".into(),
                before: format!("hostname = {before}\n"),
                after: format!("hostname = {}\n", args.name),
            }],
            acts: vec![Act::script(
                set(&args.name, &args.name) + "sb_kv fqdn \"$(hostname -f 2>/dev/null)\"\n",
            )],
            undo: Undo::Acts {
                summary: format!("name the machine {now} again"),
                acts: vec![Act::script(set(now, permanent))],
            },
            foretell: Foretell::Changed(fields([("name", args.name.as_str().into())])),
        }))
    }

    fn finish(
        args: &HostnameArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        if reply.rc != 0 {
            return Err(Failure::of_reply("the name could not be set", reply));
        }
        let fields = reply.fields();
        Ok(outcome(
            args,
            fields.get("fqdn").map_or("", String::as_str),
            true,
        ))
    }
}

/// Sets both names; the permanent one through a temporary file, so that it is never half-written.
fn set(now: &str, permanent: &str) -> String {
    let file = if permanent.is_empty() {
        "rm -f /etc/hostname || exit\n".to_owned()
    } else {
        format!(
            "printf '%s\\n' {} >/etc/hostname.switchback && chmod 644 /etc/hostname.switchback && \
             mv -f /etc/hostname.switchback /etc/hostname || exit\n",
            quote(permanent)
        )
    };
    // hostnamed writes the file as well; the file is set last, so that it is what is wanted.
    format!(
        "if [ -d /run/systemd/system ] && command -v hostnamectl >/dev/null; then hostnamectl set-hostname {0} || exit\n\
         else hostname {0} || exit\nfi\n{file}",
        quote(now)
    )
}

fn outcome(args: &HostnameArgs, fqdn: &str, is_changed: bool) -> Outcome {
    let fqdn = if fqdn.is_empty() {
        args.name.as_str()
    } else {
        fqdn
    };
    let facts: Map = fields([
        (
            "hostname",
            args.name.split('.').next().unwrap_or_default().into(),
        ),
        ("nodename", args.name.as_str().into()),
        ("fqdn", fqdn.into()),
        (
            "domain",
            fqdn.split_once('.').map_or("", |(_, domain)| domain).into(),
        ),
    ]);
    Outcome {
        is_changed,
        result: fields([("name", args.name.as_str().into())]),
        facts,
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;

    #[test]
    fn a_name_that_differs_is_set_and_taken_back() {
        for shell in SHELLS {
            let change = Trial::new(shell)
                .decide::<Hostname>(serde_json::json!({"name": "other.example"}))
                .unwrap();
            let now = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
            assert_eq!(change.summary, format!("{} -> other.example", now.trim()));
            let (Act::Script { script, .. }, Undo::Acts { acts, .. }) =
                (&change.acts[0], &change.undo)
            else {
                panic!("{change:?}")
            };
            assert!(
                script.sh.contains("hostname other.example ||"),
                "{}",
                script.sh
            );
            let Act::Script { script, .. } = &acts[0] else {
                panic!("{acts:?}")
            };
            assert!(
                script.sh.contains(&format!("hostname {} ||", now.trim())),
                "{}",
                script.sh
            );
        }
        assert_eq!(
            Trial::refusal::<Hostname>(serde_json::json!({"name": "a b"})),
            "`a b` cannot be the name of a machine"
        );
    }
}
