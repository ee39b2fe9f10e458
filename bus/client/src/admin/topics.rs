//! Topics one by one: their partitions and settings, making, changing and deleting them.

use rdkafka::admin::{ConfigSource, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::{Admin, plain};
use crate::{ClientError, TopicPartition, raw_admin};

/// A partition, its ends and its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDetails {
    /// The partition.
    pub partition: i32,
    /// The broker that leads it; negative when none does.
    pub leader: i32,
    /// The brokers that keep it.
    pub replicas: Vec<i32>,
    /// Those that have all of it.
    pub in_sync: Vec<i32>,
    /// Offset of the oldest record that is kept.
    pub low: i64,
    /// Offset that the next record will get.
    pub high: i64,
}

/// A setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSetting {
    /// Its name, `retention.ms` for instance.
    pub name: String,
    /// Its value; absent when it is secret.
    pub value: Option<String>,
    /// Whether it was set for this topic; otherwise it is the cluster's.
    pub own: bool,
}

impl Admin {
    /// The partitions of a topic that is there. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout.
    pub fn partitions(&self, topic: &str) -> Result<Vec<PartitionDetails>, ClientError> {
        // All topics are asked for: to ask for one by name would make it on clusters that make topics by themselves.
        let metadata =
            self.admin.inner().fetch_metadata(None, self.timeout).map_err(self.failed("can't list topics"))?;
        let Some(found) = metadata.topics().iter().find(|each| each.name() == topic) else { return Ok(Vec::new()) };
        let mut partitions = Vec::with_capacity(found.partitions().len());
        for partition in found.partitions() {
            let (low, high) = self.ends(topic, partition.id())?;
            partitions.push(PartitionDetails {
                partition: partition.id(),
                leader: partition.leader(),
                replicas: partition.replicas().to_vec(),
                in_sync: partition.isr().to_vec(),
                low,
                high,
            });
        }
        partitions.sort_by_key(|each| each.partition);
        Ok(partitions)
    }

    /// The oldest kept offset of a partition and the one that its next record will get. Blocks.
    ///
    /// # Errors
    /// When the partition's leader is away longer than the timeout.
    pub fn ends(&self, topic: &str, partition: i32) -> Result<(i64, i64), ClientError> {
        let action = format!("can't ask for the ends of {topic}/{partition}");
        self.admin.inner().fetch_watermarks(topic, partition, self.timeout).map_err(self.failed(action))
    }

    /// The offset of the first record of `time_ms` (milliseconds since 1970) or later, for each of these partitions of a
    /// topic; absent where there is none. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout.
    pub fn offsets_since(
        &self,
        topic: &str,
        partitions: &[i32],
        time_ms: i64,
    ) -> Result<Vec<(i32, Option<i64>)>, ClientError> {
        let action = || format!("can't look up offsets of {topic} by time");
        let consumer: BaseConsumer =
            self.connection.config()?.create().map_err(ClientError::during("can't make a consumer"))?;
        let mut times = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            times
                .add_partition_offset(topic, *partition, Offset::Offset(time_ms))
                .map_err(ClientError::during(action()))?;
        }
        let found = consumer.offsets_for_times(times, self.timeout).map_err(self.failed(action()))?;
        let mut offsets = Vec::with_capacity(partitions.len());
        for element in found.elements() {
            element.error().map_err(self.failed(action()))?;
            let offset = if let Offset::Offset(offset) = element.offset() { Some(offset) } else { None };
            offsets.push((element.partition(), offset));
        }
        Ok(offsets)
    }

    /// The settings of a topic by name.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub async fn topic_settings(&self, topic: &str) -> Result<Vec<TopicSetting>, ClientError> {
        let action = format!("can't ask for the settings of {topic}");
        let answers = self.admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &self.options()).await;
        let mut settings = Vec::new();
        for resource in answers.map_err(self.failed(action.clone()))? {
            let resource = resource.map_err(|code| ClientError::refused(action.clone())(plain(code)))?;
            settings.extend(resource.entries.into_iter().map(|entry| TopicSetting {
                own: matches!(entry.source, ConfigSource::DynamicTopic),
                value: entry.value.filter(|_| !entry.is_sensitive),
                name: entry.name,
            }));
        }
        settings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(settings)
    }

    /// Makes a topic that is not there yet; without a number of partitions or replicas the cluster's defaults apply.
    /// Blocks.
    ///
    /// # Errors
    /// When it is there, when the cluster is away longer than the timeout, or refuses.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: Option<i32>,
        replicas: Option<i32>,
        settings: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        let counts = (partitions.unwrap_or(-1), replicas.unwrap_or(-1));
        let action = format!("can't make the topic {name}");
        raw_admin::create_topic(&self.raw(), name, counts, settings).map_err(ClientError::refused(action))
    }

    /// Gives a topic more partitions: `partitions` in all.
    ///
    /// # Errors
    /// When it has as many, when the cluster is away longer than the timeout, or refuses.
    pub async fn grow_topic(&self, name: &str, partitions: usize) -> Result<(), ClientError> {
        let action = format!("can't give the topic {name} {partitions} partitions");
        let answers = self.admin.create_partitions([&NewPartitions::new(name, partitions)], &self.options()).await;
        self.first(answers, action)
    }

    /// Sets some settings of a topic and takes others back to the cluster's default. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub fn alter_topic(&self, name: &str, set: &[(&str, &str)], unset: &[&str]) -> Result<(), ClientError> {
        let action = format!("can't change the settings of {name}");
        raw_admin::alter_topic_config(&self.raw(), name, set, unset).map_err(ClientError::refused(action))
    }

    /// Deletes a topic with all its records.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let action = format!("can't delete the topic {name}");
        let answers = self.admin.delete_topics(&[name], &self.options()).await;
        self.first(answers, action)
    }

    /// Deletes the records before these offsets; the oldest offset kept in each partition afterwards.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses for one of the partitions.
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<Vec<(TopicPartition, i64)>, ClientError> {
        let action = || "can't delete records".to_owned();
        let mut list = TopicPartitionList::with_capacity(before.len());
        for (at, offset) in before {
            list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*offset))
                .map_err(ClientError::during(action()))?;
        }
        let answered = self.admin.delete_records(&list, &self.options()).await.map_err(self.failed(action()))?;
        let mut kept = Vec::with_capacity(before.len());
        for element in answered.elements() {
            let at = TopicPartition { topic: element.topic().into(), partition: element.partition() };
            let action = || format!("can't delete records of {}/{}", at.topic, at.partition);
            element.error().map_err(self.failed(action()))?;
            let Offset::Offset(low) = element.offset() else {
                return Err(ClientError::refused(action())("no offset was answered".to_owned()));
            };
            kept.push((at, low));
        }
        Ok(kept)
    }

    /// The answer about the one topic that was asked for.
    fn first(
        &self,
        answers: rdkafka::error::KafkaResult<Vec<rdkafka::admin::TopicResult>>,
        action: String,
    ) -> Result<(), ClientError> {
        match answers.map_err(self.failed(action.clone()))?.into_iter().next() {
            Some(Err((_, code))) => Err(ClientError::refused(action)(plain(code))),
            _ => Ok(()),
        }
    }
}
