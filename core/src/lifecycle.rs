//! How a stage is asked to stop. Every `run(shutdown)` returns soon after `requested()` turns true,
//! with its work acknowledged or left for the next start; it never drops what it has accepted.

use tokio_util::sync::CancellationToken;

/// A request to stop, shared by everything that must hear it. Cloning it shares the same request.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A request that nobody has made yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone who holds this (or a child of it) to stop. Asking twice is the same as once.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// Whether stopping was asked for.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves once stopping is asked for.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }

    /// A request of its own that is also triggered with this one: for parts that can stop alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Runs `work` until it ends or stopping is asked for; `None` says it was cut short.
    pub async fn unless<F: Future>(&self, work: F) -> Option<F::Output> {
        self.0.run_until_cancelled(work).await
    }
}
