//! The same playbooks run by ansible-core and by switchback give the same: status per task, host
//! and item, debug messages, totals, exit code.
//!
//! The oracle's side is committed beside each playbook (`tests/differential/NAME.out`), written by
//! `tests/differential/generate` from a real ansible-core 2.19.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential")
}

#[test]
fn ansible_does_the_same() {
    let wanted = std::env::var("SWITCHBACK_DIFFERENTIAL").unwrap_or_default();
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".yml").map(str::to_owned)
        })
        .filter(|name| wanted.is_empty() || wanted.split(',').any(|w| w == name))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "there are no playbooks to compare");
    let mut differing = Vec::new();
    for name in &names {
        let expected = std::fs::read_to_string(folder().join(format!("{name}.out"))).unwrap();
        let (expected, found) = in_order(name, expected, runs(name));
        if expected != found {
            println!("{name}: ansible (-) and switchback (+) differ");
            println!(
                "{}",
                similar::TextDiff::from_lines(&expected, &found).unified_diff()
            );
            differing.push(name.as_str());
        }
    }
    assert!(
        differing.is_empty(),
        "{} of {} differ: {}",
        differing.len(),
        names.len(),
        differing.join(" ")
    );
}

/// Runs a playbook once for each of its `# args:` lines.
fn runs(name: &str) -> String {
    let text = std::fs::read_to_string(folder().join(format!("{name}.yml"))).unwrap();
    let mut args: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# args:").map(str::trim))
        .collect();
    if args.is_empty() {
        args.push("");
    }
    args.into_iter().map(|args| run(name, args)).collect()
}

fn run(name: &str, args: &str) -> String {
    let tmp = tempfile::tempdir().unwrap();
    let runs = tempfile::tempdir().unwrap();
    let events = runs.path().join("events");
    let place = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(["run", "-y", "-i", "hosts.ini"])
        .env("SWITCHBACK_ROOT", place.path())
        .arg("-e")
        .arg(format!("tmp={}", tmp.path().display()))
        .arg("--events")
        .arg(&events)
        .arg(format!("{name}.yml"))
        .args(args.split_whitespace())
        .current_dir(folder())
        .env("SWITCHBACK_RUNS", runs.path().join("runs"))
        .env("DIFFERENTIAL", "from the controller")
        .output()
        .unwrap();
    let events = std::fs::read_to_string(&events).unwrap_or_default();
    let mut told = Told::default();
    for line in events.lines() {
        told.hear(&serde_json::from_str(line).unwrap());
    }
    let mut lines = vec![format!("RUN {args}")];
    let mut body = told.finish();
    lines.append(&mut body);
    lines.push(format!("EXIT {}", output.status.code().unwrap_or(-1)));
    if events.is_empty() {
        lines.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    text.replace(&tmp.path().display().to_string(), "$TMP")
        .replace(&folder().display().to_string(), "$HERE")
}

/// Under `free` (`# unordered`) tasks mix: each line is put beside its task's name, and all are
/// sorted.
fn in_order(name: &str, expected: String, found: String) -> (String, String) {
    let text = std::fs::read_to_string(folder().join(format!("{name}.yml"))).unwrap();
    if text.starts_with("# unordered") {
        (sorted_by_task(&expected), sorted_by_task(&found))
    } else {
        (expected, found)
    }
}

fn sorted_by_task(text: &str) -> String {
    let mut task = "";
    let mut out = Vec::new();
    for line in text.lines() {
        if line.starts_with("TASK ") {
            task = line;
        } else if line.starts_with("  ") {
            out.push(format!("{task}{line}\n"));
        } else {
            out.push(format!("{line}\n"));
        }
    }
    out.sort();
    out.concat()
}

/// Turns events into the lines that the oracle's callback writes.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    /// Lines of the task at hand, by host.
    block: BTreeMap<String, Vec<String>>,
    play: String,
    is_first_batch: bool,
    /// The task at hand.
    step: String,
    /// Names and modules of tasks.
    tasks: BTreeMap<String, (String, String)>,
}

impl Told {
    fn hear(&mut self, event: &Value) {
        match event["event"].as_str().unwrap() {
            "play_started" | "play_skipped" => {
                self.close();
                self.play = text(&event["name"]);
                self.is_first_batch = true;
                self.lines.push(format!("PLAY {}", self.play));
            }
            // Ansible begins the play anew for each batch.
            "batch_started" if std::mem::replace(&mut self.is_first_batch, false) => {}
            "batch_started" => {
                self.close();
                let play = self.play.clone();
                self.lines.push(format!("PLAY {play}"));
            }
            "task_started" => {
                let step = text(&event["step"]);
                if self.step != step {
                    self.close();
                }
                let named = (text(&event["name"]), text(&event["module"]));
                self.tasks.insert(step.clone(), named);
                self.step = step;
            }
            "item_finished" => self.line(event, Some(&text(&event["label"]))),
            "host_finished" => self.line(event, None),
            "run_finished" => {
                self.close();
                let hosts = event["stats"]["hosts"].as_object().unwrap();
                let sorted: BTreeMap<&String, &Value> = hosts.iter().collect();
                for (host, s) in sorted {
                    self.lines.push(format!(
                        "RECAP {host}: ok={} changed={} unreachable={} failures={} skipped={} \
                         rescued={} ignored={}",
                        s["ok"],
                        s["changed"],
                        s["unreachable"],
                        s["failed"],
                        s["skipped"],
                        s["rescued"],
                        s["ignored"]
                    ));
                }
            }
            _ => {}
        }
    }

    fn line(&mut self, event: &Value, label: Option<&str>) {
        let step = text(&event["step"]);
        if self.step != step {
            self.close();
            self.step = step;
        }
        let report = &event["report"];
        let mut status = text(&report["status"]);
        if report["is_ignored"] == true {
            status.push_str(" ignored");
        }
        let host = text(&event["host"]);
        let mut line = format!("  {host}: {status}");
        if let Some(label) = label {
            let label = label.replace("(hidden)", "(censored due to no_log)");
            line.extend([" (", &label, ")"]);
        }
        let has_items = report["result"].get("results").is_some();
        let shows = ["debug", "assert", "fail"].contains(&self.module());
        if shows && !status.starts_with("skipped") && (label.is_some() || !has_items) {
            line.push(' ');
            line.push_str(&self.shown(report, &status));
        }
        self.block.entry(host).or_default().push(line);
    }

    fn shown(&self, report: &Value, status: &str) -> String {
        let result = report["result"].as_object().unwrap();
        let loop_names: Vec<&str> = ["ansible_loop_var", "ansible_index_var"]
            .iter()
            .filter_map(|name| result.get(*name)?.as_str())
            .collect();
        let noise = [
            "changed",
            "failed",
            "skipped",
            "failed_when_result",
            "attempts",
            "retries",
            "unreachable",
            "warnings",
            "deprecations",
            "item",
            "ansible_loop_var",
            "ansible_index_var",
            "ansible_loop",
        ];
        let mut shown: BTreeMap<&str, &Value> = result
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .filter(|(key, _)| !noise.contains(key) && !loop_names.contains(key))
            .collect();
        if status.starts_with("failed") {
            shown.retain(|key, _| *key == "msg" && self.module() != "debug");
        }
        python_json(&serde_json::to_value(shown).unwrap())
    }

    fn module(&self) -> &str {
        self.tasks.get(&self.step).map_or("", |(_, module)| module)
    }

    fn close(&mut self) {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            let name = self.tasks.get(&self.step).map_or("", |(name, _)| name);
            self.lines.push(format!("TASK {name}"));
            self.lines.extend(block.into_values().flatten());
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.close();
        self.lines
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().trim().to_owned()
}

/// JSON with the blanks that Python's `json.dumps` writes.
fn python_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let inner: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| {
                    format!("{}: {}", Value::from(key.as_str()), python_json(value))
                })
                .collect();
            format!("{{{}}}", inner.join(", "))
        }
        Value::Array(items) => {
            let inner: Vec<String> = items.iter().map(python_json).collect();
            format!("[{}]", inner.join(", "))
        }
        other => other.to_string(),
    }
}
