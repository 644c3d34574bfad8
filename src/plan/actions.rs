//! What runs on the controller alone: names and arguments. The engine gives them their meaning.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::action_args as of;
use crate::modules::{self, Effect, Manual};
use crate::value::field_names;

/// A controller-side action.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// Its short name.
    pub name: &'static str,
    /// Whether any argument is one of its own.
    pub is_open: bool,
    /// An argument that must be given, by any of these names.
    pub required: &'static [&'static str],
    names: fn() -> &'static [&'static str],
    manual: fn() -> Manual,
}

impl Action {
    /// Its arguments with their aliases.
    pub fn args(&self) -> &'static [&'static str] {
        (self.names)()
    }

    /// What a person or an editor may want to know of it.
    pub fn manual(&self) -> Manual {
        (self.manual)()
    }
}

/// An action that takes the arguments of `A`, whose documentation is its own.
const fn action<A: DeserializeOwned + JsonSchema>(
    name: &'static str,
    is_open: bool,
    required: &'static [&'static str],
) -> Action {
    Action {
        name,
        is_open,
        required,
        names: field_names::<A>,
        manual: || Manual::of_types::<A, A>(Effect::Reads),
    }
}

/// All controller-side actions.
pub static ACTIONS: &[Action] = &[
    action::<of::Debug>("debug", false, &[]),
    action::<of::SetFact>("set_fact", true, &[]),
    action::<of::Assert>("assert", false, &["that"]),
    action::<of::AsyncStatus>("async_status", false, &["jid"]),
    action::<of::Fail>("fail", false, &[]),
    action::<of::IncludeVars>("include_vars", false, &["_raw_params", "file", "dir"]),
    action::<of::AddHost>(
        "add_host",
        true,
        &["name", "hostname", "host", "_raw_params"],
    ),
    action::<of::GroupBy>("group_by", false, &["key", "_raw_params"]),
    action::<of::Pause>("pause", false, &[]),
    action::<of::SetStats>("set_stats", false, &["data"]),
    action::<of::ValidateArgumentSpec>("validate_argument_spec", false, &["argument_spec"]),
    action::<of::Meta>("meta", false, &[]),
    action::<of::IncludeTasks>("include_tasks", false, &[]),
    action::<of::ImportTasks>("import_tasks", false, &[]),
    action::<of::IncludeRole>("include_role", false, &[]),
    action::<of::ImportRole>("import_role", false, &[]),
];

/// The short name of the module or action that a playbook calls `name`: itself, with
/// `ansible.builtin.` or `ansible.legacy.`, or the last part of another collection's name.
pub fn action_name(name: &str) -> Option<&'static str> {
    let short = match name.split('.').collect::<Vec<_>>().as_slice() {
        [short] | [_, _, short] => *short,
        _ => return None,
    };
    find(short)
        .map(|action| action.name)
        .or_else(|| modules::find(short).map(modules::AnyModule::name))
}

/// All names of modules and actions.
pub fn action_names() -> Vec<&'static str> {
    ACTIONS
        .iter()
        .map(|action| action.name)
        .chain(modules::names())
        .collect()
}

/// The manual of the module or action that a playbook calls `name`, with its own name.
pub fn manual(name: &str) -> Option<(&'static str, Manual)> {
    let name = action_name(name)?;
    if let Some(action) = find(name) {
        return Some((name, action.manual()));
    }
    Some((name, modules::find(name)?.manual()))
}

fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}

/// The arguments of a module or action; none where any name is one.
pub(super) fn arguments(name: &str) -> &'static [&'static str] {
    match find(name) {
        Some(action) if action.is_open => &[],
        Some(action) => action.args(),
        None => modules::find(name).map_or(&[], modules::AnyModule::arg_names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cannot be read from a schema: that somebody has written it.
    #[test]
    fn every_manual_says_what_there_is_to_know() {
        for name in action_names()
            .into_iter()
            .filter(|name| !name.contains('.'))
        {
            let (name, manual) = manual(name).unwrap();
            assert!(manual.summary.ends_with('.'), "{name}: {}", manual.summary);
            let is_library = name == modules::LIBRARY_MODULE;
            assert!(
                manual.example.starts_with("- ") || is_library,
                "{name} has no example"
            );
            for argument in &manual.arguments {
                assert!(
                    argument.text.ends_with('.'),
                    "{name}.{}: {}",
                    argument.name,
                    argument.text
                );
            }
        }
        let (_, lineinfile) = manual("ansible.builtin.lineinfile").unwrap();
        let of = |name: &str| {
            let mut found = lineinfile.arguments.iter();
            found.find(|argument| argument.name == name).unwrap()
        };
        assert_eq!(of("path").aliases, ["dest", "destfile", "name"]);
        assert!(of("path").is_required && of("path").kind == "string");
        assert_eq!(of("regexp").aliases, ["regex"]);
        assert_eq!(of("state").choices, ["absent", "present"]);
        assert_eq!(of("state").default.as_deref(), Some("present"));
        assert_eq!(of("backup").default.as_deref(), Some("false"));
        let found = lineinfile.returns.iter().any(|(name, _)| name == "msg");
        assert!(found, "{:?}", lineinfile.returns);
    }
}
