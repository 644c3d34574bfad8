//! The levels of variables.

/// Where a variable's value comes from; a later one wins over an earlier one.
///
/// Source: ansible-core 2.19, `vars/manager.py` and `C.VARIABLE_PRECEDENCE`; point 1 of Ansible's
/// documentation (command-line values such as `-u`) is no variable and stands for connection
/// defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Command-line values such as `-u`.
    CommandLine,
    /// `defaults/` of roles.
    RoleDefaults,
    /// Variables of groups in inventory files; those of `all` stand below this.
    InventoryFileGroup,
    /// `group_vars/all` beside the inventory.
    InventoryGroupVarsAll,
    /// `group_vars/all` beside the playbook.
    PlaybookGroupVarsAll,
    /// `group_vars/*` beside the inventory.
    InventoryGroupVars,
    /// `group_vars/*` beside the playbook.
    PlaybookGroupVars,
    /// Variables of hosts in inventory files, and those of `add_host`.
    InventoryFileHost,
    /// `host_vars/*` beside the inventory.
    InventoryHostVars,
    /// `host_vars/*` beside the playbook.
    PlaybookHostVars,
    /// Facts and cached `set_fact`.
    Facts,
    /// `vars` of the play.
    PlayVars,
    /// `vars_prompt`.
    PlayVarsPrompt,
    /// `vars_files`.
    PlayVarsFiles,
    /// `vars/` of roles.
    RoleVars,
    /// `vars` of blocks.
    BlockVars,
    /// `vars` of the task.
    TaskVars,
    /// `include_vars`.
    IncludeVars,
    /// `set_fact` and `register`.
    SetFacts,
    /// Parameters of roles and of `include_role`.
    RoleParams,
    /// Parameters of includes.
    IncludeParams,
    /// `-e`.
    ExtraVars,
}
