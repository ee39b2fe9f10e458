//! A bound on the bytes that all connections together hold: large requests on their way in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counted in these, because a semaphore's permits are asked for in 32 bits.
const UNIT_BYTES: usize = 1 << 10;

/// Bytes that may be held; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    /// How many wait for room.
    waiting: Arc<AtomicU32>,
    most: u32,
}

/// One that waits, for as long as it lives: a wait may be given up.
struct Waiting<'b>(&'b AtomicU32);

impl<'b> Waiting<'b> {
    fn new(count: &'b AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that are held, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "only its end counts")] OwnedSemaphorePermit);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let most = units(bytes).max(1);
        Self { units: Arc::new(Semaphore::new(most as usize)), waiting: Arc::default(), most }
    }

    /// Waits until `bytes` may be held; more than there are is all of them.
    pub(crate) async fn hold(&self, bytes: usize) -> Option<Held> {
        let permits = units(bytes).min(self.most);
        if let Ok(held) = Arc::clone(&self.units).try_acquire_many_owned(permits) {
            return Some(Held(held));
        }
        let _waiting = Waiting::new(&self.waiting);
        // The semaphore is never closed.
        Arc::clone(&self.units).acquire_many_owned(permits).await.ok().map(Held)
    }

    /// How many wait for room now.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_for_too_much_waits_and_is_counted() {
        let budget = Budget::new(100 << 10);
        let first = budget.hold(64 << 10).await.unwrap();
        let second = budget.hold(32 << 10).await.unwrap();
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), budget.hold(16 << 10)).await;
        assert!(waits.is_err());
        assert_eq!(budget.waiting(), 0, "that wait was given up");
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.hold(16 << 10).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert_eq!(budget.waiting(), 1);
        drop(first);
        assert!(waiting.await.unwrap());
        assert_eq!(budget.waiting(), 0);
        drop(second);
        assert!(budget.hold(1 << 30).await.is_some(), "more than all is all");
    }
}
