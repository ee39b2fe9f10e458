//! Compaction: closed segments are written anew with the last record of each key. Offsets stay what they were, and
//! contiguous: what is gone counts as the batch's before it. At any instant either the old files are there or the
//! new; a crash between leaves some that the next start removes.

mod cleaned;
mod keys;
mod rewrite;
mod sift;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::aborted::{self, ABORTED_MAX, Aborted};
use crate::error::LogError;
use crate::partition::Partition;
use crate::proven::Proven;
use crate::records::{Records, open};
use crate::segment::{self, OpenFile, Sealed};
use crate::trim::newest_ms;
use keys::Keys;
use rewrite::{Fresh, each_batch, rewrite};
use sift::{Sieve, is_aborted};

/// When a partition is compacted, and what of it stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compaction {
    /// It begins when this part of the closed segments was not compacted yet.
    pub dirty_ratio_min: f64,
    /// Segments with a record younger than this are left alone.
    pub lag_min: Duration,
    /// It begins in any case when a record waits for so long; `None` is never.
    pub lag_max: Option<Duration>,
    /// How long marks of deleted keys stay, so that every reader meets them.
    pub tombstones_for: Duration,
    /// Memory for the keys of a round. What does not fit is left for the next.
    pub memory_bytes: usize,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of segments that were looked through.
    pub bytes_before: u64,
    /// Bytes of what they became.
    pub bytes_after: u64,
    /// Whether memory did not reach for all: another round is worth it at once.
    pub more: bool,
}

impl Partition {
    /// Compacts the partition if it is time. `stop` is asked between segments. Blocks, for as long as it takes to
    /// read and write all closed segments; appends and reads go on meanwhile.
    ///
    /// # Errors
    /// When files can't be read or written; the log is as it was, or partly compacted.
    pub fn compact(
        &self,
        now_ms: i64,
        policy: &Compaction,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Compacted>, LogError> {
        let Some(_one_at_a_time) = self.compacting.try_lock() else { return Ok(None) };
        let (segments, aborted) = self.cleanable(now_ms, policy)?;
        let cleaned_end = cleaned::read(&self.dir);
        if !is_due(&segments, cleaned_end, now_ms, policy) {
            return Ok(None);
        }
        // What is compacted loses its producers: the checkpoint must know them.
        self.checkpoint()?;
        let failed = |source| LogError::Io { action: "compact", path: self.dir.clone(), source };
        let mut keys = Keys::new(policy.memory_bytes);
        let covered_end = learn(&segments, cleaned_end, &aborted, &mut keys).map_err(failed)?;
        let tombstones_for_ms = i64::try_from(policy.tombstones_for.as_millis()).unwrap_or(i64::MAX);
        let sieve = Sieve { keys: &keys, covered_end, aborted: &aborted, now_ms, tombstones_for_ms };
        let mut done = Compacted::default();
        let covered = segments.iter().take_while(|segment| segment.base_offset < covered_end);
        for group in groups(&covered.cloned().collect::<Vec<_>>(), self.segment_bytes(), &aborted) {
            if stop() {
                return Ok(Some(done));
            }
            done.bytes_before += group.iter().map(|segment| segment.summary.bytes).sum::<u64>();
            match self.renew(group, &sieve)? {
                Some(bytes) => done.bytes_after += bytes,
                // Retention or damage came in between: the next round sees what is left.
                None => return Ok(Some(done)),
            }
        }
        cleaned::write(&*self.disk, &self.dir, covered_end).map_err(failed)?;
        done.more = segments.last().is_some_and(|segment| segment.summary.next_offset > covered_end);
        Ok(Some(done))
    }

    /// The segments that may be compacted, and all aborted transactions that touch them.
    fn cleanable(&self, now_ms: i64, policy: &Compaction) -> Result<(Vec<Arc<Sealed>>, Vec<Aborted>), LogError> {
        let stable_end = self.stable_end();
        let lag_ms = i64::try_from(policy.lag_min.as_millis()).unwrap_or(i64::MAX);
        let (sealed, mut aborted) = {
            let shared = self.shared.read();
            (shared.sealed.iter().cloned().collect::<Vec<_>>(), shared.stability.aborted.clone())
        };
        for segment in sealed.iter().filter(|segment| segment.has_aborted) {
            let path = aborted::path(&self.dir, segment.base_offset);
            let list = aborted::read(&self.dir, segment.base_offset);
            aborted.extend(list.map_err(|source| LogError::Io { action: "read", path, source })?);
        }
        let is_old = |segment: &Arc<Sealed>| {
            lag_ms == 0 || newest_ms(&segment.path, &segment.summary, now_ms) <= now_ms.saturating_sub(lag_ms)
        };
        let fits = |segment: &Arc<Sealed>| segment.summary.next_offset <= stable_end && is_old(segment);
        Ok((sealed.into_iter().take_while(fits).collect(), aborted))
    }

    /// Puts a new segment in the place of a group. Returns its size; `None` if the group is not there any more.
    fn renew(&self, group: &[Arc<Sealed>], sieve: &Sieve) -> Result<Option<u64>, LogError> {
        let Some(first) = group.first() else { return Ok(Some(0)) };
        let base_offset = first.base_offset;
        let failed = |source| LogError::Io { action: "compact", path: first.path.clone(), source };
        let path = first.path.with_extension("compact.tmp");
        let written = rewrite(&*self.disk, &path, group, self.options.index_interval_bytes, sieve);
        let fresh = written.inspect_err(|_| drop(fs::remove_file(&path))).map_err(failed)?;
        if !fresh.changed {
            fs::remove_file(&path).map_err(failed)?;
            return Ok(Some(fresh.index.summary().bytes));
        }
        let list = self.lists_of(group).map_err(failed)?;
        let swapped =
            self.swap(group, &fresh, !list.is_empty(), || aborted::write(&*self.disk, &self.dir, base_offset, &list));
        let swapped = swapped.inspect_err(|_| drop(fs::remove_file(&path))).map_err(failed)?;
        if !swapped {
            fs::remove_file(&path).map_err(failed)?;
            return Ok(None);
        }
        // The new one is there for good before the others go.
        self.disk.sync_dir(&self.dir).map_err(failed)?;
        let keeps_first = fresh.index.summary().bytes > 0;
        for segment in group.iter().skip(usize::from(keeps_first)) {
            segment::remove(&self.dir, segment.base_offset)?;
        }
        if keeps_first {
            let _index_is_ours = self.index_file.lock();
            segment::write_index(&*self.disk, &self.dir, &fresh.index).map_err(failed)?;
        }
        self.disk.sync_dir(&self.dir).map_err(failed)?;
        Ok(Some(fresh.index.summary().bytes))
    }

    fn lists_of(&self, group: &[Arc<Sealed>]) -> io::Result<Vec<Aborted>> {
        let mut list = Vec::new();
        for segment in group.iter().filter(|segment| segment.has_aborted) {
            list.extend(aborted::read(&self.dir, segment.base_offset)?);
        }
        Ok(list)
    }

    /// The moment of the change. Renaming happens under the lock that readers ask, the only disk work that does:
    /// a reader must never hold the old segment's size against the new file.
    fn swap(
        &self,
        group: &[Arc<Sealed>],
        fresh: &Fresh,
        has_aborted: bool,
        prepare: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<bool> {
        let Some(first) = group.first() else { return Ok(false) };
        // Keeps the healing of damage and the closing of segments away.
        let _writer = self.writer.lock();
        let is_there = |sealed: &std::collections::VecDeque<Arc<Sealed>>| {
            let at = sealed.iter().position(|segment| Arc::ptr_eq(segment, first))?;
            let same = sealed.iter().skip(at).zip(group).filter(|(one, other)| Arc::ptr_eq(one, other)).count();
            (same == group.len()).then_some(at)
        };
        if is_there(&self.shared.read().sealed).is_none() {
            return Ok(false);
        }
        prepare()?;
        let mut shared = self.shared.write();
        let Some(at) = is_there(&shared.sealed) else { return Ok(false) };
        let summary = *fresh.index.summary();
        // An index of the old file would lead astray; without one the search begins at the start.
        match fs::remove_file(segment::index_path(&self.dir, first.base_offset)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if summary.bytes > 0 {
            fs::rename(&fresh.path, &first.path)?;
        } else {
            fs::remove_file(&fresh.path)?;
        }
        shared.sealed.drain(at..at + group.len());
        if summary.bytes > 0 {
            let path = first.path.clone();
            let (proven, open) = (Arc::new(Proven::whole()), OpenFile::default());
            let renewed = Sealed { base_offset: first.base_offset, path, summary, has_aborted, proven, open };
            shared.sealed.insert(at, Arc::new(renewed));
        }
        Ok(true)
    }

    /// Whether a closed segment is still the one that a reader took it for.
    pub(crate) fn has(&self, segment: &Arc<Sealed>) -> bool {
        let shared = self.shared.read();
        let at = shared.sealed.partition_point(|known| known.base_offset < segment.base_offset);
        shared.sealed.get(at).is_some_and(|known| Arc::ptr_eq(known, segment))
    }
}

/// Whether so much was not compacted yet that it is worth the work, or has waited long enough.
fn is_due(segments: &[Arc<Sealed>], cleaned_end: i64, now_ms: i64, policy: &Compaction) -> bool {
    let is_dirty = |segment: &&Arc<Sealed>| segment.summary.next_offset > cleaned_end;
    let all: u64 = segments.iter().map(|segment| segment.summary.bytes).sum();
    let dirty: u64 = segments.iter().filter(is_dirty).map(|segment| segment.summary.bytes).sum();
    if dirty == 0 {
        return false;
    }
    let waited = segments.iter().find(is_dirty).is_some_and(|oldest| {
        let lag_max = policy.lag_max.and_then(|lag| i64::try_from(lag.as_millis()).ok());
        lag_max.is_some_and(|lag| newest_ms(&oldest.path, &oldest.summary, now_ms) < now_ms.saturating_sub(lag))
    });
    waited || dirty as f64 >= all as f64 * policy.dirty_ratio_min
}

/// Notes the keys of what was not compacted yet, as far as memory reaches; returns up to where.
fn learn(segments: &[Arc<Sealed>], cleaned_end: i64, aborted: &[Aborted], keys: &mut Keys) -> io::Result<i64> {
    let mut covered_end = cleaned_end;
    for segment in segments.iter().filter(|segment| segment.summary.next_offset > cleaned_end) {
        each_batch(segment, |header, batch| {
            if header.next_offset() <= cleaned_end || (keys.is_full() && covered_end > cleaned_end) {
                return Ok(());
            }
            covered_end = header.next_offset();
            if header.is_control() || is_aborted(aborted, header) {
                return Ok(());
            }
            // What can't be opened stays as it is, and outdates nothing.
            let Ok(bytes) = open(header, &batch) else { return Ok(()) };
            for record in Records::new(&bytes) {
                if let Some(key) = record.key {
                    keys.note(key, header.base_offset.saturating_add(record.offset_delta));
                }
            }
            Ok(())
        })?;
        if keys.is_full() {
            break;
        }
    }
    Ok(covered_end)
}

/// Segments that become one: neighbours, as many as fit a segment.
fn groups<'s>(segments: &'s [Arc<Sealed>], bytes_max: u64, aborted: &[Aborted]) -> Vec<&'s [Arc<Sealed>]> {
    let mut groups = Vec::new();
    let mut rest = segments;
    while let Some(first) = rest.first() {
        let mut bytes = 0;
        let in_range = |last: &Sealed| {
            let markers = aborted
                .iter()
                .filter(|known| (first.base_offset..last.summary.next_offset).contains(&known.last_offset))
                .count();
            markers <= ABORTED_MAX && i32::try_from(last.summary.next_offset - first.base_offset).is_ok()
        };
        let fits = |segment: &&Arc<Sealed>| {
            bytes += segment.summary.bytes;
            bytes <= bytes_max && in_range(segment)
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (group, after) = rest.split_at(count);
        groups.push(group);
        rest = after;
    }
    groups
}
