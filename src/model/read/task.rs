//! Tasks and handlers.

use super::action::{is_keyword, no_module};
use super::block::inherit_notify;
use super::shared::{bad_name, check, conditions, keyword_at, texts};
use super::{ImportTasks, Reader, field, is_variable_name, shared_keyword};
use crate::diag::Diagnostic;
use crate::model::keyword::{self, place};
use crate::model::{
    Action, Args, Field, Item, Loop, LoopControl, LoopKind, Progress, StepId, Task,
};
use crate::syntax::{Cursor, Entry, Kind, Node};
use crate::value::Value;

/// Lookups that a `with_*` may name: those of ansible-core 2.19.
const LOOKUPS: &[&str] = &[
    "items",
    "list",
    "dict",
    "nested",
    "together",
    "sequence",
    "subelements",
    "fileglob",
    "first_found",
    "indexed_items",
    "random_choice",
    "lines",
    "file",
    "env",
    "password",
    "pipe",
    "url",
    "template",
    "csvfile",
    "ini",
    "inventory_hostnames",
    "unvault",
    "vars",
    "varnames",
    "config",
];

/// What `meta` can do.
const META: &[&str] = &[
    "flush_handlers",
    "refresh_inventory",
    "noop",
    "clear_facts",
    "clear_host_errors",
    "end_host",
    "end_play",
    "end_batch",
    "end_role",
    "reset_connection",
];

impl Reader<'_> {
    /// Reads a list of tasks and blocks; their ids begin with `prefix`.
    pub fn items(&mut self, what: &str, node: &Node, prefix: &str) -> Vec<Item> {
        let mut items = Vec::new();
        for (index, node) in self.problems().list(what, node).iter().enumerate() {
            if node.is_null() {
                continue;
            }
            if node.as_map().is_none() {
                self.problems().wrong_type("task", "a mapping", node);
                continue;
            }
            let id = format!("{prefix}/{index}");
            if node.entry("block").is_some() {
                items.extend(
                    self.block(node, id)
                        .map(|block| Item::Block(Box::new(block))),
                );
            } else {
                items.extend(self.task(node, id));
            }
        }
        items
    }

    /// Reads a task; a static import gives all that it imports.
    fn task(&mut self, node: &Node, id: String) -> Vec<Item> {
        let nothing = Action::Meta {
            what: "noop".into(),
            span: node.span,
        };
        let mut task = Task {
            text_hash: node.content_hash(),
            role: self.scope.role.clone(),
            folder: self.scope.folder.clone(),
            ..Task::new(StepId(id), node.span, nothing)
        };
        let entries = node.as_map().unwrap_or_default();
        let at = if self.scope.is_handlers {
            place::HANDLER
        } else {
            place::TASK
        };
        let mut candidates = Vec::new();
        for entry in entries {
            if let Some(lookup) = entry.key.strip_prefix("with_") {
                let short = lookup.strip_prefix("ansible.builtin.").unwrap_or(lookup);
                if LOOKUPS.contains(&short) {
                    self.set_loop(&mut task, LoopKind::With(short.to_owned()), entry);
                } else {
                    self.unknown_lookup(short, entry);
                }
            } else if is_keyword(self.cx, &entry.key, at) {
                let problems = self.cx.problems();
                if let Some(row) = keyword_at(entry, at, problems)
                    && check(row, &entry.value, problems)
                {
                    self.task_keyword(&mut task, entry);
                }
            } else {
                candidates.push(entry);
            }
        }
        let Some((name, args, key)) = self.module_of(&mut task, node, &candidates, at) else {
            return Vec::new();
        };
        self.loop_control(&mut task, node);
        self.act(task, name, args, key, entries)
    }

    /// The module of a task, its arguments and the entry that names it.
    fn module_of<'n>(
        &mut self,
        task: &mut Task,
        node: &'n Node,
        candidates: &[&'n Entry],
        at: u16,
    ) -> Option<(&'static str, Args, &'n Entry)> {
        let more = node.entry("args");
        let old: Vec<&Entry> = ["action", "local_action"]
            .iter()
            .filter_map(|k| node.entry(k))
            .collect();
        if let Some(entry) = old.first().copied() {
            for other in old.iter().skip(1).chain(candidates.iter()) {
                let problem = if self.cx.action(&other.key).is_some()
                    || keyword::find(&other.key).is_some()
                {
                    Diagnostic::error("SB0107", "a task runs one module, and two are given")
                        .at(other.key_span, "the second one")
                        .at(entry.key_span, "the first one")
                } else {
                    super::shared::unknown_keyword(other, at)
                };
                self.problems().push(problem);
            }
            let (name, args) = self.old_style(entry, more)?;
            if &*entry.key == "local_action" {
                let value = Value::from("localhost");
                task.keywords.delegate_to = Some(Field {
                    value,
                    span: entry.key_span,
                });
            }
            return Some((name, args, entry));
        }
        if candidates.is_empty() {
            self.problems().push(no_module(node.span));
            return None;
        }
        let named = self.one_module(candidates, at)?;
        let mut args = self.args(named.name, &named.entry.value, more, named.entry.key_span);
        let added = self.cx.library_args(&named.entry.key, named.entry.key_span);
        args.fields.extend(added);
        Some((named.name, args, named.entry))
    }

    fn task_keyword(&mut self, task: &mut Task, entry: &Entry) {
        let node = &entry.value;
        let some = || (!node.is_null()).then(|| field(node));
        match &*entry.key {
            "action" | "local_action" | "args" | "loop_control" => {}
            "register" => {
                if let Some(name) = self.problems().text("register", node) {
                    if !is_variable_name(&name) {
                        self.problems()
                            .push(bad_name(&name).at(node.span, "the result is named here"));
                    }
                    task.register = Some(name.to_string());
                }
            }
            "loop" => self.set_loop(task, LoopKind::Loop, entry),
            "until" => task.until = Some(conditions("until", node, self.problems())),
            "changed_when" => {
                task.changed_when = Some(conditions("changed_when", node, self.problems()));
            }
            "failed_when" => {
                task.failed_when = Some(conditions("failed_when", node, self.problems()));
            }
            "retries" => task.retries = some(),
            "delay" => task.delay = some(),
            "async" => task.r#async = some(),
            "poll" => task.poll = some(),
            "notify" => task.notify = notified(node),
            "listen" => task.listen = texts("listen", node, false, self.problems()),
            "undo" => task.undo = self.undo(node, &task.id.0),
            "reads" => task.reads = self.problems().bool("reads", node).unwrap_or(false),
            "verify" => task.verify = self.condition(node),
            "point_of_no_return" => task.point_of_no_return = self.point_of_no_return(node),
            "progress" => task.progress = self.progress(node),
            _ => {
                shared_keyword(&mut task.keywords, entry, self.problems());
            }
        }
    }

    fn progress(&mut self, node: &Node) -> Option<Progress> {
        let text = self.problems().text("progress", node)?;
        match &*text {
            "rsync" => Some(Progress::Rsync),
            "pg_upgrade" => Some(Progress::PgUpgrade),
            pattern => match regex::Regex::new(pattern) {
                Ok(regex) if regex.captures_len() > 1 => Some(Progress::Regex(pattern.to_owned())),
                Ok(_) => {
                    self.problems().push(
                        Diagnostic::error("SB0102", "`progress` needs a group for the percentage")
                            .at(node.span, "no `( )` in it")
                            .help("such as `([0-9]+)%`, or use `rsync` or `pg_upgrade`"),
                    );
                    None
                }
                Err(_) => {
                    self.problems().wrong_type(
                        "progress",
                        "`rsync`, `pg_upgrade` or a regular expression",
                        node,
                    );
                    None
                }
            },
        }
    }

    fn unknown_lookup(&mut self, lookup: &str, entry: &Entry) {
        let mut problem = Diagnostic::error("SB0103", format!("there is no lookup `{lookup}`"))
            .at(entry.key_span, "named by this loop");
        problem.help = crate::diag::suggest(lookup, LOOKUPS.iter().copied())
            .map(|near| format!("did you mean `with_{near}`?"));
        self.problems().push(problem);
    }

    fn set_loop(&mut self, task: &mut Task, kind: LoopKind, entry: &Entry) {
        if let Some(first) = &task.r#loop {
            let first = first.terms.span;
            self.problems().push(
                Diagnostic::error("SB0112", "a task has one loop, and two are given")
                    .at(entry.key_span, "the second one")
                    .at(first, "the first one"),
            );
            return;
        }
        if kind == LoopKind::Loop && !matches!(entry.value.kind, Kind::List(_) | Kind::Str(_)) {
            let mut problem = Diagnostic::error("SB0102", "`loop` must be a list").at(
                entry.value.span,
                format!("found {}", entry.value.type_name()),
            );
            if entry.value.as_map().is_some() {
                problem = problem.help("`loop: \"{{ … | dict2items }}\"` goes over a mapping");
            }
            self.problems().push(problem);
            return;
        }
        let control = LoopControl::default();
        task.r#loop = Some(Loop {
            kind,
            terms: field(&entry.value),
            control,
        });
    }

    fn loop_control(&mut self, task: &mut Task, node: &Node) {
        let Some(entry) = node.entry("loop_control") else {
            return;
        };
        let problems = self.cx.problems();
        let mut cursor = Cursor::new("loop_control", &entry.value, problems);
        let mut control = LoopControl::default();
        for (key, slot) in [
            ("loop_var", &mut control.loop_var),
            ("index_var", &mut control.index_var),
        ] {
            if let Some(name) = cursor
                .take(key)
                .and_then(|n| problems.text(key, n).map(|t| (t, n.span)))
            {
                if !is_variable_name(&name.0) && !name.0.contains("{{") {
                    problems.push(bad_name(&name.0).at(name.1, "named here"));
                }
                *slot = Some(name.0.to_string());
            }
        }
        control.label = cursor.take("label").map(field);
        control.pause = cursor.take("pause").map(field);
        control.extended = cursor.take("extended").map(field);
        if let Some(node) = cursor.take("break_when") {
            control.break_when = conditions("break_when", node, problems);
        }
        if let Some(node) = cursor.take("extended_allitems")
            && problems.bool("extended_allitems", node) == Some(false)
        {
            problems.push(
                Diagnostic::error("SB0108", "`extended_allitems: false` is not supported")
                    .at(node.span, "`ansible_loop.allitems` costs nothing here")
                    .help("remove it"),
            );
        }
        cursor.finish(problems);
        if let Some(l) = &mut task.r#loop {
            l.control = control;
        }
    }

    /// Gives the task its action, or what it imports in its place.
    fn act(
        &mut self,
        mut task: Task,
        name: &'static str,
        args: Args,
        key: &Entry,
        entries: &[Entry],
    ) -> Vec<Item> {
        match name {
            "include_tasks" | "import_tasks" => {
                let Some((file, apply)) = self.included_file(name, &args, key) else {
                    return Vec::new();
                };
                if name == "import_tasks" {
                    self.refuse_loop(name, &task);
                    let id = task.id.0.clone();
                    let scope = self.scope;
                    let mut items = self.cx.import_tasks(
                        ImportTasks {
                            file: &file,
                            keywords: &task.keywords,
                            id: &id,
                            span: task.span,
                        },
                        scope,
                    );
                    inherit_notify(&mut items, &task.notify);
                    return items;
                }
                self.only_include_keywords(entries);
                task.action = Action::IncludeTasks {
                    file,
                    apply: Box::new(apply),
                };
            }
            "include_role" | "import_role" => {
                if self.scope.is_handlers {
                    self.problems().push(
                        Diagnostic::error("SB0122", format!("`{name}` cannot be a handler"))
                            .at(key.key_span, "as in Ansible"),
                    );
                    return Vec::new();
                }
                let Some((role, apply)) = self.included_role(name, &task, &args, key) else {
                    return Vec::new();
                };
                if name == "import_role" {
                    self.refuse_loop(name, &task);
                    let scope = self.scope;
                    let mut items = self.cx.import_role(&role, &task.id.0, scope);
                    inherit_notify(&mut items, &task.notify);
                    return items;
                }
                self.only_include_keywords(entries);
                task.action = Action::IncludeRole {
                    role: Box::new(role),
                    apply: Box::new(apply),
                };
            }
            "meta" => {
                let Some(action) = self.meta(&args, key) else {
                    return Vec::new();
                };
                task.action = action;
            }
            _ => {
                task.action = Action::Module {
                    name: name.to_owned(),
                    span: key.key_span,
                    args,
                }
            }
        }
        vec![Item::Task(Box::new(task))]
    }

    fn meta(&mut self, args: &Args, key: &Entry) -> Option<Action> {
        let span = args.span("_raw_params");
        let what = args
            .fields
            .get("_raw_params")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .trim();
        if META.contains(&what) {
            if what == "flush_handlers" && self.scope.is_handlers {
                let what = "a flush within a flush: flush_handlers cannot be used as a handler";
                self.problems()
                    .push(Diagnostic::error("SB0123", what).at(span, "this is a handler"));
            }
            let misplaced = if self.scope.is_handlers {
                Some("in a handler")
            } else {
                self.scope.role.is_none().then_some("outside of a role")
            };
            if let Some(place) = misplaced.filter(|_| what == "end_role") {
                self.problems().push(
                    Diagnostic::error("SB0123", format!("`end_role` stands {place}"))
                        .at(span, "no role to end here"),
                );
            }
            return Some(Action::Meta {
                what: what.to_owned(),
                span: key.key_span,
            });
        }
        let mut problem = Diagnostic::error("SB0123", format!("`meta` cannot do `{what}`")).at(
            if span.is_some() { span } else { key.key_span },
            "not an action of `meta`",
        );
        problem.help = Some(
            crate::diag::suggest(what, META.iter().copied()).map_or_else(
                || format!("it can do {}", META.join(", ")),
                |near| format!("did you mean `{near}`?"),
            ),
        );
        self.problems().push(problem);
        None
    }
}

pub(super) fn notified(node: &Node) -> Vec<Field> {
    match &node.kind {
        Kind::List(items) => items.iter().map(field).collect(),
        Kind::Null => Vec::new(),
        _ => vec![field(node)],
    }
}
