//! Tests of `cron`.

use serde_json::json;

use super::super::testing::{HOSTILE, in_each_shell};
use super::super::trial::{SHELLS, Trial};
use super::*;
use crate::value::{Value, from_value};

const BOTH: &str =
    "A=\"1\"\n#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n#Ansible: two\n#@daily root z\n";

/// The expected texts are what ansible-core 2.19's module wrote; empty: it changed nothing.
#[test]
fn tables_change_as_with_ansible() {
    for (args, before, after) in [
        (
            json!({"name": "one", "job": "x", "user": "root", "minute": "1", "hour": "2"}),
            BOTH,
            "",
        ),
        (
            json!({"name": "one", "job": "new", "user": "db"}),
            BOTH,
            "A=\"1\"\n#Ansible: one\n* * * * * db new\n5 * * * * root y\n#Ansible: two\n#@daily root z\n",
        ),
        (
            json!({"name": "two", "job": "z", "user": "root", "special_time": "daily"}),
            BOTH,
            "A=\"1\"\n#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n#Ansible: two\n@daily root z\n",
        ),
        (
            json!({"name": "three", "job": "y", "user": "root", "minute": "5"}),
            BOTH,
            "A=\"1\"\n#Ansible: one\n1 2 * * * root x\n#Ansible: three\n5 * * * * root y\n#Ansible: two\n#@daily root z\n",
        ),
        (
            json!({"name": "four", "job": "a b\n", "user": "root", "weekday": "1-5"}),
            BOTH,
            "A=\"1\"\n#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n#Ansible: two\n#@daily root z\n#Ansible: four\n* * * * 1-5 root a b\n",
        ),
        (
            json!({"name": "two", "state": "absent"}),
            BOTH,
            "A=\"1\"\n#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n",
        ),
        (json!({"name": "none", "state": "absent"}), BOTH, ""),
        (
            json!({"name": "A", "job": "2", "env": true, "user": "root"}),
            BOTH,
            "A=\"2\"\n#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n#Ansible: two\n#@daily root z\n",
        ),
        (
            json!({"name": "B", "job": "2", "env": true, "user": "root"}),
            BOTH,
            "B=\"2\"\nA=\"1\"\n#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n#Ansible: two\n#@daily root z\n",
        ),
        (
            json!({"name": "B", "job": "2", "env": true, "user": "root", "insertafter": "A"}),
            BOTH,
            "A=\"1\"\nB=\"2\"\n#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n#Ansible: two\n#@daily root z\n",
        ),
        (
            json!({"name": "A", "env": true, "state": "absent"}),
            BOTH,
            "#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n#Ansible: two\n#@daily root z\n",
        ),
        (
            json!({"name": "one", "job": "x", "user": "root", "minute": "1", "hour": "2"}),
            BOTH.trim_end(),
            "A=\"1\"\n#Ansible: one\n1 2 * * * root x\n5 * * * * root y\n#Ansible: two\n#@daily root z\n",
        ),
        (
            json!({"name": "n", "job": "x", "user": "root"}),
            "",
            "#Ansible: n\n* * * * * root x\n",
        ),
        (
            json!({"name": "n", "state": "absent"}),
            "#Ansible: n\n* * * * * root x\n",
            "gone",
        ),
    ] {
        let mut all = args.clone();
        all["cron_file"] = json!("/x");
        let parsed: CronArgs = from_value(&Value::from_json(all)).unwrap();
        let lines = before.lines().map(str::to_owned).collect();
        let ends_open = !before.is_empty() && !before.ends_with('\n');
        let edited = parsed.edited(lines, ends_open).unwrap();
        let text = match (edited.is_changed, edited.removes_file) {
            (false, _) => String::new(),
            (true, true) => "gone".to_owned(),
            (true, false) => rendered(&edited.lines),
        };
        assert_eq!(text, after, "{args}");
    }
}

#[test]
fn a_file_of_any_name_changes_once_and_comes_back() {
    in_each_shell(|world| {
        for name in HOSTILE {
            let mut args = json!({"name": "it's $(id)", "job": "echo \"%s\" 'x'", "user": "root", "cron_file": world.at(name)});
            let cycle = world.cycle("cron", &args, &[]);
            assert!(cycle.after[*name].starts_with("0644"), "{:?}", cycle.after);
            world.file(name, BOTH, 0o600);
            world.cycle("cron", &args, &[]);
            world.file(name, "#Ansible: it's $(id)\n@daily root x\n", 0o600);
            args["state"] = json!("absent");
            let cycle = world.cycle("cron", &args, &[]);
            assert!(!cycle.after.contains_key(*name), "{:?}", cycle.after);
        }
    });
}

/// A crontab that keeps each user's table in a file.
const CRONTAB: &str = r#"#!/bin/sh
table=$(dirname "$0")/table
if [ "$1" = -u ]; then table=$table.$2; shift 2; fi
case $1 in
-l) [ -e "$table" ] || { echo "no crontab" >&2; exit 1; }; cat "$table" ;;
-r) rm "$table" ;;
-) cat >"$table" ;;
esac
"#;

#[test]
fn a_users_table_changes_once_and_comes_back() {
    use std::os::unix::fs::PermissionsExt as _;
    for shell in SHELLS {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("crontab");
        std::fs::write(&program, CRONTAB).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let trial = Trial::new(shell).with_path(format!("{}:/usr/bin:/bin", dir.path().display()));
        for (user, table) in [(None, "table"), (Some("daemon"), "table.daemon")] {
            let table = dir.path().join(table);
            for before in [None, Some("MAILTO=x\n\n")] {
                match before {
                    None => drop(std::fs::remove_file(&table)),
                    Some(text) => std::fs::write(&table, text).unwrap(),
                }
                let args =
                    json!({"name": "n", "user": user, "hour": "3", "job": "it's", "backup": true});
                let ran = trial.run::<Cron>(args.clone());
                let outcome = ran.result.unwrap();
                assert!(outcome.is_changed);
                assert_eq!(outcome.result["jobs"], strings(["n"]));
                let backup = outcome.result["backup_file"].as_str().unwrap().to_owned();
                assert_eq!(
                    std::fs::read_to_string(&backup).unwrap(),
                    before.unwrap_or_default()
                );
                assert_eq!(
                    std::fs::read_to_string(&table).unwrap(),
                    format!(
                        "{}#Ansible: n\n* 3 * * * it's\n",
                        before.unwrap_or_default()
                    )
                );
                assert!(!trial.run::<Cron>(args).result.unwrap().is_changed);
                trial.undo(&ran.change.unwrap());
                assert_eq!(
                    std::fs::read_to_string(&table).ok().as_deref(),
                    before,
                    "{shell:?}"
                );
                assert!(!std::path::Path::new(&backup).exists());
            }
        }
    }
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    for (args, why) in [
        (json!({"name": "x"}), "You must specify 'job'"),
        (
            json!({"name": "x", "job": "y", "cron_file": "z"}),
            "To use cron_file=...",
        ),
        (
            json!({"name": "x", "job": "y", "special_time": "daily", "hour": "1"}),
            "You cannot combine",
        ),
        (
            json!({"name": "x y", "job": "y", "env": true}),
            "Invalid name for environment",
        ),
        (
            json!({"name": "x", "job": "y", "insertafter": "A"}),
            "Insertafter and insertbefore",
        ),
        (
            json!({"name": "x", "job": "y", "cron_file": "/etc/crontab", "user": "a"}),
            "Will not manage",
        ),
    ] {
        let refusal = Trial::refusal::<Cron>(args);
        assert!(refusal.starts_with(why), "{refusal}");
    }
}
