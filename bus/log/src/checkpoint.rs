//! The checkpoint of a partition: how far the log is known to be good and durable, where it starts, and what
//! its producers had written by then. One small file, replaced whole, so the three can't disagree.

use bytes::{Buf, BufMut};

use crate::index::Summary;
use crate::producers::Producers;

const MAGIC: &[u8; 8] = b"LMBUSCKP";
/// Of the checkpoint file.
pub(crate) const VERSION: u32 = 1;
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
            Ok(VERSION) => Self::decode_fields(fields).map_or(Decoded::Damaged, Decoded::Good),
            Ok(version) if version > VERSION => Decoded::Newer(version),
            _ => Decoded::Damaged,
        }
    }

    fn decode_fields(mut fields: &[u8]) -> Option<Self> {
        Some(Self {
            log_start: fields.try_get_i64().ok()?,
            segment: fields.try_get_i64().ok()?,
            summary: Summary {
                next_offset: fields.try_get_i64().ok()?,
                bytes: fields.try_get_u64().ok()?,
                max_time: fields.try_get_i64().ok()?,
                max_time_offset: fields.try_get_i64().ok()?,
            },
            producers: Producers::decode(fields)?,
        })
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
            let checkpoint = Checkpoint { log_start, segment, summary, producers: Producers::default() };
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
