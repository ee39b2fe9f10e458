//! Keeps how far a group has come; answered when it is on disk.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use logmill_bus_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::Call;
use crate::broker::Broker;
use crate::groups::{Committed, Place, Who, now_ms};
use crate::security::{Operation, Resource};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let who = Who {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id_or_member_epoch,
    };
    let may_group = broker.check(call, Operation::Read, Resource::Group(&request.group_id));
    let at_ms = now_ms();
    let mut commits: Vec<(Place, Committed)> = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let allowed = may_group.and_then(|()| broker.check(call, Operation::Read, Resource::Topic(&asked.name)));
        let topic = broker.topics.named(&asked.name);
        let mut answers = OffsetCommitResponseTopic::default().with_name(asked.name.clone());
        for partition in asked.partitions {
            let index = partition.partition_index;
            let known = topic.as_ref().is_some_and(|topic| topic.partition(index).is_some());
            let code = match &allowed {
                Err(refused) => refused.code(),
                Ok(()) if known => 0,
                Ok(()) => ResponseError::UnknownTopicOrPartition.code(),
            };
            answers
                .partitions
                .push(OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code));
            if code == 0 {
                let committed = Committed {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    note: partition.committed_metadata.map_or_else(String::new, |note| note.to_string()),
                    at_ms,
                };
                commits.push(((asked.name.to_string(), index), committed));
            }
        }
        topics.push(answers);
    }
    if may_group.is_err() {
        return OffsetCommitResponse::default().with_topics(topics);
    }
    match broker.groups.commit(&request.group_id, &who, commits).await {
        Ok(outcome) => {
            for ((topic, partition), code) in outcome {
                set(&mut topics, code, |name, index| name == topic && index == partition);
            }
        }
        Err(code) => set(&mut topics, code, |_, _| true),
    }
    OffsetCommitResponse::default().with_topics(topics)
}

/// Sets the code of matching partitions that have none yet.
fn set(topics: &mut [OffsetCommitResponseTopic], code: i16, matches: impl Fn(&str, i32) -> bool) {
    for topic in topics {
        let name = &topic.name;
        for partition in &mut topic.partitions {
            if partition.error_code == 0 && matches(name, partition.partition_index) {
                partition.error_code = code;
            }
        }
    }
}
