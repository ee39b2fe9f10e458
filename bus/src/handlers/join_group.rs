//! A member joins a group; the answer comes when the generation stands.

use std::sync::Arc;
use std::time::Duration;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::join_group_response::JoinGroupResponseMember;
use logmill_bus_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::{Call, text};
use crate::broker::Broker;
use crate::groups::{Join, Joined};
use crate::security::{Operation, Resource};

const REBALANCE_TIMEOUT_SINCE: i16 = 1;
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
const NO_PROTOCOL_SINCE: i16 = 7;
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let version = call.version();
    let millis = |millis: i32| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    let session = millis(request.session_timeout_ms);
    let rebalance = millis(request.rebalance_timeout_ms);
    let join = Join {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|id| id.to_string()),
        client_id: call.header.client_id.as_ref().map_or_else(String::new, ToString::to_string),
        client_host: format!("/{}", call.peer.ip().to_canonical()),
        protocol_type: request.protocol_type.to_string(),
        // Copied, or the group would hold the whole request.
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata.to_vec().into()))
            .collect(),
        session,
        rebalance: if version >= REBALANCE_TIMEOUT_SINCE { rebalance } else { session },
        takes_id: version >= MEMBER_ID_REQUIRED_SINCE,
        may_skip_assignment: version >= SKIP_ASSIGNMENT_SINCE,
    };
    let allowed = broker.check(call, Operation::Read, Resource::Group(&request.group_id));
    let joined = if let Err(refused) = allowed {
        Joined::refused(refused.code(), join.member_id)
    } else if request.group_id.is_empty() {
        Joined::refused(ResponseError::InvalidGroupId.code(), join.member_id)
    } else {
        let waiting = broker.groups.join(&request.group_id, join);
        // At the end of the broker nobody waits: clients come back to the next one.
        let stopping = || Joined::refused(ResponseError::CoordinatorNotAvailable.code(), request.member_id.to_string());
        broker.shutdown.unless(waiting).await.unwrap_or_else(stopping)
    };
    answer(joined, version)
}

fn answer(joined: Joined, version: i16) -> JoinGroupResponse {
    let protocol = joined.protocol.map(text).or((version < NO_PROTOCOL_SINCE).then(|| text("")));
    let member = |member: crate::groups::JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_metadata(member.metadata)
    };
    JoinGroupResponse::default()
        .with_error_code(joined.error)
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(text))
        .with_protocol_name(protocol)
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(joined.members.into_iter().map(member).collect())
}
