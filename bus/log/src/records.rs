//! The records inside a batch: taken out of their compression with a bound, looked at one by one, put together
//! again. Most of the log never does this; compaction, lookup by time and topics with rules of their own do.

mod codec;
mod rebuild;

use bytes::BufMut;

use crate::batch::{BatchHeader, HEADER_BYTES};

pub use codec::Codec;
pub(crate) use codec::Undecodable;
pub(crate) use rebuild::{HAS_DELETE_HORIZON, Parts, cover_up_to};

/// Records of one batch after decompression. More than a producer could send uncompressed in one request is
/// taken for an attack: a few kilobytes can stand for gigabytes.
pub(crate) const RECORDS_BYTES_MAX: usize = 128 << 20;

/// One record, as its bytes are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    attributes: u8,
    pub(crate) time_delta: i64,
    pub(crate) offset_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    /// A record without a value marks its key as deleted.
    pub(crate) has_value: bool,
    /// Everything from the key's length on.
    rest: &'a [u8],
    /// The whole record with its length.
    pub(crate) whole: &'a [u8],
}

impl Record<'_> {
    /// Writes the record with other deltas than it has.
    pub(crate) fn write_with(&self, time_delta: i64, offset_delta: i64, out: &mut Vec<u8>) {
        // One byte of attributes and two varints.
        let mut head = Vec::with_capacity(1 + 10 + 5);
        head.put_u8(self.attributes);
        put_varint(&mut head, time_delta);
        put_varint(&mut head, offset_delta);
        put_varint(out, (head.len() + self.rest.len()) as i64);
        out.extend_from_slice(&head);
        out.extend_from_slice(self.rest);
    }
}

/// The records of a batch, uncompressed. After one that can't be understood comes nothing more: `is_sound` tells.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    left: &'a [u8],
    sound: bool,
}

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes, sound: true }
    }

    /// Whether all so far was understood.
    pub(crate) fn is_sound(&self) -> bool {
        self.sound
    }

    fn take(&mut self) -> Option<Record<'a>> {
        let mut at = self.left;
        let length = usize::try_from(varint(&mut at)?).ok()?;
        let (record, left) = at.split_at_checked(length)?;
        let whole = self.left.get(..self.left.len() - left.len())?;
        self.left = left;
        let (attributes, mut fields) = record.split_first()?;
        let time_delta = varint(&mut fields)?;
        let offset_delta = varint(&mut fields)?;
        let rest = fields;
        let key = field(&mut fields)?;
        let has_value = field(&mut fields)?.is_some();
        Some(Record { attributes: *attributes, time_delta, offset_delta, key, has_value, rest, whole })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.left.is_empty() || !self.sound {
            return None;
        }
        let record = self.take();
        self.sound = record.is_some();
        record
    }
}

/// A length and that many bytes; a negative length is a null.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(bytes)?;
    let Ok(length) = usize::try_from(length) else { return Some(None) };
    let (field, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Some(field))
}

/// A zigzag varint of at most ten bytes.
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

pub(crate) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The records of a whole batch, out of their compression.
pub(crate) fn open(header: &BatchHeader, batch: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let body = batch.get(HEADER_BYTES..).unwrap_or_default();
    Codec::of(header).ok_or(Undecodable("its compression is not known"))?.decompress(body, RECORDS_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::check_produced;
    use crate::batch::tests::Sample;

    proptest! {
        #[test]
        fn varints_come_back(value: i64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(varint(&mut bytes.as_slice()), Some(value));
        }

        #[test]
        fn arbitrary_records_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut records = Records::new(&bytes);
            let taken: usize = records.by_ref().map(|record| record.whole.len()).sum();
            prop_assert!(taken <= bytes.len());
        }

        #[test]
        fn records_written_again_are_the_same_but_for_their_deltas(time in -5_000..5_000_i64, offset in 0..9_000_i64) {
            let batch = Sample { records: 4, ..Default::default() }.build();
            let header = check_produced(&batch).unwrap()[0].1;
            let body = open(&header, &batch).unwrap();
            for record in Records::new(&body) {
                let mut bytes = Vec::new();
                record.write_with(time, offset, &mut bytes);
                let again = Records::new(&bytes).next().unwrap();
                prop_assert_eq!((again.time_delta, again.offset_delta), (time, offset));
                prop_assert_eq!((again.key, again.has_value, again.rest), (record.key, record.has_value, record.rest));
                let mut same = Vec::new();
                record.write_with(record.time_delta, record.offset_delta, &mut same);
                prop_assert_eq!(same, record.whole);
            }
        }
    }

    #[test]
    fn every_record_is_found_and_a_cut_is_noticed() {
        let batch = Sample { records: 7, ..Default::default() }.build();
        let header = check_produced(&batch).unwrap()[0].1;
        let body = open(&header, &batch).unwrap();
        let mut records = Records::new(&body);
        assert_eq!(records.by_ref().map(|record| record.offset_delta).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
        assert!(records.is_sound());
        let mut cut = Records::new(&body[..body.len() - 1]);
        assert_eq!(cut.by_ref().count(), 6);
        assert!(!cut.is_sound());
    }
}
