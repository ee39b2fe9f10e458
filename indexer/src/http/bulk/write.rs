//! Appends documents to the bus. The index is a consumer like any other: it sees them when they come back from there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use logmill_bus_client::{Connection, DeliveryError, Position, Producer, ProducerOptions, Record};
use logmill_core::origin::{ID_HEADER, INDEX_HEADER, OP_HEADER, VERSION_HEADER};
use parking_lot::Mutex;

use super::ids::Ids;
use super::parse::Op;
use crate::query::error::EsError;
use crate::store::ids;

/// When the bus has not taken something for so long, new requests are refused at once instead of queued.
const STUCK: Duration = Duration::from_secs(5);
/// A client is told that the bus is away after so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A record on its way to the bus.
#[derive(Debug)]
pub(super) struct Outgoing<'o> {
    pub(super) index: &'o str,
    pub(super) id: Option<&'o str>,
    pub(super) op: Op,
    pub(super) version: u64,
    pub(super) value: &'o [u8],
}

/// Sends to the bus.
pub(in crate::http) struct Writer {
    /// The ids that requests write.
    pub(super) ids: Ids,
    bus: Connection,
    topic: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Made when it is first needed, and anew when it can't go on.
    producer: Option<Producer>,
    /// When each request began that the bus has not answered yet.
    open: BTreeMap<u64, Instant>,
    next: u64,
    /// The highest offset of each partition that was acknowledged here.
    written: BTreeMap<i32, i64>,
}

impl Writer {
    pub(in crate::http) fn new(bus: Connection, topic: String) -> Self {
        Self { ids: Ids::default(), bus, topic, state: Mutex::default() }
    }

    /// Whether the bus takes documents, as far as can be seen before sending any.
    pub(in crate::http) fn check(&self) -> Result<(), EsError> {
        let oldest = self.state.lock().open.values().next().copied();
        match oldest {
            Some(since) if since.elapsed() > STUCK => {
                let reason = "the bus has not acknowledged earlier documents for some seconds; try again later";
                Err(EsError::new(429, "es_rejected_execution_exception", reason))
            }
            _ => Ok(()),
        }
    }

    /// The last places that this writer has written to.
    pub(in crate::http) fn written(&self) -> Vec<Position> {
        let state = self.state.lock();
        state.written.iter().map(|(partition, offset)| Position { partition: *partition, offset: *offset }).collect()
    }

    /// Where this writer wrote the record with this number, if it may have.
    pub(super) fn written_at(&self, seq: u64) -> Option<Position> {
        let partition = ids::partition_of(seq);
        let offset = i64::try_from(seq & 0xffff_ffff_ffff).ok()?;
        let highest = self.state.lock().written.get(&partition).copied()?;
        (offset <= highest).then_some(Position { partition, offset })
    }

    /// Forgets what is on its way to an index that is no more.
    pub(in crate::http) fn forget_index(&self, index: &str) {
        self.ids.forget_index(index);
    }

    /// Sends documents and waits until the bus has them on disk; their places in order.
    pub(super) async fn write(
        &self,
        items: &[Outgoing<'_>],
        partitions: &BTreeSet<i32>,
    ) -> Result<Vec<Position>, EsError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        self.check()?;
        let open = Open::begin(self);
        let producer = self.producer()?;
        let sent = tokio::time::timeout(PATIENCE, self.send(&producer, items, partitions)).await;
        drop(open);
        match sent {
            Ok(Ok(positions)) => {
                let mut state = self.state.lock();
                for position in &positions {
                    let highest = state.written.entry(position.partition).or_insert(position.offset);
                    *highest = (*highest).max(position.offset);
                }
                Ok(positions)
            }
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => {
                let reason = "the bus did not acknowledge the documents in time; some may be stored all the same";
                Err(EsError::new(503, "unavailable_shards_exception", reason))
            }
        }
    }

    async fn send(
        &self,
        producer: &Producer,
        items: &[Outgoing<'_>],
        partitions: &BTreeSet<i32>,
    ) -> Result<Vec<Position>, DeliveryError> {
        let mut sending = producer.begin();
        for item in items {
            let mut headers: Vec<(&str, &[u8])> =
                vec![(INDEX_HEADER, item.index.as_bytes()), (OP_HEADER, item.op.name().as_bytes())];
            headers.extend(item.id.map(|id| (ID_HEADER, id.as_bytes())));
            let version = item.version.to_string();
            if item.version > 1 {
                headers.push((VERSION_HEADER, version.as_bytes()));
            }
            // All versions of an id lie in one partition, in order: that of its hash, or the one that it names itself,
            // because the first version lies there.
            let own = item.id.and_then(ids::seq_of).map(ids::partition_of);
            let record = Record {
                topic: &self.topic,
                partition: own.filter(|partition| partitions.contains(partition)),
                key: item.id.map(str::as_bytes),
                value: item.value,
                headers: &headers,
                timestamp_ms: None,
            };
            sending.push(&record).await?;
        }
        sending.acknowledged().await.map_err(|(_, error)| error)
    }

    fn producer(&self) -> Result<Producer, EsError> {
        let mut state = self.state.lock();
        if let Some(producer) = &state.producer {
            return Ok(producer.clone());
        }
        // A bulk request waits for its acknowledgement: batches need not wait for more.
        let options = ProducerOptions { linger: Duration::from_millis(1), ..ProducerOptions::default() };
        let producer = Producer::new(&self.bus, &options).map_err(EsError::internal)?;
        state.producer = Some(producer.clone());
        Ok(producer)
    }

    fn failed(&self, error: &DeliveryError) -> EsError {
        if let DeliveryError::Fatal(_) = error {
            self.state.lock().producer = None;
        }
        match error {
            DeliveryError::TooLarge => EsError::new(413, "content_too_long_exception", error.to_string()),
            other => EsError::new(503, "unavailable_shards_exception", other.to_string()),
        }
    }
}

/// Notes that a request waits for the bus.
struct Open<'w> {
    writer: &'w Writer,
    number: u64,
}

impl<'w> Open<'w> {
    fn begin(writer: &'w Writer) -> Self {
        let mut state = writer.state.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Instant::now());
        Self { writer, number }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.writer.state.lock().open.remove(&self.number);
    }
}
