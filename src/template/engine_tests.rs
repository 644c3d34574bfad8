use super::*;
use crate::template::MemoryWorld;
use crate::value::Map;

fn scope() -> Map {
    let mut map = Map::new();
    map.insert("one".into(), Value::Int(1));
    map.insert("data".into(), Value::from("{{ one }}"));
    map.insert("lazy".into(), Value::Str(Text::from_user("{{ one + 1 }}")));
    map.insert(
        "broken".into(),
        Value::Str(Text::from_user("{{ nowhere }}")),
    );
    map.insert("a".into(), Value::Str(Text::from_user("{{ b }}")));
    map.insert("b".into(), Value::Str(Text::from_user("x{{ a }}")));
    map.insert("pw".into(), Value::Str(Text::data("hunter2").into_secret()));
    map.insert(
        "result".into(),
        Value::from(Map::from_iter([(
            "_switchback_unknown".to_owned(),
            Value::Bool(true),
        )])),
    );
    map
}

fn render(text: &str) -> Result<Value, TemplateError> {
    Engine::new().render(
        &Value::Str(Text::from_user(text)),
        &scope(),
        &MemoryWorld::default(),
    )
}

fn kind(text: &str) -> ErrorKind {
    render(text).unwrap_err().kind
}

#[test]
fn a_single_node_keeps_its_type_and_more_give_text() {
    assert_eq!(render("{{ 1 + 1 }}"), Ok(Value::Int(2)));
    assert_eq!(render("{{ 1 }}{{ 2 }}"), Ok(Value::from("12")));
    assert_eq!(render("{{ lazy }}"), Ok(Value::Int(2)));
    assert_eq!(render("x{{ none }}"), Ok(Value::from("x")));
}

#[test]
fn data_is_never_a_template() {
    assert_eq!(render("{{ data }}"), Ok(Value::from("{{ one }}")));
    assert_eq!(render("{{ data }}!"), Ok(Value::from("{{ one }}!")));
    let twice = render("{{ [data] }}")
        .and_then(|v| Engine::new().render(&v, &scope(), &MemoryWorld::default()));
    assert_eq!(twice, Ok(Value::from(vec![Value::from("{{ one }}")])));
}

#[test]
fn data_is_never_a_conditional() {
    let mut scope = scope();
    scope.insert(
        "host_text".into(),
        Value::from("lookup('pipe', 'true') == ''"),
    );
    let conditional = Value::Str(Text::from_user("{{ host_text }}"));
    let error = Engine::new()
        .eval_bool(&conditional, &scope, &MemoryWorld::default())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conditional);
}

#[test]
fn undefined_travels_until_it_is_used() {
    assert_eq!(render("{{ nowhere.x.y | default(3) }}"), Ok(Value::Int(3)));
    assert_eq!(render("{{ broken | default(3) }}"), Ok(Value::Int(3)));
    assert_eq!(render("{{ broken is defined }}"), Ok(Value::Bool(false)));
    assert_eq!(kind("{{ nowhere }}"), ErrorKind::Undefined);
    assert_eq!(kind("{{ nowhere + 1 }}"), ErrorKind::Undefined);
    assert_eq!(kind("{{ [nowhere] }}"), ErrorKind::Undefined);
    let error = render("ab {{ 1 + nowhere }}").unwrap_err();
    assert_eq!(error.message, "'nowhere' is undefined");
    assert_eq!(error.offset, Some(10));
}

#[test]
fn what_check_mode_skipped_is_unknown_not_undefined() {
    assert_eq!(kind("{{ result.stdout }}"), ErrorKind::Unknown);
    assert_eq!(kind("{{ result.stdout | trim }}"), ErrorKind::Unknown);
    assert_eq!(
        render("{{ result.stdout | default('x') }}"),
        Ok(Value::from("x"))
    );
    assert_eq!(
        render("{{ result.stdout is defined }}"),
        Ok(Value::Bool(false))
    );
}

#[test]
fn a_loop_of_variables_is_named() {
    let error = render("{{ a }}").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Recursion);
    assert_eq!(
        error.message,
        "recursive loop detected in template: `a` -> `b` -> `a`"
    );
}

#[test]
fn an_endless_template_ends() {
    let text = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
    assert_eq!(kind(text), ErrorKind::Limit);
    assert_eq!(kind("{{ 'x' * 10000000000 }}"), ErrorKind::Limit);
    assert_eq!(kind("{{ range(10000000000) | list }}"), ErrorKind::Limit);
    assert_eq!(
        kind("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
        ErrorKind::Recursion
    );
}

#[test]
fn a_secret_taints_the_result_and_hides_the_reason() {
    let Ok(Value::Str(text)) = render("p={{ pw }}") else {
        panic!("not a string")
    };
    assert!(text.is_secret());
    let Ok(Value::Str(text)) = render("{{ one }}!") else {
        panic!("not a string")
    };
    assert!(!text.is_secret());
    let error = render("{{ pw | from_json }}").unwrap_err();
    assert!(!error.message.contains("hunter2"), "{}", error.message);
}

#[test]
fn omitted_entries_are_removed() {
    let engine = Engine::new();
    let template = |text: &str| Value::Str(Text::from_user(text));
    let value = Value::from(Map::from_iter([
        ("keep".to_owned(), template("{{ one }}")),
        ("drop".to_owned(), template("{{ nowhere | default(omit) }}")),
        (
            "list".to_owned(),
            Value::from(vec![template("{{ omit }}"), Value::Int(2)]),
        ),
    ]));
    let rendered = engine
        .render(&value, &scope(), &MemoryWorld::default())
        .unwrap();
    assert_eq!(
        rendered.to_exposed_json(),
        serde_json::json!({"keep": 1, "list": [2]})
    );
    let whole = engine.render_or_omit(&template("{{ omit }}"), &scope(), &MemoryWorld::default());
    assert_eq!(whole, Ok(Rendered::Omit));
}

#[test]
fn a_file_is_always_text_and_keeps_its_last_newline() {
    let engine = Engine::new();
    let file = |text: &str| {
        engine
            .render_file(text, &scope(), &MemoryWorld::default())
            .map(|t| t.as_str().to_owned())
    };
    assert_eq!(file("x{{ one }}\n").as_deref(), Ok("x1\n"));
    assert_eq!(file("{{ one }}\n").as_deref(), Ok("1"));
    assert_eq!(file("{{ one }}").as_deref(), Ok("1"));
    assert_eq!(file("{% if one %}\nx\n{% endif %}\n").as_deref(), Ok("x\n"));
    assert_eq!(
        file("#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n[% one %]{{")
            .as_deref(),
        Ok("1{{")
    );
    assert_eq!(file("{{ 'a\\nb' }}").as_deref(), Ok("a\nb"));
}

#[test]
fn references_name_what_a_template_mentions() {
    let names = Engine::new().references(&Value::Str(Text::from_user(
        "{{ a.b[c] | default(d) }}{% if e is defined %}{{ lookup('vars', f) }}{% endif %}",
    )));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(names, ["a", "c", "d", "e", "f", "lookup"]);
}

#[test]
fn a_conditional_must_be_a_boolean() {
    let engine = Engine::new();
    let test = |text: &str| {
        engine.eval_bool(
            &Value::Str(Text::from_user(text)),
            &scope(),
            &MemoryWorld::default(),
        )
    };
    assert_eq!(test("one == 1"), Ok(true));
    assert_eq!(test("{{ one == 2 }}"), Ok(false));
    assert_eq!(test("one").unwrap_err().kind, ErrorKind::Conditional);
    assert_eq!(test("").unwrap_err().kind, ErrorKind::Conditional);
    assert_eq!(test("one ==").unwrap_err().kind, ErrorKind::Syntax);
    assert_eq!(test("lazy == '{{ one + 1 }}'"), Ok(true));
}

proptest::proptest! {
    #[test]
    fn no_template_panics(parts in proptest::collection::vec(proptest::sample::select(PIECES), 0..12)) {
        let text = parts.concat();
        let engine = Engine::new();
        let (scope, world) = (scope(), MemoryWorld::default());
        // The results differ; that they are results is the point.
        let template = Value::Str(Text::from_user(text.as_str()));
        let first = engine.render(&template, &scope, &world);
        proptest::prop_assert_eq!(first, engine.render(&template, &scope, &world));
        if let Err(error) = engine.eval(&text, &scope, &world) {
            proptest::prop_assert!(error.offset.is_none_or(|at| at <= error.expression.len()));
        }
    }
}

/// Fragments that make more or less valid templates.
const PIECES: &[&str] = &[
    "{{ ",
    " }}",
    "{% if ",
    " %}",
    "{% endif %}",
    "{% for x in ",
    "{# ",
    " #}",
    "one",
    "data",
    "lazy",
    "'a\\b'",
    "\"é\"",
    "\\",
    "[1, 2]",
    "{'a': 1}",
    "(1,)",
    " | ",
    "default(",
    "int",
    "join(",
    ")",
    ".x",
    "[0]",
    "[::-1]",
    " + ",
    " % ",
    " ~ ",
    " is ",
    "defined",
    " in ",
    "not ",
    "1",
    "-2.5",
    "\n",
    "☃",
    "'%s' % ",
    "'{}'.format(",
    "none",
    "loop.index",
    "{%- set y = ",
    "lookup('items', ",
    "true",
    ", ",
    "regex_replace('(', ",
    "from_json",
    "to_nice_yaml",
    "range(3)",
    "//",
    " ** ",
    "0",
    "{% raw %}",
];
