//! Whatever a file holds, it is read or refused, never a panic; and patterns obey set algebra.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use switchback::diag::{FileId, SourceMap, render};
use switchback::inventory::{Inventory, literal_eval, split_patterns};
use switchback::model::read::parse_kv;
use switchback::plan::Loader;
use switchback::syntax::read_yaml;

/// Text made of what playbooks and inventories are made of, and of anything else.
fn text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "- ",
        "  ",
        "\n",
        "\n  ",
        "\n    ",
        ": ",
        "hosts",
        "all",
        "tasks",
        "name",
        "ping",
        "debug",
        "block",
        "rescue",
        "roles",
        "vars",
        "when",
        "loop",
        "with_items",
        "import_tasks",
        "meta",
        "include_role",
        "handlers",
        "notify",
        "change",
        "ways_back",
        "undo",
        "{{ x }}",
        "{{",
        "'",
        "\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "#",
        "|",
        ">",
        "&a ",
        "*a",
        "!unsafe ",
        "!vault ",
        "<<: ",
        "---\n",
        "\t",
        "k=v",
        "=",
        "0644",
        "yes",
        "~",
        "é",
        "\u{0}",
        "\u{feff}",
        "[web:children]",
        "[web]",
        "[x:vars]",
        "web[1:3]",
        "a:22",
        "\r\n",
        "? ",
        "%YAML 1.1\n",
        "\\",
    ]);
    prop_oneof![
        4 => prop::collection::vec(words, 0..40).prop_map(|words| words.concat()),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn yaml_is_read_or_refused(text in text()) {
        let parsed = read_yaml(FileId(0), &text);
        for document in &parsed.documents {
            let _ = document.to_value();
            prop_assert!(document.span.end as usize <= text.len());
        }
    }

    #[test]
    fn a_playbook_is_read_or_refused(text in text()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.yml");
        std::fs::write(&path, &text).unwrap();
        let mut loader = Loader::default();
        if let Err(problems) = loader.playbook(&path) {
            prop_assert!(!problems.is_empty());
            for problem in &problems {
                prop_assert!(!render(problem, &loader.sources, false).is_empty());
            }
        }
    }

    #[test]
    fn an_inventory_is_read_or_refused(text in text(), ending in "(\\.ini|\\.yml|)") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("hosts{ending}"));
        std::fs::write(&path, &text).unwrap();
        let mut texts = SourceMap::default();
        let source = path.display().to_string();
        match Inventory::read(&[source], None, &mut texts) {
            Ok((inventory, _)) => {
                for host in inventory.hosts() {
                    prop_assert!(inventory.group_hosts("all").contains(host));
                    inventory.layers(host);
                }
            }
            Err(problems) => for problem in &problems {
                prop_assert!(!render(problem, &texts, false).is_empty());
            },
        }
    }

    #[test]
    fn free_form_and_literals_are_read_or_refused(text in text()) {
        let _ = parse_kv(&text, true);
        let _ = parse_kv(&text, false);
        let _ = literal_eval(&text);
        let _ = split_patterns(&text);
    }

    #[test]
    fn any_pattern_is_evaluated_or_refused(pattern in "[a-z*?\\[\\]:!&~0-9,.-]{0,12}") {
        let _ = inventory().select(&[pattern]);
    }

    /// Unions first, then intersections, then exclusions, wherever they stand.
    #[test]
    fn patterns_are_sets(parts in prop::collection::vec((0..3_u8, 0..5_usize), 1..6)) {
        let groups = ["g0", "g1", "g2", "g3", "all"];
        let inventory = inventory();
        let set = |g: usize| -> BTreeSet<usize> {
            (0..16).filter(|n| g == 4 || n >> g & 1 == 1).collect()
        };
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        let unions: Vec<usize> = parts.iter().filter(|p| p.0 == 0).map(|p| p.1).collect();
        for group in if unions.is_empty() { vec![4] } else { unions } {
            wanted.extend(set(group));
        }
        for (kind, group) in &parts {
            if *kind == 1 {
                wanted.retain(|n| set(*group).contains(n));
            }
        }
        for (kind, group) in &parts {
            if *kind == 2 {
                wanted.retain(|n| !set(*group).contains(n));
            }
        }
        let marks = ["", "&", "!"];
        let pattern: Vec<String> =
            parts.iter().map(|(kind, g)| format!("{}{}", marks[*kind as usize], groups[*g])).collect();
        for separator in [",", ":"] {
            let found = inventory.select(&[pattern.join(separator)]).unwrap().hosts;
            let found: BTreeSet<usize> = found.iter().map(|h| h[1..].parse().unwrap()).collect();
            prop_assert_eq!(&found, &wanted, "{:?}", pattern);
        }
    }
}

/// Sixteen hosts; host n is in group i when bit i of n is set.
fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    for n in 0..16 {
        let groups: Vec<String> = (0..4)
            .filter(|i| n >> i & 1 == 1)
            .map(|i| format!("g{i}"))
            .collect();
        inventory.add_host(&format!("h{n}"), &groups, &switchback::value::Map::new());
    }
    inventory
}

/// Work grows with the size of the input and no faster; the limits are generous so that a slow
/// machine does not matter and a quadratic look-up does.
#[test]
fn large_inputs_are_read_quickly() {
    use std::fmt::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site.yml");
    let mut text = String::from("- hosts: all\n  tasks:\n");
    for n in 0..2000 {
        writeln!(
            text,
            "    - name: task {n}\n      debug:\n        msg: \"hello {n} {{{{ x }}}}\"\n      when: x is defined\n      tags: [a, b]\n      register: r{n}"
        )
        .unwrap();
    }
    std::fs::write(&site, &text).unwrap();
    let hosts = folder.path().join("hosts");
    let mut text = String::from("[all:vars]\na=1\n");
    for group in 0..100 {
        writeln!(text, "[g{group}]\nweb{group}-[1:100] x=1 y='two words'").unwrap();
    }
    std::fs::write(&hosts, &text).unwrap();
    let start = std::time::Instant::now();
    let mut loader = Loader::default();
    loader.playbook(Path::new(&site)).unwrap();
    let tasks = start.elapsed();
    let start = std::time::Instant::now();
    let source = [hosts.display().to_string()];
    let (inventory, _) = Inventory::read(&source, None, &mut loader.sources).unwrap();
    let read = start.elapsed();
    let start = std::time::Instant::now();
    assert_eq!(
        inventory
            .select(&["all:!g5".to_owned()])
            .unwrap()
            .hosts
            .len(),
        9900
    );
    let layers: usize = inventory
        .hosts()
        .map(|host| inventory.layers(host).len())
        .sum();
    assert_eq!(layers, 20_000);
    let select = start.elapsed();
    eprintln!("2,000 tasks {tasks:?}, 10,000 hosts {read:?}, select and layers {select:?}");
    assert!(
        (tasks + read + select).as_secs() < 20,
        "{tasks:?} {read:?} {select:?}"
    );
}
