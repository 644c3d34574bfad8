//! The change as it is shipped, on the lab of real hosts: what a rehearsal by itself does not show.
//!
//! Needs root; builds the lab where there is none. `cargo test` leaves it out, `tests/run` runs it:
//! `cargo test --test lab -- [--long] [PART_OF_A_NAME]`.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "lab/cases.rs"]
mod cases;
#[path = "lab/drops.rs"]
mod drops;
#[path = "lab/hosts.rs"]
mod hosts;
#[path = "support/pty.rs"]
mod pty;
#[path = "lab/rollback.rs"]
mod rollback;
#[path = "lab/webhook.rs"]
mod webhook;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_long = args.iter().any(|a| a == "--long");
    let wanted = args.iter().find(|a| !a.starts_with('-'));
    let chosen: Vec<_> = cases::ALL
        .iter()
        .filter(|case| match wanted {
            Some(part) => case.name.contains(part.as_str()),
            None => is_long || !case.is_long,
        })
        .collect();
    say(&format!("\nrunning {} tests", chosen.len()));
    let mut failed = 0;
    for case in &chosen {
        let began = Instant::now();
        let result = std::panic::catch_unwind(case.run);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        failed += usize::from(result.is_err());
        let seconds = began.elapsed().as_secs();
        say(&format!("test {} ... {word} ({seconds} s)", case.name));
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let passed = chosen.len() - failed;
    say(&format!(
        "\ntest result: {word}. {passed} passed; {failed} failed"
    ));
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A line for whoever watches.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
