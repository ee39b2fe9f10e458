//! One partition: append, wait until durable, read, look up by time, trim.

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use crate::error::{AppendError, LogError, Poisoned, ReadError};
use crate::options::{Retention, Stamp};

/// What an append became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// One past the last record: what to give to [`Partition::wait_durable`].
    pub end_offset: i64,
    /// The time that the records now carry, under [`Stamp::LogAppendTime`].
    pub append_time_ms: Option<i64>,
    /// The producer had sent this before: nothing was written, the offsets are those of the first time.
    /// Still wait for `end_offset`, which may not be durable yet.
    pub duplicate: bool,
}

/// Whole batches, ready for a fetch response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSlice {
    /// The batches back to back; empty when there is nothing (yet) at the asked offset.
    pub bytes: Bytes,
    /// Base offset of the first batch (at most the offset asked for, unless offsets are missing).
    pub base_offset: i64,
    /// Where to read on.
    pub next_offset: i64,
}

/// What retention took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Segment files.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The log of one partition. All methods may be called from any thread; those that touch the disk block
/// (an append writes to the page cache, and syncs only when a segment is full).
pub struct Partition {}

impl Partition {
    /// The topic's directory name.
    #[must_use]
    pub fn topic_id(&self) -> &str {
        todo!()
    }

    /// The partition number.
    #[must_use]
    pub fn partition(&self) -> i32 {
        todo!()
    }

    /// Appends v2 batches (one or several back to back) as produced: checks lengths, CRCs, offset deltas and
    /// idempotent sequences, sets offsets and leader epoch. All batches are stored or none. Written to the
    /// page cache on return, NOT durable yet: see [`wait_durable`](Self::wait_durable). If nobody waits it
    /// becomes durable within `cached_sync`.
    ///
    /// # Errors
    /// The append was refused and nothing of it is in the log.
    pub fn append(
        &self,
        _batches: BytesMut,
        _leader_epoch: i32,
        _now_ms: i64,
        _stamp: Stamp,
    ) -> Result<Appended, AppendError> {
        todo!()
    }

    /// Resolves once everything below `end_offset` is durable, and asks the committer to see to it now.
    /// The future may be dropped at any time, and borrows nothing.
    pub fn wait_durable(&self, _end_offset: i64) -> impl Future<Output = Result<(), Poisoned>> + Send + 'static {
        async { todo!() }
    }

    /// Reads whole batches from `from` on: at most `max_bytes` of them (with `min_one` the first one even if
    /// it is larger), none that reaches `until` (exclusive) or past the durable offset. The first batch may
    /// start before `from`. Reads from one segment, so less than there is may come. Blocks on disk reads.
    ///
    /// # Errors
    /// When `from` is outside the log, or the bytes can't be read.
    pub fn read(&self, _from: i64, _max_bytes: usize, _until: i64, _min_one: bool) -> Result<ReadSlice, ReadError> {
        todo!()
    }

    /// The first offset that can be read.
    #[must_use]
    pub fn log_start(&self) -> i64 {
        todo!()
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn log_end(&self) -> i64 {
        todo!()
    }

    /// One past the last offset that survives a power failure: the high watermark.
    #[must_use]
    pub fn durable_end(&self) -> i64 {
        todo!()
    }

    /// Changes whenever [`durable_end`](Self::durable_end) does: for long-polling fetches.
    #[must_use]
    pub fn durable_changes(&self) -> watch::Receiver<i64> {
        todo!()
    }

    /// The first offset (and its timestamp) whose record is at least as late as `time_ms`. Exact for
    /// uncompressed batches; for compressed ones the batch's first offset and its highest timestamp.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn offset_for_time(&self, _time_ms: i64) -> Result<Option<(i64, i64)>, ReadError> {
        todo!()
    }

    /// Offset and timestamp of (the batch that ends with) the latest record by timestamp.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<(i64, i64)> {
        todo!()
    }

    /// Raises the log's start to `offset` (DeleteRecords), and frees the segments below it. Durable on return.
    ///
    /// # Errors
    /// When the offset is past the durable end, or the files can't be changed.
    pub fn delete_before(&self, _offset: i64) -> Result<(), LogError> {
        todo!()
    }

    /// Removes whole segments from the front as the policy says. Call it every minute or so.
    ///
    /// # Errors
    /// When files can't be changed.
    pub fn retain(&self, _now_ms: i64, _policy: &Retention) -> Result<Removed, LogError> {
        todo!()
    }

    /// Bytes of the batches in the log.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }

    /// Why the partition takes no more writes, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<Poisoned> {
        todo!()
    }
}
