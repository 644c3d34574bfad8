//! Tests of `pip`, with a `pip` of sh that keeps its packages in a file.

use serde_json::json;

use super::super::testing::{World, in_each_shell};
use super::super::trial::Trial;
use super::{Pip, recovered};
use crate::value::Value;

/// Installs everything in version 2, and fails for `broken`.
const PIP: &str = r#"#!/bin/sh
db=$(dirname "$0")/packages
case $1 in
list) cat "$db" ;;
install)
  for word; do
    case $word in
    install | -*) continue ;;
    broken) echo "no such package" >&2; exit 1 ;;
    *\[*) name=${word%%\[*} version=3 ;;
    *==*) name=${word%%==*} version=${word#*==} ;;
    *) name=$word version=2
      if grep -q "^$word==" "$db"; then echo "Requirement already satisfied: $name"; continue; fi ;;
    esac
    if grep -qx "$name==$version" "$db"; then echo "Requirement already satisfied: $name"; continue; fi
    grep -v "^$name==" "$db" >"$db.new"
    echo "$name==$version" >>"$db.new"
    LC_ALL=C sort "$db.new" >"$db"
    rm "$db.new"
    echo "Successfully installed $name-$version"
  done ;;
uninstall)
  for word; do
    grep -q "^$word==" "$db" || continue
    grep -v "^$word==" "$db" >"$db.new"
    cat "$db.new" >"$db"
    rm "$db.new"
    echo "Successfully uninstalled $word"
  done ;;
esac
status=$?
touch -d '2020-09-13 12:26:40' "$db"
exit $status
"#;

fn with_pip(test: impl Fn(&World, &str)) {
    in_each_shell(|world| {
        world.file("it's bin/pip3", PIP, 0o755);
        world.file("it's bin/packages", "old==1\nother==1.5\n", 0o644);
        test(world, &world.at("it's bin/pip3"));
    });
}

#[test]
fn packages_are_installed_once_and_taken_back() {
    with_pip(|world, pip| {
        for (name, expected) in [
            (json!("new"), "new==2\nold==1\nother==1.5\n"),
            (json!(["old==2", "other"]), "old==2\nother==1.5\n"),
            (json!("old>=1.5,new"), ""),
        ] {
            let args = json!({"name": name, "executable": pip});
            if expected.is_empty() {
                // The fake does not know ranges: what counts is that it is asked.
                assert!(matches!(
                    world.decide("pip", &args, &[]).unwrap().0,
                    super::Decision::Change(_)
                ));
                continue;
            }
            let (change, outcome) = world.change("pip", &args, &[]);
            assert!(outcome.unwrap().is_changed);
            assert_eq!(world.text("it's bin/packages"), expected);
            world.undo(&change);
            let cycle = world.cycle("pip", &args, &[]);
            assert_eq!(cycle.outcome.result["state"], Value::from("present"));
        }
    });
}

#[test]
fn packages_are_removed_once_and_come_back() {
    with_pip(|world, pip| {
        let args = json!({"name": ["old", "not-there"], "state": "absent", "executable": pip});
        let cycle = world.cycle("pip", &args, &[]);
        assert_eq!(
            cycle.outcome.result["stdout"],
            Value::from("Successfully uninstalled old\n")
        );
    });
}

#[test]
fn what_is_there_is_seen_in_one_trip_and_pip_is_asked_about_the_rest() {
    with_pip(|world, pip| {
        for name in ["old", "old>=1,<2", "Other", "other~=1.2"] {
            world.unchanged("pip", &json!({"name": name, "executable": pip}), &[]);
        }
        // Newest or new again: pip has to be asked, and may find nothing to do.
        for state in ["latest", "present"] {
            let name = if state == "latest" {
                "old==1"
            } else {
                "old[extra]"
            };
            let args = json!({"name": name, "state": state, "executable": pip});
            let (_, outcome) = world.change("pip", &args, &[]);
            assert_eq!(outcome.unwrap().is_changed, state == "present", "{name}");
        }
    });
}

#[test]
fn a_failure_tells_what_pip_said_and_a_missing_pip_is_named() {
    with_pip(|world, pip| {
        let args = json!({"name": "broken", "executable": pip});
        let failure = world.change("pip", &args, &[]).1.unwrap_err();
        assert_eq!(failure.msg, "\n:stderr: no such package\n");
        let failure = world.refuses("pip", &json!({"name": "x", "executable": "no-such-pip"}));
        assert_eq!(
            failure.msg,
            "Unable to find any of no-such-pip to use.  pip needs to be installed."
        );
    });
}

#[test]
fn a_new_environment_goes_with_its_undo() {
    in_each_shell(|world| {
        world.file(
            "venv.sh",
            format!("#!/bin/sh\nmkdir -p \"$1/bin\"\n: >\"$1/bin/activate\"\ncat >\"$1/bin/pip3\" <<'E'\n{PIP}E\nchmod 755 \"$1/bin/pip3\"\necho old==1 >\"$1/bin/packages\"\n"),
            0o755,
        );
        let args = json!({"name": "new", "virtualenv": world.at("my env"), "virtualenv_command": world.at("venv.sh")});
        let before = world.snapshot();
        let (change, outcome) = world.change("pip", &args, &[]);
        assert!(outcome.unwrap().is_changed);
        assert_eq!(world.text("my env/bin/packages"), "new==2\nold==1\n");
        world.unchanged("pip", &args, &[]);
        world.undo(&change);
        assert_eq!(world.snapshot(), before);
        world.undo(&change);
    });
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    for (args, why) in [
        (
            json!({}),
            "one of the following is required: name, requirements",
        ),
        (
            json!({"name": "x", "state": "latest", "version": "1"}),
            "version is incompatible with state=latest",
        ),
        (
            json!({"name": "x,y", "version": "1"}),
            "'version' argument is ambiguous",
        ),
        (
            json!({"name": "x>1", "version": "1"}),
            "The 'version' argument conflicts",
        ),
        (
            json!({"name": "x", "umask": "9"}),
            "umask must be an octal integer",
        ),
        (
            json!({"name": "--target=/"}),
            "`--target=/` cannot be the name of a package",
        ),
    ] {
        let refusal = Trial::refusal::<Pip>(args.clone());
        assert!(refusal.starts_with(why), "{args}: {refusal}");
    }
    let names = ["a>1", " <2", "b[x", "y]>=1", "c"].map(str::to_owned);
    assert_eq!(recovered(&names), ["a>1, <2", "b[x,y]>=1", "c"]);
}
