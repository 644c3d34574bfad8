//! `package`: packages by whatever the host has; only apt so far.

use super::apt::Apt;
use super::{Change, Decision, Effect, Failure, Module, Outcome, Resolved};
use crate::script::{Reply, Script};
use crate::value::{Map, Value, from_value};

/// Installs, upgrades and removes packages with the host's package manager.
pub(super) struct Package;

/// Arguments of `package`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackageArgs {
    /// Packages, as the package manager names them.
    name: Vec<String>,
    /// `present`, `absent` or `latest`.
    state: String,
    /// `auto` (default) or `apt`.
    #[serde(rename = "use")]
    manager: Option<String>,
    /// Whether the package lists are fetched first.
    update_cache: Option<bool>,
    /// Whether packages that nothing needs any more are removed.
    autoremove: Option<bool>,
}

impl PackageArgs {
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
        if let Some(manager) = args.manager.as_deref()
            && !matches!(manager, "auto" | "apt" | "ansible.builtin.apt")
        {
            return Err(format!(
                "the package manager `{manager}` is not supported yet, only apt is"
            ));
        }
        args.apt().map(drop)
    }

    fn probe(args: &PackageArgs, inputs: &[Resolved]) -> Option<Script> {
        // `check` has refused what apt would refuse.
        let apt = Apt::probe(&args.apt().ok()?, inputs)?;
        Some(Script::new(format!(
            "if ! command -v apt-get >/dev/null; then\n\
             for SB_tool in dnf5 dnf yum zypper apk pacman; do\n\
             command -v $SB_tool >/dev/null && sb_kv manager $SB_tool && break\ndone\nexit 127\nfi\n{}",
            apt.sh
        )))
    }

    fn decide(
        args: &PackageArgs,
        inputs: &[Resolved],
        seen: &[Reply],
    ) -> Result<Decision, Failure> {
        if seen[0].rc == 127 {
            let fields = seen[0].fields();
            let found = fields.get("manager").map_or("none", String::as_str);
            return Err(Failure::new(format!(
                "the package manager of the host is not supported yet, only apt is (found: {found})"
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
        std::os::unix::fs::symlink("/bin/true", dir.path().join("dnf")).unwrap();
        for shell in SHELLS {
            let ran = Trial::new(shell)
                .with_path(dir.path().display().to_string())
                .run::<Package>(serde_json::json!({"name": "x", "state": "present"}));
            assert_eq!(
                ran.result.unwrap_err().msg,
                "the package manager of the host is not supported yet, only apt is (found: dnf)"
            );
        }
    }
}
