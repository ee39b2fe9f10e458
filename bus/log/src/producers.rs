//! What each idempotent producer wrote last in one partition: the reason why a repeated batch is answered
//! instead of stored twice. Pure; kept in the checkpoint and replayed from batch headers.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf, BufMut};

use crate::batch::BatchHeader;
use crate::error::AppendError;
use crate::marker::Marker;

/// A client has at most five requests in flight, so a repeat is one of its last five batches.
const BATCHES_MAX: usize = 5;
/// Producers kept for a partition, about 150 bytes each. Past it the longest idle tenth is forgotten;
/// a forgotten producer may go on, only its repeats are no longer noticed.
const PRODUCERS_MAX: usize = 10_000;
/// As long as Kafka keeps idle producers.
const IDLE_MAX_MS: i64 = 24 * 3600 * 1000;
/// On disk, where no offset is negative.
const NO_TRANSACTION: i64 = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    next_offset: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    last_seen_ms: i64,
    /// Of the coordinator that wrote the last marker; -1 before the first.
    coordinator_epoch: i32,
    /// The first offset of the transaction that is open.
    transaction: Option<i64>,
    /// Oldest first.
    batches: VecDeque<Written>,
}

/// A producer as it is described to administrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence of its last record; `None` when nothing of this epoch is known.
    pub last_sequence: Option<i32>,
    /// When it was last heard of, in milliseconds since 1970.
    pub last_seen_ms: i64,
    /// The epoch of the coordinator that ended its last transaction; -1 before the first.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub transaction: Option<i64>,
}

/// What a batch did to its producer's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Its first batch.
    Began { producer_id: i64, first_offset: i64 },
    /// Its marker.
    Ended { producer_id: i64, first_offset: i64, marker_offset: i64, commit: bool },
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It continues what the producer wrote.
    New,
    /// It was written before, at these offsets.
    Duplicate { base_offset: i64, next_offset: i64 },
}

/// The producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers(HashMap<i64, Producer>);

impl Producers {
    /// Judges batches that are to be appended together, in order. Changes nothing.
    pub(crate) fn check(&self, batches: &[(usize, BatchHeader)]) -> Result<Vec<Verdict>, AppendError> {
        // Later batches of one append are judged as if the earlier ones were written.
        let mut ahead: HashMap<i64, Producer> = HashMap::new();
        let mut verdicts = Vec::with_capacity(batches.len());
        for (_, header) in batches {
            if !header.is_idempotent() {
                verdicts.push(Verdict::New);
                continue;
            }
            let known = ahead.get(&header.producer_id).or_else(|| self.0.get(&header.producer_id));
            let verdict = known.map_or(Ok(Verdict::New), |producer| producer.check(header))?;
            if verdict == Verdict::New && batches.len() > 1 {
                let mut producer = known.cloned().unwrap_or_else(|| Producer::new(header.producer_epoch));
                producer.wrote(header, None, 0);
                ahead.insert(header.producer_id, producer);
            }
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    /// Whether a marker may be written: `false` when it would end nothing.
    pub(crate) fn check_marker(&self, marker: &Marker) -> Result<bool, AppendError> {
        let Some(producer) = self.0.get(&marker.producer_id) else { return Ok(false) };
        if marker.producer_epoch < producer.epoch {
            return Err(AppendError::ProducerFenced {
                producer_id: marker.producer_id,
                current: producer.epoch,
                found: marker.producer_epoch,
            });
        }
        Ok(producer.transaction.is_some())
    }

    /// Notes a batch that is in the log (its header with the final offsets, and what it says if it is a marker).
    pub(crate) fn wrote(&mut self, header: &BatchHeader, marker: Option<&Marker>, now_ms: i64) -> Option<Turn> {
        if !header.is_idempotent() {
            return None;
        }
        let known = self.0.contains_key(&header.producer_id);
        if !known && marker.is_some() {
            // Met when a log is read anew whose beginning was trimmed: which sequence comes next is not known, so the
            // producer is not either, and may go on.
            return None;
        }
        if !known && self.0.len() >= PRODUCERS_MAX {
            self.forget_idlest();
        }
        let producer = self.0.entry(header.producer_id).or_insert_with(|| Producer::new(header.producer_epoch));
        producer.wrote(header, marker, now_ms)
    }

    /// Those that have a transaction open, with its first offset.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().filter_map(|(id, producer)| Some((*id, producer.transaction?)))
    }

    /// All of them, by id.
    pub(crate) fn active(&self) -> Vec<ActiveProducer> {
        let active = |(id, producer): (&i64, &Producer)| ActiveProducer {
            producer_id: *id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map(|written| written.last_sequence),
            last_seen_ms: producer.last_seen_ms,
            coordinator_epoch: producer.coordinator_epoch,
            transaction: producer.transaction,
        };
        let mut all: Vec<_> = self.0.iter().map(active).collect();
        all.sort_unstable_by_key(|producer| producer.producer_id);
        all
    }

    fn forget_idlest(&mut self) {
        // A transaction that is open is never forgotten: readers wait for its end, which the coordinator sees to.
        let idle = self.0.values().filter(|producer| producer.transaction.is_none());
        let mut times: Vec<i64> = idle.map(|producer| producer.last_seen_ms).collect();
        if times.is_empty() {
            return;
        }
        let mut excess = times.len() / 10 + 1;
        let (_, limit, _) = times.select_nth_unstable(excess - 1);
        let limit = *limit;
        self.0.retain(|_, producer| {
            let idle = producer.transaction.is_none() && producer.last_seen_ms <= limit && excess > 0;
            excess -= usize::from(idle);
            !idle
        });
    }

    /// Forgets producers that were idle for a day.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        self.0.retain(|_, producer| {
            producer.transaction.is_some() || now_ms.saturating_sub(producer.last_seen_ms) <= IDLE_MAX_MS
        });
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.0.len() as u32);
        for (id, producer) in &self.0 {
            out.put_i64(*id);
            out.put_i16(producer.epoch);
            out.put_i64(producer.last_seen_ms);
            out.put_i32(producer.coordinator_epoch);
            out.put_i64(producer.transaction.unwrap_or(NO_TRANSACTION));
            out.put_u8(producer.batches.len() as u8);
            for written in &producer.batches {
                out.put_i32(written.first_sequence);
                out.put_i32(written.last_sequence);
                out.put_i64(written.base_offset);
                out.put_i64(written.next_offset);
            }
        }
    }

    /// Reads what `encode` wrote, to the end of `bytes`; `None` when it is something else.
    /// Before version 2 of the checkpoint nothing was known of transactions.
    pub(crate) fn decode(mut bytes: &[u8], version: u32) -> Option<Self> {
        let count = bytes.try_get_u32().ok()?;
        let mut producers = HashMap::new();
        for _ in 0..count {
            let id = bytes.try_get_i64().ok()?;
            let mut producer = Producer::new(bytes.try_get_i16().ok()?);
            producer.last_seen_ms = bytes.try_get_i64().ok()?;
            if version >= 2 {
                producer.coordinator_epoch = bytes.try_get_i32().ok()?;
                producer.transaction = Some(bytes.try_get_i64().ok()?).filter(|first| *first != NO_TRANSACTION);
            }
            for _ in 0..bytes.try_get_u8().ok()? {
                producer.batches.push_back(Written {
                    first_sequence: bytes.try_get_i32().ok()?,
                    last_sequence: bytes.try_get_i32().ok()?,
                    base_offset: bytes.try_get_i64().ok()?,
                    next_offset: bytes.try_get_i64().ok()?,
                });
            }
            producers.insert(id, producer);
        }
        bytes.is_empty().then_some(Self(producers))
    }
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self { epoch, last_seen_ms: 0, coordinator_epoch: -1, transaction: None, batches: VecDeque::new() }
    }

    fn check(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        let producer_id = header.producer_id;
        if header.producer_epoch < self.epoch {
            return Err(AppendError::ProducerFenced { producer_id, current: self.epoch, found: header.producer_epoch });
        }
        let found = header.base_sequence;
        let out_of_order = |expected| {
            Err(AppendError::OutOfOrderSequence { producer_id, epoch: header.producer_epoch, expected, found })
        };
        if header.producer_epoch > self.epoch {
            return match self.transaction {
                _ if found != 0 => out_of_order(0),
                // The coordinator ends a transaction before it gives out the next epoch.
                Some(_) => Err(AppendError::InTransaction { producer_id }),
                None => Ok(Verdict::New),
            };
        }
        // A marker has raised the epoch: the producer begins anew.
        let (Some(oldest), Some(newest)) = (self.batches.front(), self.batches.back()) else {
            return if found == 0 { Ok(Verdict::New) } else { out_of_order(0) };
        };
        let same =
            |written: &&Written| (written.first_sequence, written.last_sequence) == (found, header.last_sequence());
        if let Some(written) = self.batches.iter().rev().find(same) {
            return Ok(Verdict::Duplicate { base_offset: written.base_offset, next_offset: written.next_offset });
        }
        let expected = newest.last_sequence.wrapping_add(1) & i32::MAX;
        if found == expected {
            return match self.transaction {
                Some(_) if !header.is_transactional() => Err(AppendError::InTransaction { producer_id }),
                _ => Ok(Verdict::New),
            };
        }
        // Sequences go round; the shorter way tells which one is older.
        let behind_oldest = oldest.first_sequence.wrapping_sub(found) & i32::MAX;
        if behind_oldest != 0 && behind_oldest < i32::MAX / 2 {
            return Err(AppendError::DuplicateTooOld { producer_id, epoch: self.epoch, sequence: found });
        }
        out_of_order(expected)
    }

    fn wrote(&mut self, header: &BatchHeader, marker: Option<&Marker>, now_ms: i64) -> Option<Turn> {
        let producer_id = header.producer_id;
        self.last_seen_ms = self.last_seen_ms.max(now_ms);
        if header.producer_epoch != self.epoch {
            self.epoch = header.producer_epoch;
            self.batches.clear();
        }
        if header.is_control() {
            let marker = marker?;
            self.coordinator_epoch = marker.coordinator_epoch;
            let (marker_offset, commit) = (header.base_offset, marker.commit);
            let first_offset = self.transaction.take()?;
            return Some(Turn::Ended { producer_id, first_offset, marker_offset, commit });
        }
        if self.batches.len() == BATCHES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back(Written {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
        });
        if !header.is_transactional() || self.transaction.is_some() {
            return None;
        }
        self.transaction = Some(header.base_offset);
        Some(Turn::Began { producer_id, first_offset: header.base_offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::check_produced;
    use crate::batch::tests::Sample;

    fn header(id: i64, epoch: i16, sequence: i32, records: i32, offset: i64) -> BatchHeader {
        let batch = Sample { records, producer: Some((id, epoch, sequence)), ..Default::default() }.build();
        check_produced(&batch).unwrap()[0].1.at(offset)
    }

    fn judge(producers: &Producers, header: BatchHeader) -> Result<Verdict, AppendError> {
        Ok(producers.check(&[(0, header)])?[0])
    }

    #[test]
    fn repeats_are_answered_gaps_and_old_epochs_refused() {
        let mut producers = Producers::default();
        for round in 0..7 {
            let next = header(9, 0, round * 2, 2, i64::from(round) * 2);
            assert_eq!(judge(&producers, next).unwrap(), Verdict::New);
            producers.wrote(&next, None, 5);
        }
        let again = judge(&producers, header(9, 0, 6, 2, 0)).unwrap();
        assert_eq!(again, Verdict::Duplicate { base_offset: 6, next_offset: 8 });
        let old = judge(&producers, header(9, 0, 0, 2, 0));
        assert!(matches!(old, Err(AppendError::DuplicateTooOld { sequence: 0, .. })));
        let gap = judge(&producers, header(9, 0, 16, 2, 0));
        assert!(matches!(gap, Err(AppendError::OutOfOrderSequence { expected: 14, found: 16, .. })));
        let late_epoch = judge(&producers, header(9, 1, 3, 1, 0));
        assert!(matches!(late_epoch, Err(AppendError::OutOfOrderSequence { expected: 0, .. })));
        producers.wrote(&header(9, 1, 0, 1, 14), None, 6);
        let fenced = judge(&producers, header(9, 0, 14, 1, 0));
        assert!(matches!(fenced, Err(AppendError::ProducerFenced { current: 1, found: 0, .. })));
    }

    fn in_transaction(id: i64, epoch: i16, sequence: i32, offset: i64) -> BatchHeader {
        let sample = Sample { producer: Some((id, epoch, sequence)), transactional: true, ..Default::default() };
        check_produced(&sample.build()).unwrap()[0].1.at(offset)
    }

    fn end(producers: &mut Producers, id: i64, epoch: i16, offset: i64, commit: bool) -> Option<Turn> {
        let marker = Marker { producer_id: id, producer_epoch: epoch, coordinator_epoch: 4, commit };
        let header = BatchHeader::parse_stored(&marker.build(9)).unwrap().at(offset);
        producers.wrote(&header, Some(&marker), 9)
    }

    #[test]
    fn a_transaction_begins_with_its_first_batch_and_ends_with_its_marker() {
        let mut producers = Producers::default();
        let began = producers.wrote(&in_transaction(7, 0, 0, 10), None, 1);
        assert_eq!(began, Some(Turn::Began { producer_id: 7, first_offset: 10 }));
        assert_eq!(producers.wrote(&in_transaction(7, 0, 1, 11), None, 1), None);
        assert_eq!(producers.transactions().collect::<Vec<_>>(), [(7, 10)]);
        let outside = judge(&producers, header(7, 0, 2, 1, 12));
        assert!(matches!(outside, Err(AppendError::InTransaction { producer_id: 7 })));
        let newer = judge(&producers, in_transaction(7, 1, 0, 12));
        assert!(matches!(newer, Err(AppendError::InTransaction { producer_id: 7 })));
        producers.expire(IDLE_MAX_MS * 3);
        let ended = Turn::Ended { producer_id: 7, first_offset: 10, marker_offset: 12, commit: false };
        assert_eq!(end(&mut producers, 7, 1, 12, false), Some(ended));
        assert_eq!(end(&mut producers, 7, 1, 13, false), None, "there is nothing left to end");
        let late = judge(&producers, in_transaction(7, 0, 2, 14));
        assert!(matches!(late, Err(AppendError::ProducerFenced { current: 1, found: 0, .. })), "a marker fences");
        let gap = judge(&producers, in_transaction(7, 1, 2, 14));
        assert!(matches!(gap, Err(AppendError::OutOfOrderSequence { expected: 0, found: 2, .. })));
        assert_eq!(judge(&producers, in_transaction(7, 1, 0, 14)).unwrap(), Verdict::New);
        let described = producers.active()[0];
        assert_eq!((described.epoch, described.coordinator_epoch, described.last_sequence), (1, 4, None));
    }

    #[test]
    fn markers_of_older_epochs_and_of_nothing_are_not_written() {
        let mut producers = Producers::default();
        let marker = |producer_epoch| Marker { producer_id: 7, producer_epoch, coordinator_epoch: 0, commit: true };
        assert!(!producers.check_marker(&marker(0)).unwrap());
        producers.wrote(&in_transaction(7, 3, 0, 0), None, 1);
        assert!(producers.check_marker(&marker(3)).unwrap() && producers.check_marker(&marker(4)).unwrap());
        assert!(matches!(producers.check_marker(&marker(2)), Err(AppendError::ProducerFenced { .. })));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let mut producers = Producers::default();
        producers.wrote(&header(1, 0, i32::MAX - 1, 2, 0), None, 0);
        assert_eq!(judge(&producers, header(1, 0, 0, 1, 2)).unwrap(), Verdict::New);
    }

    #[test]
    fn batches_of_one_append_follow_each_other() {
        let producers = Producers::default();
        let both = [(0, header(1, 0, 0, 3, 0)), (90, header(1, 0, 3, 1, 0))];
        assert_eq!(producers.check(&both).unwrap(), [Verdict::New, Verdict::New]);
        let gap = [(0, header(1, 0, 0, 3, 0)), (90, header(1, 0, 4, 1, 0))];
        assert!(producers.check(&gap).is_err());
    }

    #[test]
    fn encoding_round_trips_and_truncations_are_refused() {
        let mut producers = Producers::default();
        for id in 0..3 {
            for sequence in 0..6 {
                producers.wrote(&header(id, 2, sequence, 1, id * 10 + i64::from(sequence)), None, 7);
            }
        }
        producers.wrote(&in_transaction(3, 0, 0, 70), None, 8);
        let mut bytes = Vec::new();
        producers.encode(&mut bytes);
        assert_eq!(Producers::decode(&bytes, 2), Some(producers));
        assert!((0..bytes.len()).all(|cut| Producers::decode(&bytes[..cut], 2).is_none()));
    }

    #[test]
    fn the_number_of_producers_is_bounded() {
        let mut producers = Producers::default();
        for id in 0..PRODUCERS_MAX as i64 + 500 {
            producers.wrote(&header(id, 0, 0, 1, id), None, id);
        }
        assert!(producers.0.len() <= PRODUCERS_MAX);
        assert!(producers.0.contains_key(&(PRODUCERS_MAX as i64 + 499)));
        producers.expire(IDLE_MAX_MS + PRODUCERS_MAX as i64 + 499);
        assert_eq!(producers.0.len(), 1);
    }
}
