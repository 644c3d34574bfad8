//! Tests of `get_url`.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::super::trial::{SHELLS, Trial};
use super::*;

/// A server that has one file, never newer than what the client has.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let len = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..len]).to_lowercase();
            let (status, body) = if head.contains("/missing") {
                ("404 Not Found", "no")
            } else if head.contains("if-modified-since") {
                ("304 Not Modified", "")
            } else {
                ("200 OK", "content\n\n")
            };
            let length = if body.is_empty() {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", body.len())
            };
            let body = if head.starts_with("head") { "" } else { body };
            drop(write!(
                stream,
                "HTTP/1.1 {status}\r\n{length}Connection: close\r\n\r\n{body}"
            ));
        }
    });
    url
}

#[test]
fn a_file_is_fetched_once_and_taken_back() {
    let url = server();
    for shell in SHELLS {
        let dir = tempfile::tempdir().unwrap();
        let trial = Trial::new(shell);
        let args =
            serde_json::json!({"url": format!("{url}/it's"), "dest": dir.path(), "mode": "0600"});
        let ran = trial.run::<GetUrl>(args);
        assert_eq!(ran.trips, 2);
        let outcome = ran.result.unwrap();
        assert!(outcome.is_changed);
        let path = dir.path().join("it's");
        assert_eq!(std::fs::read(&path).unwrap(), b"content\n\n");
        assert_eq!(outcome.result["dest"], path.display().to_string().into());
        assert_eq!(outcome.result["mode"], "0600".into());
        assert_eq!(outcome.result["msg"], "OK (9 bytes)".into());
        assert_eq!(outcome.result["status_code"], Value::Int(200));
        // A file that is new enough is not fetched again.
        let args = serde_json::json!({"url": format!("{url}/it's"), "dest": path, "mode": "0600"});
        let again = trial.run::<GetUrl>(args);
        assert_eq!(again.trips, 1);
        assert!(!again.result.unwrap().is_changed);
        trial.undo(&ran.change.unwrap());
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "{shell:?}"
        );
    }
}

#[test]
fn a_checksum_decides() {
    let url = server();
    let right = "sha256:9b5a6c4c8bd9d8e5e0c5fca5a6d6f1f0c6a0d6d1b7b9c1f7e8d2e0b1a0c9f8e7";
    for shell in SHELLS {
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("f");
        let run = |checksum: &str| {
            Trial::new(shell)
                .run::<GetUrl>(serde_json::json!({"url": url, "dest": dest, "checksum": checksum}))
        };
        let failure = run(right).result.unwrap_err();
        assert!(failure.msg.starts_with("The checksum for "), "{failure:?}");
        assert!(!dest.exists());
        let sum = std::process::Command::new("sh")
            .args(["-c", "printf 'content\\n\\n' | sha256sum"])
            .output()
            .unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        let sum = format!("sha256:{}", sum.split(' ').next().unwrap());
        assert!(run(&sum).result.unwrap().is_changed);
        let again = run(&sum);
        assert_eq!(again.trips, 1);
        assert_eq!(
            again.result.unwrap().result["msg"],
            "file already exists".into()
        );
    }
}

#[test]
fn a_failed_request_leaves_the_file_alone() {
    let url = server();
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("f");
    for shell in SHELLS {
        std::fs::write(&dest, "old").unwrap();
        let ran = Trial::new(shell).run::<GetUrl>(
            serde_json::json!({"url": format!("{url}/missing"), "dest": dest, "force": true}),
        );
        let failure = ran.result.unwrap_err();
        assert_eq!(failure.msg, "Request failed");
        assert_eq!(
            failure.result["response"],
            "HTTP Error 404: Not Found".into()
        );
        assert_eq!(failure.result["status_code"], Value::Int(404));
        assert_eq!(std::fs::read(&dest).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
