//! Host patterns and `--limit`.
//!
//! Source: ansible-core 2.19, `inventory/manager.py`: unions first, then all `&`, then all `!`.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use regex::Regex;

use super::address::parse_address;
use super::data::{Inventory, LOCALHOST};
use crate::diag::{Diagnostic, suggest};

/// The hosts of a pattern.
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// Their names, in inventory order of the first match.
    pub hosts: Vec<Arc<str>>,
    /// A warning for each part that matched nothing; the caller may make errors of them.
    pub unmatched: Vec<Diagnostic>,
}

/// Splits a pattern at commas, or at colons where it has none.
pub fn split_patterns(pattern: &str) -> Vec<String> {
    let parts: Vec<String> = if pattern.contains(',') {
        pattern.split(',').map(str::to_owned).collect()
    } else if parse_address(pattern).is_some() {
        vec![pattern.to_owned()]
    } else {
        split_colons(pattern)
    };
    parts
        .iter()
        .map(|p| p.trim().to_owned())
        .filter(|p| !p.is_empty())
        .collect()
}

/// Splits at colons and blanks that do not stand in brackets.
fn split_colons(pattern: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        if c == '['
            && let Some(end) = rest.find(']')
        {
            length = end + 1;
        }
        let (head, tail) = rest.split_at(length);
        rest = tail;
        match c {
            ':' | ']' => parts.push(String::new()),
            '[' if length == 1 => parts.push(String::new()),
            c if c.is_whitespace() => parts.push(String::new()),
            _ => {
                if let Some(last) = parts.last_mut() {
                    last.push_str(head);
                }
            }
        }
    }
    parts
}

/// The patterns of `--limit`; `@FILE` stands for the lines of a file.
///
/// # Errors
/// A file that cannot be read.
pub fn limit_patterns(limit: &str) -> Result<Vec<String>, Diagnostic> {
    let mut all = Vec::new();
    for part in split_patterns(limit) {
        let Some(name) = part.strip_prefix('@') else {
            all.push(part);
            continue;
        };
        let path = Path::new(name);
        let text = if path.is_dir() {
            Err("it must be a file, not a folder".to_owned())
        } else {
            std::fs::read_to_string(path).map_err(|error| error.to_string())
        };
        match text {
            Ok(text) => {
                all.extend(
                    text.lines()
                        .map(|l| l.trim().to_owned())
                        .filter(|l| !l.is_empty()),
                );
            }
            Err(why) => {
                return Err(Diagnostic::error(
                    "SB0210",
                    format!("the limit file `{name}` cannot be read: {why}"),
                ));
            }
        }
    }
    Ok(all)
}

impl Inventory {
    /// The hosts of a list of patterns, each of which may itself have several parts.
    ///
    /// # Errors
    /// A pattern that cannot be understood, or a subscript out of range.
    pub fn select(&self, patterns: &[String]) -> Result<Selected, Diagnostic> {
        let parts: Vec<String> = patterns.iter().flat_map(|p| split_patterns(p)).collect();
        self.select_parts(&parts)
    }

    /// Keeps of `hosts` those that the patterns of a limit select.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub fn limit(&self, hosts: &[Arc<str>], limit: &[String]) -> Result<Selected, Diagnostic> {
        let parts: Vec<String> = limit.iter().flat_map(|p| split_patterns(p)).collect();
        let mut selected = self.select_parts(&parts)?;
        let wanted: HashSet<&Arc<str>> = selected.hosts.iter().collect();
        let kept = hosts
            .iter()
            .filter(|h| wanted.contains(h))
            .cloned()
            .collect();
        selected.hosts = kept;
        Ok(selected)
    }

    fn select_parts(&self, parts: &[String]) -> Result<Selected, Diagnostic> {
        let of_kind = |kind: char| parts.iter().filter(move |p| p.starts_with(kind));
        let mut selected = Selected::default();
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        let regular: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|p| !p.starts_with(['&', '!']))
            .collect();
        let regular = if regular.is_empty() {
            vec!["all"]
        } else {
            regular
        };
        for part in regular {
            for host in self.part(part, &mut selected.unmatched)? {
                if seen.insert(host.clone()) {
                    selected.hosts.push(host);
                }
            }
        }
        for part in of_kind('&') {
            let that: HashSet<_> = self
                .part(&part[1..], &mut selected.unmatched)?
                .into_iter()
                .collect();
            selected.hosts.retain(|host| that.contains(host));
        }
        for part in of_kind('!') {
            let that: HashSet<_> = self
                .part(&part[1..], &mut selected.unmatched)?
                .into_iter()
                .collect();
            selected.hosts.retain(|host| !that.contains(host));
        }
        Ok(selected)
    }

    /// The hosts of one part without `&` and `!`.
    fn part(
        &self,
        part: &str,
        unmatched: &mut Vec<Diagnostic>,
    ) -> Result<Vec<Arc<str>>, Diagnostic> {
        if part.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(host) = self.host(part).filter(|host| !host.is_implicit) {
            return Ok(vec![host.name.clone()]);
        }
        let (expression, subscript) = split_subscript(part);
        let hosts = self.matches(expression, unmatched)?;
        apply(hosts, subscript).ok_or_else(|| {
            Diagnostic::error("SB0208", format!("`{part}` is out of range")).help(format!(
                "`{expression}` alone shows how many hosts there are"
            ))
        })
    }

    fn matches(
        &self,
        expression: &str,
        unmatched: &mut Vec<Diagnostic>,
    ) -> Result<Vec<Arc<str>>, Diagnostic> {
        let has_glob = expression.contains(['.', '?', '*', '[']) || expression.starts_with('~');
        let mut hosts: Vec<Arc<str>> = Vec::new();
        let mut has_group = false;
        if has_glob {
            let regex = regex_of(expression)?;
            for group in self.groups().filter(|name| regex.is_match(name)) {
                has_group = true;
                hosts.extend(self.group_hosts(group).iter().cloned());
            }
            hosts.extend(self.hosts().filter(|name| regex.is_match(name)).cloned());
            let mut seen = HashSet::new();
            hosts.retain(|host| seen.insert(host.clone()));
        } else if self.has_group(expression) {
            has_group = true;
            hosts.extend(self.group_hosts(expression).iter().cloned());
        }
        if hosts.is_empty() && LOCALHOST.contains(&expression) {
            hosts.extend(self.host(expression).map(|host| {
                if host.is_implicit {
                    Arc::from(expression)
                } else {
                    host.name.clone()
                }
            }));
        }
        if hosts.is_empty() && !has_group && expression != "all" {
            let names = self.groups().chain(self.hosts()).map(|name| &**name);
            let mut problem = Diagnostic::warning(
                "SB0209",
                format!("no host and no group matches `{expression}`"),
            );
            problem.help = suggest(expression, names).map(|near| format!("did you mean `{near}`?"));
            unmatched.push(problem);
        }
        Ok(hosts)
    }
}

#[derive(Clone, Copy)]
enum Subscript {
    One(i64),
    Range(usize, Option<usize>),
}

fn split_subscript(part: &str) -> (&str, Option<Subscript>) {
    let none = (part, None);
    if part.starts_with('~') {
        return none;
    }
    let Some((head, inner)) = part.strip_suffix(']').and_then(|p| p.rsplit_once('[')) else {
        return none;
    };
    if head.is_empty() {
        return none;
    }
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if is_digits(inner.strip_prefix('-').unwrap_or(inner)) {
        return inner
            .parse()
            .map_or(none, |n| (head, Some(Subscript::One(n))));
    }
    let Some((start, end)) = inner.split_once([':', '-']) else {
        return none;
    };
    if !is_digits(start) || !(end.is_empty() || is_digits(end)) {
        return none;
    }
    match (start.parse(), end.parse()) {
        (Ok(start), end) => (head, Some(Subscript::Range(start, end.ok()))),
        _ => none,
    }
}

fn apply(hosts: Vec<Arc<str>>, subscript: Option<Subscript>) -> Option<Vec<Arc<str>>> {
    if hosts.is_empty() {
        return Some(hosts);
    }
    match subscript {
        None => Some(hosts),
        Some(Subscript::One(n)) => {
            let index = if n < 0 {
                i64::try_from(hosts.len()).ok()? + n
            } else {
                n
            };
            hosts
                .get(usize::try_from(index).ok()?)
                .map(|host| vec![host.clone()])
        }
        // `[3:0]` is one host in Ansible, as an end of 0 counts as none given.
        Some(Subscript::Range(start, Some(0))) => hosts.get(start).map(|host| vec![host.clone()]),
        Some(Subscript::Range(start, end)) => {
            let end = end.map_or(hosts.len(), |end| end.saturating_add(1).min(hosts.len()));
            Some(
                hosts
                    .get(start..end.max(start))
                    .map(<[_]>::to_vec)
                    .unwrap_or_default(),
            )
        }
    }
}

/// The regular expression of a `~regex` (matches at the start) or glob (matches as a whole).
fn regex_of(expression: &str) -> Result<Regex, Diagnostic> {
    let pattern = match expression.strip_prefix('~') {
        Some(regex) => format!("^(?:{regex})"),
        None => glob(expression),
    };
    Regex::new(&pattern).map_err(|error| {
        let why = error.to_string();
        let why = why
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned();
        Diagnostic::error(
            "SB0208",
            format!("`{expression}` is no host pattern: {why}"),
        )
    })
}

/// Python's `fnmatch.translate`.
fn glob(text: &str) -> String {
    let mut out = String::from("(?s)^");
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                let inner = &text[at + 1..];
                let skip = inner.starts_with('!').into();
                let skip: usize = if inner[skip..].starts_with(']') {
                    skip + 1
                } else {
                    skip
                };
                match inner[skip..].find(']').map(|end| end + skip) {
                    Some(end) => {
                        let body = &inner[..end];
                        let (not, body) = body.strip_prefix('!').map_or(("", body), |b| ("^", b));
                        let body = body
                            .replace('\\', r"\\")
                            .replace('[', r"\[")
                            .replace(']', r"\]");
                        let body = body
                            .replace('^', r"\^")
                            .replace('&', r"\&")
                            .replace('~', r"\~");
                        out.extend(["[", not, &body, "]"]);
                        for _ in 0..text[at + 1..=at + 1 + end].chars().count() {
                            chars.next();
                        }
                    }
                    None => out.push_str(r"\["),
                }
            }
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('$');
    out
}
