//! The task that reads the bus: from the offsets in the manifest, and no further ahead than the worker can follow.
//! Offsets are committed to the group for others to see; the store never reads them back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use logmill_bus_client::{Admin, ClientError, Connection, Consumer, ConsumerOptions, Next, Start, TopicPartition};
use logmill_core::retry::Backoff;
use logmill_core::{Shutdown, StatusBoard, topics};
use parking_lot::Mutex;

use super::worker::Order;
use crate::config::Config;
use crate::store::Store;

/// A batch's bounds: large enough to pay for handing it over, small enough not to delay a tick.
const BATCH_RECORDS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
const READ_WAIT: Duration = Duration::from_millis(100);
/// Round trips to the bus beyond this mean that it is away.
const BUS_TIMEOUT: Duration = Duration::from_secs(10);
/// New partitions are looked for this often.
const PARTITIONS_EVERY: Duration = Duration::from_secs(10);
/// Often enough for a fresh freshness, four small requests each.
const ENDS_EVERY: Duration = Duration::from_millis(500);
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// While the worker is busy, the reader waits this long before it offers again.
const FULL_TICK: Duration = Duration::from_millis(2);

/// Reads until asked to stop.
pub(crate) struct Reading {
    pub(crate) config: Arc<Config>,
    pub(crate) bus: Connection,
    pub(crate) store: Arc<Store>,
    pub(crate) board: Arc<StatusBoard>,
    pub(crate) orders: SyncSender<Order>,
    /// The consumer in use, for the last commit after the last flush.
    pub(crate) consumer: Arc<Mutex<Option<Arc<Consumer>>>>,
}

/// Why reading was broken off.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Bus(#[from] ClientError),
    /// The worker has ended: nobody takes records any more.
    #[error("the indexing thread has ended")]
    WorkerGone,
    #[error("the topic {0} has no partitions")]
    NoPartitions(String),
}

impl Reading {
    /// Reads until asked to stop, and through every absence of the bus.
    pub(crate) async fn run(self, shutdown: &Shutdown) {
        let mut backoff = Backoff::default();
        let mut next = self.store.durable_offsets();
        loop {
            let begun = Instant::now();
            let broken_off = tokio::select! {
                error = self.read(&mut next) => error,
                () = shutdown.wait() => return,
            };
            let Err(error) = broken_off;
            if matches!(error, ReadError::WorkerGone) {
                return;
            }
            if begun.elapsed() > BUS_TIMEOUT {
                backoff.reset();
            }
            tracing::warn!(%error, "reading the bus was broken off and is tried again");
            self.board.set_ready(false);
            self.board.set_problem("bus", Some(error.to_string()));
            self.store.looked(None);
            *self.consumer.lock() = None;
            if shutdown.unless(tokio::time::sleep(backoff.next_delay())).await.is_none() {
                return;
            }
        }
    }

    /// Reads until something fails. `next` is kept up: it is where reading goes on.
    async fn read(&self, next: &mut BTreeMap<i32, i64>) -> Result<std::convert::Infallible, ReadError> {
        let admin = Arc::new(Admin::new(&self.bus, BUS_TIMEOUT)?);
        admin.ensure_topics(&[(&self.config.topic, topics::DEFAULT_PARTITIONS)]).await?;
        let mut partitions = self.partitions(&admin).await?;
        let options =
            ConsumerOptions { fetch_wait: Duration::from_millis(100), ..ConsumerOptions::group(&self.config.group) };
        let consumer = Arc::new(Consumer::assign(&self.bus, &options, &[])?);
        self.assign(&consumer, &partitions, next).await?;
        *self.consumer.lock() = Some(consumer.clone());
        self.board.set_problem("bus", None);
        self.board.set_ready(true);
        let mut looked = Instant::now();
        let mut committed = (Instant::now(), BTreeMap::new());
        let ends = Ends::start(consumer.clone(), partitions.clone(), self.store.clone());
        loop {
            if let Next::Records(messages) = consumer.next(BATCH_RECORDS, BATCH_BYTES, READ_WAIT).await?
                && !messages.is_empty()
            {
                for message in &messages {
                    next.insert(message.partition, message.offset + 1);
                }
                self.hand_over(Order::Take(messages)).await?;
            }
            if committed.0.elapsed() > COMMIT_EVERY {
                committed.0 = Instant::now();
                self.commit(&consumer, &mut committed.1).await;
            }
            if looked.elapsed() > PARTITIONS_EVERY {
                looked = Instant::now();
                let now = self.partitions(&admin).await?;
                if now != partitions {
                    tracing::info!(from = partitions.len(), to = now.len(), "the topic has more partitions");
                    partitions = now;
                    self.assign(&consumer, &partitions, next).await?;
                    *ends.partitions.lock() = partitions.clone();
                }
            }
        }
    }

    async fn partitions(&self, admin: &Arc<Admin>) -> Result<Vec<TopicPartition>, ReadError> {
        let (admin, topic) = (admin.clone(), self.config.topic.clone());
        let found = blocking(move || admin.topics(Some(&topic))).await?;
        let count = found.first().map_or(0, |info| info.partitions);
        let topic: Arc<str> = self.config.topic.as_str().into();
        match count {
            0 => Err(ReadError::NoPartitions(self.config.topic.clone())),
            count => Ok((0..count).map(|partition| TopicPartition { topic: topic.clone(), partition }).collect()),
        }
    }

    /// Reads these partitions from where the store is in them.
    async fn assign(
        &self,
        consumer: &Arc<Consumer>,
        partitions: &[TopicPartition],
        next: &mut BTreeMap<i32, i64>,
    ) -> Result<(), ReadError> {
        let (asking, asked) = (consumer.clone(), partitions.to_vec());
        let ends = blocking(move || asking.ends(&asked, BUS_TIMEOUT)).await?;
        let mut starts = Vec::with_capacity(partitions.len());
        for (at, (low, high)) in partitions.iter().zip(ends) {
            let known = next.get(&at.partition).copied();
            let from = known.unwrap_or(low);
            let start = if from > high {
                // The bus has less than was read from it: it is another one, and all that it has is new.
                self.note_gap(format!(
                    "{}/{} ends at {high}, but {from} was read: the bus was replaced",
                    at.topic, at.partition
                ));
                self.hand_over(Order::Restart { partition: at.partition, offset: low }).await?;
                low
            } else {
                if from < low && from > 0 {
                    self.board.counter("lost_events").add(u64::try_from(low - from).unwrap_or(0));
                    self.note_gap(format!(
                        "{} records of {}/{} were deleted from the bus before they were indexed",
                        low - from,
                        at.topic,
                        at.partition
                    ));
                }
                from.max(low)
            };
            if known != Some(start) {
                self.store.begins_at(at.partition, start);
            }
            next.insert(at.partition, start);
            starts.push((at.clone(), Start::At(start)));
        }
        Ok(consumer.reassign(&starts)?)
    }

    fn note_gap(&self, problem: String) {
        tracing::error!(problem, "the bus and the store disagree");
        self.board.set_problem("gap", Some(problem));
    }

    async fn hand_over(&self, mut order: Order) -> Result<(), ReadError> {
        loop {
            match self.orders.try_send(order) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => order = back,
                Err(TrySendError::Disconnected(_)) => return Err(ReadError::WorkerGone),
            }
            tokio::time::sleep(FULL_TICK).await;
        }
    }

    async fn commit(&self, consumer: &Consumer, committed: &mut BTreeMap<i32, i64>) {
        let durable = self.store.durable_offsets();
        if durable == *committed {
            return;
        }
        match consumer.commit(&of_topic(&self.config.topic, &durable)).await {
            Ok(()) => *committed = durable,
            Err(error) => tracing::debug!(%error, "offsets are not committed; only the shown lag depends on it"),
        }
    }
}

/// Offsets as the bus client wants them.
pub(crate) fn of_topic(topic: &str, offsets: &BTreeMap<i32, i64>) -> Vec<(TopicPartition, i64)> {
    let topic: Arc<str> = topic.into();
    offsets.iter().map(|(at, next)| (TopicPartition { topic: topic.clone(), partition: *at }, *next)).collect()
}

/// Looks at the ends of the bus from time to time, on a thread of its own because the look blocks.
struct Ends {
    partitions: Arc<Mutex<Vec<TopicPartition>>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl Ends {
    fn start(consumer: Arc<Consumer>, partitions: Vec<TopicPartition>, store: Arc<Store>) -> Self {
        let ends = Self { partitions: Arc::new(Mutex::new(partitions)), stop: Arc::default() };
        let (partitions, stop) = (ends.partitions.clone(), ends.stop.clone());
        let look = move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let asked = partitions.lock().clone();
                // The instant before the question: what came later may be missing in the answer.
                let at = Timestamp::now();
                let found = consumer.ends(&asked, BUS_TIMEOUT);
                store.looked(found.ok().map(|ends| {
                    (at, asked.iter().map(|at| at.partition).zip(ends.into_iter().map(|(_, high)| high)).collect())
                }));
                std::thread::sleep(ENDS_EVERY);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("bus-ends".to_owned()).spawn(look) {
            tracing::warn!(%error, "the lag behind the bus will not be known");
        }
        ends
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ReadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        // The runtime is shutting down, and this task with it.
        Err(_) => Err(ReadError::WorkerGone),
    }
}
