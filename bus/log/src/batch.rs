//! The header of a record batch v2, as <https://kafka.apache.org/documentation/#recordbatch> lays it out:
//! parsing, checking what a producer sent, and the patches a broker makes. Records are never looked into.

use bytes::{Buf, BufMut, BytesMut};

use crate::error::AppendError;

/// A batch is never smaller: its header.
pub(crate) const HEADER_BYTES: usize = 61;
/// `batchLength` counts what follows baseOffset and itself.
const UNCOUNTED_BYTES: usize = 12;
const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
/// The CRC covers everything from here on, so offset and epoch can be patched without touching it.
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

const MAGIC: i8 = 2;
const COMPRESSION_MASK: i16 = 0b111;
/// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
const COMPRESSION_LAST: i16 = 4;
const LOG_APPEND_TIME: i16 = 1 << 3;
pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// The fields of a batch header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    length: i32,
    pub(crate) leader_epoch: i32,
    magic: i8,
    crc: u32,
    pub(crate) attributes: i16,
    last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    count: i32,
}

impl BatchHeader {
    /// Reads the fields; `None` when there are fewer than 61 bytes. Nothing is checked.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields: &[u8] = bytes.first_chunk::<HEADER_BYTES>()?;
        let base_offset = fields.get_i64();
        let length = fields.get_i32();
        let leader_epoch = fields.get_i32();
        Some(Self {
            base_offset,
            length,
            leader_epoch,
            magic: fields.get_i8(),
            crc: fields.get_u32(),
            attributes: fields.get_i16(),
            last_offset_delta: fields.get_i32(),
            base_timestamp: fields.get_i64(),
            max_timestamp: fields.get_i64(),
            producer_id: fields.get_i64(),
            producer_epoch: fields.get_i16(),
            base_sequence: fields.get_i32(),
            count: fields.get_i32(),
        })
    }

    /// Reads a header that may stand in a log; `None` when it can't be one.
    pub(crate) fn parse_stored(bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes).filter(|header| {
            header.magic == MAGIC
                && header.length >= (HEADER_BYTES - UNCOUNTED_BYTES) as i32
                && header.base_offset >= 0
                && header.last_offset_delta >= 0
                && header.base_offset.checked_add(i64::from(header.last_offset_delta) + 1).is_some()
        })
    }

    /// Bytes of the whole batch.
    pub(crate) fn size(&self) -> usize {
        // Not negative: parse_stored and check refuse such lengths.
        self.length as usize + UNCOUNTED_BYTES
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// The sequence of the last record; sequences wrap to 0 after `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// 0 to 7; above 4 is no compression that there is.
    pub(crate) fn compression(&self) -> u8 {
        (self.attributes & COMPRESSION_MASK) as u8
    }

    /// How many records its producer says there are.
    pub(crate) fn count(&self) -> i32 {
        self.count
    }

    pub(crate) fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether the batch takes part in idempotence.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// The checksum over `covered`, the bytes from the attributes to the end of the batch.
    pub(crate) fn crc_matches(&self, covered_crc: u32) -> bool {
        self.crc == covered_crc
    }

    #[cfg(test)]
    pub(crate) fn at(self, base_offset: i64) -> Self {
        Self { base_offset, ..self }
    }

    /// Where the checksummed part of a batch begins.
    pub(crate) const CRC_FROM: usize = ATTRIBUTES_AT;
}

/// Whether `batch`, exactly one whole batch, has the checksum that its header says.
pub(crate) fn intact(header: &BatchHeader, batch: &[u8]) -> bool {
    batch.get(ATTRIBUTES_AT..).is_some_and(|covered| header.crc_matches(crc32c::crc32c(covered)))
}

/// Takes apart what a producer sent, one or several batches back to back, and checks each.
/// Returns where each begins, with its header.
pub(crate) fn check_produced(bytes: &[u8]) -> Result<Vec<(usize, BatchHeader)>, AppendError> {
    let mut batches = Vec::with_capacity(1);
    let mut position = 0;
    while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
        let header = check_one(rest).map_err(|error| error.at(position))?;
        batches.push((position, header));
        position += header.size();
    }
    if batches.is_empty() {
        return Err(AppendError::Corrupt { position: 0, reason: "there is no batch" });
    }
    Ok(batches)
}

/// Whose records a batch says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The producer; negative for one without an id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Whether they belong to a transaction.
    pub transactional: bool,
}

/// What batches back to back say of their producers, by their headers alone; what is broken ends it and is found by
/// the append.
pub fn claims(mut batches: &[u8]) -> impl Iterator<Item = Claim> {
    std::iter::from_fn(move || {
        let header = BatchHeader::parse(batches).filter(|header| header.length >= 0)?;
        batches = batches.get(header.size()..).unwrap_or_default();
        let BatchHeader { producer_id, producer_epoch, .. } = header;
        Some(Claim { producer_id, producer_epoch, transactional: header.is_transactional() })
    })
}

enum Fault {
    Magic(i8),
    Corrupt(&'static str),
    Refused(&'static str),
}

impl Fault {
    fn at(self, position: usize) -> AppendError {
        match self {
            Self::Magic(magic) => AppendError::UnsupportedMagic { magic },
            Self::Corrupt(reason) => AppendError::Corrupt { position, reason },
            Self::Refused(reason) => AppendError::Refused { position, reason },
        }
    }
}

fn check_one(bytes: &[u8]) -> Result<BatchHeader, Fault> {
    // The older message formats have their magic at the same place.
    match bytes.get(MAGIC_AT).map(|magic| *magic as i8) {
        Some(MAGIC) | None => {}
        Some(magic) => return Err(Fault::Magic(magic)),
    }
    let header = BatchHeader::parse(bytes).ok_or(Fault::Corrupt("fewer bytes than a batch header has"))?;
    if header.length < (HEADER_BYTES - UNCOUNTED_BYTES) as i32 {
        return Err(Fault::Corrupt("its length is less than a header's"));
    }
    let batch = bytes.get(..header.size()).ok_or(Fault::Corrupt("its length is more than there are bytes"))?;
    if !intact(&header, batch) {
        return Err(Fault::Corrupt("its checksum does not match"));
    }
    if header.last_offset_delta < 0 || header.count != header.last_offset_delta.wrapping_add(1) {
        return Err(Fault::Corrupt("its record count and last offset delta disagree"));
    }
    if header.attributes & COMPRESSION_MASK > COMPRESSION_LAST {
        return Err(Fault::Corrupt("its compression is not known"));
    }
    if header.is_control() {
        return Err(Fault::Refused("control batches are written by brokers alone"));
    }
    if header.is_idempotent() && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return Err(Fault::Corrupt("it has a producer id but no epoch or sequence"));
    }
    if header.is_transactional() && !header.is_idempotent() {
        return Err(Fault::Refused("it belongs to a transaction but to no producer"));
    }
    Ok(header)
}

/// A batch of one control record of a producer.
pub(crate) fn build_control(producer_id: i64, producer_epoch: i16, now_ms: i64, record: &[u8]) -> BytesMut {
    let length = HEADER_BYTES - UNCOUNTED_BYTES + record.len();
    let mut batch = BytesMut::with_capacity(length + UNCOUNTED_BYTES);
    batch.put_i64(0);
    batch.put_i32(length as i32);
    batch.put_i32(-1);
    batch.put_i8(MAGIC);
    batch.put_u32(0);
    batch.put_i16(CONTROL | TRANSACTIONAL);
    batch.put_i32(0);
    batch.put_i64(now_ms);
    batch.put_i64(now_ms);
    batch.put_i64(producer_id);
    batch.put_i16(producer_epoch);
    // Markers have no sequence.
    batch.put_i32(-1);
    batch.put_i32(1);
    batch.put_slice(record);
    let crc = crc32c::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default());
    write(&mut batch, CRC_AT, &crc.to_be_bytes());
    batch
}

/// Sets the two fields outside the checksum.
pub(crate) fn patch(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    write(batch, 0, &base_offset.to_be_bytes());
    write(batch, LEADER_EPOCH_AT, &leader_epoch.to_be_bytes());
}

/// Marks the batch's timestamps as the broker's (`Some`) or the producer's (`None`), and brings the checksum
/// up to date. `batch` must be exactly one checked batch.
pub(crate) fn stamp(batch: &mut [u8], header: &BatchHeader, append_time_ms: Option<i64>) {
    let attributes = match append_time_ms {
        Some(time_ms) => {
            write(batch, MAX_TIMESTAMP_AT, &time_ms.to_be_bytes());
            header.attributes | LOG_APPEND_TIME
        }
        // Only a broker may say so; kept, it would make readers take maxTimestamp for every record's time.
        None if header.is_log_append_time() => header.attributes & !LOG_APPEND_TIME,
        None => return,
    };
    write(batch, ATTRIBUTES_AT, &attributes.to_be_bytes());
    reseal(batch);
}

/// Brings the checksum up to date. `batch` must be exactly one whole batch.
pub(crate) fn reseal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default());
    write(batch, CRC_AT, &crc.to_be_bytes());
}

fn write(batch: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = batch.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::records::put_varint as varint;

    /// A batch for tests: `records` small uncompressed records.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Sample {
        pub(crate) records: i32,
        pub(crate) value_bytes: usize,
        pub(crate) time_ms: i64,
        pub(crate) producer: Option<(i64, i16, i32)>,
        pub(crate) key: Option<&'static str>,
        pub(crate) transactional: bool,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { records: 1, value_bytes: 20, time_ms: 1_000, producer: None, key: None, transactional: false }
        }
    }

    impl Sample {
        pub(crate) fn build(self) -> BytesMut {
            let mut body = Vec::new();
            for delta in 0..self.records {
                let mut record = vec![0];
                varint(&mut record, i64::from(delta)); // one millisecond later each
                varint(&mut record, i64::from(delta));
                match self.key {
                    Some(key) => {
                        varint(&mut record, key.len() as i64);
                        record.extend_from_slice(key.as_bytes());
                    }
                    None => varint(&mut record, -1),
                }
                varint(&mut record, self.value_bytes as i64);
                record.extend((0..self.value_bytes).map(|at| b'a' + ((at + delta as usize) % 26) as u8));
                varint(&mut record, 0);
                varint(&mut body, record.len() as i64);
                body.extend(record);
            }
            let (id, epoch, sequence) = self.producer.unwrap_or((-1, -1, -1));
            let mut covered = BytesMut::new();
            covered.put_i16(if self.transactional { TRANSACTIONAL } else { 0 });
            covered.put_i32(self.records - 1);
            covered.put_i64(self.time_ms);
            covered.put_i64(self.time_ms + i64::from(self.records) - 1);
            covered.put_i64(id);
            covered.put_i16(epoch);
            covered.put_i32(sequence);
            covered.put_i32(self.records);
            covered.extend_from_slice(&body);
            let mut batch = BytesMut::new();
            batch.put_i64(0);
            batch.put_i32((covered.len() + 9) as i32);
            batch.put_i32(-1);
            batch.put_i8(2);
            batch.put_u32(crc32c::crc32c(&covered));
            batch.extend_from_slice(&covered);
            batch
        }
    }

    proptest! {
        #[test]
        fn every_truncation_and_flip_is_refused(records in 1..5_i32, value_bytes in 0..40_usize, flip: prop::sample::Index) {
            let batch = Sample { records, value_bytes, ..Default::default() }.build();
            prop_assert_eq!(check_produced(&batch).map(|found| found.len()).ok(), Some(1));
            for cut in 0..batch.len() {
                prop_assert!(check_produced(&batch[..cut]).is_err());
            }
            let bit = flip.index(batch.len() * 8);
            // Offset and leader epoch are the broker's to set, so a flip there is no damage.
            prop_assume!(!(0..8).contains(&(bit / 8)) && !(12..16).contains(&(bit / 8)));
            let mut damaged = batch.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(check_produced(&damaged).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check_produced(&bytes);
            let _ = BatchHeader::parse_stored(&bytes);
            assert!(claims(&bytes).count() <= bytes.len());
        }
    }

    #[test]
    fn patches_keep_the_batch_intact() {
        let mut batch = Sample { records: 3, ..Default::default() }.build();
        let header = check_produced(&batch).unwrap()[0].1;
        stamp(&mut batch, &header, Some(77_000));
        patch(&mut batch, 42, 7);
        let stamped = check_produced(&batch).unwrap()[0].1;
        assert_eq!((stamped.base_offset, stamped.last_offset(), stamped.max_timestamp), (42, 44, 77_000));
        assert!(stamped.is_log_append_time());
        stamp(&mut batch, &stamped, None);
        assert!(!check_produced(&batch).unwrap()[0].1.is_log_append_time());
    }

    #[test]
    fn control_batches_and_transactions_of_nobody_are_refused() {
        let control = build_control(1, 0, 5, &[0; 20]);
        assert!(matches!(check_produced(&control), Err(AppendError::Refused { .. })));
        let nobodys = Sample { transactional: true, ..Default::default() }.build();
        assert!(matches!(check_produced(&nobodys), Err(AppendError::Refused { .. })));
    }

    #[test]
    fn every_batch_makes_its_claim() {
        let mut both = Sample { producer: Some((7, 2, 0)), transactional: true, ..Default::default() }.build();
        both.extend_from_slice(&Sample::default().build());
        let found: Vec<_> =
            claims(&both).map(|claim| (claim.producer_id, claim.producer_epoch, claim.transactional)).collect();
        assert_eq!(found, [(7, 2, true), (-1, -1, false)]);
    }

    #[test]
    fn older_formats_are_named() {
        let mut batch = Sample::default().build();
        batch[16] = 1;
        assert!(matches!(check_produced(&batch), Err(AppendError::UnsupportedMagic { magic: 1 })));
    }
}
