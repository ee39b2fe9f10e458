//! What goes into a topic and comes out of it.

use std::sync::atomic::{AtomicU64, Ordering};

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
    pub(crate) fn goes_out(&self, batches: &[u8]) {
        self.bytes_out.fetch_add(batches.len() as u64, Ordering::Relaxed);
        self.records_out.fetch_add(records(batches), Ordering::Relaxed);
    }
}

/// Records of whole batches, as their headers count them.
fn records(batches: &[u8]) -> u64 {
    const LENGTH_AT: usize = 8;
    const BEHIND_LENGTH: usize = 12;
    const COUNT_AT: usize = 57;
    let number = |bytes: &[u8], at: usize| bytes.get(at..)?.first_chunk::<4>().map(|four| u32::from_be_bytes(*four));
    let mut rest = batches;
    let mut total = 0;
    while let (Some(length), Some(count)) = (number(rest, LENGTH_AT), number(rest, COUNT_AT)) {
        total += u64::from(count);
        rest = rest.get((length as usize).saturating_add(BEHIND_LENGTH)..).unwrap_or_default();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_how_many_records_there_are() {
        let batch = |count: u32, payload: usize| {
            let mut batch = vec![0u8; 61 + payload];
            batch[8..12].copy_from_slice(&u32::try_from(49 + payload).unwrap().to_be_bytes());
            batch[57..61].copy_from_slice(&count.to_be_bytes());
            batch
        };
        assert_eq!(records(&[batch(3, 10), batch(1, 0), batch(7, 99)].concat()), 11);
        assert_eq!(records(&[]), 0);
        let mut torn = batch(3, 10);
        torn.truncate(40);
        assert_eq!(records(&torn), 0);
    }
}
