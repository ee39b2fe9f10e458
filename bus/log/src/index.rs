//! The sparse index of a segment: by offset and by time, in memory for the segment that is written,
//! in a file beside a closed one. An index is only a hint: whoever follows it checks the batch it finds,
//! and everything in it can be made anew from the segment.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::batch::BatchHeader;

const MAGIC: &[u8; 8] = b"LMBUSIDX";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 16;

/// Says "no batch yet" where a timestamp belongs; a real batch may well have -1.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// One indexed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Base offset of the batch, from the segment's base.
    relative: u32,
    /// Where the batch begins in the segment.
    position: u32,
    /// The highest timestamp of all batches before it.
    time_before: i64,
}

/// What is known of a segment without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// One past the segment's last offset.
    pub(crate) next_offset: i64,
    /// Bytes of its batches.
    pub(crate) bytes: u64,
    /// The highest timestamp, or `NO_TIME`.
    pub(crate) max_time: i64,
    /// The last offset of the first batch that has it.
    pub(crate) max_time_offset: i64,
}

/// Where to begin looking in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) position: u64,
    /// The base offset that the batch there must have, if it is known.
    pub(crate) offset: Option<i64>,
}

const START: Hint = Hint { position: 0, offset: None };

/// The index of a segment that grows.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    base_offset: i64,
    interval_bytes: u32,
    entries: Vec<Entry>,
    summary: Summary,
}

impl Index {
    pub(crate) fn new(base_offset: i64, interval_bytes: u32) -> Self {
        let summary = Summary { next_offset: base_offset, bytes: 0, max_time: NO_TIME, max_time_offset: -1 };
        Self { base_offset, interval_bytes, entries: Vec::new(), summary }
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Notes the batch that follows those noted before, at `position`.
    pub(crate) fn note(&mut self, header: &BatchHeader, position: u64) {
        let due = self
            .entries
            .last()
            .is_none_or(|last| position.saturating_sub(u64::from(last.position)) >= u64::from(self.interval_bytes));
        // Both always fit, segments are bounded; an index without the entry would still be right.
        let relative = u32::try_from(header.base_offset - self.base_offset);
        if let (true, Ok(relative), Ok(position)) = (due, relative, u32::try_from(position)) {
            self.entries.push(Entry { relative, position, time_before: self.summary.max_time });
        }
        if header.max_timestamp > self.summary.max_time {
            self.summary.max_time = header.max_timestamp;
            self.summary.max_time_offset = header.last_offset();
        }
        self.summary.bytes = position + header.size() as u64;
        self.summary.next_offset = header.next_offset();
    }

    /// Goes back to the state of `summary`, which was that of this index earlier.
    pub(crate) fn rewind(&mut self, summary: Summary) {
        self.entries.retain(|entry| u64::from(entry.position) < summary.bytes);
        self.summary = summary;
    }

    /// The last indexed batch that begins at or before `offset`.
    pub(crate) fn by_offset(&self, offset: i64) -> Hint {
        let after = self.entries.partition_point(|entry| self.base_offset + i64::from(entry.relative) <= offset);
        hint(self.base_offset, after.checked_sub(1).and_then(|at| self.entries.get(at)))
    }

    /// The last indexed batch before which everything is earlier than `time_ms`.
    pub(crate) fn by_time(&self, time_ms: i64) -> Hint {
        let after = self.entries.partition_point(|entry| entry.time_before < time_ms);
        hint(self.base_offset, after.checked_sub(1).and_then(|at| self.entries.get(at)))
    }

    /// The index file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut entries = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for entry in &self.entries {
            entries.put_u32(entry.relative);
            entries.put_u32(entry.position);
            entries.put_i64(entry.time_before);
        }
        let mut out = Vec::with_capacity(HEADER_BYTES + entries.len());
        out.put_slice(MAGIC);
        out.put_u32(VERSION);
        out.put_i64(self.base_offset);
        out.put_i64(self.summary.next_offset);
        out.put_u64(self.summary.bytes);
        out.put_i64(self.summary.max_time);
        out.put_i64(self.summary.max_time_offset);
        out.put_u32(self.entries.len() as u32);
        out.put_u32(crc32c::crc32c(&entries));
        out.put_u32(crc32c::crc32c(&out));
        out.put_slice(&entries);
        out
    }

    /// Reads an index file whole; `None` when it is damaged or belongs to another segment.
    pub(crate) fn decode(bytes: &[u8], base_offset: i64, interval_bytes: u32) -> Option<Self> {
        let header = decode_header(bytes, base_offset)?;
        let body = bytes.get(HEADER_BYTES..)?;
        if body.len() != header.count as usize * ENTRY_BYTES || crc32c::crc32c(body) != header.entries_crc {
            return None;
        }
        let entries = body.chunks_exact(ENTRY_BYTES).filter_map(decode_entry).collect();
        Some(Self { base_offset, interval_bytes, entries, summary: header.summary })
    }
}

struct Header {
    summary: Summary,
    count: u32,
    entries_crc: u32,
}

fn decode_header(bytes: &[u8], base_offset: i64) -> Option<Header> {
    let mut fields: &[u8] = bytes.first_chunk::<HEADER_BYTES>()?;
    let covered = fields.get(..HEADER_BYTES - 4)?;
    let expected_crc = crc32c::crc32c(covered);
    let mut magic = [0; 8];
    fields.copy_to_slice(&mut magic);
    let known = &magic == MAGIC && fields.get_u32() == VERSION && fields.get_i64() == base_offset;
    let summary = Summary {
        next_offset: fields.get_i64(),
        bytes: fields.get_u64(),
        max_time: fields.get_i64(),
        max_time_offset: fields.get_i64(),
    };
    let header = Header { summary, count: fields.get_u32(), entries_crc: fields.get_u32() };
    (known && fields.get_u32() == expected_crc).then_some(header)
}

fn decode_entry(mut bytes: &[u8]) -> Option<Entry> {
    Some(Entry {
        relative: bytes.try_get_u32().ok()?,
        position: bytes.try_get_u32().ok()?,
        time_before: bytes.try_get_i64().ok()?,
    })
}

fn hint(base_offset: i64, entry: Option<&Entry>) -> Hint {
    entry.map_or(START, |entry| Hint {
        position: u64::from(entry.position),
        offset: Some(base_offset + i64::from(entry.relative)),
    })
}

/// The summary in a closed segment's index file, if the file is there and fits the segment.
/// The entries are not read: whoever follows them checks what they lead to.
pub(crate) fn read_summary(path: &Path, base_offset: i64) -> Option<Summary> {
    let file = File::open(path).ok()?;
    let mut bytes = [0; HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let header = decode_header(&bytes, base_offset)?;
    let expected_bytes = HEADER_BYTES as u64 + u64::from(header.count) * ENTRY_BYTES as u64;
    (file.metadata().ok()?.len() == expected_bytes).then_some(header.summary)
}

/// What a search in an index file looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    Offset(i64),
    Time(i64),
}

/// As `Index::by_offset` and `Index::by_time`, by halving in the file, so that closed segments cost no memory.
pub(crate) fn search_file(path: &Path, base_offset: i64, wanted: Wanted) -> io::Result<Hint> {
    let file = File::open(path)?;
    let count = file.metadata()?.len().saturating_sub(HEADER_BYTES as u64) / ENTRY_BYTES as u64;
    let read = |at: u64| -> io::Result<Entry> {
        let mut bytes = [0; ENTRY_BYTES];
        file.read_exact_at(&mut bytes, HEADER_BYTES as u64 + at * ENTRY_BYTES as u64)?;
        decode_entry(&bytes).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let (mut low, mut high) = (0, count);
    let mut best = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = read(middle)?;
        let reaches = match wanted {
            Wanted::Offset(offset) => base_offset.saturating_add(i64::from(entry.relative)) <= offset,
            Wanted::Time(time_ms) => entry.time_before < time_ms,
        };
        if reaches {
            best = Some(entry);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(hint(base_offset, best.as_ref()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::check_produced;
    use crate::batch::tests::Sample;

    fn sample(times: &[i64]) -> Index {
        let mut index = Index::new(100, 200);
        let mut position = 0;
        for (at, time_ms) in times.iter().enumerate() {
            let batch = Sample { records: 2, time_ms: *time_ms, ..Default::default() }.build();
            let header = check_produced(&batch).unwrap()[0].1.at(100 + 2 * at as i64);
            index.note(&header, position);
            position += header.size() as u64;
        }
        index
    }

    proptest! {
        #[test]
        fn file_and_memory_agree(times in prop::collection::vec(0..50_i64, 0..60)) {
            let index = sample(&times);
            let bytes = index.encode();
            let back = Index::decode(&bytes, 100, 200).unwrap();
            prop_assert_eq!(&back.entries, &index.entries);
            prop_assert_eq!(back.summary, index.summary);
            prop_assert!(Index::decode(&bytes, 101, 200).is_none());
            prop_assert!((0..bytes.len()).all(|cut| Index::decode(&bytes[..cut], 100, 200).is_none()));

            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("0.index");
            std::fs::write(&path, &bytes).unwrap();
            prop_assert_eq!(read_summary(&path, 100), Some(index.summary));
            for wanted in 0..230 {
                prop_assert_eq!(search_file(&path, 100, Wanted::Offset(wanted)).unwrap(), index.by_offset(wanted));
                prop_assert_eq!(search_file(&path, 100, Wanted::Time(wanted)).unwrap(), index.by_time(wanted));
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let bytes = sample(&[5; 30]).encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Index::decode(&damaged, 100, 200).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn rewinding_forgets_what_came_later() {
        let earlier = sample(&[1, 2, 3, 4, 5, 6, 7]);
        let mut index = sample(&[1, 2, 3, 4, 5, 6, 7, 90, 91, 92, 93]);
        index.rewind(*earlier.summary());
        assert_eq!(index.encode(), earlier.encode());
    }
}
