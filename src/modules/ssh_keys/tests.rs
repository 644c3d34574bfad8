//! Tests of `ssh_keys`.

use super::super::trial::{SHELLS, Trial};
use super::*;

const OLD: &str = "# ours\nssh-rsa AAAA old@x\ncommand=\"a b\" ssh-ed25519 BBBB\n";

#[test]
fn keys_are_added_once_removed_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it's/keys");
    for shell in SHELLS {
        drop(std::fs::remove_dir_all(path.parent().unwrap()));
        let trial = Trial::new(shell);
        let run = |key: &str, extra: serde_json::Value| {
            let mut args = serde_json::json!({"user": "root", "key": key, "path": path});
            args.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            trial.run::<AuthorizedKey>(args)
        };
        let read = || std::fs::read_to_string(&path).unwrap();
        let ran = run("ssh-rsa AAAA new", serde_json::json!({}));
        assert!(ran.result.unwrap().is_changed);
        assert_eq!(read(), "ssh-rsa AAAA new\n");
        trial.undo(&ran.change.unwrap());
        assert!(!path.parent().unwrap().exists(), "{shell:?}");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, OLD).unwrap();
        assert!(
            !run("ssh-rsa AAAA", serde_json::json!({}))
                .result
                .unwrap()
                .is_changed
        );
        let ran = run("ssh-ed25519 BBBB", serde_json::json!({"state": "absent"}));
        assert!(ran.result.unwrap().is_changed);
        assert_eq!(read(), "# ours\nssh-rsa AAAA old@x\n");
        trial.undo(&ran.change.unwrap());
        assert_eq!(read(), OLD);
        run(
            "ssh-dss CCCC c",
            serde_json::json!({"exclusive": true, "key_options": "no-pty"}),
        );
        assert_eq!(read(), "# ours\nno-pty ssh-dss CCCC c\n");
    }
    assert_eq!(
        Trial::refusal::<AuthorizedKey>(serde_json::json!({"user": "root", "key": "no key"})),
        "invalid key specified: no key"
    );
}

#[test]
fn hosts_are_known_once_replaced_and_forgotten() {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMVZZ7HA+rAnuQifYx0+atzza1dZ6jx3jzJOBpNQpF6+";
    let other = KEY.replace("pF6+", "pF60");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known");
    for shell in SHELLS {
        drop(std::fs::remove_file(&path));
        let trial = Trial::new(shell);
        let run = |args: serde_json::Value| {
            let mut all = serde_json::json!({"name": "h.example", "path": path});
            all.as_object_mut()
                .unwrap()
                .extend(args.as_object().unwrap().clone());
            trial.run::<KnownHosts>(all)
        };
        let line = format!("h.example {KEY}");
        let ran = run(serde_json::json!({"key": line}));
        assert!(ran.result.unwrap().is_changed);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{line}\n"));
        assert!(
            !run(serde_json::json!({"key": line}))
                .result
                .unwrap()
                .is_changed
        );
        let replaced = run(serde_json::json!({"key": format!("h.example {other}")}));
        assert!(replaced.result.unwrap().is_changed);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("h.example {other}\n")
        );
        trial.undo(&replaced.change.unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{line}\n"));
        assert!(
            run(serde_json::json!({"state": "absent"}))
                .result
                .unwrap()
                .is_changed
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        assert!(
            !run(serde_json::json!({"state": "absent"}))
                .result
                .unwrap()
                .is_changed
        );
    }
}
