//! The thin driver around the core: carries effects out and brings their answers back.
//!
//! The only place of the engine with a runtime, clocks and files. Invariant: journal records are
//! written in the order in which the core asked for them, before any effect that it asked for
//! later is carried out.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::mpsc;

use super::ask::{Answer, Question};
use super::effect::{Effect, Input, Live, Now};
use super::machine::Machine;
use super::progress::Watcher;
use crate::event::Event;
use crate::journal::{Record, Writer};
use crate::modules::{InputKind, Resolved, TreeEntry};
use crate::script::Reply;
use crate::transport::{Failed, Job, Pool, Stream, Target};

/// A future of this thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Who answers questions: a person at a terminal, or a policy.
pub trait Terminal {
    /// Asks, and says who answered.
    fn ask(&self, question: Question) -> LocalFuture<'_, (Answer, String)>;
    /// The next request to pause (a key, Ctrl-C); never, where nobody is there.
    fn pause_wanted(&self) -> LocalFuture<'_, String>;
}

/// What the driver needs of the world.
pub struct Driver {
    /// Connections.
    pub pool: Pool,
    /// The journal; none in check mode.
    pub journal: Option<Writer>,
    /// Who is asked.
    pub terminal: Rc<dyn Terminal>,
    /// Who listens.
    pub listener: Box<dyn FnMut(&Event)>,
    /// Milliseconds count from here.
    pub began: Instant,
}

impl Driver {
    /// Runs a machine to its end and returns its exit code and whether a rollback is wanted.
    pub async fn drive(&mut self, mut machine: Machine) -> super::Ended {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let terminal = self.terminal.clone();
                let pauses = sender.clone();
                let pausing = tokio::task::spawn_local(async move {
                    loop {
                        let why = terminal.pause_wanted().await;
                        if pauses
                            .send(Message::Input(Input::PauseWanted(why)))
                            .is_err()
                        {
                            break;
                        }
                    }
                });
                let mut input = Input::Start;
                let ended = loop {
                    let effects = machine.step(input, self.now());
                    for effect in effects {
                        self.carry_out(effect, &sender);
                    }
                    if let Some(ended) = machine.ended() {
                        break ended;
                    }
                    input = loop {
                        match receiver.recv().await {
                            Some(Message::Input(input)) => break input,
                            Some(Message::Event(event)) => (self.listener)(&event),
                            None => break Input::PauseWanted("the driver lost its channel".into()),
                        }
                    };
                };
                while let Ok(message) = receiver.try_recv() {
                    if let Message::Event(event) = message {
                        (self.listener)(&event);
                    }
                }
                pausing.abort();
                ended
            })
            .await
    }

    fn now(&self) -> Now {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now {
            wall: Utc::now(),
            millis,
        }
    }

    fn carry_out(&mut self, effect: Effect, sender: &mpsc::UnboundedSender<Message>) {
        let events = sender.clone();
        let sender = sender.clone();
        // The receiver lives as long as the driver, so a send fails only after the end.
        let answer = move |input: Input| drop(sender.send(Message::Input(input)));
        match effect {
            Effect::Emit(event) => (self.listener)(&event),
            Effect::Append {
                ticket,
                records,
                is_synced,
            } => {
                answer(Input::Durable(ticket, self.append(&records, is_synced)));
            }
            Effect::Trip {
                ticket,
                target,
                job,
                live,
            } => {
                let pool = self.pool.clone();
                tokio::task::spawn_local(async move {
                    let result = trip(&pool, &target, job, live, &events).await;
                    answer(Input::Reply(ticket, result));
                });
            }
            Effect::Reconnect {
                ticket,
                target,
                timeout_s,
            } => {
                let pool = self.pool.clone();
                tokio::task::spawn_local(async move {
                    let timeout = Duration::from_secs(timeout_s.into());
                    let result = pool.wait_for_reconnection(&target, timeout).await;
                    answer(Input::Reply(ticket, result.map(|()| Reply::default())));
                });
            }
            Effect::Reset { ticket, target } => {
                let pool = self.pool.clone();
                tokio::task::spawn_local(async move {
                    pool.reset(&target).await;
                    answer(Input::Woken(ticket));
                });
            }
            Effect::Ask { ticket, question } => {
                let terminal = self.terminal.clone();
                tokio::task::spawn_local(async move {
                    let (reply, by) = terminal.ask(*question).await;
                    answer(Input::Answered(ticket, reply, by));
                });
            }
            Effect::Read { ticket, path, kind } => {
                tokio::task::spawn_local(async move {
                    let read = tokio::task::spawn_blocking(move || read_file(&path, kind)).await;
                    let result = read.unwrap_or_else(|error| Err(error.to_string()));
                    answer(Input::File(ticket, result));
                });
            }
            Effect::Write {
                ticket,
                path,
                bytes,
            } => {
                answer(Input::Written(ticket, write_file(&path, &bytes)));
            }
            Effect::Sleep { ticket, millis } => {
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    answer(Input::Woken(ticket));
                });
            }
        }
    }

    fn append(&mut self, records: &[Record], is_synced: bool) -> Result<(), String> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        for record in records {
            journal.append(record).map_err(|error| error.to_string())?;
        }
        if is_synced {
            journal.sync().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// What reaches the driver's loop.
enum Message {
    Input(Input),
    Event(Event),
}

async fn trip(
    pool: &Pool,
    target: &Target,
    job: Job,
    live: Option<Live>,
    events: &mpsc::UnboundedSender<Message>,
) -> Result<Reply, Failed> {
    let Some(live) = live.filter(|live| !live.is_hidden) else {
        return pool.run(target, job, |_| {}).await;
    };
    let mut watcher = Watcher::new(live);
    let events = events.clone();
    pool.run(target, job, move |chunk| {
        for event in watcher.watch(chunk.stream == Stream::Err, &chunk.bytes) {
            // After the end of the run nobody listens any more.
            drop(events.send(Message::Event(event)));
        }
    })
    .await
}

/// Reads or hashes a file of the controller.
fn read_file(path: &Path, kind: InputKind) -> Result<Resolved, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(told)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_dir() {
        let mut tree = Vec::new();
        list_tree(path, path, kind, &mut tree).map_err(told)?;
        return Ok(Resolved {
            path: path.to_owned(),
            mode,
            tree: Some(tree),
            ..Resolved::default()
        });
    }
    let (sha1, size) = hash_file(path).map_err(told)?;
    let is_small = size <= super::project::SMALL_INPUT_MAX;
    let bytes = if kind == InputKind::Hashed && !is_small {
        Vec::new()
    } else {
        std::fs::read(path).map_err(told)?
    };
    Ok(Resolved {
        path: path.to_owned(),
        bytes,
        sha1,
        size,
        mode,
        tree: None,
        secret_of: None,
    })
}

fn list_tree(
    root: &Path,
    folder: &Path,
    kind: InputKind,
    tree: &mut Vec<TreeEntry>,
) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        let metadata = std::fs::metadata(&path)?;
        let is_dir = metadata.is_dir();
        let (sha1, size) = if is_dir {
            (String::new(), 0)
        } else {
            hash_file(&path)?
        };
        let bytes = match kind {
            InputKind::Content if !is_dir => std::fs::read(&path)?,
            _ => Vec::new(),
        };
        tree.push(TreeEntry {
            bytes,
            relative: path
                .strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string(),
            path: path.clone(),
            is_dir,
            sha1,
            size,
            mode: metadata.permissions().mode() & 0o7777,
            ..TreeEntry::default()
        });
        if is_dir {
            list_tree(root, &path, kind, tree)?;
        }
    }
    Ok(())
}

/// SHA-1 and size of a file, read in pieces.
fn hash_file(path: &Path) -> std::io::Result<(String, u64)> {
    use sha1::Digest as _;
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut hash = sha1::Sha1::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((super::digest::hex(&hash.finalize()), size));
        }
        hash.update(&buffer[..count]);
        size += count as u64;
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(told)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(told)?;
    std::io::Write::write_all(&mut file, bytes).map_err(told)?;
    file.as_file().sync_all().map_err(told)?;
    file.persist(path).map_err(|error| told(error.error))?;
    Ok(())
}
