//! Forgets what a group committed in some partitions: never in a topic that its members read.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use logmill_bus_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::Call;
use crate::broker::Broker;
use crate::groups::{Place, Reads};
use crate::security::{Operation, Resource};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let response = OffsetDeleteResponse::default();
    if let Err(refused) = broker.check(call, Operation::Delete, Resource::Group(&request.group_id)) {
        return response.with_error_code(refused.code());
    }
    let reads = broker.groups.reads(&request.group_id);
    if reads == Reads::Anything {
        return response.with_error_code(ResponseError::NonEmptyGroup.code());
    }
    let refusal = |topic: &str| match broker.check(call, Operation::Read, Resource::Topic(topic)) {
        Err(refused) => refused.code(),
        Ok(()) if matches!(&reads, Reads::Topics(topics) if topics.contains(topic)) => {
            ResponseError::GroupSubscribedToTopic.code()
        }
        Ok(()) => 0,
    };
    let codes: Vec<i16> = request.topics.iter().map(|topic| refusal(&topic.name)).collect();
    let going = request.topics.iter().zip(&codes).filter(|(_, code)| **code == 0);
    let places: Vec<Place> = going
        .flat_map(|(topic, _)| topic.partitions.iter().map(|it| (topic.name.to_string(), it.partition_index)))
        .collect();
    if let Err(code) = broker.groups.forget(&request.group_id, Some(&places)).await {
        return response.with_error_code(code);
    }
    let topics = request.topics.into_iter().zip(codes).map(|(topic, code)| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        OffsetDeleteResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    response.with_topics(topics.collect())
}
