//! One partition: batches are processed in order, and while one waits for its acknowledgement the next is worked on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use logmill_bus_client::{DeliveryError, Message, Producer, Record, Sending, TopicPartition};
use logmill_core::stage::Counter;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::batch::{Outgoing, Refused, Tools, grave, process, too_large};
use super::dead_letter::Body;
use crate::pipeline::Pipeline;

/// Batches of one partition that may wait for their acknowledgement: enough to cover the bus's group commit, few
/// enough that little is sent twice after a crash. Bytes are bounded by the permits.
const UNACKNOWLEDGED_MAX: usize = 8;

/// What all workers of a pipeline share.
pub(super) struct Shared {
    pub(super) producer: Producer,
    pub(super) progress: Mutex<HashMap<TopicPartition, i64>>,
    pub(super) trouble: mpsc::UnboundedSender<Trouble>,
    pub(super) refused: HashMap<i32, Refused>,
    pub(super) meters: Meters,
}

/// The stage's running totals.
#[derive(Clone)]
pub(super) struct Meters {
    pub(super) events: Counter,
    pub(super) bytes: Counter,
    pub(super) outputs: Counter,
    pub(super) dropped: Counter,
    pub(super) dead: Counter,
    pub(super) empty: Counter,
}

/// Why the pipeline must begin again from what is committed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The producer, or the task of a worker, is gone.
    Broken(String),
    /// The bus took everything but the output of this input.
    TooLarge { partition: i32, offset: i64 },
}

/// A batch on its way in.
pub(super) struct Batch {
    pub(super) messages: Vec<Message>,
    pub(super) pipeline: Arc<Pipeline>,
    /// Room in memory, given back once the batch is acknowledged.
    pub(super) permit: OwnedSemaphorePermit,
}

/// A partition's worker. Dropping it forgets what it has not yet begun, and nothing of it is committed any more.
pub(super) struct Worker {
    batches: mpsc::UnboundedSender<Batch>,
    wanted: Arc<AtomicBool>,
}

impl Worker {
    pub(super) fn start(partition: TopicPartition, shared: Arc<Shared>) -> Self {
        // Bounded by the permits that its batches hold.
        let (batches, queue) = mpsc::unbounded_channel();
        let (acks, waiting) = mpsc::channel(UNACKNOWLEDGED_MAX);
        let wanted = Arc::new(AtomicBool::new(true));
        tokio::spawn(work(queue, acks, shared.clone(), partition.partition, wanted.clone()));
        tokio::spawn(acknowledge(waiting, shared, partition, wanted.clone()));
        Self { batches, wanted }
    }

    pub(super) fn give(&self, batch: Batch) {
        // Only fails when the worker has reported trouble, and then everything begins anew.
        let _ = self.batches.send(batch);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Release);
    }
}

struct Waiting {
    sending: Sending,
    /// Of each record sent: the offset of its input.
    offsets: Vec<i64>,
    next_offset: i64,
    counts: Counts,
    permit: OwnedSemaphorePermit,
}

struct Counts {
    events: u64,
    bytes: u64,
    outputs: u64,
    dropped: u64,
    dead: u64,
    empty: u64,
}

/// Milliseconds are what record times have; more digits would only cost bytes.
fn clock() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or_default()
}

async fn work(
    mut queue: mpsc::UnboundedReceiver<Batch>,
    acks: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
    partition: i32,
    wanted: Arc<AtomicBool>,
) {
    let mut tools = Tools::new();
    let refused = Arc::new(shared.refused.get(&partition).cloned().unwrap_or_default());
    while let Some(batch) = queue.recv().await {
        if !wanted.load(Ordering::Acquire) {
            return;
        }
        let Batch { messages, pipeline, permit } = batch;
        let (refused, used) = (refused.clone(), pipeline.clone());
        let run = move || {
            let produced = process(&used, &messages, &refused, clock(), &mut tools);
            (messages, produced, tools)
        };
        let (messages, produced, returned) = match tokio::task::spawn_blocking(run).await {
            Ok(done) => done,
            Err(error) => return drop(shared.trouble.send(Trouble::Broken(format!("a worker ended: {error}")))),
        };
        tools = returned;
        let Some(last) = messages.last() else { continue };
        let counts = Counts {
            events: messages.len() as u64,
            bytes: messages.iter().map(|message| message.value.len() as u64).sum(),
            outputs: produced.records.len() as u64 - produced.dead,
            dropped: produced.dropped,
            dead: produced.dead,
            empty: produced.empty,
        };
        let mut sending = shared.producer.begin();
        let mut offsets = Vec::with_capacity(produced.records.len());
        for record in &produced.records {
            let Some(message) = messages.get(record.input) else { continue };
            offsets.push(message.offset);
            if let Err(error) = send(&mut sending, record, message, &pipeline).await {
                return drop(shared.trouble.send(trouble(error, partition, message.offset)));
            }
        }
        let next_offset = last.offset + 1;
        if acks.send(Waiting { sending, offsets, next_offset, counts, permit }).await.is_err() {
            return;
        }
    }
}

/// Queues a record; one that is too large becomes a dead letter at once.
async fn send(
    sending: &mut Sending,
    record: &Outgoing,
    message: &Message,
    pipeline: &Pipeline,
) -> Result<(), DeliveryError> {
    match push(sending, record).await {
        Err(DeliveryError::TooLarge) => {}
        other => return other,
    }
    for body in [Body::Original, Body::Reference] {
        let letter = grave(pipeline, message, record.input, &too_large(), body, clock());
        match push(sending, &letter).await {
            Err(DeliveryError::TooLarge) => {}
            other => return other,
        }
    }
    Err(DeliveryError::TooLarge)
}

async fn push(sending: &mut Sending, record: &Outgoing) -> Result<(), DeliveryError> {
    let headers: Vec<(&str, &[u8])> = record.headers.iter().map(|(name, value)| (&**name, value.as_ref())).collect();
    let record = Record {
        topic: &record.topic,
        partition: None,
        key: record.key.as_deref(),
        value: &record.value,
        headers: &headers,
        timestamp_ms: None,
    };
    sending.push(&record).await
}

async fn acknowledge(
    mut waiting: mpsc::Receiver<Waiting>,
    shared: Arc<Shared>,
    partition: TopicPartition,
    wanted: Arc<AtomicBool>,
) {
    while let Some(batch) = waiting.recv().await {
        match batch.sending.acknowledged().await {
            Ok(_) => {
                let meters = &shared.meters;
                meters.events.add(batch.counts.events);
                meters.bytes.add(batch.counts.bytes);
                meters.outputs.add(batch.counts.outputs);
                meters.dropped.add(batch.counts.dropped);
                meters.dead.add(batch.counts.dead);
                meters.empty.add(batch.counts.empty);
                if wanted.load(Ordering::Acquire) {
                    shared.progress.lock().insert(partition.clone(), batch.next_offset);
                }
                drop(batch.permit);
            }
            Err((index, error)) => {
                let offset = batch.offsets.get(index).copied().unwrap_or(batch.next_offset - 1);
                return drop(shared.trouble.send(trouble(error, partition.partition, offset)));
            }
        }
    }
}

fn trouble(error: DeliveryError, partition: i32, offset: i64) -> Trouble {
    match error {
        DeliveryError::TooLarge => Trouble::TooLarge { partition, offset },
        other => Trouble::Broken(other.to_string()),
    }
}
