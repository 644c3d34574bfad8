//! `switchback cancel`.

use std::path::PathBuf;

use super::args::{CancelArgs, RunArgs};
use super::exit;
use super::resume::{TakenUp, look_at, take_up};
use super::run::in_runtime;
use super::session::Loaded;
use super::stage::{Scene, play};
use super::start::tell;
use crate::exec::{Cancel, start_cancel};
use crate::journal::{RunState, Writer};

/// A run whose attempts are to be ended; without a writer where its own process lives.
struct Found {
    id: String,
    folder: PathBuf,
    writer: Option<Writer>,
    state: RunState,
    args: RunArgs,
}

/// Ends what runs of a run on its hosts, after its id was typed.
pub(super) fn run(args: &CancelArgs) -> u8 {
    if !args.yes && !crate::console::is_interactive() {
        tell("error: `cancel` needs the run's id to be typed, or `--yes`");
        return exit::UNDECIDED;
    }
    match find(&args.run) {
        Ok((found, held)) => in_runtime(async {
            let code = cancel(args, found).await;
            // The run's folder is locked until here.
            drop(held);
            code
        }),
        Err(code) => code,
    }
}

/// Takes the run up; one whose own process lives is only looked at, as that process journals what
/// it sees end.
fn find(name: &str) -> Result<(Found, Option<crate::journal::Run>), u8> {
    if let Some((id, folder, state, args)) = look_at(name)? {
        let found = Found {
            id,
            folder,
            writer: None,
            state,
            args,
        };
        return Ok((found, None));
    }
    let TakenUp {
        run,
        writer,
        state,
        args,
        ..
    } = take_up(name, None)?;
    let found = Found {
        id: run.id.clone(),
        folder: run.folder.clone(),
        writer: Some(writer),
        state,
        args,
    };
    Ok((found, Some(run)))
}

async fn cancel(args: &CancelArgs, found: Found) -> u8 {
    let mut run_args = found.args;
    run_args.yes = args.yes;
    let scene = Scene {
        run: &found.id,
        folder: &found.folder,
        writer: found.writer,
    };
    let wanted = Cancel {
        hosts: args.host.clone(),
        kills: args.kill,
        asks: !args.yes,
    };
    let state = found.state;
    play(&run_args, scene, Vec::new(), |loaded| {
        let Loaded {
            project,
            settings,
            inventory,
            ..
        } = loaded;
        start_cancel(project, settings, inventory, state, wanted)
    })
    .await
}
