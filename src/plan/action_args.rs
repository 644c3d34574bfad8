//! The arguments of what runs on the controller alone: names for the check, texts for the manual.
//!
//! Source: the modules' documentation in ansible-core 2.19.

#![expect(
    dead_code,
    reason = "names, types and texts are read through serde and the schema"
)]

use crate::value::{Map, Value};

macro_rules! args {
    ($($(#[$doc:meta])* $name:ident { $($body:tt)* })*) => {$(
        $(#[$doc])*
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        pub(super) struct $name { $($body)* }
    )*};
}

args! {
    /// Says something: a message, or what a variable or expression is.
    ///
    /// # Returns
    /// * `msg`: the message; with `var` the value under the name of the expression.
    ///
    /// # Example
    /// ```yaml
    /// - debug:
    ///     msg: "{{ inventory_hostname }} has {{ ansible_memtotal_mb }} MB"
    /// ```
    Debug {
        /// What to say. Default `Hello world!`.
        msg: Option<Value>,
        /// An expression, without braces.
        var: Option<String>,
        /// How many `-v` it takes to be said. Default 0.
        verbosity: Option<i64>,
    }

    /// Sets variables of the host, for the rest of the run.
    ///
    /// # Returns
    /// * `ansible_facts`: what was set.
    ///
    /// # Example
    /// ```yaml
    /// - set_fact:
    ///     primary: "{{ groups['db'] | first }}"
    /// ```
    SetFact {
        /// Whether it is a fact too.
        #[serde(default)]
        cacheable: bool,
    }

    /// Asks how a job stands that a task with `async` and `poll: 0` has begun on this host.
    ///
    /// # Returns
    /// * `ansible_job_id`: the job.
    /// * `finished`: whether it is over; then what its module returns is there too.
    /// * `started`: true.
    /// * `results_file`: where the host keeps it.
    ///
    /// # Example
    /// ```yaml
    /// - async_status:
    ///     jid: "{{ job.ansible_job_id }}"
    ///   register: result
    ///   until: result is finished
    ///   retries: 100
    /// ```
    AsyncStatus {
        /// The job, as `ansible_job_id` of the task that began it.
        jid: String,
        /// `status`, or `cleanup`: what the host keeps of it is removed. Default `status`.
        mode: Option<String>,
    }

    /// Fails where a condition does not hold.
    ///
    /// # Returns
    /// * `msg`: what was said.
    /// * `assertion`: the condition that did not hold.
    /// * `evaluated_to`: false.
    ///
    /// # Example
    /// ```yaml
    /// - assert:
    ///     that:
    ///       - ansible_memtotal_mb > 1000
    ///     fail_msg: too small
    /// ```
    Assert {
        /// A condition or a list of them.
        that: Value,
        /// What to say where it does not hold.
        #[serde(alias = "msg")]
        fail_msg: Option<Value>,
        /// What to say where all hold.
        success_msg: Option<Value>,
        /// Whether the conditions are left out of the result.
        #[serde(default)]
        quiet: bool,
    }

    /// Fails.
    ///
    /// # Returns
    /// * `msg`: what was said.
    ///
    /// # Example
    /// ```yaml
    /// - fail:
    ///     msg: this host is not to be upgraded
    ///   when: inventory_hostname in groups['reserve']
    /// ```
    Fail {
        /// What to say. Default `Failed as requested from task`.
        msg: Option<String>,
    }

    /// Reads variables from a file or a folder of files.
    ///
    /// # Returns
    /// * `ansible_facts`: the variables.
    /// * `ansible_included_var_files`: the files.
    ///
    /// # Example
    /// ```yaml
    /// - include_vars: "{{ ansible_os_family }}.yml"
    /// ```
    IncludeVars {
        /// The file, where it is written as the task's value.
        _raw_params: Option<String>,
        /// The file, searched in `vars` of the role and of the playbook.
        file: Option<String>,
        /// A folder, all files of which are read.
        dir: Option<String>,
        /// A variable that gets all that was read, instead of a variable each.
        name: Option<String>,
        /// How deep to go into the folder. Default 0.
        depth: Option<i64>,
        /// An expression that names of files in the folder match.
        files_matching: Option<String>,
        /// Names of files that are left out.
        ignore_files: Option<Vec<String>>,
        /// Endings of files that are read. Default json, yaml and yml.
        extensions: Option<Vec<String>>,
        /// Whether files with other endings are passed by instead of being an error.
        #[serde(default)]
        ignore_unknown_extensions: bool,
        /// `replace` or `merge`: what becomes of mappings of the same name.
        hash_behaviour: Option<String>,
    }

    /// Adds a host to the inventory, for the rest of the run. All other arguments are its variables.
    ///
    /// # Returns
    /// * `add_host`: its name, groups and variables.
    ///
    /// # Example
    /// ```yaml
    /// - add_host:
    ///     name: "{{ new_address }}"
    ///     groups: [new_primary]
    ///     postgresql_port: 5433
    /// ```
    AddHost {
        /// Its name.
        #[serde(alias = "hostname", alias = "host")]
        name: Option<String>,
        /// Its groups.
        #[serde(alias = "groupname", alias = "group")]
        groups: Option<Vec<String>>,
    }

    /// Puts each host into a group that is named by a value.
    ///
    /// # Returns
    /// * `add_group`: the group.
    /// * `parent_groups`: the groups around it.
    ///
    /// # Example
    /// ```yaml
    /// - group_by:
    ///     key: "os_{{ ansible_distribution }}"
    /// ```
    GroupBy {
        /// The group, where it is written as `key=…` text.
        _raw_params: Option<String>,
        /// The group.
        key: Option<String>,
        /// Groups around it. Default `all`.
        parents: Option<Vec<String>>,
    }

    /// Waits, for a time or for a person.
    ///
    /// # Returns
    /// * `user_input`: what was typed.
    /// * `delta`: seconds that it took.
    /// * `echo`: whether the typing was shown.
    ///
    /// # Example
    /// ```yaml
    /// - pause:
    ///     prompt: Is the old primary silent?
    /// ```
    Pause {
        /// Minutes to wait.
        minutes: Option<f64>,
        /// Seconds to wait.
        seconds: Option<f64>,
        /// What to ask.
        prompt: Option<String>,
        /// Whether the typing is shown. Default true.
        echo: Option<bool>,
    }

    /// Sets statistics of the run, which are shown at its end.
    ///
    /// # Returns
    /// * `ansible_stats`: what was set.
    ///
    /// # Example
    /// ```yaml
    /// - set_stats:
    ///     data: {upgraded: "{{ inventory_hostname }}"}
    /// ```
    SetStats {
        /// Names and values.
        data: Map,
        /// Whether they are of the host instead of the run.
        #[serde(default)]
        per_host: bool,
        /// Whether a number or list is added to what is there. Default true.
        aggregate: Option<bool>,
    }

    /// Fails where arguments are not what their specification says.
    ///
    /// # Returns
    /// * `argument_errors`: all that is wrong.
    /// * `argument_spec_data`: the specification.
    /// * `validate_args_context`: as it was given.
    ///
    /// # Example
    /// ```yaml
    /// - validate_argument_spec:
    ///     argument_spec:
    ///       port: {type: int, required: true}
    ///     provided_arguments: {port: 5432}
    /// ```
    ValidateArgumentSpec {
        /// The specification: for each name its `type`, `required`, `choices`, ….
        argument_spec: Value,
        /// Values that go before variables of the same names.
        provided_arguments: Option<Value>,
        /// What is told of where this was.
        validate_args_context: Option<Value>,
    }

    /// Steers the run: `flush_handlers`, `end_play`, `end_batch`, `end_host`, `end_role`,
    /// `clear_facts`, `clear_host_errors`, `refresh_inventory`, `reset_connection`, `noop`.
    ///
    /// # Example
    /// ```yaml
    /// - meta: flush_handlers
    /// ```
    Meta {
        /// What to do.
        _raw_params: Option<String>,
    }

    /// Includes the tasks of a file when the run comes to it.
    ///
    /// # Example
    /// ```yaml
    /// - include_tasks: "{{ ansible_os_family }}.yml"
    /// ```
    IncludeTasks {
        /// The file, where it is written as the task's value.
        _raw_params: Option<String>,
        /// The file.
        file: Option<String>,
        /// Keywords for the tasks in it.
        apply: Option<Map>,
    }

    /// Takes in the tasks of a file before the run.
    ///
    /// # Example
    /// ```yaml
    /// - import_tasks: install.yml
    /// ```
    ImportTasks {
        /// The file, where it is written as the task's value.
        _raw_params: Option<String>,
        /// The file.
        file: Option<String>,
    }

    /// Includes a role when the run comes to it.
    ///
    /// # Example
    /// ```yaml
    /// - include_role:
    ///     name: backup
    ///     tasks_from: restore
    /// ```
    IncludeRole {
        /// The role.
        #[serde(alias = "role")]
        name: String,
        /// The file of its `tasks`. Default `main`.
        tasks_from: Option<String>,
        /// The file of its `vars`. Default `main`.
        vars_from: Option<String>,
        /// The file of its `defaults`. Default `main`.
        defaults_from: Option<String>,
        /// The file of its `handlers`. Default `main`.
        handlers_from: Option<String>,
        /// Keywords for the tasks in it.
        apply: Option<Map>,
        /// Whether its variables are seen by the rest of the play.
        #[serde(default)]
        public: bool,
        /// Whether it runs even if it has run before. Default true.
        allow_duplicates: Option<bool>,
        /// Whether its arguments are validated. Default true.
        rolespec_validate: Option<bool>,
    }

    /// Takes in a role before the run.
    ///
    /// # Example
    /// ```yaml
    /// - import_role:
    ///     name: backup
    /// ```
    ImportRole {
        /// The role.
        #[serde(alias = "role")]
        name: String,
        /// The file of its `tasks`. Default `main`.
        tasks_from: Option<String>,
        /// The file of its `vars`. Default `main`.
        vars_from: Option<String>,
        /// The file of its `defaults`. Default `main`.
        defaults_from: Option<String>,
        /// The file of its `handlers`. Default `main`.
        handlers_from: Option<String>,
        /// Whether its variables are seen by the rest of the play. Default true.
        public: Option<bool>,
        /// Whether it runs even if it has run before. Default true.
        allow_duplicates: Option<bool>,
        /// Whether its arguments are validated. Default true.
        rolespec_validate: Option<bool>,
    }
}
