//! Plays and `import_playbook`.

use super::shared::{bad_name, check, keyword_at, texts};
use super::{field, is_variable_name, shared_keyword};
use crate::diag::Diagnostic;
use crate::model::keyword::place;
use crate::model::{Field, Keywords, Play, StepId, VarsPrompt};
use crate::syntax::{Cursor, Kind, Node, Problems};
use crate::value::Value;

/// A play without its tasks, and the nodes that hold them.
pub struct PlayParts<'n> {
    /// The play; its lists of tasks, roles and handlers are empty.
    pub play: Play,
    /// `pre_tasks`.
    pub pre_tasks: Option<&'n Node>,
    /// `roles`.
    pub roles: Option<&'n Node>,
    /// `tasks`.
    pub tasks: Option<&'n Node>,
    /// `post_tasks`.
    pub post_tasks: Option<&'n Node>,
    /// `handlers`.
    pub handlers: Option<&'n Node>,
}

/// Reads the keywords of a play.
pub fn play<'n>(node: &'n Node, id: String, problems: &mut Problems) -> Option<PlayParts<'n>> {
    let Some(hosts) = node.entry("hosts") else {
        problems.push(
            Diagnostic::error("SB0110", "a play needs `hosts`")
                .at(node.span, "this play says nothing of hosts")
                .help("add `hosts: all` or a pattern; a file of tasks alone is for `import_tasks`"),
        );
        return None;
    };
    check_hosts(&hosts.value, problems);
    let mut parts = PlayParts {
        play: empty(node, id, field(&hosts.value)),
        pre_tasks: None,
        roles: None,
        tasks: None,
        post_tasks: None,
        handlers: None,
    };
    if let (Some(_), Some(second)) = (node.entry("remote_user"), node.entry("user")) {
        problems.push(
            Diagnostic::error("SB0112", "the user of a play is given twice")
                .at(
                    second.key_span,
                    "both `user` and `remote_user` are set for this play; `user` is the old name",
                )
                .help("remove `user`"),
        );
    }
    for entry in node.as_map()? {
        let Some(row) = keyword_at(entry, place::PLAY, problems) else {
            continue;
        };
        if !check(row, &entry.value, problems) {
            continue;
        }
        let value = &entry.value;
        let some = || (!value.is_null()).then(|| field(value));
        let play = &mut parts.play;
        match &*entry.key {
            "hosts" => {}
            "gather_facts" => play.gather_facts = some(),
            "gather_subset" => play.gather_subset = some(),
            "vars_files" => play.vars_files = vars_files(value, problems),
            "vars_prompt" => play.vars_prompt = vars_prompts(value, problems),
            "serial" => play.serial = some(),
            "strategy" => play.strategy = strategy(value, problems),
            "order" => play.order = order(value, problems),
            "max_fail_percentage" => play.max_fail_percentage = some(),
            "force_handlers" => play.force_handlers = some(),
            "pre_tasks" => parts.pre_tasks = Some(value),
            "roles" => parts.roles = Some(value),
            "tasks" => parts.tasks = Some(value),
            "post_tasks" => parts.post_tasks = Some(value),
            "handlers" => parts.handlers = Some(value),
            _ => {
                shared_keyword(&mut play.keywords, entry, problems);
            }
        }
    }
    Some(parts)
}

fn empty(node: &Node, id: String, hosts: Field) -> Play {
    Play {
        id: StepId(id),
        span: node.span,
        keywords: Keywords::default(),
        hosts,
        gather_facts: None,
        gather_subset: None,
        vars_files: Vec::new(),
        vars_prompt: Vec::new(),
        serial: None,
        strategy: None,
        order: None,
        max_fail_percentage: None,
        force_handlers: None,
        pre_tasks: Vec::new(),
        roles: Vec::new(),
        tasks: Vec::new(),
        post_tasks: Vec::new(),
        handlers: Vec::new(),
        role_scopes: Vec::new(),
    }
}

fn check_hosts(node: &Node, problems: &mut Problems) {
    let is_empty = match &node.kind {
        Kind::Null => true,
        Kind::Str(text) => text.trim().is_empty(),
        Kind::List(items) => items.is_empty(),
        _ => false,
    };
    if is_empty {
        problems.push(
            Diagnostic::error("SB0124", "`hosts` is empty")
                .at(node.span, "no pattern here")
                .help("name hosts, groups or `all`"),
        );
    }
}

fn vars_files(node: &Node, problems: &mut Problems) -> Vec<Field> {
    let mut files = Vec::new();
    for item in problems.one_or_many(node) {
        let is_fine = match &item.kind {
            Kind::Str(_) => true,
            Kind::List(items) => items.iter().all(|n| n.as_str().is_some()),
            _ => false,
        };
        if is_fine {
            files.push(field(item));
        } else {
            problems.wrong_type("vars_files", "a list of files", item);
        }
    }
    files
}

fn one_of(what: &str, words: &[&str], node: &Node, problems: &mut Problems) -> Option<Field> {
    let found = field(node);
    if found.value.has_template() || node.as_str().is_some_and(|s| words.contains(&&**s)) {
        return Some(found);
    }
    if !node.is_null() {
        let words: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
        problems.wrong_type(what, &format!("one of {}", words.join(", ")), node);
    }
    None
}

fn order(node: &Node, problems: &mut Problems) -> Option<Field> {
    let words = [
        "inventory",
        "sorted",
        "reverse_sorted",
        "reverse_inventory",
        "shuffle",
    ];
    one_of("order", &words, node, problems)
}

fn strategy(node: &Node, problems: &mut Problems) -> Option<Field> {
    let mut found = field(node);
    if let Some(short) = found
        .value
        .as_str()
        .and_then(|s| s.strip_prefix("ansible.builtin."))
    {
        found.value = Value::from(short);
    }
    let short = Node {
        kind: found
            .value
            .as_str()
            .map_or(Kind::Null, |s| Kind::Str(s.into())),
        ..node.clone()
    };
    one_of(
        "strategy",
        &["linear", "free", "host_pinned"],
        &short,
        problems,
    )
}

fn vars_prompts(node: &Node, problems: &mut Problems) -> Vec<VarsPrompt> {
    let mut prompts = Vec::new();
    for item in problems.one_or_many(node) {
        let mut cursor = Cursor::new("vars_prompt", item, problems);
        let name = cursor.require("name", problems).and_then(|n| {
            let name = problems.text("name", n)?;
            if !is_variable_name(&name) {
                problems.push(bad_name(&name).at(n.span, "the answer is named here"));
            }
            Some(name.to_string())
        });
        let (prompt, default) = (
            cursor.take("prompt").map(field),
            cursor.take("default").map(field),
        );
        let mut flag = |key: &'static str, default: bool, problems: &mut Problems| {
            cursor
                .take(key)
                .and_then(|n| problems.bool(key, n))
                .unwrap_or(default)
        };
        let is_private = flag("private", true, problems);
        let confirms = flag("confirm", false, problems);
        let allows_braces = flag("unsafe", false, problems);
        let encrypt = cursor
            .take("encrypt")
            .and_then(|n| problems.text("encrypt", n));
        for key in ["salt", "salt_size"] {
            if let Some(n) = cursor.take(key) {
                problems.push(
                    Diagnostic::error(
                        "SB0108",
                        format!("`{key}` of `vars_prompt` is not supported"),
                    )
                    .at(n.span, "salts are always random")
                    .help("remove it"),
                );
            }
        }
        cursor.finish(problems);
        let encrypt = encrypt.map(|e| e.to_string());
        prompts.extend(name.map(|name| VarsPrompt {
            name,
            prompt,
            default,
            is_private,
            confirms,
            encrypt,
            allows_braces,
        }));
    }
    prompts
}

/// Reads `import_playbook`: the file and the keywords given with it.
pub fn import_playbook(node: &Node, problems: &mut Problems) -> Option<(Field, Keywords)> {
    let mut keywords = Keywords::default();
    let mut file = None;
    for entry in node.as_map()? {
        if let Some("import_playbook") = entry.key.rsplit('.').next() {
            problems.text("import_playbook", &entry.value)?;
            file = Some(field(&entry.value));
        } else {
            let Some(row) = keyword_at(entry, place::IMPORT, problems) else {
                continue;
            };
            if !check(row, &entry.value, problems) {
                continue;
            }
            if matches!(row.name, "name" | "vars" | "tags" | "when") {
                shared_keyword(&mut keywords, entry, problems);
            } else {
                problems.push(
                    Diagnostic::error(
                        "SB0108",
                        format!("`{}` on `import_playbook` is not supported", row.name),
                    )
                    .at(
                        entry.key_span,
                        "Ansible accepts it and does nothing with it",
                    )
                    .help("put it on the plays"),
                );
            }
        }
    }
    // `texts` keeps tags of `vars: {tags: a,b}`, an old form, out of the variables.
    if let Some(tags) = keywords.vars.shift_remove("tags")
        && let Some(text) = tags.as_str()
    {
        let node = Node {
            kind: Kind::Str(text.into()),
            ..Node::null(node.span)
        };
        keywords.tags.extend(texts("tags", &node, true, problems));
    }
    file.map(|file| (file, keywords))
}
