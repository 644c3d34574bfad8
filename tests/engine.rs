//! The promises of the engine, checked on the core itself: effects out, inputs in. The simulated
//! host runs every script with a local `sh`; the journal is a list.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;

use switchback::exec::ask::{Answer, Question};
use switchback::exec::{
    Effect, Input, Machine, Now, Project, Replay, Settings, Wanted, replay_of, start,
    start_rollback,
};
use switchback::inventory::Inventory;
use switchback::journal::{Record, RunKey, UndoRecord, fold};
use switchback::model::Playbook;
use switchback::modules::{InputKind, Resolved};
use switchback::plan::Loader;
use switchback::script::{PRELUDE, Reply};
use switchback::transport::Failed;
use switchback::value::{Map, Value};

/// A project in a folder of its own, and the world around the core.
struct World {
    folder: tempfile::TempDir,
    records: Vec<Record>,
    /// The records as they were written.
    written: Vec<String>,
    key: RunKey,
    /// What was done, in order: `trip HOST`, `intent`, `done`, `ask KIND`.
    log: Vec<String>,
    scripts: Vec<String>,
    events: Vec<String>,
    answers: VecDeque<Answer>,
    /// The append with this number fails.
    broken_append: Option<usize>,
    appends: usize,
    /// The trip with this number is answered so after it ran, or instead of running.
    lost_trip: Option<(usize, bool)>,
    unreachable_trip: Option<usize>,
    trips: usize,
    /// The process dies before this effect.
    dies_at: Option<usize>,
    effects: usize,
    /// What is left of the first attempt on the host is what a restart leaves.
    loses: bool,
    /// A file to be written by somebody else as soon as an intent is on disk.
    meddle: Option<(PathBuf, &'static str)>,
    settings: Settings,
    /// How far the clock goes with each input, in milliseconds.
    tick_ms: u64,
    millis: u64,
}

impl World {
    fn new(playbook: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = playbook.replace("$T", &folder.path().display().to_string());
        std::fs::write(folder.path().join("site.yml"), text).unwrap();
        let vars = Map::from([("ansible_connection".to_owned(), Value::from("local"))]);
        let settings = Settings {
            run: "run".into(),
            playbook: "site.yml".into(),
            change: "upgrade".into(),
            forks: 5,
            journal: Some("journal".into()),
            machine: Some("here".into()),
            owner: "alice".into(),
            lost_after_s: Some(0),
            connection_defaults: Arc::new(vars),
            ..Settings::default()
        };
        Self {
            folder,
            records: Vec::new(),
            written: Vec::new(),
            key: RunKey::random("run").unwrap(),
            log: Vec::new(),
            scripts: Vec::new(),
            events: Vec::new(),
            answers: VecDeque::new(),
            broken_append: None,
            appends: 0,
            lost_trip: None,
            unreachable_trip: None,
            trips: 0,
            dies_at: None,
            effects: 0,
            loses: false,
            meddle: None,
            settings,
            tick_ms: 0,
            millis: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn load(&self) -> (Rc<Project>, Playbook, Inventory) {
        let mut loader = Loader::new(Vec::new(), Vec::new(), Map::new());
        let playbook = loader.playbook(&self.path("site.yml")).unwrap();
        let sources = ["a,b,".to_owned()];
        let (inventory, _) = Inventory::read(&sources, None, &mut loader.sources).unwrap();
        (Rc::new(Project::new(loader)), playbook, inventory)
    }

    /// Runs to the end, or to the death of the process.
    fn run(&mut self) -> Option<u8> {
        self.run_after(Replay::default())
    }

    fn run_after(&mut self, replay: Replay) -> Option<u8> {
        let (project, playbook, inventory) = self.load();
        let machine = start(project, self.settings.clone(), inventory, playbook, replay);
        self.drive(machine)
    }

    fn resume(&mut self) -> Option<u8> {
        let replay = replay_of(&fold(&self.records));
        self.run_after(replay)
    }

    fn roll_back(&mut self, way: &str) -> Option<u8> {
        let (project, playbook, inventory) = self.load();
        let wanted = Wanted {
            way: Some(way.to_owned()),
            ..Wanted::default()
        };
        let journal = fold(&self.records);
        let settings = self.settings.clone();
        self.drive(start_rollback(
            project, settings, inventory, journal, playbook, wanted,
        ))
    }

    fn drive(&mut self, mut machine: Machine) -> Option<u8> {
        let mut inputs = VecDeque::from([Input::Start]);
        while let Some(input) = inputs.pop_front() {
            self.millis += self.tick_ms;
            let now = Now {
                millis: self.millis,
                ..Now::default()
            };
            for effect in machine.step(input, now) {
                self.effects += 1;
                if self.dies_at == Some(self.effects) {
                    return None;
                }
                inputs.extend(self.carry_out(effect));
            }
            if let Some(ended) = machine.ended() {
                return Some(ended.exit_code);
            }
        }
        panic!("the core waits for nothing: {:?}", self.log);
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        Some(match effect {
            Effect::Emit(event) => {
                self.events.push(serde_json::to_string(&event).unwrap());
                return None;
            }
            Effect::Trip {
                ticket,
                target,
                job,
                ..
            } => {
                let sh = &job.script.sh;
                // Meeting a host and leaving it is once per run, and no trip of a task.
                if ["sb_meet", "sb_gone", "sb_free"]
                    .iter()
                    .any(|op| sh.starts_with(op))
                {
                    return Some(Input::Reply(ticket, Ok(self.shell(sh))));
                }
                self.trips += 1;
                self.log.push(format!("trip {}", target.host));
                self.scripts.push(job.script.sh.clone());
                let reply = self.trip(&job.script.sh);
                if self.loses && job.script.sh.starts_with("sb_start") {
                    self.loses = false;
                    self.forget_the_end();
                    let reason = "connection reset".into();
                    return Some(Input::Reply(ticket, Err(Failed::Lost { reason })));
                }
                Input::Reply(ticket, reply)
            }
            Effect::Append {
                ticket, records, ..
            } => {
                self.appends += 1;
                if self.broken_append == Some(self.appends) {
                    self.log.push("append fails".into());
                    return Some(Input::Durable(ticket, Err("no space left".into())));
                }
                for record in &records {
                    self.append(record);
                }
                Input::Durable(ticket, Ok(()))
            }
            Effect::Ask { ticket, question } => {
                let (kind, default) = match *question {
                    Question::Task(_) => ("task", Answer::Run),
                    Question::Failure(_) => ("failure", Answer::Run),
                    Question::PointOfNoReturn(_) => ("point", Answer::Stop),
                    Question::Text(_) => ("text", Answer::Text("hunter2-word".into())),
                    _ => ("other", Answer::Stop),
                };
                self.log.push(format!("ask {kind}"));
                let answer = self.answers.pop_front().unwrap_or(default);
                Input::Answered(ticket, answer, "test".into())
            }
            Effect::Read { ticket, path, kind } => Input::File(ticket, read(&path, kind)),
            Effect::Write {
                ticket,
                path,
                bytes,
            } => {
                std::fs::write(&path, bytes).unwrap();
                Input::Written(ticket, Ok(()))
            }
            Effect::Sleep { ticket, .. } | Effect::Reset { ticket, .. } => Input::Woken(ticket),
            Effect::Reconnect { ticket, .. } => Input::Reply(ticket, Ok(Reply::default())),
        })
    }

    fn append(&mut self, record: &Record) {
        let seq = self.records.len() as u64 + 1;
        let (mut closed, kind) = (record.clone(), record);
        self.key.close(&mut closed, seq).unwrap();
        let json = serde_json::to_value(&closed).unwrap();
        self.written.push(json.to_string());
        let what = json["record"].as_str().unwrap().to_owned();
        self.log.push(what);
        if matches!(kind, Record::Intent { .. })
            && let Some((path, text)) = self.meddle.take()
        {
            std::fs::write(path, text).unwrap();
        }
        // What a later process reads is what was written.
        let mut read = serde_json::from_value(json).unwrap();
        assert!(self.key.open(&mut read, seq));
        self.records.push(read);
    }

    fn trip(&self, sh: &str) -> Result<Reply, Failed> {
        let unreachable = self.unreachable_trip == Some(self.trips);
        if unreachable {
            return Err(Failed::Unreachable {
                reason: "no route".into(),
                help: None,
            });
        }
        let lost = self.lost_trip.filter(|(number, _)| *number == self.trips);
        if let Some((_, false)) = lost {
            return Err(Failed::Lost {
                reason: "connection reset".into(),
            });
        }
        let reply = self.shell(sh);
        if lost.is_some() {
            return Err(Failed::Lost {
                reason: "connection reset".into(),
            });
        }
        Ok(reply)
    }

    /// What a host does with a script.
    fn shell(&self, sh: &str) -> Reply {
        let script = format!("{PRELUDE}\n(\n{sh}\n)");
        let output = Command::new("sh")
            .arg("-c")
            .arg(script)
            .env("HOME", self.folder.path())
            .env("SWITCHBACK_ROOT", self.folder.path().join("place"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Reply {
            rc: output.status.code().unwrap_or(255),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }

    /// The host was restarted while its only attempt ran.
    fn forget_the_end(&self) {
        for spool in std::fs::read_dir(self.path("place/u")).unwrap() {
            let attempts = std::fs::read_dir(spool.unwrap().path().join("a")).unwrap();
            for file in attempts.map(|entry| entry.unwrap().path()) {
                match file.extension().and_then(|end| end.to_str()) {
                    Some("rc") => std::fs::remove_file(file).unwrap(),
                    Some("sup") => std::fs::write(file, "1 1 another-boot .\n").unwrap(),
                    _ => {}
                }
            }
        }
    }

    fn all_told(&self) -> String {
        format!("{}\n{}", self.events.join("\n"), self.written.join("\n"))
    }
}

fn read(path: &Path, _: InputKind) -> Result<Resolved, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    Ok(Resolved {
        path: path.to_owned(),
        size: bytes.len() as u64,
        bytes,
        ..Resolved::default()
    })
}

fn play(tasks: &str) -> String {
    format!("- hosts: a\n  gather_facts: false\n  tasks:\n{tasks}")
}

fn change(header: &str, tasks: &str) -> String {
    format!("- change: upgrade\n{header}{}", play(tasks))
}

const COPY: &str = "    - copy: {content: new, dest: $T/f}\n";
const COUNT: &str = "    - shell: echo ran >> $T/count\n";

#[test]
fn an_intent_is_on_disk_before_its_change_leaves() {
    let mut world = World::new(&play(&format!("{COPY}{COUNT}")));
    assert_eq!(world.run(), Some(0));
    let expected = [
        "locking",
        "host_ready",
        "trip a",
        "intent",
        "trip a",
        "done",
        "intent",
        "issued",
        "trip a",
        "done",
        "closed",
    ];
    assert_eq!(world.log, expected);
    assert_eq!(world.text("f"), "new");
    assert_eq!(world.text("count"), "ran\n");
}

#[test]
fn trips_are_counted() {
    let tasks = "    - debug: {msg: x}\n    - set_fact: {x: 1}\n    - assert: {that: x == 1}\n";
    for (tasks, before, trips) in [
        (tasks, "", 0),
        (COPY, "new", 1),
        (COPY, "old", 2),
        (COUNT, "", 1),
    ] {
        let mut world = World::new(&play(tasks));
        std::fs::write(world.path("f"), before).unwrap();
        assert_eq!(world.run(), Some(0), "{tasks}");
        assert_eq!(
            world.trips, trips,
            "{tasks} {:?} {:#?}",
            world.log, world.scripts
        );
    }
}

#[test]
fn check_mode_only_looks() {
    let mut world = World::new(&play(&format!(
        "{COPY}{COUNT}    - fetch: {{src: $T/site.yml, dest: $T/out/}}\n"
    )));
    world.settings.is_check = true;
    world.settings.journal = None;
    assert_eq!(world.run(), Some(0), "{:#?}", world.events);
    assert!(!world.path("f").exists() && !world.path("count").exists());
    assert!(!world.path("out").exists(), "`fetch` wrote in check mode");
    assert!(world.records.is_empty());
    assert!(
        world.log.iter().all(|line| line == "trip a"),
        "{:?}",
        world.log
    );
}

#[test]
fn the_end_of_the_window_stops_the_run_before_the_next_task() {
    let mut world = World::new(&play(&format!("{COUNT}{COUNT}{COUNT}")));
    world.settings.window_s = Some(9);
    world.tick_ms = 1000;
    assert_eq!(world.run(), Some(14), "{:?}", world.log);
    let ran = world.text("count").lines().count();
    assert!((1..3).contains(&ran), "{ran} tasks ran");
    assert_eq!(world.resume(), Some(0), "another window: {:?}", world.log);
    assert_eq!(world.text("count").lines().count(), 3);

    // Whoever goes on after the end is not asked again.
    let mut world = World::new(&play(&format!("{COUNT}{COUNT}{COUNT}")));
    world.settings.window_s = Some(9);
    world.settings.window_spent_s = 8;
    world.tick_ms = 1000;
    world.answers = VecDeque::from([Answer::Continue]);
    assert_eq!(world.run(), Some(0), "{:?}", world.log);
    assert_eq!(world.log.iter().filter(|l| *l == "ask other").count(), 1);
}

#[test]
fn a_declined_change_sends_nothing() {
    let mut world = World::new(&play(COUNT));
    world.settings.asks = true;
    world.answers = [Answer::Skip {
        reason: "not now".into(),
    }]
    .into();
    assert_eq!(world.run(), Some(0));
    assert_eq!(world.trips, 0);
    assert!(!world.path("count").exists());
    assert!(!world.log.contains(&"intent".to_owned()));
}

/// What the operator declined stays declined: a later process of the run, which may have nobody to
/// ask, does not run it, item by item as well; what was not asked about yet is asked about.
#[test]
fn a_declined_change_is_not_run_by_a_resume() {
    let items = "    - shell: echo {{ item }} >> $T/items\n      loop: [1, 2]\n";
    let mut world = World::new(&play(&format!("{COUNT}{items}{COPY}")));
    world.settings.asks = true;
    let skip = || Answer::Skip {
        reason: "not now".into(),
    };
    world.answers = [skip(), skip(), Answer::Stop].into();
    assert_eq!(world.run(), Some(10));
    world.settings.asks = false;
    assert_eq!(world.resume(), Some(0), "{:?}", world.log);
    assert!(!world.path("count").exists());
    assert!(!world.path("items").exists());
    assert_eq!(world.text("f"), "new");
}

#[test]
fn a_failed_append_stops_the_run_before_the_change() {
    let mut world = World::new(&play(&format!("{COUNT}{COPY}")));
    world.broken_append = Some(1);
    assert_eq!(world.run(), Some(1));
    assert_eq!(world.trips, 0);
    assert!(!world.path("count").exists());
}

/// A lost reply decides nothing: the host tells what has become of the attempt. One that never
/// started is sent anew, under another id.
#[test]
fn a_lost_reply_is_settled_by_the_host() {
    for (ran, issued) in [(true, 1), (false, 2)] {
        let mut world = World::new(&play(&format!("{COUNT}      register: r\n{COPY}")));
        world.lost_trip = Some((1, ran));
        assert_eq!(world.run(), Some(0), "{:#?}", world.events);
        assert_eq!(world.text("count"), "ran\n");
        let count = |kind: &str| world.log.iter().filter(|line| *line == kind).count();
        assert_eq!(count("issued"), issued, "{:?}", world.log);
        assert_eq!(count("never_started"), issued - 1);
        assert_eq!(world.text("f"), "new");
    }
}

/// What restarts with its host is lost: the host is parked, and nothing is sent to it again until
/// somebody has decided.
#[test]
fn a_lost_attempt_parks_the_host_until_somebody_decides() {
    let mut world = World::new(&play(&format!("{COUNT}{COPY}")));
    world.loses = true;
    assert_eq!(world.run(), Some(9), "{:#?}", world.events);
    assert_eq!(world.text("count"), "ran\n");
    assert!(
        !world.path("f").exists(),
        "the parked host took a further step"
    );
    world.loses = false;
    // A resume asks; without an answer it does not run it again.
    world.answers = [Answer::Nobody { hint: "x".into() }].into();
    assert_eq!(world.resume(), Some(15));
    assert_eq!(world.text("count"), "ran\n");
    assert!(world.log.contains(&"ask failure".to_owned()));
}

/// `verify` decides about a lost attempt: 0 is yes, 1 is no, anything else is no answer.
#[test]
fn verify_decides_a_lost_attempt() {
    for (rc, code, ran) in [(0, 0, 1), (1, 0, 2), (2, 9, 1)] {
        let verify = format!("      verify: {{name: it ran, shell: exit {rc}, reads: true}}\n");
        let mut world = World::new(&play(&format!("{COUNT}      register: r\n{verify}{COPY}")));
        world.loses = true;
        assert_eq!(world.run(), Some(code), "{rc} {:#?}", world.events);
        assert_eq!(world.text("count").lines().count(), ran, "{rc}");
        assert_eq!(world.path("f").exists(), code == 0, "{rc}");
    }
}

#[test]
fn a_change_that_was_never_sent_leaves_no_undo() {
    let mut world = World::new(&play(COUNT));
    world.unreachable_trip = Some(1);
    assert_eq!(world.run(), Some(4));
    assert!(
        world.log.contains(&"never_started".to_owned()),
        "{:?}",
        world.log
    );
    let journal = fold(&world.records);
    assert!(journal.undo.is_empty() && journal.open.is_empty());
}

#[test]
fn a_host_that_moved_is_looked_at_again() {
    let mut world = World::new(&play(COPY));
    std::fs::write(world.path("f"), "old").unwrap();
    world.settings.asks = true;
    world.meddle = Some((world.path("f"), "by somebody else"));
    world.answers = [
        Answer::Run,
        Answer::Skip {
            reason: "look first".into(),
        },
    ]
    .into();
    assert_eq!(world.run(), Some(0));
    assert_eq!(world.text("f"), "by somebody else");
    let asked = world.log.iter().filter(|line| *line == "ask task").count();
    assert_eq!(asked, 2);
    assert!(fold(&world.records).undo.is_empty());
}

#[test]
fn a_protected_host_takes_only_what_reads_or_can_be_undone() {
    let header = "  protect: [a]\n";
    let undo = "      undo:\n        - command: rm -f $T/count\n";
    for (tasks, code, ran) in [
        (COUNT.to_owned(), 8, false),
        (format!("{COUNT}      ignore_errors: true\n"), 8, false),
        (format!("{COUNT}      undo: keep\n"), 8, false),
        (format!("{COUNT}{undo}"), 0, true),
        (format!("{COUNT}      reads: true\n"), 0, true),
    ] {
        let mut world = World::new(&change(header, &tasks));
        assert_eq!(world.run(), Some(code), "{tasks}");
        assert_eq!(world.path("count").exists(), ran, "{tasks}");
    }
}

#[test]
fn a_point_of_no_return_asks_and_seals() {
    let tasks = format!(
        "{COPY}      tags: data\n{COUNT}      point_of_no_return: {{reason: it is final, seals: [data]}}\n"
    );
    let mut world = World::new(&change("", &tasks));
    world.answers = [Answer::Stop].into();
    assert_eq!(world.run(), Some(10));
    assert!(!world.path("count").exists());

    let mut world = World::new(&change("", &tasks));
    world.answers = [Answer::Text("upgrade".into())].into();
    assert_eq!(world.run(), Some(0));
    assert_eq!(world.text("count"), "ran\n");
    assert_eq!(
        fold(&world.records).undoable().count(),
        1,
        "only the point's own entry is left"
    );
    world.roll_back("undo");
    assert_eq!(
        world.text("f"),
        "new",
        "a rollback crossed the point of no return"
    );
}

#[test]
fn a_rollback_undoes_newest_first_and_keeps_what_is_kept() {
    let tasks = format!(
        "    - shell: echo one >> $T/order\n      undo:\n        - shell: echo undo one >> $T/order\n\
         {COPY}    - shell: echo two >> $T/order\n      undo:\n        - shell: echo undo two >> $T/order\n\
         \x20   - shell: touch $T/kept\n      undo: keep\n"
    );
    let mut world = World::new(&play(&tasks));
    std::fs::write(world.path("f"), "old").unwrap();
    assert_eq!(world.run(), Some(0));
    assert_eq!(world.text("f"), "new");
    assert_eq!(world.roll_back("undo"), Some(12));
    assert_eq!(world.text("f"), "old");
    assert_eq!(world.text("order"), "one\ntwo\nundo two\nundo one\n");
    assert!(world.path("kept").exists());
    let again = world.roll_back("undo");
    assert_eq!(again, Some(13), "there is nothing left to undo");
}

#[test]
fn what_cannot_be_undone_is_said() {
    let mut world = World::new(&play(COUNT));
    assert_eq!(world.run(), Some(0));
    let intent = world.records.iter().find_map(|r| match r {
        Record::Intent { undo, .. } => Some(undo.clone()),
        _ => None,
    });
    assert!(matches!(intent, Some(UndoRecord::Unknown { .. })));
    assert_eq!(world.roll_back("undo"), Some(13));
}

#[test]
fn an_illegal_way_back_is_refused() {
    let header = "  ways_back:\n    - name: restore\n      hosts: a\n      legal:\n        - {name: backup is there, hosts: a, command: test -e $T/backup, reads: true}\n      tasks:\n        - shell: echo restored >> $T/f\n";
    let mut world = World::new(&change(header, COUNT));
    assert_eq!(world.run(), Some(0));
    assert_eq!(world.roll_back("restore"), Some(13));
    assert!(!world.path("f").exists());
    std::fs::write(world.path("backup"), "").unwrap();
    assert_eq!(world.roll_back("restore"), Some(12));
    assert_eq!(world.text("f"), "restored\n");
}

/// Killed before any effect and resumed, a run comes to the same end, and what may run only once
/// runs once.
#[test]
fn a_run_killed_anywhere_is_resumed() {
    let tasks = format!(
        "{COPY}{COUNT}      register: r\n    - lineinfile: {{path: $T/f, line: \"rc {{{{ r.rc }}}}\"}}\n\
         \x20   - debug: {{msg: \"{{{{ r.rc }}}}\"}}\n"
    );
    let mut whole = World::new(&play(&tasks));
    assert_eq!(whole.run(), Some(0));
    assert_eq!(whole.text("f"), "new\nrc 0\n");
    for dies_at in 1..=whole.effects {
        let mut world = World::new(&play(&tasks));
        world.dies_at = Some(dies_at);
        assert_eq!(world.run(), None);
        world.dies_at = None;
        let code = world.resume();
        assert_eq!(
            code,
            Some(0),
            "killed before effect {dies_at}: {:?}",
            world.log
        );
        // The host tells what has become of an attempt: nobody need be asked.
        assert!(!world.log.contains(&"ask failure".to_owned()));
        assert_eq!(
            world.text("count"),
            "ran\n",
            "killed before effect {dies_at}"
        );
        assert_eq!(
            world.text("f"),
            whole.text("f"),
            "killed before effect {dies_at}"
        );
    }
}

#[test]
fn a_hidden_value_appears_nowhere() {
    let tasks = "    - shell: echo \"{{ item }}\" > $T/secret; echo \"{{ item }}\"\n      loop: [hunter2-one, hunter2-two]\n      no_log: true\n      register: r\n    - shell: \"echo {{ r.results[0].stdout }}; exit 1\"\n      no_log: true\n      ignore_errors: true\n";
    let mut world = World::new(&play(tasks));
    // The playbook is the only place that has it in clear.
    assert_eq!(world.run(), Some(0));
    assert_eq!(world.text("secret"), "hunter2-two\n");
    let told = world.all_told();
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_prompted_secret_appears_nowhere_and_survives_a_resume() {
    let text = "- hosts: a\n  gather_facts: false\n  vars_prompt:\n    - {name: word, prompt: The word, private: true}\n  tasks:\n    - set_fact: {copied: \"{{ word }}\"}\n    - shell: echo {{ word }} | tee $T/secret\n      register: r\n      undo:\n        - shell: echo {{ word }} > $T/undone\n    - debug: {msg: \"{{ r.stdout }} {{ word }}\"}\n    - copy: {content: \"{{ copied }}\", dest: $T/f}\n    - command: test -e $T/go\n";
    let mut world = World::new(text);
    assert_eq!(world.run(), Some(2));
    assert_eq!(world.text("secret"), "hunter2-word\n");
    assert_eq!(world.text("f"), "hunter2-word");
    let told = world.all_told();
    assert!(!told.contains("hunter2"), "{told}");
    std::fs::write(world.path("go"), "").unwrap();
    assert_eq!(world.resume(), Some(0));
    let told = world.all_told();
    assert!(!told.contains("hunter2"), "{told}");
}

const JOBS: &str = r#"
    - shell: "echo {{ item }} >> $T/count; echo out {{ item }}"
      async: 60
      poll: 0
      loop: [one, two]
      register: jobs
    - async_status: {jid: "{{ item.ansible_job_id }}"}
      loop: "{{ jobs.results }}"
      register: ends
      until: ends.finished
      retries: 1000
    - copy: {content: "{{ ends.results | map(attribute='stdout') | join(',') }}", dest: $T/f}
"#;

/// The files of attempts that the host keeps, by what they end with.
fn kept(world: &World) -> Vec<String> {
    let folder = world.path("place/u/0/a");
    let names = std::fs::read_dir(folder).unwrap();
    let end = |name: std::ffi::OsString| {
        let name = name.into_string().unwrap();
        name.rsplit('.').next().unwrap().to_owned()
    };
    names.map(|name| end(name.unwrap().file_name())).collect()
}

/// Jobs begin once each, and a later process reads how they ended.
#[test]
fn jobs_are_found_by_a_later_process() {
    let mut whole = World::new(&play(JOBS));
    assert_eq!(whole.run(), Some(0), "{:#?}", whole.events);
    assert_eq!(whole.text("f"), "out one,out two");
    assert_eq!(kept(&whole), Vec::<String>::new());
    for dies_at in 1..=whole.effects {
        let mut world = World::new(&play(JOBS));
        world.dies_at = Some(dies_at);
        if world.run().is_some() {
            continue;
        }
        world.dies_at = None;
        assert_eq!(
            world.resume(),
            Some(0),
            "killed before effect {dies_at}: {:#?}",
            world.events
        );
        assert_eq!(world.text("f"), "out one,out two", "{dies_at}");
        let text = world.text("count");
        let mut count: Vec<&str> = text.lines().collect();
        count.sort_unstable();
        assert_eq!(count, ["one", "two"], "{dies_at}");
    }
}

/// What runs at the end is said, its files stay, and the journal knows it.
#[test]
fn a_job_that_still_runs_is_said_at_the_end() {
    let job = "    - shell: until [ -e $T/go ]; do sleep 0.05; done; echo ran >> $T/count\n\
               \x20     async: 60\n      poll: 0\n";
    let mut world = World::new(&play(job));
    assert_eq!(world.run(), Some(0), "{:#?}", world.events);
    assert!(world.all_told().contains("still runs"), "{:?}", world.log);
    let journal = fold(&world.records);
    assert_eq!(journal.jobs.len(), 1);
    assert!(journal.open.is_empty() && journal.jobs.values().all(|job| job.ended.is_none()));
    assert!(kept(&world).iter().any(|end| end == "claim"));
    std::fs::write(world.path("go"), "").unwrap();
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !kept(&world).iter().any(|end| end == "rc") {
        assert!(std::time::Instant::now() < limit);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(world.resume(), Some(0));
    assert_eq!(world.text("count"), "ran\n");
    assert!(fold(&world.records).jobs.is_empty());
    assert_eq!(kept(&world), Vec::<String>::new());
}

/// The host was restarted while a job ran: who asks is told that it is lost.
#[test]
fn a_job_can_be_lost() {
    let job = "    - shell: sleep 60\n      async: 90\n      poll: 0\n      register: job\n";
    let restart = "    - shell: |\n        until read -r pid x <$T/place/u/0/a/run-1-0-0.pid; do \
                   sleep 0.05; done\n        kill -s KILL -- -$pid\n        while [ ! -e $T/place/u/0/a/run-1-0-0.rc ]; do sleep \
                   0.05; done\n        rm -f $T/place/u/0/a/run-1-0-0.rc\n        echo 1 1 \
                   another-boot . >$T/place/u/0/a/run-1-0-0.sup\n";
    let ask = "    - async_status: {jid: \"{{ job.ansible_job_id }}\"}\n      register: r\n      until: \
               r.finished\n";
    for (verify, code) in [("", 9), ("0", 0), ("1", 2)] {
        let verify = match verify {
            "" => String::new(),
            rc => format!("      verify: {{name: it ran, shell: exit {rc}, reads: true}}\n"),
        };
        let text = play(&format!("{job}{verify}{restart}{ask}{COPY}"));
        let mut world = World::new(&text);
        assert_eq!(world.run(), Some(code), "{verify} {:#?}", world.events);
        assert_eq!(world.path("f").exists(), code == 0, "{verify}");
    }
}
