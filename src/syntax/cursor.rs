//! Typed reading of nodes that goes on after a problem, so that all are reported at once.

use std::sync::Arc;

use super::{Entry, Kind, Node};
use crate::diag::{Diagnostic, Span, suggest};

/// Problems found so far.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Diagnostic>);

impl Problems {
    /// Notes a problem.
    pub fn push(&mut self, problem: Diagnostic) {
        self.0.push(problem);
    }

    /// Notes that a node has the wrong type.
    pub fn wrong_type(&mut self, what: &str, wanted: &str, node: &Node) {
        let found = match &node.kind {
            Kind::Str(text) if text.len() <= 40 && !text.contains('\n') => format!("`{text}`"),
            _ => node.type_name().to_owned(),
        };
        self.push(
            Diagnostic::error("SB0102", format!("`{what}` must be {wanted}"))
                .at(node.span, format!("found {found}")),
        );
    }

    /// The entries of a mapping, or a problem and none.
    pub fn map<'n>(&mut self, what: &str, node: &'n Node) -> Option<&'n [Entry]> {
        let entries = node.as_map();
        if entries.is_none() {
            self.wrong_type(what, "a mapping", node);
        }
        entries
    }

    /// The items of a list; null is an empty one; anything else is a problem.
    pub fn list<'n>(&mut self, what: &str, node: &'n Node) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) => items,
            Kind::Null => &[],
            _ => {
                self.wrong_type(what, "a list", node);
                &[]
            }
        }
    }

    /// The items of a list, or the node itself as the only one.
    pub fn one_or_many<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) => items,
            Kind::Null => &[],
            _ => std::slice::from_ref(node),
        }
    }

    /// The text of a string (a number counts as its text), or a problem.
    pub fn text(&mut self, what: &str, node: &Node) -> Option<Arc<str>> {
        match &node.kind {
            Kind::Str(text) => Some(text.clone()),
            Kind::Int(i) => Some(i.to_string().into()),
            Kind::Float(f) => Some(format!("{f:?}").into()),
            _ => {
                self.wrong_type(what, "a string", node);
                None
            }
        }
    }

    /// A boolean that is not a template, as Ansible's words have it.
    pub fn bool(&mut self, what: &str, node: &Node) -> Option<bool> {
        let value = node.to_value().to_bool();
        if value.is_none() {
            self.wrong_type(what, "a boolean", node);
        }
        value
    }
}

/// Takes the entries of a mapping one by one; what is left over is a problem.
#[derive(Debug)]
pub struct Cursor<'n> {
    what: String,
    entries: Vec<Option<&'n Entry>>,
    known: Vec<&'static str>,
    span: Span,
}

impl<'n> Cursor<'n> {
    /// Starts reading `node`; `what` names it in messages. A node that is no mapping is a problem.
    pub fn new(what: impl Into<String>, node: &'n Node, problems: &mut Problems) -> Self {
        let what = what.into();
        let entries = problems.map(&what, node).unwrap_or_default();
        Self {
            what,
            entries: entries.iter().map(Some).collect(),
            known: Vec::new(),
            span: node.span,
        }
    }

    /// Takes the value under a key.
    pub fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries
            .iter_mut()
            .find(|slot| slot.is_some_and(|entry| &*entry.key == key))
            .and_then(Option::take)
            .map(|entry| &entry.value)
    }

    /// Takes the value under a key that must be there.
    pub fn require(&mut self, key: &'static str, problems: &mut Problems) -> Option<&'n Node> {
        let node = self.take(key);
        if node.is_none() {
            problems.push(
                Diagnostic::error("SB0110", format!("`{}` lacks `{key}`", self.what))
                    .at(self.span, format!("`{key}` is missing here")),
            );
        }
        node
    }

    /// What has not been taken, for keys whose names are not known beforehand.
    pub fn rest(&mut self) -> Vec<&'n Entry> {
        self.entries.iter_mut().filter_map(Option::take).collect()
    }

    /// Ends the reading: what is left over is a problem, with the nearest known key.
    pub fn finish(mut self, problems: &mut Problems) {
        for entry in self.rest() {
            let mut problem = Diagnostic::error(
                "SB0103",
                format!("`{}` is not a key of `{}`", entry.key, self.what),
            )
            .at(entry.key_span, "not known here");
            problem.help = Some(suggest(&entry.key, self.known.iter().copied()).map_or_else(
                || format!("it knows {}", list_of(&self.known)),
                |near| format!("did you mean `{near}`?"),
            ));
            problems.push(problem);
        }
    }
}

fn list_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
