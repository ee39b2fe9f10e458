//! The producers that wrote into partitions of late, and which of them have a transaction open there.

use std::sync::Arc;

use logmill_bus_log::ActiveProducer;
use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use logmill_bus_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use super::Call;
use crate::broker::Broker;
use crate::security::{Operation, Resource};

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let allowed = broker.check(call, Operation::Read, Resource::Topic(&asked.name));
        let topic = allowed.map(|()| broker.topics.named(&asked.name));
        let partition = |index: i32| {
            let slot = topic.as_ref().map(|topic| topic.as_ref().and_then(|topic| topic.partition(index)));
            let log = slot.map_err(|refused| *refused).and_then(|slot| {
                let slot = slot.ok_or(ResponseError::UnknownTopicOrPartition)?;
                slot.log.as_ref().ok_or(ResponseError::KafkaStorageError)
            });
            let answer = PartitionResponse::default().with_partition_index(index);
            match log {
                Ok(log) => answer.with_active_producers(log.producers().into_iter().map(producer).collect()),
                Err(error) => answer.with_error_code(error.code()),
            }
        };
        let partitions = asked.partition_indexes.into_iter().map(partition).collect();
        TopicResponse::default().with_name(asked.name.clone()).with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn producer(active: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(active.producer_id))
        .with_producer_epoch(i32::from(active.epoch))
        .with_last_sequence(active.last_sequence.unwrap_or(-1))
        .with_last_timestamp(active.last_seen_ms)
        .with_coordinator_epoch(active.coordinator_epoch)
        .with_current_txn_start_offset(active.transaction.unwrap_or(-1))
}
