//! A group's offsets are to be committed with a transaction.

use std::sync::Arc;

use logmill_bus_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::Call;
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::transactions::{Producer, Transactions};

/// Since here clients know that a producer can be fenced.
const FENCED_SINCE: i16 = 2;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let response = AddOffsetsToTxnResponse::default();
    let (id, group) = (&request.transactional_id, &request.group_id);
    let may_write = broker.check(call, Operation::Write, Resource::TransactionalId(id));
    let allowed = may_write.and_then(|()| broker.check(call, Operation::Read, Resource::Group(group)));
    if let Err(refused) = allowed {
        return response.with_error_code(refused.code());
    }
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    match Transactions::add(broker, id, producer, Vec::new(), Some(group.to_string())).await {
        Ok(()) => response,
        Err(failure) => response.with_error_code(failure.code(call.version() >= FENCED_SINCE)),
    }
}
