//! Modules that users write themselves: a program of `library/` that reads its arguments from a
//! file and prints a JSON object.
//!
//! Knows nothing of where such files are searched or whether they may be trusted: the loader puts
//! the file and its kind into the arguments. The program and its arguments lie in a folder that only
//! the user of the task can enter, and are gone when it ends. Source: ansible-core 2.19,
//! `executor/module_common.py` and `plugins/action/__init__.py`.

use serde::{Deserialize, Serialize};

use super::command::last;
use super::result::{fields, lines};
use super::{
    Act, Change, Decision, Effect, Failure, Foretell, Input, InputKind, Module, Outcome, Resolved,
    Source, Undo,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Runs a module of `library/`.
#[derive(schemars::JsonSchema)]
pub(super) struct LibraryModule;

/// The name in the registry, which stands for all of them.
pub const LIBRARY_MODULE: &str = "library_module";

/// How a module takes its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calling {
    /// A program; the path of a JSON file is its argument.
    Binary,
    /// A script that says `WANT_JSON`; the path of a JSON file is its argument.
    WantJson,
    /// A script; the path of a file with `key=value` words is its argument.
    KeyValue,
    /// A script in which a mark is replaced by the JSON text.
    Replaced,
    /// Python that imports `ansible.module_utils`: it runs where the host's Python has ansible-core.
    Python,
}

/// A program up to this size that is text travels in the script itself.
const EMBEDDED_BYTES_MAX: usize = 32 * 1024;

/// What is replaced by the arguments in a script of [`Calling::Replaced`].
const JSON_ARGS: &[u8] = b"<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>";

impl Calling {
    /// How the module with these bytes takes its arguments.
    ///
    /// # Errors
    /// Why it cannot be run without Python and ansible-core.
    pub fn of(bytes: &[u8]) -> Result<Self, &'static str> {
        let has = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
        let is_text = |byte: &u8| matches!(byte, 7..=10 | 12 | 13 | 27 | 0x20..=0x7e | 0x80..);
        if !bytes.iter().take(1024).all(is_text) {
            return Ok(Self::Binary);
        }
        let text = String::from_utf8_lossy(bytes);
        let imports = text.lines().map(str::trim_start).any(|line| {
            line.starts_with("from ansible.module_utils")
                || line.starts_with("import ansible.module_utils.")
                || line.starts_with("from ..") && line.contains("module_utils")
                || (line.starts_with("from ansible_collections.")
                    || line.starts_with("import ansible_collections."))
                    && line.contains(".module_utils")
        });
        if has(b"#<<INCLUDE_ANSIBLE_MODULE_COMMON>>") {
            return Err("it is of a kind that ansible-core no longer runs");
        }
        if imports {
            return Ok(Self::Python);
        }
        if has(b"# POWERSHELL_COMMON") || has(b"#Requires -Module") {
            return Err("it is a module for Windows");
        }
        let kind = if has(JSON_ARGS) {
            Self::Replaced
        } else if has(b"WANT_JSON") {
            Self::WantJson
        } else {
            Self::KeyValue
        };
        if !bytes.starts_with(b"#!") {
            return Err("it has no interpreter line (`#!/bin/sh`)");
        }
        Ok(kind)
    }
}

/// Arguments of a module of `library/`: its own, and what the loader adds.
#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(with = "serde_json::Map<String, serde_json::Value>")]
pub(super) struct LibraryModuleArgs {
    /// The module's name.
    #[serde(rename = "_module")]
    module: String,
    /// Its file on the controller.
    #[serde(rename = "_path")]
    path: String,
    /// How it takes its arguments.
    #[serde(rename = "_calling")]
    calling: Calling,
    /// The Python of the host, where its variables name one.
    #[serde(rename = "_python")]
    python: Option<String>,
    /// The user's arguments.
    #[serde(flatten)]
    own: Map,
}

impl LibraryModuleArgs {
    fn own(&self) -> serde_json::Map<String, serde_json::Value> {
        let added = ["_module", "_path", "_calling", "_python"];
        let own = self
            .own
            .iter()
            .filter(|(name, _)| !added.contains(&name.as_str()));
        own.map(|(name, value)| {
            let value = serde_json::to_value(value).unwrap_or_default();
            (name.clone(), value)
        })
        .collect()
    }

    /// The arguments as JSON, with those that ansible-core adds; `_ansible_tmpdir` is left to the
    /// host, which alone knows its folder.
    fn json(&self) -> String {
        let mut all = self.own();
        let empty = || serde_json::Value::Array(Vec::new());
        for (name, value) in [
            ("_ansible_check_mode", false.into()),
            ("_ansible_no_log", false.into()),
            ("_ansible_debug", false.into()),
            ("_ansible_diff", false.into()),
            ("_ansible_verbosity", 0.into()),
            ("_ansible_version", "2.19.14".into()),
            ("_ansible_module_name", self.module.as_str().into()),
            ("_ansible_syslog_facility", "LOG_USER".into()),
            ("_ansible_selinux_special_fs", empty()),
            ("_ansible_socket", serde_json::Value::Null),
            ("_ansible_shell_executable", "/bin/sh".into()),
            ("_ansible_keep_remote_files", false.into()),
            ("_ansible_remote_tmp", "~/.ansible/tmp".into()),
            ("_ansible_ignore_unknown_opts", false.into()),
            ("_ansible_target_log_info", "".into()),
            ("_ansible_tracebacks_for", empty()),
        ] {
            all.insert(name.to_owned(), value);
        }
        super::python_json::dumps(&serde_json::Value::Object(all))
    }

    /// The arguments as `key=value` words.
    fn words(&self) -> String {
        self.own()
            .iter()
            .map(|(name, value)| {
                let text = match value {
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Bool(true) => "True".to_owned(),
                    serde_json::Value::Bool(false) => "False".to_owned(),
                    serde_json::Value::Null => "None".to_owned(),
                    other => super::python_json::dumps(other),
                };
                format!("{name}={} ", quote(&text))
            })
            .collect()
    }

    /// The lines that put the program into a folder of its own: from the text of the script, or from
    /// its input.
    fn place(&self, folder: &str, text: Option<&str>, sha1: &str) -> String {
        let name = super::path_state::basename(&self.path);
        let write = match text {
            Some(text) => format!("printf %s {}", quote(text)),
            None => "cat".to_owned(),
        };
        format!(
            "sb_keep_dir\nSB_dir=$SB_KEEP/{folder}\nrm -rf \"$SB_dir\"\n\
             mkdir -m 700 \"$SB_dir\" || sb_fail \"cannot make \\`$SB_dir\\`\"\n\
             SB_file=$SB_dir/{}\n\
             (umask 077; {write} >\"$SB_file\") && chmod 700 \"$SB_file\" || sb_fail 'cannot write the module'\n\
             SB_sum=$(sha1sum <\"$SB_file\")\n\
             [ \"${{SB_sum%% *}}\" = {sha1} ] || sb_fail 'the module did not arrive whole: transfer failed'\n",
            quote(name)
        )
    }

    /// The lines that run it, and leave nothing of it behind.
    fn run(&self, folder: &str, program: &[u8]) -> String {
        let name = super::path_state::basename(&self.path);
        let mut sh = format!(
            "SB_dir=$SB_KEEP/{folder}\nSB_file=$SB_dir/{}\n\
             trap 'rm -rf \"$SB_dir\"' EXIT\ntrap 'exit 129' HUP\ntrap 'exit 130' INT\ntrap 'exit 143' TERM\n\
             SB_umask=$(umask)\numask 077\n",
            quote(name)
        );
        match self.calling {
            Calling::KeyValue => sh.push_str(&format!(
                "printf %s {} >\"$SB_dir/args\" || exit 1\n",
                quote(&self.words())
            )),
            Calling::Binary | Calling::WantJson | Calling::Python => {
                let json = self.json();
                let rest = json.strip_prefix('{').unwrap_or(&json);
                let (open, close) = match self.calling {
                    Calling::Python => ("{\"ANSIBLE_MODULE_ARGS\": {", "}"),
                    _ => ("{", ""),
                };
                sh.push_str(&format!(
                    "case $SB_dir in *[\\\"\\\\]*) sb_fail 'the home folder has a quote in its name' ;; esac\n\
                     printf '{open}\"_ansible_tmpdir\": \"%s/\", %s' \"$SB_dir\" {} >\"$SB_dir/args\" || exit 1\n",
                    quote(&format!("{rest}{close}"))
                ));
            }
            Calling::Replaced => {}
        }
        let args = if self.calling == Calling::Replaced {
            ""
        } else {
            " \"$SB_dir/args\""
        };
        sh.push_str("umask \"$SB_umask\"\n");
        if self.calling == Calling::Python {
            let python = self.python.as_deref().unwrap_or("python3");
            sh.push_str(&format!(
                "{} \"$SB_file\" \"$SB_dir/args\"\n",
                quote(python)
            ));
            return sh;
        }
        match interpreter(program).filter(|_| self.calling != Calling::Binary) {
            // Of hosts that have a Python at all, few have one by this name.
            Some((path, rest)) if path.ends_with("/python") => sh.push_str(&format!(
                "SB_run={0}\n[ -x \"$SB_run\" ] || SB_run=$(command -v python3) || SB_run={0}\n\
                 \"$SB_run\"{rest} \"$SB_file\"{args}\n",
                quote(&path)
            )),
            Some((path, rest)) => {
                sh.push_str(&format!("{}{rest} \"$SB_file\"{args}\n", quote(&path)));
            }
            None => sh.push_str(&format!("\"$SB_file\"{args}\n")),
        }
        sh
    }

    /// A short text travels in the script that runs it; else the program is brought first, so that
    /// what runs it outlives the connection in either case.
    fn acts(&self, source: Source, program: &[u8], sha1: &str) -> Vec<Act> {
        let text = match &source {
            Source::Bytes(bytes) => std::str::from_utf8(bytes)
                .ok()
                .filter(|text| text.len() <= EMBEDDED_BYTES_MAX && !text.contains('\0')),
            Source::File(_) => None,
        };
        if text.is_some() {
            // A task without an intent shares its keep with others of the same run.
            const OWN: &str = "module.$$";
            return vec![Act::script(
                self.place(OWN, text, sha1) + &self.run(OWN, program),
            )];
        }
        let bring = Script::new(self.place("module", None, sha1));
        vec![
            Act::Stream {
                script: bring,
                source,
            },
            Act::script(self.run("module", program)),
        ]
    }

    /// The bytes that travel, and their SHA-1.
    fn program(&self, input: &Resolved) -> (Source, Vec<u8>, String) {
        if self.calling == Calling::Replaced {
            let text = self.json();
            let mut bytes = Vec::new();
            let mut rest = input.bytes.as_slice();
            while let Some(at) = rest.windows(JSON_ARGS.len()).position(|w| w == JSON_ARGS) {
                bytes.extend_from_slice(&rest[..at]);
                bytes.extend_from_slice(text.as_bytes());
                rest = &rest[at + JSON_ARGS.len()..];
            }
            bytes.extend_from_slice(rest);
            let sha1 = super::put::sha1_hex(&bytes);
            return (Source::Bytes(bytes.clone()), bytes, sha1);
        }
        if input.bytes.len() as u64 == input.size {
            let bytes = input.bytes.clone();
            return (Source::Bytes(bytes.clone()), bytes, input.sha1.clone());
        }
        let head = input.bytes.clone();
        (Source::File(input.path.clone()), head, input.sha1.clone())
    }
}

/// The interpreter of a script and its one argument, as words for sh.
fn interpreter(program: &[u8]) -> Option<(String, String)> {
    let line = program.strip_prefix(b"#!")?;
    let end = line.iter().position(|byte| *byte == b'\n');
    let line = String::from_utf8_lossy(&line[..end.unwrap_or(line.len())]).into_owned();
    let line = line.trim();
    let (path, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let rest = match rest.trim() {
        "" => String::new(),
        rest => format!(" {}", quote(rest)),
    };
    (!path.is_empty()).then(|| (path.to_owned(), rest))
}

/// The JSON object in what a module printed: lines before it and after it do not count.
fn object(stdout: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    let lines: Vec<&str> = stdout.lines().collect();
    let start = lines.iter().position(|l| l.trim().starts_with('{'))?;
    let end = lines.iter().rposition(|l| l.trim().ends_with('}'))?;
    let text = lines.get(start..=end)?.join("\n");
    let mut told = serde_json::from_str(&text).ok()?;
    strip(&mut told);
    match told {
        serde_json::Value::Object(object) => Some(object),
        _ => None,
    }
}

/// Whether a fact of this name would say how a host is reached: that is never the host's to say.
fn is_steering(name: &str) -> bool {
    let short = name.strip_prefix("ansible_").unwrap_or(name);
    matches!(
        short,
        "host"
            | "port"
            | "user"
            | "password"
            | "connection"
            | "private_key_file"
            | "timeout"
            | "host_key_checking"
            | "async_dir"
            | "remote_tmp"
            | "pipelining"
            | "delegated_vars"
            | "playbook_python"
            | "rsync_path"
    ) || [
        "ssh_",
        "become",
        "shell_",
        "paramiko_",
        "sudo_",
        "su_",
        "winrm_",
        "sftp_",
        "scp_",
    ]
    .iter()
    .any(|start| short.starts_with(start))
        || short.ends_with("_interpreter")
        || name == "inventory_hostname"
        || name == "hostvars"
        || name == "groups"
}

/// Takes out what is between ansible-core and a module only.
fn strip(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|name, _| !name.starts_with("_ansible_"));
            map.values_mut().for_each(strip);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// What a module that printed this object has done.
fn judged(
    object: serde_json::Map<String, serde_json::Value>,
    module: &str,
) -> Result<Outcome, Failure> {
    let Value::Map(told) = Value::from_json(serde_json::Value::Object(object)) else {
        return Err(Failure::new(format!("`{module}` told nothing")));
    };
    let mut result: Map = (*told).clone();
    let is_true = |value: Option<Value>| value.and_then(|v| v.to_bool()) == Some(true);
    let is_changed = is_true(result.shift_remove("changed"));
    let failed = result.shift_remove("failed");
    let rc_is_bad = result
        .get("rc")
        .is_some_and(|rc| rc.as_int().is_some_and(|rc| rc != 0));
    let is_failed = match failed {
        None => rc_is_bad,
        said => is_true(said),
    };
    for name in ["stdout", "stderr"] {
        let with_lines = format!("{name}_lines");
        if let Some(text) = result.get(name).and_then(Value::as_str)
            && !result.contains_key(&with_lines)
        {
            let split = lines(text);
            result.insert(with_lines, split);
        }
    }
    if is_failed {
        let msg = match result.shift_remove("msg") {
            Some(Value::Str(text)) => text.as_str().to_owned(),
            Some(other) => serde_json::to_value(&other).unwrap_or_default().to_string(),
            None => String::new(),
        };
        return Err(Failure {
            msg,
            is_changed,
            result,
            ..Failure::default()
        });
    }
    let facts = match result.shift_remove("ansible_facts") {
        Some(Value::Map(facts)) => (*facts).clone(),
        _ => Map::new(),
    };
    let facts = facts
        .into_iter()
        .filter(|(name, _)| !is_steering(name))
        .collect();
    let skipped = is_true(result.shift_remove("skipped")).then(|| {
        let msg = result.get("msg").and_then(Value::as_str);
        msg.unwrap_or_default().to_owned()
    });
    Ok(Outcome {
        is_changed,
        skipped,
        result,
        facts,
        same: None,
    })
}

impl Module for LibraryModule {
    const NAME: &'static str = LIBRARY_MODULE;
    const EFFECT: Effect = Effect::Once;
    const LONG: bool = true;
    const OPEN: bool = true;
    type Args = LibraryModuleArgs;

    fn inputs(args: &LibraryModuleArgs) -> Vec<Input> {
        vec![Input {
            path: args.path.clone(),
            folder: "library",
            kind: match args.calling {
                Calling::Binary => InputKind::Hashed,
                _ => InputKind::Content,
            },
        }]
    }

    fn probe(_: &LibraryModuleArgs, _: &[Resolved]) -> Option<Script> {
        None
    }

    fn decide(
        args: &LibraryModuleArgs,
        inputs: &[Resolved],
        _: &[Reply],
    ) -> Result<Decision, Failure> {
        let input = inputs
            .first()
            .ok_or_else(|| Failure::new(format!("could not find `{}`", args.path)))?;
        let (source, program, sha1) = args.program(input);
        Ok(Decision::Change(Change {
            summary: format!("run the module `{}` of {}", args.module, args.path),
            diff: Vec::new(),
            acts: args.acts(source, &program, &sha1),
            undo: Undo::Unknown("a module of library/ does not say what it changes"),
            foretell: Foretell::Skipped(format!(
                "remote module ({}) does not support check mode",
                args.module
            )),
        }))
    }

    fn finish(
        args: &LibraryModuleArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        let Some(object) = object(&reply.stdout_text()) else {
            return Err(Failure {
                msg: "Module result deserialization failed.\nSee stdout/stderr for the returned \
                      output."
                    .into(),
                is_changed: false,
                result: fields([
                    ("module_stdout", reply.stdout_text().into()),
                    ("module_stderr", reply.stderr_text().into()),
                    ("rc", reply.rc.into()),
                ]),
                ..Failure::default()
            });
        };
        judged(object, &args.module)
    }
}

#[cfg(test)]
mod tests;
