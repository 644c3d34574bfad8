//! Inventories in INI form.
//!
//! Source: ansible-core 2.19, `plugins/inventory/ini.py`, and Python's `shlex` for host lines.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use regex::Regex;

use super::data::Inventory;
use super::literal::literal_eval;
use super::source::expand_host;
use crate::diag::{Diagnostic, FileId, Span};
use crate::value::Map;

static SECTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$")
        .expect("invariant: the pattern is a constant that compiles")
});

#[derive(Clone, Copy, PartialEq)]
enum State {
    Hosts,
    Children,
    Vars,
}

/// A group that was named and is not declared yet.
struct Pending {
    span: Span,
    is_vars: bool,
    parents: Vec<String>,
}

/// Adds what a text says to the inventory.
pub(super) fn read(
    inventory: &mut Inventory,
    file: FileId,
    text: &str,
    source: &Arc<Path>,
) -> Vec<Diagnostic> {
    let mut reader = Ini {
        inventory,
        source,
        problems: Vec::new(),
        pending: IndexMap::new(),
        group: "ungrouped".into(),
        state: State::Hosts,
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let offset = start + line.len() - line.trim_start().len();
        start += line.len();
        if trimmed.is_empty() || trimmed.starts_with([';', '#']) {
            continue;
        }
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let length = u32::try_from(trimmed.len()).unwrap_or(0);
        reader.line(
            trimmed,
            Span {
                file,
                start: offset,
                end: offset.saturating_add(length),
            },
        );
    }
    reader.finish()
}

struct Ini<'a> {
    inventory: &'a mut Inventory,
    source: &'a Arc<Path>,
    problems: Vec<Diagnostic>,
    pending: IndexMap<String, Pending>,
    group: String,
    state: State,
}

impl Ini<'_> {
    fn bad(&mut self, span: Span, message: impl Into<String>, label: impl Into<String>) {
        self.problems
            .push(Diagnostic::error("SB0202", message).at(span, label));
    }

    fn line(&mut self, line: &str, span: Span) {
        if let Some(captures) = SECTION.captures(line) {
            let kind = captures.get(2).map(|m| m.as_str());
            self.section(&captures[1], kind, span);
        } else if line.starts_with('[') && line.ends_with(']') {
            self.bad(
                span,
                "this is no section",
                "a section is `[GROUP]`, `[GROUP:children]` or `[GROUP:vars]`, without blanks",
            );
        } else {
            match self.state {
                State::Hosts => self.host(line, span),
                State::Vars => self.var(line, span),
                State::Children => self.child(line, span),
            }
        }
    }

    fn section(&mut self, group: &str, kind: Option<&str>, span: Span) {
        self.state = match kind {
            None | Some("hosts") => State::Hosts,
            Some("children") => State::Children,
            Some("vars") => State::Vars,
            Some(other) => {
                let near = crate::diag::suggest(other, ["hosts", "children", "vars"]);
                let mut problem =
                    Diagnostic::error("SB0202", format!("a section cannot be of type `{other}`"))
                        .at(span, "not `hosts`, `children` or `vars`");
                problem.help = near.map(|near| format!("did you mean `{near}`?"));
                self.problems.push(problem);
                State::Hosts
            }
        };
        group.clone_into(&mut self.group);
        let is_vars = self.state == State::Vars;
        if !self.inventory.has_group(group) {
            if is_vars && !self.pending.contains_key(group) {
                let pending = Pending {
                    span,
                    is_vars,
                    parents: Vec::new(),
                };
                self.pending.insert(group.to_owned(), pending);
            }
            self.inventory.group_index(group);
        }
        if !is_vars && self.pending.contains_key(group) {
            self.declare(group);
        }
    }

    /// Hangs a group that was named before under its parents.
    fn declare(&mut self, group: &str) {
        let Some(pending) = self.pending.shift_remove(group) else {
            return;
        };
        for parent in pending.parents {
            self.add_child(&parent, group, pending.span);
            if self.pending.get(&parent).is_some_and(|p| !p.is_vars) {
                self.declare(&parent);
            }
        }
    }

    fn add_child(&mut self, parent: &str, child: &str, span: Span) {
        if let Err(why) = self.inventory.add_child(parent, child) {
            self.problems.push(
                Diagnostic::error(
                    "SB0205",
                    format!("`{child}` cannot be a child of `{parent}`"),
                )
                .at(span, why),
            );
        }
    }

    fn child(&mut self, line: &str, span: Span) {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() || word.contains(|c: char| c.is_whitespace() || c == ':' || c == ']') {
            self.bad(
                span,
                "this is no name of a group",
                "one group is named on each line of `:children`",
            );
            return;
        }
        let parent = self.group.clone();
        // A group that only has `:vars` so far exists and is pending for another reason.
        if self.inventory.has_group(word) {
            self.add_child(&parent, word, span);
        } else {
            let pending = self
                .pending
                .entry(word.to_owned())
                .or_insert_with(|| Pending {
                    span,
                    is_vars: false,
                    parents: Vec::new(),
                });
            pending.parents.push(parent);
        }
    }

    fn var(&mut self, line: &str, span: Span) {
        match line.split_once('=') {
            Some((key, value)) => {
                let group = self.group.clone();
                self.inventory
                    .set_group_var(&group, key.trim(), literal_eval(value.trim()));
            }
            None => self.bad(span, "this is no variable", "expected `NAME=VALUE`"),
        }
    }

    fn host(&mut self, line: &str, span: Span) {
        let words = match words(line) {
            Ok(words) => words,
            Err(why) => {
                self.bad(span, "this host line cannot be split", why);
                return;
            }
        };
        let Some((name, rest)) = words.split_first() else {
            return;
        };
        if name == "---" {
            self.bad(span, "`---` is no host", "this looks like a YAML file");
            return;
        }
        if name.ends_with(':') {
            self.bad(
                span,
                format!("`{name}` is no host"),
                "a `:` must be followed by a port",
            );
            return;
        }
        let mut vars = Map::new();
        for word in rest {
            match word.split_once('=') {
                Some((key, value)) => {
                    vars.insert(key.to_owned(), literal_eval(value));
                }
                None => {
                    self.bad(
                        span,
                        format!("`{word}` is no variable"),
                        "expected `NAME=VALUE` after the host",
                    );
                }
            }
        }
        let (names, port) = match expand_host(name) {
            Ok(found) => found,
            Err(why) => {
                self.problems.push(
                    Diagnostic::error("SB0204", format!("`{name}` is no host range")).at(span, why),
                );
                return;
            }
        };
        let group = self.group.clone();
        for name in names {
            let host = self.inventory.host_index(&name, port, Some(self.source));
            self.inventory.join(&group, host);
            self.inventory.set_host_vars(host, &vars);
        }
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        for (name, pending) in &self.pending {
            let why = if pending.is_vars {
                "it has variables and is defined nowhere"
            } else {
                "named here and defined nowhere"
            };
            let known: Vec<&str> = self
                .inventory
                .groups()
                .map(|g| &**g)
                .filter(|g| g != name)
                .collect();
            let mut problem = Diagnostic::error("SB0203", format!("there is no group `{name}`"))
                .at(pending.span, why);
            problem.help = Some(crate::diag::suggest(name, known).map_or_else(
                || format!("add a section `[{name}]`"),
                |near| format!("did you mean `{near}`?"),
            ));
            self.problems.push(problem);
        }
        self.problems
    }
}

/// Splits a host line as Python's `shlex` does with comments: a `#` outside of quotes ends it,
/// even within a word.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => break,
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quote is not closed")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quote is not closed")? {
                        '"' => break,
                        '\\' => {
                            let c = chars.next().ok_or("a quote is not closed")?;
                            if !matches!(c, '"' | '\\') {
                                word.push('\\');
                            }
                            word.push(c);
                        }
                        c => word.push(c),
                    }
                }
            }
            '\\' => word
                .get_or_insert_default()
                .push(chars.next().ok_or("nothing follows the `\\`")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn host_lines_are_split_as_python_splits_them() {
        assert_eq!(
            words("a b='x y' c=\"1 \\\" 2\" d=\\ e").unwrap(),
            ["a", "b=x y", "c=1 \" 2", "d= e"]
        );
        assert_eq!(words("a p=x#y z").unwrap(), ["a", "p=x"]);
        assert_eq!(words("a v='' # c").unwrap(), ["a", "v="]);
        assert!(words("a 'b").is_err());
    }
}
