//! Tests of `dnf`, with programs of sh that keep their packages in a file.

use serde_json::json;

use super::super::trial::{SHELLS, Trial};
use super::*;
use crate::value::Map;

const DNF: &str = r#"#!/bin/sh
db=$(dirname "$0")/packages
command=
for word; do
  case $word in
  -*) continue ;;
  esac
  if [ -z "$command" ]; then command=$word; continue; fi
  name=${word%%-[0-9]*}
  case $command in
  install)
    [ "$name" != missing ] || { echo "No match for argument: $name"; echo "Error: Unable to find a match: $name" >&2; exit 1; }
    [ "$word" = "$name" ] && word=$name-0:2-1.noarch
    grep -q "^$name " "$db" || echo "$name $word" >>"$db" ;;
  upgrade) grep -q "^$name " "$db" && sed -i "s/^$name .*/$name $name-0:2-1.noarch/" "$db" ;;
  downgrade) sed -i "s/^$name .*/$name $word/" "$db" ;;
  remove) sed -i "/^$name /d" "$db" ;;
  esac
done
exit 0
"#;

const RPM: &str = r#"#!/bin/sh
db=$(dirname "$0")/packages
case "$*" in
*--whatprovides\ /bin/old) exit 0 ;;
*--whatprovides*) exit 1 ;;
*-qa*) cat "$db" ;;
esac
"#;

const BEFORE: &str = "old old-0:1-1.noarch\nother other-1:1.5-3.el9.x86_64\n";

fn list(result: &Map) -> Vec<String> {
    let items = result["results"].as_list().unwrap_or_default();
    items
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

struct Host {
    dir: tempfile::TempDir,
    trial: Trial,
}

impl Host {
    fn new(shell: &'static [&'static str]) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("dnf", DNF), ("rpm", RPM)] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(dir.path().join("packages"), BEFORE).unwrap();
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        Self {
            dir,
            trial: Trial::new(shell).with_path(path),
        }
    }

    fn packages(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("packages")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[test]
fn packages_change_once_and_come_back() {
    for shell in SHELLS {
        for (args, expected) in [
            (json!({"name": "new"}), "Installed: new-0:2-1.noarch"),
            (
                json!({"name": ["old", "new"], "state": "installed"}),
                "Installed: new-0:2-1.noarch",
            ),
            (
                json!({"name": "old", "state": "absent"}),
                "Removed: old-0:1-1.noarch",
            ),
            (
                json!({"name": "old", "state": "latest"}),
                "Installed: old-0:2-1.noarch",
            ),
        ] {
            let host = Host::new(shell);
            let ran = host.trial.run::<Dnf>(args.clone());
            let outcome = ran.result.unwrap();
            assert!(outcome.is_changed, "{args}");
            assert_eq!(list(&outcome.result)[0], expected, "{args}");
            assert!(
                !host
                    .trial
                    .run::<Dnf>(args.clone())
                    .result
                    .unwrap()
                    .is_changed,
                "{args}"
            );
            let change = ran.change.unwrap();
            host.trial.undo(&change);
            assert_eq!(host.packages(), BEFORE, "{shell:?} {args}");
            host.trial.undo(&change);
            assert_eq!(host.packages(), BEFORE);
        }
    }
}

#[test]
fn what_is_there_under_any_of_its_names_takes_one_trip() {
    for shell in SHELLS {
        let host = Host::new(shell);
        for name in [
            "old",
            "old.noarch",
            "old-1",
            "old-1-1.noarch",
            "other-1:1.5-3.el9",
            "other-1:1.5",
            "/bin/old",
        ] {
            let ran = host.trial.run::<Dnf>(json!({"name": name}));
            assert_eq!(ran.trips, 1, "{name}");
            assert_eq!(ran.result.unwrap().result["msg"], "Nothing to do".into());
        }
        for name in ["old-2", "@group", "o*", "olde"] {
            assert!(
                host.trial.decide::<Dnf>(json!({"name": name})).is_ok(),
                "{name}"
            );
        }
    }
}

#[test]
fn a_missing_package_is_told_as_ansible_tells_it() {
    let host = Host::new(SHELLS[0]);
    let failure = host
        .trial
        .run::<Dnf>(json!({"name": "missing"}))
        .result
        .unwrap_err();
    assert_eq!(
        failure.msg,
        "Failed to install some of the specified packages"
    );
    assert_eq!(
        failure.result["failures"],
        strings(["No package missing available."])
    );
    for (args, why) in [
        (json!({}), "one of the following is required"),
        (json!({"name": "--x"}), "`--x` cannot be the name"),
        (json!({"list": "x"}), "`list` is not supported"),
    ] {
        let refusal = Trial::refusal::<Dnf>(args);
        assert!(refusal.starts_with(why), "{refusal}");
    }
}
