//! One pipeline: reads its group's partitions, hands batches to their workers, commits what is acknowledged.
//!
//! Anything that goes wrong with the bus throws producer, consumer and workers away and begins again at the
//! committed offsets; what is then sent twice is told apart by its origin.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use logmill_bus_client::{
    Admin, ClientError, Connection, Consumer, ConsumerOptions, Message, Next, Producer, ProducerOptions, TopicPartition,
};
use logmill_core::retry::Backoff;
use logmill_core::{Shutdown, StatusBoard, topics};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::batch::Refused;
use super::worker::{Batch, Meters, Shared, Trouble, Worker};
use crate::pipeline::Pipeline;

/// How long a read waits for records: so often the runner looks at everything else, too.
const TICK: Duration = Duration::from_millis(100);
/// Offsets are committed this often: what a crash within it repeats is dropped by its origin.
const COMMIT_EVERY: Duration = Duration::from_millis(200);
/// A bus that does not answer within this time is away.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);
/// A stop waits so long for acknowledgements; what is left is repeated at the next start.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// A reader that is not asked for so long would be taken for dead after five minutes.
const BLOCKED_MAX: Duration = Duration::from_secs(30);
/// Permits count memory in this unit, so that a batch of any size fits their type.
const PERMIT_BYTES: usize = 1 << 10;

/// How a runner is bounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) batch_events: usize,
    pub(super) batch_bytes: usize,
    pub(super) in_flight_bytes: usize,
}

/// A pipeline that runs.
pub(super) struct Runner {
    pub(super) connection: Connection,
    pub(super) board: Arc<StatusBoard>,
    pub(super) meters: Meters,
    pub(super) limits: Limits,
    /// The newest version; taken at a batch boundary.
    pub(super) newest: watch::Receiver<Arc<Pipeline>>,
    /// Whether partitions were assigned.
    pub(super) ready: Arc<AtomicBool>,
}

enum Exit {
    Stopped,
    Trouble(Trouble),
}

impl Runner {
    /// Runs until asked to stop.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::default();
        let mut refused: HashMap<i32, Refused> = HashMap::new();
        let mut pipeline = self.newest.borrow_and_update().clone();
        while !shutdown.requested() {
            let begun = Instant::now();
            let problem = match self.session(&mut pipeline, &refused, &shutdown).await {
                Ok(Exit::Stopped) => return,
                Ok(Exit::Trouble(Trouble::TooLarge { partition, offset })) => {
                    *refused.entry(partition).or_default().entry(offset).or_default() += 1;
                    tracing::warn!(pipeline = pipeline.id, partition, offset, "an output is too large for the bus");
                    continue;
                }
                Ok(Exit::Trouble(Trouble::Broken(reason))) => reason,
                Err(error) => error.to_string(),
            };
            self.ready.store(false, Ordering::Release);
            if begun.elapsed() > Duration::from_secs(60) {
                backoff.reset();
            }
            tracing::warn!(pipeline = pipeline.id, problem, "the pipeline begins again where it last committed");
            self.board.set_problem("bus", Some(problem));
            if shutdown.unless(tokio::time::sleep(backoff.next_delay())).await.is_none() {
                return;
            }
        }
    }

    async fn session(
        &mut self,
        pipeline: &mut Arc<Pipeline>,
        refused: &HashMap<i32, Refused>,
        shutdown: &Shutdown,
    ) -> Result<Exit, ClientError> {
        let admin = Admin::new(&self.connection, ADMIN_TIMEOUT)?;
        let names: Vec<_> = pipeline.topics.iter().map(|topic| (topic.as_str(), topics::DEFAULT_PARTITIONS)).collect();
        match shutdown.unless(admin.ensure_topics(&names)).await {
            None => return Ok(Exit::Stopped),
            Some(made) => made?,
        }
        // The indexer takes a later origin of a source as proof that the earlier ones are stored.
        let options = ProducerOptions { gapless: true, ..ProducerOptions::default() };
        let producer = Producer::new(&self.connection, &options)?;
        let options = ConsumerOptions::group(&pipeline.group);
        let consumer = Consumer::subscribe(&self.connection, &options, &[&pipeline.topic])?;
        let (trouble, troubles) = mpsc::unbounded_channel();
        let shared = Shared {
            producer,
            progress: Mutex::default(),
            trouble,
            refused: refused.clone(),
            meters: self.meters.clone(),
        };
        let room = (self.limits.in_flight_bytes / PERMIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let mut session = Session {
            consumer: Arc::new(consumer),
            shared: Arc::new(shared),
            workers: HashMap::new(),
            assigned: Vec::new(),
            troubles,
            room: Arc::new(Semaphore::new(room)),
            room_total: u32::try_from(room).unwrap_or(u32::MAX),
            committed: HashMap::new(),
            committed_at: Instant::now(),
        };
        loop {
            if let Ok(trouble) = session.troubles.try_recv() {
                return Ok(Exit::Trouble(trouble));
            }
            let stop = shutdown.requested();
            if stop || self.newest.has_changed().unwrap_or(false) {
                if let Some(trouble) = session.drain(if stop { DRAIN_MAX } else { BLOCKED_MAX }).await {
                    return Ok(Exit::Trouble(trouble));
                }
                if stop {
                    return Ok(Exit::Stopped);
                }
                let names_before = pipeline.topics.clone();
                *pipeline = self.newest.borrow_and_update().clone();
                tracing::info!(pipeline = pipeline.id, hash = pipeline.hash, "the changed pipeline is taken");
                if pipeline.topics != names_before {
                    let names: Vec<_> =
                        pipeline.topics.iter().map(|topic| (topic.as_str(), topics::DEFAULT_PARTITIONS)).collect();
                    admin.ensure_topics(&names).await?;
                }
            }
            session.commit_now_and_then().await;
            let next = session.consumer.next(self.limits.batch_events, self.limits.batch_bytes, TICK).await?;
            if let Some(messages) = self.news(next, &mut session)
                && let Some(trouble) = self.hand_out(messages, pipeline, &mut session, shutdown).await?
            {
                return Ok(Exit::Trouble(trouble));
            }
        }
    }

    /// Takes note of a rebalance; gives records back.
    fn news(&self, next: Next, session: &mut Session) -> Option<Vec<Message>> {
        match next {
            Next::Records(messages) => return Some(messages).filter(|messages| !messages.is_empty()),
            Next::Assigned(partitions) => {
                tracing::debug!(?partitions, "assigned");
                session.assigned = partitions;
                self.board.set_problem("bus", None);
                self.ready.store(true, Ordering::Release);
            }
            Next::Revoked(partitions) => {
                tracing::debug!(?partitions, "revoked");
                for partition in &partitions {
                    session.workers.remove(partition);
                    session.shared.progress.lock().remove(partition);
                    session.committed.remove(partition);
                }
                session.assigned.retain(|partition| !partitions.contains(partition));
            }
        }
        None
    }

    /// Parts records by partition and gives them to the workers, once there is room in memory.
    async fn hand_out(
        &self,
        messages: Vec<Message>,
        pipeline: &Arc<Pipeline>,
        session: &mut Session,
        shutdown: &Shutdown,
    ) -> Result<Option<Trouble>, ClientError> {
        let mut parted: Vec<(TopicPartition, Vec<Message>)> = Vec::new();
        for message in messages {
            match parted.iter_mut().find(|(known, _)| known.partition == message.partition) {
                Some((_, list)) => list.push(message),
                None => {
                    let partition = TopicPartition { topic: message.topic.clone(), partition: message.partition };
                    parted.push((partition, vec![message]));
                }
            }
        }
        for (partition, messages) in parted {
            let bytes: usize = messages.iter().map(|message| message.value.len() + 100).sum();
            let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).min(session.room_total);
            let permit = match self.room_for(permits, session, shutdown).await? {
                Ok(permit) => permit,
                Err(trouble) => return Ok(trouble),
            };
            let shared = session.shared.clone();
            let worker = session.workers.entry(partition.clone()).or_insert_with(|| Worker::start(partition, shared));
            worker.give(Batch { messages, pipeline: pipeline.clone(), permit });
        }
        Ok(None)
    }

    /// Waits for room. While it takes long, the partitions are paused and the reader still asks for news, so that
    /// the group does not take it for dead. What was read and has no room yet is kept by the caller.
    async fn room_for(
        &self,
        permits: u32,
        session: &mut Session,
        shutdown: &Shutdown,
    ) -> Result<Result<OwnedSemaphorePermit, Option<Trouble>>, ClientError> {
        let waiting = session.room.clone().acquire_many_owned(permits);
        tokio::pin!(waiting);
        let blocked_at = Instant::now();
        let mut paused = false;
        loop {
            tokio::select! {
                biased;
                permit = &mut waiting => {
                    if paused {
                        session.consumer.resume(&session.assigned)?;
                    }
                    return Ok(permit.map_err(|_| Some(Trouble::Broken("the room is closed".into()))));
                }
                trouble = session.troubles.recv() => {
                    return Ok(Err(Some(trouble.unwrap_or_else(|| Trouble::Broken("the workers are gone".into())))));
                }
                () = tokio::time::sleep(TICK) => {}
            }
            // A stop gives up what was read and has no room: it was not committed.
            if shutdown.requested() && blocked_at.elapsed() > DRAIN_MAX {
                return Ok(Err(Some(Trouble::Broken("stopped while the bus was away".into()))));
            }
            session.commit_now_and_then().await;
            if blocked_at.elapsed() > BLOCKED_MAX {
                if !paused {
                    session.consumer.pause(&session.assigned)?;
                    paused = true;
                }
                let next = session.consumer.next(1, 1, TICK).await?;
                if self.news(next, session).is_some() {
                    // A paused partition gave a record: reading begins again where it is committed.
                    return Ok(Err(Some(Trouble::Broken("a paused partition was read".into()))));
                }
            }
        }
    }
}

/// What lives from one connection to the bus to its end.
struct Session {
    consumer: Arc<Consumer>,
    shared: Arc<Shared>,
    workers: HashMap<TopicPartition, Worker>,
    assigned: Vec<TopicPartition>,
    troubles: mpsc::UnboundedReceiver<Trouble>,
    room: Arc<Semaphore>,
    room_total: u32,
    committed: HashMap<TopicPartition, i64>,
    committed_at: Instant,
}

impl Session {
    /// What is acknowledged and not yet committed.
    fn uncommitted(&self) -> Vec<(TopicPartition, i64)> {
        let progress = self.shared.progress.lock();
        let new = progress.iter().filter(|(partition, offset)| self.committed.get(partition) != Some(offset));
        new.map(|(partition, offset)| (partition.clone(), *offset)).collect()
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
            Ok(()) => self.committed.extend(list),
            // The group has moved on; whoever has the partition now begins at the older offset.
            Err(error) => tracing::debug!(%error, "offsets not committed"),
        }
    }

    /// Waits until everything handed out is acknowledged, and commits it. Trouble says that it can't be.
    async fn drain(&mut self, longest: Duration) -> Option<Trouble> {
        let room = self.room.clone();
        let all = room.acquire_many(self.room_total);
        tokio::select! {
            _ = all => {}
            trouble = self.troubles.recv() => return trouble,
            () = tokio::time::sleep(longest) => {
                return Some(Trouble::Broken(format!("no acknowledgement for {longest:?}")));
            }
        }
        let list = self.uncommitted();
        if !list.is_empty() {
            let consumer = self.consumer.clone();
            let given = list.clone();
            match tokio::task::spawn_blocking(move || consumer.commit_blocking(&given)).await {
                Ok(Ok(())) => self.committed.extend(list),
                Ok(Err(error)) => tracing::warn!(%error, "offsets not committed; the events will be read again"),
                Err(error) => return Some(Trouble::Broken(error.to_string())),
            }
        }
        None
    }
}
