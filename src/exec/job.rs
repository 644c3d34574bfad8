//! Jobs: `async`, `poll` and `async_status`.
//!
//! A job is a durable attempt with a limit that its host keeps; its id is that of the attempt. With
//! `poll: 0` it is not awaited: the task ends when it has begun, and its end is read when
//! `async_status` asks. Invariant: files of such a job stay on the host until the run no longer
//! needs them. Source of the results: ansible-core 2.19, `plugins/action/async_status.py` and
//! `executor/task_executor.py`.

use std::cell::Cell;
use std::rc::Rc;

use super::attempt::Ending;
use super::controller::Problem;
use super::end::{ItemEnd, message};
use super::ground::plain;
use super::halt::Flow;
use super::item::{Item, Ready, probe_failed};
use super::look::Looked;
use super::run::{Run, plain_text};
use crate::event::Status;
use crate::journal::{Issued, Record};
use crate::modules::{Act, Change, Foretell, Undo};
use crate::script::Reply;
use crate::script::attempt::{Spot, gone};
use crate::transport::{Failed, Target};
use crate::value::{Map, Value};

/// The default of `poll`, in seconds.
const POLL_S: i64 = 15;

/// What a task says of itself as a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Async {
    /// Seconds after which the host ends it.
    pub(crate) limit_s: u64,
    /// Whether the task ends with it.
    pub(crate) is_awaited: bool,
}

/// A job that was begun and is not awaited.
pub(crate) struct Begun {
    /// What it is an execution of.
    item: Item,
    issued: Issued,
    target: Target,
    /// Whether the journal knows that it is over.
    is_over: Cell<bool>,
    /// How it would have ended: check mode begins none.
    foretold: Option<ItemEnd>,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun")
            .field("issued", &self.issued)
            .finish_non_exhaustive()
    }
}

/// What has become of a job.
enum Fared {
    Runs,
    Ended(Reply, Ending),
    Lost(String, Reply),
    Away(Failed),
}

impl Run {
    /// What `async` and `poll` of an item come to; none where it is no job.
    pub(crate) fn async_of(&self, item: &Item) -> Result<Option<Async>, Problem> {
        let limit = self.number(item.task.r#async.as_ref(), &item.view)?;
        let Some(limit_s) = limit.and_then(|limit| u64::try_from(limit).ok()) else {
            return Ok(None);
        };
        let poll = self.number(item.task.poll.as_ref(), &item.view)?;
        Ok((limit_s > 0).then(|| Async {
            limit_s,
            is_awaited: poll.unwrap_or(POLL_S) > 0,
        }))
    }

    /// The end of a task whose job has begun and is not awaited.
    pub(crate) fn begun(&self, item: &Item, target: &Target, issued: &Issued) -> ItemEnd {
        let result = Map::from([
            ("started".to_owned(), true.into()),
            ("finished".to_owned(), false.into()),
            ("ansible_job_id".to_owned(), issued.spot.id.as_str().into()),
            ("results_file".to_owned(), issued.results_file().into()),
        ]);
        self.keep_job(Begun {
            item: item.clone(),
            issued: issued.clone(),
            target: target.clone(),
            is_over: Cell::new(false),
            foretold: None,
        });
        let mut end = ItemEnd::new(Status::Changed, result);
        end.attempt = Some(issued.attempt);
        end.module_changed = true;
        end.is_hidden = item.is_hidden;
        end
    }

    fn keep_job(&self, begun: Begun) {
        let id = begun.issued.spot.id.clone();
        self.state.borrow_mut().jobs.insert(id, Rc::new(begun));
    }

    /// What check mode says of a job: how it would have ended, now or when it is asked about.
    pub(super) fn foretell_job(&self, item: &Item, mut end: ItemEnd) -> ItemEnd {
        let is_foretold = matches!(end.status, Status::Ok | Status::Changed | Status::Skipped);
        let (Ok(Some(job)), Ok((target, _))) = (self.async_of(item), self.where_and_how(item))
        else {
            return end;
        };
        if !is_foretold || !item.is_check {
            return end;
        }
        let number = self.state.borrow().jobs.len();
        let spot = Spot {
            id: format!("{}-check-{number}", self.settings.run),
            spool: String::new(),
            is_home: false,
        };
        let issued = Issued {
            attempt: 0,
            spot,
            boot: String::new(),
            up: 0,
            probed: None,
            is_job: true,
            place: String::new(),
        };
        issued.tell(&mut end.result, true);
        if job.is_awaited {
            return end;
        }
        let mut begun = self.begun(item, &target, &issued);
        (begun.attempt, begun.module_changed) = (None, false);
        self.keep_job(Begun {
            item: item.clone(),
            issued,
            target,
            is_over: Cell::new(true),
            foretold: Some(end),
        });
        begun
    }

    /// Takes up the job that an earlier process began with this item.
    pub(super) fn take_up_job(&self, item: &Item, end: &ItemEnd) {
        let known = {
            let state = self.state.borrow();
            let id = end.attempt.as_ref();
            id.and_then(|id| state.replay.jobs.get(id)).cloned()
        };
        if let Some((issued, is_over)) = known
            && !self.state.borrow().jobs.contains_key(&issued.spot.id)
            && let Ok((target, _)) = self.where_and_how(item)
        {
            self.keep_job(Begun {
                item: item.clone(),
                issued,
                target,
                is_over: Cell::new(is_over),
                foretold: None,
            });
        }
    }

    /// `async_status`.
    pub(super) async fn async_status(
        &self,
        item: &Item,
        args: &Value,
    ) -> Flow<Result<ItemEnd, super::item::Early>> {
        let text = |key: &str| args.get(key).and_then(plain_text).unwrap_or_default();
        let (id, mode) = (text("jid"), text("mode"));
        let target = match self.where_and_how(item) {
            Ok((target, _)) => target,
            Err(problem) => return Ok(Err(problem.into())),
        };
        let known = self.state.borrow().jobs.get(&id).cloned();
        let Some(job) = known.filter(|job| job.target.host == target.host) else {
            return Ok(Ok(unknown_job(&id, &mode)));
        };
        Ok(Ok(match mode.as_str() {
            "" | "status" if let Some(end) = &job.foretold => end.clone(),
            "" | "status" => self.status_of(&job).await?,
            "cleanup" if job.foretold.is_some() => erased(&job.issued),
            "cleanup" => self.clean_up(&job).await?,
            other => ItemEnd::failed(format!(
                "value of mode must be one of: status, cleanup, got: {other}"
            )),
        }))
    }

    async fn status_of(&self, job: &Begun) -> Flow<ItemEnd> {
        let mut end = match self.look_at_job(job).await {
            Fared::Away(failed) => return Ok(probe_failed(failed)),
            Fared::Runs => {
                let mut end = ItemEnd::new(Status::Ok, Map::new());
                job.issued.tell(&mut end.result, false);
                return Ok(end);
            }
            Fared::Lost(why, reply) => {
                self.note_over(job, &format!("lost: {why}"), true).await?;
                let lost = super::end::lost_end(&why, &reply);
                let verified = Box::pin(self.verify(&job.item, lost)).await?;
                let mut end = verified.unwrap_or_else(|| {
                    ItemEnd::failed("`verify` of the job says that it did not happen")
                });
                if end.status != Status::Lost {
                    job.issued.tell(&mut end.result, true);
                }
                end
            }
            Fared::Ended(reply, ending) => {
                self.note_over(job, &how(reply.rc, &ending), true).await?;
                self.revive(&job.item, &job.issued, reply, ending).await?
            }
        };
        // The attempt belongs to the task that began it.
        end.attempt = None;
        end.module_changed = false;
        if job.item.is_hidden {
            end.hide();
        }
        Ok(end)
    }

    async fn clean_up(&self, job: &Begun) -> Flow<ItemEnd> {
        let issued = &job.issued;
        match self.look_at_job(job).await {
            Fared::Away(failed) => return Ok(probe_failed(failed)),
            Fared::Runs => {
                let mut end =
                    ItemEnd::failed("the job runs: what tells how it ends cannot be removed");
                issued.tell(&mut end.result, false);
                return Ok(end);
            }
            Fared::Ended(reply, ending) => {
                self.drop_job(job, &how(reply.rc, &ending)).await?;
            }
            Fared::Lost(why, _) => self.drop_job(job, &format!("lost: {why}")).await?,
        }
        Ok(erased(issued))
    }

    /// Removes what a job that is over has on its host, as soon as the journal says so.
    async fn drop_job(&self, job: &Begun, how: &str) -> Flow<()> {
        let spot = &job.issued.spot;
        self.note_over(job, how, false).await?;
        self.state.borrow_mut().jobs.remove(&spot.id);
        let script = gone(&spot.spool, spot.is_home, std::slice::from_ref(&spot.id));
        if let Err(failed) = self.port.trip(&job.target, plain(script), None).await {
            let host = &job.target.host;
            self.notice(true, format!("{host}: files of a job stay there: {failed}"));
        }
        Ok(())
    }

    /// Puts it on disk that a job is over, once, and again when its files go.
    async fn note_over(&self, job: &Begun, how: &str, is_kept: bool) -> Flow<()> {
        if job.is_over.replace(true) && is_kept {
            return Ok(());
        }
        let record = Record::JobEnded {
            attempt: job.issued.attempt,
            how: how.to_owned(),
            is_kept,
        };
        self.record(vec![record], true).await
    }

    /// What has become of a job; what it left behind may be gone.
    async fn look_at_job(&self, job: &Begun) -> Fared {
        let gone = "its files on the host are gone".to_owned();
        match self.look_at(&job.target, &job.issued).await {
            Looked::Runs(_) => Fared::Runs,
            Looked::Ended(reply, ending) => Fared::Ended(reply, ending),
            Looked::Lost(why, reply) => Fared::Lost(why, reply),
            Looked::Away(failed) => Fared::Away(failed),
            Looked::NotStarted | Looked::Refused(_) => Fared::Lost(gone, Reply::default()),
        }
    }

    /// At the end of a run: says which jobs still run; where nothing goes on from here
    /// (`is_over`), the files of the others go.
    pub(super) async fn settle_jobs(&self, is_over: bool) -> Flow<()> {
        let jobs: Vec<Rc<Begun>> = self.state.borrow().jobs.values().cloned().collect();
        for job in jobs.into_iter().filter(|job| job.foretold.is_none()) {
            let (host, id) = (&job.target.host, &job.issued.spot.id);
            let how = match self.look_at_job(&job).await {
                Fared::Ended(reply, ending) => how(reply.rc, &ending),
                Fared::Lost(why, _) => format!("lost: {why}"),
                Fared::Runs => {
                    let line = format!("{host}: job {id} of `{}` still runs", job.item.task.id);
                    self.state.borrow_mut().open.push(line);
                    continue;
                }
                Fared::Away(failed) => {
                    let name = &job.item.task.id;
                    let line = format!("{host}: job {id} of `{name}` may still run: {failed}");
                    self.state.borrow_mut().open.push(line);
                    continue;
                }
            };
            if is_over {
                self.drop_job(&job, &how).await?;
            } else {
                self.note_over(&job, &how, true).await?;
            }
        }
        Ok(())
    }
}

impl Issued {
    /// Where the host keeps how it ended.
    fn results_file(&self) -> String {
        format!("{}/a/{}.rc", self.place, self.spot.id)
    }

    /// Adds what Ansible tells of a job to a result.
    pub(super) fn tell(&self, result: &mut Map, is_finished: bool) {
        for key in ["stdout", "stderr"] {
            result.entry(key.into()).or_insert_with(|| "".into());
            let lines = || Value::from(Vec::new());
            result.entry(format!("{key}_lines")).or_insert_with(lines);
        }
        result.insert("started".into(), true.into());
        result.insert("finished".into(), is_finished.into());
        result.insert("ansible_job_id".into(), self.spot.id.as_str().into());
        result.insert("results_file".into(), self.results_file().into());
    }

    /// The end of a job whose time was over.
    pub(super) fn late_job(&self, reply: &Reply) -> ItemEnd {
        let mut result = message("Timeout exceeded");
        let told = crate::modules::output_of(reply);
        result.extend(told.into_iter().filter(|(key, _)| key.starts_with("std")));
        self.tell(&mut result, true);
        ItemEnd::new(Status::Failed, result)
    }
}

impl Ready {
    /// Why this change cannot be a job, if it cannot.
    pub(super) fn no_job(&self) -> Option<String> {
        self.job?;
        if let [Act::Script { on: None, .. }] = self.change.acts.as_slice() {
            return None;
        }
        Some(format!(
            "`{}` does this in several steps or with a file that is sent along, which cannot be a \
             job: remove `async`",
            self.module.name()
        ))
    }
}

/// A job that finds nothing to do is one all the same: it ends at once.
pub(super) fn nothing_to_do() -> Change {
    Change {
        summary: "nothing to do".to_owned(),
        diff: Vec::new(),
        acts: vec![Act::script(":\n")],
        undo: Undo::NotNeeded,
        foretell: Foretell::Changed(Map::new()),
    }
}

/// The answer to who has removed what a job left.
fn erased(issued: &Issued) -> ItemEnd {
    let mut end = ItemEnd::new(Status::Ok, Map::new());
    issued.tell(&mut end.result, false);
    end.result.shift_remove("results_file");
    end.result.insert("started".into(), false.into());
    let erased = issued.results_file();
    end.result.insert("erased".into(), erased.into());
    end
}

fn how(rc: i32, ending: &Ending) -> String {
    match ending {
        Ending::Itself => format!("rc {rc}"),
        Ending::Late => "its time was over".to_owned(),
        Ending::Cancelled(who) => format!("cancelled by {who}"),
    }
}

/// The answer to who asks about a job that nobody knows.
fn unknown_job(id: &str, mode: &str) -> ItemEnd {
    let mut result = message("could not find job");
    for key in ["stdout", "stderr"] {
        result.insert(key.into(), "".into());
        result.insert(format!("{key}_lines"), Value::from(Vec::new()));
    }
    result.insert("started".into(), true.into());
    result.insert("finished".into(), true.into());
    result.insert("ansible_job_id".into(), id.into());
    let key = if mode == "cleanup" {
        "erased"
    } else {
        "results_file"
    };
    result.insert(key.into(), id.into());
    ItemEnd::new(Status::Failed, result)
}
