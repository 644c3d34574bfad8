//! `switchback run` and `switchback check`.

use std::path::{Path, PathBuf};

use chrono::Utc;

use super::args::RunArgs;
use super::session::{Loaded, load, operator};
use super::stage::Stage;
use super::start::tell;
use super::{exit, listing};
use crate::exec::{Replay, Wanted, start, start_rollback};
use crate::journal::{self, FORMAT, Record, RunStore, Sealed, Signer, Writer};
use crate::report::Reporter;
use crate::value::{MASK, Map, Value};

/// Runs a playbook and returns the exit code.
pub(super) fn run(args: &RunArgs, command_line: Vec<String>) -> u8 {
    let loaded = match load(args) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Some(code) = without_running(args, &loaded) {
        return code;
    }
    in_runtime(async {
        run_loaded(args, command_line, loaded, Vec::new())
            .await
            .code
    })
}

/// What the options ask for instead of a run.
pub(super) fn without_running(args: &RunArgs, loaded: &Loaded) -> Option<u8> {
    if args.syntax_check {
        tell(&format!("playbook: {}", args.playbook.display()));
        return Some(exit::OK);
    }
    let lists = args.list_hosts || args.list_tasks || args.list_tags;
    lists.then(|| listing::show(args, loaded))
}

/// Runs a future on this thread.
pub(super) fn in_runtime(work: impl Future<Output = u8>) -> u8 {
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            tell(&format!("error: no runtime can be started: {error}"));
            exit::ERROR
        }
    }
}

/// A journal for a new run.
struct Opened {
    id: String,
    writer: Writer,
    run: journal::Run,
}

/// How a run ended.
pub(super) struct Finished {
    pub(super) code: u8,
    pub(super) run: String,
}

/// Runs what was loaded, with more listeners than the options name.
pub(super) async fn run_loaded(
    args: &RunArgs,
    command_line: Vec<String>,
    mut loaded: Loaded,
    listeners: Vec<Box<dyn Reporter>>,
) -> Finished {
    let opened = if args.check {
        None
    } else {
        match open_journal(args, command_line, &loaded) {
            Ok(opened) => Some(opened),
            Err(why) => {
                tell(&format!("error: {why}"));
                return Finished {
                    code: exit::ERROR,
                    run: String::new(),
                };
            }
        }
    };
    let (id, writer, folder) = match opened {
        Some(Opened { id, writer, run }) => (id, Some(writer), Some(run)),
        None => (RunStore::new_id(), None, None),
    };
    loaded.settings.run.clone_from(&id);
    loaded.settings.journal = folder.as_ref().map(|run| run.folder.display().to_string());
    let path = folder.as_ref().map(|run| run.folder.clone());
    let code = drive(
        args,
        loaded,
        writer,
        path.as_deref(),
        Replay::default(),
        listeners,
    )
    .await;
    drop(folder);
    Finished { code, run: id }
}

fn open_journal(
    args: &RunArgs,
    command_line: Vec<String>,
    loaded: &Loaded,
) -> Result<Opened, String> {
    let store = RunStore::from_env(&|name| std::env::var_os(name)).map_err(|e| e.to_string())?;
    if let Some(doubt) = store.doubt() {
        tell(&format!(
            "warning: {doubt}; `SWITCHBACK_RUNS` names another one"
        ));
    }
    let id = RunStore::new_id();
    let (run, mut writer) = store
        .create(&id, &operator(), Box::new(Utc::now))
        .map_err(|e| e.to_string())?;
    writer = writer.with_signer(signer(&store, &id, args));
    let cwd = std::env::current_dir()
        .map(|d| d.display().to_string())
        .unwrap_or_default();
    let options = |words: Vec<String>| {
        let words: Vec<Value> = words.into_iter().map(Value::from).collect();
        Value::from(Map::from([
            ("argv".to_owned(), Value::from(words)),
            ("cwd".to_owned(), cwd.clone().into()),
        ]))
    };
    let extra_vars = (*loaded.settings.extra_vars).clone();
    let shown = extra_vars.iter().map(|(name, value)| {
        let value = value.clone().into_secret();
        (
            name.clone(),
            if value.has_secret() {
                value
            } else {
                MASK.into()
            },
        )
    });
    let is_plain = args.extra_vars.is_empty() && args.answer.is_empty();
    let shown_words = without_values(&command_line, args);
    let record = Record::Opened {
        format: FORMAT,
        run: id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        playbook: super::session::absolute(&args.playbook),
        change: loaded
            .playbook
            .change
            .as_ref()
            .map(|change| change.name.clone()),
        inventory: args
            .inventory
            .iter()
            .map(|given| inventory_source(given))
            .collect(),
        playbook_hash: loaded.hashes.0.clone(),
        inventory_hash: loaded.hashes.1.clone(),
        extra_vars: shown.collect(),
        options: options(shown_words),
        sealed: (!is_plain).then(|| Sealed::of(&(&extra_vars, options(command_line)))),
        operator: operator(),
        at: Utc::now(),
    };
    writer.append_sync(&record).map_err(|e| e.to_string())?;
    let sources = Record::Sources {
        sealed: Sealed::of(&loaded.files),
    };
    writer.append_sync(&sources).map_err(|e| e.to_string())?;
    Ok(Opened { id, writer, run })
}

/// What signs the heads of a run's journal, where that is wanted.
pub(super) fn signer(store: &RunStore, id: &str, args: &RunArgs) -> Option<Signer> {
    let from_env = || std::env::var_os("SWITCHBACK_SIGN_WITH").map(PathBuf::from);
    let key = args.sign_with.clone().or_else(from_env)?;
    let key = std::path::absolute(&key).unwrap_or(key);
    Some(store.signer(id, &key))
}

/// The command line with what was given to `-e` and `--answer` masked, as nobody can know which of
/// it is secret; files that it names stay.
fn without_values(command_line: &[String], args: &RunArgs) -> Vec<String> {
    let given = args.extra_vars.iter().filter(|text| !text.starts_with('@'));
    let given: Vec<&String> = given.chain(&args.answer).collect();
    let masked = |word: &String| {
        let value = given.iter().find(|value| word.ends_with(value.as_str()))?;
        let rest = word.strip_suffix(value.as_str())?;
        Some(format!("{rest}{MASK}"))
    };
    let words = command_line.iter();
    words
        .map(|word| masked(word).unwrap_or_else(|| word.clone()))
        .collect()
}

/// An inventory source as a later process finds it: a list of hosts as it is, a path absolute.
fn inventory_source(given: &str) -> String {
    let path = Path::new(given);
    if given.contains(',') && !path.exists() {
        return given.to_owned();
    }
    std::path::absolute(path).map_or_else(|_| given.to_owned(), |path| path.display().to_string())
}

/// Runs the machine, and after it the rollback that its end asks for.
pub(super) async fn drive(
    args: &RunArgs,
    loaded: Loaded,
    writer: Option<Writer>,
    folder: Option<&Path>,
    replay: Replay,
    listeners: Vec<Box<dyn Reporter>>,
) -> u8 {
    let mut stage = match Stage::new(args, listeners) {
        Ok(stage) => stage,
        Err(why) => {
            tell(&format!("error: {why}"));
            return exit::ERROR;
        }
    };
    let mut loaded = loaded;
    if let Err(code) = stage.ask_passwords(args, &mut loaded.settings).await {
        return code;
    }
    let mut driver = match stage.driver(writer, folder) {
        Ok(driver) => driver,
        Err(why) => {
            tell(&format!("error: {why}"));
            return exit::ERROR;
        }
    };
    let playbook = loaded.playbook.clone();
    let machine = start(
        loaded.project.clone(),
        loaded.settings.clone(),
        loaded.inventory.clone(),
        loaded.playbook,
        replay,
    );
    let mut ended = driver.drive(machine).await;
    if ended.wants_rollback {
        match folder.map(|folder| journal::read(&folder.join("journal.ndjson"))) {
            Some(Ok(mut recovered)) => {
                if let Some(key) = driver.journal.as_ref().and_then(Writer::key)
                    && let Err(error) = recovered.open(key)
                {
                    tell(&format!("error: {error}"));
                    return exit::ERROR;
                }
                let records: Vec<Record> = recovered
                    .records
                    .into_iter()
                    .map(|entry| entry.record)
                    .collect();
                let machine = start_rollback(
                    loaded.project,
                    loaded.settings,
                    loaded.inventory,
                    journal::fold(&records),
                    playbook,
                    Wanted::default(),
                );
                ended = driver.drive(machine).await;
            }
            Some(Err(error)) => {
                tell(&format!("error: {error}"));
                ended.exit_code = exit::ERROR;
            }
            None => tell("nothing was changed, so there is nothing to roll back"),
        }
    }
    driver.pool.close().await;
    stage.told().await;
    ended.exit_code
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::args::{Cli, Command};
    use super::{inventory_source, without_values};

    #[test]
    fn what_extra_vars_hold_is_not_in_the_command_line_that_is_kept() {
        let words = [
            "run",
            "p.yml",
            "-e",
            "pw=s3cret",
            "--extra-vars=tok=s3cret",
            "-epin=s3cret",
            "-e",
            "@vars.yml",
            "--answer",
            "password=s3cret",
            "--yes",
        ];
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let cli = Cli::try_parse_from(std::iter::once(&"switchback".to_owned()).chain(&words));
        let Command::Run(args) = cli.unwrap().command else {
            panic!("it is a run");
        };
        let kept = without_values(&words, &args);
        assert!(!kept.concat().contains("s3cret"), "{kept:?}");
        assert_eq!(kept.len(), words.len());
        assert_eq!(&kept[6..8], ["-e", "@vars.yml"]);
        assert!(
            kept.contains(&"--extra-vars=********".to_owned()),
            "{kept:?}"
        );
    }

    #[test]
    fn a_list_of_hosts_is_found_again_as_the_same_hosts() {
        assert_eq!(inventory_source("localhost,"), "localhost,");
        assert_eq!(inventory_source("/etc/hosts.ini"), "/etc/hosts.ini");
        assert!(inventory_source("hosts.ini").ends_with("/hosts.ini"));
        assert!(inventory_source("hosts.ini").starts_with('/'));
    }
}
