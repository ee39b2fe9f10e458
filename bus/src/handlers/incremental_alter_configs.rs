//! Changes single settings of topics.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use logmill_bus_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use logmill_bus_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::describe_configs::TOPIC;
use super::{Call, text};
use crate::broker::Broker;
use crate::topics::{TopicError, check_settings};

const SET: i8 = 0;
const DELETE: i8 = 1;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    _: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let outcome = change(broker, &asked, request.validate_only).await;
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

async fn change(broker: &Broker, asked: &AlterConfigsResource, only_check: bool) -> Result<(), (i16, String)> {
    let failed = |error: TopicError| (error.code(), error.to_string());
    if asked.resource_type != TOPIC {
        return Err((ResponseError::InvalidRequest.code(), "only topics have settings that can be changed".to_owned()));
    }
    let topic = broker.topics.named(&asked.resource_name).ok_or_else(|| failed(TopicError::Unknown))?;
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
    if only_check {
        return check_settings(&settings).map_err(|problem| failed(TopicError::Setting(problem)));
    }
    broker.topics.set(&asked.resource_name, settings).await.map_err(failed)
}
