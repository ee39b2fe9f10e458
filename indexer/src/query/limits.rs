//! What one search may cost, and how it is stopped.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::error::EsError;

/// Elasticsearch's `index.max_result_window`.
pub(crate) const WINDOW_MAX: usize = 10_000;
/// Elasticsearch's `search.max_buckets`.
pub(crate) const BUCKETS_MAX: usize = 65_536;
/// Buckets and distinct values that a search may hold while it runs: about 100 bytes each.
pub(crate) const PARTIAL_BUCKETS_MAX: usize = 1 << 20;
/// Bytes of events that one answer may carry.
pub(crate) const SOURCES_BYTES_MAX: usize = 256 << 20;
/// Nesting of queries and aggregations.
pub(crate) const DEPTH_MAX: usize = 50;
/// Clauses of one query: Elasticsearch derives a similar number from its heap.
pub(crate) const CLAUSES_MAX: usize = 4096;
/// Words of the index that one near word or open phrase may stand for: Elasticsearch's bound on clauses.
pub(crate) const EXPANSIONS_MAX: usize = 1024;
/// Values of one `terms` query.
pub(crate) const TERMS_MAX: usize = 65_536;
/// No search runs longer than this, whatever it asks for.
pub(crate) const RUN_TIME_MAX: Duration = Duration::from_secs(120);

/// Nor does a search in the background run longer than this.
pub(crate) const BACKGROUND_TIME_MAX: Duration = Duration::from_secs(3600);

/// Why a search stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Timeout,
    Cancelled,
    /// As many matches as `terminate_after` asked for.
    Enough,
}

/// How far a search has come, for those who watch it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    parts: AtomicUsize,
    done: AtomicUsize,
}

impl Progress {
    pub(crate) fn begin(&self, parts: usize) {
        self.parts.fetch_add(parts, Ordering::Relaxed);
    }

    pub(crate) fn one_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Parts that were searched, and parts in all.
    pub(crate) fn done_of_all(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.parts.load(Ordering::Relaxed))
    }
}

/// The allowance of one search.
#[derive(Debug)]
pub(crate) struct Allowance {
    deadline: Instant,
    cancelled: Arc<AtomicBool>,
    buckets: Cell<usize>,
    progress: Arc<Progress>,
}

impl Allowance {
    pub(crate) fn new(timeout: Option<Duration>, cancelled: Arc<AtomicBool>) -> Self {
        let time = timeout.unwrap_or(RUN_TIME_MAX).min(RUN_TIME_MAX);
        Self { deadline: Instant::now() + time, cancelled, buckets: Cell::new(0), progress: Arc::default() }
    }

    /// For a search that nobody waits for at a connection: it may take its time.
    pub(crate) fn in_background(timeout: Option<Duration>, cancelled: Arc<AtomicBool>) -> Self {
        let time = timeout.unwrap_or(BACKGROUND_TIME_MAX).min(BACKGROUND_TIME_MAX);
        Self { deadline: Instant::now() + time, ..Self::new(None, cancelled) }
    }

    pub(crate) fn showing(mut self, progress: Arc<Progress>) -> Self {
        self.progress = progress;
        self
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// To be asked every few thousand documents.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        if self.cancelled.load(Ordering::Relaxed) {
            Some(Stopped::Cancelled)
        } else {
            (Instant::now() >= self.deadline).then_some(Stopped::Timeout)
        }
    }

    /// An error when it must stop: for those who can't answer with a part.
    pub(crate) fn check(&self) -> Result<(), EsError> {
        match self.stopped() {
            None | Some(Stopped::Enough) => Ok(()),
            Some(Stopped::Cancelled) => Err(EsError::cancelled()),
            Some(Stopped::Timeout) => {
                Err(EsError::new(504, "timeout_exception", "the words of the query were not looked up in time"))
            }
        }
    }

    /// Takes room for `n` more buckets or distinct values.
    pub(crate) fn take_buckets(&self, n: usize) -> Result<(), EsError> {
        let taken = self.buckets.get().saturating_add(n);
        self.buckets.set(taken);
        if taken > PARTIAL_BUCKETS_MAX {
            let reason = format!(
                "the aggregation needs more than {PARTIAL_BUCKETS_MAX} buckets at once; narrow the time range, \
                 use a larger interval, or aggregate a field with fewer values"
            );
            return Err(EsError::new(429, "circuit_breaking_exception", reason));
        }
        Ok(())
    }

    pub(crate) fn give_back_buckets(&self, n: usize) {
        self.buckets.set(self.buckets.get().saturating_sub(n));
    }
}
