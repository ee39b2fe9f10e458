//! A producer commits or aborts: answered when that is decided, on disk, and as a rule carried out.

use std::sync::Arc;

use logmill_bus_protocol::messages::{EndTxnRequest, EndTxnResponse};

use super::Call;
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::transactions::{Producer, Transactions};

/// Since here clients know that a producer can be fenced.
const FENCED_SINCE: i16 = 2;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: EndTxnRequest) -> EndTxnResponse {
    let response = EndTxnResponse::default();
    let id = &request.transactional_id;
    if let Err(refused) = broker.check(call, Operation::Write, Resource::TransactionalId(id)) {
        return response.with_error_code(refused.code());
    }
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    match Transactions::end(broker, id, producer, request.committed).await {
        Ok(()) => response,
        Err(failure) => response.with_error_code(failure.code(call.version() >= FENCED_SINCE)),
    }
}
