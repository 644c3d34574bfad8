//! `switchback explain`.

use super::args::ExplainArgs;
use super::exit;
use super::start::{give, tell};

/// Explains an error code.
pub(super) fn run(args: &ExplainArgs) -> u8 {
    let wanted = args.code.to_ascii_uppercase();
    match crate::diag::codes::find(&wanted) {
        Some(code) => {
            give(&format!(
                "{}: {}\n\n{}",
                code.code, code.title, code.explanation
            ));
            exit::OK
        }
        None => {
            tell(&format!("there is no code `{wanted}`"));
            exit::USAGE
        }
    }
}
