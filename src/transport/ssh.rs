//! What we tell `ssh`, and what its messages mean. Pure.
//!
//! Invariant: what the user wrote for this host (`ansible_ssh_*_args`) wins over our strictness,
//! which wins over `ssh_config`; nobody but us sets the control socket.

use std::ffi::OsString;
use std::path::Path;

use super::{Connection, Failed};

/// What may be done about a host that closes early.
const THROTTLED: &str = "sshd may throttle logins (`MaxStartups`) or ban this address";

/// Seconds between signs of life, and how many may be missed.
const ALIVE: (u32, u32) = (5, 3);

/// The fields of [`Connection::Ssh`], borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ssh<'a> {
    /// Where.
    pub(super) address: &'a str,
    /// The port, if not left to `ssh_config`.
    pub(super) port: Option<u16>,
    /// The user, if not left to `ssh_config`.
    pub(super) user: Option<&'a str>,
    /// The private key.
    pub(super) key: Option<&'a Path>,
    /// The user's own words.
    pub(super) args: &'a [String],
    /// Whether there is a password.
    pub(super) has_password: bool,
    /// Seconds to connect at most.
    pub(super) timeout_s: u32,
    /// Whether any host key will do.
    pub(super) accepts_any_host_key: bool,
}

impl<'a> Ssh<'a> {
    /// `None` for a connection that is not by SSH.
    pub(super) fn of(connection: &'a Connection) -> Option<Self> {
        match connection {
            Connection::Local => None,
            Connection::Ssh {
                address,
                port,
                user,
                key,
                args,
                password,
                timeout_s,
                accepts_any_host_key,
            } => Some(Self {
                address,
                port: *port,
                user: user.as_deref(),
                key: key.as_deref(),
                args,
                has_password: password.is_some(),
                timeout_s: *timeout_s,
                accepts_any_host_key: *accepts_any_host_key,
            }),
        }
    }

    /// The arguments of a master: `first` are options that win over all others.
    pub(super) fn arguments(&self, first: &[String]) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let option = |words: &mut Vec<OsString>, text: String| {
            words.push("-o".into());
            words.push(text.into());
        };
        for text in first {
            option(&mut words, text.clone());
        }
        words.extend(self.args.iter().map(OsString::from));
        let strict = if self.accepts_any_host_key {
            "no"
        } else {
            "yes"
        };
        let batch = if self.has_password { "no" } else { "yes" };
        for (name, value) in [
            ("StrictHostKeyChecking", strict),
            ("BatchMode", batch),
            ("NumberOfPasswordPrompts", "1"),
            ("ForwardAgent", "no"),
            ("ForwardX11", "no"),
            ("PermitLocalCommand", "no"),
            ("RemoteCommand", "none"),
            ("RequestTTY", "no"),
            ("LogLevel", "INFO"),
            ("ServerAliveInterval", &ALIVE.0.to_string()),
            ("ServerAliveCountMax", &ALIVE.1.to_string()),
            ("ConnectTimeout", &self.timeout_s.to_string()),
        ] {
            option(&mut words, format!("{name}={value}"));
        }
        if let Some(port) = self.port {
            words.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = self.user {
            words.extend(["-l".into(), user.into()]);
        }
        if let Some(key) = self.key {
            words.extend(["-i".into(), key.into()]);
        }
        words.extend(["-N".into(), "--".into(), self.address.into()]);
        words
    }

    /// The jump host named in the user's words; one in `ssh_config` is not seen.
    pub(super) fn jump(&self) -> Option<&'a str> {
        let mut words = self.args.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let option = match word {
                "-J" => return words.next(),
                "-o" => words.next()?,
                word => word.strip_prefix("-o").unwrap_or_default(),
            };
            let (name, value) = option.split_once(['=', ' ']).unwrap_or_default();
            if name.eq_ignore_ascii_case("ProxyJump") {
                return Some(value);
            }
            if let Some(jump) = word.strip_prefix("-J") {
                return Some(jump);
            }
        }
        None
    }

    /// Names the place for a message.
    pub(super) fn place(&self) -> String {
        let user = self.user.map(|user| format!("{user}@")).unwrap_or_default();
        let port = self.port.map(|port| format!(" port {port}"));
        format!("{user}{}{}", self.address, port.unwrap_or_default())
    }
}

/// Quotes a path as the value of an `ssh` option that knows `%` tokens.
pub(super) fn option_path(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

/// What kept a master from coming up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What kind of trouble it is.
    pub(super) kind: Kind,
    /// One line.
    pub(super) reason: String,
    /// What to do.
    pub(super) help: Option<String>,
}

/// Kinds of trouble that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The host closed before the login: it may be throttling, another try may help.
    Throttled,
    /// The host is not there, or not yet.
    Absent,
    /// Its key is not known.
    UnknownKey,
    /// Its key is another one than the known one.
    ChangedKey,
    /// The program on the way to it, such as the `ssh` to a jump host, closed.
    Way,
    /// All else; another try would give the same.
    Denied,
}

impl Refusal {
    /// A refusal without help.
    pub(super) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            help: None,
        }
    }

    /// Adds what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Unreachable {
            reason: refusal.reason,
            help: refusal.help,
        }
    }
}

/// Reads what `ssh` logged and printed.
pub(super) fn explain(ssh: &Ssh<'_>, log: &str, printed: &str) -> Refusal {
    let place = ssh.place();
    if let Some(refusal) = host_key(log, &place) {
        return refusal;
    }
    // Through another program, `ssh` only sees a pipe that closes.
    if log.contains("UNKNOWN port 65535") {
        let reason = format!("{place}: the way to it closed before the login");
        return Refusal::new(Kind::Way, reason);
    }
    let line = |needle: &str| {
        log.lines()
            .find(|line| line.contains(needle))
            .map(str::trim)
    };
    if line("Too many authentication failures").is_some() {
        return Refusal::new(
            Kind::Denied,
            format!("{place}: too many authentication failures: the agent offers too many keys"),
        )
        .help("set `ansible_ssh_private_key_file` and `-o IdentitiesOnly=yes`");
    }
    if let Some(line) = line("Permission denied (") {
        return denied(ssh, log, line);
    }
    for (needle, kind, help) in [
        (
            "Connection refused",
            Kind::Absent,
            "check the address, the port, and that sshd runs",
        ),
        (
            "timed out",
            Kind::Absent,
            "check the address and the firewall; `ansible_timeout` is the limit",
        ),
        (
            "Could not resolve hostname",
            Kind::Absent,
            "check the name, or set `ansible_host`",
        ),
        (
            "No route to host",
            Kind::Absent,
            "check the address and the network",
        ),
        (
            "Network is unreachable",
            Kind::Absent,
            "check the network of this machine",
        ),
        (
            "no matching",
            Kind::Denied,
            "the host speaks only other algorithms; allow one in `ssh_config`",
        ),
        ("kex_exchange_identification", Kind::Throttled, THROTTLED),
        ("Connection reset", Kind::Throttled, THROTTLED),
        ("Connection closed by", Kind::Throttled, THROTTLED),
    ] {
        if let Some(line) = line(needle) {
            let line = line.strip_prefix("ssh: ").unwrap_or(line);
            return Refusal::new(kind, format!("{place}: {line}")).help(help);
        }
    }
    let said = [log, printed].concat();
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    let last = super::session::one_line(last.unwrap_or("ssh gave no reason"));
    Refusal::new(Kind::Denied, format!("{place}: {last}"))
}

/// Says what the program on the way printed; one that printed nothing did its part, and it was the
/// host that closed.
pub(super) fn explain_way(ssh: &Ssh<'_>, printed: &str) -> Refusal {
    let place = ssh.place();
    let mut lines = printed.lines().filter(|line| !line.trim().is_empty());
    let Some(line) = lines.next_back() else {
        let reason = format!("{place}: the connection closed before the login");
        return Refusal::new(Kind::Throttled, reason).help(THROTTLED);
    };
    let is_denied = ["Permission denied", "verification failed"]
        .iter()
        .any(|text| line.contains(text));
    let kind = if is_denied {
        Kind::Denied
    } else {
        Kind::Absent
    };
    let way = match ssh.jump() {
        Some(jump) => format!("the jump host `{jump}`"),
        None => "the `ProxyJump` or `ProxyCommand` of its `ssh` options".to_owned(),
    };
    let said = super::session::one_line(line);
    Refusal::new(kind, format!("{place}: no way through {way}: {said}"))
        .help("try that way by hand with `ssh -v`")
}

/// The two ways in which a host key is wrong.
fn host_key(log: &str, place: &str) -> Option<Refusal> {
    if log.contains("IDENTIFICATION HAS CHANGED") {
        return Some(Refusal::new(
            Kind::ChangedKey,
            format!("{place}: the host key has changed"),
        ));
    }
    let is_unknown =
        log.contains("host key is known for") || log.contains("Host key verification failed");
    is_unknown.then(|| {
        Refusal::new(
            Kind::UnknownKey,
            format!("{place}: the host key is not known"),
        )
    })
}

fn denied(ssh: &Ssh<'_>, log: &str, line: &str) -> Refusal {
    let place = ssh.place();
    let methods = line
        .split_once("Permission denied (")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("none", |(methods, _)| methods);
    let tried = if ssh.has_password {
        "the password and keys"
    } else {
        "the keys"
    };
    let reason = format!("{place}: login denied: the host takes {methods}, and refused {tried}");
    let refusal = Refusal::new(Kind::Denied, reason);
    let key_trouble = log.lines().find(|line| {
        line.contains("bad permissions")
            || line.contains("not accessible")
            || line.contains("Load key")
            || line.contains("sign_and_send_pubkey")
    });
    match key_trouble {
        Some(line) => refusal.help(super::session::one_line(line)),
        None if ssh.has_password => refusal.help("check `ansible_user` and `ansible_password`"),
        None => refusal.help(
            "check `ansible_user`, and that the agent or `ansible_ssh_private_key_file` has a key \
             the host knows; a key with a passphrase must be in the agent",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(args: &[&str]) -> Connection {
        Connection::Ssh {
            address: "10.0.0.1".to_owned(),
            port: Some(2222),
            user: Some("web".to_owned()),
            key: None,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            password: None,
            timeout_s: 10,
            accepts_any_host_key: false,
        }
    }

    #[test]
    fn control_options_come_before_the_users_words_and_strictness_after() {
        let connection = connection(&["-o", "StrictHostKeyChecking=no", "-o", "ControlPath=/x"]);
        let words = Ssh::of(&connection).unwrap();
        let words = words.arguments(&["ControlPath=ours".to_owned()]);
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        // `ssh` takes the first value that it sees of an option.
        let at = |word: &str| words.iter().position(|&w| w == word).unwrap();
        assert!(at("ControlPath=ours") < at("ControlPath=/x"));
        assert!(at("StrictHostKeyChecking=no") < at("StrictHostKeyChecking=yes"));
        assert_eq!(
            words[words.len() - 7..],
            ["-p", "2222", "-l", "web", "-N", "--", "10.0.0.1"]
        );
    }

    #[test]
    fn a_jump_host_is_found_however_it_is_written() {
        for (args, jump) in [
            (&["-J", "bastion"][..], Some("bastion")),
            (&["-Jbastion"], Some("bastion")),
            (&["-v", "-o", "ProxyJump=bastion"], Some("bastion")),
            (&["-o", "proxyjump bastion"], Some("bastion")),
            (&["-oProxyJump=bastion"], Some("bastion")),
            (&["-o", "ProxyCommand=nc x"], None),
            (&[], None),
        ] {
            assert_eq!(Ssh::of(&connection(args)).unwrap().jump(), jump, "{args:?}");
        }
    }

    #[test]
    fn each_trouble_has_its_kind_and_reason() {
        for (log, kind, reason) in [
            (
                "ssh: connect to host 10.0.0.1 port 2222: Connection refused\r\n",
                Kind::Absent,
                "connect to host 10.0.0.1 port 2222: Connection refused",
            ),
            (
                "ssh: connect to host 10.0.0.1 port 2222: Connection timed out",
                Kind::Absent,
                "Connection timed out",
            ),
            (
                "ssh: Could not resolve hostname x: Name or service not known",
                Kind::Absent,
                "Could not resolve hostname x",
            ),
            (
                "kex_exchange_identification: Connection closed by remote host\n\
                 Connection closed by 10.0.0.1 port 2222",
                Kind::Throttled,
                "kex_exchange_identification",
            ),
            (
                "kex_exchange_identification: Connection closed by remote host\n\
                 Connection closed by UNKNOWN port 65535",
                Kind::Way,
                "the way to it closed",
            ),
            (
                "No ED25519 host key is known for x and you have requested strict checking.\n\
                 Host key verification failed.",
                Kind::UnknownKey,
                "the host key is not known",
            ),
            (
                "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n\
                 Host key verification failed.",
                Kind::ChangedKey,
                "the host key has changed",
            ),
            (
                "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\n\
                 Disconnected from 10.0.0.1 port 22",
                Kind::Denied,
                "too many authentication failures",
            ),
            (
                "web@10.0.0.1: Permission denied (publickey,password).",
                Kind::Denied,
                "login denied: the host takes publickey,password",
            ),
            (
                "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. \
                 Their offer: ssh-rsa",
                Kind::Denied,
                "Their offer: ssh-rsa",
            ),
            (
                "command-line: line 0: Bad configuration option: foo",
                Kind::Denied,
                "option: foo",
            ),
            ("", Kind::Denied, "ssh gave no reason"),
        ] {
            let refusal = explain(&Ssh::of(&connection(&[])).unwrap(), log, "");
            assert_eq!(refusal.kind, kind, "{log}: {refusal:?}");
            assert!(refusal.reason.contains(reason), "{log}: {refusal:?}");
            assert!(!refusal.reason.contains('\n'), "{refusal:?}");
        }
    }

    #[test]
    fn a_way_that_says_nothing_did_its_part() {
        let connection = connection(&["-J", "bastion"]);
        let ssh = Ssh::of(&connection).unwrap();
        assert_eq!(explain_way(&ssh, "\n").kind, Kind::Throttled);
        let refusal = explain_way(
            &ssh,
            "Welcome\nme@bastion: Permission denied (publickey).\n",
        );
        assert_eq!(refusal.kind, Kind::Denied);
        assert!(
            refusal
                .reason
                .contains("jump host `bastion`: me@bastion: Permission denied")
        );
    }
}
