//! What a topic asks of batches before they are appended: keys, times within bounds, a compression of its choice.
//! Pure. A topic that asks for nothing costs nothing here: its batches are stored as sent.

use bytes::BytesMut;

use crate::batch::{BatchHeader, check_produced};
use crate::error::AppendError;
use crate::options::Stamp;
use crate::records::{Codec, Parts, Records, Undecodable, open};

/// A record without a time.
const NO_TIMESTAMP: i64 = -1;

/// What a topic asks of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rules {
    /// Batches are stored in this compression, whichever they come in; `None` keeps theirs.
    pub compression: Option<Codec>,
    /// Records must have keys, as compaction needs.
    pub keyed: bool,
    /// How far a producer's time may lie before the broker's; `None` is any.
    pub before_max_ms: Option<i64>,
    /// How far a producer's time may lie after the broker's; `None` is any.
    pub after_max_ms: Option<i64>,
}

/// Records without a key that are named one by one: an answer must not grow beyond its request.
const KEYLESS_MAX: usize = 1000;

/// Why records were not admitted; nothing of them is in the log.
#[derive(Debug, thiserror::Error)]
pub enum Inadmissible {
    /// The batches are not what they should be.
    #[error(transparent)]
    Batch(#[from] AppendError),
    /// A record's time is out of bounds.
    #[error(
        "record {record} of a batch has the time {time_ms}, the broker's is {now_ms}: too far apart for this topic"
    )]
    Time {
        /// Its place in its batch.
        record: i64,
        /// Its time, in milliseconds since 1970.
        time_ms: i64,
        /// The broker's.
        now_ms: i64,
    },
    /// Records lack keys.
    #[error("record {} of a batch has no key, which a compacted topic needs", records.first().unwrap_or(&0))]
    NoKey {
        /// Their places in their batch; of very many the first ones.
        records: Vec<i32>,
    },
}

/// Holds produced batches against the rules and brings them into the topic's compression.
///
/// # Errors
/// When a rule is broken, or the records can't be understood where that is necessary.
pub fn admit(batches: BytesMut, rules: &Rules, stamp: Stamp, now_ms: i64) -> Result<BytesMut, Inadmissible> {
    let timed = stamp == Stamp::CreateTime && (rules.before_max_ms.is_some() || rules.after_max_ms.is_some());
    if !(rules.keyed || timed || rules.compression.is_some()) {
        return Ok(batches);
    }
    let found = check_produced(&batches)?;
    let mut out = BytesMut::new();
    let mut changed = false;
    for (position, header) in found {
        let batch = batches.get(position..position + header.size()).unwrap_or_default();
        let target = rules.compression.filter(|codec| !header.is_control() && Codec::of(&header) != Some(*codec));
        if header.is_control() || !(rules.keyed || timed || target.is_some()) {
            out.extend_from_slice(batch);
            continue;
        }
        let corrupt = |reason| AppendError::Corrupt { position, reason };
        let records = open(&header, batch).map_err(|Undecodable(reason)| corrupt(reason))?;
        check_records(&records, &header, rules, timed, now_ms)
            .and_then(|sound| if sound { Ok(()) } else { Err(corrupt("its records can't be understood").into()) })?;
        match target {
            Some(codec) => {
                let built = Parts::of(&header).build(codec, &records);
                out.extend_from_slice(&built.map_err(|_| corrupt("its records can't be compressed anew"))?);
                changed = true;
            }
            None => out.extend_from_slice(batch),
        }
    }
    Ok(if changed { out } else { batches })
}

/// Goes through the records; false when they are not what the header says.
fn check_records(
    bytes: &[u8],
    header: &BatchHeader,
    rules: &Rules,
    timed: bool,
    now_ms: i64,
) -> Result<bool, Inadmissible> {
    let mut records = Records::new(bytes);
    let mut next = 0;
    let mut keyless: Vec<i32> = Vec::new();
    for record in records.by_ref() {
        if record.offset_delta != next {
            return Ok(false);
        }
        if rules.keyed && record.key.is_none() {
            keyless.extend(i32::try_from(next).ok().filter(|_| keyless.len() < KEYLESS_MAX));
        }
        let time_ms = header.base_timestamp.saturating_add(record.time_delta);
        if timed && time_ms != NO_TIMESTAMP {
            let early = rules.before_max_ms.is_some_and(|most| now_ms.saturating_sub(time_ms) > most);
            let late = rules.after_max_ms.is_some_and(|most| time_ms.saturating_sub(now_ms) > most);
            if early || late {
                return Err(Inadmissible::Time { record: next, time_ms, now_ms });
            }
        }
        next += 1;
    }
    if !keyless.is_empty() {
        return Err(Inadmissible::NoKey { records: keyless });
    }
    Ok(records.is_sound() && next == i64::from(header.count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::Sample;

    fn rules() -> Rules {
        Rules::default()
    }

    fn admitted(batches: &BytesMut, rules: &Rules) -> Result<BytesMut, Inadmissible> {
        admit(batches.clone(), rules, Stamp::CreateTime, 10_000)
    }

    #[test]
    fn a_topic_without_rules_keeps_the_bytes_even_if_they_are_none() {
        let nonsense = BytesMut::from(&b"no batch"[..]);
        assert_eq!(admitted(&nonsense, &rules()).unwrap(), nonsense);
    }

    #[test]
    fn batches_change_into_the_topics_compression_and_back() {
        let mut both = Sample { records: 9, producer: Some((3, 0, 0)), ..Default::default() }.build();
        both.extend_from_slice(&Sample { records: 2, ..Default::default() }.build());
        let plain = both.clone();
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let packed = admitted(&both, &Rules { compression: Some(codec), ..rules() }).unwrap();
            let found = check_produced(&packed).unwrap();
            assert!(found.iter().all(|(_, header)| Codec::of(header) == Some(codec)));
            let again = admitted(&packed, &Rules { compression: Some(codec), ..rules() }).unwrap();
            assert_eq!(again, packed, "already as it should be");
            both = admitted(&packed, &Rules { compression: Some(Codec::None), ..rules() }).unwrap();
            assert_eq!(both, plain, "{codec:?}");
        }
    }

    #[test]
    fn keys_and_times_are_held_against_the_rules() {
        let sample = Sample { records: 3, time_ms: 9_000, ..Default::default() };
        let refused = admitted(&sample.build(), &Rules { keyed: true, ..rules() });
        assert!(matches!(refused, Err(Inadmissible::NoKey { records }) if records == [0, 1, 2]));
        let keyed = Sample { key: Some("k"), ..sample };
        assert!(admitted(&keyed.build(), &Rules { keyed: true, ..rules() }).is_ok());
        // The records are from 9,000 to 9,002 and the clock says 10,000.
        let before = |most| admitted(&sample.build(), &Rules { before_max_ms: Some(most), ..rules() });
        assert!(before(1_000).is_ok());
        assert!(matches!(before(999), Err(Inadmissible::Time { record: 0, time_ms: 9_000, .. })));
        let late = Sample { time_ms: 11_000, ..sample };
        let after = |most| admitted(&late.build(), &Rules { after_max_ms: Some(most), ..rules() });
        assert!(after(1_002).is_ok());
        assert!(matches!(after(1_001), Err(Inadmissible::Time { record: 2, time_ms: 11_002, .. })));
        let strict = Rules { before_max_ms: Some(0), after_max_ms: Some(0), ..rules() };
        assert!(admit(late.build(), &strict, Stamp::LogAppendTime, 5).is_ok(), "the producer's time does not count");
        let untimed = Sample { records: 1, time_ms: NO_TIMESTAMP, ..sample };
        assert!(admitted(&untimed.build(), &strict).is_ok());
    }

    #[test]
    fn records_that_are_not_as_the_header_says_are_corrupt() {
        let batch = Sample { records: 2, ..Default::default() }.build();
        let header = check_produced(&batch).unwrap()[0].1;
        let fewer = Parts { count: 2, ..Parts::of(&header) };
        let body = open(&header, &batch).unwrap();
        let short = fewer.build(Codec::None, &body[..body.len() / 2]).unwrap();
        let refused = admitted(&BytesMut::from(&short[..]), &Rules { compression: Some(Codec::Zstd), ..rules() });
        assert!(matches!(refused, Err(Inadmissible::Batch(AppendError::Corrupt { .. }))));
        let liar = Parts { attributes: 2, ..Parts::of(&header) }.build(Codec::None, b"zip").unwrap();
        let mut liar = BytesMut::from(&liar[..]);
        liar[22] = 4;
        crate::batch::reseal(&mut liar);
        assert!(matches!(
            admitted(&liar, &Rules { keyed: true, ..rules() }),
            Err(Inadmissible::Batch(AppendError::Corrupt { .. }))
        ));
    }
}
