//! `pip`: Python packages, by the `pip` of the host.
//!
//! The only module that wants a Python on the host, since it is about Python. What is asked for
//! and already there is seen from `pip list` and nothing is run; else `pip` says whether it changed
//! anything. Source: ansible-core 2.19, `modules/pip.py`.

use super::command::last;
use super::path_state::word;
use super::pep440::{Requirement, canonical};
use super::result::{fields, strings, with_output};
use super::{
    Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo, words,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Brings about that Python packages are installed, or are not.
///
/// # Returns
/// * `name`: the packages.
/// * `version`: the version that was asked for.
/// * `requirements`: the file of requirements.
/// * `virtualenv`: the environment.
/// * `cmd`: the command that was run.
/// * `stdout`: what pip said.
/// * `stderr`: its error output.
///
/// # Example
/// ```yaml
/// - pip:
///     name: "psycopg2-binary>=2.9"
///     virtualenv: /opt/app/venv
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Pip;

/// Arguments of `pip`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PipArgs {
    /// The packages, each with the versions that will do: `django>=4,<5`; or URLs.
    name: Option<Vec<String>>,
    /// The version, where there is one package.
    version: Option<String>,
    /// A file of the host that lists requirements, instead of `name`.
    requirements: Option<String>,
    /// A virtual environment of the host, made if need be.
    virtualenv: Option<String>,
    /// Whether a new environment sees the packages of the system. Default false.
    #[serde(default)]
    virtualenv_site_packages: bool,
    /// What makes an environment. Default `virtualenv`.
    virtualenv_command: Option<String>,
    /// The Python of a new environment.
    virtualenv_python: Option<String>,
    /// What is to be. Default `present`.
    #[serde(default)]
    state: State,
    /// More words for `pip`.
    extra_args: Option<String>,
    /// Whether `-e` is given to `pip`. Default false.
    #[serde(default)]
    editable: bool,
    /// The folder to run `pip` in. Default `/tmp`.
    chdir: Option<String>,
    /// The `pip` to run, by name or path.
    executable: Option<String>,
    /// The umask of what is installed, in octal.
    umask: Option<String>,
    /// Whether packages of the system's own Python may be changed. Default false.
    #[serde(default)]
    break_system_packages: bool,
}

/// What is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Not installed.
    Absent,
    /// Installed anew, whatever is there.
    ForceReinstall,
    /// Installed in the newest version.
    Latest,
    /// Installed.
    #[default]
    Present,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::ForceReinstall => "forcereinstall",
            Self::Latest => "latest",
            Self::Present => "present",
        }
    }

    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Absent => &["uninstall", "-y"],
            Self::ForceReinstall => &["install", "-U", "--force-reinstall"],
            Self::Latest => &["install", "-U"],
            Self::Present => &["install"],
        }
    }
}

/// Whether a name is a URL of a version control system.
fn is_vcs(name: &str) -> bool {
    ["svn+", "git+", "hg+", "bzr+"]
        .iter()
        .any(|kind| name.starts_with(kind))
}

/// Packages from names and versions in any mixture: `[x>1, <2, y]` is `x>1,<2` and `y`.
fn recovered(names: &[String]) -> Vec<String> {
    let is_version = |text: &str| {
        [">=", "<=", ">", "<", "==", "!=", "~="]
            .iter()
            .any(|op| text.trim_start().starts_with(op))
    };
    let mut packages: Vec<String> = Vec::new();
    let mut in_brackets = false;
    for part in names.iter().flat_map(|name| name.split(',')) {
        match packages.last_mut() {
            Some(last) if in_brackets || is_version(part) => {
                last.push(',');
                last.push_str(part);
            }
            _ => packages.push(part.to_owned()),
        }
        if part.contains('[') {
            in_brackets = true;
        }
        if part.contains(']') {
            in_brackets = false;
        }
    }
    packages
}

impl PipArgs {
    /// What `pip` is to install or remove.
    fn packages(&self) -> Result<Vec<String>, String> {
        let mut packages = recovered(self.name.as_deref().unwrap_or_default());
        if let Some(version) = &self.version {
            let [package] = &mut packages[..] else {
                return Err(
                    "'version' argument is ambiguous when installing multiple package \
                            distributions. Please specify version restrictions next to each \
                            package in 'name' argument."
                        .into(),
                );
            };
            if Requirement::read(package).is_some_and(|read| !read.clauses.is_empty()) {
                return Err(
                    "The 'version' argument conflicts with any version specifier provided \
                            along with a package name. Please keep the version specifier, but \
                            remove the 'version' argument."
                        .into(),
                );
            }
            let version = version.trim_start();
            if version.starts_with(|c: char| c.is_ascii_digit()) {
                package.push_str("==");
            }
            package.push_str(version);
        }
        Ok(packages)
    }

    /// The words after the name of `pip`.
    fn words(&self) -> Result<Vec<String>, String> {
        let mut all: Vec<String> = self.state.words().iter().map(|w| (*w).into()).collect();
        let mut extra = words::split(self.extra_args.as_deref().unwrap_or_default())?;
        if self.editable && !extra.iter().any(|word| word == "-e") {
            extra.push("-e".into());
        }
        all.extend(extra);
        match &self.requirements {
            Some(file) => all.extend(["-r".into(), file.clone()]),
            None => all.extend(self.packages()?),
        }
        Ok(all)
    }

    /// Lines that set `umask`, go to the folder, and make of `$@` the `pip` to run. Where there is
    /// none, field `no_pip` says so and `$#` is 0.
    fn begin(&self) -> String {
        let mut sh = format!(
            "cd -- {} || sb_fail 'cannot enter the folder of chdir'\n",
            self.chdir.as_deref().map_or("/tmp".into(), word)
        );
        if let Some(umask) = &self.umask {
            sh.push_str(&format!("umask {}\n", quote(umask)));
        }
        if self.break_system_packages {
            sh.push_str("export PIP_BREAK_SYSTEM_PACKAGES=1\n");
        }
        sh.push_str("set --\n");
        if let Some(env) = &self.virtualenv {
            sh.push_str(&format!(
                "SB_env={}\n\
                 if [ -e \"$SB_env/bin/activate\" ]; then\n\
                 PATH=$SB_env/bin:$PATH; export PATH\n\
                 if [ -x \"$SB_env/bin/pip3\" ]; then set -- \"$SB_env/bin/pip3\"\n\
                 elif [ -x \"$SB_env/bin/pip\" ]; then set -- \"$SB_env/bin/pip\"; fi\n\
                 fi\n",
                word(env)
            ));
            return sh;
        }
        match &self.executable {
            Some(path) if path.starts_with(['/', '~']) => {
                sh.push_str(&format!("set -- {}\n", word(path)));
            }
            Some(name) => sh.push_str(&format!(
                "SB_pip=$(command -v {}) && set -- \"$SB_pip\"\n",
                quote(name)
            )),
            None => sh.push_str(
                "if SB_python=$(command -v python3) && \"$SB_python\" -c 'import pip' 2>/dev/null; then\n\
                 set -- \"$SB_python\" -m pip\n\
                 elif SB_pip=$(command -v pip3); then set -- \"$SB_pip\"; fi\n",
            ),
        }
        sh
    }

    /// The line that makes the environment, for `sh -c`-free running.
    fn make_environment(&self) -> Result<String, String> {
        let command = self.virtualenv_command.as_deref().unwrap_or("virtualenv");
        let mut all = words::split(command)?;
        let program = all.first().cloned().ok_or("virtualenv_command is empty")?;
        let is_venv = program == "pyvenv" || all.windows(2).any(|two| two == ["-m", "venv"]);
        if self.virtualenv_site_packages {
            all.push("--system-site-packages".into());
        }
        match &self.virtualenv_python {
            Some(_) if is_venv => {
                return Err(
                    "virtualenv_python should not be used when using the venv module or \
                            pyvenv as virtualenv_command"
                        .into(),
                );
            }
            Some(python) => all.push(format!("-p{python}")),
            None => {}
        }
        let line: Vec<String> = all.iter().map(|word| quote(word)).collect();
        Ok(format!(
            "SB_log=$({} \"$SB_env\" 2>&1) || {{ printf '%s\\n' \"$SB_log\" >&2; exit 121; }}\n\
             PATH=$SB_env/bin:$PATH; export PATH\n\
             if [ -x \"$SB_env/bin/pip3\" ]; then set -- \"$SB_env/bin/pip3\"; else set -- \"$SB_env/bin/pip\"; fi\n",
            line.join(" ")
        ))
    }

    fn not_found(&self) -> Failure {
        match &self.virtualenv {
            Some(env) => Failure::new(format!(
                "Unable to find pip in the virtualenv, {env}, under any of these names: pip3, pip. \
                 Make sure pip is present in the virtualenv."
            )),
            None => Failure::new(format!(
                "Unable to find any of {} to use.  pip needs to be installed.",
                self.executable.as_deref().unwrap_or("pip3")
            )),
        }
    }

    /// Whether all that is asked for is so already, as far as a list of packages can tell.
    fn is_settled(&self, installed: &[(String, String)]) -> Result<bool, String> {
        if self.requirements.is_some() || self.editable {
            return Ok(false);
        }
        let wants = match self.state {
            State::Present => true,
            State::Absent => false,
            State::Latest | State::ForceReinstall => return Ok(false),
        };
        for package in self.packages()? {
            let Some(read) = Requirement::read(&package) else {
                return Ok(false);
            };
            let found = installed.iter().find(|(name, _)| *name == read.name);
            let is_so = match (found, wants) {
                (None, wants) => !wants,
                // Removing heeds no version.
                (Some(_), false) => false,
                (Some((_, version)), true) => !read.has_extras && read.holds(version) == Some(true),
            };
            if !is_so {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn result(&self, cmd: Vec<String>, stdout: &str, stderr: &str) -> Map {
        let or_null = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
        let mut result = with_output(Value::Null, stdout, stderr);
        result.shift_remove("rc");
        result.extend(fields([
            ("cmd", strings(cmd)),
            (
                "name",
                self.name
                    .as_ref()
                    .map_or(Value::Null, |names| strings(names.iter().cloned())),
            ),
            ("version", or_null(&self.version)),
            ("state", self.state.name().into()),
            ("requirements", or_null(&self.requirements)),
            ("virtualenv", or_null(&self.virtualenv)),
        ]));
        result
    }
}

/// Lists packages as `name==version`, one a line.
const LIST: &str = "LC_ALL=C \"$@\" list --format=freeze 2>/dev/null || \"$@\" freeze";

/// Gives the packages back that `$SB_KEEP/pip` lists, and takes all others away.
const BACK: &str = "set -f\n[ -e \"$SB_KEEP/pip\" ] || exit 0\n\
     if [ -e \"$SB_KEEP/no_env\" ]; then rm -rf -- \"$SB_env\"; exit; fi\n\
     [ $# -gt 0 ] || exit 0\nSB_now=$(LIST) || sb_fail 'cannot list the packages'\n\
     SB_gone= SB_more=\n\
     for SB_x in $(cat \"$SB_KEEP/pip\"); do\n\
     case \"\n$SB_now\n\" in *\"\n$SB_x\n\"*) ;; *) SB_gone=\"$SB_gone $SB_x\" ;; esac\ndone\n\
     for SB_x in $SB_now; do\n\
     case \"\n$(cat \"$SB_KEEP/pip\")\n\" in *\"\n${SB_x%%=*}==\"*) ;; *) SB_more=\"$SB_more ${SB_x%%=*}\" ;; esac\ndone\n\
     if [ -n \"$SB_more\" ]; then \"$@\" uninstall -y $SB_more >&2 || sb_fail 'cannot remove packages'; fi\n\
     if [ -n \"$SB_gone\" ]; then \"$@\" install --no-deps $SB_gone >&2 || sb_fail 'cannot install the packages of before'; fi\n\
     exit 0\n";

impl Module for Pip {
    const NAME: &'static str = "pip";
    const EFFECT: Effect = Effect::Converges;
    const LONG: bool = true;
    type Args = PipArgs;

    fn check(args: &PipArgs) -> Result<(), String> {
        match (&args.name, &args.requirements) {
            (None, None) => {
                return Err("one of the following is required: name, requirements".into());
            }
            (Some(_), Some(_)) => {
                return Err("parameters are mutually exclusive: name|requirements".into());
            }
            _ => {}
        }
        if args.executable.is_some() && args.virtualenv.is_some() {
            return Err("parameters are mutually exclusive: executable|virtualenv".into());
        }
        if args.state == State::Latest && args.version.is_some() {
            return Err("version is incompatible with state=latest".into());
        }
        let is_octal = |text: &String| {
            !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| (b'0'..=b'7').contains(&b))
        };
        if args.umask.as_ref().is_some_and(|umask| !is_octal(umask)) {
            return Err("umask must be an octal integer".into());
        }
        let packages = args.packages()?;
        if let Some(bad) = packages.iter().find(|p| p.trim_start().starts_with('-')) {
            return Err(format!("`{bad}` cannot be the name of a package"));
        }
        args.make_environment()?;
        args.words().map(drop)
    }

    fn probe(args: &PipArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(format!(
            "{}sb_kv pip \"$*\"\n[ $# -gt 0 ] || exit 0\nSB_list=$({LIST}) || sb_fail 'pip cannot list its packages'\n\
             sb_body\nprintf '%s\\n' \"$SB_list\"\n",
            args.begin()
        )))
    }

    fn decide(args: &PipArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        if reply.rc != 0 {
            return Err(super::path_state::failure("cannot look at pip", reply));
        }
        let head = reply.fields();
        let pip = head.get("pip").map_or("", String::as_str);
        let makes_environment = args.virtualenv.is_some() && pip.is_empty();
        if pip.is_empty() && !makes_environment {
            return Err(args.not_found());
        }
        let body = String::from_utf8_lossy(reply.body()).into_owned();
        let installed: Vec<(String, String)> = body
            .lines()
            .filter_map(|line| line.split_once("=="))
            .map(|(name, version)| (canonical(name.trim()), version.trim().to_owned()))
            .collect();
        let words = args.words().map_err(Failure::new)?;
        let cmd: Vec<String> = pip
            .split_whitespace()
            .map(str::to_owned)
            .chain(words.iter().cloned())
            .collect();
        let result = args.result(cmd, "", "");
        if !makes_environment && args.is_settled(&installed).map_err(Failure::new)? {
            return Ok(Decision::Unchanged(Outcome::ok(result)));
        }
        let line: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let (make, no_env) = if makes_environment {
            let make = args.make_environment().map_err(Failure::new)?;
            (make, "printf '' >\"$SB_KEEP/no_env\"\n")
        } else {
            (String::new(), "")
        };
        let apply = format!(
            "{begin}sb_keep_dir\n\
             if [ ! -e \"$SB_KEEP/pip\" ]; then\n{no_env}\
             if [ $# -gt 0 ]; then {LIST}; fi >\"$SB_KEEP/pip.part\" && mv \"$SB_KEEP/pip.part\" \"$SB_KEEP/pip\" || exit\nfi\n\
             {make}\"$@\" {line}\nSB_rc=$?\n\
             printf '\\n{MARK}'\n{{ {LIST}; }} | cmp -s - \"$SB_KEEP/pip\" && printf same\nexit $SB_rc\n",
            begin = args.begin(),
            line = line.join(" ")
        );
        Ok(Decision::Change(Change {
            summary: format!("pip {}", super::command::joined(&words)),
            diff: Vec::new(),
            acts: vec![Act::script(apply)],
            undo: Undo::Acts {
                summary: "bring the Python packages of before back".into(),
                acts: vec![Act::script(format!(
                    "{}{}",
                    args.begin(),
                    BACK.replace("LIST", LIST)
                ))],
            },
            foretell: Foretell::Changed(result),
        }))
    }

    fn finish(
        args: &PipArgs,
        _: &[Resolved],
        seen: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        let stdout = reply.stdout_text();
        let (stdout, mark) = stdout.rsplit_once(MARK).unwrap_or((&stdout, ""));
        let stdout = stdout.strip_suffix('\n').unwrap_or(stdout);
        let stderr = reply.stderr_text();
        let mut result = match &change.foretell {
            Foretell::Changed(result) => result.clone(),
            Foretell::Skipped(_) => Map::new(),
        };
        let is_no_loss = args.state == State::Absent
            && reply.rc == 1
            && (stdout.contains("not installed") || stderr.contains("not installed"));
        if reply.rc != 0 && !is_no_loss {
            let mut msg = String::new();
            if !stdout.is_empty() {
                msg.push_str(&format!("stdout: {stdout}"));
            }
            if !stderr.is_empty() {
                msg.push_str(&format!("\n:stderr: {stderr}"));
            }
            return Err(Failure {
                msg,
                result: fields([("cmd", result.get("cmd").cloned().unwrap_or_default())]),
                ..Failure::default()
            });
        }
        let made_environment = seen
            .first()
            .is_some_and(|reply| reply.fields().get("pip").is_none_or(String::is_empty));
        let names = args.name.as_deref().unwrap_or_default();
        let is_changed = match args.state {
            State::Absent => stdout.contains("Successfully uninstalled"),
            _ if args.requirements.is_some() || names.iter().any(|name| is_vcs(name)) => {
                mark != "same"
            }
            _ => stdout.contains("Successfully installed"),
        };
        result.extend(with_output(Value::Null, stdout, &stderr));
        result.shift_remove("rc");
        Ok(Outcome {
            is_changed: is_changed || made_environment,
            result,
            ..Outcome::default()
        })
    }
}

/// What stands between the output of `pip` and what the script adds.
const MARK: &str = "@switchback@";

#[cfg(test)]
mod tests;
