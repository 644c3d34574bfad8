//! The switchback program.

fn main() -> std::process::ExitCode {
    switchback::cli::main(std::env::args_os())
}
