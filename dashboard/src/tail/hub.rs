//! One reader of the bus for all who watch. It starts with the first of them and stops some time after the last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_bus_client::{ClientError, Connection, Consumer, ConsumerOptions, Message, Next, Start};
use logmill_core::retry::Backoff;
use logmill_core::{Shutdown, origin};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::database::now_ms;
use crate::status::partitions_of;

/// Records and bytes read at once; with the channel's length this bounds what waits for slow watchers.
const BATCH_RECORDS: usize = 512;
const BATCH_BYTES: usize = 512 << 10;
/// Batches that a watcher may be behind before it misses some.
const BATCHES_KEPT: usize = 16;
/// A page that is reloaded finds the reader still running.
const LINGER: Duration = Duration::from_secs(10);
/// What a new watcher gets of the time before it came: whoever searches at that moment misses nothing between what
/// is searchable already and what comes in now. Events have ids, so the browser leaves out what it has.
const OVERLAP: Duration = Duration::from_secs(2);
/// Each watcher tests every event: more than this would only slow all down.
const WATCHERS_MAX: usize = 64;

/// One event from the bus.
#[derive(Debug)]
pub(crate) struct TailEvent {
    /// The id that it has in the index: a client's choice, or its place on the bus.
    pub(crate) id: String,
    /// The index that it is on its way to.
    pub(crate) index: String,
    pub(crate) source: Value,
    /// How large it is as JSON.
    pub(crate) bytes: usize,
}

/// What came in, or why nothing can.
#[derive(Debug)]
pub(crate) enum Batch {
    Events(Vec<TailEvent>),
    Problem(String),
}

/// Shares one reader among all watchers.
#[derive(Debug)]
pub(crate) struct Hub {
    connection: Connection,
    topic: String,
    shutdown: Shutdown,
    running: Mutex<Option<Running>>,
    places: Arc<Semaphore>,
}

/// The reader, as watchers see it.
#[derive(Debug)]
struct Running {
    sender: broadcast::Sender<Arc<Batch>>,
    recent: VecDeque<(Instant, Arc<Batch>)>,
}

/// What a watcher watches.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What came in just before.
    pub(crate) recent: Vec<Arc<Batch>>,
    /// What comes in from now on.
    pub(crate) batches: broadcast::Receiver<Arc<Batch>>,
    /// Frees the place when it is dropped.
    pub(crate) place: OwnedSemaphorePermit,
}

impl Hub {
    /// A hub that reads nothing yet.
    pub(crate) fn new(connection: Connection, topic: &str, shutdown: Shutdown) -> Self {
        let places = Arc::new(Semaphore::new(WATCHERS_MAX));
        Self { connection, topic: topic.to_owned(), shutdown, running: Mutex::default(), places }
    }

    /// Begins to watch; `None` when too many watch already.
    pub(crate) fn watch(self: &Arc<Self>) -> Option<Watch> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let mut running = self.running.lock();
        if let Some(Running { sender, recent }) = running.as_ref() {
            let recent = recent.iter().filter(|(at, _)| at.elapsed() < OVERLAP).map(|(_, batch)| batch.clone());
            return Some(Watch { recent: recent.collect(), batches: sender.subscribe(), place });
        }
        let (sender, batches) = broadcast::channel(BATCHES_KEPT);
        *running = Some(Running { sender: sender.clone(), recent: VecDeque::new() });
        let hub = self.clone();
        tokio::spawn(async move { hub.shutdown.clone().unless(hub.read(sender)).await });
        Some(Watch { recent: Vec::new(), batches, place })
    }

    async fn read(&self, sender: broadcast::Sender<Arc<Batch>>) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            match self.read_until_unwatched(&sender, &mut backoff).await {
                Ok(()) => return,
                Err(error) => {
                    let problem = format!("the bus can't be read now: {error}");
                    self.pass_on(Batch::Problem(problem));
                    tokio::time::sleep(backoff.next_delay()).await;
                    if self.stop_if_unwatched(&sender) {
                        return;
                    }
                }
            }
        }
    }

    async fn read_until_unwatched(
        &self,
        sender: &broadcast::Sender<Arc<Batch>>,
        backoff: &mut Backoff,
    ) -> Result<(), ClientError> {
        let partitions = partitions_of(&self.connection, &self.topic).await?;
        let since = Start::Since(now_ms() - i64::try_from(OVERLAP.as_millis()).unwrap_or(0));
        let starts: Vec<_> = partitions.into_iter().map(|partition| (partition, since)).collect();
        let options = ConsumerOptions { queue_bytes: 4 << 20, ..ConsumerOptions::group("logmill-dashboard-tail") };
        let connection = self.connection.clone();
        // Looking up offsets by time blocks.
        let assigned = tokio::task::spawn_blocking(move || Consumer::assign(&connection, &options, &starts));
        let Ok(consumer) = assigned.await else { return Ok(()) };
        let consumer = consumer?;
        backoff.reset();
        let mut last_watched = Instant::now();
        loop {
            let next = consumer.next(BATCH_RECORDS, BATCH_BYTES, Duration::from_secs(1)).await?;
            if sender.receiver_count() > 0 {
                last_watched = Instant::now();
            } else if last_watched.elapsed() > LINGER && self.stop_if_unwatched(sender) {
                return Ok(());
            }
            if let Next::Records(records) = next
                && !records.is_empty()
                && sender.receiver_count() > 0
            {
                let events: Vec<_> = records.iter().filter_map(event_of).collect();
                self.pass_on(Batch::Events(events));
            }
        }
    }

    fn pass_on(&self, batch: Batch) {
        let batch = Arc::new(batch);
        // Under the lock: whoever comes now gets it once, either as recent or as new.
        if let Some(Running { sender, recent }) = self.running.lock().as_mut() {
            recent.push_back((Instant::now(), batch.clone()));
            while recent.len() > BATCHES_KEPT || recent.front().is_some_and(|(at, _)| at.elapsed() > OVERLAP) {
                recent.pop_front();
            }
            // Nobody listening is fine.
            let _ = sender.send(batch);
        }
    }

    /// Ends the sharing of this reader unless somebody came meanwhile.
    fn stop_if_unwatched(&self, sender: &broadcast::Sender<Arc<Batch>>) -> bool {
        let mut running = self.running.lock();
        let unwatched = sender.receiver_count() == 0;
        if unwatched {
            *running = None;
        }
        unwatched
    }
}

/// The event in a record; whatever is none is left out, as the index leaves it out.
fn event_of(record: &Message) -> Option<TailEvent> {
    let source: Value = serde_json::from_slice(&record.value).ok()?;
    let place = || format!("{}-{}", record.partition, record.offset);
    source.is_object().then(|| TailEvent {
        id: record.header_str(origin::ID_HEADER).map_or_else(place, str::to_owned),
        index: record.header_str(origin::INDEX_HEADER).unwrap_or_default().to_owned(),
        source,
        bytes: record.value.len(),
    })
}
