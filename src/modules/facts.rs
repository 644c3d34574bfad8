//! Facts of a host that Ansible gathers with `min`, from what the script of `setup` printed.
//!
//! Pure. Names and shapes are those of ansible-core 2.19, `module_utils/facts/`.

use std::collections::BTreeMap;

use super::result::{fields, strings};
use crate::value::{Map, Value};

/// The sections of the script's output: a line `@@NAME`, then lines shifted by a space.
pub(super) struct Sections(BTreeMap<String, Vec<String>>);

impl Sections {
    /// Reads the output.
    pub(super) fn read(text: &str) -> Self {
        let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut name = String::new();
        for line in text.split('\n') {
            if let Some(new) = line.strip_prefix("@@") {
                new.clone_into(&mut name);
                sections.entry(name.clone()).or_default();
            } else if !line.is_empty() {
                let line = line.strip_prefix(' ').unwrap_or(line);
                if let Some(lines) = sections.get_mut(&name) {
                    lines.push(line.to_owned());
                }
            }
        }
        Self(sections)
    }

    /// The lines of a section; none where it is missing.
    pub(super) fn lines(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether the section was printed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The first line of a section, trimmed; empty where it is missing.
    pub(super) fn first(&self, name: &str) -> &str {
        self.lines(name).first().map_or("", |line| line.trim())
    }

    /// The `NAME=VALUE` lines of a section, quotes around a value taken off.
    pub(super) fn pairs(&self, name: &str) -> BTreeMap<&str, &str> {
        self.lines(name)
            .iter()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches(['"', '\''])))
            .collect()
    }

    /// The sections whose name starts with `prefix`, with the rest of the name.
    pub(super) fn starting<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [String])> {
        self.0
            .iter()
            .filter_map(move |(name, lines)| Some((name.strip_prefix(prefix)?, lines.as_slice())))
    }

    /// Whether the script found this.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        self.lines("flags").iter().any(|line| line == flag)
    }
}

/// Facts that Ansible gathers with `min`.
pub(super) fn minimal(seen: &Sections) -> Map {
    let mut facts = system(seen);
    facts.extend(distribution(seen));
    facts.extend(date_time(seen));
    facts.extend(user(seen));
    facts.extend(managers(seen));
    facts.extend(python(seen));
    facts.extend(dns(seen));
    let cmdline = command_line(seen.first("cmdline"));
    facts.insert("cmdline".into(), Value::from(cmdline.clone()));
    facts.insert("proc_cmdline".into(), Value::from(cmdline));
    facts.insert("hostnqn".into(), "".into());
    facts.insert("iscsi_iqn".into(), "".into());
    facts.insert("fibre_channel_wwn".into(), Value::from(Vec::new()));
    facts.insert("fips".into(), (seen.first("fips") == "1").into());
    let apparmor = if seen.has_flag("apparmor") {
        "enabled"
    } else {
        "disabled"
    };
    facts.insert(
        "apparmor".into(),
        Value::from(fields([("status", apparmor.into())])),
    );
    let selinux = match seen.pairs("flags").get("selinux") {
        Some(enforce) => fields([
            ("status", "enabled".into()),
            (
                "mode",
                if *enforce == "1" {
                    "enforcing"
                } else {
                    "permissive"
                }
                .into(),
            ),
        ]),
        None => fields([("status", "disabled".into())]),
    };
    facts.insert("selinux".into(), Value::from(selinux));
    for (path, line) in seen.pairs("host_keys") {
        let mut words = line.split(' ');
        let name = path
            .trim_start_matches("/etc/ssh/ssh_host_")
            .trim_end_matches("_key.pub");
        if let (Some(kind), Some(key)) = (words.next(), words.next()) {
            facts.insert(format!("ssh_host_key_{name}_public"), key.into());
            facts.insert(format!("ssh_host_key_{name}_public_keytype"), kind.into());
        }
    }
    facts
}

fn system(seen: &Sections) -> Map {
    let uname = seen.first("uname");
    let mut words = uname.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (kernel_name, node, release, rest) = (word(), word(), word(), word());
    let (version, machine) = rest.rsplit_once(' ').unwrap_or(("", rest));
    let fqdn = match seen.first("fqdn") {
        "" => node,
        fqdn => fqdn,
    };
    let architecture = match machine {
        "i386" | "i486" | "i586" | "i686" => "i386",
        other => other,
    };
    let mut facts = fields([
        ("system", kernel_name.into()),
        ("nodename", node.into()),
        ("hostname", node.split('.').next().unwrap_or(node).into()),
        ("fqdn", fqdn.into()),
        (
            "domain",
            fqdn.split_once('.').map_or("", |(_, rest)| rest).into(),
        ),
        ("kernel", release.into()),
        ("kernel_version", version.into()),
        ("machine", machine.into()),
        ("architecture", architecture.into()),
        ("userspace_architecture", architecture.into()),
        (
            "userspace_bits",
            if machine.contains("64") || machine == "s390x" {
                "64"
            } else {
                "32"
            }
            .into(),
        ),
        ("is_chroot", false.into()),
    ]);
    if seen.has("machine_id") {
        facts.insert("machine_id".into(), seen.first("machine_id").into());
    }
    let loads: Vec<&str> = seen.first("loadavg").split(' ').collect();
    if let [one, five, fifteen, ..] = loads[..] {
        let load = |text: &str| Value::Float(text.parse().unwrap_or_default());
        facts.insert(
            "loadavg".into(),
            Value::from(fields([
                ("1m", load(one)),
                ("5m", load(five)),
                ("15m", load(fifteen)),
            ])),
        );
    }
    facts
}

/// The families of distributions that are not their own family.
const FAMILIES: &[(&str, &[&str])] = &[
    (
        "RedHat",
        &[
            "RedHat",
            "Fedora",
            "CentOS",
            "Scientific",
            "OracleLinux",
            "Amazon",
            "AlmaLinux",
            "Rocky",
            "EuroLinux",
            "Virtuozzo",
            "CloudLinux",
            "openEuler",
        ],
    ),
    (
        "Debian",
        &[
            "Debian",
            "Ubuntu",
            "Raspbian",
            "Linux Mint",
            "Devuan",
            "Kali",
            "Pop!_OS",
            "Parrot",
            "Deepin",
            "Neon",
            "KDE neon",
            "SteamOS",
            "Cumulus Linux",
        ],
    ),
    (
        "Suse",
        &[
            "SLES",
            "SLED",
            "openSUSE",
            "openSUSE Leap",
            "openSUSE Tumbleweed",
            "SLES_SAP",
            "SL-Micro",
        ],
    ),
    ("Archlinux", &["Archlinux", "Manjaro", "Antergos"]),
    ("Gentoo", &["Gentoo", "Funtoo"]),
];

fn distribution(seen: &Sections) -> Map {
    let release = seen.pairs("os_release");
    let of = |key: &str| release.get(key).copied().unwrap_or_default();
    let name = match of("ID") {
        "" => "Linux",
        "debian" => "Debian",
        "ubuntu" => "Ubuntu",
        "raspbian" => "Raspbian",
        "rhel" => "RedHat",
        "fedora" => "Fedora",
        "centos" => "CentOS",
        "almalinux" => "AlmaLinux",
        "rocky" => "Rocky",
        "ol" => "OracleLinux",
        "amzn" => "Amazon",
        "alpine" => "Alpine",
        "arch" => "Archlinux",
        "gentoo" => "Gentoo",
        "devuan" => "Devuan",
        "kali" => "Kali",
        "linuxmint" => "Linux Mint",
        "sles" => "SLES",
        "opensuse-leap" => "openSUSE Leap",
        "opensuse-tumbleweed" => "openSUSE Tumbleweed",
        _ => of("NAME").split(' ').next().unwrap_or_default(),
    };
    // Debian's point release stands only here; testing has a name in it.
    let debian = seen.first("debian_version");
    let version = if name == "Debian" && debian.starts_with(|c: char| c.is_ascii_digit()) {
        debian
    } else if matches!(name, "CentOS" | "RedHat" | "Rocky" | "AlmaLinux") {
        redhat_version(seen.first("redhat_release")).unwrap_or(of("VERSION_ID"))
    } else {
        of("VERSION_ID")
    };
    let major = version.split('.').next().unwrap_or_default();
    let codename = match of("VERSION_CODENAME") {
        "" => of("VERSION")
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or("", |(name, _)| name),
        codename => codename,
    };
    let family = FAMILIES
        .iter()
        .find(|(_, members)| members.contains(&name))
        .map_or(name, |(family, _)| family);
    let mut facts = fields([
        ("distribution", name.into()),
        ("distribution_version", version.into()),
        ("distribution_major_version", major.into()),
        (
            "distribution_release",
            if codename.is_empty() { "NA" } else { codename }.into(),
        ),
        ("distribution_file_variety", family.into()),
        ("distribution_file_path", "/etc/os-release".into()),
        ("distribution_file_parsed", true.into()),
        ("os_family", family.into()),
    ]);
    if let Some((_, minor)) = version.split_once('.')
        && family == "Debian"
        && name == "Debian"
    {
        facts.insert("distribution_minor_version".into(), minor.into());
    }
    facts.insert("lsb".into(), Value::from(lsb(seen, codename)));
    facts
}

fn redhat_version(line: &str) -> Option<&str> {
    let start = line.find(" release ")? + " release ".len();
    line[start..].split(' ').next()
}

fn lsb(seen: &Sections, codename: &str) -> Map {
    let lsb = seen.pairs("lsb_release");
    let release = seen.pairs("os_release");
    let of = |map: &BTreeMap<&str, &str>, key: &str| map.get(key).copied().map(str::to_owned);
    if lsb.is_empty() && !seen.has_flag("lsb") {
        return Map::new();
    }
    let Some(id) = of(&lsb, "DISTRIB_ID").or_else(|| of(&release, "ID")) else {
        return Map::new();
    };
    let version = of(&lsb, "DISTRIB_RELEASE")
        .or_else(|| of(&release, "VERSION_ID"))
        .unwrap_or_default();
    let id = match id.as_str() {
        "debian" => "Debian".to_owned(),
        _ => id,
    };
    fields([
        ("id", id.into()),
        ("release", version.as_str().into()),
        (
            "major_release",
            version.split('.').next().unwrap_or_default().into(),
        ),
        (
            "codename",
            of(&lsb, "DISTRIB_CODENAME")
                .unwrap_or_else(|| codename.to_owned())
                .into(),
        ),
        (
            "description",
            of(&lsb, "DISTRIB_DESCRIPTION")
                .or_else(|| of(&release, "PRETTY_NAME"))
                .unwrap_or_default()
                .into(),
        ),
    ])
}

fn date_time(seen: &Sections) -> Map {
    let parts: Vec<&str> = seen.first("date").split('|').collect();
    let [
        year,
        month,
        day,
        hour,
        minute,
        second,
        epoch,
        tz,
        offset,
        weekday,
        number,
        week,
        nanos,
    ] = parts[..]
    else {
        return Map::new();
    };
    let utc = epoch
        .parse()
        .ok()
        .and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let utc = |format: &str| utc.map_or_else(String::new, |utc| utc.format(format).to_string());
    // busybox's date has no `%N` and prints it as it is.
    let micros = nanos
        .get(..6)
        .filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let micros = micros.unwrap_or("000000");
    let date = format!("{year}-{month}-{day}");
    let time = format!("{hour}:{minute}:{second}");
    let compact = format!("{year}{month}{day}T{hour}{minute}{second}");
    let facts = fields([
        ("year", year.into()),
        ("month", month.into()),
        ("weekday", weekday.into()),
        ("weekday_number", number.into()),
        ("weeknumber", week.into()),
        ("day", day.into()),
        ("hour", hour.into()),
        ("minute", minute.into()),
        ("second", second.into()),
        ("epoch", epoch.into()),
        ("epoch_int", epoch.into()),
        ("date", date.into()),
        ("time", time.into()),
        (
            "iso8601_micro",
            utc(&format!("%Y-%m-%dT%H:%M:%S.{micros}Z")).into(),
        ),
        ("iso8601", utc("%Y-%m-%dT%H:%M:%SZ").into()),
        ("iso8601_basic", format!("{compact}{micros}").into()),
        ("iso8601_basic_short", compact.into()),
        ("tz", tz.into()),
        ("tz_dst", tz.into()),
        ("tz_offset", offset.into()),
    ]);
    fields([("date_time", Value::from(facts))])
}

fn user(seen: &Sections) -> Map {
    let passwd: Vec<&str> = seen.first("passwd").split(':').collect();
    let number = |text: &str| text.parse().map_or(Value::Null, Value::Int);
    let ids = |name: &str, column: usize| {
        seen.lines("status")
            .iter()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().nth(column))
            .map_or(Value::Null, number)
    };
    let mut facts = fields([
        ("real_user_id", ids("Uid:", 0)),
        ("effective_user_id", ids("Uid:", 1)),
        ("real_group_id", ids("Gid:", 0)),
        ("effective_group_id", ids("Gid:", 1)),
    ]);
    if let [name, _, uid, gid, gecos, home, shell] = passwd[..] {
        facts.extend(fields([
            ("user_id", name.into()),
            ("user_uid", number(uid)),
            ("user_gid", number(gid)),
            ("user_gecos", gecos.into()),
            ("user_dir", home.into()),
            ("user_shell", shell.into()),
        ]));
    }
    facts
}

/// A Python 3 that the host happens to have; nothing here needs one.
fn python(seen: &Sections) -> Map {
    let [path, version] = seen.lines("python") else {
        return Map::new();
    };
    let Some(version) = version.strip_prefix("Python ") else {
        return Map::new();
    };
    let numbers: Vec<Value> = version
        .split('.')
        .map(|part| part.parse().map_or(Value::Int(0), Value::Int))
        .collect();
    let [major, minor, micro] = numbers.as_slice() else {
        return Map::new();
    };
    let named = fields([
        ("major", major.clone()),
        ("minor", minor.clone()),
        ("micro", micro.clone()),
        ("releaselevel", "final".into()),
        ("serial", Value::Int(0)),
    ]);
    let mut info = numbers.clone();
    info.extend(["final".into(), Value::Int(0)]);
    let about = fields([
        ("executable", path.as_str().into()),
        ("has_sslcontext", true.into()),
        ("type", "cpython".into()),
        ("version", Value::from(named)),
        ("version_info", Value::from(info)),
    ]);
    fields([
        ("python", Value::from(about)),
        ("python_version", version.into()),
    ])
}

fn managers(seen: &Sections) -> Map {
    let init = seen.first("init");
    let service = match init {
        "procd" => "openwrt_init",
        "runit-init" => "runit",
        "svscan" => "svc",
        "openrc-init" => "openrc",
        init if !init.is_empty() && init != "init" && !init.ends_with("sh") => init,
        _ if seen.has_flag("systemd") => "systemd",
        _ if seen.has_flag("openrc") => "openrc",
        _ if seen.has_flag("systemd_offline") => "systemd",
        _ if seen.has_flag("sysvinit") => "sysvinit",
        _ => "service",
    };
    let tools: Vec<&str> = seen
        .lines("flags")
        .iter()
        .filter_map(|line| line.strip_prefix("tool="))
        .collect();
    // A Red Hat host may have apt-get too, and a Debian one dnf: the family's own comes first.
    let family = distribution(seen);
    let order: &[(&str, &str)] = if family.get("os_family") == Some(&"RedHat".into()) {
        &[
            ("/usr/bin/dnf5", "dnf5"),
            ("/usr/bin/dnf", "dnf"),
            ("/usr/bin/yum", "yum"),
        ]
    } else {
        &[
            ("/usr/bin/apt-get", "apt"),
            ("/sbin/apk", "apk"),
            ("/usr/bin/pacman", "pacman"),
            ("/usr/bin/zypper", "zypper"),
            ("/usr/bin/dnf5", "dnf5"),
            ("/usr/bin/dnf", "dnf"),
            ("/usr/bin/yum", "yum"),
        ]
    };
    let package = order
        .iter()
        .find(|(path, _)| tools.contains(path))
        .map_or("unknown", |(_, name)| name);
    fields([("service_mgr", service.into()), ("pkg_mgr", package.into())])
}

fn dns(seen: &Sections) -> Map {
    let mut dns = Map::new();
    let mut servers: Vec<&str> = Vec::new();
    for line in seen.lines("resolv_conf") {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => servers.extend(words.next()),
            Some("search") => {
                dns.insert("search".into(), strings(words));
            }
            Some("domain") => {
                dns.insert("domain".into(), words.next().unwrap_or_default().into());
            }
            Some("options") => {
                let options: Map = words
                    .map(|option| match option.split_once(':') {
                        Some((name, value)) => (name.to_owned(), value.into()),
                        None => (option.to_owned(), true.into()),
                    })
                    .collect();
                dns.insert("options".into(), Value::from(options));
            }
            _ => {}
        }
    }
    if !servers.is_empty() {
        dns.insert("nameservers".into(), strings(servers));
    }
    fields([("dns", Value::from(dns))])
}

fn command_line(line: &str) -> Map {
    line.split_whitespace()
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.into()),
            None => (word.to_owned(), true.into()),
        })
        .collect()
}
