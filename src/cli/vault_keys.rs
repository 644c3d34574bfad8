//! The passwords of vaults: from files, from programs, from a person.

use std::path::Path;
use std::process::Command;

use super::args::VaultOptions;
use super::config::Config;
use super::start::tell;
use crate::diag::Opener;
use crate::vault::{Key, Keys};

/// The label of a password that was given without one.
pub(super) const DEFAULT: &str = "default";

/// All passwords that the options and the configuration name.
///
/// # Errors
/// A source that gives none.
pub(super) fn read(options: &VaultOptions, config: &Config) -> Result<Keys, String> {
    let mut sources: Vec<(String, String)> = Vec::new();
    let mut add = |given: &str| {
        let (label, source) = given.split_once('@').unwrap_or((DEFAULT, given));
        let label = if label.is_empty() { DEFAULT } else { label };
        sources.push((label.to_owned(), source.to_owned()));
    };
    config
        .list("vault_identity_list")
        .iter()
        .for_each(|id| add(id));
    options.vault_id.iter().for_each(|id| add(id));
    for file in &options.vault_password_file {
        sources.push((DEFAULT.to_owned(), file.clone()));
    }
    let asks = options.ask_vault_pass || config.flag("ask_vault_pass", false);
    if asks {
        sources.push((DEFAULT.to_owned(), "prompt".to_owned()));
    }
    if options.vault_password_file.is_empty()
        && !asks
        && let Some(path) = config.path("vault_password_file")
    {
        sources.push((DEFAULT.to_owned(), path.display().to_string()));
    }
    let keys = sources
        .iter()
        .map(|(label, source)| Ok(Key::new(label.as_str(), password(label, source, false)?)))
        .collect::<Result<Vec<_>, String>>()?;
    Ok(Keys::new(keys, config.flag("vault_id_match", false)))
}

/// One password of a source: `prompt`, a program that prints it, a file that holds it.
///
/// # Errors
/// Why there is none.
pub(super) fn password(label: &str, source: &str, confirms: bool) -> Result<Vec<u8>, String> {
    if matches!(source, "prompt" | "prompt_ask_vault_pass") {
        return ask(label, confirms);
    }
    let source = source
        .strip_prefix("~/")
        .and_then(|rest| Some(std::env::home_dir()?.join(rest)))
        .unwrap_or_else(|| source.into());
    let path = source.as_path();
    let told = |error: std::io::Error| format!("the vault password {}: {error}", path.display());
    let bytes = if is_program(path) {
        let mut command = Command::new(std::path::absolute(path).map_err(told)?);
        if path
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with("-client"))
        {
            command.args(["--vault-id", label]);
        }
        let output = command.output().map_err(told)?;
        if !output.status.success() {
            return Err(format!(
                "the vault password program {} failed",
                path.display()
            ));
        }
        output.stdout
    } else {
        std::fs::read(path).map_err(told)?
    };
    let end = bytes.iter().rposition(|b| !b.is_ascii_whitespace());
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace());
    match (start, end) {
        (Some(start), Some(end)) => Ok(bytes[start..=end].to_vec()),
        _ => Err(format!("the vault password {} is empty", path.display())),
    }
}

fn ask(label: &str, confirms: bool) -> Result<Vec<u8>, String> {
    let prompt = if label == DEFAULT {
        "Vault password".to_owned()
    } else {
        format!("Vault password ({label})")
    };
    crate::console::ask_password(&prompt, confirms)
        .map(String::into_bytes)
        .map_err(|error| format!("the vault password cannot be asked for: {error}"))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// What opens vaulted texts while files are read; the problem was told.
///
/// # Errors
/// Nothing more than that there was one.
pub(super) fn opener(options: &VaultOptions, config: &Config) -> Result<Opener, ()> {
    let keys = read(options, config).map_err(|why| tell(&format!("error: {why}")))?;
    Ok(Opener::new(move |text| {
        let plain = keys.open(text).map_err(|error| error.to_string())?;
        String::from_utf8(plain).map_err(|_| "what it holds is not UTF-8".to_owned())
    }))
}
