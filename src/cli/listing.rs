//! `--list-hosts`, `--list-tasks`, `--list-tags`.

use std::fmt::Write as _;

use super::args::RunArgs;
use super::exit;
use super::session::Loaded;
use super::start::give;
use crate::model::{Action, Item, Play};
use crate::value::Value;

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
            for list in lists(play) {
                list_tasks(list, &tags, args, &mut out);
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

fn hosts(loaded: &Loaded, pattern: &str) -> Vec<String> {
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

fn list_tasks(items: &[Item], outer: &[String], args: &RunArgs, out: &mut String) {
    for item in items {
        let (keywords, children) = match item {
            Item::Task(task) => (&task.keywords, None),
            Item::Block(block) => (&block.keywords, Some(block)),
        };
        let mut tags = outer.to_vec();
        tags.extend(keywords.tags.iter().cloned());
        tags.sort();
        tags.dedup();
        match (item, children) {
            (_, Some(block)) => {
                for list in [&block.block, &block.rescue, &block.always] {
                    list_tasks(list, &tags, args, out);
                }
            }
            (Item::Task(task), None) => {
                if matches!(task.action, Action::Meta { .. }) || !is_wanted(&tags, args) {
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

fn is_wanted(tags: &[String], args: &RunArgs) -> bool {
    let has = |wanted: &[String]| wanted.iter().any(|w| tags.contains(w));
    let is_on = if args.tags.is_empty() {
        !tags.iter().any(|t| t == "never")
    } else {
        has(&args.tags)
            || tags.iter().any(|t| t == "always")
            || args.tags.iter().any(|t| t == "all")
    };
    is_on && !has(&args.skip_tags)
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
