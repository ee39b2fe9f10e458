//! What groups consist of.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use logmill_bus_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::{Call, OPERATIONS_NOT_ASKED, text};
use crate::broker::Broker;
use crate::groups::MemberInfo;
use crate::security::{Operation, Resource};

/// Since here a group that is not there is an error; before, it was "Dead".
const NOT_FOUND_SINCE: i16 = 6;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| {
        let group = DescribedGroup::default().with_authorized_operations(OPERATIONS_NOT_ASKED);
        if let Err(refused) = broker.check(call, Operation::Describe, Resource::Group(&id)) {
            return group.with_group_id(id).with_error_code(refused.code());
        }
        let group = match request.include_authorized_operations {
            true => group.with_authorized_operations(broker.operations(call, Resource::Group(&id))),
            false => group,
        };
        let Some(info) = broker.groups.describe(&id) else {
            let dead = group.with_group_state(text("Dead"));
            return if call.version() >= NOT_FOUND_SINCE {
                dead.with_error_code(ResponseError::GroupIdNotFound.code())
                    .with_error_message(Some(text(format!("there is no group {}", id.as_str()))))
                    .with_group_id(id)
            } else {
                dead.with_group_id(id)
            };
        };
        group
            .with_group_id(id)
            .with_group_state(text(info.state))
            .with_protocol_type(text(info.protocol_type))
            .with_protocol_data(text(info.protocol))
            .with_members(info.members.into_iter().map(member).collect())
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn member(info: MemberInfo) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text(info.id))
        .with_group_instance_id(info.instance_id.map(text))
        .with_client_id(text(info.client_id))
        .with_client_host(text(info.client_host))
        .with_member_metadata(info.metadata)
        .with_member_assignment(info.assignment)
}
