//! What is sent to a host about a durable attempt or its lock, and what comes back. Pure.
//!
//! The protocol itself is in `attempt.sh` (functions of every session) and `supervisor.sh` (sent
//! with each start). Invariant: a program travels on the standard input of the shell that runs it
//! and never lies in a file of the host's disk.

use std::sync::LazyLock;

use super::lean::lean;
use super::{Reply, Script, prelude, quote};

static SUPERVISOR: LazyLock<String> = LazyLock::new(|| lean(include_str!("supervisor.sh")));

/// Output that one reply carries at most, of each stream, in bytes.
pub const WINDOW_BYTES_MAX: usize = 4 << 20;

/// Exit status of an act that did not begin, as another one has the host's lock.
pub const FENCED: i32 = 94;
const FENCED_MARK: &str = "switchback: fenced by: ";

/// An attempt on a host: all that talks of it says this.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Spot {
    /// The id: letters, digits, `-`; never used twice.
    pub id: String,
    /// The id of the place that it is kept in.
    pub spool: String,
    /// Whether that place is in the user's home.
    pub is_home: bool,
}

/// A start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start<'a> {
    /// Which attempt.
    pub spot: &'a Spot,
    /// The boot of the host that it is meant for.
    pub boot: &'a str,
    /// Seconds of uptime after which it is too late.
    pub up_max: u64,
    /// The lock under which it runs; none where none was taken.
    pub epoch: Option<u64>,
    /// Seconds after which the host ends it.
    pub limit_s: Option<u64>,
    /// `--system` or `--user`, where it needs a scope of its own.
    pub scope: &'a str,
    /// Whether the reply waits for its end.
    pub waits: bool,
    /// Attempts whose results are kept elsewhere: their files may go.
    pub gone: &'a [String],
    /// What runs.
    pub program: &'a str,
}

impl Start<'_> {
    /// The script that starts it.
    pub fn script(&self) -> Script {
        let program = if self.program.contains("sb_") || self.program.contains("SB_KEEP") {
            format!("{}sb_where {}\n{}", prelude(), self.place(), self.program)
        } else {
            self.program.to_owned()
        };
        // The word that ends the program must not be a line of it.
        let mut word = format!("SB-{}-", self.spot.id);
        while program.contains(&word) {
            word.push('x');
        }
        let supervisor = SUPERVISOR
            .replace("@END@", &format!("{word}P"))
            .replace("@PROGRAM@", &program);
        let epoch = self.epoch.map(|n| n.to_string()).unwrap_or_default();
        let limit = self.limit_s.map(|n| n.to_string()).unwrap_or_default();
        let gone = words(self.gone);
        let call = format!(
            "sb_start {} {} {} {} {} {WINDOW_BYTES_MAX} {} {}{gone}",
            self.spot.words(),
            quote(self.boot),
            self.up_max,
            quote(&epoch),
            quote(&limit),
            quote(self.scope),
            if self.waits { "1" } else { "''" },
        );
        Script::new(format!("{call} <<\\{word}S\n{supervisor}{word}S\n"))
    }

    fn place(&self) -> &'static str {
        if self.spot.is_home { "home" } else { "''" }
    }
}

impl Spot {
    fn words(&self) -> String {
        let place = if self.is_home { "home" } else { "''" };
        format!("{place} {} {}", quote(&self.id), quote(&self.spool))
    }

    /// Looks at it, and fetches its output from these offsets on.
    pub fn status(&self, out: u64, err: u64) -> Script {
        Script::new(format!(
            "sb_status {} {out} {err} {WINDOW_BYTES_MAX}\n",
            self.words()
        ))
    }

    /// Like [`Self::status`]; one that has not started never will after this.
    pub fn resolve(&self, out: u64, err: u64) -> Script {
        Script::new(format!(
            "sb_resolve {} {out} {err} {WINDOW_BYTES_MAX}\n",
            self.words()
        ))
    }

    /// Sends a signal to the command and to what it started in its session, unless another run
    /// has the lock of the host; `tokens` name the locks of this one.
    pub fn cancel(&self, signal: &str, who: &str, run: &str, tokens: &[String]) -> Script {
        Script::new(format!(
            "sb_cancel {} {} {} {}{}\n",
            self.words(),
            quote(signal),
            quote(who),
            quote(run),
            words(tokens),
        ))
    }
}

/// What has become of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody has claimed it; a start may be under way.
    Absent,
    /// It was claimed and its gate is open still.
    Claimed,
    /// It has not started and never will.
    Never,
    /// It runs.
    Running {
        /// Its process id, once it has one.
        pid: Option<u32>,
        /// The state of that process as `/proc` tells it (`D` and `T` mean that it hangs).
        state: String,
        /// Whether nobody is left to say how it ends.
        is_orphan: bool,
    },
    /// It ended.
    Finished {
        /// Its exit status.
        rc: i32,
        /// Whether it was ended because its time was over.
        is_late: bool,
    },
    /// It started, and nobody can say how it ended.
    Lost {
        /// Why: `reboot`, `killed`, `torn-rc`, `gone-back`.
        why: String,
    },
    /// The host did not do what was asked, and nothing was started by it.
    Refused(Refusal),
}

/// Why a host refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another one has the lock: its line.
    Fenced(String),
    /// The host was restarted since it was looked at.
    OtherBoot,
    /// The place of attempts is another one, or gone.
    OtherSpool,
    /// The start came too late.
    TooLate,
    /// There is no room to keep anything.
    NoSpace,
    /// All else, in the host's word.
    Other(String),
}

/// A look at an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What has become of it.
    pub fate: Fate,
    /// The boot of the host, where it told.
    pub boot: String,
    /// Its uptime in seconds.
    pub up: u64,
    /// Standard output from the offset on.
    pub out: Vec<u8>,
    /// Standard error from the offset on.
    pub err: Vec<u8>,
    /// Who wanted it to end, if somebody did.
    pub cancelled: Option<String>,
    /// Whether a signal was sent to it just now.
    pub is_signalled: bool,
}

impl Seen {
    /// Whether this is not all that there is to fetch.
    pub fn has_more(&self) -> bool {
        self.out.len() >= WINDOW_BYTES_MAX || self.err.len() >= WINDOW_BYTES_MAX
    }
}

/// Reads the reply to a start, a look, a resolution or a cancellation; `None` if it is none.
pub fn seen(reply: &Reply) -> Option<Seen> {
    let fields = reply.fields();
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let fate = match fields.get("st")?.as_str() {
        "absent" => Fate::Absent,
        "claimed" => Fate::Claimed,
        "never" => Fate::Never,
        "running" => Fate::Running {
            pid: text("pid").parse().ok(),
            state: text("ps"),
            is_orphan: text("why") == "supervisor-dead",
        },
        "finished" => Fate::Finished {
            rc: text("rc").parse().ok()?,
            is_late: text("why") == "timeout",
        },
        "lost" => Fate::Lost { why: text("why") },
        "refused" => Fate::Refused(match text("why").as_str() {
            "fenced" => Refusal::Fenced(text("fenced-by")),
            "other-boot" => Refusal::OtherBoot,
            "other-spool" | "no-spool" => Refusal::OtherSpool,
            "too-late" => Refusal::TooLate,
            "no-space" | "cannot-claim" => Refusal::NoSpace,
            other => Refusal::Other(other.to_owned()),
        }),
        _ => return None,
    };
    Some(Seen {
        fate,
        boot: text("boot"),
        up: text("up").parse().unwrap_or(0),
        out: reply.body().to_vec(),
        err: reply.stderr.clone(),
        cancelled: fields.get("cancelled").cloned(),
        is_signalled: fields.contains_key("sent"),
    })
}

/// Removes the files of attempts of one place whose results are kept elsewhere.
pub fn gone(spool: &str, is_home: bool, ids: &[String]) -> Script {
    let place = if is_home { "home" } else { "''" };
    let ids = words(ids);
    Script::new(format!("sb_gone {place} {}{ids}\n", quote(spool)))
}

/// What every change says before it acts: it ends with [`FENCED`] unless this lock rules.
pub fn hold(is_home: bool, epoch: u64) -> String {
    let place = if is_home { "home" } else { "''" };
    format!("sb_hold {place} {epoch}\n")
}

/// The line of the lock that kept an act from beginning, if that is what its reply says.
pub fn fenced_by(reply: &Reply) -> Option<String> {
    if reply.rc != FENCED {
        return None;
    }
    let said = reply.stderr_text();
    let (_, line) = said.split_once(FENCED_MARK)?;
    Some(line.trim_end().to_owned())
}

/// How a host is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meet<'a> {
    /// As root, who makes a place for everybody, with a spool for the user of this id.
    Root(&'a str),
    /// Whoever this is keeps what there is in the home.
    Home,
}

/// Asks for all that must be known of a host before it is changed, and takes its lock. `tokens`
/// name the locks of this run, the last one is for a new lock; without any none is taken. `over` is
/// the line of a lock that is taken as given back.
pub fn meet(
    how: Meet<'_>,
    run: &str,
    tokens: &[String],
    owner: &str,
    over: Option<&str>,
) -> Script {
    let (how, uid) = match how {
        Meet::Root(uid) => ("root", uid),
        Meet::Home => ("home", ""),
    };
    let tokens = words(tokens);
    let over = over.map_or(String::new(), |line| format!("SB_over={}\n", quote(line)));
    Script::new(format!(
        "{over}sb_meet {how} {} {}{tokens} {}\n",
        quote(run),
        quote(uid),
        quote(owner)
    ))
}

/// What a host said when it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    /// It can be used.
    Ready(Box<Footing>),
    /// It needs to be met as root first; the user's id there.
    NeedsRoot(String),
    /// Somebody has its lock: run, token, who.
    Locked(String),
    /// It cannot be used, and why.
    Unfit(String),
}

/// What is known of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footing {
    /// The user's id there.
    pub uid: String,
    /// Its boot.
    pub boot: String,
    /// Its uptime in seconds.
    pub up: u64,
    /// The id of the place.
    pub spool: String,
    /// Where things are kept.
    pub place: String,
    /// Device and inode of the file with that id, where the host tells them.
    pub inode: String,
    /// The lock, where one was taken.
    pub epoch: Option<u64>,
    /// `--system` or `--user`, where an attempt needs a scope of its own.
    pub scope: String,
    /// Programs that it lacks.
    pub lacks: String,
}

/// Reads the reply to [`meet`]; `None` if it is none.
pub fn met(reply: &Reply) -> Option<Met> {
    let fields = reply.fields();
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    if fields.get("st").is_some_and(|st| st == "refused") {
        return Some(match text("why").as_str() {
            "no-root" => Met::NeedsRoot(text("uid")),
            why => Met::Unfit(format!("{why} {}", reply.stderr_text().trim())),
        });
    }
    if let Some(line) = fields.get("locked-by") {
        return Some(Met::Locked(line.clone()));
    }
    Some(Met::Ready(Box::new(Footing {
        uid: fields.get("uid")?.clone(),
        boot: fields.get("boot")?.clone(),
        up: fields.get("up")?.parse().ok()?,
        spool: fields.get("spool")?.clone(),
        place: fields.get("place")?.clone(),
        inode: text("inode"),
        epoch: text("epoch").parse().ok(),
        scope: text("scope"),
        lacks: text("lacks"),
    })))
}

/// Asks which boot and which place this is: one line.
pub fn whereabouts(is_home: bool) -> Script {
    let place = if is_home { "home" } else { "''" };
    Script::new(format!("sb_whereabouts {place}\n"))
}

/// What the answer to [`whereabouts`] is, where it is the host of this footing.
pub fn is_there(reply: &Reply, footing: &Footing) -> bool {
    let fields = reply.fields();
    fields.get("boot") == Some(&footing.boot) && fields.get("inode") == Some(&footing.inode)
}

/// Gives a lock back.
pub fn free(is_home: bool, epoch: u64) -> Script {
    let place = if is_home { "home" } else { "''" };
    Script::new(format!("sb_free {place} {epoch}\n"))
}

/// Takes a lock over, whoever has it, and stops what has not begun.
pub fn take_over(is_home: bool, run: &str, token: &str, owner: &str) -> Script {
    let place = if is_home { "home" } else { "''" };
    Script::new(format!(
        "sb_over {place} {} {} {}\n",
        quote(run),
        quote(token),
        quote(owner)
    ))
}

/// Words of sh, each with a blank before it.
fn words(texts: &[String]) -> String {
    texts.iter().fold(String::new(), |mut all, text| {
        all.push(' ');
        all.push_str(&quote(text));
        all
    })
}
