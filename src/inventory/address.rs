//! Names of hosts with ports and ranges.
//!
//! Source: ansible-core 2.19, `parsing/utils/addresses.py`.

use std::sync::LazyLock;

use regex::Regex;

static HOST_PORT: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)$"));
static BRACKETED: LazyLock<Regex> = LazyLock::new(|| regex(r"^\[(.+)\]:([0-9]+)$"));
static HOSTNAME: LazyLock<Regex> = LazyLock::new(|| {
    let range = r"\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]";
    let last = format!(r"(?:[\w&&[^_]]|{range})");
    let label = format!(r"(?:{last}|(?:\w|{range})(?:[\w-]|{range})*{last})");
    regex(&format!(r"(?i)^{label}(?:\.{label})*$"))
});
static IPV4: LazyLock<Regex> = LazyLock::new(|| {
    let part = r"(?:[01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5]|\[[0-9]+:[0-9]+(?::[0-9]+)?\])";
    regex(&format!(r"^(?:{part}\.){{3}}{part}$"))
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the pattern is a constant that compiles")
}

/// Host and port of a text that is a valid address; ranges are allowed.
pub(super) fn parse_address(text: &str) -> Option<(&str, Option<u32>)> {
    let (host, port) = match BRACKETED
        .captures(text)
        .or_else(|| HOST_PORT.captures(text))
    {
        Some(captures) => {
            let (_, [host, port]) = captures.extract();
            (&text[text.find(host)?..][..host.len()], port.parse().ok())
        }
        None => (text, None),
    };
    let is_valid = IPV4.is_match(host) || is_ipv6(host) || HOSTNAME.is_match(host);
    is_valid.then_some((host, port))
}

/// An IPv6 address; a range may stand in place of a component.
fn is_ipv6(text: &str) -> bool {
    static RANGE: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?i)\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\]"));
    text.contains(':')
        && RANGE
            .replace_all(text, "1")
            .parse::<std::net::Ipv6Addr>()
            .is_ok()
}

#[cfg(test)]
mod tests {
    use super::parse_address;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, wanted) in [
            ("web", Some(("web", None))),
            ("web:22", Some(("web", Some(22)))),
            ("web[01:10].x:22", Some(("web[01:10].x", Some(22)))),
            ("::1", Some(("::1", None))),
            ("[::1]:22", Some(("::1", Some(22)))),
            ("10.0.0.[1:3]", Some(("10.0.0.[1:3]", None))),
            ("a:b", None),
            ("web-", None),
            ("web*", None),
        ] {
            assert_eq!(parse_address(text), wanted, "{text}");
        }
    }
}
