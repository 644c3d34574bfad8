//! `assemble`: one file made of the fragments in a folder, of the host or of the controller.
//!
//! The probe brings the fragments, the file is put together here. Source: ansible-core 2.19,
//! `modules/assemble.py` and `plugins/action/assemble.py`.

use std::fmt::Write as _;

use super::file_args::file_args;
use super::one_file::{OneFile, probe};
use super::path_state::word;
use super::put::{Content, sha1_hex};
use super::python_regex::{Flags, Pattern};
use super::{Change, Decision, Effect, Failure, Input, InputKind, Module, Outcome, Resolved};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Makes one file of the fragments in a folder.
///
/// # Returns
/// * `dest`: the file that was written.
/// * `checksum`: its SHA-1.
/// * `backup_file`: the copy of the old file, with `backup`.
/// * `mode`: its permission bits, such as `0644`.
/// * `owner`: the name of its owner.
/// * `group`: the name of its group.
/// * `uid`: the number of its owner.
/// * `gid`: the number of its group.
/// * `size`: its size in bytes.
/// * `state`: what it is: `file`, `directory`, `link`, `hard` or `absent`.
///
/// # Example
/// ```yaml
/// - assemble:
///     src: /etc/app/conf.d
///     dest: /etc/app/app.conf
///     mode: "0644"
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Assemble;

file_args! {
    /// Arguments of `assemble`.
    struct AssembleArgs {
        /// The folder with the fragments.
        src: String,
        /// The file that is made of them.
        dest: String,
        /// Whether a copy of the old file is left beside it.
        #[serde(default)]
        backup: bool,
        /// What stands between two fragments; `\n` and the like mean what they mean in Python.
        delimiter: Option<String>,
        /// Whether the folder is on the host. Default true.
        remote_src: Option<bool>,
        /// Only fragments whose name matches are taken.
        regexp: Option<String>,
        /// Whether fragments whose name begins with a dot are left out.
        #[serde(default)]
        ignore_hidden: bool,
        /// A command that must accept the new file first; `%s` in it stands for the file.
        validate: Option<String>,
        /// Whether vault files of the controller are decrypted; the engine heeds it. Default true.
        #[serde(rename = "decrypt")]
        _decrypt: Option<bool>,
    }
}

/// Fragments of more bytes than this in all are refused: they are put together in memory.
const FRAGMENTS_BYTES_MAX: usize = 32 << 20;

/// A name and a content.
type Fragment = (String, Vec<u8>);

impl AssembleArgs {
    fn is_remote(&self) -> bool {
        self.remote_src.unwrap_or(true)
    }

    /// The file that these fragments make; `fragments` in any order.
    fn assembled(&self, mut fragments: Vec<Fragment>) -> Result<Vec<u8>, Failure> {
        let regexp = self.regexp.as_deref();
        let pattern = regexp
            .map(|text| Pattern::new(text, Flags::default()))
            .transpose()
            .map_err(|why| {
                let text = regexp.unwrap_or_default();
                Failure::new(format!("Invalid Regexp ({why}) in \"{text}\""))
            })?;
        fragments.sort();
        let delimiter = unescaped(self.delimiter.as_deref().unwrap_or_default())?;
        let mut out: Vec<u8> = Vec::new();
        let mut is_first = true;
        let mut ends_open = false;
        for (name, content) in &fragments {
            if self.ignore_hidden && name.starts_with('.') {
                continue;
            }
            if let Some(pattern) = &pattern
                && pattern.search(name).map_err(Failure::new)?.is_none()
            {
                continue;
            }
            if ends_open {
                out.push(b'\n');
            }
            if !is_first && !delimiter.is_empty() {
                out.extend_from_slice(&delimiter);
                if !delimiter.ends_with(b"\n") {
                    out.push(b'\n');
                }
            }
            out.extend_from_slice(content);
            is_first = false;
            ends_open = !content.ends_with(b"\n");
        }
        Ok(out)
    }

    /// The fragments, and a reply without them that tells of the destination.
    fn fragments(
        &self,
        inputs: &[Resolved],
        seen: &[Reply],
    ) -> Result<(Vec<Fragment>, Reply), Failure> {
        let Some(reply) = seen.first() else {
            return Err(Failure::new("the host gave no answer"));
        };
        if self.is_remote() {
            return self.remote_fragments(reply);
        }
        let tree = inputs.first().and_then(|input| input.tree.as_ref());
        let Some(tree) = tree else {
            return Err(Failure::new(format!(
                "Source ({}) is not a directory",
                self.src
            )));
        };
        let fragments = tree
            .iter()
            .filter(|entry| !entry.is_dir && !entry.relative.contains('/'))
            .map(|entry| (entry.relative.clone(), entry.bytes.clone()))
            .collect();
        Ok((fragments, reply.clone()))
    }

    fn remote_fragments(&self, reply: &Reply) -> Result<(Vec<Fragment>, Reply), Failure> {
        let fields = reply.fields();
        let src = fields.get("src").map_or(self.src.as_str(), String::as_str);
        match fields.get("bad").map(String::as_str) {
            Some("large") => {
                return Err(Failure::new(format!(
                    "the fragments in {src} are larger than {FRAGMENTS_BYTES_MAX} bytes"
                )));
            }
            Some(why) => return Err(Failure::new(format!("Source ({src}) {why}"))),
            None => {}
        }
        if reply.rc != 0 {
            return Err(super::path_state::failure(
                "cannot read the fragments",
                reply,
            ));
        }
        let sizes: Option<Vec<usize>> = fields
            .get("sizes")
            .map_or("", String::as_str)
            .split_whitespace()
            .map(|size| size.parse().ok())
            .collect();
        let mut body = reply.body();
        let mut fragments = Vec::new();
        for (i, size) in sizes.unwrap_or_default().into_iter().enumerate() {
            let name = fields.get(&format!("name.{}", i + 1));
            let (Some(name), Some((content, rest))) = (name, body.split_at_checked(size)) else {
                return Err(Failure::new(format!(
                    "the fragments in {src} changed while they were read"
                )));
            };
            fragments.push((name.clone(), content.to_vec()));
            body = rest;
        }
        let head = reply.stdout.len() - reply.body().len();
        let mut stdout = reply.stdout[..head].to_vec();
        stdout.extend_from_slice(body);
        Ok((
            fragments,
            Reply {
                stdout,
                ..reply.clone()
            },
        ))
    }

    fn with_one<T>(
        &self,
        inputs: &[Resolved],
        seen: &[Reply],
        with: impl FnOnce(&OneFile<'_>, &Reply) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (fragments, reply) = self.fragments(inputs, seen)?;
        let bytes = self.assembled(fragments)?;
        let sha1 = sha1_hex(&bytes);
        let one = OneFile {
            content: Content::Bytes(bytes.clone()),
            shown: Some(&bytes),
            size: bytes.len() as u64,
            ..self.one(&sha1)
        };
        with(&one, &reply)
    }

    fn one<'a>(&'a self, sha1: &'a str) -> OneFile<'a> {
        OneFile {
            dest: &self.dest,
            name: "",
            src: &self.src,
            content: Content::Bytes(Vec::new()),
            shown: None,
            size: 0,
            sha1,
            source_mode: 0,
            wanted: self.wanted(),
            directory_mode: None,
            force: true,
            backup: self.backup,
            validate: self.validate.as_deref(),
            is_remote: false,
        }
    }

    /// What Ansible's result has besides that of a file.
    fn complete(&self, result: &mut Map, bytes: &[u8]) {
        result.shift_remove("path");
        result.insert("src".into(), self.src.as_str().into());
        result.insert("checksum".into(), sha1_hex(bytes).into());
        result.insert("md5sum".into(), md5_hex(bytes).into());
        result.insert("msg".into(), "OK".into());
    }
}

fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest as _;
    md5::Md5::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// The bytes that a text with Python's escapes stands for.
fn unescaped(text: &str) -> Result<Vec<u8>, Failure> {
    let bad = |what: &str| Failure::new(format!("the delimiter ends in the middle of `{what}`"));
    let mut out = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().ok_or_else(|| bad("\\"))? {
            b'\n' => {}
            b'a' => out.push(7),
            b'b' => out.push(8),
            b't' => out.push(b'\t'),
            b'n' => out.push(b'\n'),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'r' => out.push(b'\r'),
            same @ (b'\\' | b'\'' | b'"') => out.push(same),
            b'x' => {
                let mut value = 0;
                for _ in 0..2 {
                    let digit = bytes.next().and_then(|b| char::from(b).to_digit(16));
                    value = value * 16 + digit.ok_or_else(|| bad("\\x"))?;
                }
                out.push(value.to_le_bytes()[0]);
            }
            first @ b'0'..=b'7' => {
                let mut value = u32::from(first - b'0');
                for _ in 0..2 {
                    let Some(digit) = bytes.peek().and_then(|b| char::from(*b).to_digit(8)) else {
                        break;
                    };
                    bytes.next();
                    value = value * 8 + digit;
                }
                out.push(value.to_le_bytes()[0]);
            }
            other => out.extend([b'\\', other]),
        }
    }
    Ok(out)
}

impl Module for Assemble {
    const NAME: &'static str = "assemble";
    const EFFECT: Effect = Effect::Converges;
    type Args = AssembleArgs;

    fn check(args: &AssembleArgs) -> Result<(), String> {
        args.wanted().check()?;
        if let Some(text) = args.validate.as_deref().filter(|text| !text.contains("%s")) {
            return Err(format!("validate must contain %s: {text}"));
        }
        Ok(())
    }

    fn inputs(args: &AssembleArgs) -> Vec<Input> {
        if args.is_remote() {
            return Vec::new();
        }
        vec![Input {
            path: args.src.clone(),
            folder: "files",
            kind: InputKind::Content,
        }]
    }

    fn probe(args: &AssembleArgs, inputs: &[Resolved]) -> Option<Script> {
        if !args.is_remote() {
            // An unreadable regexp is told by `decide`, which comes to it first.
            let tree = inputs.first().and_then(|input| input.tree.as_ref())?;
            let fragments = tree
                .iter()
                .filter(|entry| !entry.is_dir && !entry.relative.contains('/'))
                .map(|entry| (entry.relative.clone(), entry.bytes.clone()))
                .collect();
            let sha1 = sha1_hex(&args.assembled(fragments).unwrap_or_default());
            return Some(probe(&args.dest, "", false, &sha1, &args.wanted()));
        }
        Some(Script::new(format!(
            "SB_s={}\nsb_kv src \"$SB_s\"\n\
             [ -e \"$SB_s\" ] || {{ sb_kv bad 'does not exist'; exit 0; }}\n\
             [ -d \"$SB_s\" ] || {{ sb_kv bad 'is not a directory'; exit 0; }}\n\
             sb_dest {} '' '' {}\n{}\
             SB_n=0 SB_s=${{SB_s%/}}/\nset --\n\
             for SB_f in \"$SB_s\"* \"$SB_s\".[!.]* \"$SB_s\"..?*; do\n\
             [ -f \"$SB_f\" ] || continue\n\
             set -- \"$@\" \"$SB_f\"\nSB_n=$((SB_n + 1))\nsb_kv \"name.$SB_n\" \"${{SB_f##*/}}\"\ndone\n\
             if [ $# -gt 0 ]; then\n\
             SB_sizes=$(stat -L -c %s \"$@\") || exit 1\nSB_all=0\n\
             for SB_x in $SB_sizes; do SB_all=$((SB_all + SB_x)); done\n\
             [ $SB_all -le {FRAGMENTS_BYTES_MAX} ] || {{ sb_kv bad large; exit 0; }}\n\
             sb_kv sizes \"$(printf '%s ' $SB_sizes)\"\nfi\nsb_body\n\
             [ $# -eq 0 ] || cat \"$@\" || exit 1\n\
             [ -z \"${{SB_differs-}}\" ] || head -c 104449 <\"$SB_p\"\nexit 0\n",
            word(&args.src),
            word(&args.dest),
            quote("-"),
            args.wanted().probe()
        )))
    }

    fn decide(
        args: &AssembleArgs,
        inputs: &[Resolved],
        seen: &[Reply],
    ) -> Result<Decision, Failure> {
        args.with_one(inputs, seen, |one, reply| {
            let bytes = one.shown.unwrap_or_default();
            let mut decision = one.decide(reply)?;
            if let Decision::Unchanged(outcome) = &mut decision
                && args.is_remote()
            {
                args.complete(&mut outcome.result, bytes);
            }
            Ok(decision)
        })
    }

    fn finish(
        args: &AssembleArgs,
        inputs: &[Resolved],
        seen: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        args.with_one(inputs, seen, |one, reply| {
            let mut outcome = one.finish(reply, change, replies)?;
            if args.is_remote() {
                args.complete(&mut outcome.result, one.shown.unwrap_or_default());
            }
            Ok(outcome)
        })
        .map_err(|failure| match failure.result.get("exit_status") {
            Some(rc) if args.is_remote() => {
                let text = |name| failure.result.get(name).and_then(Value::as_str);
                let rc = rc.as_int().unwrap_or_default();
                let stderr = text("stderr").unwrap_or_default();
                Failure::new(format!("failed to validate: rc:{rc} error:{stderr}"))
            }
            _ => failure,
        })
    }
}

#[cfg(test)]
mod tests;
