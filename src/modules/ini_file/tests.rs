//! Tests of `ini_file`.

use serde_json::json;

use super::super::testing::{HOSTILE, in_each_shell};
use super::IniFileArgs;
use crate::value::{Value, from_value};

const BOTH: &str = "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]";
const PEERS: &str = "[peer]\nkey = 1\n[peer]\nkey = 2\nv = x\n";

/// An empty content stands for one that stays.
fn check(cases: Vec<(serde_json::Value, &str, &str, &str)>) {
    for (args, before, after, msg) in cases {
        let mut all = args.clone();
        all["path"] = json!("/x");
        let parsed: IniFileArgs = from_value(&Value::from_json(all)).unwrap();
        let (content, said) = parsed.edited(before).unwrap();
        assert_eq!(content.unwrap_or_default(), after, "{args} {before:?}");
        assert_eq!(said, msg, "{args} {before:?}");
    }
}

/// The expected texts are what community.general's module wrote.
#[test]
fn options_and_sections_that_are_there_change_as_with_ansible() {
    check(vec![
        (
            json!({"section": "a", "option": "x", "value": "1"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx = 1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option changed",
        ),
        (
            json!({"section": "a", "option": "x", "value": "1", "no_extra_spaces": true}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "OK",
        ),
        (
            json!({"section": "a", "option": "x", "value": "9", "ignore_spaces": true}),
            BOTH,
            "top=1\n# c\n\n[a]\nx = 9\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option changed",
        ),
        (
            json!({"section": "a", "option": "x", "value": "1", "ignore_spaces": true}),
            &format!("{BOTH}\n"),
            "",
            "OK",
        ),
        (
            json!({"section": "a", "option": "y", "value": "5"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\ny = 5\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option changed",
        ),
        (
            json!({"section": "a", "option": "y", "value": "3", "modify_inactive_option": false}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny = 3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option changed",
        ),
        (
            json!({"section": "a", "option": "new", "value": "5"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\nnew = 5\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option added",
        ),
        (
            json!({"section": "b", "option": "x", "values": ["2", "3"]}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 3\nx = 2\nz\n[c]\n",
            "option changed",
        ),
        (
            json!({"section": "b", "option": "x", "values": ["2", "3"], "exclusive": false}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\nx = 3\n[c]\n",
            "option added",
        ),
        (
            json!({"section": "b", "option": "x", "state": "absent"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nz\n[c]\n",
            "option changed",
        ),
        (
            json!({"section": "b", "option": "x", "value": "2", "state": "absent", "exclusive": false}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nz\n[c]\n",
            "option changed",
        ),
        (
            json!({"section": "b", "option": "z", "allow_no_value": true}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "OK",
        ),
        (
            json!({"section": "b", "option": "q", "allow_no_value": true}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\nq\n[c]\n",
            "option added",
        ),
        (
            json!({"section": "b", "state": "absent"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[c]\n",
            "section removed",
        ),
        (
            json!({"section": "c", "option": "n", "value": "1"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\nn = 1\n",
            "option added",
        ),
    ]);
}

/// The expected texts are what community.general's module wrote.
#[test]
fn sections_are_found_made_and_told_apart_as_with_ansible() {
    check(vec![
        (
            json!({"section": "d", "option": "n", "value": "1"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n[d]\nn = 1\n",
            "section and option added",
        ),
        (
            json!({"section": "d", "value": "1"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n[d]\n",
            "only section added",
        ),
        (
            json!({"section": "d", "state": "absent"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "OK",
        ),
        (
            json!({"option": "top", "value": "2"}),
            BOTH,
            "top = 2\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option changed",
        ),
        (
            json!({"option": "other", "value": "2"}),
            BOTH,
            "top=1\nother = 2\n# c\n\n[a]\nx=1\n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option added",
        ),
        (
            json!({"option": "other", "value": "2"}),
            "[a]\nx=1\n",
            "other = 2\n[a]\nx=1\n",
            "option added",
        ),
        (
            json!({"option": "other", "value": "2"}),
            "",
            "other = 2\n\n",
            "option added",
        ),
        (
            json!({"section": "s", "option": "o", "value": "v"}),
            "",
            "\n[s]\no = v\n",
            "section and option added",
        ),
        (
            json!({"section": "s", "option": "o", "value": "v w = \"q\""}),
            "\r\n[s]\r\no=1\r\n",
            "\n[s]\no = v w = \"q\"\n",
            "option changed",
        ),
        (
            json!({"section": "peer", "option": "v", "value": "n", "section_has_values": [{"option": "key", "value": "1"}]}),
            PEERS,
            "[peer]\nkey = 1\nv = n\n[peer]\nkey = 2\nv = x\n",
            "option added",
        ),
        (
            json!({"section": "peer", "option": "v", "value": "n", "section_has_values": [{"option": "key", "values": ["2", "7"]}]}),
            PEERS,
            "[peer]\nkey = 1\n[peer]\nkey = 2\nv = n\n",
            "option changed",
        ),
        (
            json!({"section": "peer", "option": "v", "value": "n", "section_has_values": [{"option": "key", "value": "3"}]}),
            PEERS,
            "[peer]\nkey = 1\n[peer]\nkey = 2\nv = x\n[peer]\nkey = 3\nv = n\n",
            "section and option added",
        ),
        (
            json!({"section": "a", "option": "y.*", "value": "5"}),
            BOTH,
            "top=1\n# c\n\n[a]\nx=1\n;y = 2\ny=3\ny.* = 5\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option added",
        ),
        (
            json!({"section": "a", "option": "x", "value": ""}),
            BOTH,
            "top=1\n# c\n\n[a]\nx = \n;y = 2\ny=3\n\n# end\n\n[ b ]\nx = 1\nx = 2\nz\n[c]\n",
            "option changed",
        ),
    ]);
}

#[test]
fn a_file_of_any_name_changes_once_and_comes_back() {
    in_each_shell(|world| {
        for name in HOSTILE {
            let args = json!({"path": world.at(name), "section": "it's", "option": "a b", "value": "$(id)", "mode": "0640"});
            let made = world.cycle("ini_file", &args, &[]);
            assert!(made.after[*name].starts_with("0640"), "{:?}", made.after);
            world.file(name, "[it's]\na b = 1\n", 0o600);
            let args = json!({"path": world.at(name), "section": "it's", "option": "a b", "value": "$(id)"});
            let cycle = world.cycle("ini_file", &args, &[]);
            assert!(
                cycle.after[*name].contains("a b = $(id)"),
                "{:?}",
                cycle.after
            );
            assert_eq!(cycle.outcome.result["msg"], "option changed".into());
        }
    });
}

#[test]
fn a_link_is_replaced_unless_it_is_followed() {
    in_each_shell(|world| {
        for follow in [false, true] {
            world.file("real", "a = 1\n", 0o600);
            world.link("link", "real");
            let args =
                json!({"path": world.at("link"), "option": "a", "value": "2", "follow": follow});
            let cycle = world.cycle("ini_file", &args, &[]);
            assert_eq!(
                cycle.after["link"].contains("-> real"),
                follow,
                "{:?}",
                cycle.after
            );
            assert_eq!(
                cycle.after["real"].contains("a = 2"),
                follow,
                "{:?}",
                cycle.after
            );
            if !follow {
                assert!(cycle.after["link"].starts_with("0600"), "{:?}", cycle.after);
            }
            std::fs::remove_file(world.root().join("link")).unwrap();
        }
    });
}
