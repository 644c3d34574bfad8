//! POSIX sh fragments and the replies they give. Pure: nothing here talks to a host.
//!
//! Invariant: a value enters a script only through [`quote`]; data from hosts never does so
//! unquoted.

pub mod attempt;
mod fragment;
mod lean;
mod quote;
mod reply;

pub use fragment::Script;
pub use lean::prelude;
pub use quote::quote;
pub use reply::Reply;

/// The functions that every session defines once before its first script; [`prelude`] is what is
/// sent.
pub const PRELUDE: &str = concat!(
    include_str!("prelude.sh"),
    include_str!("attempt.sh"),
    include_str!("files.sh")
);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::PRELUDE;

    #[test]
    fn no_function_replaces_another() {
        let names = PRELUDE.lines().filter_map(|line| line.split_once("()"));
        let mut seen = HashSet::new();
        for (name, _) in names.filter(|(name, _)| name.starts_with("sb_")) {
            assert!(seen.insert(name), "`{name}` is defined twice");
        }
        assert!(seen.len() > 30);
    }
}
