//! How often each API is asked, how often that is refused, and how long answers take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use logmill_core::scrape::{Kind, Series};

/// Upper bounds in seconds: from what memory answers over a sync of the disk to a long poll.
const BOUNDS: [f64; 11] = [0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// One API's totals.
#[derive(Debug, Default)]
pub(crate) struct ApiMeter {
    errors: AtomicU64,
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl ApiMeter {
    /// An answer is ready, this long after the request was read; for Fetch and JoinGroup that is mostly waiting.
    pub(crate) fn answered(&self, after: Duration) {
        let seconds = after.as_secs_f64();
        let slot = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(slot) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// It was refused, or a part of it.
    pub(crate) fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Says nothing of an API that nobody has asked.
    pub(crate) fn collect(&self, api: &str, series: &mut Series) {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let errors = self.errors.load(Ordering::Relaxed);
        if counts.iter().sum::<u64>() + errors == 0 {
            return;
        }
        let labels = [("api", api)];
        series.add(Kind::Counter, "logmill_bus_api_errors_total", &labels, errors as f64);
        let sum = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        series.add_histogram("logmill_bus_api_seconds", &labels, &BOUNDS, &counts, sum);
    }
}
