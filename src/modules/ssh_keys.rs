//! `authorized_key` (of `ansible.posix`) and `known_hosts`: the keys of SSH, theirs and ours.
//!
//! Source: `ansible.posix` 2.0, `plugins/modules/authorized_key.py`; ansible-core 2.19,
//! `modules/known_hosts.py`.

use super::command::last;
use super::group::{Presence, check_name};
use super::result::fields;
use super::slurp::base64;
use super::small_file::{SmallFile, text};
use super::words::{self, Expand};
use super::{Change, Decision, Diff, Effect, Failure, Foretell, Module, Outcome, Resolved};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Lets a key log in to an account, or not.
///
/// # Returns
/// * `user`: the account.
/// * `key`: the key.
/// * `keyfile`: the file.
/// * `state`: `present` or `absent`.
/// * `exclusive`: whether all others were taken away.
/// * `key_options`: the options of the key.
/// * `path`: the file that was asked for.
///
/// # Example
/// ```yaml
/// - authorized_key:
///     user: deploy
///     key: "{{ lookup('file', 'deploy.pub') }}"
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct AuthorizedKey;

/// Arguments of `authorized_key`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthorizedKeyArgs {
    /// The account.
    user: String,
    /// The keys, one a line.
    key: String,
    /// `present` (default) or `absent`.
    #[serde(default)]
    state: Presence,
    /// The file. Default `~/.ssh/authorized_keys` of the account.
    path: Option<String>,
    /// Whether the folder of the file is made. Default true.
    manage_dir: Option<bool>,
    /// Options to put before each key.
    key_options: Option<String>,
    /// Whether all other keys are removed. Default false.
    #[serde(default)]
    exclusive: bool,
    /// The comment of the key, instead of its own.
    comment: Option<String>,
    /// No effect: a link is always followed.
    #[serde(rename = "follow")]
    _follow: Option<bool>,
    /// No effect: keys from a URL are not supported.
    #[serde(rename = "validate_certs")]
    _validate_certs: Option<bool>,
}

const KEY_TYPES: &[&str] = &["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];

/// One line of an `authorized_keys` file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    options: String,
    /// Type and data: what makes it the same key.
    data: String,
    comment: String,
}

impl Key {
    /// Reads a line; `None` where it has no key.
    fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (mut at, mut is_quoted) = (0, false);
        // Options end at the first blank that is not in quotes.
        let is_type = |text: &str| KEY_TYPES.iter().any(|kind| text.starts_with(kind));
        if !is_type(line) {
            at = line.char_indices().find_map(|(i, c)| {
                if c == '"' {
                    is_quoted = !is_quoted;
                }
                (c.is_ascii_whitespace() && !is_quoted).then_some(i)
            })?;
        }
        let (options, rest) = line.split_at(at);
        let mut words = rest.trim_start().splitn(3, [' ', '\t']);
        let (kind, data) = (words.next()?, words.next()?);
        is_type(kind).then(|| Self {
            options: options.to_owned(),
            data: format!("{kind} {data}"),
            comment: words.next().unwrap_or_default().trim().to_owned(),
        })
    }

    fn line(&self) -> String {
        [&self.options, &self.data, &self.comment]
            .into_iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl AuthorizedKeyArgs {
    fn keys(&self) -> Result<Vec<Key>, String> {
        let mut keys = Vec::new();
        for line in self.key.lines().filter(|line| !line.trim().is_empty()) {
            if line.trim_start().starts_with('#') {
                continue;
            }
            let mut key =
                Key::read(line).ok_or_else(|| format!("invalid key specified: {}", line.trim()))?;
            if let Some(options) = &self.key_options {
                options.clone_into(&mut key.options);
            }
            if let Some(comment) = &self.comment {
                comment.clone_into(&mut key.comment);
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn result(&self, path: &str) -> Map {
        fields([
            ("user", self.user.as_str().into()),
            ("key", self.key.as_str().into()),
            ("state", self.state.name().into()),
            ("path", Value::from(path)),
            ("keyfile", path.into()),
            ("exclusive", self.exclusive.into()),
            ("manage_dir", self.manage_dir.unwrap_or(true).into()),
            (
                "key_options",
                self.key_options.as_deref().map_or(Value::Null, Value::from),
            ),
        ])
    }

    /// The lines of the file as they are to be.
    fn wanted(&self, keys: &[Key], before: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for line in before.lines() {
            let seen = Key::read(line);
            let named = seen
                .as_ref()
                .and_then(|seen| keys.iter().find(|key| key.data == seen.data));
            match (self.state, seen, named) {
                (Presence::Absent, _, Some(_)) => {}
                (Presence::Present, Some(_), None) if self.exclusive => {}
                (Presence::Present, Some(seen), Some(named)) => {
                    let mut key = named.clone();
                    // A comment that is not given stays.
                    if key.comment.is_empty() {
                        key.comment.clone_from(&seen.comment);
                    }
                    let line = if key == seen {
                        line.to_owned()
                    } else {
                        key.line()
                    };
                    if !lines.contains(&line) {
                        lines.push(line);
                    }
                }
                _ => lines.push(line.to_owned()),
            }
        }
        if self.state == Presence::Present {
            for key in keys {
                let is_there = lines
                    .iter()
                    .any(|line| Key::read(line).is_some_and(|seen| seen.data == key.data));
                if !is_there {
                    lines.push(key.line());
                }
            }
        }
        lines
    }
}

impl Module for AuthorizedKey {
    const NAME: &'static str = "authorized_key";
    const EFFECT: Effect = Effect::Converges;
    type Args = AuthorizedKeyArgs;

    fn check(args: &AuthorizedKeyArgs) -> Result<(), String> {
        if args.key.starts_with("http://") || args.key.starts_with("https://") {
            return Err("a `key` from a URL is not supported: write it out or use a lookup".into());
        }
        check_name("user", &args.user)?;
        args.keys().map(drop)
    }

    fn probe(args: &AuthorizedKeyArgs, _: &[Resolved]) -> Option<Script> {
        let path = args.path.as_ref().map_or_else(
            || "SB_path=$6/.ssh/authorized_keys\n".to_owned(),
            |path| format!("SB_path={}\n", words::expanding(path, Expand::Variables)),
        );
        Some(Script::new(format!(
            "SB_passwd=$(getent passwd {})\nSB_ifs=$IFS IFS=:\nset -f\nset -- $SB_passwd\nset +f\nIFS=$SB_ifs\n\
             [ -n \"$1\" ] && sb_kv owner \"$3:$4\"\n{path}sb_kv path \"$SB_path\"\n\
             [ -d \"${{SB_path%/*}}\" ] && sb_kv has_dir yes\n\
             [ -e \"$SB_path\" ] || exit 0\nsb_kv is_there yes\nsb_body\ncat -- \"$SB_path\"\n",
            quote(&args.user)
        )))
    }

    fn decide(
        args: &AuthorizedKeyArgs,
        _: &[Resolved],
        seen: &[Reply],
    ) -> Result<Decision, Failure> {
        let reply = &seen[0];
        let head = reply.fields();
        let of = |name: &str| head.get(name).map_or("", String::as_str);
        if of("owner").is_empty() {
            return Err(Failure::new(format!(
                "Failed to lookup user {0}: \"getpwnam(): name not found: '{0}'\"",
                args.user
            )));
        }
        if reply.rc != 0 {
            return Err(Failure::of_reply("the file cannot be read", reply));
        }
        let before = String::from_utf8_lossy(reply.body()).into_owned();
        let keys = args.keys().map_err(Failure::new)?;
        let lines = args.wanted(&keys, &before);
        let now: Vec<&str> = before.lines().collect();
        let path = of("path");
        if lines == now {
            return Ok(Decision::Unchanged(Outcome::ok(args.result(path))));
        }
        let file = SmallFile {
            path,
            before: head.contains_key("is_there").then_some(before.as_str()),
            owner: of("owner"),
            mode: "600",
        };
        let dir = path.rsplit_once('/').map_or(".", |(dir, _)| dir);
        let (mut make, mut back) = (String::new(), String::new());
        if of("has_dir") != "yes" && args.manage_dir.unwrap_or(true) {
            let dir = quote(dir);
            make = format!(
                "mkdir -p -m 700 -- {dir} && chown {} {dir} || exit\n",
                of("owner")
            );
            back = format!("rmdir -- {dir} 2>/dev/null || :\n");
        }
        let verb = match args.state {
            Presence::Present => "let in",
            Presence::Absent => "lock out",
        };
        let summary = format!(
            "{verb} {} at {}",
            if keys.len() == 1 {
                "a key".into()
            } else {
                format!("{} keys", keys.len())
            },
            args.user
        );
        Ok(Decision::Change(file.change(
            &text(&lines),
            summary,
            [&make, "", &back],
            args.result(path),
        )))
    }

    fn finish(
        _: &AuthorizedKeyArgs,
        _: &[Resolved],
        _: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        written(change, replies)
    }
}

/// The outcome of a change that wrote a small file: what was foretold.
pub(super) fn written(change: &Change, replies: &[Reply]) -> Result<Outcome, Failure> {
    let reply = last(replies)?;
    if reply.rc != 0 {
        let why = reply.stderr_text();
        return Err(Failure::of_reply(why.trim(), reply));
    }
    match &change.foretell {
        Foretell::Changed(result) => Ok(Outcome::changed(result.clone())),
        Foretell::Skipped(_) => Ok(Outcome::changed(Map::new())),
    }
}

/// Knows the key of a host, or not.
///
/// # Returns
/// * `name`: the host.
/// * `key`: the key.
/// * `path`: the file.
/// * `state`: `present` or `absent`.
/// * `hash_host`: whether the name was hashed.
///
/// # Example
/// ```yaml
/// - known_hosts:
///     name: db1.example.org
///     key: "db1.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJwB7mEg3zj0oUQFmHcNcWQ9bB9kQz0yJwW5cQ4sB3mX"
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct KnownHosts;

/// Arguments of `known_hosts`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownHostsArgs {
    /// The host, as it is connected to: a name, `[name]:port`.
    #[serde(alias = "host")]
    name: String,
    /// The whole line, beginning with the host.
    key: Option<String>,
    /// `present` (default) or `absent`.
    #[serde(default)]
    state: Presence,
    /// The file. Default `~/.ssh/known_hosts`.
    path: Option<String>,
    /// Whether the name stands hashed in the file. A name that stands there in the other form is
    /// changed.
    #[serde(default)]
    hash_host: bool,
}

impl KnownHostsArgs {
    /// Whether name and key belong together; a failure of the task, as in Ansible.
    fn sane(&self) -> Result<(), &'static str> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let is_list = self.name.split_once(',');
        if is_list.is_some_and(|(first, _)| !first.trim().is_empty()) {
            return Err(
                "Comma separated list of names is not supported. Please pass a single name to \
                 lookup in the known_hosts file.",
            );
        }
        let words: Vec<&str> = key.split_whitespace().collect();
        let hosts = words.iter().find(|word| !word.starts_with('@'));
        let is_named = |hosts: &&str| {
            let mut hosts = hosts.split(',');
            hosts.any(|host| host.eq_ignore_ascii_case(&self.name))
        };
        if !hosts.is_some_and(is_named) || words.len() < 3 || key.trim().contains('\n') {
            return Err("Host parameter does not match hashed host field in supplied key");
        }
        Ok(())
    }
}

impl Module for KnownHosts {
    const NAME: &'static str = "known_hosts";
    const EFFECT: Effect = Effect::Converges;
    type Args = KnownHostsArgs;

    fn check(args: &KnownHostsArgs) -> Result<(), String> {
        if args.key.is_none() && args.state == Presence::Present {
            return Err("No key specified when adding a host".into());
        }
        Ok(())
    }

    fn probe(args: &KnownHostsArgs, _: &[Resolved]) -> Option<Script> {
        let path = args.path.as_deref().unwrap_or("~/.ssh/known_hosts");
        Some(Script::new(format!(
            "SB_path={}\nsb_kv path \"$SB_path\"\n[ -e \"$SB_path\" ] || exit 0\nsb_kv is_there yes\n\
             sb_kv found \"$(ssh-keygen -F {} -f \"$SB_path\" 2>/dev/null)\"\nsb_body\ncat -- \"$SB_path\"\n",
            words::expanding(path, Expand::Variables),
            quote(&args.name.to_lowercase())
        )))
    }

    fn decide(args: &KnownHostsArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        args.sane().map_err(Failure::new)?;
        let reply = &seen[0];
        if reply.rc != 0 {
            return Err(Failure::of_reply("the file cannot be read", reply));
        }
        let head = reply.fields();
        let of = |name: &str| head.get(name).map_or("", String::as_str);
        let path = of("path");
        let before = String::from_utf8_lossy(reply.body()).into_owned();
        let found: Vec<usize> = of("found")
            .lines()
            .filter_map(|line| {
                line.strip_prefix("# Host ")?
                    .rsplit_once("found: line ")?
                    .1
                    .split(' ')
                    .next()?
                    .parse()
                    .ok()
            })
            .collect();
        let kind = |line: &str| {
            let words = line
                .split_whitespace()
                .filter(|word| !word.starts_with('@'));
            words.skip(1).take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let wanted = args.key.as_deref().map(str::trim);
        let wanted_kind = wanted.map(kind);
        let mut lines: Vec<String> = Vec::new();
        let mut has_it = false;
        for (at, line) in before.lines().enumerate() {
            let is_host = found.contains(&(at + 1));
            let this = kind(line);
            let is_same = wanted_kind.as_ref() == Some(&this);
            // A line with a mark (`@cert-authority`, `@revoked`) is another thing than a host's key.
            let has_mark = line.starts_with('@');
            let is_same = is_same && mark(line) == wanted.map_or("", mark);
            let is_type = !has_mark
                && wanted_kind
                    .as_ref()
                    .is_some_and(|wanted| wanted.first() == this.first());
            match args.state {
                Presence::Absent if is_host && (wanted.is_none() && !has_mark || is_same) => {}
                Presence::Present if is_host && is_type && !is_same => {}
                Presence::Present
                    if is_host && is_same && !has_mark && is_hashed(line) != args.hash_host => {}
                _ => {
                    has_it |= is_host && is_same;
                    lines.push(line.to_owned());
                }
            }
        }
        if let (Some(line), Presence::Present, false) = (wanted, args.state, has_it) {
            lines.push(if args.hash_host {
                hashed(&args.name.to_lowercase(), line, &before)
            } else {
                line.to_owned()
            });
        }
        let result = fields([
            ("name", args.name.as_str().into()),
            ("key", wanted.map_or(Value::Null, Value::from)),
            ("path", path.into()),
            ("state", args.state.name().into()),
            ("hash_host", args.hash_host.into()),
        ]);
        if lines.iter().map(String::as_str).eq(before.lines()) {
            let mut outcome = Outcome::ok(result);
            outcome.same = Some(Diff {
                before_header: path.to_owned(),
                after_header: path.to_owned(),
                before: before.clone(),
                after: before,
            });
            return Ok(Decision::Unchanged(outcome));
        }
        let file = SmallFile {
            path,
            before: head.contains_key("is_there").then_some(before.as_str()),
            owner: "",
            mode: "644",
        };
        let dir = quote(path.rsplit_once('/').map_or(".", |(dir, _)| dir));
        let make = format!("[ -d {dir} ] || mkdir -p -m 700 -- {dir} || exit\n");
        let summary = format!(
            "{} {} in {path}",
            if args.state == Presence::Present {
                "know"
            } else {
                "forget"
            },
            args.name
        );
        Ok(Decision::Change(file.change(
            &text(&lines),
            summary,
            [&make, "", ""],
            result,
        )))
    }

    fn finish(
        _: &KnownHostsArgs,
        _: &[Resolved],
        _: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        written(change, replies)
    }
}

/// The mark of a line, if it has one.
fn mark(line: &str) -> &str {
    let first = line.split_whitespace().next().unwrap_or_default();
    if first.starts_with('@') { first } else { "" }
}

/// Whether the host of a line is hashed.
fn is_hashed(line: &str) -> bool {
    let mut words = line
        .split_whitespace()
        .filter(|word| !word.starts_with('@'));
    words.next().is_some_and(|host| host.starts_with("|1|"))
}

/// A line with its host hashed as OpenSSH hashes it: HMAC-SHA1 of the name under a salt, which only
/// has to differ from that of others. It comes from the file, so that a second look gives the same.
fn hashed(name: &str, line: &str, file: &str) -> String {
    use sha1::Digest as _;
    const BLOCK: usize = 64;
    let salt = sha1::Sha1::digest(format!("{file}\0{line}"));
    let padded = |byte: u8| {
        let mut block = [byte; BLOCK];
        block
            .iter_mut()
            .zip(salt.iter())
            .for_each(|(pad, salt)| *pad ^= salt);
        block
    };
    let inner = sha1::Sha1::new()
        .chain_update(padded(0x36))
        .chain_update(name);
    let sum = sha1::Sha1::new()
        .chain_update(padded(0x5c))
        .chain_update(inner.finalize());
    let host = format!("|1|{}|{}", base64(&salt), base64(&sum.finalize()));
    let mut is_named = false;
    let words = line.split_whitespace().map(|word| {
        if is_named || word.starts_with('@') {
            return word;
        }
        is_named = true;
        host.as_str()
    });
    words.collect::<Vec<&str>>().join(" ")
}

#[cfg(test)]
mod tests;
