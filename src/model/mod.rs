//! What the user wrote, typed: playbooks, plays, blocks, tasks, roles and the header of a change.
//!
//! Knows nothing of hosts, of templating or of how anything runs. Invariant: a value of these types
//! is well-formed; nothing downstream sees a YAML node again. Values that may hold templates stay
//! unrendered in [`Field`]s.

mod block;
mod change;
mod field;
mod id;
pub mod keyword;
mod keywords;
mod layer;
mod play;
pub mod read;
mod role;
mod task;

pub use block::{Block, Item};
pub use change::{
    Change, Condition, PointOfNoReturn, Progress, Rehearse, Seal, Steps, UndoSpec, WayBack,
};
pub use field::{Args, Cond, Field};
pub use id::StepId;
pub use keywords::Keywords;
pub use layer::Layer;
pub use play::{Import, Play, Playbook, PlaybookEntry, VarsPrompt};
pub use role::{RoleScope, RoleUse};
pub use task::{Action, Loop, LoopControl, LoopKind, TEMPLATED_MODULE, TEMPLATED_NAME, Task};
