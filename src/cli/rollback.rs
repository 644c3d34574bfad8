//! `switchback rollback`.

use super::args::RollbackArgs;
use super::resume::{TakenUp, take_up_open};
use super::run::in_runtime;
use super::stage::{Scene, play};
use crate::exec::{Wanted, start_rollback};
use crate::report::Reporter;

/// Rolls a run back.
pub(super) fn run(args: &RollbackArgs) -> u8 {
    in_runtime(async { roll_back(args, Vec::new()).await })
}

/// Rolls a run back, with more listeners than the options name.
pub(super) async fn roll_back(args: &RollbackArgs, listeners: Vec<Box<dyn Reporter>>) -> u8 {
    match take_up_open(&args.run, args.run_key.clone()) {
        Ok(taken_up) => {
            let wanted = Wanted {
                way: args.way.clone(),
                to: args.to.clone(),
                goes_on: false,
            };
            walk(taken_up, args.yes, wanted, listeners).await
        }
        Err(code) => code,
    }
}

/// Walks a way back of a run that was taken up.
pub(super) async fn walk(
    taken_up: TakenUp,
    is_yes: bool,
    wanted: Wanted,
    listeners: Vec<Box<dyn Reporter>>,
) -> u8 {
    let mut run_args = taken_up.args.clone();
    run_args.yes |= is_yes;
    run_args.tags.clear();
    run_args.skip_tags.clear();
    run_args.start_at_task = None;
    run_args.stop_before = None;
    let TakenUp {
        run, writer, state, ..
    } = taken_up;
    let scene = Scene {
        run: &run.id,
        folder: &run.folder,
        writer: Some(writer),
    };
    play(&run_args, scene, listeners, |loaded| {
        let mut settings = loaded.settings;
        settings.way.clone_from(&wanted.way);
        start_rollback(
            loaded.project,
            settings,
            loaded.inventory,
            state,
            loaded.playbook,
            wanted,
        )
    })
    .await
}
