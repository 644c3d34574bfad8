//! The place on a host where attempts and locks are kept: what it must be able to do, whose it is,
//! and what is noticed when it is not what it was. Targets that are only a shell; needs root.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

#[path = "support/target.rs"]
#[expect(dead_code, reason = "each test uses a part of it")]
mod target;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::{Duration, Instant};

use switchback::script::attempt::{
    Fate, Footing, Meet, Met, Refusal, Spot, is_there, meet, met, take_over, whereabouts,
};
use target::{OWNER, SHELLS, Target, reply, spot, start};

const PROGRAM: &str = "echo ran >>\"$T/ran\"\nexit 7";
const SLOW: &str = "echo ran >>\"$T/ran\"\nwhile [ ! -e \"$T/go\" ]; do sleep 0.05; done";
/// The id of `nobody`.
const NOBODY: u32 = 65534;

fn sh(text: &str) {
    let status = Command::new("sh").args(["-e", "-c", text]).status();
    assert!(status.unwrap().success(), "{text}");
}

/// A program of the host that comes before the real one.
fn fake(target: &mut Target, name: &str, text: &str) {
    let bin = target.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("export PATH={}:$PATH;", bin.display());
    if !target.setup.contains(&path) {
        target.setup.push_str(&path);
    }
}

/// From here on the host is used by another user.
fn become_nobody(target: &mut Target) {
    std::os::unix::fs::chown(target.path("home"), Some(NOBODY), Some(NOBODY)).unwrap();
    std::fs::set_permissions(target.dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    target.setup.push_str(
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs /bin/sh -s;",
    );
}

fn meets(target: &Target, how: Meet<'_>, run: &str) -> Met {
    let reply = target.run(&meet(how, run, &["L1".to_owned()], OWNER, None));
    met(&reply).unwrap_or_else(|| panic!("{reply:?}"))
}

fn ready(met: Met) -> Footing {
    match met {
        Met::Ready(footing) => *footing,
        other => panic!("{other:?}"),
    }
}

/// Why a host was refused.
fn unfit(met: Met) -> String {
    match met {
        Met::Unfit(why) => why,
        other => panic!("{other:?}"),
    }
}

/// Waits until something has begun.
fn wait(shell: &str, has_begun: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !has_begun() {
        assert!(Instant::now() < limit, "{shell}: it did not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const ENDED: Fate = Fate::Finished {
    rc: 7,
    is_late: false,
};

/// fault 52: on a file system where nothing may be executed it works; where nothing can be written
/// the host is refused when it is met, before anything starts.
#[test]
fn a_place_may_be_noexec_but_not_read_only() {
    for shell in SHELLS {
        let target = Target::new(shell);
        std::fs::create_dir(target.path("place")).unwrap();
        let place = target.path("place").display().to_string();
        sh(&format!(
            "mount -t tmpfs -o mode=755,noexec,nosuid,nodev none {place}"
        ));
        let footing = target.ready();
        let one = spot(&footing, "run-1-0");
        let ran = target.fate(&start(&footing, &one, PROGRAM).script());
        sh(&format!("mount -o remount,ro {place}"));
        let told = meets(&target, Meet::Root(""), "run");
        sh(&format!("umount -l {place}"));
        assert_eq!(ran, ENDED, "{shell}");
        let why = unfit(told);
        assert!(
            why.starts_with("no-place") && why.contains("Read-only"),
            "{shell} {why}"
        );
        assert_eq!(target.runs(), 1, "{shell}");
    }
}

/// fault 67: a host that makes no links (a policy, a strange file system) is refused when it is met,
/// with the words of its `ln`, whether the place is new or was made before.
#[test]
fn a_host_without_links_is_refused() {
    for shell in SHELLS {
        for is_new in [true, false] {
            let mut target = Target::new(shell);
            if !is_new {
                target.ready();
                sh(&format!("rm {}/e/*", target.path("place").display()));
            }
            fake(
                &mut target,
                "ln",
                "echo 'ln: not permitted here' >&2; exit 1",
            );
            let why = unfit(meets(&target, Meet::Root(""), "run"));
            assert!(
                why.starts_with("no-place") && why.contains("not permitted here"),
                "{shell} {why}"
            );
            let left = std::fs::read_dir(target.path("place/e")).unwrap();
            let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

/// A host on which logind ends what a session leaves behind.
fn killing_logind(shell: &'static str) -> Target {
    let mut target = Target::new(shell);
    target.setup = "mount -t tmpfs none /run; mkdir -p /run/systemd/system;".into();
    fake(&mut target, "busctl", "echo 'b true'");
    let log = target.path("scopes").display().to_string();
    fake(
        &mut target,
        "systemd-run",
        &format!("echo \"$*\" >>{log}\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\""),
    );
    target
}

/// fault 65: an attempt gets a scope of its own where logind would end it with the session; who
/// cannot have one is refused before anything starts.
#[test]
fn an_attempt_leaves_the_session_that_logind_kills() {
    for shell in SHELLS {
        let target = killing_logind(shell);
        let footing = target.ready();
        assert_eq!(footing.scope, "--system", "{shell}");
        let one = spot(&footing, "run-1-0");
        let mut start = start(&footing, &one, PROGRAM);
        start.scope = &footing.scope;
        assert_eq!(target.fate(&start.script()), ENDED, "{shell}");
        let scopes = target.text("scopes");
        assert!(
            scopes.starts_with("--system --scope --quiet --collect --unit=sb-run-1-0 -- setsid"),
            "{shell} {scopes}"
        );
        assert_eq!((scopes.lines().count(), target.runs()), (1, 1), "{shell}");
        let mut target = killing_logind(shell);
        become_nobody(&mut target);
        let why = unfit(meets(&target, Meet::Home, "run"));
        assert!(why.starts_with("killed-at-logout"), "{shell} {why}");
        // Asked not to linger, it is as any other host.
        fake(&mut target, "busctl", "echo 'b false'");
        assert_eq!(ready(meets(&target, Meet::Home, "run")).scope, "");
    }
}

/// fault 54: the volume of the place was put back to a snapshot under the running system. What had
/// started counts as lost and is not started again.
#[test]
fn what_ran_before_its_volume_went_back_is_lost() {
    for shell in SHELLS {
        let target = Target::new(shell);
        let footing = target.ready();
        let (one, two) = (spot(&footing, "run-1-0"), spot(&footing, "run-2-0"));
        target.run(&start(&footing, &one, PROGRAM).script());
        let spool = target.path("place/u/0").display().to_string();
        sh(&format!("cp -a {spool} {spool}.snapshot"));
        let slow = target.begin(&start(&footing, &two, SLOW).script());
        wait(shell, || target.runs() == 2);
        sh(&format!("rm -rf {spool}; mv {spool}.snapshot {spool}"));
        let lost = Fate::Lost {
            why: "gone-back".into(),
        };
        for script in [
            two.status(0, 0),
            two.resolve(0, 0),
            start(&footing, &two, PROGRAM).script(),
            two.status(0, 0),
        ] {
            assert_eq!(target.fate(&script), lost, "{shell}");
        }
        assert_eq!(target.fate(&one.status(0, 0)), ENDED, "{shell}");
        assert_eq!(target.runs(), 2, "{shell}");
        std::fs::write(target.path("go"), "").unwrap();
        reply(slow);
        // With its lock, the volume of all that is kept: the next start is refused.
        sh(&format!("rm {}/e/*", target.path("place").display()));
        let three = spot(&footing, "run-3-0");
        let refused = target.fate(&start(&footing, &three, PROGRAM).script());
        assert_eq!(
            refused,
            Fate::Refused(Refusal::Fenced(String::new())),
            "{shell}"
        );
    }
}

/// fault 57: a copy of the place on another machine is told from a second name of this one.
#[test]
fn a_copy_of_a_place_is_told_apart() {
    for shell in SHELLS {
        let mut target = Target::new(shell);
        let footing = target.ready();
        assert!(footing.inode.contains(':'), "{shell} {footing:?}");
        let ask = |target: &Target| is_there(&target.run(&whereabouts(false)), &footing);
        assert!(ask(&target), "{shell}");
        let place = target.path("place").display().to_string();
        sh(&format!(
            "cp -a {place} {place}.copy; mv {place} {place}.old; mv {place}.copy {place}"
        ));
        assert!(!ask(&target), "{shell}: another copy");
        sh(&format!("rm -r {place}; mv {place}.old {place}"));
        assert!(ask(&target), "{shell}");
        std::fs::write(target.path("boot_id"), "another-boot\n").unwrap();
        target.setup = "mount --bind $T/boot_id /proc/sys/kernel/random/boot_id;".into();
        assert!(!ask(&target), "{shell}: another boot");
    }
}

/// Where no root is to be had, all is kept in the home: attempts run once there, and the lock holds
/// among those who share the home.
#[test]
fn a_user_without_root_has_a_place_in_the_home() {
    for shell in SHELLS {
        let mut target = Target::new(shell);
        become_nobody(&mut target);
        let none = meets(&target, Meet::Root(""), "run");
        assert_eq!(none, Met::NeedsRoot(NOBODY.to_string()), "{shell}");
        let footing = ready(meets(&target, Meet::Home, "run"));
        let place = target.path("home/.switchback");
        assert_eq!(footing.place, place.display().to_string(), "{shell}");
        let meta = std::fs::metadata(&place).unwrap();
        assert_eq!(
            (meta.uid(), meta.mode() & 0o777),
            (NOBODY, 0o700),
            "{shell}"
        );
        std::fs::write(target.path("ran"), "").unwrap();
        std::os::unix::fs::chown(target.path("ran"), Some(NOBODY), None).unwrap();
        let one = Spot {
            is_home: true,
            ..spot(&footing, "run-1-0")
        };
        for _ in 0..2 {
            let ran = target.fate(&start(&footing, &one, PROGRAM).script());
            assert_eq!(ran, ENDED, "{shell}");
        }
        assert_eq!(target.runs(), 1, "{shell}");
        assert_eq!(target.fate(&one.status(0, 0)), ENDED, "{shell}");
        let two = Spot {
            id: "run-2-0".into(),
            ..one
        };
        assert_eq!(target.fate(&two.resolve(0, 0)), Fate::Never, "{shell}");
        let late = target.fate(&start(&footing, &two, PROGRAM).script());
        assert_eq!((late, target.runs()), (Fate::Never, 1), "{shell}");
        let other = meets(&target, Meet::Home, "another");
        assert_eq!(other, Met::Locked(format!("run L1 {OWNER}")), "{shell}");
        // A place that others can write to is none.
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
        let why = unfit(meets(&target, Meet::Home, "run"));
        assert!(why.contains("can be written to by others"), "{shell} {why}");
    }
}

/// Where root is to be had, each user has a spool that only that user can read, and root's lock
/// holds for all of them.
#[test]
fn a_user_has_a_spool_in_the_place_of_root() {
    for shell in SHELLS {
        let mut target = Target::new(shell);
        ready(meets(&target, Meet::Root("65534"), "run"));
        become_nobody(&mut target);
        std::fs::write(target.path("ran"), "").unwrap();
        std::os::unix::fs::chown(target.path("ran"), Some(NOBODY), None).unwrap();
        let footing = ready(meets(&target, Meet::Root(""), "run"));
        let spool = target.path("place/u/65534");
        assert_eq!(footing.place, spool.display().to_string(), "{shell}");
        let meta = std::fs::metadata(&spool).unwrap();
        assert_eq!(
            (meta.uid(), meta.mode() & 0o777),
            (NOBODY, 0o700),
            "{shell}"
        );
        assert_eq!(footing.epoch, Some(1), "{shell}: root's lock is the user's");
        let one = spot(&footing, "run-1-0");
        let slow = target.begin(&start(&footing, &one, SLOW).script());
        let begun = spool.join("a/run-1-0.pid");
        wait(shell, || {
            std::fs::read_to_string(&begun).is_ok_and(|text| text.ends_with(".\n"))
        });
        // Root takes over and sees what runs there as another user; that one's lock is gone.
        let nobody = std::mem::take(&mut target.setup);
        let taken = target.run(&take_over(false, "run", "T1", OWNER)).fields();
        assert!(taken.contains_key("running.run-1-0"), "{shell} {taken:?}");
        target.setup = nobody;
        std::fs::write(target.path("go"), "").unwrap();
        reply(slow);
        let two = spot(&footing, "run-2-0");
        let refused = target.fate(&start(&footing, &two, PROGRAM).script());
        assert_eq!(
            refused,
            Fate::Refused(Refusal::Fenced(format!("run T1 {OWNER}"))),
            "{shell}"
        );
        assert_eq!(target.runs(), 1, "{shell}");
    }
}
