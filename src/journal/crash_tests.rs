//! The journal under faults: every failing operation, every truncation, every flipped byte.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use proptest::prelude::*;

use super::error::Error;
use super::reader::{Recovered, recover};
use super::record::{FORMAT, Instance, Record, UndoRecord};
use super::state::{RunState, fold};
use super::storage::Storage;
use super::undo::EntryState;
use super::writer::Writer;
use crate::event::Status;
use crate::model::{Seal, StepId};
use crate::value::{Map, Value};

pub(super) fn opened(run: &str) -> Record {
    Record::Opened {
        format: FORMAT,
        run: run.into(),
        version: "0".into(),
        playbook: "/p.yml".into(),
        change: None,
        inventory: vec![],
        playbook_hash: String::new(),
        inventory_hash: String::new(),
        extra_vars: Map::new(),
        options: Value::Null,
        sealed: None,
        operator: "anna".into(),
        at: DateTime::UNIX_EPOCH,
    }
}

fn instance(step: &str, host: &str) -> Instance {
    Instance {
        step: StepId(step.into()),
        host: host.into(),
        batch: 0,
        item: None,
        occurrence: 0,
    }
}

struct Intent {
    attempt: u64,
    host: &'static str,
    tags: &'static [&'static str],
    seals: Vec<Seal>,
    undo: UndoRecord,
}

fn intent(attempt: u64, host: &'static str) -> Intent {
    Intent {
        attempt,
        host,
        tags: &[],
        seals: vec![],
        undo: UndoRecord::Acts {
            summary: "back".into(),
            acts: vec![],
        },
    }
}

impl Intent {
    fn record(self) -> Record {
        Record::Intent {
            attempt: self.attempt,
            instance: instance(&format!("s{}", self.attempt), self.host),
            name: format!("task {}", self.attempt),
            module: "copy".into(),
            acts_on: self.host.into(),
            become_user: None,
            become_method: None,
            converges: true,
            is_durable: false,
            summary: String::new(),
            tags: self.tags.iter().map(|t| (*t).to_owned()).collect(),
            seals: self.seals,
            is_point: false,
            notifies: Vec::new(),
            block: None,
            undo: self.undo,
            is_hidden: false,
            at: DateTime::UNIX_EPOCH,
        }
    }
}

fn done(attempt: u64, host: &str, status: Status, stdout: &str) -> Record {
    Record::Done {
        attempt: Some(attempt),
        instance: instance(&format!("s{attempt}"), host),
        module_changed: !matches!(status, Status::Ok | Status::Skipped),
        status,
        is_ignored: false,
        result: Value::from(Map::from_iter([("stdout".to_owned(), stdout.into())])),
        facts: Map::new(),
        sealed: None,
        duration_ms: 1,
    }
}

#[derive(Default)]
struct Platter {
    durable: Vec<u8>,
    volatile: Vec<u8>,
    blobs: HashMap<String, Vec<u8>>,
    operations: usize,
}

/// Storage in memory that fails from the n-th operation on; a failing append leaves half a line.
#[derive(Clone)]
struct Faulty {
    platter: Arc<Mutex<Platter>>,
    fail_at: usize,
    recovers: bool,
}

impl Faulty {
    fn new(fail_at: usize) -> Self {
        Self {
            platter: Arc::default(),
            fail_at,
            recovers: false,
        }
    }

    fn step(&self) -> (std::sync::MutexGuard<'_, Platter>, bool) {
        let mut platter = self.platter.lock().unwrap();
        platter.operations += 1;
        let failed = if self.recovers {
            platter.operations == self.fail_at
        } else {
            platter.operations >= self.fail_at
        };
        (platter, failed)
    }
}

fn refusal() -> io::Error {
    io::Error::other("injected")
}

impl Storage for Faulty {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut platter, failed) = self.step();
        if failed {
            platter
                .volatile
                .extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(refusal());
        }
        platter.volatile.extend_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        let (mut platter, failed) = self.step();
        if failed {
            return Err(refusal());
        }
        let volatile = std::mem::take(&mut platter.volatile);
        platter.durable.extend(volatile);
        Ok(())
    }
    fn reserve(&mut self) -> io::Result<()> {
        if self.step().1 {
            Err(refusal())
        } else {
            Ok(())
        }
    }
    fn put_blob(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (mut platter, failed) = self.step();
        if failed {
            return Err(refusal());
        }
        platter.blobs.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
}

fn writer(storage: &Faulty) -> Writer {
    Writer::new(storage.clone(), Box::new(|| DateTime::UNIX_EPOCH))
}

fn sample() -> Vec<Record> {
    vec![
        opened("r"),
        intent(1, "db1").record(),
        done(1, "db1", Status::Changed, &"long ".repeat(2000)),
        intent(2, "db2").record(),
        done(2, "db2", Status::Failed, "kürz\u{202e}\u{1b}[2J\n"),
        Record::Closed {
            exit_code: 2,
            at: DateTime::UNIX_EPOCH,
        },
    ]
}

fn whole() -> (Vec<u8>, HashMap<String, Vec<u8>>) {
    let storage = Faulty::new(usize::MAX);
    let mut writer = writer(&storage);
    for record in sample() {
        writer.append_sync(&record).unwrap();
    }
    let platter = storage.platter.lock().unwrap();
    (platter.durable.clone(), platter.blobs.clone())
}

fn reread(bytes: &[u8], blobs: &HashMap<String, Vec<u8>>) -> Result<Recovered, Error> {
    recover(Path::new("journal"), bytes, &|hash| {
        blobs.get(hash).cloned().ok_or_else(|| "missing".into())
    })
}

fn records(recovered: Recovered) -> Vec<Record> {
    recovered.records.into_iter().map(|e| e.record).collect()
}

#[test]
fn what_was_written_is_read_back() {
    let (bytes, blobs) = whole();
    assert_eq!(blobs.len(), 1, "the long output lies beside the journal");
    let recovered = reread(&bytes, &blobs).unwrap();
    assert!(!recovered.torn_tail);
    assert_eq!(records(recovered), sample());
}

#[test]
fn after_a_fault_at_any_operation_nothing_is_written_and_what_was_durable_is_there() {
    let mut faults = 0;
    for fail_at in 1.. {
        // The device works again after the one fault: a second try would look like a success.
        let storage = Faulty {
            recovers: true,
            ..Faulty::new(fail_at)
        };
        let mut writer = writer(&storage);
        let mut durable = Vec::new();
        let mut failed = None;
        for record in sample() {
            match writer.append_sync(&record) {
                Ok(_) => {
                    assert!(
                        !matches!(failed, Some(Error::Io { .. })),
                        "poisoned for good"
                    );
                    durable.push(record);
                }
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        let platter = storage.platter.lock().unwrap();
        let recovered = reread(&platter.durable, &platter.blobs);
        if failed.is_none() {
            assert_eq!(records(recovered.unwrap()), sample());
            break;
        }
        faults += 1;
        if matches!(failed, Some(Error::NoRoom { .. })) && fail_at == 1 {
            // The opening record itself found no room; the rest has nothing to stand on.
            continue;
        }
        assert_eq!(records(recovered.unwrap()), durable, "fault at {fail_at}");
    }
    assert!(faults > 10, "{faults} faults were tried");
}

#[test]
fn without_room_no_intent_is_written_but_results_are() {
    let storage = Faulty {
        recovers: true,
        // Opened: reserve, append, sync. Intent 1: reserve.
        ..Faulty::new(4)
    };
    let mut writer = writer(&storage);
    writer.append_sync(&opened("r")).unwrap();
    let error = writer.append_sync(&intent(1, "db1").record()).unwrap_err();
    assert!(matches!(error, Error::NoRoom { .. }));
    writer.append_sync(&done(7, "db1", Status::Ok, "")).unwrap();
}

#[test]
fn a_flipped_byte_in_any_line_is_refused_with_the_line() {
    let (bytes, blobs) = whole();
    // Its last byte is the newline, without which the last line counts as torn.
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 1;
        let line = bytes[..at].split(|b| *b == b'\n').count() as u64;
        match reread(&broken, &blobs) {
            Err(Error::Broken { line: told, .. }) => assert_eq!(told, line, "byte {at}"),
            Err(Error::Format { .. }) => assert_eq!(line, 1),
            other => panic!("byte {at} of line {line}: {other:?}"),
        }
    }
}

#[test]
fn dropped_moved_and_doubled_lines_are_refused() {
    let (bytes, blobs) = whole();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let join = |order: &[usize]| {
        order
            .iter()
            .flat_map(|i| lines[*i].to_vec())
            .collect::<Vec<_>>()
    };
    for order in [vec![0, 2, 3], vec![0, 2, 1], vec![0, 1, 1], vec![1, 2]] {
        let error = reread(&join(&order), &blobs);
        assert!(matches!(error, Err(Error::Broken { .. })), "{order:?}");
    }
}

#[test]
fn a_line_of_another_journal_is_refused() {
    let (bytes, blobs) = whole();
    let other = Faulty::new(usize::MAX);
    let mut writer = writer(&other);
    writer.append_sync(&opened("another")).unwrap();
    writer.append_sync(&intent(1, "db9").record()).unwrap();
    let other = other.platter.lock().unwrap().durable.clone();
    let line = |bytes: &[u8], i: usize| {
        let mut lines = bytes.split_inclusive(|b| *b == b'\n');
        lines.nth(i).unwrap().to_vec()
    };
    let spliced = [line(&bytes, 0), line(&other, 1)].concat();
    let error = reread(&spliced, &blobs).unwrap_err();
    assert!(error.to_string().contains("does not follow"), "{error}");
}

#[test]
fn another_format_is_refused_by_name() {
    let (bytes, blobs) = whole();
    let text = String::from_utf8(bytes).unwrap();
    let text = text.replacen("\"format\":1", "\"format\":2", 1);
    let error = reread(text.as_bytes(), &blobs).unwrap_err();
    assert!(error.to_string().contains("has format 2"), "{error}");
}

#[test]
fn a_missing_blob_is_refused() {
    let (bytes, _) = whole();
    let error = reread(&bytes, &HashMap::new()).unwrap_err();
    assert!(matches!(error, Error::Broken { line: 3, .. }), "{error}");
}

proptest! {
    #[test]
    fn any_truncation_recovers_a_prefix(cut in 0usize..8000) {
        let (bytes, blobs) = whole();
        let cut = cut % (bytes.len() + 1);
        let recovered = reread(&bytes[..cut], &blobs).unwrap();
        let is_at_end_of_line = cut == 0 || bytes[cut - 1] == b'\n';
        prop_assert_eq!(recovered.torn_tail, !is_at_end_of_line);
        prop_assert_eq!(usize::try_from(recovered.len).unwrap(), bytes[..cut].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1));
        let n = bytes[..cut].split(|b| *b == b'\n').count() - 1;
        prop_assert_eq!(records(recovered), sample()[..n].to_vec());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = reread(&bytes, &HashMap::new());
    }
}

fn folded(records: impl AsRef<[Record]>) -> RunState {
    fold(records.as_ref())
}

fn states(state: &RunState) -> Vec<(u64, EntryState)> {
    state
        .undo
        .iter()
        .map(|e| (e.attempt, e.state.clone()))
        .collect()
}

#[test]
fn an_entry_lives_from_its_intent_until_nothing_was_changed() {
    let state = folded(vec![
        opened("r"),
        intent(1, "a").record(),
        intent(2, "a").record(),
        done(2, "a", Status::Ok, ""),
        intent(3, "a").record(),
        done(3, "a", Status::Failed, ""),
        intent(4, "a").record(),
        done(4, "a", Status::Lost, ""),
        intent(5, "a").record(),
        Record::NeverStarted { attempt: 5 },
        intent(6, "a").record(),
        done(6, "a", Status::Changed, ""),
        Record::Undone {
            attempt: 6,
            is_done: true,
            message: String::new(),
        },
    ]);
    let order: Vec<u64> = state.undo.iter().map(|e| e.attempt).collect();
    assert_eq!(order, [6, 4, 3, 1], "newest first");
    assert_eq!(state.undo[0].state, EntryState::Undone);
    assert_eq!(state.open.keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(state.next_attempt, 7);
    let undoable: Vec<u64> = state.undoable().map(|e| e.attempt).collect();
    assert_eq!(undoable, [4, 3, 1]);
}

#[test]
fn a_point_of_no_return_seals_its_tags_on_its_host_and_what_came_before_only() {
    let point = |attempt, is_everywhere| Intent {
        seals: vec![Seal {
            tag: "old".into(),
            is_everywhere,
        }],
        undo: UndoRecord::Keep,
        ..intent(attempt, "a")
    };
    let tagged = |attempt, host| Intent {
        tags: &["old"],
        ..intent(attempt, host)
    };
    let run = |is_everywhere| {
        vec![
            opened("r"),
            tagged(1, "a").record(),
            tagged(2, "b").record(),
            intent(3, "a").record(),
            point(4, is_everywhere).record(),
            tagged(5, "a").record(),
        ]
    };
    let sealed = |state: &RunState| -> Vec<u64> {
        let is_sealed = |s: &EntryState| matches!(s, EntryState::Sealed { by: 4, .. });
        state
            .undo
            .iter()
            .filter(|e| is_sealed(&e.state))
            .map(|e| e.attempt)
            .collect()
    };
    let here = folded(run(false));
    assert_eq!(sealed(&here), [1]);
    assert_eq!(here.undoable().map(|e| e.attempt).collect::<Vec<_>>(), [5]);
    assert_eq!(
        here.undoable_of("old")
            .map(|e| e.attempt)
            .collect::<Vec<_>>(),
        [5, 2]
    );
    assert_eq!(sealed(&folded(run(true))), [2, 1]);

    let mut unsealed = run(true);
    unsealed.push(Record::NeverStarted { attempt: 4 });
    let state = folded(unsealed);
    assert!(sealed(&state).is_empty());
    assert_eq!(state.point_of_no_return, None);
    assert_eq!(state.undoable().count(), 4);

    let mut failed = run(true);
    failed.push(done(4, "a", Status::Failed, ""));
    assert_eq!(
        sealed(&folded(failed)),
        [2, 1],
        "a failed point seals all the same"
    );
}

#[test]
fn a_named_way_closes_the_stack_and_a_failed_undo_can_be_tried_again() {
    let rollback = |way: &str, is_complete| {
        vec![
            Record::RollbackStarted {
                way: way.into(),
                to: None,
                at: DateTime::UNIX_EPOCH,
            },
            Record::RollbackEnded {
                way: way.into(),
                is_complete,
            },
        ]
    };
    let mut run = vec![opened("r"), intent(1, "a").record()];
    run.push(Record::Undone {
        attempt: 1,
        is_done: false,
        message: "no".into(),
    });
    let incomplete = folded([run.clone(), rollback("reserve", false)].concat());
    assert_eq!(incomplete.undoable().count(), 1);
    assert_eq!(incomplete.rolled_back, [("reserve".to_owned(), false)]);
    let complete = folded([run, rollback("reserve", true)].concat());
    let way = "reserve".to_owned();
    assert_eq!(states(&complete), [(1, EntryState::Closed { way })]);
}

#[test]
fn a_run_is_closed_until_it_is_taken_up_again() {
    let mut run = sample();
    assert_eq!(folded(run.clone()).closed, Some(2));
    run.push(Record::Resumed {
        operator: "ben".into(),
        drift: vec![],
        at: DateTime::UNIX_EPOCH,
    });
    let state = folded(run);
    assert_eq!((state.closed, state.resumed), (None, 1));
    assert_eq!(state.done[&instance("s2", "db2")].status, Status::Failed);
}
