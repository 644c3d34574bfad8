//! Names of steps that stay the same from one process to the next.

use serde::{Deserialize, Serialize};

/// A task's stable name: file, path of indices through plays and blocks, chain of includes.
///
/// Example: `site.yml/2/tasks/3/block/0` or `roles/db/tasks/main.yml/4`. It does not depend on the
/// task's text, so that a journal of yesterday still names today's steps; an instance of a step
/// adds host, batch, item index and occurrence.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub String);

impl std::fmt::Display for StepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
