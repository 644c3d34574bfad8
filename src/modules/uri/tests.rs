//! Tests of `uri`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::super::trial::{SHELLS, Trial};
use super::*;

type Requests = Arc<Mutex<Vec<String>>>;

/// A server that answers by path and notes what it was asked.
fn server() -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests: Requests = Arc::default();
    let noted = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let noted = noted.clone();
            std::thread::spawn(move || answer(stream.unwrap(), &noted));
        }
    });
    (url, requests)
}

fn answer(mut stream: TcpStream, noted: &Requests) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap_or(0) > 2 {
        if head.ends_with("\r\n\r\n") {
            break;
        }
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length:")
                .map(str::to_owned)
        })
        .map_or(0, |n| n.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    noted
        .lock()
        .unwrap()
        .push(format!("{head}{}", String::from_utf8_lossy(&body)));
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    let (status, extra, body) = match path.as_str() {
        "/json" => (
            "200 OK",
            "Content-Type: application/json; charset=utf-8\r\nX-Two: a\r\nX-Two: b\r\n",
            "{\"a\": [1]}",
        ),
        "/moved" => ("302 Found", "Location: /json\r\n", "gone"),
        "/missing" => ("404 Not Found", "Content-Type: text/plain\r\n", "no"),
        "/closed" => return,
        "/empty" => ("204 No Content", "", ""),
        _ => (
            "200 OK",
            "Content-Type: text/plain\r\nSet-Cookie: s=1; Path=/\r\n",
            "text\n\n@@response x\n",
        ),
    };
    let body = if head.starts_with("HEAD") { "" } else { body };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    drop(stream.write_all(answer.as_bytes()));
}

/// Hosts with curl, and with wget alone.
fn tools() -> Vec<(&'static str, tempfile::TempDir)> {
    let common = ["mktemp", "rm", "cat", "mv", "cp", "chmod", "cmp"];
    [("curl", "curl"), ("wget", "wget")]
        .into_iter()
        .map(|(name, tool)| {
            let dir = tempfile::tempdir().unwrap();
            for program in common.iter().chain([&tool]) {
                std::os::unix::fs::symlink(format!("/usr/bin/{program}"), dir.path().join(program))
                    .unwrap();
            }
            (name, dir)
        })
        .collect()
}

fn trial(shell: &'static [&'static str], dir: &tempfile::TempDir) -> Trial {
    Trial::new(shell).with_path(dir.path().display().to_string())
}

#[test]
fn an_answer_is_read_whole_by_curl_and_by_wget() {
    let (url, _) = server();
    for shell in SHELLS {
        for (tool, dir) in tools() {
            let run = |args: serde_json::Value| trial(shell, &dir).run::<Uri>(args);
            let ran = run(serde_json::json!({"url": format!("{url}/json")}));
            assert_eq!(ran.trips, 1, "{tool}");
            let outcome = ran.result.unwrap();
            assert!(!outcome.is_changed);
            let result = outcome.result;
            assert_eq!(
                result["json"].to_exposed_json(),
                serde_json::json!({"a": [1]})
            );
            assert_eq!(result["status"], Value::Int(200));
            assert_eq!(result["msg"], "OK (10 bytes)".into());
            assert_eq!(result["x_two"], "a, b".into());
            assert_eq!(result["redirected"], false.into());
            assert_eq!(result["url"], format!("{url}/json").into());
            assert!(!result.contains_key("content"));
            let ran = run(serde_json::json!({"url": url, "return_content": true}));
            let result = ran.result.unwrap().result;
            assert_eq!(result["content"], "text\n\n@@response x\n".into(), "{tool}");
            assert_eq!(result["cookies_string"], "s=1".into());
            assert_eq!(result["url"], url.as_str().into());
            let ran = run(serde_json::json!({"url": format!("{url}/moved")}));
            let result = ran
                .result
                .unwrap_or_else(|f| panic!("{shell:?} {tool} {f:?}"))
                .result;
            assert_eq!(result["redirected"], true.into());
            assert_eq!(
                result["json"].to_exposed_json(),
                serde_json::json!({"a": [1]})
            );
        }
    }
}

#[test]
fn a_status_that_is_not_wanted_fails_as_ansible_says() {
    let (url, _) = server();
    for (tool, dir) in tools() {
        for shell in SHELLS {
            let run = |args: serde_json::Value| trial(shell, &dir).run::<Uri>(args).result;
            let failure =
                run(serde_json::json!({"url": format!("{url}/missing"), "return_content": true}))
                    .unwrap_err();
            assert_eq!(
                failure.msg, "Status code was 404 and not [200]: HTTP Error 404: Not Found",
                "{tool}"
            );
            assert_eq!(failure.result["content"], "no".into(), "{tool}");
            assert_eq!(failure.result["status"], Value::Int(404));
            let failure =
                run(serde_json::json!({"url": url, "status_code": [201, 202]})).unwrap_err();
            assert_eq!(
                failure.msg,
                "Status code was 200 and not [201, 202]: OK (19 bytes)"
            );
            let failure = run(serde_json::json!({"url": "http://127.0.0.1:1/x"})).unwrap_err();
            assert_eq!(
                failure.msg,
                "Status code was -1 and not [200]: Request failed: <urlopen error [Errno 111] \
                 Connection refused>",
                "{tool}"
            );
            assert!(
                run(serde_json::json!({"url": format!("{url}/empty"), "status_code": 204})).is_ok()
            );
            let failure = run(serde_json::json!(
                {"url": format!("{url}/moved"), "follow_redirects": "none"}
            ))
            .unwrap_err();
            assert_eq!(
                failure.msg,
                "Status code was 302 and not [200]: HTTP Error 302: Found"
            );
            assert_eq!(failure.result["location"], format!("{url}/json").into());
        }
    }
}

#[test]
fn the_request_is_sent_as_written_and_shows_no_secret() {
    let (url, requests) = server();
    for shell in SHELLS {
        for (tool, dir) in tools() {
            requests.lock().unwrap().clear();
            let trial = trial(shell, &dir);
            let ran = trial.run::<Uri>(serde_json::json!({
                "url": format!("{url}/p?q=1"), "method": "post", "body_format": "json",
                "body": {"k": "v\"\\\n'ü", "n": [1, null]},
                "headers": {"X-Token": "s3cret \"q\"", "X-N": 5},
                "user": "me", "password": "pass\"w", "force_basic_auth": true,
            }));
            ran.result.unwrap();
            let seen = requests.lock().unwrap().join("");
            assert!(
                seen.starts_with("POST /p?q=1 HTTP/1.1\r\n"),
                "{tool} {seen}"
            );
            assert!(seen.contains("X-Token: s3cret \"q\"\r\n"), "{seen}");
            assert!(seen.contains("X-N: 5\r\n"), "{seen}");
            assert!(
                seen.contains("Content-Type: application/json\r\n"),
                "{seen}"
            );
            assert!(
                seen.contains("Authorization: Basic bWU6cGFzcyJ3\r\n"),
                "{seen}"
            );
            assert!(
                seen.ends_with(r#"{"k": "v\"\\\n'\u00fc", "n": [1, null]}"#),
                "{tool} {seen}"
            );
        }
    }
}

#[test]
fn dest_is_written_once_and_taken_back() {
    let (url, _) = server();
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("it's");
    for shell in SHELLS {
        std::fs::write(&dest, "old").unwrap();
        let trial = Trial::new(shell);
        let args = serde_json::json!({"url": format!("{url}/json"), "dest": dest, "mode": "0600"});
        let ran = trial.run::<Uri>(args.clone());
        let outcome = ran.result.unwrap();
        assert!(outcome.is_changed);
        assert_eq!(outcome.result["path"], dest.display().to_string().into());
        assert_eq!(std::fs::read(&dest).unwrap(), b"{\"a\": [1]}");
        trial.undo(&ran.change.unwrap());
        assert_eq!(std::fs::read(&dest).unwrap(), b"old");
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }
}

#[test]
fn bodies_are_encoded() {
    let value = |json| Value::from_json(json);
    assert_eq!(
        form(&value(
            serde_json::json!({"a b": ["x&y", 1, null], "c": true})
        ))
        .unwrap(),
        "a+b=x%26y&a+b=1&c=True"
    );
    assert_eq!(
        form(&value(serde_json::json!([["k", "v"]]))).unwrap(),
        "k=v"
    );
    for (base, location, expected) in [
        ("http://h/a/b?c", "d", "http://h/a/d"),
        ("http://h", "d", "http://h/d"),
        ("http://h/a", "/x", "http://h/x"),
        ("http://h/a", "https://o/", "https://o/"),
    ] {
        assert_eq!(joined(base, location), expected);
    }
}

#[test]
fn only_reading_requests_may_run_again() {
    let effect = |args: serde_json::Value| {
        let args = crate::value::from_value(&Value::from_json(args)).unwrap();
        Uri::effect(&args)
    };
    assert_eq!(effect(serde_json::json!({"url": "x"})), Effect::Reads);
    assert_eq!(
        effect(serde_json::json!({"url": "x", "dest": "/f"})),
        Effect::Once
    );
    assert_eq!(
        effect(serde_json::json!({"url": "x", "method": "PATCH"})),
        Effect::Once
    );
}
