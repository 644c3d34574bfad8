//! One file put in place of another: the scripts that write it and that give the old one back.
//!
//! Every module that writes a file does it through [`Put`]. Invariant: the old file is in the keep
//! before it is replaced, and the new one is complete, owned and on the disk before it is seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::file_args::{Settled, word_of_seen};
use super::path_state::{Kind, Node, failure, int, octal};
use super::{Act, Diff, Failure, Source};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Text up to this size travels in the script itself, which saves a channel for the stream.
const EMBEDDED_BYTES_MAX: usize = 32 * 1024;
/// Files up to this size are shown in a diff (ansible-core 2.19, `MAX_FILE_SIZE_FOR_DIFF`).
pub(super) const DIFF_BYTES_MAX: usize = 104_448;

/// Where the bytes of a new file come from.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Made by the module or read by the engine.
    Bytes(Vec<u8>),
    /// A file of the controller.
    Local {
        /// Where it is.
        path: PathBuf,
        /// What must have arrived.
        sha1: String,
    },
    /// A file of the host.
    Remote {
        /// Where it is.
        path: String,
        /// What must have been copied.
        sha1: String,
    },
}

/// A file to be put at `dest`.
#[derive(Clone, Debug)]
pub(super) struct Put<'a> {
    /// The path as the host reported it. A link there is replaced, never followed.
    pub(super) dest: &'a str,
    /// The bytes.
    pub(super) content: Content,
    /// Their number.
    pub(super) size: u64,
    /// What is there now.
    pub(super) old: Option<&'a Node>,
    /// Owner, group and mode that the task wants.
    pub(super) settled: Settled<'a>,
    /// The mode, where it is not the old file's or the default.
    pub(super) mode: Option<u32>,
    /// Whether the old file's owner and group are kept.
    pub(super) keeps_owner: bool,
    /// A command with `%s` that must accept the new file.
    pub(super) validate: Option<&'a str>,
    /// Whether a copy of the old file is left beside it.
    pub(super) is_backed_up: bool,
    /// Number in the keep; one for each path of a change.
    pub(super) keep: usize,
}

impl<'a> Put<'a> {
    /// Bytes at `dest` that keep mode and owner of what is there.
    pub(super) fn new(
        dest: &'a str,
        bytes: Vec<u8>,
        old: Option<&'a Node>,
        settled: Settled<'a>,
    ) -> Self {
        Self {
            dest,
            size: bytes.len() as u64,
            content: Content::Bytes(bytes),
            old,
            settled,
            mode: None,
            keeps_owner: true,
            validate: None,
            is_backed_up: false,
            keep: 1,
        }
    }

    /// What is there now, unless it is a link: that is replaced as if nothing were there.
    fn replaced(&self) -> Option<&'a Node> {
        self.old.filter(|node| node.kind() != Kind::Link)
    }

    /// The mode that the new file gets; `None` leaves it to the umask on the host.
    fn final_mode(&self) -> Option<u32> {
        let wanted = self.settled.wanted.mode;
        match (self.mode, self.replaced(), wanted) {
            (Some(mode), ..) => Some(mode),
            (None, Some(node), None) => Some(node.mode()),
            (None, Some(node), Some(mode)) => Some(mode.bits(node.base(self.settled.umask))),
            (None, None, Some(_)) => Some(self.settled.new_mode(0o666, false)),
            (None, None, None) => None,
        }
    }

    /// The act that writes it. Its reply has the fields `r.*`, `md5sum` and `backup_file`.
    ///
    /// # Errors
    /// The validation command is not one.
    pub(super) fn act(&self) -> Result<Act, Failure> {
        let dest = word_of_seen(self.dest);
        let (mut uid, mut gid) = self.settled.new_owner();
        let mut policy = if uid.is_empty() && gid.is_empty() {
            "may"
        } else {
            "must"
        };
        if let Some(node) = self.replaced().filter(|_| self.keeps_owner) {
            if uid.is_empty() && gid.is_empty() {
                policy = "may";
            }
            uid = if uid.is_empty() {
                node.uid.to_string()
            } else {
                uid
            };
            gid = if gid.is_empty() {
                node.gid.to_string()
            } else {
                gid
            };
        }
        let mut sh = format!("SB_p={dest}\n");
        let mode = self.final_mode();
        if let Some(mode) = mode {
            let _ = writeln!(sh, "umask {:04o}", !mode & 0o777);
        }
        let suffix = self.validate.map_or(String::new(), |_| suffix(self.dest));
        let mode = mode.map_or("''".to_owned(), |mode| format!("0{}", octal(mode)));
        let _ = writeln!(
            sh,
            "sb_new \"$SB_p\" {}\nsb_shape {} {} {mode} {policy}",
            quote(&suffix),
            quote(&uid),
            quote(&gid)
        );
        let source = self.write(&mut sh);
        if let Some(command) = self.validate {
            sh.push_str(&validation(command)?);
        }
        if self.is_backed_up {
            let _ = writeln!(sh, "sb_backup {} \"$SB_p\"", self.keep);
        }
        let is_unsafe = if self.settled.wanted.is_unsafe {
            " unsafe"
        } else {
            ""
        };
        let _ = write!(
            sh,
            "sb_keep {0} \"$SB_p\" late\nsb_land \"$SB_p\"{is_unsafe}\nprintf '%s\\n' \"$SB_seen\"\n\
             SB_md5=$(md5sum <\"$SB_p\")\nprintf 'md5sum=%s\\n' \"$SB_md5\"\n\
             printf '%s\\n' \"$SB_md5\" >\"$SB_KEEP/{0}.made\"\n",
            self.keep
        );
        Ok(match source {
            Some(source) => Act::Stream {
                script: Script::new(sh),
                source,
            },
            None => Act::script(sh),
        })
    }

    fn write(&self, sh: &mut String) -> Option<Source> {
        const FULL: &str = "|| sb_fail 'cannot write the new file: is the disk full?'";
        match &self.content {
            Content::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes)
                    .ok()
                    .filter(|text| text.len() <= EMBEDDED_BYTES_MAX && !text.contains('\0'));
                let Some(text) = text else {
                    let _ = writeln!(sh, "cat >&3 {FULL}\nsb_seal {}", sha1_hex(bytes));
                    return Some(Source::Bytes(bytes.clone()));
                };
                if !text.is_empty() {
                    let _ = writeln!(sh, "printf %s {} >&3 {FULL}", quote(text));
                }
                sh.push_str("sb_seal\n");
                None
            }
            Content::Local { path, sha1 } => {
                let _ = writeln!(sh, "cat >&3 {FULL}\nsb_seal {sha1}");
                Some(Source::File(path.clone()))
            }
            Content::Remote { path, sha1 } => {
                let _ = writeln!(sh, "cat {} >&3 {FULL}\nsb_seal {sha1}", word_of_seen(path));
                None
            }
        }
    }

    /// The line that gives back what was there.
    pub(super) fn undo(&self) -> String {
        format!("sb_back {} {}\n", self.keep, word_of_seen(self.dest))
    }

    /// What the undo does, for a person.
    pub(super) fn undo_summary(&self) -> String {
        match self.old {
            None => format!("remove `{}`", self.dest),
            Some(node) => format!("restore `{}`, mode {}", self.dest, octal(node.mode())),
        }
    }

    /// What the change does, for a person.
    pub(super) fn summary(&self) -> String {
        match self.old {
            None => format!("create `{}`, {} bytes", self.dest, self.size),
            Some(node) => format!(
                "replace `{}`, {} -> {} bytes",
                self.dest, node.size, self.size
            ),
        }
    }
}

/// `.conf` of `/etc/a.conf`, as Python's `os.path.splitext`: some validators look at it.
fn suffix(path: &str) -> String {
    let name = super::path_state::basename(path).trim_start_matches('.');
    name.rfind('.')
        .map_or(String::new(), |at| name[at..].to_owned())
}

/// The lines that run a validation command without a shell's expansions, with `%s` as the new
/// file (ansible-core 2.19, `run_command(validate % path)`).
fn validation(command: &str) -> Result<String, Failure> {
    if !command.contains("%s") {
        return Err(Failure::new(format!("validate must contain %s: {command}")));
    }
    let words = shlex::split(command)
        .filter(|words| !words.is_empty())
        .ok_or_else(|| Failure::new(format!("cannot split `validate` into words: {command}")))?;
    let mut line = String::new();
    for text in words {
        line.push(' ');
        let parts: Vec<String> = text
            .split("%s")
            .map(|part| {
                if part.is_empty() {
                    String::new()
                } else {
                    quote(&part.replace("%%", "%"))
                }
            })
            .collect();
        line.push_str(&parts.join("\"$SB_tmp\""));
        if text.is_empty() {
            line.push_str("''");
        }
    }
    Ok(format!(
        "SB_out=$({}) || {{ SB_rc=$?; sb_kv validate_rc $SB_rc; sb_kv validate_out \"$SB_out\"; exit 1; }}\n",
        line.trim_start()
    ))
}

/// The command's status and output, where an act failed because a validation command refused.
pub(super) fn refused(reply: &Reply) -> Option<(i64, String)> {
    let fields = reply.fields();
    let rc = fields.get("validate_rc")?.parse().ok()?;
    Some((rc, fields.get("validate_out").cloned().unwrap_or_default()))
}

/// Checks that the acts succeeded; `what` begins the message.
///
/// # Errors
/// The last reply is a failure.
pub(super) fn check_replies(what: &str, replies: &[Reply]) -> Result<(), Failure> {
    match replies.last() {
        Some(reply) if reply.rc != 0 => Err(Failure {
            is_changed: replies.len() > 1,
            ..failure(what, reply)
        }),
        _ => Ok(()),
    }
}

/// What an act that ends with [`Put::act`]'s fields or `sb_see r` reported.
pub(super) struct Landed {
    /// The path as it is now.
    pub(super) node: Option<Node>,
    /// Other fields.
    pub(super) fields: BTreeMap<String, String>,
}

impl Landed {
    /// Reads the last reply.
    pub(super) fn read(replies: &[Reply]) -> Self {
        let fields = replies.last().map(Reply::fields).unwrap_or_default();
        Self {
            node: Node::read("r", &fields),
            fields,
        }
    }

    /// Adds owner, group, mode, size and state to a result.
    pub(super) fn add_path_info(&self, result: &mut Map, size: Option<u64>) {
        if let Some(node) = &self.node {
            node.add_path_info(result);
        }
        if let (Some(size), true) = (size, self.node.is_some()) {
            result.insert("size".into(), int(size));
        }
    }

    /// Adds `backup_file` to a result, where one was made.
    pub(super) fn add_backup(&self, result: &mut Map) {
        if let Some(name) = self.fields.get("backup_file") {
            result.insert("backup_file".into(), name.clone().into());
        }
    }

    /// The MD5 that the host computed.
    pub(super) fn md5sum(&self) -> Value {
        self.fields
            .get("md5sum")
            .and_then(|line| line.split(' ').next())
            .map_or(Value::Null, Value::from)
    }
}

/// SHA-1 in hex.
pub(super) fn sha1_hex(bytes: &[u8]) -> String {
    use sha1::Digest as _;
    sha1::Sha1::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// One side of a diff of contents.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side<'a> {
    /// There is nothing.
    Absent,
    /// The bytes; of an old file at most one more than [`DIFF_BYTES_MAX`].
    Bytes(&'a [u8]),
    /// Only its size is known, so it is not shown.
    Unread(u64),
}

impl Side<'_> {
    fn text(self, which: &str) -> String {
        match self {
            Side::Absent => String::new(),
            Side::Bytes(bytes) if bytes.len() > DIFF_BYTES_MAX => larger(which),
            Side::Bytes(bytes) if bytes.contains(&0) => {
                format!("diff skipped: {which} file appears to be binary\n")
            }
            Side::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Side::Unread(size) if size > DIFF_BYTES_MAX as u64 => larger(which),
            Side::Unread(size) => {
                format!("diff skipped: {which} file of {size} bytes was not read\n")
            }
        }
    }
}

fn larger(which: &str) -> String {
    format!("diff skipped: {which} file size is greater than {DIFF_BYTES_MAX}\n")
}

/// The diff of two contents, with Ansible's texts where one is not shown (ansible-core 2.19,
/// `plugins/action/__init__.py`, `_get_diff_data`, and `plugins/callback/__init__.py`).
pub(super) fn content_diff(before: (&str, Side<'_>), after: (&str, Side<'_>)) -> Diff {
    Diff {
        before_header: before.0.to_owned(),
        after_header: after.0.to_owned(),
        before: before.1.text("destination"),
        after: after.1.text("source"),
    }
}

/// A diff of attributes, as Ansible prints its dictionaries: sorted JSON.
pub(super) fn attribute_diff(
    header: &str,
    before: &BTreeMap<&'static str, serde_json::Value>,
    after: &BTreeMap<&'static str, serde_json::Value>,
) -> Diff {
    let print = |map: &BTreeMap<&'static str, serde_json::Value>| {
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut out = Vec::new();
        let mut to = serde_json::Serializer::with_formatter(&mut out, formatter);
        serde::Serialize::serialize(map, &mut to).map_or_else(
            |error| error.to_string(),
            |()| String::from_utf8_lossy(&out).into_owned() + "\n",
        )
    };
    Diff {
        before_header: header.to_owned(),
        after_header: header.to_owned(),
        before: print(before),
        after: print(after),
    }
}
