//! `apt`: packages of Debian and its kin.
//!
//! The probe asks dpkg, and asks apt for a simulation only if dpkg's answer leaves something to be
//! done; what is converged costs one fork. The simulation tells the versions before, from which
//! the undo is made. Source: ansible-core 2.19, `modules/apt.py`. `aptitude` is never used.

use super::apt_plan::{self, RECORD, Spec, Step};
use super::command::last;
use super::result::fields;
use super::{
    Act, Change, Decision, Diff, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Installs, upgrades and removes packages.
///
/// # Returns
/// * `stdout`: what apt-get said.
/// * `stderr`: its error output.
/// * `cache_updated`: whether the package lists were fetched.
/// * `cache_update_time`: when they were fetched last, as seconds since 1970.
///
/// # Example
/// ```yaml
/// - apt:
///     name: [nginx, "postgresql-16=16.4*"]
///     update_cache: true
///     cache_valid_time: 3600
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Apt;

/// Arguments of `apt`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Ansible's arguments"
)]
pub(super) struct AptArgs {
    /// Packages: `nginx`, `nginx=1.2*`, `nginx>=1.2`, `python3-*`; `*` with `state: latest` is all.
    #[serde(alias = "name", alias = "pkg")]
    package: Option<Vec<String>>,
    /// `present` (default), `latest`, `absent` or `fixed`; `build-dep` is not supported.
    #[serde(default)]
    state: State,
    /// Whether the package lists are fetched first. Default: only as `cache_valid_time` says.
    #[serde(alias = "update-cache")]
    update_cache: Option<bool>,
    /// How often fetching them is tried. Default 5.
    update_cache_retries: Option<u32>,
    /// Seconds between two tries at most. Default 12.
    update_cache_retry_max_delay: Option<u32>,
    /// Seconds for which fetched lists are new enough. Default 0.
    #[serde(default)]
    cache_valid_time: u32,
    /// Whether configuration files are removed too. Default false.
    #[serde(default)]
    purge: bool,
    /// A package file on the host.
    deb: Option<String>,
    /// The release to prefer.
    #[serde(alias = "default-release")]
    default_release: Option<String>,
    /// Whether recommended packages are installed. Default: as the host is set up.
    #[serde(alias = "install-recommends")]
    install_recommends: Option<bool>,
    /// `--force-yes`; dangerous. Default false.
    #[serde(default)]
    force: bool,
    /// `no` (default), `yes` or `safe`, `full` or `dist`: upgrades all packages.
    upgrade: Option<String>,
    /// Options of dpkg. Default `force-confdef,force-confold`.
    dpkg_options: Option<String>,
    /// Whether packages that nothing needs any more are removed. Default false.
    #[serde(default)]
    autoremove: bool,
    /// Whether package files that cannot be fetched any more are deleted. Default false.
    #[serde(default)]
    autoclean: bool,
    /// Whether to fail where a package would have to be removed. Default false.
    #[serde(default)]
    fail_on_autoremove: bool,
    /// The exit status of `policy-rc.d` meanwhile: 101 keeps services from being started.
    policy_rc_d: Option<u8>,
    /// Whether only packages that are installed are upgraded. Default false.
    #[serde(default)]
    only_upgrade: bool,
    /// No effect: apt-get is used in any case.
    #[serde(default, rename = "force_apt_get")]
    _force_apt_get: bool,
    /// Whether all fetched package files are deleted. Default false.
    #[serde(default)]
    clean: bool,
    /// Whether packages that cannot be verified are installed. Default false.
    #[serde(default, alias = "allow-unauthenticated")]
    allow_unauthenticated: bool,
    /// Whether a lower version may replace a higher one. Default false.
    #[serde(
        default,
        alias = "allow-downgrade",
        alias = "allow_downgrades",
        alias = "allow-downgrades"
    )]
    allow_downgrade: bool,
    /// Whether packages on hold may change. Default false.
    #[serde(default)]
    allow_change_held_packages: bool,
    /// Seconds to wait for the locks of apt and dpkg. Default 60.
    lock_timeout: Option<u32>,
    /// No effect: nothing but apt-get is needed on the host.
    #[serde(default, rename = "auto_install_module_deps")]
    _auto_install_module_deps: Option<bool>,
}

/// What packages are to be.
#[derive(serde::Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum State {
    #[default]
    Present,
    Latest,
    Absent,
    Fixed,
    BuildDep,
}

/// What apt-get is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Install,
    Remove,
    Upgrade,
    DistUpgrade,
    Autoremove,
    Autoclean,
    /// Nothing: the lists are fetched or the archive is cleaned, no more.
    Nothing,
}

const ENVIRONMENT: &str = "export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical LANG=C \
     LC_ALL=C LC_MESSAGES=C LC_CTYPE=C LANGUAGE=C\n";

/// Where apt notes when the lists were fetched.
const CACHE_TIME: &str = "sb_cache_time() {
  for SB_stamp in /var/lib/apt/periodic/update-success-stamp /var/lib/apt/lists; do
    [ -e $SB_stamp ] && stat -c %Y $SB_stamp && return
  done
  echo 0
}
";

impl AptArgs {
    fn specs(&self) -> Result<Vec<Spec>, String> {
        let names = self.package.iter().flatten().filter(|name| *name != "*");
        names.map(|name| Spec::read(name)).collect()
    }

    fn has_all(&self) -> bool {
        self.package.iter().flatten().any(|name| name == "*")
    }

    fn call(&self) -> Call {
        let has_packages = self.package.iter().flatten().any(|name| name != "*");
        match self.upgrade.as_deref() {
            Some("yes" | "safe" | "True") => return Call::Upgrade,
            Some("full" | "dist") => return Call::DistUpgrade,
            _ => {}
        }
        if self.deb.is_some() {
            return Call::Install;
        }
        if self.state == State::Latest && self.has_all() {
            return Call::Upgrade;
        }
        match (has_packages, self.state) {
            (true, State::Absent) => Call::Remove,
            (true, _) => Call::Install,
            (false, _) if self.autoclean => Call::Autoclean,
            (false, _) if self.autoremove => Call::Autoremove,
            (false, _) => Call::Nothing,
        }
    }

    fn may_update(&self) -> bool {
        self.update_cache == Some(true) || self.cache_valid_time > 0
    }

    /// `apt-get` with the options that every call has.
    fn apt_get(&self) -> String {
        let dpkg = self.dpkg_options.as_deref();
        let dpkg = dpkg.unwrap_or("force-confdef,force-confold");
        let options: String = dpkg
            .split(',')
            .filter(|option| !option.is_empty())
            .map(|option| format!(" -o {}", quote(&format!("Dpkg::Options::=--{option}"))))
            .collect();
        format!(
            "apt-get -y{options} -o DPkg::Lock::Timeout={}",
            self.lock_timeout.unwrap_or(60)
        )
    }

    /// The whole call, for packages that are in `"$@"`.
    fn command(&self, call: Call) -> String {
        let mut options = self.apt_get();
        let mut add = |is: bool, option: &str| {
            if is {
                options.push(' ');
                options.push_str(option);
            }
        };
        let is_install = call == Call::Install;
        let is_upgrade = matches!(call, Call::Upgrade | Call::DistUpgrade);
        add(self.force, "--force-yes");
        add(is_install && self.only_upgrade, "--only-upgrade");
        add(is_install && self.state == State::Fixed, "--fix-broken");
        add(
            self.autoremove && !matches!(call, Call::Autoremove | Call::Autoclean),
            "--auto-remove",
        );
        add(
            self.fail_on_autoremove && (is_install || is_upgrade),
            "--no-remove",
        );
        add(
            self.purge && matches!(call, Call::Remove | Call::Autoremove),
            "--purge",
        );
        add(
            self.allow_unauthenticated && (is_install || is_upgrade),
            "--allow-unauthenticated",
        );
        add(
            self.allow_downgrade && (is_install || is_upgrade),
            "--allow-downgrades",
        );
        add(
            self.allow_change_held_packages && !is_upgrade,
            "--allow-change-held-packages",
        );
        if let Some(release) = &self.default_release {
            add(is_install || is_upgrade, &format!("-t {}", quote(release)));
        }
        if let Some(wants) = self.install_recommends {
            let wants = if wants { "yes" } else { "no" };
            add(is_install, &format!("-o APT::Install-Recommends={wants}"));
        }
        let verb = match call {
            Call::Install => "install \"$@\"",
            Call::Remove => "remove \"$@\"",
            Call::Upgrade => "upgrade --with-new-pkgs",
            Call::DistUpgrade => "dist-upgrade",
            Call::Autoremove => "autoremove",
            Call::Autoclean => "autoclean",
            Call::Nothing => "check",
        };
        format!("{options} {verb}")
    }
}

/// What the probe saw.
struct Seen {
    /// `(name, architecture, is installed, has files, version)` of what dpkg knows.
    known: Vec<Known>,
    /// Names that a pattern matched, with the pattern.
    matched: Vec<(String, String)>,
    /// Named packages that apt has noted as automatically installed.
    automatic: Vec<String>,
    cache_time: i64,
    needs_update: bool,
    has_simulated: bool,
    simulation: String,
    simulation_rc: i32,
    errors: String,
    deb: Vec<String>,
}

struct Known {
    name: String,
    architecture: String,
    is_installed: bool,
    has_files: bool,
    version: String,
}

impl Seen {
    fn read(reply: &Reply) -> Self {
        let text = reply.stdout_text();
        let (head, simulation) = text.split_once("\n@@simulation\n").unwrap_or((&text, ""));
        let of = |key: &'static str| head.lines().filter_map(move |line| line.strip_prefix(key));
        let number = |key| of(key).next().and_then(|n| n.trim().parse::<i64>().ok());
        let known = of("@known ")
            .filter_map(|line| {
                let parts: Vec<&str> = line.split('\t').collect();
                let [status, name, architecture, version] = parts[..] else {
                    return None;
                };
                Some(Known {
                    name: name.to_owned(),
                    architecture: architecture.to_owned(),
                    is_installed: status.get(1..2) == Some("i"),
                    has_files: !matches!(status.get(1..2), Some("n") | None),
                    version: version.to_owned(),
                })
            })
            .collect();
        Self {
            known,
            matched: of("@match ")
                .filter_map(|line| line.split_once('\t'))
                .map(|(pattern, name)| (pattern.to_owned(), name.to_owned()))
                .collect(),
            automatic: of("@auto ").map(str::to_owned).collect(),
            cache_time: number("@cache ").unwrap_or_default(),
            needs_update: of("@update").next().is_some(),
            has_simulated: text.contains("\n@@simulation\n"),
            simulation: simulation.to_owned(),
            simulation_rc: reply.rc,
            errors: reply.stderr_text(),
            deb: of("@deb ").map(str::to_owned).collect(),
        }
    }

    fn installed(&self, name: &str) -> Option<&Known> {
        let (name, architecture) = name.split_once(':').unwrap_or((name, ""));
        self.known.iter().find(|known| {
            known.is_installed
                && known.name == name
                && (architecture.is_empty() || known.architecture == architecture)
        })
    }
}

impl Module for Apt {
    const NAME: &'static str = "apt";
    const EFFECT: Effect = Effect::Converges;
    const LONG: bool = true;
    type Args = AptArgs;

    fn check(args: &AptArgs) -> Result<(), String> {
        let upgrades = !matches!(args.upgrade.as_deref(), None | Some("no" | "False"));
        let given = [args.deb.is_some(), args.package.is_some(), upgrades];
        if given.iter().filter(|is| **is).count() > 1 {
            return Err("parameters are mutually exclusive: deb|package|upgrade".into());
        }
        if !given.contains(&true)
            && !args.may_update()
            && args.update_cache.is_none()
            && !args.autoremove
            && !args.autoclean
            && !args.clean
        {
            return Err(
                "one of the following is required: autoremove, deb, package, update_cache, upgrade"
                    .into(),
            );
        }
        if let Some(mode) = args.upgrade.as_deref()
            && !matches!(
                mode,
                "no" | "False" | "yes" | "True" | "safe" | "full" | "dist"
            )
        {
            return Err(format!(
                "value of upgrade must be one of: dist, full, no, safe, yes, got: {mode}"
            ));
        }
        if args.state == State::BuildDep {
            return Err(
                "`state: build-dep` is not supported, use `command: apt-get build-dep`".into(),
            );
        }
        if let Some(deb) = &args.deb {
            if args.state != State::Present {
                return Err("deb only supports state=present".into());
            }
            if deb.contains("://") {
                return Err("a `deb` from a URL is not supported, fetch it with `get_url`".into());
            }
        }
        if args.has_all()
            && args.state == State::Latest
            && args.package.iter().flatten().count() > 1
        {
            return Err(
                "unable to install additional packages when upgrading all installed packages"
                    .into(),
            );
        }
        args.specs().map(drop)
    }

    fn probe(args: &AptArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(probe(args)))
    }

    fn decide(args: &AptArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        if seen[0].rc == 127 {
            return Err(Failure::new("the host has no apt-get"));
        }
        let seen = Seen::read(&seen[0]);
        let specs = args.specs().map_err(Failure::new)?;
        for spec in specs.iter().filter(|spec| spec.is_pattern()) {
            if !seen.needs_update && !seen.matched.iter().any(|(of, _)| *of == spec.name) {
                return Err(Failure::new(format!(
                    "No package(s) matching '{}' available",
                    spec.name
                )));
            }
        }
        let steps = planned(args, &specs, &seen)?;
        Ok(decided(args, &specs, &seen, &steps))
    }

    fn finish(
        args: &AptArgs,
        _: &[Resolved],
        seen: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let before = Seen::read(&seen[0]);
        let reply = last(replies)?;
        let text = reply.stdout_text();
        let (stdout, cache_time) = match text.rsplit_once("\n@@cache ") {
            Some((stdout, time)) => (stdout, time.trim().parse().unwrap_or(before.cache_time)),
            None => (text.as_str(), before.cache_time),
        };
        let stderr = reply.stderr_text();
        let mut result = fields([
            ("stdout", stdout.into()),
            ("stderr", stderr.as_str().into()),
            ("stdout_lines", super::result::lines(stdout)),
            ("stderr_lines", super::result::lines(&stderr)),
        ]);
        let cache_updated = before.needs_update && cache_time != before.cache_time;
        if reply.rc != 0 {
            result.insert("rc".into(), reply.rc.into());
            return Err(Failure {
                msg: failed(args, &stderr, reply.rc),
                is_changed: false,
                result,
                ..Failure::default()
            });
        }
        result.insert("cache_updated".into(), cache_updated.into());
        result.insert("cache_update_time".into(), Value::Int(cache_time));
        let is_changed = match args.call() {
            Call::Nothing => cache_updated || args.clean,
            Call::Autoclean => stdout.lines().any(|line| line.starts_with("Del ")),
            _ => !has_done_nothing(stdout),
        };
        Ok(Outcome {
            is_changed,
            result,
            ..Outcome::default()
        })
    }
}

/// Whether apt-get says that it touched no package, or was not called.
fn has_done_nothing(stdout: &str) -> bool {
    !stdout.contains(" newly installed, ")
        || stdout
            .lines()
            .any(|line| line.starts_with("0 upgraded, 0 newly installed, 0 to remove"))
            && !stdout.contains("downgraded")
}

const NO_UPDATE: &str = "switchback: the package lists could not be fetched";

fn failed(args: &AptArgs, stderr: &str, rc: i32) -> String {
    if rc == 100 && stderr.contains(NO_UPDATE) {
        let why = stderr.replace(NO_UPDATE, "");
        return format!(
            "Failed to update apt cache after {} retries: {}",
            args.update_cache_retries.unwrap_or(5),
            why.trim()
        );
    }
    let command = args.command(args.call());
    let names = args.package.iter().flatten().map(|name| quote(name));
    let names: Vec<String> = names.collect();
    format!(
        "'{}' failed: {stderr}",
        command.replace("\"$@\"", &names.join(" "))
    )
}

/// Asks dpkg, and apt where dpkg's answer is not enough.
fn probe(args: &AptArgs) -> String {
    let call = args.call();
    let mut sh = format!(
        "command -v apt-get >/dev/null || exit 127\n{ENVIRONMENT}{CACHE_TIME}SB_tab=$(printf '\\t')\n"
    );
    sh.push_str("printf '@cache %s\\n' \"$(sb_cache_time)\"\n");
    if args.may_update() {
        sh.push_str(&format!(
            "[ $(($(sb_cache_time) + {})) -ge \"$(date +%s)\" ] || echo @update\n",
            args.cache_valid_time
        ));
    }
    // `check` has refused what cannot be read.
    let specs = args.specs().unwrap_or_default();
    sh.push_str("set --\n");
    for spec in &specs {
        if spec.is_pattern() {
            sh.push_str(&expand(spec, args.state == State::Absent));
        } else {
            sh.push_str(&format!("set -- \"$@\" {}\n", quote(&spec.name)));
        }
    }
    if let Some(deb) = &args.deb {
        sh.push_str(&format!(
            "SB_deb=$(dpkg-deb -f {0} Package Version Architecture) || exit 3\n\
             printf '%s\\n' \"$SB_deb\" | while read -r SB_key SB_value; do printf '@deb %s\\n' \"$SB_value\"; done\n\
             SB_deb=${{SB_deb#*: }}\nset -- \"${{SB_deb%%[!a-z0-9+.-]*}}\"\n",
            quote(deb)
        ));
    }
    if !specs.is_empty() || args.deb.is_some() {
        sh.push_str(
            "SB_known=$(dpkg-query -W -f '@known ${db:Status-Abbrev}\\t${Package}\\t${Architecture}\\t${Version}\\n' -- \"$@\" 2>/dev/null)\n\
             SB_rc=$?\nprintf '%s\\n' \"$SB_known\"\n",
        );
    }
    if call == Call::Install && args.deb.is_none() {
        sh.push_str(
            "[ -r /var/lib/apt/extended_states ] && awk -v want=\" $* \" \
             '/^Package: /{p=$2} /^Auto-Installed: 1/{if (index(want, \" \" p \" \")) print \"@auto \" p}' \
             /var/lib/apt/extended_states\n",
        );
    }
    sh.push_str(&simulation(args, call, &specs));
    sh
}

/// Adds the names that a pattern matches to `"$@"`.
fn expand(spec: &Spec, is_installed: bool) -> String {
    let prefix = &spec.name[..spec.name.find(['*', '?', '[', ']', '!']).unwrap_or(0)];
    let names = if is_installed {
        "dpkg-query -W -f '${Package}\\n'".to_owned()
    } else {
        format!("apt-cache pkgnames {}", quote(prefix))
    };
    let pattern: String = spec
        .name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "*?[]!-".contains(c) {
                c.to_string()
            } else {
                format!("\\{c}")
            }
        })
        .collect();
    format!(
        "SB_found=$({names} | sort | while read -r SB_name; do case $SB_name in {pattern}) echo \"$SB_name\" ;; esac; done)\n\
         for SB_name in $SB_found; do printf '@match %s\\t%s\\n' {} \"$SB_name\"; set -- \"$@\" \"$SB_name\"; done\n",
        quote(&spec.name)
    )
}

/// The simulation, where dpkg's answer leaves something to be done.
fn simulation(args: &AptArgs, call: Call, specs: &[Spec]) -> String {
    let simulate = |condition: &str, specs: &str| {
        format!(
            "{condition}{specs}printf '\\n@@simulation\\n'\n{}\nexit\n",
            args.command(call).replacen("apt-get", "apt-get -s", 1)
        )
    };
    match call {
        Call::Nothing => String::new(),
        Call::Upgrade | Call::DistUpgrade | Call::Autoremove | Call::Autoclean => simulate("", ""),
        Call::Install if args.deb.is_some() => {
            let path = deb_path(args.deb.as_deref().unwrap_or_default());
            simulate("", &format!("set -- {}\n", quote(&path)))
        }
        Call::Install => {
            let has_versions = specs.iter().any(|spec| spec.version.is_some());
            let is_plain = args.state == State::Present && !has_versions;
            let condition = if is_plain {
                "[ $SB_rc -eq 0 ] && case \"$SB_nl$SB_known\" in *\"$SB_nl@known ?\"[!i]*) false ;; esac && exit 0\n"
            } else {
                ""
            };
            let specs: String = specs
                .iter()
                .filter(|spec| matches!(spec.version, Some(apt_plan::Wanted::Like(_))))
                .map(|spec| {
                    format!(
                        "  [ \"$SB_name\" = {} ] && SB_name={}\n",
                        quote(&spec.name),
                        quote(&spec.for_apt())
                    )
                })
                .collect();
            let renamed = format!(
                "SB_names=\"$*\"\nset --\nfor SB_name in $SB_names; do\n{specs}  set -- \"$@\" \"$SB_name\"\ndone\n"
            );
            simulate(&format!("SB_nl='\n'\n{condition}"), &renamed)
        }
        Call::Remove => {
            let wanted = if args.purge { "[!n]" } else { "i" };
            let pick = format!(
                "set --\nSB_ifs=$IFS IFS='\n'\nfor SB_line in $SB_known; do\n\
                 \x20 case $SB_line in\n  '@known '?{wanted}*) ;;\n  *) continue ;;\n  esac\n\
                 \x20 SB_line=${{SB_line#*\"$SB_tab\"}}\n  set -- \"$@\" \"${{SB_line%%\"$SB_tab\"*}}\"\ndone\nIFS=$SB_ifs\n\
                 [ $# -gt 0 ] || exit 0\n"
            );
            simulate("", &pick)
        }
    }
}

/// A path that apt-get does not take for the name of a package.
fn deb_path(deb: &str) -> String {
    if deb.starts_with('/') {
        deb.to_owned()
    } else {
        format!("./{deb}")
    }
}

/// The steps that the simulation tells; none where there is nothing to do.
fn planned(args: &AptArgs, specs: &[Spec], seen: &Seen) -> Result<Vec<Step>, Failure> {
    if seen.simulation_rc == 3 && args.deb.is_some() {
        return Err(Failure::new(format!(
            "Unable to install package: {}",
            seen.errors.trim()
        )));
    }
    if !seen.has_simulated {
        return Ok(Vec::new());
    }
    if let [name, version, _] = &seen.deb[..]
        && seen
            .installed(name)
            .is_some_and(|known| known.version == *version)
    {
        return Ok(Vec::new());
    }
    if seen.simulation_rc != 0 && !seen.needs_update {
        return Err(unplannable(args, specs, seen));
    }
    if let Some(line) = seen
        .simulation
        .lines()
        .find(|line| line.contains("' for regex '"))
    {
        let name = line.split('\'').nth(3).unwrap_or_default();
        return Err(Failure::new(format!(
            "No package matching '{name}' is available"
        )));
    }
    let mut steps = apt_plan::simulated(&seen.simulation);
    let is_fixed_version = |spec: &Spec| spec.version.is_some();
    if args.call() == Call::Install && args.deb.is_none() && args.state == State::Present {
        // Where all is installed as wanted, a newer candidate is of no interest.
        let is_wanted = |spec: &Spec| {
            seen.installed(&spec.name)
                .is_some_and(|known| spec.accepts(&known.version))
        };
        if specs
            .iter()
            .all(|spec| !spec.is_pattern() && is_wanted(spec))
        {
            return Ok(Vec::new());
        }
        for spec in specs
            .iter()
            .filter(|spec| is_fixed_version(spec) && !is_wanted(spec))
        {
            let after = steps.iter().find(|step| step.name == spec.name);
            let after = after.and_then(|step| step.after.as_deref());
            if !seen.needs_update && !after.is_some_and(|version| spec.accepts(version)) {
                return Err(Failure::new(format!(
                    "no available installation candidate for {}",
                    shown(spec)
                )));
            }
        }
    }
    if args.only_upgrade && args.call() == Call::Install {
        let has_any = specs
            .iter()
            .any(|spec| seen.installed(&spec.name).is_some());
        if !has_any && specs.iter().all(|spec| !spec.is_pattern()) {
            steps.clear();
        }
    }
    Ok(steps)
}

fn shown(spec: &Spec) -> String {
    match &spec.version {
        Some(apt_plan::Wanted::AtLeast(version)) => format!("{}>={version}", spec.name),
        _ => spec.for_apt(),
    }
}

/// Why the simulation failed, in Ansible's words where it has some.
fn unplannable(args: &AptArgs, specs: &[Spec], seen: &Seen) -> Failure {
    for line in seen.errors.lines() {
        if let Some(name) = line.strip_prefix("E: Unable to locate package ") {
            return Failure::new(format!("No package matching '{name}' is available"));
        }
        if line.starts_with("E: Version '")
            && let Some(name) = line.split('\'').nth(3)
        {
            let spec = specs.iter().find(|spec| spec.name == name);
            let spec = spec.map_or_else(|| name.to_owned(), shown);
            return Failure::new(format!("no available installation candidate for {spec}"));
        }
    }
    let mut result = Map::new();
    result.insert("stdout".into(), seen.simulation.as_str().into());
    result.insert("stderr".into(), seen.errors.as_str().into());
    result.insert("rc".into(), seen.simulation_rc.into());
    Failure {
        msg: failed(args, &seen.errors, seen.simulation_rc),
        is_changed: false,
        result,
        ..Failure::default()
    }
}

fn decided(args: &AptArgs, specs: &[Spec], seen: &Seen, steps: &[Step]) -> Decision {
    let result = fields([
        ("cache_updated", false.into()),
        ("cache_update_time", Value::Int(seen.cache_time)),
    ]);
    let deletes = args.call() == Call::Autoclean && seen.simulation.contains("\nDel ");
    let to_mark: Vec<&str> = match args.state {
        State::Present | State::Latest | State::Fixed if !args.only_upgrade => {
            seen.automatic.iter().map(String::as_str).collect()
        }
        _ => Vec::new(),
    };
    if steps.is_empty() && !deletes && !seen.needs_update && !args.clean && to_mark.is_empty() {
        return Decision::Unchanged(Outcome::ok(result));
    }
    let mut parts: Vec<String> = Vec::new();
    if seen.needs_update {
        parts.push("fetch the package lists".into());
    }
    if args.clean || deletes {
        parts.push("delete fetched package files".into());
    }
    if steps.is_empty() && !to_mark.is_empty() {
        parts.push(format!("mark as wanted: {}", to_mark.join(" ")));
    }
    if !steps.is_empty() {
        parts.push(apt_plan::summary(steps));
    }
    let is_change = !steps.is_empty()
        || deletes
        || (args.call() == Call::Nothing && (seen.needs_update || args.clean));
    let mut foretold = result;
    if seen.needs_update {
        foretold.insert("cache_updated".into(), true.into());
    }
    if !is_change {
        foretold.insert("changed".into(), false.into());
    }
    let (before, after) = apt_plan::described(steps);
    let diff = if steps.is_empty() {
        Vec::new()
    } else {
        vec![Diff {
            before_header: "packages".into(),
            after_header: "packages".into(),
            before,
            after,
        }]
    };
    Decision::Change(Change {
        summary: parts.join(", "),
        diff,
        acts: vec![Act::script(act(args, specs, seen, steps, &to_mark))],
        undo: undo(args, seen, steps),
        foretell: Foretell::Changed(foretold),
    })
}

fn act(args: &AptArgs, specs: &[Spec], seen: &Seen, steps: &[Step], to_mark: &[&str]) -> String {
    let call = args.call();
    let mut sh = format!("{ENVIRONMENT}{CACHE_TIME}");
    if args.clean {
        sh.push_str("apt-get clean || exit\n");
    }
    if seen.needs_update {
        sh.push_str(&update(args));
    }
    let names = act_names(args, specs, seen);
    sh.push_str(&format!("set -- {}\n", names.join(" ")));
    // What a pattern matches is known for sure only from the new lists.
    let late: Vec<&Spec> = specs
        .iter()
        .filter(|spec| spec.is_pattern() && seen.needs_update)
        .collect();
    for spec in &late {
        let missing = format!("No package(s) matching '{}' available", spec.name);
        sh.push_str(&format!(
            "SB_n=$#\n{{\n{}}} >/dev/null\n[ $# -gt $SB_n ] || {{ printf '%s\\n' {} >&2; exit 100; }}\n",
            expand(spec, args.state == State::Absent),
            quote(&missing)
        ));
    }
    let has_names = !names.is_empty() || !late.is_empty() || specs.is_empty();
    let is_called = !steps.is_empty()
        || call == Call::Autoclean
        || (seen.needs_update && call != Call::Nothing && has_names);
    if is_called {
        if seen.needs_update {
            // The lists are new, and so is the plan.
            sh.push_str(&format!(
                "{RECORD}sb_keep_dir || exit\n{} | sb_record >\"$SB_KEEP/apt.plan\"\n",
                args.command(call).replacen("apt-get", "apt-get -s", 1)
            ));
        }
        if let Some(rc) = args.policy_rc_d {
            sh.push_str(&policy(rc));
        }
        sh.push_str(&format!("{} || exit\n", args.command(call)));
    }
    if !to_mark.is_empty() {
        sh.push_str(&format!(
            "apt-mark manual {} >/dev/null || exit\n",
            to_mark.join(" ")
        ));
    }
    sh.push_str("printf '\\n@@cache %s\\n' \"$(sb_cache_time)\"\n");
    sh
}

/// The words that apt-get is called with.
fn act_names(args: &AptArgs, specs: &[Spec], seen: &Seen) -> Vec<String> {
    if let Some(deb) = &args.deb {
        return vec![quote(&deb_path(deb))];
    }
    let mut names = Vec::new();
    for spec in specs {
        if spec.is_pattern() && seen.needs_update {
            continue;
        }
        if spec.is_pattern() {
            let found = seen.matched.iter().filter(|(of, _)| *of == spec.name);
            names.extend(found.map(|(_, name)| quote(name)));
            continue;
        }
        let installed = seen.installed(&spec.name);
        let is_wanted = installed.is_some_and(|known| spec.accepts(&known.version));
        let is_named = match args.state {
            State::Absent => {
                let has_files = seen
                    .known
                    .iter()
                    .any(|k| k.name == spec.name && k.has_files);
                is_wanted || (args.purge && has_files)
            }
            State::Latest => !args.only_upgrade || installed.is_some(),
            _ => !is_wanted && (!args.only_upgrade || installed.is_some()),
        };
        if is_named {
            let name = if args.state == State::Absent {
                spec.name.clone()
            } else {
                spec.for_apt()
            };
            names.push(quote(&name));
        }
    }
    names
}

/// Fetches the lists; apt-get itself is content with some that could not be fetched.
fn update(args: &AptArgs) -> String {
    format!(
        "SB_try=0\nwhile :; do\n\
         \x20 SB_out=$(apt-get -q -o DPkg::Lock::Timeout={lock} update 2>&1); SB_rc=$?\n\
         \x20 case $SB_out in\n  *'Failed to fetch'* | *'Some index files failed'*) SB_rc=100 ;;\n  esac\n\
         \x20 [ $SB_rc -eq 0 ] && break\n\
         \x20 SB_try=$((SB_try + 1))\n\
         \x20 if [ $SB_try -ge {tries} ]; then\n\
         \x20   printf '%s\\n%s\\n' {failed} \"$SB_out\" >&2\n    exit 100\n  fi\n\
         \x20 SB_wait=$((1 << (SB_try - 1)))\n\
         \x20 [ $SB_wait -le {delay} ] || SB_wait={delay}\n  sleep $SB_wait\ndone\n",
        lock = args.lock_timeout.unwrap_or(60),
        tries = args.update_cache_retries.unwrap_or(5).max(1),
        delay = args.update_cache_retry_max_delay.unwrap_or(12),
        failed = quote(NO_UPDATE),
    )
}

/// Puts a `policy-rc.d` in place for as long as the script runs.
fn policy(rc: u8) -> String {
    format!(
        "SB_policy=/usr/sbin/policy-rc.d\n\
         [ ! -e $SB_policy ] || mv $SB_policy $SB_policy.switchback || exit\n\
         sb_policy_back() {{ rm -f $SB_policy; [ ! -e $SB_policy.switchback ] || mv $SB_policy.switchback $SB_policy; }}\n\
         trap sb_policy_back EXIT\ntrap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM\n\
         printf '#!/bin/sh\\nexit {rc}\\n' >$SB_policy && chmod 755 $SB_policy || exit\n"
    )
}

fn undo(args: &AptArgs, seen: &Seen, steps: &[Step]) -> Undo {
    let call = args.call();
    if call == Call::Nothing || call == Call::Autoclean || (steps.is_empty() && !seen.needs_update)
    {
        return Undo::NotNeeded;
    }
    let back = apt_plan::going_back(&args.apt_get());
    let lines = if seen.needs_update {
        // Nothing was planned on the host if there is no plan.
        "[ -e \"$SB_KEEP/apt.plan\" ] || exit 0\nsb_back <\"$SB_KEEP/apt.plan\"\n".to_owned()
    } else {
        format!(
            "printf '%s\\n' {} | sb_back\n",
            apt_plan::before_lines(steps)
        )
    };
    let mut summary = "bring these packages back to the versions before".to_owned();
    if args.purge {
        summary.push_str(", without the configuration files that are purged");
    }
    Undo::Acts {
        summary,
        acts: vec![Act::script(format!("{ENVIRONMENT}{back}{lines}"))],
    }
}

#[cfg(test)]
mod tests;
