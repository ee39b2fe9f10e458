//! Which access rules there are.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use logmill_bus_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

use super::{Call, text};
use crate::broker::Broker;
use crate::security::filter::Filter;
use crate::security::{Operation, Resource};

/// What is said of rules while none are asked.
pub(super) const DISABLED: &str = "access rules are not in force: `bus.acls.enabled`";

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: DescribeAclsRequest) -> DescribeAclsResponse {
    let response = DescribeAclsResponse::default().with_error_message(None);
    if let Err(refused) = broker.check(call, Operation::Describe, Resource::Cluster) {
        return response.with_error_code(refused.code());
    }
    if !broker.authorizer.is_enabled() {
        let code = ResponseError::SecurityDisabled.code();
        return response.with_error_code(code).with_error_message(Some(text(DISABLED)));
    }
    let Some(filter) = Filter::of_list(request) else {
        return response.with_error_code(ResponseError::InvalidRequest.code());
    };
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    // Rules about one resource stand together.
    for rule in broker.authorizer.rules().bindings().iter().filter(|rule| filter.fits(rule)) {
        let (kind, pattern) = (rule.kind.code(), rule.pattern.code());
        let is_same = |last: &DescribeAclsResource| {
            (last.resource_type, last.pattern_type, last.resource_name.as_str()) == (kind, pattern, &rule.name)
        };
        if !resources.last().is_some_and(is_same) {
            let resource = DescribeAclsResource::default()
                .with_resource_type(kind)
                .with_pattern_type(pattern)
                .with_resource_name(text(&*rule.name));
            resources.push(resource);
        }
        let description = AclDescription::default()
            .with_principal(text(&*rule.principal))
            .with_host(text(&*rule.host))
            .with_operation(rule.operation.code())
            .with_permission_type(rule.permission.code());
        if let Some(resource) = resources.last_mut() {
            resource.acls.push(description);
        }
    }
    response.with_resources(resources)
}
