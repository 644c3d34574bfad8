//! `switchback rehearse` on a staging that exists: what a scenario does to the change, and what it is
//! told by.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

struct Staging {
    folder: tempfile::TempDir,
}

impl Staging {
    /// A change of one host that takes its time, with these scenarios.
    fn new(scenarios: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let staging = Self { folder };
        staging.write("hosts.ini", "one ansible_connection=local\n");
        staging.write(
            "faults.yml",
            "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - shell: echo {{ fault }} \
             {{ fault_host }} {{ fault_seconds }} >> $T/faults; exit {{ fault_exit | default(0) }}\n",
        );
        staging.write(
            "site.yml",
            &format!(
                "- change: a test\n  rehearse:\n    inventory: hosts.ini\n    faults: faults.yml\n    \
                 scenarios:\n{scenarios}\n- name: Change it\n  hosts: one\n  gather_facts: false\n  \
                 tasks:\n    - name: Be at work\n      shell: |\n        echo began >> $T/log\n        \
                 for i in $(seq 100); do [ -e $T/faults ] && break; sleep 0.05; done\n        \
                 echo ended >> $T/log\n    - name: Go on\n      shell: echo next >> $T/log\n"
            ),
        );
        staging
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let text = text.replace("$T", &self.folder.path().display().to_string());
        std::fs::write(self.path(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The exit code, and all that was told.
    fn rehearse(&self, scenario: &str, more: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_switchback"))
            .args(["rehearse", "site.yml", "-i", "hosts.ini", "--scenario"])
            .arg(scenario)
            .args(more)
            .current_dir(self.folder.path())
            .env("SWITCHBACK_ROOT", self.path("place"))
            .env("SWITCHBACK_RUNS", self.path("runs"))
            .env("SWITCHBACK_KEYS", self.path("keys"))
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = text(&output.stdout) + &text(&output.stderr);
        (output.status.code().unwrap_or(-1), told)
    }
}

const CUT: &str = "      cut: {fault: link_cut, at: Be at work, host: pg7, after: 0, seconds: 3}";

/// The lab's playbook is run when the task has begun, with what the scenario says.
#[test]
fn a_fault_of_a_host_is_done_by_the_labs_playbook() {
    let staging = Staging::new(CUT);
    let (code, told) = staging.rehearse("cut", &[]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(staging.text("faults"), "link_cut pg7 3\n", "{told}");
    assert_eq!(staging.text("log"), "began\nended\nnext\n");
    assert!(told.contains("rehearsal PASSED"), "{told}");
    assert!(
        told.contains("pg7 had no network in `Be at work`"),
        "{told}"
    );
    assert!(told.contains("Change it"), "no phases: {told}");
}

/// The controller is killed in the middle of a task, and the run is resumed: the task ran once.
#[test]
fn a_killed_controller_is_resumed() {
    let staging = Staging::new("      kill: {fault: controller_killed, at: Be at work}");
    let (code, told) = staging.rehearse("kill", &[]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(staging.text("log"), "began\nended\nnext\n", "{told}");
    assert!(told.contains("looking for"), "{told}");
    assert!(told.contains("rehearsal PASSED"), "{told}");
}

/// A fault that does not happen is no rehearsal of it.
#[test]
fn a_fault_that_does_not_happen_fails_the_rehearsal() {
    let staging = Staging::new("      cut: {fault: link_cut, at: No such task, host: pg7}");
    let (code, told) = staging.rehearse("cut", &[]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("`No such task` was not started"), "{told}");
    let staging = Staging::new(CUT);
    let broken = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - shell: touch $T/faults; exit 3\n";
    staging.write("faults.yml", broken);
    let (code, told) = staging.rehearse("cut", &[]);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("the lab's playbook of faults ended with"),
        "{told}"
    );
}

/// What is wrong with a scenario is said before anything runs.
#[test]
fn a_scenario_that_makes_no_sense_is_refused() {
    for (scenario, why) in [
        (
            "{fault: flood, at: x}",
            "there is no fault `flood`; there are controller_killed",
        ),
        ("{fault: link_cut, at: x}", "needs `host`"),
        ("{fault: link_cut, host: x}", "needs `at`"),
        ("{at: x}", "needs `fault`"),
        (
            "{fault: controller_killed, at: x, after: soon}",
            "`after` is a number of seconds",
        ),
        (
            "{fault: controller_killed, at: x, fail: x}",
            "`fail` or `fault`, not both",
        ),
        ("{falut: link_cut}", "a scenario has no `falut`"),
    ] {
        let staging = Staging::new(&format!("      odd: {scenario}"));
        let (code, told) = staging.rehearse("odd", &[]);
        assert_eq!(code, 3, "{scenario}: {told}");
        assert!(told.contains(why), "{scenario}: {told}");
        assert_eq!(staging.text("log"), "");
    }
}
