//! What a lost connection or a lost controller does to a command that runs: nothing. A real sshd on
//! loopback or in a network namespace, the real program; needs root.
//!
//! In each case the command has begun and then something goes. Expected: it ran once and to its
//! end, and the run, or the resume of it, has its exit status and all of its output.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

#[path = "support/sshd.rs"]
#[expect(dead_code, reason = "the transport's tests use the rest")]
mod sshd;

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sshd::Sshd;

const TASKS: &str = "\
- hosts: web1
  gather_facts: false
  tasks:
    - name: the change
      shell: |
        echo begin >> DIR/log
        for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; done
        while [ ! -e DIR/go ]; do sleep 0.1; done
        for i in 11 12 13 14 15 16 17 18 19 20; do echo line $i; done
        echo end >> DIR/log
        exit 7
      register: r
      failed_when: r.rc != 7
    - copy:
        content: \"{{ r.stdout_lines | length }} {{ r.stdout_lines | last }} {{ r.rc }}\"
        dest: DIR/result
";

/// A host, and a run of the program against it.
struct Scene {
    sshd: Sshd,
    child: Option<Child>,
}

impl Scene {
    fn new() -> Self {
        Self::of(Sshd::start(ENV))
    }

    fn of(sshd: Sshd) -> Self {
        let dir = sshd.dir.path().display().to_string();
        let words = sshd.words().join(" ");
        let address = match sshd.target().connection {
            switchback::transport::Connection::Ssh { address, .. } => address,
            switchback::transport::Connection::Local => unreachable!(),
        };
        let hosts = format!(
            "web1 ansible_host={address} ansible_port={} ansible_ssh_private_key_file={dir}/key \
             ansible_ssh_common_args='{words}'\n",
            sshd.port
        );
        std::fs::write(sshd.path("hosts.ini"), hosts).unwrap();
        std::fs::write(sshd.path("site.yml"), TASKS.replace("DIR", &dir)).unwrap();
        std::fs::create_dir(sshd.path("run")).unwrap();
        Self { sshd, child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sshd.path(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn command(&self, words: &[&str]) -> Command {
        let out = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("out"))
            .unwrap();
        // In a session of its own, so that signals for the group hit nobody else.
        let mut command = Command::new("setsid");
        command
            .arg(env!("CARGO_BIN_EXE_switchback"))
            .args(words)
            .current_dir(self.sshd.dir.path())
            .env("SWITCHBACK_RUNS", self.path("runs"))
            .env("SWITCHBACK_KEYS", self.path("keys"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("HOME", self.path("home"))
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        command
    }

    /// Starts the run and waits until its command has begun.
    fn begin(&mut self) {
        let mut command = self.command(&["run", "-y", "-i", "hosts.ini", "site.yml"]);
        self.child = Some(command.spawn().unwrap());
        self.until("the command begins", || self.text("log") == "begin\n");
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let limit = Instant::now() + Duration::from_mins(1);
        while !is_so() {
            assert!(
                Instant::now() < limit,
                "never: {what}\n{}",
                self.text("out")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets the command come to its end.
    fn let_go(&self) {
        std::fs::write(self.path("go"), "").unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.take().unwrap().wait().unwrap()
    }

    fn resume(&self) {
        let status = self.command(&["resume", "-y"]).status().unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.text("out"));
    }

    /// One execution, the right outcome, all of the output.
    fn check(&self) {
        assert_eq!(self.text("log"), "begin\nend\n", "{}", self.text("out"));
        assert_eq!(self.text("result"), "20 line 20 7", "{}", self.text("out"));
    }

    /// The run itself goes on to its end.
    fn goes_on(&mut self) {
        self.let_go();
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.text("out"));
        self.check();
    }

    /// A later process goes on with it.
    fn is_resumed(&mut self) {
        self.let_go();
        self.resume();
        self.check();
    }

    /// The `ssh` of the controller that holds the connection.
    fn master(&self) -> Vec<u32> {
        let known_hosts = self.path("known_hosts").display().to_string();
        processes()
            .into_iter()
            .filter(|p| p.name == "ssh" && p.line.contains(&known_hosts))
            .map(|p| p.pid)
            .collect()
    }

    /// The processes of sshd that serve connections.
    fn sessions(&self) -> Vec<u32> {
        let all = processes();
        let mut found = vec![self.sshd.pid()];
        let mut at = 0;
        while at < found.len() {
            let parent = found[at];
            found.extend(
                all.iter()
                    .filter(|p| p.parent == parent && p.name.starts_with("sshd"))
                    .map(|p| p.pid),
            );
            at += 1;
        }
        found.split_off(1)
    }

    fn signal(&self, signal: &str) {
        kill(signal, &[self.child.as_ref().unwrap().id()]);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // What a failed test left running ends with this.
        drop(std::fs::write(self.path("go"), ""));
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

const ENV: &str = "SetEnv SWITCHBACK_ROOT=DIR/place HOME=DIR/home PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    line: String,
}

fn processes() -> Vec<Process> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let (Some(from), Some(to)) = (stat.find('('), stat.rfind(')')) else {
            continue;
        };
        found.push(Process {
            pid,
            parent: stat[to + 2..].split(' ').nth(1).unwrap().parse().unwrap(),
            name: stat[from + 1..to].to_owned(),
            line: String::from_utf8_lossy(&line).replace('\0', " "),
        });
    }
    found
}

fn kill(signal: &str, pids: &[u32]) {
    assert!(!pids.is_empty(), "nothing to kill");
    for pid in pids {
        // One of them may have ended with another one.
        drop(
            Command::new("kill")
                .args(["-s", signal, &pid.to_string()])
                .stderr(Stdio::null())
                .status(),
        );
    }
}

/// fault 27, fault 30: the client's ssh is the master.
#[test]
fn the_client_ssh_is_killed() {
    let mut scene = Scene::new();
    scene.begin();
    kill("KILL", &scene.master());
    scene.goes_on();
}

/// fault 27: the processes of sshd that serve the connection are killed.
#[test]
fn the_sshd_session_is_killed() {
    let mut scene = Scene::new();
    scene.begin();
    kill("KILL", &scene.sessions());
    scene.goes_on();
}

/// fault 31: sshd as a whole goes, and comes back after the command has ended.
#[test]
fn all_sshd_is_killed_and_comes_back() {
    let mut scene = Scene::new();
    scene.begin();
    let sessions = scene.sessions();
    scene.sshd.stop();
    kill("KILL", &sessions);
    scene.let_go();
    scene.until("the command ends", || scene.text("log").contains("end"));
    scene.sshd.start_again();
    scene.goes_on();
    assert!(
        scene.text("out").contains("may be running"),
        "{}",
        scene.text("out")
    );
}

/// fault 2, fault 9: the controller is killed.
#[test]
fn the_controller_is_killed() {
    let mut scene = Scene::new();
    scene.begin();
    scene.signal("KILL");
    scene.wait();
    scene.is_resumed();
}

/// The controller is killed and its connection too, and the resume comes after the command's end.
#[test]
fn the_controller_and_its_connection_are_killed() {
    let mut scene = Scene::new();
    scene.begin();
    scene.signal("KILL");
    kill("KILL", &scene.master());
    scene.wait();
    scene.let_go();
    scene.until("the command ends", || scene.text("log").contains("end"));
    scene.is_resumed();
}

/// fault 6: the terminal is closed. fault 7: the machine shuts down.
#[test]
fn a_signal_detaches_the_controller() {
    for signal in ["HUP", "TERM"] {
        let mut scene = Scene::new();
        scene.begin();
        scene.signal(signal);
        assert_eq!(scene.wait().code(), Some(10), "{}", scene.text("out"));
        assert_eq!(scene.text("log"), "begin\n");
        scene.is_resumed();
    }
}

/// fault 5: Ctrl-C twice detaches and ends nothing.
#[test]
fn an_interrupt_twice_detaches_the_controller() {
    let mut scene = Scene::new();
    scene.begin();
    scene.signal("INT");
    scene.until("the first is heard", || {
        scene.text("out").contains("pausing")
    });
    scene.signal("INT");
    assert_eq!(scene.wait().code(), Some(10), "{}", scene.text("out"));
    scene.is_resumed();
}

/// fault 45: what watches over the command is killed with all that the session has: nobody can say
/// how the command ended. It is lost, and not run again.
#[test]
fn a_command_whose_watch_is_killed_is_lost() {
    let mut scene = Scene::new();
    scene.begin();
    let attempts = scene.path("place/u/0/a");
    let supervisor = std::fs::read_dir(attempts)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "sup"))
        .unwrap();
    let line = std::fs::read_to_string(supervisor).unwrap();
    kill("KILL", &[line.split(' ').next().unwrap().parse().unwrap()]);
    scene.let_go();
    assert_eq!(scene.wait().code(), Some(9), "{}", scene.text("out"));
    assert_eq!(scene.text("log"), "begin\nend\n");
    assert_eq!(
        scene.text("result"),
        "",
        "the lost host took a further step"
    );
}

/// A host in a network namespace of its own, reached over a link that can be cut.
struct Net {
    scene: Scene,
    name: &'static str,
}

impl Net {
    /// `number` is that of its network.
    fn new(
        name: &'static str,
        address: &'static str,
        prefix: &'static [&'static str],
        number: u8,
    ) -> Self {
        // A run of this test that was killed may have left it.
        clear(name);
        sh(&format!(
            "ip netns add {name}; ip link add {name} type veth peer name eth0 netns {name}
             ip addr add 10.213.{number}.1/24 dev {name}; ip link set {name} up
             ip -n {name} addr add {address}/24 dev eth0
             ip -n {name} link set eth0 up; ip -n {name} link set lo up"
        ));
        let scene = Scene::of(Sshd::start_at(address, prefix, ENV));
        Self { scene, name }
    }

    /// Begins, cuts the link, waits until that was noticed, and mends the link.
    fn survives(&mut self, cut: &str, mend: &str) {
        self.scene.begin();
        sh(&cut.replace("NAME", self.name));
        self.scene.until("it is noticed", || {
            self.scene.text("out").contains("may be running")
        });
        sh(&mend.replace("NAME", self.name));
        self.scene.goes_on();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.scene.sshd.stop();
        clear(self.name);
    }
}

/// Removes a network namespace with all that runs in it.
fn clear(name: &str) {
    let text = format!(
        "for pid in $(ip netns pids {name}); do kill -9 $pid; done
         ip link del {name}; ip netns del {name}"
    );
    let mut command = Command::new("sh");
    drop(command.args(["-c", &text]).stderr(Stdio::null()).status());
}

fn sh(text: &str) {
    let status = Command::new("sh")
        .args(["-e", "-c", text])
        .status()
        .unwrap();
    assert!(status.success(), "{text}");
}

const FILTER: &str = "ip netns exec NAME nft 'add table inet t; add chain inet t c { type filter hook HOOK priority 0; }; add rule inet t c VERDICT'";
const NO_FILTER: &str = "ip netns exec NAME nft delete table inet t";

/// fault 28: the link goes down.
#[test]
fn the_link_goes_down() {
    let prefix = &["ip", "netns", "exec", "sbdown"];
    Net::new("sbdown", "10.213.1.2", prefix, 1)
        .survives("ip link set NAME down", "ip link set NAME up");
}

/// fault 28, fault 29: what the controller sends is dropped without a word.
#[test]
fn what_comes_in_is_dropped() {
    let cut = FILTER.replace("HOOK", "input").replace("VERDICT", "drop");
    let prefix = &["ip", "netns", "exec", "sbin"];
    Net::new("sbin", "10.213.2.2", prefix, 2).survives(&cut, NO_FILTER);
}

/// fault 28, fault 29: what the host answers is dropped without a word.
#[test]
fn what_goes_out_is_dropped() {
    let cut = FILTER.replace("HOOK", "output").replace("VERDICT", "drop");
    let prefix = &["ip", "netns", "exec", "sbout"];
    Net::new("sbout", "10.213.3.2", prefix, 3).survives(&cut, NO_FILTER);
}

/// fault 41: a link of 56 kbit/s is slow, and nothing else.
#[test]
fn a_slow_link_is_usable() {
    let prefix = &["ip", "netns", "exec", "sbslow"];
    let mut net = Net::new("sbslow", "10.213.5.2", prefix, 5);
    let shape = "root tbf rate 56kbit burst 1600 latency 4s";
    sh(&format!(
        "tc qdisc add dev sbslow {shape}; ip netns exec sbslow tc qdisc add dev eth0 {shape}"
    ));
    net.scene.begin();
    net.scene.goes_on();
    let said = net.scene.text("out");
    assert!(!said.contains("may be running"), "{said}");
}

/// fault 27: the connection is reset.
#[test]
fn the_connection_is_reset() {
    let cut = FILTER
        .replace("HOOK", "input")
        .replace("VERDICT", "meta l4proto tcp reject with tcp reset");
    let prefix = &["ip", "netns", "exec", "sbreset"];
    Net::new("sbreset", "10.213.4.2", prefix, 4).survives(&cut, NO_FILTER);
}
