//! Gives topics more partitions.

use std::sync::Arc;

use logmill_bus_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use logmill_bus_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::{Call, text};
use crate::broker::Broker;
use crate::security::{Operation, Resource};

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let allowed = broker.check(call, Operation::Alter, Resource::Topic(&asked.name));
        let result = CreatePartitionsTopicResult::default().with_name(asked.name.clone()).with_error_message(None);
        if let Err(refused) = allowed {
            results.push(result.with_error_code(refused.code()));
            continue;
        }
        let outcome = broker.topics.add_partitions(&asked.name, asked.count, request.validate_only).await;
        results.push(match outcome {
            Ok(()) => result,
            Err(error) => result.with_error_code(error.code()).with_error_message(Some(text(error.to_string()))),
        });
    }
    CreatePartitionsResponse::default().with_results(results)
}
