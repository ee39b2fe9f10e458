//! Which transactional ids there are, by state, producer and how long their transaction has been open.

use std::sync::Arc;

use logmill_bus_protocol::messages::list_transactions_response::TransactionState;
use logmill_bus_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId};

use super::{Call, text};
use crate::broker::Broker;
use crate::groups::now_ms;
use crate::security::{Operation, Resource};
use crate::transactions::{State, Transaction};

/// Since here one may ask for what has been open for long.
const DURATION_SINCE: i16 = 1;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let (states, producers) = (&request.state_filters, &request.producer_id_filters);
    let unknown: Vec<_> = states.iter().filter(|name| !State::is_name(name)).cloned().collect();
    let longer_ms = u64::try_from(request.duration_filter).ok().filter(|_| call.version() >= DURATION_SINCE);
    let now = now_ms();
    let wanted = |known: &Transaction| {
        let open_ms = if known.state.is_open() { now.saturating_sub(known.began_ms) } else { 0 };
        (states.is_empty() || states.iter().any(|name| &**name == known.state.name()))
            && (producers.is_empty() || producers.contains(&ProducerId(known.producer_id)))
            && longer_ms.is_none_or(|longer_ms| open_ms > longer_ms)
    };
    let listed =
        broker.transactions.list().into_iter().filter(|(id, known)| {
            wanted(known) && broker.allows(call, Operation::Describe, Resource::TransactionalId(id))
        });
    let told = |(id, known): (String, Transaction)| {
        TransactionState::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_producer_id(ProducerId(known.producer_id))
            .with_transaction_state(text(known.state.name()))
    };
    ListTransactionsResponse::default()
        .with_unknown_state_filters(unknown)
        .with_transaction_states(listed.map(told).collect())
}
