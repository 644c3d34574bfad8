//! What each code means, for `switchback explain CODE`.
//!
//! Ranges: `SB00xx` YAML, `SB01xx` playbooks, keywords and arguments, `SB02xx` inventory, patterns
//! and variables, `SB03xx` templates, `SB04xx` hosts and run time, `SB05xx` locks, `SB08xx` the
//! journal, `SB09xx` bugs.

/// A code with its title and explanation.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Such as `SB0104`.
    pub code: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What causes it and what to do.
    pub explanation: &'static str,
}

/// The code's row, if there is one.
pub fn find(code: &str) -> Option<&'static Code> {
    TABLE.iter().find(|row| row.code.eq_ignore_ascii_case(code))
}

macro_rules! codes {
    ($($code:literal $title:literal $explanation:literal)*) => {
        /// All codes, in order.
        pub static TABLE: &[Code] =
            &[$(Code { code: $code, title: $title, explanation: $explanation }),*];
    };
}

codes! {
    "SB0001" "not YAML"
    "The file could not be read as YAML. The place is where the reader gave up; the cause is often a line above: indentation, a missing `:`, a quote that is not closed."
    "SB0002" "duplicate key"
    "A mapping has the same key twice. Ansible warns and takes the last one, which hides mistakes; here it is an error."
    "SB0003" "unknown tag"
    "A node has a YAML tag (`!name`) that means nothing in a playbook. A value that really begins with `!` must be quoted."
    "SB0004" "unquoted `{{`"
    "YAML reads `{` at the start of a value as a mapping. Put the whole value in quotes."
    "SB0005" "vault"
    "Encrypted values and files are not supported yet."
    "SB0006" "too many aliases"
    "The aliases (`*name`) of a file expand to more than it may hold, or one refers to itself."
    "SB0007" "several documents"
    "A playbook, tasks, variables or inventory file holds one YAML document; `---` in the middle starts a second one."
    "SB0008" "bad merge key"
    "`<<` merges a mapping or a list of mappings into the one that it stands in; anything else has no keys to merge."
    "SB0009" "key is no scalar"
    "A list or a mapping stands in the place of a key."
    "SB0101" "file not found or not readable"
    "A file that is named in a playbook, or on the command line, does not exist or cannot be read; the message lists where it was searched."
    "SB0102" "wrong type"
    "A value has a type that its key does not take, such as a string where a list is needed."
    "SB0103" "unknown keyword"
    "The key is no keyword in this place. Ansible's keywords depend on the place: `hosts` is one of a play, `register` one of a task."
    "SB0104" "unknown argument"
    "The module has no argument of this name."
    "SB0105" "unknown module"
    "No module, action or alias has this name; only the modules built into switchback exist."
    "SB0106" "no module"
    "A task has keywords but no module, so there is nothing to do."
    "SB0107" "two modules"
    "A task runs exactly one module; write two tasks or a block."
    "SB0108" "keyword not supported"
    "The keyword exists in Ansible, and switchback does not support it. It is refused so that nothing is silently left out."
    "SB0109" "bad argument"
    "The module refused its arguments: a value of the wrong type, a missing one, or two that exclude each other."
    "SB0110" "missing key"
    "A key that must be given is missing."
    "SB0111" "bad free form"
    "Text in the form `k=v k=v` could not be split: a quote or a `{{` is not closed."
    "SB0112" "contradictory keys"
    "Two keys were given that say the same thing or exclude each other."
    "SB0113" "recursion"
    "Static imports or role dependencies form a circle. Use `include_tasks` with a condition where a recursion is wanted."
    "SB0114" "role not found"
    "The role was found in none of the folders that are searched: `roles/` beside the playbook, the configured folders, the folder of the depending role, the playbook's folder."
    "SB0115" "no such handler"
    "A task notifies a name that is neither the name of a handler nor a topic that one listens to. Ansible would fail when the task has changed something; here it is found before."
    "SB0116" "handler name used twice"
    "Two handlers of one play have the same name; only the last one is ever run."
    "SB0117" "bad variable name"
    "A variable's name begins with a letter or `_` and holds letters, digits and `_`, and is not a word of Python or Jinja."
    "SB0118" "misplaced header"
    "`change:` is the first entry of a playbook file, and there is one."
    "SB0119" "two ways back of one name"
    "The named ways back of a playbook and of those that it imports must have different names."
    "SB0120" "key without meaning here"
    "A key of switchback stands on a task where it cannot mean anything, such as `undo` on an `include_tasks`."
    "SB0121" "unknown value in a static import"
    "The file of `import_tasks`, `import_playbook` or the role of `import_role` and `roles` must be known before any host is contacted: only extra vars, play vars and role vars may be used in it. Use `include_tasks` or `include_role` otherwise."
    "SB0122" "feature not supported"
    "The playbook uses something of Ansible that switchback does not have."
    "SB0123" "unknown meta action"
    "`meta` takes one of a fixed list of words."
    "SB0124" "nothing in it"
    "A play, block or file is empty where something is needed."
    "SB0125" "keyword of the wrong type"
    "A keyword takes a boolean or a number, and something else was given. Ansible finds that when the task runs."
    "SB0126" "reserved variable name"
    "A variable has the name of a keyword or of a function of templates: one of them cannot be seen. Ansible warns too."
    "SB0127" "internal argument"
    "Arguments that begin with `_ansible_` are Ansible's own; no task can give them."
    "SB0130" "change without a way back"
    "A task changes hosts, its module cannot tell how to take that back, and it has neither `undo` nor `point_of_no_return`. Add `undo: [tasks]`, `undo: keep`, `reads: true` or a point of no return."
    "SB0131" "header of an imported playbook"
    "Of an imported playbook's header only `protect`, `guards` and `ways_back` count; the rest belongs to the root playbook."
    "SB0132" "undo crosses a point of no return"
    "A point of no return has undo tasks, or stands in a block that has: going back would cross it. A stack rollback never does."
    "SB0201" "inventory not readable"
    "A source of the inventory does not exist or cannot be read."
    "SB0202" "bad inventory line"
    "A line of an INI inventory is neither a host, a variable, a group nor a section."
    "SB0203" "group not defined"
    "A group is named under `:children` or has `:vars`, and is defined nowhere in the file."
    "SB0204" "bad host range"
    "A range such as `web[01:10:2]` needs a begin and an end of equal length, begin not after end."
    "SB0205" "groups in a circle"
    "A group is, over others, a child of itself."
    "SB0206" "bad YAML inventory"
    "A YAML inventory is a mapping of groups; a group has `hosts`, `children` and `vars`, each a mapping."
    "SB0207" "inventory source not supported"
    "Inventory scripts and plugins are not supported yet."
    "SB0208" "bad host pattern"
    "The pattern is neither a name, a glob, a `~regex` nor a subscript."
    "SB0209" "pattern matches nothing"
    "No host and no group of the inventory matches the pattern."
    "SB0210" "limit file"
    "`--limit @FILE` needs a readable file with a pattern on each line."
    "SB0211" "bad variables file"
    "A file of variables (`vars_files`, `group_vars`, `host_vars`, role `vars` and `defaults`) holds one mapping."
    "SB0212" "inventory entry ignored"
    "Something in an inventory has no meaning and is left out, as in Ansible."
    "SB0213" "unknown tag"
    "No task has the tag that was asked for."
    "SB0301" "bad template"
    "A template or an expression cannot be parsed."
    "SB0801" "journal: input or output"
    "The file system refused to read or write the journal. See to the disk; `switchback resume` then reads what is there and goes on."
    "SB0802" "journal: closed after a failure"
    "An earlier write or fsync of the journal failed, so nothing is known of what is on disk and no more is written."
    "SB0803" "journal: no room"
    "No room is left to write down what follows. Nothing was written and the journal is whole: free some space and resume."
    "SB0804" "journal: broken"
    "A line in the middle of the journal is not as it was written, so the run cannot be resumed from it; the lines before it can still be reported."
    "SB0805" "journal: other format"
    "The journal was written by a version of switchback whose records this one does not know."
    "SB0806" "run in use"
    "Someone else works on the run. Wait, or agree with them and use `switchback takeover`."
    "SB0807" "no such run"
    "No run has this id; `switchback runs` lists all."
    "SB0808" "several such runs"
    "The beginning of an id names several runs; give more of it."
    "SB0809" "unsafe folder of runs"
    "Others could write where the journals are. Make the folder yours with mode 0700, or name another one in `SWITCHBACK_RUNS`."
    "SB0810" "no key of this run"
    "The file was made for another run, or is no key at all. `switchback runs key RUN` writes the key of a run."
    "SB0811" "the run's key is missing"
    "What the run keeps secret is encrypted, and its key is not on this machine. Where the run began, `switchback runs key RUN` gives it; name it here with `--run-key FILE`."
    "SB0812" "wrong key"
    "A record cannot be decrypted: the key is of another run, or the record was changed after it was written."
    "SB0813" "not signed"
    "`--sign-with` names a key that `ssh-keygen -Y sign` cannot use now: nothing more is done unsigned."
}
