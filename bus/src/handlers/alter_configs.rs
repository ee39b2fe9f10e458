//! Replaces all settings of topics: the older way, which resets what is not named.

use std::collections::BTreeMap;
use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::alter_configs_request::AlterConfigsResource;
use logmill_bus_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use logmill_bus_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::describe_configs::TOPIC;
use super::{Call, text};
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::topics::{TopicError, check_settings};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let outcome = replace(broker, call, &asked, request.validate_only).await;
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name)
            .with_error_message(None);
        responses.push(match outcome {
            Ok(()) => response,
            Err((code, message)) => response.with_error_code(code).with_error_message(Some(text(message))),
        });
    }
    AlterConfigsResponse::default().with_responses(responses)
}

async fn replace(broker: &Broker, call: &Call, asked: &AlterConfigsResource, only_check: bool) -> Result<(), Refusal> {
    let topic = topic_of(broker, call, asked.resource_type, &asked.resource_name)?;
    let settings = asked
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect();
    store(broker, topic, settings, only_check).await
}

/// Why a resource was not changed: the protocol's code and a sentence.
pub(super) type Refusal = (i16, String);

pub(super) fn refusal(error: &TopicError) -> Refusal {
    (error.code(), error.to_string())
}

/// The topic that a resource names, when it is one that the client may change.
pub(super) fn topic_of<'n>(broker: &Broker, call: &Call, resource_type: i8, name: &'n str) -> Result<&'n str, Refusal> {
    let resource = if resource_type == TOPIC { Resource::Topic(name) } else { Resource::Cluster };
    let refused = |error: ResponseError| (error.code(), format!("{} may not change these settings", call.principal));
    broker.check(call, Operation::AlterConfigs, resource).map_err(refused)?;
    if resource_type == TOPIC {
        Ok(name)
    } else {
        Err((ResponseError::InvalidRequest.code(), "only topics have settings that can be changed".to_owned()))
    }
}

/// Gives a topic these settings in place of its own, or only checks them.
pub(super) async fn store(
    broker: &Broker,
    topic: &str,
    settings: BTreeMap<String, String>,
    only_check: bool,
) -> Result<(), Refusal> {
    if only_check {
        return check_settings(&settings).map_err(|problem| refusal(&TopicError::Setting(problem)));
    }
    broker.topics.set(topic, settings).await.map_err(|error| refusal(&error))
}
