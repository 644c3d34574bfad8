//! What a program of sh weighs on its way: without the comments and the indentation of our sources.
//!
//! Knows nothing of sh but how our own files are written: no comment and no indented line is part
//! of a quoted text. A test holds them to that.

use std::sync::LazyLock;

use super::PRELUDE;

/// [`PRELUDE`] as it is sent.
pub fn prelude() -> &'static str {
    static SENT: LazyLock<String> = LazyLock::new(|| lean(PRELUDE));
    &SENT
}

/// The lines of a program of ours that do anything.
pub(super) fn lean(program: &str) -> String {
    let lines = program.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::PRELUDE;
    use super::prelude;

    /// The functions that a shell has read, as it writes them.
    fn functions(program: &str) -> String {
        let output = Command::new("bash")
            .args(["-c", &format!("{program}\ndeclare -f")])
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn what_is_sent_is_what_was_written() {
        assert!(prelude().len() < PRELUDE.len() * 3 / 4);
        assert_eq!(functions(prelude()), functions(PRELUDE));
    }
}
