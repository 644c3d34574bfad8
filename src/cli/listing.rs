//! `--list-hosts`, `--list-tasks`, `--list-tags`.

use std::fmt::Write as _;
use std::sync::Arc;

use super::args::RunArgs;
use super::exit;
use super::session::Loaded;
use super::start::give;
use crate::exec::{is_selected, split_tags};
use crate::model::{Action, Item, Play};
use crate::value::{Map, Value};

/// Shows what the options ask for.
pub(super) fn show(args: &RunArgs, loaded: &Loaded) -> u8 {
    let mut out = format!("\nplaybook: {}\n", args.playbook.display());
    for (index, entry) in loaded.playbook.entries.iter().enumerate() {
        let play = &entry.play;
        let name = text(
            play.keywords
                .name
                .as_ref()
                .map_or(&play.hosts.value, |f| &f.value),
        );
        let pattern = text(&play.hosts.value);
        let mut tags = play.keywords.tags.clone();
        tags.sort();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "\n  play #{} ({pattern}): {name}\tTAGS: [{}]",
            index + 1,
            tags.join(",")
        );
        if args.list_hosts {
            let hosts = hosts(loaded, &pattern);
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "    pattern: ['{pattern}']\n    hosts ({}):",
                hosts.len()
            );
            for host in hosts {
                // Writing to a string cannot fail.
                let _ = writeln!(out, "      {host}");
            }
        }
        if args.list_tasks {
            out.push_str("    tasks:\n");
            let vars = vec![
                Arc::new(play.keywords.vars.clone()),
                loaded.settings.extra_vars.clone(),
            ];
            for list in lists(play) {
                list_tasks(list, &tags, &vars, args, loaded, &mut out);
            }
        }
        if args.list_tags {
            let mut all = tags.clone();
            for list in lists(play) {
                collect_tags(list, &mut all);
            }
            all.sort();
            all.dedup();
            // Writing to a string cannot fail.
            let _ = writeln!(out, "      TASK TAGS: [{}]", all.join(", "));
        }
    }
    give(out.trim_end());
    exit::OK
}

fn lists(play: &Play) -> [&[Item]; 4] {
    [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks]
}

pub(super) fn hosts(loaded: &Loaded, pattern: &str) -> Vec<String> {
    let selected = loaded
        .inventory
        .select(&[pattern.to_owned()])
        .unwrap_or_default();
    let limit = loaded.settings.limit.as_ref();
    selected
        .hosts
        .iter()
        .map(std::string::ToString::to_string)
        .filter(|host| limit.is_none_or(|limit| limit.contains(host)))
        .collect()
}

fn list_tasks(
    items: &[Item],
    outer: &[String],
    vars: &[Arc<Map>],
    args: &RunArgs,
    loaded: &Loaded,
    out: &mut String,
) {
    for item in items {
        let (keywords, children) = match item {
            Item::Task(task) => (&task.keywords, None),
            Item::Block(block) => (&block.keywords, Some(block)),
        };
        let mut tags = outer.to_vec();
        tags.extend(keywords.tags.iter().cloned());
        let mut vars = vars.to_vec();
        vars.push(Arc::new(keywords.vars.clone()));
        tags = rendered(&tags, &vars, loaded);
        match (item, children) {
            (_, Some(block)) => {
                for list in [&block.block, &block.rescue, &block.always] {
                    list_tasks(list, &tags, &vars, args, loaded, out);
                }
            }
            (Item::Task(task), None) => {
                let is_meta = matches!(task.action, Action::Meta { .. });
                if !is_selected(&tags, &args.tags, &args.skip_tags, is_meta) {
                    continue;
                }
                let own = keywords.name.as_ref().map(|f| text(&f.value));
                let name = own.unwrap_or_else(|| action(&task.action).to_owned());
                let role = task
                    .role
                    .as_ref()
                    .map(|r| format!("{} : ", r.name))
                    .unwrap_or_default();
                // Writing to a string cannot fail.
                let _ = writeln!(out, "      {role}{name}\tTAGS: [{}]", tags.join(", "));
            }
            (Item::Block(_), None) => {}
        }
    }
}

/// The tags with templates rendered as far as the variables of files go.
fn rendered(tags: &[String], vars: &[Arc<Map>], loaded: &Loaded) -> Vec<String> {
    let mut all = Vec::new();
    for tag in tags {
        match loaded.project.render_with(tag, vars.to_vec()) {
            Some(value) if tag.contains("{{") => all.extend(split_tags(&value)),
            _ => all.push(tag.clone()),
        }
    }
    all.sort();
    all.dedup();
    all
}

fn action(action: &Action) -> &str {
    action.name()
}

fn collect_tags(items: &[Item], all: &mut Vec<String>) {
    for item in items {
        match item {
            Item::Task(task) => all.extend(task.keywords.tags.iter().cloned()),
            Item::Block(block) => {
                all.extend(block.keywords.tags.iter().cloned());
                for list in [&block.block, &block.rescue, &block.always] {
                    collect_tags(list, all);
                }
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.as_str().to_owned(),
        Value::List(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_masked_json().to_string(),
    }
}
