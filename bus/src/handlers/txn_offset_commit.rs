//! Takes a group's offsets that count once the transaction is committed; answered when they are on disk.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use logmill_bus_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use logmill_bus_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::Call;
use crate::broker::Broker;
use crate::groups::{Committed, NOTE_BYTES_MAX, Place, Who, now_ms};
use crate::security::{Operation, Resource};
use crate::transactions::{Producer, Transactions};

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let (id, group) = (&request.transactional_id, &request.group_id);
    let may_write = broker.check(call, Operation::Write, Resource::TransactionalId(id));
    let allowed = may_write.and_then(|()| broker.check(call, Operation::Read, Resource::Group(group)));
    let at_ms = now_ms();
    let mut commits: Vec<(Place, Committed)> = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let allowed = allowed.and_then(|()| broker.check(call, Operation::Read, Resource::Topic(&asked.name)));
        let topic = broker.topics.named(&asked.name);
        let answer = |partition: TxnOffsetCommitRequestPartition| {
            let index = partition.partition_index;
            let known = topic.as_ref().is_some_and(|topic| topic.partition(index).is_some());
            let note = partition.committed_metadata.as_deref().unwrap_or_default();
            let code = match &allowed {
                Err(refused) => refused.code(),
                Ok(()) if !known => ResponseError::UnknownTopicOrPartition.code(),
                Ok(()) if note.len() > NOTE_BYTES_MAX => ResponseError::OffsetMetadataTooLarge.code(),
                Ok(()) => 0,
            };
            if code == 0 {
                let committed = Committed {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    note: note.to_owned(),
                    at_ms,
                };
                commits.push(((asked.name.to_string(), index), committed));
            }
            TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
        };
        let partitions = asked.partitions.into_iter().map(answer).collect();
        topics.push(TxnOffsetCommitResponseTopic::default().with_name(asked.name.clone()).with_partitions(partitions));
    }
    let who = Who {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id,
    };
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let outcome = match allowed {
        // Said above, partition by partition.
        Err(_) => Ok(()),
        Ok(()) => match broker.groups.may_commit_with_transaction(group, &who) {
            Err(code) => Err(code),
            Ok(()) => {
                let taken = Transactions::hand_in(broker, id, producer, group.to_string(), commits).await;
                // Clients take this code for being fenced, in every version.
                taken.map_err(|failure| failure.code(false))
            }
        },
    };
    if let Err(code) = outcome {
        let partitions = topics.iter_mut().flat_map(|topic| topic.partitions.iter_mut());
        partitions.filter(|partition| partition.error_code == 0).for_each(|partition| partition.error_code = code);
    }
    TxnOffsetCommitResponse::default().with_topics(topics)
}
