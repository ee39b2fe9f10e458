//! Partitions join a transaction, before any record of it is written there. All of them or none.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use logmill_bus_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use logmill_bus_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use super::Call;
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::transactions::{Producer, Transactions};

/// Since here clients know that a producer can be fenced.
const FENCED_SINCE: i16 = 2;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let (id, topics) = (&request.v3_and_below_transactional_id, &request.v3_and_below_topics);
    let all = |code: i16| results(topics, |_, _| code);
    let response = AddPartitionsToTxnResponse::default();
    if let Err(refused) = broker.check(call, Operation::Write, Resource::TransactionalId(id)) {
        return response.with_results_by_topic_v3_and_below(all(refused.code()));
    }
    let code_of = |topic: &AddPartitionsToTxnTopic, partition| {
        if let Err(refused) = broker.check(call, Operation::Write, Resource::Topic(&topic.name)) {
            return refused.code();
        }
        let known = broker.topics.named(&topic.name).is_some_and(|found| found.partition(partition).is_some());
        if known { 0 } else { ResponseError::UnknownTopicOrPartition.code() }
    };
    let mut results_now = results(topics, code_of);
    let answers = |results: &mut Vec<AddPartitionsToTxnTopicResult>, code: i16| {
        let partitions = results.iter_mut().flat_map(|topic| topic.results_by_partition.iter_mut());
        partitions.filter(|one| one.partition_error_code == 0).for_each(|one| one.partition_error_code = code);
    };
    let refused = results_now
        .iter()
        .any(|topic| topic.results_by_partition.iter().any(|partition| partition.partition_error_code != 0));
    if refused {
        answers(&mut results_now, ResponseError::OperationNotAttempted.code());
        return response.with_results_by_topic_v3_and_below(results_now);
    }
    let producer = Producer { id: request.v3_and_below_producer_id.0, epoch: request.v3_and_below_producer_epoch };
    let joining = topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| (topic.name.to_string(), *one)));
    if let Err(failure) = Transactions::add(broker, id, producer, joining.collect(), None).await {
        answers(&mut results_now, failure.code(call.version() >= FENCED_SINCE));
    }
    response.with_results_by_topic_v3_and_below(results_now)
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&AddPartitionsToTxnTopic, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let of_partition = |partition: &i32| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(code(topic, *partition))
        };
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(topic.partitions.iter().map(of_partition).collect())
    };
    topics.iter().map(of_topic).collect()
}
