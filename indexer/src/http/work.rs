//! Runs searches on threads that may block: as many at once as there are cores, some waiting, the rest told to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::query::error::EsError;

/// Searches that may wait: Elasticsearch's `search` queue is 1,000; a waiting search holds its parts.
const WAITING_MAX: usize = 500;

/// The room for searches.
#[derive(Debug)]
pub(super) struct Searches {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Searches {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // One more than cores, so that a long search does not hold up short ones on a small machine.
        Self { running: Arc::new(Semaphore::new(cores + 1)), waiting: AtomicUsize::new(0) }
    }

    /// Runs a computation when it is its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, EsError> + Send + 'static,
    ) -> Result<T, EsError> {
        let waiting = Waiting::begin(&self.waiting)?;
        let turn = self.running.clone().acquire_owned().await.map_err(EsError::internal)?;
        drop(waiting);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| EsError::internal("the search failed; the log of the program says why"))?
    }
}

/// Counts one that waits, also when the client goes away meanwhile.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn begin(waiting: &'w AtomicUsize) -> Result<Self, EsError> {
        let this = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            let reason = format!("more than {WAITING_MAX} searches are waiting already; try again in a second");
            return Err(EsError::new(429, "es_rejected_execution_exception", reason));
        }
        Ok(this)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
