//! Durable attempts on a target that is only a shell: dash, busybox and bash stand in for `/bin/sh`
//! in a mount namespace. Needs root.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

#[path = "support/target.rs"]
mod target;

use std::time::{Duration, Instant};

use switchback::script::PRELUDE;
use switchback::script::attempt::{Fate, Refusal, Start, gone, seen, take_over};
use target::{OWNER, SHELLS, Target, reply, spot, start};

const PROGRAM: &str = "echo ran >>\"$T/ran\"\nprintf 'a\\0b'\necho oops >&2\nexit 7";
const SLOW: &str = "echo ran >>\"$T/ran\"\necho one\nwhile [ ! -e \"$T/go\" ]; do sleep 0.05; done\necho two\nexit 3";

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(signal: &str, pid: &str) {
    let done = std::process::Command::new("kill")
        .args(["-s", signal, "--", pid])
        .status();
    assert!(done.unwrap().success(), "kill {pid}");
}

/// The first word of a file of an attempt: a process id.
fn pid(target: &Target, spot: &switchback::script::attempt::Spot, end: &str) -> String {
    let path = target.file(spot, end);
    until("a process id", || {
        std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with(".\n"))
    });
    let text = std::fs::read_to_string(path).unwrap();
    text.split(' ').next().unwrap().to_owned()
}

/// fault 61, fault 66: the bytes come back as they were, under each shell.
#[test]
fn an_attempt_runs_once_and_tells_how_it_ended() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let one = spot(&footing, "run-1-0");
        for _ in 0..2 {
            // The second start is a duplicate: it only tells.
            let seen = target.seen(&start(&footing, &one, PROGRAM).script());
            let fate = Fate::Finished {
                rc: 7,
                is_late: false,
            };
            assert_eq!(
                (seen.fate, seen.out, seen.err),
                (fate, b"a\0b".to_vec(), b"oops\n".to_vec()),
                "{shell}"
            );
        }
        assert_eq!(target.runs(), 1, "{shell}");
        let window = target.seen(&one.status(1, 4));
        assert_eq!(
            (window.out, window.err),
            (b"\0b".to_vec(), b"\n".to_vec()),
            "{shell}"
        );
        target.run(&gone(&footing.spool, false, &["run-1-0".into()]));
        assert_eq!(target.fate(&one.status(0, 0)), Fate::Absent, "{shell}");
        let names: Vec<_> = std::fs::read_dir(target.path("place/u/0/a"))
            .unwrap()
            .collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

/// fault 39: a transfer that is cut at any byte runs nothing.
#[test]
fn a_start_that_is_cut_anywhere_runs_nothing() {
    for (shell, step) in SHELLS.into_iter().zip([1, 7, 7]) {
        let target = Target::new(shell);
        let footing = target.ready();
        let one = spot(&footing, "run-1-0");
        let request = Target::request(&start(&footing, &one, PROGRAM).script());
        // The last byte ends the line, and the end of the input does so too.
        let ends: Vec<usize> = (0..request.len() - 1).step_by(step).collect();
        for ends in ends.chunks(400) {
            let mut text = String::new();
            for end in ends {
                let file = target.path(&format!("cut{end}"));
                std::fs::write(&file, format!("{PRELUDE}\n{}", &request[..*end])).unwrap();
                text.extend(["/bin/sh <", file.to_str().unwrap(), " >/dev/null 2>&1\n"]);
            }
            reply(target.spawn(&text));
        }
        assert_eq!(target.runs(), 0, "{shell}");
        assert_eq!(target.fate(&one.status(0, 0)), Fate::Absent, "{shell}");
        target.run(&start(&footing, &one, PROGRAM).script());
        assert_eq!(target.runs(), 1, "{shell}");
    }
}

/// fault 40, fault 43, fault 53, fault 69: a start that is not meant for this host, this boot, this
/// time or this lock runs nothing and leaves nothing.
#[test]
fn a_start_out_of_its_time_is_refused() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let (one, mut elsewhere) = (spot(&footing, "run-1-0"), spot(&footing, "run-1-0"));
        elsewhere.spool = "another".into();
        let good = start(&footing, &one, PROGRAM);
        for (start, why) in [
            (
                Start {
                    boot: "another",
                    ..good.clone()
                },
                Refusal::OtherBoot,
            ),
            (
                Start {
                    up_max: 1,
                    ..good.clone()
                },
                Refusal::TooLate,
            ),
            (
                Start {
                    spot: &elsewhere,
                    ..good.clone()
                },
                Refusal::OtherSpool,
            ),
            (
                Start {
                    epoch: Some(7),
                    ..good.clone()
                },
                Refusal::Fenced(format!("run L1 {OWNER}")),
            ),
        ] {
            assert_eq!(target.fate(&start.script()), Fate::Refused(why), "{shell}");
        }
        assert_eq!(target.runs(), 0);
        assert_eq!(target.fate(&one.status(0, 0)), Fate::Absent, "{shell}");
        std::fs::remove_dir_all(target.path("place")).unwrap();
        let lost = target.fate(&good.script());
        assert_eq!(lost, Fate::Refused(Refusal::OtherSpool), "{shell}");
        assert_eq!(target.runs(), 0);
    }
}

/// fault 40: what was resolved as never started never starts, however late its start arrives.
#[test]
fn a_resolved_attempt_never_starts() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let one = spot(&footing, "run-1-0");
        assert_eq!(target.fate(&one.resolve(0, 0)), Fate::Never, "{shell}");
        let late = target.fate(&start(&footing, &one, PROGRAM).script());
        assert_eq!(late, Fate::Never, "{shell}");
        assert_eq!(target.runs(), 0, "{shell}");
    }
}

/// Duplicate starts and a resolution at the same time: what is told is what happened.
#[test]
fn a_gate_has_one_winner() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let (mut never, mut ran) = (0, 0);
        for round in 0..16 {
            let one = spot(&footing, &format!("run-{round}-0"));
            let script = start(&footing, &one, PROGRAM).script();
            let before = target.runs();
            let starts = [target.begin(&script), target.begin(&script)];
            std::thread::sleep(Duration::from_millis(round % 8 * 2));
            let resolved = target.fate(&one.resolve(0, 0));
            for child in starts {
                reply(child);
            }
            let runs = target.runs() - before;
            if resolved == Fate::Never {
                assert_eq!(runs, 0, "{shell} {round}");
                never += 1;
            } else {
                assert_eq!(runs, 1, "{shell} {round} {resolved:?}");
                ran += 1;
            }
        }
        assert_eq!(never + ran, 16);
    }
}

/// fault 45, fault 46: the supervisor or the command is killed.
#[test]
fn what_is_killed_is_told_apart() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let (one, two) = (spot(&footing, "run-1-0"), spot(&footing, "run-2-0"));
        let child = target.begin(&start(&footing, &one, SLOW).script());
        let command = pid(&target, &one, "pid");
        until("it speaks", || {
            std::fs::read(target.file(&one, "out")).is_ok_and(|out| out == b"one\n")
        });
        kill("KILL", &command);
        let finished = seen(&reply(child)).unwrap();
        assert_eq!(
            finished.fate,
            Fate::Finished {
                rc: 137,
                is_late: false
            },
            "{shell}"
        );
        assert_eq!(finished.out, b"one\n", "{shell}");
        let child = target.begin(&start(&footing, &two, SLOW).script());
        let command = pid(&target, &two, "pid");
        kill("KILL", &pid(&target, &two, "sup"));
        let orphan = seen(&reply(child)).unwrap().fate;
        assert!(
            matches!(
                orphan,
                Fate::Running {
                    is_orphan: true,
                    ..
                }
            ),
            "{shell} {orphan:?}"
        );
        kill("STOP", &command);
        until(
            "it is stopped",
            || matches!(target.fate(&two.status(0, 0)), Fate::Running { state, .. } if state == "T"),
        );
        kill("CONT", &command);
        std::fs::write(target.path("go"), "").unwrap();
        until("the orphan is lost", || {
            target.fate(&two.status(0, 0))
                == Fate::Lost {
                    why: "killed".into(),
                }
        });
        assert_eq!(target.runs(), 2, "{shell}");
    }
}

/// fault 42, fault 44: after a restart of the host what ran is lost and what ended has ended; a
/// process that only has the same number is nobody's, and is not hit by a cancellation.
#[test]
fn a_restart_and_a_reused_process_id_are_noticed() {
    for shell in SHELLS {
        let mut target = Target::new(shell);
        let footing = target.ready();
        let (one, two) = (spot(&footing, "run-1-0"), spot(&footing, "run-2-0"));
        target.run(&start(&footing, &one, PROGRAM).script());
        let child = target.begin(&start(&footing, &two, SLOW).script());
        pid(&target, &two, "pid");
        let mut bystander = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        let forged = format!("{} 1 {} .\n", bystander.id(), footing.boot);
        let (real_pid, real_sup) = (target.file(&two, "pid"), target.file(&two, "sup"));
        let before = (
            std::fs::read(&real_pid).unwrap(),
            std::fs::read(&real_sup).unwrap(),
        );
        std::fs::write(&real_pid, &forged).unwrap();
        std::fs::write(&real_sup, &forged).unwrap();
        let lost = Fate::Lost {
            why: "killed".into(),
        };
        assert_eq!(
            target.fate(&two.cancel("KILL", "alice", "run", &[])),
            lost,
            "{shell}"
        );
        assert!(
            bystander.try_wait().unwrap().is_none(),
            "{shell}: a bystander was hit"
        );
        bystander.kill().unwrap();
        bystander.wait().unwrap();
        std::fs::write(&real_pid, before.0).unwrap();
        std::fs::write(&real_sup, before.1).unwrap();
        std::fs::write(target.path("boot_id"), "another-boot\n").unwrap();
        target.setup = "mount --bind $T/boot_id /proc/sys/kernel/random/boot_id;".into();
        let lost = Fate::Lost {
            why: "reboot".into(),
        };
        assert_eq!(target.fate(&two.status(0, 0)), lost, "{shell}");
        assert_eq!(target.fate(&two.resolve(0, 0)), lost, "{shell}");
        let finished = Fate::Finished {
            rc: 7,
            is_late: false,
        };
        assert_eq!(target.fate(&one.status(0, 0)), finished, "{shell}");
        std::fs::write(target.path("go"), "").unwrap();
        reply(child);
    }
}

/// fault 47, fault 48: a command that ignores TERM ends by KILL, on somebody's word; one whose time
/// is over is ended by its host.
#[test]
fn a_command_is_ended_with_what_it_started() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let (one, two) = (spot(&footing, "run-1-0"), spot(&footing, "run-2-0"));
        let stubborn = "trap '' TERM\n(while :; do sleep 0.1; done) &\necho $! >\"$T/inner\"\nwhile :; do sleep 0.1; done";
        let child = target.begin(&start(&footing, &one, stubborn).script());
        until("it started", || target.text("inner").ends_with('\n'));
        let after = target.fate(&one.cancel("TERM", "alice", "run", &[]));
        assert!(matches!(after, Fate::Running { .. }), "{shell} {after:?}");
        target.fate(&one.cancel("KILL", "alice", "run", &[]));
        let ended = seen(&reply(child)).unwrap().fate;
        assert_eq!(
            ended,
            Fate::Finished {
                rc: 137,
                is_late: false
            },
            "{shell}"
        );
        let inner = format!("/proc/{}", target.text("inner").trim());
        until("what it started is gone", || {
            !std::path::Path::new(&inner).exists()
        });
        let mut limited = start(&footing, &two, SLOW);
        limited.limit_s = Some(1);
        let ended = target.fate(&limited.script());
        assert_eq!(
            ended,
            Fate::Finished {
                rc: 143,
                is_late: true
            },
            "{shell}"
        );
    }
}

/// fault 63: an attempt ends with its command, though something that it started has its output.
#[test]
fn a_leftover_does_not_hold_an_attempt() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let one = spot(&footing, "run-1-0");
        let leaves = "setsid sleep 30 &\necho $! >\"$T/left\"\necho done";
        let seen = target.seen(&start(&footing, &one, leaves).script());
        assert_eq!(
            seen.fate,
            Fate::Finished {
                rc: 0,
                is_late: false
            },
            "{shell}"
        );
        assert_eq!(seen.out, b"done\n", "{shell}");
        kill("KILL", target.text("left").trim());
    }
}

/// Without waiting, the reply comes as soon as it has begun.
#[test]
fn an_attempt_that_nobody_awaits_goes_on() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let one = spot(&footing, "run-1-0");
        let mut start = start(&footing, &one, SLOW);
        start.waits = false;
        let begun = target.fate(&start.script());
        assert!(matches!(begun, Fate::Running { .. }), "{shell} {begun:?}");
        std::fs::write(target.path("go"), "").unwrap();
        let ended = Fate::Finished {
            rc: 3,
            is_late: false,
        };
        until("it ended", || target.fate(&one.status(0, 0)) == ended);
        assert_eq!(target.seen(&one.status(0, 0)).out, b"one\ntwo\n", "{shell}");
    }
}

/// fault 50, fault 51: without room nothing starts and nothing is left; with room at the start, the
/// end is recorded however full the disk is by then; a claimed attempt can be resolved.
#[test]
fn a_full_disk_starts_nothing_and_loses_no_end() {
    for shell in SHELLS {
        for (options, fill) in [
            (
                "mode=755,size=256k",
                "dd if=/dev/zero of=$T/place/fill bs=4k 2>/dev/null;",
            ),
            (
                "mode=755,nr_inodes=40",
                "n=0; while : 2>/dev/null >$T/place/fill$n; do n=$((n+1)); done 2>/dev/null;",
            ),
        ] {
            let target = Target::new(shell);
            std::fs::create_dir(target.path("place")).unwrap();
            let mut mounted = std::process::Command::new("mount");
            mounted
                .args(["-t", "tmpfs", "-o", options, "none"])
                .arg(target.path("place"));
            assert!(mounted.status().unwrap().success());
            let footing = target.ready();
            let (one, two) = (spot(&footing, "run-1-0"), spot(&footing, "run-2-0"));
            let fills = format!("echo ran >>\"$T/ran\"\necho one\n( {fill} )\nexit 3");
            let ended = target.fate(&start(&footing, &one, &fills).script());
            assert_eq!(
                ended,
                Fate::Finished {
                    rc: 3,
                    is_late: false
                },
                "{shell} {options}"
            );
            // The gate may have found the last room taken; then it is open still and nobody comes.
            let refused = target.fate(&start(&footing, &two, PROGRAM).script());
            let is_refused = refused == Fate::Refused(Refusal::NoSpace);
            assert!(
                is_refused || refused == Fate::Claimed,
                "{shell} {options} {refused:?}"
            );
            assert_eq!(target.runs(), 1, "{shell} {options}");
            let left = target.fate(&two.resolve(0, 0));
            let is_stopped = left == Fate::Never || left == Fate::Refused(Refusal::NoSpace);
            assert!(is_stopped, "{shell} {options} {left:?}");
            assert_eq!(target.runs(), 1, "{shell} {options}");
            let mut unmount = std::process::Command::new("umount");
            unmount.arg("-l").arg(target.path("place"));
            assert!(unmount.status().unwrap().success());
        }
    }
}

/// fault 68: a lock is had by one; who takes it over stops what has not begun and sees what runs.
#[test]
fn a_takeover_and_a_start_see_each_other() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let mut footing = target.ready();
        for round in 0..16 {
            let one = spot(&footing, &format!("run-{round}-0"));
            let script = start(&footing, &one, SLOW).script();
            let before = target.runs();
            let child = target.begin(&script);
            std::thread::sleep(Duration::from_millis(round % 8 * 2));
            let taken = target
                .run(&take_over(false, "run", &format!("T{round}"), OWNER))
                .fields();
            let is_told = taken.contains_key(&format!("running.{}", one.id));
            std::fs::write(target.path("go"), "").unwrap();
            let fate = seen(&reply(child)).unwrap().fate;
            let ran = target.runs() - before;
            assert_eq!(
                ran,
                usize::from(is_told),
                "{shell} {round} {fate:?} {taken:?}"
            );
            std::fs::remove_file(target.path("go")).unwrap();
            footing.epoch = Some(taken["epoch"].parse().unwrap());
        }
    }
}

/// A program is in no file and in no list of processes while it runs.
#[test]
fn a_program_lies_nowhere() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let one = spot(&footing, "run-1-0");
        let long = "# hunter2-canary\n".repeat(600);
        let program = format!("{long}{SLOW}");
        let child = target.begin(&start(&footing, &one, &program).script());
        pid(&target, &one, "pid");
        let grep = std::process::Command::new("sh")
            .args(["-c", "grep -rl 'hunter2-canar[y]' \"$0\"; cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep hunter2-canar[y]"])
            .arg(target.dir.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&grep.stdout), "", "{shell}");
        std::fs::write(target.path("go"), "").unwrap();
        let ended = seen(&reply(child)).unwrap().fate;
        assert_eq!(
            ended,
            Fate::Finished {
                rc: 3,
                is_late: false
            },
            "{shell}"
        );
    }
}
