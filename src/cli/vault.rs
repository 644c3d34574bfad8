//! `switchback vault`: what `ansible-vault` does.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::args::{VaultArgs, VaultCommand, VaultTarget};
use super::config::Config;
use super::start::{give, tell};
use super::{exit, face, vault_keys};
use crate::vault::{Key, Keys, is_vault};

/// Runs one command.
pub(super) fn run(args: &VaultArgs) -> u8 {
    let config = Config::load();
    let result = match &args.command {
        VaultCommand::Encrypt(target) => each(target, &config, &encrypt),
        VaultCommand::Decrypt(target) => each(target, &config, &decrypt),
        VaultCommand::View(target) => view(target, &config),
        VaultCommand::Edit(target) => edit(target, &config, false),
        VaultCommand::Create(target) => edit(target, &config, true),
        VaultCommand::Rekey(target) => rekey(target, &config),
        VaultCommand::EncryptString(target) => encrypt_string(target, &config),
    };
    match result {
        Ok(()) => exit::OK,
        Err(why) => {
            tell(&format!("[ERROR]: {why}"));
            face::code::ERROR
        }
    }
}

/// The password to seal with: that of `--encrypt-vault-id`, or the only one.
fn sealing_key<'k>(
    keys: &'k Keys,
    target: &VaultTarget,
    config: &Config,
) -> Result<&'k Key, String> {
    let wanted = target
        .encrypt_vault_id
        .as_deref()
        .or_else(|| config.text("vault_encrypt_identity"));
    match (wanted, keys.all()) {
        (Some(label), all) => all
            .iter()
            .find(|key| key.label == label)
            .ok_or_else(|| format!("Did not find a match for --encrypt-vault-id={label}")),
        (None, [key]) => Ok(key),
        (None, []) => Err("A vault password is required to use Ansible's Vault".to_owned()),
        (None, all) => {
            let labels: Vec<&str> = all.iter().map(|key| key.label.as_str()).collect();
            Err(format!(
                "The vault-ids {} are available to encrypt. Specify the vault-id to encrypt with \
                 --encrypt-vault-id",
                labels.join(",")
            ))
        }
    }
}

fn salt() -> Result<[u8; 32], String> {
    let mut salt = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut salt))
        .map_err(|error| format!("no random bytes: {error}"))?;
    Ok(salt)
}

fn keys_of(target: &VaultTarget, config: &Config) -> Result<Keys, String> {
    let keys = vault_keys::read(&target.options, config)?;
    if !keys.all().is_empty() {
        return Ok(keys);
    }
    let password = vault_keys::password(vault_keys::DEFAULT, "prompt", false)?;
    Ok(Keys::new(
        vec![Key::new(vault_keys::DEFAULT, password)],
        false,
    ))
}

type Change<'a> = dyn Fn(&[u8], &Keys, &VaultTarget, &Config) -> Result<Vec<u8>, String> + 'a;

/// Changes each file, or standard input.
fn each(target: &VaultTarget, config: &Config, change: &Change<'_>) -> Result<(), String> {
    let keys = keys_of(target, config)?;
    if target.files.is_empty() || target.files == [Path::new("-")] {
        let changed = change(&read(Path::new("-"))?, &keys, target, config)?;
        return write(target.output.as_deref().unwrap_or(Path::new("-")), &changed);
    }
    for file in &target.files {
        let changed = change(&read(file)?, &keys, target, config)
            .map_err(|why| format!("{why} for {}", file.display()))?;
        write(target.output.as_deref().unwrap_or(file), &changed)?;
    }
    Ok(())
}

fn encrypt(text: &[u8], keys: &Keys, to: &VaultTarget, config: &Config) -> Result<Vec<u8>, String> {
    if is_vault(text) {
        return Err("input is already encrypted".to_owned());
    }
    let key = sealing_key(keys, to, config)?;
    Ok(key.seal(text, salt()?).into_bytes())
}

fn decrypt(text: &[u8], keys: &Keys, _to: &VaultTarget, _: &Config) -> Result<Vec<u8>, String> {
    if !is_vault(text) {
        return Err("input is not vault encrypted data".to_owned());
    }
    keys.open(&String::from_utf8_lossy(text))
        .map_err(|error| error.to_string())
}

fn view(target: &VaultTarget, config: &Config) -> Result<(), String> {
    let keys = keys_of(target, config)?;
    for file in &target.files {
        let plain = decrypt(&read(file)?, &keys, target, config)
            .map_err(|why| format!("{why} for {}", file.display()))?;
        write(Path::new("-"), &plain)?;
    }
    Ok(())
}

/// Opens a file in the editor, in a folder of memory where there is one, and seals it again.
fn edit(target: &VaultTarget, config: &Config, is_new: bool) -> Result<(), String> {
    let keys = keys_of(target, config)?;
    for file in &target.files {
        if is_new && file.exists() {
            return Err(format!(
                "{} exists, please use 'edit' instead",
                file.display()
            ));
        }
        let old = if is_new { Vec::new() } else { read(file)? };
        let plain = if is_new {
            Vec::new()
        } else {
            decrypt(&old, &keys, target, config)?
        };
        let memory = Path::new("/dev/shm");
        let mut builder = tempfile::Builder::new();
        builder.suffix(".yml");
        let mut draft = if memory.is_dir() {
            builder.tempfile_in(memory)
        } else {
            builder.tempfile()
        }
        .map_err(|error| error.to_string())?;
        draft.write_all(&plain).map_err(|error| error.to_string())?;
        let editor = std::env::var("EDITOR").unwrap_or_else(|_| "vi".to_owned());
        let words = shlex::split(&editor).unwrap_or_default();
        let (program, arguments) = words.split_first().ok_or("EDITOR is empty")?;
        let status = std::process::Command::new(program)
            .args(arguments)
            .arg(draft.path())
            .status()
            .map_err(|error| format!("{editor}: {error}"))?;
        if !status.success() {
            return Err(format!("{editor} failed; nothing was changed"));
        }
        let changed = std::fs::read(draft.path()).map_err(|error| error.to_string())?;
        if changed != plain || is_new {
            let label = label_of(&old);
            let own = keys
                .all()
                .iter()
                .find(|key| Some(&key.label) == label.as_ref());
            let key = match own.filter(|_| target.encrypt_vault_id.is_none()) {
                Some(key) => key,
                None => sealing_key(&keys, target, config)?,
            };
            write(file, key.seal(&changed, salt()?).as_bytes())?;
        }
    }
    Ok(())
}

fn label_of(text: &[u8]) -> Option<String> {
    crate::vault::Envelope::parse(&String::from_utf8_lossy(text))
        .ok()?
        .label
}

fn rekey(target: &VaultTarget, config: &Config) -> Result<(), String> {
    let keys = keys_of(target, config)?;
    let (label, source) = match (&target.new_vault_id, &target.new_vault_password_file) {
        (Some(id), _) => id.split_once('@').unwrap_or((vault_keys::DEFAULT, id)),
        (None, Some(file)) => (vault_keys::DEFAULT, file.as_str()),
        (None, None) => (vault_keys::DEFAULT, "prompt"),
    };
    let new = Key::new(label, vault_keys::password(label, source, true)?);
    for file in &target.files {
        let plain = decrypt(&read(file)?, &keys, target, config)
            .map_err(|why| format!("{why} for {}", file.display()))?;
        write(file, new.seal(&plain, salt()?).as_bytes())?;
    }
    tell("Rekey successful");
    Ok(())
}

/// Values for a file of variables, as `!vault` texts.
fn encrypt_string(target: &VaultTarget, config: &Config) -> Result<(), String> {
    let keys = keys_of(target, config)?;
    let key = sealing_key(&keys, target, config)?;
    let mut values: Vec<(Option<&str>, Vec<u8>)> = Vec::new();
    let mut names = target.name.iter();
    for text in &target.files {
        let text = text.to_string_lossy().into_owned().into_bytes();
        values.push((names.next().map(String::as_str), text));
    }
    if values.is_empty() || target.stdin_name.is_some() {
        values.push((target.stdin_name.as_deref(), read(Path::new("-"))?));
    }
    let mut out = String::new();
    for (name, plain) in values {
        let sealed = key.seal(&plain, salt()?);
        let lead = name.map(|name| format!("{name}: ")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{lead}!vault |");
        for line in sealed.lines() {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "          {line}");
        }
    }
    if let Some(path) = &target.output {
        return write(path, out.as_bytes());
    }
    give(out.trim_end());
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    result.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes)
}

/// Writes standard output, or a file that only its owner may read, in one step.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if path == Path::new("-") {
        return std::io::stdout().write_all(bytes).map_err(told);
    }
    let folder: PathBuf = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(told)?;
    file.write_all(bytes).map_err(told)?;
    file.as_file().sync_all().map_err(told)?;
    if let Ok(old) = std::fs::metadata(path) {
        file.as_file()
            .set_permissions(old.permissions())
            .map_err(told)?;
    }
    file.persist(path).map_err(|error| told(error.error))?;
    Ok(())
}
