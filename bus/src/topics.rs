//! The topics there are: names, ids, settings, partitions. Every change is on disk before it is told to anyone.

mod settings;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use logmill_bus_log::{LogError, LogStore, Partition};
use logmill_bus_protocol::ResponseError;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::epochs::Epochs;
use crate::groups::consumer::Catalogue;
use crate::meters::Traffic;
use crate::state_file::{Entries, NotWritten, StateFile};
use crate::state_key::{Change, StateKey};

pub(crate) use settings::{Defaults, Kind, Limits, SETTINGS, Setting, check_settings};

/// Partitions of one topic: each costs open files and a share of every group commit.
pub(crate) const PARTITIONS_PER_TOPIC_MAX: i32 = 1000;
/// Partitions of all topics together, for the same reason.
const PARTITIONS_MAX: usize = 10_000;
/// As in Kafka: a name becomes part of file names elsewhere.
const NAME_BYTES_MAX: usize = 249;

/// One partition of a topic.
#[derive(Clone)]
pub(crate) struct PartitionSlot {
    /// Its log; `None` when it could not be opened, which was reported then.
    pub(crate) log: Option<Arc<Partition>>,
    /// Its leader epochs.
    pub(crate) epochs: Arc<Epochs>,
}

/// One topic, as it is now: a change makes a new one.
#[derive(Clone)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    /// What was set for this topic; the rest are defaults.
    pub(crate) settings: BTreeMap<String, String>,
    /// What the settings amount to.
    pub(crate) limits: Limits,
    pub(crate) partitions: Vec<PartitionSlot>,
    /// What went in and out since the start.
    pub(crate) traffic: Arc<Traffic>,
}

impl Topic {
    /// The partition, when there is one of this number.
    pub(crate) fn partition(&self, partition: i32) -> Option<&PartitionSlot> {
        usize::try_from(partition).ok().and_then(|index| self.partitions.get(index))
    }

    fn entry(&self) -> TopicEntry {
        TopicEntry {
            id: self.id.as_hyphenated().to_string(),
            settings: self.settings.clone(),
            epochs: self.partitions.iter().map(|slot| (*slot.epochs).clone()).collect(),
            deleting: false,
        }
    }
}

/// A topic in the state file.
#[derive(Debug, Serialize, Deserialize)]
struct TopicEntry {
    id: String,
    settings: BTreeMap<String, String>,
    /// One a partition.
    epochs: Vec<Epochs>,
    /// Its records are being removed; a crash then goes on with that.
    #[serde(default)]
    deleting: bool,
}

/// A topic was not made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicError {
    #[error("there is a topic {0} already")]
    Exists(String),
    #[error("there is no such topic")]
    Unknown,
    #[error("`{0}` can't name a topic: use 1 to 249 letters, digits, dots, dashes and underscores")]
    Name(String),
    #[error("{asked} partitions: {problem}")]
    Partitions { asked: i32, problem: &'static str },
    #[error("{0}")]
    Setting(String),
    #[error(transparent)]
    State(#[from] NotWritten),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{0}")]
    Internal(String),
}

impl TopicError {
    /// The protocol's code for it.
    pub(crate) fn code(&self) -> i16 {
        match self {
            Self::Exists(_) => ResponseError::TopicAlreadyExists,
            Self::Unknown => ResponseError::UnknownTopicOrPartition,
            Self::Name(_) => ResponseError::InvalidTopicException,
            Self::Partitions { .. } => ResponseError::InvalidPartitions,
            Self::Setting(_) => ResponseError::InvalidConfig,
            Self::State(_) | Self::Log(_) => ResponseError::KafkaStorageError,
            Self::Internal(_) => ResponseError::UnknownServerError,
        }
        .code()
    }
}

/// All topics.
pub(crate) struct Topics {
    store: Arc<LogStore>,
    state: StateFile,
    defaults: Defaults,
    leader_epoch: i32,
    known: RwLock<Known>,
    /// Held while topics change: one change at a time.
    changing: Mutex<()>,
}

#[derive(Default)]
struct Known {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
    /// Names, ids and numbers of partitions, for those who must know when any of them changes.
    catalogue: Arc<Catalogue>,
}

impl Known {
    /// Makes the topic known as it is now; its logs follow its settings from here on.
    fn insert(&mut self, topic: Topic) -> Arc<Topic> {
        for log in topic.partitions.iter().filter_map(|slot| slot.log.as_ref()) {
            log.tune(topic.limits.tuning);
        }
        let topic = Arc::new(topic);
        let catalogue = Arc::make_mut(&mut self.catalogue);
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if catalogue.topics.insert(Arc::clone(&topic.name), (topic.id, count)) != Some((topic.id, count)) {
            catalogue.version += 1;
        }
        self.by_id.insert(topic.id, Arc::clone(&topic));
        self.by_name.insert(Arc::clone(&topic.name), Arc::clone(&topic));
        topic
    }
}

impl Topics {
    /// Brings back the topics of the state file and finishes what a crash interrupted. Blocks.
    pub(crate) fn restore(
        store: Arc<LogStore>,
        state: StateFile,
        defaults: Defaults,
        leader_epoch: i32,
        entries: &Entries,
    ) -> (Self, Vec<Change>) {
        let mut known = Known::default();
        let mut changes = Vec::new();
        for (key, value) in entries {
            let StateKey::Topic(name) = key else { continue };
            let entry = TopicEntry::deserialize(value).ok();
            let Some((entry, id)) = entry.and_then(|entry| Uuid::parse_str(&entry.id).ok().map(|id| (entry, id)))
            else {
                tracing::warn!(topic = name, "the entry of a topic is not understood; the topic is left out");
                continue;
            };
            if entry.deleting {
                match store.delete_topic(&id.as_hyphenated().to_string()) {
                    Ok(()) => changes.push(Change::remove(key.clone())),
                    Err(error) => tracing::warn!(topic = name, %error, "a topic can't be removed yet"),
                }
                continue;
            }
            let slot = |(partition, mut epochs): (i32, Epochs)| {
                let log = store.create(&id.as_hyphenated().to_string(), partition);
                let log = log.inspect_err(|error| tracing::error!(topic = name, partition, %error, "left out")).ok();
                let end = log.as_ref().map_or(0, |log| log.log_end());
                epochs.begin(leader_epoch, end);
                PartitionSlot { log, epochs: Arc::new(epochs) }
            };
            let topic = Topic {
                name: name.as_str().into(),
                id,
                limits: defaults.limits(&entry.settings),
                settings: entry.settings,
                traffic: Arc::default(),
                partitions: (0..).zip(entry.epochs.clone()).map(slot).collect(),
            };
            if topic.partitions.iter().zip(&entry.epochs).any(|(slot, before)| *slot.epochs != *before) {
                changes.extend(Change::set(key.clone(), &topic.entry()));
            }
            known.insert(topic);
        }
        let topics = Self { store, state, defaults, leader_epoch, known: RwLock::new(known), changing: Mutex::new(()) };
        (topics, changes)
    }

    pub(crate) fn named(&self, name: &str) -> Option<Arc<Topic>> {
        self.known.read().by_name.get(name).cloned()
    }

    pub(crate) fn with_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.known.read().by_id.get(&id).cloned()
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.known.read().by_name.values().cloned().collect()
    }

    /// Names, ids and numbers of partitions as they are now.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.known.read().catalogue)
    }

    /// What holds where a topic sets nothing.
    pub(crate) const fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Whether a topic could be made so; its partitions if so.
    pub(crate) fn check(
        &self,
        name: &str,
        partitions: Option<i32>,
        settings: &BTreeMap<String, String>,
    ) -> Result<i32, TopicError> {
        if !is_name(name) {
            return Err(TopicError::Name(name.to_owned()));
        }
        let known = self.known.read();
        if known.by_name.contains_key(name) {
            return Err(TopicError::Exists(name.to_owned()));
        }
        let asked = partitions.unwrap_or(self.defaults.partitions);
        let there = known.by_name.values().map(|topic| topic.partitions.len()).sum();
        check_partitions(asked, asked, there)?;
        check_settings(settings).map_err(TopicError::Setting)?;
        Ok(asked)
    }

    /// Makes a topic; by default with the configured number of partitions.
    pub(crate) async fn create(
        &self,
        name: &str,
        partitions: Option<i32>,
        settings: BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, TopicError> {
        let _one_at_a_time = self.changing.lock().await;
        let count = self.check(name, partitions, &settings)?;
        let mut topic = Topic {
            name: name.into(),
            id: Uuid::new_v4(),
            limits: self.defaults.limits(&settings),
            settings,
            partitions: Vec::new(),
            traffic: Arc::default(),
        };
        self.grow(&mut topic, count).await?;
        tracing::info!(topic = name, partitions = count, "made a topic");
        Ok(self.known.write().insert(topic))
    }

    /// Gives a topic more partitions.
    pub(crate) async fn add_partitions(&self, name: &str, count: i32, only_check: bool) -> Result<(), TopicError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut topic = self.named(name).map(Arc::unwrap_or_clone).ok_or(TopicError::Unknown)?;
        let more = count - i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let there = self.known.read().by_name.values().map(|topic| topic.partitions.len()).sum();
        check_partitions(count, more, there)?;
        if !only_check {
            self.grow(&mut topic, count).await?;
            self.known.write().insert(topic);
        }
        Ok(())
    }

    /// Writes the topic down with `count` partitions, then makes those that are missing: a crash between
    /// leaves partitions that the next start makes.
    async fn grow(&self, topic: &mut Topic, count: i32) -> Result<(), TopicError> {
        let mut fresh = Epochs::default();
        fresh.begin(self.leader_epoch, 0);
        let fresh = Arc::new(fresh);
        let first = topic.partitions.len();
        let slot = || PartitionSlot { log: None, epochs: Arc::clone(&fresh) };
        topic.partitions.resize_with(usize::try_from(count).unwrap_or(0), slot);
        self.write(topic).await?;
        let (store, id) = (Arc::clone(&self.store), topic.id.as_hyphenated().to_string());
        let numbers = i32::try_from(first).unwrap_or(i32::MAX)..count;
        let make = move || numbers.map(|number| store.create(&id, number)).collect::<Result<Vec<_>, _>>();
        let logs = blocking(make).await??;
        for (slot, log) in topic.partitions.iter_mut().skip(first).zip(logs) {
            slot.log = Some(log);
        }
        Ok(())
    }

    async fn write(&self, topic: &Topic) -> Result<(), TopicError> {
        let change = Change::set(StateKey::Topic(topic.name.to_string()), &topic.entry())
            .map_err(|error| TopicError::Internal(error.to_string()))?;
        Ok(self.state.put(vec![change]).await?)
    }

    /// Replaces what is set for a topic.
    pub(crate) async fn set(&self, name: &str, settings: BTreeMap<String, String>) -> Result<(), TopicError> {
        check_settings(&settings).map_err(TopicError::Setting)?;
        let _one_at_a_time = self.changing.lock().await;
        let mut topic = self.named(name).map(Arc::unwrap_or_clone).ok_or(TopicError::Unknown)?;
        topic.limits = self.defaults.limits(&settings);
        topic.settings = settings;
        self.write(&topic).await?;
        self.known.write().insert(topic);
        Ok(())
    }

    /// Removes a topic with its records.
    pub(crate) async fn delete(&self, topic: &Topic) -> Result<(), TopicError> {
        let _one_at_a_time = self.changing.lock().await;
        if self.with_id(topic.id).is_none() {
            return Err(TopicError::Unknown);
        }
        let key = StateKey::Topic(topic.name.to_string());
        let going = TopicEntry { deleting: true, ..topic.entry() };
        let change = Change::set(key.clone(), &going).map_err(|error| TopicError::Internal(error.to_string()))?;
        self.state.put(vec![change]).await?;
        {
            let mut known = self.known.write();
            known.by_name.remove(&topic.name);
            known.by_id.remove(&topic.id);
            let catalogue = Arc::make_mut(&mut known.catalogue);
            catalogue.topics.remove(&topic.name);
            catalogue.version += 1;
        }
        let (store, id) = (Arc::clone(&self.store), topic.id.as_hyphenated().to_string());
        blocking(move || store.delete_topic(&id)).await??;
        self.state.put(vec![Change::remove(key)]).await?;
        tracing::info!(topic = &*topic.name, "removed a topic");
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TopicError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| TopicError::Internal(error.to_string()))
}

fn check_partitions(asked: i32, more: i32, there: usize) -> Result<(), TopicError> {
    let refuse = |problem| Err(TopicError::Partitions { asked, problem });
    if more < 1 {
        return refuse("a topic has at least one, and never gets fewer or as many as it has");
    }
    if asked > PARTITIONS_PER_TOPIC_MAX {
        return refuse("a topic has at most 1000");
    }
    if there.saturating_add(usize::try_from(more).unwrap_or(0)) > PARTITIONS_MAX {
        return refuse("all topics together have at most 10000");
    }
    Ok(())
}

/// Whether Kafka would take it as the name of a topic.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_kafka_takes_them() {
        assert!(is_name("logs.raw") && is_name("a") && is_name("A_b-1"));
        assert!(!is_name("") && !is_name("..") && !is_name("a b") && !is_name("ä") && !is_name(&"x".repeat(250)));
    }

    #[test]
    fn numbers_of_partitions_have_bounds() {
        assert!(check_partitions(4, 4, 0).is_ok());
        assert!(check_partitions(0, 0, 0).is_err() && check_partitions(3, -1, 4).is_err());
        assert!(check_partitions(1001, 1001, 0).is_err() && check_partitions(10, 10, 9_995).is_err());
    }
}
