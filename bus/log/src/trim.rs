//! Trim: whole segments leave from the front, by age and size (retention) or by request (DeleteRecords).
//! The segment that is written is never removed; it is closed first.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::disk::is_full;
use crate::error::LogError;
use crate::index::{NO_TIME, Summary};
use crate::options::Retention;
use crate::partition::{Partition, Shared, Writer};
use crate::segment;
use crate::settle::{CHECKPOINT_BYTES, RollError};

/// A slow partition would never fill a segment, and nothing of it could leave: the active segment is closed
/// when it holds such a part of what may stay.
const AGE_PARTS: u32 = 8;
const SIZE_PARTS: u64 = 4;
/// Segments smaller than this are not worth their files.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// What retention took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Segment files.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Partition {
    /// Raises the log's start to `offset` (DeleteRecords), and frees the segments below it. Durable on return.
    ///
    /// # Errors
    /// When the offset is past the durable end, or the files can't be changed.
    pub fn delete_before(&self, offset: i64) -> Result<(), LogError> {
        let durable_end = self.durable_end();
        {
            let mut writer = self.writer.lock();
            let log_start = self.log_start();
            if offset < 0 || offset > durable_end {
                return Err(LogError::OutOfRange { offset, log_start, durable_end });
            }
            // Without a checkpoint that is due, the start that was set earlier is durable.
            if offset <= log_start && writer.unchecked_bytes < CHECKPOINT_BYTES {
                return Ok(());
            }
            self.check_poison()?;
            let everything = offset >= self.log_end();
            self.shared.write().log_start = offset.max(log_start);
            writer.unchecked_bytes = writer.unchecked_bytes.max(CHECKPOINT_BYTES);
            if everything {
                self.roll_if_room(&mut writer)?;
            }
        }
        // The new start must be known before files go, or a restart would offer what is left of them;
        // unless there is room to note it only afterwards.
        let noted = self.checkpoint();
        let full = matches!(&noted, Err(LogError::Io { source, .. }) if is_full(source));
        if !full {
            noted?;
        }
        self.drop_front(|shared| {
            shared.sealed.front().is_some_and(|first| first.summary.next_offset <= shared.log_start)
        })?;
        if full { self.checkpoint() } else { Ok(()) }
    }

    /// Removing must work when the disk is full, though beginning a segment then does not.
    pub(crate) fn roll_if_room(&self, writer: &mut Writer) -> Result<(), LogError> {
        match self.roll(writer) {
            Err(RollError::Io { source, .. }) if is_full(&source) => Ok(()),
            rolled => Ok(rolled?),
        }
    }

    /// Removes whole segments from the front as the policy says. Call it every minute or so.
    ///
    /// # Errors
    /// When files can't be changed.
    pub fn retain(&self, now_ms: i64, policy: &Retention) -> Result<Removed, LogError> {
        self.retain_sparing(now_ms, policy, i64::MAX)
    }

    /// As [`retain`](Self::retain), but what is at `spared` or after it stays: somebody has yet to read it.
    ///
    /// # Errors
    /// As `retain`.
    pub fn retain_sparing(&self, now_ms: i64, policy: &Retention, spared: i64) -> Result<Removed, LogError> {
        {
            let mut writer = self.writer.lock();
            writer.producers.expire(now_ms);
            if self.check_poison().is_ok() && self.worth_closing(&writer, now_ms, policy) {
                self.roll_if_room(&mut writer)?;
            }
        }
        let oldest_ms = policy.max_age.map(|age| now_ms.saturating_sub(millis(age)));
        let size_bytes = self.size_bytes();
        let mut removed_bytes = 0;
        self.drop_front(|shared| {
            let Some(first) = shared.sealed.front() else { return false };
            let expired = oldest_ms.is_some_and(|oldest_ms| newest_ms(&first.path, &first.summary, now_ms) < oldest_ms);
            let left_bytes = (size_bytes - removed_bytes).saturating_sub(first.summary.bytes);
            let too_much = policy.max_bytes.is_some_and(|max_bytes| left_bytes >= max_bytes);
            let trimmed = first.summary.next_offset <= shared.log_start;
            let goes = trimmed || ((expired || too_much) && first.summary.next_offset <= spared);
            removed_bytes += if goes { first.summary.bytes } else { 0 };
            goes
        })
    }

    fn worth_closing(&self, writer: &Writer, now_ms: i64, policy: &Retention) -> bool {
        let shared = self.shared.read();
        let summary = shared.active.index.summary();
        if summary.bytes == 0 {
            return false;
        }
        let begun_ms = writer.begun_ms.unwrap_or_else(|| created_ms(&shared.active.path, now_ms));
        if self.is_aged(begun_ms, now_ms) {
            return true;
        }
        let old = policy.max_age.is_some_and(|age| {
            let expired = newest_ms(&shared.active.path, summary, now_ms) < now_ms.saturating_sub(millis(age));
            expired || now_ms.saturating_sub(begun_ms) > millis(age / AGE_PARTS)
        });
        let part_bytes = |max_bytes| Ord::max(max_bytes / SIZE_PARTS, SEGMENT_BYTES_MIN);
        old || policy.max_bytes.is_some_and(|max_bytes| summary.bytes >= part_bytes(max_bytes))
    }

    /// Takes segments from the front as long as `goes` says so; readers that have one open can finish.
    pub(crate) fn drop_front(&self, mut goes: impl FnMut(&Shared) -> bool) -> Result<Removed, LogError> {
        let mut removed = Removed::default();
        loop {
            let segment = {
                let mut shared = self.shared.write();
                if !goes(&shared) {
                    break;
                }
                let Some(segment) = shared.sealed.pop_front() else { break };
                shared.log_start = shared.log_start.max(segment.summary.next_offset);
                if let Some(next) = shared.sealed.front() {
                    shared.log_start = shared.log_start.max(next.base_offset);
                }
                segment
            };
            segment::remove(&self.dir, segment.base_offset)?;
            removed.segments += 1;
            removed.bytes += segment.summary.bytes;
        }
        if removed.segments > 0 {
            let path = self.dir.clone();
            self.disk.sync_dir(&self.dir).map_err(|source| LogError::Io { action: "sync", path, source })?;
        }
        Ok(removed)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The time of a segment's newest record; of the file, where records carry none.
pub(crate) fn newest_ms(path: &Path, summary: &Summary, now_ms: i64) -> i64 {
    if summary.max_time != NO_TIME && summary.max_time >= 0 {
        return summary.max_time;
    }
    let modified = fs::metadata(path).and_then(|found| found.modified());
    modified.map_or(now_ms, |time| time.duration_since(UNIX_EPOCH).map_or(0, millis))
}

fn created_ms(path: &Path, now_ms: i64) -> i64 {
    let created = fs::metadata(path).and_then(|found| found.created().or_else(|_| found.modified()));
    created.map_or(now_ms, |time| time.duration_since(UNIX_EPOCH).map_or(0, millis))
}
