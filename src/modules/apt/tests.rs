//! Tests of `apt`.

use super::super::trial::{SHELLS, Trial};
use super::*;

fn probe_reply(text: &str) -> Reply {
    Reply {
        stdout: text.into(),
        ..Reply::default()
    }
}

fn decide(args: serde_json::Value, reply: Reply) -> Result<Decision, Failure> {
    let args: AptArgs = crate::value::from_value(&Value::from_json(args)).unwrap();
    Apt::check(&args).unwrap();
    Apt::decide(&args, &[], &[reply])
}

fn script(change: &Change) -> &str {
    let Act::Script { script, .. } = &change.acts[0] else {
        panic!("no script")
    };
    &script.sh
}

#[test]
fn an_installed_package_is_found_by_dpkg_alone() {
    // One that apt has not noted as automatically installed: nothing is left to be done.
    let output = std::process::Command::new("apt-mark")
        .arg("showmanual")
        .output()
        .unwrap();
    let manual = String::from_utf8(output.stdout).unwrap();
    let manual = manual.lines().next().unwrap();
    for shell in SHELLS {
        let ran = Trial::new(shell).run::<Apt>(serde_json::json!({"name": manual}));
        assert_eq!(ran.trips, 1);
        let outcome = ran.result.unwrap();
        assert!(!outcome.is_changed);
        assert_eq!(outcome.result["cache_updated"], false.into());
    }
}

#[test]
fn the_probe_only_simulates() {
    for shell in SHELLS {
        let trial = Trial::new(shell);
        let ran = trial.run::<Apt>(serde_json::json!({"name": "no-such-package-at-all"}));
        assert_eq!(
            ran.result.unwrap_err().msg,
            "No package matching 'no-such-package-at-all' is available"
        );
        let ran = trial.run::<Apt>(serde_json::json!({"name": "no-such-*-at-all"}));
        assert_eq!(
            ran.result.unwrap_err().msg,
            "No package(s) matching 'no-such-*-at-all' available"
        );
        let ran = trial.run::<Apt>(serde_json::json!({"name": "no-such-x", "state": "absent"}));
        assert!(!ran.result.unwrap().is_changed);
        let ran = trial.run::<Apt>(serde_json::json!({"name": "dpkg=0.1"}));
        assert_eq!(
            ran.result.unwrap_err().msg,
            "no available installation candidate for dpkg=0.1"
        );
        let ran = trial.run::<Apt>(serde_json::json!({"name": ["dpkg>=1.0", "dash=0*"]}));
        assert!(!ran.result.unwrap().is_changed);
    }
}

#[test]
fn a_removal_is_simulated_and_taken_back() {
    for shell in SHELLS {
        let change = Trial::new(shell)
            .decide::<Apt>(serde_json::json!({"name": ["busybox", "no-such-x"], "state": "absent"}))
            .unwrap();
        assert!(
            change.summary.contains("remove busybox"),
            "{}",
            change.summary
        );
        assert!(script(&change).contains("set -- busybox\n"));
        let Undo::Acts { acts, .. } = &change.undo else {
            panic!("no undo")
        };
        let Act::Script { script, .. } = &acts[0] else {
            panic!("no script")
        };
        // What is still as it was needs no apt-get.
        let reply = Trial::new(shell).sh(&script.sh, b"");
        assert_eq!(
            (reply.rc, reply.stdout_text().as_str()),
            (0, ""),
            "{reply:?}"
        );
    }
}

#[test]
fn a_simulated_installation_is_foretold_and_taken_back() {
    let reply = probe_reply(
        "@cache 7\n@known ii \tcurl\tamd64\t7.88-1\n\n@@simulation\n\
         Inst libx (2.0-1 Debian:12/stable [amd64])\nInst jq [1.5-1] (1.6-2 Debian:12/stable [amd64])\n",
    );
    let Decision::Change(change) = decide(
        serde_json::json!({"name": ["curl", "jq=1.6*"], "install_recommends": false}),
        reply,
    )
    .unwrap() else {
        panic!("nothing to do")
    };
    assert_eq!(change.summary, "install libx 2.0-1, jq 1.5-1 -> 1.6-2");
    assert_eq!(change.diff[0].after, "libx 2.0-1\njq 1.6-2\n");
    assert!(
        script(&change).contains("set -- 'jq=1.6*'\n"),
        "{}",
        script(&change)
    );
    assert!(script(&change).contains("APT::Install-Recommends=no install"));
    let Undo::Acts { acts, .. } = &change.undo else {
        panic!("no undo")
    };
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        (
            "dpkg-query",
            "case $5 in libx) printf 'ii  2.0-1' ;; *) printf 'ii  1.6-2' ;; esac",
        ),
        ("apt-get", "printf '%s ' \"$@\""),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    let Act::Script { script, .. } = &acts[0] else {
        panic!("no script")
    };
    for shell in SHELLS {
        let reply = Trial::new(shell)
            .with_path(format!("{}:/usr/bin:/bin", dir.path().display()))
            .sh(&script.sh, b"");
        assert!(
            reply.stdout_text().ends_with("install libx- jq=1.5-1 "),
            "{shell:?} {reply:?}"
        );
    }
}

#[test]
fn lists_that_are_new_enough_are_not_fetched() {
    let args = serde_json::json!({"update_cache": true, "cache_valid_time": 3600});
    let fresh = decide(args.clone(), probe_reply("@cache 7\n")).unwrap();
    assert!(matches!(fresh, Decision::Unchanged(_)));
    let Decision::Change(change) = decide(args, probe_reply("@cache 7\n@update\n")).unwrap() else {
        panic!("nothing to do")
    };
    assert_eq!(change.undo, Undo::NotNeeded);
    assert!(script(&change).contains("update"));
}

#[test]
fn fetching_lists_for_installed_packages_is_no_change() {
    let args = serde_json::json!({"name": "curl", "update_cache": true});
    let seen = probe_reply("@cache 7\n@update\n@known ii \tcurl\tamd64\t7.88-1\n");
    let Decision::Change(change) = decide(args.clone(), seen.clone()).unwrap() else {
        panic!("nothing to do")
    };
    assert!(matches!(&change.foretell, Foretell::Changed(map) if map["changed"] == false.into()));
    let args: AptArgs = crate::value::from_value(&Value::from_json(args)).unwrap();
    let reply = probe_reply("\n@@cache 9\n");
    let outcome = Apt::finish(&args, &[], &[seen], &change, &[reply]).unwrap();
    assert!(!outcome.is_changed);
    assert_eq!(outcome.result["cache_updated"], true.into());
    assert_eq!(outcome.result["cache_update_time"], Value::Int(9));
}

#[test]
fn arguments_are_checked() {
    for (args, message) in [
        (
            serde_json::json!({"name": "a", "deb": "b.deb"}),
            "parameters are mutually exclusive: deb|package|upgrade",
        ),
        (
            serde_json::json!({"state": "latest"}),
            "one of the following is required: autoremove, deb, package, update_cache, upgrade",
        ),
        (
            serde_json::json!({"name": "a=1=2"}),
            "invalid package spec: a=1=2",
        ),
    ] {
        assert_eq!(Trial::refusal::<Apt>(args), message);
    }
}
