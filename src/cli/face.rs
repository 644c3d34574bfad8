//! The compatible face: commands that take what Ansible's take, answer as they do, and go through
//! the same engine.
//!
//! Source of options and exit codes: ansible-core 2.19, `cli/`.

use std::ffi::OsString;

use super::args::{AdhocArgs, Manners, Output, PlaybookArgs, RunArgs};
use super::config::Config;
use super::exit;
use super::start::{give, tell};

/// Exit codes of Ansible that differ from ours.
pub(super) mod code {
    /// A problem that is neither a failed task nor a parser's.
    pub(crate) const ERROR: u8 = 1;
    /// A playbook that cannot be read.
    pub(crate) const PARSER: u8 = 4;
}

/// Commands by the program's name, when it is called as one of Ansible's.
const NAMES: &[(&str, &str)] = &[
    ("ansible", "adhoc"),
    ("ansible-playbook", "playbook"),
    ("ansible-inventory", "inventory"),
    ("ansible-vault", "vault"),
    ("ansible-doc", "doc"),
];

/// Puts the command that the program's name means in front of its arguments.
pub(super) fn of_name(mut words: Vec<OsString>) -> Vec<OsString> {
    let command = words.first().and_then(|name| {
        let name = std::path::Path::new(name).file_name()?.to_str()?;
        NAMES.iter().find(|(known, _)| *known == name)
    });
    if let Some((_, command)) = command {
        words.insert(1, command.into());
    }
    words
}

/// The face's commands take abbreviated options, and the last of several, as Ansible's do.
pub(super) fn parser(command: clap::Command, words: &[OsString]) -> clap::Command {
    let name = words.get(1).and_then(|word| word.to_str()).unwrap_or("");
    if !matches!(name, "playbook" | "adhoc" | "inventory" | "vault") {
        return command;
    }
    command.mut_subcommand(name, |face| {
        face.infer_long_args(true).args_override_self(true)
    })
}

/// `switchback playbook`: the playbooks one after the other while they succeed.
pub(super) fn playbook(args: PlaybookArgs, command_line: &[String]) -> u8 {
    let PlaybookArgs { run, more } = args;
    let mut run = with_config(run, Config::load());
    for notice in run.config.notices.drain(..) {
        tell(&format!("[WARNING]: {notice}"));
    }
    let playbooks: Vec<_> = std::iter::once(run.playbook.clone()).chain(more).collect();
    for path in playbooks {
        run.playbook = path;
        super::defaults::find_playbook(&mut run);
        if !run.playbook.exists() {
            tell(&format!(
                "[ERROR]: the playbook: {} could not be found",
                run.playbook.display()
            ));
            return code::ERROR;
        }
        let code = one_playbook(&run, command_line);
        if code != exit::OK {
            return code;
        }
    }
    exit::OK
}

fn one_playbook(run: &RunArgs, command_line: &[String]) -> u8 {
    let loaded = match super::session::load(run) {
        Ok(loaded) => loaded,
        Err(code) => return ansible_code(code),
    };
    if let Some(code) = super::run::without_running(run, &loaded) {
        return code;
    }
    super::run::in_runtime(async {
        let ended = super::run::run_loaded(run, command_line.to_vec(), loaded, Vec::new()).await;
        // What shows only while it runs is an error like any other to Ansible.
        match ended.code {
            exit::LOAD => code::ERROR,
            other => other,
        }
    })
}

/// `switchback adhoc`: one task as a playbook of its own.
pub(super) fn adhoc(args: AdhocArgs, command_line: Vec<String>) -> u8 {
    let pattern = args.run.playbook.to_string_lossy().into_owned();
    let text = adhoc_playbook(&args, &pattern);
    let mut run = args.run;
    if run.output == Output::Auto {
        run.output = Output::Minimal;
    }
    let folder = args.playbook_dir.unwrap_or_default();
    run.playbook = folder.join("adhoc.yml");
    run.text = Some(text);
    let run = with_config(run, Config::load());
    let loaded = match super::session::load(&run) {
        Ok(loaded) => loaded,
        Err(code) => return ansible_code(code),
    };
    if run.list_hosts {
        let hosts = super::listing::hosts(&loaded, &pattern);
        let lines: Vec<String> = hosts.iter().map(|host| format!("    {host}")).collect();
        give(&format!("  hosts ({}):\n{}", hosts.len(), lines.join("\n")));
        return exit::OK;
    }
    super::run::in_runtime(async {
        let ended = super::run::run_loaded(&run, command_line, loaded, Vec::new()).await;
        ansible_code(ended.code)
    })
}

/// The playbook of one task, as JSON.
fn adhoc_playbook(args: &AdhocArgs, pattern: &str) -> String {
    use serde_json::{Value as Json, json};
    let module = args.module_name.as_str();
    let arguments: Json = match serde_json::from_str(&args.args) {
        Ok(Json::Object(map)) => Json::Object(map),
        _ => args.args.as_str().into(),
    };
    let mut task = json!({ module: arguments });
    if let Some(seconds) = args.task_timeout {
        task["timeout"] = seconds.into();
    }
    if let Some(seconds) = args.background {
        task["async"] = seconds.into();
        task["poll"] = args.poll.unwrap_or(15).into();
    }
    let pattern = if pattern.trim().is_empty() {
        "all"
    } else {
        pattern
    };
    let play = json!({
        "name": "Ansible Ad-Hoc",
        "hosts": pattern,
        "gather_facts": false,
        "tasks": [task],
    });
    Json::Array(vec![play]).to_string()
}

/// What the configuration says where the command line says nothing.
pub(super) fn with_config(mut run: RunArgs, config: Config) -> RunArgs {
    run.manners = Manners::Ansible;
    run.yes = !run.step;
    if run.output == Output::Auto {
        run.output = Output::Ansible;
    }
    if run.inventory.is_empty() {
        run.inventory = config
            .list("inventory")
            .into_iter()
            .map(|source| config.source(&source))
            .collect();
    }
    if run.inventory.is_empty() && std::path::Path::new("/etc/ansible/hosts").exists() {
        run.inventory.push("/etc/ansible/hosts".to_owned());
    }
    if run.tags.is_empty() {
        run.tags = config.list("tags");
    }
    if run.skip_tags.is_empty() {
        run.skip_tags = config.list("skip_tags");
    }
    run.diff |= config.flag("diff_always", false);
    run.force_handlers |= config.flag("force_handlers", false);
    if let Some(forks) = config.number("forks") {
        run.forks = forks;
    }
    if run.verbose == 0 {
        let verbosity = config.number("verbosity").unwrap_or(0);
        run.verbose = u8::try_from(verbosity).unwrap_or(u8::MAX);
    }
    run.becomes |= config.flag("become", false);
    let text = |name: &str| config.text(name).map(str::to_owned);
    run.become_user = run.become_user.or_else(|| text("become_user"));
    run.become_method = run.become_method.or_else(|| text("become_method"));
    run.user = run.user.or_else(|| text("remote_user"));
    run.connection = run
        .connection
        .or_else(|| text("transport"))
        .filter(|kind| kind != "smart");
    run.private_key = run.private_key.or_else(|| config.path("private_key_file"));
    run.timeout = run.timeout.or_else(|| text("timeout")?.parse().ok());
    run.ssh_common_args = run.ssh_common_args.or_else(|| text("ssh_common_args"));
    run.ssh_extra_args = run.ssh_extra_args.or_else(|| text("ssh_extra_args"));
    run.config = config;
    run
}

/// The exit code that Ansible has for the same.
pub(super) fn ansible_code(code: u8) -> u8 {
    match code {
        exit::LOAD => code::PARSER,
        exit::USAGE => code::ERROR,
        other => other,
    }
}
