//! `switchback runs verify`: whether a run's journal is as it was written.

use super::args::VerifyArgs;
use super::exit;
use super::resume::told;
use super::start::{give, tell};
use crate::journal::{Error, RunStore, Signed, check_signatures};
use crate::report::count;

/// Checks the chain, the blobs, what is sealed, and the signatures.
pub(super) fn run(store: &RunStore, args: &VerifyArgs) -> u8 {
    match verify(store, args) {
        Ok(is_good) => {
            if is_good {
                exit::OK
            } else {
                exit::ERROR
            }
        }
        Err(error) => told(&error),
    }
}

fn verify(store: &RunStore, args: &VerifyArgs) -> Result<bool, Error> {
    let store = store.clone().with_key_file(args.run_key.clone());
    // Reading checks each line, its place in the chain and its blobs.
    let (id, mut recovered) = store.read(&args.run)?;
    let total = recovered.records.len();
    give(&format!(
        "run {id}: {}, the hash chain holds up to {}",
        count(total, "record"),
        recovered.head
    ));
    if recovered.torn_tail {
        give("its last line is incomplete and will be cut off when the run is taken up again");
    }
    if recovered.has_closed() {
        match store.key(&id)? {
            Some(key) => {
                recovered.open(&key)?;
                give("what it keeps secret can be decrypted");
            }
            None => give("what it keeps secret was not checked: the run's key is not here"),
        }
    }
    let folder = store.folder(&id);
    let allowed = args.allowed_signers.as_deref();
    let signed = match check_signatures(&folder, &id, &recovered, allowed) {
        Ok(signed) => signed,
        Err(error) => {
            tell(&format!("error: the signatures cannot be checked: {error}"));
            return Ok(false);
        }
    };
    Ok(tell_signed(&signed, total, allowed.is_some()))
}

/// Says what the signatures say, and whether that is good enough.
fn tell_signed(signed: &Signed, total: usize, needs_one: bool) -> bool {
    for (seq, by) in &signed.good {
        give(&format!("records 1 to {seq} are signed by {by}"));
    }
    for why in &signed.bad {
        tell(&format!("error: {why}"));
    }
    let last = signed.good.iter().map(|(seq, _)| *seq).max();
    let last = usize::try_from(last.unwrap_or(0)).unwrap_or(0);
    if signed.good.is_empty() && signed.bad.is_empty() {
        give("it is not signed");
        return !needs_one;
    }
    if last < total {
        let rest = count(total - last, "record");
        give(&format!("the last {rest} are not signed"));
    }
    signed.bad.is_empty() && !(needs_one && signed.good.is_empty())
}
