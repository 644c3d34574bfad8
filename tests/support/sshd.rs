//! An sshd on loopback with keys and configuration of its own, killed when dropped.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use switchback::transport::{Connection, Pool, Settings, Target};

/// A running sshd.
pub(crate) struct Sshd {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    address: &'static str,
    prefix: &'static [&'static str],
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn keygen(path: &Path) {
    let done = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen is needed");
    assert!(done.success());
}

impl Sshd {
    /// Starts one; `extra` lines go into its configuration, with `DIR` for its directory.
    pub(crate) fn start(extra: &str) -> Self {
        Self::start_at("127.0.0.1", &[], extra)
    }

    /// Like [`Self::start`], on an address, started by a program such as `ip netns exec NAME`.
    pub(crate) fn start_at(
        address: &'static str,
        prefix: &'static [&'static str],
        extra: &str,
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("sb").tempdir().unwrap();
        let path = dir.path().to_path_buf();
        keygen(&path.join("host"));
        keygen(&path.join("key"));
        fs::copy(path.join("key.pub"), path.join("authorized_keys")).unwrap();
        fs::create_dir(path.join("home")).unwrap();
        fs::create_dir(path.join("bin")).unwrap();
        if fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0) {
            // sshd that runs as root wants this one.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let extra = extra.replace("DIR", path.to_str().unwrap());
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let lines = [
                format!("Port {port}"),
                format!("ListenAddress {address}"),
                format!("HostKey {}", path.join("host").display()),
                format!(
                    "AuthorizedKeysFile {}",
                    path.join("authorized_keys").display()
                ),
                "PidFile none\nStrictModes no\nUsePAM no\nMaxStartups 100".to_owned(),
                "PasswordAuthentication no\nKbdInteractiveAuthentication no".to_owned(),
                extra.clone(),
                // The login files of whoever runs the tests are kept out, unless a test has its own.
                format!(
                    "SetEnv HOME={} SWITCHBACK_ROOT={} \
                     PATH={}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                    path.join("home").display(),
                    path.join("place").display(),
                    path.join("bin").display()
                ),
            ];
            fs::write(path.join("sshd_config"), lines.join("\n") + "\n").unwrap();
            let mut child = spawn(&path, prefix);
            if is_up(address, port, &mut child) {
                let sshd = Self {
                    dir,
                    port,
                    address,
                    prefix,
                    child,
                };
                sshd.trust("host");
                return sshd;
            }
            drop(child.kill());
            drop(child.wait());
        }
        panic!(
            "sshd: {}",
            fs::read_to_string(path.join("sshd.log")).unwrap()
        );
    }

    /// Takes no connections any more; those that are up stay.
    pub(crate) fn stop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Takes connections again, on the same port.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.dir.path(), self.prefix);
        assert!(is_up(self.address, self.port, &mut self.child));
    }

    /// The process that takes connections.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes the host key in `file` the known one.
    pub(crate) fn trust(&self, file: &str) {
        let key = fs::read_to_string(self.path(&format!("{file}.pub"))).unwrap();
        let line = format!("[{}]:{} {key}", self.address, self.port);
        fs::write(self.path("known_hosts"), line).unwrap();
    }

    /// Makes another key and claims that it is the host's.
    pub(crate) fn trust_another(&self) {
        keygen(&self.path("other"));
        self.trust("other");
    }

    /// A file on the host, executable.
    pub(crate) fn script(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn words(&self) -> Vec<String> {
        [
            "-F".to_owned(),
            "/dev/null".to_owned(),
            "-o".to_owned(),
            format!("UserKnownHostsFile={}", self.path("known_hosts").display()),
            "-o".to_owned(),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "-o".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
        ]
        .to_vec()
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            host: "web1".to_owned(),
            connection: Connection::Ssh {
                address: self.address.to_owned(),
                port: Some(self.port),
                user: None,
                key: Some(self.path("key")),
                args: self.words(),
                password: None,
                timeout_s: 10,
                accepts_any_host_key: false,
            },
            become_user: None,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::new(self.path("c"))
    }

    pub(crate) fn pool(&self) -> Pool {
        Pool::new(self.settings()).unwrap()
    }

    /// The control sockets of the pools.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let Ok(dir) = fs::read_dir(self.path("c")) else {
            return Vec::new();
        };
        let paths = dir.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_none()).collect()
    }

    /// The process id of the one master.
    pub(crate) fn master_pid(&self) -> String {
        let sockets = self.sockets();
        assert_eq!(sockets.len(), 1, "{sockets:?}");
        let output = Command::new("ssh")
            .arg("-S")
            .arg(&sockets[0])
            .args(["-F", "/dev/null", "-O", "check", "host"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let pid = said
            .split_once("pid=")
            .unwrap_or_else(|| panic!("{said}"))
            .1;
        pid.trim().trim_end_matches(')').to_owned()
    }
}

/// Kills a process and waits until it is gone.
pub(crate) fn kill(pid: &str) {
    let done = Command::new("kill").args(["-9", pid]).status().unwrap();
    assert!(done.success());
    while fs::exists(format!("/proc/{pid}")).unwrap() {
        std::thread::yield_now();
    }
}

fn sshd_path() -> PathBuf {
    ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("sshd is needed: install openssh-server")
}

/// Starts the program on the configuration in a directory.
fn spawn(dir: &Path, prefix: &[&str]) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("sshd.log"))
        .unwrap();
    let program = sshd_path().display().to_string();
    let words = [prefix, &[program.as_str()]].concat();
    Command::new(words[0])
        .args(&words[1..])
        .args(["-D", "-e", "-f"])
        .arg(dir.join("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("sshd is needed: install openssh-server")
}

fn is_up(address: &str, port: u16, child: &mut Child) -> bool {
    let limit = Instant::now() + Duration::from_secs(10);
    while Instant::now() < limit {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if let Ok(mut stream) = TcpStream::connect((address, port)) {
            let mut hello = [0; 4];
            if stream.read_exact(&mut hello).is_ok() && &hello == b"SSH-" {
                return true;
            }
        }
        std::thread::yield_now();
    }
    false
}
