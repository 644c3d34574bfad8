//! Facts of a host's network from what the script of `setup` printed.
//!
//! Pure. Names and shapes are those of ansible-core 2.19, `module_utils/facts/network/linux.py`.

use std::net::{IpAddr, Ipv4Addr};

use super::facts::Sections;
use super::result::{fields, strings};
use crate::value::{Map, Value};

/// One address of one interface.
struct Address {
    interface: String,
    ip: IpAddr,
    prefix: u8,
    broadcast: String,
    scope: String,
}

/// Facts of the network.
pub(super) fn network(seen: &Sections) -> Map {
    let addresses: Vec<Address> = seen
        .lines("addresses")
        .iter()
        .filter_map(|line| address(line))
        .collect();
    let mut facts = Map::new();
    let mut names: Vec<String> = Vec::new();
    for link in seen
        .lines("links")
        .iter()
        .filter_map(|line| Link::read(line))
    {
        names.push(link.name.to_owned());
        facts.insert(
            link.name.replace(['-', '.', ':', '@'], "_"),
            Value::from(interface(&link, &addresses)),
        );
    }
    let of_family = |is_wanted: fn(&IpAddr) -> bool| {
        addresses
            .iter()
            .filter(move |a| is_wanted(&a.ip) && !a.ip.is_loopback())
            .map(|a| a.ip.to_string())
    };
    facts.insert("interfaces".into(), strings(names));
    facts.insert(
        "all_ipv4_addresses".into(),
        strings(of_family(IpAddr::is_ipv4)),
    );
    facts.insert(
        "all_ipv6_addresses".into(),
        strings(of_family(IpAddr::is_ipv6)),
    );
    for (fact, section) in [("default_ipv4", "route4"), ("default_ipv6", "route6")] {
        let default = default(seen, section, &addresses);
        facts.insert(fact.into(), Value::from(default));
    }
    facts
}

struct Link<'a> {
    name: &'a str,
    mac: &'a str,
    mtu: &'a str,
    state: &'a str,
    kind: &'a str,
    flags: &'a str,
    speed: &'a str,
}

impl<'a> Link<'a> {
    /// A line that `setup_network.sh` printed.
    fn read(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(7, '|');
        Some(Self {
            name: parts.next()?,
            mac: parts.next()?,
            mtu: parts.next()?,
            state: parts.next()?,
            kind: parts.next()?,
            flags: parts.next()?,
            speed: parts.next()?,
        })
    }

    /// `ARPHRD_*` numbers of `/sys/class/net/*/type`, where they are not names already.
    fn kind(&self) -> &str {
        match self.kind {
            "1" => "ether",
            "772" => "loopback",
            "512" => "ppp",
            "32" => "infiniband",
            "768" | "776" | "778" => "tunnel",
            other if other.starts_with(|c: char| c.is_ascii_digit()) => "unknown",
            other => other,
        }
    }

    fn flag(&self, bit: u32) -> bool {
        let hex = self.flags.trim_start_matches("0x");
        u32::from_str_radix(hex, 16).is_ok_and(|flags| flags & bit != 0)
    }
}

fn interface(link: &Link<'_>, addresses: &[Address]) -> Map {
    // IFF_UP and IFF_PROMISC of the kernel's `if.h`.
    let (up, promiscuous) = (link.flag(0x1), link.flag(0x100));
    let mut facts = fields([
        ("device", link.name.into()),
        ("type", link.kind().into()),
        (
            "active",
            (up && !matches!(link.state, "down" | "lowerlayerdown" | "notpresent")).into(),
        ),
        ("promisc", promiscuous.into()),
    ]);
    if let Ok(mtu) = link.mtu.parse() {
        facts.insert("mtu".into(), Value::Int(mtu));
    }
    // A link that is down, or has no speed, tells -1 or cannot be read.
    if let Ok(speed @ 0..) = link.speed.parse::<i64>() {
        facts.insert("speed".into(), Value::Int(speed));
    }
    if link.kind() != "loopback" && !link.mac.is_empty() {
        facts.insert("macaddress".into(), link.mac.into());
    }
    let mine = || addresses.iter().filter(|a| a.interface == link.name);
    let mut ipv4 = mine().filter(|a| a.ip.is_ipv4()).map(ipv4);
    if let Some(first) = ipv4.next() {
        facts.insert("ipv4".into(), Value::from(first));
    }
    let secondaries: Vec<Value> = ipv4.map(Value::from).collect();
    if !secondaries.is_empty() {
        facts.insert("ipv4_secondaries".into(), Value::from(secondaries));
    }
    let ipv6: Vec<Value> = mine()
        .filter(|a| a.ip.is_ipv6())
        .map(|a| {
            Value::from(fields([
                ("address", a.ip.to_string().into()),
                ("prefix", a.prefix.to_string().into()),
                ("scope", a.scope.as_str().into()),
            ]))
        })
        .collect();
    if !ipv6.is_empty() {
        facts.insert("ipv6".into(), Value::from(ipv6));
    }
    facts
}

fn ipv4(address: &Address) -> Map {
    let mut facts = fields([("address", address.ip.to_string().into())]);
    if let IpAddr::V4(ip) = address.ip {
        let mask = netmask(address.prefix);
        let network = Ipv4Addr::from(u32::from(ip) & u32::from(mask));
        facts.insert("broadcast".into(), address.broadcast.as_str().into());
        facts.insert("netmask".into(), mask.to_string().into());
        facts.insert("network".into(), network.to_string().into());
        facts.insert("prefix".into(), address.prefix.to_string().into());
    }
    facts
}

fn netmask(prefix: u8) -> Ipv4Addr {
    let ones = u32::MAX.checked_shl(32 - u32::from(prefix.min(32)));
    Ipv4Addr::from(ones.unwrap_or(0))
}

/// A line of `ip -o addr`: `2: eth0    inet 10.0.0.2/24 brd 10.0.0.255 scope global eth0`.
fn address(line: &str) -> Option<Address> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let interface = words.get(1)?.trim_end_matches(':').split('@').next()?;
    if !matches!(*words.get(2)?, "inet" | "inet6") {
        return None;
    }
    let (ip, prefix) = words
        .get(3)?
        .split_once('/')
        .unwrap_or((words.get(3)?, "32"));
    let after = |key: &str| {
        words
            .iter()
            .position(|word| *word == key)
            .and_then(|at| words.get(at + 1))
            .copied()
            .unwrap_or_default()
            .to_owned()
    };
    Some(Address {
        interface: interface.to_owned(),
        ip: ip.parse().ok()?,
        prefix: prefix.parse().ok()?,
        broadcast: after("brd"),
        scope: after("scope"),
    })
}

/// Where packets to the world leave: from `ip route get`, else from the kernel's table.
fn default(seen: &Sections, section: &str, addresses: &[Address]) -> Map {
    let line = seen.first(section);
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |key: &str| {
        let at = words.iter().position(|word| *word == key)?;
        words.get(at + 1).copied()
    };
    let (Some(interface), Some(source)) = (after("dev"), after("src")) else {
        return Map::new();
    };
    let Some(found) = addresses.iter().find(|a| a.ip.to_string() == source) else {
        return Map::new();
    };
    let mut facts = fields([("interface", interface.into()), ("address", source.into())]);
    if let Some(gateway) = after("via") {
        facts.insert("gateway".into(), gateway.into());
    }
    let mut links = seen
        .lines("links")
        .iter()
        .filter_map(|line| Link::read(line));
    if let Some(link) = links.find(|link| link.name == interface) {
        facts.insert("macaddress".into(), link.mac.into());
        let mtu = link.mtu.parse().map_or(Value::Null, Value::Int);
        facts.insert("mtu".into(), mtu);
        facts.insert("type".into(), link.kind().into());
    }
    facts.insert("alias".into(), interface.into());
    if found.ip.is_ipv4() {
        facts.extend(ipv4(found));
    } else {
        facts.insert("prefix".into(), found.prefix.to_string().into());
        facts.insert("scope".into(), found.scope.as_str().into());
        facts.shift_remove("alias");
    }
    facts
}
