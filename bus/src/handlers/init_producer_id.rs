//! Gives an idempotent producer its id. Transactions are not offered.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Call;
use crate::broker::Broker;
use crate::security::acl::Kind;
use crate::security::{Operation, Resource};

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let nothing = InitProducerIdResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
    if let Err(refused) = may_begin(broker, call, &request) {
        return nothing.with_error_code(refused.code());
    }
    if request.transactional_id.is_some() {
        // The one refusal that all clients take as final; others they retry until they give up.
        let code = ResponseError::TransactionalIdAuthorizationFailed.code();
        tracing::warn!(
            transactional_id = request.transactional_id.as_ref().map(|id| id.as_str()),
            "transactions are not offered"
        );
        return nothing.with_error_code(code);
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
