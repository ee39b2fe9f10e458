//! Removes access rules.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use logmill_bus_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::describe_acls::DISABLED;
use super::{Call, text};
use crate::broker::Broker;
use crate::security::acl::Binding;
use crate::security::filter::Filter;
use crate::security::{Operation, Resource};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = match broker.check(call, Operation::Alter, Resource::Cluster) {
        Err(refused) => Some((refused.code(), "not authorized".to_owned())),
        Ok(()) if !broker.authorizer.is_enabled() => {
            Some((ResponseError::SecurityDisabled.code(), DISABLED.to_owned()))
        }
        Ok(()) => None,
    };
    let mut results = Vec::with_capacity(request.filters.len());
    for asked in &request.filters {
        let outcome = match (&refused, Filter::new(asked)) {
            (Some(refused), _) => Err(refused.clone()),
            (None, None) => Err((ResponseError::InvalidRequest.code(), "the filter is not understood".to_owned())),
            (None, Some(filter)) => broker.authorizer.remove(&filter).await,
        };
        let result = DeleteAclsFilterResult::default().with_error_message(None);
        results.push(match outcome {
            Ok(removed) => {
                tracing::info!(principal = %call.principal, rules = removed.len(), "access rules were removed");
                result.with_matching_acls(removed.into_iter().map(told).collect())
            }
            Err((code, message)) => result.with_error_code(code).with_error_message(Some(text(message))),
        });
    }
    DeleteAclsResponse::default().with_filter_results(results)
}

fn told(rule: Binding) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl::default()
        .with_error_message(None)
        .with_resource_type(rule.kind.code())
        .with_resource_name(text(rule.name))
        .with_pattern_type(rule.pattern.code())
        .with_principal(text(rule.principal))
        .with_host(text(rule.host))
        .with_operation(rule.operation.code())
        .with_permission_type(rule.permission.code())
}
