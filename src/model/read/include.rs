//! Arguments of `include_*` and `import_*`.

use super::shared::{check, keyword_at};
use super::{Reader, shared_keyword};
use crate::diag::Diagnostic;
use crate::model::keyword::{self, place};
use crate::model::{Args, Field, Keywords, RoleUse, Task};
use crate::syntax::{Entry, Kind, Node};
use crate::value::Value;

impl Reader<'_> {
    pub(super) fn refuse_loop(&mut self, name: &str, task: &Task) {
        if let Some(l) = &task.r#loop {
            let span = l.terms.span;
            self.problems().push(
                Diagnostic::error("SB0112", format!("`{name}` cannot have a loop"))
                    .at(span, "a static import happens once, before the run")
                    .help(format!("use `{}`", name.replace("import", "include"))),
            );
        }
    }

    pub(super) fn only_include_keywords(&mut self, entries: &[Entry]) {
        let also = if self.scope.is_handlers {
            place::INCLUDE | place::HANDLER
        } else {
            place::INCLUDE
        };
        for entry in entries {
            let Some(row) = keyword::find(&entry.key) else {
                continue;
            };
            let is_listen = row.name == "listen" && also & place::HANDLER != 0;
            if row.places & place::INCLUDE == 0 && !is_listen {
                self.problems().push(
                    Diagnostic::error(
                        "SB0103",
                        format!("`{}` is not a keyword of a dynamic include", row.name),
                    )
                    .at(entry.key_span, "it would not reach the included tasks")
                    .help("put it under `apply:`"),
                );
            }
        }
    }

    pub(super) fn included_file(
        &mut self,
        name: &str,
        args: &Args,
        key: &Entry,
    ) -> Option<(Field, Keywords)> {
        let known = self.cx.arguments(name);
        self.refuse_other_args(name, args, known);
        if args.fields.keys().any(|key| !known.contains(&key.as_str())) {
            return None;
        }
        let raw = args
            .fields
            .get_key_value("_raw_params")
            .or_else(|| args.fields.get_key_value("file"));
        let Some((key, value)) =
            raw.filter(|(_, v)| v.as_str().is_some_and(|s| !s.trim().is_empty()))
        else {
            self.problems().push(
                Diagnostic::error("SB0110", format!("`{name}` needs a file"))
                    .at(key.key_span, "none is given"),
            );
            return None;
        };
        Some((
            Field {
                value: value.clone(),
                span: args.span(key),
            },
            self.apply(args, name),
        ))
    }

    pub(super) fn refuse_other_args(&mut self, name: &str, args: &Args, known: &[&str]) {
        for field in args.fields.keys().filter(|f| !known.contains(&f.as_str())) {
            let span = args.span(&format!("{field}:key"));
            let mut problem =
                Diagnostic::error("SB0104", format!("`{name}` has no argument `{field}`"))
                    .at(span, format!("not an argument of `{name}`"));
            if let Some(near) = crate::diag::suggest(field, known.iter().copied()) {
                problem = problem.help(format!("did you mean `{near}`?"));
            } else if keyword::find(field).is_some() {
                problem = problem.help(format!(
                    "`{field}` is a keyword of the task: indent it less"
                ));
            }
            self.problems().push(problem);
        }
    }

    /// `apply:` of an include.
    pub(super) fn apply(&mut self, args: &Args, name: &str) -> Keywords {
        let mut keywords = Keywords::default();
        let Some(value) = args.fields.get("apply") else {
            return keywords;
        };
        let span = args.span("apply");
        let node = node_of(value, span);
        for entry in self.problems().map("apply", &node).unwrap_or_default() {
            let problems = self.cx.problems();
            if let Some(row) = keyword_at(entry, place::BLOCK, problems)
                && check(row, &entry.value, problems)
                && !shared_keyword(&mut keywords, entry, problems)
            {
                problems.push(
                    Diagnostic::error(
                        "SB0108",
                        format!("`{}` under `apply` of `{name}` is not supported", entry.key),
                    )
                    .at(entry.key_span, "in this mapping"),
                );
            }
        }
        keywords
    }

    pub(super) fn included_role(
        &mut self,
        name: &str,
        task: &Task,
        args: &Args,
        key: &Entry,
    ) -> Option<(RoleUse, Keywords)> {
        let known = self.cx.arguments(name);
        self.refuse_other_args(name, args, known);
        let field = |key: &str| {
            args.fields.get(key).map(|v| Field {
                value: v.clone(),
                span: args.span(key),
            })
        };
        for key in ["tasks_from", "vars_from", "defaults_from", "handlers_from"] {
            let given = args.fields.get(key);
            if let Some(value) = given.filter(|v| matches!(v, Value::List(_) | Value::Map(_))) {
                self.cx.problems().push(
                    Diagnostic::error(
                        "SB0102",
                        format!("expected a string for {key} but got {}", value.type_name()),
                    )
                    .at(args.span(key), "the name of a file without its folder"),
                );
                return None;
            }
        }
        let Some(role) = field("name").or_else(|| field("role")) else {
            self.problems().push(
                Diagnostic::error("SB0110", format!("`{name}` needs the `name` of a role"))
                    .at(key.key_span, "none is given"),
            );
            return None;
        };
        let mut flag = |key: &str| {
            let value = args.fields.get(key)?;
            if value.has_template() {
                self.cx.problems().push(
                    Diagnostic::error("SB0108", format!("a template in `{key}` is not supported"))
                        .at(args.span(key), "this must be known before the run")
                        .help("write `true` or `false`"),
                );
                return None;
            }
            self.cx
                .problems()
                .bool(key, &node_of(value, args.span(key)))
        };
        let (is_public, allows_duplicates) = (flag("public"), flag("allow_duplicates"));
        let validates = flag("rolespec_validate");
        let role = RoleUse {
            span: task.span,
            name: role,
            keywords: task.keywords.clone(),
            params: crate::value::Map::new(),
            tasks_from: field("tasks_from"),
            vars_from: field("vars_from"),
            defaults_from: field("defaults_from"),
            handlers_from: field("handlers_from"),
            is_public,
            allows_duplicates,
            validates,
        };
        Some((role, self.apply(args, name)))
    }
}

/// A value that has lost its places, as a tree in which all stands at one place.
fn node_of(value: &Value, span: crate::diag::Span) -> Node {
    let kind = match value {
        Value::Null => Kind::Null,
        Value::Bool(b) => Kind::Bool(*b),
        Value::Int(i) => Kind::Int(*i),
        Value::Float(f) => Kind::Float(*f),
        Value::Str(text) => Kind::Str(text.as_str().into()),
        Value::List(items) => Kind::List(items.iter().map(|v| node_of(v, span)).collect()),
        Value::Map(map) => Kind::Map(
            map.iter()
                .map(|(k, v)| Entry {
                    key: k.as_str().into(),
                    key_span: span,
                    value: node_of(v, span),
                })
                .collect(),
        ),
    };
    Node {
        kind,
        span,
        tag: crate::syntax::Tag::None,
    }
}
