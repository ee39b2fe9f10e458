//! A member of a group says that it lives.

use std::sync::Arc;

use logmill_bus_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::Call;
use crate::broker::Broker;
use crate::groups::Who;
use crate::security::{Operation, Resource};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    if let Err(refused) = broker.check(call, Operation::Read, Resource::Group(&request.group_id)) {
        return HeartbeatResponse::default().with_error_code(refused.code());
    }
    let who = Who {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|id| id.to_string()),
        generation: request.generation_id,
    };
    HeartbeatResponse::default().with_error_code(broker.groups.heartbeat(&request.group_id, &who))
}
