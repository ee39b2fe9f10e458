//! Back-off for what may succeed later: doubling delays with jitter, so that many clients of one
//! recovering server do not come back in step.

use std::time::Duration;

/// Doubling delays between `first` and `max`, each shortened at random by up to half.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Delays that start at `first` and double up to `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first }
    }

    /// The delay to wait now; the next one is twice as long.
    pub fn next_delay(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.max);
        full.mul_f64(1.0 - rand::random::<f64>() / 2.0)
    }

    /// Call after a success: the next failure waits `first` again.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Default for Backoff {
    /// 100 ms to 30 s: quick enough for a restart of a neighbour, slow enough not to load one that is down.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_stay_within_bounds_and_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for full_ms in [100u64, 200, 350, 350] {
            let delay = backoff.next_delay();
            assert!(delay <= Duration::from_millis(full_ms), "{delay:?} > {full_ms} ms");
            assert!(delay >= Duration::from_millis(full_ms / 2), "{delay:?} < {} ms", full_ms / 2);
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(100));
    }
}
