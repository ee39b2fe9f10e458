//! Where a leader epoch ended: how a client finds that what it read was lost (KIP-320).

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use logmill_bus_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Call, check_epoch};
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::topics::PartitionSlot;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let allowed = broker.check(call, Operation::Describe, Resource::Topic(&asked.topic));
        let topic = allowed.map(|()| broker.topics.named(&asked.topic));
        let partitions = asked.partitions.iter().map(|asked| {
            let answer = EpochEndOffset::default().with_partition(asked.partition);
            let slot = topic.as_ref().map(|topic| topic.as_ref().and_then(|topic| topic.partition(asked.partition)));
            let slot = slot.map_err(ResponseError::code);
            match slot.and_then(|slot| end(slot, asked.current_leader_epoch, asked.leader_epoch)) {
                Ok((epoch, offset)) => answer.with_leader_epoch(epoch).with_end_offset(offset),
                Err(code) => answer.with_error_code(code),
            }
        });
        OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(asked.topic.clone())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn end(slot: Option<&PartitionSlot>, current: i32, asked: i32) -> Result<(i32, i64), i16> {
    let slot = slot.ok_or(ResponseError::UnknownTopicOrPartition.code())?;
    check_epoch(current, slot.epochs.current())?;
    let log = slot.log.as_ref().ok_or(ResponseError::KafkaStorageError.code())?;
    // An epoch before all that is known has no end.
    Ok(slot.epochs.end_of(asked, log.durable_end()).unwrap_or((-1, -1)))
}
