//! Takes records in: appended at once and in order, answered when they are on disk.

use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use logmill_bus_log::{AppendError, Inadmissible, Partition, Poisoned, Rules, admit, claims};
use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use logmill_bus_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use logmill_bus_protocol::messages::{ProduceRequest, ProduceResponse};

use parking_lot::MutexGuard;

use super::{Answer, Call, Refused, text, work_in_place};
use crate::broker::Broker;
use crate::groups::now_ms;
use crate::security::{Operation, Resource};
use crate::topics::{Limits, Topic};
use crate::transactions::{Producer, Slot, Transaction};

/// Bodies before this carry records of formats that are not kept.
const OLDEST_VERSION: i16 = 3;
/// From here on a topic is named by its id.
const IDS_SINCE: i16 = 13;
/// The batch's own length stands behind its base offset, and does not count these two fields.
const BATCH_LENGTH_AT: usize = 8;
const BATCH_PREFIX_BYTES: usize = 12;

/// "Not enough replicas" is what every client knows as: nothing was written, the leader is right, try again later. A
/// storage error would make them ask for other brokers, and give up sooner.
const NO_ROOM: ResponseError = ResponseError::NotEnoughReplicas;

/// What must be on disk before the answer goes: the log, and the end of what was appended.
struct Wait {
    topic: usize,
    partition: usize,
    log: Arc<Partition>,
    end: i64,
}

type Durable = Pin<Box<dyn Future<Output = Result<(), Poisoned>> + Send>>;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: ProduceRequest) -> Result<Answer, Refused> {
    let mut response = ProduceResponse::default();
    let mut waits = Vec::new();
    let refusal = refuse_all(broker, call, &request);
    let transaction = request.transactional_id.as_ref().map(|id| broker.transactions.get(id));
    for topic_data in request.topic_data {
        let topic = find(broker, call, &topic_data);
        let mut answers = TopicProduceResponse::default().with_topic_id(topic_data.topic_id).with_name(topic_data.name);
        for data in topic_data.partition_data {
            let index = data.index;
            let outcome = match (&refusal, &topic) {
                (Some(refusal), _) => Err(refusal.clone()),
                (None, Err(refusal)) => Err(refusal.clone()),
                (None, Ok(topic)) => append(broker, topic, data, transaction.as_ref()),
            };
            let answer = PartitionProduceResponse::default().with_index(index);
            answers.partition_responses.push(match outcome {
                Ok(Taken { answer, wait }) => {
                    waits.extend(wait.map(|(log, end)| Wait {
                        topic: response.responses.len(),
                        partition: answers.partition_responses.len(),
                        log,
                        end,
                    }));
                    answer
                }
                Err(Refusal { code, message, records }) => {
                    broker.meters.api(call.header.api_key).into_iter().for_each(|meter| meter.failed());
                    answer
                        .with_base_offset(-1)
                        .with_error_code(code)
                        .with_error_message(message.map(text))
                        .with_record_errors(records.into_iter().map(to_blame).collect())
                }
            });
        }
        response.responses.push(answers);
    }
    if request.acks == 0 {
        return Ok(Answer::None);
    }
    if waits.is_empty() {
        return Ok(Answer::Now(call.answer::<ProduceRequest>(&response)?));
    }
    // Asked for all at once, so that they share a sync.
    let call = call.clone();
    let ask = |wait: Wait| (wait.topic, wait.partition, Box::pin(wait.log.wait_durable(wait.end)) as Durable);
    let pending: Vec<_> = waits.into_iter().map(ask).collect();
    Ok(Answer::Later(Box::pin(async move {
        for (topic, partition, durable) in pending {
            let Err(poisoned) = durable.await else { continue };
            let answers = response.responses.get_mut(topic).map(|topic| &mut topic.partition_responses);
            if let Some(answer) = answers.and_then(|answers| answers.get_mut(partition)) {
                answer.error_code = ResponseError::KafkaStorageError.code();
                answer.error_message = Some(text(poisoned.to_string()));
                answer.base_offset = -1;
            }
        }
        call.answer::<ProduceRequest>(&response)
    })))
}

#[derive(Clone, Debug)]
struct Refusal {
    code: i16,
    message: Option<String>,
    /// The records that are to blame, by their places, where the others of the batch are sound.
    records: Vec<i32>,
}

impl Refusal {
    fn new(error: ResponseError) -> Self {
        Self { code: error.code(), message: None, records: Vec::new() }
    }

    fn because(error: ResponseError, message: impl Into<String>) -> Self {
        Self { code: error.code(), message: Some(message.into()), records: Vec::new() }
    }
}

/// What is wrong with the request as a whole; the connection lives on.
fn refuse_all(broker: &Broker, call: &Call, request: &ProduceRequest) -> Option<Refusal> {
    if call.version() < OLDEST_VERSION {
        let message = "records must be sent in the format of Kafka 0.11 or later";
        return Some(Refusal::because(ResponseError::UnsupportedForMessageFormat, message));
    }
    if !matches!(request.acks, -1..=1) {
        return Some(Refusal::because(ResponseError::InvalidRequiredAcks, "acks is none of -1, 0 and 1"));
    }
    let id = request.transactional_id.as_ref()?;
    broker.check(call, Operation::Write, Resource::TransactionalId(id)).err().map(Refusal::new)
}

fn find(broker: &Broker, call: &Call, data: &TopicProduceData) -> Result<Arc<Topic>, Refusal> {
    // Asked before it is looked for: who may not write does not learn what there is.
    let may_write = |name: &str| broker.check(call, Operation::Write, Resource::Topic(name)).map_err(Refusal::new);
    if call.version() >= IDS_SINCE {
        let unknown = || Refusal::new(ResponseError::UnknownTopicId);
        let topic = broker.topics.with_id(data.topic_id).ok_or_else(unknown)?;
        may_write(&topic.name)?;
        Ok(topic)
    } else {
        may_write(&data.name)?;
        broker.topics.named(&data.name).ok_or_else(|| Refusal::new(ResponseError::UnknownTopicOrPartition))
    }
}

/// Lets records of a transaction in only while it is open and the partition has joined it, and others only without.
fn hold<'t>(
    transaction: Option<&'t InTransaction>,
    batches: &[u8],
    topic: &str,
    partition: i32,
) -> Result<Option<MutexGuard<'t, Transaction>>, Refusal> {
    let mut claims = claims(batches);
    let Some(known) = transaction else {
        // As Kafka: who does not name the transaction has no right to it.
        let stray = claims.any(|claim| claim.transactional);
        let refusal = || Refusal::new(ResponseError::TransactionalIdAuthorizationFailed);
        return if stray { Err(refusal()) } else { Ok(None) };
    };
    let slot = known.as_ref().ok_or_else(|| Refusal::new(ResponseError::InvalidProducerIdMapping))?;
    let Some(first) = claims.next() else { return Ok(None) };
    if !first.transactional || claims.any(|other| other != first) {
        let message = "the request names a transaction, and not all of its batches belong to it";
        return Err(Refusal::because(ResponseError::InvalidTxnState, message));
    }
    let producer = Producer { id: first.producer_id, epoch: first.producer_epoch };
    let held = slot.hold(producer, topic, partition);
    held.map(Some).map_err(|refusal| Refusal { code: refusal.code(false), message: None, records: Vec::new() })
}

struct Taken {
    answer: PartitionProduceResponse,
    /// What to wait for, unless the topic acknowledges before the disk has it.
    wait: Option<(Arc<Partition>, i64)>,
}

/// A transactional id, if it is known, of a request that names one.
type InTransaction = Option<Arc<Slot>>;

fn append(
    broker: &Broker,
    topic: &Topic,
    data: PartitionProduceData,
    transaction: Option<&InTransaction>,
) -> Result<Taken, Refusal> {
    let slot = topic.partition(data.index).ok_or_else(|| Refusal::new(ResponseError::UnknownTopicOrPartition))?;
    let log = slot.log.as_ref().ok_or_else(|| {
        Refusal::because(ResponseError::KafkaStorageError, "the partition could not be opened; see the broker's log")
    })?;
    if broker.disk.refuses() {
        return Err(Refusal::because(
            NO_ROOM,
            "the disk of the broker is low; records are taken again once it has room",
        ));
    }
    let records = data.records.unwrap_or_default();
    check_size(&records, topic)?;
    if records.is_empty() {
        return Err(Refusal::because(ResponseError::InvalidRecord, "no records"));
    }
    let bytes = records.len() as u64;
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let batches = records.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    let Limits { rules, stamp, .. } = &topic.limits;
    let batches = if *rules == Rules::default() {
        batches
    } else {
        // Every record is looked at, and perhaps compressed anew.
        let admitted = work_in_place(|| admit(batches, rules, *stamp, now));
        let batches = admitted.map_err(|error| inadmissible(&error))?;
        check_size(&batches, topic)?;
        batches
    };
    // Held until the records are in the log: nobody ends the transaction between.
    let _held = hold(transaction, &batches, &topic.name, data.index)?;
    let appended = log.append(batches, slot.epochs.current(), now, topic.limits.stamp).map_err(|error| {
        if matches!(error, AppendError::Full { .. }) {
            broker.disk.found_full();
        }
        refusal_of(&error)
    })?;
    if !appended.duplicate {
        broker.meters.records.add(u64::try_from(appended.end_offset - appended.base_offset).unwrap_or(0));
        broker.meters.bytes_in.add(bytes);
        topic.traffic.came_in(bytes, u64::try_from(appended.end_offset - appended.base_offset).unwrap_or(0));
    }
    let answer = PartitionProduceResponse::default()
        .with_index(data.index)
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.append_time_ms.unwrap_or(-1))
        .with_log_start_offset(log.log_start());
    let wait = (!topic.limits.write_caching).then(|| (Arc::clone(log), appended.end_offset));
    Ok(Taken { answer, wait })
}

fn check_size(records: &[u8], topic: &Topic) -> Result<(), Refusal> {
    let most = topic.limits.message_bytes_max;
    match largest_batch(records).filter(|bytes| *bytes > most) {
        None => Ok(()),
        Some(bytes) => {
            let message = format!("a batch of {bytes} bytes; max.message.bytes is {most}");
            Err(Refusal::because(ResponseError::MessageTooLarge, message))
        }
    }
}

fn inadmissible(error: &Inadmissible) -> Refusal {
    let (code, records) = match error {
        Inadmissible::Batch(error) => return refusal_of(error),
        Inadmissible::Time { .. } => (ResponseError::InvalidTimestamp, Vec::new()),
        Inadmissible::NoKey { records } => (ResponseError::InvalidRecord, records.clone()),
    };
    Refusal { records, ..Refusal::because(code, error.to_string()) }
}

fn to_blame(record: i32) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage::default().with_batch_index(record).with_batch_index_error_message(None)
}

/// Size of the largest batch, by the batches' own lengths; what is broken ends it and is found by the log.
fn largest_batch(records: &[u8]) -> Option<usize> {
    let mut rest = records;
    let mut largest = None;
    while let Some(length) = rest.get(BATCH_LENGTH_AT..).and_then(<[u8]>::first_chunk::<4>) {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?.saturating_add(BATCH_PREFIX_BYTES);
        largest = largest.max(Some(length));
        rest = rest.get(length..).unwrap_or_default();
    }
    largest
}

fn refusal_of(error: &AppendError) -> Refusal {
    let code = match error {
        AppendError::Corrupt { .. } => ResponseError::CorruptMessage,
        AppendError::Refused { .. } => ResponseError::InvalidRecord,
        AppendError::InTransaction { .. } => ResponseError::InvalidTxnState,
        AppendError::UnsupportedMagic { .. } => ResponseError::UnsupportedForMessageFormat,
        AppendError::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
        AppendError::DuplicateTooOld { .. } => ResponseError::DuplicateSequenceNumber,
        AppendError::ProducerFenced { .. } => ResponseError::InvalidProducerEpoch,
        AppendError::Full { .. } => NO_ROOM,
        AppendError::Poisoned(_) | AppendError::Io { .. } => {
            tracing::error!(%error, "records were refused");
            ResponseError::KafkaStorageError
        }
    };
    Refusal::because(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_largest_batch_is_found_by_lengths_alone() {
        let batch = |length: usize| {
            let mut batch = vec![0u8; length];
            let own = i32::try_from(length - BATCH_PREFIX_BYTES).unwrap();
            batch[BATCH_LENGTH_AT..BATCH_PREFIX_BYTES].copy_from_slice(&own.to_be_bytes());
            batch
        };
        let records = Bytes::from([batch(70), batch(300), batch(61)].concat());
        assert_eq!(largest_batch(&records), Some(300));
        assert_eq!(largest_batch(&Bytes::new()), None);
        assert_eq!(largest_batch(&Bytes::from(vec![0xff; 100])), None);
    }
}
