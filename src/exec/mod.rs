//! Runs a plan: the dispatcher that owns all state of a run, and the thin driver around it.
//!
//! The core ([`Machine`]) is pure: inputs in, effects out. Everything impure is in [`Driver`] and
//! [`Project`]. Invariants: nothing changes a host before its intent is on disk; a host whose
//! attempt is lost takes no further step; protected hosts take only steps that read or can be
//! undone.

mod action;
mod apply;
mod argument_spec;
pub mod ask;
mod asking;
mod attempt;
mod busy;
mod cancel;
mod connect;
mod controller;
mod decide;
mod digest;
mod driver;
mod effect;
mod end;
mod fact_cache;
mod foretell;
mod frame;
mod ground;
mod guard;
mod halt;
mod handlers;
mod include;
mod inventory_expressions;
mod item;
mod job;
mod judge;
mod keywords;
mod list;
mod look;
mod looping;
mod machine;
mod play;
mod progress;
mod project;
mod refused;
mod replay;
mod rollback;
mod root;
mod run;
mod safety;
mod scope;
mod secrets;
mod settle;
mod start;
mod state;
mod synchronize;
mod tags;
mod takeover;
mod task;
mod tell_diff;
mod templated;
mod tracked;
mod undoing;
mod world;

pub use action::ACTIONS;
pub use cancel::Cancel;
pub use driver::{Driver, LocalFuture, Terminal};
pub use effect::{Effect, INTERRUPT, Input, Live, Now, Ticket};
pub use fact_cache::FactCache;
pub use inventory_expressions::InventoryExpressions;
pub use machine::Machine;
pub use project::{Project, render_name};
pub use rollback::{UNDO, Wanted};
pub use root::Ended;
pub use start::{replay_of, start, start_cancel, start_rollback, start_takeover};
pub use state::{Defaults, Open, Replay, Settings};
pub use tags::{is_selected, split as split_tags};
