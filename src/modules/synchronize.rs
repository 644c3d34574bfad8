//! `synchronize` (of `ansible.posix`): `rsync`, on the host or from the controller to it.
//!
//! The engine says where the task runs and how the host is reached (`_sync_*` arguments); without
//! `delegate_to` that is the controller, as in Ansible. `rsync --dry-run` is the probe, so nothing
//! is written where nothing differs, and check mode tells exactly what would be. Source:
//! `ansible.posix` 2.0, `plugins/modules/synchronize.py` and `plugins/action/synchronize.py`.

use super::command::last;
use super::result::{fields, strings};
use super::{
    Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo, words,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Brings a tree of files from one place to another with `rsync`.
///
/// # Returns
/// * `cmd`: the command that was run.
/// * `rc`: its exit status.
/// * `stdout_lines`: the files that it brought.
/// * `msg`: its output.
///
/// # Example
/// ```yaml
/// - synchronize:
///     src: site/
///     dest: /srv/www/
///     delete: true
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Synchronize;

/// Arguments of `synchronize`.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Ansible's arguments"
)]
pub(super) struct SynchronizeArgs {
    /// Where the files are.
    src: String,
    /// Where they are to be.
    dest: String,
    /// The port of `ssh` at the host. Default: the connection's.
    dest_port: Option<u16>,
    /// `push` (default): to the host of the task; `pull`: from it.
    #[serde(default)]
    mode: Direction,
    /// `rsync --archive`. Default true.
    archive: Option<bool>,
    /// Whether contents are compared, not sizes and times. Default false.
    #[serde(default)]
    checksum: bool,
    /// `rsync --compress`. Default true.
    compress: Option<bool>,
    /// Whether only files that are there already are brought. Default false.
    #[serde(default)]
    existing_only: bool,
    /// Whether files that are not in `src` are removed. Default false.
    #[serde(default)]
    delete: bool,
    /// `rsync --dirs`. Default false.
    #[serde(default)]
    dirs: bool,
    /// Whether folders in it are brought. Default: as `archive`.
    recursive: Option<bool>,
    /// Whether links are. Default: as `archive`.
    links: Option<bool>,
    /// Whether what links lead to is brought instead. Default false.
    #[serde(default)]
    copy_links: bool,
    /// Whether modes are. Default: as `archive`.
    perms: Option<bool>,
    /// Whether times are. Default: as `archive`.
    times: Option<bool>,
    /// Whether owners are. Default: as `archive`.
    owner: Option<bool>,
    /// Whether groups are. Default: as `archive`.
    group: Option<bool>,
    /// The `rsync` at the other end.
    rsync_path: Option<String>,
    /// `rsync --timeout`, in seconds.
    #[serde(default)]
    rsync_timeout: u32,
    /// Whether the user of the connection is put before the host's name. Default true.
    #[serde(rename = "set_remote_user")]
    _set_remote_user: Option<bool>,
    /// Whether `ssh` may share a connection. Default false.
    #[serde(default)]
    ssh_connection_multiplexing: bool,
    /// More words for `rsync`.
    #[serde(default)]
    rsync_opts: Vec<String>,
    /// `rsync --partial`. Default false.
    #[serde(default)]
    partial: bool,
    /// Whether the key of the host is checked. Here it always is, unless this is false.
    verify_host: Option<bool>,
    /// The private key for `ssh`.
    private_key: Option<String>,
    /// `rsync --link-dest`.
    #[serde(default)]
    link_dest: Vec<String>,
    /// `rsync --delay-updates`. Default true.
    delay_updates: Option<bool>,
    /// Whether the `ssh` arguments of the connection are used. Default false.
    #[serde(default)]
    use_ssh_args: bool,
    /// `user@` and name of the host as `ssh` is told; empty where both ends are on one machine.
    /// Set by the engine.
    #[serde(default, rename = "_sync_host")]
    host: String,
    /// The port of the connection. Set by the engine.
    #[serde(rename = "_sync_port")]
    port: Option<u16>,
    /// The user to become at the other end. Set by the engine.
    #[serde(rename = "_sync_become")]
    r#become: Option<String>,
    /// The host that runs `rsync`, where that is not the task's. Set by the engine.
    #[serde(rename = "_sync_on")]
    on: Option<String>,
    /// The `ssh` arguments of the connection. Set by the engine.
    #[serde(rename = "_sync_ssh_args")]
    ssh_args: Option<String>,
}

/// Which way files go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// From the host of the task.
    Pull,
    /// To it.
    #[default]
    Push,
}

const MARK: &str = "<<CHANGED>>";

impl SynchronizeArgs {
    /// Both paths as `rsync` is told.
    fn ends(&self) -> (String, String) {
        let far = |path: &str| {
            if path.starts_with("rsync://") || self.host.is_empty() || path.contains(':') {
                path.to_owned()
            } else {
                format!("{}:{path}", self.host)
            }
        };
        match self.mode {
            Direction::Push => (self.src.clone(), far(&self.dest)),
            Direction::Pull => (far(&self.src), self.dest.clone()),
        }
    }

    /// The command, in words of sh; a path on this side is expanded.
    fn command(&self) -> Vec<String> {
        let (src, dest) = self.ends();
        let mut all: Vec<String> = vec!["rsync".into()];
        let mut add = |is: bool, word: &str| {
            if is {
                all.push(word.to_owned());
            }
        };
        let delays = self.delay_updates.unwrap_or(true);
        add(delays, "--delay-updates");
        add(delays, "-F");
        add(self.compress.unwrap_or(true), "--compress");
        if self.rsync_timeout > 0 {
            add(true, &format!("--timeout={}", self.rsync_timeout));
        }
        add(self.delete, "--delete-after");
        add(self.existing_only, "--existing");
        add(self.checksum, "--checksum");
        add(self.copy_links, "--copy-links");
        let archive = self.archive.unwrap_or(true);
        add(archive, "--archive");
        for (value, name) in [
            (self.recursive, "recursive"),
            (self.links, "links"),
            (self.perms, "perms"),
            (self.times, "times"),
            (self.owner, "owner"),
            (self.group, "group"),
        ] {
            match value {
                Some(false) if archive => add(true, &format!("--no-{name}")),
                Some(true) if !archive => add(true, &format!("--{name}")),
                _ => {}
            }
        }
        add(self.dirs, "--dirs");
        let is_far = !src.starts_with("rsync://")
            && !dest.starts_with("rsync://")
            && (src.contains(':') || dest.contains(':'));
        if is_far && !self.rsync_opts.iter().any(|word| word.contains("--rsh")) {
            all.push(quote(&format!("--rsh={}", self.ssh())));
        }
        match (&self.rsync_path, &self.r#become) {
            (Some(path), _) => all.push(quote(&format!("--rsync-path={path}"))),
            (None, Some(user)) if is_far => {
                all.push(quote(&format!("--rsync-path=sudo -u {user} rsync")));
            }
            _ => {}
        }
        all.extend(self.rsync_opts.iter().map(|word| quote(word)));
        if self.partial {
            all.push("--partial".into());
        }
        if !self.link_dest.is_empty() {
            all.extend(["-H".into(), "-vv".into()]);
            let to = self.link_dest.iter().map(|to| format!("--link-dest={to}"));
            all.extend(to.map(|word| quote(&word)));
        }
        all.push(quote(&format!("--out-format={MARK}%i %n%L")));
        for path in [src, dest] {
            all.push(if path.contains(':') {
                quote(&path)
            } else {
                super::path_state::word(&path)
            });
        }
        all
    }

    fn ssh(&self) -> String {
        let mut all = vec!["ssh".to_owned()];
        if !self.ssh_connection_multiplexing {
            all.extend(["-S".into(), "none".into()]);
        }
        if let Some(key) = &self.private_key {
            all.extend(["-i".into(), quote(key)]);
        }
        if let Some(port) = self.dest_port.or(self.port) {
            all.extend(["-o".into(), format!("Port={port}")]);
        }
        if self.verify_host == Some(false) {
            all.extend(
                [
                    "-o",
                    "StrictHostKeyChecking=no",
                    "-o",
                    "UserKnownHostsFile=/dev/null",
                ]
                .map(str::to_owned),
            );
        } else {
            // There is nobody whom `ssh` could ask.
            all.extend(["-o".into(), "BatchMode=yes".into()]);
        }
        if let Some(more) = self.ssh_args.as_deref().filter(|_| self.use_ssh_args) {
            all.push(more.to_owned());
        }
        all.join(" ")
    }

    /// What would be or was done, from the lines that `rsync` printed.
    fn result(&self, stdout: &str) -> Map {
        let clean = stdout.replace(MARK, "");
        let shown: Vec<String> = clean
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        fields([
            ("cmd", self.command().join(" ").into()),
            ("msg", clean.into()),
            ("rc", Value::Int(0)),
            ("stdout_lines", strings(shown)),
        ])
    }

    fn is_changed(&self, stdout: &str) -> bool {
        if self.link_dest.is_empty() {
            stdout.contains(MARK)
        } else {
            !stdout.contains(&format!("{MARK}."))
        }
    }

    fn failure(&self, reply: &Reply) -> Failure {
        Failure {
            msg: reply.stderr_text(),
            result: fields([
                ("cmd", self.command().join(" ").into()),
                ("rc", reply.rc.into()),
            ]),
            ..Failure::default()
        }
    }

    /// Whether all that changes is in `dest` on the machine that runs `rsync`.
    fn is_local(&self) -> bool {
        let (_, dest) = self.ends();
        !dest.contains(':')
    }
}

impl Module for Synchronize {
    const NAME: &'static str = "synchronize";
    const EFFECT: Effect = Effect::Converges;
    const LONG: bool = true;
    type Args = SynchronizeArgs;

    fn check(args: &SynchronizeArgs) -> Result<(), String> {
        if args.src.starts_with("rsync://") && args.dest.starts_with("rsync://") {
            return Err("either src or dest must be a localhost".into());
        }
        if args.src.starts_with('-') || args.dest.starts_with('-') {
            return Err("a path that begins with `-` would be an option of rsync".into());
        }
        if let Some(args) = &args.ssh_args {
            words::split(args)?;
        }
        Ok(())
    }

    fn probe(args: &SynchronizeArgs, _: &[Resolved]) -> Option<Script> {
        let mut command = args.command();
        command.insert(1, "--dry-run".into());
        Some(Script::new(format!(
            "command -v rsync >/dev/null || sb_fail 'Failed to find required executable \"rsync\" in paths: '\"$PATH\"\n\
             exec {}\n",
            command.join(" ")
        )))
    }

    fn decide(args: &SynchronizeArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let reply = &seen[0];
        if reply.rc != 0 {
            return Err(args.failure(reply));
        }
        let stdout = reply.stdout_text();
        let result = args.result(&stdout);
        if !args.is_changed(&stdout) {
            return Ok(Decision::Unchanged(Outcome::ok(result)));
        }
        let count = stdout.matches(MARK).count();
        // What rsync overwrites and removes goes to the keep, what is new is listed there. Only on
        // its own side can it be taken back from here.
        let (acts, undo) = if args.is_local() {
            (local_apply(args), local_undo(args))
        } else {
            let apply = format!("exec {}\n", args.command().join(" "));
            let undo = Undo::Unknown("rsync wrote on another machine than the one it ran on");
            (apply, undo)
        };
        Ok(Decision::Change(Change {
            summary: format!(
                "rsync `{}` to `{}`: {}",
                args.src,
                args.dest,
                if count == 1 {
                    "1 change".into()
                } else {
                    format!("{count} changes")
                }
            ),
            diff: vec![super::Diff {
                before_header: String::new(),
                after_header: args.dest.clone(),
                before: String::new(),
                after: stdout.replace(MARK, ""),
            }],
            acts: vec![Act::script(acts)],
            undo,
            foretell: Foretell::Changed(result),
        }))
    }

    fn finish(
        args: &SynchronizeArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        if reply.rc != 0 {
            return Err(Failure {
                is_changed: true,
                ..args.failure(reply)
            });
        }
        let stdout = reply.stdout_text();
        let result = args.result(&stdout);
        Ok(if args.is_changed(&stdout) {
            Outcome::changed(result)
        } else {
            Outcome::ok(result)
        })
    }
}

/// The old destination is kept as a tree of hard links, which costs no space: rsync replaces files
/// by renaming. Modes, owners and times are changed in place, so they are listed beside it. Where
/// rsync is told to write in place, or links cannot be made, it is a real copy.
fn local_apply(args: &SynchronizeArgs) -> String {
    let in_place = ["--inplace", "--append", "--write-devices", "--preallocate"];
    let links = args
        .rsync_opts
        .iter()
        .all(|word| !in_place.iter().any(|option| word.starts_with(option)));
    let linked = if links {
        "cp -al \"$SB_p\" \"$SB_KEEP/1\" 2>/dev/null || { rm -rf \"$SB_KEEP/1\"; cp -a \"$SB_p\" \"$SB_KEEP/1\"; }"
    } else {
        "cp -a \"$SB_p\" \"$SB_KEEP/1\""
    };
    format!(
        "SB_p={}\nSB_p=${{SB_p%/}}\nsb_keep_dir\n\
         if [ ! -e \"$SB_KEEP/1.ok\" ] && [ ! -e \"$SB_KEEP/1.none\" ] && [ -d \"$SB_p\" ] && [ ! -L \"$SB_p\" ]; then\n\
         rm -rf \"$SB_KEEP/1\"\n\
         {linked} && (cd \"$SB_p\" && find . -exec stat -c '%a %u:%g %Y %n\n//' {{}} +) >\"$SB_KEEP/1.meta\" ||\n\
         sb_fail \"cannot keep a copy of \\`$SB_p\\` in \\`$SB_KEEP\\`: nothing was changed\"\n\
         printf '' >\"$SB_KEEP/1.ok\"\n\
         else sb_keep 1 \"$SB_p\"\nfi\n{}\n",
        super::path_state::word(&args.dest),
        args.command().join(" ")
    )
}

fn local_undo(args: &SynchronizeArgs) -> Undo {
    const RESTORE: &str = "SB_record=\ncd \"$SB_p\" || exit 1\n\
         while IFS= read -r SB_line; do\n\
         if [ \"$SB_line\" != // ]; then SB_record=$SB_record${SB_record:+\n}$SB_line; continue; fi\n\
         SB_rest=${SB_record#* * * }\nset -- $SB_record\nSB_record=\n\
         [ \"$(stat -c '%a %u:%g %Y' \"$SB_rest\")\" != \"$1 $2 $3\" ] || continue\n\
         chown -h \"$2\" \"$SB_rest\" || exit 1\n[ ! -L \"$SB_rest\" ] || continue\n\
         chmod \"$1\" \"$SB_rest\" && touch -d \"@$3\" \"$SB_rest\" || exit 1\n\
         done <\"$SB_KEEP/1.meta\"";
    let sh = format!(
        "SB_p={}\nSB_p=${{SB_p%/}}\n\
         if [ -e \"$SB_KEEP/1.none\" ]; then\nrm -rf \"$SB_p\" || sb_fail \"cannot remove \\`$SB_p\\`\"\n\
         elif [ -d \"$SB_KEEP/1\" ] && [ ! -L \"$SB_KEEP/1\" ]; then\n\
         rsync -aHAX --delete \"$SB_KEEP/1/\" \"$SB_p/\" || sb_fail \"cannot restore \\`$SB_p\\`\"\n\
         set -f\n({RESTORE}\n) || sb_fail \"cannot give everything in \\`$SB_p\\` its mode, owner and time back\"\n\
         else sb_back 1 \"$SB_p\"\nfi\n",
        super::path_state::word(&args.dest)
    );
    Undo::Acts {
        summary: format!("give `{}` back as it was", args.dest),
        acts: vec![Act::Script {
            on: args.on.clone(),
            script: Script::new(sh),
        }],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, World, in_each_shell};
    use super::super::trial::Trial;
    use super::*;

    fn tree(world: &World) {
        for name in HOSTILE {
            world.file(&format!("from here/{name}"), format!("new {name}"), 0o640);
            world.file(&format!("to/sub/{name}"), "theirs", 0o600);
        }
        world.file("to/plain", "old", 0o604);
        world.file("from here/sub/plain", "deep", 0o600);
        world.link("from here/link", "plain");
        // The same content with another mode: rsync changes it in place.
        world.file("from here/same\nname", "same", 0o640);
        world.file("to/same\nname", "same", 0o611);
    }

    #[test]
    fn a_tree_is_brought_once_and_taken_back() {
        in_each_shell(|world| {
            tree(world);
            for delete in [false, true] {
                let args = json!({"src": format!("{}/", world.at("from here")), "dest": world.at("to"), "delete": delete});
                let cycle = world.cycle("synchronize", &args, &[]);
                for name in HOSTILE {
                    assert!(cycle.after.contains_key(&format!("to/{name}")), "{name}");
                }
                assert_eq!(cycle.after.contains_key("to/sub/a b"), !delete);
                assert_eq!(cycle.outcome.result["rc"], Value::Int(0));
                let told = cycle.outcome.result["msg"].as_str().unwrap().to_owned();
                assert!(told.contains(">f") && !told.contains(MARK), "{told}");
            }
            let args =
                json!({"src": world.at("from here"), "dest": format!("{}/", world.at("it's new"))});
            let cycle = world.cycle("synchronize", &args, &[]);
            assert!(cycle.after.contains_key("it's new/from here/link"));
        });
    }

    #[test]
    fn a_failure_is_what_rsync_says() {
        in_each_shell(|world| {
            let args = json!({"src": world.at("no"), "dest": world.at("to")});
            let failure = world.refuses("synchronize", &args);
            assert!(failure.msg.contains("No such file"), "{}", failure.msg);
            assert_eq!(failure.result["rc"], Value::Int(23));
        });
        let refusal = Trial::refusal::<Synchronize>(json!({"src": "-x", "dest": "/y"}));
        assert!(refusal.contains("begins with `-`"), "{refusal}");
    }

    #[test]
    fn the_other_end_is_reached_as_ansible_reaches_it() {
        let args = |value: serde_json::Value| -> SynchronizeArgs {
            crate::value::from_value(&Value::from_json(value)).unwrap()
        };
        let push = args(
            json!({"src": "/a", "dest": "/b c", "archive": false, "times": true,
            "_sync_host": "u@h", "_sync_port": 2222, "_sync_become": "db", "rsync_opts": ["--exclude=*.x"]}),
        );
        assert_eq!(
            push.command().join(" "),
            "rsync --delay-updates -F --compress --times \
             '--rsh=ssh -S none -o Port=2222 -o BatchMode=yes' '--rsync-path=sudo -u db rsync' \
             '--exclude=*.x' '--out-format=<<CHANGED>>%i %n%L' /a 'u@h:/b c'"
        );
        let pull = args(
            json!({"src": "/a", "dest": "/b", "mode": "pull", "owner": false,
            "verify_host": false, "compress": false, "delay_updates": false, "_sync_host": "h"}),
        );
        assert_eq!(
            pull.command().join(" "),
            "rsync --archive --no-owner \
             '--rsh=ssh -S none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null' \
             '--out-format=<<CHANGED>>%i %n%L' h:/a /b"
        );
    }
}
