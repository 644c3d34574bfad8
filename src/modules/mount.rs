//! `mount`: brings about that something is mounted, and in `fstab`, or is not.
//!
//! Source: ansible.posix, `plugins/modules/mount.py`, `main`.

use std::fmt::Write as _;

use super::file_args::{Settled, word_of_seen};
use super::file_tree::{make_directories, missing};
use super::fstab::{self, Entry, Mount as Mounted};
use super::path_state::{Kind, Node, failure, word};
use super::put::{Landed, Put, Side, check_replies, content_diff};
use super::{
    Act, Change, Decision, Diff, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Brings about that something is mounted, and in `fstab`, or is not.
///
/// # Returns
/// * `name`: the mount point.
/// * `src`: what is mounted.
/// * `fstype`: the file system.
/// * `opts`: the options.
/// * `fstab`: the file that was kept.
/// * `dump`: the field for `dump`.
/// * `passno`: the field for `fsck`.
///
/// # Example
/// ```yaml
/// - mount:
///     path: /mnt/backup
///     src: /dev/sdb1
///     fstype: ext4
///     state: mounted
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Mount;

/// Arguments of `mount`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MountArgs {
    /// The mount point.
    #[serde(alias = "name")]
    path: String,
    /// What is to be the case.
    state: State,
    /// What is mounted: a device, `UUID=…`, a network share.
    src: Option<String>,
    /// File system type.
    fstype: Option<String>,
    /// Options. Default `defaults`.
    opts: Option<String>,
    /// Whether `opts` stays out of results and summaries.
    #[serde(default)]
    opts_no_log: bool,
    /// Dump frequency. Default `0`.
    dump: Option<String>,
    /// Order of checks at boot. Default `0`.
    passno: Option<String>,
    /// The file to use instead of `/etc/fstab`.
    fstab: Option<String>,
    /// Whether it is mounted at boot; `false` adds `noauto`. Default true.
    boot: Option<bool>,
    /// Whether a copy of the old `fstab` is left beside it.
    #[serde(default)]
    backup: bool,
}

/// What is to be the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Not mounted, not in `fstab`, no mount point.
    Absent,
    /// Not in `fstab`.
    AbsentFromFstab,
    /// Not mounted and not in `fstab`.
    AbsentMount,
    /// Mounted and in `fstab`.
    Mounted,
    /// In `fstab`.
    Present,
    /// Not mounted.
    Unmounted,
    /// Mounted anew, always.
    Remounted,
    /// Mounted, without `fstab`.
    Ephemeral,
}

/// What the probe saw.
struct Sight {
    path: String,
    real: String,
    fstab: String,
    fstab_node: Option<Node>,
    text: String,
    mounted: Option<Mounted>,
    is_there: bool,
    missing: Vec<String>,
}

/// Scripts and words as they are collected.
#[derive(Default)]
struct Steps {
    apply: String,
    undo: String,
    words: Vec<String>,
    diff: Vec<Diff>,
    /// Why there is no way back, where there is none.
    unknown: Option<&'static str>,
}

impl MountArgs {
    fn opts(&self) -> String {
        let opts = self.opts.as_deref().unwrap_or("defaults");
        if self.boot.unwrap_or(true) || opts.split(',').any(|opt| opt == "noauto") {
            opts.to_owned()
        } else {
            format!("{opts},noauto")
        }
    }

    fn entry<'a>(&'a self, sight: &'a Sight, opts: &'a str) -> Entry<'a> {
        Entry {
            src: self.src.as_deref().unwrap_or_default(),
            path: &sight.path,
            fstype: self.fstype.as_deref().unwrap_or_default(),
            opts,
            dump: self.dump.as_deref().unwrap_or("0"),
            passno: self.passno.as_deref().unwrap_or("0"),
        }
    }

    fn result(&self, sight: &Sight) -> Map {
        let opts = if self.opts_no_log {
            crate::value::MASK.to_owned()
        } else {
            self.opts()
        };
        let mut result = Map::from([
            ("name".into(), sight.path.as_str().into()),
            ("opts".into(), opts.into()),
            ("dump".into(), self.dump.as_deref().unwrap_or("0").into()),
            (
                "passno".into(),
                self.passno.as_deref().unwrap_or("0").into(),
            ),
            ("fstab".into(), sight.fstab.as_str().into()),
            (
                "boot".into(),
                if self.boot.unwrap_or(true) {
                    "yes"
                } else {
                    "no"
                }
                .into(),
            ),
            ("backup_file".into(), "".into()),
        ]);
        for (name, value) in [("src", &self.src), ("fstype", &self.fstype)] {
            if let Some(value) = value {
                result.insert(name.into(), Value::from(value.as_str()));
            }
        }
        result
    }

    /// Writes `fstab`, keeping the old one under number 1.
    fn write(&self, sight: &Sight, text: &str, steps: &mut Steps) -> Result<(), Failure> {
        let put = Put {
            is_backed_up: self.backup,
            ..Put::new(
                &sight.fstab,
                text.as_bytes().to_vec(),
                sight.fstab_node.as_ref(),
                Settled::default(),
            )
        };
        let Act::Script { script, .. } = put.act()? else {
            return Err(Failure::new(format!("`{}` is too big", sight.fstab)));
        };
        // In a subshell: what it does to umask and descriptors ends with it.
        let _ = writeln!(steps.apply, "(\n{}) || exit 1", script.sh);
        steps.undo.push_str(&put.undo());
        steps.words.push(put.summary());
        let before = sight
            .fstab_node
            .as_ref()
            .map_or(Side::Absent, |_| Side::Bytes(sight.text.as_bytes()));
        let mut diff = content_diff(
            (&sight.fstab, before),
            (&sight.fstab, Side::Bytes(text.as_bytes())),
        );
        if self.opts_no_log {
            diff.before.clear();
            " [[ Diff output has been hidden because 'opts_no_log: true' was specified ]]\n"
                .clone_into(&mut diff.after);
        }
        steps.diff.push(diff);
        Ok(())
    }

    /// The command that mounts, by `fstab` or without it.
    fn mount(&self, sight: &Sight) -> String {
        let path = word_of_seen(&sight.path);
        if self.state != State::Ephemeral {
            return format!("mount{} {path}", table(&sight.fstab));
        }
        let opts = self.opts();
        let options = if opts == "defaults" {
            String::new()
        } else {
            format!(" -o {}", quote(&opts))
        };
        format!(
            "mount -t {}{options} {} {path}",
            quote(self.fstype.as_deref().unwrap_or("auto")),
            word_of_seen(self.src.as_deref().unwrap_or_default())
        )
    }

    /// Mounts anew: `remount`, and where that is refused, unmounts and mounts.
    fn remount(&self, sight: &Sight, steps: &mut Steps) {
        let path = word_of_seen(&sight.path);
        let opts = self.opts();
        let more = if self.state == State::Remounted && opts != "defaults" {
            format!(",{opts}")
        } else {
            String::new()
        };
        let table = if self.state == State::Ephemeral {
            String::new()
        } else {
            table(&sight.fstab)
        };
        let command = match (&self.state, &self.src, &self.fstype) {
            (State::Ephemeral, Some(src), Some(fstype)) => {
                let options = if opts == "defaults" {
                    String::new()
                } else {
                    format!(",{opts}")
                };
                format!(
                    "mount -o {} -t {} {} {path}",
                    quote(&format!("remount{options}")),
                    quote(fstype),
                    word_of_seen(src)
                )
            }
            _ => format!(
                "mount -o {}{table} {path}",
                quote(&format!("remount{more}"))
            ),
        };
        if more.is_empty() {
            let _ = writeln!(
                steps.apply,
                "{command} || {{ umount {path} && {}; }} || sb_fail 'cannot mount it anew'",
                self.mount(sight)
            );
        } else {
            let _ = writeln!(
                steps.apply,
                "{command} || sb_fail 'options were specified with remounted, but the remount command failed'"
            );
        }
        if let Some(old) = &sight.mounted {
            let _ = writeln!(
                steps.undo,
                "mount -o {} {path} || sb_fail 'cannot give the mount its options back'",
                quote(&format!("remount,{}", old.opts))
            );
        }
        steps.words.push(format!("mount `{}` anew", sight.path));
    }

    fn unmount(sight: &Sight, old: &Mounted, steps: &mut Steps) {
        let path = word_of_seen(&sight.path);
        let _ = writeln!(
            steps.apply,
            "sb_keep_dir\nprintf '' >\"$SB_KEEP/unmounted\"\numount {path} || sb_fail 'cannot unmount'"
        );
        steps.words.push(format!(
            "unmount `{}` ({} of {})",
            sight.path, old.fstype, old.src
        ));
        let again = if fstab::has(&sight.text, &sight.path) {
            format!("mount{} {path}", table(&sight.fstab))
        } else if old.root == "/" || old.fstype == "btrfs" {
            let subvolume = if old.root == "/" {
                String::new()
            } else {
                format!(",subvol={}", old.root)
            };
            format!(
                "mount -t {} -o {} {} {path}",
                quote(&old.fstype),
                quote(&format!("{}{subvolume}", old.opts)),
                word_of_seen(&old.src)
            )
        } else {
            steps.unknown = Some("a bind mount that is not in fstab cannot be mounted again");
            return;
        };
        let _ = writeln!(
            steps.undo,
            "if [ -e \"$SB_KEEP/unmounted\" ] && ! sb_mounted {}; then {again} || sb_fail 'cannot mount again'; fi",
            quote(&fstab::kernel_path(&sight.real))
        );
    }

    fn mount_new(&self, sight: &Sight, steps: &mut Steps) {
        let mut undo = String::new();
        let bare = Settled {
            umask: 0o022,
            ..Settled::default()
        };
        make_directories(
            bare,
            &sight.missing,
            &mut steps.apply,
            &mut undo,
            2,
            &mut steps.words,
        );
        let taken_back = format!("{undo}{}", steps.undo);
        let _ = writeln!(
            steps.apply,
            "sb_keep_dir\nprintf '' >\"$SB_KEEP/mounted\"\n{} || {{\n{taken_back}sb_fail 'cannot mount'\n}}",
            self.mount(sight)
        );
        steps.words.push(format!("mount `{}`", sight.path));
        let unmount = format!(
            "if [ -e \"$SB_KEEP/mounted\" ] && sb_mounted {}; then umount {} || sb_fail 'cannot unmount'; fi\n",
            quote(&fstab::kernel_path(&sight.real)),
            word_of_seen(&sight.path)
        );
        steps.undo = format!("{unmount}{taken_back}");
    }

    fn steps(&self, sight: &Sight) -> Result<Steps, Failure> {
        let mut steps = Steps::default();
        let opts = self.opts();
        let entry = self.entry(sight, &opts);
        match self.state {
            State::Present | State::Mounted => {
                let new = fstab::set(&sight.text, &entry);
                if let Some(text) = &new {
                    self.write(sight, text, &mut steps)?;
                }
                match (self.state, &sight.mounted) {
                    (State::Present, _) => {}
                    (_, None) => self.mount_new(sight, &mut steps),
                    (_, Some(_)) if new.is_some() => self.remount(sight, &mut steps),
                    (_, Some(_)) => {}
                }
            }
            State::AbsentFromFstab | State::AbsentMount | State::Absent => {
                if let Some(text) = fstab::unset(&sight.text, &sight.path, self.src.as_deref()) {
                    self.write(sight, &text, &mut steps)?;
                    self.remove(sight, &mut steps);
                }
            }
            State::Unmounted => {
                if let Some(old) = &sight.mounted {
                    Self::unmount(sight, old, &mut steps);
                }
            }
            State::Remounted => {
                if sight.mounted.is_none() {
                    return Err(Failure::new(format!(
                        "`{}` is not mounted, so that it cannot be mounted anew",
                        sight.path
                    )));
                }
                self.remount(sight, &mut steps);
            }
            State::Ephemeral => match &sight.mounted {
                None => self.mount_new(sight, &mut steps),
                Some(old) if Some(old.src.as_str()) == self.src.as_deref() => {
                    self.remount(sight, &mut steps);
                }
                Some(_) => {
                    return Err(Failure::new(
                        "Ephemeral mount point is already mounted with a different source than the specified one. \
                         Failing in order to prevent an unwanted unmount or override operation.",
                    ));
                }
            },
        }
        Ok(steps)
    }

    /// After `fstab`: the mount and its directory.
    fn remove(&self, sight: &Sight, steps: &mut Steps) {
        if self.state == State::AbsentFromFstab {
            return;
        }
        if let Some(old) = &sight.mounted {
            Self::unmount(sight, old, steps);
        }
        if self.state == State::Absent && sight.is_there {
            let path = word_of_seen(&sight.path);
            // Looked at only now: while it was mounted this was another directory.
            let _ = writeln!(
                steps.apply,
                "! sb_mounted {} || sb_fail 'something is still mounted there'\n\
                 SB_x=$(ls -A {path}); [ -z \"$SB_x\" ] || sb_fail 'the mount point has files in it: left as it is'\n\
                 sb_keep 2 {path}\nrmdir {path} || sb_fail 'cannot remove the mount point'",
                quote(&fstab::kernel_path(&sight.real))
            );
            steps.undo = format!("sb_back 2 {path}\n{}", steps.undo);
            steps
                .words
                .push(format!("remove the directory `{}`", sight.path));
        }
    }
}

fn table(fstab: &str) -> String {
    if fstab == "/etc/fstab" {
        String::new()
    } else {
        format!(" -T {}", word_of_seen(fstab))
    }
}

impl Sight {
    fn read(args: &MountArgs, reply: &Reply) -> Result<Self, Failure> {
        let fields = reply.fields();
        let Some(path) = fields.get("path").filter(|_| reply.rc == 0).cloned() else {
            return Err(failure("cannot look at the mounts", reply));
        };
        let body = String::from_utf8_lossy(reply.body()).into_owned();
        let (mountinfo, text) = body.split_once("//\n").unwrap_or((&body, ""));
        let real = fields
            .get("real")
            .filter(|real| !real.is_empty())
            .unwrap_or(&path)
            .clone();
        let real = if real.len() > 1 {
            real.trim_end_matches('/').to_owned()
        } else {
            real
        };
        let fstab = fields.get("fstab").cloned().or_else(|| args.fstab.clone());
        let fstab_node = Node::read("t", &fields);
        if fstab_node
            .as_ref()
            .is_some_and(|node| node.kind() == Kind::Directory)
        {
            return Err(Failure::new("`fstab` is a directory"));
        }
        Ok(Self {
            mounted: fstab::mounted(mountinfo, &real),
            text: text.to_owned(),
            fstab: fstab.unwrap_or_default(),
            fstab_node,
            is_there: fields.contains_key("is_there"),
            missing: missing(&fields),
            path,
            real,
        })
    }
}

impl Module for Mount {
    const NAME: &'static str = "mount";
    const EFFECT: Effect = Effect::Converges;
    type Args = MountArgs;

    fn check(args: &MountArgs) -> Result<(), String> {
        let needs_source = matches!(
            args.state,
            State::Mounted | State::Present | State::Ephemeral
        );
        if needs_source && (args.src.is_none() || args.fstype.is_none()) {
            return Err("state mounted, present and ephemeral need `src` and `fstype`".to_owned());
        }
        if args.path.is_empty() {
            return Err("`path` is empty".to_owned());
        }
        Ok(())
    }

    fn probe(args: &MountArgs, _: &[Resolved]) -> Option<Script> {
        Some(Script::new(format!(
            "SB_p={}\nSB_f={}\nif [ -L \"$SB_f\" ]; then SB_f=$(readlink -f \"$SB_f\"); fi\n\
             sb_kv path \"$SB_p\"\nsb_kv fstab \"$SB_f\"\nsb_see t \"$SB_f\"\n\
             if [ -d \"$SB_p\" ]; then sb_kv is_there 1\n\
             SB_x=$(readlink -f \"$SB_p\" && printf x); sb_kv real \"${{SB_x%?x}}\"\n\
             else sb_missing \"$SB_p\"; fi\n\
             sb_body\ncat /proc/self/mountinfo || sb_fail 'cannot read the mounts'\nprintf '//\\n'\n\
             if [ -e \"$SB_f\" ]; then cat \"$SB_f\"; fi\n",
            word(&args.path),
            word(args.fstab.as_deref().unwrap_or("/etc/fstab"))
        )))
    }

    fn decide(args: &MountArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let sight = Sight::read(args, &seen[0])?;
        let result = args.result(&sight);
        let steps = args.steps(&sight)?;
        if steps.apply.is_empty() {
            return Ok(Decision::Unchanged(Outcome::ok(result)));
        }
        let undo = match steps.unknown {
            Some(why) => Undo::Unknown(why),
            None => Undo::Acts {
                summary: format!(
                    "give the mount `{}` and fstab back as they were",
                    sight.path
                ),
                acts: vec![Act::script(steps.undo)],
            },
        };
        Ok(Decision::Change(Change {
            summary: steps.words.join(", "),
            diff: steps.diff,
            acts: vec![Act::script(steps.apply)],
            undo,
            foretell: Foretell::Changed(result),
        }))
    }

    fn finish(
        args: &MountArgs,
        _: &[Resolved],
        seen: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        check_replies("cannot change the mount", replies)?;
        let mut result = args.result(&Sight::read(args, &seen[0])?);
        Landed::read(replies).add_backup(&mut result);
        Ok(Outcome::changed(result))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, in_each_shell};
    use super::*;
    use crate::value::from_value;

    #[test]
    fn fstab_is_edited_and_given_back() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(name, "/dev/vda / ext4 defaults 0 1", 0o640);
                let mut args = json!({"path": "/mnt/a b", "src": "UUID=x", "fstype": "xfs", "state": "present", "fstab": world.at(name), "backup": true, "boot": false});
                let cycle = world.cycle("mount", &args, &[]);
                assert!(cycle.after[*name].starts_with("0640"));
                assert!(
                    cycle.after[*name].contains("UUID=x /mnt/a\\\\040b xfs defaults,noauto 0 0"),
                    "{:?}",
                    cycle.after
                );
                assert!(
                    cycle.outcome.result["backup_file"]
                        .as_str()
                        .unwrap()
                        .ends_with('~')
                );
                world.change("mount", &args, &[]).1.unwrap();
                args["state"] = json!("absent_from_fstab");
                world.cycle("mount", &args, &[]);
            }
        });
    }

    fn steps(args: serde_json::Value, mountinfo: &str, fstab: &str) -> Steps {
        let mut args = args;
        args["path"] = json!("/data");
        let args: MountArgs = from_value(&Value::from_json(args)).unwrap();
        let reply = Reply {
            stdout: format!("path=/data\nfstab=/etc/fstab\nt.stat=81a4 0 0 9 1 1 1 1 1 0 0 0 0 0\nis_there=1\nreal=/data\n\n{mountinfo}//\n{fstab}").into_bytes(),
            ..Reply::default()
        };
        args.steps(&Sight::read(&args, &reply).unwrap()).unwrap()
    }

    #[test]
    fn each_state_mounts_and_has_a_way_back() {
        const ON: &str = "30 22 254:2 / /data rw,noatime - ext4 /dev/vdb rw\n";
        const BIND: &str = "30 22 254:2 /sub /data rw - ext4 /dev/vdb rw\n";
        const TAB: &str = "/dev/vdb /data ext4 noatime 0 0\n";
        let full =
            json!({"state": "mounted", "src": "/dev/vdb", "fstype": "ext4", "opts": "noatime"});
        assert_eq!(steps(full.clone(), ON, TAB).apply, "");
        let new = steps(full.clone(), "", TAB);
        assert!(new.apply.contains("\nmount /data || {") && new.undo.contains("umount /data"));
        let edited = steps(full, ON, "");
        assert!(
            edited
                .apply
                .contains("mount -o remount /data || { umount /data && mount /data; }")
        );
        assert!(
            edited.undo.contains("sb_back 1 /etc/fstab")
                && edited.undo.contains("remount,rw,noatime")
        );
        let off = steps(json!({"state": "unmounted"}), ON, "");
        assert!(
            off.apply.contains("umount /data")
                && off
                    .undo
                    .contains("mount -t ext4 -o rw,noatime /dev/vdb /data")
        );
        assert_eq!(steps(json!({"state": "unmounted"}), "", TAB).apply, "");
        assert!(
            steps(json!({"state": "unmounted"}), BIND, "")
                .unknown
                .is_some()
        );
        assert!(
            steps(json!({"state": "unmounted"}), BIND, TAB)
                .undo
                .contains("then mount /data ||")
        );
        let gone = steps(json!({"state": "absent"}), ON, TAB);
        assert!(gone.apply.contains("umount /data") && gone.apply.contains("rmdir /data"));
        assert_eq!(steps(json!({"state": "absent"}), ON, "").apply, "");
        let anew = steps(json!({"state": "remounted", "opts": "ro"}), ON, TAB);
        assert!(
            anew.apply.contains("mount -o remount,ro /data")
                && anew.undo.contains("remount,rw,noatime")
        );
        let brief = steps(
            json!({"state": "ephemeral", "src": "tmpfs", "fstype": "tmpfs", "opts": "size=1m"}),
            "",
            TAB,
        );
        assert!(
            brief
                .apply
                .contains("mount -t tmpfs -o size=1m tmpfs /data")
                && !brief.apply.contains("sb_new")
        );
    }

    /// Needs root and the right to mount, as the lab does.
    #[test]
    fn a_file_system_is_really_mounted_and_unmounted() {
        in_each_shell(|world| {
            world.file("tab", "", 0o644);
            let mut args = json!({"path": world.at("a b/it"), "src": "tmpfs", "fstype": "tmpfs", "opts": "size=1m,noatime", "state": "mounted", "fstab": world.at("tab")});
            let cycle = world.cycle("mount", &args, &[]);
            assert!(
                cycle.after["a b/it"].starts_with("1777"),
                "{:?}",
                cycle.after
            );
            world.change("mount", &args, &[]).1.unwrap();
            for state in ["unmounted", "absent", "absent_mount"] {
                args["state"] = json!(state);
                world.cycle("mount", &args, &[]);
            }
            args["state"] = json!("remounted");
            args["opts"] = json!("ro");
            let (change, outcome) = world.change("mount", &args, &[]);
            outcome.unwrap();
            let file = world.root().join("a b/it/x");
            assert!(std::fs::write(&file, "y").is_err());
            world.undo(&change);
            std::fs::write(&file, "y").unwrap();
            args["state"] = json!("unmounted");
            world.change("mount", &args, &[]).1.unwrap();
        });
    }
}
