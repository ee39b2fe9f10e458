//! What one search may cost, and how it is stopped.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::error::EsError;
use crate::interrupt::{self, Entered};

/// Elasticsearch's `index.max_result_window`.
pub(crate) const WINDOW_MAX: usize = 10_000;
/// Elasticsearch's `search.max_buckets`.
pub(crate) const BUCKETS_MAX: usize = 65_536;
/// Bytes that one search may hold: buckets, hits and the events of its page.
pub(crate) const OWN_BYTES_MAX: usize = 128 << 20;
/// Bytes that all running searches may hold together.
pub(crate) const ALL_BYTES_MAX: usize = 512 << 20;
/// What a bucket or a distinct value takes, measured with its map's room to grow.
const BUCKET_BYTES: usize = 128;
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
pub(crate) struct Allowance {
    deadline: Instant,
    cancelled: Arc<AtomicBool>,
    /// Bytes that it holds, of its own budget and of what all have together.
    bytes: Cell<usize>,
    progress: Arc<Progress>,
    /// What is done between two parts: others may have to pass.
    pause: Option<Box<dyn Fn() + Send>>,
}

impl std::fmt::Debug for Allowance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Allowance({} bytes until {:?})", self.bytes.get(), self.deadline)
    }
}

/// Bytes that running searches hold, all together: there is one memory for all of them.
static HELD: AtomicUsize = AtomicUsize::new(0);

impl Allowance {
    pub(crate) fn new(timeout: Option<Duration>, cancelled: Arc<AtomicBool>) -> Self {
        let time = timeout.unwrap_or(RUN_TIME_MAX).min(RUN_TIME_MAX);
        Self { deadline: Instant::now() + time, cancelled, bytes: Cell::new(0), progress: Arc::default(), pause: None }
    }

    /// For a search that nobody waits for at a connection: it may take its time.
    pub(crate) fn in_background(timeout: Option<Duration>, cancelled: Arc<AtomicBool>) -> Self {
        let time = timeout.unwrap_or(BACKGROUND_TIME_MAX).min(BACKGROUND_TIME_MAX);
        let mut allowance = Self::new(None, cancelled);
        allowance.deadline = Instant::now() + time;
        allowance
    }

    pub(crate) fn showing(mut self, progress: Arc<Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Does this between two parts.
    pub(crate) fn pausing(mut self, pause: impl Fn() + Send + 'static) -> Self {
        self.pause = Some(Box::new(pause));
        self
    }

    pub(crate) fn between_parts(&self) {
        if let Some(pause) = &self.pause {
            pause();
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Makes this thread run the search.
    pub(crate) fn enter(&self) -> Entered {
        interrupt::enter(self.deadline, self.cancelled.clone())
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
        self.take_bytes(n.saturating_mul(BUCKET_BYTES), "its buckets").map_err(|mut error| {
            error
                .reason
                .push_str("; narrow the time range, use a larger interval, or aggregate a field with fewer values");
            error
        })
    }

    pub(crate) fn give_back_buckets(&self, n: usize) {
        let bytes = n.saturating_mul(BUCKET_BYTES).min(self.bytes.get());
        self.bytes.set(self.bytes.get() - bytes);
        HELD.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes room for bytes; all of it is given back when the search ends.
    pub(crate) fn take_bytes(&self, bytes: usize, what: &str) -> Result<(), EsError> {
        let own = self.bytes.get().saturating_add(bytes);
        if own > OWN_BYTES_MAX {
            let reason =
                format!("[request] Data too large: the search needs {own} bytes for {what}, more than {OWN_BYTES_MAX}");
            return Err(EsError::new(429, "circuit_breaking_exception", reason));
        }
        let all = HELD.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if all > ALL_BYTES_MAX {
            HELD.fetch_sub(bytes, Ordering::Relaxed);
            let reason = format!(
                "[parent] Data too large: all searches together need {all} bytes, more than {ALL_BYTES_MAX}; try again later"
            );
            return Err(EsError::new(429, "circuit_breaking_exception", reason));
        }
        self.bytes.set(own);
        Ok(())
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        HELD.fetch_sub(self.bytes.get(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_for_one_and_given_back() {
        let allowance = Allowance::new(None, Arc::default());
        assert!(allowance.take_bytes(OWN_BYTES_MAX - 10 * BUCKET_BYTES, "a test").is_ok());
        assert!(allowance.take_buckets(10).is_ok());
        assert!(
            allowance.take_buckets(1).is_err_and(|error| error.status == 429 && error.reason.contains("[request]"))
        );
        allowance.give_back_buckets(1);
        assert!(allowance.take_buckets(1).is_ok());
    }
}
