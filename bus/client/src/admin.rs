//! Asking the cluster about topics and groups, and making topics. Every call blocks its thread for at most the timeout.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::{ClientError, Connection};

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

/// Asks and changes.
pub struct Admin {
    connection: Connection,
    admin: AdminClient<DefaultClientContext>,
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
        let admin = connection.config()?.create().map_err(ClientError::during("can't make an admin client"))?;
        Ok(Self { connection: connection.clone(), admin, timeout })
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
        let options = AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout));
        let action = || format!("can't make the topic {name}");
        let answers = self.admin.create_topics([&topic], &options).await.map_err(ClientError::during(action()))?;
        match answers.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
                Err(ClientError::Kafka { action: action(), source: rdkafka::error::KafkaError::AdminOp(code) })
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
            self.admin.inner().fetch_metadata(name, self.timeout).map_err(ClientError::during("can't list topics"))?;
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
        let mut every = TopicPartitionList::new();
        for info in self.topics(None)?.into_iter().filter(|info| !info.name.starts_with("__")) {
            let mut partitions = Vec::new();
            for partition in 0..info.partitions {
                let ends = self.admin.inner().fetch_watermarks(&info.name, partition, self.timeout);
                let ends =
                    ends.map_err(ClientError::during(format!("can't ask for the ends of {}/{partition}", info.name)));
                let (low, high) = ends?;
                every.add_partition(&info.name, partition);
                partitions.push(PartitionOverview { partition, low, high, committed: BTreeMap::new() });
            }
            topics.push(TopicOverview { name: info.name, partitions });
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let groups = self
            .admin
            .inner()
            .fetch_group_list(None, self.timeout)
            .map_err(ClientError::during("can't list the groups"))?;
        for group in groups.groups() {
            let mut config = self.connection.config()?;
            config.set("group.id", group.name());
            let consumer: BaseConsumer = config.create().map_err(ClientError::during("can't make a consumer"))?;
            let found = consumer
                .committed_offsets(every.clone(), self.timeout)
                .map_err(ClientError::during(format!("can't ask how far {} has come", group.name())))?;
            for element in found.elements() {
                let Offset::Offset(offset) = element.offset() else { continue };
                let partition = topics
                    .iter_mut()
                    .find(|topic| topic.name == element.topic())
                    .and_then(|topic| topic.partitions.iter_mut().find(|known| known.partition == element.partition()));
                if let Some(partition) = partition {
                    partition.committed.insert(group.name().to_owned(), offset);
                }
            }
        }
        Ok(topics)
    }
}
