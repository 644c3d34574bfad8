//! Tests of `assemble`.

use serde_json::json;

use super::super::testing::{HOSTILE, in_each_shell};
use super::{AssembleArgs, unescaped};
use crate::value::{Value, from_value};

fn assembled(args: serde_json::Value, fragments: &[(&str, &str)]) -> String {
    let mut all = args;
    all["src"] = json!("/s");
    all["dest"] = json!("/d");
    let args: AssembleArgs = from_value(&Value::from_json(all)).unwrap();
    let fragments = fragments
        .iter()
        .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
        .collect();
    String::from_utf8(args.assembled(fragments).unwrap()).unwrap()
}

/// The expected texts are what ansible-core 2.19's module wrote.
#[test]
fn fragments_are_joined_as_ansible_joins_them() {
    let parts: &[(&str, &str)] = &[
        ("b", "two"),
        ("a", "one\n"),
        (".h", "hidden\n"),
        ("B", "upper"),
        ("-x", ""),
    ];
    for (args, expected) in [
        (json!({}), "\nhidden\nupper\none\ntwo"),
        (json!({"ignore_hidden": true}), "\nupper\none\ntwo"),
        (json!({"regexp": "^[ab]$"}), "one\ntwo"),
        (
            json!({"regexp": "(?i)^[ab]$", "delimiter": "# --"}),
            "upper\n# --\none\n# --\ntwo",
        ),
        (
            json!({"regexp": "^[ab]$", "delimiter": "\\x2d\\n\\n"}),
            "one\n-\n\ntwo",
        ),
        (json!({"regexp": "nothing"}), ""),
    ] {
        assert_eq!(assembled(args.clone(), parts), expected, "{args}");
    }
    assert_eq!(unescaped(r"\101\0\q\'\t").unwrap(), b"A\0\\q'\t");
    assert!(unescaped("\\").is_err() && unescaped("\\x4").is_err());
}

#[test]
fn a_folder_of_the_host_becomes_a_file_once_and_comes_back() {
    in_each_shell(|world| {
        let mut expected = String::new();
        let mut names = HOSTILE.to_vec();
        names.push(".hidden");
        names.sort_unstable();
        for name in names {
            let text = format!("[{}]\n", name.escape_debug());
            world.file(&format!("frag ments/{name}"), &text, 0o600);
            expected.push_str(&text);
        }
        world.dir("frag ments/folder", 0o755);
        for name in HOSTILE {
            let args =
                json!({"src": world.at("frag ments"), "dest": world.at(name), "mode": "0640"});
            let cycle = world.cycle("assemble", &args, &[]);
            assert!(cycle.after[*name].starts_with("0640"), "{:?}", cycle.after);
            assert_eq!(cycle.outcome.result["msg"], Value::from("OK"));
            assert_eq!(
                cycle.second.result["md5sum"], cycle.outcome.result["md5sum"],
                "computed here and there"
            );
            let (change, outcome) = world.change("assemble", &args, &[]);
            assert!(outcome.unwrap().is_changed);
            assert_eq!(world.text(name), expected);
            assert_eq!(change.diff[0].after, expected);
            world.undo(&change);
        }
        world.file("old", "old\n", 0o604);
        let args = json!({"src": world.at("frag ments"), "dest": world.at("old"), "regexp": "^plain$", "validate": "grep -q plain %s", "backup": true});
        let cycle = world.cycle("assemble", &args, &[]);
        assert_eq!(cycle.change.diff[0].before, "old\n");
        assert!(cycle.after["old"].starts_with("0604"), "{:?}", cycle.after);
    });
}

#[test]
fn a_folder_of_the_controller_becomes_a_file() {
    in_each_shell(|world| {
        let folder = world.folder(&[("b", "two\n"), ("a", "one"), ("sub/", ""), ("sub/c", "no")]);
        let args = json!({"src": "parts", "dest": world.at("it's"), "remote_src": false});
        let cycle = world.cycle("assemble", &args, &[folder]);
        assert!(
            cycle.after["it's"].contains("one\\ntwo"),
            "{:?}",
            cycle.after
        );
    });
}

#[test]
fn what_is_no_folder_is_refused_in_ansibles_words() {
    in_each_shell(|world| {
        world.file("file", "", 0o600);
        world.file("parts/a", "x\n", 0o600);
        for (args, msg) in [
            (json!({"src": world.at("no")}), "does not exist"),
            (json!({"src": world.at("file")}), "is not a directory"),
            (
                json!({"src": world.at("parts"), "regexp": "("}),
                "Invalid Regexp",
            ),
        ] {
            let mut args = args;
            args["dest"] = json!(world.at("out"));
            let failure = world.refuses("assemble", &args);
            assert!(failure.msg.contains(msg), "{}", failure.msg);
        }
        let args =
            json!({"src": world.at("parts"), "dest": world.at("out"), "validate": "false %s"});
        let failure = world.change("assemble", &args, &[]).1.unwrap_err();
        assert_eq!(failure.msg, "failed to validate: rc:1 error:");
        assert!(!world.root().join("out").exists());
    });
}
