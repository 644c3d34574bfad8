//! Inventories in YAML form.
//!
//! Source: ansible-core 2.19, `plugins/inventory/yaml.py`.

use std::path::Path;
use std::sync::Arc;

use super::data::Inventory;
use super::source::expand_host;
use crate::diag::Diagnostic;
use crate::syntax::{Entry, Kind, Node};

/// Adds what a tree says to the inventory.
pub(super) fn read(
    inventory: &mut Inventory,
    node: &Node,
    source: &Arc<Path>,
    text: &str,
) -> Vec<Diagnostic> {
    let mut reader = Yaml {
        inventory,
        source,
        text,
        problems: Vec::new(),
    };
    for entry in node.as_map().unwrap_or_default() {
        reader.group(entry);
    }
    reader.problems
}

struct Yaml<'a> {
    inventory: &'a mut Inventory,
    source: &'a Arc<Path>,
    /// The file, where a number shows that is not quoted.
    text: &'a str,
    problems: Vec<Diagnostic>,
}

impl Yaml<'_> {
    fn group(&mut self, entry: &Entry) {
        let name = &*entry.key;
        let parts = match &entry.value.kind {
            Kind::Null => &[],
            Kind::Map(parts) => parts.as_slice(),
            _ => {
                self.ignore(entry, "a group is a mapping");
                return;
            }
        };
        if name.is_empty() {
            self.problems.push(
                Diagnostic::error("SB0206", "a group has no name").at(entry.key_span, "empty"),
            );
            return;
        }
        self.inventory.group_index(name);
        for part in parts {
            let known = matches!(&*part.key, "hosts" | "children" | "vars");
            let entries = match &part.value.kind {
                Kind::Null => continue,
                Kind::Map(entries) => entries.clone(),
                // `hosts: web1` names one host.
                Kind::Str(text) if known => vec![Entry {
                    key: text.clone(),
                    key_span: part.value.span,
                    value: Node::null(part.value.span),
                }],
                _ if known => {
                    self.problems.push(
                        Diagnostic::error(
                            "SB0206",
                            format!("`{}` of `{name}` must be a mapping", part.key),
                        )
                        .at(part.value.span, format!("found {}", part.value.type_name()))
                        .help("write `NAME:` on a line of its own for each, without `- `"),
                    );
                    continue;
                }
                _ => {
                    self.ignore(part, "a group has `hosts`, `children` and `vars`");
                    continue;
                }
            };
            match &*part.key {
                "vars" => {
                    for var in &entries {
                        self.inventory
                            .set_group_var(name, &var.key, var.value.to_value());
                    }
                }
                "children" => {
                    for child in &entries {
                        self.child(name, child);
                    }
                }
                "hosts" => {
                    for host in &entries {
                        self.host(name, host);
                    }
                }
                _ => self.ignore(part, "a group has `hosts`, `children` and `vars`"),
            }
        }
    }

    fn child(&mut self, parent: &str, child: &Entry) {
        self.group(child);
        if let Err(why) = self.inventory.add_child(parent, &child.key) {
            self.problems.push(
                Diagnostic::error(
                    "SB0205",
                    format!("`{}` cannot be a child of `{parent}`", child.key),
                )
                .at(child.key_span, why),
            );
        }
    }

    fn host(&mut self, group: &str, entry: &Entry) {
        let vars = match &entry.value.kind {
            Kind::Null => crate::value::Map::new(),
            Kind::Map(_) => entry.value.to_map(),
            _ => {
                self.problems.push(
                    Diagnostic::error(
                        "SB0206",
                        format!("`{}` must be a mapping of variables", entry.key),
                    )
                    .at(
                        entry.value.span,
                        format!("found {}", entry.value.type_name()),
                    ),
                );
                return;
            }
        };
        if entry.key.parse::<f64>().is_ok() && !self.is_quoted(entry) {
            self.problems.push(
                Diagnostic::error(
                    "SB0206",
                    format!("host pattern {} must be a string", entry.key),
                )
                .at(entry.key_span, "a number to YAML")
                .help("put it in quotes"),
            );
            return;
        }
        match expand_host(&entry.key) {
            Ok((names, port)) => {
                for name in names {
                    let host = self.inventory.host_index(&name, port, Some(self.source));
                    self.inventory.join(group, host);
                    self.inventory.set_host_vars(host, &vars);
                }
            }
            Err(why) => self.problems.push(
                Diagnostic::error("SB0204", format!("`{}` is no host range", entry.key))
                    .at(entry.key_span, why),
            ),
        }
    }

    fn is_quoted(&self, entry: &Entry) -> bool {
        let start = usize::try_from(entry.key_span.start).unwrap_or(usize::MAX);
        let key = self.text.get(start..).unwrap_or_default();
        key.starts_with(['"', '\''])
    }

    fn ignore(&mut self, entry: &Entry, why: &str) {
        self.problems.push(
            Diagnostic::warning("SB0212", format!("`{}` is ignored", entry.key))
                .at(entry.key_span, why),
        );
    }
}
