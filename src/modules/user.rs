//! `user`: accounts.
//!
//! A password's hash never leaves the host: the probe compares it there, and what was there before
//! waits for the undo in `$SB_KEEP`. It reaches `chpasswd` on its standard input. Source:
//! ansible-core 2.19, `modules/user.py`.

use std::collections::{BTreeMap, BTreeSet};

use super::command::last;
use super::group::{Presence, check_name};
use super::result::fields;
use super::words::{self, Expand};
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Makes, changes and removes an account.
///
/// # Returns
/// * `name`: the account.
/// * `uid`: its number.
/// * `group`: the number of its group.
/// * `home`: its home.
/// * `shell`: its shell.
/// * `comment`: its comment.
/// * `groups`: its other groups.
/// * `state`: `present` or `absent`.
/// * `ssh_public_key`: its key, with `generate_ssh_key`.
/// * `ssh_key_file`: where that is.
///
/// # Example
/// ```yaml
/// - user:
///     name: deploy
///     groups: [adm]
///     append: true
///     shell: /bin/bash
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct User;

/// Arguments of `user`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Ansible's arguments"
)]
pub(super) struct UserArgs {
    /// The account.
    #[serde(alias = "user")]
    name: String,
    /// `present` (default) or `absent`.
    #[serde(default)]
    state: Presence,
    /// Its number. Default: the next that is free.
    uid: Option<u32>,
    /// Whether other accounts may have the same number. Default false.
    #[serde(default)]
    non_unique: bool,
    /// Its own group: a name or a number.
    group: Option<String>,
    /// The other groups it is in; an empty list: none.
    groups: Option<Vec<String>>,
    /// Whether the groups it is in already stay. Default false.
    #[serde(default)]
    append: bool,
    /// What it is called.
    comment: Option<String>,
    /// Its home.
    home: Option<String>,
    /// Whether the files of the home move along. Default false.
    #[serde(default)]
    move_home: bool,
    /// Its shell.
    shell: Option<String>,
    /// The hash of its password, as `crypt(5)` makes it.
    password: Option<String>,
    /// `always` (default) or `on_create`.
    update_password: Option<String>,
    /// Whether its password is locked.
    password_lock: Option<bool>,
    /// Seconds since 1970 after which it expires; negative: never.
    expires: Option<f64>,
    /// Days after which the password must be changed.
    password_expire_max: Option<i64>,
    /// Days before which it cannot be changed.
    password_expire_min: Option<i64>,
    /// Days of warning before that.
    password_expire_warn: Option<i64>,
    /// Days after that when the account is disabled.
    password_expire_account_disable: Option<i64>,
    /// Whether it is made as an account of the system. Default false.
    #[serde(default)]
    system: bool,
    /// Whether its home is made. Default true.
    #[serde(alias = "createhome")]
    create_home: Option<bool>,
    /// The folder whose files a new home gets.
    skeleton: Option<String>,
    /// The umask for making a new home.
    umask: Option<String>,
    /// Whether its home and mail are removed with it. Default false.
    #[serde(default)]
    remove: bool,
    /// Whether it is removed even while it is in use. Default false.
    #[serde(default)]
    force: bool,
    /// Whether a key pair for SSH is made where there is none.
    #[serde(default)]
    generate_ssh_key: bool,
    /// Bits of the key. Default: as ssh-keygen chooses.
    ssh_key_bits: Option<u32>,
    /// Its type. Default `rsa`.
    ssh_key_type: Option<String>,
    /// Its file, from the home. Default `.ssh/id_TYPE`.
    ssh_key_file: Option<String>,
    /// Its comment. Default `ansible-generated on` the host.
    ssh_key_comment: Option<String>,
    /// Not supported: ssh-keygen takes it on its command line only.
    ssh_key_passphrase: Option<String>,
    /// The lowest number to choose.
    uid_min: Option<u32>,
    /// The highest number to choose.
    uid_max: Option<u32>,
    /// The `SELinux` user.
    seuser: Option<String>,
    /// Not supported.
    #[serde(default)]
    local: bool,
}

impl UserArgs {
    fn creates_home(&self) -> bool {
        self.create_home.unwrap_or(true)
    }

    fn key_file(&self) -> String {
        let kind = self.ssh_key_type.as_deref().unwrap_or("rsa");
        let default = format!(".ssh/id_{kind}");
        self.ssh_key_file.clone().unwrap_or(default)
    }

    /// The options of `chage` and the fields of a shadow line that they set (counted from the
    /// date of the last change).
    fn ages(&self) -> [(&'static str, Option<i64>, usize); 4] {
        [
            ("-m", self.password_expire_min, 1),
            ("-M", self.password_expire_max, 2),
            ("-W", self.password_expire_warn, 3),
            ("-I", self.password_expire_account_disable, 4),
        ]
    }
}

/// What the probe saw.
struct Seen {
    fields: BTreeMap<String, String>,
    /// `(name, gid, members)` of groups that matter.
    groups: Vec<(String, String, String)>,
}

/// The account as it is.
struct Account<'a> {
    uid: &'a str,
    gid: &'a str,
    comment: &'a str,
    home: &'a str,
    shell: &'a str,
}

impl Seen {
    fn read(reply: &Reply) -> Self {
        let body = String::from_utf8_lossy(reply.body()).into_owned();
        let groups = body.lines().filter_map(|line| {
            let parts: Vec<&str> = line.splitn(4, ':').collect();
            let [name, _, gid, members] = parts[..] else {
                return None;
            };
            Some((name.to_owned(), gid.to_owned(), members.to_owned()))
        });
        Self {
            groups: groups.collect(),
            fields: reply.fields(),
        }
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn account(&self) -> Option<Account<'_>> {
        let parts: Vec<&str> = self.field("passwd").split(':').collect();
        let [_, _, uid, gid, comment, home, shell] = parts[..] else {
            return None;
        };
        Some(Account {
            uid,
            gid,
            comment,
            home,
            shell,
        })
    }

    /// A group by name or number.
    fn group(&self, wanted: &str) -> Result<(&str, &str), Failure> {
        self.groups
            .iter()
            .find(|(name, gid, _)| name == wanted || gid == wanted)
            .map(|(name, gid, _)| (name.as_str(), gid.as_str()))
            .ok_or_else(|| Failure::new(format!("Group {wanted} does not exist")))
    }

    /// The groups that name the account as a member.
    fn memberships(&self, user: &str) -> BTreeSet<String> {
        self.groups
            .iter()
            .filter(|(_, _, members)| members.split(',').any(|member| member == user))
            .map(|(name, _, _)| name.clone())
            .collect()
    }
}

impl Module for User {
    const NAME: &'static str = "user";
    const EFFECT: Effect = Effect::Converges;
    type Args = UserArgs;

    fn check(args: &UserArgs) -> Result<(), String> {
        if args.local {
            return Err("`local` is not supported".into());
        }
        if args.ssh_key_passphrase.is_some() {
            return Err(
                "`ssh_key_passphrase` is not supported: ssh-keygen would show it in the \
                        process list"
                    .into(),
            );
        }
        if let Some(when) = args.update_password.as_deref()
            && !matches!(when, "always" | "on_create")
        {
            return Err(format!(
                "value of update_password must be one of: always, on_create, got: {when}"
            ));
        }
        if args
            .password
            .as_ref()
            .is_some_and(|hash| hash.contains([':', '\n']))
        {
            return Err("`password` is the hash of a password and holds no `:`".into());
        }
        for group in args.groups.iter().flatten().chain(&args.group) {
            check_name("group", group)?;
        }
        check_name("user", &args.name)
    }

    fn probe(args: &UserArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(probe(args)))
    }

    fn decide(args: &UserArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let seen = Seen::read(&seen[0]);
        let account = seen.account();
        if seen.field("tools") == "no" {
            return Err(Failure::new(
                "the host has no useradd (package shadow or passwd)",
            ));
        }
        match (args.state, &account) {
            (Presence::Absent, None) => Ok(Decision::Unchanged(Outcome::ok(fields([
                ("name", args.name.as_str().into()),
                ("state", "absent".into()),
            ])))),
            (Presence::Absent, Some(account)) => Ok(removal(args, &seen, account)),
            (Presence::Present, None) => creation(args, &seen),
            (Presence::Present, Some(account)) => modification(args, &seen, account),
        }
    }

    fn finish(
        args: &UserArgs,
        _: &[Resolved],
        seen: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        if reply.rc != 0 {
            let text = reply.stderr_text();
            let mut failure = Failure::of_reply(text.trim(), reply);
            failure
                .result
                .insert("name".into(), args.name.as_str().into());
            return Err(failure);
        }
        if args.state == Presence::Absent {
            return Ok(Outcome::changed(fields([
                ("name", args.name.as_str().into()),
                ("state", "absent".into()),
                ("force", args.force.into()),
                ("remove", args.remove.into()),
            ])));
        }
        let was_there = Seen::read(&seen[0]).account().is_some();
        Ok(Outcome::changed(result(
            args,
            &Seen::read(reply),
            was_there,
        )))
    }
}

/// Prints the account, its groups and what is asked of its password, never the hash.
fn probe(args: &UserArgs) -> String {
    let name = quote(&args.name);
    let wanted: Vec<String> = args
        .groups
        .iter()
        .flatten()
        .chain(&args.group)
        .chain(std::iter::once(&args.name))
        .map(|group| format!("{0}:*:*:* | *:*:{0}:*", quote(group)))
        .collect();
    let password = args.password.as_ref().map_or_else(String::new, |hash| {
        format!(
            "SB_want={}\nwhile case $SB_want in '!'*) ;; *) false ;; esac; do SB_want=${{SB_want#!}}; done\n\
             if [ \"$SB_hash\" = \"$SB_want\" ]; then sb_kv password same; else sb_kv password differs; fi\n",
            quote(hash)
        )
    });
    let home = args.home.as_ref().map_or_else(
        || "SB_home=$6\n".to_owned(),
        |home| format!("SB_home={}\n", words::expanding(home, Expand::Variables)),
    );
    let key = if args.generate_ssh_key {
        key_probe(args)
    } else {
        String::new()
    };
    format!(
        "command -v useradd >/dev/null || sb_kv tools no\n\
         SB_passwd=$(getent passwd {name})\nsb_kv passwd \"$SB_passwd\"\n\
         SB_shadow=$(getent shadow {name} 2>/dev/null)\n\
         SB_ifs=$IFS IFS=:\nset -f\nset -- $SB_shadow\n\
         SB_hash=$2\ncase $SB_hash in '!'*) sb_kv locked yes ;; esac\n\
         while case $SB_hash in '!'*) ;; *) false ;; esac; do SB_hash=${{SB_hash#!}}; done\n\
         sb_kv shadow \"$3:$4:$5:$6:$7:$8\"\n{password}\
         set -- $SB_passwd\nset +f\nIFS=$SB_ifs\n{home}\
         if [ -d \"$SB_home\" ]; then sb_kv home_exists yes; fi\nsb_kv home \"$SB_home\"\n{key}sb_body\n\
         getent group | while IFS= read -r SB_line; do\n\
         case $SB_line in {wanted}) printf '%s\\n' \"$SB_line\"; continue ;; esac\n\
         case \",${{SB_line##*:}},\" in *,{name},*) printf '%s\\n' \"$SB_line\" ;; esac\ndone\nexit 0\n",
        wanted = wanted.join(" | "),
    )
}

fn key_probe(args: &UserArgs) -> String {
    let file = args.key_file();
    let path = if file.starts_with('/') {
        quote(&file)
    } else {
        format!("\"$SB_home\"/{}", quote(&file))
    };
    format!(
        "SB_key={path}\nsb_kv key_file \"$SB_key\"\nif [ -f \"$SB_key\" ]; then\n\
         \x20 sb_kv key yes\n\
         \x20 [ -r \"$SB_key.pub\" ] && IFS= read -r SB_line <\"$SB_key.pub\" && sb_kv public \"$SB_line\"\n\
         \x20 sb_kv fingerprint \"$(ssh-keygen -l -f \"$SB_key\" 2>&1)\"\nfi\n"
    )
}

fn changed(args: &UserArgs, summary: String, acts: &str, undo: Undo) -> Decision {
    let after = if args.state == Presence::Present {
        probe(args)
    } else {
        String::new()
    };
    Decision::Change(Change {
        summary,
        diff: Vec::new(),
        acts: vec![Act::script(format!("{acts}{after}"))],
        undo,
        foretell: Foretell::Changed(fields([
            ("name", args.name.as_str().into()),
            ("state", args.state.name().into()),
        ])),
    })
}

/// Keeps the shadow line of the account on the host, for the undo.
fn keeping_shadow(name: &str) -> String {
    format!(
        "sb_keep_dir || exit\n\
         [ -e \"$SB_KEEP/user.shadow\" ] || getent shadow {} >\"$SB_KEEP/user.shadow\"\n",
        quote(name)
    )
}

/// Brings hash and ages back from the kept shadow line.
fn shadow_back(name: &str) -> String {
    format!(
        "if [ -s \"$SB_KEEP/user.shadow\" ]; then\n\
         IFS=: read -r SB_name SB_hash SB_last SB_min SB_max SB_warn SB_idle SB_end SB_rest <\"$SB_KEEP/user.shadow\"\n\
         printf '%s:%s\\n' \"$SB_name\" \"$SB_hash\" | chpasswd -e || exit\n\
         chage -d \"${{SB_last:--1}}\" -m \"${{SB_min:--1}}\" -M \"${{SB_max:--1}}\" -W \"${{SB_warn:--1}}\" \
         -I \"${{SB_idle:--1}}\" -E \"${{SB_end:--1}}\" {} || exit\nfi\n",
        quote(name)
    )
}

fn removal(args: &UserArgs, seen: &Seen, account: &Account<'_>) -> Decision {
    let name = quote(&args.name);
    let mut act = keeping_shadow(&args.name);
    act.push_str("userdel");
    if args.force {
        act.push_str(" -f");
    }
    if args.remove {
        act.push_str(" -r");
    }
    act.push_str(&format!(" {name} || exit\n"));
    let undo = if args.remove {
        Undo::Unknown("the home is removed with the account")
    } else {
        // userdel removes the account's own group with it, where nobody else is in it.
        let own = seen
            .groups
            .iter()
            .find(|(group, gid, _)| *group == args.name && gid == account.gid);
        let group = own.map_or_else(String::new, |(group, gid, _)| {
            format!(
                "getent group {0} >/dev/null || groupadd -g {gid} -o {0} || exit\n",
                quote(group)
            )
        });
        let others: Vec<String> = seen.memberships(&args.name).into_iter().collect();
        Undo::Acts {
            summary: format!("make the account {} again as it was", args.name),
            acts: vec![Act::script(format!(
                "getent passwd {name} >/dev/null && exit 0\n{group}\
                 useradd -M -N -o -u {} -g {} -c {} -d {} -s {}{} {name} || exit\n{}",
                account.uid,
                account.gid,
                quote(account.comment),
                quote(account.home),
                quote(account.shell),
                if others.is_empty() {
                    String::new()
                } else {
                    format!(" -G {}", quote(&others.join(",")))
                },
                shadow_back(&args.name)
            ))],
        }
    };
    changed(
        args,
        format!("remove the account {}", args.name),
        &act,
        undo,
    )
}

fn creation(args: &UserArgs, seen: &Seen) -> Result<Decision, Failure> {
    let mut act = "useradd".to_owned();
    let mut add = |option: &str, value: &str| {
        act.push(' ');
        act.push_str(option);
        act.push(' ');
        act.push_str(&quote(value));
    };
    if let Some(uid) = args.uid {
        add("-u", &uid.to_string());
    }
    if let Some(seuser) = &args.seuser {
        add("-Z", seuser);
    }
    if let Some(group) = &args.group {
        add("-g", seen.group(group)?.0);
    }
    if let Some(groups) = args.groups.as_ref().filter(|groups| !groups.is_empty()) {
        let names: Result<Vec<&str>, Failure> = groups
            .iter()
            .map(|group| Ok(seen.group(group)?.0))
            .collect();
        add("-G", &names?.join(","));
    }
    for (option, value) in [
        ("-c", &args.comment),
        ("-d", &args.home),
        ("-s", &args.shell),
        ("-k", &args.skeleton),
    ] {
        if let Some(value) = value {
            add(option, value);
        }
    }
    if let Some(date) = args.expires {
        add("-e", &expiry_date(date));
    }
    if let Some(umask) = &args.umask {
        add("-K", &format!("UMASK={umask}"));
    }
    for (key, value) in [("UID_MIN", args.uid_min), ("UID_MAX", args.uid_max)] {
        if let Some(value) = value {
            add("-K", &format!("{key}={value}"));
        }
    }
    let has_own_name = args.group.is_none() && seen.group(&args.name).is_ok();
    for (is, option) in [
        (args.uid.is_some() && args.non_unique, " -o"),
        (has_own_name, " -N"),
        (args.system, " -r"),
        (args.creates_home(), " -m"),
        (!args.creates_home(), " -M"),
    ] {
        if is {
            act.push_str(option);
        }
    }
    let name = quote(&args.name);
    let parent = args
        .home
        .as_deref()
        .filter(|_| args.creates_home())
        .and_then(|home| home.trim_end_matches('/').rsplit_once('/'))
        .map_or_else(String::new, |(parent, _)| {
            format!(
                "mkdir -p {} || exit\n",
                quote(if parent.is_empty() { "/" } else { parent })
            )
        });
    let mut acts = format!("{parent}{act} {name} || exit\n");
    acts.push_str(&password(args, args.password.is_some(), args.password_lock));
    acts.push_str(&ages(args, ""));
    acts.push_str(&key(args, ""));
    let made_home = args.creates_home() && seen.field("home_exists") != "yes";
    let undo = Undo::Acts {
        summary: format!("remove the account {}", args.name),
        acts: vec![Act::script(format!(
            "getent passwd {name} >/dev/null || exit 0\nuserdel{} {name}\nSB_rc=$?\n\
             # 12: the home could not be removed, or is not the account's.\n\
             [ $SB_rc -eq 0 ] || [ $SB_rc -eq 12 ]\n",
            if made_home { " -r" } else { "" }
        ))],
    };
    Ok(changed(
        args,
        format!("make the account {}", args.name),
        &acts,
        undo,
    ))
}

/// What differs, the options of usermod that set it, and those that take it back.
#[derive(Default)]
struct Edits {
    parts: Vec<String>,
    act: String,
    back: String,
}

impl Edits {
    fn set(&mut self, what: &str, option: &str, old: &str, new: &str) {
        self.parts.push(format!("{what} {old} -> {new}"));
        self.act.push_str(&format!(" {option} {}", quote(new)));
        self.back.push_str(&format!(" {option} {}", quote(old)));
    }

    /// What usermod sets.
    fn of(args: &UserArgs, seen: &Seen, account: &Account<'_>) -> Result<Self, Failure> {
        let mut edits = Self::default();
        let uid = args.uid.map(|uid| uid.to_string());
        if let Some(uid) = uid.filter(|uid| uid != account.uid) {
            let option = if args.non_unique { "-o -u" } else { "-u" };
            edits.set("uid", option, account.uid, &uid);
        }
        if let Some(group) = &args.group {
            let (_, gid) = seen.group(group)?;
            if gid != account.gid {
                edits.set("group", "-g", account.gid, gid);
            }
        }
        let home = if args.move_home { "-m -d" } else { "-d" };
        for (what, option, wanted, now) in [
            ("comment", "-c", &args.comment, account.comment),
            ("home", home, &args.home, account.home),
            ("shell", "-s", &args.shell, account.shell),
        ] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != now) {
                edits.set(what, option, now, wanted);
            }
        }
        edits.groups(args, seen, account)?;
        let shadow: Vec<&str> = seen.field("shadow").split(':').collect();
        let now = shadow.get(5).copied().unwrap_or_default();
        if let Some(wanted) = args.expires
            && days(wanted) != now.parse().unwrap_or(-1)
        {
            edits.parts.push("expiry date".into());
            let date = quote(&expiry_date(wanted));
            edits.act.push_str(&format!(" -e {date}"));
        }
        Ok(edits)
    }

    fn groups(
        &mut self,
        args: &UserArgs,
        seen: &Seen,
        account: &Account<'_>,
    ) -> Result<(), Failure> {
        let Some(wanted) = &args.groups else {
            return Ok(());
        };
        let wanted: Result<BTreeSet<String>, Failure> = wanted
            .iter()
            .map(|group| Ok(seen.group(group)?.0.to_owned()))
            .collect();
        let (mut wanted, now) = (wanted?, seen.memberships(&args.name));
        if args.append {
            wanted.extend(now.iter().cloned());
        }
        // To be in its own group, an account need not be named as a member of it.
        wanted.retain(|group| {
            let is_other = seen.group(group).is_ok_and(|(_, gid)| gid != account.gid);
            is_other || now.contains(group)
        });
        if wanted != now {
            let list =
                |groups: &BTreeSet<String>| groups.iter().cloned().collect::<Vec<_>>().join(",");
            self.set("groups", "-G", &list(&now), &list(&wanted));
        }
        Ok(())
    }
}

fn modification(args: &UserArgs, seen: &Seen, account: &Account<'_>) -> Result<Decision, Failure> {
    let name = quote(&args.name);
    let Edits {
        mut parts,
        act,
        back,
    } = Edits::of(args, seen, account)?;
    let mut acts = if act.is_empty() {
        String::new()
    } else {
        format!("usermod{act} {name} || exit\n")
    };
    let sets_password =
        args.update_password.as_deref() != Some("on_create") && seen.field("password") == "differs";
    let is_locked = seen.field("locked") == "yes";
    let lock = args.password_lock.filter(|lock| *lock != is_locked);
    let aged = ages(args, seen.field("shadow"));
    for (is, part) in [
        (sets_password, "password"),
        (lock == Some(true), "lock the password"),
        (lock == Some(false), "unlock the password"),
        (!aged.is_empty(), "age of the password"),
    ] {
        if is {
            parts.push(part.into());
        }
    }
    acts.push_str(&password(args, sets_password, lock));
    acts.push_str(&aged);
    let makes_home = args.creates_home() && seen.field("home_exists") != "yes" && !args.move_home;
    let home = quote(seen.field("home"));
    let mut undo = String::new();
    if makes_home {
        parts.push(format!("make the home {}", seen.field("home")));
        let uid = args.uid.map(|uid| uid.to_string());
        acts.push_str(&format!(
            "mkdir -p {home} && cp -R {}/. {home} && chown -R {}:{} {home} || exit\n",
            quote(args.skeleton.as_deref().unwrap_or("/etc/skel")),
            uid.as_deref().unwrap_or(account.uid),
            account.gid
        ));
        undo.push_str(&format!("rm -rf {home}\n"));
    }
    let keyed = key(args, seen.field("key"));
    if !keyed.is_empty() {
        parts.push("make an SSH key".into());
        acts.push_str(&keyed);
        let file = quote(seen.field("key_file"));
        undo.push_str(&format!("rm -f {file} {file}.pub\n"));
    }
    if parts.is_empty() {
        return Ok(Decision::Unchanged(Outcome::ok(result(args, seen, true))));
    }
    if !back.is_empty() {
        undo.push_str(&format!("usermod{back} {name} || exit\n"));
    }
    undo.push_str(&shadow_back(&args.name));
    let undo = Undo::Acts {
        summary: format!("bring the account {} back to its state before", args.name),
        acts: vec![Act::script(undo)],
    };
    let summary = format!("account {}: {}", args.name, parts.join(", "));
    Ok(changed(
        args,
        summary,
        &(keeping_shadow(&args.name) + &acts),
        undo,
    ))
}

/// Sets the hash and the lock.
fn password(args: &UserArgs, sets: bool, lock: Option<bool>) -> String {
    let name = quote(&args.name);
    match (&args.password, sets, lock) {
        (Some(hash), true, _) => {
            let mark = if args.password_lock == Some(true) {
                "!"
            } else {
                ""
            };
            format!(
                "printf '%s\\n' {} | chpasswd -e || exit\n",
                quote(&format!("{}:{mark}{hash}", args.name))
            )
        }
        (_, _, Some(true)) => format!("usermod -L {name} || exit\n"),
        // usermod refuses to unlock an account that has no password; Ansible goes on.
        (_, _, Some(false)) => format!("usermod -U {name} 2>/dev/null || :\n"),
        _ => String::new(),
    }
}

/// Sets the ages of the password that differ from those of the shadow line.
fn ages(args: &UserArgs, shadow: &str) -> String {
    let now: Vec<&str> = shadow.split(':').collect();
    let options: String = args
        .ages()
        .into_iter()
        .filter_map(|(option, wanted, at)| {
            let wanted = wanted?;
            let is_so = now.get(at).is_some_and(|now| *now == wanted.to_string());
            (!is_so).then(|| format!(" {option} {wanted}"))
        })
        .collect();
    if options.is_empty() {
        return options;
    }
    format!("chage{options} {} || exit\n", quote(&args.name))
}

/// Makes a key pair, where one is wanted and there is none.
fn key(args: &UserArgs, has_key: &str) -> String {
    if !args.generate_ssh_key || has_key == "yes" {
        return String::new();
    }
    let bits = args.ssh_key_bits.filter(|bits| *bits > 0);
    let bits = bits.map_or_else(String::new, |bits| format!(" -b {bits}"));
    let comment = args.ssh_key_comment.as_ref().map_or_else(
        || "\"ansible-generated on $(uname -n)\"".to_owned(),
        |comment| quote(comment),
    );
    let file = args.key_file();
    let path = if file.starts_with('/') {
        quote(&file)
    } else {
        format!("\"$SB_home\"/{}", quote(&file))
    };
    format!(
        "SB_passwd=$(getent passwd {name})\nSB_ifs=$IFS IFS=:\nset -f\nset -- $SB_passwd\nset +f\nIFS=$SB_ifs\n\
         SB_home=$6 SB_key={path}\nSB_dir=${{SB_key%/*}}\n\
         [ -d \"$SB_dir\" ] || {{ mkdir -m 700 \"$SB_dir\" && chown \"$3:$4\" \"$SB_dir\"; }} || exit\n\
         ssh-keygen -q -t {kind}{bits} -C {comment} -N '' -f \"$SB_key\" </dev/null || exit\n\
         chown \"$3:$4\" \"$SB_key\" \"$SB_key.pub\" || exit\n",
        name = quote(&args.name),
        kind = quote(args.ssh_key_type.as_deref().unwrap_or("rsa")),
    )
}

fn days(seconds: f64) -> i64 {
    if seconds < 0.0 {
        return -1;
    }
    #[expect(clippy::cast_possible_truncation, reason = "days since 1970 fit")]
    let days = (seconds / 86400.0).floor() as i64;
    days
}

/// The date as useradd takes it; empty: never.
fn expiry_date(seconds: f64) -> String {
    chrono::DateTime::from_timestamp(days(seconds).saturating_mul(86400), 0)
        .filter(|_| seconds >= 0.0)
        .map_or_else(String::new, |date| date.format("%Y-%m-%d").to_string())
}

fn result(args: &UserArgs, seen: &Seen, was_there: bool) -> Map {
    let mut result = fields([
        ("name", args.name.as_str().into()),
        ("state", "present".into()),
    ]);
    if was_there {
        result.insert("append".into(), args.append.into());
        result.insert("move_home".into(), args.move_home.into());
    } else {
        result.insert("system".into(), args.system.into());
        result.insert("create_home".into(), args.creates_home().into());
    }
    if args.password.is_some() {
        result.insert("password".into(), "NOT_LOGGING_PASSWORD".into());
    }
    if let Some(account) = seen.account() {
        let number = |text: &str| text.parse().map_or(Value::Null, Value::Int);
        result.extend(fields([
            ("uid", number(account.uid)),
            ("group", number(account.gid)),
            ("comment", account.comment.into()),
            ("home", account.home.into()),
            ("shell", account.shell.into()),
        ]));
    }
    if let Some(groups) = &args.groups {
        result.insert("groups".into(), groups.join(",").into());
    }
    if args.generate_ssh_key {
        result.extend(fields([
            ("ssh_key_file", seen.field("key_file").into()),
            ("ssh_public_key", seen.field("public").into()),
            ("ssh_fingerprint", seen.field("fingerprint").into()),
        ]));
    }
    result
}

#[cfg(test)]
mod tests;
