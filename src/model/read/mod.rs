//! From the tree of a file to what the user wrote, typed.
//!
//! Knows what keys mean and where they may stand. It knows no files: what a static import or a role
//! brings is asked of [`Surroundings`], which also know the names of modules.

mod action;
mod block;
mod change;
mod conditions;
mod include;
mod kv;
mod play;
mod role;
mod shared;
mod task;

pub use block::inherit_notify;
pub use change::change;
pub use kv::{FreeForm, parse_kv};
pub use play::{PlayParts, import_playbook, play};
pub use role::role_use;
pub use shared::{field, is_reserved, is_variable_name, reserved, shared_keyword};

use std::sync::Arc;

use super::{Field, Item, Keywords, RoleScope, RoleUse};
use crate::diag::Span;
use crate::syntax::Problems;
use crate::value::Map;

/// Where the tasks being read stand.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The folder of the file.
    pub folder: String,
    /// The role they belong to.
    pub role: Option<Arc<RoleScope>>,
    /// Whether they are handlers.
    pub is_handlers: bool,
}

/// `import_tasks` as read.
#[derive(Clone, Debug)]
pub struct ImportTasks<'a> {
    /// The file, which may hold templates of values known beforehand.
    pub file: &'a Field,
    /// The import's own keywords.
    pub keywords: &'a Keywords,
    /// The stable name of the importing task.
    pub id: &'a str,
    /// Where it stands.
    pub span: Span,
}

/// What the reading of tasks asks of whoever knows files and modules.
pub trait Surroundings {
    /// Where problems are noted.
    fn problems(&mut self) -> &mut Problems;
    /// The short name of the module or action that a playbook calls `name`.
    fn action(&self, name: &str) -> Option<&'static str>;
    /// The arguments of a module or action, for suggestions; none where any name is one.
    fn arguments(&self, name: &str) -> &'static [&'static str];
    /// All names of modules and actions, for suggestions.
    fn action_names(&self) -> Vec<&'static str>;
    /// What the loader adds to the arguments of a module that the user wrote; none for others.
    fn library_args(&mut self, _name: &str, _at: Span) -> Map {
        Map::new()
    }
    /// The tasks of a static import.
    fn import_tasks(&mut self, import: ImportTasks<'_>, scope: &Scope) -> Vec<Item>;
    /// The blocks of a role that is imported; its handlers are noted by whoever implements this.
    fn import_role(&mut self, role: &RoleUse, id: &str, scope: &Scope) -> Vec<Item>;
}

/// Reads lists of tasks in one [`Scope`].
pub struct Reader<'a> {
    cx: &'a mut dyn Surroundings,
    scope: &'a Scope,
}

impl<'a> Reader<'a> {
    /// A reader of tasks that stand in `scope`.
    pub fn new(cx: &'a mut dyn Surroundings, scope: &'a Scope) -> Self {
        Self { cx, scope }
    }

    fn problems(&mut self) -> &mut Problems {
        self.cx.problems()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::FileId;
    use crate::model::{Action, Task};
    use crate::syntax::read_yaml;

    /// Knows `user`, `command` and `ping`, imports nothing.
    #[derive(Default)]
    struct Stub(Problems);

    impl Surroundings for Stub {
        fn problems(&mut self) -> &mut Problems {
            &mut self.0
        }
        fn action(&self, name: &str) -> Option<&'static str> {
            self.action_names().into_iter().find(|known| *known == name)
        }
        fn arguments(&self, _: &str) -> &'static [&'static str] {
            &["name"]
        }
        fn action_names(&self) -> Vec<&'static str> {
            vec!["user", "command", "ping"]
        }
        fn import_tasks(&mut self, _: ImportTasks<'_>, _: &Scope) -> Vec<Item> {
            Vec::new()
        }
        fn import_role(&mut self, _: &RoleUse, _: &str, _: &Scope) -> Vec<Item> {
            Vec::new()
        }
    }

    fn tasks(text: &str) -> (Vec<Task>, Vec<String>) {
        let node = read_yaml(FileId(0), text).documents.remove(0);
        let (mut stub, scope) = (Stub::default(), Scope::default());
        let items = Reader::new(&mut stub, &scope).items("tasks", &node, "x");
        let tasks = items.into_iter().filter_map(|item| match item {
            Item::Task(task) => Some(*task),
            Item::Block(_) => None,
        });
        (
            tasks.collect(),
            stub.0.0.into_iter().map(|p| p.message).collect(),
        )
    }

    #[test]
    fn a_keyword_of_plays_can_be_a_module_of_tasks() {
        let (tasks, problems) = tasks("- user: name=x\n- ping:\n  user: y\n");
        assert!(matches!(&tasks[0].action, Action::Module { name, .. } if name == "user"));
        assert_eq!(problems, ["a task runs one module, and two are given"]);
    }

    #[test]
    fn arguments_come_from_free_form_text_and_from_args() {
        let (tasks, problems) = tasks(
            "- command: ls -l creates=/a\n  args: {chdir: /b, creates: /c}\n- action: user name='a b'\n- local_action: command ls\n- user: '{{ all }}'\n",
        );
        assert_eq!(problems, [""; 0]);
        let args = |i: usize| match &tasks[i].action {
            Action::Module { args, .. } => args,
            other => panic!("{other:?}"),
        };
        let text = |i: usize, key: &str| args(i).fields[key].as_str().unwrap().to_owned();
        assert_eq!(text(0, "_raw_params"), "ls -l");
        assert_eq!(
            (text(0, "chdir"), text(0, "creates")),
            ("/b".into(), "/a".into())
        );
        assert_eq!(text(1, "name"), "a b");
        let delegate = tasks[2].keywords.delegate_to.as_ref().unwrap();
        assert_eq!(delegate.value.as_str(), Some("localhost"));
        assert!(args(3).whole.is_some() && args(3).fields.is_empty());
    }

    #[test]
    fn a_condition_may_only_read() {
        let (_, problems) = tasks(
            "- ping:\n  verify: {command: rm x}\n- ping:\n  verify: {command: test -e x, reads: true, become: true}\n- ping:\n  verify: x is defined\n",
        );
        assert_eq!(problems, ["a condition only reads"]);
    }

    #[test]
    fn notify_of_a_block_counts_for_its_tasks() {
        let node = read_yaml(
            FileId(0),
            "- block:\n    - ping:\n    - ping:\n      notify: own\n  notify: outer\n",
        );
        let (mut stub, scope) = (Stub::default(), Scope::default());
        let items = Reader::new(&mut stub, &scope).items("tasks", &node.documents[0], "x");
        let Item::Block(block) = &items[0] else {
            panic!("a block was written")
        };
        let notified: Vec<_> = block
            .block
            .iter()
            .map(|item| match item {
                Item::Task(task) => task.notify[0].value.as_str().unwrap(),
                Item::Block(_) => "",
            })
            .collect();
        assert_eq!(notified, ["outer", "own"]);
    }
}
