//! Each file of `tests/diagnostics` is a playbook, or a root folder with `site.yml`, that cannot be
//! loaded; what is said of it stands beside it as `NAME.out`. `UPDATE=1` writes the expectations.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use switchback::diag::{SourceMap, codes, render};
use switchback::exec::InventoryExpressions;
use switchback::inventory::Inventory;
use switchback::plan::Loader;

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir("tests/diagnostics")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "yml"))
        .collect();
    cases.sort();
    cases
}

fn rendered(case: &Path) -> String {
    let playbook = if case.is_dir() {
        case.join("site.yml")
    } else {
        case.to_owned()
    };
    let mut loader = Loader::default();
    let problems = match loader.playbook(&playbook) {
        Ok(playbook) => switchback::plan::lint(&playbook),
        Err(problems) => problems,
    };
    let mut text = String::new();
    for problem in loader.take_warnings().iter().chain(&problems) {
        assert!(
            codes::find(problem.code).is_some(),
            "{} is not in the table",
            problem.code
        );
        writeln!(text, "{}", render(problem, &loader.sources, false)).unwrap();
    }
    text
}

#[test]
fn every_bad_playbook_is_told_what_is_wrong_with_it() {
    let mut wrong = Vec::new();
    let cases = cases();
    let count = cases.len();
    for case in cases {
        let text = rendered(&case);
        assert!(!text.is_empty(), "{} has no problem", case.display());
        let expected = case.with_extension("out");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &text).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 40, "only {count} cases");
}

/// Every code that the source names is in the table, and every one of the table is named.
#[test]
fn the_table_of_codes_is_complete() {
    let mut named = std::collections::BTreeSet::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("diag/codes.rs") && !path.ends_with("diag/diagnostic.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for part in text.split("\"SB").skip(1) {
                    let digits: String = part.chars().take(4).collect();
                    if digits.chars().all(|c| c.is_ascii_digit()) && part[4..].starts_with('"') {
                        named.insert(format!("SB{digits}"));
                    }
                }
            }
        }
    }
    for code in &named {
        assert!(
            codes::find(code).is_some(),
            "{code} is used and not in the table"
        );
    }
    let listed: Vec<&str> = codes::TABLE.iter().map(|row| row.code).collect();
    assert!(listed.is_sorted(), "the table is in order");
}

#[test]
fn every_bad_inventory_is_told_what_is_wrong_with_it() {
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut sources: Vec<PathBuf> = std::fs::read_dir("tests/bad_inventory")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|e| e != "out"))
        .collect();
    sources.push("tests/bad_inventory/missing".into());
    for path in sources {
        let sources = if path.is_dir() {
            vec![path.join("hosts.ini"), path.join("made.yml")]
        } else {
            vec![path.clone()]
        };
        let sources: Vec<String> = sources
            .iter()
            .filter(|source| source.is_file() || !path.is_dir())
            .map(|source| source.display().to_string())
            .collect();
        let mut texts = SourceMap::default();
        let expressions = InventoryExpressions::default();
        let read = Inventory::read_with(&sources, None, &mut texts, Some(&expressions));
        let problems = match read {
            Ok((_, warnings)) => panic!("{}: {warnings:?}", path.display()),
            Err(problems) => problems,
        };
        let text: String = problems
            .iter()
            .map(|p| render(p, &texts, false) + "\n")
            .collect();
        let expected = PathBuf::from(format!("{}.out", path.display()));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &text).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", path.display()));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 12, "only {count} cases");
}

/// A pattern that selects nothing is said with the nearest name; a broken one is an error.
#[test]
fn patterns_that_miss_are_told_what_is_near() {
    let mut inventory = Inventory::default();
    inventory.add_host("web1", &["web".to_owned()], &switchback::value::Map::new());
    let texts = SourceMap::default();
    let say = |pattern: &str| match inventory.select(&[pattern.to_owned()]) {
        Ok(selected) => selected
            .unmatched
            .iter()
            .map(|p| render(p, &texts, false))
            .collect(),
        Err(problem) => render(&problem, &texts, false),
    };
    for (pattern, wanted) in [
        ("web", ""),
        (
            "wbe",
            "warning[SB0209]: no host and no group matches `wbe`\n |\n = help: did you mean `web`?\n",
        ),
        (
            "web:&stagign",
            "warning[SB0209]: no host and no group matches `stagign`\n",
        ),
        (
            "web[3]",
            "error[SB0208]: `web[3]` is out of range\n |\n = help: `web` alone shows how many hosts there are\n",
        ),
        (
            "~we(b",
            "error[SB0208]: `~we(b` is no host pattern: unclosed group\n",
        ),
    ] {
        assert_eq!(say(pattern), wanted, "{pattern}");
    }
    let problem = switchback::inventory::limit_patterns("@tests/nowhere").unwrap_err();
    assert_eq!(problem.code, "SB0210");
}
