//! `switchback takeover`.

use super::args::TakeoverArgs;
use super::exit;
use super::resume::{TakenUp, take_up};
use super::run::in_runtime;
use super::session::{Loaded, is_typed};
use super::stage::{Scene, play};
use super::start::tell;
use crate::exec::start_takeover;
use crate::value::MASK;

/// Takes over the locks of a run's hosts, after the run's id was typed.
pub(super) fn run(args: &TakeoverArgs) -> u8 {
    in_runtime(async { take_over(args).await })
}

async fn take_over(args: &TakeoverArgs) -> u8 {
    let taken_up = match take_up(&args.run, args.run_key.clone()) {
        Ok(taken_up) => taken_up,
        Err(code) => return code,
    };
    let id = taken_up.run.id.clone();
    if !args.yes {
        let warning = "its hosts are taken over: whoever has them now can change nothing any more";
        if !crate::console::is_interactive() {
            tell("error: a takeover needs the run's id to be typed, or `--yes`");
            return exit::UNDECIDED;
        }
        if !is_typed(&id, warning) {
            tell("nothing was taken over");
            return exit::STOPPED;
        }
    }
    let mut run_args = taken_up.args.clone();
    run_args.yes = true;
    // Without the key nobody knows what was given on the command line; a takeover runs nothing, so
    // that it matters only where the connection depends on it.
    let is_known = |given: &String| !given.contains(MASK);
    run_args.extra_vars.retain(is_known);
    run_args.answer.retain(is_known);
    let TakenUp {
        run, writer, state, ..
    } = taken_up;
    let scene = Scene {
        run: &id,
        folder: &run.folder,
        writer: Some(writer),
    };
    let without = args.without.clone();
    let code = play(&run_args, scene, Vec::new(), |loaded| {
        let Loaded {
            project,
            settings,
            inventory,
            ..
        } = loaded;
        start_takeover(project, settings, inventory, state, without)
    })
    .await;
    if code == exit::OK {
        tell(&format!("taken over; go on with `switchback resume {id}`"));
    }
    code
}
