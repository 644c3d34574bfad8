//! Tests of `wait_for`.

use std::io::Write;
use std::net::TcpListener;

use super::super::result::strings;
use super::super::trial::{SHELLS, Trial};
use super::*;

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A folder with only these programs, to stand in `PATH`.
fn only(programs: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for program in programs {
        std::os::unix::fs::symlink(format!("/usr/bin/{program}"), dir.path().join(program))
            .unwrap();
    }
    dir
}

#[test]
fn an_open_port_is_found_by_bash_nc_or_proc() {
    let (_listener, port) = listener();
    for shell in SHELLS {
        for (name, programs) in [
            ("bash", &["bash", "timeout"][..]),
            ("bash without timeout", &["bash", "sleep"]),
            ("proc", &[]),
        ] {
            let dir = only(programs);
            // The shell itself is found by its own path.
            let trial = Trial::new(shell).with_path(dir.path().display().to_string());
            let ran = trial.run::<WaitFor>(serde_json::json!({"port": port, "timeout": 5}));
            assert_eq!(ran.trips, 1);
            let outcome = ran
                .result
                .unwrap_or_else(|f| panic!("{shell:?} {name}: {f:?}"));
            assert!(!outcome.is_changed);
            assert_eq!(outcome.result["state"], "started".into());
            assert_eq!(outcome.result["port"], Value::Int(port.into()));
            assert_eq!(outcome.result["elapsed"], Value::Int(0));
            assert_eq!(outcome.result["path"], Value::Null);
        }
    }
}

#[test]
fn a_closed_port_is_waited_for_in_vain_and_is_stopped() {
    let (closed, port) = listener();
    drop(closed);
    for shell in SHELLS {
        let trial = Trial::new(shell);
        let ran = trial.run::<WaitFor>(serde_json::json!({"port": port, "timeout": 1}));
        let failure = ran.result.unwrap_err();
        assert_eq!(
            failure.msg,
            format!("Timeout when waiting for 127.0.0.1:{port}")
        );
        assert!(failure.result["elapsed"].as_int().unwrap() >= 1);
        let ran = trial
            .run::<WaitFor>(serde_json::json!({"port": port, "timeout": 1, "state": "stopped"}));
        assert_eq!(ran.result.unwrap().result["elapsed"], Value::Int(0));
    }
}

#[test]
fn an_open_port_does_not_count_as_stopped() {
    let (_listener, port) = listener();
    let ran = Trial::new(SHELLS[0])
        .run::<WaitFor>(serde_json::json!({"port": port, "timeout": 1, "state": "stopped"}));
    assert_eq!(
        ran.result.unwrap_err().msg,
        format!("Timeout when waiting for 127.0.0.1:{port} to stop.")
    );
}

#[test]
fn what_a_port_sends_is_searched() {
    let (listener, port) = listener();
    let server = std::thread::spawn(move || {
        for stream in listener.incoming().take(SHELLS.len()) {
            stream
                .unwrap()
                .write_all(b"SSH-2.0-OpenSSH_9.2\r\nmore\n")
                .unwrap();
        }
    });
    for shell in SHELLS {
        let ran = Trial::new(shell).run::<WaitFor>(serde_json::json!(
            {"port": port, "timeout": 5, "search_regex": r"OpenSSH_(?P<v>\d+\.\d+)"}
        ));
        let outcome = ran.result.unwrap();
        assert_eq!(outcome.result["match_groups"], strings(["9.2"]));
        assert_eq!(
            outcome.result["match_groupdict"].get("v"),
            Some(&"9.2".into())
        );
    }
    server.join().unwrap();
}

#[test]
fn a_file_and_a_line_in_it_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it's here");
    for shell in SHELLS {
        let run = |args: serde_json::Value| Trial::new(shell).run::<WaitFor>(args).result;
        std::fs::remove_file(&path).ok();
        let failure = run(serde_json::json!({"path": path, "timeout": 1})).unwrap_err();
        assert_eq!(
            failure.msg,
            format!("Timeout when waiting for file {}", path.display())
        );
        assert!(run(serde_json::json!({"path": path, "state": "absent"})).is_ok());
        std::fs::write(&path, "first\nready after 12 s\n").unwrap();
        assert!(run(serde_json::json!({"path": path})).is_ok());
        let outcome =
            run(serde_json::json!({"path": path, "search_regex": r"^ready .*?(\d+)\s+s"}));
        assert_eq!(outcome.unwrap().result["match_groups"], strings(["12"]));
        let failure = run(serde_json::json!(
            {"path": path, "search_regex": "never", "timeout": 1, "msg": "too late"}
        ));
        assert_eq!(failure.unwrap_err().msg, "too late");
    }
}

#[test]
fn connections_drain() {
    let (listener, port) = listener();
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let server = listener.accept().unwrap();
    for shell in SHELLS {
        let run = |args: serde_json::Value| Trial::new(shell).run::<WaitFor>(args).result;
        let busy = run(serde_json::json!({
            "host": "localhost", "port": port, "state": "drained", "timeout": 1,
        }));
        assert_eq!(
            busy.unwrap_err().msg,
            format!("Timeout when waiting for localhost:{port} to drain")
        );
        for args in [
            serde_json::json!({"port": port, "state": "drained", "timeout": 1,
                "exclude_hosts": ["127.0.0.1"]}),
            serde_json::json!({"port": port, "state": "drained", "timeout": 1,
                "active_connection_states": "SYN_RECV"}),
        ] {
            assert!(run(args).is_ok(), "{shell:?}");
        }
    }
    drop((client, server));
}

#[test]
fn expressions_are_written_for_grep() {
    for (regex, expected) in [
        (r"a\d+\.\w", r"a[[:digit:]]+\.[[:alnum:]_]"),
        (r"[\w.]+?:(?:x|y)(?P<n>z)", r"[[:alnum:]_.]+:(x|y)(z)"),
        (r"[]a\d]\/\-", r"[]a[:digit:]]/-"),
        (r"a\??", r"a\??"),
    ] {
        assert_eq!(grep_pattern(regex).unwrap().1, expected, "{regex}");
    }
    assert_eq!(
        grep_pattern("(?=a)").unwrap_err(),
        "`(?=a` in search_regex cannot be looked for with grep"
    );
    assert_eq!(
        Trial::refusal::<WaitFor>(serde_json::json!({"path": "x", "search_regex": "("})),
        "Invalid regular expression: error: unclosed group"
    );
}

#[test]
fn addresses_are_written_as_the_kernel_writes_them() {
    for (address, expected) in [
        ("127.0.0.1", "0100007F"),
        ("::1", "00000000000000000000000001000000"),
        ("::ffff:127.0.0.1", "0000000000000000FFFF00000100007F"),
    ] {
        assert_eq!(hex(address.parse().unwrap()), expected);
    }
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    for (args, message) in [
        (
            serde_json::json!({"path": "/a", "port": 1}),
            "port and path parameter can not both be passed to wait_for",
        ),
        (
            serde_json::json!({"path": "/a", "state": "stopped"}),
            "state=stopped should only be used for checking a port in the wait_for module",
        ),
        (
            serde_json::json!({"port": 1, "active_connection_states": ["X"], "state": "drained"}),
            "unknown active_connection_state (X) defined",
        ),
    ] {
        assert_eq!(Trial::refusal::<WaitFor>(args), message);
    }
}
