//! What a caller chooses: sizes and windows of the log, the time stamp of an append, the limits of retention.

use std::time::Duration;

/// How the logs of one store are laid out and made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// A segment that would grow past this is closed and a new one begun.
    /// Bounded to 1 GiB, because positions in the index are 32 bits wide.
    pub segment_bytes: u64,
    /// One index entry at most every so many bytes of the segment.
    pub index_interval_bytes: u32,
    /// Disk space is reserved ahead of the writes in steps that grow to this size; 0 reserves nothing.
    pub preallocate_bytes: u64,
    /// The longest that a commit waits for appends which have already begun, so that they share its fsync.
    pub sync_window: Duration,
    /// A partition with so many bytes not yet durable is synced at once, even if nobody waits.
    pub sync_bytes: u64,
    /// What nobody waits for (acks=0, `write.caching`) is durable after this time at the latest.
    pub cached_sync: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 256 << 20,
            index_interval_bytes: 4096,
            // An fdatasync that need not grow the file costs less than half; more than this per partition
            // would be space that many idle partitions hold for nothing.
            preallocate_bytes: 16 << 20,
            sync_window: Duration::from_millis(2),
            sync_bytes: 1 << 20,
            cached_sync: Duration::from_millis(100),
        }
    }
}

/// Which time a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stamp {
    /// The producer's own time; the batch is kept as sent.
    #[default]
    CreateTime,
    /// The time of the append: attributes and maxTimestamp are rewritten and the CRC is computed anew.
    LogAppendTime,
}

/// What a partition may keep. `None` keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Retention {
    /// Segments whose newest record is older than this are removed.
    pub max_age: Option<Duration>,
    /// The oldest segments are removed as long as at least this many bytes stay.
    pub max_bytes: Option<u64>,
}
