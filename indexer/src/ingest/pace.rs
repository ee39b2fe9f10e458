//! How often documents become searchable: at every tick while records are taken up as they come, less often the more
//! of them wait on the bus. Fewer and larger segments cost less, and what waits is late whatever is done. Pure: it is
//! told what waits.

use std::time::Duration;

/// So many records are indexed in a millisecond, about, by one core: what tells how late those are that wait.
const RECORDS_A_MS: u64 = 50;
/// From so many records on (a second's work), segments are made as they will lie on disk: they are flushed before
/// a search has read them twice.
const STRAIGHT_RECORDS: u64 = 50_000;
/// Nobody who watches it catch up should think that it stands still.
const TICK_MAX: Duration = Duration::from_secs(3);

/// When a segment ends after its first document: no later than what waits on the bus would be taken up.
pub(crate) fn tick(refresh: Duration, waiting: u64) -> Duration {
    Duration::from_millis(waiting / RECORDS_A_MS).min(TICK_MAX).max(refresh)
}

/// Whether segments go straight to the disk.
pub(crate) const fn is_straight(waiting: u64) -> bool {
    waiting >= STRAIGHT_RECORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_makes_ticks_longer_and_never_shorter() {
        let refresh = Duration::from_millis(100);
        for (waiting, tick_ms) in [(0, 100), (4_000, 100), (20_000, 400), (u64::MAX, 3_000)] {
            assert_eq!(tick(refresh, waiting), Duration::from_millis(tick_ms), "{waiting}");
        }
        // Whoever asked for less keeps it.
        assert_eq!(tick(Duration::from_secs(10), u64::MAX), Duration::from_secs(10));
        // A hiccup at ten thousand events a second is made up for within what was promised.
        assert!(tick(refresh, 5_000) <= refresh && !is_straight(5_000));
    }
}
