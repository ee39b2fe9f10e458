//! What transactional ids are doing.

use std::collections::BTreeSet;
use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use logmill_bus_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName, TransactionalId,
};

use super::{Call, text};
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::transactions::{State, Transaction};

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let describe = |id: TransactionalId| {
        let answer = TransactionState::default().with_transactional_id(id.clone());
        let allowed = broker.check(call, Operation::Describe, Resource::TransactionalId(&id));
        let known =
            allowed.and_then(|()| broker.transactions.describe(&id).ok_or(ResponseError::TransactionalIdNotFound));
        match known {
            Ok(known) => told(broker, call, answer, known),
            Err(error) => answer.with_error_code(error.code()),
        }
    };
    let states = request.transactional_ids.into_iter().map(describe).collect();
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

fn told(broker: &Broker, call: &Call, answer: TransactionState, known: Transaction) -> TransactionState {
    let began = if known.state == State::Ongoing { i64::try_from(known.began_ms).unwrap_or(-1) } else { -1 };
    let may_see = |name: &String| broker.allows(call, Operation::Describe, Resource::Topic(name));
    let topics = known.partitions.into_iter().filter(|(name, _)| may_see(name));
    let topic = |(name, partitions): (String, BTreeSet<i32>)| {
        TopicData::default().with_topic(TopicName(text(name))).with_partitions(Vec::from_iter(partitions))
    };
    answer
        .with_transaction_state(text(known.state.name()))
        .with_transaction_timeout_ms(i32::try_from(known.timeout_ms).unwrap_or(i32::MAX))
        .with_transaction_start_time_ms(began)
        .with_producer_id(ProducerId(known.producer_id))
        .with_producer_epoch(known.epoch)
        .with_topics(topics.map(topic).collect())
}
