//! Who coordinates a group or a transaction: this broker.

use std::sync::Arc;

use logmill_bus_protocol::messages::find_coordinator_response::Coordinator;
use logmill_bus_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use logmill_bus_protocol::{ResponseError, StrBytes};

use super::{Call, text};
use crate::broker::{Broker, NODE_ID};
use crate::security::{Operation, Resource};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// Since here one request asks about several.
const SEVERAL_SINCE: i16 = 4;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let (host, port) = call.address();
    let refusal = |key: &str| {
        let resource = match request.key_type {
            GROUP => Resource::Group(key),
            TRANSACTION => Resource::TransactionalId(key),
            _ => return Err((ResponseError::InvalidRequest, "this broker coordinates groups and transactions")),
        };
        broker.check(call, Operation::Describe, resource).map_err(|refused| (refused, "not authorized"))
    };
    let told = |outcome: Result<(), (ResponseError, &'static str)>| match outcome {
        Ok(()) => (0, None),
        Err((error, message)) => (error.code(), Some(text(message))),
    };
    let response = FindCoordinatorResponse::default();
    if call.version() < SEVERAL_SINCE {
        let (code, refusal) = told(refusal(&request.key));
        return response
            .with_error_code(code)
            .with_error_message(refusal)
            .with_node_id(BrokerId(NODE_ID))
            .with_host(text(host))
            .with_port(i32::from(port));
    }
    let here = |key: StrBytes| {
        let (code, refusal) = told(refusal(&key));
        Coordinator::default()
            .with_key(key)
            .with_error_code(code)
            .with_error_message(refusal)
            .with_node_id(BrokerId(NODE_ID))
            .with_host(text(host.as_str()))
            .with_port(i32::from(port))
    };
    response.with_coordinators(request.coordinator_keys.into_iter().map(here).collect())
}
