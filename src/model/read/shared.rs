//! The keywords that plays, blocks, tasks and roles share.

use crate::diag::{Diagnostic, Span, suggest};
use crate::model::keyword::{self, Keyword, Takes, place};
use crate::model::{Cond, Field, Keywords};
use crate::syntax::{Entry, Kind, Node, Problems};
use crate::value::{Map, Value};

/// The value of a node with its place.
pub fn field(node: &Node) -> Field {
    Field {
        value: node.to_value(),
        span: node.span,
    }
}

/// Whether a variable may have this name (ansible-core 2.19, `utils/vars.py`).
pub fn is_variable_name(name: &str) -> bool {
    // What the grammar of templates reads as something else (ansible-core 2.19, `JINJA_KEYWORDS`).
    const RESERVED: &[&str] = &["true", "false", "none", "True", "False", "None", "not"];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

/// Finds the keyword of an entry, or notes what is wrong with it.
pub(super) fn keyword_at(
    entry: &Entry,
    at: u16,
    problems: &mut Problems,
) -> Option<&'static Keyword> {
    match keyword::find(&entry.key) {
        Some(row) if row.places & at == 0 => {
            problems.push(misplaced(entry, row, at));
            None
        }
        Some(Keyword {
            refused: Some(why),
            name,
            ..
        }) => {
            problems.push(
                Diagnostic::error("SB0108", format!("`{name}` is not supported"))
                    .at(entry.key_span, *why)
                    .help("remove it"),
            );
            None
        }
        Some(row) => Some(row),
        None => {
            problems.push(unknown_keyword(entry, at));
            None
        }
    }
}

pub(super) fn unknown_keyword(entry: &Entry, at: u16) -> Diagnostic {
    let problem = Diagnostic::error(
        "SB0103",
        format!("`{}` is not a keyword of {}", entry.key, place::name(at)),
    )
    .at(entry.key_span, "not a keyword here");
    match suggest(&entry.key, keyword::names(at)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}

fn misplaced(entry: &Entry, row: &Keyword, at: u16) -> Diagnostic {
    let places: Vec<&str> = [
        place::PLAY,
        place::BLOCK,
        place::TASK,
        place::HANDLER,
        place::ROLE,
    ]
    .into_iter()
    .filter(|p| row.places & p != 0)
    .map(place::name)
    .collect();
    let problem = Diagnostic::error(
        "SB0103",
        format!("`{}` is not a keyword of {}", row.name, place::name(at)),
    )
    .at(entry.key_span, "not a keyword here");
    if places.is_empty() {
        return problem;
    }
    problem.help(format!(
        "`{}` is a keyword of {}",
        row.name,
        places.join(", ")
    ))
}

/// Checks the type of a keyword's value as far as it holds no template. Ansible finds a bad boolean
/// or number only when the task runs, hence their own code, and they are kept.
pub(super) fn check(row: &Keyword, node: &Node, problems: &mut Problems) -> bool {
    if node.is_null() || (row.is_templated && node.to_value().has_template()) {
        return true;
    }
    let wanted = match row.takes {
        Takes::Bool if node.to_value().to_bool().is_none() => "a boolean",
        Takes::Int if !is_number(node, |s| s.parse::<i64>().is_ok()) => "an integer",
        Takes::Number if !is_number(node, |s| s.trim_end_matches('%').parse::<f64>().is_ok()) => {
            "a number"
        }
        Takes::Text if matches!(node.kind, Kind::List(_) | Kind::Map(_)) => "a string",
        Takes::Texts if !is_texts(node) => "a string or a list of strings",
        _ => return true,
    };
    problems.wrong_type(row.name, wanted, node);
    let is_left_to_the_run = matches!(row.takes, Takes::Bool | Takes::Int | Takes::Number)
        && !matches!(node.kind, Kind::List(_) | Kind::Map(_));
    if is_left_to_the_run && let Some(problem) = problems.0.last_mut() {
        problem.code = "SB0125";
    }
    is_left_to_the_run
}

fn is_number(node: &Node, parses: fn(&str) -> bool) -> bool {
    match &node.kind {
        Kind::Int(_) | Kind::Float(_) => true,
        Kind::Str(text) => parses(text.trim()),
        _ => false,
    }
}

fn is_texts(node: &Node) -> bool {
    let is_scalar = |n: &Node| !matches!(n.kind, Kind::List(_) | Kind::Map(_) | Kind::Null);
    match &node.kind {
        Kind::List(items) => items.iter().all(is_scalar),
        _ => is_scalar(node),
    }
}

/// Strings of a list or of a text with commas.
pub(super) fn texts(what: &str, node: &Node, splits: bool, problems: &mut Problems) -> Vec<String> {
    let mut all = Vec::new();
    for item in problems.one_or_many(node) {
        if let Some(text) = problems.text(what, item) {
            if splits {
                all.extend(
                    text.split(',')
                        .map(|s| s.trim().to_owned())
                        .filter(|s| !s.is_empty()),
                );
            } else {
                all.push(text.to_string());
            }
        }
    }
    all
}

/// `when` and its like.
pub(super) fn conditions(what: &str, node: &Node, problems: &mut Problems) -> Vec<Cond> {
    let mut all = Vec::new();
    for item in problems.one_or_many(node) {
        match &item.kind {
            Kind::Bool(b) => all.push(Cond::Literal(*b)),
            Kind::Str(text) => all.push(Cond::Expr {
                text: text.to_string(),
                span: item.span,
            }),
            Kind::Int(i) => all.push(Cond::Expr {
                text: i.to_string(),
                span: item.span,
            }),
            _ => problems.wrong_type(what, "an expression", item),
        }
    }
    all
}

/// `vars`: a mapping, or a list of mappings that are merged.
pub(super) fn vars(node: &Node, problems: &mut Problems) -> Map {
    let mut all = Map::new();
    for part in problems.one_or_many(node) {
        for entry in problems.map("vars", part).unwrap_or_default() {
            if entry.key.is_empty() {
                continue;
            }
            if is_variable_name(&entry.key) {
                problems.0.extend(reserved(&entry.key, entry.key_span));
                all.insert(entry.key.to_string(), entry.value.to_value());
            } else {
                problems.push(bad_name(&entry.key).at(entry.key_span, "not a variable's name"));
            }
        }
    }
    all
}

/// Whether a variable is called as a keyword or as a function of templates, so that one of them
/// cannot be seen (ansible-core 2.19, `vars/reserved.py`).
pub fn is_reserved(name: &str) -> bool {
    const FUNCTIONS: &[&str] = &[
        "cycler",
        "dict",
        "joiner",
        "lipsum",
        "lookup",
        "namespace",
        "now",
        "q",
        "query",
        "range",
        "undef",
    ];
    // Keywords of ours, and those of Ansible that it does not reserve.
    const FREE: &[&str] = &[
        "gather_subset",
        "import_playbook",
        "listen",
        "point_of_no_return",
        "progress",
        "reads",
        "role",
        "undo",
        "user",
        "vars",
        "verify",
    ];
    let is_keyword = keyword::find(name).is_some() && !FREE.contains(&name);
    is_keyword || FUNCTIONS.contains(&name)
}

/// The warning of a variable with a reserved name.
pub fn reserved(name: &str, at: Span) -> Option<Diagnostic> {
    is_reserved(name).then(|| {
        let what = format!("found variable using reserved name `{name}`");
        Diagnostic::warning("SB0126", what).at(at, "")
    })
}

pub(super) fn bad_name(name: &str) -> Diagnostic {
    Diagnostic::error("SB0117", format!("invalid variable name `{name}`"))
        .help("a name begins with a letter or `_` and holds letters, digits and `_`")
}

fn mappings(what: &str, node: &Node, problems: &mut Problems) -> Vec<Field> {
    let mut all = Vec::new();
    for item in problems.one_or_many(node) {
        let value = item.to_value();
        if matches!(value, Value::Map(_)) || value.has_template() {
            all.push(Field {
                value,
                span: item.span,
            });
        } else {
            problems.wrong_type(what, "a mapping", item);
        }
    }
    all
}

/// Reads one shared keyword; `false` when it is none of them.
pub fn shared_keyword(keywords: &mut Keywords, entry: &Entry, problems: &mut Problems) -> bool {
    let node = &entry.value;
    match &*entry.key {
        "when" => keywords.when = conditions("when", node, problems),
        "vars" => keywords.vars = vars(node, problems),
        "tags" => keywords.tags = texts("tags", node, true, problems),
        "collections" => keywords.collections = texts("collections", node, false, problems),
        "environment" => keywords.environment = mappings("environment", node, problems),
        "module_defaults" => keywords.module_defaults = mappings("module_defaults", node, problems),
        "notify" => keywords.notify = super::task::notified(node),
        "debugger" => no_debugger(node, problems),
        name => {
            let Some(slot) = slot(keywords, name) else {
                return false;
            };
            *slot = (!node.is_null()).then(|| field(node));
        }
    }
    true
}

/// Ansible's debugger is a prompt of its own that takes Python; only switching it off means the same here.
fn no_debugger(node: &Node, problems: &mut Problems) {
    if node.is_null() || node.as_str().is_some_and(|text| &**text == "never") {
        return;
    }
    problems.push(
        Diagnostic::error("SB0108", "`debugger` is not supported")
            .at(
                node.span,
                "switchback asks at a failure by itself: retry, edit, skip, roll back",
            )
            .help("remove it; `debugger: never` may stay"),
    );
}

fn slot<'k>(k: &'k mut Keywords, name: &str) -> Option<&'k mut Option<Field>> {
    Some(match name {
        "name" => &mut k.name,
        "become" => &mut k.r#become,
        "become_user" => &mut k.become_user,
        "become_method" => &mut k.become_method,
        "become_flags" => &mut k.become_flags,
        "become_exe" => &mut k.become_exe,
        "check_mode" => &mut k.check_mode,
        "diff" => &mut k.diff,
        "no_log" => &mut k.no_log,
        "ignore_errors" => &mut k.ignore_errors,
        "ignore_unreachable" => &mut k.ignore_unreachable,
        "any_errors_fatal" => &mut k.any_errors_fatal,
        "delegate_to" => &mut k.delegate_to,
        "delegate_facts" => &mut k.delegate_facts,
        "run_once" => &mut k.run_once,
        "throttle" => &mut k.throttle,
        "timeout" => &mut k.timeout,
        "connection" => &mut k.connection,
        "port" => &mut k.port,
        "remote_user" | "user" => &mut k.remote_user,
        _ => return None,
    })
}
