//! A member asks for its assignment; the leader brings everybody's.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{Call, text};
use crate::broker::Broker;
use crate::groups::{Sync, Synced, Who};
use crate::security::{Operation, Resource};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: SyncGroupRequest) -> SyncGroupResponse {
    if let Err(refused) = broker.check(call, Operation::Read, Resource::Group(&request.group_id)) {
        return SyncGroupResponse::default().with_error_code(refused.code());
    }
    let sync = Sync {
        who: Who {
            member_id: request.member_id.to_string(),
            instance_id: request.group_instance_id.map(|id| id.to_string()),
            generation: request.generation_id,
        },
        protocol_type: request.protocol_type.map(|name| name.to_string()),
        protocol: request.protocol_name.map(|name| name.to_string()),
        assignments: request
            .assignments
            .into_iter()
            .map(|assigned| (assigned.member_id.to_string(), assigned.assignment.to_vec().into()))
            .collect(),
    };
    let waiting = broker.groups.sync(&request.group_id, sync);
    let stopping = || Synced::refused(ResponseError::CoordinatorNotAvailable.code());
    let synced = broker.shutdown.unless(waiting).await.unwrap_or_else(stopping);
    SyncGroupResponse::default()
        .with_error_code(synced.error)
        .with_protocol_type(synced.protocol_type.map(text))
        .with_protocol_name(synced.protocol.map(text))
        .with_assignment(synced.assignment)
}
