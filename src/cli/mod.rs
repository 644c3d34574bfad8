//! The command line: arguments, one file per command, exit codes.

mod args;
mod cancel;
mod completions;
mod config;
mod defaults;
mod doc;
mod drift;
mod exit;
mod explain;
mod extra_vars;
mod face;
mod face_words;
mod fact_cache;
mod fault;
mod harden;
mod inventory;
mod listing;
mod rehearsal_report;
mod rehearse;
mod release;
mod resume;
mod rollback;
mod run;
mod runs;
mod runs_output;
mod runs_show;
mod runs_verify;
mod session;
mod signals;
mod stage;
mod start;
mod takeover;
mod vault;
mod vault_keys;

pub use start::main;
