//! How much the partitions take on disk.

use std::sync::Arc;

use logmill_bus_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use logmill_bus_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};

use super::{Call, text};
use crate::broker::Broker;
use crate::security::{Operation, Resource};

/// There is one, and where it lies is nobody's business.
const LOG_DIR: &str = "log";

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    if let Err(refused) = broker.check(call, Operation::Describe, Resource::Cluster) {
        return DescribeLogDirsResponse::default().with_error_code(refused.code());
    }
    let wanted = |name: &str, partition: i32| {
        request.topics.as_ref().is_none_or(|topics| {
            topics.iter().any(|topic| topic.topic.as_str() == name && topic.partitions.contains(&partition))
        })
    };
    let topics = broker.topics.all().into_iter().filter_map(|topic| {
        let partitions: Vec<_> = (0..)
            .zip(&topic.partitions)
            .filter(|(index, _)| wanted(&topic.name, *index))
            .filter_map(|(index, slot)| {
                let bytes = i64::try_from(slot.log.as_ref()?.size_bytes()).unwrap_or(i64::MAX);
                Some(DescribeLogDirsPartition::default().with_partition_index(index).with_partition_size(bytes))
            })
            .collect();
        let name = TopicName(text(&*topic.name));
        (!partitions.is_empty()).then(|| DescribeLogDirsTopic::default().with_name(name).with_partitions(partitions))
    });
    let result = DescribeLogDirsResult::default().with_log_dir(text(LOG_DIR)).with_topics(topics.collect());
    DescribeLogDirsResponse::default().with_results(vec![result])
}
