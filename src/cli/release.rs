//! `switchback release`.

use chrono::Utc;

use super::args::ReleaseArgs;
use super::exit;
use super::resume::take_up;
use super::session::{is_typed, operator};
use super::start::tell;
use crate::journal::Record;

/// Releases a protected host of a run, after its name was typed.
pub(super) fn run(args: &ReleaseArgs) -> u8 {
    let mut taken_up = match take_up(&args.run, None) {
        Ok(taken_up) => taken_up,
        Err(code) => return code,
    };
    if crate::console::is_interactive() {
        let warning = "it is released from protection: steps that cannot be undone may run there";
        if !is_typed(&args.host, warning) {
            tell("nothing was released");
            return exit::STOPPED;
        }
    }
    let record = Record::Released {
        host: args.host.clone(),
        by: operator(),
        at: Utc::now(),
    };
    match taken_up.writer.append_sync(&record) {
        Ok(_) => {
            tell(&format!(
                "`{}` is released in run {}",
                args.host, taken_up.run.id
            ));
            exit::OK
        }
        Err(error) => {
            tell(&format!("error: {error}"));
            exit::ERROR
        }
    }
}
