//! Changes single settings of topics.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use logmill_bus_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use logmill_bus_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::alter_configs::{Refusal, refusal, store, topic_of};
use super::{Call, text};
use crate::broker::Broker;
use crate::topics::TopicError;

const SET: i8 = 0;
const DELETE: i8 = 1;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let outcome = change(broker, call, &asked, request.validate_only).await;
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name)
            .with_error_message(None);
        responses.push(match outcome {
            Ok(()) => response,
            Err((code, message)) => response.with_error_code(code).with_error_message(Some(text(message))),
        });
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

async fn change(broker: &Broker, call: &Call, asked: &AlterConfigsResource, only_check: bool) -> Result<(), Refusal> {
    let name = topic_of(broker, call, asked.resource_type, &asked.resource_name)?;
    let topic = broker.topics.named(name).ok_or_else(|| refusal(&TopicError::Unknown))?;
    let mut settings = topic.settings.clone();
    for AlterableConfig { name, config_operation, value, .. } in &asked.configs {
        match (*config_operation, value) {
            (SET, Some(value)) => drop(settings.insert(name.to_string(), value.to_string())),
            (SET, None) | (DELETE, _) => drop(settings.remove(name.as_str())),
            _ => {
                let message = format!("`{}` is not a list to be added to or taken from", name.as_str());
                return Err((ResponseError::InvalidConfig.code(), message));
            }
        }
    }
    store(broker, name, settings, only_check).await
}
