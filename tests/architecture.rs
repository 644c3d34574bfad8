//! The shape of the source: layers and their arrows, sizes, and lists that must agree.
//!
//! Reads the text of `src/`; a finding names its file, its line and the rule.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, lowest first, and what each may use. `layer::Item` allows that item only.
const LAYERS: &[(&str, &[&str])] = &[
    ("diag", &[]),
    ("value", &[]),
    ("vault", &[]),
    ("syntax", &["diag", "value"]),
    ("model", &["diag", "value", "syntax"]),
    ("inventory", &["diag", "value", "syntax", "model"]),
    ("vars", &["diag", "value", "syntax", "model", "inventory"]),
    ("template", &["diag", "value", "syntax", "vars"]),
    ("script", &["value"]),
    ("modules", &["diag", "value", "script"]),
    (
        "plan",
        &[
            "diag",
            "value",
            "syntax",
            "model",
            "inventory",
            "vars",
            "template",
            "script",
            "modules",
        ],
    ),
    // What is streamed to a host is a module's `Source`; ids are the model's.
    ("transport", &["diag", "script", "modules::Source", "model"]),
    // A failed task is said with its place.
    ("event", &["value", "model", "diag::Place"]),
    // An intent holds the acts that undo it.
    (
        "journal",
        &["diag", "event", "model", "modules", "script", "value"],
    ),
    (
        "exec",
        &[
            "diag",
            "value",
            "syntax",
            "model",
            "inventory",
            "vars",
            "template",
            "script",
            "modules",
            "plan",
            "transport",
            "event",
            "journal",
        ],
    ),
    ("report", &["diag", "event", "value", "model"]),
    // Of the engine it knows only what is asked.
    (
        "console",
        &["diag", "event", "report", "exec::ask", "value", "model"],
    ),
    (
        "cli",
        &[
            "diag",
            "value",
            "syntax",
            "model",
            "inventory",
            "vars",
            "template",
            "script",
            "modules",
            "plan",
            "transport",
            "event",
            "journal",
            "exec",
            "report",
            "console",
            "vault",
        ],
    ),
];

/// Crates that one layer wraps: nobody else names them.
const WRAPPED: &[(&str, &[&str])] = &[
    ("aes", &["vault"]),
    ("aho_corasick", &["value"]),
    ("annotate_snippets", &["diag"]),
    ("chacha20poly1305", &["journal"]),
    ("clap", &["cli"]),
    ("ctr", &["vault"]),
    ("dialoguer", &["console"]),
    ("indicatif", &["console"]),
    ("minijinja", &["template"]),
    ("minijinja_contrib", &["template"]),
    ("openssh", &["transport"]),
    ("pbkdf2", &["vault"]),
    ("quick_junit", &["report"]),
    // Documentation and types of arguments: of modules, and of actions on the controller.
    ("schemars", &["modules", "plan", "value"]),
    // Playbooks with places in `syntax`; `from_yaml` reads text in which places mean nothing.
    ("serde_saphyr", &["syntax", "template"]),
    ("similar", &["modules"]),
    ("strsim", &["diag"]),
];

const LINES_OF_A_FILE_MAX: usize = 600;
const LINES_OF_A_FUNCTION_MAX: usize = 70;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[
    (
        "src/modules/apt.rs",
        "apt has more arguments and ways to fail than any other module",
    ),
    (
        "src/modules/service.rs",
        "two programs (systemctl, service) with one result; the pairs belong together",
    ),
    (
        "src/modules/user.rs",
        "useradd and usermod take every argument in a way of their own",
    ),
    (
        "src/modules/wait_for.rs",
        "one script waits for ports, files and connections, and its parts share variables",
    ),
];

/// Functions that may be longer, and why.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[
    (
        "src/exec/asking.rs",
        "pass_gate",
        "the order of question, conditions and record at a point of no return is the promise",
    ),
    (
        "src/exec/driver.rs",
        "carry_out",
        "one match over all effects, an arm each",
    ),
    (
        "src/model/read/task.rs",
        "act",
        "one match over all actions, an arm each",
    ),
    (
        "src/modules/copy_tree.rs",
        "file",
        "the cases of one file, in the order of the check",
    ),
    (
        "src/modules/http.rs",
        "curl",
        "a list of curl's options, a line or two each",
    ),
    (
        "src/modules/ssh_keys.rs",
        "decide",
        "the cases of one decision, in the order of the check",
    ),
    (
        "src/modules/sysctl.rs",
        "decide",
        "the cases of one decision, in the order of the check",
    ),
    (
        "src/modules/uri.rs",
        "request",
        "a list of the arguments that become a request",
    ),
    (
        "src/modules/user.rs",
        "creation",
        "a list of useradd's options, a line or two each",
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the source.
struct Source {
    /// Relative to the package.
    path: String,
    layer: String,
    /// Lines before the test module at its end, if it has one.
    lines: Vec<String>,
    /// Whether the whole file is only there for tests.
    is_test: bool,
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, &mut paths);
        }
    }
    paths.sort();
    let mut found: Vec<Source> = paths.iter().map(|path| source(path)).collect();
    let tests: BTreeSet<String> = found.iter().flat_map(test_modules).collect();
    for source in &mut found {
        source.is_test = tests.contains(&source.path);
    }
    assert!(found.len() > 100, "the source was not found");
    found
}

fn rust_files(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

fn source(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    lines.truncate(tests.unwrap_or(lines.len()));
    let path = path.strip_prefix(root()).unwrap();
    Source {
        path: path.display().to_string(),
        layer: path.iter().nth(1).unwrap().to_str().unwrap().to_owned(),
        lines,
        is_test: false,
    }
}

/// The files of modules that a file declares under `#[cfg(test)]`.
fn test_modules(source: &Source) -> Vec<String> {
    let path = Path::new(&source.path);
    let folder = if path.file_name().unwrap() == "mod.rs" {
        path.parent().unwrap().to_owned()
    } else {
        path.with_extension("")
    };
    let mut found = Vec::new();
    for pair in source.lines.windows(2) {
        let name = pair[1].trim_start_matches("pub(super) ");
        let name = name.strip_prefix("mod ").and_then(|n| n.strip_suffix(';'));
        if let ("#[cfg(test)]", Some(name)) = (pair[0].as_str(), name) {
            found.push(folder.join(format!("{name}.rs")).display().to_string());
        }
    }
    found
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Names used as `crate::LAYER::ITEM` in a piece of code; the item is empty where there is none.
fn uses(code: &str) -> Vec<(String, String)> {
    let name = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let layer = name(rest);
        let Some(below) = rest[layer.len()..].strip_prefix("::") else {
            found.push((layer, String::new()));
            continue;
        };
        let Some(list) = below.strip_prefix('{') else {
            found.push((layer, name(below)));
            continue;
        };
        let (mut depth, mut is_start) = (0, true);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_start = true,
                c if is_start && (c.is_alphanumeric() || c == '_') => {
                    found.push((layer.clone(), name(&list[at..])));
                    is_start = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn is_allowed(layer: &str, used: &str, item: &str) -> bool {
    let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == layer).unwrap();
    layer == used
        || allowed.contains(&used)
        || allowed.contains(&format!("{used}::{item}").as_str())
}

#[test]
fn every_arrow_between_layers_is_allowed() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in numbered(&source) {
            // A list that was wrapped ends some lines below.
            let code: String = if line.ends_with('{') && line.contains("crate::") {
                let rest = source.lines[number - 1..].iter();
                let whole: Vec<&str> = rest.take(30).map(String::as_str).collect();
                let end = whole.iter().position(|l| l.trim_end().ends_with("};"));
                whole[..=end.unwrap_or(0)].concat()
            } else {
                line.to_owned()
            };
            for (used, item) in uses(&code) {
                if !is_allowed(&source.layer, &used, &item) {
                    wrong.push(format!(
                        "{}:{number}: `{}` may not use `{used}::{item}`",
                        source.path, source.layer
                    ));
                }
            }
            if let Some(why) = climbs_out(&source, line) {
                wrong.push(format!("{}:{number}: {why}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn numbered(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let lines = source.lines.iter().enumerate();
    lines
        .map(|(index, line)| (index + 1, line.as_str()))
        .filter(|(_, line)| !is_comment(line))
}

/// `super::super::…` up to the crate would be an arrow that nobody sees.
fn climbs_out(source: &Source, line: &str) -> Option<String> {
    let parts = Path::new(&source.path).iter().count() - 1;
    let depth = if source.path.ends_with("/mod.rs") {
        parts - 1
    } else {
        parts
    };
    line.contains(&"super::".repeat(depth)).then(|| {
        format!("{depth} times `super::` leaves the layer; say `crate::`, so that it is seen")
    })
}

#[test]
fn layers_are_declared_in_order_and_use_only_lower_ones() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let names: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(declared, names);
    for (index, (layer, allowed)) in LAYERS.iter().enumerate() {
        for other in *allowed {
            let other = other.split("::").next().unwrap();
            assert!(names[..index].contains(&other), "{layer} uses {other}");
        }
    }
    let folders: BTreeSet<String> = sources().into_iter().map(|s| s.layer).collect();
    assert_eq!(folders, names.iter().map(ToString::to_string).collect());
}

#[test]
fn a_wrapped_crate_is_named_by_its_layer_only() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test) {
        for (number, line) in numbered(source) {
            for (name, layers) in WRAPPED {
                let is_named = line.match_indices(&format!("{name}::")).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_:.".contains(c))
                });
                if is_named && !layers.contains(&source.layer.as_str()) {
                    wrong.push(format!(
                        "{}:{number}: `{name}` belongs to {}",
                        source.path,
                        layers.join(", ")
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn mod_rs_of_a_layer_only_declares() {
    let mut wrong = Vec::new();
    for (layer, _) in LAYERS {
        let path = root().join(format!("src/{layer}/mod.rs"));
        for (number, line) in numbered(&source(&path)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let is_item = ["fn", "impl", "struct", "enum", "trait", "impl<"]
                .iter()
                .any(|word| words.contains(word));
            if is_item {
                wrong.push(format!("src/{layer}/mod.rs:{number}: {line}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a layer's `mod.rs` declares and re-exports:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn files_are_short() {
    let exceptions: BTreeMap<&str, &str> = LONG_FILES.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test) {
        let lines = source.lines.len();
        let is_exception = exceptions.contains_key(source.path.as_str());
        if lines > LINES_OF_A_FILE_MAX && !is_exception {
            wrong.push(format!("{}: {lines} lines", source.path));
        }
        if lines <= LINES_OF_A_FILE_MAX && is_exception {
            wrong.push(format!("{}: is no exception any more", source.path));
        }
    }
    wrong.extend(gone(LONG_FILES.iter().map(|(path, _)| *path)));
    assert!(
        wrong.is_empty(),
        "at most {LINES_OF_A_FILE_MAX} lines without tests:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn functions_are_short() {
    let mut exceptions: BTreeSet<String> = LONG_FUNCTIONS
        .iter()
        .map(|(path, name, _)| format!("{path}: {name}"))
        .collect();
    let mut wrong = Vec::new();
    let all = sources();
    for source in all.iter().filter(|s| !s.is_test) {
        for (number, name, lines) in functions(&source.lines) {
            if lines > LINES_OF_A_FUNCTION_MAX
                && !exceptions.remove(&format!("{}: {name}", source.path))
            {
                wrong.push(format!("{}:{number}: {name}: {lines} lines", source.path));
            }
        }
    }
    for left in exceptions {
        wrong.push(format!("{left}: is no exception any more"));
    }
    assert!(
        wrong.is_empty(),
        "at most {LINES_OF_A_FUNCTION_MAX} lines:\n{}",
        wrong.join("\n")
    );
}

fn gone<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    paths
        .filter(|path| !root().join(path).exists())
        .map(|path| format!("{path}: is an exception and does not exist"))
        .collect()
}

/// Line, name and length of each function; the source is as rustfmt leaves it.
fn functions(lines: &[String]) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let Some((before, after)) = code.split_once("fn ") else {
            continue;
        };
        let is_declaration = before
            .split_whitespace()
            .all(|w| w.starts_with("pub") || ["async", "const", "unsafe"].contains(&w));
        if !is_declaration || is_comment(line) {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[index..]
            .iter()
            .position(|l| *l == close || (l.ends_with(';') && l.starts_with(&close)))
            .map_or(1, |end| end + 1);
        // A declaration without a body, or one on a single line.
        let first_end = lines[index..]
            .iter()
            .position(|l| l.ends_with('{') || l.ends_with(';') || l.ends_with('}'));
        let has_body = first_end.is_some_and(|end| lines[index + end].ends_with('{'));
        let name: String = after
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        found.push((index + 1, name, if has_body { length } else { 1 }));
    }
    found
}

#[test]
fn every_module_is_in_the_registry() {
    let registry = fs::read_to_string(root().join("src/modules/registry.rs")).unwrap();
    let (_, list) = registry.split_once("\nmodules![").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let registered: BTreeSet<String> = list
        .split(',')
        .map(|entry| entry.trim().to_owned())
        .filter(|entry| !entry.is_empty())
        .collect();
    let mut written = BTreeSet::new();
    for source in sources()
        .iter()
        .filter(|s| s.layer == "modules" && !s.is_test)
    {
        for line in &source.lines {
            if let Some(rest) = line.strip_prefix("impl Module for ") {
                let name = rest.trim_end_matches(" {");
                let file = source.path.trim_start_matches("src/modules/");
                let file = file.trim_end_matches(".rs").trim_end_matches("/mod");
                written.insert(format!("{file}::{name}"));
            }
        }
    }
    assert_eq!(registered, written);
}

#[test]
fn every_exit_code_is_in_the_readme() {
    let table = fs::read_to_string(root().join("src/cli/exit.rs")).unwrap();
    let mut in_source = BTreeMap::new();
    let mut code = None;
    for line in table.lines() {
        let line = line.trim();
        if let Some(number) = line.strip_prefix("code: ") {
            code = number.trim_end_matches(',').parse::<u8>().ok();
        }
        if let (Some(number), Some(meaning)) = (code, line.strip_prefix("meaning: \"")) {
            in_source.insert(number, meaning.trim_end_matches("\",").to_owned());
            code = None;
        }
    }
    assert!(in_source.len() > 10, "the table was not found");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("## Exit codes").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let in_readme: BTreeMap<u8, String> = section
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|');
            let number = cells.next()?.trim().parse().ok()?;
            Some((number, cells.next()?.trim().to_owned()))
        })
        .collect();
    assert_eq!(in_source, in_readme);
}

/// `docs/reliability.md` names a test for most faults; a name that no test has proves nothing.
#[test]
fn tests_that_the_document_names_exist() {
    let document = fs::read_to_string("docs/reliability.md").unwrap();
    let mut folders: BTreeMap<String, String> = BTreeMap::new();
    let mut missing = Vec::new();
    let mut automated = BTreeSet::new();
    for (number, line) in document.lines().enumerate() {
        for name in line.split('`').filter(|part| part.contains(".rs::")) {
            let (file, case) = name.split_once("::").unwrap();
            let text = folders
                .entry(file.to_owned())
                .or_insert_with(|| text_of_test(file));
            if !text.contains(&format!("fn {case}(")) {
                missing.push(format!("docs/reliability.md:{}: {name}", number + 1));
            } else if let Some(fault) = line.trim_start_matches('|').split('|').next() {
                automated.extend(fault.trim().parse::<u32>());
            }
        }
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
    assert!(automated.len() >= 60, "{} faults", automated.len());
}

/// A file of tests with the files in the folder of its name.
fn text_of_test(file: &str) -> String {
    let path = if file.starts_with("src/") {
        PathBuf::from(file)
    } else {
        Path::new("tests").join(file)
    };
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    for entry in fs::read_dir(path.with_extension("")).into_iter().flatten() {
        text += &fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
    }
    text
}
