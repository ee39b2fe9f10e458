//! The answer to a Fetch: headers are written here, records are passed on as they are, whatever holds them.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::protocol::HeaderVersion;
use uuid::Uuid;

use crate::request::{EncodeError, begin, finish};
use crate::wire::{put_length, put_string, put_varint};

/// What is answered for one partition.
#[derive(Clone, Debug)]
pub struct PartitionAnswer<R> {
    /// Which one.
    pub partition: i32,
    /// 0, or why there are no records.
    pub error_code: i16,
    /// The offset behind the last record that consumers may see; -1 when unknown.
    pub high_watermark: i64,
    /// The offset behind the last record that belongs to no open transaction; -1 when unknown.
    pub last_stable: i64,
    /// The oldest offset that is kept; -1 when unknown.
    pub log_start: i64,
    /// Producer id and first offset of the aborted transactions in the records, by first offset.
    pub aborted: Vec<(i64, i64)>,
    /// Whole record batches, or a place where they lie.
    pub records: Option<R>,
    /// How many bytes they are.
    pub records_bytes: usize,
}

/// A part of an answer's bytes.
#[derive(Clone, Debug)]
pub enum Piece<R> {
    /// Bytes of the protocol.
    Bytes(Bytes),
    /// Records, of as many bytes as was said of them.
    Records(R),
}

impl<R> Default for PartitionAnswer<R> {
    fn default() -> Self {
        Self {
            partition: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable: -1,
            log_start: -1,
            aborted: Vec::new(),
            records: None,
            records_bytes: 0,
        }
    }
}

/// What is answered for one topic.
#[derive(Clone, Debug)]
struct TopicAnswer<R> {
    name: String,
    id: Uuid,
    partitions: Vec<PartitionAnswer<R>>,
}

/// A Fetch answer in the making.
#[derive(Clone, Debug)]
pub struct FetchAnswer<R> {
    error_code: i16,
    session_id: i32,
    topics: Vec<TopicAnswer<R>>,
}

impl<R> FetchAnswer<R> {
    /// An answer that refuses the whole request.
    #[must_use]
    pub fn refused(error_code: i16) -> Self {
        Self { error_code, session_id: 0, topics: Vec::new() }
    }

    /// An answer within a fetch session; 0 is none.
    #[must_use]
    pub fn of_session(session_id: i32) -> Self {
        Self { error_code: 0, session_id, topics: Vec::new() }
    }

    /// Begins a topic; the partitions added next are of it.
    pub fn topic(&mut self, name: &str, id: Uuid) {
        self.topics.push(TopicAnswer { name: name.to_owned(), id, partitions: Vec::new() });
    }

    /// Adds a partition to the topic begun last.
    pub fn partition(&mut self, answer: PartitionAnswer<R>) {
        if let Some(topic) = self.topics.last_mut() {
            topic.partitions.push(answer);
        }
    }

    /// The whole answer in pieces: length, header and body; records are the pieces that they were.
    ///
    /// # Errors
    /// When it is longer than a length can say.
    pub fn encode(self, correlation_id: i32, version: i16) -> Result<Vec<Piece<R>>, EncodeError> {
        let compact = version >= 12;
        let mut pieces = Vec::new();
        let mut out = begin(correlation_id, <FetchResponse as HeaderVersion>::header_version(version) >= 1);
        out.put_i32(0);
        if version >= 7 {
            out.put_i16(self.error_code);
            out.put_i32(self.session_id);
        }
        let mut lengths = Lengths::default();
        put_length(&mut out, compact, self.topics.len());
        for topic in self.topics {
            if version <= 12 {
                put_string(&mut out, compact, &topic.name);
            } else {
                out.put_slice(topic.id.as_bytes());
            }
            put_length(&mut out, compact, topic.partitions.len());
            for partition in topic.partitions {
                put_partition(&mut out, version, &partition);
                if let Some(records) = partition.records {
                    lengths.cut(&mut out, &mut pieces, records, partition.records_bytes);
                }
                put_no_tags(&mut out, compact);
            }
            put_no_tags(&mut out, compact);
        }
        put_no_tags(&mut out, compact);
        lengths.end(out, pieces).ok_or_else(|| EncodeError {
            api: kafka_protocol::messages::ApiKey::Fetch as i16,
            version,
            reason: "it is longer than 2 GiB".to_owned(),
        })
    }
}

/// Everything of a partition up to and with the length of its records.
fn put_partition<R>(out: &mut BytesMut, version: i16, answer: &PartitionAnswer<R>) {
    let compact = version >= 12;
    out.put_i32(answer.partition);
    out.put_i16(answer.error_code);
    out.put_i64(answer.high_watermark);
    out.put_i64(answer.last_stable);
    if version >= 5 {
        out.put_i64(answer.log_start);
    }
    // Without any an empty list, which every client takes, rather than none.
    put_length(out, compact, answer.aborted.len());
    for (producer_id, first_offset) in &answer.aborted {
        out.put_i64(*producer_id);
        out.put_i64(*first_offset);
        put_no_tags(out, compact);
    }
    if version >= 11 {
        out.put_i32(-1);
    }
    put_length(out, compact, answer.records_bytes);
}

fn put_no_tags(out: &mut BytesMut, compact: bool) {
    if compact {
        put_varint(out, 0);
    }
}

/// Keeps the first piece, whose length is known last.
#[derive(Default)]
struct Lengths {
    first: Option<BytesMut>,
    behind_first: usize,
}

impl Lengths {
    fn cut<R>(&mut self, out: &mut BytesMut, pieces: &mut Vec<Piece<R>>, records: R, records_bytes: usize) {
        let header = out.split();
        if self.first.is_none() {
            self.first = Some(header);
        } else {
            self.behind_first += header.len();
            pieces.push(Piece::Bytes(header.freeze()));
        }
        self.behind_first += records_bytes;
        pieces.push(Piece::Records(records));
    }

    fn end<R>(self, out: BytesMut, mut pieces: Vec<Piece<R>>) -> Option<Vec<Piece<R>>> {
        let Some(mut first) = self.first else {
            let mut only = out;
            finish(&mut only, 0)?;
            return Some(vec![Piece::Bytes(only.freeze())]);
        };
        finish(&mut first, self.behind_first + out.len())?;
        pieces.insert(0, Piece::Bytes(first.freeze()));
        pieces.push(Piece::Bytes(out.freeze()));
        Some(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;
    use kafka_protocol::protocol::Decodable;

    /// The pieces as a client gets them.
    fn whole(pieces: Vec<Piece<&'static [u8]>>) -> Bytes {
        let bytes = |piece| match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Records(records) => Bytes::from_static(records),
        };
        Bytes::from(pieces.into_iter().map(bytes).collect::<Vec<_>>().concat())
    }

    #[test]
    fn every_version_is_what_the_message_crate_reads() {
        for version in 4..=18 {
            let id = Uuid::from_u128(7);
            let mut answer = FetchAnswer::of_session(if version >= 7 { 4711 } else { 0 });
            answer.topic("one", id);
            for (partition, records) in [(0, Some(&b"abcde"[..])), (1, None)] {
                answer.partition(PartitionAnswer {
                    partition,
                    error_code: 0,
                    high_watermark: 9,
                    last_stable: 8,
                    log_start: 2,
                    aborted: vec![(5, 6), (7, 7)],
                    records,
                    records_bytes: records.map_or(0, <[u8]>::len),
                });
            }
            answer.topic("two", Uuid::from_u128(8));
            let records = Some(&b"fgh"[..]);
            answer.partition(PartitionAnswer {
                partition: 5,
                error_code: 3,
                high_watermark: -1,
                last_stable: -1,
                log_start: -1,
                aborted: Vec::new(),
                records,
                records_bytes: records.map_or(0, <[u8]>::len),
            });
            let mut bytes = whole(answer.encode(77, version).unwrap());
            assert_eq!(usize::try_from(bytes.get_i32()).unwrap(), bytes.len());
            assert_eq!(bytes.get_i32(), 77);
            if version >= 12 {
                assert_eq!(bytes.get_u8(), 0);
            }
            let read = FetchResponse::decode(&mut bytes, version).unwrap();
            assert!(bytes.is_empty(), "version {version}");
            assert_eq!(read.session_id, if version >= 7 { 4711 } else { 0 });
            assert_eq!(read.responses.len(), 2);
            if version <= 12 {
                assert_eq!(read.responses[0].topic.as_str(), "one");
            } else {
                assert_eq!(read.responses[0].topic_id, id);
            }
            let first = &read.responses[0].partitions[0];
            assert_eq!((first.high_watermark, first.records.as_deref()), (9, Some(&b"abcde"[..])));
            let aborted = first.aborted_transactions.as_deref().unwrap_or_default();
            let aborted: Vec<_> = aborted.iter().map(|one| (one.producer_id.0, one.first_offset)).collect();
            assert_eq!((first.last_stable_offset, aborted), (8, vec![(5, 6), (7, 7)]));
            assert_eq!(read.responses[0].partitions[1].records.as_deref(), Some(&b""[..]));
            assert_eq!(read.responses[1].partitions[0].error_code, 3);
        }
    }

    #[test]
    fn a_refusal_has_no_topics() {
        let mut bytes = whole(FetchAnswer::refused(70).encode(1, 13).unwrap());
        bytes.advance(9);
        assert_eq!(FetchResponse::decode(&mut bytes, 13).unwrap().error_code, 70);
    }
}
