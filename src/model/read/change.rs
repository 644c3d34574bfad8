//! The header of a change, undo and points of no return.

use super::shared::{bad_name, texts};
use super::{Reader, Scope, Surroundings, field, role_use};
use crate::diag::Diagnostic;
use crate::model::{Change, Field, PointOfNoReturn, Rehearse, Seal, Steps, UndoSpec, WayBack};
use crate::syntax::{Cursor, Kind, Node};

/// Reads the first entry of a playbook file: `change: NAME` and what goes with it.
pub fn change(node: &Node, id: &str, cx: &mut dyn Surroundings, scope: &Scope) -> Option<Change> {
    let mut cursor = Cursor::new("change", node, cx.problems());
    let mut change = Change::default();
    if let Some(name) = cursor.take("change") {
        change.name = cx.problems().text("change", name)?.to_string();
    }
    if let Some(window) = cursor.take("window") {
        change.window_s = duration_s(window);
        if change.window_s.is_none() {
            cx.problems().wrong_type(
                "window",
                "a duration such as `2h`, `90m`, `1h30m` or seconds",
                window,
            );
        }
    }
    change.protect = cursor.take("protect").map(patterns).unwrap_or_default();
    if let Some(guards) = cursor.take("guards") {
        change.guards = Reader::new(cx, scope).conditions(guards);
    }
    if let Some(ways) = cursor.take("ways_back") {
        let items = cx.problems().list("ways_back", ways);
        for (index, item) in items.iter().enumerate() {
            let id = format!("{id}/ways_back/{index}");
            change.ways_back.extend(way_back(item, &id, cx, scope));
        }
    }
    change.rehearse = cursor.take("rehearse").map(|node| {
        let problems = cx.problems();
        let mut cursor = Cursor::new("rehearse", node, problems);
        let rehearse = Rehearse {
            lab: cursor.take("lab").map(field),
            inventory: cursor.take("inventory").map(field),
            report: cursor.take("report").map(field),
            faults: cursor.take("faults").map(field),
            scenarios: cursor
                .take("scenarios")
                .map(Node::to_map)
                .unwrap_or_default(),
            span: node.span,
        };
        cursor.finish(problems);
        rehearse
    });
    cursor.finish(cx.problems());
    Some(change)
}

/// Seconds of `90`, `90s`, `90m`, `2h`, `1h30m`, `1d`.
fn duration_s(node: &Node) -> Option<u64> {
    let text = match &node.kind {
        Kind::Int(i) => return u64::try_from(*i).ok(),
        Kind::Str(text) => text.replace(' ', ""),
        _ => return None,
    };
    let mut total: u64 = 0;
    let mut number = String::new();
    for c in text.chars() {
        let unit: u64 = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    if !number.is_empty() {
        total = total.checked_add(number.parse().ok()?)?;
    }
    (!text.is_empty()).then_some(total)
}

fn patterns(node: &Node) -> Vec<Field> {
    match &node.kind {
        Kind::List(items) => items.iter().map(field).collect(),
        Kind::Null => Vec::new(),
        _ => vec![field(node)],
    }
}

fn way_back(node: &Node, id: &str, cx: &mut dyn Surroundings, scope: &Scope) -> Option<WayBack> {
    let mut cursor = Cursor::new("ways_back", node, cx.problems());
    let name = cursor.require("name", cx.problems());
    let name = name.and_then(|n| cx.problems().text("name", n));
    let legal = cursor
        .take("legal")
        .map(|n| Reader::new(cx, scope).conditions(n))
        .unwrap_or_default();
    let loses = cursor.take("loses").map(field);
    let releases = cursor.take("releases").map(patterns).unwrap_or_default();
    let (tasks, role, playbook, undo_of) = (
        cursor.take("tasks"),
        cursor.take("role"),
        cursor.take("playbook"),
        cursor.take("undo_of"),
    );
    let given = [&tasks, &role, &playbook, &undo_of];
    let given = given.iter().filter(|part| part.is_some()).count();
    let hosts = cursor.take("hosts").map(field);
    let whole = || Field {
        value: "all".into(),
        span: node.span,
    };
    let steps = if let Some(playbook) = playbook {
        Some(Steps::Playbook(field(playbook)))
    } else if let Some(role) = role {
        let role = role_use(role, cx.problems());
        role.map(|role| Steps::Role {
            role: Box::new(role),
            hosts: hosts.unwrap_or_else(whole),
        })
    } else if let Some(tasks) = tasks {
        let tasks = Reader::new(cx, scope).items("tasks", tasks, &format!("{id}/tasks"));
        Some(Steps::Tasks {
            tasks,
            hosts: hosts.unwrap_or_else(whole),
        })
    } else {
        undo_of.map(|tags| Steps::UndoOf(texts("undo_of", tags, true, cx.problems())))
    };
    cursor.finish(cx.problems());
    if given != 1 {
        cx.problems().push(
            Diagnostic::error(
                "SB0110",
                "a way back has one of `tasks`, `role`, `playbook` and `undo_of`",
            )
            .at(node.span, format!("{given} of them are given")),
        );
    }
    Some(WayBack {
        name: name?.to_string(),
        span: node.span,
        legal,
        loses,
        releases,
        steps: steps?,
    })
}

impl Reader<'_> {
    /// Reads `undo`.
    pub(super) fn undo(&mut self, node: &Node, id: &str) -> Option<UndoSpec> {
        match &node.kind {
            Kind::Str(text) if &**text == "keep" => Some(UndoSpec::Keep),
            Kind::List(_) => Some(UndoSpec::Tasks(self.items(
                "undo",
                node,
                &format!("{id}/undo"),
            ))),
            _ => {
                self.problems()
                    .wrong_type("undo", "a list of tasks or `keep`", node);
                None
            }
        }
    }

    /// Reads `point_of_no_return`.
    pub(super) fn point_of_no_return(&mut self, node: &Node) -> Option<PointOfNoReturn> {
        let mut cursor = Cursor::new("point_of_no_return", node, self.cx.problems());
        let reason = cursor.require("reason", self.cx.problems()).map(field);
        let seals = cursor
            .take("seals")
            .map(|n| self.seals(n))
            .unwrap_or_default();
        let require = cursor
            .take("require")
            .map(|n| self.conditions(n))
            .unwrap_or_default();
        cursor.finish(self.cx.problems());
        Some(PointOfNoReturn {
            reason: reason?,
            seals,
            require,
        })
    }

    fn seals(&mut self, node: &Node) -> Vec<Seal> {
        let Kind::Map(entries) = &node.kind else {
            let mut seals = Vec::new();
            if let Some(items) = node.as_list() {
                for item in items {
                    if item.as_map().is_some() {
                        seals.extend(self.seals(item));
                    } else {
                        let tags = texts("seals", item, true, self.cx.problems());
                        seals.extend(tags.into_iter().map(|tag| Seal {
                            tag,
                            is_everywhere: false,
                        }));
                    }
                }
                return seals;
            }
            let tags = texts("seals", node, true, self.cx.problems());
            return tags
                .into_iter()
                .map(|tag| Seal {
                    tag,
                    is_everywhere: false,
                })
                .collect();
        };
        let mut seals = Vec::new();
        for entry in entries {
            let is_everywhere = match entry.value.as_str().map(|s| &**s) {
                Some("all") => true,
                None if entry.value.is_null() => false,
                _ => {
                    self.problems().wrong_type(
                        "seals",
                        "`TAG: all` or a list of tags",
                        &entry.value,
                    );
                    continue;
                }
            };
            if entry.key.is_empty() {
                self.problems()
                    .push(bad_name(&entry.key).at(entry.key_span, "a tag is missing"));
            }
            seals.push(Seal {
                tag: entry.key.to_string(),
                is_everywhere,
            });
        }
        seals
    }
}
