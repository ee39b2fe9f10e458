//! Removes groups that have no members, with their offsets.

use std::sync::Arc;

use logmill_bus_protocol::messages::delete_groups_response::DeletableGroupResult;
use logmill_bus_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::Call;
use crate::broker::Broker;
use crate::security::{Operation, Resource};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for id in request.groups_names {
        let code = match broker.check(call, Operation::Delete, Resource::Group(&id)) {
            Ok(()) => broker.groups.forget(&id, None).await.err().unwrap_or(0),
            Err(refused) => refused.code(),
        };
        results.push(DeletableGroupResult::default().with_group_id(id).with_error_code(code));
    }
    DeleteGroupsResponse::default().with_results(results)
}
