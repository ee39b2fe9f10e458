//! Members leave a group: one, or since version 3 several, also by their instance names.

use std::sync::Arc;

use logmill_bus_protocol::messages::leave_group_response::MemberResponse;
use logmill_bus_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::Call;
use crate::broker::Broker;
use crate::security::{Operation, Resource};

const SEVERAL_SINCE: i16 = 3;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let group = &request.group_id;
    if let Err(refused) = broker.check(call, Operation::Read, Resource::Group(group)) {
        return LeaveGroupResponse::default().with_error_code(refused.code());
    }
    if call.version() < SEVERAL_SINCE {
        return LeaveGroupResponse::default().with_error_code(broker.groups.leave(group, &request.member_id, None));
    }
    let leave = |member: logmill_bus_protocol::messages::leave_group_request::MemberIdentity| {
        let code = broker.groups.leave(group, &member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(code)
    };
    LeaveGroupResponse::default().with_members(request.members.into_iter().map(leave).collect())
}
