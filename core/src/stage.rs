//! What every stage is given when it is built, and the board on which it says how it is doing.
//!
//! The board is read by `/healthz`, `/metrics`, the status topic and the terminal's status line, so that
//! all four say the same. A stage writes to it and never reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a stage is given besides its configuration.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The folder that is this stage's own; it exists.
    pub data_dir: PathBuf,
    /// Where the stage says how it is doing.
    pub board: Arc<StatusBoard>,
}

impl Stage {
    /// A stage called `name` that keeps its files in `data_dir`, which is made if it is missing.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn new(name: &'static str, data_dir: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&data_dir)?;
        Ok(Self { data_dir, board: Arc::new(StatusBoard::new(name)) })
    }
}

/// What a stage says of itself, as it stands on the status topic (key: `stage/instance`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageStatus {
    /// `shipper`, `bus`, `processor`, `indexer` or `dashboard`.
    pub stage: String,
    /// Tells two processes of one stage apart: host name and process id.
    pub instance: String,
    /// The machine's name.
    pub host: String,
    /// The program's version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When the stage started, RFC 3339.
    pub started_at: String,
    /// When this was said, RFC 3339.
    pub at: String,
    /// Whether the stage does its work now.
    pub ready: bool,
    /// What is wrong, in plain words; empty when nothing is.
    pub problems: Vec<String>,
    /// Where it listens: name → `host:port`.
    pub addresses: BTreeMap<String, String>,
    /// Running totals since the start, such as `events` and `bytes`.
    pub counters: BTreeMap<String, u64>,
    /// Present values, such as `lag_events`.
    pub gauges: BTreeMap<String, f64>,
    /// Whatever else the stage wants to show.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// A running total: on the board, and as `logmill_<stage>_<name>_total` in the metrics.
#[derive(Clone)]
pub struct Counter {
    total: Arc<AtomicU64>,
    metric: metrics::Counter,
}

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.total.fetch_add(n, Ordering::Relaxed);
        self.metric.increment(n);
    }

    /// The total so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Counter({})", self.total())
    }
}

/// How one stage is doing.
#[derive(Debug)]
pub struct StatusBoard {
    stage: &'static str,
    started_at: jiff::Timestamp,
    ready: AtomicBool,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    problems: BTreeMap<String, String>,
    addresses: BTreeMap<String, String>,
    counters: BTreeMap<&'static str, Counter>,
    gauges: BTreeMap<&'static str, f64>,
    details: Value,
}

impl StatusBoard {
    /// An empty board: not ready, nothing wrong.
    #[must_use]
    pub fn new(stage: &'static str) -> Self {
        Self { stage, started_at: jiff::Timestamp::now(), ready: AtomicBool::new(false), lines: Mutex::default() }
    }

    /// The stage's name.
    #[must_use]
    pub const fn stage(&self) -> &'static str {
        self.stage
    }

    /// Says whether the stage does its work now.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether the stage does its work now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Puts up a problem under a key of the stage's own (`bus`, `disk`, ...), or takes it down.
    pub fn set_problem(&self, key: &str, problem: Option<String>) {
        let mut lines = self.lines();
        match problem {
            Some(text) => drop(lines.problems.insert(key.to_owned(), text)),
            None => drop(lines.problems.remove(key)),
        }
    }

    /// Says where the stage listens.
    #[allow(clippy::needless_pass_by_value)] // callers hand over what they have at hand: addresses are small
    pub fn set_address(&self, name: &str, address: impl ToString) {
        self.lines().addresses.insert(name.to_owned(), address.to_string());
    }

    /// The running total called `name` (snake case, no stage prefix, no `_total`), made at its first use.
    pub fn counter(&self, name: &'static str) -> Counter {
        let stage = self.stage;
        let make =
            || Counter { total: Arc::default(), metric: metrics::counter!(format!("logmill_{stage}_{name}_total")) };
        self.lines().counters.entry(name).or_insert_with(make).clone()
    }

    /// Sets the present value called `name`; in the metrics it is `logmill_<stage>_<name>`.
    pub fn set_gauge(&self, name: &'static str, value: f64) {
        metrics::gauge!(format!("logmill_{}_{name}", self.stage)).set(value);
        self.lines().gauges.insert(name, value);
    }

    /// Sets whatever else the stage wants to show.
    pub fn set_details(&self, details: Value) {
        self.lines().details = details;
    }

    /// All of it, as of now.
    #[must_use]
    pub fn snapshot(&self) -> StageStatus {
        let host = host_name();
        let pid = std::process::id();
        let lines = self.lines();
        StageStatus {
            stage: self.stage.to_owned(),
            instance: format!("{host}-{pid}"),
            host,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid,
            started_at: self.started_at.to_string(),
            at: jiff::Timestamp::now().to_string(),
            ready: self.is_ready(),
            problems: lines.problems.values().cloned().collect(),
            addresses: lines.addresses.clone(),
            counters: lines.counters.iter().map(|(name, counter)| ((*name).to_owned(), counter.total())).collect(),
            gauges: lines.gauges.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            details: lines.details.clone(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Every write leaves the board whole, so a writer that panicked elsewhere does no harm here.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine's name as the kernel knows it.
#[must_use]
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_says_what_was_put_up_and_no_more() {
        let board = StatusBoard::new("bus");
        board.counter("records").add(2);
        board.counter("records").add(3);
        board.set_gauge("disk_bytes", 7.0);
        board.set_problem("disk", Some("disk is full".into()));
        board.set_problem("peer", Some("away".into()));
        board.set_problem("peer", None);
        board.set_ready(true);
        let status = board.snapshot();
        assert_eq!((status.stage.as_str(), status.ready), ("bus", true));
        assert_eq!(status.counters.get("records"), Some(&5));
        assert_eq!(status.gauges.get("disk_bytes"), Some(&7.0));
        assert_eq!(status.problems, ["disk is full"]);
    }
}
