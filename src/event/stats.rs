//! Totals of a run.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Report, Status};
use crate::value::Value;

/// Totals by host, in the order in which hosts were met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// By inventory name.
    pub hosts: IndexMap<String, HostStats>,
}

/// What one host's tasks came to. Names and counting rules are those of Ansible's recap
/// (ansible-core 2.19, `executor/stats.py`): `changed` and `ignored` count in `ok` too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are Ansible's recap")]
pub struct HostStats {
    pub ok: u32,
    pub changed: u32,
    pub unreachable: u32,
    pub failed: u32,
    pub skipped: u32,
    pub rescued: u32,
    pub ignored: u32,
    pub lost: u32,
    pub unknown: u32,
}

impl Stats {
    /// The totals of a host, made on first use.
    pub fn host(&mut self, host: &str) -> &mut HostStats {
        if !self.hosts.contains_key(host) {
            self.hosts.insert(host.to_owned(), HostStats::default());
        }
        &mut self.hosts[host]
    }

    /// Counts one finished task.
    pub fn count(&mut self, host: &str, report: &Report) {
        let stats = self.host(host);
        match report.status {
            Status::Ok => stats.ok += 1,
            Status::Changed => {
                stats.ok += 1;
                stats.changed += 1;
            }
            Status::Skipped => stats.skipped += 1,
            Status::Failed if report.is_ignored => {
                stats.ok += 1;
                stats.ignored += 1;
                if report.result.get("changed").and_then(Value::to_bool) == Some(true) {
                    stats.changed += 1;
                }
            }
            Status::Unreachable if report.is_ignored => {
                stats.ok += 1;
                stats.ignored += 1;
            }
            Status::Failed => stats.failed += 1,
            Status::Unreachable => stats.unreachable += 1,
            Status::Lost => stats.lost += 1,
            Status::Unknown => stats.unknown += 1,
        }
    }
}
