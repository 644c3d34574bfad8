//! The sources of an inventory: files, folders, lists of names.
//!
//! Source: ansible-core 2.19, `inventory/manager.py:parse_source`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::address::parse_address;
use super::constructed::{self, Expressions};
use super::data::Inventory;
use super::{ini, range, yaml};
use crate::diag::{Diagnostic, Severity, SourceMap};
use crate::syntax::read_document;

/// Names in a folder that are no sources.
const IGNORED_NAMES: &[&str] = &["host_vars", "group_vars", "vars_plugins"];

/// Endings of names in a folder that are no sources.
const IGNORED_ENDINGS: &[&str] = &[
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
];

/// Names of hosts and the port that stand for a host pattern of an inventory.
pub(super) fn expand_host(pattern: &str) -> Result<(Vec<String>, Option<u32>), String> {
    let (name, port) = parse_address(pattern).unwrap_or((pattern, None));
    let names = if name.contains('[') {
        range::expand(name)?
    } else {
        vec![name.to_owned()]
    };
    Ok((names, port))
}

/// What becomes of sources that cannot be parsed.
#[derive(Clone, Copy, Debug)]
pub struct Unparsed {
    /// One is too many.
    pub any_is_failed: bool,
    /// At least one has to be parsed.
    pub all_is_failed: bool,
}

/// Codes of problems that only say that a source cannot be parsed.
const UNPARSABLE: &[&str] = &[
    "SB0001", "SB0101", "SB0201", "SB0202", "SB0203", "SB0204", "SB0205", "SB0206", "SB0207",
];

fn unparsable(source: &str) -> Diagnostic {
    Diagnostic::error(
        "SB0201",
        format!("unable to parse {source} as an inventory source"),
    )
}

/// Whether a folder, or one in it, holds nothing.
fn has_empty_folder(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else {
        return false;
    };
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.is_empty() || paths.iter().any(|path| has_empty_folder(path))
}

/// What reading a source needs besides the source.
struct Reading<'a> {
    texts: &'a mut SourceMap,
    expressions: Option<&'a dyn Expressions>,
}

impl Inventory {
    /// Reads all sources (the values of `-i`) and the `group_vars` and `host_vars` beside them and
    /// beside the playbook. Gives warnings with the inventory.
    ///
    /// # Errors
    /// All problems of all sources.
    pub fn read(
        sources: &[String],
        playbook_folder: Option<&Path>,
        texts: &mut SourceMap,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        Self::read_with(sources, playbook_folder, texts, None)
    }

    /// As [`Self::read`], with what evaluates the expressions of constructed inventories.
    ///
    /// # Errors
    /// All problems of all sources.
    pub fn read_with(
        sources: &[String],
        playbook_folder: Option<&Path>,
        texts: &mut SourceMap,
        expressions: Option<&dyn Expressions>,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut reading = Reading { texts, expressions };
        let mut inventory = Self::default();
        let mut problems = Vec::new();
        let mut folders = Vec::new();
        for source in sources {
            if source.contains(',') && !Path::new(source).exists() {
                problems.extend(inventory.list(source));
                continue;
            }
            let path = PathBuf::from(source);
            folders.push(if path.is_dir() {
                path.clone()
            } else {
                folder_of(&path)
            });
            problems.extend(inventory.source(&path, &mut reading));
        }
        inventory.reconcile();
        problems.extend(
            inventory
                .files
                .read(&folders, playbook_folder, reading.texts),
        );
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(problems);
        }
        Ok((inventory, problems))
    }

    /// As [`Self::read_with`], but what cannot be parsed is left out with a warning, as in Ansible.
    ///
    /// # Errors
    /// All problems, where they are more than sources that cannot be parsed, or where `unparsed`
    /// does not forgive those.
    pub fn read_forgiving(
        sources: &[String],
        playbook_folder: Option<&Path>,
        texts: &mut SourceMap,
        expressions: Option<&dyn Expressions>,
        unparsed: Unparsed,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        if unparsed.any_is_failed {
            let empty = sources
                .iter()
                .find(|source| has_empty_folder(Path::new(source)));
            if let Some(source) = empty {
                return Err(vec![unparsable(source)]);
            }
        }
        let problems = match Self::read_with(sources, playbook_folder, texts, expressions) {
            Ok((inventory, _)) if unparsed.all_is_failed && inventory.hosts().next().is_none() => {
                return Err(vec![Diagnostic::error("SB0201", "no inventory was parsed")]);
            }
            Ok(read) => return Ok(read),
            Err(problems) => problems,
        };
        let (mut fine, mut warnings) = (Vec::new(), Vec::new());
        for source in sources {
            let alone = std::slice::from_ref(source);
            match Self::read_with(alone, None, texts, expressions) {
                Ok(_) => fine.push(source.clone()),
                Err(found) if found.iter().all(|p| UNPARSABLE.contains(&p.code)) => {
                    let problems = found.into_iter().chain([unparsable(source)]);
                    warnings.extend(problems.map(|problem| Diagnostic {
                        severity: Severity::Warning,
                        ..problem
                    }));
                }
                Err(_) => return Err(problems),
            }
        }
        let has_failed = unparsed.any_is_failed || unparsed.all_is_failed && fine.is_empty();
        if has_failed || warnings.is_empty() {
            return Err(problems);
        }
        if fine.is_empty() {
            warnings.push(Diagnostic::warning(
                "SB0201",
                "no inventory was parsed, only implicit localhost is available",
            ));
        }
        let (inventory, more) = Self::read_with(&fine, playbook_folder, texts, expressions)?;
        warnings.extend(more);
        Ok((inventory, warnings))
    }

    fn list(&mut self, source: &str) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for name in source
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match expand_host(name) {
                Ok((names, port)) => {
                    for name in names {
                        let host = self.host_index(&name, port, None);
                        self.join("ungrouped", host);
                    }
                }
                Err(why) => problems.push(Diagnostic::error(
                    "SB0204",
                    format!("`{name}` in the list of hosts is no host range: {why}"),
                )),
            }
        }
        problems
    }

    fn source(&mut self, path: &Path, reading: &mut Reading<'_>) -> Vec<Diagnostic> {
        if !path.is_dir() {
            return self.file(path, reading);
        }
        let mut problems = Vec::new();
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return vec![unreadable(path, &error.to_string())],
        };
        let mut names: Vec<_> = entries.filter_map(|e| Some(e.ok()?.file_name())).collect();
        names.sort();
        for name in names {
            let text = name.to_string_lossy();
            let is_ignored = text.starts_with('.')
                || IGNORED_NAMES.contains(&&*text)
                || IGNORED_ENDINGS.iter().any(|ending| text.ends_with(ending));
            if !is_ignored {
                problems.extend(self.source(&path.join(&name), reading));
            }
        }
        problems
    }

    fn file(&mut self, path: &Path, reading: &mut Reading<'_>) -> Vec<Diagnostic> {
        if super::script::is_script(path) && !is_readable_as_file(path) {
            return super::script::read(self, path);
        }
        let text = match std::fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => return vec![unreadable(path, "it is not UTF-8")],
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return vec![
                    unreadable(path, "there is no such file")
                        .help("a list of hosts has a comma: `-i host1,`"),
                ];
            }
            Err(error) => return vec![unreadable(path, &error.to_string())],
        };
        if text.starts_with("#!") && !super::script::is_script(path) {
            return vec![
                Diagnostic::error(
                    "SB0207",
                    format!("`{}` is a script that may not be run", path.display()),
                )
                .help("`chmod +x` makes it a program"),
            ];
        }
        let source: Arc<Path> = path.into();
        let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
        match extension.as_deref() {
            Some("yml" | "yaml" | "json") => self.yaml(path, text, &source, reading, true),
            Some("toml") => vec![Diagnostic::error(
                "SB0207",
                format!(
                    "`{}` is a TOML inventory, which is not supported",
                    path.display()
                ),
            )],
            None | Some("config") => self.yaml(path, text, &source, reading, false),
            Some(_) => {
                let file = reading.texts.add(path, text.as_str());
                ini::read(self, file, &text, &source)
            }
        }
    }

    /// Reads a file as YAML; without an ending that says so, as INI if it is not a YAML mapping.
    fn yaml(
        &mut self,
        path: &Path,
        text: String,
        source: &Arc<Path>,
        reading: &mut Reading<'_>,
        is_sure: bool,
    ) -> Vec<Diagnostic> {
        let (node, mut problems) = read_document(reading.texts, path, text);
        let is_mapping = problems.is_empty() && node.as_map().is_some();
        if !is_sure && !is_mapping {
            let file = node.span.file;
            let text = reading
                .texts
                .text(file)
                .cloned()
                .unwrap_or_else(|| "".into());
            if text.starts_with("$ANSIBLE_VAULT;") {
                return problems;
            }
            return ini::read(self, file, &text, source);
        }
        if let Some(plugin) = node.entry("plugin") {
            let name = plugin.value.as_str().map_or("", |name| &**name);
            match reading.expressions {
                Some(expressions) if constructed::is_constructed(name) => {
                    problems.extend(constructed::read(self, &node, expressions));
                }
                _ => problems.push(
                    Diagnostic::error("SB0207", "inventory plugins are not supported")
                        .at(plugin.value.span, "this file configures one")
                        .help("`constructed` is the one that is"),
                ),
            }
        } else if is_mapping {
            let text = reading.texts.text(node.span.file).cloned();
            let text = text.unwrap_or_else(|| "".into());
            problems.extend(yaml::read(self, &node, source, &text));
        } else if problems.is_empty() {
            problems.push(
                Diagnostic::error("SB0206", "a YAML inventory must be a mapping of groups")
                    .at(node.span, format!("found {}", node.type_name())),
            );
        }
        problems
    }
}

/// A program without `#!` and with an ending of its own is a file with a wrong mode.
fn is_readable_as_file(path: &Path) -> bool {
    let is_named = path
        .extension()
        .is_some_and(|e| matches!(e.to_str(), Some("yml" | "yaml" | "json" | "ini" | "toml")));
    let starts = std::fs::read(path)
        .is_ok_and(|bytes| bytes.starts_with(b"#!") || bytes.starts_with(b"\x7fELF"));
    !starts && (is_named || std::fs::read_to_string(path).is_ok())
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

fn unreadable(path: &Path, why: &str) -> Diagnostic {
    Diagnostic::error(
        "SB0201",
        format!("the inventory `{}` cannot be read: {why}", path.display()),
    )
}
