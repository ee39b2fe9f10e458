//! The checkpoint of a partition: how far the log is known to be good and durable, where it starts, and what
//! its producers and their transactions had come to. One small file, replaced whole, so that they can't disagree.

use bytes::{Buf, BufMut};

use crate::aborted::{self, Aborted};
use crate::index::Summary;
use crate::producers::Producers;

const MAGIC: &[u8; 8] = b"LMBUSCKP";
/// Of the checkpoint file.
pub(crate) const VERSION: u32 = 2;
/// Knows nothing of transactions; there were none in the logs of its time.
const BEFORE_TRANSACTIONS: u32 = 1;
pub(crate) const FILE: &str = "checkpoint";

/// State of a partition at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The first offset that may be read.
    pub(crate) log_start: i64,
    /// Base offset of the segment that was written.
    pub(crate) segment: i64,
    /// That segment's state: everything before its end, and in earlier segments, is durable and was checked.
    pub(crate) summary: Summary,
    /// Aborted transactions whose marker lies in that segment.
    pub(crate) aborted: Vec<Aborted>,
    /// Earlier segments that have a file of theirs, by base offset: one that is missing must be made anew.
    pub(crate) with_aborted: Vec<i64>,
    pub(crate) producers: Producers,
}

/// What a checkpoint file can be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Good(Checkpoint),
    Damaged,
    /// Written by a newer program.
    Newer(u32),
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(MAGIC);
        out.put_u32(VERSION);
        out.put_i64(self.log_start);
        out.put_i64(self.segment);
        out.put_i64(self.summary.next_offset);
        out.put_u64(self.summary.bytes);
        out.put_i64(self.summary.max_time);
        out.put_i64(self.summary.max_time_offset);
        aborted::put(&mut out, &self.aborted);
        out.put_u32(self.with_aborted.len() as u32);
        for base in &self.with_aborted {
            out.put_i64(*base);
        }
        self.producers.encode(&mut out);
        out.put_u32(crc32c::crc32c(&out));
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Decoded {
        let Some((covered, mut crc)) = bytes.split_at_checked(bytes.len().saturating_sub(4)) else {
            return Decoded::Damaged;
        };
        if crc.try_get_u32() != Ok(crc32c::crc32c(covered)) {
            return Decoded::Damaged;
        }
        let Some(mut fields) = covered.strip_prefix(MAGIC) else { return Decoded::Damaged };
        match fields.try_get_u32() {
            Ok(version @ (BEFORE_TRANSACTIONS | VERSION)) => {
                Self::decode_fields(fields, version).map_or(Decoded::Damaged, Decoded::Good)
            }
            Ok(version) if version > VERSION => Decoded::Newer(version),
            _ => Decoded::Damaged,
        }
    }

    fn decode_fields(mut fields: &[u8], version: u32) -> Option<Self> {
        let log_start = fields.try_get_i64().ok()?;
        let segment = fields.try_get_i64().ok()?;
        let summary = Summary {
            next_offset: fields.try_get_i64().ok()?,
            bytes: fields.try_get_u64().ok()?,
            max_time: fields.try_get_i64().ok()?,
            max_time_offset: fields.try_get_i64().ok()?,
        };
        let (mut aborted, mut with_aborted) = (Vec::new(), Vec::new());
        if version > BEFORE_TRANSACTIONS {
            aborted = aborted::take(&mut fields)?;
            for _ in 0..fields.try_get_u32().ok()? {
                with_aborted.push(fields.try_get_i64().ok()?);
            }
        }
        let producers = Producers::decode(fields, version)?;
        Some(Self { log_start, segment, summary, aborted, with_aborted, producers })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_refuses_damage(log_start: i64, segment: i64, next_offset: i64, bytes: u64, max_time: i64) {
            let summary = Summary { next_offset, bytes, max_time, max_time_offset: 3 };
            let aborted = vec![Aborted { producer_id: 1, first_offset: 2, last_offset: log_start, decided_end: 4 }];
            let with_aborted = vec![segment, 5];
            let producers = Producers::default();
            let checkpoint = Checkpoint { log_start, segment, summary, aborted, with_aborted, producers };
            let encoded = checkpoint.encode();
            prop_assert_eq!(Checkpoint::decode(&encoded), Decoded::Good(checkpoint));
            for cut in 0..encoded.len() {
                prop_assert_eq!(Checkpoint::decode(&encoded[..cut]), Decoded::Damaged);
            }
            for bit in 0..encoded.len() * 8 {
                let mut damaged = encoded.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(Checkpoint::decode(&damaged), Decoded::Damaged);
            }
        }
    }
}
