//! Conditions of switchback: `{name, hosts, MODULE: args, that: EXPR}`.

use super::action::is_keyword;
use super::shared::{check, conditions, keyword_at};
use super::{Reader, field, shared_keyword};
use crate::diag::Diagnostic;
use crate::model::keyword::place;
use crate::model::{Condition, Keywords};
use crate::syntax::{Entry, Kind, Node};

impl Reader<'_> {
    /// Reads a list of conditions, or a single one.
    pub fn conditions(&mut self, node: &Node) -> Vec<Condition> {
        let items: Vec<&Node> = node.as_list().map_or_else(
            || if node.is_null() { vec![] } else { vec![node] },
            |items| items.iter().collect(),
        );
        items
            .into_iter()
            .filter_map(|item| self.condition(item))
            .collect()
    }

    /// Reads one condition; a string alone is its `that`.
    pub fn condition(&mut self, node: &Node) -> Option<Condition> {
        let mut condition = Condition {
            name: String::new(),
            span: node.span,
            hosts: None,
            at_least: None,
            keywords: Keywords::default(),
            module: None,
            that: Vec::new(),
        };
        if let Some(text) = node.as_str() {
            condition.name = text.to_string();
            condition.that = conditions("that", node, self.problems());
            return Some(condition);
        }
        let mut reads = false;
        let mut modules: Vec<&Entry> = Vec::new();
        for entry in self.problems().map("condition", node)? {
            match &*entry.key {
                "that" => condition.that = conditions("that", &entry.value, self.problems()),
                "hosts" => condition.hosts = Some(field(&entry.value)),
                "at_least" => condition.at_least = self.at_least(&entry.value),
                "reads" => reads = self.problems().bool("reads", &entry.value).unwrap_or(false),
                "args" | "name" => {}
                key if is_keyword(self.cx, key, place::TASK) => {
                    self.condition_keyword(&mut condition, entry);
                }
                _ => modules.push(entry),
            }
        }
        condition.name = match node.entry("name") {
            Some(name) => self.problems().text("name", &name.value)?.to_string(),
            None => String::new(),
        };
        if let Some(first) = self.one_module(&modules, place::TASK) {
            let args = self.args(
                first.name,
                &first.entry.value,
                node.entry("args"),
                first.entry.key_span,
            );
            if !reads && matches!(first.name, "command" | "shell" | "raw" | "script") {
                self.problems().push(
                    Diagnostic::error("SB0120", "a condition only reads")
                        .at(first.entry.key_span, "this may change the host")
                        .help("add `reads: true` if the command changes nothing"),
                );
            }
            condition.module = Some((first.name.to_owned(), args));
        } else if modules.is_empty() && condition.that.is_empty() {
            self.problems().push(
                Diagnostic::error("SB0110", "a condition needs a module or `that`")
                    .at(node.span, "neither is here"),
            );
        }
        if condition.name.is_empty() {
            condition.name = match &condition.module {
                Some((name, _)) => name.clone(),
                None => "condition".into(),
            };
        }
        Some(condition)
    }

    /// `at_least: N`: one host or more.
    fn at_least(&mut self, node: &Node) -> Option<u32> {
        let count = match node.kind {
            Kind::Int(i) => u32::try_from(i).ok().filter(|count| *count > 0),
            _ => None,
        };
        if count.is_none() {
            self.problems()
                .wrong_type("at_least", "a number of hosts, 1 or more", node);
        }
        count
    }

    fn condition_keyword(&mut self, condition: &mut Condition, entry: &Entry) {
        let problems = self.cx.problems();
        if let Some(row) = keyword_at(entry, place::TASK, problems)
            && check(row, &entry.value, problems)
            && !shared_keyword(&mut condition.keywords, entry, problems)
        {
            problems.push(
                Diagnostic::error(
                    "SB0103",
                    format!("`{}` is not a key of a condition", entry.key),
                )
                .at(entry.key_span, "not known here")
                .help("a condition has `name`, `hosts`, `at_least`, a module and `that`"),
            );
        }
    }
}
