//! `setup`, `gather_facts`: what a host is, in one trip and without Python.
//!
//! Source of names and shapes: ansible-core 2.19, `modules/setup.py` and `module_utils/facts/`.
//! `python` tells of a Python 3 that the host happens to have; without one it is absent.

use super::facts::{self, Sections};
use super::facts_hardware;
use super::facts_network;
use super::words::{self, Expand};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// Gathers facts.
///
/// # Returns
/// * `ansible_facts`: the facts; each is also a variable `ansible_NAME`.
///
/// # Example
/// ```yaml
/// - setup:
///     gather_subset: [network]
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Setup;

/// Arguments of `setup` and `gather_facts`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct SetupArgs {
    /// What to gather: `all` (default), `min`, `hardware`, `network`, `virtual`, or the name of a
    /// fact; with `!` in front: not that.
    gather_subset: Option<Vec<String>>,
    /// Patterns of facts to keep. Default: all.
    filter: Option<Vec<String>>,
    /// Seconds that one part may take in Ansible; every part here is bounded, so it has no effect.
    #[serde(rename = "gather_timeout")]
    _gather_timeout: Option<u32>,
    /// The folder of local facts. Default `/etc/ansible/facts.d`.
    fact_path: Option<String>,
    /// Whether to gather the facts of several parts at a time in Ansible; no effect here.
    #[serde(rename = "parallel")]
    _parallel: Option<bool>,
}

/// Which parts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each part is wanted or not")]
struct Subset {
    minimal: bool,
    hardware: bool,
    network: bool,
    is_virtual: bool,
}

/// Names of Ansible's collectors and the part that they are in here.
const HARDWARE: &[&str] = &[
    "hardware",
    "devices",
    "mounts",
    "processor",
    "dmi",
    "memory",
];
const NETWORK: &[&str] = &[
    "network",
    "interfaces",
    "default_ipv4",
    "default_ipv6",
    "all_ipv4_addresses",
    "all_ipv6_addresses",
];
const VIRTUAL: &[&str] = &[
    "virtual",
    "virtualization_type",
    "virtualization_role",
    "virtualization_tech_guest",
    "virtualization_tech_host",
];
const MINIMAL: &[&str] = &[
    "min",
    "apparmor",
    "architecture",
    "caps",
    "chroot",
    "cmdline",
    "date_time",
    "distribution",
    "distribution_release",
    "distribution_version",
    "distribution_major_version",
    "dns",
    "env",
    "facter",
    "fibre_channel_wwn",
    "fips",
    "hostname",
    "iscsi",
    "is_chroot",
    "kernel",
    "lsb",
    "loadavg",
    "local",
    "lvm",
    "machine",
    "machine_id",
    "nvme",
    "ohai",
    "os_family",
    "pkg_mgr",
    "platform",
    "python",
    "python_version",
    "selinux",
    "service_mgr",
    "ssh_host_pub_keys",
    "ssh_pub_keys",
    "system",
    "system_capabilities",
    "systemd",
    "user",
    "user_id",
];

impl Subset {
    fn of(args: &SetupArgs) -> Result<Self, String> {
        let names = args.gather_subset.clone().unwrap_or_default();
        let mut subset = Self {
            minimal: true,
            hardware: true,
            network: true,
            is_virtual: true,
        };
        // Naming a part without `all` leaves out the others.
        let is_positive = |name: &&String| !name.starts_with('!');
        if names.iter().any(|name| is_positive(&name)) && !names.iter().any(|name| name == "all")
            || names.iter().any(|name| name == "!all")
        {
            subset = Self {
                minimal: true,
                hardware: false,
                network: false,
                is_virtual: false,
            };
        }
        for wanted in [true, false] {
            for name in names.iter().filter(|name| is_positive(name) == wanted) {
                subset.set(name.trim_start_matches('!'), wanted)?;
            }
        }
        Ok(subset)
    }

    fn set(&mut self, name: &str, is_wanted: bool) -> Result<(), String> {
        let part = if HARDWARE.contains(&name) {
            &mut self.hardware
        } else if NETWORK.contains(&name) {
            &mut self.network
        } else if VIRTUAL.contains(&name) {
            &mut self.is_virtual
        } else if name == "min" {
            &mut self.minimal
        } else if name == "all" || MINIMAL.contains(&name) {
            return Ok(());
        } else {
            return Err(format!(
                "Bad subset '{name}' given to Ansible. gather_subset options allowed: all, min, \
                 hardware, network, virtual and the names of facts"
            ));
        };
        *part = is_wanted;
        Ok(())
    }
}

const SCRIPT: &str = include_str!("setup.sh");
const SCRIPT_HARDWARE: &str = include_str!("setup_hardware.sh");
const SCRIPT_NETWORK: &str = include_str!("setup_network.sh");
const SCRIPT_VIRTUAL: &str = include_str!("setup_virtual.sh");
/// Ends the sections: what follows is the environment, byte for byte.
const ENVIRONMENT: &str = "\n@@environ\n";

impl Module for Setup {
    const NAME: &'static str = "setup";
    const EFFECT: Effect = Effect::Reads;
    type Args = SetupArgs;

    fn check(args: &SetupArgs) -> Result<(), String> {
        Subset::of(args).map(drop)
    }

    fn probe(args: &SetupArgs, _: &[Resolved]) -> Option<Script> {
        let mut sh = SCRIPT.to_owned();
        // `check` has refused a subset that cannot be read.
        let subset = Subset::of(args).ok()?;
        for (is_wanted, part) in [
            (subset.hardware, SCRIPT_HARDWARE),
            (subset.network, SCRIPT_NETWORK),
            (subset.is_virtual, SCRIPT_VIRTUAL),
        ] {
            if is_wanted {
                sh.push_str(part);
            }
        }
        let folder = args.fact_path.as_deref().unwrap_or("/etc/ansible/facts.d");
        sh.push_str(&format!(
            "for SB_fact in {}/*.fact; do\n\
             [ -f \"$SB_fact\" ] || continue\n\
             SB_name=${{SB_fact##*/}}\n\
             sb_section \"local ${{SB_name%.fact}}\"\n\
             if [ -x \"$SB_fact\" ]; then\n\
             {{ \"$SB_fact\" 2>/dev/null </dev/null || echo \"@failed $?\"; }} | sb_lines\n\
             else sb_lines <\"$SB_fact\"; fi\ndone\n\
             printf '\\n@@environ\\n'\ncat /proc/self/environ 2>/dev/null\nexit 0\n",
            words::expanding(folder, Expand::Variables)
        ));
        Some(Script::new(sh))
    }

    fn decide(args: &SetupArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        let text = reply.stdout_text();
        let Some((text, environment)) = text.split_once(ENVIRONMENT) else {
            return Err(Failure::of_reply(
                "the facts were not gathered to their end",
                reply,
            ));
        };
        let subset = Subset::of(args).map_err(Failure::new)?;
        let sections = Sections::read(text);
        let mut found = Map::new();
        if subset.minimal {
            found.extend(facts::minimal(&sections));
            found.insert("env".into(), Value::from(environ(environment)));
            // Ansible keeps the prefix of this one, also without `ansible_` in front of all others.
            found.insert("ansible_local".into(), local(&sections));
        }
        if subset.hardware {
            found.extend(facts_hardware::hardware(&sections));
        }
        if subset.network {
            found.extend(facts_network::network(&sections));
        }
        if subset.is_virtual {
            found.extend(facts_hardware::virtualization(&sections));
        }
        let names = args
            .gather_subset
            .clone()
            .unwrap_or_else(|| vec!["all".into()]);
        found.insert("gather_subset".into(), super::result::strings(names));
        found.insert("module_setup".into(), true.into());
        if let Some(patterns) = args.filter.as_ref().filter(|patterns| !patterns.is_empty()) {
            let patterns = patterns
                .iter()
                .map(|p| matcher(p))
                .collect::<Result<Vec<_>, _>>();
            let patterns = patterns.map_err(Failure::new)?;
            found.retain(|name, _| {
                let full = format!("ansible_{name}");
                patterns
                    .iter()
                    .any(|p| p.is_match(name) || p.is_match(&full))
            });
        }
        Ok(Decision::Unchanged(Outcome {
            facts: found,
            ..Outcome::default()
        }))
    }

    fn finish(
        _: &SetupArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: setup never decides on a change")
    }
}

fn matcher(pattern: &str) -> Result<globset::GlobMatcher, String> {
    globset::Glob::new(pattern)
        .map(|glob| glob.compile_matcher())
        .map_err(|error| format!("the filter `{pattern}` is no pattern: {error}"))
}

/// The host's environment, without what is switchback's own.
fn environ(bytes: &str) -> Map {
    bytes
        .split('\0')
        .filter_map(|entry| entry.split_once('='))
        .filter(|(name, _)| !name.starts_with("SB_"))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// Facts of the host's own files: JSON, else INI, as Ansible reads them.
fn local(sections: &Sections) -> Value {
    let mut local = Map::new();
    for (name, lines) in sections.starting("local ") {
        let text = lines.join("\n");
        let value = if let Some(rc) = lines.last().and_then(|line| line.strip_prefix("@failed ")) {
            format!("Failure executing fact script ({name}), rc: {rc}").into()
        } else if let Ok(json) = serde_json::from_str(&text) {
            Value::from_json(json)
        } else if let Some(ini) = ini(lines) {
            Value::from(ini)
        } else {
            format!("error loading fact - please check content: {name}").into()
        };
        local.insert(name.to_owned(), value);
    }
    Value::from(local)
}

/// Sections of an INI file; `None` where a line is outside of all of them.
fn ini(lines: &[String]) -> Option<Map> {
    let mut all: Vec<(String, Map)> = Vec::new();
    for line in lines.iter().map(|line| line.trim()) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            all.push((name.to_owned(), Map::new()));
            continue;
        }
        let at = line.find(['=', ':'])?;
        let (_, section) = all.last_mut()?;
        section.insert(
            line[..at].trim().to_lowercase(),
            line[at + 1..].trim().into(),
        );
    }
    Some(
        all.into_iter()
            .map(|(name, section)| (name, Value::from(section)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;

    fn gather(shell: &'static [&'static str], args: serde_json::Value) -> Map {
        let ran = Trial::new(shell).run::<Setup>(args);
        assert_eq!(ran.trips, 1);
        let outcome = ran.result.unwrap();
        assert!(!outcome.is_changed);
        outcome.facts
    }

    fn says(command: &str) -> Value {
        let output = std::process::Command::new("sh")
            .args(["-c", command])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end().into()
    }

    #[test]
    fn facts_agree_with_the_machine() {
        for shell in SHELLS {
            let facts = gather(shell, serde_json::json!({}));
            assert_eq!(facts["nodename"], says("uname -n"));
            assert_eq!(facts["kernel"], says("uname -r"));
            assert_eq!(facts["machine"], says("uname -m"));
            assert_eq!(facts["system"], "Linux".into());
            assert_eq!(facts["user_id"], says("id -un"));
            assert_eq!(
                facts["user_uid"].as_int().unwrap().to_string(),
                says("id -u").as_str().unwrap()
            );
            assert_eq!(facts["env"].get("HOME"), Some(&says("echo $HOME")));
            assert_eq!(
                facts["processor_nproc"].as_int().unwrap().to_string(),
                says("nproc").as_str().unwrap()
            );
            let total = says("awk '/MemTotal/{print int($2/1024)}' /proc/meminfo");
            assert_eq!(
                facts["memtotal_mb"].as_int().unwrap().to_string(),
                total.as_str().unwrap()
            );
            assert!(facts["date_time"].get("epoch").is_some());
            assert!(
                facts["interfaces"]
                    .as_list()
                    .unwrap()
                    .contains(&"lo".into())
            );
            let lo = facts["lo"].get("ipv4").unwrap();
            assert_eq!(lo.get("address"), Some(&"127.0.0.1".into()));
            assert_eq!(lo.get("netmask"), Some(&"255.0.0.0".into()));
            assert!(facts["mounts"].as_list().is_some());
            assert_eq!(facts["module_setup"], true.into());
        }
    }

    #[test]
    fn subset_and_filter_narrow_what_is_gathered() {
        for (args, has, lacks) in [
            (
                serde_json::json!({"gather_subset": "min"}),
                "distribution",
                "memtotal_mb",
            ),
            (
                serde_json::json!({"gather_subset": "!all"}),
                "distribution",
                "interfaces",
            ),
            (
                serde_json::json!({"gather_subset": "!hardware"}),
                "interfaces",
                "memtotal_mb",
            ),
            (
                serde_json::json!({"gather_subset": "network"}),
                "interfaces",
                "memtotal_mb",
            ),
            (
                serde_json::json!({"gather_subset": ["!all", "!min", "hardware"]}),
                "memtotal_mb",
                "distribution",
            ),
            (
                serde_json::json!({"filter": "ansible_mem*"}),
                "memtotal_mb",
                "distribution",
            ),
            (
                serde_json::json!({"filter": ["distribution*"]}),
                "distribution_version",
                "kernel",
            ),
        ] {
            let facts = gather(SHELLS[0], args.clone());
            assert!(facts.contains_key(has), "{args} {has}");
            assert!(!facts.contains_key(lacks), "{args} {lacks}");
        }
        assert!(
            Trial::refusal::<Setup>(serde_json::json!({"gather_subset": "nonsense"}))
                .starts_with("Bad subset 'nonsense' given to Ansible.")
        );
    }

    #[test]
    fn local_facts_are_json_ini_or_programs() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
                .unwrap();
        };
        write("a.fact", "{\"x\": [1, \"@@uname\"]}", 0o644);
        write("b.fact", "[general]\nKey = value\n", 0o644);
        write("c.fact", "#!/bin/sh\necho '{\"run\": true}'\n", 0o755);
        write("d.fact", "@@uname\nHACK\n", 0o644);
        write("e.fact", "#!/bin/sh\nexit 3\n", 0o755);
        for shell in SHELLS {
            let facts = gather(shell, serde_json::json!({"fact_path": dir.path()}));
            let local = &facts["ansible_local"];
            assert_eq!(
                local.to_exposed_json(),
                serde_json::json!({
                    "a": {"x": [1, "@@uname"]},
                    "b": {"general": {"key": "value"}},
                    "c": {"run": true},
                    "d": "error loading fact - please check content: d",
                    "e": "Failure executing fact script (e), rc: 3",
                })
            );
            assert_eq!(facts["system"], "Linux".into());
        }
    }
}
