//! How far groups have come. Version 8 and later ask about several groups at once.

use std::sync::Arc;

use logmill_bus_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use logmill_bus_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::{Call, text};
use crate::broker::Broker;
use crate::groups::{Committed, Place};

const SEVERAL_SINCE: i16 = 8;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let response = OffsetFetchResponse::default();
    if call.version() < SEVERAL_SINCE {
        let asked = request
            .topics
            .map(|topics| places(topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes))));
        let topics = by_topic(broker, &request.group_id, asked.as_deref()).into_iter().map(|(name, offsets)| {
            let partitions = offsets.into_iter().map(|(index, committed)| {
                let (offset, epoch, note) = told(committed);
                OffsetFetchResponsePartition::default()
                    .with_partition_index(index)
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
        let topics = by_topic(broker, &group.group_id, asked.as_deref()).into_iter().map(|(name, offsets)| {
            let partitions = offsets.into_iter().map(|(index, committed)| {
                let (offset, epoch, note) = told(committed);
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(index)
                    .with_committed_offset(offset)
                    .with_committed_leader_epoch(epoch)
                    .with_metadata(Some(text(note)))
            });
            OffsetFetchResponseTopics::default().with_name(TopicName(text(name))).with_partitions(partitions.collect())
        });
        OffsetFetchResponseGroup::default().with_topics(topics.collect()).with_group_id(group.group_id)
    });
    response.with_groups(groups.collect())
}

fn places(topics: impl Iterator<Item = (String, Vec<i32>)>) -> Vec<Place> {
    topics.flat_map(|(name, partitions)| partitions.into_iter().map(move |index| (name.clone(), index))).collect()
}

type Offsets = Vec<(i32, Option<Committed>)>;

fn by_topic(broker: &Broker, group: &str, asked: Option<&[Place]>) -> Vec<(String, Offsets)> {
    let mut topics: Vec<(String, Offsets)> = Vec::new();
    for ((name, index), committed) in broker.groups.committed(group, asked) {
        match topics.last_mut().filter(|(last, _)| *last == name) {
            Some((_, offsets)) => offsets.push((index, committed)),
            None => topics.push((name, vec![(index, committed)])),
        }
    }
    topics
}

/// Nothing committed is an offset of -1, not an error.
fn told(committed: Option<Committed>) -> (i64, i32, String) {
    committed.map_or((-1, -1, String::new()), |known| (known.offset, known.leader_epoch, known.note))
}
