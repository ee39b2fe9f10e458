//! What a topic's settings say about the files of its partitions. May change while the log is written.

use std::time::Duration;

use crate::options::LogOptions;
use crate::partition::{Partition, Writer};
use crate::settle::RollError;

/// Smaller segments would be a file for every few records.
const SEGMENT_BYTES_MIN: u64 = 4 << 10;
/// Positions in an index are 32 bits wide, and one append (at most 1 GiB) may exceed the limit.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// The files of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// A segment that would grow past this is closed and a new one begun; taken as at least 4 KiB, at most 1 GiB.
    pub segment_bytes: u64,
    /// A segment is closed so long after its first record came; `None` is never.
    pub segment_age: Option<Duration>,
}

impl Tuning {
    /// What holds until a topic says something else.
    pub(crate) fn new(options: &LogOptions) -> Self {
        Self { segment_bytes: options.segment_bytes, segment_age: None }
    }
}

impl Partition {
    /// Sets how the partition's files are cut from now on.
    pub fn tune(&self, tuning: Tuning) {
        let segment_bytes = tuning.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        *self.tuning.lock() = Tuning { segment_bytes, ..tuning };
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.tuning.lock().segment_bytes
    }

    /// Whether a segment that was begun at that time has been written long enough.
    pub(crate) fn is_aged(&self, begun_ms: i64, now_ms: i64) -> bool {
        let age = self.tuning.lock().segment_age;
        age.is_some_and(|age| now_ms.saturating_sub(begun_ms) > i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    }

    /// Begins a new segment before an append if the old one has been written long enough.
    pub(crate) fn roll_if_aged(&self, writer: &mut Writer, now_ms: i64) -> Result<(), RollError> {
        match writer.begun_ms {
            Some(begun_ms) if self.is_aged(begun_ms, now_ms) => self.roll(writer),
            // After a start it is not known when the segment was begun; retention looks at its file.
            _ => Ok(()),
        }
    }
}
