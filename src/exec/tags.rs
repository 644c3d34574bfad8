//! Which tasks the tags select.
//!
//! Source: ansible-core 2.19, `playbook/taggable.py`.

use super::controller::View;
use super::frame::Frame;
use super::run::{Run, plain_text};
use crate::model::{Action, Task};
use crate::value::{Text, Value};

/// `--tags` and `--skip-tags` on one task's tags. `meta` without tags is never left out by
/// `--tags`.
pub fn is_selected(tags: &[String], wanted: &[String], skipped: &[String], is_meta: bool) -> bool {
    let has = |tag: &str| tags.iter().any(|t| t == tag);
    let named = |list: &[String]| list.iter().any(|w| has(w));
    let wants = |tag: &str| wanted.iter().any(|t| t == tag);
    let is_on = if wanted.is_empty() {
        !has("never")
    } else {
        has("always")
            || named(wanted)
            || wants("all") && !has("never")
            || wants("tagged") && !tags.is_empty() && !has("never")
            || wants("untagged") && tags.is_empty()
            || is_meta && tags.is_empty()
    };
    let skips = |tag: &str| skipped.iter().any(|t| t == tag);
    let is_always = has("always") && !skips("always");
    is_on
        && !(named(skipped)
            || skips("all") && !is_always
            || skips("tagged") && !tags.is_empty()
            || skips("untagged") && tags.is_empty())
}

impl Run {
    pub(super) fn is_selected(&self, frame: &Frame, task: &Task, hosts: &[String]) -> bool {
        let mut tags = frame.tags();
        if tags.iter().any(|tag| tag.contains("{{")) {
            let host = hosts.first().map_or("localhost", String::as_str);
            let view = self.task_view(host, task, frame);
            tags = self.rendered_tags(&tags, &view);
        }
        let is_meta = matches!(&task.action, Action::Meta { .. });
        is_selected(
            &tags,
            &self.settings.tags,
            &self.settings.skip_tags,
            is_meta,
        )
    }

    fn rendered_tags(&self, tags: &[String], view: &View) -> Vec<String> {
        let mut all = Vec::new();
        for tag in tags {
            let template = Value::Str(Text::from_user(tag.as_str()));
            match self.controller.render(&template, view) {
                Ok(Some(value)) => all.extend(split(&value)),
                Ok(None) => {}
                Err(_) => all.push(tag.clone()),
            }
        }
        all
    }
}

/// Tags of a value: a list, or a text with commas.
pub fn split(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.iter().flat_map(split).collect(),
        other => plain_text(other)
            .unwrap_or_default()
            .split(',')
            .map(|tag| tag.trim().to_owned())
            .filter(|tag| !tag.is_empty())
            .collect(),
    }
}
