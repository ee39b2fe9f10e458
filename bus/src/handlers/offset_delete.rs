//! Forgets what a group committed in some partitions.

use std::sync::Arc;

use logmill_bus_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use logmill_bus_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::Call;
use crate::broker::Broker;
use crate::groups::Place;

pub(super) async fn handle(broker: &Arc<Broker>, _: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let response = OffsetDeleteResponse::default();
    // Which topics a live group still reads stands in its members' bytes, which are not looked into: none may go.
    if broker.groups.is_live(&request.group_id) {
        return response.with_error_code(logmill_bus_protocol::ResponseError::NonEmptyGroup.code());
    }
    let places: Vec<Place> = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.to_string(), partition.partition_index)))
        .collect();
    if let Err(code) = broker.groups.forget(&request.group_id, Some(&places)).await {
        return response.with_error_code(code);
    }
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| OffsetDeleteResponsePartition::default().with_partition_index(partition.partition_index));
        OffsetDeleteResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    response.with_topics(topics.collect())
}
