//! Reading: by group (the cluster shares the partitions out) or by assignment (the reader keeps its own offsets).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use crate::{ClientError, Connection};

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

/// A record that was read.
#[derive(Clone, Debug)]
pub struct Message {
    /// The topic; shared by all messages of it.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// The record's time in milliseconds since 1970, when it has one.
    pub timestamp_ms: Option<i64>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; empty for a tombstone.
    pub value: Bytes,
    /// Names and values of headers.
    pub headers: Vec<(Box<str>, Bytes)>,
}

impl Message {
    /// The value of the last header called `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rev().find(|(key, _)| key.as_ref() == name).map(|(_, value)| value.as_ref())
    }

    /// The same as text, when it is UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// Where a reader begins in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that is kept.
    Earliest,
    /// At what comes from now on.
    Latest,
    /// At this offset; at the oldest kept when that is gone.
    At(i64),
    /// At the first record of this time (milliseconds since 1970) or later.
    Since(i64),
}

/// How a consumer reads.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// The group whose committed offsets are used; readers by assignment commit under it too, for lag to be seen.
    pub group: String,
    /// Bytes fetched ahead, in all.
    pub queue_bytes: usize,
    /// How long the broker may wait for more before it answers.
    pub fetch_wait: Duration,
    /// Where a group begins in a partition that it never committed.
    pub from_latest: bool,
}

impl ConsumerOptions {
    /// The defaults for a group.
    #[must_use]
    pub fn group(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            queue_bytes: 16 << 20,
            // Long polls: the broker answers as soon as there is a record.
            fetch_wait: Duration::from_millis(500),
            from_latest: false,
        }
    }
}

/// What a consumer has for its reader.
#[derive(Debug)]
pub enum Next {
    /// Records, in order within each partition; empty when nothing came within the wait.
    Records(Vec<Message>),
    /// These partitions are now this reader's (group readers only). Records follow.
    Assigned(Vec<TopicPartition>),
    /// These partitions are no longer this reader's: what was read of them and not committed will be read by another.
    Revoked(Vec<TopicPartition>),
}

/// Reads records.
pub struct Consumer {
    inner: StreamConsumer<Rebalances>,
    topics: Mutex<HashMap<String, Arc<str>>>,
    /// A record that came together with news of a rebalance: it belongs to the new assignment and is handed out after the news.
    held: Mutex<Option<Message>>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Consumer")
    }
}

#[derive(Default)]
struct Rebalances {
    pending: Mutex<Vec<Next>>,
}

impl ClientContext for Rebalances {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the bus client");
    }
}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            self.pending.lock().push(Next::Revoked(partitions_of(list)));
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            self.pending.lock().push(Next::Assigned(partitions_of(list)));
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let partition = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| TopicPartition {
        topic: element.topic().into(),
        partition: element.partition(),
    };
    list.elements().iter().map(partition).collect()
}

impl Consumer {
    /// Joins the group and reads whatever partitions of `topics` it is given.
    ///
    /// # Errors
    /// When the options don't fit together; an absent cluster is no error, reading waits for it.
    pub fn subscribe(connection: &Connection, options: &ConsumerOptions, topics: &[&str]) -> Result<Self, ClientError> {
        let consumer = Self::create(connection, options)?;
        consumer.inner.subscribe(topics).map_err(ClientError::during("can't subscribe"))?;
        Ok(consumer)
    }

    /// Reads exactly these partitions, from where it is told.
    ///
    /// # Errors
    /// When the options don't fit together.
    pub fn assign(
        connection: &Connection,
        options: &ConsumerOptions,
        partitions: &[(TopicPartition, Start)],
    ) -> Result<Self, ClientError> {
        let consumer = Self::create(connection, options)?;
        consumer.reassign(partitions)?;
        Ok(consumer)
    }

    /// Replaces what an assigned reader reads.
    ///
    /// # Errors
    /// When the list can't be applied.
    pub fn reassign(&self, partitions: &[(TopicPartition, Start)]) -> Result<(), ClientError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let mut by_time = TopicPartitionList::new();
        for (at, start) in partitions {
            let (list, offset) = match start {
                Start::Earliest => (&mut list, Offset::Beginning),
                Start::Latest => (&mut list, Offset::End),
                Start::At(offset) => (&mut list, Offset::Offset(*offset)),
                Start::Since(time_ms) => (&mut by_time, Offset::Offset(*time_ms)),
            };
            list.add_partition_offset(&at.topic, at.partition, offset).map_err(ClientError::during("can't assign"))?;
        }
        if by_time.count() > 0 {
            let found = self
                .inner
                .offsets_for_times(by_time, LOOKUP_TIMEOUT)
                .map_err(ClientError::during("can't look up offsets by time"))?;
            for element in found.elements() {
                let offset = if element.offset() == Offset::Invalid { Offset::End } else { element.offset() };
                list.add_partition_offset(element.topic(), element.partition(), offset)
                    .map_err(ClientError::during("can't assign"))?;
            }
        }
        self.inner.assign(&list).map_err(ClientError::during("can't assign"))
    }

    fn create(connection: &Connection, options: &ConsumerOptions) -> Result<Self, ClientError> {
        let mut config = connection.config()?;
        config
            .set("group.id", &options.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", if options.from_latest { "latest" } else { "earliest" })
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "range,roundrobin")
            // A stage killed with -9 is noticed, and its partitions move, within this time.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "2000")
            .set("max.poll.interval.ms", "300000")
            .set("fetch.wait.max.ms", options.fetch_wait.as_millis().to_string())
            .set("fetch.min.bytes", "1")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", (options.queue_bytes / 1024).max(1).to_string())
            .set("queued.min.messages", "10000")
            .set("check.crcs", "true")
            .set("fetch.message.max.bytes", "4194304")
            .set("receive.message.max.bytes", "100000000");
        let inner =
            config.create_with_context(Rebalances::default()).map_err(ClientError::during("can't make a consumer"))?;
        Ok(Self { inner, topics: Mutex::default(), held: Mutex::default() })
    }

    /// Waits for records, at most `wait` for the first; then takes what is already fetched, up to `records_max`
    /// records or about `bytes_max` bytes of values.
    ///
    /// # Errors
    /// When the cluster refuses to be read (not when it is away: then nothing comes).
    pub async fn next(&self, records_max: usize, bytes_max: usize, wait: Duration) -> Result<Next, ClientError> {
        let deadline = Instant::now() + wait;
        let mut records = Vec::new();
        let mut bytes = 0;
        if let Some(news) = self.take_news() {
            return Ok(news);
        }
        records.extend(self.held.lock().take());
        while records.len() < records_max && bytes < bytes_max {
            let patience =
                if records.is_empty() { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            let received = tokio::time::timeout(patience.min(REBALANCE_TICK), self.inner.recv()).await;
            let message = match received {
                Ok(Ok(message)) => Some(self.own(&message, records.last())),
                Ok(Err(error)) if is_passing(&error) => {
                    tracing::debug!(%error, "reading the bus");
                    None
                }
                Ok(Err(source)) => {
                    return Err(ClientError::Kafka { action: "can't read the bus".into(), cause: source });
                }
                Err(_) if records.is_empty() && Instant::now() < deadline => None,
                Err(_) => break,
            };
            // The callbacks of a rebalance run inside `recv`, before the record that it returns: what was read
            // earlier is handed out first, then the news, then that record.
            if self.has_news() {
                *self.held.lock() = message;
                break;
            }
            if let Some(message) = message {
                bytes += message.value.len();
                records.push(message);
            }
        }
        match records.is_empty().then(|| self.take_news()).flatten() {
            Some(news) => Ok(news),
            None => Ok(Next::Records(records)),
        }
    }

    fn has_news(&self) -> bool {
        !self.inner.context().pending.lock().is_empty()
    }

    fn take_news(&self) -> Option<Next> {
        let mut pending = self.inner.context().pending.lock();
        (!pending.is_empty()).then(|| pending.remove(0))
    }

    fn topic(&self, name: &str, before: Option<&Message>) -> Arc<str> {
        // Nearly always the same again.
        if let Some(before) = before.filter(|before| before.topic.as_ref() == name) {
            return before.topic.clone();
        }
        let mut topics = self.topics.lock();
        if let Some(known) = topics.get(name) {
            return known.clone();
        }
        let known: Arc<str> = name.into();
        topics.insert(name.to_owned(), known.clone());
        known
    }

    /// A copy of a record, its bytes in one allocation; `before` is the record before it.
    fn own(&self, message: &BorrowedMessage<'_>, before: Option<&Message>) -> Message {
        let (key, value) = (message.key(), message.payload().unwrap_or_default());
        let mut room = BytesMut::with_capacity(value.len() + key.map_or(0, <[u8]>::len) + HEADERS_BYTES);
        let mut keep = |bytes: &[u8]| {
            room.extend_from_slice(bytes);
            room.split().freeze()
        };
        let (value, key) = (keep(value), key.map(&mut keep));
        let headers = message.headers().map(|headers| {
            let header = |header: rdkafka::message::Header<'_, &[u8]>| {
                (Box::from(header.key), keep(header.value.unwrap_or_default()))
            };
            headers.iter().map(header).collect()
        });
        Message {
            topic: self.topic(message.topic(), before),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key,
            value,
            headers: headers.unwrap_or_default(),
        }
    }

    /// Commits, for the group, the offset of the next record to read in each partition.
    ///
    /// # Errors
    /// When the group has moved on or the cluster refused; the records will be read again.
    pub async fn commit(&self, next_offsets: &[(TopicPartition, i64)]) -> Result<(), ClientError> {
        self.commit_as(next_offsets, CommitMode::Async)
    }

    /// Commits and waits for the answer. Blocks the thread: for the last commit before stopping.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_blocking(&self, next_offsets: &[(TopicPartition, i64)]) -> Result<(), ClientError> {
        self.commit_as(next_offsets, CommitMode::Sync)
    }

    fn commit_as(&self, next_offsets: &[(TopicPartition, i64)], mode: CommitMode) -> Result<(), ClientError> {
        let mut list = TopicPartitionList::with_capacity(next_offsets.len());
        for (at, offset) in next_offsets {
            list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*offset))
                .map_err(ClientError::during("can't commit"))?;
        }
        self.inner.commit(&list, mode).map_err(ClientError::during("can't commit offsets"))
    }

    /// The ends of partitions as of now: the oldest kept offset and the one that the next record will get. Asked over
    /// this reader's own connection. Blocks the thread.
    ///
    /// # Errors
    /// When the cluster is away longer than `timeout`.
    pub fn ends(&self, partitions: &[TopicPartition], timeout: Duration) -> Result<Vec<(i64, i64)>, ClientError> {
        let ends = |at: &TopicPartition| {
            let asked = self.inner.fetch_watermarks(&at.topic, at.partition, timeout);
            asked.map_err(ClientError::during(format!("can't ask for the ends of {}/{}", at.topic, at.partition)))
        };
        partitions.iter().map(ends).collect()
    }

    /// Stops fetching these partitions until [`resume`](Self::resume): back-pressure.
    ///
    /// # Errors
    /// When a partition is not this reader's.
    pub fn pause(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.inner.pause(&list_of(partitions)).map_err(ClientError::during("can't pause"))
    }

    /// Fetches these partitions again.
    ///
    /// # Errors
    /// When a partition is not this reader's.
    pub fn resume(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.inner.resume(&list_of(partitions)).map_err(ClientError::during("can't resume"))
    }
}

/// Room for the values of a record's headers: source, origin and index. More get room of their own.
const HEADERS_BYTES: usize = 128;
/// Looking up offsets is a round trip or two; a cluster that takes longer is away.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// News of a rebalance wake nobody: they are looked for this often.
const REBALANCE_TICK: Duration = Duration::from_millis(200);

fn list_of(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition(&at.topic, at.partition);
    }
    list
}

/// Errors that the library recovers from by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::PollExceeded
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::AutoOffsetReset
        )
    )
}
