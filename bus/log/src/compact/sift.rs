//! What of a batch stays. Pure.
//!
//! Transactions are settled on the way: compaction never goes past the last stable offset, so what was aborted
//! leaves, what was committed becomes plain records, and of the markers only those that a reader may have been told
//! of stay.

use std::io;

use crate::aborted::Aborted;
use crate::batch::{BatchHeader, TRANSACTIONAL};
use crate::compact::keys::Keys;
use crate::marker::Marker;
use crate::records::{Codec, HAS_DELETE_HORIZON, Parts, Records, open};

/// What decides.
pub(crate) struct Sieve<'a> {
    pub(crate) keys: &'a Keys,
    /// `keys` knows all before this offset that was not compacted before; from here on all stays.
    pub(crate) covered_end: i64,
    /// All that may touch what is sifted.
    pub(crate) aborted: &'a [Aborted],
    pub(crate) now_ms: i64,
    /// How long marks of deleted keys are kept from the first round that meets them.
    pub(crate) tombstones_for_ms: i64,
}

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sifted {
    /// It stays as it is.
    Whole,
    /// This stays instead.
    Less(Vec<u8>),
    /// Nothing stays.
    Nothing,
}

impl Sieve<'_> {
    /// Whether the batch's records don't count.
    pub(crate) fn is_aborted(&self, header: &BatchHeader) -> bool {
        is_aborted(self.aborted, header)
    }

    pub(crate) fn sift(&self, header: &BatchHeader, batch: &[u8]) -> io::Result<Sifted> {
        if header.next_offset() > self.covered_end {
            return Ok(Sifted::Whole);
        }
        if header.is_control() {
            // Readers that were told of an aborted transaction wait for its end.
            let commits = Marker::parse(header, batch).is_some_and(|marker| marker.commit);
            return Ok(if commits { Sifted::Nothing } else { Sifted::Whole });
        }
        if self.is_aborted(header) {
            return Ok(Sifted::Nothing);
        }
        let Ok(bytes) = open(header, batch) else { return Ok(Sifted::Whole) };
        let mut kept = Vec::new();
        let mut all = 0;
        let mut records = Records::new(&bytes);
        let (mut tombstones, mut max_timestamp) = (false, i64::MIN);
        let horizon = (header.attributes & HAS_DELETE_HORIZON != 0).then_some(header.base_timestamp);
        for record in records.by_ref() {
            all += 1;
            let offset = header.base_offset.saturating_add(record.offset_delta);
            let Some(key) = record.key else { continue };
            let outdated = self.keys.latest(key).is_some_and(|latest| latest > offset);
            let over = !record.has_value && horizon.is_some_and(|horizon| horizon <= self.now_ms);
            if outdated || over {
                continue;
            }
            tombstones |= !record.has_value;
            max_timestamp = max_timestamp.max(header.base_timestamp.saturating_add(record.time_delta));
            kept.push(record);
        }
        if !records.is_sound() {
            return Ok(Sifted::Whole);
        }
        if kept.is_empty() {
            return Ok(Sifted::Nothing);
        }
        let sets_horizon = tombstones && horizon.is_none();
        if kept.len() == all && !sets_horizon && !header.is_transactional() {
            return Ok(Sifted::Whole);
        }
        let mut parts = Parts { producer: (-1, -1, -1), ..Parts::of(header) };
        parts.count = kept.len() as i32;
        parts.attributes &= !TRANSACTIONAL;
        if !header.is_log_append_time() {
            parts.max_timestamp = max_timestamp;
        }
        let mut out = Vec::with_capacity(bytes.len());
        if sets_horizon {
            parts.attributes |= HAS_DELETE_HORIZON;
            parts.base_timestamp = self.now_ms.saturating_add(self.tombstones_for_ms);
            let moved = header.base_timestamp.saturating_sub(parts.base_timestamp);
            for record in kept {
                record.write_with(record.time_delta.saturating_add(moved), record.offset_delta, &mut out);
            }
        } else {
            kept.iter().for_each(|record| out.extend_from_slice(record.whole));
        }
        let codec = Codec::of(header).unwrap_or(Codec::None);
        parts.build(codec, &out).map(Sifted::Less)
    }
}

/// Whether the batch belongs to one of these.
pub(crate) fn is_aborted(aborted: &[Aborted], header: &BatchHeader) -> bool {
    header.is_transactional()
        && aborted.iter().any(|known| {
            known.producer_id == header.producer_id
                && (known.first_offset..=known.last_offset).contains(&header.base_offset)
        })
}

/// Whether the batch's own offsets matter to readers: markers and records of transactions are told apart by them.
pub(crate) fn has_place(header: &BatchHeader) -> bool {
    header.is_control() || header.is_transactional()
}

/// The batch with its base moved down to `base_offset`, its records staying where they are: the first of a segment
/// counts the offsets of what is gone before it. `None` when it can't be understood or must not be moved.
pub(crate) fn begin_at(batch: &[u8], base_offset: i64) -> Option<Vec<u8>> {
    let header = BatchHeader::parse_stored(batch).filter(|header| !has_place(header))?;
    let bytes = open(&header, batch).ok()?;
    let moved = header.base_offset.checked_sub(base_offset)?;
    let mut records = Records::new(&bytes);
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for record in records.by_ref() {
        record.write_with(record.time_delta, record.offset_delta.saturating_add(moved), &mut out);
    }
    if !records.is_sound() {
        return None;
    }
    Parts { base_offset, producer: (-1, -1, -1), ..Parts::of(&header) }.build(Codec::of(&header)?, &out).ok()
}

/// An empty batch over a range of offsets, as Kafka leaves them too.
pub(crate) fn filler(like: &BatchHeader, base_offset: i64, last_offset: i64) -> io::Result<Vec<u8>> {
    let parts = Parts {
        attributes: 0,
        base_offset,
        last_offset,
        base_timestamp: -1,
        max_timestamp: -1,
        count: 0,
        producer: (-1, -1, -1),
        ..Parts::of(like)
    };
    parts.build(Codec::None, &[])
}
