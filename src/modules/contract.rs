//! The contract between a module and the engine: inputs, probe, decide, finish.

use std::marker::PhantomData;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::Act;
use super::manual::Manual;
use crate::script::{Reply, Script};
use crate::value::{Map, Value, field_names, from_value};

/// What running the module again would mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing on any host: runs in check mode and on protected hosts.
    Reads,
    /// Brings a state about; may simply run again.
    Converges,
    /// Each run is an event of its own (`command`); never re-run silently.
    Once,
}

/// What of a probe's reply must still be the same when the change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compares {
    /// All of it.
    Whole,
    /// Its fields; the body holds what changes by itself (counters, times).
    Fields,
}

/// A file of the controller that the module needs; the engine finds and reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The path as the user wrote it; searched as Ansible searches (role, then playbook).
    pub path: String,
    /// The sub-folder of a role it is searched in first: `files`, `templates`, `vars`.
    pub folder: &'static str,
    /// How it is read.
    pub kind: InputKind,
}

/// How an [`Input`] is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Hashed only; its bytes travel later as `Source::File`. A folder becomes a tree.
    Hashed,
    /// Read whole (small files: scripts); of a folder, each file in it.
    Content,
    /// Rendered as a template with the task's variables.
    Template,
    /// A file that the module may write with [`Act::Save`]: its path is taken relative to the
    /// playbook's folder and searched nowhere else. Hashed where it is there, else an empty
    /// `sha1`; a folder has a `tree`, which may be left empty.
    Output,
}

/// An [`Input`] as the engine found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Where it was found.
    pub path: PathBuf,
    /// The bytes, for `Content` and `Template`; for `Hashed` those of a file that is small enough
    /// to be shown in a diff (104,448 bytes at most), else none. A module takes them as the whole
    /// content only if their number is `size`.
    pub bytes: Vec<u8>,
    /// SHA-1 in hex of the bytes (Ansible's `checksum`).
    pub sha1: String,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits on the controller.
    pub mode: u32,
    /// What is in it, where it is a folder; empty for a file.
    pub tree: Option<Vec<TreeEntry>>,
    /// Of a template that read a secret: its text as its author wrote it.
    pub secret_of: Option<String>,
}

/// One entry of a folder on the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path relative to the folder.
    pub relative: String,
    /// Path on the controller.
    pub path: PathBuf,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// SHA-1 in hex, empty for a folder.
    pub sha1: String,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// What it points at, where it is a link; all else is then about what the link leads to.
    pub link: Option<String>,
    /// The bytes of a small file, as in [`Resolved::bytes`].
    pub bytes: Vec<u8>,
}

/// What a module has decided after looking.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing is to be done. Also how a read-only module answers.
    Unchanged(Outcome),
    /// One more look is needed; `decide` is called again with all replies so far.
    Ask(Script),
    /// Something is to be done.
    Change(Change),
}

/// A change that has been decided and not yet made.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// One line for a person: `mode 0600 -> 0644`.
    pub summary: String,
    /// Before and after, for `--diff` and the prompt.
    pub diff: Vec<Diff>,
    /// What is to be done, in order.
    pub acts: Vec<Act>,
    /// How it is taken back.
    pub undo: Undo,
    /// What check mode says of it.
    pub foretell: Foretell,
}

/// What check mode reports of a change that it does not make.
#[derive(Clone, Debug, PartialEq)]
pub enum Foretell {
    /// `changed: true` with these result fields.
    Changed(Map),
    /// `skipped: true` with this message (a module that cannot tell).
    Skipped(String),
}

/// How a change is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// These acts bring the state back. They must be idempotent: an attempt that failed half-way
    /// or was lost is undone too.
    Acts {
        /// One line for a person: `restore /etc/motd, mode 0644`.
        summary: String,
        /// What is to be done.
        acts: Vec<Act>,
    },
    /// The module cannot tell how (`command`); the text says why.
    Unknown(&'static str),
    /// Nothing that lasts is changed, so there is nothing to take back (`tempfile`, waiting).
    NotNeeded,
}

/// One before/after pair of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Heading of the old side, such as a path.
    pub before_header: String,
    /// Heading of the new side.
    pub after_header: String,
    /// The old text.
    pub before: String,
    /// The new text.
    pub after: String,
}

/// What a module gives to `register`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Whether the host was changed.
    pub is_changed: bool,
    /// Why nothing was attempted, for Ansible's `skipped`.
    pub skipped: Option<String>,
    /// All other fields of the result, in Ansible's names (`stdout`, `rc`, `path`, …).
    pub result: Map,
    /// Facts to set on the host (`ansible_facts`).
    pub facts: Map,
    /// What stands in a diff where nothing was changed: before and after alike.
    pub same: Option<Diff>,
}

/// The key under which a result holds warnings that are only for check mode.
pub const CHECK_WARNINGS: &str = "_check_warnings";

impl Outcome {
    /// A result with nothing changed.
    pub fn ok(result: Map) -> Self {
        Self {
            result,
            ..Self::default()
        }
    }

    /// A result after a change.
    pub fn changed(result: Map) -> Self {
        Self {
            is_changed: true,
            result,
            ..Self::default()
        }
    }
}

/// Why a module failed on a host, in Ansible's shape: `msg` and other fields of the result.
#[derive(Clone, Debug, Default, PartialEq, thiserror::Error)]
#[error("{msg}")]
pub struct Failure {
    /// What went wrong.
    pub msg: String,
    /// Whether something was changed before it went wrong.
    pub is_changed: bool,
    /// Other fields of the result (`rc`, `stderr`, …).
    pub result: Map,
    /// A path whose absence is the reason: in check mode another task may have planned to make it.
    pub misses: Option<Box<str>>,
}

impl Failure {
    /// A failure with a message alone.
    pub fn new(msg: impl Into<String>) -> Self {
        Self {
            msg: msg.into(),
            ..Self::default()
        }
    }

    /// A failure of a script, with its exit status and output.
    pub fn of_reply(msg: impl Into<String>, reply: &Reply) -> Self {
        let mut result = Map::new();
        result.insert("rc".into(), Value::from(reply.rc));
        result.insert("stdout".into(), reply.stdout_text().trim_end().into());
        result.insert("stderr".into(), reply.stderr_text().trim_end().into());
        Self {
            msg: msg.into(),
            result,
            ..Self::default()
        }
    }
}

/// A unit of work. All functions are pure. Its documentation and that of its arguments are its
/// manual: they are read through the schema.
pub trait Module: JsonSchema + Send + Sync + 'static {
    /// The name in a playbook, without `ansible.builtin.`.
    const NAME: &'static str;
    /// What running it again would mean.
    const EFFECT: Effect;
    /// Whether it may run for long and so must survive a lost connection.
    const LONG: bool = false;
    /// Whether any argument is one of its own (a module of `library/`).
    const OPEN: bool = false;
    /// What an apply compares with what the probe saw.
    const COMPARES: Compares = Compares::Whole;
    /// The arguments; `#[serde(deny_unknown_fields)]`, doc comments are the manual.
    type Args: DeserializeOwned + JsonSchema + Send + Sync;

    /// What running it again would mean with these arguments, where they decide it: a `GET` of
    /// `uri` reads, a `POST` is an event of its own.
    fn effect(_args: &Self::Args) -> Effect {
        Self::EFFECT
    }

    /// Checks what types alone cannot: required together, mutually exclusive.
    ///
    /// # Errors
    /// What is wrong with the arguments.
    fn check(_args: &Self::Args) -> Result<(), String> {
        Ok(())
    }
    /// The controller's files it needs.
    fn inputs(_args: &Self::Args) -> Vec<Input> {
        Vec::new()
    }
    /// Asks for all the state that `decide` needs. It must not write. `None`: nothing to ask.
    fn probe(args: &Self::Args, inputs: &[Resolved]) -> Option<Script>;
    /// Compares wanted with seen. `seen` has the probe's reply and one for each `Ask` before.
    ///
    /// # Errors
    /// Why the task fails on this host.
    fn decide(args: &Self::Args, inputs: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure>;
    /// Reads what the acts answered. `replies` has the acts' replies (only those that ran).
    ///
    /// # Errors
    /// Why the task failed on this host.
    fn finish(
        args: &Self::Args,
        inputs: &[Resolved],
        seen: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure>;
}

/// Object-safe face of [`Module`]; only the blanket implementation below exists.
pub trait AnyModule: Send + Sync {
    /// [`Module::NAME`].
    fn name(&self) -> &'static str;
    /// [`Module::EFFECT`].
    fn effect(&self) -> Effect;
    /// [`Module::LONG`].
    fn is_long(&self) -> bool;
    /// [`Module::OPEN`].
    fn is_open(&self) -> bool;
    /// All argument names with their aliases.
    fn arg_names(&self) -> &'static [&'static str];
    /// What a person or an editor may want to know of it.
    fn manual(&self) -> Manual;
    /// Reads the rendered arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    fn prepare(&self, args: &Value) -> Result<Box<dyn Prepared>, String>;
}

/// A module with its arguments.
pub trait Prepared: Send + Sync {
    /// [`Module::effect`].
    fn effect(&self) -> Effect;
    /// [`Module::COMPARES`].
    fn compares(&self) -> Compares;
    /// [`Module::inputs`].
    fn inputs(&self) -> Vec<Input>;
    /// [`Module::probe`].
    fn probe(&self, inputs: &[Resolved]) -> Option<Script>;
    /// [`Module::decide`].
    ///
    /// # Errors
    /// Why the task fails on this host.
    fn decide(&self, inputs: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure>;
    /// [`Module::finish`].
    ///
    /// # Errors
    /// Why the task failed on this host.
    fn finish(
        &self,
        inputs: &[Resolved],
        seen: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure>;
}

/// Makes an [`AnyModule`] of a [`Module`].
pub(super) struct Erased<M>(pub(super) PhantomData<fn() -> M>);

struct WithArgs<M: Module>(M::Args);

impl<M: Module> AnyModule for Erased<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }
    fn effect(&self) -> Effect {
        M::EFFECT
    }
    fn is_long(&self) -> bool {
        M::LONG
    }
    fn is_open(&self) -> bool {
        M::OPEN
    }
    fn arg_names(&self) -> &'static [&'static str] {
        field_names::<M::Args>()
    }
    fn manual(&self) -> Manual {
        Manual::of::<M>()
    }
    fn prepare(&self, args: &Value) -> Result<Box<dyn Prepared>, String> {
        let args: M::Args = from_value(args)?;
        M::check(&args)?;
        Ok(Box::new(WithArgs::<M>(args)))
    }
}

impl<M: Module> Prepared for WithArgs<M> {
    fn effect(&self) -> Effect {
        M::effect(&self.0)
    }
    fn compares(&self) -> Compares {
        M::COMPARES
    }
    fn inputs(&self) -> Vec<Input> {
        M::inputs(&self.0)
    }
    fn probe(&self, inputs: &[Resolved]) -> Option<Script> {
        M::probe(&self.0, inputs)
    }
    fn decide(&self, inputs: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        M::decide(&self.0, inputs, seen)
    }
    fn finish(
        &self,
        inputs: &[Resolved],
        seen: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        M::finish(&self.0, inputs, seen, change, replies)
    }
}
