//! `switchback doc`: the manual of a module, the list of modules, the schema of playbooks.

use std::fmt::Write as _;

use super::exit;
use super::start::{give, tell};
use crate::diag::suggest;
use crate::modules::{Argument, Effect, LIBRARY_MODULE, Manual};
use crate::plan::{action_names, manual, schema};

/// Arguments of `doc`.
#[derive(clap::Args, Debug, Clone)]
#[group(required = true, multiple = false)]
pub(crate) struct DocArgs {
    /// The module, such as lineinfile or ansible.builtin.lineinfile
    module: Option<String>,
    /// List all modules
    #[arg(short, long)]
    list: bool,
    /// Write a JSON Schema of playbooks, for editors
    #[arg(long)]
    schema: bool,
}

/// Shows what is asked for.
pub(super) fn run(args: &DocArgs) -> u8 {
    if args.schema {
        give(&format!("{:#}", schema()));
        return exit::OK;
    }
    let Some(name) = &args.module else {
        give(list().trim_end());
        return exit::OK;
    };
    if let Some((own, manual)) = manual(name).filter(|(own, _)| *own != LIBRARY_MODULE) {
        give(page(own, &manual).trim_end());
        return exit::OK;
    }
    tell(&format!("there is no module `{name}`"));
    let short = name.rsplit('.').next().unwrap_or(name);
    if let Some(near) = suggest(short, action_names()) {
        tell(&format!("did you mean `{near}`?"));
    }
    exit::USAGE
}

fn list() -> String {
    let mut names: Vec<&str> = action_names();
    names.retain(|name| !name.contains('.') && *name != LIBRARY_MODULE);
    names.sort_unstable();
    let width = names
        .iter()
        .map(|name| name.len())
        .max()
        .unwrap_or_default();
    let mut out = String::new();
    for name in names {
        let Some((own, manual)) = manual(name) else {
            continue;
        };
        let summary = manual.summary.replace('\n', " ");
        let what = if own == name {
            summary
        } else {
            format!("Another name for `{own}`.")
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:width$}  {what}");
    }
    out
}

fn page(name: &str, manual: &Manual) -> String {
    let mut out = format!("{name}\n\n{}\n", indented(&manual.summary, 2));
    if !manual.arguments.is_empty() {
        out.push_str("\nARGUMENTS (* must be given)\n");
    }
    for argument in &manual.arguments {
        out.push_str(&about(argument));
    }
    out.push_str("\nCHECK MODE AND DIFF\n");
    out.push_str(&indented(in_check_mode(manual.effect), 2));
    out.push('\n');
    if !manual.returns.is_empty() {
        out.push_str("\nRETURNS, besides `changed`, `failed` and `msg`\n");
    }
    for (name, meaning) in &manual.returns {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {name}\n{}", indented(meaning, 6));
    }
    if !manual.example.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\nEXAMPLE\n{}", lines(&manual.example, 2));
    }
    out
}

fn about(argument: &Argument) -> String {
    let name = match argument.name.as_str() {
        "_raw_params" => "(free form)",
        name => name.trim_start_matches('_'),
    };
    let mark = if argument.is_required { "*" } else { " " };
    let mut facts = vec![argument.kind.clone()];
    if let Some(default) = &argument.default {
        facts.push(format!("default {default}"));
    }
    let mut out = format!("{mark} {name} ({})\n", facts.join(", "));
    out.push_str(&indented(&argument.text, 6));
    out.push('\n');
    let lists = [
        ("choices", &argument.choices),
        ("aliases", &argument.aliases),
    ];
    for (what, list) in lists {
        if !list.is_empty() {
            out.push_str(&indented(&format!("{what}: {}", list.join(", ")), 6));
            out.push('\n');
        }
    }
    out
}

fn in_check_mode(effect: Effect) -> &'static str {
    match effect {
        Effect::Reads => "It changes no host and runs in check mode as well.",
        Effect::Converges => {
            "Check mode looks, tells what would change and changes nothing; `--diff` shows \
             before and after where there is a text to compare. Running it again changes nothing."
        }
        Effect::Once => {
            "Check mode does not run it: it is skipped, unless its arguments decide that nothing \
             would be done. Each run is an event of its own and is never repeated without asking."
        }
    }
}

/// A text in lines of 80 columns at most, with blanks before each.
fn indented(text: &str, by: usize) -> String {
    let mut out: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match out.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < 80 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => out.push(format!("{}{word}", " ".repeat(by))),
        }
    }
    out.join("\n")
}

fn lines(text: &str, by: usize) -> String {
    let lines = text.lines().map(|line| format!("{}{line}", " ".repeat(by)));
    lines.collect::<Vec<_>>().join("\n")
}
