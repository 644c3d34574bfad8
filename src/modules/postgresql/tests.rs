//! Tests of `postgresql`, with a `psql` that answers what a real one answered.

use serde_json::json;

use super::super::psql_reply::typed;
use super::super::trial::{Ran as Step, SHELLS, Trial};
use super::*;

/// Keeps what it is told, and says what lies beside it.
const PSQL: &str = r#"#!/bin/sh
dir=$(dirname "$0")
cat >"$dir/told"
printf '%s\n' "$*" >"$dir/argv"
if [ -n "$PGPASSFILE" ]; then
  ls -l "$PGPASSFILE" | cut -c 1-10 >"$dir/mode"
  cat "$PGPASSFILE" >"$dir/password"
fi
cat "$dir/says"
[ ! -e "$dir/complains" ] || { cat "$dir/complains" >&2; exit 3; }
"#;

struct Host {
    dir: tempfile::TempDir,
    trial: Trial,
}

impl Host {
    fn new(shell: &'static [&'static str], says: &str, complains: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("psql");
        std::fs::write(&program, PSQL).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(dir.path().join("says"), says).unwrap();
        if !complains.is_empty() {
            std::fs::write(dir.path().join("complains"), complains).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        Self {
            trial: Trial::new(shell).with_path(path),
            dir,
        }
    }

    fn query(&self, args: serde_json::Value) -> Step {
        self.trial.run::<PostgresqlQuery>(args)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }
}

const ROWS: &str = "@switchback@ 0 types\na\0integer\0b\0text\0c\0text\0d\0numeric\0e\0timestamp with time zone\0f\0integer[]\0@switchback@ 0 rows\n1\0\u{1}\0x\ny\x001.5\x002026-11-21 01:00:00.757053+00\0{1,2}\x002\0\0\x002\x002026-11-21 01:00:00.757053+00\0\u{1}\0Time: 10.208 ms\n@switchback@ 0 count 2\n";
const WRITES: &str = "@switchback@ 0 types\nThe command has no result, or the result has no columns.\n@switchback@ 0 rows\nCREATE TABLE\nTime: 1.000 ms\n@switchback@ 0 count 0\n@switchback@ 1 types\na\0integer\0@switchback@ 1 rows\n1\x002\0INSERT 0 2\nTime: 2.500 ms\n@switchback@ 1 count 2\n";

#[test]
fn rows_come_back_typed() {
    for shell in SHELLS {
        let host = Host::new(shell, ROWS, "");
        let args = json!({"query": "SELECT 1 AS a, %s", "positional_args": ["it's"], "login_db": "d b", "login_password": "p:w"});
        let outcome = host.query(args).result.unwrap();
        assert!(!outcome.is_changed);
        let rows = serde_json::to_value(&outcome.result["query_result"]).unwrap();
        assert_eq!(
            rows,
            json!([
                {"a": 1, "b": null, "c": "x\ny", "d": 1.5, "e": "2026-11-21T01:00:00.757053+00:00", "f": [1, 2]},
                {"a": 2, "b": "", "c": "", "d": 2.0, "e": "2026-11-21T01:00:00.757053+00:00", "f": null},
            ])
        );
        assert_eq!(outcome.result["statusmessage"], "SELECT 2".into());
        assert_eq!(outcome.result["rowcount"], Value::Int(2));
        assert_eq!(outcome.result["query"], "SELECT 1 AS a, 'it''s'".into());
        let (told, words) = (host.file("told"), host.file("argv"));
        assert!(
            told.contains("BEGIN;")
                && told.contains("SELECT 1 AS a, 'it''s'\n;")
                && told.contains("COMMIT;"),
            "{told}"
        );
        assert!(
            words.contains("dbname='d b'") && !words.contains("it's") && !words.contains("p:w"),
            "{words}"
        );
        assert_eq!(host.file("mode"), "-rw-------\n");
        assert_eq!(host.file("password"), "*:*:*:*:p\\:w\n");
    }
}

#[test]
fn what_a_status_says_is_the_change() {
    for shell in SHELLS {
        let host = Host::new(shell, WRITES, "");
        let args = json!({"query": ["CREATE TABLE t (a int);", "INSERT INTO t VALUES (1), (2) RETURNING a"], "session_role": "o\"w", "search_path": ["a b", " c"], "autocommit": true});
        let outcome = host.query(args).result.unwrap();
        assert!(outcome.is_changed);
        assert_eq!(outcome.result["statusmessage"], "INSERT 0 2".into());
        let all = serde_json::to_value(&outcome.result["query_all_results"]).unwrap();
        assert_eq!(all, json!([{}, [{"a": 1}, {"a": 2}]]));
        let times = serde_json::to_value(&outcome.result["execution_time_ms"]).unwrap();
        assert_eq!(times, json!([1.0, 2.5]));
        let told = host.file("told");
        assert!(!told.contains("BEGIN"), "{told}");
        assert!(
            told.contains("SET ROLE \"o\"\"w\";\nSET search_path TO \"a b\", \"c\";\n"),
            "{told}"
        );
    }
    for (status, expected) in [
        ("UPDATE 0", false),
        ("DELETE 3", true),
        ("INSERT 0 0", false),
        ("SHOW", false),
        ("VACUUM", true),
    ] {
        assert_eq!(has_changed(status), expected, "{status}");
    }
}

#[test]
fn a_failure_is_what_the_server_says() {
    let host = Host::new(
        SHELLS[0],
        "@switchback@ 0 types\n",
        "psql:<stdin>:30: ERROR:  column \"nope\" does not exist\nLINE 1: select nope;\n               ^\n",
    );
    let failure = host
        .query(json!({"query": "select nope"}))
        .result
        .unwrap_err();
    assert_eq!(
        failure.msg,
        "Cannot execute SQL 'select nope': column \"nope\" does not exist\nLINE 1: select nope;\n               ^, query list: [\"select nope\"]"
    );
    let host = Host::new(
        SHELLS[0],
        "",
        "psql: error: connection to server failed: FATAL:  no such role\n",
    );
    let failure = host.query(json!({"query": "select 1"})).result.unwrap_err();
    assert_eq!(failure.msg, "unable to connect to database: no such role");
    for (args, why) in [
        (json!({"query": "\\! id"}), "a backslash outside"),
        (
            json!({"query": 5}),
            "query argument must be of type string or list",
        ),
        (
            json!({"query": "x", "positional_args": [1], "named_args": {"a": 1}}),
            "parameters are mutually exclusive",
        ),
        (
            json!({"query": "x", "connect_params": {"password": "x"}}),
            "a password belongs",
        ),
    ] {
        let refusal = Trial::refusal::<PostgresqlQuery>(args);
        assert!(refusal.starts_with(why), "{refusal}");
    }
}

#[test]
fn a_ping_never_fails_and_writes_nothing() {
    for shell in SHELLS {
        let host = Host::new(shell, "PostgreSQL 15.14 (Debian) on x86_64\0", "");
        let ran = host
            .trial
            .run::<PostgresqlPing>(json!({"login_port": 6432}));
        assert!(ran.change.is_none());
        let outcome = ran.result.unwrap();
        let version = serde_json::to_value(&outcome.result["server_version"]).unwrap();
        assert_eq!(
            version,
            json!({"major": 15, "minor": 14, "full": "15.14", "raw": "PostgreSQL 15.14 (Debian) on x86_64"})
        );
        assert_eq!(outcome.result["is_available"], Value::Bool(true));
        let host = Host::new(shell, "", "psql: error: no server\n");
        let outcome = host.trial.run::<PostgresqlPing>(json!({})).result.unwrap();
        assert_eq!(outcome.result["is_available"], Value::Bool(false));
        assert_eq!(
            outcome.result["conn_err_msg"],
            "psql: error: no server".into()
        );
    }
}

#[test]
fn arrays_and_times_are_read_as_the_driver_reads_them() {
    for (text, kind, expected) in [
        ("{}", "text[]", json!([])),
        (
            "{a,\"b, \\\"c\\\"\",NULL,\"NULL\"}",
            "text[]",
            json!(["a", "b, \"c\"", null, "NULL"]),
        ),
        ("{{1,2},{3,4}}", "integer[]", json!("{{1,2},{3,4}}")),
        ("t", "boolean", json!(true)),
        ("{\"a\": [1]}", "jsonb", json!({"a": [1]})),
        (
            "2024-01-02 03:04:05",
            "timestamp without time zone",
            json!("2024-01-02T03:04:05"),
        ),
        ("0/3000060", "pg_lsn", json!("0/3000060")),
    ] {
        assert_eq!(
            serde_json::to_value(typed(text, kind)).unwrap(),
            expected,
            "{text}"
        );
    }
}
