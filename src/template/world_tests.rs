//! Lookups, includes and other hosts: what needs more than variables.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Engine, ErrorKind, MemoryWorld, Scope};
use crate::value::{Map, Text, Value};

struct Hosts;

fn user(text: &str) -> Value {
    Value::Str(Text::from_user(text))
}

impl Scope for Hosts {
    fn lookup(&self, name: &str) -> Option<Value> {
        (name == "me").then(|| Value::from("web1"))
    }
    fn names(&self) -> Vec<String> {
        vec!["me".to_owned()]
    }
    fn host_names(&self) -> Vec<String> {
        vec!["web1".to_owned(), "web2".to_owned()]
    }
    fn host(&self, name: &str) -> Option<Arc<dyn Scope>> {
        self.host_names().contains(&name.to_owned()).then(|| {
            Arc::new(Map::from_iter([
                ("me".to_owned(), Value::from(name)),
                ("greeting".to_owned(), user("hello {{ me }}")),
                (
                    "pw".to_owned(),
                    Value::Str(Text::data("hunter2").into_secret()),
                ),
            ])) as Arc<dyn Scope>
        })
    }
}

fn world() -> MemoryWorld {
    let mut world = MemoryWorld::default();
    let files: &[(&str, &str)] = &[
        ("/base/files/motd", "welcome {{ me }}\n\n"),
        ("/base/files/a.txt", "a"),
        ("/base/files/b.txt", "b"),
        (
            "/base/files/x.ini",
            "[global]\nPort = 5432\n[other]\nuser: bob\n  continued\n",
        ),
        ("/base/files/x.csv", "name,uid\nalice,\"1,0\"\nbob,2\n"),
        (
            "/base/templates/hello.j2",
            "hi {{ me }} {{ extra | default('-') }}\n",
        ),
        (
            "/base/templates/base.j2",
            "<{% block body %}base{% endblock %}|{% block end %}e{% endblock %}>",
        ),
        (
            "/base/templates/macros.j2",
            "{% set v = 7 %}{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}",
        ),
        ("/base/templates/loop.j2", "{% include 'loop.j2' %}"),
    ];
    for (path, text) in files {
        world
            .files
            .insert(PathBuf::from(path), text.as_bytes().to_vec());
    }
    world.env.insert("HOME".to_owned(), "/home/me".to_owned());
    world
        .commands
        .insert("date".to_owned(), "today\n".to_owned());
    world
}

fn render(text: &str) -> Result<serde_json::Value, ErrorKind> {
    Engine::new()
        .render(&user(text), &Hosts, &world())
        .map(|v| v.to_exposed_json())
        .map_err(|e| e.kind)
}

fn check(cases: &[(&str, serde_json::Value)]) {
    for (text, expected) in cases {
        assert_eq!(render(text).as_ref(), Ok(expected), "{text}");
    }
}

#[test]
fn lookups_read_through_the_world() {
    let cases: &[(&str, serde_json::Value)] = &[
        ("{{ lookup('file', 'motd') }}", "welcome {{ me }}".into()),
        (
            "{{ lookup('file', 'motd', rstrip=false) }}",
            "welcome {{ me }}\n\n".into(),
        ),
        (
            "{{ lookup('file', 'nope', errors='ignore') is none }}",
            true.into(),
        ),
        (
            "{{ query('fileglob', '*.txt') | map('basename') | list }}",
            serde_json::json!(["a.txt", "b.txt"]),
        ),
        ("{{ lookup('template', 'hello.j2') }}", "hi web1 -\n".into()),
        (
            "{{ lookup('template', 'hello.j2', template_vars={'extra': 1}) }}",
            "hi web1 1\n".into(),
        ),
        (
            "{{ lookup('ini', 'port', file='x.ini', section='global') }}",
            "5432".into(),
        ),
        (
            "{{ lookup('ini', 'user section=other file=x.ini') }}",
            "bob\ncontinued".into(),
        ),
        (
            "{{ lookup('ini', 'none', file='x.ini', default='d') }}",
            "d".into(),
        ),
        (
            "{{ lookup('csvfile', 'alice', file='x.csv', delimiter=',') }}",
            "1,0".into(),
        ),
        (
            "{{ lookup('first_found', ['nope', 'b.txt']) | basename }}",
            "b.txt".into(),
        ),
        (
            "{{ lookup('first_found', {'files': ['nope', 'a.txt'], 'paths': ['/base/files']}) }}",
            "/base/files/a.txt".into(),
        ),
        ("{{ lookup('pipe', 'date') }}", "today".into()),
        ("{{ lookup('env', 'HOME') }}", "/home/me".into()),
        (
            "{{ '~/x' | expanduser }} {{ '~bob/x' | expanduser }} {{ '$HOME/y' | expandvars }}",
            "/home/me/x /home/bob/x /home/me/y".into(),
        ),
        ("{{ lookup('inventory_hostnames', 'all') }}", "all".into()),
        ("{{ now(utc=true, fmt='%Y-%m-%d') }}", "1970-01-01".into()),
        (
            "{{ '/base/files' is directory }}{{ '/base/files/a.txt' is file }}",
            "TrueTrue".into(),
        ),
    ];
    check(cases);
}

#[test]
fn templates_include_import_and_extend_each_other() {
    let cases: &[(&str, serde_json::Value)] = &[
        ("{% include 'hello.j2' %}!", "hi web1 -!".into()),
        ("{% include 'nope.j2' ignore missing %}x", "x".into()),
        (
            "{% import 'macros.j2' as m %}{{ m.twice('a') }}{{ m.v }}",
            "aa7".into(),
        ),
        (
            "{% from 'macros.j2' import twice as t %}{{ t(3) }}",
            "33".into(),
        ),
        (
            "{% extends 'base.j2' %}{% block body %}[{{ super() }}]{% endblock %}",
            "<[base]|e>".into(),
        ),
    ];
    check(cases);
}

#[test]
fn variables_of_another_host_are_rendered_with_its_scope() {
    let cases: &[(&str, serde_json::Value)] = &[
        (
            "{{ hostvars['web2'].greeting }} {{ me }}",
            "hello web2 web1".into(),
        ),
        ("{{ hostvars.web2['me'] }}", "web2".into()),
        (
            "{{ ['web1', 'web2'] | map('extract', hostvars, 'greeting') | list }}",
            serde_json::json!(["hello web1", "hello web2"]),
        ),
        ("{{ hostvars | list }}", serde_json::json!(["web1", "web2"])),
        (
            "{{ hostvars | dict2items | map(attribute='value.me') | list }}",
            serde_json::json!(["web1", "web2"]),
        ),
        ("{{ hostvars['nope'] is defined }}", false.into()),
        ("{{ hostvars['nope'].x | default('d') }}", "d".into()),
        ("{{ 'web2' in hostvars }}", true.into()),
    ];
    check(cases);
    let secret = Engine::new()
        .render(&user("{{ hostvars['web2'].pw }}!"), &Hosts, &world())
        .unwrap();
    assert!(secret.has_secret());
}

#[test]
fn an_include_of_itself_ends_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let kind = thread
        .spawn(|| render("{% include 'loop.j2' %}"))
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(kind, Err(ErrorKind::Recursion));
}

#[test]
fn deep_expressions_in_a_chain_of_variables_end_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let kind = thread.spawn(|| {
        let mut vars = Map::new();
        for i in 0..40 {
            let inner = format!("v{}", i + 1);
            let text = format!("{{{{ {}{inner}{} }}}}", "[".repeat(60), "]".repeat(60));
            vars.insert(format!("v{i}"), user(&text));
        }
        vars.insert("v40".to_owned(), Value::Int(1));
        Engine::new()
            .render(&user("{{ v0 }}"), &vars, &world())
            .map_err(|e| e.kind)
    });
    let kind = kind.unwrap().join().unwrap();
    assert!(
        matches!(kind, Err(ErrorKind::Limit | ErrorKind::Recursion)),
        "{kind:?}"
    );
}

#[test]
fn a_chain_of_thirty_variables_is_no_loop() {
    let mut vars = Map::new();
    for i in 0..30 {
        vars.insert(
            format!("v{i}"),
            user(&format!("{{{{ [v{}] | first }}}}", i + 1)),
        );
    }
    vars.insert("v30".to_owned(), Value::Int(1));
    let value = Engine::new().render(&user("{{ v0 }}"), &vars, &world());
    assert_eq!(value, Ok(Value::Int(1)));
}

#[test]
fn a_vaulted_file_is_secret() {
    let mut world = world();
    world.files.insert(
        "/base/files/v".into(),
        b"$ANSIBLE_VAULT;1.1;AES256\n".to_vec(),
    );
    let value = Engine::new()
        .render(&user("{{ lookup('file', 'v') }}"), &Hosts, &world)
        .unwrap();
    assert!(value.has_secret());
}

#[test]
fn with_lookups_give_the_items_of_a_loop() {
    let engine = Engine::new();
    let items = |name: &str, terms: &Value| {
        engine
            .with_lookup(name, terms, &Hosts, &world())
            .map(|list| Value::from(list).to_exposed_json())
            .map_err(|e| e.kind)
    };
    let terms = Value::from(vec![
        Value::from("a"),
        Value::from(vec![user("{{ me }}"), Value::Int(2)]),
    ]);
    assert_eq!(
        items("items", &terms),
        Ok(serde_json::json!(["a", "web1", 2]))
    );
    assert_eq!(
        items(
            "ansible.builtin.sequence",
            &user("start=1 end=3 format=n%d")
        ),
        Ok(serde_json::json!(["n1", "n2", "n3"]))
    );
    assert_eq!(
        items("dict", &user("{{ {'a': 1} }}")),
        Ok(serde_json::json!([{"key": "a", "value": 1}]))
    );
    assert_eq!(
        items("items", &user("{{ nowhere }}")),
        Err(ErrorKind::Undefined)
    );
    assert!(Engine::has_lookup("nested") && !Engine::has_lookup("nope"));
}

#[test]
fn a_password_is_secret() {
    let text = user("{{ lookup('password', '/dev/null length=12 chars=digits') }}");
    let Ok(Value::Str(text)) = Engine::new().render(&text, &Hosts, &world()) else {
        panic!("not a string")
    };
    assert!(text.is_secret());
    assert_eq!(text.as_str().len(), 12);
}
