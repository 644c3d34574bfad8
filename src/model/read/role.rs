//! Entries of `roles:` and of a role's dependencies.

use super::shared::{check, keyword_at};
use super::{field, shared_keyword};
use crate::diag::Diagnostic;
use crate::model::keyword::{self, place};
use crate::model::{Field, Keywords, RoleUse};
use crate::syntax::{Kind, Node, Problems};
use crate::value::Map;

/// Reads one use of a role: a name, or a mapping with `role` (or `name`), keywords and parameters.
pub fn role_use(node: &Node, problems: &mut Problems) -> Option<RoleUse> {
    let bare = |name: Field| RoleUse {
        span: node.span,
        name,
        keywords: Keywords::default(),
        params: Map::new(),
        tasks_from: None,
        vars_from: None,
        defaults_from: None,
        handlers_from: None,
        is_public: None,
        allows_duplicates: None,
        validates: None,
    };
    match &node.kind {
        Kind::Str(text) if text.contains(',') => {
            problems.push(old_style(text, node));
            return None;
        }
        Kind::Str(_) => return Some(bare(field(node))),
        Kind::Int(i) => {
            return Some(bare(Field {
                value: i.to_string().into(),
                span: node.span,
            }));
        }
        Kind::Map(_) => {}
        _ => {
            problems.wrong_type("role", "a role's name or a mapping with `role`", node);
            return None;
        }
    }
    let Some(name) = node
        .entry("role")
        .or_else(|| node.entry("name"))
        .or_else(|| node.entry("src"))
    else {
        problems.push(
            Diagnostic::error("SB0110", "a role needs its name")
                .at(node.span, "no `role` in this mapping"),
        );
        return None;
    };
    if name.value.as_str().is_none() {
        problems.wrong_type("role", "a role's name", &name.value);
        return None;
    }
    let mut role = bare(field(&name.value));
    for entry in node.as_map()? {
        match keyword::find(&entry.key) {
            _ if matches!(&*entry.key, "role" | "name" | "src") => {}
            Some(row) if row.places & place::ROLE != 0 => {
                if keyword_at(entry, place::ROLE, problems).is_some()
                    && check(row, &entry.value, problems)
                {
                    shared_keyword(&mut role.keywords, entry, problems);
                }
            }
            _ => {
                role.params
                    .insert(entry.key.to_string(), entry.value.to_value());
            }
        }
    }
    Some(role)
}

fn old_style(text: &str, node: &Node) -> Diagnostic {
    let what = format!("invalid old style role requirement: {text}");
    Diagnostic::error("SB0102", what)
        .at(node.span, "a comma belongs to no role's name")
        .help("write a mapping with `role`")
}
