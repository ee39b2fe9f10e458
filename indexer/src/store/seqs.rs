//! Which records of the bus a split holds, in a file of their own beside it: when the split is damaged, this says what
//! has to be read again, and what must not be, because it was erased before.
//!
//! `seqs` = magic `LMSEQS\0\1`, zstd of (gap, length) varints of the runs of rising numbers, crc32c of all before.

use std::io::{self, Read as _};
use std::path::Path;

/// The file's name in a split's folder.
pub(crate) const FILE: &str = "seqs";
const MAGIC: &[u8; 8] = b"LMSEQS\0\x01";
/// Fast, and runs have little in them that more effort would find.
const ZSTD_LEVEL: i32 = 3;
/// A split holds some millions of documents; a file that says more than this lies.
const RUNS_BYTES_MAX: u64 = 256 << 20;

/// Ascending numbers without repetition, as runs of neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seqs {
    /// First and last of each run, ascending, never touching.
    runs: Vec<(u64, u64)>,
}

impl Seqs {
    /// Takes numbers in any order.
    pub(crate) fn new(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for number in numbers {
            match runs.last_mut() {
                Some((_, last)) if number <= last.saturating_add(1) => *last = number.max(*last),
                _ => runs.push((number, number)),
            }
        }
        Self { runs }
    }

    /// Whether it holds a number.
    pub(crate) fn contains(&self, number: u64) -> bool {
        let after = self.runs.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).and_then(|place| self.runs.get(place)).is_some_and(|(_, last)| number <= *last)
    }

    /// How many numbers it holds.
    pub(crate) fn len(&self) -> u64 {
        self.runs.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// First and last of each run.
    pub(crate) fn runs(&self) -> &[(u64, u64)] {
        &self.runs
    }

    /// The same without some numbers, which are ascending.
    #[must_use]
    pub(crate) fn without(&self, gone: &[u64]) -> Self {
        let mut runs = Vec::with_capacity(self.runs.len());
        let mut gone = gone.iter().copied().peekable();
        for (first, last) in self.runs.iter().copied() {
            let mut from = Some(first);
            while gone.next_if(|number| *number < first).is_some() {}
            while let (Some(start), Some(number)) = (from, gone.next_if(|number| *number <= last)) {
                if number > start {
                    runs.push((start, number - 1));
                }
                from = number.max(start).checked_add(1).filter(|next| *next <= last);
            }
            runs.extend(from.map(|start| (start, last)));
        }
        Self { runs }
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(self.runs.len() * 3);
        let mut before = 0;
        for (first, last) in &self.runs {
            put(&mut plain, first - before);
            put(&mut plain, last - first);
            before = *last;
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(zstd::bulk::compress(&plain, ZSTD_LEVEL)?);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut plain = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(body.strip_prefix(MAGIC)?).ok()?;
        decoder.take(RUNS_BYTES_MAX).read_to_end(&mut plain).ok()?;
        let mut rest = plain.as_slice();
        let mut runs = Vec::new();
        let mut before = 0u64;
        while !rest.is_empty() {
            let first = before.checked_add(take(&mut rest)?)?;
            let last = first.checked_add(take(&mut rest)?)?;
            runs.push((first, last));
            before = last;
        }
        Some(Self { runs })
    }

    /// Writes the file into a split's folder, durably.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        use io::Write as _;
        let mut file = std::fs::File::create(folder.join(FILE))?;
        file.write_all(&self.encode()?)?;
        file.sync_all()
    }

    /// Reads the file of a split's folder.
    ///
    /// # Errors
    /// When it is not there, or is damaged.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(folder.join(FILE))?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is not as it was written"));
        Self::decode(&bytes).ok_or_else(damaged)
    }
}

/// LEB128.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Numbers as they come: neighbours in a few partitions, and anything at all.
    fn numbers() -> impl Strategy<Value = Vec<u64>> {
        let number = prop_oneof![
            8 => (0u64..3, 0u64..200).prop_map(|(partition, offset)| partition << 48 | offset),
            1 => any::<u64>(),
        ];
        prop::collection::vec(number, 0..300)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_less(numbers in numbers(), gone in numbers()) {
            let folder = tempfile::tempdir().unwrap();
            let known: BTreeSet<u64> = numbers.iter().copied().collect();
            let seqs = Seqs::new(numbers.clone());
            seqs.write(folder.path()).unwrap();
            prop_assert_eq!(&Seqs::read(folder.path()).unwrap(), &seqs);
            prop_assert_eq!(seqs.len(), known.len() as u64);
            let gone: BTreeSet<u64> = gone.into_iter().collect();
            let left = seqs.without(&gone.iter().copied().collect::<Vec<_>>());
            let expected: Vec<u64> = known.difference(&gone).copied().collect();
            prop_assert_eq!(&left, &Seqs::new(expected));
            for number in known.iter().chain(&gone) {
                prop_assert_eq!(seqs.contains(*number), known.contains(number));
                prop_assert_eq!(left.contains(*number), known.contains(number) && !gone.contains(number));
            }
            let bytes = std::fs::read(folder.path().join(FILE)).unwrap();
            for cut in 0..bytes.len() {
                prop_assert_eq!(Seqs::decode(&bytes[..cut]), None);
            }
        }
    }
}
