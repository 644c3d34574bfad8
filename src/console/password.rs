//! Passwords that are asked for before a run, when nothing else is on the screen.

/// Asks for a password; with `confirms` twice.
///
/// # Errors
/// When there is no terminal.
pub fn ask_password(prompt: &str, confirms: bool) -> Result<String, String> {
    let mut question = dialoguer::Password::new().with_prompt(prompt);
    if confirms {
        question = question.with_confirmation("Confirm it", "they differ");
    }
    question.interact().map_err(|error| error.to_string())
}
