//! The table `tests/template/cases.yml`, written by real ansible-core, against this engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{Engine, ErrorKind, MemoryWorld, PathKind, PathStat, Scope, World};
use crate::value::{Map, Text, Value};

/// Reads the controller for what the cases ask of it: `/etc` and a shell.
struct CaseWorld(MemoryWorld);

impl World for CaseWorld {
    fn now(&self) -> chrono::DateTime<chrono::FixedOffset> {
        self.0.now
    }
    fn random_u64(&self) -> u64 {
        self.0.random
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.0.read_file(path)
    }
    fn write_file(&self, path: &Path, content: &[u8]) -> Result<(), String> {
        self.0.write_file(path, content)
    }
    fn pipe(&self, command: &str) -> Result<String, String> {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .output()
            .map_err(|e| e.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("{}", output.status))
        }
    }
    fn search_path(&self, _: &str, _: &str) -> Option<std::path::PathBuf> {
        None
    }
    fn glob(&self, _: &str) -> Vec<std::path::PathBuf> {
        Vec::new()
    }
    fn stat(&self, path: &Path, _: bool) -> Option<PathStat> {
        let found = path.metadata().ok()?;
        let kind = if found.is_dir() {
            PathKind::Directory
        } else {
            PathKind::File
        };
        Some(PathStat {
            kind,
            device: 0,
            inode: 0,
        })
    }
    fn real_path(&self, path: &Path) -> std::path::PathBuf {
        path.to_owned()
    }
    fn home(&self, _: Option<&str>) -> Option<String> {
        None
    }
    fn hosts_matching(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

#[derive(serde::Deserialize)]
struct Case {
    kind: char,
    text: String,
    #[serde(default)]
    expect: Option<serde_json::Value>,
    #[serde(default)]
    error: Option<String>,
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template")
}

/// Marks every string as the user's, as a playbook's variables are.
fn from_user(value: &Value) -> Value {
    match value {
        Value::Str(text) => Value::Str(Text::from_user(text.as_str())),
        Value::List(items) => Value::from(items.iter().map(from_user).collect::<Vec<_>>()),
        Value::Map(map) => Value::from(
            map.iter()
                .map(|(k, v)| (k.clone(), from_user(v)))
                .collect::<Map>(),
        ),
        other => other.clone(),
    }
}

fn variables() -> Map {
    let text = std::fs::read_to_string(folder().join("vars.yml")).unwrap();
    let mut documents = super::python::yaml_load::load_all(&text).unwrap();
    match from_user(&documents.remove(0)) {
        Value::Map(map) => (*map).clone(),
        other => panic!("vars.yml holds {}", other.type_name()),
    }
}

/// All variables of the cases stand in a file of the user.
struct UserScope(Map);

impl Scope for UserScope {
    fn lookup(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
    fn is_from_user(&self, _: &str) -> bool {
        true
    }
}

fn ours(
    engine: &Engine,
    case: &Case,
    vars: &UserScope,
    world: &CaseWorld,
) -> (Option<serde_json::Value>, String) {
    let text = Value::Str(Text::from_user(case.text.as_str()));
    let result = match case.kind {
        'T' => engine
            .render(&text, vars, world)
            .map(|v| v.to_exposed_json()),
        'W' => engine
            .eval_bool(&text, vars, world)
            .map(serde_json::Value::from),
        _ => engine
            .render_file(&case.text.replace("\\n", "\n"), vars, world)
            .map(|t| t.as_str().into()),
    };
    match result {
        Ok(value) => (Some(value), String::new()),
        Err(error) => {
            let kind = match error.kind {
                ErrorKind::Undefined => "undefined",
                ErrorKind::Syntax => "syntax",
                ErrorKind::Conditional => "conditional",
                _ => "other",
            };
            (None, format!("{kind}: {}", error.message))
        }
    }
}

/// Cases where this engine differs on purpose, with the reason.
fn accepted() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        (
            "{{ missing | mandatory }}",
            "the kind says undefined, so that check mode can treat it as such",
        ),
        (
            "{{ numbers.count(3) }}",
            "2.19 counts the unrendered items of a variable and finds none",
        ),
    ])
}

#[test]
fn templates_give_what_ansible_core_gives() {
    let table = std::fs::read_to_string(folder().join("cases.yml")).unwrap();
    let cases: Vec<Case> = table
        .lines()
        .filter_map(|line| line.strip_prefix("- "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(cases.len() > 500, "only {} cases", cases.len());
    let (engine, vars) = (Engine::new(), UserScope(variables()));
    let world = CaseWorld(MemoryWorld::default());
    let accepted = accepted();
    let mut wrong = Vec::new();
    for case in &cases {
        let (value, error) = ours(&engine, case, &vars, &world);
        let same = match (&case.error, &value) {
            (None, Some(value)) => *value == case.expect.clone().unwrap_or_default(),
            (Some(kind), None) => error.starts_with(kind.as_str()),
            _ => false,
        };
        if same == accepted.contains_key(case.text.as_str()) {
            wrong.push(format!(
                "{} {}\n    ansible: {}\n    ours:    {}",
                case.kind,
                case.text,
                case.error.clone().unwrap_or_else(|| format!(
                    "{:?}",
                    case.expect.clone().unwrap_or_default().to_string()
                )),
                value.map_or(error, |v| format!("{:?}", v.to_string())),
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
