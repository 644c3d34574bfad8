//! What runs on the controller alone: names and arguments. The engine gives them their meaning.

use crate::modules;

/// A controller-side action.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// Its short name.
    pub name: &'static str,
    /// Its arguments with their aliases; `None`: any name is one.
    pub args: Option<&'static [&'static str]>,
    /// An argument that must be given, by any of these names.
    pub required: &'static [&'static str],
}

/// All controller-side actions. Source of the arguments: the modules' documentation in
/// ansible-core 2.19.
pub static ACTIONS: &[Action] = &[
    Action {
        name: "debug",
        args: Some(&["msg", "var", "verbosity"]),
        required: &[],
    },
    Action {
        name: "set_fact",
        args: None,
        required: &[],
    },
    Action {
        name: "assert",
        args: Some(&["that", "fail_msg", "msg", "success_msg", "quiet"]),
        required: &["that"],
    },
    Action {
        name: "async_status",
        args: Some(&["jid", "mode"]),
        required: &["jid"],
    },
    Action {
        name: "fail",
        args: Some(&["msg"]),
        required: &[],
    },
    Action {
        name: "include_vars",
        args: Some(&[
            "_raw_params",
            "file",
            "dir",
            "name",
            "depth",
            "files_matching",
            "ignore_files",
            "extensions",
            "ignore_unknown_extensions",
            "hash_behaviour",
        ]),
        required: &["_raw_params", "file", "dir"],
    },
    Action {
        name: "add_host",
        args: None,
        required: &["name", "hostname", "host", "_raw_params"],
    },
    Action {
        name: "group_by",
        args: Some(&["key", "parents", "_raw_params"]),
        required: &["key", "_raw_params"],
    },
    Action {
        name: "pause",
        args: Some(&["minutes", "seconds", "prompt", "echo"]),
        required: &[],
    },
    Action {
        name: "set_stats",
        args: Some(&["data", "per_host", "aggregate"]),
        required: &["data"],
    },
    Action {
        name: "validate_argument_spec",
        args: Some(&[
            "argument_spec",
            "provided_arguments",
            "validate_args_context",
        ]),
        required: &["argument_spec"],
    },
    Action {
        name: "meta",
        args: Some(&["_raw_params"]),
        required: &[],
    },
    Action {
        name: "include_tasks",
        args: None,
        required: &[],
    },
    Action {
        name: "import_tasks",
        args: None,
        required: &[],
    },
    Action {
        name: "include_role",
        args: None,
        required: &[],
    },
    Action {
        name: "import_role",
        args: None,
        required: &[],
    },
];

/// The short name of the module or action that a playbook calls `name`: itself, with
/// `ansible.builtin.` or `ansible.legacy.`, or the last part of another collection's name.
pub fn action_name(name: &str) -> Option<&'static str> {
    let short = match name.split('.').collect::<Vec<_>>().as_slice() {
        [short] | [_, _, short] => *short,
        _ => return None,
    };
    ACTIONS
        .iter()
        .find(|action| action.name == short)
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

/// The arguments of a module or action; none where any name is one.
pub(super) fn arguments(name: &str) -> &'static [&'static str] {
    match ACTIONS.iter().find(|action| action.name == name) {
        Some(action) => action.args.unwrap_or_default(),
        None => modules::find(name).map_or(&[], modules::AnyModule::arg_names),
    }
}
