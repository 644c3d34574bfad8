//! `wait_for`: waits on the host until a port, a file or connections are as wanted.
//!
//! The whole wait is one script, so that it needs one trip and no connection while it waits.
//! Nothing but sh is needed for files and drained connections; to connect to a port it takes bash
//! (`/dev/tcp`), else `nc`, else it reads `/proc/net/tcp` for addresses of the host itself. Source:
//! ansible-core 2.19, `modules/wait_for.py`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::command::last;
use super::path_state::{Node, word};
use super::result::fields;
use super::words::{self, Expand};
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Waits for a port, a file or connections.
///
/// # Returns
/// * `elapsed`: seconds that it took.
/// * `state`: what was waited for.
/// * `port`: the port.
/// * `path`: the file.
/// * `match_groups`: the groups of the match of `search_regex`.
/// * `match_groupdict`: those that have names.
///
/// # Example
/// ```yaml
/// - wait_for:
///     host: db1
///     port: 5432
///     timeout: 60
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct WaitFor;

/// Arguments of `wait_for`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitForArgs {
    /// The host to connect to, from the task's host. Default `127.0.0.1`.
    host: Option<String>,
    /// The TCP port.
    port: Option<u16>,
    /// A path on the host.
    path: Option<String>,
    /// What to look for in the file, or in what the port sends: a regular expression, line by line.
    search_regex: Option<String>,
    /// `started` and `present` (default), `stopped` and `absent`, or `drained`.
    #[serde(default)]
    state: State,
    /// Seconds to wait at most. Default 300.
    timeout: Option<u32>,
    /// Seconds to wait before the first look. Default 0.
    #[serde(default)]
    delay: u32,
    /// Seconds between two looks. Default 1.
    sleep: Option<u32>,
    /// Seconds to wait for one connection. Default 5.
    connect_timeout: Option<u32>,
    /// The TCP states that count as a connection (`drained`).
    active_connection_states: Option<Vec<String>>,
    /// Hosts whose connections do not count (`drained`).
    exclude_hosts: Option<Vec<String>>,
    /// What to say when the time is over.
    msg: Option<String>,
}

/// What to wait for.
#[derive(serde::Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Started,
    Present,
    Stopped,
    Absent,
    Drained,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Present => "present",
            Self::Stopped => "stopped",
            Self::Absent => "absent",
            Self::Drained => "drained",
        }
    }

    fn is_gone(self) -> bool {
        matches!(self, Self::Stopped | Self::Absent)
    }
}

const CONNECTION_STATES: &[(&str, &str)] = &[
    ("ESTABLISHED", "01"),
    ("SYN_SENT", "02"),
    ("SYN_RECV", "03"),
    ("FIN_WAIT1", "04"),
    ("FIN_WAIT2", "05"),
    ("TIME_WAIT", "06"),
];

impl WaitForArgs {
    fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("127.0.0.1")
    }

    fn timeout_s(&self) -> u32 {
        self.timeout.unwrap_or(300)
    }

    fn subject(&self) -> String {
        match (self.port, &self.path) {
            (Some(port), _) => format!("{}:{port}", self.host()),
            (None, Some(path)) => path.clone(),
            (None, None) => String::new(),
        }
    }

    /// What Ansible says when the time is over.
    fn timed_out(&self) -> String {
        let subject = self.subject();
        if let Some(msg) = &self.msg {
            return msg.clone();
        }
        match (self.state, &self.search_regex) {
            (State::Drained, _) => format!("Timeout when waiting for {subject} to drain"),
            (state, _) if state.is_gone() && self.path.is_some() => {
                format!("Timeout when waiting for {subject} to be absent.")
            }
            (state, _) if state.is_gone() => {
                format!("Timeout when waiting for {subject} to stop.")
            }
            (_, Some(regex)) => {
                format!("Timeout when waiting for search string {regex} in {subject}")
            }
            _ if self.path.is_some() => format!("Timeout when waiting for file {subject}"),
            _ => format!("Timeout when waiting for {subject}"),
        }
    }

    fn summary(&self) -> String {
        let what = match (self.state, self.subject()) {
            (_, subject) if subject.is_empty() => {
                return format!("wait {} s", self.timeout_s());
            }
            (state, subject) => format!("{subject} is {}", state.name()),
        };
        let search = self
            .search_regex
            .as_ref()
            .map(|regex| format!(" with `{regex}`"))
            .unwrap_or_default();
        format!("wait until {what}{search}, at most {} s", self.timeout_s())
    }

    /// Names whose addresses only the host can tell.
    fn names_to_resolve(&self) -> Vec<&str> {
        if self.state != State::Drained {
            return Vec::new();
        }
        std::iter::once(self.host())
            .chain(self.exclude_hosts.iter().flatten().map(String::as_str))
            .filter(|name| name.parse::<IpAddr>().is_err())
            .collect()
    }
}

/// Reads the time since boot in hundredths of a second, without a fork where `/proc` is there.
const CLOCK: &str = r#"sb_clock() {
  if read -r SB_now SB_rest </proc/uptime; then SB_now=${SB_now%.*}${SB_now#*.}
  else SB_now=$(date +%s)00
  fi
} 2>/dev/null
sb_clock
SB_start=$SB_now
sb_done() {
  sb_clock
  sb_kv elapsed $(((SB_now - SB_start) / 100))
  if [ "$1" = 0 ] && [ -n "${SB_told-}" ]; then sb_see f "$SB_told"; fi
  exit "$1"
}
"#;

/// `sb_limit SECONDS COMMAND...`: the command, ended after that time.
const LIMIT: &str = r#"if command -v timeout >/dev/null; then sb_limit() { timeout "$@"; }
else
  sb_limit() {
    SB_limit=$1
    shift
    "$@" &
    SB_pid=$!
    (sleep "$SB_limit"; kill $SB_pid) >/dev/null 2>&1 &
    SB_dog=$!
    wait $SB_pid
    SB_rc=$?
    kill $SB_dog 2>/dev/null
    return $SB_rc
  }
fi
"#;

/// `sb_listens`: whether a socket of this host listens on the port, by `/proc/net/tcp`.
const LISTENS: &str = r#"sb_listens() {
  for SB_table in /proc/net/tcp /proc/net/tcp6; do
    while read -r SB_n SB_local SB_remote SB_state SB_rest; do
      [ "$SB_state" = 0A ] || continue
      case $SB_local in
      *:"$SB_port_hex") return 0 ;;
      esac
    done <"$SB_table"
  done 2>/dev/null
  return 1
}
"#;

impl Module for WaitFor {
    const NAME: &'static str = "wait_for";
    const EFFECT: Effect = Effect::Reads;
    type Args = WaitForArgs;

    fn check(args: &WaitForArgs) -> Result<(), String> {
        let refuse = |message: &str| Err(message.to_owned());
        if args.port.is_some() && args.path.is_some() {
            return refuse("port and path parameter can not both be passed to wait_for");
        }
        if args.path.is_some() && matches!(args.state, State::Stopped | State::Drained) {
            return Err(format!(
                "state={} should only be used for checking a port in the wait_for module",
                args.state.name()
            ));
        }
        if args.state == State::Drained && args.port.is_none() {
            return refuse("state=drained needs a port");
        }
        if args.exclude_hosts.is_some() && args.state != State::Drained {
            return refuse("exclude_hosts should only be with state=drained");
        }
        for state in args.active_connection_states.iter().flatten() {
            if !CONNECTION_STATES.iter().any(|(name, _)| name == state) {
                return Err(format!("unknown active_connection_state ({state}) defined"));
            }
        }
        if let Some(regex) = &args.search_regex {
            rust_regex(regex)?;
            grep_pattern(regex)?;
        }
        Ok(())
    }

    fn probe(args: &WaitForArgs, _: &[Resolved]) -> Option<Script> {
        let names = args.names_to_resolve();
        if names.is_empty() {
            return None;
        }
        let names: Vec<String> = names.into_iter().map(quote).collect();
        Some(Script::new(format!(
            "for SB_name in {}; do\n\
             getent ahosts \"$SB_name\" | while read -r SB_address SB_rest; do \
             printf '%s %s\\n' \"$SB_address\" \"$SB_name\"; done\ndone\n",
            names.join(" ")
        )))
    }

    fn decide(args: &WaitForArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let resolved = seen.first().map(Reply::stdout_text).unwrap_or_default();
        Ok(Decision::Change(Change {
            summary: args.summary(),
            diff: Vec::new(),
            acts: vec![Act::script(sh(args, &resolved)?)],
            undo: Undo::NotNeeded,
            foretell: Foretell::Skipped(
                "This action (wait_for) does not support check mode.".into(),
            ),
        }))
    }

    fn finish(
        args: &WaitForArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        let seen = reply.fields();
        let elapsed = seen
            .get("elapsed")
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or_default();
        let elapsed = fields([("elapsed", Value::Int(elapsed))]);
        match (reply.rc, seen.get("error")) {
            (0, _) => Ok(Outcome::ok(found(args, &seen, elapsed))),
            (_, Some(error)) => Err(Failure {
                msg: args.msg.clone().unwrap_or_else(|| error.clone()),
                is_changed: false,
                result: elapsed,
                ..Failure::default()
            }),
            (124, None) => Err(Failure {
                msg: args.timed_out(),
                is_changed: false,
                result: elapsed,
                ..Failure::default()
            }),
            _ => Err(Failure::of_reply("the wait was cut short", reply)),
        }
    }
}

/// The result of a wait that ended well.
fn found(
    args: &WaitForArgs,
    seen: &std::collections::BTreeMap<String, String>,
    elapsed: Map,
) -> Map {
    let optional = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let mut groups = Vec::new();
    let mut named = Map::new();
    if let (Some(regex), Some(line)) = (&args.search_regex, seen.get("line"))
        && let Ok(regex) = rust_regex(regex)
        && let Some(captures) = regex.captures(line)
    {
        for (index, name) in regex.capture_names().enumerate().skip(1) {
            let text = captures
                .get(index)
                .map_or(Value::Null, |m| m.as_str().into());
            if let Some(name) = name {
                named.insert(name.to_owned(), text.clone());
            }
            groups.push(text);
        }
    }
    let mut result = fields([
        ("state", args.state.name().into()),
        (
            "port",
            args.port.map_or(Value::Null, |p| Value::Int(p.into())),
        ),
        ("search_regex", optional(&args.search_regex)),
        ("match_groups", Value::from(groups)),
        ("match_groupdict", Value::from(named)),
        ("path", optional(&args.path)),
    ]);
    result.extend(elapsed);
    // As every result that has a path.
    if let Some(node) = Node::read("f", seen) {
        node.add_path_info(&mut result);
    }
    result
}

fn sh(args: &WaitForArgs, resolved: &str) -> Result<String, Failure> {
    let mut sh = CLOCK.to_owned();
    if let Some(path) = &args.path {
        sh.push_str(&format!("SB_told={}\n", word(path)));
    }
    if args.delay > 0 {
        sh.push_str(&format!("sleep {}\n", args.delay));
    }
    if args.port.is_none() && args.path.is_none() {
        sh.push_str(&format!("sleep {}\nsb_done 0\n", args.timeout_s()));
        return Ok(sh);
    }
    sh.push_str(&match (args.state, args.port, &args.path) {
        (State::Drained, Some(port), _) => drained(args, port, resolved)?,
        (_, Some(port), _) => port_is_open(args, port),
        (_, None, path) => file_is_there(args, path.as_deref().unwrap_or_default())?,
    });
    let test = if args.state.is_gone() {
        "! sb_is"
    } else {
        "sb_is"
    };
    sh.push_str(&format!(
        "SB_end=$((SB_start + {timeout}00))\n\
         while [ $SB_now -lt $SB_end ]; do\n\
         {test} && sb_done 0\n\
         sleep {sleep}\nsb_clock\ndone\nsb_done 124\n",
        timeout = args.timeout_s(),
        sleep = args.sleep.unwrap_or(1),
    ));
    Ok(sh)
}

/// `sb_is`: whether the file is there, and has the line that is looked for.
fn file_is_there(args: &WaitForArgs, path: &str) -> Result<String, Failure> {
    let path = words::expanding(path, Expand::Variables);
    let search = match (&args.search_regex, args.state.is_gone()) {
        (Some(regex), false) => {
            let (options, pattern) = grep_pattern(regex).map_err(Failure::new)?;
            format!(
                "  SB_line=$(LC_ALL=C grep -a {options} -e {} -- {path} 2>/dev/null) || return 1\n\
                 \x20 sb_kv line \"${{SB_line%%\"$SB_nl\"*}}\"\n",
                quote(&pattern)
            )
        }
        _ => String::new(),
    };
    Ok(format!(
        "SB_nl='\n'\nsb_is() {{\n  [ -e {path} ] || return 1\n{search}  return 0\n}}\n"
    ))
}

/// `sb_is`: whether the port takes a connection, and sends what is looked for.
fn port_is_open(args: &WaitForArgs, port: u16) -> String {
    let limit = args.connect_timeout.unwrap_or(5).max(1);
    let host = quote(args.host());
    // Checked by `check`.
    let (options, pattern) = match &args.search_regex {
        Some(regex) if !args.state.is_gone() => grep_pattern(regex).unwrap_or_default(),
        _ => Default::default(),
    };
    let pattern = quote(&pattern);
    let search = match &args.search_regex {
        Some(_) if !args.state.is_gone() => format!("LC_ALL=C grep -a {options} -e {pattern}"),
        _ => String::new(),
    };
    // grep reads the socket itself: a `cat` before it would wait for the other side to speak again.
    let mut sh = format!(
        "{LIMIT}{LISTENS}SB_nl='\n'\nSB_host={host} SB_port={port} SB_port_hex={port:04X}\n\
         if command -v bash >/dev/null; then SB_by=bash\n\
         elif command -v nc >/dev/null; then SB_by=nc\n\
         else\n  case $SB_host in\n  127.* | localhost | ::1 | 0.0.0.0) SB_by=proc ;;\n\
         \x20 *) sb_kv error \"to connect to $SB_host:$SB_port needs bash or nc on the host\"; \
         sb_done 1 ;;\n  esac\nfi\n"
    );
    if search.is_empty() {
        sh.push_str(&format!(
            "sb_is() {{\n  case $SB_by in\n\
             \x20 bash) sb_limit {limit} bash -c ': <>\"/dev/tcp/$1/$2\"' - \"$SB_host\" \"$SB_port\" 2>/dev/null ;;\n\
             \x20 nc) sb_limit {limit} nc -z \"$SB_host\" \"$SB_port\" >/dev/null 2>&1 ;;\n\
             \x20 proc) sb_listens ;;\n  esac\n}}\n"
        ));
        return sh;
    }
    sh.push_str(&format!(
        "sb_is() {{\n  sb_clock\n  SB_left=$(((SB_end - SB_now + 99) / 100))\n  [ $SB_left -gt 0 ] || SB_left=1\n\
         \x20 case $SB_by in\n\
         \x20 bash) SB_line=$(sb_limit $SB_left bash -c 'exec 3<>\"/dev/tcp/$1/$2\" && LC_ALL=C exec \
         grep -a -m 1 {options} -e \"$3\" <&3' - \"$SB_host\" \"$SB_port\" {pattern} 2>/dev/null) ;;\n\
         \x20 nc) SB_line=$(sb_limit $SB_left nc \"$SB_host\" \"$SB_port\" 2>/dev/null </dev/null | {search} -m 1) ;;\n\
         \x20 proc) sb_kv error 'search_regex on a port needs bash or nc on the host'; sb_done 1 ;;\n\
         \x20 esac || return 1\n\
         \x20 sb_kv line \"${{SB_line%%\"$SB_nl\"*}}\"\n}}\n"
    ));
    sh
}

/// `sb_is`: whether no connection to the port is left.
fn drained(args: &WaitForArgs, port: u16, resolved: &str) -> Result<String, Failure> {
    let local = addresses(args.host(), resolved)?;
    let mut patterns: Vec<String> = Vec::new();
    for address in &local {
        patterns.push(format!("{}:{port:04X}", hex(*address)));
        if let IpAddr::V4(v4) = address {
            let mapped = IpAddr::V6(v4.to_ipv6_mapped());
            patterns.push(format!("{}:{port:04X}", hex(mapped)));
        }
        // The unspecified address stands for all of its family.
        if *address == IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
            patterns.push(format!("{}:{port:04X}", "?".repeat(8)));
            patterns.push(format!("0000000000000000FFFF0000*:{port:04X}"));
        } else if *address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            patterns.push(format!("{}:{port:04X}", "?".repeat(32)));
        }
    }
    let mut excluded: Vec<String> = Vec::new();
    for name in args.exclude_hosts.iter().flatten() {
        for address in addresses(name, resolved)? {
            excluded.push(format!("{}:*", hex(address)));
            if let IpAddr::V4(v4) = address {
                excluded.push(format!("{}:*", hex(IpAddr::V6(v4.to_ipv6_mapped()))));
            }
        }
    }
    let states: Vec<&str> = CONNECTION_STATES
        .iter()
        .filter(|(name, _)| {
            let wanted = args.active_connection_states.as_ref();
            wanted.is_none_or(|wanted| wanted.iter().any(|w| w == name))
        })
        .map(|(_, id)| *id)
        .collect();
    let exclude = if excluded.is_empty() {
        String::new()
    } else {
        format!(
            "      case $SB_remote in\n      {}) continue ;;\n      esac\n",
            excluded.join(" | ")
        )
    };
    Ok(format!(
        "sb_is() {{\n  for SB_table in /proc/net/tcp /proc/net/tcp6; do\n    [ -r $SB_table ] || continue\n\
         \x20   while read -r SB_n SB_local SB_remote SB_state SB_rest; do\n\
         \x20     case $SB_state in\n      {}) ;;\n      *) continue ;;\n      esac\n{exclude}\
         \x20     case $SB_local in\n      {}) return 1 ;;\n      esac\n\
         \x20   done <$SB_table\n  done\n  return 0\n}}\n",
        states.join(" | "),
        patterns.join(" | "),
    ))
}

/// The addresses of a host: written as one, or as the host's resolver told.
fn addresses(name: &str, resolved: &str) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let found: Vec<IpAddr> = resolved
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, of)| *of == name)
        .filter_map(|(address, _)| address.parse().ok())
        .collect();
    if found.is_empty() {
        return Err(Failure::new(format!(
            "the host cannot resolve the name `{name}`"
        )));
    }
    Ok(found)
}

/// An address as `/proc/net/tcp` writes it on a little-endian machine.
fn hex(address: IpAddr) -> String {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => Ipv6Addr::octets(&v6).to_vec(),
    };
    octets
        .chunks(4)
        .flat_map(|word| word.iter().rev())
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// The expression, for the groups of a line that was found.
fn rust_regex(regex: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(regex)
        .multi_line(true)
        .build()
        .map_err(|error| {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            format!("Invalid regular expression: {}", why.trim())
        })
}

/// Options and pattern with which `grep` finds the lines that the expression matches.
fn grep_pattern(regex: &str) -> Result<(&'static str, String), String> {
    let (options, mut rest) = match regex.strip_prefix("(?i)") {
        Some(rest) => ("-i -E", rest),
        None => ("-E", regex),
    };
    let mut out = String::new();
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '\\' => {
                let escaped = rest[1..].chars().next().unwrap_or('\\');
                taken += escaped.len_utf8();
                out.push_str(&escape(escaped, in_class).ok_or_else(|| {
                    format!("`\\{escaped}` in search_regex cannot be looked for with grep")
                })?);
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                // A bracket that stands first is literal.
                for first in ["[^]", "[]", "[^"] {
                    if rest.starts_with(first) {
                        taken = first.len();
                        out.push_str(&first[1..]);
                        break;
                    }
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '(' if !in_class && rest.starts_with("(?") => {
                taken = if rest.starts_with("(?:") {
                    3
                } else if rest.starts_with("(?P<") {
                    rest.find('>').map_or(rest.len(), |at| at + 1)
                } else {
                    let what: String = rest.chars().take(4).collect();
                    return Err(format!(
                        "`{what}` in search_regex cannot be looked for with grep"
                    ));
                };
                out.push('(');
            }
            // Whether a repetition is lazy does not matter to whether a line matches.
            '?' if !in_class && out.ends_with(['*', '+', '?', '}']) && !regex_escaped(&out) => {}
            '\n' => {
                return Err("search_regex is looked for line by line, it holds a line end".into());
            }
            c => out.push(c),
        }
        rest = &rest[taken..];
    }
    Ok((options, out))
}

/// Whether the last character of a pattern is escaped and so no operator.
fn regex_escaped(pattern: &str) -> bool {
    let before = &pattern[..pattern.len() - 1];
    let backslashes = before.len() - before.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// What `grep -E` calls an escape of Python's; `None` where it has no word for it.
fn escape(escaped: char, in_class: bool) -> Option<String> {
    let class = |name: &str, is_negated: bool| match (in_class, is_negated) {
        (true, false) => Some(name.to_owned()),
        (true, true) => None,
        (false, false) => Some(format!("[{name}]")),
        (false, true) => Some(format!("[^{name}]")),
    };
    match escaped {
        'd' | 'D' => class("[:digit:]", escaped == 'D'),
        'w' | 'W' => class("[:alnum:]_", escaped == 'W'),
        's' | 'S' => class("[:space:]", escaped == 'S'),
        't' => Some("\t".into()),
        'b' if !in_class => Some("\\b".into()),
        'A' if !in_class => Some("^".into()),
        'Z' | 'z' if !in_class => Some("$".into()),
        c if c.is_ascii_alphanumeric() => None,
        // In a bracket expression a backslash is a character like any other.
        c if in_class => (!matches!(c, ']' | '^' | '-' | '[')).then(|| c.to_string()),
        c if c.is_ascii_punctuation() && !"\"'%&,-/:;<=>@_`~#!".contains(c) => {
            Some(format!("\\{c}"))
        }
        c => Some(c.to_string()),
    }
}

#[cfg(test)]
mod tests;
