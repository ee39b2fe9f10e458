//! Offsets by time, and the two ends.

use std::sync::Arc;

use logmill_bus_log::Partition;
use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::list_offsets_request::ListOffsetsPartition;
use logmill_bus_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use logmill_bus_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::fetch::READ_COMMITTED;
use super::{Call, check_epoch};
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::topics::{PartitionSlot, Topic};

/// Times that stand for something else.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
/// Since here the answer carries the epoch of the record.
const EPOCHS_SINCE: i16 = 4;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let committed = request.isolation_level == READ_COMMITTED;
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let allowed = broker.check(call, Operation::Describe, Resource::Topic(&asked.name));
        let topic = allowed.map(|()| broker.topics.named(&asked.name));
        let partitions = asked.partitions.iter().map(|asked| {
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            let topic = topic.as_ref().map(Option::as_deref);
            match topic.map_err(ResponseError::code).and_then(|topic| find(topic, asked, call.version(), committed)) {
                Ok(Found { offset, time_ms, epoch }) => {
                    answer.with_offset(offset).with_timestamp(time_ms).with_leader_epoch(epoch)
                }
                Err(code) => answer.with_error_code(code).with_offset(-1).with_timestamp(-1),
            }
        });
        let partitions = partitions.collect();
        topics.push(ListOffsetsTopicResponse::default().with_name(asked.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

struct Found {
    offset: i64,
    time_ms: i64,
    epoch: i32,
}

fn find(topic: Option<&Topic>, asked: &ListOffsetsPartition, version: i16, committed: bool) -> Result<Found, i16> {
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let slot = topic.and_then(|topic| topic.partition(asked.partition_index)).ok_or(unknown)?;
    check_epoch(asked.current_leader_epoch, slot.epochs.current())?;
    let log = slot.log.as_ref().ok_or(ResponseError::KafkaStorageError.code())?;
    // What consumers may see, not what is written.
    let end = if committed { log.stable_end() } else { log.durable_end() };
    let found = match asked.timestamp {
        LATEST => Some((end, -1)),
        EARLIEST | EARLIEST_LOCAL => Some((log.log_start(), -1)),
        // A reader of committed records has to ask again for what is not decided.
        time_ms => offset_at(log, time_ms)?.filter(|(offset, _)| !committed || *offset < end),
    };
    let (offset, time_ms) = found.unwrap_or((-1, -1));
    Ok(Found { offset, time_ms, epoch: epoch(slot, offset, version) })
}

fn epoch(slot: &PartitionSlot, offset: i64, version: i16) -> i32 {
    if version < EPOCHS_SINCE || offset < 0 { -1 } else { slot.epochs.at(offset) }
}

fn offset_at(log: &Partition, time_ms: i64) -> Result<Option<(i64, i64)>, i16> {
    match time_ms {
        // The index knows which batch; the record in it is the first that is as late.
        MAX_TIMESTAMP => match log.max_timestamp() {
            Some((_, latest)) => at_time(log, latest),
            None => Ok(None),
        },
        LATEST_TIERED => Ok(None),
        _ if time_ms < 0 => Err(ResponseError::UnsupportedVersion.code()),
        _ => at_time(log, time_ms),
    }
}

fn at_time(log: &Partition, time_ms: i64) -> Result<Option<(i64, i64)>, i16> {
    log.offset_for_time(time_ms).map_err(|error| {
        tracing::error!(topic_id = log.topic_id(), partition = log.partition(), %error, "can't look up a time");
        ResponseError::KafkaStorageError.code()
    })
}
