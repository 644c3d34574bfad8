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
    let taken_up = match take_up_open(&args.run, args.run_key.clone()) {
        Ok(taken_up) => taken_up,
        Err(code) => return code,
    };
    let mut run_args = taken_up.args.clone();
    run_args.yes |= args.yes;
    run_args.tags.clear();
    run_args.skip_tags.clear();
    run_args.start_at_task = None;
    run_args.stop_before = None;
    let loaded = match load(&run_args) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let wanted = Wanted {
        way: args.way.clone(),
        to: args.to.clone(),
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
    settings.run.clone_from(&run.id);
    settings.way.clone_from(&args.way);
    settings.journal = Some(run.folder.display().to_string());
    let change = loaded.playbook.change.clone();
    let machine = start_rollback(
        loaded.project,
        settings,
        loaded.inventory,
        state,
        change,
        wanted,
    );
    let ended = driver.drive(machine).await;
    driver.pool.close().await;
    ended.exit_code
}
