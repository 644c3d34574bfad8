//! Blocks.

use super::shared::{check, keyword_at};
use super::task::notified;
use super::{Reader, shared_keyword};
use crate::diag::Diagnostic;
use crate::model::keyword::place;
use crate::model::{Block, Field, Item, Keywords, StepId};
use crate::syntax::Node;

impl Reader<'_> {
    pub(super) fn block(&mut self, node: &Node, id: String) -> Option<Block> {
        if self.scope.is_handlers {
            self.problems().push(
                Diagnostic::error("SB0122", "a block cannot be a handler")
                    .at(node.span, "as in Ansible"),
            );
            return None;
        }
        let mut block = Block {
            id: StepId(id),
            span: node.span,
            keywords: Keywords::default(),
            block: Vec::new(),
            rescue: Vec::new(),
            always: Vec::new(),
            undo: None,
            role: None,
            is_written: true,
        };
        let mut notify = Vec::new();
        for entry in node.as_map()? {
            let problems = self.cx.problems();
            let Some(row) = keyword_at(entry, place::BLOCK, problems) else {
                continue;
            };
            if !check(row, &entry.value, problems) {
                continue;
            }
            let prefix = format!("{}/{}", block.id, entry.key);
            match &*entry.key {
                "block" => block.block = self.items("block", &entry.value, &prefix),
                "rescue" => block.rescue = self.items("rescue", &entry.value, &prefix),
                "always" => block.always = self.items("always", &entry.value, &prefix),
                "undo" => block.undo = self.undo(&entry.value, &block.id.0),
                "notify" => notify = notified(&entry.value),
                _ => {
                    shared_keyword(&mut block.keywords, entry, problems);
                }
            }
        }
        for list in [&mut block.block, &mut block.rescue, &mut block.always] {
            inherit_notify(list, &notify);
        }
        Some(block)
    }
}

/// Gives tasks that notify nothing of their own what is notified around them.
pub fn inherit_notify(items: &mut [Item], notify: &[Field]) {
    if notify.is_empty() {
        return;
    }
    for item in items {
        match item {
            Item::Task(task) if task.notify.is_empty() => task.notify = notify.to_vec(),
            Item::Task(_) => {}
            Item::Block(block) => {
                for list in [&mut block.block, &mut block.rescue, &mut block.always] {
                    inherit_notify(list, notify);
                }
            }
        }
    }
}
