//! Groups and variables that expressions make of the hosts read so far (`plugin: constructed`).
//!
//! Knows nothing of templates: what an expression gives is asked of [`Expressions`]. Invariant: what
//! an expression gives is data. Source: ansible-core 2.19, `plugins/inventory/constructed.py` and
//! `plugins/inventory/__init__.py`, `Constructable`.

use super::data::Inventory;
use crate::diag::{Diagnostic, Span};
use crate::syntax::{Entry, Kind, Node, Problems};
use crate::value::{Map, Value};

/// How the expressions of an inventory are evaluated, with the variables of one host.
pub trait Expressions {
    /// The value of an expression without braces.
    ///
    /// # Errors
    /// What is wrong with it.
    fn evaluate(&self, expression: &str, vars: &Map) -> Result<Value, String>;
    /// Whether a condition holds.
    ///
    /// # Errors
    /// What is wrong with it.
    fn holds(&self, condition: &Value, vars: &Map) -> Result<bool, String>;
    /// A value with its templates rendered; none where it was `omit`.
    ///
    /// # Errors
    /// What is wrong with it.
    fn render(&self, value: &Value, vars: &Map) -> Result<Option<Value>, String>;
    /// The variables of the command line, for files that ask for them.
    fn extra_vars(&self) -> &Map;
}

/// Whether a file that configures a plugin is one of these.
pub(super) fn is_constructed(plugin: &str) -> bool {
    matches!(plugin, "constructed" | "ansible.builtin.constructed")
}

/// Adds what the file says to the inventory.
pub(super) fn read(
    inventory: &mut Inventory,
    node: &Node,
    expressions: &dyn Expressions,
) -> Vec<Diagnostic> {
    let mut problems = Problems::default();
    let rules = Rules::read(node, &mut problems);
    let host_count = inventory.hosts().len();
    for host in 0..host_count {
        let mut making = Making {
            rules: &rules,
            inventory,
            expressions,
            problems: &mut problems,
            host,
            vars: Map::new(),
        };
        if !making.host() {
            break;
        }
    }
    problems.0
}

/// An expression that decides about a group or a variable.
struct Named {
    name: String,
    value: Value,
    span: Span,
}

/// One entry of `keyed_groups`.
struct Keyed {
    key: Value,
    prefix: String,
    separator: String,
    default_value: Option<String>,
    has_trailing_separator: bool,
    parent: Value,
    span: Span,
}

struct Rules {
    is_strict: bool,
    has_leading_separator: bool,
    sees_extra_vars: bool,
    compose: Vec<Named>,
    groups: Vec<Named>,
    keyed: Vec<Keyed>,
}

impl Rules {
    fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut rules = Self {
            is_strict: false,
            has_leading_separator: true,
            sees_extra_vars: false,
            compose: Vec::new(),
            groups: Vec::new(),
            keyed: Vec::new(),
        };
        for entry in node.as_map().unwrap_or_default() {
            let value = &entry.value;
            match &*entry.key {
                "plugin" => {}
                "strict" => rules.is_strict = problems.bool("strict", value).unwrap_or(false),
                "leading_separator" => {
                    rules.has_leading_separator =
                        problems.bool("leading_separator", value).unwrap_or(true);
                }
                "compose" => rules.compose = named(entry, problems),
                "groups" => rules.groups = named(entry, problems),
                "keyed_groups" => {
                    let items = problems.list("keyed_groups", value);
                    let keyed: Vec<Keyed> = items
                        .iter()
                        .filter_map(|n| Keyed::read(n, problems))
                        .collect();
                    rules.keyed = keyed;
                }
                "use_extra_vars" => {
                    rules.sees_extra_vars = problems.bool("use_extra_vars", value).unwrap_or(false);
                }
                "use_vars_plugins" => {
                    if problems.bool(&entry.key, value) == Some(true) {
                        problems.push(
                            Diagnostic::error(
                                "SB0207",
                                format!(
                                    "`{}` of a constructed inventory is not supported",
                                    entry.key
                                ),
                            )
                            .at(
                                value.span,
                                "expressions see the variables of inventory files",
                            )
                            .help("put the variables into an inventory file that is read before"),
                        );
                    }
                }
                _ => problems.push(
                    Diagnostic::warning("SB0212", format!("`{}` is ignored", entry.key))
                        .at(entry.key_span, "not an option of a constructed inventory"),
                ),
            }
        }
        rules
    }
}

fn named(entry: &Entry, problems: &mut Problems) -> Vec<Named> {
    if entry.value.is_null() {
        return Vec::new();
    }
    let entries = problems.map(&entry.key, &entry.value).unwrap_or_default();
    let read = entries.iter().map(|entry| Named {
        name: entry.key.to_string(),
        value: entry.value.to_value(),
        span: entry.value.span,
    });
    read.collect()
}

impl Keyed {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        problems.map("keyed_groups", node)?;
        let text = |key: &str| node.entry(key).map(|e| plain(&e.value.to_value()));
        let given = |key: &str| node.entry(key).filter(|e| !e.value.is_null());
        let trailing = given("trailing_separator");
        if let (Some(trailing), Some(_)) = (trailing, given("default_value")) {
            problems.push(
                Diagnostic::error(
                    "SB0207",
                    "`default_value` and `trailing_separator` exclude each other",
                )
                .at(trailing.key_span, "both are given"),
            );
            return None;
        }
        Some(Self {
            key: node
                .entry("key")
                .map_or(Value::Null, |e| e.value.to_value()),
            prefix: text("prefix").unwrap_or_default(),
            separator: text("separator").unwrap_or_else(|| "_".to_owned()),
            default_value: given("default_value").map(|e| plain(&e.value.to_value())),
            has_trailing_separator: trailing
                .is_none_or(|entry| !matches!(entry.value.kind, Kind::Bool(false))),
            parent: node
                .entry("parent_group")
                .map_or(Value::Null, |e| e.value.to_value()),
            span: node.span,
        })
    }

    /// The names that a key makes, without the prefix.
    ///
    /// # Errors
    /// What is wrong with the key.
    fn names(&self, key: &Value) -> Result<Vec<String>, String> {
        let or_default = |value: &Value| match &self.default_value {
            Some(default) if is_empty(value) => default.clone(),
            _ => plain(value),
        };
        Ok(match key {
            key if self.uses_default(key) => vec![or_default(key)],
            Value::Str(text) => vec![text.as_str().to_owned()],
            Value::List(items) => items.iter().map(or_default).collect(),
            Value::Map(map) => map
                .iter()
                .map(|(name, value)| {
                    let is_bare = is_empty(value)
                        && self.default_value.is_none()
                        && !self.has_trailing_separator;
                    if is_bare {
                        name.clone()
                    } else {
                        format!("{name}{}{}", self.separator, or_default(value))
                    }
                })
                .collect(),
            other => {
                return Err(format!(
                    "a group's name must be a string, a list or a mapping, not {}",
                    other.type_name()
                ));
            }
        })
    }

    fn uses_default(&self, key: &Value) -> bool {
        is_empty(key) && self.default_value.is_some()
    }
}

/// What stands for `default_value`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Str(text) => text.as_str().is_empty(),
        _ => false,
    }
}

fn is_false(value: &Value) -> bool {
    match value {
        Value::Bool(is) => !is,
        Value::Int(i) => *i == 0,
        Value::Float(f) => *f == 0.0,
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Null | Value::Str(_) => is_empty(value),
    }
}

/// A value in a name, as Python's `%s` writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::Str(text) => text.as_str().to_owned(),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Float(f) => format!("{f:?}"),
        other => other.to_exposed_json().to_string(),
    }
}

/// A name that a variable could have too: what constructs groups allows no other.
fn safe(name: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let safe = name.char_indices().map(|(at, c)| {
        let is_bad = !is_word(c) || at == 0 && c.is_numeric();
        if is_bad { '_' } else { c }
    });
    safe.collect()
}

/// One host in the making.
struct Making<'a> {
    rules: &'a Rules,
    inventory: &'a mut Inventory,
    expressions: &'a dyn Expressions,
    problems: &'a mut Problems,
    host: usize,
    vars: Map,
}

impl Making<'_> {
    /// Whether the other hosts are to be made too.
    fn known(&self) -> Map {
        let mut vars = self.inventory.vars_so_far(self.host);
        if self.rules.sees_extra_vars {
            vars.extend(self.expressions.extra_vars().clone());
        }
        vars
    }

    fn host(&mut self) -> bool {
        self.vars = self.known();
        let rules = self.rules;
        let mut made = Map::new();
        for rule in &rules.compose {
            match self.evaluate(&rule.value) {
                Ok(value) => {
                    made.insert(rule.name.clone(), value);
                }
                Err(why) if rules.is_strict => {
                    return self.fails(&format!("`{}` cannot be set", rule.name), rule.span, &why);
                }
                // Not strict: variables may be missing on some hosts.
                Err(_) => {}
            }
        }
        self.inventory.set_host_vars(self.host, &made);
        self.vars = self.known();
        for rule in &rules.groups {
            match self.expressions.holds(&rule.value, &self.vars) {
                Ok(true) => {
                    self.inventory.join(&safe(&rule.name), self.host);
                }
                Err(why) if rules.is_strict => {
                    let what = format!("who is in `{}` cannot be told", rule.name);
                    return self.fails(&what, rule.span, &why);
                }
                Ok(false) | Err(_) => {}
            }
        }
        rules.keyed.iter().all(|keyed| self.keyed(keyed))
    }

    fn evaluate(&self, expression: &Value) -> Result<Value, String> {
        match expression.as_str() {
            Some(text) => self.expressions.evaluate(text, &self.vars),
            None => Err(format!(
                "an expression is a string, not {}",
                expression.type_name()
            )),
        }
    }

    /// Whether to go on.
    fn keyed(&mut self, keyed: &Keyed) -> bool {
        let key = match self.evaluate(&keyed.key) {
            Ok(key) => key,
            Err(why) if self.rules.is_strict => {
                return self.fails("no group can be made of this", keyed.span, &why);
            }
            Err(_) => return true,
        };
        if is_false(&key) && !keyed.uses_default(&key) {
            let is_collection = matches!(key, Value::List(_) | Value::Map(_));
            if self.rules.is_strict && !is_collection {
                return self.fails(
                    "no group can be made of this",
                    keyed.span,
                    "the key is empty",
                );
            }
            return true;
        }
        let parent = match self.expressions.render(&keyed.parent, &self.vars) {
            Ok(parent) => parent.filter(|parent| !is_false(parent)),
            Err(why) if self.rules.is_strict => {
                return self.fails("there is no parent group", keyed.span, &why);
            }
            Err(_) => return true,
        };
        let names = match keyed.names(&key) {
            Ok(names) => names,
            Err(why) => return self.fails("no group can be made of this", keyed.span, &why),
        };
        let has_separator = !keyed.prefix.is_empty() || self.rules.has_leading_separator;
        let separator = if has_separator { &*keyed.separator } else { "" };
        for name in names {
            let group = safe(&format!("{}{separator}{name}", keyed.prefix));
            if group.is_empty() {
                return self.fails("a group has no name", keyed.span, "the key is empty");
            }
            self.inventory.join(&group, self.host);
            if let Some(parent) = &parent
                && let Err(why) = self.inventory.add_child(&safe(&plain(parent)), &group)
            {
                return self.fails("there is no such parent group", keyed.span, &why);
            }
        }
        true
    }

    /// Says why nothing more is made.
    fn fails(&mut self, what: &str, at: Span, why: &str) -> bool {
        let host = self.inventory.host_name(self.host);
        self.problems
            .push(Diagnostic::error("SB0207", format!("{what} for the host `{host}`")).at(at, why));
        false
    }
}
