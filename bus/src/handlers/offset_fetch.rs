//! How far groups have come. Version 8 and later ask about several groups at once.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use logmill_bus_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::{Call, text};
use crate::broker::Broker;
use crate::groups::{Committed, Place};
use crate::security::{Operation, Resource};

const SEVERAL_SINCE: i16 = 8;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let response = OffsetFetchResponse::default();
    if call.version() < SEVERAL_SINCE {
        let asked = request
            .topics
            .map(|topics| places(topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes))));
        let (code, topics) = by_topic(broker, call, &request.group_id, asked.as_deref(), request.require_stable);
        let response = response.with_error_code(code);
        let topics = topics.into_iter().map(|Told { name, offsets, code }| {
            let partitions = offsets.into_iter().map(|(index, committed, unstable)| {
                let code = if unstable { ResponseError::UnstableOffsetCommit.code() } else { code };
                let (offset, epoch, note) = told(committed);
                OffsetFetchResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(code)
                    .with_committed_offset(offset)
                    .with_committed_leader_epoch(epoch)
                    .with_metadata(Some(text(note)))
            });
            OffsetFetchResponseTopic::default().with_name(TopicName(text(name))).with_partitions(partitions.collect())
        });
        return response.with_topics(topics.collect());
    }
    let groups = request.groups.into_iter().map(|group| {
        let asked = group
            .topics
            .map(|topics| places(topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes))));
        let member_id = group.member_id.as_deref().unwrap_or_default();
        if let Err(code) = broker.groups.may_fetch(&group.group_id, member_id, group.member_epoch) {
            return OffsetFetchResponseGroup::default().with_error_code(code).with_group_id(group.group_id);
        }
        let (code, topics) = by_topic(broker, call, &group.group_id, asked.as_deref(), request.require_stable);
        let topics = topics.into_iter().map(|Told { name, offsets, code }| {
            let partitions = offsets.into_iter().map(|(index, committed, unstable)| {
                let code = if unstable { ResponseError::UnstableOffsetCommit.code() } else { code };
                let (offset, epoch, note) = told(committed);
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(index)
                    .with_error_code(code)
                    .with_committed_offset(offset)
                    .with_committed_leader_epoch(epoch)
                    .with_metadata(Some(text(note)))
            });
            OffsetFetchResponseTopics::default().with_name(TopicName(text(name))).with_partitions(partitions.collect())
        });
        OffsetFetchResponseGroup::default()
            .with_topics(topics.collect())
            .with_error_code(code)
            .with_group_id(group.group_id)
    });
    response.with_groups(groups.collect())
}

fn places(topics: impl Iterator<Item = (String, Vec<i32>)>) -> Vec<Place> {
    topics.flat_map(|(name, partitions)| partitions.into_iter().map(move |index| (name.clone(), index))).collect()
}

/// What is told of a topic: offsets, or the code of the refusal and no offsets.
struct Told {
    name: String,
    /// Each with whether it hangs on a transaction, if that matters to the client.
    offsets: Vec<(i32, Option<Committed>, bool)>,
    code: i16,
}

/// The code for the group, and its topics. Topics that are asked for and may not be seen are refused; of all topics
/// those are told that may be seen.
fn by_topic(broker: &Broker, call: &Call, group: &str, asked: Option<&[Place]>, stable: bool) -> (i16, Vec<Told>) {
    let may_group = broker.check(call, Operation::Describe, Resource::Group(group));
    let code = may_group.map_or_else(|refused| refused.code(), |()| 0);
    let committed = match (code, asked) {
        (0, _) => broker.groups.committed(group, asked),
        // The versions before 2 have no other place for the code than the partitions.
        (_, Some(places)) => places.iter().map(|place| (place.clone(), None)).collect(),
        (_, None) => Vec::new(),
    };
    let mut topics: Vec<Told> = Vec::new();
    for (place, committed) in committed {
        let unstable = stable && code == 0 && broker.transactions.is_pending(group, &place);
        let (name, index) = place;
        if topics.last().is_none_or(|last| last.name != name) {
            let may_topic = may_group.and_then(|()| broker.check(call, Operation::Describe, Resource::Topic(&name)));
            let code = may_topic.map_or_else(|refused| refused.code(), |()| 0);
            topics.push(Told { name, offsets: Vec::new(), code });
        }
        if let Some(topic) = topics.last_mut() {
            let committed = committed.filter(|_| topic.code == 0 && !unstable);
            topic.offsets.push((index, committed, unstable && topic.code == 0));
        }
    }
    if asked.is_none() {
        topics.retain(|topic| topic.code == 0);
    }
    (code, topics)
}

/// Nothing committed is an offset of -1, not an error.
fn told(committed: Option<Committed>) -> (i64, i32, String) {
    committed.map_or((-1, -1, String::new()), |known| (known.offset, known.leader_epoch, known.note))
}
