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

pub(super) async fn handle(broker: &Arc<Broker>, _: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let response = OffsetDeleteResponse::default();
    let reads = broker.groups.reads(&request.group_id);
    if reads == Reads::Anything {
        return response.with_error_code(ResponseError::NonEmptyGroup.code());
    }
    let is_read = |topic: &str| matches!(&reads, Reads::Topics(topics) if topics.contains(topic));
    let places: Vec<Place> = request
        .topics
        .iter()
        .filter(|topic| !is_read(&topic.name))
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.to_string(), partition.partition_index)))
        .collect();
    if let Err(code) = broker.groups.forget(&request.group_id, Some(&places)).await {
        return response.with_error_code(code);
    }
    let topics = request.topics.into_iter().map(|topic| {
        let code = if is_read(&topic.name) { ResponseError::GroupSubscribedToTopic.code() } else { 0 };
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        OffsetDeleteResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    response.with_topics(topics.collect())
}
