//! Checks that need no host: arguments, handlers, keys of switchback where they mean something.

use std::collections::{HashMap, HashSet};

use super::actions::ACTIONS;
use crate::diag::{Diagnostic, Span, suggest};
use crate::model::read::{is_variable_name, reserved};
use crate::model::{
    Action, Args, Condition, Item, Keywords, Play, Playbook, Steps, Task, UndoSpec,
};
use crate::modules::{self, Effect};
use crate::value::Value;

/// Checks a whole playbook.
pub(super) fn playbook(playbook: &Playbook) -> Vec<Diagnostic> {
    let mut check = Check::default();
    if let Some(change) = &playbook.change {
        change.guards.iter().for_each(|c| check.condition(c));
        for way in &change.ways_back {
            way.legal.iter().for_each(|c| check.condition(c));
            if let Steps::Tasks { tasks, .. } = &way.steps {
                check.items(tasks, false);
            }
        }
    }
    for entry in &playbook.entries {
        check.play(&entry.play);
    }
    check.problems
}

/// Checks what a dynamic include brought.
pub(super) fn items(items: &[Item], handlers: &[Task]) -> Vec<Diagnostic> {
    let mut check = Check::default();
    check.items(items, false);
    for task in handlers {
        check.task(task, false);
    }
    check.problems
}

/// Modules whose changes are sent with files.
const SENDS_FILES: &[&str] = &["assemble", "copy", "template", "unarchive"];
/// Modules that wait for a host to come back.
const WAITS: &[&str] = &["reboot", "wait_for_connection"];

#[derive(Default)]
struct Check {
    problems: Vec<Diagnostic>,
    /// Names that tasks of the play notify, with their places.
    notified: Vec<(String, Span)>,
    /// Whether the play includes what may bring handlers.
    has_includes: bool,
}

impl Check {
    fn play(&mut self, play: &Play) {
        self.notified.clear();
        self.has_includes = false;
        let has_defaults = !play.keywords.module_defaults.is_empty();
        for list in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
            self.items(list, has_defaults);
        }
        for handler in &play.handlers {
            self.task(handler, has_defaults);
        }
        self.handlers(play);
    }

    fn items(&mut self, items: &[Item], has_defaults: bool) {
        for item in items {
            match item {
                Item::Task(task) => self.task(task, has_defaults),
                Item::Block(block) => {
                    let has_defaults = has_defaults || !block.keywords.module_defaults.is_empty();
                    for list in [&block.block, &block.rescue, &block.always] {
                        self.items(list, has_defaults);
                    }
                    if let Some(UndoSpec::Tasks(tasks)) = &block.undo {
                        self.items(tasks, has_defaults);
                    }
                }
            }
        }
    }

    fn task(&mut self, task: &Task, has_defaults: bool) {
        for name in &task.notify {
            if let Some(text) = name.value.as_str().filter(|_| !name.value.has_template()) {
                self.notified.push((text.to_owned(), name.span));
            }
        }
        let has_defaults = has_defaults || !task.keywords.module_defaults.is_empty();
        match &task.action {
            Action::Module { name, span, args } => self.args(name, *span, args, has_defaults),
            Action::IncludeTasks { .. } | Action::IncludeRole { .. } => self.has_includes = true,
            Action::Meta { .. } => {}
        }
        self.job(task);
        self.own_keys(task);
        if let Some(UndoSpec::Tasks(tasks)) = &task.undo {
            self.items(tasks, has_defaults);
        }
        task.verify.iter().for_each(|c| self.condition(c));
        task.point_of_no_return
            .iter()
            .flat_map(|p| &p.require)
            .for_each(|c| self.condition(c));
    }

    /// Whether what `async` wants can be a job.
    fn job(&mut self, task: &Task) {
        // `async: 0` means: not at all.
        let wanted = task.r#async.as_ref();
        let Some(field) = wanted.filter(|f| f.value.as_int() != Some(0)) else {
            return;
        };
        let name = task.action.name();
        let module = match &task.action {
            Action::Module { name, .. } => modules::find(name),
            _ => None,
        };
        let why = match module {
            None => "it runs on the controller, which does not outlive the run",
            Some(module) if SENDS_FILES.contains(&module.name()) => {
                "it sends files along, and a job has only its script"
            }
            Some(module) if WAITS.contains(&module.name()) => {
                "it waits for the host to go away and come back, which a job would not outlive"
            }
            Some(module) if module.effect() == Effect::Reads || task.reads => {
                "it only reads: nothing of it would be left to ask about"
            }
            Some(_) => return,
        };
        self.problems.push(
            Diagnostic::error("SB0108", format!("`{name}` cannot be a job (`async`)"))
                .at(field.span, why)
                .help("remove `async` and `poll`: the task is awaited; `timeout` limits it"),
        );
    }

    fn condition(&mut self, condition: &Condition) {
        let Some((name, args)) = &condition.module else {
            return;
        };
        self.args(
            name,
            condition.span,
            args,
            !condition.keywords.module_defaults.is_empty(),
        );
        // Commands have said `reads: true` when the condition was read.
        let writes = modules::find(name).is_some_and(|m| m.effect() == Effect::Converges);
        let is_other_action = ACTIONS.iter().any(|a| a.name == name && a.name != "assert");
        if writes || is_other_action {
            self.problems.push(
                Diagnostic::error("SB0120", "a condition only reads")
                    .at(condition.span, format!("`{name}` does more than that"))
                    .help("use a read-only module, or a command with `reads: true`"),
            );
        }
    }

    /// Keys of switchback that mean nothing on this task.
    fn own_keys(&mut self, task: &Task) {
        let mut refuse = |key: &str, why: &str| {
            self.problems.push(
                Diagnostic::error("SB0120", format!("`{key}` has no meaning here"))
                    .at(task.span, why),
            );
        };
        let effect = match &task.action {
            Action::Module { name, .. } => modules::find(name).map(|m| (m.effect(), name.as_str())),
            _ => None,
        };
        let is_command = matches!(effect, Some((Effect::Once, _)));
        if task.reads && !is_command {
            refuse(
                "reads",
                "only a command-like module needs to say that it reads",
            );
        }
        if task.reads && matches!(task.undo, Some(UndoSpec::Tasks(_))) {
            refuse("undo", "a task that only reads has nothing to take back");
        }
        if effect.is_none() {
            if task.undo.is_some() {
                refuse("undo", "this action changes no host");
            }
            if task.verify.is_some() {
                refuse("verify", "this action has no attempts that could be lost");
            }
            if task.progress.is_some() {
                refuse("progress", "this action has no output");
            }
        }
        if let (Some(undo), Some(_)) = (&task.undo, &task.point_of_no_return)
            && matches!(undo, UndoSpec::Tasks(_))
        {
            self.problems.push(
                Diagnostic::error("SB0112", "a point of no return cannot have an `undo`")
                    .at(task.span, "both are given")
                    .help("remove one of them"),
            );
        }
        if task.r#loop.is_some() && task.point_of_no_return.is_some() {
            self.problems.push(
                Diagnostic::error("SB0112", "a point of no return cannot be a loop")
                    .at(task.span, "it is passed once")
                    .help("put it on a task of its own before the loop"),
            );
        }
    }

    fn args(&mut self, name: &str, at: Span, args: &Args, has_defaults: bool) {
        let module = modules::find(name);
        let action = ACTIONS.iter().find(|action| action.name == name);
        let known: Option<&[&str]> = match (action, module) {
            (Some(action), _) => (!action.is_open).then(|| action.args()),
            (None, Some(module)) if module.is_open() => None,
            (None, Some(module)) => Some(module.arg_names()),
            (None, None) => None,
        };
        let before = self.problems.len();
        if let Some(known) = known {
            for key in args.fields.keys().filter(|k| !known.contains(&k.as_str())) {
                if key != "_raw_params" {
                    self.problems.push(unknown_argument(name, key, args, known));
                }
            }
        }
        if name == "set_fact" {
            self.fact_names(args);
        }
        let internal = args.fields.keys().find(|key| key.starts_with("_ansible_"));
        if let Some(key) = internal {
            self.problems.push(
                Diagnostic::error(
                    "SB0127",
                    format!(
                        "invalid parameter specified beginning with keyword `_ansible_` for \
                         action `{name}`: `{key}`. The prefix `_ansible_` is reserved for internal \
                         use only."
                    ),
                )
                .at(args.span(&format!("{key}:key")), "given here"),
            );
        }
        if args.whole.is_some() || has_defaults || self.problems.len() > before {
            return;
        }
        if let Some(action) = action {
            let is_given = action
                .required
                .iter()
                .any(|key| args.fields.contains_key(*key));
            if !is_given && let Some(first) = action.required.iter().find(|k| **k != "_raw_params")
            {
                self.problems.push(missing(name, first, at));
            }
            return;
        }
        let Some(module) = module.filter(|_| !args.fields.values().any(Value::has_template)) else {
            return;
        };
        if let Err(why) = module.prepare(&Value::from(args.fields.clone())) {
            self.problems.push(refused(name, &why, at, args));
        }
    }

    fn fact_names(&mut self, args: &Args) {
        for key in args.fields.keys() {
            self.problems
                .extend(reserved(key, args.span(&format!("{key}:key"))));
            if !key.contains("{{") && key != "_raw_params" && !is_variable_name(key) {
                self.problems.push(
                    Diagnostic::error("SB0117", format!("invalid variable name `{key}`"))
                        .at(args.span(&format!("{key}:key")), "set here")
                        .help(
                            "a name begins with a letter or `_` and holds letters, digits and `_`",
                        ),
                );
            }
        }
    }

    /// Names that no handler answers to, and handlers that hide each other.
    fn handlers(&mut self, play: &Play) {
        let mut names: HashSet<String> = HashSet::new();
        let mut first: HashMap<(Option<String>, String), Span> = HashMap::new();
        let mut has_templates = false;
        for handler in &play.handlers {
            names.extend(handler.listen.iter().cloned());
            let Keywords {
                name: Some(name), ..
            } = &handler.keywords
            else {
                continue;
            };
            has_templates |= name.value.has_template();
            let Some(text) = name.value.as_str() else {
                continue;
            };
            names.insert(text.to_owned());
            let role = handler.role.as_ref().map(|role| role.name.clone());
            if let Some(role) = &role {
                names.insert(format!("{role} : {text}"));
                let short = role.rsplit('.').next().unwrap_or(role);
                names.insert(format!("{short} : {text}"));
            }
            let earlier = first.insert((role, text.to_owned()), name.span);
            if let Some(earlier) = earlier.filter(|span| *span != name.span) {
                self.problems.push(
                    Diagnostic::warning("SB0116", format!("two handlers are called `{text}`"))
                        .at(name.span, "only this one, the last, ever runs")
                        .at(earlier, "this one never does"),
                );
            }
        }
        if self.has_includes || has_templates {
            return;
        }
        for (name, span) in self.notified.drain(..) {
            if names.contains(&name) {
                continue;
            }
            let mut problem =
                Diagnostic::error("SB0115", format!("no handler answers to `{name}`"))
                    .at(span, "notified here");
            if let Some(near) = suggest(&name, names.iter().map(String::as_str)) {
                problem = problem.help(format!("did you mean `{near}`?"));
            } else if names.is_empty() {
                problem = problem.help("this play has no handlers");
            }
            self.problems.push(problem);
        }
    }
}

fn unknown_argument(module: &str, key: &str, args: &Args, known: &[&str]) -> Diagnostic {
    let problem = Diagnostic::error("SB0104", format!("`{module}` has no argument `{key}`")).at(
        args.span(&format!("{key}:key")),
        format!("not an argument of `{module}`"),
    );
    if let Some(near) = suggest(key, known.iter().copied()) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    if crate::model::keyword::find(key).is_some() {
        return problem.help(format!("`{key}` is a keyword of the task: indent it less"));
    }
    let names: Vec<String> = known
        .iter()
        .filter(|n| !n.starts_with('_'))
        .map(|n| format!("`{n}`"))
        .collect();
    problem.help(format!("it has {}", names.join(", ")))
}

fn missing(module: &str, key: &str, at: Span) -> Diagnostic {
    Diagnostic::error("SB0110", format!("`{module}` needs the argument `{key}`"))
        .at(at, "not given")
}

/// What a module said of its arguments, at the argument that it means as far as one can tell.
fn refused(module: &str, why: &str, at: Span, args: &Args) -> Diagnostic {
    if let Some(key) = why
        .strip_prefix("missing field `")
        .and_then(|s| s.strip_suffix('`'))
    {
        return missing(module, key, at);
    }
    let named = why.split('`').skip(1).step_by(2);
    let span = named
        .flat_map(|word| {
            args.fields
                .iter()
                .filter(move |(k, v)| *k == word || v.as_str() == Some(word))
                .map(|(k, _)| args.span(k))
        })
        .next();
    Diagnostic::error("SB0109", format!("`{module}` refuses its arguments: {why}"))
        .at(span.unwrap_or(at), "here")
}
