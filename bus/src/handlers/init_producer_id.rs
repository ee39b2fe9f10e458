//! Gives an idempotent producer its id. Transactions are not offered.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Call;
use crate::broker::Broker;

pub(super) async fn handle(broker: &Arc<Broker>, _: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let nothing = InitProducerIdResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
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
