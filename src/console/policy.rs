//! Answers questions where nobody is there to ask.
//!
//! Invariant: what no option decides is answered with [`Answer::Nobody`] and the option that would
//! have; nothing hangs and nothing is guessed.

use std::collections::HashMap;
use std::str::FromStr;

use indexmap::IndexMap;

use crate::exec::ask::{
    Answer, FailureQuestion, GateQuestion, Question, TextQuestion, WaysQuestion, WordQuestion,
};
use crate::model::StepId;

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Stop, resumable.
    Stop,
    /// Go on without the failed hosts, as Ansible does.
    Continue,
    /// Roll back.
    RollBack,
    /// Run it again up to so many times where that does no harm, then stop.
    Retry(u32),
}

/// What to do at a point of no return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Stop before it, resumable.
    Refuse,
    /// Pass it when all that it requires holds, else stop.
    Accept,
}

/// Answers without a person.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `--yes`: tasks are run without asking.
    pub yes: bool,
    /// `--on-failure`.
    pub on_failure: Option<OnFailure>,
    /// `--on-point-of-no-return`.
    pub on_point_of_no_return: Option<Gate>,
    /// `--way`: the way back to take.
    pub way: Option<String>,
    /// `--answer QUESTION=TEXT`: answers by the text of the question.
    pub answers: IndexMap<String, String>,
    tries: HashMap<StepId, u32>,
}

impl FromStr for OnFailure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stop" => Ok(Self::Stop),
            "continue" => Ok(Self::Continue),
            "rollback" => Ok(Self::RollBack),
            "retry" => Ok(Self::Retry(1)),
            _ => text
                .strip_prefix("retry:")
                .and_then(|n| n.parse().ok())
                .map(Self::Retry)
                .ok_or_else(|| {
                    format!("`{text}` is none of `stop`, `continue`, `rollback`, `retry:N`")
                }),
        }
    }
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "accept" => Ok(Self::Accept),
            _ => Err(format!("`{text}` is neither `refuse` nor `accept`")),
        }
    }
}

impl Policy {
    /// Answers a question.
    pub fn answer(&mut self, question: &Question) -> Answer {
        match question {
            Question::Task(_) if self.yes => Answer::Run,
            Question::Task(q) => nobody(format!(
                "task `{}` asks before it runs: `--yes` runs every task without asking",
                q.name
            )),
            Question::Failure(q) => self.failure(q),
            Question::PointOfNoReturn(q) => self.gate(q),
            Question::Pause(q) => match self.answers.get(&q.why).map(String::as_str) {
                Some("continue") => Answer::Continue,
                Some("rollback") => Answer::RollBack,
                Some("abort") => Answer::Abort,
                // A guard that does not hold is never passed by itself; the run can be resumed.
                Some(_) | None => Answer::Stop,
            },
            Question::WayBack(q) => self.way_back(q),
            Question::Text(q) => self.text(q),
            Question::Word(q) => self.word(q),
        }
    }

    fn failure(&mut self, q: &FailureQuestion) -> Answer {
        let reason = || "answered by an option".to_owned();
        match self.answers.get(&q.name).map(String::as_str) {
            Some("exclude") => return Answer::Exclude { reason: reason() },
            Some("skip") => return Answer::Skip { reason: reason() },
            Some("stop") => return Answer::Stop,
            Some("rollback") => return Answer::RollBack,
            Some("continue") => return Answer::Run,
            Some(other) => {
                return nobody(format!(
                    "`{}` failed, and `{other}` is no answer to that: \
                     `--answer '{}=exclude|skip|continue|stop|rollback'`",
                    q.name, q.name
                ));
            }
            None => {}
        }
        match self.on_failure {
            None => nobody(format!(
                "`{}` failed: `--on-failure stop|continue|rollback|retry:N` decides",
                q.name
            )),
            Some(OnFailure::Stop) => Answer::Stop,
            Some(OnFailure::Continue) => Answer::Run,
            Some(OnFailure::RollBack) => Answer::RollBack,
            Some(OnFailure::Retry(max)) => {
                let tries = self.tries.entry(q.step.clone()).or_default();
                if q.is_safe_to_retry && *tries < max {
                    *tries += 1;
                    Answer::Retry
                } else {
                    Answer::Stop
                }
            }
        }
    }

    fn gate(&self, q: &GateQuestion) -> Answer {
        match self.on_point_of_no_return {
            None => nobody(format!(
                "`{}` is a point of no return: `--on-point-of-no-return refuse|accept` decides",
                q.name
            )),
            Some(Gate::Accept) if q.requirements.iter().all(|(_, holds, _)| *holds) => Answer::Run,
            Some(Gate::Accept | Gate::Refuse) => Answer::Stop,
        }
    }

    fn way_back(&self, q: &WaysQuestion) -> Answer {
        let wanted = match (&self.way, self.on_failure) {
            (Some(way), _) => way.as_str(),
            // Undoing what was done is the only way that needs no choice.
            (None, Some(OnFailure::RollBack)) => "undo",
            (None, _) => return nobody("a way back is to be chosen: `--way NAME` decides"),
        };
        match q.ways.iter().find(|way| way.name == wanted) {
            Some(way) if way.is_legal => Answer::Way(way.name.clone()),
            Some(way) => {
                let failed = way.conditions.iter().filter(|(_, holds, _)| !holds);
                let why: Vec<String> = failed
                    .map(|(name, _, seen)| format!("{name}: {seen}"))
                    .collect();
                nobody(format!(
                    "the way back `{wanted}` is not legal now ({}): `--way NAME` takes another",
                    why.join("; ")
                ))
            }
            None => {
                let names: Vec<String> = q.ways.iter().map(|w| format!("`{}`", w.name)).collect();
                nobody(format!(
                    "there is no way back `{wanted}`: `--way` takes one of {}",
                    names.join(", ")
                ))
            }
        }
    }

    fn text(&self, q: &TextQuestion) -> Answer {
        let given = self.answers.get(&q.prompt).or(q.default.as_ref());
        match given {
            Some(text) => Answer::Text(text.clone()),
            None if q.seconds.is_some() => Answer::Text(String::new()),
            None => nobody(format!(
                "`{}` is asked: `--answer '{}=TEXT'` answers",
                q.prompt, q.prompt
            )),
        }
    }

    fn word(&self, q: &WordQuestion) -> Answer {
        match self.answers.get(&q.warning) {
            Some(word) if *word == q.word => Answer::Text(word.clone()),
            Some(_) | None => nobody(format!(
                "`{}` is to be typed ({}): `--answer '{}={}'` answers",
                q.word, q.warning, q.warning, q.word
            )),
        }
    }
}

fn nobody(hint: impl Into<String>) -> Answer {
    Answer::Nobody { hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::ask::{PauseQuestion, TaskQuestion, WayOffer};

    fn failure(is_safe_to_retry: bool) -> Question {
        Question::Failure(Box::new(FailureQuestion {
            name: "copy".into(),
            is_safe_to_retry,
            ..FailureQuestion::default()
        }))
    }

    fn gate(holds: bool) -> Question {
        Question::PointOfNoReturn(Box::new(GateQuestion {
            requirements: vec![
                ("backup".into(), true, String::new()),
                ("lag".into(), holds, String::new()),
            ],
            ..GateQuestion::default()
        }))
    }

    fn hint(answer: &Answer) -> &str {
        match answer {
            Answer::Nobody { hint } => hint,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_options_nothing_is_decided_and_the_hint_names_the_option() {
        let mut policy = Policy::default();
        let text = Question::Text(TextQuestion {
            prompt: "name?".into(),
            ..TextQuestion::default()
        });
        let word = Question::Word(WordQuestion {
            warning: "drop".into(),
            word: "orders".into(),
        });
        for (question, option) in [
            (Question::Task(Box::<TaskQuestion>::default()), "--yes"),
            (failure(true), "--on-failure"),
            (gate(true), "--on-point-of-no-return"),
            (Question::WayBack(Box::<WaysQuestion>::default()), "--way"),
            (text, "--answer 'name?=TEXT'"),
            (word, "--answer 'drop=orders'"),
        ] {
            let answer = policy.answer(&question);
            assert!(hint(&answer).contains(option), "{answer:?}");
        }
        let pause = Question::Pause(Box::<PauseQuestion>::default());
        assert_eq!(policy.answer(&pause), Answer::Stop);
    }

    #[test]
    fn yes_runs_tasks_and_passes_no_gate() {
        let mut policy = Policy {
            yes: true,
            ..Policy::default()
        };
        let task = Question::Task(Box::<TaskQuestion>::default());
        assert_eq!(policy.answer(&task), Answer::Run);
        assert!(matches!(policy.answer(&gate(true)), Answer::Nobody { .. }));
    }

    #[test]
    fn a_failure_is_retried_so_often_and_only_where_it_does_no_harm() {
        let policy = |text: &str| Policy {
            on_failure: Some(text.parse().unwrap()),
            ..Policy::default()
        };
        let mut twice = policy("retry:2");
        let answers: Vec<Answer> = (0..3).map(|_| twice.answer(&failure(true))).collect();
        assert_eq!(answers, [Answer::Retry, Answer::Retry, Answer::Stop]);
        assert_eq!(policy("retry:2").answer(&failure(false)), Answer::Stop);
        assert_eq!(policy("continue").answer(&failure(true)), Answer::Run);
        assert_eq!(policy("rollback").answer(&failure(true)), Answer::RollBack);
        let mut named = policy("stop");
        named.answers.insert("copy".into(), "exclude".into());
        assert!(matches!(
            named.answer(&failure(true)),
            Answer::Exclude { .. }
        ));
        named.answers.insert("copy".into(), "excluded".into());
        assert!(hint(&named.answer(&failure(true))).contains("copy=exclude|skip"));
        assert!("retry:x".parse::<OnFailure>().is_err());
    }

    #[test]
    fn a_point_of_no_return_is_passed_only_when_all_it_requires_holds() {
        let mut accept = Policy {
            on_point_of_no_return: Some(Gate::Accept),
            ..Policy::default()
        };
        assert_eq!(accept.answer(&gate(true)), Answer::Run);
        assert_eq!(accept.answer(&gate(false)), Answer::Stop);
        let mut refuse = Policy {
            on_point_of_no_return: Some(Gate::Refuse),
            ..Policy::default()
        };
        assert_eq!(refuse.answer(&gate(true)), Answer::Stop);
    }

    #[test]
    fn an_illegal_way_is_refused_with_its_reason() {
        let ways = Question::WayBack(Box::new(WaysQuestion {
            ways: vec![
                WayOffer {
                    name: "undo".into(),
                    is_legal: true,
                    ..WayOffer::default()
                },
                WayOffer {
                    name: "reserve".into(),
                    conditions: vec![("reserve is stopped".into(), false, "running".into())],
                    ..WayOffer::default()
                },
            ],
        }));
        let way = |name: &str| Policy {
            way: Some(name.into()),
            ..Policy::default()
        };
        assert_eq!(way("undo").answer(&ways), Answer::Way("undo".into()));
        let answer = way("reserve").answer(&ways);
        assert!(
            hint(&answer).contains("reserve is stopped: running"),
            "{answer:?}"
        );
        assert!(hint(&way("x").answer(&ways)).contains("`undo`, `reserve`"));
        let mut rollback = Policy {
            on_failure: Some(OnFailure::RollBack),
            ..Policy::default()
        };
        assert_eq!(rollback.answer(&ways), Answer::Way("undo".into()));
    }
}
