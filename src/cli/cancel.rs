//! `switchback cancel`.

use std::path::PathBuf;

use super::args::{CancelArgs, RunArgs};
use super::exit;
use super::resume::{TakenUp, look_at, take_up};
use super::run::in_runtime;
use super::session::{Stage, load};
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
    let loaded = match load(&run_args) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let told = |why: String| {
        tell(&format!("error: {why}"));
        exit::ERROR
    };
    let mut stage = match Stage::new(&run_args, Vec::new()) {
        Ok(stage) => stage,
        Err(why) => return told(why),
    };
    // The connections of a process that lives are its own.
    let folder = found.writer.is_some().then(|| found.folder.clone());
    let mut driver = match stage.driver(found.writer, folder.as_deref()) {
        Ok(driver) => driver,
        Err(why) => return told(why),
    };
    let mut settings = loaded.settings;
    if let Err(code) = stage.ask_passwords(&run_args, &mut settings).await {
        return code;
    }
    settings.run.clone_from(&found.id);
    settings.journal = Some(found.folder.display().to_string());
    let wanted = Cancel {
        hosts: args.host.clone(),
        kills: args.kill,
        asks: !args.yes,
    };
    let machine = start_cancel(
        loaded.project,
        settings,
        loaded.inventory,
        found.state,
        wanted,
    );
    let ended = driver.drive(machine).await;
    driver.pool.close().await;
    ended.exit_code
}
