//! Which groups there are.

use std::sync::Arc;

use logmill_bus_protocol::StrBytes;
use logmill_bus_protocol::messages::list_groups_response::ListedGroup;
use logmill_bus_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::{Call, text};
use crate::broker::Broker;
use crate::security::{Operation, Resource};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    // Who may see the cluster sees all groups, others those that they may see; nobody is refused.
    let all = broker.allows(call, Operation::Describe, Resource::Cluster);
    let may_see = |group: &str| all || broker.allows(call, Operation::Describe, Resource::Group(group));
    let wanted = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let groups = broker
        .groups
        .list()
        .into_iter()
        .filter(|group| wanted(&request.states_filter, group.state) && wanted(&request.types_filter, group.kind))
        .filter(|group| may_see(&group.name))
        .map(|group| {
            ListedGroup::default()
                .with_group_id(text(group.name).into())
                .with_protocol_type(text(group.protocol_type))
                .with_group_state(text(group.state))
                .with_group_type(text(group.kind))
        });
    ListGroupsResponse::default().with_groups(groups.collect())
}
