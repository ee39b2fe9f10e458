//! Going through the batches of a segment file: by headers alone (to find a place), or with every checksum
//! (to recover). Damage is told apart from a write that a crash cut short. Changes no file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::index::Index;
use crate::marker::{MARKER_BYTES_MAX, Marker};

/// The unit in which a file system writes; a write cut short leaves whole blocks as they were: zeros.
const BLOCK_BYTES: u64 = 4096;
/// A header read this long into its zeros would have met its magic.
const ZERO_RUN_BYTES_MIN: u64 = 64;
/// Enough for several small batches, so that a lookup is one or two reads.
const WALK_WINDOW_BYTES: usize = 8 << 10;
/// Sequential reads of this size run at disk speed.
const SCAN_WINDOW_BYTES: usize = 256 << 10;
/// After damage, offsets further on than this are taken for more damage.
const OFFSET_GAP_MAX: i64 = i32::MAX as i64;
/// Looking for the next intact batch reads at most so many times the bytes that are left, so that bytes made
/// to look like many long batches can't make recovery slow; and always so many that small files are searched well.
const SEARCH_EFFORT_MAX: u64 = 4;
const SEARCH_EFFORT_MIN_BYTES: u64 = 64 << 20;

/// A stretch of a file, read in windows.
struct Window<'a> {
    file: &'a File,
    end: u64,
    capacity: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a File, end: u64, capacity: usize) -> Self {
        Self { file, end, capacity, start: 0, bytes: Vec::new() }
    }

    /// The bytes at `position`, `wanted` of them (at most the window's capacity) or fewer at the end.
    fn at(&mut self, position: u64, wanted: usize) -> io::Result<&[u8]> {
        let wanted = (wanted as u64).min(self.end.saturating_sub(position)) as usize;
        let inside = position >= self.start && position + wanted as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let fill = (self.capacity as u64).min(self.end.saturating_sub(position)) as usize;
            self.bytes.resize(fill, 0);
            self.start = position;
            if let Err(error) = self.file.read_exact_at(&mut self.bytes, position) {
                self.bytes.clear();
                return Err(error);
            }
        }
        let from = (position - self.start) as usize;
        Ok(self.bytes.get(from..from + wanted).unwrap_or_default())
    }

    fn is_zero(&mut self, from: u64, to: u64) -> io::Result<bool> {
        Ok(self.nonzero_end(from, to)?.is_none())
    }

    /// One past the last byte that is not zero.
    fn nonzero_end(&mut self, from: u64, to: u64) -> io::Result<Option<u64>> {
        let (mut position, mut found) = (from, None);
        while position < to {
            let bytes = self.at(position, self.capacity.min((to - position) as usize))?;
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                found = Some(position + last as u64 + 1);
            }
            position += bytes.len() as u64;
        }
        Ok(found)
    }
}

/// What a walk meets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Batch { position: u64, header: BatchHeader },
    End,
    Corrupt { position: u64 },
}

/// Goes from batch to batch by their headers.
pub(crate) struct Walk<'a> {
    window: Window<'a>,
    position: u64,
    expected: Option<i64>,
    /// Whether each batch's checksum is computed too.
    checking: bool,
}

impl<'a> Walk<'a> {
    /// Begins at `position`, where a batch with base offset `expected` must be, and ends at `end`.
    pub(crate) fn new(file: &'a File, position: u64, end: u64, expected: Option<i64>) -> Self {
        Self { window: Window::new(file, end, WALK_WINDOW_BYTES), position, expected, checking: false }
    }

    /// The same, and a batch whose checksum is wrong is corrupt.
    pub(crate) fn checking(file: &'a File, position: u64, end: u64, expected: Option<i64>) -> Self {
        Self { window: Window::new(file, end, SCAN_WINDOW_BYTES), position, expected, checking: true }
    }

    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let position = self.position;
        if position >= self.window.end {
            return Ok(Step::End);
        }
        let header = BatchHeader::parse_stored(self.window.at(position, HEADER_BYTES)?);
        let fits = |header: &BatchHeader| {
            self.expected.is_none_or(|expected| header.base_offset == expected)
                && position + header.size() as u64 <= self.window.end
        };
        let Some(header) = header.filter(fits) else { return Ok(Step::Corrupt { position }) };
        if self.checking && verify(&mut self.window, position, |_| true)?.is_none() {
            return Ok(Step::Corrupt { position });
        }
        self.position = position + header.size() as u64;
        self.expected = Some(header.next_offset());
        Ok(Step::Batch { position, header })
    }
}

/// Damaged bytes in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) from_offset: i64,
    /// Base offset of the intact batch at `to`; equal to `from_offset` when none follows.
    pub(crate) to_offset: i64,
}

/// What a scan found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Where the last intact batch ends.
    pub(crate) end: u64,
    /// Bytes checked.
    pub(crate) bytes: u64,
    /// Stretches to be taken out.
    pub(crate) damage: Vec<Damage>,
    /// Bytes of an unfinished write from `end` on.
    pub(crate) torn_bytes: u64,
}

/// Checks every batch from the end of `index` on and notes it there (only up to the first damage: the segment
/// must then be cut anyway). With `unfinished_tail` the file may end in a write that was cut short and in
/// reserved zeros; otherwise everything in it was once durable, so whatever is not intact is damage.
pub(crate) fn scan(
    file: &File,
    index: &mut Index,
    unfinished_tail: bool,
    mut on_batch: impl FnMut(&BatchHeader, Option<Marker>),
) -> io::Result<Scanned> {
    let length = file.metadata()?.len();
    let mut window = Window::new(file, length, SCAN_WINDOW_BYTES);
    let from = index.summary().bytes;
    let (mut position, mut expected) = (from, index.summary().next_offset);
    let mut found = Scanned::default();
    while position < length {
        if let Some(header) = verify(&mut window, position, |offset| offset == expected)? {
            if found.damage.is_empty() {
                index.note(&header, position);
                let marker = match header.is_control() {
                    true => Marker::parse(&header, window.at(position, header.size().min(MARKER_BYTES_MAX))?),
                    false => None,
                };
                on_batch(&header, marker);
            }
            position += header.size() as u64;
            expected = header.next_offset();
            continue;
        }
        let Some(nonzero_end) = window.nonzero_end(position, length)? else { break };
        let next = find_next(&mut window, position, expected)?;
        let cut_short = match next {
            Some((to, _)) => unfinished_tail && has_unwritten_block(&mut window, position, to)?,
            None => unfinished_tail,
        };
        if cut_short {
            found.torn_bytes = nonzero_end - position;
            break;
        }
        let (to, to_offset) = next.unwrap_or((length, expected));
        found.damage.push(Damage { from: position, to, from_offset: expected, to_offset });
        (position, expected) = (to, to_offset);
    }
    found.end = position;
    found.bytes = position.saturating_sub(from);
    Ok(found)
}

/// The batch at `position`, if it is whole and intact.
fn verify(window: &mut Window, position: u64, fits: impl Fn(i64) -> bool) -> io::Result<Option<BatchHeader>> {
    let header = BatchHeader::parse_stored(window.at(position, HEADER_BYTES)?);
    let Some(header) = header.filter(|header| fits(header.base_offset)) else { return Ok(None) };
    let end = position + header.size() as u64;
    if end > window.end {
        return Ok(None);
    }
    let (mut at, mut crc) = (position + BatchHeader::CRC_FROM as u64, 0);
    while at < end {
        let bytes = window.at(at, ((end - at) as usize).min(window.capacity))?;
        crc = crc32c::crc32c_append(crc, bytes);
        at += bytes.len() as u64;
    }
    Ok(header.crc_matches(crc).then_some(header))
}

/// The next intact batch after damage at `position`, with its offset.
fn find_next(window: &mut Window, position: u64, expected: i64) -> io::Result<Option<(u64, i64)>> {
    let fits = |offset: i64| offset >= expected && offset - expected <= OFFSET_GAP_MAX;
    if let Some(header) = BatchHeader::parse_stored(window.at(position, HEADER_BYTES)?) {
        let after = position + header.size() as u64;
        if after < window.end
            && let Some(next) = verify(window, after, fits)?
        {
            return Ok(Some((after, next.base_offset)));
        }
    }
    let mut effort = window.end.saturating_sub(position).saturating_mul(SEARCH_EFFORT_MAX);
    effort = effort.max(SEARCH_EFFORT_MIN_BYTES);
    let mut at = position + 1;
    while at + HEADER_BYTES as u64 <= window.end {
        let bytes = window.at(at, SCAN_WINDOW_BYTES)?;
        let usable = bytes.windows(HEADER_BYTES);
        let stride = usable.len() as u64;
        let candidate = usable
            .map(BatchHeader::parse_stored)
            .position(|header| header.is_some_and(|header| fits(header.base_offset)));
        let Some(skip) = candidate else {
            at += stride.max(1);
            continue;
        };
        at += skip as u64;
        let size = BatchHeader::parse_stored(window.at(at, HEADER_BYTES)?).map_or(0, |header| header.size() as u64);
        let cost = size.max(SCAN_WINDOW_BYTES as u64);
        if cost > effort {
            return Ok(None);
        }
        effort -= cost;
        if let Some(next) = verify(window, at, fits)? {
            return Ok(Some((at, next.base_offset)));
        }
        at += 1;
    }
    Ok(None)
}

/// Whether a block between the two places was never written: it then is not damage but a write cut short.
fn has_unwritten_block(window: &mut Window, from: u64, to: u64) -> io::Result<bool> {
    let mut start = from;
    while start < to {
        let end = ((start / BLOCK_BYTES + 1) * BLOCK_BYTES).min(to);
        if end - start >= ZERO_RUN_BYTES_MIN && window.is_zero(start, end)? {
            return Ok(true);
        }
        start = end;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::batch::patch;
    use crate::batch::tests::Sample;

    /// A file of batches from offset 10 on, with where each begins.
    fn log(sizes: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for (at, value_bytes) in sizes.iter().enumerate() {
            let mut batch = Sample { value_bytes: *value_bytes, ..Default::default() }.build();
            patch(&mut batch, 10 + at as i64, 0);
            starts.push(bytes.len());
            bytes.extend_from_slice(&batch);
        }
        (bytes, starts)
    }

    fn scan_bytes(bytes: &[u8], unfinished_tail: bool) -> (Scanned, Index) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut index = Index::new(10, 64);
        let found = scan(&file, &mut index, unfinished_tail, |_, _| {}).unwrap();
        (found, index)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_flip_anywhere_but_in_the_last_batch_is_damage_of_that_batch(
            sizes in prop::collection::vec(0..300_usize, 2..8), flip: prop::sample::Index,
        ) {
            let (mut bytes, starts) = log(&sizes);
            let last = *starts.last().unwrap();
            let bit = flip.index(last * 8);
            // The leader epoch is under no checksum and nothing depends on it here.
            let batch = starts.iter().rposition(|start| *start <= bit / 8).unwrap();
            prop_assume!(!(12..16).contains(&(bit / 8 - starts[batch])));
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (found, _) = scan_bytes(&bytes, true);
            let damage = Damage {
                from: starts[batch] as u64, to: starts[batch + 1] as u64,
                from_offset: 10 + batch as i64, to_offset: 11 + batch as i64,
            };
            prop_assert_eq!(found.damage, vec![damage]);
            prop_assert_eq!((found.end, found.torn_bytes), (bytes.len() as u64, 0));
        }

        #[test]
        fn arbitrary_bytes_are_scanned_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), tail: bool) {
            let (found, _) = scan_bytes(&bytes, tail);
            prop_assert!(found.end <= bytes.len() as u64);
        }
    }

    #[test]
    fn reserved_zeros_are_no_tail() {
        let (mut bytes, _) = log(&[5, 6]);
        let end = bytes.len() as u64;
        bytes.resize(bytes.len() + 10_000, 0);
        let (found, index) = scan_bytes(&bytes, true);
        assert_eq!(found, Scanned { end, bytes: end, ..Default::default() });
        assert_eq!(index.summary().next_offset, 12);
    }

    #[test]
    fn a_hole_left_by_a_crash_is_a_torn_tail_not_damage() {
        let (mut bytes, starts) = log(&[5, 9_000, 50]);
        bytes[4096..8192].fill(0);
        let (found, _) = scan_bytes(&bytes, true);
        assert_eq!((found.end, found.damage.len()), (starts[1] as u64, 0));
        // The last byte of a sample is 0, which can't be told from reserved space.
        assert_eq!(found.torn_bytes, (bytes.len() - 1 - starts[1]) as u64);
        let (found, _) = scan_bytes(&bytes, false);
        assert_eq!(found.damage.len(), 1, "in a closed segment the same is damage");
    }

    #[test]
    fn damage_that_hides_a_length_is_still_overcome() {
        let (mut bytes, starts) = log(&[5, 100, 7, 8]);
        bytes[starts[1]..starts[2] + 70].fill(0xee);
        let (found, _) = scan_bytes(&bytes, true);
        let damage = Damage { from: starts[1] as u64, to: starts[3] as u64, from_offset: 11, to_offset: 13 };
        assert_eq!(found.damage, [damage]);
    }
}
