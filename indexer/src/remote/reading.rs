//! Reads the bus by its group, cuts what it reads into batches, and commits how far all of it was accepted. Nothing
//! else is remembered: after a crash the group's offsets say where to go on, and ids what is there already.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use logmill_bus_client::{Admin, ClientError, Connection, Consumer, ConsumerOptions, Message, Next, TopicPartition};
use logmill_core::retry::Backoff;
use logmill_core::stage::Counter;
use logmill_core::{Shutdown, StatusBoard, topics};
use tokio::task::JoinHandle;

use super::answer::Reason;
use super::deliver::{Delivery, Stopped};
use super::lag::Lag;
use super::record::{self, Item, Made, Op};
use crate::config::Config;

/// How long a read waits for records: so often everything else is looked at, too.
const TICK: Duration = Duration::from_millis(50);
/// What a crash within it repeats is found by its ids.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// A bus that does not answer within this time is away.
const BUS_TIMEOUT: Duration = Duration::from_secs(10);
/// A stop waits so long for answers; what is left is read again at the next start.
const DRAIN_MAX: Duration = Duration::from_secs(8);
/// A reader that is not asked for so long would be taken for dead after five minutes.
const BLOCKED_MAX: Duration = Duration::from_secs(30);

/// Reads until asked to stop.
pub(super) struct Reading {
    pub(super) config: Arc<Config>,
    pub(super) bus: Connection,
    pub(super) board: Arc<StatusBoard>,
    pub(super) delivery: Arc<Delivery>,
}

/// Offsets by partition.
type Offsets = BTreeMap<i32, i64>;

impl Reading {
    /// Reads through every absence of the bus.
    pub(super) async fn run(self, shutdown: &Shutdown) {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            let Err(error) = self.session(shutdown).await else { return };
            if begun.elapsed() > BUS_TIMEOUT {
                backoff.reset();
            }
            tracing::warn!(%error, "reading the bus was broken off and begins again where it was committed");
            self.board.set_ready(false);
            self.board.set_problem("bus", Some(error.to_string()));
            if shutdown.unless(tokio::time::sleep(backoff.next_delay())).await.is_none() {
                return;
            }
        }
    }

    /// Reads until asked to stop, or until the bus fails.
    async fn session(&self, shutdown: &Shutdown) -> Result<(), ClientError> {
        let admin = Arc::new(Admin::new(&self.bus, BUS_TIMEOUT)?);
        let wanted = [
            (self.config.topic.as_str(), topics::DEFAULT_PARTITIONS),
            (topics::DEAD_LETTER, topics::DEFAULT_PARTITIONS),
        ];
        let Some(made) = shutdown.unless(admin.ensure_topics(&wanted)).await else { return Ok(()) };
        made?;
        let options = ConsumerOptions::group(&self.config.group);
        let consumer = Arc::new(Consumer::subscribe(&self.bus, &options, &[&self.config.topic])?);
        let mut session = Session {
            reading: self,
            lag: Lag::start(consumer.clone(), admin, self.config.group.clone(), self.board.clone()),
            consumer,
            topic: self.config.topic.as_str().into(),
            owned: Vec::new(),
            gathered: Batch::default(),
            under_way: VecDeque::new(),
            is_ordered_under_way: false,
            is_paused: false,
            accepted: Offsets::new(),
            committed: Offsets::new(),
            committed_at: Instant::now(),
            empty: self.board.counter("dropped_empty"),
            stop: shutdown.child(),
        };
        let outcome = session.run(shutdown).await;
        // What is under way is either read again or no longer ours.
        session.stop.trigger();
        outcome
    }
}

/// Records that are sent together.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
    /// The offset after the last record of each partition.
    next: Offsets,
    since: Option<Instant>,
    /// It holds more than new documents, so that order matters.
    is_ordered: bool,
}

/// What lives from one connection to the bus to its end.
struct Session<'r> {
    reading: &'r Reading,
    consumer: Arc<Consumer>,
    topic: Arc<str>,
    lag: Lag,
    owned: Vec<TopicPartition>,
    gathered: Batch,
    /// Batches in the order in which they were read. Each is settled when all before it are.
    under_way: VecDeque<(Offsets, JoinHandle<Result<(), Stopped>>)>,
    /// The newest of them is ordered.
    is_ordered_under_way: bool,
    is_paused: bool,
    accepted: Offsets,
    committed: Offsets,
    committed_at: Instant,
    empty: Counter,
    stop: Shutdown,
}

impl Session<'_> {
    async fn run(&mut self, shutdown: &Shutdown) -> Result<(), ClientError> {
        let mut blocked: Option<Instant> = None;
        while !shutdown.requested() {
            self.settle().await?;
            self.commit_now_and_then().await;
            let is_full = self.is_due() && !self.send_if_there_is_room();
            if !is_full {
                blocked = None;
                if std::mem::take(&mut self.is_paused) {
                    self.consumer.resume(&self.owned)?;
                }
                self.read(self.room()).await?;
                continue;
            }
            if blocked.get_or_insert_with(Instant::now).elapsed() < BLOCKED_MAX {
                tokio::time::sleep(TICK).await;
                continue;
            }
            if !std::mem::replace(&mut self.is_paused, true) {
                self.consumer.pause(&self.owned)?;
            }
            // Nothing comes while all is paused but news of the group; what was fetched before is only a little.
            self.read(1).await?;
        }
        self.finish().await
    }

    /// How many more records the gathered batch may take.
    fn room(&self) -> usize {
        self.reading.config.remote.batch_events.saturating_sub(self.gathered.items.len()).max(1)
    }

    async fn read(&mut self, records: usize) -> Result<(), ClientError> {
        let linger = self.gathered.since.map_or(TICK, |since| self.linger().saturating_sub(since.elapsed()).min(TICK));
        let bytes = self.request_bytes().saturating_sub(self.gathered.bytes).max(1);
        match self.consumer.next(records, bytes, linger).await? {
            Next::Records(messages) => {
                for message in messages {
                    self.gather(message).await;
                }
            }
            Next::Assigned(partitions) => {
                tracing::debug!(?partitions, "assigned");
                self.owned.clone_from(&partitions);
                self.is_paused = false;
                self.lag.assigned(partitions);
                self.reading.board.set_problem("bus", None);
                self.reading.board.set_ready(true);
            }
            Next::Revoked(partitions) => {
                tracing::debug!(?partitions, "revoked");
                for TopicPartition { partition, .. } in &partitions {
                    // Whoever has it now reads it from what was committed. What is still under way is stored once.
                    self.accepted.remove(partition);
                    self.committed.remove(partition);
                    self.gathered.next.remove(partition);
                    for (next, _) in &mut self.under_way {
                        next.remove(partition);
                    }
                }
                self.owned.retain(|partition| !partitions.contains(partition));
                self.lag.revoked(&partitions);
            }
        }
        Ok(())
    }

    async fn gather(&mut self, message: Message) {
        self.gathered.since.get_or_insert_with(Instant::now);
        self.gathered.next.insert(message.partition, message.offset + 1);
        match record::item(message) {
            Made::Item(item) => {
                self.gathered.bytes += item.bytes();
                self.gathered.is_ordered |= item.op != Op::Create;
                self.gathered.items.push(item);
            }
            Made::Empty => self.empty.add(1),
            Made::Unknown(message) => {
                let reason = Reason {
                    kind: "illegal_argument_exception".to_owned(),
                    reason: "the operation of this record can't be asked of another engine".to_owned(),
                    status: 400,
                };
                // A stop leaves the record uncommitted.
                let _ = self.reading.delivery.bury(vec![(message, reason)], &self.stop).await;
            }
        }
    }

    fn linger(&self) -> Duration {
        self.reading.config.remote.batch_delay.0
    }

    fn request_bytes(&self) -> usize {
        self.reading.delivery.request_bytes.load(Ordering::Relaxed)
    }

    /// Whether the gathered batch should go.
    fn is_due(&self) -> bool {
        let batch = &self.gathered;
        batch.since.is_some_and(|since| {
            since.elapsed() >= self.linger()
                || batch.bytes >= self.request_bytes()
                || batch.items.len() >= self.reading.config.remote.batch_events
        })
    }

    /// Sends the gathered batch, unless enough are under way. One that replaces or deletes goes alone: a later
    /// version must not overtake an earlier one.
    fn send_if_there_is_room(&mut self) -> bool {
        let is_alone = self.gathered.is_ordered || self.is_ordered_under_way;
        let most = if is_alone { 1 } else { self.reading.config.remote.requests };
        if self.under_way.len() >= most {
            return false;
        }
        let Batch { items, next, is_ordered, .. } = std::mem::take(&mut self.gathered);
        self.is_ordered_under_way = is_ordered;
        let (delivery, stop) = (self.reading.delivery.clone(), self.stop.clone());
        self.under_way.push_back((next, tokio::spawn(async move { delivery.deliver(items, &stop).await })));
        true
    }

    /// Takes note of the batches that are settled, in their order.
    async fn settle(&mut self) -> Result<(), ClientError> {
        while self.under_way.front().is_some_and(|(_, task)| task.is_finished()) {
            self.settle_first().await?;
        }
        Ok(())
    }

    async fn settle_first(&mut self) -> Result<(), ClientError> {
        let Some((next, task)) = self.under_way.pop_front() else { return Ok(()) };
        match task.await {
            Ok(Ok(())) => {
                self.lag.accepted(&next);
                self.accepted.extend(next);
                Ok(())
            }
            // Beginning again at what is committed is right for whatever else it was.
            Ok(Err(Stopped)) => Err(ClientError::Refused {
                action: "can't write to the index".to_owned(),
                reason: "stopped before all was accepted".to_owned(),
            }),
            Err(error) => {
                Err(ClientError::Refused { action: "can't write to the index".to_owned(), reason: error.to_string() })
            }
        }
    }

    fn uncommitted(&self) -> Vec<(TopicPartition, i64)> {
        let new = self.accepted.iter().filter(|(partition, offset)| self.committed.get(partition) != Some(offset));
        new.map(|(partition, offset)| (TopicPartition { topic: self.topic.clone(), partition: *partition }, *offset))
            .collect()
    }

    async fn commit_now_and_then(&mut self) {
        if self.committed_at.elapsed() < COMMIT_EVERY {
            return;
        }
        self.committed_at = Instant::now();
        let list = self.uncommitted();
        if list.is_empty() {
            return;
        }
        match self.consumer.commit(&list).await {
            Ok(()) => self.committed.extend(list.into_iter().map(|(at, offset)| (at.partition, offset))),
            // The group has moved on; whoever has the partition now begins at the older offset.
            Err(error) => tracing::debug!(%error, "offsets are not committed"),
        }
    }

    /// Sends what was gathered, waits for the answers as long as a stop may take, and commits.
    async fn finish(&mut self) -> Result<(), ClientError> {
        let drained = tokio::time::timeout(DRAIN_MAX, async {
            while self.gathered.since.is_some() && !self.send_if_there_is_room() {
                self.settle_first().await?;
            }
            while !self.under_way.is_empty() {
                self.settle_first().await?;
            }
            Ok::<_, ClientError>(())
        });
        if !matches!(drained.await, Ok(Ok(()))) {
            tracing::warn!("stopped before everything that was read was accepted; it is read again at the next start");
        }
        let (consumer, list) = (self.consumer.clone(), self.uncommitted());
        if list.is_empty() {
            return Ok(());
        }
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || consumer.commit_blocking(&list)).await {
            tracing::warn!(%error, "the last offsets are not committed; their events are sent again");
        }
        Ok(())
    }
}
