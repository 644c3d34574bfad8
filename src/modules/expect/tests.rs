//! Tests of `expect`.

use serde_json::json;

use super::super::testing::{HOSTILE, in_each_shell};
use super::super::trial::Trial;
use super::super::{Decision, Foretell};
use super::Expect;
use crate::value::Value;

/// Asks on its terminal only, so that a pipe would not do.
const ASKS: &str = r#"#!/bin/sh
exec </dev/tty >/dev/tty
printf 'Name? '
read -r name
stty -echo
printf 'Password: '
IFS= read -r word
printf '\nhello %s <%s> %s\n' "$name" "$word" "$1"
[ "$word" != wrong ] || exit 3
"#;

#[test]
fn a_command_gets_its_answers_on_a_terminal() {
    in_each_shell(|world| {
        world.file("it's", ASKS, 0o755);
        for hostile in HOSTILE.iter().filter(|name| !name.contains('\n')) {
            let args = json!({
                "command": format!("{} {}", crate::script::quote(&world.at("it's")), crate::script::quote(hostile)),
                "responses": {"(?i)password: $": hostile, "Name\\?": ["ann"]},
            });
            let (_, outcome) = world.change("expect", &args, &[]);
            let outcome = outcome.unwrap();
            assert!(outcome.is_changed);
            assert_eq!(
                outcome.result["stdout"],
                Value::from(format!(
                    "Name? Password: \r\nhello ann <{hostile}> {hostile}"
                )),
                "{:?}",
                world.shell
            );
            assert_eq!(outcome.result["rc"], Value::Int(0));
        }
        let kept = std::fs::read_dir(world.root().join("../keep/attempt")).unwrap();
        assert_eq!(kept.count(), 0, "nothing is left behind");
    });
}

#[test]
fn each_failure_is_told_as_ansible_tells_it() {
    in_each_shell(|world| {
        world.file("ask", ASKS, 0o755);
        let ask = world.at("ask");
        for (args, msg, rc) in [
            (
                json!({"command": ask, "responses": {"Name": "x", "Password": "wrong"}}),
                "non-zero return code".to_owned(),
                Some(Value::Int(3)),
            ),
            (
                json!({"command": ask, "responses": {"Pass": "x"}, "timeout": 1}),
                "command exceeded timeout".to_owned(),
                Some(Value::Null),
            ),
            (
                json!({"command": ask, "responses": {"[:?] $": ["x"]}}),
                "No remaining responses for '[:?] $', output was 'b'Password: ''".to_owned(),
                None,
            ),
            (
                json!({"command": "/no/such thing", "responses": {"x": "y"}}),
                "The command was not found or was not executable: /no/such.".to_owned(),
                None,
            ),
        ] {
            let failure = world.change("expect", &args, &[]).1.unwrap_err();
            assert_eq!(failure.msg, msg, "{:?} {args}", world.shell);
            assert_eq!(failure.result.get("rc").cloned(), rc, "{args}");
        }
    });
}

#[test]
fn answers_of_a_list_are_given_one_after_the_other() {
    in_each_shell(|world| {
        world.file(
            "ask",
            "#!/bin/sh\nfor i in 1 2 3; do printf 'more? '; read -r x; echo \"got $x\"; done\n",
            0o755,
        );
        let args =
            json!({"command": world.at("ask"), "responses": {"more\\?": ["a", "b\n", "c d"]}});
        let outcome = world.change("expect", &args, &[]).1.unwrap();
        assert_eq!(
            outcome.result["stdout"],
            Value::from("more? got a\r\nmore? got b\r\nmore? got c d")
        );
    });
}

#[test]
fn creates_and_removes_rule_it_out_and_check_mode_runs_nothing() {
    in_each_shell(|world| {
        world.file("there", "", 0o600);
        let there = world.at("there");
        let mut args = json!({"command": "x", "responses": {"x": "y"}, "creates": there});
        let outcome = world.unchanged("expect", &args, &[]);
        assert_eq!(
            outcome.result["stdout"],
            Value::from(format!("skipped, since {there} exists"))
        );
        args["creates"] = json!(null);
        args["removes"] = json!(world.at("gone"));
        world.unchanged("expect", &args, &[]);
        args["removes"] = json!(there);
        let (Decision::Change(change), _) = world.decide("expect", &args, &[]).unwrap() else {
            panic!("it would run")
        };
        assert!(matches!(change.foretell, Foretell::Skipped(_)));
    });
    for (args, why) in [
        (json!({"command": " ", "responses": {}}), "no command given"),
        (
            json!({"command": "x", "responses": {"(?!x)": "y"}}),
            "`(?!x)` cannot be matched on a host",
        ),
    ] {
        let refusal = Trial::refusal::<Expect>(args);
        assert!(refusal.starts_with(why), "{refusal}");
    }
}
