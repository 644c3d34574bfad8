//! A look at an attempt whose task is not at hand: what its host says of it, and nothing more.
//!
//! Invariant: looking changes nothing on the host.

use super::attempt::{Course, Ending, lost_why};
use super::controller::Problem;
use super::frame::Frame;
use super::ground::plain;
use super::run::Run;
use super::undoing::as_user;
use crate::journal::{Attempt, Issued};
use crate::script::Reply;
use crate::script::attempt::{Fate, Refusal, seen};
use crate::transport::{Failed, Target};

/// What a look comes to.
#[derive(Debug)]
pub(super) enum Looked {
    /// Nobody has begun it; a start may be on its way.
    NotStarted,
    /// It runs: what a person wants to know of its process.
    Runs(String),
    /// It ended: all that it said, with its status, and why.
    Ended(Reply, Ending),
    /// It began, and nobody can say how it ended.
    Lost(String, Reply),
    /// The host does not answer, or not so that it can be understood.
    Away(Failed),
    /// The host refuses to say.
    Refused(Refusal),
}

impl Run {
    /// Where an attempt of the journal acts.
    pub(super) fn target_of(&self, attempt: &Attempt) -> Result<Target, Problem> {
        let user = attempt.become_user.as_deref();
        let frame = Frame::play(&as_user(user, attempt.become_method.as_deref()));
        let host = &attempt.acts_on;
        self.target(host, &self.host_view(host), &frame)
    }

    /// Asks the host about an attempt, and fetches all its output if it has ended.
    pub(super) async fn look_at(&self, target: &Target, issued: &Issued) -> Looked {
        let mut course = Course::new(target, issued, String::new(), None, (0, 0));
        loop {
            let script = course.status();
            let reply = self.port.trip(target, plain(script), None).await;
            let seen = match reply.map(|reply| (seen(&reply), reply)) {
                Ok((Some(seen), _)) => seen,
                Ok((None, reply)) => {
                    let reason = format!("the host said: {}", reply.stderr_text().trim());
                    return Looked::Away(Failed::Lost { reason });
                }
                Err(failed) => return Looked::Away(failed),
            };
            let has_more = course.add(&seen);
            match &seen.fate {
                Fate::Running {
                    pid,
                    state,
                    is_orphan,
                } => return Looked::Runs(process(*pid, state, *is_orphan)),
                _ if has_more => {}
                Fate::Finished { rc, is_late } => {
                    let ending = Ending::of(&seen, *is_late);
                    return Looked::Ended(course.reply(*rc), ending);
                }
                Fate::Lost { why } => return Looked::Lost(lost_why(why), course.reply(0)),
                Fate::Absent | Fate::Claimed | Fate::Never => return Looked::NotStarted,
                Fate::Refused(refusal) => return Looked::Refused(refusal.clone()),
            }
        }
    }
}

/// A process in a few words.
pub(super) fn process(pid: Option<u32>, state: &str, is_orphan: bool) -> String {
    let mut text = pid.map_or_else(|| "beginning".to_owned(), |pid| format!("process {pid}"));
    match state {
        "D" => text.push_str(", waits for the kernel and cannot be ended"),
        "T" | "t" => text.push_str(", stopped"),
        _ => {}
    }
    if is_orphan {
        text.push_str(", and nobody is left to say how it ends");
    }
    text
}
