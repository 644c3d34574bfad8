//! The one document of a file.

use std::path::Path;

use super::{Kind, Node, Tag, read_yaml};
use crate::diag::{Diagnostic, SourceMap, Span};

/// Reads the text of a file into its one document.
pub fn read_document(
    sources: &mut SourceMap,
    path: &Path,
    text: String,
) -> (Node, Vec<Diagnostic>) {
    let opened = is_vault(&text).then(|| open(sources, &text));
    // The place of something in an encrypted file can be told, its text cannot.
    let file = match &opened {
        Some(Ok(plain)) => {
            let shown = plain.replace(|c: char| !c.is_whitespace() && c.is_ascii(), "*");
            sources.add_sealed(path, shown, text.as_str())
        }
        _ => sources.add(path, text.clone()),
    };
    let whole = Span {
        file,
        start: 0,
        end: 0,
    };
    let is_secret = opened.is_some();
    let text = match opened {
        None => text,
        Some(Ok(plain)) => plain,
        Some(Err(why)) => {
            let end = u32::try_from(text.lines().next().map_or(0, str::len)).unwrap_or(0);
            return (Node::null(whole), vec![locked(Span { end, ..whole }, &why)]);
        }
    };
    let mut parsed = read_yaml(file, &text);
    if let Some(second) = parsed.documents.get(1) {
        parsed.problems.push(
            Diagnostic::error("SB0007", "this file holds more than one YAML document")
                .at(second.span, "the second one begins here")
                .help("remove the `---` before it"),
        );
    }
    let mut node = if parsed.documents.is_empty() {
        Node::null(whole)
    } else {
        parsed.documents.swap_remove(0)
    };
    unlock(&mut node, is_secret, sources, &mut parsed.problems);
    (node, parsed.problems)
}

fn is_vault(text: &str) -> bool {
    text.starts_with("$ANSIBLE_VAULT;")
}

fn open(sources: &SourceMap, text: &str) -> Result<String, String> {
    let opener = sources.opener.as_ref();
    opener.map_or_else(
        || Err("no vault password is given".to_owned()),
        |o| o.open(text),
    )
}

fn locked(at: Span, why: &str) -> Diagnostic {
    Diagnostic::error("SB0005", format!("a vault cannot be opened: {why}"))
        .at(at, "this is encrypted")
        .help("give its password by `--vault-id LABEL@FILE`, `--vault-password-file FILE` or `-J`")
}

/// Opens `!vault` values; below an encrypted file all is secret.
fn unlock(node: &mut Node, is_secret: bool, sources: &SourceMap, problems: &mut Vec<Diagnostic>) {
    if let (Kind::Str(text), Tag::Vault) = (&node.kind, node.tag) {
        match open(sources, text) {
            Ok(plain) => node.kind = Kind::Str(plain.into()),
            Err(why) => problems.push(locked(node.span, &why)),
        }
    }
    match &mut node.kind {
        Kind::List(items) => {
            for item in items {
                unlock(item, is_secret, sources, problems);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                unlock(&mut entry.value, is_secret, sources, problems);
            }
        }
        Kind::Str(_) if is_secret && node.tag == Tag::None => node.tag = Tag::Vault,
        _ => {}
    }
}
