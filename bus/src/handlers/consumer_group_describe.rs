//! What consumer groups of the newer protocol consist of (KIP-848).

use std::collections::BTreeMap;
use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use logmill_bus_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, TopicName};
use uuid::Uuid;

use super::{Call, text};
use crate::broker::Broker;
use crate::groups::consumer::{self, Part};
use crate::security::{Operation, Resource};

/// Who did not ask what it may do is told this number.
const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// Of the newer protocol, as opposed to a classic member in a group of both.
const CONSUMER: i8 = 1;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|id| {
        let group = DescribedGroup::default()
            .with_authorized_operations(OPERATIONS_NOT_ASKED)
            .with_error_message(None)
            .with_group_id(id.clone());
        if let Err(refused) = broker.check(call, Operation::Describe, Resource::Group(&id)) {
            return group.with_error_code(refused.code());
        }
        let Some(info) = broker.groups.describe_consumer(&id) else {
            return group
                .with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(text(format!("there is no consumer group {}", id.as_str()))));
        };
        let group = match request.include_authorized_operations {
            true => group.with_authorized_operations(broker.operations(call, Resource::Group(&id))),
            false => group,
        };
        group
            .with_group_state(text(info.state))
            .with_group_epoch(info.epoch)
            .with_assignment_epoch(info.target_epoch)
            .with_assignor_name(text(info.assignor.name()))
            .with_members(info.members.into_iter().map(|member| described(broker, call.version(), member)).collect())
    });
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
}

fn described(broker: &Broker, version: i16, (member, target): (consumer::Member, Vec<Part>)) -> Member {
    let names = member.names.into_iter().map(|name| TopicName(text(name))).collect();
    let described = Member::default()
        .with_member_id(text(member.id))
        .with_instance_id(member.instance_id.map(text))
        .with_rack_id(member.rack.map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_subscribed_topic_names(names)
        .with_subscribed_topic_regex(member.pattern.map(text))
        .with_assignment(assignment(broker, &member.assigned.into_iter().collect::<Vec<_>>()))
        .with_target_assignment(assignment(broker, &target));
    if version >= 1 { described.with_member_type(CONSUMER) } else { described }
}

fn assignment(broker: &Broker, parts: &[Part]) -> Assignment {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in parts {
        topics.entry(*topic).or_default().push(*partition);
    }
    let of_topic = |(id, partitions): (Uuid, Vec<i32>)| {
        // A topic that has just been removed has no name any more.
        let name = broker.topics.with_id(id).map_or_else(String::new, |topic| topic.name.to_string());
        TopicPartitions::default().with_topic_id(id).with_topic_name(TopicName(text(name))).with_partitions(partitions)
    };
    Assignment::default().with_topic_partitions(topics.into_iter().map(of_topic).collect())
}
