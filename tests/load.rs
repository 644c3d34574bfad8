//! Playbooks beside what `ansible-playbook --list-tasks` of ansible-core 2.19 said of them
//! (`tests/load/expect` wrote it), and promises of the loader.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use switchback::diag::render;
use switchback::model::{Action, Item, Playbook, Task};
use switchback::plan::Loader;

fn load(path: &str) -> (Loader, Playbook) {
    let mut loader = Loader::default();
    match loader.playbook(Path::new(path)) {
        Ok(playbook) => (loader, playbook),
        Err(problems) => {
            let all: Vec<String> = problems
                .iter()
                .map(|p| render(p, &loader.sources, false))
                .collect();
            panic!("{}", all.join("\n"))
        }
    }
}

fn action(task: &Task) -> &str {
    match &task.action {
        Action::Module { name, .. } => name,
        Action::IncludeTasks { .. } => "include_tasks",
        Action::IncludeRole { .. } => "include_role",
        Action::Meta { .. } => "meta",
    }
}

fn list(items: &[Item], outer: &BTreeSet<String>, out: &mut String) {
    for item in items {
        match item {
            Item::Task(task) => {
                let mut tags = outer.clone();
                tags.extend(task.keywords.tags.iter().cloned());
                let tags: Vec<String> = tags.into_iter().collect();
                let name = match &task.keywords.name {
                    Some(name) => {
                        let role = task.role.iter().map(|r| format!("{} : ", r.name));
                        format!(
                            "{}{}",
                            role.collect::<String>(),
                            name.value.as_str().unwrap()
                        )
                    }
                    None => action(task).to_owned(),
                };
                writeln!(out, "      {name}\tTAGS: [{}]", tags.join(", ")).unwrap();
            }
            Item::Block(block) => {
                let mut tags = outer.clone();
                tags.extend(block.keywords.tags.iter().cloned());
                // Ansible lists neither `rescue` nor `always`.
                list(&block.block, &tags, out);
            }
        }
    }
}

fn listed(playbook: &Playbook) -> String {
    let mut out = String::new();
    for entry in &playbook.entries {
        let play = &entry.play;
        let mut tags: BTreeSet<String> = play.keywords.tags.iter().cloned().collect();
        tags.extend(
            entry
                .imports
                .iter()
                .flat_map(|i| i.keywords.tags.iter().cloned()),
        );
        out.push_str("play\n");
        for items in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
            list(items, &tags, &mut out);
        }
    }
    out
}

#[test]
fn tasks_are_those_that_ansible_lists() {
    let (_, playbook) = load("tests/load/roles/site.yml");
    let expected = std::fs::read_to_string("tests/load/roles/expected.tasks").unwrap();
    let mut wanted = String::new();
    for line in expected.lines() {
        if line.starts_with("  play #") {
            wanted.push_str("play\n");
        } else if line.starts_with("      ") {
            writeln!(wanted, "{}", line.replace("ansible.builtin.", "")).unwrap();
        }
    }
    assert_eq!(listed(&playbook), wanted);
}

fn each<'p>(items: &'p [Item], see: &mut impl FnMut(&'p Task)) {
    for item in items {
        match item {
            Item::Task(task) => see(task),
            Item::Block(block) => {
                for list in [&block.block, &block.rescue, &block.always] {
                    each(list, see);
                }
            }
        }
    }
}

#[test]
fn every_task_has_an_id_of_its_own_and_the_same_one_again() {
    let ids = || {
        let (_, playbook) = load("tests/load/roles/site.yml");
        let mut ids = Vec::new();
        for entry in &playbook.entries {
            let play = &entry.play;
            for items in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
                each(items, &mut |task| ids.push(task.id.0.clone()));
            }
            ids.extend(play.handlers.iter().map(|task| task.id.0.clone()));
        }
        ids
    };
    let (first, second) = (ids(), ids());
    assert_eq!(first, second);
    let distinct: HashSet<&String> = first.iter().collect();
    let twice: Vec<&String> = first
        .iter()
        .filter(|id| first.iter().filter(|other| other == id).count() > 1)
        .collect();
    assert_eq!(distinct.len(), first.len(), "{twice:?}");
    assert!(
        first.contains(&"site.yml/0/tasks/1/block/1/block/0".to_owned()),
        "{first:#?}"
    );
    assert!(
        first.contains(
            &"site.yml/0/roles/0>roles/base/tasks/main.yaml/1>roles/base/tasks/sub/x.yml/0"
                .to_owned()
        ),
        "{first:#?}"
    );
}

#[test]
fn roles_give_their_variables_and_handlers() {
    let (_, playbook) = load("tests/load/roles/site.yml");
    let play = &playbook.entries[0].play;
    let names: Vec<&str> = play
        .role_scopes
        .iter()
        .map(|scope| scope.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "base",
            "common",
            "base",
            "app",
            "plain",
            "nested/inner",
            "common",
            "base",
            "app"
        ]
    );
    let base = &play.role_scopes[0];
    let text = |key: &str| base.defaults[key].as_str().unwrap().to_owned();
    assert_eq!((text("d"), text("e")), ("b".into(), "a".into()));
    let app = &play.role_scopes[3];
    assert!(app.allows_duplicates, "its metadata says so");
    assert_eq!(
        app.vars["common_var"].as_int(),
        Some(1),
        "dependencies give their vars"
    );
    assert_eq!(app.params["app_port"].as_int(), Some(80));
    assert_eq!(play.role_scopes[1].parents, ["app"]);
    let handlers: Vec<&str> = play
        .handlers
        .iter()
        .map(|h| h.keywords.name.as_ref().unwrap().value.as_str().unwrap())
        .collect();
    assert_eq!(handlers, ["reload", "restart", "from a file", "reload"]);
    assert_eq!(play.handlers[2].listen, ["topic"]);
}

#[test]
fn a_change_of_layout_is_no_drift() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |text: &str| {
        let path = folder.path().join("site.yml");
        std::fs::write(&path, text).unwrap();
        let (_, playbook) = load(path.to_str().unwrap());
        match &playbook.entries[0].play.tasks[0] {
            Item::Task(task) => task.text_hash.clone(),
            Item::Block(_) => unreachable!("a task was written"),
        }
    };
    let plain = hash("- hosts: all\n  tasks:\n    - debug: {msg: a}\n");
    assert_eq!(
        plain,
        hash("- hosts: all\n  tasks:\n  # why\n  - debug:\n      msg: \"a\"\n")
    );
    assert_ne!(
        plain,
        hash("- hosts: all\n  tasks:\n    - debug: {msg: b}\n")
    );
}

#[test]
fn includes_are_read_at_run_time() {
    let (mut loader, playbook) = load("tests/load/roles/site.yml");
    let included = loader
        .tasks_file(
            Path::new("tests/load/roles/tasks/more.yml"),
            None,
            false,
            "X[1]",
        )
        .unwrap();
    let mut ids = Vec::new();
    each(&included.items, &mut |task| ids.push(task.id.0.clone()));
    assert_eq!(ids[0], "X[1]>tasks/more.yml/0");
    let mut uses = Vec::new();
    each(&playbook.entries[0].play.tasks, &mut |task| {
        if let Action::IncludeRole { role, .. } = &task.action {
            uses.push(role.clone());
        }
    });
    let role = loader.role(&uses[0], None, "Y").unwrap();
    assert_eq!(role.scopes.len(), 0, "an included role is not public");
    let mut names = Vec::new();
    each(&role.items, &mut |task| {
        names.push(task.role.as_ref().unwrap().name.clone());
    });
    assert_eq!(names, ["base"; 4]);
}
