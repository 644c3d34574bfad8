//! Signatures of the head of a journal, made and checked by `ssh-keygen -Y`, so that any SSH key
//! does, one in an agent or on a token too, and anybody can check them with stock tools.
//!
//! They lie beside the journal, one a line. As each names a record by its number and hash, they
//! also tell when records after it were cut off. Invariant: what is checked is what is in the
//! journal, never what the file of signatures says of it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};

use super::reader::Recovered;

/// What the signatures are for, so that none can pass for another's.
const NAMESPACE: &str = "switchback-run";
const SIGNATURES: &str = "signatures.ndjson";

/// Signs the heads of one run.
#[derive(Clone, Debug)]
pub struct Signer {
    key: PathBuf,
    run: String,
    to: PathBuf,
    mode: u32,
}

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    /// The number of the last record that it covers.
    seq: u64,
    /// That record's hash, for a person; the journal tells the one that counts.
    head: String,
    /// As `ssh-keygen` made it.
    armored: String,
}

/// What the signatures of a run say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// Records covered by good signatures, with who signed: the principal of the allowed signers,
    /// or the key.
    pub good: Vec<(u64, String)>,
    /// What is wrong, one line each.
    pub bad: Vec<String>,
}

impl Signer {
    /// Signs with a key (private, or public with the private one in an agent) beside the journal
    /// of a run.
    pub fn new(key: PathBuf, run: &str, folder: &Path, mode: u32) -> Self {
        Self {
            key,
            run: run.to_owned(),
            to: folder.join(SIGNATURES),
            mode,
        }
    }

    /// Signs a head, durably.
    ///
    /// # Errors
    /// `ssh-keygen` does not, or it cannot be written.
    pub(super) fn sign(&self, seq: u64, head: &str) -> io::Result<()> {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"]);
        command.arg(&self.key);
        let done = give(command, &message(&self.run, seq, head))?;
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr);
            let why = why.lines().next_back().unwrap_or("no reason was given");
            return Err(io::Error::other(format!("ssh-keygen: {}", why.trim())));
        }
        let signature = Signature {
            seq,
            head: head.to_owned(),
            armored: String::from_utf8_lossy(&done.stdout).into_owned(),
        };
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(self.mode)
            .open(&self.to)?;
        let line = serde_json::to_string(&signature)?;
        file.write_all((line + "\n").as_bytes())?;
        file.sync_all()
    }
}

/// Checks all signatures of a run. Without allowed signers each good one is told with its key, and
/// whoever reads it must know whose that is.
///
/// # Errors
/// A file cannot be read, or `ssh-keygen` is not there.
pub fn check_signatures(
    folder: &Path,
    run: &str,
    recovered: &Recovered,
    allowed_signers: Option<&Path>,
) -> io::Result<Signed> {
    let text = match std::fs::read_to_string(folder.join(SIGNATURES)) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Signed::default()),
        Err(e) => return Err(e),
    };
    let mut signed = Signed::default();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{SIGNATURES}:{}", index + 1);
        let Ok(signature) = serde_json::from_str::<Signature>(line) else {
            signed.bad.push(format!("{place}: it is no signature"));
            continue;
        };
        let Some(head) = head_at(recovered, signature.seq) else {
            signed.bad.push(format!(
                "{place}: it covers {} records, and the journal has {}",
                signature.seq,
                recovered.records.len()
            ));
            continue;
        };
        let message = message(run, signature.seq, head);
        match check(&signature.armored, &message, allowed_signers)? {
            Ok(by) => signed.good.push((signature.seq, by)),
            Err(why) => signed.bad.push(format!("{place}: {why}")),
        }
    }
    Ok(signed)
}

/// The hash of a record's line.
fn head_at(recovered: &Recovered, seq: u64) -> Option<&str> {
    let index = usize::try_from(seq.checked_sub(1)?).ok()?;
    recovered
        .records
        .get(index)
        .map(|entry| entry.hash.as_str())
}

fn message(run: &str, seq: u64, head: &str) -> String {
    format!("{NAMESPACE} 1 {run} {seq} {head}\n")
}

/// Who made a good signature, or what is wrong with it.
fn check(
    signature: &str,
    message: &str,
    allowed_signers: Option<&Path>,
) -> io::Result<Result<String, String>> {
    // `ssh-keygen` reads a signature from a file only.
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(signature.as_bytes())?;
    let keygen = |verb: &str| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", verb, "-s"]).arg(file.path());
        command
    };
    let Some(allowed) = allowed_signers else {
        let mut command = keygen("check-novalidate");
        command.args(["-n", NAMESPACE]);
        let done = give(command, message)?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let key = said.trim().split_once(" with ").map(|(_, key)| key);
        return Ok(match key.filter(|_| done.status.success()) {
            Some(key) => Ok(key.to_owned()),
            None => Err("the signature is bad".to_owned()),
        });
    };
    let mut command = keygen("find-principals");
    command.arg("-f").arg(allowed);
    let found = give(command, "")?;
    let names = String::from_utf8_lossy(&found.stdout).into_owned();
    let Some(name) = names.lines().next().filter(|_| found.status.success()) else {
        return Ok(Err("the key is none of the allowed signers'".to_owned()));
    };
    let mut command = keygen("verify");
    command
        .args(["-n", NAMESPACE, "-I", name, "-f"])
        .arg(allowed);
    let done = give(command, message)?;
    Ok(if done.status.success() {
        Ok(name.to_owned())
    } else {
        Err(format!("the signature of `{name}` is bad"))
    })
}

fn give(mut command: Command, text: &str) -> io::Result<Output> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read it says why in its status.
        drop(stdin.write_all(text.as_bytes()));
    }
    child.wait_with_output()
}
