//! The transport against a real sshd on loopback.
#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

#[path = "support/sshd.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod sshd;

use std::fs;
use std::time::{Duration, Instant};

use sshd::{Sshd, kill};
use switchback::modules::Source;
use switchback::script::{Reply, Script};
use switchback::transport::{
    Become, BecomeMethod, Connection, Failed, Job, Pool, SecretText, Settings, Target,
};

fn job(sh: &str) -> Job {
    Job {
        script: Script::new(sh),
        input: None,
        timeout: Some(Duration::from_mins(1)),
    }
}

async fn run(pool: &Pool, target: &Target, sh: &str) -> Result<Reply, Failed> {
    pool.run(target, job(sh), |_| {}).await
}

async fn out(pool: &Pool, target: &Target, sh: &str) -> String {
    let reply = run(pool, target, sh).await.unwrap();
    assert_eq!(reply.rc, 0, "{sh}: {reply:?}");
    reply.stdout_text()
}

#[track_caller]
fn unreachable(failed: Result<Reply, Failed>) -> (String, String) {
    match failed {
        Err(Failed::Unreachable { reason, help }) => (reason, help.unwrap_or_default()),
        other => panic!("not unreachable: {other:?}"),
    }
}

#[track_caller]
fn lost(failed: Result<Reply, Failed>) -> String {
    match failed {
        Err(Failed::Lost { reason }) => reason,
        other => panic!("not lost: {other:?}"),
    }
}

fn with(target: &Target, set: impl FnOnce(&mut Connection)) -> Target {
    let mut target = target.clone();
    set(&mut target.connection);
    target
}

#[tokio::test]
async fn three_steps_are_three_trips_over_one_shell() {
    let sshd = Sshd::start("");
    let (pool, target) = (sshd.pool(), sshd.target());
    let mut shells = Vec::new();
    for _ in 0..3 {
        shells.push(out(&pool, &target, "echo $$").await);
    }
    assert!(shells.iter().all(|pid| *pid == shells[0]), "{shells:?}");
    assert_eq!(pool.trips()["web1"], 3);
    let log = fs::read_to_string(sshd.path("sshd.log")).unwrap();
    assert_eq!(log.matches("Accepted publickey").count(), 1, "{log}");
}

#[tokio::test]
async fn the_end_leaves_no_master_and_no_file() {
    let sshd = Sshd::start("");
    let (pool, target) = (sshd.pool(), sshd.target());
    out(&pool, &target, ":").await;
    let pid = sshd.master_pid();
    pool.close().await;
    let limit = Instant::now() + Duration::from_secs(5);
    while fs::exists(format!("/proc/{pid}")).unwrap() {
        assert!(Instant::now() < limit, "the master stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left: Vec<_> = fs::read_dir(sshd.path("c")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_kept_master_is_found_by_the_next_run() {
    let sshd = Sshd::start("");
    let mut settings = sshd.settings();
    settings.persist_idle_s = 20;
    let target = sshd.target();
    let mut pids = Vec::new();
    for _ in 0..2 {
        let pool = Pool::new(settings.clone()).unwrap();
        out(&pool, &target, ":").await;
        pool.close().await;
        pids.push(sshd.master_pid());
    }
    assert_eq!(pids[0], pids[1]);
    kill(&pids[0]);
}

#[tokio::test]
async fn a_stream_arrives_whole() {
    let sshd = Sshd::start("");
    let (pool, target) = (sshd.pool(), sshd.target());
    let bytes: Vec<u8> = (0..20 * 1024 * 1024_u32)
        .map(|n| (n ^ (n >> 8) ^ (n >> 16)).to_le_bytes()[0])
        .collect();
    fs::write(sshd.path("from"), &bytes).unwrap();
    let to = sshd.path("to");
    let stream = Job {
        input: Some(Source::File(sshd.path("from"))),
        ..job(&format!(
            "cat >{0}.part && mv {0}.part {0} && echo done",
            to.display()
        ))
    };
    let reply = pool.run(&target, stream, |_| {}).await.unwrap();
    assert_eq!((reply.rc, reply.stdout_text().as_str()), (0, "done\n"));
    assert!(fs::read(&to).unwrap() == bytes);
    let small = Job {
        input: Some(Source::Bytes(b"\0echo no\n".to_vec())),
        ..job("od -An -tx1")
    };
    let reply = pool.run(&target, small, |_| {}).await.unwrap();
    assert_eq!(reply.stdout_text().trim(), "00 65 63 68 6f 20 6e 6f 0a");
    assert_eq!(pool.trips()["web1"], 2);
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_with_what_to_add() {
    let sshd = Sshd::start("");
    let key = fs::read_to_string(sshd.path("host.pub")).unwrap();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let (pool, target) = (sshd.pool(), sshd.target());
    let (reason, help) = unreachable(run(&pool, &target, ":").await);
    assert!(
        reason.contains("the host key is not known: SHA256:"),
        "{reason}"
    );
    let key: Vec<_> = key.split(' ').take(2).collect();
    assert!(
        help.contains(&format!("[127.0.0.1]:{} {}", sshd.port, key.join(" "))),
        "{help}"
    );
    assert_eq!(fs::read_to_string(sshd.path("known_hosts")).unwrap(), "");
    assert!(pool.trips().is_empty());
}

#[tokio::test]
async fn ssh_config_cannot_switch_the_check_off_but_the_inventory_can() {
    let sshd = Sshd::start("");
    fs::write(sshd.path("known_hosts"), "").unwrap();
    fs::write(
        sshd.path("config"),
        "StrictHostKeyChecking no\nLogLevel QUIET\n",
    )
    .unwrap();
    let pool = sshd.pool();
    let lax = with(&sshd.target(), |c| {
        let Connection::Ssh { args, .. } = c else {
            unreachable!()
        };
        args[1] = sshd.path("config").display().to_string();
    });
    let (reason, _) = unreachable(run(&pool, &lax, ":").await);
    assert!(reason.contains("the host key is not known"), "{reason}");
    let said_so = with(&sshd.target(), |c| {
        let Connection::Ssh { args, .. } = c else {
            unreachable!()
        };
        args.extend(["-o".to_owned(), "StrictHostKeyChecking=no".to_owned()]);
    });
    out(&pool, &said_so, ":").await;
}

#[tokio::test]
async fn a_changed_host_key_is_refused_with_both_fingerprints() {
    let sshd = Sshd::start("");
    sshd.trust_another();
    let (reason, help) = unreachable(run(&sshd.pool(), &sshd.target(), ":").await);
    assert!(reason.contains("the host key has changed"), "{reason}");
    assert_eq!(reason.matches("SHA256:").count(), 2, "{reason}");
    assert!(
        reason.contains("line 1") && help.contains("known_hosts"),
        "{reason} {help}"
    );
}

#[tokio::test]
async fn a_host_that_is_not_there_is_unreachable() {
    let sshd = Sshd::start("");
    let target = sshd.target();
    let pool = sshd.pool();
    drop(sshd);
    let (reason, _) = unreachable(run(&pool, &target, ":").await);
    assert!(reason.contains("control directory"), "{reason}");
    let sshd = Sshd::start("");
    let gone = with(&sshd.target(), |c| {
        let Connection::Ssh { port, .. } = c else {
            unreachable!()
        };
        *port = Some(1);
    });
    let (reason, help) = unreachable(run(&sshd.pool(), &gone, ":").await);
    assert!(
        reason.contains("Connection refused") && help.contains("sshd runs"),
        "{reason}"
    );
    let nameless = with(&sshd.target(), |c| {
        let Connection::Ssh { address, .. } = c else {
            unreachable!()
        };
        *address = "no-such-host.invalid".to_owned();
    });
    let (reason, _) = unreachable(run(&sshd.pool(), &nameless, ":").await);
    assert!(reason.contains("Could not resolve"), "{reason}");
}

#[tokio::test]
async fn a_denied_login_names_the_methods() {
    let sshd = Sshd::start("");
    fs::write(sshd.path("authorized_keys"), "").unwrap();
    let (reason, help) = unreachable(run(&sshd.pool(), &sshd.target(), ":").await);
    assert!(reason.contains("the host takes publickey"), "{reason}");
    assert!(help.contains("ansible_user"), "{help}");
}

#[tokio::test]
async fn the_control_directory_must_be_ours_alone() {
    use std::os::unix::fs::PermissionsExt;
    let sshd = Sshd::start("");
    fs::create_dir(sshd.path("c")).unwrap();
    fs::set_permissions(sshd.path("c"), fs::Permissions::from_mode(0o750)).unwrap();
    let (reason, _) = unreachable(run(&sshd.pool(), &sshd.target(), ":").await);
    assert!(reason.contains("is open to others (mode 0750)"), "{reason}");
    let long = Settings::new(sshd.path(&"x".repeat(80)));
    let (reason, _) = unreachable(run(&Pool::new(long).unwrap(), &sshd.target(), ":").await);
    assert!(reason.contains("too long a name"), "{reason}");
}

#[tokio::test]
async fn few_sessions_make_the_others_wait() {
    let sshd = Sshd::start("MaxSessions 2");
    let (pool, target) = (sshd.pool(), sshd.target());
    let jobs = (0..6).map(|_| out(&pool, &target, "sleep 0.1; echo $$"));
    let shells: std::collections::BTreeSet<_> = futures_util::future::join_all(jobs)
        .await
        .into_iter()
        .collect();
    assert!(shells.len() <= 2, "{shells:?}");
    assert_eq!(pool.trips()["web1"], 6);
    // A stream needs the place of an idle shell.
    let stream = Job {
        input: Some(Source::Bytes(b"x".to_vec())),
        ..job("cat")
    };
    let reply = pool.run(&target, stream, |_| {}).await.unwrap();
    assert_eq!(reply.stdout, b"x");
    let log = fs::read_to_string(sshd.path("sshd.log")).unwrap();
    assert_eq!(log.matches("Accepted publickey").count(), 1, "{log}");
}

#[tokio::test]
async fn users_share_one_session_by_turns() {
    let sshd = fake_sudo("MaxSessions 1");
    fs::write(sshd.path("free"), "").unwrap();
    let (pool, target) = (sshd.pool(), sshd.target());
    let other = becoming(&target, None);
    for _ in 0..2 {
        assert_eq!(out(&pool, &target, "echo \"<$SUDO_AS>\"").await, "<>\n");
        assert_eq!(out(&pool, &other, "echo $SUDO_AS").await, "dba\n");
    }
    assert_eq!(pool.trips()["web1"], 4);
}

#[tokio::test]
async fn no_session_at_all_names_the_option() {
    let sshd = Sshd::start("MaxSessions 0");
    let (reason, help) = unreachable(run(&sshd.pool(), &sshd.target(), ":").await);
    assert!(reason.contains("refuses to open a session"), "{reason}");
    assert!(help.contains("MaxSessions"), "{help}");
}

#[tokio::test]
async fn a_master_killed_under_a_script_loses_it() {
    let sshd = Sshd::start("");
    let (pool, target) = (sshd.pool(), sshd.target());
    out(&pool, &target, ":").await;
    let pid = sshd.master_pid();
    let mark = sshd.path("mark");
    let sh = format!("echo x >>{}; sleep 3", mark.display());
    let (failed, ()) = tokio::join!(run(&pool, &target, &sh), async {
        while !fs::exists(&mark).unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kill(&pid);
    });
    let reason = lost(failed);
    assert!(
        reason.contains("the connection to `web1` was lost while the script ran"),
        "{reason}"
    );
    // It was sent once, and the host can be used again.
    assert_eq!(
        out(&pool, &target, &format!("cat {}", mark.display())).await,
        "x\n"
    );
}

#[tokio::test]
async fn a_master_killed_between_steps_is_replaced() {
    let sshd = Sshd::start("");
    let (pool, target) = (sshd.pool(), sshd.target());
    out(&pool, &target, ":").await;
    kill(&sshd.master_pid());
    assert_eq!(out(&pool, &target, "echo back").await, "back\n");
    assert_eq!(pool.trips()["web1"], 2);
}

#[tokio::test]
async fn a_reset_connects_anew() {
    let sshd = Sshd::start("");
    let (pool, target) = (sshd.pool(), sshd.target());
    let before = out(&pool, &target, "echo $PPID").await;
    pool.reset(&target).await;
    assert_ne!(out(&pool, &target, "echo $PPID").await, before);
}

#[tokio::test]
async fn login_files_and_banners_may_be_noisy() {
    let sshd = Sshd::start("Banner DIR/banner");
    fs::write(
        sshd.path("banner"),
        "SB1 ok\nREMOTE HOST IDENTIFICATION HAS CHANGED\n",
    )
    .unwrap();
    fs::write(
        sshd.path("home/.bashrc"),
        "printf 'no newline'; printf err >&2; echo SB00e0; alias echo=false\n",
    )
    .unwrap();
    let (pool, target) = (sshd.pool(), sshd.target());
    let reply = run(&pool, &target, "echo mine; echo too >&2")
        .await
        .unwrap();
    assert_eq!(
        (reply.stdout_text(), reply.stderr_text()),
        ("mine\n".into(), "too\n".into())
    );
    assert_eq!(out(&pool, &target, "echo again").await, "again\n");
}

#[tokio::test]
async fn login_files_that_take_our_input_are_named() {
    let sshd = Sshd::start("");
    let pool = sshd.pool();
    for (rc, why) in [
        ("read -r x\n", "ate what was sent"),
        ("exit 3\n", "the channel closed at once"),
        (
            "echo 'This account is closed.'; exit 1\n",
            "This account is closed.",
        ),
    ] {
        fs::write(sshd.path("home/.bashrc"), rc).unwrap();
        let (reason, _) = unreachable(run(&pool, &sshd.target(), "echo RAN").await);
        assert!(reason.contains(why), "{rc}: {reason}");
    }
    assert!(pool.trips().is_empty());
}

fn becoming(target: &Target, password: Option<&str>) -> Target {
    Target {
        become_user: Some(Become {
            user: "dba".to_owned(),
            method: BecomeMethod::Sudo,
            flags: None,
            password: password.map(|word| SecretText(word.to_owned())),
        }),
        ..target.clone()
    }
}

/// Like `sudo -S`: asks up to three times, and notes every word that it was given.
const SUDO: &str = "#!/bin/bash\n\
while [ $# -gt 0 ]; do case $1 in\n\
-p) prompt=$2; shift 2 ;; -u) user=$2; shift 2 ;; -n) never=1; shift ;;\n\
--) shift; break ;; *) shift ;; esac; done\n\
echo 'We trust you have received the usual lecture.' >&2\n\
if [ -n \"$never\" ]; then [ -e DIR/free ] || { echo 'sudo: a password is required' >&2; exit 1; }\n\
elif [ ! -e DIR/free ]; then for try in 1 2 3; do\n\
printf %s \"$prompt\" >&2; IFS= read -r word || exit 1; echo \"$word\" >>DIR/words\n\
[ \"$word\" = 'open sesame' ] && break; echo 'Sorry, try again.' >&2; [ $try = 3 ] && exit 1\n\
done; fi\n\
export SUDO_AS=$user; exec \"$@\"\n";

fn fake_sudo(extra: &str) -> Sshd {
    let sshd = Sshd::start(extra);
    let dir = sshd.dir.path().display().to_string();
    sshd.script("bin/sudo", &SUDO.replace("DIR", &dir));
    sshd
}

#[tokio::test]
async fn a_password_answers_the_prompt_and_nothing_else() {
    let sshd = fake_sudo("");
    let pool = sshd.pool();
    let target = becoming(&sshd.target(), Some("open sesame"));
    assert_eq!(out(&pool, &target, "echo $SUDO_AS").await, "dba\n");
    assert_eq!(out(&pool, &target, "echo $SUDO_AS").await, "dba\n");
    assert_eq!(
        fs::read_to_string(sshd.path("words")).unwrap(),
        "open sesame\n"
    );
    let stream = Job {
        input: Some(Source::Bytes(b"bytes".to_vec())),
        ..job("echo $SUDO_AS; cat")
    };
    let reply = pool.run(&target, stream, |_| {}).await.unwrap();
    assert_eq!(reply.stdout_text(), "dba\nbytes");
    // The login user has a shell of its own.
    assert_eq!(
        out(&pool, &sshd.target(), "echo \"<$SUDO_AS>\"").await,
        "<>\n"
    );
    // Where none is asked for, none is sent: it would be a command of the shell.
    fs::write(sshd.path("free"), "").unwrap();
    let reply = run(&sshd.pool(), &target, "echo $SUDO_AS").await.unwrap();
    assert_eq!(
        (reply.stdout_text(), reply.stderr_text()),
        ("dba\n".into(), String::new())
    );
}

#[tokio::test]
async fn a_user_is_switched_to_on_this_machine_too() {
    let sshd = fake_sudo("");
    let mut settings = sshd.settings();
    let path = format!("{}:/usr/bin:/bin", sshd.path("bin").display());
    settings.env.push(("PATH".into(), path.into()));
    let pool = Pool::new(settings).unwrap();
    let mut target = becoming(&sshd.target(), Some("open sesame"));
    target.connection = Connection::Local;
    assert_eq!(out(&pool, &target, "echo $SUDO_AS").await, "dba\n");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let sshd = fake_sudo("");
    let pool = sshd.pool();
    let target = becoming(&sshd.target(), Some("wrong"));
    let (reason, help) = unreachable(run(&pool, &target, ":").await);
    assert!(reason.contains("not accepted (tried once)"), "{reason}");
    assert!(help.contains("ansible_become_password"), "{help}");
    assert_eq!(fs::read_to_string(sshd.path("words")).unwrap(), "wrong\n");
    let (reason, _) = unreachable(run(&pool, &becoming(&target, None), ":").await);
    assert!(
        reason.contains("wants a password and none is set"),
        "{reason}"
    );
    assert!(pool.trips().is_empty());
}

#[tokio::test]
async fn what_sudo_says_is_passed_on() {
    let sshd = Sshd::start("");
    for (says, want) in [
        ("web is not in the sudoers file.", "not in the sudoers file"),
        (
            "sudo: sorry, you must have a tty to run sudo",
            "require a terminal",
        ),
        ("sudo: unknown user dba", "unknown user dba"),
    ] {
        sshd.script(
            "bin/sudo",
            &format!("#!/bin/sh\necho '{says}' >&2\nexit 1\n"),
        );
        for password in [None, Some("open sesame")] {
            let target = becoming(&sshd.target(), password);
            let (reason, _) = unreachable(run(&sshd.pool(), &target, ":").await);
            assert!(reason.contains(want), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_login_password_is_asked_for_by_ssh_itself() {
    let sshd = Sshd::start("");
    // Stands for an `ssh` that asks; the real one then logs in by the key. The one of a jump host
    // has another parent and gets nothing.
    sshd.script(
        "ssh",
        &format!(
            "#!/bin/bash\nD={}\n[ \"$2\" = /dev/null ] && exec /usr/bin/ssh \"$@\"\n\
             tr '\\0' '\\n' </proc/$$/environ >$D/env; printf '%s\\n' \"$@\" >>$D/env\n\
             sh -c '\"$SSH_ASKPASS\" \"jump password: \"; :' >$D/inner\n\
             \"$SSH_ASKPASS\" \"Enter passphrase for key: \" >>$D/inner\n\
             \"$SSH_ASKPASS\" \"me@host's password: \" >$D/answer\n\
             exec /usr/bin/ssh \"$@\"\n",
            sshd.dir.path().display()
        ),
    );
    let mut settings = sshd.settings();
    let path = format!(
        "{}:{}",
        sshd.dir.path().display(),
        std::env::var("PATH").unwrap()
    );
    settings.env.push(("PATH".into(), path.into()));
    let target = with(&sshd.target(), |c| {
        let Connection::Ssh { password, .. } = c else {
            unreachable!()
        };
        *password = Some(SecretText("s3cret".to_owned()));
    });
    let pool = Pool::new(settings).unwrap();
    out(&pool, &target, ":").await;
    assert_eq!(fs::read_to_string(sshd.path("answer")).unwrap(), "s3cret\n");
    assert_eq!(fs::read_to_string(sshd.path("inner")).unwrap(), "");
    let env = fs::read_to_string(sshd.path("env")).unwrap();
    assert!(
        env.contains("SSH_ASKPASS=") && !env.contains("s3cret"),
        "{env}"
    );
    let left = fs::read_dir(sshd.path("c"))
        .unwrap()
        .map(|e| e.unwrap().path());
    let left: Vec<_> = left
        .filter(|p| p.extension().is_some_and(|e| e == "pw" || e == "ask"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// `target` through `jump`, whose own `ssh` reads its options from the file of the outer one.
fn through(jump: &Sshd, sshd: &Sshd) -> Target {
    let known = fs::read_to_string(sshd.path("known_hosts")).unwrap();
    let config = format!(
        "UserKnownHostsFile {0}/known_hosts {1}/known_hosts\nGlobalKnownHostsFile /dev/null\n\
         IdentityFile {0}/key\nIdentityFile {1}/key\nIdentitiesOnly yes\n",
        jump.dir.path().display(),
        sshd.dir.path().display()
    );
    assert!(known.contains("ssh-ed25519"));
    fs::write(sshd.path("config"), config).unwrap();
    with(&sshd.target(), |c| {
        let Connection::Ssh { args, .. } = c else {
            unreachable!()
        };
        *args = ["-F", sshd.path("config").to_str().unwrap(), "-J"]
            .map(str::to_owned)
            .to_vec();
        args.push(format!("127.0.0.1:{}", jump.port));
    })
}

#[tokio::test]
async fn a_jump_host_is_passed_and_its_trouble_named() {
    let (jump, sshd) = (Sshd::start(""), Sshd::start(""));
    let target = through(&jump, &sshd);
    assert_eq!(out(&sshd.pool(), &target, "echo here").await, "here\n");
    assert!(
        fs::read_to_string(jump.path("sshd.log"))
            .unwrap()
            .contains("Accepted publickey")
    );
    for (file, want) in [
        ("authorized_keys", "Permission denied"),
        ("known_hosts", "verification failed"),
    ] {
        fs::write(jump.path(file), "").unwrap();
        let start = Instant::now();
        let (reason, _) = unreachable(run(&sshd.pool(), &target, ":").await);
        let way = format!("no way through the jump host `127.0.0.1:{}`", jump.port);
        assert!(reason.contains(&way) && reason.contains(want), "{reason}");
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn a_throttled_login_is_tried_again() {
    let sshd = Sshd::start("");
    let proxy = sshd.path("proxy");
    // Closes the first two connections before the login, as sshd does beyond `MaxStartups`.
    sshd.script(
        "proxy",
        &format!(
            "#!/bin/bash\necho x >>{0}.count\n[ $(wc -l <{0}.count) -le 2 ] && exit\n\
             exec 3<>/dev/tcp/127.0.0.1/{1}; cat <&3 & exec cat >&3\n",
            proxy.display(),
            sshd.port
        ),
    );
    let target = with(&sshd.target(), |c| {
        let Connection::Ssh { args, .. } = c else {
            unreachable!()
        };
        args.extend(["-o".to_owned(), format!("ProxyCommand={}", proxy.display())]);
    });
    assert_eq!(out(&sshd.pool(), &target, "echo in").await, "in\n");
    assert_eq!(
        fs::read_to_string(sshd.path("proxy.count"))
            .unwrap()
            .lines()
            .count(),
        3
    );
}

#[tokio::test]
async fn a_restart_is_told_by_the_boot_id() {
    let mut sshd = Sshd::start("ForceCommand DIR/boot");
    let id = sshd.path("id");
    sshd.script(
        "boot",
        &format!(
            "#!/bin/bash\nsed -u 's#/proc/sys/kernel/random/boot_id#{}#' | /bin/sh\n",
            id.display()
        ),
    );
    fs::write(&id, "first\n").unwrap();
    let (pool, target) = (sshd.pool(), sshd.target());
    out(&pool, &target, "echo ready to restart").await;
    let limit = Duration::from_millis(700);
    let failed = pool
        .wait_for_reconnection(&target, limit)
        .await
        .unwrap_err();
    assert!(
        failed.to_string().contains("it has not restarted yet"),
        "{failed}"
    );
    // Away for a moment, then back with another boot id.
    let key = fs::read(sshd.path("authorized_keys")).unwrap();
    let (waited, ()) = tokio::join!(
        pool.wait_for_reconnection(&target, Duration::from_secs(30)),
        async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            fs::write(&id, "second\n").unwrap();
        }
    );
    assert_eq!(waited, Ok(()));
    assert_eq!(out(&pool, &target, "echo up").await, "up\n");
    // A host that comes back but denies the login is not waited for.
    fs::write(sshd.path("authorized_keys"), "").unwrap();
    let start = Instant::now();
    let failed = pool
        .wait_for_reconnection(&target, Duration::from_secs(30))
        .await
        .unwrap_err();
    assert!(failed.to_string().contains("login denied"), "{failed}");
    assert!(start.elapsed() < Duration::from_secs(10));
    fs::write(sshd.path("authorized_keys"), key).unwrap();
    sshd.stop();
    let failed = pool.wait_for_reconnection(&target, limit).await;
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("not back after"), "{failed}");
    assert!(failed.contains("Connection refused"), "{failed}");
}
