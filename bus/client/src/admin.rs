//! Asking the cluster about topics, groups and ACLs, and changing them. Every call that is not async blocks its thread
//! for at most about the timeout.

mod acls;
mod groups;
mod topics;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::raw_admin::Handle;
use crate::watch::Watch;
use crate::{ClientError, Connection};

pub use groups::{GroupDetails, GroupListing, GroupMember};
pub use topics::{PartitionDetails, TopicSetting};

/// A topic and how many partitions it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its partitions, numbered from 0.
    pub partitions: i32,
}

/// A topic with the ends of its partitions and how far each group has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOverview {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<PartitionOverview>,
}

/// The ends of a partition and how far each group has come in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOverview {
    /// The partition.
    pub partition: i32,
    /// Offset of the oldest record that is kept.
    pub low: i64,
    /// Offset that the next record will get.
    pub high: i64,
    /// Group → the offset that it will read next, for the groups that have committed one.
    pub committed: BTreeMap<String, i64>,
}

/// How long a probe waits before it looks whether waiting makes sense.
const PROBE_PATIENCE: Duration = Duration::from_millis(250);

/// Asks and changes.
pub struct Admin {
    connection: Connection,
    admin: AdminClient<Watch>,
    timeout: Duration,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    /// Connects in the background.
    ///
    /// # Errors
    /// When no broker is configured.
    pub fn new(connection: &Connection, timeout: Duration) -> Result<Self, ClientError> {
        let admin = AdminClient::from_config_and_context(&connection.config()?, Watch::default())
            .map_err(ClientError::during("can't make an admin client"))?;
        Ok(Self { connection: connection.clone(), admin, timeout })
    }

    /// As [`new`](Self::new), once the cluster answers. Blocks, and for less than the timeout when it is clear that it
    /// won't.
    ///
    /// # Errors
    /// When no broker is configured, or none answers; then with the reason.
    pub fn reach(connection: &Connection, timeout: Duration) -> Result<Self, ClientError> {
        // A consumer because it hands out the news that tell why; an admin client keeps them to itself.
        let probe: BaseConsumer<Watch> = BaseConsumer::from_config_and_context(&connection.config()?, Watch::default())
            .map_err(ClientError::during("can't make a client"))?;
        let deadline = Instant::now() + timeout;
        let mut patience = PROBE_PATIENCE;
        while let Err(error) =
            probe.client().fetch_metadata(None, patience.min(deadline.saturating_duration_since(Instant::now())))
        {
            while probe.poll(Duration::ZERO).is_some() {}
            let heard = probe.context();
            if heard.is_hopeless() || Instant::now() >= deadline {
                let reason = heard.last_failure().unwrap_or_else(|| error.to_string());
                return Err(ClientError::Away { brokers: connection.brokers.join(", "), reason });
            }
            // A large cluster takes its time to tell of all its topics.
            patience *= 2;
        }
        Self::new(connection, timeout)
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    fn raw(&self) -> Handle<'_> {
        Handle::new(self.admin.inner(), self.timeout)
    }

    /// Turns what the library says into what a person can use.
    fn failed(&self, action: impl Into<String>) -> impl FnOnce(KafkaError) -> ClientError {
        let action = action.into();
        move |source| match source.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SSL,
            ) => {
                let heard = self.admin.inner().context().last_failure();
                let reason = heard.unwrap_or_else(|| format!("no answer within {:?}", self.timeout));
                ClientError::Away { brokers: self.connection.brokers.join(", "), reason }
            }
            Some(code) => ClientError::Refused { action, reason: plain(code) },
            None => ClientError::Kafka { action, cause: source },
        }
    }

    /// Makes the topics that are missing; those that are there keep their partitions.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub async fn ensure_topics(&self, topics: &[(&str, i32)]) -> Result<(), ClientError> {
        for (name, partitions) in topics {
            self.ensure_topic(name, *partitions, &[]).await?;
        }
        Ok(())
    }

    /// Makes one topic with these topic configs, unless it is there.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub async fn ensure_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> Result<(), ClientError> {
        // Replication -1 leaves it to the cluster's default: one here, more on a real cluster.
        let topic = NewTopic {
            name,
            num_partitions: partitions,
            replication: TopicReplication::Fixed(-1),
            config: config.to_vec(),
        };
        let action = || format!("can't make the topic {name}");
        let answers =
            self.admin.create_topics([&topic], &self.options()).await.map_err(ClientError::during(action()))?;
        match answers.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
                Err(ClientError::Kafka { action: action(), cause: rdkafka::error::KafkaError::AdminOp(code) })
            }
            _ => Ok(()),
        }
    }

    /// All topics, or the one named. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout.
    pub fn topics(&self, name: Option<&str>) -> Result<Vec<TopicInfo>, ClientError> {
        let metadata =
            self.admin.inner().fetch_metadata(name, self.timeout).map_err(self.failed("can't list topics"))?;
        let known = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let info = |topic: &rdkafka::metadata::MetadataTopic| TopicInfo {
            name: topic.name().to_owned(),
            partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
        };
        Ok(known.map(info).collect())
    }

    /// Every topic (but the cluster's own) with the ends of its partitions and the groups that read it. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout.
    pub fn overview(&self) -> Result<Vec<TopicOverview>, ClientError> {
        let mut topics = Vec::new();
        for info in self.topics(None)?.into_iter().filter(|info| !info.name.starts_with("__")) {
            let mut partitions = Vec::new();
            for partition in 0..info.partitions {
                let (low, high) = self.ends(&info.name, partition)?;
                partitions.push(PartitionOverview { partition, low, high, committed: BTreeMap::new() });
            }
            topics.push(TopicOverview { name: info.name, partitions });
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        for group in self.groups()? {
            for (at, offset) in self.committed(&group.name)? {
                let partition = topics
                    .iter_mut()
                    .find(|topic| *topic.name == *at.topic)
                    .and_then(|topic| topic.partitions.iter_mut().find(|known| known.partition == at.partition));
                if let Some(partition) = partition {
                    partition.committed.insert(group.name.clone(), offset);
                }
            }
        }
        Ok(topics)
    }
}

/// What a code means, without the name that programs have for it:
/// `TopicAlreadyExists (Broker: Topic already exists)` is `topic already exists`.
fn plain(code: RDKafkaErrorCode) -> String {
    let long = code.to_string();
    let inner = long.split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(&long);
    let inner = inner.strip_prefix("Broker: ").or_else(|| inner.strip_prefix("Local: ")).unwrap_or(inner);
    let mut letters = inner.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_in_words() {
        assert_eq!(plain(RDKafkaErrorCode::TopicAlreadyExists), "topic already exists");
        assert_eq!(plain(RDKafkaErrorCode::OperationTimedOut), "timed out");
    }
}
