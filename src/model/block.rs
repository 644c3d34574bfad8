//! Blocks and lists of tasks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Keywords, RoleScope, StepId, Task, UndoSpec};
use crate::diag::Span;

/// An entry of a list of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Item {
    /// A task.
    Task(Box<Task>),
    /// A block. Static imports are blocks too: their keywords apply to every child.
    Block(Box<Block>),
}

/// `block` with `rescue` and `always`, or the tasks of a static import or of a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Its stable name.
    pub id: StepId,
    /// Where it stands.
    pub span: Span,
    /// Its keywords.
    pub keywords: Keywords,
    /// The tasks.
    pub block: Vec<Item>,
    /// What runs on hosts that failed in it.
    pub rescue: Vec<Item>,
    /// What runs in any case.
    pub always: Vec<Item>,
    /// Compensation that replaces that of its children.
    pub undo: Option<UndoSpec>,
    /// The role whose tasks these are, where this is one (`roles:`, `import_role`): the block is
    /// then subject to Ansible's "once per play and host" rule.
    pub role: Option<Arc<RoleScope>>,
    /// Whether it stands as a block in a file.
    #[serde(default)]
    pub is_written: bool,
}

impl Item {
    /// Whether it is a block in which another one is written.
    pub fn has_blocks(&self) -> bool {
        matches!(self, Self::Block(block) if block.has_blocks())
    }
}

impl Block {
    /// Whether a block is written in it, however deep.
    pub fn has_blocks(&self) -> bool {
        let lists = [&self.block, &self.rescue, &self.always];
        lists.into_iter().flatten().any(|item| match item {
            Item::Task(_) => false,
            Item::Block(block) => block.is_written || block.has_blocks(),
        })
    }
}
