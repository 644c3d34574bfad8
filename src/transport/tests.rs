//! Real shells on this machine under the protocol.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::frame::{self, Input};
use super::local::spawn_shell;
use super::session::Session;
use super::*;
use crate::modules::Source;
use crate::script::{Reply, Script};

/// Every shell that may be `/bin/sh` somewhere; a missing one fails the tests.
const SHELLS: [&[&str]; 5] = [
    &["dash"],
    &["busybox", "sh"],
    &["bash"],
    &["bash", "--posix"],
    &["mksh"],
];

const NONCE: &str = "SB00000000000000000000000000000000";

fn nonce(n: usize) -> String {
    format!("SB{n:032}")
}

async fn greeted(shell: &[&str]) -> Session {
    let mut session = Session::new(spawn_shell(shell, &[]).unwrap(), &std::sync::Arc::default());
    let greeting = session.greet(NONCE, Duration::from_secs(10)).await;
    assert_eq!(greeting, Ok(()), "{shell:?}");
    session
}

async fn step(session: &mut Session, n: usize, sh: &str) -> Reply {
    let request = frame::request(&nonce(n), sh, Input::Nothing);
    let limit = Some(Duration::from_secs(20));
    let reply = session
        .exchange(&nonce(n), &request, limit, &mut |_| {})
        .await;
    reply.unwrap_or_else(|e| panic!("{sh}: {e:?}"))
}

#[tokio::test]
async fn a_session_outlives_whatever_a_script_does() {
    for shell in SHELLS {
        let mut session = greeted(shell).await;
        for (n, (sh, rc, stdout)) in [
            ("echo one", 0, "one\n"),
            ("printf 'no newline'", 0, "no newline"),
            ("exit 7", 7, ""),
            ("echo before; exit 3; echo after", 3, "before\n"),
            ("cat", 0, ""),
            ("exec >&-; echo lost", -1, ""),
            ("exec 2>&-; exec >&-; exit 4", 4, ""),
            ("( setsid sleep 5 & ) ; echo daemon", 0, "daemon\n"),
            ("sleep 5 & echo child", 0, "child\n"),
            ("kill -9 $(sh -c 'echo $PPID')", 137, ""),
            ("umask 0777; cd /; SB_x=1; set -e; false; echo no", 1, ""),
            ("-n", 127, ""),
            ("set -x; set -v; echo x", 0, "x\n"),
            ("trap 'echo bye' EXIT; exit 2", 2, "bye\n"),
            ("sb_kv a b", 0, "a=b\n"),
            (
                "printf '%s' \"it's \\\\ \\\"$HOME\\\"\" | wc -l | tr -d ' '",
                0,
                "0\n",
            ),
            ("cat <<'X'\nhere\nX\n", 0, "here\n"),
            ("# a comment at the end", 0, ""),
            ("umask 022; umask", 0, "0022\n"),
            ("echo last", 0, "last\n"),
        ]
        .into_iter()
        .enumerate()
        {
            let reply = step(&mut session, n + 1, sh).await;
            assert!(rc == -1 || reply.rc == rc, "{shell:?}: {sh}: {reply:?}");
            let out = reply.stdout_text();
            // mksh prints octal umasks with three or four digits.
            assert!(
                out == stdout || (sh.contains("umask") && out.ends_with("022\n")),
                "{shell:?}: {sh}: {reply:?}"
            );
        }
        for (n, sh) in ["if", "echo 'a", "(", "done", "echo $(", "case x in", "}"]
            .iter()
            .enumerate()
        {
            let reply = step(&mut session, 100 + n, sh).await;
            assert_ne!(reply.rc, 0, "{shell:?}: {sh}");
            assert!(!reply.stderr.is_empty(), "{shell:?}: {sh}");
        }
        assert!(session.is_reusable().await, "{shell:?}");
    }
}

#[tokio::test]
async fn all_bytes_come_back_on_both_streams() {
    for shell in SHELLS {
        let mut session = greeted(shell).await;
        let sh = "i=0; while [ $i -lt 256 ]; do o=$(printf %03o $i); printf \"\\\\$o\"; \
                  printf \"\\\\$o\" >&2; i=$((i+1)); done";
        let reply = step(&mut session, 1, sh).await;
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(reply.stdout, all, "{shell:?}");
        assert_eq!(reply.stderr, all, "{shell:?}");
    }
}

#[tokio::test]
async fn what_the_script_is_made_of_arrives_as_it_is() {
    let text: String = (1..=255_u8).map(char::from).collect::<String>() + "'\\''\n\n\\\n'";
    for shell in SHELLS {
        let mut session = greeted(shell).await;
        let sh = format!("printf %s {}", crate::script::quote(&text));
        assert_eq!(
            step(&mut session, 1, &sh).await.stdout_text(),
            text,
            "{shell:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_is_cut_anywhere_runs_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let request = frame::request(NONCE, "echo 'it'\"'\"'s'; echo RAN >&2", Input::Nothing);
    for shell in SHELLS {
        // Without its last byte, a newline, the request is whole.
        for cut in 0..request.len() - 1 {
            let mut pipes = spawn_shell(shell, &[]).unwrap();
            pipes.stdin.write_all(&request[..cut]).await.unwrap();
            drop(pipes.stdin);
            let mut said = String::new();
            pipes.stderr.read_to_string(&mut said).await.unwrap();
            assert!(!said.contains("RAN\n"), "{shell:?}: cut at {cut}: {said}");
        }
    }
}

#[tokio::test]
async fn a_child_that_speaks_late_spoils_no_later_frame() {
    for shell in SHELLS {
        let mut session = greeted(shell).await;
        step(
            &mut session,
            1,
            "( sleep 0.2; echo late; echo late >&2 ) & :",
        )
        .await;
        // Until the child has spoken, the session looks fresh.
        let limit = Instant::now() + Duration::from_secs(10);
        while session.is_reusable().await {
            assert!(
                Instant::now() < limit,
                "{shell:?}: the leftover was not noticed"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let mut session = greeted(SHELLS[0]).await;
    step(&mut session, 1, "( sleep 0.2; echo late ) & :").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let reply = step(&mut session, 2, "echo mine").await;
    assert_eq!(reply.stdout_text(), "mine\n");
    assert!(!session.is_reusable().await);
}

#[tokio::test]
async fn a_script_may_be_large() {
    for shell in SHELLS {
        let mut session = greeted(shell).await;
        let big = "x'y".repeat(100_000);
        let sh = format!("v={}; echo ${{#v}}", crate::script::quote(&big));
        assert_eq!(
            step(&mut session, 1, &sh).await.stdout_text(),
            "300000\n",
            "{shell:?}"
        );
    }
}

#[tokio::test]
async fn two_hundred_thousand_lines_come_back() {
    for shell in SHELLS {
        let mut session = greeted(shell).await;
        let reply = step(&mut session, 1, "seq 200000; seq 200000 >&2").await;
        let lines: Vec<_> = (1..=200_000).map(|n| n.to_string()).collect();
        let lines = lines.join("\n") + "\n";
        assert!(reply.stdout == lines.as_bytes() && reply.stderr == lines.as_bytes());
    }
}

#[tokio::test]
async fn a_shell_that_is_killed_ends_the_wait() {
    let mut session = greeted(SHELLS[0]).await;
    let request = frame::request(&nonce(1), "sleep 30 & kill -9 $$; sleep 30", Input::Nothing);
    let start = Instant::now();
    let broken = session
        .exchange(&nonce(1), &request, None, &mut |_| {})
        .await;
    let broken = format!("{:?}", broken.unwrap_err());
    assert!(broken.contains("has_begun: true"), "{broken}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn input_is_read_by_the_script_and_by_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ran");
    for shell in SHELLS {
        for (sh, want) in [
            ("wc -l | tr -d ' '", "50000\n"),
            ("head -c 5", "touch"),
            ("exit 9", ""),
        ] {
            let session = greeted(shell).await;
            let request = frame::request(&nonce(1), sh, Input::Channel);
            let line = format!("touch {}\n", mark.display());
            let mut input = std::io::Cursor::new(line.repeat(50_000).into_bytes());
            let limit = Some(Duration::from_secs(20));
            let reply = session
                .exchange_with_input(&nonce(1), &request, &mut input, limit, &mut |_| {})
                .await
                .unwrap();
            assert_eq!(reply.stdout_text(), want, "{shell:?}: {sh}");
            assert_eq!(reply.stderr_text(), "", "{shell:?}: {sh}");
            assert_eq!(reply.rc, if sh == "exit 9" { 9 } else { 0 });
            assert!(!mark.exists(), "{shell:?}: {sh}: the input was run");
        }
    }
}

fn local() -> Target {
    Target {
        host: "here".to_owned(),
        connection: Connection::Local,
        become_user: None,
    }
}

fn job(sh: &str) -> Job {
    Job {
        script: Script::new(sh),
        input: None,
        timeout: None,
    }
}

fn pool() -> Pool {
    Pool::new(Settings::new("/nonexistent/control")).unwrap()
}

#[tokio::test]
async fn steps_share_one_local_shell_and_each_is_one_trip() {
    let pool = pool();
    let mut parents = Vec::new();
    for _ in 0..3 {
        let pool = pool.clone();
        // What runs must be able to move between threads.
        let run = async move { pool.run(&local(), job("echo $$"), |_| {}).await };
        let reply = tokio::spawn(run).await.unwrap().unwrap();
        parents.push(reply.stdout_text());
    }
    assert!(parents.iter().all(|pid| *pid == parents[0]), "{parents:?}");
    assert_eq!(pool.trips()["here"], 3);
    pool.close().await;
}

#[tokio::test]
async fn parallel_steps_grow_the_pool_and_wait_at_its_limit() {
    let mut settings = Settings::new("/nonexistent/control");
    settings.sessions_per_host_max = 2;
    let pool = Pool::new(settings).unwrap();
    let target = local();
    let start = Instant::now();
    let jobs = (0..6).map(|_| pool.run(&target, job("sleep 0.2; echo $$"), |_| {}));
    let replies = futures_util::future::join_all(jobs).await;
    let pids: std::collections::BTreeSet<_> = replies
        .into_iter()
        .map(|reply| reply.unwrap().stdout)
        .collect();
    assert_eq!(pids.len(), 2);
    assert!(start.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn a_time_limit_loses_the_step_and_its_shell() {
    let pool = pool();
    let late = Job {
        timeout: Some(Duration::from_millis(100)),
        ..job("while :; do echo busy; done")
    };
    let failed = pool.run(&local(), late, |_| {}).await.unwrap_err();
    assert!(
        matches!(&failed, Failed::Lost { reason } if reason.contains("within 0.1 s")),
        "{failed:?}"
    );
    let reply = pool.run(&local(), job("echo alive"), |_| {}).await.unwrap();
    assert_eq!(reply.stdout_text(), "alive\n");
}

#[tokio::test]
async fn output_is_live() {
    let pool = pool();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let start = Instant::now();
    let live = Arc::clone(&seen);
    let sh = job("echo one; sleep 0.3; echo two >&2");
    let take = move |chunk: Chunk| live.lock().unwrap().push((start.elapsed(), chunk));
    pool.run(&local(), sh, take).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(
        (seen[0].1.stream, &seen[0].1.bytes[..]),
        (Stream::Out, &b"one\n"[..])
    );
    assert_eq!(
        (seen[1].1.stream, &seen[1].1.bytes[..]),
        (Stream::Err, &b"two\n"[..])
    );
    assert!(
        seen[1].0.saturating_sub(seen[0].0) >= Duration::from_millis(250),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_sends_nothing() {
    let pool = pool();
    let bulk = Job {
        input: Some(Source::File("/nonexistent/file".into())),
        ..job("cat")
    };
    let failed = pool.run(&local(), bulk, |_| {}).await.unwrap_err();
    assert!(
        matches!(&failed, Failed::Unreachable { reason, .. } if reason.contains("`/nonexistent/file`"))
    );
    assert!(pool.trips().is_empty());
}

#[tokio::test]
async fn the_shell_has_no_terminal_and_leads_its_own_group() {
    let reply = pool()
        .run(
            &local(),
            job("ps -o sid= -p $$ | tr -d ' '; echo $$"),
            |_| {},
        )
        .await
        .unwrap();
    let text = reply.stdout_text();
    let mut lines = text.lines();
    assert_eq!(lines.next(), lines.next());
}
