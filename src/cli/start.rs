//! From the program's words to one command and its exit code.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::args::{Cli, Command};
use super::config::Config;
use super::defaults::find_playbook;
use super::{exit, face};

/// Runs the program with these words (the first is its own name).
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    super::harden::harden();
    let words = with_run(face::of_name(words.into_iter().collect()));
    let parsed = face::parser(Cli::command(), &words)
        .try_get_matches_from(&words)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Where the usage cannot be shown there is nobody to read it.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            });
        }
    };
    let command_line: Vec<String> = words
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let code = match cli.command {
        Command::Run(mut args) => {
            args.config = Config::load();
            find_playbook(&mut args);
            super::run::run(&args, command_line)
        }
        Command::Adhoc(args) => face::adhoc(*args, command_line),
        Command::Playbook(args) => face::playbook(*args, &command_line),
        Command::Check(args) => {
            let mut args = *args;
            args.config = Config::load();
            find_playbook(&mut args);
            args.check = true;
            args.diff = true;
            super::run::run(&args, command_line)
        }
        Command::Rehearse(args) => super::rehearse::run(&args),
        Command::Resume(args) => super::resume::run(&args),
        Command::Rollback(args) => super::rollback::run(&args),
        Command::Release(args) => super::release::run(&args),
        Command::Cancel(args) => super::cancel::run(&args),
        Command::Takeover(args) => super::takeover::run(&args),
        Command::Runs(args) => super::runs::run(&args),
        Command::Inventory(args) => super::inventory::run(&args),
        Command::Vault(args) => super::vault::run(&args),
        Command::Doc(args) => super::doc::run(&args),
        Command::Explain(args) => super::explain::run(&args),
        Command::Completions(args) => super::completions::run(&args),
    };
    ExitCode::from(code)
}

/// A playbook as first word means `run`.
fn with_run(mut words: Vec<OsString>) -> Vec<OsString> {
    let is_playbook = words.get(1).is_some_and(|word| {
        let word = word.to_string_lossy();
        word.ends_with(".yml") || word.ends_with(".yaml")
    });
    if is_playbook {
        words.insert(1, "run".into());
    }
    words
}

/// Says something to the person at the terminal, apart from data.
pub(super) fn tell(text: &str) {
    // Without anybody to read it, the exit code still tells.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Writes data to standard output.
pub(super) fn give(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}
