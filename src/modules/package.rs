//! `package`: packages by whatever the host has, apt or dnf.

use super::apt::Apt;
use super::dnf::{Dnf, DnfArgs};
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value, from_value};

/// Installs, upgrades and removes packages with the host's package manager.
///
/// # Example
/// ```yaml
/// - package:
///     name: rsync
///     state: present
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Package;

/// Arguments of `package`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PackageArgs {
    /// Packages, as the package manager names them.
    name: Vec<String>,
    /// `present`, `absent` or `latest`.
    state: String,
    /// `auto` (default), `apt`, `dnf` or `yum`.
    #[serde(rename = "use")]
    manager: Option<String>,
    /// Whether the package lists are fetched first.
    update_cache: Option<bool>,
    /// Whether packages that nothing needs any more are removed.
    autoremove: Option<bool>,
}

impl PackageArgs {
    fn dnf(&self) -> Result<DnfArgs, String> {
        DnfArgs::of_package(
            self.name.clone(),
            &self.state,
            self.update_cache.unwrap_or_default(),
            self.autoremove.unwrap_or_default(),
        )
    }

    /// The only manager that may be used, where one is named.
    fn wanted(&self) -> Option<&str> {
        let name = self.manager.as_deref()?;
        let name = name.strip_prefix("ansible.builtin.").unwrap_or(name);
        match name {
            "auto" => None,
            "yum" | "dnf4" | "dnf5" => Some("dnf"),
            name => Some(name),
        }
    }

    fn apt(&self) -> Result<<Apt as Module>::Args, String> {
        let mut args = Map::new();
        args.insert(
            "name".into(),
            super::result::strings(self.name.iter().cloned()),
        );
        let state = match self.state.as_str() {
            "installed" => "present",
            "removed" => "absent",
            state => state,
        };
        args.insert("state".into(), state.into());
        for (name, value) in [
            ("update_cache", self.update_cache),
            ("autoremove", self.autoremove),
        ] {
            if let Some(value) = value {
                args.insert(name.into(), value.into());
            }
        }
        let args = from_value(&Value::from(args))?;
        Apt::check(&args)?;
        Ok(args)
    }
}

impl Module for Package {
    const NAME: &'static str = "package";
    const EFFECT: Effect = Effect::Converges;
    const LONG: bool = true;
    type Args = PackageArgs;

    fn check(args: &PackageArgs) -> Result<(), String> {
        if let Some(manager) = args.wanted().filter(|m| !matches!(*m, "apt" | "dnf")) {
            return Err(format!(
                "the package manager `{manager}` is not supported, only apt and dnf are"
            ));
        }
        Dnf::check(&args.dnf()?)?;
        args.apt().map(drop)
    }

    fn probe(args: &PackageArgs, inputs: &[Resolved]) -> Option<Script> {
        // `check` has refused what apt and dnf would refuse.
        let apt = Apt::probe(&args.apt().ok()?, inputs)?;
        let dnf = Dnf::probe(&args.dnf().ok()?, inputs)?;
        match args.wanted() {
            Some("dnf") => return Some(dnf),
            Some(_) => return Some(apt),
            None => {}
        }
        Some(Script::new(format!(
            "if ! command -v apt-get >/dev/null; then\n\
             if command -v dnf >/dev/null; then\n{}exit\nfi\n\
             for SB_tool in yum zypper apk pacman; do\n\
             command -v $SB_tool >/dev/null && sb_kv manager $SB_tool && break\ndone\nexit 127\nfi\n{}",
            dnf.sh, apt.sh
        )))
    }

    fn decide(
        args: &PackageArgs,
        inputs: &[Resolved],
        seen: &[Reply],
    ) -> Result<Decision, Failure> {
        if Dnf::has_answered(seen) {
            return Dnf::decide(&args.dnf().map_err(Failure::new)?, inputs, seen);
        }
        if seen[0].rc == 127 {
            let fields = seen[0].fields();
            let found = fields.get("manager").map_or("none", String::as_str);
            return Err(Failure::new(format!(
                "the package manager of the host is not supported, only apt and dnf are (found: {found})"
            )));
        }
        Apt::decide(&args.apt().map_err(Failure::new)?, inputs, seen)
    }

    fn finish(
        args: &PackageArgs,
        inputs: &[Resolved],
        seen: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        if Dnf::has_answered(seen) {
            let args = args.dnf().map_err(Failure::new)?;
            return Dnf::finish(&args, inputs, seen, change, replies);
        }
        let args = args.apt().map_err(Failure::new)?;
        Apt::finish(&args, inputs, seen, change, replies)
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SHELLS, Trial};
    use super::*;

    #[test]
    fn a_host_without_apt_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/true", dir.path().join("zypper")).unwrap();
        for shell in SHELLS {
            let ran = Trial::new(shell)
                .with_path(dir.path().display().to_string())
                .run::<Package>(serde_json::json!({"name": "x", "state": "present"}));
            assert_eq!(
                ran.result.unwrap_err().msg,
                "the package manager of the host is not supported, only apt and dnf are (found: zypper)"
            );
        }
    }
}
