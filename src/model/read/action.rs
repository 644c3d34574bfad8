//! The module of a task and its arguments.
//!
//! Source of the forms: ansible-core 2.19, `parsing/mod_args.py`.

use super::kv::{join, parse_kv, split_args};
use super::shared::unknown_keyword;
use super::{Reader, Surroundings, field};
use crate::diag::{Diagnostic, Span, suggest};
use crate::model::{Args, Field, TEMPLATED_MODULE, TEMPLATED_NAME, keyword};
use crate::syntax::{Entry, Kind, Node, Tag};
use crate::value::{Text, Value};

/// Modules whose free-form text is a command.
const COMMANDS: &[&str] = &["command", "shell", "raw", "script"];

/// Other modules that take free-form text.
const FREE_FORM: &[&str] = &[
    "include_vars",
    "include_tasks",
    "include_role",
    "import_tasks",
    "import_role",
    "add_host",
    "group_by",
    "set_fact",
    "meta",
    TEMPLATED_MODULE,
];

/// The entry of a task that names its module.
#[derive(Clone, Copy)]
pub(super) struct Named<'n> {
    pub(super) name: &'static str,
    pub(super) entry: &'n Entry,
}

impl Reader<'_> {
    /// The one entry that names a module among those that are no keywords.
    pub(super) fn one_module<'n>(
        &mut self,
        candidates: &[&'n Entry],
        at: u16,
    ) -> Option<Named<'n>> {
        let mut found: Option<Named<'n>> = None;
        let mut unknown = Vec::new();
        for entry in candidates.iter().copied() {
            match (self.cx.action(&entry.key), found) {
                (None, _) => unknown.push(entry),
                (Some(name), None) => found = Some(Named { name, entry }),
                (Some(_), Some(first)) => self.problems().push(
                    Diagnostic::error("SB0107", "a task runs one module, and two are given")
                        .at(entry.key_span, "the second one")
                        .at(first.entry.key_span, "the first one")
                        .help("write two tasks, or a block"),
                ),
            }
        }
        let names = if unknown.is_empty() {
            Vec::new()
        } else {
            self.cx.action_names()
        };
        // Without a module, the key that looks least like a keyword was meant to be one.
        let meant = unknown
            .iter()
            .position(|entry| suggest(&entry.key, keyword::names(at)).is_none())
            .unwrap_or(0);
        for (index, entry) in unknown.into_iter().enumerate() {
            let problem = match found {
                None if index == meant => unknown_module(entry, &names, at),
                None => unknown_keyword(entry, at),
                Some(Named { name, .. }) => beside_module(entry, at, name, self.cx.arguments(name)),
            };
            self.problems().push(problem);
        }
        found
    }

    /// The arguments of a module as given under its name and under `args`.
    pub(super) fn args(
        &mut self,
        module: &str,
        node: &Node,
        more: Option<&Entry>,
        key_span: Span,
    ) -> Args {
        let mut args = Args::default();
        if let Some(more) = more {
            match &more.value.kind {
                Kind::Map(entries) => entries.iter().for_each(|e| set(&mut args, e)),
                Kind::Str(_) if more.value.to_value().has_template() => {
                    args.whole = Some(field(&more.value));
                }
                Kind::Null => {}
                _ => self.problems().wrong_type("args", "a mapping", &more.value),
            }
        }
        match &node.kind {
            Kind::Null => {}
            Kind::Map(entries) => entries.iter().for_each(|e| set(&mut args, e)),
            Kind::Str(text) => self.free_form(&mut args, module, text, node),
            Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) if FREE_FORM.contains(&module) => {
                set_value(
                    &mut args,
                    "_raw_params",
                    node.to_value(),
                    node.span,
                    key_span,
                );
            }
            Kind::Int(i) if COMMANDS.contains(&module) => {
                let text = Value::from(i.to_string());
                set_value(&mut args, "_raw_params", text, node.span, key_span);
            }
            _ => self
                .problems()
                .wrong_type(module, "a mapping or `k=v` text", node),
        }
        args
    }

    /// Adds what a free-form text says.
    pub(super) fn free_form(&mut self, args: &mut Args, module: &str, text: &str, node: &Node) {
        let is_command = COMMANDS.contains(&module);
        let string = |s: &str| {
            Value::Str(if node.tag == Tag::Unsafe {
                Text::data(s)
            } else {
                Text::from_user(s)
            })
        };
        let form = match parse_kv(text, is_command) {
            Ok(form) => form,
            Err(why) => {
                self.problems().push(
                    Diagnostic::error(
                        "SB0111",
                        format!("the arguments of `{module}` cannot be split"),
                    )
                    .at(node.span, why)
                    .help("close it, or write the arguments as a mapping"),
                );
                return;
            }
        };
        for (key, value) in &form.pairs {
            set_value(args, key, string(value), node.span, node.span);
        }
        let Some(raw) = form.raw else { return };
        let is_free = is_command || FREE_FORM.contains(&module);
        let trimmed = text.trim();
        // What a template brings is refused when the task runs, as in Ansible.
        let is_template = raw.trim_start().starts_with("{{") && !form.pairs.is_empty();
        if is_free || is_template {
            set_value(args, "_raw_params", string(&raw), node.span, node.span);
        } else if trimmed.starts_with("{{") && trimmed.ends_with("}}") && form.pairs.is_empty() {
            args.whole = Some(Field {
                value: string(text),
                span: node.span,
            });
        } else {
            self.problems().push(
                Diagnostic::error("SB0111", format!("`{module}` takes no free-form text"))
                    .at(node.span, format!("`{}` is no `key=value`", raw.trim()))
                    .help("write the arguments as a mapping"),
            );
        }
    }

    /// `action: module k=v` and `local_action`.
    pub(super) fn old_style(
        &mut self,
        entry: &Entry,
        more: Option<&Entry>,
    ) -> Option<(&'static str, Args)> {
        let node = &entry.value;
        let (text, rest): (String, Option<&[Entry]>) = match &node.kind {
            Kind::Str(text) => (text.to_string(), None),
            Kind::Map(entries) => {
                let Some(module) = node.entry("module").and_then(|e| e.value.as_str()) else {
                    self.problems().push(no_module(node.span));
                    return None;
                };
                (module.to_string(), Some(entries))
            }
            _ => {
                self.problems()
                    .wrong_type(&entry.key, "a module with its arguments", node);
                return None;
            }
        };
        let parts = match split_args(&text) {
            Ok(parts) => parts,
            Err(why) => {
                self.problems().push(
                    Diagnostic::error("SB0111", format!("`{}` cannot be split", entry.key))
                        .at(node.span, why),
                );
                return None;
            }
        };
        let word = parts.first().map_or("", |word| word.trim());
        let is_templated = word.contains("{{");
        let found = if is_templated {
            Some(TEMPLATED_MODULE)
        } else {
            self.cx.action(word)
        };
        let Some(name) = found else {
            let names = self.cx.action_names();
            let entry = Entry {
                key: word.into(),
                key_span: node.span,
                value: Node::null(node.span),
            };
            self.problems().push(unknown_module(&entry, &names, 0));
            return None;
        };
        let mut args = self.args(name, &Node::null(node.span), more, entry.key_span);
        for e in rest.unwrap_or_default() {
            match (&*e.key, &e.value.kind) {
                ("module", _) => {}
                ("args", Kind::Map(inner)) => inner.iter().for_each(|e| set(&mut args, e)),
                _ => set(&mut args, e),
            }
        }
        let text = join(parts.get(1..).unwrap_or_default());
        if !text.is_empty() {
            self.free_form(&mut args, name, &text, node);
        }
        if is_templated {
            let template = Value::Str(Text::from_user(word));
            args.fields.insert(TEMPLATED_NAME.into(), template);
        } else {
            let added = self.cx.library_args(word, node.span);
            args.fields.extend(added);
        }
        Some((name, args))
    }
}

fn set(args: &mut Args, entry: &Entry) {
    set_value(
        args,
        &entry.key,
        entry.value.to_value(),
        entry.value.span,
        entry.key_span,
    );
}

fn set_value(args: &mut Args, key: &str, value: Value, span: Span, key_span: Span) {
    args.fields.insert(key.to_owned(), value);
    args.spans.insert(key.to_owned(), span);
    args.spans.insert(format!("{key}:key"), key_span);
}

fn unknown_module(entry: &Entry, names: &[&'static str], at: u16) -> Diagnostic {
    let problem = Diagnostic::error("SB0105", format!("there is no module `{}`", entry.key))
        .at(entry.key_span, "not a module of switchback");
    let short = entry.key.rsplit('.').next().unwrap_or_default();
    if let Some(near) = suggest(short, names.iter().copied()) {
        problem.help(format!("did you mean `{near}`?"))
    } else if let Some(near) = suggest(&entry.key, keyword::names(at)) {
        problem.help(format!(
            "did you mean the keyword `{near}`? then a module is missing"
        ))
    } else {
        problem.help("docs/compatibility.md names all modules")
    }
}

/// Whether a key is a keyword in this place; `user` is one of a play and a module of a task.
pub(super) fn is_keyword(cx: &dyn Surroundings, key: &str, at: u16) -> bool {
    keyword::find(key).is_some_and(|row| row.places & at != 0 || cx.action(key).is_none())
}

pub(super) fn no_module(span: Span) -> Diagnostic {
    Diagnostic::error("SB0106", "this task has no module")
        .at(span, "nothing here says what to do")
        .help("add the module and its arguments, such as `command: true`")
}

/// A key that is neither keyword nor module: perhaps an argument that is not indented enough.
fn beside_module(entry: &Entry, at: u16, module: &str, arguments: &[&'static str]) -> Diagnostic {
    let problem = unknown_keyword(entry, at);
    if problem.help.is_some() {
        return problem;
    }
    match suggest(&entry.key, arguments.iter().copied()) {
        Some(near) if near == &*entry.key => problem.help(format!(
            "`{near}` is an argument of `{module}`: indent it more"
        )),
        Some(near) => problem.help(format!("did you mean the argument `{near}` of `{module}`?")),
        None => problem,
    }
}
