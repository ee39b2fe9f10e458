//! What goes into a topic and comes out of it.

use std::sync::atomic::{AtomicU64, Ordering};

use logmill_bus_log::FileSlice;

/// A topic's totals since the start.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: AtomicU64,
    pub(crate) records_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) records_out: AtomicU64,
}

impl Traffic {
    /// Batches were taken in.
    pub(crate) fn came_in(&self, bytes: u64, records: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
        self.records_in.fetch_add(records, Ordering::Relaxed);
    }

    /// Whole batches are given out.
    pub(crate) fn goes_out(&self, batches: &FileSlice) {
        self.bytes_out.fetch_add(batches.len() as u64, Ordering::Relaxed);
        self.records_out.fetch_add(batches.records, Ordering::Relaxed);
    }
}
