//! Appends documents to the bus. The index is a consumer like any other: it sees them when they come back from there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use logmill_bus_client::{Connection, DeliveryError, Position, Producer, ProducerOptions, Record};
use logmill_core::origin::{ID_HEADER, INDEX_HEADER, OP_HEADER};
use parking_lot::Mutex;

use super::Item;
use crate::query::error::EsError;

/// When the bus has not taken something for so long, new requests are refused at once instead of queued.
const STUCK: Duration = Duration::from_secs(5);
/// A client is told that the bus is away after so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends to the bus.
pub(in crate::http) struct Writer {
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
        Self { bus, topic, state: Mutex::default() }
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

    /// Sends documents and waits until the bus has them on disk; their places in order.
    pub(super) async fn write(&self, items: &[&Item<'_>]) -> Result<Vec<Position>, EsError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        self.check()?;
        let open = Open::begin(self);
        let producer = self.producer()?;
        let sent = tokio::time::timeout(PATIENCE, self.send(&producer, items)).await;
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

    async fn send(&self, producer: &Producer, items: &[&Item<'_>]) -> Result<Vec<Position>, DeliveryError> {
        let mut sending = producer.begin();
        for item in items {
            let mut headers: Vec<(&str, &[u8])> =
                vec![(INDEX_HEADER, item.index.as_bytes()), (OP_HEADER, item.op.name().as_bytes())];
            if let Some(id) = &item.id {
                headers.push((ID_HEADER, id.as_bytes()));
            }
            let record = Record {
                topic: &self.topic,
                partition: None,
                // All versions of an id lie in one partition, in order.
                key: item.id.as_deref().map(str::as_bytes),
                value: item.document,
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
