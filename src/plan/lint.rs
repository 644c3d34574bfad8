//! What is legal and yet worth saying.

use std::collections::BTreeSet;

use crate::diag::{Diagnostic, suggest};
use crate::model::{Action, Item, Playbook, Task, UndoSpec};
use crate::modules::{self, Effect};

/// Tasks that change hosts and can neither be taken back nor say that they cannot.
pub fn lint(playbook: &Playbook) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    each_task(playbook, &mut |task, has_undo| {
        if let Some(point) = &task.point_of_no_return
            && (has_undo || matches!(task.undo, Some(UndoSpec::Tasks(_))))
        {
            found.push(
                Diagnostic::warning("SB0132", "an undo crosses a point of no return")
                    .at(point.reason.span, "what is undone here is said to be final")
                    .help("take the point out of the block, or give the task `undo: keep`"),
            );
        }
        let Action::Module { name, span, .. } = &task.action else {
            return;
        };
        let Some(module) = modules::find(name) else {
            return;
        };
        let is_covered =
            has_undo || task.undo.is_some() || task.point_of_no_return.is_some() || task.reads;
        if module.effect() == Effect::Once && !is_covered {
            found.push(
                Diagnostic::warning(
                    "SB0130",
                    format!("`{name}` changes hosts and has no way back"),
                )
                .at(*span, "neither `undo` nor `point_of_no_return`")
                .help("add `undo: [tasks]`, `undo: keep`, or `reads: true` if it changes nothing"),
            );
        }
    });
    found
}

/// All tags of a playbook.
pub fn tags(playbook: &Playbook) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = BTreeSet::new();
    for entry in &playbook.entries {
        let play = &entry.play;
        all.extend(entry.imports.iter().flat_map(|i| &i.keywords.tags).cloned());
        all.extend(play.keywords.tags.iter().cloned());
        for list in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
            collect_tags(list, &mut all);
        }
        all.extend(play.handlers.iter().flat_map(|h| &h.keywords.tags).cloned());
    }
    all
}

fn collect_tags(items: &[Item], all: &mut BTreeSet<String>) {
    for item in items {
        match item {
            Item::Task(task) => {
                all.extend(task.keywords.tags.iter().cloned());
                if let Action::IncludeTasks { apply, .. } | Action::IncludeRole { apply, .. } =
                    &task.action
                {
                    all.extend(apply.tags.iter().cloned());
                }
            }
            Item::Block(block) => {
                all.extend(block.keywords.tags.iter().cloned());
                for list in [&block.block, &block.rescue, &block.always] {
                    collect_tags(list, all);
                }
            }
        }
    }
}

/// One problem for each wanted tag that no task has. Tags inside dynamic includes cannot be seen
/// before they run, and neither can those that are templates.
pub fn unknown_tags(playbook: &Playbook, wanted: &[String]) -> Vec<Diagnostic> {
    const SPECIAL: &[&str] = &["all", "always", "never", "tagged", "untagged"];
    let known = tags(playbook);
    if known.iter().any(|tag| tag.contains("{{")) {
        return Vec::new();
    }
    wanted
        .iter()
        .filter(|tag| !SPECIAL.contains(&tag.as_str()) && !known.contains(*tag))
        .map(|tag| {
            let problem = Diagnostic::error("SB0213", format!("no task has the tag `{tag}`"));
            match suggest(tag, known.iter().map(String::as_str)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("`--list-tags` names all tags"),
            }
        })
        .collect()
}

/// Calls `see` for each task, and whether a block around it has an undo.
fn each_task<'p>(playbook: &'p Playbook, see: &mut dyn FnMut(&'p Task, bool)) {
    for entry in &playbook.entries {
        let play = &entry.play;
        for list in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
            walk(list, false, see);
        }
        play.handlers.iter().for_each(|task| see(task, false));
    }
}

fn walk<'p>(items: &'p [Item], has_undo: bool, see: &mut dyn FnMut(&'p Task, bool)) {
    for item in items {
        match item {
            Item::Task(task) => see(task, has_undo),
            Item::Block(block) => {
                let has_undo = has_undo || block.undo.is_some();
                for list in [&block.block, &block.rescue, &block.always] {
                    walk(list, has_undo, see);
                }
            }
        }
    }
}
