//! `switchback rehearse`.
pub(super) fn run(_args: &super::args::RehearseArgs) -> u8 {
    super::exit::USAGE
}
