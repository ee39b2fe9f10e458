//! Sending: idempotent, compressed, in order a partition, retried for ever until the cluster answers.
//!
//! Records are sent in groups that are acknowledged together, because that is what every stage waits for:
//! a stretch of a file, the outputs of an input batch, the items of a `_bulk`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;

use crate::{ClientError, Connection};

/// How the values are compressed on the wire and on the broker's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Least time.
    Lz4,
    /// Least bytes; level 1.
    Zstd,
}

/// How a producer trades latency, memory and size.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// How the values are compressed.
    pub compression: Compression,
    /// How long a batch may wait for more records.
    pub linger: Duration,
    /// A batch is sent when it holds so many bytes.
    pub batch_bytes: usize,
    /// Sent but unacknowledged bytes, in all; beyond it [`Sending::push`] waits.
    pub queue_bytes: usize,
    /// The largest record; the topic's `max.message.bytes` must allow it.
    pub record_bytes_max: usize,
    /// A record that can't be stored ends the producer ([`DeliveryError::Fatal`]) instead of being overtaken by
    /// later ones: for senders whose readers take "later is stored" for "earlier is stored".
    pub gapless: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Zstd,
            linger: Duration::from_millis(5),
            batch_bytes: 1 << 20,
            queue_bytes: 32 << 20,
            record_bytes_max: 16 << 20,
            gapless: false,
        }
    }
}

/// A record to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    /// The topic.
    pub topic: &'r str,
    /// The partition; by the key's hash (murmur2, as Java clients do) when absent.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'r [u8]>,
    /// The value.
    pub value: &'r [u8],
    /// Names and values of headers.
    pub headers: &'r [(&'r str, &'r [u8])],
    /// Event time in milliseconds since 1970; the time of sending when absent.
    pub timestamp_ms: Option<i64>,
}

/// Where a record came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// A record was not stored, and sending it again as it is may not help.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The record is larger than the producer or the topic allows.
    #[error("the record is larger than the bus allows")]
    TooLarge,
    /// The producer can't go on (its sequence was lost); make a new one and send again from the last acknowledged record.
    #[error("the producer can't go on: {0}")]
    Fatal(String),
    /// The cluster refused the record.
    #[error("the bus refused the record: {0}")]
    Refused(String),
}

/// Sends records. Cloning shares the connection.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<ThreadedProducer<Reports>>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}

struct Reports;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // It warns of settings that are meant as they are, once a producer.
        match level {
            _ if facility == "CONFWARN" => tracing::debug!(facility, message, "the bus client"),
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => tracing::debug!(facility, message, "the bus client"),
            _ => tracing::warn!(facility, message, "the bus client"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the bus client");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(message) => Ok(Position { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(delivery_error(error)),
        };
        report.group.settle(report.index, outcome);
    }
}

struct Report {
    group: Arc<Group>,
    index: usize,
}

/// The records that are acknowledged together.
#[derive(Default)]
struct Group {
    /// Records without an answer, plus one while records are still being pushed.
    open: AtomicUsize,
    settled: Mutex<Settled>,
    done: Notify,
}

#[derive(Default)]
struct Settled {
    positions: Vec<Position>,
    first_error: Option<(usize, DeliveryError)>,
}

impl Group {
    fn settle(&self, index: usize, outcome: Result<Position, DeliveryError>) {
        {
            let mut settled = self.settled.lock();
            match outcome {
                Ok(position) => {
                    if settled.positions.len() <= index {
                        settled.positions.resize(index + 1, Position { partition: -1, offset: -1 });
                    }
                    if let Some(slot) = settled.positions.get_mut(index) {
                        *slot = position;
                    }
                }
                Err(error) => {
                    if settled.first_error.as_ref().is_none_or(|(first, _)| index < *first) {
                        settled.first_error = Some((index, error));
                    }
                }
            }
        }
        self.close_one();
    }

    fn close_one(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

/// A group of records on its way. Dropping it does not recall what was pushed.
pub struct Sending {
    producer: Producer,
    group: Arc<Group>,
    pushed: usize,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sending({} records)", self.pushed)
    }
}

impl Producer {
    /// Connects in the background: an absent cluster is no error, records wait for it.
    ///
    /// # Errors
    /// When the options don't fit together.
    pub fn new(connection: &Connection, options: &ProducerOptions) -> Result<Self, ClientError> {
        let mut config = connection.config()?;
        let codec = match options.compression {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        };
        config
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", options.gapless.to_string())
            .set("compression.codec", codec)
            .set("compression.level", "1")
            // Java's default partitioner, so that a record keeps its partition whoever sends it.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", options.linger.as_millis().to_string())
            .set("batch.size", options.batch_bytes.to_string())
            .set("batch.num.messages", "100000")
            .set("message.max.bytes", options.record_bytes_max.to_string())
            .set("queue.buffering.max.kbytes", (options.queue_bytes / 1024).max(1).to_string())
            // Bytes are the bound that matters; this one only has to stay out of its way.
            .set("queue.buffering.max.messages", "1000000")
            // Retry for ever: whoever sends stops reading instead of dropping.
            .set("message.timeout.ms", "0")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "1000")
            .set("socket.timeout.ms", "30000");
        let inner = config.create_with_context(Reports).map_err(ClientError::during("can't make a producer"))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Begins a group of records that will be acknowledged together.
    #[must_use]
    pub fn begin(&self) -> Sending {
        let group = Arc::new(Group { open: AtomicUsize::new(1), ..Group::default() });
        Sending { producer: self.clone(), group, pushed: 0 }
    }

    /// Waits until everything sent so far is answered, at most `timeout`; says whether it was. Blocks the thread.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.inner.flush(timeout).is_ok()
    }
}

impl Sending {
    /// Queues one record, waiting while the queue is full.
    ///
    /// # Errors
    /// When the record can never be sent; the records before it stay queued.
    pub async fn push(&mut self, record: &Record<'_>) -> Result<(), DeliveryError> {
        loop {
            match self.try_push(record) {
                Ok(true) => return Ok(()),
                // The library has no wake-up for room in its queue; a millisecond is a fraction of a batch.
                Ok(false) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Queues one record, blocking the thread while the queue is full: for stages that read on threads of their own.
    ///
    /// # Errors
    /// When the record can never be sent; the records before it stay queued.
    pub fn push_blocking(&mut self, record: &Record<'_>, give_up: &dyn Fn() -> bool) -> Result<bool, DeliveryError> {
        while !give_up() {
            if self.try_push(record)? {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(false)
    }

    /// Queues one record if there is room; `false` says the queue is full.
    ///
    /// # Errors
    /// When the record can never be sent.
    pub fn try_push(&mut self, record: &Record<'_>) -> Result<bool, DeliveryError> {
        let report = Box::new(Report { group: self.group.clone(), index: self.pushed });
        let mut base = BaseRecord::<[u8], [u8], _>::with_opaque_to(record.topic, report).payload(record.value);
        base.key = record.key;
        base.partition = record.partition;
        base.timestamp = record.timestamp_ms;
        if !record.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (key, value) in record.headers {
                headers = headers.insert(Header { key, value: Some(*value) });
            }
            base = base.headers(headers);
        }
        self.group.open.fetch_add(1, Ordering::AcqRel);
        match self.producer.inner.send(base) {
            Ok(()) => {
                self.pushed += 1;
                Ok(true)
            }
            Err((error, _)) => {
                self.group.open.fetch_sub(1, Ordering::AcqRel);
                match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::QueueFull) => Ok(false),
                    _ => Err(delivery_error(&error)),
                }
            }
        }
    }

    /// Waits until the bus has answered for every record; their places, in the order they were pushed.
    ///
    /// # Errors
    /// The first record that was not stored: its index and why. Records after it may have been stored.
    pub async fn acknowledged(self) -> Result<Vec<Position>, (usize, DeliveryError)> {
        self.group.close_one();
        while self.group.open.load(Ordering::Acquire) > 0 {
            self.group.done.notified().await;
        }
        let mut settled = self.group.settled.lock();
        match settled.first_error.take() {
            Some(failure) => Err(failure),
            None => Ok(std::mem::take(&mut settled.positions)),
        }
    }
}

fn delivery_error(error: &KafkaError) -> DeliveryError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => DeliveryError::TooLarge,
        Some(
            RDKafkaErrorCode::Fatal
            | RDKafkaErrorCode::GaplessGuarantee
            | RDKafkaErrorCode::PurgeQueue
            | RDKafkaErrorCode::PurgeInflight
            | RDKafkaErrorCode::OutOfOrderSequenceNumber
            | RDKafkaErrorCode::InvalidProducerEpoch
            | RDKafkaErrorCode::UnknownProducerId,
        ) => DeliveryError::Fatal(error.to_string()),
        _ => DeliveryError::Refused(error.to_string()),
    }
}
