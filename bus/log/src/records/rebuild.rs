//! Putting a batch together again from some of its records.

use std::io;
use std::ops::Range;

use bytes::BufMut;

use crate::batch::{BatchHeader, HEADER_BYTES, reseal};
use crate::records::Codec;

/// The attribute that says that `baseTimestamp` is the time from which on deletion marks may go (KIP-534).
pub(crate) const HAS_DELETE_HORIZON: i16 = 1 << 6;

const LAST_OFFSET_DELTA: Range<usize> = 23..27;
const PRODUCER: Range<usize> = 43..57;

/// What a batch is made of; the rest follows from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    /// Where producer, epoch, times, attributes and offsets come from.
    pub(crate) like: &'a BatchHeader,
    pub(crate) attributes: i16,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) count: i32,
    /// Of the producer; -1, -1, -1 is nobody's.
    pub(crate) producer: (i64, i16, i32),
}

impl<'a> Parts<'a> {
    pub(crate) fn of(like: &'a BatchHeader) -> Self {
        Self {
            like,
            attributes: like.attributes,
            base_offset: like.base_offset,
            last_offset: like.last_offset(),
            base_timestamp: like.base_timestamp,
            max_timestamp: like.max_timestamp,
            count: like.count(),
            producer: (like.producer_id, like.producer_epoch, like.base_sequence),
        }
    }

    /// The batch with these records (uncompressed), compressed by `codec`.
    pub(crate) fn build(&self, codec: Codec, records: &[u8]) -> io::Result<Vec<u8>> {
        let too_large = || io::Error::new(io::ErrorKind::InvalidData, "the batch is too large for its format");
        let body = codec.compress(records)?;
        let length = i32::try_from(HEADER_BYTES - 12 + body.len()).map_err(|_| too_large())?;
        let last_delta = i32::try_from(self.last_offset - self.base_offset).map_err(|_| too_large())?;
        let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
        out.put_i64(self.base_offset);
        out.put_i32(length);
        out.put_i32(self.like.leader_epoch);
        out.put_i8(2);
        out.put_u32(0);
        out.put_i16(self.attributes & !0b111 | codec.code());
        out.put_i32(last_delta);
        out.put_i64(self.base_timestamp);
        out.put_i64(self.max_timestamp);
        out.put_i64(self.producer.0);
        out.put_i16(self.producer.1);
        out.put_i32(self.producer.2);
        out.put_i32(self.count);
        out.extend_from_slice(&body);
        reseal(&mut out);
        Ok(out)
    }
}

/// Makes a batch end at `last_offset`: the offsets behind it, whose records are gone, count as its own, so that
/// offsets stay contiguous. Its producer is taken off, since sequences are counted by the same number.
/// False when the gap is too wide for the format; nothing is changed then.
pub(crate) fn cover_up_to(batch: &mut [u8], last_offset: i64) -> bool {
    let Some(header) = BatchHeader::parse_stored(batch) else { return false };
    let Ok(delta) = i32::try_from(last_offset - header.base_offset) else { return false };
    if let Some(place) = batch.get_mut(LAST_OFFSET_DELTA) {
        place.copy_from_slice(&delta.to_be_bytes());
    }
    if let Some(place) = batch.get_mut(PRODUCER) {
        // Producer id, epoch and sequence are all -1 where there is none.
        place.fill(0xff);
    }
    reseal(batch);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::check_produced;
    use crate::batch::tests::Sample;
    use crate::records::{Records, open};

    #[test]
    fn a_batch_taken_apart_and_built_again_is_the_same() {
        let batch = Sample { records: 5, producer: Some((7, 1, 40)), ..Default::default() }.build();
        let header = check_produced(&batch).unwrap()[0].1;
        let body = open(&header, &batch).unwrap();
        assert_eq!(Parts::of(&header).build(Codec::None, &body).unwrap(), batch);
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let packed = Parts::of(&header).build(codec, &body).unwrap();
            let header = check_produced(&packed).unwrap()[0].1;
            assert_eq!((header.count(), header.last_sequence()), (5, 44));
            assert_eq!(Records::new(&open(&header, &packed).unwrap()).count(), 5, "{codec:?}");
        }
    }

    #[test]
    fn a_gap_is_covered_and_its_producer_gone() {
        let mut batch = Sample { records: 2, producer: Some((7, 1, 40)), ..Default::default() }.build();
        assert!(cover_up_to(&mut batch, 99));
        let header = BatchHeader::parse_stored(&batch).unwrap();
        assert_eq!((header.last_offset(), header.is_idempotent(), header.base_sequence), (99, false, -1));
        assert!(crate::batch::intact(&header, &batch));
        assert!(!cover_up_to(&mut batch, 1 << 40));
    }
}
