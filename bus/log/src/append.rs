//! Append: check, number, write to the page cache, publish to the committer. All batches or none.

use std::sync::Arc;

use bytes::BytesMut;

use crate::aborted::ABORTED_MAX;
use crate::batch::{self, BatchHeader, check_produced};
use crate::commit::Urgency;
use crate::disk::is_full;
use crate::error::AppendError;
use crate::marker::Marker;
use crate::options::Stamp;
use crate::partition::{Partition, Writer};
use crate::producers::Verdict;
use crate::settle::RollError;

/// The first reservation of a segment; each next one doubles, so that a small log holds little for nothing.
const RESERVE_BYTES_MIN: u64 = 256 << 10;
/// Positions in a segment are 32 bits wide, so nothing near that is taken.
const APPEND_BYTES_MAX: usize = 1 << 30;

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

impl Partition {
    /// Appends v2 batches (one or several back to back) as produced: checks lengths, CRCs, offset deltas and
    /// idempotent sequences, sets offsets and leader epoch. All batches are stored or none. Written to the
    /// page cache on return, NOT durable yet: see [`wait_durable`](Self::wait_durable). If nobody waits it
    /// becomes durable within `cached_sync`.
    ///
    /// # Errors
    /// The append was refused and nothing of it is in the log.
    pub fn append(
        &self,
        batches: BytesMut,
        leader_epoch: i32,
        now_ms: i64,
        stamp: Stamp,
    ) -> Result<Appended, AppendError> {
        let _begun = self.begin_append();
        if batches.len() > APPEND_BYTES_MAX {
            return Err(AppendError::Corrupt { position: 0, reason: "more than 1 GiB at once" });
        }
        let found = check_produced(&batches)?;
        let append_time_ms = (stamp == Stamp::LogAppendTime).then_some(now_ms);

        let mut writer = self.writer.lock();
        self.check_poison()?;
        let verdicts = writer.producers.check(&found)?;
        let (mut batches, found) = without_repeats(batches, found, &verdicts);
        let headers = number(&mut batches, &found, self.log_end(), leader_epoch, append_time_ms)?;
        let appended = answer(&verdicts, &headers, append_time_ms);
        if headers.is_empty() {
            return Ok(appended);
        }
        self.roll_if_aged(&mut writer, now_ms).map_err(|error| self.refusal(error, batches.len()))?;
        self.write(&mut writer, &batches)?;
        let unsynced_bytes = self.note(&mut writer, &headers, None, batches.len(), now_ms);
        drop(writer);
        let much = unsynced_bytes >= self.options.sync_bytes;
        self.request_sync(if much { Urgency::Now } else { Urgency::Later });
        Ok(appended)
    }

    /// Ends the open transaction of a producer. One that has none here is left as it is, and `duplicate` says so:
    /// its marker was written before, or it has never written here. Wait for `end_offset` in any case, as after
    /// [`append`](Self::append).
    ///
    /// # Errors
    /// As `append`; the marker is older than what the producer wrote since, or could not be written.
    pub fn append_marker(&self, marker: &Marker, leader_epoch: i32, now_ms: i64) -> Result<Appended, AppendError> {
        let _begun = self.begin_append();
        let mut writer = self.writer.lock();
        self.check_poison()?;
        let log_end = self.log_end();
        if !writer.producers.check_marker(marker)? {
            let nothing = Appended { base_offset: log_end, end_offset: log_end, append_time_ms: None, duplicate: true };
            return Ok(nothing);
        }
        let mut batch = marker.build(now_ms);
        let header = BatchHeader::parse_stored(&batch);
        let header = header.ok_or(AppendError::Corrupt { position: 0, reason: "a marker can't be built" })?;
        let headers = number(&mut batch, &[(0, header)], log_end, leader_epoch, None)?;
        self.write(&mut writer, &batch)?;
        self.note(&mut writer, &headers, Some(marker), batch.len(), now_ms);
        drop(writer);
        // Somebody waits, or will in a moment: readers of what it ends.
        self.request_sync(Urgency::Now);
        Ok(Appended { base_offset: log_end, end_offset: log_end + 1, append_time_ms: None, duplicate: false })
    }

    /// Notes what was written, and returns how many bytes are not durable yet.
    fn note(
        &self,
        writer: &mut Writer,
        headers: &[BatchHeader],
        marker: Option<&Marker>,
        bytes: usize,
        now_ms: i64,
    ) -> u64 {
        writer.begun_ms.get_or_insert(now_ms);
        writer.unchecked_bytes += bytes as u64;
        let mut shared = self.shared.write();
        for header in headers {
            if let Some(turn) = writer.producers.wrote(header, marker, now_ms) {
                shared.stability.note(turn);
            }
            let position = shared.active.index.summary().bytes;
            shared.active.index.note(header, position);
        }
        shared.active.index.summary().bytes - shared.active.durable_bytes
    }

    /// Writes the bytes after the last batch. On an error the file is as it was before, or the partition poisoned.
    fn write(&self, writer: &mut Writer, bytes: &[u8]) -> Result<(), AppendError> {
        let (mut end, many_aborted) = {
            let shared = self.shared.read();
            (shared.active.index.summary().bytes, shared.stability.aborted.len() >= ABORTED_MAX)
        };
        if end > 0 && (many_aborted || end + bytes.len() as u64 > self.segment_bytes()) {
            self.roll(writer).map_err(|error| self.refusal(error, bytes.len()))?;
            end = 0;
        }
        let (file, path) = {
            let shared = self.shared.read();
            (Arc::clone(&shared.active.file), shared.active.path.clone())
        };
        self.reserve(writer, &file, end + bytes.len() as u64);
        let Err(error) = self.disk.write_all_at(&file, bytes, end) else {
            writer.reserved_bytes = writer.reserved_bytes.max(end + bytes.len() as u64);
            return Ok(());
        };
        // What was written of it must not be found by a recovery.
        if let Err(undo) = self.disk.truncate(&file, end) {
            return Err(self.poison_by_disk("taking back a failed write", &undo).into());
        }
        writer.reserved_bytes = end;
        Err(self.refusal(RollError::Io { path, source: error }, bytes.len()))
    }

    /// Reserves space ahead, so that most syncs need not write the file's length. Failing is no harm: the write
    /// itself then finds out whether there is room for it.
    fn reserve(&self, writer: &mut Writer, file: &std::fs::File, needed: u64) {
        let most = self.options.preallocate_bytes;
        if most == 0 || needed <= writer.reserved_bytes {
            return;
        }
        let step = writer.reserved_bytes.clamp(RESERVE_BYTES_MIN.min(most), most);
        let wanted = (needed + step).min(self.segment_bytes()).max(needed);
        if self.disk.reserve(file, wanted).is_ok() {
            // Where the file system can't reserve, this only means that nothing is tried again soon.
            writer.reserved_bytes = wanted;
        }
    }

    fn refusal(&self, error: RollError, bytes: usize) -> AppendError {
        match error {
            RollError::Poisoned(poisoned) => AppendError::Poisoned(poisoned),
            RollError::Io { source, .. } if is_full(&source) => {
                AppendError::Full { partition: self.name.clone(), bytes }
            }
            RollError::Io { path, source } => AppendError::Io { path, source },
        }
    }
}

/// The batches that are to be written. Usually all are new, or the only one is a repeat.
fn without_repeats(
    bytes: BytesMut,
    found: Vec<(usize, BatchHeader)>,
    verdicts: &[Verdict],
) -> (BytesMut, Vec<(usize, BatchHeader)>) {
    if verdicts.iter().all(|verdict| *verdict == Verdict::New) {
        return (bytes, found);
    }
    let mut kept = (BytesMut::new(), Vec::new());
    for ((position, header), verdict) in found.into_iter().zip(verdicts) {
        if *verdict == Verdict::New {
            kept.1.push((kept.0.len(), header));
            kept.0.extend_from_slice(bytes.get(position..position + header.size()).unwrap_or_default());
        }
    }
    kept
}

/// Where the first batch of the append begins and the last ends, wherever each of them was written.
fn answer(verdicts: &[Verdict], written: &[BatchHeader], append_time_ms: Option<i64>) -> Appended {
    let mut written = written.iter();
    let mut places = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Duplicate { base_offset, next_offset } => Some((*base_offset, *next_offset)),
        Verdict::New => written.next().map(|header| (header.base_offset, header.next_offset())),
    });
    let (base_offset, mut end_offset) = places.next().unwrap_or_default();
    end_offset = places.map(|(_, end)| end).fold(end_offset, i64::max);
    let duplicate = verdicts.iter().all(|verdict| *verdict != Verdict::New);
    Appended { base_offset, end_offset, append_time_ms, duplicate }
}

/// Gives each batch its offset, epoch and stamp, and returns the headers as they now stand.
fn number(
    bytes: &mut BytesMut,
    found: &[(usize, BatchHeader)],
    log_end: i64,
    leader_epoch: i32,
    append_time_ms: Option<i64>,
) -> Result<Vec<BatchHeader>, AppendError> {
    let mut next_offset = log_end;
    let mut headers = Vec::with_capacity(found.len());
    for (position, header) in found {
        let corrupt = |reason| AppendError::Corrupt { position: *position, reason };
        let place = bytes.get_mut(*position..*position + header.size());
        let batch = place.ok_or(corrupt("its length is more than there are bytes"))?;
        batch::stamp(batch, header, append_time_ms);
        batch::patch(batch, next_offset, leader_epoch);
        let numbered = BatchHeader::parse_stored(batch).ok_or(corrupt("the partition's offsets are used up"))?;
        next_offset = numbered.next_offset();
        headers.push(numbered);
    }
    Ok(headers)
}
