//! `switchback completions`.

use clap::CommandFactory as _;

use super::args::{Cli, CompletionsArgs};
use super::exit;

/// Writes the completions of a shell to standard output.
pub(super) fn run(args: &CompletionsArgs) -> u8 {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "switchback",
        &mut std::io::stdout(),
    );
    exit::OK
}
