//! Tests of `user`.

use super::super::trial::{SHELLS, Trial};
use super::*;

fn scripts(change: &Change) -> (&str, &str) {
    let (Act::Script { script, .. }, Undo::Acts { acts, .. }) = (&change.acts[0], &change.undo)
    else {
        panic!("{change:?}")
    };
    let Act::Script { script: undo, .. } = &acts[0] else {
        panic!("{acts:?}")
    };
    (&script.sh, &undo.sh)
}

#[test]
fn an_account_as_wanted_is_left_alone() {
    for shell in SHELLS {
        let ran = Trial::new(shell).run::<User>(serde_json::json!({
            "name": "daemon", "uid": 1, "group": "daemon", "home": "/usr/sbin",
            "shell": "/usr/sbin/nologin", "password_lock": false,
        }));
        assert_eq!(ran.trips, 1);
        let outcome = ran.result.unwrap();
        assert!(!outcome.is_changed, "{outcome:?}");
        assert_eq!(outcome.result["uid"], Value::Int(1));
        assert_eq!(outcome.result["home"], "/usr/sbin".into());
    }
}

#[test]
fn only_what_differs_is_modified_and_taken_back() {
    for shell in SHELLS {
        let change = Trial::new(shell)
            .decide::<User>(serde_json::json!({
                "name": "daemon", "shell": "/bin/it's", "comment": "daemon",
                "groups": ["adm", "tty"], "create_home": false,
            }))
            .unwrap();
        let (act, undo) = scripts(&change);
        assert!(
            act.contains("usermod -s '/bin/it'\\''s' -G 'adm,tty' daemon ||")
                || act.contains("usermod -s '/bin/it'\\''s' -G adm,tty daemon ||"),
            "{act}"
        );
        assert!(
            undo.contains("usermod -s /usr/sbin/nologin -G '' daemon ||"),
            "{undo}"
        );
    }
}

#[test]
fn a_new_account_is_made_with_its_password_on_standard_input() {
    let hash = "$6$salt$hash/of.it";
    for shell in SHELLS {
        let change = Trial::new(shell)
            .decide::<User>(serde_json::json!({
                "name": "no-such", "system": true, "groups": "adm", "password": hash,
                "home": "/srv/deep/no-such", "expires": 86400 * 2, "password_expire_max": 9,
            }))
            .unwrap();
        let (act, undo) = scripts(&change);
        assert!(act.starts_with("mkdir -p /srv/deep || exit\nuseradd -G adm -d /srv/deep/no-such -e 1970-01-03 -r -m no-such ||"), "{act}");
        assert!(
            act.contains(&format!("printf '%s\\n' 'no-such:{hash}' | chpasswd -e")),
            "{act}"
        );
        assert!(act.contains("chage -M 9 no-such"), "{act}");
        assert!(undo.contains("userdel -r no-such"), "{undo}");
    }
}

#[test]
fn a_removed_account_is_made_again_as_it_was() {
    let change = Trial::new(SHELLS[0])
        .decide::<User>(serde_json::json!({"name": "daemon", "state": "absent"}))
        .unwrap();
    let (act, undo) = scripts(&change);
    assert!(act.contains("userdel daemon"), "{act}");
    assert!(
        undo.contains(
            "useradd -M -N -o -u 1 -g 1 -c daemon -d /usr/sbin -s /usr/sbin/nologin daemon"
        ),
        "{undo}"
    );
    let change = Trial::new(SHELLS[0])
        .decide::<User>(serde_json::json!({"name": "daemon", "state": "absent", "remove": true}))
        .unwrap();
    assert!(matches!(change.undo, Undo::Unknown(_)));
}

#[test]
fn what_cannot_be_is_refused() {
    for (args, message) in [
        (
            serde_json::json!({"name": "a:b"}),
            "`a:b` cannot be the name of a user",
        ),
        (
            serde_json::json!({"name": "a", "password": "x:y"}),
            "`password` is the hash of a password and holds no `:`",
        ),
    ] {
        assert_eq!(Trial::refusal::<User>(args), message);
    }
    let missing = Trial::new(SHELLS[0])
        .run::<User>(serde_json::json!({"name": "daemon", "groups": "no-such-group"}));
    assert_eq!(
        missing.result.unwrap_err().msg,
        "Group no-such-group does not exist"
    );
}
