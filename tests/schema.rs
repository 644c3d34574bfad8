//! `switchback doc --schema`: playbooks that load fit it, broken ones do not; `switchback doc`.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use switchback::diag::SourceMap;
use switchback::plan::schema;
use switchback::syntax::read_document;

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// A text as the loader understands it: YAML 1.1, tags and all.
fn data(text: &str) -> Value {
    let mut sources = SourceMap::default();
    let (node, problems) = read_document(&mut sources, Path::new("p.yml"), text.to_owned());
    assert!(problems.is_empty(), "{problems:?}");
    node.to_value().to_exposed_json()
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .collect();
    files.sort();
    files
}

fn told(validator: &jsonschema::Validator, data: &Value) -> Vec<String> {
    let errors = validator.iter_errors(data);
    errors
        .map(|error| {
            format!("{}: {error}", error.instance_path())
                .chars()
                .take(300)
                .collect()
        })
        .collect()
}

#[test]
fn playbooks_that_load_fit_the_schema() {
    let validator = validator();
    let mut files = yaml_files("playbooks");
    let own = files.len();
    files.extend(yaml_files("tests/differential"));
    assert!(
        own >= 2 && files.len() > own + 80,
        "{own} of {}",
        files.len()
    );
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let told = told(&validator, &data(&text));
        // Nobody can know the short names of modules in `library/`.
        if file.ends_with("library.yml") {
            assert!(!told.is_empty());
            continue;
        }
        if !told.is_empty() {
            wrong.push(format!("{}: {}", file.display(), told.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tasks_of_roles_fit_the_schema() {
    let mut schema = schema();
    schema["items"] = true.into();
    schema["$ref"] = "#/$defs/tasks".into();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut count = 0;
    for role in std::fs::read_dir("roles").unwrap() {
        for folder in ["tasks", "handlers"] {
            let folder = role.as_ref().unwrap().path().join(folder);
            if !folder.is_dir() {
                continue;
            }
            for file in yaml_files(&folder.display().to_string()) {
                let text = std::fs::read_to_string(&file).unwrap();
                let told = told(&validator, &data(&text));
                assert!(told.is_empty(), "{}: {}", file.display(), told.join("\n"));
                count += 1;
            }
        }
    }
    assert!(count >= 10, "{count}");
    assert!(!validator.is_valid(&data("- debugg: x")));
}

#[test]
fn broken_playbooks_do_not_fit_the_schema() {
    let validator = validator();
    for broken in [
        "- tasks: []",
        "- {hosts: all, task: []}",
        "- {hosts: all, tasks: {debug: }}",
        "- {hosts: all, tasks: [{debugg: {msg: x}}]}",
        "- {hosts: all, tasks: [{debug: {mesg: x}}]}",
        "- {hosts: all, tasks: [{copy: {dest: /x, onwer: root}}]}",
        "- {hosts: all, tasks: [{file: {path: /x, state: folder}}]}",
        "- {hosts: all, tasks: [{ping: , wen: true}]}",
        "- {hosts: all, tasks: [{ping: , hosts: all}]}",
        "- {hosts: all, tasks: [{block: [{debugg: }]}]}",
        "- {hosts: all, tasks: [{block: [], resque: []}]}",
        "- {hosts: all, tasks: [{stat: {path: [x]}}]}",
        "- {hosts: all, vars: [a]}",
        "- {hosts: all, roles: x}",
        "- {import_playbook: [a]}",
        "hosts: all",
        "- hosts",
    ] {
        assert!(!validator.is_valid(&data(broken)), "{broken}");
    }
    for sound in [
        "- {hosts: all, gather_facts: '{{ x }}', tasks: [{ansible.builtin.file: 'path=/x state=directory'}]}",
        "- {hosts: all, tasks: [{file: {path: /x, state: '{{ s }}'}}, {some.collection.module: {a: 1}}]}",
        "- {hosts: all, tasks: [{ping: , with_items: [1], when: [true, a is defined]}]}",
        "- {import_playbook: x.yml, vars: {a: 1}}",
        "- {hosts: all, roles: [a, {role: b, any: 1, tags: x}]}",
    ] {
        let data = data(sound);
        assert!(
            validator.is_valid(&data),
            "{sound}: {:?}",
            told(&validator, &data)
        );
    }
}

fn doc(args: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .arg("doc")
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code(),
    )
}

#[test]
fn the_manual_of_a_module_is_shown() {
    let (stat, _, code) = doc(&["ansible.builtin.stat"]);
    assert_eq!(code, Some(0));
    for part in [
        "* path (string)",
        "aliases: dest, name",
        "get_checksum (boolean, default true)",
        "choices: md5, sha1, sha224, sha256, sha384, sha512",
        "It changes no host",
        "register: version_file",
    ] {
        assert!(stat.contains(part), "{part} is missing:\n{stat}");
    }
    let (list, _, _) = doc(&["--list"]);
    for name in ["apt ", "debug ", "yum ", "include_role "] {
        assert!(
            list.lines().any(|line| line.starts_with(name)),
            "{name}:\n{list}"
        );
    }
    let (schema, _, _) = doc(&["--schema"]);
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let (_, told, code) = doc(&["lineinfil"]);
    assert_eq!(
        (told.contains("did you mean `lineinfile`?"), code),
        (true, Some(5))
    );
}

/// The examples of all manuals are tasks that load.
#[test]
fn examples_are_tasks_that_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("- hosts: all\n  tasks:\n");
    let names = switchback::plan::action_names();
    let mut count = 0;
    for name in names {
        let (own, manual) = switchback::plan::manual(name).unwrap();
        // What is taken in before the run would have to be there.
        if own != name || name.starts_with("import_") {
            continue;
        }
        for line in manual.example.lines() {
            text.extend(["    ", line, "\n"]);
        }
        count += 1;
    }
    assert!(count > 50, "{count}");
    let path = folder.path().join("p.yml");
    std::fs::write(&path, &text).unwrap();
    let mut loader = switchback::plan::Loader::default();
    if let Err(problems) = loader.playbook(&path) {
        let all = problems.iter();
        let all: Vec<String> = all
            .map(|p| switchback::diag::render(p, &loader.sources, false))
            .collect();
        panic!("{}", all.join("\n"));
    }
}
