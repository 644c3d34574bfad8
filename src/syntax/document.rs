//! The one document of a file.

use std::path::Path;
use std::sync::Arc;

use super::{Node, read_yaml};
use crate::diag::{Diagnostic, SourceMap, Span};

/// Reads the text of a file into its one document.
pub fn read_document(
    sources: &mut SourceMap,
    path: &Path,
    text: String,
) -> (Node, Vec<Diagnostic>) {
    let is_vault = text.starts_with("$ANSIBLE_VAULT;");
    let text: Arc<str> = text.into();
    let file = sources.add(path, text.clone());
    let whole = Span {
        file,
        start: 0,
        end: 0,
    };
    if is_vault {
        let end = u32::try_from(text.lines().next().map_or(0, str::len)).unwrap_or(0);
        let problem = Diagnostic::error("SB0005", "vault is not supported yet")
            .at(Span { end, ..whole }, "this file is encrypted");
        return (Node::null(whole), vec![problem]);
    }
    let mut parsed = read_yaml(file, &text);
    if let Some(second) = parsed.documents.get(1) {
        parsed.problems.push(
            Diagnostic::error("SB0007", "this file holds more than one YAML document")
                .at(second.span, "the second one begins here")
                .help("remove the `---` before it"),
        );
    }
    let node = if parsed.documents.is_empty() {
        Node::null(whole)
    } else {
        parsed.documents.swap_remove(0)
    };
    (node, parsed.problems)
}
