//! Tests of `service`.

use super::*;
use crate::value::from_value;

/// Fields of a real `systemctl show` (systemd 257), shortened.
fn show(load: &str, active: &str) -> String {
    format!(
        "Type=notify\nExecStart={{ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -D ; \
         ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; \
         status=0/0 }}\nId=ssh.service\nDescription={{open\nLoadState={load}\n\
         ActiveState={active}\nSubState=running\n"
    )
}

fn seen(manager: &str, enabled: &str, load: &str, active: &str) -> Reply {
    let rc = i32::from(!matches!(enabled, "enabled" | "enabled-runtime" | "static"));
    Reply {
        rc: 0,
        stdout: format!(
            "manager={manager}\nenabled_rc={rc}\nenabled={enabled}\n\n{}",
            show(load, active)
        )
        .into_bytes(),
        stderr: Vec::new(),
    }
}

fn decide(args: serde_json::Value, seen: Reply) -> Result<Decision, Failure> {
    let args: ServiceArgs = from_value(&Value::from_json(args)).unwrap();
    Service::check(&args).unwrap();
    Service::decide(&args, &[], &[seen])
}

fn lines(acts: &[Act]) -> Vec<String> {
    let mut out = Vec::new();
    for act in acts {
        let Act::Script { script, .. } = act else {
            panic!("{act:?}")
        };
        out.extend(script.sh.lines().map(|line| {
            let line = line.strip_prefix("SB_out=$(").unwrap_or(line);
            let end = line.find(" 2>&1)").or_else(|| line.find(" ||"));
            line[..end.unwrap_or(line.len())].to_owned()
        }));
    }
    out
}

#[test]
#[expect(
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "it is a table"
)]
fn only_what_differs_is_done_and_everything_done_is_taken_back() {
    // (arguments, enablement, activity, acts, undo)
    let table: &[(serde_json::Value, &str, &str, &[&str], &[&str])] = &[
        (
            serde_json::json!({"name": "ssh", "state": "started"}),
            "",
            "active",
            &[],
            &[],
        ),
        (
            serde_json::json!({"name": "ssh", "state": "started"}),
            "",
            "activating",
            &[],
            &[],
        ),
        (
            serde_json::json!({"name": "ssh", "state": "stopped"}),
            "",
            "failed",
            &[],
            &[],
        ),
        (
            serde_json::json!({"name": "ssh", "state": "started"}),
            "",
            "failed",
            &["systemctl start ssh"],
            &["systemctl stop ssh"],
        ),
        (
            serde_json::json!({"name": "ssh", "state": "stopped", "no_block": true}),
            "",
            "active",
            &["systemctl --no-block stop ssh"],
            &["systemctl start ssh"],
        ),
        (
            serde_json::json!({"name": "ssh", "state": "stopped"}),
            "",
            "deactivating",
            &["systemctl stop ssh"],
            &[],
        ),
        (
            serde_json::json!({"name": "ssh", "state": "restarted"}),
            "",
            "active",
            &["systemctl restart ssh"],
            &[],
        ),
        (
            serde_json::json!({"name": "ssh", "state": "reloaded"}),
            "",
            "inactive",
            &["systemctl start ssh"],
            &["systemctl stop ssh"],
        ),
        (
            serde_json::json!({"name": "ssh", "enabled": true}),
            "enabled",
            "active",
            &[],
            &[],
        ),
        (
            serde_json::json!({"name": "ssh", "enabled": true}),
            "static",
            "active",
            &[],
            &[],
        ),
        (
            serde_json::json!({"name": "ssh", "enabled": true}),
            "enabled-runtime",
            "active",
            &["systemctl enable ssh"],
            &["systemctl disable ssh && systemctl enable --runtime ssh"],
        ),
        (
            serde_json::json!({"name": "ssh", "enabled": false, "masked": true, "state": "stopped"}),
            "enabled",
            "active",
            &[
                "systemctl mask ssh",
                "systemctl disable ssh",
                "systemctl stop ssh",
            ],
            &[
                "systemctl unmask ssh",
                "systemctl enable ssh",
                "systemctl start ssh",
            ],
        ),
        (
            serde_json::json!({"name": "ssh", "enabled": true, "masked": false, "state": "started"}),
            "masked",
            "inactive",
            &[
                "systemctl unmask ssh",
                "systemctl enable ssh",
                "systemctl start ssh",
            ],
            &[
                "systemctl stop ssh",
                "systemctl disable ssh",
                "systemctl mask ssh",
            ],
        ),
    ];
    for (args, enabled, active, acts, undo) in table {
        let load = if *enabled == "masked" {
            "masked"
        } else {
            "loaded"
        };
        let decision = decide(args.clone(), seen("systemd", enabled, load, active)).unwrap();
        match decision {
            Decision::Unchanged(_) => assert!(acts.is_empty(), "{args}"),
            Decision::Change(change) => {
                assert_eq!(lines(&change.acts), *acts, "{args}");
                match change.undo {
                    Undo::Acts { acts, .. } => assert_eq!(lines(&acts), *undo, "{args}"),
                    Undo::NotNeeded => assert!(undo.is_empty(), "{args}"),
                    Undo::Unknown(why) => panic!("{args}: {why}"),
                }
            }
            Decision::Ask(_) => panic!("{args}"),
        }
    }
}

#[test]
fn a_reload_of_systemd_alone_is_no_change() {
    let args = serde_json::json!({"daemon_reload": true});
    let Decision::Change(change) = decide(args.clone(), seen("systemd", "", "", "")).unwrap()
    else {
        panic!("nothing to do")
    };
    let args: ServiceArgs = from_value(&Value::from_json(args)).unwrap();
    let outcome = Service::finish(&args, &[], &[], &change, &[Reply::default()]).unwrap();
    assert!(!outcome.is_changed);
    assert!(!outcome.result.contains_key("changed"));
}

#[test]
fn a_service_that_is_not_there_is_named() {
    for (args, message) in [
        (
            serde_json::json!({"name": "no", "state": "started"}),
            "Could not find the requested service no: host",
        ),
        (
            serde_json::json!({"name": "no", "enabled": false}),
            "Could not find the requested service no: host",
        ),
    ] {
        let failure = decide(args, seen("systemd", "not-found", "not-found", "inactive"));
        assert_eq!(failure.unwrap_err().msg, message);
    }
    // Its unit file may have come a moment ago.
    let args = serde_json::json!({"name": "no", "state": "started", "daemon_reload": true});
    let decision = decide(args, seen("systemd", "not-found", "not-found", "inactive"));
    assert!(matches!(decision, Ok(Decision::Change(_))));
}

#[test]
fn init_scripts_are_used_where_there_is_no_systemd() {
    let reply = |text: &str| Reply {
        stdout: text.into(),
        ..Reply::default()
    };
    let args = serde_json::json!({"name": "cron", "state": "started", "enabled": true});
    let Decision::Change(change) =
        decide(args.clone(), reply("manager=sysv\ninitd=yes\n")).unwrap()
    else {
        panic!("nothing to do")
    };
    assert!(lines(&change.acts)[1].contains("service cron start"));
    let done = decide(
        args.clone(),
        reply("manager=sysv\ninitd=yes\nrc_links=yes\nrunning=yes\n"),
    );
    assert!(matches!(done, Ok(Decision::Unchanged(_))));
    assert_eq!(
        decide(args, reply("manager=none\n")).unwrap_err().msg,
        "no service manager was found on the host (systemd, OpenRC or init scripts)"
    );
}

#[test]
fn the_lines_of_show_are_read_as_ansible_reads_them() {
    let status = parse_show(
        "Description={open\nExecStart={ path=/bin/sh ; argv[]=/bin/sh -c a\nb=c\nd ; status=0/0 }\n\
         ActiveState=active\n",
    );
    assert_eq!(status["Description"], "{open".into());
    assert_eq!(status["ActiveState"], "active".into());
    assert!(!status.contains_key("b"));
}

#[test]
fn a_failing_step_says_what_systemctl_says() {
    let args = serde_json::json!({"name": "ssh", "state": "started"});
    let Decision::Change(change) =
        decide(args.clone(), seen("systemd", "", "loaded", "failed")).unwrap()
    else {
        panic!("nothing to do")
    };
    let Act::Script { script, .. } = &change.acts[0] else {
        panic!("no script")
    };
    let dir = tempfile::tempdir().unwrap();
    let fake = dir.path().join("systemctl");
    std::fs::write(
        &fake,
        "#!/bin/sh\necho \"Job for $2 failed.\" >&2\nexit 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for shell in super::super::trial::SHELLS {
        let reply = super::super::trial::Trial::new(shell)
            .with_path(format!("{}:/usr/bin:/bin", dir.path().display()))
            .sh(&script.sh, b"");
        let args: ServiceArgs = from_value(&Value::from_json(args.clone())).unwrap();
        let failure = Service::finish(&args, &[], &[], &change, &[reply]).unwrap_err();
        assert_eq!(
            failure.msg,
            "Unable to start service ssh: Job for ssh failed."
        );
    }
}
