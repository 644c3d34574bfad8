//! The cases, in an order that spares resets: each says what it needs and leaves.

use std::time::Duration;

use crate::drops;
use crate::hosts::{
    INVENTORY, SWITCHBACK, UPGRADE, end_of, environment, lab, on, play, reset, run, run_and_meddle,
    succeed, wait_for,
};
use crate::pty::Pty;
use crate::rollback;
use crate::webhook::Webhook;

/// A case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Only with `--long`.
    pub(crate) is_long: bool,
    pub(crate) run: fn(),
}

const fn case(name: &'static str, run: fn()) -> Case {
    Case {
        name,
        is_long: false,
        run,
    }
}

/// All of them.
pub(crate) const ALL: &[Case] = &[
    case("check_mode_only_reads", check_mode_only_reads),
    case(
        "a_person_steps_through_the_upgrade",
        a_person_steps_through_the_upgrade,
    ),
    case("a_lost_replica_joins_later", a_lost_replica_joins_later),
    case("rollback_from_each_phase", rollback::from_each_phase),
    case(
        "pg_upgrade_outlives_a_killed_controller",
        drops::controller_killed,
    ),
    case("pg_upgrade_outlives_a_cut_link", drops::link_cut),
    case("pg_upgrade_outlives_killed_sessions", drops::sshd_killed),
    Case {
        name: "rollback_from_each_task",
        is_long: true,
        run: rollback::from_each_task,
    },
];

/// The word that is typed at a point of no return.
const WORD: &str = "PostgreSQL major upgrade";
const PATIENCE: Duration = Duration::from_secs(90);

/// What tells that a host was touched: files, units, what runs.
fn fingerprints() -> Vec<String> {
    let script = "find /etc/patroni /var/lib/postgresql -maxdepth 3 -printf \"%p %i %m %u\\n\" | sort | sha256sum; \
                  systemctl is-active patroni@15-main; systemctl is-enabled patroni@17-main; pgrep -c postgres";
    (11..=14)
        .map(|address| on(address, script).lines().take(2).collect())
        .collect()
}

fn check_mode_only_reads() {
    reset();
    let before = fingerprints();
    let mut check = play(UPGRADE, &["--check", "--diff"]);
    let text = succeed(&mut check, "check");
    assert_eq!(fingerprints(), before);
    for part in ["unreachable=0 failed=0", "pg_upgrade", "lost=0"] {
        assert!(text.contains(part), "{part} in:\n{}", end_of(&text));
    }
}

/// Keys of all kinds, on the lab as the case before has left it.
fn a_person_steps_through_the_upgrade() {
    let webhook = Webhook::start("204 No Content");
    let url = format!("notify_url={}", webhook.url);
    let program = std::path::Path::new(SWITCHBACK);
    let args = ["run", "-i", INVENTORY, UPGRADE, "-e", &url];
    let mut pty = Pty::start(program, &args, &environment());
    let prompt = |pty: &mut Pty| {
        pty.wait_for_one_of(&["[?]help"], PATIENCE);
        pty.wait_for("> ");
    };
    prompt(&mut pty);
    assert!(
        pty.screen().contains("Make the folder for the notes"),
        "{}",
        pty.screen()
    );
    pty.press("v");
    pty.wait_for("/var/lib/postgresql/upgrade-15-17");
    pty.wait_for("> ");
    pty.press("y");
    prompt(&mut pty);
    pty.press("d");
    pty.wait_for("+reserve");
    pty.wait_for("> ");
    pty.press("y");
    loop {
        prompt(&mut pty);
        if pty.screen().contains("Tell people") {
            break;
        }
        pty.press("y");
    }
    pty.press("n");
    pty.wait_for(", why");
    pty.press("told by phone\r");
    prompt(&mut pty);
    pty.press("c");
    pty.wait_for("(gates still stop)?");
    pty.wait_for("[n]o ");
    pty.press("y");
    let gate = format!("type `{WORD}` to go on");
    let mut gates = 0;
    while pty.wait_for_one_of(&[&gate, "failed>", "exit code "], PATIENCE) == 0 {
        gates += 1;
        Pty::rest();
        pty.press(&format!("{WORD}\r"));
    }
    assert!(gates >= 3, "{gates} gates:\n{}", end_of(&pty.seen()));
    let status = pty.ends_as_it_began();
    assert_eq!(status.code(), Some(0));
    let told = webhook.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("PostgreSQL 17 serves"), "{told:?}");
    assert_serves(17);
}

/// Which major answers through the proxies, asked as the application would.
pub(crate) fn assert_serves(major: u32) {
    let mut report = play("playbooks/lab_report.yml", &[]);
    let way = if major == 17 { "none" } else { "reserve" };
    report.args(["-e", &format!("rehearsal_way={way}")]);
    succeed(&mut report, "report");
}

/// A replica dies in the outage: the change goes on without it, and it joins afterwards. The
/// webhook fails all the while, which holds up nothing.
fn a_lost_replica_joins_later() {
    reset();
    let webhook = Webhook::start("500 Internal Server Error");
    let lost = "pg_fanout : The replica still stands where the leader stopped; \
                tell it the fingerprint of the new cluster";
    let mut upgrade = play(
        UPGRADE,
        &["--accept-point-of-no-return", "--on-failure", "stop"],
    );
    upgrade.args(["-e", &format!("notify_url={}", webhook.url)]);
    upgrade.args(["--answer", &format!("{lost}=exclude")]);
    let task = "Link the data files into the new cluster with pg_upgrade";
    let (code, text) = run_and_meddle(&mut upgrade, "lost-replica", task, |_| {
        lab("power_off", &["pg3"]);
    });
    // The host that is out of the run does not answer: Ansible's 4.
    assert_eq!(code, Some(4), "{}", end_of(&text));
    assert_eq!(webhook.told().len(), 2, "both messages were tried");

    lab("boot", &["pg3"]);
    wait_for(13);
    let mut join = play("playbooks/pg_join.yml", &["-e", "pg_join=pg3"]);
    let (code, text) = run(&mut join, "join");
    assert_eq!(code, 0, "{}", end_of(&text));
    let streams = on(
        13,
        "curl -s -o /dev/null -w %{http_code} 10.77.0.13:8008/replica; \
                          ls -d /var/lib/postgresql/aside-15-*/var/lib/postgresql/15/main",
    );
    assert!(streams.contains("aside-15-"), "{streams}");
    assert_serves(17);
    let again = succeed(&mut join, "join-again");
    assert!(again.contains("changed=0"), "{}", end_of(&again));
}
