//! Gives a producer its id; one with a transactional id takes over from those before it.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Call;
use crate::broker::Broker;
use crate::security::acl::Kind;
use crate::security::{Operation, Resource};
use crate::transactions::{Producer, Transactions};

/// Since here clients know that a producer can be fenced.
const FENCED_SINCE: i16 = 4;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let nothing = InitProducerIdResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
    if let Err(refused) = may_begin(broker, call, &request) {
        return nothing.with_error_code(refused.code());
    }
    if let Some(id) = &request.transactional_id {
        let given = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
        let given = match (given.id, given.epoch) {
            (-1, -1) => None,
            (0.., 0..) => Some(given),
            _ => return nothing.with_error_code(ResponseError::InvalidRequest.code()),
        };
        return match Transactions::init(broker, id, given, request.transaction_timeout_ms).await {
            Ok(begun) => nothing.with_producer_id(ProducerId(begun.id)).with_producer_epoch(begun.epoch),
            Err(failure) => nothing.with_error_code(failure.code(call.version() >= FENCED_SINCE)),
        };
    }
    // A producer that comes back with an id gets a new one as well: sequences then begin anew, which is all that
    // raising its epoch would do.
    match broker.producer_ids.next().await {
        Ok(id) => nothing.with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(error) => {
            tracing::error!(%error, "no producer id can be given out");
            nothing.with_error_code(ResponseError::CoordinatorNotAvailable.code())
        }
    }
}

/// An idempotent producer needs no right of its own where it may write to some topic.
fn may_begin(broker: &Broker, call: &Call, request: &InitProducerIdRequest) -> Result<(), ResponseError> {
    match &request.transactional_id {
        Some(id) => broker.check(call, Operation::Write, Resource::TransactionalId(id)),
        None if broker.allows_any(call, Operation::Write, Kind::Topic) => Ok(()),
        None => broker.check(call, Operation::IdempotentWrite, Resource::Cluster),
    }
}
