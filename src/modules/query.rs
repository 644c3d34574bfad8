//! Modules that only look: `getent`, `package_facts`, `service_facts`.
//!
//! Source: ansible-core 2.19, `modules/getent.py`, `package_facts.py`, `service_facts.py`.

use super::result::fields;
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Looks up entries of the host's databases of names.
///
/// # Returns
/// * `ansible_facts`: `getent_DATABASE`: a mapping of each key to its fields.
///
/// # Example
/// ```yaml
/// - getent:
///     database: passwd
///     key: postgres
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Getent;

/// Arguments of `getent`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetentArgs {
    /// The database, such as `passwd`, `group` or `hosts`.
    database: String,
    /// What to look for. Default: all.
    key: Option<String>,
    /// The service to ask instead of those that the host is set up for.
    service: Option<String>,
    /// What the fields are split at. Default: `:` or blanks, as the database has it.
    split: Option<String>,
    /// Whether it fails where there is no such key. Default true.
    fail_key: Option<bool>,
}

/// An outcome that sets facts.
fn facts(facts: Map, result: Map) -> Decision {
    Decision::Unchanged(Outcome {
        result,
        facts,
        ..Outcome::default()
    })
}

impl Module for Getent {
    const NAME: &'static str = "getent";
    const EFFECT: Effect = Effect::Reads;
    type Args = GetentArgs;

    fn probe(args: &GetentArgs, _: &[Resolved]) -> Option<Script> {
        let mut sh = "exec getent".to_owned();
        if let Some(service) = &args.service {
            sh.push_str(&format!(" -s {}", quote(service)));
        }
        sh.push_str(&format!(" -- {}", quote(&args.database)));
        if let Some(key) = &args.key {
            sh.push_str(&format!(" {}", quote(key)));
        }
        Some(Script::new(sh))
    }

    fn decide(args: &GetentArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        let tree = format!("getent_{}", args.database);
        let has_colons = matches!(
            args.database.as_str(),
            "passwd" | "shadow" | "group" | "gshadow"
        );
        let split = args.split.as_deref().or(has_colons.then_some(":"));
        let msg = match reply.rc {
            0 => {
                let mut entries: Vec<(String, Vec<Value>)> = Vec::new();
                for line in reply.stdout_text().lines() {
                    let mut parts = match split {
                        Some(at) => line.split(at).map(str::to_owned).collect::<Vec<_>>(),
                        None => line.split_whitespace().map(str::to_owned).collect(),
                    }
                    .into_iter();
                    let key = parts.next().unwrap_or_default();
                    let rest = super::result::strings(parts);
                    match entries.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, all)) => all.push(rest),
                        None => entries.push((key, vec![rest])),
                    }
                }
                let entries: Map = entries
                    .into_iter()
                    .map(|(key, mut all)| match all.len() {
                        1 => (key, all.remove(0)),
                        _ => (key, Value::from(all)),
                    })
                    .collect();
                return Ok(facts(fields([(&tree, Value::from(entries))]), Map::new()));
            }
            1 => "Missing arguments, or database unknown.",
            2 => "One or more supplied key could not be found in the database.",
            3 => "Enumeration not supported on this database.",
            127 => "the host has no getent",
            _ => "Unexpected failure!",
        };
        match (&args.key, reply.rc, args.fail_key) {
            (Some(key), 2, Some(false)) => {
                let entries = fields([(key, Value::Null)]);
                Ok(facts(
                    fields([(&tree, Value::from(entries))]),
                    fields([("msg", msg.into())]),
                ))
            }
            _ => Err(Failure::new(msg)),
        }
    }

    fn finish(
        _: &GetentArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: getent never decides on a change")
    }
}

/// Lists the packages that are installed.
///
/// # Returns
/// * `ansible_facts`: `packages`: for each name a list with `version`, `arch` and `source`.
///
/// # Example
/// ```yaml
/// - package_facts:
///     manager: auto
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct PackageFacts;

/// Arguments of `package_facts`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct PackageFactsArgs {
    /// The package managers to ask: `auto` (default), `apt`, `rpm`.
    manager: Option<Vec<String>>,
    /// `first` (default) or `all`; of apt and rpm a host has one.
    strategy: Option<String>,
}

impl Module for PackageFacts {
    const NAME: &'static str = "package_facts";
    const EFFECT: Effect = Effect::Reads;
    type Args = PackageFactsArgs;

    fn check(args: &PackageFactsArgs) -> Result<(), String> {
        if let Some(strategy) = args.strategy.as_deref()
            && !matches!(strategy, "first" | "all")
        {
            return Err(format!(
                "value of strategy must be one of: all, first, got: {strategy}"
            ));
        }
        for manager in args.manager.iter().flatten() {
            if !matches!(
                manager.as_str(),
                "auto" | "apt" | "rpm" | "dnf" | "dnf5" | "yum" | "zypper"
            ) {
                return Err(format!(
                    "the package manager `{manager}` is not supported, only apt and rpm are"
                ));
            }
        }
        Ok(())
    }

    fn probe(_: &PackageFactsArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(
            "if command -v dpkg-query >/dev/null; then\n\
             exec dpkg-query -W -f 'apt\\t${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\t${Section}\\n'\n\
             elif command -v rpm >/dev/null; then\n\
             exec rpm -qa --qf 'rpm\\tii \\t%{NAME}\\t%{VERSION}\\t%{ARCH}\\t%{RELEASE}\\t%{EPOCH}\\n'\nfi\nexit 127\n",
        ))
    }

    fn decide(_: &PackageFactsArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        if reply.rc != 0 {
            return Err(Failure::of_reply(
                "Could not detect a supported package manager from the following list: ['apt', \
                 'rpm'], or the required Python library is not installed. Check warnings for \
                 details.",
                reply,
            ));
        }
        let mut packages: Vec<(String, Vec<Value>)> = Vec::new();
        for line in reply.stdout_text().lines() {
            let parts: Vec<&str> = line.split('\t').collect();
            let [source, status, name, version, arch, rest @ ..] = &parts[..] else {
                continue;
            };
            if status.get(1..2) != Some("i") {
                continue;
            }
            let mut package = fields([
                ("name", (*name).into()),
                ("version", (*version).into()),
                ("arch", (*arch).into()),
                ("source", (*source).into()),
            ]);
            match (*source, rest) {
                ("apt", [section, ..]) => {
                    package.insert("category".into(), (*section).into());
                }
                (_, [release, epoch, ..]) => {
                    package.insert("release".into(), (*release).into());
                    let epoch = epoch.parse().map_or(Value::Null, Value::Int);
                    package.insert("epoch".into(), epoch);
                }
                _ => {}
            }
            match packages.last_mut().filter(|(known, _)| known == name) {
                Some((_, all)) => all.push(Value::from(package)),
                None => packages.push(((*name).to_owned(), vec![Value::from(package)])),
            }
        }
        let packages: Map = packages
            .into_iter()
            .map(|(name, all)| (name, Value::from(all)))
            .collect();
        Ok(facts(
            fields([("packages", Value::from(packages))]),
            Map::new(),
        ))
    }

    fn finish(
        _: &PackageFactsArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: package_facts never decides on a change")
    }
}

/// Lists the services.
///
/// # Returns
/// * `ansible_facts`: `services`: for each name its `state`, `status` and `source`.
///
/// # Example
/// ```yaml
/// - service_facts:
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct ServiceFacts;

/// Arguments of `service_facts`: none.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceFactsArgs {}

impl Module for ServiceFacts {
    const NAME: &'static str = "service_facts";
    const EFFECT: Effect = Effect::Reads;
    type Args = ServiceFactsArgs;

    fn probe(_: &ServiceFactsArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(
            "if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then\n\
             systemctl list-units --no-pager --type service --all --plain --no-legend\n\
             echo '@@files'\n\
             systemctl list-unit-files --no-pager --type service --all --no-legend\nexit\nfi\n\
             echo '@@sysv'\n\
             for SB_file in /etc/init.d/*; do\n[ -x \"$SB_file\" ] && [ -f \"$SB_file\" ] || continue\n\
             if \"$SB_file\" status >/dev/null 2>&1 </dev/null; then echo \"${SB_file##*/} running\"; \
             else echo \"${SB_file##*/} stopped\"; fi\ndone\nexit 0\n",
        ))
    }

    fn decide(_: &ServiceFactsArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let text = seen[0].stdout_text();
        let services = if let Some((_, scripts)) = text.split_once("@@sysv\n") {
            scripts
                .lines()
                .filter_map(|line| line.rsplit_once(' '))
                .map(|(name, state)| (name.to_owned(), service(name, state, None, "sysv")))
                .collect()
        } else {
            let (units, files) = text.split_once("@@files\n").ok_or_else(|| {
                Failure::of_reply("the services were not listed to their end", &seen[0])
            })?;
            systemd(units, files)
        };
        Ok(facts(
            fields([("services", Value::from(services))]),
            Map::new(),
        ))
    }

    fn finish(
        _: &ServiceFactsArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: service_facts never decides on a change")
    }
}

fn service(name: &str, state: &str, status: Option<&str>, source: &str) -> Value {
    let mut entry = fields([
        ("name", name.into()),
        ("state", state.into()),
        ("source", source.into()),
    ]);
    if let Some(status) = status {
        entry.insert("status".into(), status.into());
    }
    Value::from(entry)
}

fn systemd(units: &str, files: &str) -> Map {
    const BAD: &[&str] = &["not-found", "masked", "failed"];
    let mut found: Vec<(&str, &str, &str)> = Vec::new();
    for line in units.lines().filter(|line| line.contains(".service")) {
        let words: Vec<&str> = line
            .split_whitespace()
            .filter(|word| *word != "●")
            .collect();
        let [name, _load, active, sub, ..] = words[..] else {
            continue;
        };
        let shown = &words[..words.len().saturating_sub(1).max(4)];
        let status = BAD
            .iter()
            .find(|bad| shown.contains(bad))
            .copied()
            .unwrap_or(active);
        let state = if sub == "running" {
            "running"
        } else {
            "stopped"
        };
        found.push((name, state, status));
    }
    for line in files.lines().filter(|line| line.contains(".service")) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(status)) = (words.next(), words.next()) else {
            continue;
        };
        match found.iter_mut().find(|(known, _, _)| *known == name) {
            Some((_, _, now)) if !BAD.contains(now) => *now = status,
            Some(_) => {}
            // A unit that is not loaded is not active; a template cannot be.
            None if name.contains("@.") => found.push((name, "unknown", status)),
            None => found.push((name, "inactive", status)),
        }
    }
    found
        .into_iter()
        .map(|(name, state, status)| {
            (
                name.to_owned(),
                service(name, state, Some(status), "systemd"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;

    #[test]
    fn names_are_looked_up() {
        for shell in SHELLS {
            let run = |args: serde_json::Value| Trial::new(shell).run::<Getent>(args).result;
            let outcome = run(serde_json::json!({"database": "passwd", "key": "root"})).unwrap();
            let root = outcome.facts["getent_passwd"]
                .get("root")
                .unwrap()
                .as_list()
                .unwrap()
                .to_vec();
            assert_eq!(root[1], "0".into());
            let failure =
                run(serde_json::json!({"database": "passwd", "key": "no-such"})).unwrap_err();
            assert_eq!(
                failure.msg,
                "One or more supplied key could not be found in the database."
            );
            let outcome =
                run(serde_json::json!({"database": "passwd", "key": "no-such", "fail_key": false}));
            assert_eq!(
                outcome.unwrap().facts["getent_passwd"].get("no-such"),
                Some(&Value::Null)
            );
        }
    }

    #[test]
    fn packages_are_listed() {
        let ran = Trial::new(SHELLS[0]).run::<PackageFacts>(serde_json::json!({}));
        assert_eq!(ran.trips, 1);
        let facts = ran.result.unwrap().facts;
        let dpkg = facts["packages"].get("dpkg").unwrap().as_list().unwrap()[0].clone();
        assert_eq!(dpkg.get("source"), Some(&"apt".into()));
        assert!(dpkg.get("version").is_some());
    }

    #[test]
    fn services_are_listed_as_ansible_lists_them() {
        let services = systemd(
            "ssh.service   loaded    active   running OpenBSD Secure Shell server\n\
             no.service    not-found inactive dead    no.service\n\
             bad.service   loaded    failed   failed  Bad\n",
            "ssh.service      enabled  enabled\ngetty@.service enabled enabled\n\
             off.service disabled enabled\nbad.service enabled enabled\n",
        );
        for (name, state, status) in [
            ("ssh.service", "running", "enabled"),
            ("no.service", "stopped", "not-found"),
            ("bad.service", "stopped", "failed"),
            ("getty@.service", "unknown", "enabled"),
            ("off.service", "inactive", "disabled"),
        ] {
            assert_eq!(services[name].get("state"), Some(&state.into()), "{name}");
            assert_eq!(services[name].get("status"), Some(&status.into()), "{name}");
        }
    }
}
