//! `fetch`: brings a file of the host to the controller.
//!
//! Source: ansible-core 2.19, `plugins/action/fetch.py`. Invariant: where the file is saved follows
//! from the task's own words and the inventory name alone, never from what a host answers.

use super::path_state::{basename, failure, word};
use super::put::sha1_hex;
use super::{
    Act, Change, Decision, Effect, Failure, Foretell, Input, InputKind, Module, Outcome, Resolved,
    Undo, slurp,
};
use crate::script::{Reply, Script};
use crate::value::{Map, Value};

/// Brings a file of the host to the controller.
///
/// # Returns
/// * `dest`: the file on the controller.
/// * `checksum`: its SHA-1.
/// * `remote_checksum`: the SHA-1 on the host.
/// * `md5sum`: its MD5.
/// * `file`: the file on the host.
///
/// # Example
/// ```yaml
/// - fetch:
///     src: /etc/hostname
///     dest: fetched/
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Fetch;

/// Arguments of `fetch`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FetchArgs {
    /// The file on the host.
    src: String,
    /// Where it is saved: a folder that gets one for each host, or with `flat` the file itself (or
    /// its folder, with a `/` at the end).
    dest: String,
    /// Whether a file that cannot be had is a failure. Default true.
    fail_on_missing: Option<bool>,
    /// Whether what arrived is compared with its checksum on the host. Default true.
    validate_checksum: Option<bool>,
    /// Whether the host and the path stay out of the name.
    #[serde(default)]
    flat: bool,
    /// Set by the engine: the inventory name of the host.
    #[serde(rename = "_inventory_hostname", default)]
    inventory_hostname: String,
}

/// The MD5 of the file; null where the host cannot tell, as in Ansible under FIPS.
fn md5sum(reply: &Reply) -> Value {
    let md5 = reply.fields().get("md5").cloned();
    md5.map_or(Value::Null, Value::from)
}

impl FetchArgs {
    /// Where the file is saved.
    fn local_path(&self) -> Result<String, String> {
        let names = self.src.trim_start_matches(['~', '/']).split('/');
        let names: Vec<&str> = names.filter(|name| !matches!(*name, "" | ".")).collect();
        if names.is_empty() || names.contains(&"..") {
            return Err(format!(
                "`src: {}` has `..` or no name in it, so that it does not say where to save the file",
                self.src
            ));
        }
        if self.flat {
            return Ok(match self.dest.strip_suffix('/') {
                Some(folder) => format!("{folder}/{}", basename(&self.src)),
                None => self.dest.clone(),
            });
        }
        let host = &self.inventory_hostname;
        if host.is_empty() || host.contains('/') || host == ".." || host == "." {
            return Err(format!(
                "the host name `{host}` cannot be the name of a folder"
            ));
        }
        Ok(format!(
            "{}/{host}/{}",
            self.dest.trim_end_matches('/'),
            names.join("/")
        ))
    }

    fn missing(&self, msg: &str, path: &str) -> Result<Decision, Failure> {
        let file = Map::from([("file".into(), Value::from(path))]);
        if self.fail_on_missing.unwrap_or(true) {
            return Err(Failure {
                result: file,
                ..Failure::new(msg)
            });
        }
        // Of a directory Ansible tells no more than that.
        let is_told = msg.ends_with("ignored");
        let mut result = if is_told { file } else { Map::new() };
        let tail = if is_told {
            ""
        } else {
            ", not transferring, ignored"
        };
        result.insert("msg".into(), format!("{msg}{tail}").into());
        Ok(Decision::Unchanged(Outcome::ok(result)))
    }
}

impl Module for Fetch {
    const NAME: &'static str = "fetch";
    const EFFECT: Effect = Effect::Reads;
    type Args = FetchArgs;

    fn check(args: &FetchArgs) -> Result<(), String> {
        if args.src.is_empty() || args.dest.is_empty() {
            return Err("src and dest are required".to_owned());
        }
        Ok(())
    }

    fn inputs(args: &FetchArgs) -> Vec<Input> {
        args.local_path().map_or_else(
            |_| Vec::new(),
            |path| {
                vec![Input {
                    path,
                    folder: "",
                    kind: InputKind::Output,
                }]
            },
        )
    }

    fn probe(args: &FetchArgs, inputs: &[Resolved]) -> Option<Script> {
        let local = inputs.first().map_or("", |input| &input.sha1);
        Some(Script::new(format!(
            "SB_p={}\nif [ ! -d \"$SB_p\" ]; then\n\
             sb_sum f \"$SB_p\"\n\
             if [ -r \"$SB_p\" ]; then SB_md5=$(md5sum <\"$SB_p\" 2>/dev/null) && sb_kv md5 \"${{SB_md5%% *}}\"; fi\nfi\n\
             if [ -n \"${{SB_sum-}}\" ] && [ \"$SB_sum\" = '{local}' ]; then sb_kv path \"$SB_p\"\nelse\n{}fi\n",
            word(&args.src),
            slurp::READ
        )))
    }

    fn decide(args: &FetchArgs, inputs: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        args.local_path().map_err(Failure::new)?;
        let (reply, input) = (&seen[0], &inputs[0]);
        let fields = reply.fields();
        let path = fields.get("path").unwrap_or(&args.src);
        match fields.get("why").map(String::as_str) {
            Some("directory") => {
                return args.missing(
                    "remote file is a directory, fetch cannot work on directories",
                    path,
                );
            }
            Some("missing") => {
                return args.missing(
                    "the remote file does not exist, not transferring, ignored",
                    path,
                );
            }
            Some(_) => {
                return args.missing(
                    "the remote file is not readable, not transferring, ignored",
                    path,
                );
            }
            None if reply.rc != 0 => return Err(failure("cannot read the file", reply)),
            None => {}
        }
        let dest = input.path.to_string_lossy().into_owned();
        if input.tree.is_some() {
            return Err(Failure::new(format!(
                "dest is an existing directory, use a trailing slash if you want to fetch src into that directory: {dest}"
            )));
        }
        let remote = fields.get("f.sha1").cloned().unwrap_or_default();
        if remote == input.sha1 && !remote.is_empty() {
            return Ok(Decision::Unchanged(Outcome::ok(Map::from([
                ("dest".into(), dest.into()),
                ("checksum".into(), remote.into()),
                ("file".into(), path.clone().into()),
                ("md5sum".into(), md5sum(reply)),
            ]))));
        }
        let arrived = sha1_hex(reply.body());
        if args.validate_checksum.unwrap_or(true) && arrived != remote {
            let mut failed = Failure::new("checksum mismatch");
            failed.result.insert("file".into(), path.clone().into());
            failed.result.insert("dest".into(), dest.into());
            failed.result.insert("checksum".into(), arrived.into());
            failed
                .result
                .insert("remote_checksum".into(), remote.into());
            return Err(failed);
        }
        Ok(Decision::Change(Change {
            summary: format!("save `{path}`, {} bytes, as `{dest}`", reply.body().len()),
            diff: Vec::new(),
            acts: vec![Act::Save {
                path: dest,
                reply: 0,
            }],
            undo: Undo::NotNeeded,
            foretell: Foretell::Skipped(
                "check mode not (yet) supported for this module".to_owned(),
            ),
        }))
    }

    fn finish(
        _: &FetchArgs,
        inputs: &[Resolved],
        seen: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        let checksum = sha1_hex(seen[0].body());
        let remote = seen[0].fields().get("f.sha1").cloned().unwrap_or_default();
        Ok(Outcome::changed(Map::from([
            (
                "dest".into(),
                inputs[0].path.to_string_lossy().as_ref().into(),
            ),
            ("md5sum".into(), md5sum(&seen[0])),
            ("checksum".into(), checksum.into()),
            ("remote_checksum".into(), remote.into()),
            ("remote_md5sum".into(), Value::Null),
        ])))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Resolved;
    use super::super::testing::{HOSTILE, in_each_shell};
    use super::FetchArgs;
    use crate::value::{Value, from_value};

    #[test]
    fn the_local_name_stays_below_its_folder() {
        for (src, dest, flat, expected) in [
            ("/etc/motd", "out", false, Some("out/h1/etc/motd")),
            ("~/x y", "/out/", false, Some("/out/h1/x y")),
            ("/etc/motd", "out/", true, Some("out/motd")),
            ("/etc/motd", "out/name", true, Some("out/name")),
            ("/etc/../../x", "out", false, None),
            ("../x", "out/", true, None),
            ("/", "out", false, None),
        ] {
            let args = json!({"src": src, "dest": dest, "flat": flat, "_inventory_hostname": "h1"});
            let args: FetchArgs = from_value(&Value::from_json(args)).unwrap();
            assert_eq!(args.local_path().ok().as_deref(), expected, "{src}");
        }
        let args = json!({"src": "/x", "dest": "out", "_inventory_hostname": "../h1"});
        let args: FetchArgs = from_value(&Value::from_json(args)).unwrap();
        assert!(args.local_path().is_err());
    }

    #[test]
    fn files_of_all_names_are_saved_once() {
        in_each_shell(|world| {
            for name in HOSTILE {
                world.file(name, b"a\0b\xff\n\nc", 0o600);
                let local = world.root().join("../saved").join(name);
                let mut input = Resolved {
                    path: local.clone(),
                    ..Resolved::default()
                };
                let args =
                    json!({"src": world.at(name), "dest": "saved", "_inventory_hostname": "h1"});
                let (_, outcome) = world.change("fetch", &args, std::slice::from_ref(&input));
                assert_eq!(std::fs::read(&local).unwrap(), b"a\0b\xff\n\nc");
                let outcome = outcome.unwrap();
                input.sha1 = outcome.result["checksum"].as_str().unwrap().to_owned();
                assert_eq!(
                    outcome.result["remote_checksum"],
                    outcome.result["checksum"]
                );
                world.unchanged("fetch", &args, &[input]);
            }
            let args = json!({"src": world.at("none"), "dest": "saved", "_inventory_hostname": "h1", "fail_on_missing": false});
            let outcome = world.unchanged("fetch", &args, &[Resolved::default()]);
            assert!(
                outcome.result["msg"]
                    .as_str()
                    .unwrap()
                    .contains("does not exist")
            );
            let args = json!({"src": world.at(""), "dest": "saved", "_inventory_hostname": "h1"});
            let failure = world
                .decide("fetch", &args, &[Resolved::default()])
                .unwrap_err();
            assert!(failure.msg.contains("is a directory"));
        });
    }
}
