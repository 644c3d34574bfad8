//! Tests of `library`.

use serde_json::json;

use super::super::testing::{HOSTILE, World, in_each_shell};
use super::*;

const TELLS: &str = r#"#!/bin/sh
# WANT_JSON
args=$(cat "$1")
case $args in *'"say": "it'"'"'s $(id) `id`'*) said=true ;; *) said=false ;; esac
case $(ls -ld "${1%/*}") in drwx------*) private=true ;; *) private=false ;; esac
case $(ls -l "$1") in -rw-------*) ;; *) private=false ;; esac
echo noise
printf '{"changed": true, "said": %s, "private": %s,\n "stdout": "a\\nb", "ansible_facts": {"x": 1, "ansible_host": "evil", "user": "evil"}}\n' $said $private
echo more noise
"#;

fn run(
    world: &World,
    name: &str,
    program: &[u8],
    args: serde_json::Value,
) -> Result<Outcome, Failure> {
    let input = world.input(name, program, 0o644);
    let mut args = args;
    args["_module"] = json!("mine");
    args["_path"] = json!(input.path);
    args["_calling"] = json!(Calling::of(program).unwrap());
    world.change(LIBRARY_MODULE, &args, &[input]).1
}

#[test]
fn a_module_that_wants_json_gets_it_where_nobody_else_can_look() {
    in_each_shell(|world| {
        for name in HOSTILE {
            let args = json!({"say": "it's $(id) `id`"});
            let outcome = run(world, name, TELLS.as_bytes(), args).unwrap();
            assert!(outcome.is_changed);
            assert_eq!(
                outcome.result["said"],
                Value::Bool(true),
                "{:?}",
                outcome.result
            );
            assert_eq!(outcome.result["private"], Value::Bool(true));
            assert_eq!(outcome.result["stdout_lines"], lines("a\nb"));
            assert_eq!(outcome.facts["x"], Value::Int(1));
            assert_eq!(
                outcome.facts.len(),
                1,
                "a host does not say how it is reached"
            );
        }
        let kept = std::fs::read_dir(world.root().join("../keep/attempt")).unwrap();
        assert_eq!(kept.count(), 0, "nothing is left behind");
    });
}

#[test]
fn an_old_module_gets_words_and_a_replaced_one_its_own_text() {
    in_each_shell(|world| {
        let old = b"#!/bin/sh\n. \"$1\"\n[ \"$say\" = \"it's \\\"x\\\"\" ] && [ \"$n\" = 5 ] && [ \"$yes\" = True ] && echo '{\"ok\": true}'\n";
        let args = json!({"say": "it's \"x\"", "n": 5, "yes": true});
        let outcome = run(world, "old", old, args.clone()).unwrap();
        assert_eq!(outcome.result["ok"], Value::Bool(true));
        assert!(!outcome.is_changed);
        let replaced = b"#!/bin/sh\n[ $# -eq 0 ] || exit 9\ncat <<'END'\n{\"args\": <<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>}\nEND\n";
        let outcome = run(world, "new", replaced, args).unwrap();
        let args = outcome.result["args"].clone();
        assert_eq!(args.get("say"), Some(&Value::from("it's \"x\"")));
        assert_eq!(args.get("_ansible_module_name"), None);
    });
}

#[test]
fn a_program_is_run_as_it_is() {
    in_each_shell(|world| {
        // Text with a control character counts as binary, and the kernel starts it all the same.
        let program = b"#!/bin/sh\n# \x01\ngrep -q '\"a\": 1' \"$1\" && printf '{\"failed\": true, \"msg\": \"no\", \"changed\": true}'\n";
        assert_eq!(Calling::of(program), Ok(Calling::Binary));
        let failure = run(world, "prog", program, json!({"a": 1})).unwrap_err();
        assert_eq!(failure.msg, "no");
        assert!(failure.is_changed);
    });
}

#[test]
fn a_big_program_is_brought_before_it_is_run() {
    in_each_shell(|world| {
        let mut program = TELLS.as_bytes().to_vec();
        program.extend(b"# filling\n".repeat(5000));
        let input = world.input("big one", &program, 0o644);
        let args = json!({"_module": "mine", "_path": input.path, "_calling": "want_json"});
        let (change, outcome) = world.change(LIBRARY_MODULE, &args, &[input]);
        assert!(matches!(
            change.acts[..],
            [Act::Stream { .. }, Act::Script { .. }]
        ));
        assert_eq!(outcome.unwrap().result["private"], Value::Bool(true));
    });
}

#[test]
fn what_is_printed_is_read_strictly() {
    in_each_shell(|world| {
        for (printed, msg) in [
            ("no json", "Module result deserialization failed."),
            ("[1]", "Module result deserialization failed."),
            ("{\"a\": }", "Module result deserialization failed."),
            ("{\"rc\": 3, \"msg\": \"three\"}", "three"),
        ] {
            let program = format!("#!/bin/sh\necho '{printed}'\n");
            let failure = run(world, "m", program.as_bytes(), json!({})).unwrap_err();
            assert!(failure.msg.starts_with(msg), "{printed}: {}", failure.msg);
        }
    });
}

#[test]
fn python_modules_of_ansibles_own_kind_need_ansible_core_on_the_host() {
    for text in [
        "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n",
        "#!/usr/bin/python\nfrom ..module_utils.x import y\n",
    ] {
        assert_eq!(Calling::of(text.as_bytes()), Ok(Calling::Python));
    }
    let replaced = "#!/usr/bin/python\n#<<INCLUDE_ANSIBLE_MODULE_COMMON>>\n";
    assert!(Calling::of(replaced.as_bytes()).is_err());
    assert!(Calling::of(b"echo\n").is_err());
    assert_eq!(
        Calling::of(b"#!/usr/bin/python\nimport json # WANT_JSON\n"),
        Ok(Calling::WantJson)
    );
}
