//! Gives records out: what is there at once, or what comes within the time that the client is willing to wait.
//!
//! A waiting fetch sleeps until a log that it reads has more on disk, or more that is decided; nothing is polled.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use logmill_bus_log::{FileSlice, Partition, ReadError};
use logmill_bus_protocol::messages::FetchRequest;
use logmill_bus_protocol::{FetchAnswer, PartitionAnswer, ResponseError};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Answer, Call, Refused, check_epoch};
use crate::broker::Broker;
use crate::fetch_sessions::{Asked, Context, IDS_SINCE};
use crate::meters::Traffic;
use crate::security::{Operation, Resource};
use crate::topics::Topic;

/// The most records in one answer, whatever the client would take; Kafka's clients ask for 50 MiB. They are not held
/// here, but what else the client asks for comes behind them.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Nobody waits for more than this, whatever the client would wait for.
const ENOUGH_BYTES_MAX: usize = 1 << 20;
/// The longest wait: a client that asks for more would look dead.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The isolation level of those who want committed records alone.
pub(super) const READ_COMMITTED: i8 = 1;

/// One partition that is asked for.
struct Part {
    asked: Asked,
    /// Its log, or why it has none to read.
    log: Result<Log, i16>,
    answer: PartitionAnswer<FileSlice>,
}

struct Log {
    log: Arc<Partition>,
    traffic: Arc<Traffic>,
    /// Of the end that counts.
    changes: watch::Receiver<i64>,
    /// Only what belongs to no open transaction is given out, and who aborted is told with it.
    committed: bool,
}

impl Log {
    /// Up to where may be read.
    fn end(&self) -> i64 {
        if self.committed { self.log.stable_end() } else { self.log.durable_end() }
    }
}

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: FetchRequest) -> Result<Answer, Refused> {
    let version = call.version();
    let mut context = match broker.fetch_sessions.begin(&request, version, std::time::Instant::now()) {
        Ok(context) => context,
        Err(code) => {
            return Ok(Answer::Fetched(FetchAnswer::refused(code).encode(call.header.correlation_id, version)?));
        }
    };
    let committed = request.isolation_level == READ_COMMITTED;
    let mut parts = parts(broker, call, std::mem::take(&mut context.asked), committed);
    let most = usize::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX);
    let enough = usize::try_from(request.min_bytes).unwrap_or(0).min(ENOUGH_BYTES_MAX);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX);
    let until = Instant::now() + wait;
    let mut total = 0;
    loop {
        let ends = read(&mut parts, most, &mut total);
        if ends || total >= enough || parts.is_empty() {
            break;
        }
        let woken = tokio::time::timeout_at(until, any_change(&mut parts));
        if !matches!(broker.shutdown.unless(woken).await, Some(Ok(()))) {
            break;
        }
    }
    broker.meters.bytes_out.add(total as u64);
    if let Some(meter) = broker.meters.api(call.header.api_key) {
        parts.iter().filter(|part| part.answer.error_code != 0).for_each(|_| meter.failed());
    }
    broker.fetch_sessions.answered(&context, parts.iter().map(|part| (&part.asked, &part.answer)));
    Ok(Answer::Fetched(answer(&context, parts).encode(call.header.correlation_id, version)?))
}

/// What is new, in the order of the turns: partitions of a topic stand together only where their turns do.
fn answer(context: &Context, parts: Vec<Part>) -> FetchAnswer<FileSlice> {
    let mut answer = FetchAnswer::of_session(context.session);
    let mut last = None;
    for part in parts {
        if !context.is_news(&part.asked, &part.answer) {
            continue;
        }
        let topic = (part.asked.topic, part.asked.id);
        if last.as_ref() != Some(&topic) {
            answer.topic(&topic.0, topic.1);
            last = Some(topic);
        }
        answer.partition(part.answer);
    }
    answer
}

fn parts(broker: &Broker, call: &Call, asked: Vec<Asked>, committed: bool) -> Vec<Part> {
    type Found = Result<Arc<Topic>, i16>;
    let mut last: Option<(Arc<str>, Uuid, Found)> = None;
    let part = |asked: Asked| {
        // Partitions of a topic mostly stand together: it is looked up once for them.
        let topic = match &last {
            Some((name, id, topic)) if *name == asked.topic && *id == asked.id => topic.clone(),
            _ => {
                let topic = find(broker, call, &asked).map_err(|error| error.code());
                last = Some((Arc::clone(&asked.topic), asked.id, topic.clone()));
                topic
            }
        };
        let log = topic.and_then(|topic| log_of(&topic, &asked, committed));
        let answer = PartitionAnswer {
            partition: asked.partition,
            error_code: *log.as_ref().err().unwrap_or(&0),
            ..PartitionAnswer::default()
        };
        Part { asked, log, answer }
    };
    asked.into_iter().map(part).collect()
}

fn find(broker: &Broker, call: &Call, asked: &Asked) -> Result<Arc<Topic>, ResponseError> {
    let may_read = |name: &str| broker.check(call, Operation::Read, Resource::Topic(name));
    if call.version() >= IDS_SINCE {
        let topic = broker.topics.with_id(asked.id).ok_or(ResponseError::UnknownTopicId)?;
        may_read(&topic.name)?;
        return Ok(topic);
    }
    may_read(&asked.topic)?;
    broker.topics.named(&asked.topic).ok_or(ResponseError::UnknownTopicOrPartition)
}

fn log_of(topic: &Topic, asked: &Asked, committed: bool) -> Result<Log, i16> {
    let slot = topic.partition(asked.partition).ok_or(ResponseError::UnknownTopicOrPartition.code())?;
    check_epoch(asked.leader_epoch, slot.epochs.current())?;
    let log = slot.log.clone().ok_or(ResponseError::KafkaStorageError.code())?;
    let changes = if committed { log.stable_changes() } else { log.durable_changes() };
    Ok(Log { log, traffic: Arc::clone(&topic.traffic), changes, committed })
}

/// Reads what is there, into partitions that have nothing yet. True when the answer must not wait: something is wrong
/// with a partition, and its client should know.
fn read(parts: &mut [Part], limit: usize, total: &mut usize) -> bool {
    let mut ends = false;
    for part in parts {
        let Ok(read) = &mut part.log else {
            ends = true;
            continue;
        };
        // Seen before it is read: what comes after this wakes the wait.
        drop(read.changes.borrow_and_update());
        let (end, log) = (read.end(), &read.log);
        let answer = &mut part.answer;
        answer.last_stable = log.stable_end();
        answer.high_watermark = log.durable_end();
        answer.log_start = log.log_start();
        let room = limit.saturating_sub(*total);
        // The first records come even if they are more than is asked for, or nobody could ever read them.
        let first = *total == 0;
        if answer.records.is_some() || part.asked.from == end || (room == 0 && !first) {
            continue;
        }
        match read_part(read, &part.asked, end, room, first) {
            Ok((slice, aborted)) => {
                *total += slice.len();
                if !slice.is_empty() {
                    answer.aborted = aborted;
                    read.traffic.goes_out(&slice);
                    answer.records_bytes = slice.len();
                    answer.records = Some(slice);
                }
            }
            Err(error) => {
                ends = true;
                answer.error_code = code_of(&error, part.asked.from, log);
            }
        }
    }
    ends
}

/// Records, and who aborted what of them.
fn read_part(
    read: &Log,
    asked: &Asked,
    end: i64,
    room: usize,
    first: bool,
) -> Result<(FileSlice, Vec<(i64, i64)>), ReadError> {
    let slice = read.log.slice(asked.from, asked.bytes_max.min(room), end, first)?;
    if !read.committed || slice.is_empty() {
        return Ok((slice, Vec::new()));
    }
    let aborted = read.log.aborted(slice.base_offset, slice.next_offset)?;
    Ok((slice, aborted.into_iter().map(|one| (one.producer_id, one.first_offset)).collect()))
}

fn code_of(error: &ReadError, from: i64, log: &Partition) -> i16 {
    match error {
        ReadError::OutOfRange { .. } => ResponseError::OffsetOutOfRange.code(),
        ReadError::Corrupt { .. } | ReadError::Io { .. } => {
            tracing::error!(topic_id = log.topic_id(), partition = log.partition(), from, %error, "can't read");
            ResponseError::KafkaStorageError.code()
        }
    }
}

/// Resolves when any of the logs has more on disk.
async fn any_change(parts: &mut [Part]) {
    type Change<'p> = Pin<Box<dyn Future<Output = Result<(), watch::error::RecvError>> + Send + 'p>>;
    let mut changes: Vec<Option<Change<'_>>> = parts
        .iter_mut()
        .filter_map(|part| part.log.as_mut().ok())
        .map(|log| Some(Box::pin(log.changes.changed()) as Change<'_>))
        .collect();
    poll_fn(|context| {
        for slot in &mut changes {
            let Some(change) = slot else { continue };
            match change.as_mut().poll(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => return Poll::Ready(()),
                // The topic was removed; the wait for the others goes on.
                Poll::Ready(Err(_)) => *slot = None,
            }
        }
        Poll::Pending
    })
    .await;
}
