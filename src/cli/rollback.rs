//! `switchback rollback`.

use super::args::RollbackArgs;
use super::exit;
use super::resume::{TakenUp, take_up_open};
use super::run::in_runtime;
use super::session::{Stage, load};
use super::start::tell;
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
    let loaded = match load(&run_args) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let TakenUp {
        run, writer, state, ..
    } = taken_up;
    let told = |why: String| {
        tell(&format!("error: {why}"));
        exit::ERROR
    };
    let mut stage = match Stage::new(&run_args, listeners) {
        Ok(stage) => stage,
        Err(why) => return told(why),
    };
    let mut driver = match stage.driver(Some(writer), Some(&run.folder)) {
        Ok(driver) => driver,
        Err(why) => return told(why),
    };
    let mut settings = loaded.settings;
    if let Err(code) = stage.ask_passwords(&run_args, &mut settings).await {
        return code;
    }
    settings.run.clone_from(&run.id);
    settings.way.clone_from(&wanted.way);
    settings.journal = Some(run.folder.display().to_string());
    let machine = start_rollback(
        loaded.project,
        settings,
        loaded.inventory,
        state,
        loaded.playbook,
        wanted,
    );
    let ended = driver.drive(machine).await;
    driver.pool.close().await;
    stage.told().await;
    ended.exit_code
}
