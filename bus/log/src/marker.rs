//! The end of a transaction in a partition: a control batch of one record, as
//! <https://kafka.apache.org/documentation/#controlbatch> lays it out. Only the broker writes them.

use bytes::{Buf, BufMut, BytesMut};

use crate::batch::{self, BatchHeader, HEADER_BYTES};

/// A marker is not larger, whoever wrote it: what is longer is not looked into.
pub(crate) const MARKER_BYTES_MAX: usize = 256;
const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;
/// The record: length 16, no attributes, both deltas 0, a key of 4 bytes.
const RECORD_HEAD: [u8; 5] = [32, 0, 0, 0, 8];
/// A value of 6 bytes.
const VALUE_HEAD: u8 = 12;
const NO_HEADERS: u8 = 0;

/// How a transaction of a producer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Whose transaction.
    pub producer_id: i64,
    /// The epoch from which the producer goes on; older instances of it are refused afterwards.
    pub producer_epoch: i16,
    /// How often the coordinator has begun anew: told to administrators, nothing else hangs on it.
    pub coordinator_epoch: i32,
    /// Whether its records count.
    pub commit: bool,
}

impl Marker {
    /// The batch, without its place in the log.
    pub(crate) fn build(&self, now_ms: i64) -> BytesMut {
        let mut record = Vec::with_capacity(24);
        record.put_slice(&RECORD_HEAD);
        record.put_i16(VERSION);
        record.put_i16(if self.commit { COMMIT } else { ABORT });
        record.put_u8(VALUE_HEAD);
        record.put_i16(VERSION);
        record.put_i32(self.coordinator_epoch);
        record.put_u8(NO_HEADERS);
        batch::build_control(self.producer_id, self.producer_epoch, now_ms, &record)
    }

    /// Reads a control batch; `None` when it is another kind of control, which ends nothing.
    pub(crate) fn parse(header: &BatchHeader, batch: &[u8]) -> Option<Self> {
        let mut record = batch.get(HEADER_BYTES..)?;
        let length = usize::try_from(varint(&mut record)?).ok()?;
        let mut record = record.get(..length)?;
        let _attributes = record.try_get_i8().ok()?;
        let (_time_delta, _offset_delta) = (varint(&mut record)?, varint(&mut record)?);
        let _key_length = varint(&mut record).filter(|length| *length >= 4)?;
        let (_version, kind) = (record.try_get_i16().ok()?, record.try_get_i16().ok()?);
        if !matches!(kind, ABORT | COMMIT) {
            return None;
        }
        let _value_length = varint(&mut record).filter(|length| *length >= 6)?;
        let _version = record.try_get_i16().ok()?;
        Some(Self {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            coordinator_epoch: record.try_get_i32().ok()?,
            commit: kind == COMMIT,
        })
    }
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn markers_come_back_and_truncations_are_refused(
            producer_id in 0..i64::MAX, producer_epoch in 0..i16::MAX, coordinator_epoch: i32, commit: bool,
        ) {
            let marker = Marker { producer_id, producer_epoch, coordinator_epoch, commit };
            let bytes = marker.build(77);
            prop_assert!(bytes.len() <= MARKER_BYTES_MAX);
            let header = BatchHeader::parse_stored(&bytes).unwrap();
            prop_assert!(header.is_control() && header.is_transactional() && header.size() == bytes.len());
            prop_assert!(batch::intact(&header, &bytes));
            prop_assert_eq!(Marker::parse(&header, &bytes), Some(marker));
            for cut in 0..bytes.len() - 1 {
                prop_assert_eq!(Marker::parse(&header, &bytes[..cut]), None);
            }
        }

        #[test]
        fn arbitrary_records_never_panic(record in prop::collection::vec(any::<u8>(), 0..60)) {
            let bytes = batch::build_control(1, 0, 0, &record);
            let header = BatchHeader::parse_stored(&bytes).unwrap();
            let _ = Marker::parse(&header, &bytes);
        }
    }

    #[test]
    fn the_bytes_are_kafkas() {
        // Key: version 0, type 1; value: version 0, coordinator epoch 3.
        let marker = Marker { producer_id: 9, producer_epoch: 2, coordinator_epoch: 3, commit: true };
        let record = [32, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 3, 0];
        assert_eq!(&marker.build(5)[HEADER_BYTES..], &record);
    }
}
