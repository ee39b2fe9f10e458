//! Reading partitions as a person does: every record as it is, and where a partition ends for now.

use std::time::Duration;

use bytes::Bytes;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::watch::Watch;
use crate::{ClientError, Connection};

impl ConsumerContext for Watch {}

/// A record with everything that it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// Its time in milliseconds since 1970, when it has one.
    pub timestamp_ms: Option<i64>,
    /// Its key, when it has one.
    pub key: Option<Bytes>,
    /// Its value; absent for a tombstone.
    pub value: Option<Bytes>,
    /// Names and values of headers.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A record.
    Record(ReadRecord),
    /// There is no more in this partition for now.
    End(i32),
    /// Nothing within the wait.
    Nothing,
    /// No broker can be reached just now, and why; reading goes on by itself when one comes back.
    Away(String),
}

/// Reads some partitions of one topic, in no group and committing nothing.
pub struct Reader {
    inner: BaseConsumer<Watch>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    /// Reads `topic` from these offsets of its partitions on; without `committed_only`, records of transactions that
    /// are open or were aborted are read too.
    ///
    /// # Errors
    /// When the options don't fit together.
    pub fn new(
        connection: &Connection,
        topic: &str,
        from: &[(i32, i64)],
        committed_only: bool,
    ) -> Result<Self, ClientError> {
        let mut config = connection.config()?;
        config
            // The library asks for a name; without a commit or a subscription no group comes of it.
            .set("group.id", "logmill-terminal")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", if committed_only { "read_committed" } else { "read_uncommitted" })
            .set("check.crcs", "true")
            // A person reads: what is fetched ahead of the eye must not fill the memory.
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.wait.max.ms", "500");
        let inner: BaseConsumer<Watch> = BaseConsumer::from_config_and_context(&config, Watch::default())
            .map_err(ClientError::during("can't make a consumer"))?;
        let mut list = TopicPartitionList::with_capacity(from.len());
        for (partition, offset) in from {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .map_err(ClientError::during("can't assign"))?;
        }
        inner.assign(&list).map_err(ClientError::during("can't assign"))?;
        Ok(Self { inner })
    }

    /// Waits for one thing to happen, at most `wait`. Blocks.
    ///
    /// # Errors
    /// When the cluster refuses to be read.
    pub fn next(&self, wait: Duration) -> Result<Read, ClientError> {
        match self.inner.poll(wait) {
            None => Ok(Read::Nothing),
            Some(Ok(message)) => Ok(Read::Record(own(&message))),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Read::End(partition)),
            Some(Err(source)) => match source.rdkafka_error_code() {
                Some(RDKafkaErrorCode::AllBrokersDown) => {
                    let heard = self.inner.context().last_failure();
                    let reason = heard.unwrap_or_else(|| "all brokers went away".to_owned());
                    Ok(Read::Away(reason))
                }
                // One connection of several, or one that the library makes anew by itself; and the name that it
                // insists on (see `new`) may be no group that this user could join.
                Some(
                    RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::GroupAuthorizationFailed,
                ) => Ok(Read::Nothing),
                _ => Err(ClientError::Kafka { action: "can't read".into(), cause: source }),
            },
        }
    }
}

fn own(message: &BorrowedMessage<'_>) -> ReadRecord {
    let header =
        |header: rdkafka::message::Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(Bytes::copy_from_slice));
    ReadRecord {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
    }
}
