//! Makes access rules.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::create_acls_request::AclCreation;
use logmill_bus_protocol::messages::create_acls_response::AclCreationResult;
use logmill_bus_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

use super::describe_acls::DISABLED;
use super::{Call, text};
use crate::broker::Broker;
use crate::security::Resource;
use crate::security::acl::{Binding, CLUSTER, Kind, Operation, Pattern, Permission};
use crate::security::principal::USER;

/// Names longer than this belong to nothing.
const NAME_BYTES_MAX: usize = 1024;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: CreateAclsRequest) -> CreateAclsResponse {
    let refused = match broker.check(call, Operation::Alter, Resource::Cluster) {
        Err(refused) => Some((refused, "not authorized".to_owned())),
        Ok(()) if !broker.authorizer.is_enabled() => Some((ResponseError::SecurityDisabled, DISABLED.to_owned())),
        Ok(()) => None,
    };
    let checked: Vec<Result<Binding, (ResponseError, String)>> = request
        .creations
        .iter()
        .map(|asked| match &refused {
            Some(refused) => Err(refused.clone()),
            None => binding(asked).map_err(|message| (ResponseError::InvalidRequest, message)),
        })
        .collect();
    let sound = checked.iter().filter_map(|checked| checked.as_ref().ok()).cloned().collect();
    let kept = broker.authorizer.add(sound).await;
    if kept.is_ok() && refused.is_none() {
        tracing::info!(principal = %call.principal, rules = checked.len(), "access rules were made");
    }
    let results = checked.into_iter().map(|checked| {
        let result = AclCreationResult::default().with_error_message(None);
        match checked.map_err(|(error, message)| (error.code(), message)).and_then(|_| kept.clone()) {
            Ok(()) => result,
            Err((code, message)) => result.with_error_code(code).with_error_message(Some(text(message))),
        }
    });
    CreateAclsResponse::default().with_results(results.collect())
}

/// The rule that is asked for, or what is wrong with it.
fn binding(asked: &AclCreation) -> Result<Binding, String> {
    let rule = Binding {
        kind: Kind::of(asked.resource_type).ok_or("there are no such resources here")?,
        pattern: Pattern::of(asked.resource_pattern_type).ok_or("a rule's name is literal or a prefix")?,
        name: asked.resource_name.to_string(),
        principal: asked.principal.to_string(),
        host: asked.host.to_string(),
        operation: Operation::of(asked.operation).ok_or("there is no such operation here")?,
        permission: Permission::of(asked.permission_type).ok_or("a rule allows or denies")?,
    };
    let texts = [&rule.name, &rule.principal, &rule.host];
    if texts.iter().any(|text| text.is_empty() || text.len() > NAME_BYTES_MAX) {
        return Err(format!("names, principals and hosts have 1 to {NAME_BYTES_MAX} bytes"));
    }
    if rule.kind == Kind::Cluster && rule.name != CLUSTER {
        return Err(format!("the only cluster is called {CLUSTER}"));
    }
    if rule.principal.strip_prefix(USER).is_none_or(str::is_empty) {
        return Err(format!("the principal `{}` is not of the form {USER}NAME", rule.principal));
    }
    Ok(rule)
}
