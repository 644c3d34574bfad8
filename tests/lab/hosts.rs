//! The lab and its hosts, as tests drive them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread::park_timeout;
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const SWITCHBACK: &str = env!("CARGO_BIN_EXE_switchback");
/// The inventory that the lab writes of itself.
pub(crate) const INVENTORY: &str = "/var/lib/switchback-lab/inventory.yml";
/// The change.
pub(crate) const UPGRADE: &str = "playbooks/pg_upgrade.yml";

const LAB: &str = "/var/lib/switchback-lab";

/// Where the logs of the tests lie.
static LOGS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::current_dir().unwrap().join("target/tests/lab");
    std::fs::create_dir_all(&folder).unwrap();
    folder
});

/// A new lab of leader, two replicas and a reserve with a little data.
pub(crate) fn reset() {
    let mut lab = switchback(&["run", "playbooks/lab.yml", "--yes", "-e", "lab_data_mb=60"]);
    succeed(lab.args(["-e", "lab_state=reset"]), "reset");
}

/// The journals of the tests; the program makes the folder, for itself only.
static RUNS: LazyLock<PathBuf> = LazyLock::new(|| LOGS.join("runs"));

/// The program with these arguments.
pub(crate) fn switchback(args: &[&str]) -> Command {
    let mut command = Command::new(SWITCHBACK);
    command.args(args).envs(environment());
    command
}

/// What the program is started with.
pub(crate) fn environment() -> Vec<(&'static str, &'static OsStr)> {
    vec![("SWITCHBACK_RUNS", RUNS.as_os_str())]
}

/// `switchback run` of a playbook on the lab, without questions.
pub(crate) fn play(playbook: &str, args: &[&str]) -> Command {
    let mut command = switchback(&["run", "-i", INVENTORY, playbook, "--yes"]);
    command.args(args);
    command
}

/// Runs to the end with the screen in a log of this name; the exit code and what was shown.
pub(crate) fn run(command: &mut Command, log: &str) -> (i32, String) {
    let Output { status, stdout, .. } = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    std::fs::write(LOGS.join(format!("{log}.log")), &text).unwrap();
    (status.code().unwrap_or(-1), text)
}

/// The same, which must end with 0.
pub(crate) fn succeed(command: &mut Command, log: &str) -> String {
    let (code, text) = run(command, log);
    assert_eq!(code, 0, "{log}:\n{}", end_of(&text));
    text
}

/// The last lines.
pub(crate) fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Runs to the end and calls `at` when the task of this name starts the first time.
pub(crate) fn run_and_meddle(
    command: &mut Command,
    log: &str,
    task: &str,
    at: impl Fn(u32),
) -> (Option<i32>, String) {
    let mut child = command
        .args(["--events", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(LOGS.join(format!("{log}.log"))).unwrap())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut is_done = false;
    let mut events = String::new();
    for line in lines.map_while(Result::ok) {
        events.push_str(&line);
        events.push('\n');
        if !is_done && is_start_of(&line, task) {
            is_done = true;
            at(child.id());
        }
    }
    let status = child.wait().unwrap();
    assert!(is_done, "`{task}` did not start");
    let screen = std::fs::read_to_string(LOGS.join(format!("{log}.log"))).unwrap();
    let text = events + &screen;
    (status.code(), text)
}

fn is_start_of(line: &str, task: &str) -> bool {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    let name = event["name"].as_str().unwrap_or_default();
    event["event"] == "task_started" && name.ends_with(task)
}

/// One of the lab's own scripts: `boot`, `power_off`, `link`.
pub(crate) fn lab(script: &str, args: &[&str]) {
    let done = Command::new(Path::new(LAB).join("bin").join(script))
        .args(args)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success(), "{script} {args:?}: {done}");
}

/// Waits until a host that was started answers.
pub(crate) fn wait_for(address: u8) {
    let end = Instant::now() + Duration::from_mins(1);
    while on(address, "echo up").trim() != "up" {
        assert!(Instant::now() < end, "host {address} does not answer");
        park_timeout(Duration::from_millis(200));
    }
}

/// What a host says, asked by ssh as root; empty where it does not answer.
pub(crate) fn on(address: u8, script: &str) -> String {
    let output = Command::new("ssh")
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
        .args(["-o", "ConnectTimeout=2", "-o", "IdentitiesOnly=yes"])
        .args(["-i", &format!("{LAB}/ssh/ops")])
        .args([
            "-o",
            &format!("UserKnownHostsFile={LAB}/ssh/known_hosts"),
            &format!("ops@10.77.0.{address}"),
        ])
        .args(["sudo", "sh", "-c"])
        .arg(format!("'{script}'"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
