//! Taking over the locks of a run's hosts: what somebody does who goes on with a run whose own
//! controller is gone, or must not act any more.
//!
//! Invariants: no host is taken over before every host of the run, but for those that were named to
//! be left out, could be reached; `TakenOver` is recorded only when all of them are. A host that is
//! lost between the two leaves some taken over: the old controller is fenced there, and a second
//! takeover takes the rest.

use super::ground::plain;
use super::halt::Halt;
use super::root::{Ended, code};
use super::run::Run;
use crate::journal::{Record, RunState};
use crate::model::Keywords;
use crate::script::Script;
use crate::script::attempt;
use crate::transport::{Become, BecomeMethod, Target};

/// A host whose lock is to be taken over.
struct Held {
    target: Target,
    is_home: bool,
}

impl Run {
    /// Takes the locks over, from the look at the hosts to the record of it.
    pub(crate) async fn take_over_root(self, journal: RunState, without: Vec<String>) -> Ended {
        let exit_code = match self.take_over(&journal, &without).await {
            Ok(exit_code) => exit_code,
            Err(Halt::Journal(why)) => {
                self.notice(true, format!("the journal cannot be written: {why}"));
                code::ERROR
            }
            Err(halt) => {
                self.notice(true, format!("{halt:?}"));
                code::ERROR
            }
        };
        Ended {
            exit_code,
            wants_rollback: false,
        }
    }

    async fn take_over(&self, journal: &RunState, without: &[String]) -> super::halt::Flow<u8> {
        let mut held = Vec::new();
        for (host, user, place) in &journal.places {
            if without.contains(host) {
                continue;
            }
            match self.held(host, user, place) {
                Ok(found) => held.push(found),
                Err(why) => {
                    self.notice(true, format!("{host}: {why}"));
                    return Ok(code::ERROR);
                }
            }
        }
        let looks = held.iter().map(|held| async move {
            let reply = self.port.trip(&held.target, plain(Script::new(":")), None);
            (held.target.host.clone(), reply.await)
        });
        let mut is_complete = true;
        for (host, reply) in futures_util::future::join_all(looks).await {
            if let Err(failed) = reply {
                is_complete = false;
                self.notice(
                    true,
                    format!("{host}: {failed}; `--without {host}` leaves it out of the run"),
                );
            }
        }
        if !is_complete {
            return Ok(code::UNREACHABLE);
        }
        for held in &held {
            let (_, token) = self.new_token(&held.target.host).await?;
            let owner = &self.settings.owner;
            let script = attempt::take_over(held.is_home, &self.settings.run, &token, owner);
            let reply = self.port.trip(&held.target, plain(script), None).await;
            let host = &held.target.host;
            match reply.as_ref().map(crate::script::Reply::fields) {
                Ok(fields) if fields.contains_key("epoch") => {
                    for (name, pid) in &fields {
                        if let Some(id) = name.strip_prefix("running.") {
                            self.notice(
                                false,
                                format!("{host}: attempt {id} runs there (process {pid})"),
                            );
                        }
                    }
                }
                Ok(fields) => {
                    self.notice(true, format!("{host}: it was not taken over: {fields:?}"));
                    return Ok(code::ERROR);
                }
                Err(failed) => {
                    self.notice(true, format!("{host}: it was not taken over: {failed}"));
                    return Ok(code::UNREACHABLE);
                }
            }
        }
        let record = Record::TakenOver {
            by: self.settings.owner.clone(),
            hosts: held.iter().map(|held| held.target.host.clone()).collect(),
            without: without.to_vec(),
            at: self.port.now().wall,
        };
        self.record(vec![record], true).await?;
        Ok(code::OK)
    }

    /// How a host's lock is reached: as the user who took it, or as root where others may not.
    fn held(&self, host: &str, user: &str, place: &str) -> Result<Held, String> {
        let frame = super::frame::Frame::play(&Keywords::default());
        let mut target = self
            .target(host, &self.host_view(host), &frame)
            .map_err(|problem| problem.message)?;
        let is_home = place.ends_with("/.switchback");
        if user.is_empty() {
            target.become_user = None;
        } else {
            let to = if is_home { user } else { "root" };
            let known = target.become_user.take();
            target.become_user = Some(Become {
                user: to.to_owned(),
                ..known.unwrap_or(Become {
                    user: String::new(),
                    method: BecomeMethod::Sudo,
                    flags: None,
                    password: None,
                })
            });
        }
        Ok(Held { target, is_home })
    }
}
