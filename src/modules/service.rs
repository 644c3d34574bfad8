//! `service`, `systemd`, `systemd_service`: whether a service runs, starts at boot, and may.
//!
//! Source of what counts as running, enabled and masked, and of the messages: ansible-core 2.19,
//! `modules/systemd.py`. Hosts without systemd get `service` and the tools of `SysV` or `OpenRC`.

use std::collections::BTreeMap;

use super::command::last;
use super::result::fields;
use super::{
    Act, Change, Compares, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Brings a service into a state.
///
/// # Returns
/// * `name`: the service.
/// * `state`: whether it runs: `started` or `stopped`.
/// * `enabled`: whether it is started at boot.
/// * `status`: what systemd says of the unit.
///
/// # Example
/// ```yaml
/// - service:
///     name: postgresql
///     state: restarted
///     enabled: true
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Service;

/// Arguments of `service`, `systemd` and `systemd_service`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Ansible's arguments"
)]
pub(super) struct ServiceArgs {
    /// The service: a unit name, `.service` may be left out.
    #[serde(alias = "service", alias = "unit")]
    name: Option<String>,
    /// `started` and `stopped` act only if needed; `restarted` and `reloaded` always do.
    state: Option<State>,
    /// Whether it starts at boot.
    enabled: Option<bool>,
    /// Whether it is masked, so that nothing can start it.
    masked: Option<bool>,
    /// Whether systemd reads its unit files again first. Default false.
    #[serde(default, alias = "daemon-reload")]
    daemon_reload: bool,
    /// Whether systemd starts itself anew first. Default false.
    #[serde(default, alias = "daemon-reexec")]
    daemon_reexec: bool,
    /// Whether symlinks in the way are replaced. Default false.
    #[serde(default)]
    force: bool,
    /// Whose service manager: `system` (default), the `user`'s, or `global` for all users.
    #[serde(default)]
    scope: Scope,
    /// Whether not to wait until the job is done. Default false.
    #[serde(default)]
    no_block: bool,
    /// More arguments for the init script (hosts without systemd only).
    #[serde(alias = "args")]
    arguments: Option<String>,
    /// Text to look for among processes where an init script has no `status` (hosts without
    /// systemd only).
    pattern: Option<String>,
    /// The `OpenRC` runlevel. Default `default`.
    runlevel: Option<String>,
    /// Seconds between stop and start of a restart (hosts without systemd only).
    sleep: Option<u32>,
    /// The service manager to use; it is found out where this is `auto` (default).
    #[serde(rename = "use")]
    manager: Option<String>,
}

/// What a service is to do.
#[derive(serde::Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    Started,
    Stopped,
    Restarted,
    Reloaded,
}

/// Whose service manager.
#[derive(serde::Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    System,
    User,
    Global,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Restarted => "restarted",
            Self::Reloaded => "reloaded",
        }
    }
}

impl ServiceArgs {
    /// `systemctl` with the options that every call has.
    fn systemctl(&self) -> String {
        let scope = match self.scope {
            Scope::System => "",
            Scope::User => " --user",
            Scope::Global => " --global",
        };
        let no_block = if self.no_block { " --no-block" } else { "" };
        let force = if self.force { " --force" } else { "" };
        format!("systemctl{scope}{no_block}{force}")
    }

    fn unit(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

const RUNTIME_DIR: &str = "[ -n \"${XDG_RUNTIME_DIR:-}\" ] || { \
     SB_uid=$(id -u) && export XDG_RUNTIME_DIR=/run/user/$SB_uid; }\n";

/// Names the service manager as Ansible's facts do: the directories are systemd's own canaries.
const MANAGER: &str = "SB_mgr=none
if [ -d /run/systemd/system ] || [ -d /dev/.run/systemd ] || [ -d /dev/.systemd ]; then SB_mgr=systemd
elif command -v systemctl >/dev/null; then SB_mgr=offline
elif [ -e /sbin/openrc ] || [ -e /sbin/rc-service ]; then SB_mgr=openrc
elif [ -d /etc/init.d ]; then SB_mgr=sysv
fi
";

/// What the probe saw.
struct Seen {
    head: BTreeMap<String, String>,
    status: Map,
}

impl Seen {
    fn read(reply: &Reply) -> Self {
        Self {
            head: reply.fields(),
            status: parse_show(&String::from_utf8_lossy(reply.body())),
        }
    }

    fn head(&self, name: &str) -> &str {
        self.head.get(name).map_or("", String::as_str)
    }

    fn property(&self, name: &str) -> &str {
        self.status.get(name).and_then(Value::as_str).unwrap_or("")
    }

    fn is_systemd(&self) -> bool {
        matches!(self.head("manager"), "systemd" | "offline")
    }

    fn is_found(&self) -> bool {
        let is_unit = match self.property("LoadState") {
            "" => !matches!(self.head("enabled"), "" | "not-found"),
            state => state != "not-found",
        };
        is_unit || self.head("initd") == "yes"
    }

    fn is_running(&self) -> bool {
        if self.is_systemd() {
            matches!(self.property("ActiveState"), "active" | "activating")
        } else {
            self.head("running") == "yes"
        }
    }

    fn is_masked(&self) -> bool {
        self.head("enabled") == "masked"
    }

    fn is_enabled(&self) -> bool {
        match (self.head("enabled_rc"), self.head("enabled")) {
            ("0", "enabled-runtime" | "indirect" | "alias") => false,
            ("0", _) => true,
            ("1", state) => !state.ends_with("disabled") && self.head("rc_links") == "yes",
            _ => false,
        }
    }
}

/// The lines of `systemctl show`. Only `Exec…={` values go over more than one line.
fn parse_show(text: &str) -> Map {
    let mut status = Map::new();
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let mut value = value.to_owned();
        if name.starts_with("Exec") && value.trim_start().starts_with('{') {
            while !value.trim_end().ends_with('}') {
                let Some(more) = lines.next() else { break };
                value.push('\n');
                value.push_str(more);
            }
        }
        status.insert(name.to_owned(), value.trim().into());
    }
    status
}

/// What is to be done, and how it is taken back, as lines of sh.
#[derive(Default)]
struct Plan {
    parts: Vec<String>,
    acts: Vec<String>,
    undo: Vec<(Back, String)>,
    result: Map,
    is_changed: bool,
}

/// The order in which things are taken back: what is masked can be neither enabled nor started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Back {
    Unmask,
    Stop,
    Enablement,
    Start,
    Mask,
}

impl Plan {
    fn run(&mut self, part: String, act: String) {
        self.parts.push(part);
        self.acts.push(act);
    }
}

/// A line that fails the script with Ansible's message (one per failing step).
fn or_fail(command: &str, message: &str) -> String {
    format!(
        "SB_out=$({command} 2>&1) || {{ SB_rc=$?; printf '%s%s\\n' {} \"$SB_out\" >&2; exit $SB_rc; }}\n",
        quote(message)
    )
}

fn missing(unit: &str) -> Failure {
    Failure::new(format!("Could not find the requested service {unit}: host"))
}

impl Module for Service {
    const NAME: &'static str = "service";
    const EFFECT: Effect = Effect::Converges;
    // `systemctl show` counts memory and time: only what was asked for by name is compared.
    const COMPARES: Compares = Compares::Fields;
    type Args = ServiceArgs;

    fn effect(args: &ServiceArgs) -> Effect {
        match args.state {
            Some(State::Restarted | State::Reloaded) => Effect::Once,
            Some(State::Started | State::Stopped) | None => Effect::Converges,
        }
    }

    fn check(args: &ServiceArgs) -> Result<(), String> {
        let has_wish = args.state.is_some() || args.enabled.is_some() || args.masked.is_some();
        if !has_wish && !args.daemon_reload && !args.daemon_reexec {
            return Err("one of the following is required: state, enabled, masked, \
                        daemon_reload, daemon_reexec"
                .into());
        }
        if has_wish && args.name.is_none() {
            return Err(
                "missing parameter(s) required by 'state', 'enabled' or 'masked': name".into(),
            );
        }
        if let Some(pattern) = ['*', '?', '['].iter().find(|c| args.unit().contains(**c)) {
            return Err(format!(
                "This module does not currently support using glob patterns, found '{pattern}' in \
                 service name: {}",
                args.unit()
            ));
        }
        if let Some(manager) = args.manager.as_deref()
            && !matches!(
                manager,
                "auto" | "service" | "systemd" | "sysvinit" | "openrc"
            )
        {
            return Err(format!("the service manager `{manager}` is not supported"));
        }
        Ok(())
    }

    fn probe(args: &ServiceArgs, _: &[Resolved]) -> Option<Script> {
        let Some(unit) = &args.name else {
            return Some(Script::new(format!("{MANAGER}sb_kv manager $SB_mgr\n")));
        };
        let unit = quote(unit);
        let systemctl = args.systemctl();
        let mut sh = MANAGER.to_owned();
        if args.scope == Scope::User {
            sh.push_str(RUNTIME_DIR);
        }
        sh.push_str(&format!(
            "sb_kv manager $SB_mgr\n\
             [ -e /etc/init.d/{unit} ] && sb_kv initd yes\n\
             for SB_link in /etc/rc[0-9].d/S[0-9][0-9]{unit}; do\n\
             [ -e \"$SB_link\" ] && sb_kv rc_links yes && break\ndone\n"
        ));
        let is_enabled = if args.enabled.is_some() || args.masked.is_some() {
            format!(
                "SB_en=$({systemctl} is-enabled {unit} 2>/dev/null); SB_rc=$?\n\
                 sb_kv enabled_rc $SB_rc; sb_kv enabled \"${{SB_en%%[!a-z-]*}}\"\n"
            )
        } else {
            String::new()
        };
        sh.push_str(&format!(
            "case $SB_mgr in\nsystemd)\n{is_enabled}sb_kv active \"$({systemctl} is-active {unit} 2>/dev/null)\"\nsb_body\n{systemctl} show -- {unit}\nexit 0 ;;\n\
             offline)\n{is_enabled};;\n\
             openrc)\n rc-service {unit} status >/dev/null 2>&1 && sb_kv running yes\n\
             [ -e /etc/runlevels/{runlevel}/{unit} ] && sb_kv rc_links yes ;;\n\
             sysv)\n {sysv_status} && sb_kv running yes ;;\nesac\nexit 0\n",
            runlevel = quote(args.runlevel.as_deref().unwrap_or("default")),
            sysv_status = match &args.pattern {
                Some(pattern) => format!("ps | grep -v grep | grep -q -F -e {}", quote(pattern)),
                None => format!("service {unit} status >/dev/null 2>&1"),
            },
        ));
        Some(Script::new(sh))
    }

    fn decide(args: &ServiceArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let seen = Seen::read(&seen[0]);
        let mut plan = Plan::default();
        if let Some(name) = &args.name {
            plan.result.insert("name".into(), name.as_str().into());
        }
        if seen.is_systemd() {
            plan.result
                .insert("status".into(), Value::from(seen.status.clone()));
            with_systemd(args, &seen, &mut plan)?;
        } else {
            without_systemd(args, &seen, &mut plan)?;
        }
        Ok(decided(args, plan))
    }

    fn finish(
        args: &ServiceArgs,
        _: &[Resolved],
        _: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        if reply.rc != 0 {
            let text = reply.stderr_text();
            let mut failure = Failure::of_reply(text.trim_end(), reply);
            failure.is_changed = false;
            return Err(failure);
        }
        let Foretell::Changed(result) = &change.foretell else {
            return Err(Failure::new(format!(
                "`{}` foretold no result",
                args.unit()
            )));
        };
        let mut result = result.clone();
        let is_changed = result.shift_remove("changed") != Some(Value::Bool(false));
        Ok(Outcome {
            is_changed,
            result,
            ..Outcome::default()
        })
    }
}

fn decided(args: &ServiceArgs, mut plan: Plan) -> Decision {
    if plan.acts.is_empty() {
        return Decision::Unchanged(Outcome::ok(plan.result));
    }
    if !plan.is_changed {
        // To reload systemd's own configuration is no change in Ansible's eyes.
        plan.result.insert("changed".into(), Value::Bool(false));
    }
    plan.undo.sort();
    let back: String = plan.undo.iter().map(|(_, line)| line.as_str()).collect();
    let undo = if plan.undo.is_empty() {
        Undo::NotNeeded
    } else {
        Undo::Acts {
            summary: format!("bring `{}` back to its state before", args.unit()),
            acts: vec![Act::script(prologue(args) + &back)],
        }
    };
    Decision::Change(Change {
        summary: plan.parts.join(", "),
        diff: Vec::new(),
        acts: vec![Act::script(prologue(args) + &plan.acts.concat())],
        undo,
        foretell: Foretell::Changed(plan.result),
    })
}

fn prologue(args: &ServiceArgs) -> String {
    if args.scope == Scope::User {
        RUNTIME_DIR.to_owned()
    } else {
        String::new()
    }
}

fn with_systemd(args: &ServiceArgs, seen: &Seen, plan: &mut Plan) -> Result<(), Failure> {
    let ctl = args.systemctl();
    for (wanted, verb) in [
        (args.daemon_reload, "daemon-reload"),
        (args.daemon_reexec, "daemon-reexec"),
    ] {
        if wanted {
            // Offline there is no manager that could take the word; Ansible goes on as well.
            let act = if seen.head("manager") == "offline" {
                format!("{ctl} {verb} || :\n")
            } else {
                or_fail(
                    &format!("{ctl} {verb}"),
                    &format!("failure during {verb}: "),
                )
            };
            plan.run(verb.to_owned(), act);
        }
    }
    let Some(unit) = &args.name else {
        return Ok(());
    };
    // A unit file that was put there a moment ago is found only after the reload.
    let is_found = seen.is_found() || args.daemon_reload;
    let load_error = seen.property("LoadError");
    if !load_error.is_empty() && seen.property("LoadState") != "masked" && seen.is_found() {
        return Err(Failure::new(format!(
            "Error loading unit file '{unit}': {load_error}"
        )));
    }
    mask(args, seen, plan, &ctl);
    enable(args, seen, plan, &ctl, is_found)?;
    run_state(args, seen, plan, &ctl, is_found)
}

fn mask(args: &ServiceArgs, seen: &Seen, plan: &mut Plan, ctl: &str) {
    let (Some(wanted), unit) = (args.masked, args.unit()) else {
        return;
    };
    if wanted == seen.is_masked() {
        return;
    }
    let (verb, back, order) = if wanted {
        ("mask", "unmask", Back::Unmask)
    } else {
        ("unmask", "mask", Back::Mask)
    };
    plan.is_changed = true;
    plan.run(
        format!("{verb} {unit}"),
        or_fail(
            &format!("{ctl} {verb} {}", quote(unit)),
            &format!("Failed to {verb} the service ({unit}): "),
        ),
    );
    plan.undo.push((
        order,
        format!(
            "systemctl{} {back} {} || exit\n",
            scope_option(args),
            quote(unit)
        ),
    ));
}

fn scope_option(args: &ServiceArgs) -> &'static str {
    match args.scope {
        Scope::System => "",
        Scope::User => " --user",
        Scope::Global => " --global",
    }
}

fn enable(
    args: &ServiceArgs,
    seen: &Seen,
    plan: &mut Plan,
    ctl: &str,
    is_found: bool,
) -> Result<(), Failure> {
    let (Some(wanted), unit) = (args.enabled, args.unit()) else {
        return Ok(());
    };
    if !is_found {
        return Err(missing(unit));
    }
    plan.result.insert("enabled".into(), wanted.into());
    if wanted == seen.is_enabled() {
        return Ok(());
    }
    let verb = if wanted { "enable" } else { "disable" };
    plan.is_changed = true;
    plan.run(
        format!("{verb} {unit}"),
        or_fail(
            &format!("{ctl} {verb} {}", quote(unit)),
            &format!("Unable to {verb} service {unit}: "),
        ),
    );
    let back = match seen.head("enabled") {
        "enabled-runtime" => "disable {} && systemctl{scope} enable --runtime",
        _ if wanted => "disable",
        _ => "enable",
    };
    let scope = scope_option(args);
    let back = back.replace("{}", &quote(unit)).replace("{scope}", scope);
    plan.undo.push((
        Back::Enablement,
        format!("systemctl{scope} {back} {} || exit\n", quote(unit)),
    ));
    Ok(())
}

fn run_state(
    args: &ServiceArgs,
    seen: &Seen,
    plan: &mut Plan,
    ctl: &str,
    is_found: bool,
) -> Result<(), Failure> {
    let (Some(wanted), unit) = (args.state, args.unit()) else {
        return Ok(());
    };
    if !is_found {
        return Err(missing(unit));
    }
    plan.result.insert(
        "state".into(),
        match wanted {
            State::Stopped => "stopped".into(),
            State::Started | State::Restarted | State::Reloaded => "started".into(),
        },
    );
    if seen.property("ActiveState").is_empty() {
        if seen.head("manager") == "offline" {
            return Ok(());
        }
        return Err(Failure {
            msg: "Service is in unknown state".into(),
            is_changed: false,
            result: fields([("status", Value::from(seen.status.clone()))]),
            ..Failure::default()
        });
    }
    let is_stopping = seen.property("ActiveState") == "deactivating";
    let Some(verb) = verb_for(wanted, seen.is_running(), is_stopping) else {
        return Ok(());
    };
    plan.is_changed = true;
    plan.run(
        format!("{verb} {unit}"),
        or_fail(
            &format!("{ctl} {verb} {}", quote(unit)),
            &format!("Unable to {verb} service {unit}: "),
        ),
    );
    let scope = scope_option(args);
    let unit = quote(unit);
    match verb {
        "start" => plan.undo.push((
            Back::Stop,
            format!("systemctl{scope} stop {unit} || exit\n"),
        )),
        "stop" if seen.is_running() => plan.undo.push((
            Back::Start,
            format!("systemctl{scope} start {unit} || exit\n"),
        )),
        // After a restart it runs, as it did before.
        _ => {}
    }
    Ok(())
}

/// What brings a service from running or not to the wanted state; `None` where it is there.
fn verb_for(wanted: State, is_running: bool, is_stopping: bool) -> Option<&'static str> {
    match (wanted, is_running) {
        (State::Started, true) => None,
        (State::Stopped, is_running) => (is_running || is_stopping).then_some("stop"),
        (State::Restarted, true) => Some("restart"),
        (State::Reloaded, true) => Some("reload"),
        (State::Started | State::Restarted | State::Reloaded, false) => Some("start"),
    }
}

fn without_systemd(args: &ServiceArgs, seen: &Seen, plan: &mut Plan) -> Result<(), Failure> {
    let unit = args.unit();
    let manager = seen.head("manager");
    if manager == "none" {
        return Err(Failure::new(
            "no service manager was found on the host (systemd, OpenRC or init scripts)",
        ));
    }
    if args.masked.is_some() || args.daemon_reload || args.daemon_reexec || args.name.is_none() {
        return Err(Failure::new(format!(
            "`masked`, `daemon_reload` and `daemon_reexec` need systemd, the host has {manager}"
        )));
    }
    if seen.head("initd") != "yes" {
        return Err(missing(unit));
    }
    let quoted = quote(unit);
    if let Some(wanted) = args.enabled {
        plan.result.insert("enabled".into(), wanted.into());
        if wanted != (seen.head("rc_links") == "yes") {
            let verb = if wanted { "enable" } else { "disable" };
            plan.is_changed = true;
            plan.run(
                format!("{verb} {unit}"),
                or_fail(
                    &boot_links(args, manager, wanted),
                    &format!("Unable to {verb} service {unit}: "),
                ),
            );
            plan.undo.push((
                Back::Enablement,
                format!("{} || exit\n", boot_links(args, manager, !wanted)),
            ));
        }
    }
    let Some(wanted) = args.state else {
        return Ok(());
    };
    plan.result.insert("state".into(), wanted.name().into());
    let Some(verb) = verb_for(wanted, seen.is_running(), false) else {
        return Ok(());
    };
    let extra = args.arguments.as_deref().unwrap_or_default();
    let call = |verb: &str| {
        format!("service {quoted} {verb} {extra}")
            .trim_end()
            .to_owned()
    };
    let act = match (verb, args.sleep) {
        ("restart", Some(pause)) => {
            format!("{{ {}; sleep {pause}; {}; }}", call("stop"), call("start"))
        }
        _ => call(verb),
    };
    plan.is_changed = true;
    plan.run(
        format!("{verb} {unit}"),
        or_fail(&act, &format!("Unable to {verb} service {unit}: ")),
    );
    match verb {
        "start" => plan
            .undo
            .push((Back::Stop, format!("{} || exit\n", call("stop")))),
        "stop" => plan
            .undo
            .push((Back::Start, format!("{} || exit\n", call("start")))),
        _ => {}
    }
    Ok(())
}

/// The command that makes or removes the links by which a service starts at boot.
fn boot_links(args: &ServiceArgs, manager: &str, is_wanted: bool) -> String {
    let unit = quote(args.unit());
    if manager == "openrc" {
        let runlevel = quote(args.runlevel.as_deref().unwrap_or("default"));
        let verb = if is_wanted { "add" } else { "del" };
        return format!("rc-update {verb} {unit} {runlevel}");
    }
    let (update, chkconfig) = if is_wanted {
        (
            format!("{{ update-rc.d {unit} defaults && update-rc.d {unit} enable; }}"),
            "on",
        )
    } else {
        (format!("update-rc.d {unit} disable"), "off")
    };
    format!(
        "if command -v update-rc.d >/dev/null; then {update}; else chkconfig {unit} {chkconfig}; fi"
    )
}

#[cfg(test)]
mod tests;
