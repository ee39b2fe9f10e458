//! Which users have a password that Kafka's tools have set.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use logmill_bus_protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};

use super::{Call, text};
use crate::broker::Broker;
use crate::security::scram::Hash;
use crate::security::{Operation, Resource};

/// The protocol's number of a mechanism.
pub(super) const fn code_of(hash: Hash) -> i8 {
    match hash {
        Hash::Sha256 => 1,
        Hash::Sha512 => 2,
    }
}

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let response = DescribeUserScramCredentialsResponse::default().with_error_message(None);
    if let Err(refused) = broker.check(call, Operation::Describe, Resource::Cluster) {
        return response.with_error_code(refused.code());
    }
    let made = broker.logins.users.made();
    let asked: Vec<String> = match request.users {
        Some(users) if !users.is_empty() => users.into_iter().map(|user| user.name.to_string()).collect(),
        _ => made.keys().cloned().collect(),
    };
    let results = asked.iter().map(|user| {
        let result = DescribeUserScramCredentialsResult::default().with_user(text(&**user)).with_error_message(None);
        let Some(known) = made.get(user) else {
            let message = text("the user has no credentials that were made by requests");
            return result.with_error_code(ResponseError::ResourceNotFound.code()).with_error_message(Some(message));
        };
        let infos = known.iter().map(|(hash, iterations)| {
            let iterations = i32::try_from(*iterations).unwrap_or(i32::MAX);
            CredentialInfo::default().with_mechanism(code_of(*hash)).with_iterations(iterations)
        });
        result.with_credential_infos(infos.collect())
    });
    response.with_results(results.collect())
}
