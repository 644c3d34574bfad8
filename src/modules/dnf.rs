//! `dnf`: packages of Fedora, Red Hat and their kin.
//!
//! The probe lists what is installed, so that nothing is asked of repositories where all is as
//! wanted. Else dnf does what it does, and what changed is the difference between two lists; the way
//! back is made of the same. Source: ansible-core 2.19, `modules/dnf.py` and
//! `module_utils/yumdnf.py`.

use std::collections::BTreeSet;

use super::command::last;
use super::result::{fields, strings};
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::Value;

/// Installs, upgrades and removes packages with dnf.
///
/// # Returns
/// * `results`: what was installed, upgraded and removed.
/// * `rc`: the exit status.
///
/// # Example
/// ```yaml
/// - dnf:
///     name: [nginx, tmux]
///     state: present
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Dnf;

/// Arguments of `dnf`.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Ansible's arguments"
)]
pub(super) struct DnfArgs {
    /// Packages: names, with versions, paths or URLs of `.rpm` files, `@group`, or `*` for all.
    #[serde(alias = "pkg")]
    name: Vec<String>,
    /// What is to be: `present` (default), `installed`, `latest`, `absent` or `removed`.
    state: Option<State>,
    /// Refused: use `package_facts`.
    list: Option<String>,
    /// Whether an older version may take the place of a newer one.
    allow_downgrade: bool,
    /// Whether other packages may be removed for it.
    allowerasing: bool,
    /// Whether packages that nothing needs any more are removed.
    autoremove: bool,
    /// Whether only the best candidate will do.
    best: Option<bool>,
    /// Whether another candidate will do.
    nobest: Option<bool>,
    /// Only updates that mend bugs.
    bugfix: bool,
    /// Only updates that mend holes.
    security: bool,
    /// Whether nothing is fetched.
    cacheonly: bool,
    /// Another configuration file.
    conf_file: Option<String>,
    /// Excludes that do not count: `all`, `main` or a repository.
    disable_excludes: Option<String>,
    /// Whether signatures are not checked.
    disable_gpg_check: bool,
    /// Plugins that are off.
    disable_plugin: Vec<String>,
    /// Plugins that are on.
    enable_plugin: Vec<String>,
    /// Repositories that are off.
    disablerepo: Vec<String>,
    /// Repositories that are on.
    enablerepo: Vec<String>,
    /// Whether packages are fetched and not installed.
    download_only: bool,
    /// Where to.
    download_dir: Option<String>,
    /// Packages that are left out.
    exclude: Vec<String>,
    /// Another root.
    installroot: Option<String>,
    /// No effect, as in Ansible.
    #[serde(rename = "install_repoquery")]
    _install_repoquery: Option<bool>,
    /// Whether recommended packages come too. Default true.
    install_weak_deps: Option<bool>,
    /// The release to take packages of.
    releasever: Option<String>,
    /// Whether packages that cannot be installed are left out.
    skip_broken: bool,
    /// Whether the repositories' data are fetched anew first.
    #[serde(alias = "expire-cache")]
    update_cache: bool,
    /// Whether `latest` leaves out what is not installed.
    update_only: bool,
    /// Whether the certificate of a URL is checked. Default true.
    validate_certs: Option<bool>,
    /// Whether the certificates of repositories are checked. Default true.
    sslverify: Option<bool>,
    /// No effect: dnf waits for its lock.
    #[serde(rename = "lock_timeout")]
    _lock_timeout: Option<i64>,
    /// Which dnf: what the host calls `dnf` is used.
    #[serde(rename = "use_backend")]
    _use_backend: Option<String>,
}

/// What is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Not there.
    #[serde(alias = "removed")]
    Absent,
    /// In the newest version.
    Latest,
    /// There.
    #[serde(alias = "installed")]
    Present,
}

/// What stands between the output of dnf and the list of packages after it.
const MARK: &str = "@switchback@";
/// Lists what is installed: a name and a full name with version and architecture.
const LIST: &str =
    "rpm -qa --qf '%{NAME} %{NAME}-%{EPOCHNUM}:%{VERSION}-%{RELEASE}.%{ARCH}\\n' | LC_ALL=C sort";

impl DnfArgs {
    /// As `package` asks for it.
    pub(super) fn of_package(
        name: Vec<String>,
        state: &str,
        update_cache: bool,
        autoremove: bool,
    ) -> Result<Self, String> {
        let state = match state {
            "absent" | "removed" => State::Absent,
            "latest" => State::Latest,
            "present" | "installed" => State::Present,
            other => {
                return Err(format!(
                    "value of state must be one of: absent, installed, latest, present, removed, got: {other}"
                ));
            }
        };
        Ok(Self {
            name,
            state: Some(state),
            update_cache,
            autoremove,
            ..Self::default()
        })
    }

    fn state(&self) -> State {
        match self.state {
            Some(state) => state,
            None if self.autoremove => State::Absent,
            None => State::Present,
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.name
            .iter()
            .map(|name| name.trim())
            .filter(|name| !name.is_empty())
    }

    /// The program with the options that all commands share.
    fn dnf(&self) -> String {
        let mut all: Vec<String> = vec!["dnf".into(), "-y".into()];
        let mut add = |is: bool, word: &str| {
            if is {
                all.push(word.to_owned());
            }
        };
        add(self.disable_gpg_check, "--nogpgcheck");
        add(self.allowerasing, "--allowerasing");
        add(self.cacheonly, "--cacheonly");
        add(self.skip_broken, "--skip-broken");
        add(self.bugfix, "--bugfix");
        add(self.security, "--security");
        add(self.download_only, "--downloadonly");
        let best = self.best.or(self.nobest.map(|nobest| !nobest));
        add(best == Some(true), "--best");
        add(best == Some(false), "--nobest");
        add(
            self.install_weak_deps == Some(false),
            "--setopt=install_weak_deps=False",
        );
        add(
            self.validate_certs == Some(false) || self.sslverify == Some(false),
            "--setopt=sslverify=False",
        );
        add(
            !self.autoremove,
            "--setopt=clean_requirements_on_remove=False",
        );
        for (option, value) in [
            ("config", &self.conf_file),
            ("disableexcludes", &self.disable_excludes),
            ("downloaddir", &self.download_dir),
            ("installroot", &self.installroot),
            ("releasever", &self.releasever),
        ] {
            if let Some(value) = value {
                all.push(quote(&format!("--{option}={value}")));
            }
        }
        for (option, values) in [
            ("disableplugin", &self.disable_plugin),
            ("enableplugin", &self.enable_plugin),
            ("disablerepo", &self.disablerepo),
            ("enablerepo", &self.enablerepo),
            ("exclude", &self.exclude),
        ] {
            all.extend(
                values
                    .iter()
                    .map(|value| quote(&format!("--{option}={value}"))),
            );
        }
        all.join(" ")
    }

    /// The lines that bring the state about.
    fn commands(&self) -> String {
        let dnf = self.dnf();
        let names: Vec<String> = self.names().map(quote).collect();
        let names = names.join(" ");
        let mut sh = String::new();
        if self.update_cache {
            sh.push_str(&format!("{dnf} makecache >&2 || exit\n"));
        }
        let is_all = self.names().eq(["*"]);
        match self.state() {
            State::Absent if names.is_empty() => sh.push_str(&format!("{dnf} autoremove\n")),
            State::Absent => sh.push_str(&format!("{dnf} remove {names}\n")),
            _ if names.is_empty() => {}
            State::Latest if is_all => sh.push_str(&format!("{dnf} upgrade\n")),
            State::Latest if self.update_only => sh.push_str(&format!("{dnf} upgrade {names}\n")),
            // What is installed is upgraded, what is not is installed.
            State::Latest => sh.push_str(&format!(
                "{dnf} install {names} || exit\n{dnf} upgrade {names}\n"
            )),
            State::Present if self.allow_downgrade => sh.push_str(&format!(
                "{dnf} install {names} || {dnf} downgrade {names}\n"
            )),
            State::Present => sh.push_str(&format!("{dnf} install {names}\n")),
        }
        sh
    }

    /// Whether what is installed is what is wanted, as far as that can be told without dnf.
    fn is_settled(&self, reply: &Reply) -> bool {
        if self.state() == State::Latest || self.autoremove || self.download_only {
            return false;
        }
        let seen = reply.fields();
        let body = String::from_utf8_lossy(reply.body()).into_owned();
        let installed: Vec<(&str, &str)> = body
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        let wants = self.state() == State::Present;
        self.names().enumerate().all(|(i, name)| {
            // A group is more than its name, a pattern may match what is not installed.
            if name.starts_with('@') || wants && name.contains(['*', '?', '[']) {
                return false;
            }
            let known = seen.get(&format!("rpm.{i}")).map_or(name, String::as_str);
            let is_there = installed
                .iter()
                .any(|(short, full)| is_one_of(known, short, full))
                || wants
                    && seen
                        .get(&format!("provided.{i}"))
                        .is_some_and(|v| v == "yes");
            is_there == wants
        })
    }

    fn failure(reply: &Reply) -> Failure {
        let text = format!("{}\n{}", reply.stdout_text(), reply.stderr_text());
        let missing: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| {
                line.split_once("No match for argument: ")
                    .or_else(|| line.split_once("Unable to find a match: "))
            })
            .flat_map(|(_, names)| names.split_whitespace())
            .collect();
        let rc = ("rc", Value::Int(1));
        let results = ("results", Value::from(Vec::new()));
        if missing.is_empty() {
            let mut failed = Failure::of_reply(
                format!("Depsolve Error occurred: {}", reply.stderr_text().trim()),
                reply,
            );
            failed.result.extend(fields([rc, results]));
            return failed;
        }
        let failures = missing
            .iter()
            .map(|name| format!("No package {name} available."));
        Failure {
            msg: "Failed to install some of the specified packages".into(),
            result: fields([("failures", strings(failures)), rc, results]),
            ..Failure::default()
        }
    }
}

fn is_rpm(path: &str) -> bool {
    std::path::Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "rpm")
}

/// Whether `name`, as a user writes it, is this package: `x`, `x.noarch`, `x-1.2`, `x-1.2-3.noarch`,
/// with or without an epoch.
fn is_one_of(name: &str, short: &str, full: &str) -> bool {
    if name == short || name == full {
        return true;
    }
    if name.contains(['*', '?', '[']) {
        return super::apt_plan::like(name, short) || super::apt_plan::like(name, full);
    }
    let Some(rest) = full
        .strip_prefix(short)
        .and_then(|rest| rest.strip_prefix('-'))
    else {
        return false;
    };
    let (evr, arch) = rest.rsplit_once('.').unwrap_or((rest, ""));
    let plain = evr.split_once(':').map_or(evr, |(_, rest)| rest);
    let version = plain.rsplit_once('-').map_or(plain, |(version, _)| version);
    let with_epoch = evr.rsplit_once('-').map_or(evr, |(version, _)| version);
    name == format!("{short}.{arch}")
        || [evr, plain, version, with_epoch].iter().any(|wanted| {
            name == format!("{short}-{wanted}") || name == format!("{short}-{wanted}.{arch}")
        })
}

/// Takes away what was not there, brings back what is gone.
const BACK: &str = "[ -e \"$SB_KEEP/rpm\" ] || exit 0\n\
     LIST >\"$SB_KEEP/rpm.now\" || exit 1\n\
     set -f\nset --\n\
     for SB_x in $(LC_ALL=C comm -13 \"$SB_KEEP/rpm\" \"$SB_KEEP/rpm.now\" | cut -d ' ' -f 1); do\n\
     grep -q \"^$SB_x \" \"$SB_KEEP/rpm\" || set -- \"$@\" \"$SB_x\"\ndone\n\
     if [ $# -gt 0 ]; then DNF remove \"$@\" >&2 || sb_fail 'cannot remove the packages that were installed'; fi\n\
     set --\nSB_older=\n\
     for SB_x in $(LC_ALL=C comm -23 \"$SB_KEEP/rpm\" \"$SB_KEEP/rpm.now\" | cut -d ' ' -f 2); do\n\
     SB_name=${SB_x%-*-*}\n\
     if grep -q \"^$SB_name \" \"$SB_KEEP/rpm.now\"; then SB_older=\"$SB_older $SB_x\"; else set -- \"$@\" \"$SB_x\"; fi\ndone\n\
     if [ $# -gt 0 ]; then DNF install \"$@\" >&2 || sb_fail 'cannot install the packages that were removed'; fi\n\
     if [ -n \"$SB_older\" ]; then DNF downgrade $SB_older >&2 || sb_fail 'cannot bring the older versions back'; fi\n\
     exit 0\n";

impl Module for Dnf {
    const NAME: &'static str = "dnf";
    const EFFECT: Effect = Effect::Converges;
    const LONG: bool = true;
    type Args = DnfArgs;

    fn check(args: &DnfArgs) -> Result<(), String> {
        if args.list.is_some() {
            return Err("`list` is not supported: use `package_facts`".into());
        }
        if args.best.is_some() && args.nobest.is_some() {
            return Err("parameters are mutually exclusive: best|nobest".into());
        }
        if args.name.is_empty() && !args.update_cache && !args.autoremove {
            return Err("one of the following is required: name, list, update_cache".into());
        }
        if args.autoremove && matches!(args.state, Some(State::Present | State::Latest)) {
            return Err("Autoremove should be used alone or with state=absent".into());
        }
        match args.names().find(|name| name.starts_with('-')) {
            Some(name) => Err(format!("`{name}` cannot be the name of a package")),
            None => Ok(()),
        }
    }

    fn probe(args: &DnfArgs, _: &[Resolved]) -> Option<Script> {
        let mut sh = String::from(
            "sb_kv manager dnf\ncommand -v dnf >/dev/null && command -v rpm >/dev/null || exit 127\n",
        );
        for (i, name) in args.names().enumerate() {
            let word = quote(name);
            if name.starts_with('/') && is_rpm(name) {
                sh.push_str(&format!(
                    "[ ! -e {word} ] || sb_kv rpm.{i} \"$(rpm -qp --qf '%{{NAME}}-%{{EPOCHNUM}}:%{{VERSION}}-%{{RELEASE}}.%{{ARCH}}' {word} 2>/dev/null)\"\n"
                ));
            } else if args.state() == State::Present && !name.starts_with('@') {
                sh.push_str(&format!(
                    "rpm -q --whatprovides {word} >/dev/null 2>&1 && sb_kv provided.{i} yes\n"
                ));
            }
        }
        sh.push_str(&format!("sb_body\n{LIST}\n"));
        Some(Script::new(sh))
    }

    fn decide(args: &DnfArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        if reply.rc == 127 {
            return Err(Failure::new("the host has no dnf"));
        }
        if reply.rc != 0 {
            return Err(Failure::of_reply("the packages cannot be listed", reply));
        }
        if args.names().next().is_some() && args.is_settled(reply) && !args.update_cache {
            return Ok(Decision::Unchanged(Outcome::ok(fields([
                ("msg", "Nothing to do".into()),
                ("rc", Value::Int(0)),
                ("results", Value::from(Vec::new())),
            ]))));
        }
        let apply = format!(
            "sb_keep_dir\n[ -e \"$SB_KEEP/rpm\" ] || {{ {LIST} >\"$SB_KEEP/rpm.part\" && mv \"$SB_KEEP/rpm.part\" \"$SB_KEEP/rpm\"; }} || exit 1\n\
             (\n{})\nSB_rc=$?\nprintf '\\n{MARK}\\n'\n{LIST}\nexit $SB_rc\n",
            args.commands()
        );
        let names: Vec<&str> = args.names().collect();
        let verb = match args.state() {
            State::Absent => "remove",
            State::Latest => "bring up to date",
            State::Present => "install",
        };
        Ok(Decision::Change(Change {
            summary: if names.is_empty() {
                "fetch the data of the repositories".into()
            } else {
                format!("{verb} {}", names.join(", "))
            },
            diff: Vec::new(),
            acts: vec![Act::script(apply)],
            undo: Undo::Acts {
                summary: "bring the packages of before back".into(),
                acts: vec![Act::script(
                    BACK.replace("LIST", LIST).replace("DNF", &args.dnf()),
                )],
            },
            foretell: Foretell::Changed(fields([(
                "msg",
                "Check mode: No changes made, but would have if not in check mode".into(),
            )])),
        }))
    }

    fn finish(
        args: &DnfArgs,
        _: &[Resolved],
        seen: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        if reply.rc != 0 {
            return Err(DnfArgs::failure(reply));
        }
        let stdout = reply.stdout_text();
        let (_, after) = stdout.rsplit_once(MARK).unwrap_or(("", ""));
        let before = seen.first().map(Reply::body).unwrap_or_default();
        let before = String::from_utf8_lossy(before).into_owned();
        let set = |text: &str| -> BTreeSet<String> {
            text.lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(_, full)| full.to_owned())
                .collect()
        };
        let (before, after) = (set(&before), set(after));
        let mut results: Vec<String> = after
            .difference(&before)
            .map(|full| format!("Installed: {full}"))
            .collect();
        results.extend(
            before
                .difference(&after)
                .map(|full| format!("Removed: {full}")),
        );
        let is_changed = !results.is_empty();
        let msg = if is_changed {
            ""
        } else if args.names().next().is_none() && args.update_cache {
            "Cache updated"
        } else {
            "Nothing to do"
        };
        Ok(Outcome {
            is_changed,
            result: fields([
                ("msg", msg.into()),
                ("rc", Value::Int(0)),
                ("results", strings(results)),
            ]),
            ..Outcome::default()
        })
    }
}

impl Dnf {
    /// Whether the reply is that of dnf's probe.
    pub(super) fn has_answered(seen: &[Reply]) -> bool {
        seen.first()
            .is_some_and(|reply| reply.fields().get("manager").is_some_and(|m| m == "dnf"))
    }
}

#[cfg(test)]
mod tests;
