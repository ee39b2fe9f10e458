//! Who holds room that others wait for must move: a client that sends a large request drop by drop may do so while there is room for all, and is cut off when it keeps others waiting.

use std::time::Duration;

use tokio::time::Instant;

use crate::budget::Budget;

/// How long a transfer may take before its pace counts while few wait: a client may be busy, a network may hiccup.
const GRACE: Duration = Duration::from_secs(5);
/// The grace is halved when so many wait, and so on: a crowd of slow clients must not add up their graces.
const CROWD: u32 = 8;
/// The least grace: a client of this network has sent something by then.
const GRACE_LEAST: Duration = Duration::from_millis(250);
/// The least that is then expected on the average, a second. A slow uplink of 4 Mbit/s has it.
const LEAST_BYTES_PER_SECOND: u64 = 512 << 10;
/// How often a transfer that does not move looks whether others wait.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// One transfer under way that holds room of a budget.
#[derive(Debug)]
pub(crate) struct Pace<'b> {
    budget: &'b Budget,
    began: Instant,
    bytes: u64,
}

impl<'b> Pace<'b> {
    pub(crate) fn start(budget: &'b Budget) -> Self {
        Self { budget, began: Instant::now(), bytes: 0 }
    }

    /// Counts what has moved. False when this transfer is to be ended: it is slow, and others wait for its room.
    pub(crate) fn goes_on(&mut self, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        match self.budget.waiting() {
            0 => true,
            waiting => !is_slow(self.bytes, self.began.elapsed(), waiting),
        }
    }
}

fn is_slow(bytes: u64, took: Duration, waiting: u32) -> bool {
    let grace = (GRACE / (1 + waiting / CROWD)).max(GRACE_LEAST);
    let expected = u128::from(LEAST_BYTES_PER_SECOND) * took.as_millis() / 1000;
    took > grace && u128::from(bytes) < expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_has_its_grace_and_then_a_least_pace() {
        assert!(!is_slow(0, GRACE, 1));
        assert!(is_slow(0, GRACE + LOOK, 1));
        assert!(is_slow(1 << 20, Duration::from_secs(10), 1));
        assert!(!is_slow(5 << 20, Duration::from_secs(10), 1));
        assert!(is_slow(5 << 20, Duration::from_secs(3600), 1), "drop by drop");
        assert!(is_slow(0, Duration::from_secs(1), 100), "a crowd waits");
        assert!(!is_slow(0, GRACE_LEAST, u32::MAX));
        assert!(!is_slow(1 << 20, Duration::from_secs(1), 100));
    }

    #[tokio::test]
    async fn nobody_is_ended_while_nobody_waits() {
        let budget = Budget::new(1 << 10);
        let _all = budget.hold(1 << 10).await;
        let mut pace = Pace { budget: &budget, began: Instant::now() - Duration::from_secs(3600), bytes: 0 };
        assert!(pace.goes_on(1));
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.hold(1).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!pace.goes_on(1));
        waiting.abort();
    }
}
