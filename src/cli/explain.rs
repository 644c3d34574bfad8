//! `switchback explain`.

use super::args::ExplainArgs;
use super::exit;
use super::start::{give, tell};

/// Explains an error code.
pub(super) fn run(args: &ExplainArgs) -> u8 {
    let wanted = args.code.to_ascii_uppercase();
    if let Some(code) = crate::diag::codes::find(&wanted) {
        give(&format!(
            "{}: {}\n\n{}",
            code.code, code.title, code.explanation
        ));
        exit::OK
    } else {
        tell(&format!("there is no code `{wanted}`"));
        exit::USAGE
    }
}
