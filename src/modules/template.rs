//! `template`: brings a rendered template somewhere.
//!
//! The engine renders (it knows the variables and heeds the arguments about delimiters); from there
//! on it is `copy`. Source: ansible-core 2.19, `plugins/action/template.py`.

use super::file_args::file_args;
use super::one_file::{OneFile, probe};
use super::path_state::basename;
use super::put::{Content, sha1_hex};
use super::{Change, Decision, Effect, Failure, Input, InputKind, Module, Outcome, Resolved};
use crate::script::{Reply, Script};

/// Brings a rendered template somewhere.
///
/// # Returns
/// * `src`: the template on the controller.
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
/// - template:
///     src: postgresql.conf.j2
///     dest: /etc/postgresql/16/main/postgresql.conf
///     owner: postgres
///     mode: "0640"
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Template;

file_args! {
    /// Arguments of `template`.
    struct TemplateArgs {
        /// The template on the controller.
        src: String,
        /// Where it is to go. With a `/` at its end it is a directory, made if need be.
        dest: String,
        /// Whether a copy of the old file is left beside it.
        #[serde(default)]
        backup: bool,
        /// Whether a file that is there already is replaced. Default true.
        force: Option<bool>,
        /// Whether a link at the destination is followed.
        #[serde(default)]
        follow: bool,
        /// A command that must accept the new file first; `%s` in it stands for the file.
        validate: Option<String>,
        /// How lines end: `\n`, `\r` or `\r\n`.
        newline_sequence: Option<String>,
        /// How the file is encoded; only `utf-8` can be had.
        output_encoding: Option<String>,
        /// Opens a block; heeded by the engine, as are the following.
        #[serde(rename = "block_start_string")]
        _block_start_string: Option<String>,
        /// Closes a block.
        #[serde(rename = "block_end_string")]
        _block_end_string: Option<String>,
        /// Opens a variable.
        #[serde(rename = "variable_start_string")]
        _variable_start_string: Option<String>,
        /// Closes a variable.
        #[serde(rename = "variable_end_string")]
        _variable_end_string: Option<String>,
        /// Opens a comment.
        #[serde(rename = "comment_start_string")]
        _comment_start_string: Option<String>,
        /// Closes a comment.
        #[serde(rename = "comment_end_string")]
        _comment_end_string: Option<String>,
        /// Whether the newline after a block is dropped. Default true.
        #[serde(rename = "trim_blocks")]
        _trim_blocks: Option<bool>,
        /// Whether blanks before a block are dropped.
        #[serde(rename = "lstrip_blocks")]
        _lstrip_blocks: Option<bool>,
    }
}

impl TemplateArgs {
    fn newline(&self) -> Option<&'static str> {
        match self.newline_sequence.as_deref() {
            None | Some("\n" | "\\n") => Some("\n"),
            Some("\r" | "\\r") => Some("\r"),
            Some("\r\n" | "\\r\\n") => Some("\r\n"),
            Some(_) => None,
        }
    }

    /// The rendered bytes with the wanted line ends; bytes that have them already stay.
    fn rendered(&self, input: &Resolved) -> Vec<u8> {
        let newline = self.newline().unwrap_or("\n");
        if newline == "\n" || input.bytes.contains(&b'\r') {
            return input.bytes.clone();
        }
        let mut out = Vec::with_capacity(input.bytes.len());
        for byte in &input.bytes {
            match byte {
                b'\n' => out.extend_from_slice(newline.as_bytes()),
                other => out.push(*other),
            }
        }
        out
    }

    fn with_one<T>(&self, input: &Resolved, with: impl FnOnce(&OneFile<'_>) -> T) -> T {
        let bytes = self.rendered(input);
        let sha1 = sha1_hex(&bytes);
        let path = input.path.to_string_lossy();
        with(&OneFile {
            dest: &self.dest,
            name: basename(&path),
            src: &path,
            content: Content::Bytes(bytes.clone()),
            shown: Some(&bytes),
            size: bytes.len() as u64,
            sha1: &sha1,
            source_mode: input.mode & 0o7777,
            wanted: self.wanted(),
            directory_mode: None,
            force: self.force.unwrap_or(true),
            backup: self.backup,
            validate: self.validate.as_deref(),
            is_remote: false,
        })
    }
}

impl Module for Template {
    const NAME: &'static str = "template";
    const EFFECT: Effect = Effect::Converges;
    type Args = TemplateArgs;

    fn check(args: &TemplateArgs) -> Result<(), String> {
        args.wanted().check()?;
        if args.src.is_empty() || args.dest.is_empty() {
            return Err("src and dest are required".to_owned());
        }
        if args.newline().is_none() {
            return Err("newline_sequence needs to be one of: \\n, \\r or \\r\\n".to_owned());
        }
        let encoding = args.output_encoding.as_deref().unwrap_or("utf-8");
        if !matches!(
            encoding.to_ascii_lowercase().as_str(),
            "" | "utf-8" | "utf8" | "utf_8"
        ) {
            return Err(format!(
                "`output_encoding: {encoding}` is not supported, only utf-8 is"
            ));
        }
        if let Some(text) = args.validate.as_deref().filter(|text| !text.contains("%s")) {
            return Err(format!("validate must contain %s: {text}"));
        }
        Ok(())
    }

    fn inputs(args: &TemplateArgs) -> Vec<Input> {
        vec![Input {
            path: args.src.clone(),
            folder: "templates",
            kind: InputKind::Template,
        }]
    }

    fn probe(args: &TemplateArgs, inputs: &[Resolved]) -> Option<Script> {
        Some(args.with_one(&inputs[0], |one| {
            probe(&args.dest, one.name, args.follow, one.sha1, &one.wanted)
        }))
    }

    fn decide(
        args: &TemplateArgs,
        inputs: &[Resolved],
        seen: &[Reply],
    ) -> Result<Decision, Failure> {
        args.with_one(&inputs[0], |one| one.decide(&seen[0]))
    }

    fn finish(
        args: &TemplateArgs,
        inputs: &[Resolved],
        seen: &[Reply],
        change: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        args.with_one(&inputs[0], |one| one.finish(&seen[0], change, replies))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOSTILE, in_each_shell};

    #[test]
    fn rendered_bytes_arrive_with_the_wanted_line_ends() {
        in_each_shell(|world| {
            for name in HOSTILE {
                let input = world.input("x.j2", b"a\n'b'\n", 0o604);
                let args = json!({"src": "x.j2", "dest": world.at(name), "newline_sequence": "\\r\\n", "mode": "preserve", "validate": "grep -q . %s"});
                let cycle = world.cycle("template", &args, &[input]);
                assert!(cycle.after[*name].starts_with("0604"), "{:?}", cycle.after);
                assert!(cycle.after[*name].contains("a\\r\\n'b'\\r\\n"));
                assert_eq!(cycle.change.acts.len(), 1);
            }
        });
    }
}
