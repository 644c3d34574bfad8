//! `sysctl` (of `ansible.posix`): a setting of the kernel, in its file and in force.
//!
//! Source: `ansible.posix` 2.0, `plugins/modules/sysctl.py`.

use super::group::Presence;
use super::small_file::{SmallFile, text};
use super::ssh_keys::written;
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script, quote};
use crate::value::Map;

/// Sets a setting of the kernel.
///
/// # Example
/// ```yaml
/// - sysctl:
///     name: vm.overcommit_memory
///     value: "2"
///     sysctl_set: true
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Sysctl;

/// Arguments of `sysctl`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SysctlArgs {
    /// The setting: `vm.swappiness`.
    #[serde(alias = "key")]
    name: String,
    /// Its value.
    #[serde(alias = "val")]
    value: Option<String>,
    /// Whether its line is in the file: `present` (default) or `absent`.
    #[serde(default)]
    state: Presence,
    /// The file. Default `/etc/sysctl.conf`.
    sysctl_file: Option<String>,
    /// Whether the kernel reads the file after it has changed. Default true.
    reload: Option<bool>,
    /// Whether the value is set in the kernel too, if it is not so. Default false.
    #[serde(default)]
    sysctl_set: bool,
    /// Whether settings that the kernel does not know are passed over. Default false.
    #[serde(default)]
    ignoreerrors: bool,
}

impl SysctlArgs {
    fn file(&self) -> &str {
        self.sysctl_file.as_deref().unwrap_or("/etc/sysctl.conf")
    }

    /// The value as the file has it: Ansible writes booleans as numbers.
    fn wanted(&self) -> String {
        let value = self.value.as_deref().unwrap_or_default().trim();
        match value.to_ascii_lowercase().as_str() {
            "y" | "yes" | "on" | "true" | "t" => "1".into(),
            "n" | "no" | "off" | "false" | "f" => "0".into(),
            _ => value.to_owned(),
        }
    }

    fn set(&self, value: &str) -> String {
        let ignore = if self.ignoreerrors { "-e " } else { "" };
        format!(
            "sysctl {ignore}-w {} >/dev/null || exit\n",
            quote(&format!("{}={value}", self.name))
        )
    }
}

/// A value with single blanks between its parts, as values are compared.
fn plain(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Module for Sysctl {
    const NAME: &'static str = "sysctl";
    const EFFECT: Effect = Effect::Converges;
    type Args = SysctlArgs;

    fn check(args: &SysctlArgs) -> Result<(), String> {
        if args.state == Presence::Present
            && args.value.as_ref().is_none_or(|v| v.trim().is_empty())
        {
            return Err("value cannot be None".into());
        }
        let is_name = !args.name.is_empty()
            && !args.name.starts_with(['-', '.', '/'])
            && !args.name.contains("..")
            && args
                .name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-/:@*".contains(&b));
        if !is_name {
            return Err(format!("`{}` cannot be the name of a setting", args.name));
        }
        Ok(())
    }

    fn probe(args: &SysctlArgs, _: &[Resolved]) -> Option<Script> {
        // In names with a `/`, a `.` is part of a name (`net/ipv4/conf/eth0.1`).
        let path = if args.name.contains('/') {
            args.name.clone()
        } else {
            args.name.replace('.', "/")
        };
        let file = quote(args.file());
        Some(Script::new(format!(
            "SB_now=$(sysctl -n -e {name} 2>/dev/null) || {{ IFS= read -r SB_now </proc/sys/{path}; }} 2>/dev/null\n\
             sb_kv now \"$SB_now\"\n\
             [ -e {file} ] || exit 0\nsb_kv is_there yes\nsb_body\ncat -- {file}\n",
            name = quote(&args.name),
            path = quote(&path),
        )))
    }

    fn decide(args: &SysctlArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        if reply.rc != 0 {
            return Err(Failure::of_reply("the file cannot be read", reply));
        }
        let head = reply.fields();
        let now = head.get("now").map_or("", String::as_str);
        let before = String::from_utf8_lossy(reply.body()).into_owned();
        let wanted = args.wanted();
        let mut lines: Vec<String> = Vec::new();
        let mut has_it = false;
        for line in before.lines() {
            let is_setting = !line.trim_start().starts_with(['#', ';']);
            let setting = line.split_once('=').filter(|_| is_setting);
            match setting.filter(|(name, _)| name.trim() == args.name) {
                None => lines.push(line.to_owned()),
                Some(_) if args.state == Presence::Absent || has_it => {}
                Some((_, value)) => {
                    has_it = true;
                    let is_so = plain(value) == plain(&wanted);
                    lines.push(if is_so {
                        line.to_owned()
                    } else {
                        format!("{}={wanted}", args.name)
                    });
                }
            }
        }
        if args.state == Presence::Present && !has_it {
            lines.push(format!("{}={wanted}", args.name));
        }
        let writes = !lines.iter().map(String::as_str).eq(before.lines());
        let sets =
            args.sysctl_set && args.state == Presence::Present && plain(now) != plain(&wanted);
        if !writes && !sets {
            return Ok(Decision::Unchanged(Outcome::ok(Map::new())));
        }
        let file = SmallFile {
            path: args.file(),
            before: head.contains_key("is_there").then_some(before.as_str()),
            owner: "",
            mode: "644",
        };
        let mut then = String::new();
        if sets {
            then.push_str(&args.set(&wanted));
        }
        if writes && args.reload.unwrap_or(true) {
            let ignore = if args.ignoreerrors { "-e " } else { "" };
            then.push_str(&format!(
                "sysctl {ignore}-p {} >/dev/null || exit\n",
                quote(args.file())
            ));
        }
        // The value before, which may not be that of the file before.
        let back = if now.is_empty() || then.is_empty() {
            String::new()
        } else {
            args.set(&plain(now))
        };
        let summary = match args.state {
            Presence::Present => format!("{}: {} -> {wanted}", args.name, plain(now)),
            Presence::Absent => format!("{}: out of {}", args.name, args.file()),
        };
        Ok(Decision::Change(file.change(
            &text(&lines),
            summary,
            ["", &then, &back],
            Map::new(),
        )))
    }

    fn finish(
        _: &SysctlArgs,
        _: &[Resolved],
        _: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        written(change, replies)
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;

    #[test]
    fn a_line_is_set_once_and_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's.conf");
        let before = "# kernel\nvm.swappiness = 10\nother.x=1\n";
        for shell in SHELLS {
            std::fs::write(&path, before).unwrap();
            let trial = Trial::new(shell);
            let run = |value: &str| {
                trial.run::<Sysctl>(serde_json::json!(
                    {"name": "vm.swappiness", "value": value, "sysctl_file": path, "reload": false}
                ))
            };
            assert!(!run("10").result.unwrap().is_changed);
            let ran = run("11");
            assert!(ran.result.unwrap().is_changed);
            assert_eq!(
                std::fs::read_to_string(&path).unwrap(),
                "# kernel\nvm.swappiness=11\nother.x=1\n"
            );
            assert!(!run("11").result.unwrap().is_changed);
            trial.undo(&ran.change.unwrap());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        }
    }
}
